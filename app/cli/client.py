"""`gatehouse client add|list|show|revoke`: the apps that may ask for tokens, and programs without a person (RFC 6749 §4.4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from app import audit
from app.cli.console import Json, Refused, say, show
from app.cli.operating import operate, the_resources
from app.clients import store
from app.clients.remove import remove
from app.protocol.client_metadata import DEVICE_CODE, checked, machine, resource_server
from app.protocol.email import normal_email
from app.protocol.errors import OAuthError
from app.protocol.metadata import JWT_BEARER
from app.protocol.scope import words_of
from app.tokens.secrets import CLIENT_SECRET, fingerprint, new_id, new_secret
from app.users.store import by_email
from app.world import World

commands = typer.Typer(name="client", help="The apps that may ask for tokens.", no_args_is_help=True)
ClientId = Annotated[str, typer.Argument(metavar="CLIENT_ID")]
Redirects = Annotated[list[str] | None, typer.Option("--redirect-uri", help="May be given more than once.")]
Public = Annotated[bool, typer.Option("--public", help="Without a secret, for apps on people's computers.")]
Introspects = Annotated[
    bool, typer.Option("--introspect", help="An API of yours: may ask /introspect about any token it receives.")
]
Device = Annotated[
    bool, typer.Option("--device", help="May use the device grant, with a code that its user types elsewhere.")
]
Machine = Annotated[
    bool, typer.Option("--client-credentials", help="A program without a person: acts in the name of --user.")
]
Owner = Annotated[str, typer.Option("--user", metavar="EMAIL", help="In whose name --client-credentials acts.")]
IdJag = Annotated[
    bool, typer.Option("--id-jag", help="May bring assertions (ID-JAG) of GATEHOUSE_TRUSTED_ISSUERS about users.")
]
Scope = Annotated[str, typer.Option(help="What it may do at most, such as read; with the two above.")]
KeysAt = Annotated[
    str, typer.Option("--jwks-uri", metavar="URL", help="Signs instead of a secret; its keys are there.")
]
KeysIn = Annotated[
    Path | None, typer.Option("--jwks", metavar="FILE", help="The same, with the public keys (JWK set) in a file.")
]


@commands.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    redirect_uri: Redirects = None,
    public: Public = False,
    introspect: Introspects = False,
    device: Device = False,
    client_credentials: Machine = False,
    user: Owner = "",
    id_jag: IdJag = False,
    scope: Scope = "",
    jwks_uri: KeysAt = "",
    jwks: KeysIn = None,
    as_json: Json = False,
) -> None:
    """Register an app by hand, for clients that want an id and a secret typed in, or a program that acts on its own."""
    if introspect and public:
        raise Refused("an API that asks about tokens needs a secret: --introspect and --public do not go together", 2)
    if client_credentials != bool(user) or (client_credentials and (redirect_uri or device or public or id_jag)):
        raise Refused("--client-credentials needs --user EMAIL, and is for programs that nobody signs in to", 2)
    keys = _keys(jwks_uri, jwks)
    if public and (id_jag or keys):
        raise Refused("what a client proves itself for, or with, does not go together with --public", 2)
    words = " ".join(_scope(scope)) if client_credentials or scope else ""
    grant_types = ["authorization_code"] * bool(redirect_uri) + [DEVICE_CODE] * device + [JWT_BEARER] * id_jag
    if not grant_types and not client_credentials and (not introspect or keys or words):
        raise Refused("an app needs --redirect-uri, --device, --id-jag or --client-credentials", 2)
    try:
        if client_credentials:
            metadata = machine(name, words, keys)
        else:
            metadata = _metadata(name, redirect_uri or [], grant_types, "none" if public else None, words, keys)
    except OAuthError as refusal:
        raise Refused(refusal.description, 2) from None
    _register(metadata, introspects=introspect, owner=user, as_json=as_json)


def _metadata(
    name: str,
    redirect_uris: list[str],
    grant_types: list[str],
    method: str | None,
    scope: str,
    keys: dict[str, Any] | None,
) -> dict[str, Any]:
    if not grant_types:
        return resource_server(name)
    document = {"client_name": name, "redirect_uris": redirect_uris, "grant_types": grant_types}
    document["token_endpoint_auth_method"] = method or ("private_key_jwt" if keys else "client_secret_basic")
    return checked(document | ({"scope": scope} if scope else {}) | (keys or {}))


def _scope(text: str) -> list[str]:
    resources = the_resources()
    words = words_of(text) or list(resources.default.default)
    for word in words:
        if word not in resources.words:
            raise Refused(f"there is no scope {word}; there are {', '.join(resources.words)}", 2)
    return words


def _keys(jwks_uri: str, file: Path | None) -> dict[str, Any] | None:
    """As RFC 7591 §2 writes them; a single key will do for a set."""
    if jwks_uri and file:
        raise Refused("--jwks-uri or --jwks, not both", 2)
    if file is None:
        return {"jwks_uri": jwks_uri} if jwks_uri else None
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as fault:
        raise Refused(f"{file} cannot be read as JSON: {fault}", 2) from None
    return {"jwks": {"keys": [found]} if isinstance(found, dict) and "kty" in found else found}


def _register(metadata: dict[str, Any], *, introspects: bool, owner: str, as_json: bool) -> None:
    """Adds the client and prints its id, and its secret, if it shares one."""
    secret = new_secret(CLIENT_SECRET) if metadata["token_endpoint_auth_method"].startswith("client_secret") else None
    client_id, key = new_id("client"), fingerprint(secret) if secret else None

    async def work(world: World) -> bool:
        now = world.now()
        async with world.db.begin() as db:
            account = await by_email(db, normal_email(owner) or "") if owner else None
            if owner and (account is None or account.disabled_at is not None):
                return False
            owner_id = account.id if account else None
            await store.add_static(db, client_id, metadata, key, now, introspects=introspects, owner_id=owner_id)
            name = metadata["client_name"]
            await audit.record(db, "client.registered", now, user_id=owner_id, client_id=client_id, name=name)
        return True

    if not operate(work):
        raise Refused(f"{owner} has no enabled account")
    if as_json:
        print(json.dumps({"client_id": client_id} | ({"client_secret": secret} if secret else {}), indent=2))
    else:
        say(
            f"client_id      {client_id}"
            + (f"\nclient_secret  {secret}\n\nThe secret is shown only now." if secret else "")
        )


@commands.command("list")
def list_clients(as_json: Json = False) -> None:
    """Every app, the newest first."""

    async def work(world: World) -> list[dict[str, Any]]:
        async with world.db.connect() as db:
            return await store.listed(db)

    show(operate(work), as_json=as_json, empty="No app has registered yet.")


@commands.command("show")
def show_client(client_id: ClientId) -> None:
    """All that an app registered, as JSON."""

    async def work(world: World) -> dict[str, Any] | None:
        async with world.db.connect() as db:
            return await store.registered(db, client_id)

    metadata = operate(work)
    if metadata is None:
        raise Refused(f"there is no client {client_id}")
    print(json.dumps({"client_id": client_id, **metadata}, indent=2, ensure_ascii=False))


@commands.command("revoke")
def revoke(client_id: ClientId) -> None:
    """Serve an app no more, and end everybody's connections with it."""

    async def work(world: World) -> bool:
        async with world.db.begin() as db:
            return await remove(db, client_id, world.now(), lifetime=world.token_lifetime)

    if not operate(work):
        raise Refused(f"there is no client {client_id}")
    say(f"Revoked {client_id}; its tokens end within a second.")
