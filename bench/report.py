"""The figures as one table with the targets beside them, or as JSON."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from bench import tables
from bench.agents import CHARGE, CHARGE_HOT, CONFIRM, PRICED_CALL, Charges
from bench.jobs import (
    AUTHORIZE,
    AUTHORIZE_DOCUMENT,
    CALL_LEGACY,
    CALL_MODERN,
    CODE_EXCHANGE,
    GUARDED,
    REFRESH,
    UNGUARDED,
)
from bench.logins import Logins
from bench.remote import CPU_PERCENT, GROWN_MIB, IDLE_STREAMS, LATE_MS, Remote
from bench.remote import RESIDENT_MIB as IDLE_MIB

DOCUMENT_PERCENT = 10.0
PAGE_MS, PAGE_KB, LOST_PERCENT = 15.0, 50.0, 10.0
GUARD_PERCENT, TRIPS, NOTHING_SECONDS, EXISTING_SECONDS, RESIDENT_MIB = 15.0, 3, 5.0, 2.0, 150.0


@dataclass(slots=True)
class Line:
    """One job: a figure for each round. Times of processors in microseconds a request, latencies in milliseconds."""

    job: str
    server: str
    requests: list[int] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    server_us: list[float] = field(default_factory=list)
    postgres_us: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    round_trips: int | None = None
    kilobytes: float | None = None  # of a page with all that it loads


@dataclass(frozen=True, slots=True)
class Target:
    """`figure` is None when it could not be measured here."""

    what: str
    figure: float | None
    limit: float
    unit: str
    inclusive: bool = False

    @property
    def verdict(self) -> str:
        if self.figure is None:
            return "not measured"
        held = self.figure <= self.limit if self.inclusive else self.figure < self.limit
        return "ok" if held else "MISSED"


@dataclass(frozen=True, slots=True)
class Report:
    conditions: str
    lines: list[Line]
    targets: list[Target]
    logins: Logins | None = None
    remote: Remote | None = None


def targets(
    lines: list[Line], from_nothing: list[float], from_existing: list[float], resident: float | None
) -> list[Target]:
    trips = {line.job: line.round_trips for line in lines if line.server == GUARDED}
    return [
        *(
            Target(f"server CPU the guard adds, {name}", _added(lines, name), GUARD_PERCENT, "%", inclusive=True)
            for name in (CALL_LEGACY, CALL_MODERN)
        ),
        Target(
            "CPU, server and Postgres, that a client by document adds to authorize",
            _more(lines, (AUTHORIZE_DOCUMENT, GUARDED), (AUTHORIZE, GUARDED), postgres=True),
            DOCUMENT_PERCENT,
            "%",
            inclusive=True,
        ),
        *(
            Target(f"SQL round trips, {name}", trips.get(name), TRIPS, "", inclusive=True)
            for name in (REFRESH, CODE_EXCHANGE)
        ),
        Target("start of `gatehouse up` from nothing", _median(from_nothing), NOTHING_SECONDS, "s"),
        Target("start from an existing directory", _median(from_existing), EXISTING_SECONDS, "s"),
        Target("resident memory of the one worker", resident, RESIDENT_MIB, "MiB"),
    ]


def people_targets(lines: list[Line], logins: Logins | None) -> list[Target]:
    """Of the pages, and of people who sign in."""
    pages = [line for line in lines if line.kilobytes is not None]
    dear = [figure for line in pages if (figure := _median(line.server_us)) is not None]
    return [
        Target("server CPU of the dearest page", max(dear) / 1000 if dear else None, PAGE_MS, "ms"),
        Target(
            "weight of the heaviest page with its files",
            max((line.kilobytes or 0 for line in pages), default=None),
            PAGE_KB,
            "kB",
        ),
        Target(
            "calls of /mcp lost to 30 password logins a second",
            logins.lost_percent if logins else None,
            LOST_PERCENT,
            "%",
            inclusive=True,
        ),
    ]


def agent_targets(lines: list[Line], charges: Charges) -> list[Target]:
    """Of callers without an account: 3,000 charges a second of one session are 333 µs each, 10,000 of many 100 µs."""
    trips = {line.job: line.round_trips for line in lines}
    return [
        *(
            Target(f"SQL round trips, {name}", trips.get(name), 1, "", inclusive=True)
            for name in (CONFIRM, CHARGE, CHARGE_HOT, PRICED_CALL)
        ),
        Target("a charge of one hot session, no HTTP", _median(charges.hot), 1e6 / 3000, "µs", inclusive=True),
        Target("a charge, 2,000 sessions, no HTTP", _median(charges.across), 1e6 / 10_000, "µs", inclusive=True),
    ]


def remote_targets(found: Remote | None) -> list[Target]:
    """Of the way to a remote backend, where it was measured."""
    if found is None:
        return []
    return [
        *(
            Target(
                f"server CPU that the proxy adds to a call of a remote backend, {era}",
                found.proxy_percent(era),
                CPU_PERCENT,
                "%",
            )
            for era in found.direct_us
        ),
        Target("lateness of an event on its way through", found.lateness_ms, LATE_MS, "ms"),
        Target(f"resident memory with {IDLE_STREAMS} idle streams", found.idle_mib, IDLE_MIB, "MiB"),
        Target("memory that a long stream adds", found.long_mib, GROWN_MIB, "MiB"),
    ]


def _added(lines: list[Line], name: str) -> float | None:
    return _more(lines, (name, GUARDED), (name, UNGUARDED))


def _more(lines: list[Line], dear: tuple[str, str], cheap: tuple[str, str], *, postgres: bool = False) -> float | None:
    """Percent, the median of the rounds' own ratios: both were measured within seconds of each other. None for jobs that
    were left out."""
    found = {(line.job, line.server): line for line in lines}
    if dear not in found or cheap not in found:
        return None
    rounds = zip(_costs(found[dear], postgres), _costs(found[cheap], postgres), strict=True)
    return _median([(with_it / without - 1) * 100 for with_it, without in rounds])


def _costs(line: Line, postgres: bool) -> list[float]:
    return [sum(both) for both in zip(line.server_us, line.postgres_us, strict=True)] if postgres else line.server_us


def _median(figures: list[float]) -> float | None:
    return statistics.median(figures) if figures else None


def show(report: Report) -> None:
    console = Console(width=max(Console().width, 120), highlight=False)
    costs = ("server\nCPU µs", "spread\nCPU µs", "Postgres\nCPU µs")
    heads = (*costs, "p50\nms", "p99\nms", "requests\n/s", "SQL round\ntrips")
    table = tables.figures("A request on loopback, medians of the rounds", "job", *heads)
    for line in report.lines:
        name = line.job + ("" if line.server == GUARDED else f" ({line.server})")
        spread = f"{min(line.server_us):.0f}–{max(line.server_us):.0f}" if line.server_us else "–"
        figures = (_shown(line.postgres_us), _shown(line.p50_ms, 1), _shown(line.p99_ms, 1), _shown(line.per_second))
        trips = "–" if line.round_trips is None else str(line.round_trips)
        table.add_row(name, _shown(line.server_us), spread, *figures, trips)
    console.print(table)
    verdicts = Table(title="Targets", title_justify="left")
    for head in ("what", "measured", "target", ""):
        verdicts.add_column(head, justify="left" if head in ("what", "") else "right")
    for target in report.targets:
        measured = "–" if target.figure is None else f"{target.figure:.3g} {target.unit}"
        limit = f"{'≤' if target.inclusive else '<'} {target.limit:g} {target.unit}"
        verdicts.add_row(target.what, measured, limit, target.verdict)
    console.print(verdicts)
    if report.logins is not None:
        console.print(str(report.logins))
    if report.remote is not None:
        console.print(str(report.remote))
    console.print(report.conditions)


def _shown(figures: list[float], digits: int = 0) -> str:
    middle = _median(figures)
    return "–" if middle is None else f"{middle:.{digits}f}"


def as_json(report: Report) -> str:
    verdicts = [asdict(target) | {"verdict": target.verdict} for target in report.targets]
    return json.dumps({**asdict(report), "targets": verdicts}, indent=2)
