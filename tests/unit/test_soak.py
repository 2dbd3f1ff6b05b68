"""What the soak says of an hour (bench/soak): it must be able to say no."""

from __future__ import annotations

import pytest

from bench.soak.verdicts import BOUNDS, Noted, verdicts

SHOWN = {"WAL MiB": 48.0, "Postgres MiB": 140.0}


def an_hour(**hourly: float) -> list[Noted]:
    """Each half minute; what is named grows by so much, the rest shakes a little, and all of it grows while it warms up."""
    moments = range(30, 3630, 30)
    return [
        Noted(
            at,
            {name: 100 + min(at, 900) / 90 + at % 60 / 60 + hourly.get(name, 0) * at / 3600 for name in BOUNDS} | SHOWN,
            {},
        )
        for at in moments
    ]


def fails(noted: list[Noted]) -> list[str]:
    return [words.partition(":")[0] for holds, words in verdicts(noted, (100_000, 0, 0), []) if not holds]


def test_what_only_warms_up_holds() -> None:
    assert fails(an_hour()) == []


@pytest.mark.parametrize("name", BOUNDS)
def test_what_grows_fails(name: str) -> None:
    assert fails(an_hour(**{name: 3 * max(BOUNDS[name][0], 2 * BOUNDS[name][1])})) == [name]


def test_so_do_wrong_answers_and_errors() -> None:
    assert not all(holds for holds, _ in verdicts(an_hour(), (100_000, 0, 1), []))
    assert not all(holds for holds, _ in verdicts(an_hour(), (100_000, 101, 0), []))
    assert not all(holds for holds, _ in verdicts(an_hour(), (100_000, 0, 0), ["an error"]))
