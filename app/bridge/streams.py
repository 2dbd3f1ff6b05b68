"""The messages in a response: one JSON text, or a stream of events that can break and be taken up again (MCP "Streamable HTTP", SSE)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2

from app.bridge.faults import Fault, Unreachable
from app.bridge.messages import Message, read
from app.bridge.wire import keep_alive

LARGEST = 64 * 1024 * 1024
JSON, STREAM = "application/json", "text/event-stream"
RETRY_SECONDS, LONGEST_RETRY = 1.0, 60.0
UNREADABLE = "the server answered something that is not JSON-RPC"
BROKEN = "the connection broke before the answer came, so it is not known whether the request was carried out"


class Broken(Unreachable):
    """In the middle of an answer."""

    def __init__(self) -> None:
        super().__init__(BROKEN, sent=True)


@dataclass(slots=True)
class Place:
    """How far a stream came: its last event, and how long to wait before asking for the rest."""

    event: str = ""
    retry: float = RETRY_SECONDS


def kind(response: httpx2.Response) -> str:
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower()


async def whole(response: httpx2.Response, seconds: float) -> list[Message]:
    """The messages of a JSON body. Raises Broken, or Fault for what is none."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST:
                    raise Fault(f"the server's answer is larger than {LARGEST // 1024 // 1024} MB")
    except TimeoutError:
        raise Fault(f"the server's answer did not end within {seconds:g} s") from None
    except httpx2.HTTPError:
        raise Broken from None
    try:
        return read(bytes(body))
    except ValueError:
        raise Fault(UNREADABLE) from None


async def events(response: httpx2.Response, place: Place) -> AsyncIterator[Message]:
    """The messages of a stream as they come, until it ends. Moves `place`. Raises Broken, or Fault for what is none."""
    keep_alive(response)
    source = httpx2.EventSource(response, max_event_size=LARGEST)
    try:
        async for event in source:
            if event.retry is not None:
                place.retry = min(event.retry / 1000, LONGEST_RETRY)
            if event.event in ("", "message") and event.data:
                for message in read(event.data):
                    yield message
            if event.id and event.id.isascii() and event.id.isprintable():
                place.event = event.id  # only now: what was not passed on is asked for again
    except httpx2.HTTPError:
        raise Broken from None
    except ValueError:
        raise Fault(UNREADABLE) from None
