"""The words for how far an attempt to connect has come, and the verdict that every judge gives; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.traces.attempts import Attempt
from app.traces.step import Step

CONNECTED, FAILED, ABANDONED, IN_PROGRESS = "connected", "failed", "abandoned", "in progress"
PATIENCE = timedelta(seconds=60)  # what a program does next, it does within this
ADD_AGAIN = "Remove the server (or connector) in the client and add it again, so that it registers anew."


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state` is one of the four words above; `next_step` is what the operator can do, None when there is nothing to do."""

    state: str
    sentence: str
    next_step: str | None


def abandoned(sentence: str, next_step: str) -> Verdict:
    return Verdict(ABANDONED, sentence, next_step)


def waiting(
    attempt: Attempt, now: datetime, patience: timedelta = PATIENCE, whom: str = "the client"
) -> Verdict | None:
    """In progress, while it is too early to say more."""
    if now - attempt.ended_at > patience:
        return None
    return Verdict(IN_PROGRESS, f"Nothing is wrong so far: it is the turn of {whom}.", None)


def server_fault(step: Step) -> Verdict:
    return Verdict(
        FAILED,
        f"The server could not answer ({step.status}): {step.description or 'something went wrong here'}.",
        f"Look for {step.request_id} in the log, and ask `gatehouse doctor` about the database.",
    )


def turned_away(step: Step) -> Verdict | None:
    """For what has nothing to do with the request itself: it was one too many, or the server could not."""
    if step.status >= 500:
        return server_fault(step)
    if step.status != 429:
        return None
    return Verdict(
        FAILED,
        f"Too many requests came from {step.address}, so {step.path} refused this one.",
        "Wait a minute. If everybody seems to come from that address it is your proxy's: set GATEHOUSE_TRUSTED_PROXIES. "
        "For registrations there is GATEHOUSE_REGISTER_PER_MINUTE.",
    )
