"""What the trace is told of an authorization request, good or bad: where it wants to go and what it asks for, never `state`."""

from __future__ import annotations

from contextlib import suppress

from app.protocol.errors import InvalidRequest
from app.protocol.params import Params
from app.protocol.redirect_uri import without_query
from app.protocol.types import Client
from app.traces.recording import note


def asked(params: Params) -> None:
    """Before anything is checked, so that a refused request can be told from another."""
    note(
        client_id=_value(params, "client_id"),
        link=_value(params, "code_challenge"),
        redirect=without_query(_value(params, "redirect_uri") or "") or None,
        resource=params.all("resource") or None,
        scope=_value(params, "scope"),
        prompt=_value(params, "prompt"),
        code_challenge_method=_value(params, "code_challenge_method"),
    )


def redirect_mismatch(presented: str | None, client: Client) -> None:
    note(
        fault="redirect_uri",
        redirect=without_query(presented or "") or None,
        registered=[without_query(uri) for uri in client.redirect_uris],
    )


def _value(params: Params, name: str) -> str | None:
    with suppress(InvalidRequest):
        return params.get(name)
    return None
