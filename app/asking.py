"""Who is asking at this moment, for what is recorded deep below: the ids of request and trace, the address, in whose name they act."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

USER, CLIENT, OPERATOR, NOBODY, SYSTEM = "user", "client", "operator", "nobody", "system"
KINDS = frozenset({USER, CLIENT, OPERATOR, NOBODY, SYSTEM})

TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")

PROCESS = f"{random.getrandbits(63) + 1:016x}"

request_id: ContextVar[str] = ContextVar("request_id", default="-")
refused: ContextVar[str | None] = ContextVar("refused", default=None)  # the word of the refusal, for whoever counts
trace: ContextVar[Trace | None] = ContextVar("trace", default=None)
_address: ContextVar[Callable[[], str] | str | None] = ContextVar("address", default=None)
_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


@dataclass(frozen=True, slots=True)
class Actor:
    """`kind` is one of the words above; `id` is a user's, a client's, or the operator's name on their computer."""

    kind: str
    id: str | None = None


class Trace(NamedTuple):
    """What this request is a part of (W3C Trace Context). `given`: it came with the request."""

    id: str
    flags: str
    given: bool


def trace_of(headers: Iterable[tuple[bytes, bytes]], identifier: str) -> Trace:
    """The one that the caller is in, or a new one, named after the request: to be found in logs, not to be kept secret."""
    for name, value in headers:
        if name == b"traceparent" and (found := TRACEPARENT.fullmatch(value)):
            return Trace(found[1].decode(), found[2].decode(), given=True)
    return Trace(PROCESS + identifier, "00", False)


def traceparent() -> bytes:
    """For whoever is asked on this request's behalf: its id is the parent's."""
    part = trace.get()
    return b"" if part is None else f"00-{part.id}-{request_id.get()}-{part.flags}".encode()


def begins(identifier: str, part: Trace, tell: Callable[[], str]) -> None:
    """A request, of nobody yet, from the address that `tell` finds out when somebody wants to know.

    Everything is set anew: of requests that are sent without waiting for answers, each begins in the context of the last.
    """
    request_id.set(identifier)
    trace.set(part)
    refused.set(None)
    _address.set(tell)
    _actor.set(None)


def address() -> str | None:
    """None where nobody's request is answered: on the command line, in the sweep."""
    known = _address.get()
    if callable(known):
        known = known()
        _address.set(known)
    return known


def acting(kind: str, identifier: str | None = None) -> None:
    """From here on what this request does is done in this name."""
    _actor.set(Actor(kind, identifier))


def actor() -> Actor:
    """Nobody until a request has said who it is; the system itself where there is no request."""
    return _actor.get() or Actor(NOBODY if request_id.get() != "-" else SYSTEM)
