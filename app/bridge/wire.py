"""HTTP as the bridge speaks it: nothing leads it elsewhere with credentials, every document is small, every fault has words."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from app import __version__
from app.bridge.faults import Fault, Unreachable, address
from app.bridge.options import Options
from app.checkup.answer import Answer, Challenge, challenge
from app.settings.loopback import is_loopback

CONNECT_SECONDS = 10.0
DOCUMENT_SECONDS = 30.0
DOCUMENT_BYTES = 256 * 1024
# What the server has not seen, whatever it was.
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


@dataclass(frozen=True, slots=True)
class Reply:
    """`document` is the JSON object of the body; empty when it was none."""

    status: int
    document: Mapping[str, Any]


def opened(options: Options) -> httpx2.AsyncClient:
    """Follows no redirect by itself."""
    try:
        context = ssl.create_default_context()
        if options.ca_file is not None:
            context.load_verify_locations(options.ca_file)
    except (OSError, ssl.SSLError):
        raise Fault(f"{options.ca_file} is no file of certificates") from None
    return httpx2.AsyncClient(
        verify=context,
        # An answer may take long to begin, and a stream may be silent for hours: who waits has a clock of their own.
        timeout=httpx2.Timeout(None, connect=min(CONNECT_SECONDS, options.timeout)),
        headers={"User-Agent": f"gatehouse-connect/{__version__}"},
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
    )


def is_safe(url: object, home: str) -> bool:
    """https; or plain http on this computer, where the server itself is on it too (RFC 8252 §8.3, MCP "Communication Security")."""
    if not isinstance(url, str) or not url.isprintable() or len(url) > 2000:
        return False
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and not parts.username and (parts.port or 1) > 0
    except ValueError:
        return False
    return named and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url) and is_loopback(home)))


def unreachable(fault: Exception, url: str) -> Fault:
    """The same in words. A certificate that is wrong will be so the next time too."""
    host = urlsplit(str(url)).netloc.rpartition("@")[2]
    root: BaseException | None = fault
    while root is not None and not isinstance(root, ssl.SSLCertVerificationError):
        root = root.__cause__ or root.__context__
    if root is not None:
        return Fault(f"the certificate of {host} is not to be trusted: {root.verify_message}")
    sent = not isinstance(fault, UNSENT)
    if isinstance(fault, httpx2.TimeoutException):
        return Unreachable(f"{host} did not answer in time", sent=sent)
    if isinstance(fault, (httpx2.UnsupportedProtocol, httpx2.InvalidURL)):
        return Fault(f"{address(url)} is no web address")
    return Unreachable(f"the connection to {host} broke" if sent else f"{host} cannot be reached", sent=sent)


async def got(http: httpx2.AsyncClient, url: str) -> Reply:
    """A public document. A redirect is followed once, within its origin. Raises Unreachable or Fault."""
    reply, location = await _asked(http, "GET", url)
    if location and same_origin(url, location):
        reply, _ = await _asked(http, "GET", location)
    return reply


async def posted(http: httpx2.AsyncClient, url: str, headers: Mapping[str, str] | None = None, **body: Any) -> Reply:
    """A form (`data`) or `json` with credentials in it, so a redirect is refused. Raises Unreachable or Fault."""
    reply, location = await _asked(http, "POST", url, headers=dict(headers or {}), **body)
    if location:
        raise Fault(f"{url} redirects, and credentials are not sent on to {address(location)}")
    return reply


async def fetched(http: httpx2.AsyncClient, url: str, headers: Mapping[str, str]) -> Reply:
    """With credentials, so a redirect is not followed. Raises Unreachable or Fault."""
    return (await _asked(http, "GET", url, headers=dict(headers)))[0]


async def _asked(http: httpx2.AsyncClient, method: str, url: str, **more: Any) -> tuple[Reply, str]:
    headers = {"Accept": "application/json", **more.pop("headers", {})}
    try:
        async with (
            asyncio.timeout(DOCUMENT_SECONDS),
            http.stream(method, url, headers=headers, **more) as response,
        ):
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > DOCUMENT_BYTES:
                    raise Fault(f"the answer of {url} is larger than {DOCUMENT_BYTES // 1024} KB")
    except TimeoutError:
        raise Unreachable(f"{urlsplit(url).netloc} did not answer in time", sent=True) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as fault:
        raise unreachable(fault, url) from None
    document: Any = None
    with suppress(ValueError, RecursionError):
        document = json.loads(body)
    location = str(response.next_request.url) if response.next_request else ""
    return Reply(response.status_code, document if isinstance(document, dict) else {}), location


def same_origin(one: str, other: str) -> bool:
    return httpx2.URL(one).copy_with(raw_path=b"/") == httpx2.URL(other).copy_with(raw_path=b"/", fragment=None)


def challenge_of(response: httpx2.Response) -> Challenge:
    """The Bearer challenge of a 401 or 403; one without values when it sent none."""
    fields = tuple((name.lower(), value) for name, value in response.headers.multi_items())
    return challenge(Answer("POST", "", response.status_code, fields)) or Challenge({}, frozenset())


def keep_alive(response: httpx2.Response) -> None:
    """The system asks whether the other end still lives: a stream that says nothing for hours must notice its end."""
    stream = response.extensions.get("network_stream")
    with suppress(OSError, AttributeError):
        connection = stream.get_extra_info("socket")  # type: ignore[union-attr]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
