"""Which client a client_id means: one that is registered, or the document at its URL (RFC 7591, CIMD draft §4)."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from app.clients import store
from app.clients.pinned import pinned
from app.limits import Rate, hit
from app.outside.fetch import Unfetchable
from app.protocol import client_document as documents
from app.protocol.errors import ClientBlocked, InvalidClientDocument, OAuthError
from app.protocol.types import Client
from app.traces.recording import note
from app.world import World

FETCHES = Rate("client-document", 30, timedelta(minutes=1))  # a minute, for one caller's address
log = structlog.get_logger("gatehouse.clients")


async def client(world: World, client_id: str, address: str, now: datetime, *, fresh: bool = True) -> Client | None:
    """The client, or None. For a document's client, `fresh` asks for the document anew when it is due; else the copy will do.

    Raises InvalidClientDocument when a document cannot be had or is not valid, ClientBlocked, TooManyRequests.
    """
    if not documents.is_url(client_id):
        return _welcome(await store.client(world.pool, client_id)) if len(client_id) <= 200 else None
    fault = documents.fault(client_id) or _unwelcome(client_id, world)
    if fault:
        raise InvalidClientDocument(f"the client_id {fault}")
    known = _welcome(await store.client(world.pool, client_id))
    if known is not None and not (fresh and _is_due(known, now)):
        return known
    await hit(world.pool, FETCHES, address, now)
    return await _fetched(world, client_id, known, now)


def _welcome(known: Client | None) -> Client | None:
    if known is not None and known.blocked:
        note(fault="blocked", client_name=known.client_name)
        raise ClientBlocked("the operator of this server has blocked this app")
    return known


def _unwelcome(url: str, world: World) -> str | None:
    settings = world.settings
    if settings.client_documents == "off":
        return "is a URL, and this server takes registered clients only"
    if settings.client_documents == "listed" and documents.host_of(url) not in settings.client_document_hosts:
        return "is on a host that this server's operator has not listed"
    return None


def _is_due(known: Client, now: datetime) -> bool:
    return known.fresh_until is not None and known.fresh_until <= now


async def _fetched(world: World, url: str, known: Client | None, now: datetime) -> Client:
    """The client of the document as it is now; of the copy when the fetch fails and the copy is not too old (stale-if-error)."""
    try:
        document = await world.outside.json(url, limit=documents.LIMIT)
        metadata, kept = documents.checked_document(document.value, url), documents.kept_for(document.max_age)
    except Unfetchable as fault:
        if known is not None and known.fresh_until is not None and now < known.fresh_until + documents.STALE:
            log.warning("client document not fetched, copy used", client_id=url, why=str(fault))
            return known
        copy = pinned(url) if world.settings.pinned_documents else None
        if copy is None:
            raise InvalidClientDocument(f"the app's document at {url} could not be read: {fault}") from fault
        log.warning("client document not fetched, shipped copy used", client_id=url, why=str(fault))
        metadata, kept = documents.checked_document(copy, url), documents.LEAST
    except OAuthError as fault:  # never kept: a document that is put right helps at once
        raise InvalidClientDocument(f"the app's document at {url} is not valid: {fault.description}") from fault
    found = await store.keep_document(world.pool, url, metadata, now, now + kept)
    if found is None:
        raise InvalidClientDocument("this app was removed by the operator of this server")
    return found
