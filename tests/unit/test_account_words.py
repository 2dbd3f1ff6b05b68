"""What account pages say of a browser, an address, a moment, and where in a list one is (RFC 9110 §10.1.5)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from app.account.usage import DAYS, HEIGHT, bars, lines
from app.language.catalogs import spoken
from app.language.devices import device, place
from app.language.when import ago, day, lasting
from app.protocol.errors import InvalidRequest
from app.tokens.secrets import b64
from app.web import paging

NOW = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def english() -> None:
    spoken.set("en")


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0.0.0 Safari/537.36",
            "Chrome on Mac",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.0 Safari/605.1.15",
            "Safari on Mac",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "CriOS/140.0 Mobile/15E148 Safari/604.1",
            "Chrome on iPhone",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iPad",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) "
            "SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            "Samsung Internet on Android",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/120",
            "Opera on Linux",
        ),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/140 Safari/537.36", "Chrome on ChromeOS"),
        ("Mozilla/5.0 (Windows NT 10.0) SomethingElse/1.0", "An unknown browser on Windows"),
        ("curl/8.9.1", "curl"),
        ("python-httpx2/2.16", "A Python program"),
        ("Frobnicator/3.1 (+https://example.com)", "Unknown: Frobnicator/3.1"),
        ("\u202egpj.exe\x00", "Unknown: ?gpj.exe?"),
        ("x" * 5000, "Unknown: " + "x" * 40),
        ("", "A program that does not say what it is"),
        ("   ", "A program that does not say what it is"),
    ],
)
def test_a_browser_in_words(user_agent: str, words: str) -> None:
    assert device(user_agent) == words


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1", "This computer"),
        ("::1/128", "This computer"),
        ("192.168.1.7", "A private network (192.168.1.7)"),
        ("10.0.0.1", "A private network (10.0.0.1)"),
        ("fe80::/64", "A private network (fe80::/64)"),
        ("fd00:1::/64", "A private network (fd00:1::/64)"),
        ("8.8.8.8", "8.8.8.8"),
        ("2a00:1450:4001:800::/64", "2a00:1450:4001:800::/64"),
        ("unknown", "An unknown address"),
    ],
)
def test_a_place_in_words(address: str, words: str) -> None:
    assert place(address, on_loopback=True) == words


def test_the_loopback_network_as_it_is_kept_is_this_computer() -> None:
    """Of IPv6 the /64 is kept, and nothing else is in that of ::1."""
    assert place("::/64", on_loopback=True) == "This computer"
    assert place("127.0.0.1", on_loopback=False) == "The server itself, or a proxy in front of it"


def test_moments_in_words() -> None:
    assert ago(NOW - timedelta(seconds=50), NOW).words == "just now"
    assert ago(NOW + timedelta(seconds=5), NOW).words == "just now", "a clock of another replica"
    assert ago(NOW - timedelta(minutes=5), NOW).words == "5 minutes ago"
    assert ago(NOW - timedelta(minutes=61), NOW).words == "1 hour ago"
    assert ago(NOW - timedelta(days=2), NOW).words == "2 days ago"
    assert ago(NOW - timedelta(days=40), NOW).words == "24 March 2026"
    assert (day(date(2026, 12, 1)).words, day(NOW).at) == ("1 December 2026", "2026-05-03T12:00:00Z")


def test_a_place_in_a_list_survives_its_url_and_nothing_else_does() -> None:
    at = paging.Place(NOW, ("con_1",))
    assert paging.read(at.written()) == at
    for odd in (
        "",
        "x",
        b64(b"[]"),
        b64(b"{}"),
        b64(b"7"),
        b64(b"[1]"),
        b64(b'["2026-05-03T12:00:00","x"]'),
        b64(b'["2026-05-03T12:00:00+00:00"]'),
        b64(b'["2026-05-03T12:00:00+00:00","x","y"]'),
        b64(b'["2026-05-03T12:00:00+00:00",7]'),
        b64(b'["2026-05-03T12:00:00+00:00","a\\u0000b"]'),
        b64(b"[" * 2000),
        "\xe9",
    ):
        with pytest.raises(InvalidRequest):
            paging.read(odd)


def test_a_page_ends_where_the_next_begins() -> None:
    rows = list(range(paging.PAGE + 1))
    cut = paging.page(rows, None, lambda row: paging.Place(NOW, (str(row),)))
    assert (len(cut.rows), cut.is_first) == (paging.PAGE, True)
    assert paging.read(cut.after) == paging.Place(NOW, (str(paging.PAGE - 1),))
    assert paging.page(rows[:3], paging.Place(NOW, ("x",)), lambda row: paging.Place(NOW, ())).after is None


def test_the_chart_has_a_bar_a_day_and_shows_the_least() -> None:
    first = date(2026, 4, 4)
    drawn = bars({first: 1000, first + timedelta(days=2): 1}, first)
    assert len(drawn) == DAYS
    assert [bar.height for bar in drawn[:4]] == [HEIGHT, 0.0, 2.0, 0.0]
    assert all(bar.y + bar.height == HEIGHT for bar in drawn)
    assert [line.share for line in lines([("a", 1000), ("b", 500), ("c", 1)])] == [100, 50, 1]


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(days=90), "90 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(days=2, seconds=1), "3 days"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(seconds=301), "6 minutes"),
        (timedelta(seconds=60), "1 minute"),
    ],
)
def test_how_long_something_lasts(time: timedelta, words: str) -> None:
    assert lasting(time) == words
