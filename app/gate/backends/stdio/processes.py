"""The processes of one resource: started on demand, again after a crash but not in a hurry, ended when idle, bounded in number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from app.gate.backends.stdio.child import Child
from app.gate.backends.stdio.conversation import Conversation
from app.gate.backends.stdio.faults import SUBJECT, Fault, later, slow, unreachable
from app.gate.backends.stdio.listeners import Listener
from app.gate.backends.stdio.minded import Minded
from app.resources.model import CommandBackend

STARTING = 60.0  # seconds to begin in; some download themselves first
STEADY = 60.0  # seconds of life after which a crash is the first again
PATIENCE = 5.0  # seconds that a caller waits for a server that crashed
AFTER_CRASH = (0.0, 0.5, 1.0, 2.0, PATIENCE)  # seconds until the next is started
AFTER_FALSE_START = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
log = structlog.get_logger("gatehouse.stdio")


@dataclass(slots=True)
class Place:
    """Of one process: everybody's, or one user's. Times in seconds since 1970."""

    conversation: Conversation | None = None
    starting: asyncio.Task[None] | None = None
    listeners: set[Listener] = field(default_factory=set)
    failures: int = 0
    not_before: float = 0.0
    delay: float = 0.0  # that ends then
    refusal: str | None = None  # why it could not be started last time
    ending: asyncio.Task[None] | None = None  # of the one before
    started_at: float = 0.0
    used_at: float = 0.0

    @property
    def is_idle(self) -> bool:
        return self.starting is None and (self.conversation is None or not self.conversation.calls)

    @property
    def is_taken(self) -> bool:
        return self.starting is not None or self.conversation is not None


class Processes:
    """Of one resource, in this worker; by user, or all under one empty name."""

    def __init__(
        self, resource: str, backend: CommandBackend, env: Callable[[str], dict[str, str]], now: Callable[[], datetime]
    ) -> None:
        self._resource = resource
        self._backend = backend
        self._env = env
        self._now = now
        self._minded = Minded()
        self._ending: set[asyncio.Task[None]] = set()
        self.places: dict[str, Place] = {}

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Idle ones are ended while this lasts, and all of them after it."""
        keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeper.cancel()
            starting = [place.starting for place in self.places.values() if place.starting is not None]
            for task in starting:
                task.cancel()
            await asyncio.gather(keeper, *starting, return_exceptions=True)
            self.dismiss()
            for place in self.places.values():
                self._end(place)
            await asyncio.gather(*self._ending, return_exceptions=True)
            await self._minded.close()

    def dismiss(self) -> None:
        """Everybody who listens."""
        for place in self.places.values():
            for listener in place.listeners:
                listener.leave()

    def place(self, name: str) -> Place:
        return self.places.setdefault(name, Place())

    async def conversation(self, name: str) -> Conversation:
        """One that goes on, begun if need be. Raises Fault."""
        place = self.place(name)
        place.used_at = self._seconds()
        if place.conversation is not None:
            return place.conversation
        try:
            async with asyncio.timeout(self._backend.timeout):
                while place.conversation is None:
                    await asyncio.shield(place.starting or self._starting(name, place))
        except TimeoutError:
            raise slow("is still starting") from None
        return place.conversation

    def _starting(self, name: str, place: Place) -> asyncio.Task[None]:
        wait = min(place.delay, place.not_before - self._seconds())  # clocks are set back, too
        if wait > 0 and place.refusal is not None:
            raise later(f"could not be started a moment ago: it {place.refusal}", wait)
        self._make_room()
        place.starting = task = asyncio.create_task(self._start(name, place, max(0.0, wait)))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait for it
        return task

    def _make_room(self) -> None:
        """The longest idle ends, when there are as many as may be."""
        taken = [place for place in self.places.values() if place.is_taken]
        if len(taken) < self._backend.most:
            return
        idle = [place for place in taken if place.is_idle]
        if not idle:
            raise later("is in use by as many people as it can serve at once", 5)
        self._end(min(idle, key=lambda place: place.used_at))

    async def _start(self, name: str, place: Place, wait: float) -> None:
        try:
            if wait:
                await asyncio.sleep(wait)
            if place.ending is not None:
                await asyncio.shield(place.ending)
            while len(self._ending) + sum(other.is_taken for other in self.places.values()) > self._backend.most:
                await asyncio.wait(self._ending, return_when=asyncio.FIRST_COMPLETED)
            place.conversation = await self._begun(name, place)
            place.started_at = place.used_at = self._seconds()
            place.refusal = None
        except Fault as fault:
            self._failed(place, AFTER_FALSE_START)
            place.refusal = str(fault).removeprefix(SUBJECT + " ")
            log.warning("did not start", resource=self._resource, why=str(fault), failures=place.failures)
            raise
        finally:
            place.starting = None

    async def _begun(self, name: str, place: Place) -> Conversation:
        def changed(method: str) -> None:
            for listener in list(place.listeners):
                listener.tell(method)

        def ended(why: str) -> None:
            conversation.ended(why)
            if place.conversation is conversation:
                self._crashed(place, conversation)

        backend = self._backend
        conversation = Conversation(self._resource, backend.timeout, per_user=backend.per_user, changed=changed)
        conversation.child = Child(self._resource, conversation.heard, ended, self._minded)
        try:
            await conversation.child.start(backend.command, self._env(name), backend.cwd)
        except (OSError, ValueError) as fault:
            raise unreachable(f"cannot be started: {type(fault).__name__}") from None
        try:
            async with asyncio.timeout(STARTING):
                await conversation.begin()
        except BaseException as fault:
            self._let_end(conversation)
            if isinstance(fault, TimeoutError):
                raise unreachable(f"was not ready within {STARTING:g} seconds") from None
            raise
        return conversation

    def _crashed(self, place: Place, conversation: Conversation) -> None:
        place.conversation = None
        if self._seconds() - place.started_at >= STEADY:
            place.failures = 0
        self._failed(place, AFTER_CRASH)
        place.ending = self._let_end(conversation)  # whom it left behind, and what it left open

    def _failed(self, place: Place, delays: tuple[float, ...]) -> None:
        place.failures, place.used_at = place.failures + 1, self._seconds()
        place.delay = delays[min(place.failures, len(delays)) - 1]
        place.not_before = self._seconds() + place.delay

    def _end(self, place: Place) -> None:
        conversation, place.conversation = place.conversation, None
        if conversation is not None:
            place.ending = self._let_end(conversation)

    def _let_end(self, conversation: Conversation) -> asyncio.Task[None]:
        task = asyncio.create_task(conversation.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(1)
            now = self._seconds()
            for name, place in list(self.places.items()):
                if place.conversation is not None and place.conversation.calls:
                    place.used_at = now
                elif place.is_idle and place.used_at + self._backend.idle <= now:
                    self._end(place)
                    if not place.listeners and place.not_before <= now:
                        del self.places[name]

    def _seconds(self) -> float:
        return self._now().timestamp()
