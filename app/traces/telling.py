"""An attempt, its verdict and its steps as plain values, for `gatehouse trace --json` and for pages; pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.traces.attempts import Attempt
from app.traces.step import Step
from app.traces.verdicts import verdict
from app.traces.words import words


def told(attempt: Attempt, now: datetime) -> dict[str, Any]:
    """With `state`, `verdict` and `next_step` in words, and every step. What is not known is left out."""
    judged = verdict(attempt, now)
    account = attempt.last_fact("account")
    values = {
        "id": attempt.id,
        "started_at": _time(attempt.started_at),
        "ended_at": _time(attempt.ended_at),
        "client_id": attempt.last("client_id"),
        "client_name": attempt.last("client_name"),
        "program": attempt.last_fact("program"),
        "account": account or attempt.last("user_id"),
        "connection_id": attempt.last("connection_id"),
        "user_agent": next((step.user_agent for step in attempt.steps if step.user_agent), None),
        "addresses": sorted({step.address for step in attempt.steps}),
        "state": judged.state,
        "verdict": judged.sentence,
        "next_step": judged.next_step,
        "steps": [told_step(step) for step in attempt.steps],
    }
    return _known(values)


def told_step(step: Step) -> dict[str, Any]:
    """One line of the timeline, with all that is kept of it."""
    names = ("request_id", "what", "method", "path", "status", "error", "description", "client_id", "client_name")
    values: dict[str, Any] = {"at": _time(step.at)} | {name: getattr(step, name) for name in names}
    values |= {"address": step.address, "user_agent": step.user_agent, "user_id": step.user_id}
    return _known(values | {"connection_id": step.connection_id, "words": words(step), "facts": dict(step.facts)})


def is_about(attempt: Attempt, words: str) -> bool:
    """Whether it is of the client with this id, or with this in its name."""
    names = {attempt.last("client_name") or "", attempt.last_fact("program") or ""}
    return any(step.client_id == words for step in attempt.steps) or any(words.lower() in n.lower() for n in names)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", {}, [])}


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
