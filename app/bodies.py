"""Request bodies, read with a limit of size and of time (security.md §5 "body limits", "timeouts")."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Message, Receive

from app.protocol.errors import BodyTooLarge, BodyTooSlow, InvalidRequest

BODY_SECONDS = 10.0
LOOK_SECONDS = 1.0
LATE = "the body is late"


class Bodies:
    """One per process. One look a second at all that are awaited: a timer for each would cost as much as the whole guard."""

    def __init__(self) -> None:
        self._awaited: dict[asyncio.Task[Any], int] = {}
        self._looks = 0

    async def read(self, receive: Receive, declared: bytes, limit: int) -> bytes:
        """The whole body, counted while it arrives; `declared` is its Content-Length. Raises BodyTooLarge past `limit` bytes,
        BodyTooSlow past BODY_SECONDS, InvalidRequest when the caller goes away."""
        if declared.isdigit() and (len(declared) > 12 or int(declared) > limit):
            raise BodyTooLarge("the body is larger than {limit} bytes", limit=limit)
        task = asyncio.current_task()
        assert task is not None
        self._awaited[task] = self._looks
        try:
            message = await receive()
            if message.get("more_body", True) or len(message["body"]) > limit:
                return await _rest(receive, message, limit)
            body: bytes = message["body"]  # nearly always: all of it came with the headers
            return body
        except asyncio.CancelledError as fault:
            if fault.args != (LATE,) or task.uncancel() > 0:
                raise
            raise BodyTooSlow("the body took too long to arrive") from fault
        finally:
            del self._awaited[task]

    async def keep_looking(self) -> None:
        """Gives up those that take longer than BODY_SECONDS. Runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._looks += 1
            for task, since in list(self._awaited.items()):
                if since < self._looks - BODY_SECONDS / LOOK_SECONDS:
                    task.cancel(LATE)


async def _rest(receive: Receive, message: Message, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        chunks.append(_counted(message, size, limit))
        size += len(chunks[-1])
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()


def _counted(message: Message, size: int, limit: int) -> bytes:
    if message["type"] == "http.disconnect":
        raise InvalidRequest("the request ended early")
    chunk: bytes = message.get("body", b"")
    if size + len(chunk) > limit:
        raise BodyTooLarge("the body is larger than {limit} bytes", limit=limit)
    return chunk
