"""HTTP to a server that may be hostile: every answer bounded in time and size, no redirects, no cookies, only vetted addresses."""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from types import TracebackType

import httpx2

from app.checkup.answer import Answer
from app.checkup.knock import MOST_ADDRESSES, addresses, is_public
from app.protocol.resource import PORTS

ANSWER_SECONDS = 8.0
CONNECT_SECONDS = 4.0
WHOLE_SECONDS = 60.0
BODY_BYTES = 256 * 1024
AT_ONCE = 4
AGENT = "gatehouse-doctor"
LOST = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)


class NotPublic(Exception):
    """Every address of the host is one of a private network."""


class Asker:
    """Sends requests until WHOLE_SECONDS are over. Addresses that are not public are asked only if `private` allows it:
    the documents of a server elsewhere must not lead us to what is behind our own firewall."""

    def __init__(self, context: ssl.SSLContext, now: Callable[[], datetime], *, private: bool) -> None:
        self._context = context
        self._now = now
        self._private = private
        self._ends = time.monotonic() + WHOLE_SECONDS
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._known: dict[tuple[str, int], list[str]] = {}
        self._transports: dict[tuple[str, str, int], httpx2.AsyncHTTPTransport] = {}

    async def __aenter__(self) -> Asker:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for transport in self._transports.values():
            await transport.aclose()

    def knows(self, host: str, port: int, found: list[str]) -> None:
        """The addresses of the host that was typed, which may be asked wherever they are."""
        self._known[host, port] = found

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *, once: bool = False
    ) -> Answer:
        """The answer, or an Answer with a fault; never an exception. A lost connection is tried again unless `once`."""
        async with self._turns:
            answer = await self._ask(method, url, headers or {}, body)
            if answer.fault == LOST_WORDS and not once:
                answer = await self._ask(method, url, headers or {}, body)
            return answer

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        started = time.monotonic()
        if started >= self._ends:
            return Answer(method, url, fault=f"was not asked: the whole check took longer than {WHOLE_SECONDS:.0f} s")
        deadline = asyncio.get_running_loop().time() + min(ANSWER_SECONDS, self._ends - started)
        try:
            return await self._exchange(method, url, headers, body, deadline)
        except TimeoutError:
            fault = f"did not answer within {ANSWER_SECONDS:.0f} s"
        except httpx2.TimeoutException:
            fault = "could not be connected to in time"
        except LOST:
            fault = LOST_WORDS
        except NotPublic:
            fault = "leads to a private address, where a public server must not send anybody"
        except httpx2.ConnectError as error:
            fault = "has no valid TLS" if isinstance(_root(error), ssl.SSLError) else "could not be connected to"
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError, ValueError) as error:
            fault = f"could not be asked ({type(error).__name__})"
        return Answer(method, url, fault=fault, milliseconds=(time.monotonic() - started) * 1000)

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Answer:
        started = time.monotonic()
        async with asyncio.timeout_at(deadline):
            response = await self._connected(method, httpx2.URL(url), headers, body)
        milliseconds, at = (time.monotonic() - started) * 1000, self._now()
        fields = tuple((name.lower(), value) for name, value in response.headers.multi_items())
        try:
            raw, cut = b"", ""
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raw, cut = await _body(response.stream, deadline)  # type: ignore[arg-type]
        finally:
            async with asyncio.timeout(1):
                await response.aclose()
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raw, cut = _inflated(raw, coding, cut)
        return Answer(method, url, response.status_code, fields, raw, cut, "", milliseconds, at)

    async def _connected(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], body: bytes
    ) -> httpx2.Response:
        if url.scheme not in PORTS or not url.host or not 0 < (url.port or 1) < 65536:
            raise httpx2.UnsupportedProtocol("not a web address")
        host = url.raw_host.decode("ascii")
        fault: Exception = httpx2.ConnectError("no address")
        for address in (await self._addresses(host, url.port or PORTS[url.scheme]))[:3]:
            request = httpx2.Request(
                method,
                url.copy_with(host=address),
                headers={"User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **headers}
                | {"Host": url.netloc.decode("ascii")},
                content=body or None,
                extensions={"sni_hostname": host, "timeout": {"connect": CONNECT_SECONDS}},
            )
            try:
                return await self._transport(url.scheme, host, request.url.port or 0).handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                fault = error
        raise fault

    async def _addresses(self, host: str, port: int) -> list[str]:
        if (host, port) not in self._known:
            found = (await addresses(host, port))[0][:MOST_ADDRESSES]
            self._known[host, port] = [address for address in found if self._private or is_public(address)]
            if found and not self._known[host, port]:
                self._known.pop((host, port))
                raise NotPublic
        return self._known[host, port]

    def _transport(self, scheme: str, host: str, port: int) -> httpx2.AsyncHTTPTransport:
        """One for each host: a connection made in the name of one is not used for another at the same address."""
        key = (scheme, host, port)
        if key not in self._transports:
            self._transports[key] = httpx2.AsyncHTTPTransport(verify=self._context, trust_env=False)
        return self._transports[key]


LOST_WORDS = "closed the connection without a readable answer"


async def _body(stream: AsyncIterator[bytes], deadline: float) -> tuple[bytes, str]:
    """What came of the body within size and time, and why it is not all."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout_at(deadline):
            async for part in stream:
                parts.append(part)
                size += len(part)
                if size > BODY_BYTES:
                    return b"".join(parts)[:BODY_BYTES], f"is longer than {BODY_BYTES // 1024} KB"
    except TimeoutError:
        return b"".join(parts), f"did not end within {ANSWER_SECONDS:.0f} s"
    except (httpx2.HTTPError, OSError):
        return b"".join(parts), "broke off"
    return b"".join(parts), ""


def _inflated(raw: bytes, coding: str, cut: str) -> tuple[bytes, str]:
    """gzip or deflate, never to more than BODY_BYTES."""
    if coding not in ("gzip", "deflate"):
        return b"", f"is compressed ({coding[:20]}) although that was not asked for"
    try:
        stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
        whole = stream.decompress(raw, BODY_BYTES)
    except zlib.error:
        return b"", "is compressed and broken"
    return whole, cut or (f"is longer than {BODY_BYTES // 1024} KB" if stream.unconsumed_tail else "")


def _root(fault: BaseException) -> BaseException:
    """What a chain of exceptions began with."""
    for _ in range(10):
        cause = fault.__cause__ or fault.__context__
        if cause is None:
            break
        fault = cause
    return fault
