"""The last word of a stream when the server stops: only between two events (HTML "Server-sent events" §9.2.6)."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from app.gate.open_streams import OpenStream

HEAD: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


async def let_go(chunks: list[bytes]) -> bytes:
    """All that went out of a stream which the server lets go, and its backend ends."""
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    stream = OpenStream(send, {"method": "GET", "state": {}}, set(), set())
    await stream(HEAD)
    for chunk in chunks:
        await stream({"type": "http.response.body", "body": chunk, "more_body": True})
    stream.let_go()
    await stream({"type": "http.response.body", "body": b"", "more_body": False})
    return b"".join(sent)


@pytest.mark.parametrize(
    ("chunks", "hinted"),
    [
        ([], True),
        ([b"data: 1\n\n"], True),
        ([b":\n"], True),  # what a silent stream is given every 20 s: nearly all of those that are open for long
        ([b"data: 1\n\n", b":\n", b":\n"], True),
        ([b"data: 1\n"], False),
        ([b"data: 1\n", b":\n"], False),
        ([b"data: 1", b":\n"], False),  # "1:"
        ([b"data: 1\n\n", b":\ndata: 2\n"], False),
    ],
)
def test_a_stream_that_is_let_go_says_when_to_come_again(chunks: list[bytes], hinted: bool) -> None:
    text = asyncio.run(let_go(chunks))
    assert (b"retry: " in text) is hinted
