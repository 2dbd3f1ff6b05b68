"""`gatehouse connect|login|logout|whoami URL`: any OAuth-protected MCP server, for programs that only speak stdio."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from app.bridge import visits
from app.bridge.faults import Fault
from app.bridge.options import ANY_PORT, Options, Store, Way
from app.bridge.register import port_of
from app.bridge.vault import config_folder
from app.checkup.target import BadAddress, target
from app.cli.console import Json, Refused, say

T = TypeVar("T")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

Url = Annotated[str, typer.Argument(metavar="URL", help="The MCP server, such as https://mcp.example.com/mcp.")]
Header = Annotated[
    list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="Send this with every message; ${NAME} is replaced.")
]
Scope = Annotated[str, typer.Option(help="What to ask for; without it, what the server names.")]
Timeout = Annotated[float, typer.Option(help="Seconds until an answer has to begin.", min=1, max=86400)]
Device = Annotated[bool, typer.Option("--device", help="Sign in on another device: a code is shown here.")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Only print the address to sign in at.")]
KeyEnv = Annotated[
    str, typer.Option(metavar="NAME", help="The variable with an API key; with --client-id, with that client's secret.")
]
ClientId = Annotated[str, typer.Option(help="A client that the server's operator registered.")]
SecretEnv = Annotated[
    str, typer.Option(metavar="NAME", help="The variable with that client's secret, for people's sign-in.")
]
Document = Annotated[
    str, typer.Option(metavar="URL", help="The client's description of itself, where servers take one.")
]
Redirect = Annotated[
    str, typer.Option(help="Where the browser brings the answer, as registered; any port without one.")
]
Keep = Annotated[Store, typer.Option(help="Where tokens are kept: the keyring if there is one, or a file.")]
CaFile = Annotated[
    Path | None, typer.Option(help="Further certificate authorities to trust.", envvar="GATEHOUSE_CA_FILE")
]


def connect(
    url: Url,
    header: Header = None,
    scope: Scope = "",
    timeout: Timeout = 300,
    device: Device = False,
    no_browser: NoBrowser = False,
    api_key_env: KeyEnv = "",
    client_id: ClientId = "",
    client_secret_env: SecretEnv = "",
    client_document: Document = "",
    redirect_uri: Redirect = ANY_PORT,
    store: Keep = Store.auto,
    ca_file: CaFile = None,
) -> None:
    """Be an MCP server on standard input and output that passes everything on to URL, signing in when it has to."""
    way = _way(device, api_key_env, client_id)
    options = Options(
        _url(url),
        _folder(),
        way,
        not no_browser,
        tuple(_header(text) for text in header or ()),
        scope,
        timeout,
        client_id,
        _secret(client_secret_env),
        client_document,
        _redirect(redirect_uri),
        _secret(api_key_env),
        api_key_env,
        store,
        ca_file,
    )
    _run(visits.connect, options)


def login(
    url: Url,
    scope: Scope = "",
    device: Device = False,
    no_browser: NoBrowser = False,
    client_id: ClientId = "",
    client_secret_env: SecretEnv = "",
    client_document: Document = "",
    redirect_uri: Redirect = ANY_PORT,
    store: Keep = Store.auto,
    ca_file: CaFile = None,
) -> None:
    """Sign in at URL now, so that connect need not ask later."""
    options = Options(
        _url(url),
        _folder(),
        Way.device if device else Way.browser,
        not no_browser,
        scope=scope,
        client_id=client_id,
        client_secret=_secret(client_secret_env),
        document=client_document,
        redirect_uri=_redirect(redirect_uri),
        store=store,
        ca_file=ca_file,
    )
    record = _run(visits.login, options)
    held = record.tokens.scope if record.tokens else ""
    say(f"Signed in to {record.url}" + (f" for {held}." if held else "."))


def logout(
    url: Url,
    client_id: ClientId = "",
    client_secret_env: SecretEnv = "",
    client_document: Document = "",
    store: Keep = Store.auto,
    ca_file: CaFile = None,
) -> None:
    """Give the tokens for URL back, and forget them."""
    options = Options(
        _url(url),
        _folder(),
        client_id=client_id,
        client_secret=_secret(client_secret_env),
        document=client_document,
        store=store,
        ca_file=ca_file,
    )
    say("Signed out." if _run(visits.logout, options) else "You were not signed in.")


def whoami(
    url: Url,
    client_id: ClientId = "",
    client_secret_env: SecretEnv = "",
    client_document: Document = "",
    api_key_env: KeyEnv = "",
    store: Keep = Store.auto,
    ca_file: CaFile = None,
    as_json: Json = False,
) -> None:
    """Who you are at URL, and whether it still knows you. Exit 1 when you are not signed in."""
    options = Options(
        _url(url),
        _folder(),
        _way(False, api_key_env, client_id),
        client_id=client_id,
        client_secret=_secret(client_secret_env),
        document=client_document,
        key=_secret(api_key_env),
        key_name=api_key_env,
        store=store,
        ca_file=ca_file,
    )
    told = _run(visits.whoami, options)
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        for name, value in told.items():
            if value != "":
                say(f"{name:<14} {'yes' if value is True else 'no' if value is False else value}")


def _run(work: Callable[[Options, Callable[[str], None]], Awaitable[T]], options: Options) -> T:
    async def run() -> T:
        return await work(options, visits.stderr_line)

    try:
        return asyncio.run(run())
    except Fault as fault:
        raise Refused(str(fault)) from None
    except KeyboardInterrupt:
        raise Refused("interrupted") from None


def _url(typed: str) -> str:
    try:
        return target(typed).url
    except BadAddress as fault:
        raise Refused(str(fault), 2) from None


def _folder() -> Path:
    return config_folder(dict(os.environ), Path.home())


def _way(device: bool, api_key_env: str, client_id: str) -> Way:
    if api_key_env and device:
        raise Refused("--device is for people and --api-key-env is not; give one of them", 2)
    if api_key_env and client_id:
        return Way.machine
    return Way.device if device else Way.browser


def _secret(name: str) -> str:
    """Of the environment, since arguments are read by everybody on the computer. Raises Refused without it."""
    value = os.environ.get(name, "").strip() if name else ""
    if name and not (value and value.isascii() and value.isprintable()):
        raise Refused(f"the environment has no usable {name}", 2)
    return value


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    filled = VARIABLE.sub(lambda found: _secret(found[1]), value).strip()
    if not colon or not NAME.fullmatch(name.strip()) or not (filled.isascii() and filled.isprintable()):
        raise Refused(f"--header wants 'NAME: VALUE', and {name[:40]!r} does not begin one", 2)
    return name.strip(), filled


def _redirect(uri: str) -> str:
    try:
        port_of(uri)
    except Fault as fault:
        raise Refused(str(fault), 2) from None
    return uri


def added_to(app: typer.Typer) -> None:
    for command in (connect, login, logout, whoami):
        app.command(command.__name__)(command)


app = typer.Typer(
    name="gatehouse", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
added_to(app)
