"""The ASGI app in front of a stdio server: streamable HTTP, stateless, in both eras (MCP transports)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from pydantic_core import from_json
from starlette.types import Receive, Scope, Send

from app.gate.backends.calls import body_of
from app.gate.backends.stdio import eras, streams
from app.gate.backends.stdio.asked import Asked, asked, check
from app.gate.backends.stdio.call import Call, Json
from app.gate.backends.stdio.conversation import Conversation
from app.gate.backends.stdio.faults import BACKEND_FAULT, METHOD_NOT_FOUND, Fault
from app.gate.backends.stdio.processes import Place, Processes
from app.gate.backends.stdio.reply import Reply
from app.protocol.types import Principal
from app.world import World

QUICK = 0.05  # seconds; who is answered by then, as most are, is not watched for leaving
SILENCE = 15.0  # seconds; then a sign that the answer is still awaited


class Endpoint:
    """Of one resource. The guard has let the caller in, and parsed what it sends."""

    methods = ("GET", "POST")

    def __init__(self, processes: Processes, world: World, *, per_user: bool) -> None:
        self._processes = processes
        self._world = world
        self._per_user = per_user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await self._listen_as_before(scope, receive, send)
        elif scope["method"] != "POST":
            await Reply(send, takes_events=False, takes_json=True).bare(405, {b"allow": b"POST"})
        else:
            message = scope["state"].get("message")
            if message is None:
                message = from_json(await body_of(receive))  # the guard has parsed it before
            request = asked(scope, message)
            reply = Reply(send, takes_events=request.takes_events, takes_json=request.takes_json)
            try:
                await self._answer(scope, request, receive, reply)
            except Fault as fault:
                await _refused(fault, message, reply)

    def drain(self) -> None:
        """Whoever listens is let go, so that the server need not wait for them when it stops."""
        self._processes.dismiss()

    async def _answer(self, scope: Scope, request: Asked, receive: Receive, reply: Reply) -> None:
        if request.is_response:
            await reply.bare(202)
            return
        check(scope, request)
        if "id" not in request.message:
            self._notified(request)
            await reply.bare(202)
        elif not (request.takes_json or request.takes_events):
            await reply.bare(406)
        elif request.method == "subscriptions/listen" and request.modern:
            conversation = await self._conversation(request.principal)
            listening = streams.Listening(self._world, request.principal, self._place(request.principal).listeners)
            await streams.listen(listening, request, conversation.learned, receive, reply)
        elif (result := await self._ours(request)) is not None:
            label = {b"mcp-session-id": secrets.token_urlsafe(12).encode()} if request.method == "initialize" else None
            await reply.last({"jsonrpc": "2.0", "id": request.message["id"], "result": result}, 200, label)
        else:
            self._check_offered(request)
            conversation = await self._conversation(request.principal)
            if request.modern:
                conversation.headed.check(scope, request.message)
            await self._passed_on(request, conversation, receive, reply)

    async def _ours(self, request: Asked) -> Json | None:
        """The result of what is answered without the server, which knows only of one client: us."""
        if request.modern:
            if request.method != "server/discover":
                return None
            conversation = await self._conversation(request.principal)
            return eras.discovered(conversation.learned, per_user=self._per_user)
        if request.method == "ping":
            return {}
        if request.method != "initialize":
            return None
        conversation = await self._conversation(request.principal)
        return eras.initialized(conversation.learned, request.message.get("params"), per_user=self._per_user)

    def _check_offered(self, request: Asked) -> None:
        shared = request.method == "logging/setLevel" and not self._per_user
        handshake = request.method in ("initialize", "ping", "logging/setLevel") and request.modern
        if shared or handshake or request.method.startswith(eras.REFUSED) or request.method == "server/discover":
            raise Fault(METHOD_NOT_FOUND, f"Method not found: {request.method}", 404 if request.modern else 200)

    async def _passed_on(self, request: Asked, conversation: Conversation, receive: Receive, reply: Reply) -> None:
        origin = request.origin(request.message["id"])
        call = await conversation.ask(request.message, origin, modern=request.modern)
        try:
            await call.wait(min(QUICK, call.deadline - asyncio.get_running_loop().time()))
            if call.answer is None:
                async with _watched(call, receive):
                    await self._told(call, conversation, reply)
            while call.news:
                await reply.event(call.news.popleft())
        finally:
            conversation.cancel(call, "the caller has gone")  # nothing, if it was answered
        if call.left:
            await reply.close()
            return
        assert call.answer is not None
        if isinstance(call.answer, Fault):
            raise call.answer
        await self._last(request, conversation, call.answer, reply)

    async def _told(self, call: Call, conversation: Conversation, reply: Reply) -> None:
        """Passes on what comes until the answer does, or its time is over."""
        loop = asyncio.get_running_loop()
        while call.answer is None and not call.left:
            while call.news:
                await reply.event(call.news.popleft())
            left = call.deadline - loop.time()
            if left <= 0:
                call.answered(conversation.time_out(call))
            elif not await call.wait(min(left, SILENCE)) and left > SILENCE:
                await reply.keep_alive()

    async def _last(self, request: Asked, conversation: Conversation, answer: Json, reply: Reply) -> None:
        last: Json = {"jsonrpc": "2.0", "id": request.message["id"]}
        status = 200
        if "error" in answer and answer["error"] is not None:
            last["error"] = eras.error_to_client(answer["error"]) if request.modern else answer["error"]
            if request.modern:
                status = ERROR_CODE_HTTP_STATUS.get(last["error"]["code"], 200)
        elif request.modern:
            last["result"] = eras.to_client(request.method, answer["result"], conversation.learned)
        else:
            last["result"] = answer["result"]
        await reply.last(last, status)

    def _notified(self, request: Asked) -> None:
        """Of what clients say without asking, only this is for the server (2026-07-28 has nothing of the kind over HTTP)."""
        params = request.message.get("params") or {}
        if request.method != "notifications/cancelled" or request.modern or "requestId" not in params:
            return
        origin = request.origin(params["requestId"])
        conversation = self._place(request.principal).conversation
        found = [call for call in conversation.calls.values() if call.origin == origin] if conversation else []
        if conversation is not None and len(found) == 1:
            reason = params.get("reason")
            conversation.cancel(found[0], reason if isinstance(reason, str) else "cancelled by the client")
            found[0].answered(Fault(BACKEND_FAULT, "the request was cancelled"))

    async def _listen_as_before(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = asked(scope, {})
        reply = Reply(send, takes_events=True, takes_json=False)
        conversation = self._place(request.principal).conversation
        if request.modern or not request.takes_events or conversation is None:
            await reply.bare(405, {b"allow": b"POST"})
            return
        listening = streams.Listening(self._world, request.principal, self._place(request.principal).listeners)
        try:
            await streams.listen_as_before(listening, conversation.learned, receive, reply)
        except Fault as fault:
            await _refused(fault, {}, reply)

    async def _conversation(self, principal: Principal) -> Conversation:
        return await self._processes.conversation(self._name(principal))

    def _place(self, principal: Principal) -> Place:
        return self._processes.place(self._name(principal))

    def _name(self, principal: Principal) -> str:
        return principal.subject if self._per_user else ""


@asynccontextmanager
async def _watched(call: Call, receive: Receive) -> AsyncIterator[None]:
    """So that who leaves cancels."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        call.leave()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


async def _refused(fault: Fault, message: Json, reply: Reply) -> None:
    headers = {} if fault.retry_after is None else {b"retry-after": b"%d" % fault.retry_after}
    identifier = message.get("id")
    answer = {"jsonrpc": "2.0", "id": identifier if type(identifier) in (int, str) else None, "error": fault.error()}
    await reply.last(answer, fault.status, headers)
