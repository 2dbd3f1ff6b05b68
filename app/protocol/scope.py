"""Scopes: their words for people, what implies what, and what a request ends up with (RFC 6749 §3.3, MCP authorization)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """`words` stand on the consent page; `implies` are the narrower scopes it includes."""

    name: str
    words: str
    implies: frozenset[str] = frozenset()
    sensitive: bool = False


SCOPES: dict[str, Scope] = {
    scope.name: scope
    for scope in (
        Scope("read", "See what the tools can show you"),
        Scope("write", "Change and delete things with the tools, in your name", frozenset({"read"}), sensitive=True),
        Scope("api_keys", "Create and revoke your API keys", sensitive=True),
    )
}
DEFAULT = ("read", "write")
API_KEYS = "api_keys"


def words_of(text: str | None) -> list[str]:
    """The scope words of a request, in order, without repeats."""
    return list(dict.fromkeys((text or "").split()))


def granted(requested: str | None, registered: str | None = None) -> tuple[str, ...]:
    """The known scopes among those asked for; the client's registered ones, else the default, when none is known.

    Unknown words are dropped rather than refused: clients send whole catalogues, `offline_access`, `openid` or a name
    of their own, and the answer's `scope` and the consent page say what was made of it (RFC 6749 §3.3 allows this).
    """
    for wish in (requested, registered):
        known = tuple(word for word in words_of(wish) if word in SCOPES)
        if known:
            return known
    return DEFAULT


def expanded(scope: frozenset[str]) -> frozenset[str]:
    """With everything that the broader scopes include: `write` reaches what `read` reaches."""
    return scope.union(*(SCOPES[name].implies for name in scope if name in SCOPES)) if scope else scope
