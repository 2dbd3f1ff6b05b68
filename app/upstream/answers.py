"""Answers of token endpoints as RFC 6749 §5 has them, whatever they were: forms (GitHub), `ok` and inner members (Slack)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import httpx2

from app.upstream.faults import Away

# What services call a grant that is no more (RFC 6749 §5.2: invalid_grant), each in its documentation.
GONE = frozenset(
    {
        "bad_refresh_token",  # GitHub
        "bad_verification_code",
        "invalid_refresh_token",  # Slack
        "invalid_code",
        "code_already_used",
        "code_expired",
        "token_revoked",
        "token_expired",
        "account_inactive",
        "authorization_not_found",
        "consent_required",  # Microsoft
        "interaction_required",
    }
)
# What is asked for by one name and given by another (Google).
ALIASES = {
    "https://www.googleapis.com/auth/userinfo.email": "email",
    "https://www.googleapis.com/auth/userinfo.profile": "profile",
}
LONGEST = 16 * 1024  # characters of a token
SECRET = frozenset({"access_token", "refresh_token", "id_token"})


def plain(response: httpx2.Response, member: str | None) -> httpx2.Response:
    """The same answer as an object of RFC 6749 §5.1 or §5.2, for Authlib to read; as it is when it is something else."""
    found = _object(response)
    if found is None:
        return response
    if found.get("ok") is False:
        found.setdefault("error", "refused")
    inner = found.get(member) if member else None
    if isinstance(inner, dict):
        found |= {name: value for name, value in inner.items() if value is not None}
    error = found.get("error")
    if isinstance(error, str) and error in GONE:
        found["error"], found["error_description"] = "invalid_grant", error
    return httpx2.Response(response.status_code, json=found, request=response.request)


def _object(response: httpx2.Response) -> dict[str, Any] | None:
    text = response.text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        pairs = dict(parse_qsl(text, max_num_fields=50)) if "=" in text and not text.lstrip().startswith("<") else {}
        return dict(pairs) if pairs.keys() & {"access_token", "error"} else None
    return found if isinstance(found, dict) else None


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    """A successful answer with a bearer token in it. Raises Away."""
    if not isinstance(answer.get("access_token"), str):
        raise Away("its token endpoint answered without access_token")
    for name in SECRET & answer.keys():
        value = answer[name]
        if value is not None and not (isinstance(value, str) and 0 < len(value) <= LONGEST and _is_sendable(value)):
            raise Away(f"its token endpoint answered with a {name} that is none")
    kind = answer.get("token_type") or "bearer"
    # Slack says `user`, for what is sent as a bearer token.
    if not isinstance(kind, str) or kind.lower() not in ("bearer", "user"):
        raise Away("its token endpoint answered with another token_type than bearer")
    return answer


def scope_of(answer: dict[str, Any], asked: tuple[str, ...]) -> tuple[str, ...]:
    """What was given: what was asked for, where the answer does not say otherwise (RFC 6749 §5.1)."""
    said = answer.get("scope")
    words = said if isinstance(said, str) else " ".join(word for word in _listed(said) if isinstance(word, str))
    # RFC 6749 §3.3: of visible ASCII.
    found = (word for word in words.replace(",", " ").split() if all("!" <= sign <= "~" for sign in word))
    given = dict.fromkeys(ALIASES.get(word, word)[:200] for word in found)
    return tuple(given)[:100] or asked


def _listed(said: object) -> list[Any]:
    return said if isinstance(said, list) else []


def seconds_of(answer: dict[str, Any]) -> int | None:
    """For how long the token is good, if it ends. GitHub's forms have it as a text."""
    said = answer.get("expires_in")
    if isinstance(said, bool) or not isinstance(said, (int, float, str)):
        return None
    try:
        seconds = int(float(said))
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < 10 * 366 * 86400 else None


def _is_sendable(token: str) -> bool:
    return all(" " < sign <= "~" for sign in token)
