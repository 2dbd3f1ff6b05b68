"""Scopes: their words for people, what implies what, and what a request ends up with (RFC 6749 §3.3, MCP authorization)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.protocol.words import N_


@dataclass(frozen=True, slots=True)
class Scope:
    """`words` stand on the consent page, where whoever reads them is meant; `about`, where another one gets it, if it has
    other words then. `implies` are the narrower scopes it includes."""

    name: str
    words: str
    implies: frozenset[str] = frozenset()
    sensitive: bool = False
    about: str = ""


SCOPES: dict[str, Scope] = {
    scope.name: scope
    for scope in (
        Scope("read", "See what the tools can show you"),
        Scope(
            "write",
            "Change and delete things with the tools, in your name",
            frozenset({"read"}),
            sensitive=True,
            about=N_("Change and delete things with the tools"),
        ),
        Scope("api_keys", "Create and revoke your API keys", sensitive=True, about=N_("Create and revoke API keys")),
        Scope("admin", "Administer this server: its users, apps, keys and records", sensitive=True),
    )
}
DEFAULT = ("read", "write")
API_KEYS = "api_keys"
ADMIN = "admin"  # for admins, who have to be asked for it by name: no document mentions it, no client registers for it
OPENID = "openid"
# What an app may learn of the person (OIDC Core §5.4). They open no tool, and no API key has them.
IDENTITY: dict[str, Scope] = {
    scope.name: scope
    for scope in (
        Scope(OPENID, "Know you again: a name of this server for you, and when you signed in"),
        Scope("profile", "See your name"),
        Scope("email", "See your e-mail address"),
    )
}


def words_of(text: str | None) -> list[str]:
    """The scope words of a request, in order, without repeats."""
    return list(dict.fromkeys((text or "").split()))


def granted(
    requested: str | None,
    registered: str | None = None,
    *,
    names_resource: bool = False,
    scopes: Mapping[str, Scope] = SCOPES,
    default: tuple[str, ...] = DEFAULT,
) -> tuple[str, ...]:
    """The resource's `scopes` among those asked for; the client's registered ones, else the default, when none is known.

    Unknown words are dropped rather than refused: clients send whole catalogues, `offline_access` or a name of their
    own, and the answer's `scope` and the consent page say what was made of it (RFC 6749 §3.3 allows this). `profile`
    and `email` are unknown without `openid`, which only the request itself can ask for (OIDC Core §3.1.2.1).

    Who asks for nothing but to know the person gets nothing else, unless the request names the resource (RFC 8707),
    as every MCP client does: mcp-remote, for one, falls back on `openid email profile` and wants the tools.
    """
    asked = words_of(requested)
    known = {**IDENTITY, **scopes} if OPENID in asked else scopes
    scope = tuple(word for word in asked if word in known)
    if scopes.keys() & set(scope) or (scope and not names_resource):
        return scope
    return scope + (tuple(word for word in words_of(registered) if word in scopes and word != ADMIN) or default)


def within(asked: str | None, held: frozenset[str], scopes: Mapping[str, Scope] = SCOPES) -> tuple[str, ...]:
    """What is asked for of what is held, or all of that when nothing is asked for; nothing when none of it is held.

    Words beyond it are dropped, as in `granted`: MCP clients ask for what the resource's challenge names, whatever they
    were given, and learn from the answer what it became (RFC 6749 §3.3).
    """
    words, reached = words_of(asked) or [word for word in scopes if word in held], expanded(held, scopes)
    return tuple(word for word in words if word in reached)


def expanded(scope: frozenset[str], scopes: Mapping[str, Scope] = SCOPES) -> frozenset[str]:
    """With everything that the broader scopes include: `write` reaches what `read` reaches."""
    return scope.union(*(scopes[name].implies for name in scope if name in scopes)) if scope else scope
