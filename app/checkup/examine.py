"""The whole examination: one visit, every check, a list of findings that no answer can keep from being complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from app.checkup.checks import address, browsers, conditions, door, endpoints, resource, server
from app.checkup.findings import Finding, Stop, failed
from app.checkup.pay_a_visit import pay_a_visit
from app.checkup.target import Target
from app.checkup.visit import Visit

Check = Callable[[Visit], Finding]
GROUPS: dict[str, Iterable[Check]] = {
    "address": address.CHECKS,
    "door": door.CHECKS,
    "resource metadata": resource.CHECKS,
    "authorization server": server.CHECKS,
    "endpoints": endpoints.CHECKS,
    "browsers": browsers.CHECKS,
    "conditions": conditions.CHECKS,
}
NOT_UNDERSTOOD = "the answer could not be understood"


async def examine(
    target: Target, now: Callable[[], datetime], *, browser: str, register: bool
) -> tuple[Visit, list[Finding]]:
    """Takes 60 seconds at most, a few when the server is well."""
    visit = await pay_a_visit(target, now, browser, register=register)
    return visit, findings(visit)


def findings(visit: Visit) -> list[Finding]:
    return [
        replace(_finding(check, visit), group=group, check=check.__name__.replace("_", " "))
        for group, checks in GROUPS.items()
        for check in checks
    ]


def _finding(check: Check, visit: Visit) -> Finding:
    try:
        return check(visit)
    except Stop as stop:
        return stop.finding
    except Exception as fault:
        # What a hostile server can think of must not hide what the other checks found.
        return failed(f"{NOT_UNDERSTOOD} ({type(fault).__name__})", "Answer as the specification says.")
