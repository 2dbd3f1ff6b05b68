"""`gatehouse client add|list|show|revoke`: the apps that may ask for tokens."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app import audit
from app.cli.console import Json, Refused, say, show
from app.cli.operating import operate
from app.clients import store
from app.clients.remove import remove
from app.protocol.client_metadata import DEVICE_CODE, checked, resource_server
from app.protocol.errors import OAuthError
from app.tokens.secrets import CLIENT_SECRET, fingerprint, new_id, new_secret
from app.world import World

commands = typer.Typer(name="client", help="The apps that may ask for tokens.", no_args_is_help=True)
ClientId = Annotated[str, typer.Argument(metavar="CLIENT_ID")]


@commands.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    redirect_uri: Annotated[
        list[str] | None, typer.Option("--redirect-uri", help="May be given more than once.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Without a secret, for apps on people's computers.")] = False,
    introspect: Annotated[
        bool, typer.Option("--introspect", help="An API of yours: may ask /introspect about any token it receives.")
    ] = False,
    device: Annotated[
        bool, typer.Option("--device", help="May use the device grant, with a code that its user types elsewhere.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Register an app by hand, for clients that want an id and a secret typed in."""
    if introspect and public:
        raise Refused("an API that asks about tokens needs a secret: --introspect and --public do not go together", 2)
    grant_types = ["authorization_code"] * bool(redirect_uri) + [DEVICE_CODE] * device
    if not grant_types and not introspect:
        raise Refused("an app needs --redirect-uri, --device or both", 2)
    metadata = _metadata(name, redirect_uri or [], grant_types, "none" if public else "client_secret_basic")
    secret = None if public else new_secret(CLIENT_SECRET)
    client_id, key = new_id("client"), fingerprint(secret) if secret else None

    async def work(world: World) -> None:
        now = world.now()
        async with world.db.begin() as db:
            await store.add_static(db, client_id, metadata, key, now, introspects=introspect)
            await audit.record(db, "client.registered", now, client_id=client_id, name=metadata["client_name"])

    operate(work)
    if as_json:
        print(json.dumps({"client_id": client_id} | ({"client_secret": secret} if secret else {}), indent=2))
    else:
        say(
            f"client_id      {client_id}"
            + (f"\nclient_secret  {secret}\n\nThe secret is shown only now." if secret else "")
        )


def _metadata(name: str, redirect_uris: list[str], grant_types: list[str], method: str) -> dict[str, Any]:
    if not grant_types:
        return resource_server(name)
    document = {"client_name": name, "redirect_uris": redirect_uris, "grant_types": grant_types}
    try:
        return checked(document | {"token_endpoint_auth_method": method})
    except OAuthError as refusal:
        raise Refused(refusal.description, 2) from None


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
