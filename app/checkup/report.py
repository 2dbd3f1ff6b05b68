"""The findings in words and as JSON, with the snippets that fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from app.checkup.findings import Finding, Verdict, plain
from app.checkup.snippets import DOCUMENT, PROXIES, TITLES, is_short, snippet
from app.checkup.visit import Visit

MARKS = {Verdict.PASSED: "ok  ", Verdict.FAILED: "FAIL", Verdict.WARNED: "warn", Verdict.SKIPPED: "skip"}
INDENT = " " * 6


def is_well(findings: Sequence[Finding]) -> bool:
    return not any(finding.verdict is Verdict.FAILED for finding in findings)


def seen_proxy(visit: Visit) -> str:
    """The proxy that says its name in Server or Via, outermost first; empty when none does."""
    answer = visit.answers.get("post")
    names = f"{answer.header('server')} {answer.header('via')}".lower() if answer else ""
    return next((proxy for proxy in ("cloudflare", "caddy", "nginx", "traefik") if proxy in names[:500]), "")


def lines(visit: Visit, findings: Sequence[Finding], proxy: str) -> list[str]:
    """The report for people. `proxy` as asked for, or empty."""
    said = [f"{plain(visit.target.url, 300)}, from outside, as a client sees it"]
    told: set[str] = set()
    for group, members in groupby(findings, key=lambda finding: finding.group):
        found = list(members)
        said += ["", group]
        if visit.unreachable and all(finding.verdict is Verdict.SKIPPED for finding in found):
            said.append(f"skip  all {len(found)} checks: {plain(visit.unreachable)}")
            continue
        for finding in found:
            said += _lines(visit, finding, proxy, told)
    return [*said, "", _sum(findings)]


def _lines(visit: Visit, finding: Finding, proxy: str, told: set[str]) -> list[str]:
    """One finding; the snippets of one topic are printed once."""
    said = [f"{MARKS[finding.verdict]}  {finding.check:<22} {finding.said}"]
    if finding.cure:
        said.append(f"{INDENT}{'cure' if finding.verdict is Verdict.FAILED else 'hint'}: {finding.cure}")
    if finding.verdict is Verdict.FAILED and finding.topic and finding.topic not in told:
        told.add(finding.topic)
        said += [f"{INDENT}{line}" for line in _snippets(visit, finding.topic, proxy)]
    return said


def document(visit: Visit, findings: Sequence[Finding], proxy: str) -> dict[str, Any]:
    """The report for programs; escape it to ASCII when printing it."""
    proxies = [proxy or seen_proxy(visit)] if proxy or seen_proxy(visit) else list(PROXIES)
    return {
        "url": visit.target.url,
        "well": is_well(findings),
        **_counts(findings),
        "checks": [_entry(visit, finding, proxies) for finding in findings],
    }


def _entry(visit: Visit, finding: Finding, proxies: Sequence[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "group": finding.group,
        "check": finding.check,
        "verdict": str(finding.verdict),
        "said": finding.said,
    }
    if finding.cure:
        entry["cure"] = finding.cure
    if finding.verdict is Verdict.FAILED and finding.topic:
        entry["snippets"] = {proxy: _filled(visit, proxy, finding.topic) for proxy in proxies}
    return entry


def _snippets(visit: Visit, topic: str, proxy: str) -> list[str]:
    """The chosen proxy's, or that of the one which names itself, or all short ones and where the others are."""
    chosen = proxy or seen_proxy(visit)
    said: list[str] = []
    for name in [chosen] if chosen else PROXIES:
        text = _filled(visit, name, topic)
        if chosen or is_short(text):
            said += [f"{name}:", *(f"    {line}" for line in text.splitlines())]
    hidden = [] if chosen else [name for name in PROXIES if not is_short(_filled(visit, name, topic))]
    if hidden:
        said.append(f"{', '.join(hidden)}: --proxy {hidden[0]} prints it, or see {DOCUMENT}, {TITLES[topic]}")
    return said


def _filled(visit: Visit, proxy: str, topic: str) -> str:
    """The address was typed by whoever reads this; a host name and a path hold no control characters."""
    return snippet(proxy, topic, visit.target.host, visit.target.path)


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    counted = Counter(finding.verdict for finding in findings)
    return {str(verdict): counted[verdict] for verdict in Verdict}


def _sum(findings: Sequence[Finding]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in _counts(findings).items() if number)
