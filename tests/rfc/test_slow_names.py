"""Client ID Metadata Documents §6.6: names that are looked up slowly hold up whoever asked for them, and few others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import asking
from app.outside import fetch
from app.outside.fetch import Busy, Outside, Unfetchable
from tests.websites import Website

pytestmark = pytest.mark.anyio
PART = asking.trace_of([], "feedfeedfeedfeed")


class SlowNames:
    """A name server that does not answer for the names that begin with `slow`, until it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.answer = threading.Event()

    def look_up(self, host: str, port: int) -> list[str]:
        if host.startswith("slow"):
            self.begun.release()
            self.answer.wait(30)
        return ["127.0.0.1"]


@pytest.fixture
def names() -> Iterator[SlowNames]:
    slow = SlowNames()
    yield slow
    slow.answer.set()


@pytest.fixture
def outside(names: SlowNames, authority: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    monkeypatch.setattr(fetch, "SECONDS", 1.0)
    made = Outside(loopback=True, ca_file=authority, resolve=names.look_up)
    yield made
    made.close()


async def fetched(outside: Outside, caller: str, url: str, *, private: bool = False) -> object:
    """What a request from there gets: a document, or why there is none."""
    asking.begins("feedfeedfeedfeed", PART, lambda: caller)
    try:
        return (await outside.json(url, limit=100, private=private)).value
    except Unfetchable as fault:
        return fault


async def all_slow(outside: Outside, names: SlowNames, asked: list[tuple[str, str]], begun: int) -> list[object]:
    """All of these at once, until nobody waits for them any more, though `begun` are still being looked up."""
    found = await asyncio.gather(*[asyncio.create_task(fetched(outside, caller, url)) for caller, url in asked])
    assert [names.begun.acquire(timeout=5) for _ in range(begun)] == [True] * begun
    assert not names.begun.acquire(blocking=False)
    return found


async def test_one_callers_slow_names_hold_up_only_that_caller(
    outside: Outside, names: SlowNames, website: Website
) -> None:
    url = website.publish("/client.json", {})
    asked = [("192.0.2.1", f"https://slow.evil{number}.example/x") for number in range(16)]
    found = await all_slow(outside, names, asked, begun=4)
    assert [str(fault) for fault in found[:4]] == ["it took longer than 1 seconds"] * 4
    assert all(isinstance(fault, Busy) for fault in found[4:])
    assert isinstance(await fetched(outside, "192.0.2.1", url), Busy), "its look-ups go on"
    assert await fetched(outside, "192.0.2.2", url) == {}
    names.answer.set()
    async with asyncio.timeout(5):
        while await fetched(outside, "192.0.2.1", url) != {}:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_slow_names_of_one_domain_hold_up_only_that_domain(
    outside: Outside, names: SlowNames, website: Website
) -> None:
    asked = [(f"192.0.2.{number}", f"https://slow{number}.evil.example/x") for number in range(16)]
    await all_slow(outside, names, asked, begun=4)
    assert await fetched(outside, "192.0.2.1", website.publish("/client.json", {})) == {}


async def test_what_the_operator_named_waits_for_no_stranger(
    outside: Outside, names: SlowNames, website: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = website.publish("/jwks.json", {})
    asked = [(f"192.0.2.{number % 4}", f"https://slow.evil{number}.example/x") for number in range(16)]
    await all_slow(outside, names, asked, begun=16)
    monkeypatch.setattr(fetch, "SECONDS", 5.0)
    assert isinstance(await fetched(outside, "192.0.2.9", url), Busy), "sixteen at once, and no more"
    assert await fetched(outside, "192.0.2.9", url, private=True) == {}
