"""Standard output of the bridge, as a pipe whose reader is slow."""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress

import pytest

from app.bridge.stdio import STDOUT, Gone, Output

LONG = 8 * 1024 * 1024  # far more than a pipe holds


@pytest.fixture
def output() -> tuple[Output, int]:
    """What writes, and where it is read."""
    before = os.dup(STDOUT)
    reads, writes = os.pipe()
    os.dup2(writes, STDOUT)
    os.close(writes)
    out = Output()
    os.dup2(before, STDOUT)
    os.close(before)
    return out, reads


def lines(reads: int, count: int) -> list[bytes]:
    found = b""
    while found.count(b"\n") < count:
        found += os.read(reads, 64 * 1024)
    os.close(reads)
    return found.split(b"\n")[:count]


@pytest.mark.anyio
async def test_a_message_that_nobody_wants_any_more_is_not_mixed_with_the_next(output: tuple[Output, int]) -> None:
    out, reads = output
    first = asyncio.create_task(out.write(b"a" * LONG))
    await asyncio.to_thread(select.select, [reads], [], [])  # it has begun
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    second = asyncio.create_task(out.write(b"b" * LONG))
    found = await asyncio.to_thread(lines, reads, 2)
    await second
    assert [(line[:1], set(line), len(line)) for line in found] == [(b"a", {97}, LONG), (b"b", {98}, LONG)]


@pytest.mark.anyio
async def test_whoever_wrote_to_nobody_is_told(output: tuple[Output, int]) -> None:
    out, reads = output
    first = asyncio.create_task(out.write(b"a" * LONG))
    await asyncio.to_thread(select.select, [reads], [], [])
    first.cancel()
    os.close(reads)
    with pytest.raises(Gone):
        await out.write(b"b")
