"""Runs the MCP project's conformance suite, reads what it wrote, and says of each scenario what it is worth."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.referees import nodejs
from tests.referees.conformance.plan import ALPHA, Target

STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")
PREFIX = {"server": "server-", "authorization": "authorization-server-"}  # of its folders
OF_THE_WIRE = ("wire-schema-valid", "wire-schema-harness-error")
SECONDS = 240


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the suite: `status` is SUCCESS, FAILURE, WARNING, SKIPPED or INFO."""

    id: str
    status: str
    said: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`word` is passed, warned, FAILED or not applicable; `checks` counts those that really succeeded."""

    scenario: str
    word: str
    checks: int
    why: str


def run(
    place: Path, mode: str, *arguments: str, package: str = ALPHA, watch: Callable[[str], None] | None = None
) -> dict[str, list[Check]]:
    """The checks of each scenario. `watch` is given every line while it runs."""
    out = place / "results"
    shutil.rmtree(out, ignore_errors=True)
    script = nodejs.MODULES / package / "dist" / "index.js"
    command = [str(nodejs.program()), str(script), mode, *arguments, "--output-dir", str(out)]
    with subprocess.Popen(
        command,
        cwd=place,
        env=nodejs.environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        limit = threading.Timer(SECONDS, process.kill)
        limit.start()
        try:
            for line in process.stdout:
                said.append(line)
                if watch is not None:
                    watch(line)
        except BaseException:
            process.kill()
            raise
        finally:
            limit.cancel()
    found = {
        STAMP.sub("", path.parent.name).removeprefix(PREFIX[mode]): _checks(path)
        for path in sorted(out.glob("*/checks.json"))
    }
    assert found, "the suite wrote nothing:\n" + "".join(said)
    return found


def _checks(path: Path) -> list[Check]:
    checks = []
    for check in json.loads(path.read_text()):
        details = check.get("details") or {}
        said = check.get("errorMessage") or details.get("message") or details.get("note") or ""
        checks.append(Check(check["id"], check["status"], str(said).split("\n")[0][:300]))
    return checks


def judged(target: Target, scenario: str, checks: list[Check], reached: set[str]) -> Verdict:
    """Nothing vacuous passes: not without a check of its own that succeeded, and not without having reached its tool."""
    why_not = target.why_not(scenario)
    if why_not is not None:
        return Verdict(scenario, "not applicable", 0, why_not)
    left_out = {check.id: target.elsewhere.get(f"{scenario}:{check.id}") for check in checks}
    counted = [check for check in checks if left_out[check.id] is None]
    own = [check for check in counted if check.id not in OF_THE_WIRE]
    notes = [f"{name}: {why}" for name, why in left_out.items() if why]
    notes += [f"{check.id} skipped: {check.said}" for check in own if check.status == "SKIPPED"]
    failed = [check for check in counted if check.status == "FAILURE"]
    if failed:
        return Verdict(scenario, "FAILED", 0, "; ".join(f"{check.id}: {check.said}" for check in failed))
    succeeded = sum(check.status == "SUCCESS" for check in own)
    if not succeeded:
        said = "; ".join(check.said for check in own if check.said) or "it made no check"
        return Verdict(scenario, "not applicable", 0, said)
    needed = target.reached.get(scenario)
    if needed is not None and needed not in reached:
        return Verdict(scenario, "FAILED", 0, f"vacuous: it never reached {needed}")
    warned = [f"{check.id}: {check.said}" for check in own if check.status == "WARNING"]
    return Verdict(scenario, "warned" if warned else "passed", succeeded, "; ".join(warned + notes))


def required(revision: str) -> set[str]:
    """The scenarios that conforming to this revision takes of a server, as the suite has frozen them; none if it has not."""
    path = nodejs.MODULES / ALPHA / "requirements" / f"{revision}.yaml"
    if not path.is_file():
        return set()
    of_servers = path.read_text().split("\nserver:\n")[1].split("\n\n")[0]
    return set(re.findall(r"^  - (\S+)$", of_servers, re.MULTILINE))


def extensions() -> list[str]:
    """The scenarios of optional extensions, which no revision requires."""
    command = [str(nodejs.program()), str(nodejs.MODULES / ALPHA / "dist" / "index.js"), "list", "--server"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return re.findall(r"^\s*- (\S+) \[extension\]$", listed, re.MULTILINE)
