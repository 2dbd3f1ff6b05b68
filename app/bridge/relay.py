"""Between standard input and the remote server: requests side by side, notices in their order, cancelling (MCP "Cancellation")."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.bridge.conversation import Conversation
from app.bridge.faults import Fault
from app.bridge.messages import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    Message,
    error,
    key_of,
    read,
)
from app.bridge.sign_in import Say
from app.bridge.stdio import Gone, Output, lines

GRACE_SECONDS = 1.5  # for what is under way when standard input ends; hosts kill after two
LISTENS = "subscriptions/listen"  # has no end of its own
LEFT = "standard input ended while the server's answer was still awaited"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request under way."""

    message: Message
    task: asyncio.Task[None]


class Relay:
    """Until standard input ends or nobody reads standard output."""

    def __init__(self, conversation: Conversation, out: Output, say: Say) -> None:
        self._conversation, self._out, self._say = conversation, out, say
        self._asked: dict[str, Asked] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_notice: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        gone = asyncio.create_task(self._gone.wait())
        late: list[Asked] = []
        try:
            await asyncio.wait({reading, gone}, return_when=asyncio.FIRST_COMPLETED)
            waited_for = {asked.task for asked in self._asked.values() if asked.message.method != LISTENS}
            waited_for |= {self._last_notice} if self._last_notice is not None else set()
            if waited_for and not self._gone.is_set():
                await asyncio.wait(waited_for, timeout=GRACE_SECONDS)
            if not self._out.is_writing:  # else somebody's answer has begun, and whoever reads is slow
                late = [asked for asked in self._asked.values() if asked.message.method != LISTENS]
        finally:
            for task in (reading, gone, *self._tasks):
                task.cancel()
            await asyncio.gather(reading, gone, *self._tasks, return_exceptions=True)
            await self._conversation.end()
            with suppress(Gone):
                for asked in late:
                    self._say(LEFT)
                    await self._out.write(error(asked.message.value.get("id"), CONNECTION_CLOSED, LEFT))

    async def _read(self) -> None:
        with suppress(Gone):
            async for line in lines():
                if not line.strip():
                    continue
                try:
                    messages = read(line)
                except ValueError:
                    await self._out.write(error(None, PARSE_ERROR, "this line is not a JSON-RPC message"))
                    continue
                for message in messages:
                    await self._take(message)

    async def _take(self, message: Message) -> None:
        if message.is_request:
            if message.key in self._asked:
                sentence = "a request with this id is still under way"
                await self._out.write(error(message.value.get("id"), INVALID_REQUEST, sentence))
                return
            task = self._start(self._request(message, self._last_notice))
            self._asked[message.key] = Asked(message, task)
            task.add_done_callback(lambda _: self._asked.pop(message.key))
        elif message.method == "notifications/cancelled":
            self._cancel(message)
        elif message.method or "id" in message.value:
            self._last_notice = self._start(self._notice(message, self._last_notice))
        else:
            await self._out.write(error(None, INVALID_REQUEST, "this is neither a request, a notice nor an answer"))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # what was cancelled before it began would be missed
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Gone:
            self._gone.set()

    async def _request(self, message: Message, before: asyncio.Task[None] | None) -> None:
        """What was said before it arrives before it; its own answer, or a sentence in its place."""
        try:
            await _done(before)
            await self._conversation.request(message)
        except Fault as fault:
            self._say(str(fault))
            await self._out.write(error(message.value.get("id"), CONNECTION_CLOSED, str(fault)))
        except (Gone, asyncio.CancelledError):
            raise
        except Exception as fault:  # a mistake of ours: whoever asked must not wait for ever
            sentence = f"something went wrong in gatehouse ({type(fault).__name__})"
            self._say(sentence)
            await self._out.write(error(message.value.get("id"), INTERNAL_ERROR, sentence))

    async def _notice(self, message: Message, before: asyncio.Task[None] | None) -> None:
        try:
            await _done(before)
            await self._conversation.notice(message)
        except Fault as fault:
            self._say(str(fault))

    def _cancel(self, message: Message) -> None:
        """The newer era is told by the end of the connection; the older one with this message (MCP "Cancellation")."""
        asked = self._asked.get(key_of(message.params.get("requestId")))
        if asked is None or asked.message.method == "initialize":
            return  # it was answered already; and a handshake is never cancelled
        asked.task.cancel()
        if asked.message.sent and not asked.message.is_modern:
            self._start(self._notice(message, None))


async def _done(before: asyncio.Task[None] | None) -> None:
    if before is not None and not before.done():
        await asyncio.wait({before})
