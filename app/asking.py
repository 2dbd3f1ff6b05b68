"""Who is asking at this moment, for what is recorded deep below: the request's id, the caller's address, in whose name they act."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

USER, CLIENT, OPERATOR, NOBODY, SYSTEM = "user", "client", "operator", "nobody", "system"
KINDS = frozenset({USER, CLIENT, OPERATOR, NOBODY, SYSTEM})

request_id: ContextVar[str] = ContextVar("request_id", default="-")
_address: ContextVar[Callable[[], str] | None] = ContextVar("address", default=None)
_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


@dataclass(frozen=True, slots=True)
class Actor:
    """`kind` is one of the words above; `id` is a user's, a client's, or the operator's name on their computer."""

    kind: str
    id: str | None = None


def begins(identifier: str, tell: Callable[[], str]) -> None:
    """A request, of nobody yet, from the address that `tell` finds out when somebody wants to know.

    Everything is set anew: of requests that are sent without waiting for answers, each begins in the context of the last.
    """
    request_id.set(identifier)
    _address.set(tell)
    _actor.set(None)


def address() -> str | None:
    """None where nobody's request is answered: on the command line, in the sweep."""
    tell = _address.get()
    return None if tell is None else tell()


def acting(kind: str, identifier: str | None = None) -> None:
    """From here on what this request does is done in this name."""
    _actor.set(Actor(kind, identifier))


def actor() -> Actor:
    """Nobody until a request has said who it is; the system itself where there is no request."""
    return _actor.get() or Actor(NOBODY if request_id.get() != "-" else SYSTEM)
