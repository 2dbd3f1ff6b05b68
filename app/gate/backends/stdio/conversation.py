"""What is said with one server process: begun once, requests under ids of ours, everything that comes back to whom it is for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import structlog
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic_core import from_json, to_json

from app.gate.backends.stdio.call import Call, Json
from app.gate.backends.stdio.child import Child
from app.gate.backends.stdio.eras import ENVELOPE, HANDSHAKE, Learned, greeting, to_server
from app.gate.backends.stdio.faults import METHOD_NOT_FOUND, Fault, garbled, gone, later, slow, unreachable
from app.gate.backends.stdio.headed import MARK, Headed
from app.gate.backends.stdio.lines import ENDS, TooLong, answered_by
from app.gate.backends.stdio.said import printable

CALLS = 1000  # at once, of one process
LONGEST = 10  # times the time limit, for a request that goes on showing progress
SIGN_OF_LIFE = 2.0  # seconds in which a server that let a request time out has to say something
TOO_MUCH, TOO_LARGE = "an answer that is larger than may be passed on", "backend_answer_too_large"
CHANGED = {f"notifications/{name}/list_changed": name for name in ("tools", "prompts", "resources")}
log = structlog.get_logger("gatehouse.stdio")


class Conversation:
    """With a child that has been started. `changed` is told the method of a `list_changed`."""

    def __init__(self, resource: str, timeout: float, *, per_user: bool, changed: Callable[[str], None]) -> None:
        self._resource = resource
        self._timeout = timeout
        self._per_user = per_user
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._probe: asyncio.Task[None] | None = None
        self._lines_heard = 0
        self.headed = Headed()
        self.calls: dict[int, Call] = {}
        self.over: Fault | None = None  # once it is: why
        self.child: Child
        self.learned: Learned

    async def begin(self) -> None:
        """The handshake, or, with a server that has none, its description (MCP versioning). Raises Fault."""
        answer = await self._own("initialize", greeting())
        if isinstance(answer.get("result"), dict):
            self.learned = Learned.of(answer["result"], modern=False)
            if self.learned.version not in HANDSHAKE:
                raise unreachable("speaks a version of MCP that is not known here")
            await self.child.write(to_json({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            return
        answer = await self._own("server/discover", {"_meta": ENVELOPE})
        result = answer.get("result")
        if not isinstance(result, dict) or LATEST_MODERN_VERSION not in (result.get("supportedVersions") or []):
            raise unreachable("speaks no version of MCP that is known here")
        self.learned = Learned.of(result, modern=True)
        await self._listen()

    async def ask(self, message: Json, origin: object, *, modern: bool) -> Call:
        """Sends a caller's request on. Raises Fault, and TimeoutError when the server takes nothing in."""
        if len(self.calls) >= CALLS:
            raise later("has too many requests to answer", 1)
        number = next(self._numbers)
        sent, token = to_server(message, number, self.learned, modern=modern)
        call = self._expect(number, origin, token)
        try:
            async with asyncio.timeout(self._timeout):
                await self.child.write(to_json(sent))
        except BaseException as fault:
            self.calls.pop(number, None)
            if isinstance(fault, TimeoutError):
                self._look_for_life()
                raise slow("takes no requests in at the moment") from None
            raise
        return call

    def cancel(self, call: Call, reason: str) -> None:
        """Nobody waits for it any more (MCP utilities "Cancellation")."""
        if self.calls.pop(call.number, None) is not None:
            params = {"requestId": call.number, "reason": reason}
            self._say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    def time_out(self, call: Call) -> Fault:
        """The caller's answer, when there was none in time."""
        self.cancel(call, "the time limit of the caller's side has passed")
        self._look_for_life()
        return slow(f"did not answer within {self._timeout:g} seconds")

    def heard(self, line: bytes | TooLong) -> None:
        """A line of the server's output, whatever it is."""
        self._lines_heard += 1
        if isinstance(line, TooLong):
            self._unreadable(line.head, line.tail, 0, TOO_MUCH)
            return
        try:
            message = from_json(line, allow_inf_nan=False)
        except ValueError:
            self._unreadable(line[:ENDS], line[-ENDS:], len(line), "an answer that is not valid JSON")
            return
        for one in message if isinstance(message, list) else [message]:
            if not isinstance(one, dict) or not self._routed(one):
                self._unreadable(line[:ENDS], b"", len(line), "")
        if MARK in line:
            self.headed.learn(message)

    def ended(self, why: str) -> None:
        """Nothing more will come."""
        self.over = self.over or gone(f"{why} before it had answered")
        for call in list(self.calls.values()):
            call.answered(self.over)
        self.calls.clear()

    async def close(self) -> None:
        self.ended("was ended")
        if self._probe is not None:
            self._probe.cancel()
        await self.child.end()

    def _routed(self, message: Json) -> bool:
        if "method" not in message:
            return self._answer(message)
        self.child.talked(0)
        if "id" in message:
            self._refuse(message)
        else:
            self._notice(message["method"], message.get("params"))
        return True

    def _answer(self, message: Json) -> bool:
        number = message.get("id")
        if type(number) is not int:
            return False
        call = self.calls.pop(number, None)
        if call is None:
            self.child.talked(0)  # it was not waited for any longer
        elif _is_answer(message):
            call.answered(message)
        else:
            call.answered(garbled("an answer that is neither a result nor an error"))
        return True

    def _refuse(self, message: Json) -> None:
        """What it asks of its client, whom it takes for one: which caller is meant cannot be told, so none is asked."""
        answer: Json = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] == "ping":
            answer["result"] = {}
        else:
            answer["error"] = {"code": METHOD_NOT_FOUND, "message": "this client has no such method"}
        self._say(answer)

    def _notice(self, method: Any, params: Any) -> None:
        params = params if isinstance(params, dict) else {}
        if method == "notifications/progress":
            call = self._call_of(params.get("progressToken"))
            if call is not None and call.token is not None:
                told = {"jsonrpc": "2.0", "method": method, "params": {**params, "progressToken": call.token}}
                call.deadline = min(self._loop.time() + self._timeout, call.latest)
                call.tell(told)
        elif method in CHANGED:
            self._changed(method)
        elif method == "notifications/message" and self._per_user and len(self.calls) == 1:
            for call in self.calls.values():
                call.tell({"jsonrpc": "2.0", "method": method, "params": params})

    def _call_of(self, number: Any) -> Call | None:
        return self.calls.get(number) if type(number) is int else None

    def _unreadable(self, head: bytes, tail: bytes, size: int, what: str) -> None:
        """A line that is no message. If its ends tell whose answer it was to be, that caller need not wait."""
        self.child.talked(size)
        call = self._call_of(answered_by(head, tail)) if what else None
        if call is not None:
            del self.calls[call.number]
            call.answered(garbled(what, *([TOO_LARGE] if what is TOO_MUCH else [])))
        if head.strip() and self.child.complaints.takes(1, self._loop.time()):
            log.warning("not a message", resource=self._resource, pid=self.child.pid, size=size, line=printable(head))

    async def _own(self, method: str, params: Json) -> Json:
        """A request of ours. Raises Fault when it ends first."""
        number = next(self._numbers)
        call = self._expect(number, None, None)
        await self.child.write(to_json({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        while not await call.wait(60):
            pass
        assert call.answer is not None
        if isinstance(call.answer, Fault):
            raise call.answer
        return call.answer

    async def _listen(self) -> None:
        """A server without handshake tells of changes only whoever listens (MCP 2026-07-28, subscriptions/listen)."""
        offered = self.learned.capabilities
        wanted = {
            f"{name}ListChanged": True for name in CHANGED.values() if (offered.get(name) or {}).get("listChanged")
        }
        if wanted:
            request = {"jsonrpc": "2.0", "id": next(self._numbers), "method": "subscriptions/listen"}
            await self.child.write(to_json({**request, "params": {"_meta": ENVELOPE, "notifications": wanted}}))

    def _expect(self, number: int, origin: object, token: str | int | None) -> Call:
        if self.over is not None:
            raise self.over
        call = self.calls[number] = Call(number, origin, token)
        now = self._loop.time()
        call.deadline, call.latest = now + self._timeout, now + LONGEST * self._timeout
        return call

    def _say(self, message: Json) -> None:
        self.child.write_now(to_json(message))

    def _look_for_life(self) -> None:
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._probed())

    async def _probed(self) -> None:
        """Whoever let a request time out, and then says nothing at all, not to a ping either, hangs, and is ended: the next
        request finds another. Not while somebody may still get an answer."""
        self._say({"jsonrpc": "2.0", "id": next(self._numbers), "method": "ping"})
        asked_at, said = self._loop.time(), self._lines_heard
        while self._lines_heard == said and self.over is None:
            await asyncio.sleep(SIGN_OF_LIFE)
            if self._lines_heard == said and (not self.calls or self._loop.time() - asked_at >= self._timeout):
                log.warning("hangs", resource=self._resource, pid=self.child.pid)
                self.child.give_up("hung, and was ended,")


def _is_answer(message: Json) -> bool:
    """JSON-RPC 2.0 §5: a result or an error, not both."""
    error = message.get("error")
    if error is None:
        return isinstance(message.get("result"), dict)
    has_words = isinstance(error, dict) and type(error.get("code")) is int and isinstance(error.get("message"), str)
    return has_words and "result" not in message
