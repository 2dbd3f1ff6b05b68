"""Fetching a JSON document from a stranger's URL (CIMD draft §4 and §6.5): vetted address, no redirects, little time, few bytes."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx2
from pydantic_core import from_json

from app import asking
from app.outside.addresses import is_loopback, is_public
from app.outside.faults import Faults
from app.outside.turns import Crowded, Turn, Turns
from app.protocol.words import N_, Worded

SECONDS = 5.0  # from the first look-up to the last byte
LEAST, MOST, UNSAID = timedelta(seconds=60), timedelta(hours=24), timedelta(hours=1)  # that a document is kept
# What a host says that is busy, broken, or takes us for a robot: whoever names it is not to blame.
PASSING = frozenset({401, 403, 408, 425, 429})
JSON_TYPE = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;|\Z)", re.IGNORECASE)

Resolve = Callable[[str, int], list[str]]


class Unfetchable(Worded):
    """Why the document could not be had, in words that a person may read."""


class NotNow(Unfetchable):
    """For the moment, as far as anybody can tell: whoever comes again may find it."""


class Busy(NotNow):
    """It was not even tried: this server fetches as much as it may at this moment."""


@dataclass(frozen=True, slots=True)
class Document:
    """What was there, and for how many seconds it said it may be kept (None: it did not say)."""

    value: Any
    max_age: int | None

    @property
    def kept_for(self) -> timedelta:
        """How long it is not asked for again: as its host said, within bounds (RFC 9111 §4.2.1, CIMD draft §4.3)."""
        return UNSAID if self.max_age is None else min(max(timedelta(seconds=self.max_age), LEAST), MOST)


def resolved(host: str, port: int) -> list[str]:
    """Every address of the host. Blocks; raises OSError."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


class Outside:
    """One per process. Those who want the same document at the same time share one fetch; nobody waits for more than SECONDS."""

    def __init__(self, *, loopback: bool, ca_file: Path | None = None, resolve: Resolve = resolved) -> None:
        """`loopback`: we are on loopback ourselves, so its addresses are no secret (CIMD draft §6.5)."""
        self._loopback = loopback
        self._resolve = resolve
        self._turns = {private: Turns() for private in (False, True)}  # what the operator named waits for no stranger's
        self.faults = Faults()
        self._under_way: dict[tuple[str, bool], asyncio.Task[Document]] = {}
        self.tls = ssl.create_default_context(cafile=None)
        if ca_file is not None:
            self.tls.load_verify_locations(ca_file)

    async def json(self, url: str, *, limit: int, private: bool = False) -> Document:
        """The JSON document at an https URL, of at most `limit` bytes. `private`: the operator named it, so it may be anywhere.

        Raises Unfetchable.
        """
        wanted = (url, private)  # a stranger's URL must not be answered by what the operator's reached
        task = self._under_way.get(wanted)
        if task is None:
            task = asyncio.create_task(self._timed(url, limit, private))
            self._under_way[wanted] = task
            task.add_done_callback(lambda done: self._forget(wanted, done))
        return await asyncio.shield(task)

    def failed(self, url: str, fault: Unfetchable, now: datetime, *, private: bool = False) -> None:
        """Remembers it for a while, unless it was not even tried."""
        if not isinstance(fault, Busy):
            self.faults.saw(url, fault, now, private=private)

    def close(self) -> None:
        for turns in self._turns.values():
            turns.close()

    def _forget(self, wanted: tuple[str, bool], task: asyncio.Task[Document]) -> None:
        del self._under_way[wanted]
        if not task.cancelled():
            task.exception()  # whoever waited has it

    async def _timed(self, url: str, limit: int, private: bool) -> Document:
        try:
            async with asyncio.timeout(SECONDS):
                return await self._fetched(url, limit, private)
        except Crowded:
            raise Busy(N_("this server fetches too much at once; try again in a moment")) from None
        except TimeoutError:
            raise NotNow("it took longer than {seconds} seconds", seconds=f"{SECONDS:g}") from None
        except (httpx2.HTTPError, OSError) as fault:
            raise NotNow(_words(fault)) from fault
        # ValueError: the address is none, or its host has no form that could be looked up (RFC 5891 §4.4).
        except (httpx2.InvalidURL, ValueError) as fault:
            raise Unfetchable(_words(fault)) from fault

    async def _fetched(self, url: str, limit: int, private: bool) -> Document:
        parts, port = _parsed(url)
        host = parts.hostname or ""
        async with self._turns[private].turn(asking.address(), host) as turn:
            address = await self._vetted(turn, host, port, private)
            literal = f"[{address}]" if ":" in address else address
            target = parts._replace(netloc=f"{literal}:{port}").geturl()
            headers = {"Host": parts.netloc, "Accept": "application/json", "Accept-Encoding": "identity"}
            async with (
                httpx2.AsyncClient(verify=self.tls, trust_env=False, follow_redirects=False, timeout=SECONDS) as client,
                client.stream("GET", target, headers=headers, extensions={"sni_hostname": host}) as response,
            ):
                _acceptable(response)
                body = await _body(response, limit)
        try:
            return Document(from_json(body, allow_inf_nan=False), _max_age(response.headers.get("cache-control", "")))
        except ValueError:
            raise Unfetchable("it is not valid JSON") from None

    async def _vetted(self, turn: Turn, host: str, port: int, private: bool) -> str:
        """The address to connect to, looked up once: what is checked is what is used. One bad address condemns the name."""
        addresses = await turn.in_thread(self._resolve, host, port)
        for address in addresses:
            if not (private or is_public(address) or (self._loopback and is_loopback(address))):
                raise Unfetchable("its host has an address that is not on the public internet")
        if not addresses:
            raise NotNow("its host has no address")
        return next((address for address in addresses if ":" not in address), addresses[0])


def _parsed(url: str) -> tuple[SplitResult, int]:
    """With its port. Raises Unfetchable for what is no URL: not every address was looked at before."""
    try:
        parts = urlsplit(url)
        return parts, parts.port or 443
    except ValueError:
        raise Unfetchable("its address is not well-formed") from None


async def _body(response: httpx2.Response, limit: int) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            raise Unfetchable("it is larger than {limit} bytes", limit=limit)
    return body


def _acceptable(response: httpx2.Response) -> None:
    status = response.status_code
    if status in PASSING or status >= 500:
        raise NotNow("the answer had status {status} instead of 200", status=status)
    if status != 200:
        raise Unfetchable("the answer had status {status} instead of 200", status=status)
    if not JSON_TYPE.match(response.headers.get("content-type", "")):
        raise Unfetchable("the answer was not of type application/json")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise Unfetchable("the answer was compressed, which was not asked for")


def _max_age(cache_control: str) -> int | None:
    """RFC 9111 §5.2.2, as far as it matters here."""
    directives = cache_control.lower()
    if "no-store" in directives or "no-cache" in directives:
        return 0
    found = re.search(r"\bmax-age=\"?([0-9]{1,9})", directives)
    return int(found[1]) if found else None


def _words(fault: Exception) -> str:
    if isinstance(fault, ssl.SSLError) or isinstance(fault.__cause__, ssl.SSLError) or "CERTIFICATE" in str(fault):
        return N_("its certificate is not valid")
    if isinstance(fault, (socket.gaierror, ValueError)):
        return N_("its host is not known")
    return N_("its host did not answer properly")
