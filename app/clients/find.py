"""Which client a client_id means: one that is registered, or the document at its URL (RFC 7591, CIMD draft §4)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog

from app.clients import store
from app.clients.pinned import COPY_OF, pinned
from app.language.catalogs import N_
from app.limits import Rate, hit
from app.outside.fetch import LEAST, NotNow, Unfetchable
from app.protocol import client_document as documents
from app.protocol.errors import ClientBlocked, InvalidClientDocument, OAuthError
from app.protocol.types import Client
from app.traces.recording import note
from app.world import World

AWAY_SECONDS = 5  # then a client may ask again whose document could not be had
FETCHES = Rate("client-document", 30, timedelta(minutes=1))  # a minute, for one caller's address
log = structlog.get_logger("gatehouse.clients")


async def client(world: World, client_id: str, address: str, now: datetime, *, fresh: bool = True) -> Client | None:
    """The client, or None. For a document's client, `fresh` asks for the document anew when it is due; else the copy will do.

    Raises InvalidClientDocument when a document cannot be had (with `retry_after`, if it may be had soon) or is not valid,
    ClientBlocked, TooManyRequests.
    """
    if not documents.is_url(client_id):
        return _welcome(await store.client(world.pool, client_id)) if len(client_id) <= 200 else None
    fault = documents.fault(client_id) or _unwelcome(client_id, world)
    if fault:
        note(document="unwelcome", document_why=fault)
        raise InvalidClientDocument("the client_id {fault}", fault=fault)
    known = _welcome(await store.client(world.pool, client_id))
    if known is not None and not (fresh and _is_due(known, now)):
        return known
    why = world.outside.faults.lately(client_id, now)
    if known is not None and why and _will_do(known, now):
        return _copy_used(known, str(why))
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
        return N_("is a URL, and this server takes registered clients only")
    if settings.client_documents == "listed" and documents.host_of(url) not in settings.client_document_hosts:
        return N_("is on a host that this server's operator has not listed")
    return None


def _is_due(known: Client, now: datetime) -> bool:
    return known.fresh_until is not None and known.fresh_until <= now


def _will_do(known: Client, now: datetime) -> bool:
    """Whether the copy is young enough for when the document cannot be fetched (stale-if-error)."""
    return known.fresh_until is not None and now < known.fresh_until + documents.STALE


async def _fetched(world: World, url: str, known: Client | None, now: datetime) -> Client:
    """The client of the document as it is now; of a copy when the fetch fails."""
    try:
        document = await world.outside.json(url, limit=documents.LIMIT)
        metadata, kept = documents.checked_document(document.value, url), document.kept_for
        metadata.pop(COPY_OF, None)  # ours to say
        note(document="fetched")
    except Unfetchable as fault:
        why = str(fault)
        world.outside.failed(url, fault, now)
        log.warning("client document not fetched", client_id=url, why=why)
        if known is not None and _will_do(known, now):
            return _copy_used(known, why)
        copy = pinned(url) if world.settings.pinned_documents else None
        if copy is None:
            note(document="unread", document_why=why)
            again = AWAY_SECONDS if isinstance(fault, NotNow) else None
            raise InvalidClientDocument(
                "the app's document at {url} could not be read: {why}", retry_after=again, url=url, why=fault
            ) from fault
        note(document="shipped copy", document_why=why, document_as_of=copy.as_of)
        metadata, kept = documents.checked_document(copy.document, url) | {COPY_OF: copy.as_of}, LEAST
    except OAuthError as fault:  # never kept: a document that is put right helps at once
        note(document="invalid", document_why=fault.description)
        raise InvalidClientDocument(
            "the app's document at {url} is not valid: {fault}", url=url, fault=fault
        ) from fault
    return await _kept(world, url, metadata, known, now, now + kept)


async def _kept(
    world: World, url: str, metadata: dict[str, Any], known: Client | None, now: datetime, fresh_until: datetime
) -> Client:
    found = await store.keep_document(world.pool, url, metadata, now, fresh_until)
    if found is None:
        note(document="removed")
        raise InvalidClientDocument("this app was removed by the operator of this server")
    if known is not None and _what_counts(found) != _what_counts(known):
        note(document_changed=True)
    return found


def _copy_used(known: Client, why: str) -> Client:
    note(document="shipped copy" if known.copy_of else "kept copy", document_why=why, document_as_of=known.copy_of)
    return known


def _what_counts(client: Client) -> tuple[object, ...]:
    """What users were asked about: as the statement that keeps documents sees it."""
    return client.client_name, client.redirect_uris, client.token_endpoint_auth_method, client.keys
