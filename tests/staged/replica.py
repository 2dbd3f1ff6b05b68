"""A server in a process of its own, which dies where a test says: hooks that only this entry point puts in, and the product has none.

A request with the header `Stage` plays a part: `record` is told in the answer (`Statements`) what was sent to Postgres; a number
lets the process die (os._exit) when that many statements have been answered; `answer` before a byte of the answer is sent, `half`
after its head. `/-stage/catch-up` lets the replica hear what LISTEN brings within a moment; `/-stage/waiting` tells how many requests
have been read to their end and not been answered.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import uvicorn
from pydantic import SecretStr
from starlette.types import Message, Receive, Scope, Send

from app.cli.running import OPTIONS, Server, claimed
from app.clock import Clock
from app.main import Gatehouse, create_app
from app.operate import logs, sweep
from app.settings.read import Settings
from tests.commands import forks
from tests.staged.steps import BEFORE_ANSWER, HALF_ANSWERED, KILLED, Part, hook_the_driver, playing


class Stage:
    """In front of the app."""

    def __init__(self, app: Gatehouse) -> None:
        self._app = app
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/-stage/catch-up":
            assert self._app.world is not None
            await self._app.world.live.catch_up()
            await said(send, "")
        elif scope["type"] == "http" and scope["path"] == "/-stage/waiting":
            await said(send, str(self._waiting))
        else:
            await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def listening() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                read += 1
                self._waiting += 1
            return message

        try:
            await self._played(scope, listening, send)
        finally:
            self._waiting -= read

    async def _played(self, scope: Scope, receive: Receive, send: Send) -> None:
        ends = dict(scope.get("headers", ())).get(b"stage")
        if ends is None:
            playing.set(None)
            await self._app(scope, receive, send)
            return
        part = Part(ends.decode())
        playing.set(part)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                part.at(BEFORE_ANSWER)
                told = json.dumps([statement[:60] for statement in part.statements]).encode()
                message["headers"] = [*message["headers"], (b"statements", told)]
                await send(message)
                part.at(HALF_ANSWERED)
            else:
                await send(message)

        await self._app(scope, receive, watched)


async def said(send: Send, words: str) -> None:
    await send({"type": "http.response.start", "status": 200 if words else 204, "headers": []})
    await send({"type": "http.response.body", "body": words.encode()})


def serve(dsn: str, options: dict[str, Any], clock: Any, frozen: bool, log: str | None, ready: Any) -> None:
    """The process. `clock` is shared: seconds since 1970 when it is frozen, else seconds that this computer's is ahead."""
    if log is not None:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    listener = claimed("127.0.0.1", 0)
    own = f"localhost:{listener.getsockname()[1]}"
    given = {"public_url": f"http://{own}", "register_per_minute": 0, "log_level": "error", **options}
    settings = Settings(database_url=SecretStr(dsn), allowed_hosts=(own,), **given)

    logs.configure(settings.log_level, pretty=False)  # as the command does

    def stands() -> datetime:
        return datetime.fromtimestamp(clock.value, UTC)

    def runs() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=clock.value)

    if frozen:  # a clock that is turned by hours would let it sweep away what the test still looks at
        sweep.EVERY_SECONDS = 86400.0
    app = create_app(settings, stands if frozen else Clock(runs))
    hook_the_driver()
    config = uvicorn.Config(Stage(app), timeout_graceful_shutdown=2, loop="uvloop", **OPTIONS)
    Server(config, lambda: ready.send(f"http://{own}")).run([listener])


class Replica:
    """The process as its test sees it."""

    def __init__(
        self, dsn: str, *, ahead: float = 0.0, frozen_at: float | None = None, log: str | None = None, **options: Any
    ) -> None:
        from tests.conftest import SECRET_KEY

        options = {"secret_key": (SecretStr(SECRET_KEY),), **options}
        self.clock = forks.Value("d", ahead if frozen_at is None else frozen_at)
        ours, theirs = forks.Pipe(duplex=False)
        arguments = (dsn, options, self.clock, frozen_at is not None, log, theirs)
        self._process = forks.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        assert ours.poll(30), "the replica did not start"
        self.url: str = ours.recv()
        self._http = httpx2.Client(timeout=30, trust_env=False, verify=False)
        ours.close()

    def ask(self, method: str, path: str, stage: str | None = None, **options: Any) -> httpx2.Response | None:
        """None when the server died before it answered."""
        headers = options.pop("headers", {}) | ({} if stage is None else {"Stage": stage})
        try:
            return self._http.request(method, self.url + path, headers=headers, **options)
        except httpx2.TransportError:
            return None

    def catch_up(self) -> None:
        answer = self.ask("GET", "/-stage/catch-up")
        assert answer is not None
        assert answer.status_code == 204

    @property
    def died(self) -> bool:
        """Of the step it was told to die at."""
        self._process.join(30)
        self._http.close()
        return self._process.exitcode == KILLED

    def kill(self) -> None:
        """As the kernel does when memory is short: it is over when this returns."""
        self._http.close()
        self._process.kill()
        self._process.join(10)
        assert self._process.exitcode == -KILLED

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def stop(self) -> None:
        self._http.close()
        self._process.terminate()
        self._process.join(10)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


@contextmanager
def replicas(dsn: str, count: int, **options: Any) -> Iterator[list[Replica]]:
    """So many, of one address: that of the first house, which all name as their issuer."""
    started = [Replica(dsn, **{"public_url": "http://localhost:8000", **options}) for _ in range(count)]
    try:
        yield started
    finally:
        for replica in started:
            replica.stop()
