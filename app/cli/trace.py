"""`gatehouse trace`: what clients that connect went through, what came of it, and what to do next."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from app.api_keys.keys import duration
from app.cli.console import Json, Refused, say
from app.cli.operating import operate
from app.operate import logs
from app.protocol.errors import OAuthError
from app.traces import store
from app.traces.attempts import GAP, Attempt, attempts
from app.traces.states import ABANDONED, CONNECTED, FAILED, IN_PROGRESS
from app.traces.step import Step
from app.traces.telling import is_about, told, told_step
from app.traces.verdicts import verdict
from app.traces.words import words
from app.world import World

COLOURS = {CONNECTED: "green", FAILED: "red", ABANDONED: "yellow", IN_PROGRESS: "cyan"}
POLL_SECONDS = 1.0
LATE = timedelta(seconds=15)  # how much later than it happened another replica may write a step


def trace(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="Of an attempt, of an error page or body, or of a client.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Go on and print each step as it comes.")] = False,
    client: Annotated[str, typer.Option("--client", help="Only of this client: its id, or a part of its name.")] = "",
    since: Annotated[str, typer.Option("--since", help="How far to look back, such as 45m, 12h or 3d.")] = "1d",
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed or was given up.")] = False,
    as_json: Json = False,
) -> None:
    """Every attempt to connect, with a verdict and the next step; with ID one of them, step by step."""
    logs.configure("warning")  # to stderr, apart from what is printed here
    try:
        back = duration(since)
    except OAuthError as refusal:
        raise Refused(f"--since: {refusal.description}", 2) from None
    if follow and identifier:
        raise Refused("--follow shows what comes; narrow it with --client", 2)
    if follow:
        _follow(client, as_json=as_json)
    elif identifier:
        _show_one(identifier, as_json=as_json)
    else:
        _show_all(client, back, failed=failed, as_json=as_json)


def _show_all(client: str, back: timedelta, *, failed: bool, as_json: bool) -> None:
    async def work(world: World) -> tuple[list[Attempt], datetime]:
        now = world.now()
        return attempts(await store.since(world.pool, now - back)), now

    found, now = operate(work)
    rows = [told(attempt, now) for attempt in found if not client or is_about(attempt, client)]
    if failed:
        rows = [row for row in rows if row["state"] in (FAILED, ABANDONED)]
    if as_json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        say("Nothing of that kind is in the trace.")
    for row in [] if as_json else rows:
        _print(Text.assemble(_head(row), "\n  ", _sentence(row)))


def _show_one(identifier: str, *, as_json: bool) -> None:
    """By attempt or request id (an attempt bears the id of its first request), else by client id: then the last."""

    async def work(world: World) -> tuple[list[Step], datetime]:
        now, at = world.now(), await store.time_of(world.pool, identifier)
        start = at - 4 * GAP if at else now - timedelta(days=90)
        return await store.since(world.pool, start, at + 4 * GAP if at else None), now

    steps, now = operate(work)
    found = attempts(steps)
    named = [attempt for attempt in found if any(step.request_id == identifier for step in attempt.steps)]
    named = named or [attempt for attempt in found if is_about(attempt, identifier)]
    alone = [step for step in steps if step.request_id == identifier]
    if named:
        row = told(named[-1], now)
        print(json.dumps(row, indent=2)) if as_json else _print_timeline(row, named[-1])
    elif alone:
        print(json.dumps({"steps": [told_step(alone[0])]}, indent=2)) if as_json else _print(_line(alone[0]))
    else:
        raise Refused(f"nothing in the trace is called {identifier}; it goes back GATEHOUSE_TRACE_DAYS")


def _follow(client: str, *, as_json: bool) -> None:
    async def work(world: World) -> None:
        stop = _until_interrupted()
        kept = await store.since(world.pool, world.now() - GAP)
        shown = {step.id for step in kept}
        states = {attempt.id: verdict(attempt, world.now()).state for attempt in attempts(kept)}
        if not as_json:
            say("What clients do is shown here as it happens. Ctrl-C ends this.")
        while not stop.is_set():
            now = world.now()
            found = {step.id: step for step in kept if step.at > now - 2 * GAP}
            found |= {step.id: step for step in await store.since(world.pool, now - LATE)}
            kept = sorted(found.values(), key=lambda step: (step.at, step.id))
            _tell_news(kept, shown, states, client, now, as_json=as_json)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_SECONDS)

    try:
        operate(work)
    except KeyboardInterrupt:
        return


def _until_interrupted() -> asyncio.Event:
    """Set by the first Ctrl-C. Cancelling the task, as asyncio does by itself, is lost in Python 3.11 when it meets
    `wait_for` at the moment that its result comes; a second Ctrl-C interrupts in any case."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def interrupted() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, interrupted)
    return stop


def _tell_news(
    steps: list[Step], shown: set[int], states: dict[str, str], client: str, now: datetime, *, as_json: bool
) -> None:
    """The steps that were not shown yet, then the verdicts that changed."""
    found = [attempt for attempt in attempts(steps) if not client or is_about(attempt, client)]
    ours = {step.id for attempt in found for step in attempt.steps}
    for step in steps:
        if step.id not in shown and (step.id in ours or not client):
            shown.add(step.id)
            print(json.dumps(told_step(step)), flush=True) if as_json else _print(_line(step, whose=True))
    for attempt in found:
        row = told(attempt, now)
        if states.get(attempt.id) != row["state"]:
            states[attempt.id] = row["state"]
            if row["state"] == IN_PROGRESS:
                continue
            del row["steps"]
            print(json.dumps(row), flush=True) if as_json else _print(Text.assemble(_head(row), "\n  ", _sentence(row)))


def _print_timeline(row: dict[str, Any], attempt: Attempt) -> None:
    _print(_head(row))
    for name in ("client_id", "user_agent", "account", "connection_id", "addresses"):
        if name in row:
            value = row[name]
            _print(Text(f"  {name:<14} {', '.join(value) if isinstance(value, list) else value}", style="dim"))
    for step in attempt.steps:
        _print(Text.assemble("  ", _line(step)))
    _print(Text.assemble("  ", _sentence(row)))


def _head(row: dict[str, Any]) -> Text:
    name = row.get("client_name") or row.get("program") or row.get("client_id")
    name = name or f"somebody with {row.get('user_agent', 'no name at all')[:60]}"
    when = row["started_at"].replace("T", " ")[:19] + " UTC"
    return Text.assemble(
        (row["state"].upper(), f"bold {COLOURS[row['state']]}"), f"  {when}  ", (name, "bold"), f"  {row['id']}"
    )


def _sentence(row: dict[str, Any]) -> Text:
    following = f"\n  → {row['next_step']}" if row.get("next_step") else ""
    return Text(row["verdict"] + following)


def _line(step: Step, *, whose: bool = False) -> Text:
    """With `whose`, for a list of many, the name of the client too."""
    name = f"{step.client_name}: " if whose and step.client_name and step.what != "registration" else ""
    colour = "red" if not step.well and not step.tokenless else ""
    clock = step.at.strftime("%H:%M:%S")
    asked = f"{step.status} {step.method} {step.path}"
    return Text.assemble(
        (f"{clock}  {asked:<52} ", "dim"), (name, "bold"), (words(step), colour), (f"  {step.request_id}", "dim")
    )


def _print(text: Text) -> None:
    Console(soft_wrap=True, highlight=False).print(text)
