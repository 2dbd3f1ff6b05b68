"""`make conformance`: the MCP project's suite against real Gatehouses that it starts itself, each scenario listed; exit 1 if one fails."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli.running import claimed
from tests.actors import Browser, http
from tests.conftest import SECRET_KEY, House, database
from tests.referees import nodejs
from tests.referees.conformance import example_server, suite
from tests.referees.conformance.plan import ALPHA, HANDSHAKE, LATEST, OWN, SHIPPED, STATELESS, STREAMING, Target
from tests.referees.conformance.proxy import Proxy, proxied
from tests.referees.conformance.suite import Verdict
from tests.stories.test_starting import Running

Runs = list[tuple[str, str, tuple[str, ...]]]
SERVER_RUNS: Runs = [
    (revision, ALPHA, ("--suite", "all", "--spec-version", revision)) for revision in (*HANDSHAKE, STATELESS)
]


class Report:
    """What was found, printed as it is found."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []

    def add(self, title: str, verdicts: list[Verdict]) -> None:
        print(f"\n{title}", flush=True)
        silent = [verdict for verdict in verdicts if verdict.word == "not applicable"]
        for verdict in verdicts:
            if verdict not in silent:
                checks = f"{verdict.checks} check{'s' * (verdict.checks > 1)}" if verdict.checks else ""
                print(f"  {verdict.word:<7} {verdict.scenario:<46} {checks:<10} {verdict.why}".rstrip())
        for why in dict.fromkeys(verdict.why for verdict in silent):
            names = ", ".join(verdict.scenario for verdict in silent if verdict.why == why)
            print(f"  not applicable ({why}): {names}")
        self.verdicts += verdicts

    def count(self, word: str) -> int:
        return sum(verdict.word == word for verdict in self.verdicts)


@contextmanager
def up(dsn: str, proxy_port: int) -> Iterator[Running]:
    """The real command, in a process of its own."""
    running = Running(
        "up",
        "--port",
        "0",
        GATEHOUSE_DATABASE_URL=dsn,
        GATEHOUSE_SECRET_KEY=SECRET_KEY,
        GATEHOUSE_ALLOWED_HOSTS=f"localhost:{proxy_port}",
        GATEHOUSE_LOG_LEVEL="error",
    )
    try:
        running.until("Ctrl-C stops it", 60)
        yield running
    finally:
        running.end()


def authorization(report: Report, place: Path, house: House, url: str) -> None:
    """The suite's authorization-server mode, with a client added by the operator and a person at a browser."""
    with claimed("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    added = (
        "client",
        "add",
        "Conformance",
        "--redirect-uri",
        f"http://127.0.0.1:{port}/callback",
        "--public",
        "--json",
    )
    client_id = json.loads(house.operator(*added))["client_id"]
    signed_in: list[str] = []

    def person(line: str) -> None:
        """Opens the address that the suite prints, signs in, allows, and carries the answer back."""
        if line.startswith(f"{url}/authorize?"):
            browser = Browser(url)
            page = browser.sign_in(browser.open(line.strip()))
            page = browser.decide(page) if "/consent" in page.url else page  # asked the first time only
            assert page.left_to is not None
            http().get(page.left_to)
            signed_in.append(page.left_to)

    everything = Target("the authorization server", None)
    for title, extra in (("", ()), (", with resource", ("--resource", f"{url}/mcp"))):
        arguments = ("--url", url, "--client-id", client_id, "--port", str(port), *extra)
        found = suite.run(place, "authorization", *arguments, watch=person)
        verdicts = [suite.judged(everything, name, checks, set()) for name, checks in found.items()]
        report.add(f"authorization-server mode{title}: `gatehouse up`", verdicts)
    assert len(signed_in) == 2, "nobody signed in"


def server(report: Report, place: Path, target: Target, url: str, runs: Runs) -> None:
    """The suite's server mode, through a proxy that adds the token."""
    for revision, package, arguments in runs:
        example_server.SERVED.clear()
        found = suite.run(place, "server", "--url", url, *arguments, package=package)
        verdicts = [suite.judged(target, name, checks, example_server.SERVED) for name, checks in found.items()]
        report.add(f"server mode, {revision}: {target.title}", verdicts)
        required = suite.required(revision)
        if required and target is not OWN:
            passed = {verdict.scenario for verdict in verdicts if verdict.word == "passed"}
            print(
                f"  {len(required & passed)} of the {len(required)} scenarios that {revision} requires of a server passed"
            )


def control(report: Report, place: Path, proxy: Proxy, url: str) -> None:
    """The same without a good token: were a scenario to pass, the guard would not be where the suite knocks."""
    good, proxy.token = proxy.token, "not-a-token"
    found = suite.run(place, "server", "--url", url, "--scenario", "tools-list")
    proxy.token = good
    (verdict,) = (suite.judged(SHIPPED, name, checks, set()) for name, checks in found.items())
    said = "it has to fail, and does" if verdict.word == "FAILED" else "it got in without a token"
    report.add(
        "control: server mode with a bad token",
        [Verdict("tools-list", "passed" if verdict.word == "FAILED" else "FAILED", 1, said)],
    )


def conformance(place: Path) -> Report:
    """Every run; about twenty seconds."""
    report = Report()
    with database() as dsn, claimed("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        through = f"http://localhost:{port}/mcp"
        hosts = {"allowed_hosts": (f"localhost:{port}",)}
        operator = House(dsn, example_server.shipped, **hosts).start()
        streaming = House(dsn, example_server.streaming, **hosts).start()
        operator.add_user()
        key = operator.operator("api-key", "add", "suite", "--user", "ada@example.com", "--quiet").strip()
        with proxied(listener, key) as proxy:
            with up(dsn, port) as running:
                authorization(report, place, operator, running.url)
                proxy.onward = int(running.url.rsplit(":", 1)[1])
                control(report, place, proxy, through)
                server(report, place, OWN, through, SERVER_RUNS)
            for target, house in ((SHIPPED, operator), (STREAMING, streaming)):
                proxy.onward = int(house.url.rsplit(":", 1)[1])
                server(report, place, target, through, SERVER_RUNS)
            server(report, place, STREAMING, through, [("0.1.16 of the suite", LATEST, ("--suite", "all"))])
        operator.stop()
        streaming.stop()
    optional = "an optional extension that Gatehouse does not offer"
    report.add("server mode, extensions", [Verdict(name, "not applicable", 0, optional) for name in suite.extensions()])
    return report


def main() -> int:
    try:
        nodejs.program()
    except nodejs.NoNode as why:
        print(f"skipped: {why}", file=sys.stderr)
        return 2
    warnings.simplefilter("ignore")  # the SDK's, about what 2026-07-28 has deprecated and the suite still asks for
    logging.disable()  # the SDK's too, about the bad input that the suite sends
    began = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="gatehouse-conformance-"))
    try:
        report = conformance(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    counted = ", ".join(f"{report.count(word)} {word}" for word in ("passed", "warned", "FAILED", "not applicable"))
    checks = sum(verdict.checks for verdict in report.verdicts)
    print(f"\n{counted}; {checks} checks succeeded, in {time.monotonic() - began:.0f} s")
    return 1 if report.count("FAILED") else 0


if __name__ == "__main__":
    sys.exit(main())
