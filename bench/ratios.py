"""Each job beside the floor, and calls beside the same app unguarded: what is ours to lose."""

from __future__ import annotations

import statistics

from bench.jobs import (
    API_KEY,
    CALL_LEGACY,
    CALL_MODERN,
    CALL_RAW,
    CLIENT_CREDENTIALS,
    CODE_EXCHANGE,
    FLOOR,
    GUARDED,
    INTROSPECTION,
    JWKS,
    METADATA,
    REFRESH,
    REGISTRATION,
    UNGUARDED,
)
from bench.report import Line, Target

MOST, MOST_RAW, MOST_SDK = 1.3, 1.6, 1.1
HELD = (REFRESH, CODE_EXCHANGE, CLIENT_CREDENTIALS, REGISTRATION, API_KEY, INTROSPECTION, METADATA, JWKS)
ON_POSTGRES = (REFRESH, CODE_EXCHANGE, CLIENT_CREDENTIALS, REGISTRATION, API_KEY, INTROSPECTION)


def floor_targets(lines: list[Line]) -> list[Target]:
    """Server CPU and Postgres CPU as a multiple of the floor's, the medians of the rounds' own ratios."""
    return [
        *(_target(lines, name, FLOOR, MOST) for name in HELD),
        *(_target(lines, name, FLOOR, MOST, postgres=True) for name in ON_POSTGRES),
        _target(lines, CALL_RAW, FLOOR, MOST_RAW),
        *(_target(lines, name, UNGUARDED, MOST_SDK) for name in (CALL_LEGACY, CALL_MODERN)),
    ]


def ratio(lines: list[Line], name: str, beside: str, *, postgres: bool = False) -> float | None:
    found = {line.server: line.postgres_us if postgres else line.server_us for line in lines if line.job == name}
    if not found.get(GUARDED) or not found.get(beside):
        return None
    pairs = zip(found[GUARDED], found[beside], strict=True)
    return statistics.median(ours / theirs if theirs else 0.0 for ours, theirs in pairs)


def _target(lines: list[Line], name: str, beside: str, most: float, *, postgres: bool = False) -> Target:
    what = f"{'Postgres' if postgres else 'server'} CPU, {name}, of {'the floor' if beside == FLOOR else beside}"
    return Target(what, ratio(lines, name, beside, postgres=postgres), most, "×", inclusive=True)
