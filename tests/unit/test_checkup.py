"""Checks of the doctor that a loopback server cannot provoke: addresses of the Internet, slow answers, what is read of headers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.checkup.answer import Answer, challenge, nulls
from app.checkup.checks import address, conditions
from app.checkup.findings import Finding, Verdict, passed, plain, shown
from app.checkup.knock import Knock, is_public
from app.checkup.target import target
from app.checkup.visit import Visit

NOW = datetime(2026, 11, 20, tzinfo=UTC)
VISIT = Visit(target("https://mcp.example.com/mcp"), NOW, "http://localhost:6274", ("203.0.114.7",))
PASSED, WARNED, FAILED, SKIPPED = Verdict.PASSED, Verdict.WARNED, Verdict.FAILED, Verdict.SKIPPED


@pytest.mark.parametrize(
    ("addresses", "verdict", "words"),
    [
        (("203.0.114.7", "2a01::1"), PASSED, "203.0.114.7, 2a01::1"),
        (("203.0.114.7", "10.0.0.1"), WARNED, "10.0.0.1 is private"),
        (("192.168.1.2",), WARNED, "not an address of the Internet"),
        (("2a01::1",), WARNED, "IPv6 only"),
    ],
)
def test_dns(addresses: tuple[str, ...], verdict: Verdict, words: str) -> None:
    found = address.dns(replace(VISIT, addresses=addresses))
    assert found.verdict is verdict
    assert words in found.said


@pytest.mark.parametrize(
    ("public", "text"),
    [
        (True, "8.8.8.8"),
        (True, "2a01::1"),
        (False, "127.0.0.1"),
        (False, "10.1.2.3"),
        (False, "100.64.0.1"),
        (False, "169.254.169.254"),
        (False, "224.0.0.1"),
        (False, "::1"),
        (False, "fe80::1%eth0"),
        (False, "fd00::1"),
        (False, "::ffff:10.0.0.1"),
        (False, "2002:0a00:0001::1"),
        (False, "0.0.0.0"),
        (False, "nonsense"),
    ],
)
def test_which_addresses_are_of_the_internet(public: bool, text: str) -> None:
    assert is_public(text) is public


def test_the_port_of_hosted_clients() -> None:
    assert address.port(VISIT).verdict is PASSED
    assert address.port(replace(VISIT, target=target("https://mcp.example.com:8443/mcp"))).verdict is WARNED
    assert address.port(replace(VISIT, addresses=("127.0.0.1",))).verdict is SKIPPED


def test_plain_http_on_the_internet_fails() -> None:
    open_one = replace(VISIT, target=target("http://mcp.example.com/mcp"), knocks=(Knock("203.0.114.7"),))
    assert address.tls(open_one).verdict is FAILED


@pytest.mark.parametrize(
    ("problems", "verdict"),
    [(("", ""), PASSED), (("", "refused"), FAILED), (("silent", "refused"), FAILED), (("", "no route"), PASSED)],
)
def test_every_address_takes_connections(problems: tuple[str, ...], verdict: Verdict) -> None:
    """Only what this machine has no route to, such as IPv6, is nobody's fault."""
    knocks = tuple(Knock(f"203.0.114.{n}", problem) for n, problem in enumerate(problems))
    assert address.connection(replace(VISIT, knocks=knocks)).verdict is verdict


@pytest.mark.parametrize(("days", "verdict"), [(90, PASSED), (13, WARNED)])
def test_the_certificate_that_ends_first_counts(days: int, verdict: Verdict) -> None:
    ends = (NOW + timedelta(days=300), NOW + timedelta(days=days))
    knocks = tuple(Knock("203.0.114.7", expires=end) for end in ends)
    assert address.expiry(replace(VISIT, knocks=knocks)).verdict is verdict


@pytest.mark.parametrize(
    ("milliseconds", "verdict"),
    [((10.0, 20.0, 9000.0), PASSED), ((2500.0, 2500.0), WARNED), ((6000.0,), FAILED), ((), SKIPPED)],
)
def test_the_median_is_judged(milliseconds: tuple[float, ...], verdict: Verdict) -> None:
    assert conditions.latency(replace(VISIT, milliseconds=milliseconds)).verdict is verdict


def answered(**headers: str) -> Visit:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return replace(VISIT, answers={"post": Answer("POST", VISIT.target.url, 401, fields, at=NOW)})


def test_hsts_is_a_hint() -> None:
    assert conditions.hsts(answered()).verdict is WARNED
    assert conditions.hsts(answered(strict_transport_security="max-age=1")).verdict is PASSED


@pytest.mark.parametrize("date", ["yesterday", "Fri, 99 Nov 2026 00:00:00 GMT", "0", "Fri, 20 Nov 99999 00:00:00 GMT"])
def test_a_date_that_is_none_is_no_fault_of_ours(date: str) -> None:
    assert conditions.clock(answered(date=date)).verdict is WARNED
    assert conditions.clock(answered()).verdict is SKIPPED


@pytest.mark.parametrize(
    ("header", "values", "unquoted"),
    [
        ('Bearer resource_metadata="https://x/y", scope="a b"', {"resource_metadata": "https://x/y", "scope": "a b"}, set()),
        ('Basic realm="x", bearer Scope = a', {"scope": "a"}, {"scope"}),
        ('Bearer error="say \\"no\\", twice"', {"error": 'say "no", twice'}, set()),
        ("Bearer", {}, set()),
    ],
)  # fmt: skip
def test_the_challenge_is_read(header: str, values: dict[str, str], unquoted: set[str]) -> None:
    found = challenge(answered(www_authenticate=header).answers["post"])
    assert found is not None
    assert dict(found.values) == values
    assert set(found.unquoted) == unquoted


@pytest.mark.parametrize("header", ["", "Basic realm=x", "Bearers x=y", 'Basic realm="Bearer"'])
def test_no_challenge_is_none(header: str) -> None:
    assert challenge(answered(www_authenticate=header).answers["post"]) is None


def test_nulls_are_found_where_they_are() -> None:
    assert nulls({"a": None, "b": [1, {"c": None}], "d": "null"}) == ["a", "b[1].c"]


def test_what_is_printed_is_printable() -> None:
    assert plain("a\x1b[2J\nb\u202e") == "a?[2J?b?"
    assert shown("x" * 500) == '"' + "x" * 119 + '…"'
    assert passed("\x07" * 5000) == Finding(PASSED, "?" * 599 + "…")
    assert [shown(value) for value in (None, {"a": 1}, [1], True)] == ["nothing", "an object", "a list", "True"]
