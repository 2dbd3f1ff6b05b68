"""The one backend of a resource, from its keys in gatehouse.toml; its secrets are looked up where the keys say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from app.protocol.resource import canonical
from app.resources.model import (
    Backend,
    CommandBackend,
    Elsewhere,
    IdentityHeader,
    IdentityToken,
    PythonBackend,
    Secret,
    Upstream,
    UrlBackend,
)
from app.resources.shapes import Fault, ResourceShape, SecretShape, SendShape, VariableShape
from app.resources.shapes import Path as Keys

UPSTREAM = "upstream:"
KINDS = ("builtin", "python", "url", "command", "elsewhere")
# Which keys belong to which kind.
ONLY = {
    "inner_path": ("python",),
    "send": ("url",),
    "credentials": ("url",),
    "ca_file": ("url",),
    "largest": ("url",),
    "silence": ("url",),
    "longest": ("url",),
    "connections": ("url",),
    "timeout": ("url", "command"),
    "env": ("command",),
    "cwd": ("command",),
    "per_user": ("command",),
    "most": ("command",),
    "idle": ("command",),
}


def of(
    keys: Keys, shape: ResourceShape, folder: Path, environment: Mapping[str, str], faults: list[Fault]
) -> Backend | None:
    """None for the built-in tools. `folder` is where relative paths begin. Adds to `faults`."""
    given = [kind for kind in KINDS if getattr(shape, kind)]
    if len(given) != 1:
        faults.append((keys, "must have one of builtin = true, python, url and command, or elsewhere"))
        return None
    faults += [
        ((*keys, key), f"is only for {' and '.join(kinds)}")
        for key, kinds in ONLY.items()
        if key in shape.model_fields_set and given[0] not in kinds
    ]
    secrets = Secrets(folder, environment, faults)
    if shape.python is not None:
        return PythonBackend(shape.python, str(folder), shape.inner_path)
    if shape.url is not None:
        faults += _faults_of_url((*keys, "url"), shape.url)
        send = _sent(keys, shape, secrets)
        ca_file = _file((*keys, "ca_file"), shape.ca_file, folder, faults)
        limits = (shape.largest, shape.silence, shape.longest, shape.connections)
        return UrlBackend(shape.url, send, shape.timeout, ca_file, *limits)
    if shape.elsewhere is not None:
        faults += _faults_of_elsewhere((*keys, "elsewhere"), shape.elsewhere)
        return Elsewhere(shape.elsewhere)
    if shape.command is not None:
        env = {name: secrets.variable((*keys, "env", name), one) for name, one in shape.env.items()}
        cwd = str(folder / shape.cwd) if shape.cwd is not None else str(folder)
        if not Path(cwd).is_dir():
            faults.append(((*keys, "cwd"), f"is {cwd}, which is no folder"))
        return CommandBackend(tuple(shape.command), env, cwd, shape.per_user, shape.most, shape.idle, shape.timeout)
    return None


class Secrets:
    """Looks secrets up. What is not there is a fault, and stands as nothing meanwhile."""

    def __init__(self, folder: Path, environment: Mapping[str, str], faults: list[Fault]) -> None:
        self._folder = folder
        self._environment = environment
        self._faults = faults

    def secret(self, keys: Keys, shape: SecretShape | VariableShape, prefix: str = "") -> SecretStr:
        """What the environment variable or the file holds, without the line's end. It goes into a header."""
        value = self._value(keys, shape).strip("\r\n")
        if any(not " " <= sign <= "~" for sign in value):
            self._faults.append((keys, "holds more than one line of plain signs"))
        return SecretStr(prefix + value)

    def fault(self, keys: Keys, words: str) -> None:
        self._faults.append((keys, words))

    def variable(self, keys: Keys, shape: VariableShape) -> SecretStr | str:
        """Of a command's environment."""
        return shape.text if shape.text is not None else SecretStr(self._value(keys, shape).strip("\r\n"))

    def _value(self, keys: Keys, shape: SecretShape | VariableShape) -> str:
        if shape.env is not None:
            value = self._environment.get(shape.env, "")
            if not value:
                self._faults.append(((*keys, "env"), f"names {shape.env}, which the environment does not have"))
            return value
        assert shape.file is not None
        try:
            return (self._folder / shape.file).read_text("utf-8")
        except (OSError, ValueError) as fault:
            why = getattr(fault, "strerror", None) or "it is no text"
            self._faults.append(((*keys, "file"), f"names {shape.file}, which cannot be read: {why}"))
            return ""


def _sent(
    keys: Keys, shape: ResourceShape, secrets: Secrets
) -> Secret | IdentityHeader | IdentityToken | Upstream | None:
    if shape.credentials is None:
        return None if shape.send is None else _send((*keys, "send"), shape.send, secrets)
    if shape.send is not None:
        secrets.fault((*keys, "credentials"), "is a short way to write send; one of them is enough")
    return Upstream(shape.credentials.removeprefix(UPSTREAM))


def _send(keys: Keys, shape: SendShape, secrets: Secrets) -> Secret | IdentityHeader | IdentityToken | Upstream:
    if shape.upstream is not None:
        return Upstream(shape.upstream, shape.header or "Authorization", tuple(shape.scopes))
    if shape.identity == "jwt":
        return IdentityToken(shape.audience or "", shape.header or "Authorization", shape.lifetime)
    assert shape.secret is not None
    if shape.identity == "header":
        return IdentityHeader(secrets.secret((*keys, "secret"), shape.secret), shape.header or "X-Gatehouse-Identity")
    return Secret(secrets.secret((*keys, "secret"), shape.secret, shape.prefix), shape.header or "Authorization")


def _faults_of_url(keys: Keys, url: str) -> list[Fault]:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fine, parts = False, urlsplit("")
    if not fine or "#" in url or any(not "!" <= sign <= "~" for sign in url):
        return [(keys, "must be an http or https URL without a fragment")]
    if "@" in parts.netloc:
        return [(keys, "must not hold credentials; use send")]
    return []


def _faults_of_elsewhere(keys: Keys, url: str) -> list[Fault]:
    """Others compare it byte for byte, so it must be spelt as all spell it (RFC 8707 §2)."""
    if canonical(url) != url or any(not "!" <= sign <= "~" or sign in '"\\' for sign in url):
        return [
            (
                keys,
                "must be an https URL as clients write it: no slash at the end, no default port, no capitals in the host",
            )
        ]
    if not url.startswith("https://") and urlsplit(url).hostname not in ("localhost", "127.0.0.1", "::1"):
        return [(keys, "must be https: plain http is for this computer only")]
    return []


def _file(keys: Keys, name: str | None, folder: Path, faults: list[Fault]) -> str | None:
    if name is None:
        return None
    path = folder / name
    if not path.is_file():
        faults.append((keys, f"is {path}, which is no file"))
    return str(path)
