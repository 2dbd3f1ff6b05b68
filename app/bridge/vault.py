"""Where tokens are kept: the system's keyring, or a file that only its owner can read, replaced in one step."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.bridge.faults import Fault
from app.bridge.options import Options, Record, Store
from app.bridge.turns import Turn

SERVICE = "gatehouse connect"


class Vault:
    """The record of one server and one client. Write and remove only within a `turn`."""

    def __init__(self, options: Options) -> None:
        digest = hashlib.sha256(f"{options.url}\n{options.who}\n{options.way == 'machine'}".encode()).hexdigest()[:20]
        host = re.sub(r"[^a-z0-9.]", "-", (urlsplit(options.url).hostname or "")[:60])
        self._secret = options.secret
        self._folder = options.folder
        self._name = f"{host}-{digest}"
        self._file = options.folder / f"{self._name}.json"
        self._keyring = None if options.store is Store.file else _keyring()
        if options.store is Store.keyring and self._keyring is None:
            raise Fault("there is no keyring here: install the package keyring, or leave --store out to keep a file")

    @property
    def place(self) -> str:
        """For people."""
        return "the keyring" if self._keyring is not None else str(self._file)

    def turn(self, say: Callable[[str], None]) -> Turn:
        """Others wait; whoever holds it and dies lets go."""
        self._make_folder()
        return Turn(self._folder / f"{self._name}.lock", say)

    def read(self) -> Record | None:
        """What is kept; None for nothing, and for what cannot be read as a record."""
        text = self._text_of_file() if self._keyring is None else self._asked("get_password", SERVICE, self._name)
        if not text:
            return None
        with suppress(ValueError, TypeError, KeyError):
            record = Record.of(json.loads(text))
            if record.client.registered:
                return record
            return replace(record, client=replace(record.client, client_secret=self._secret))
        return None

    def write(self, record: Record) -> None:
        """A secret that came from the environment stays there."""
        if not record.client.registered:
            record = replace(record, client=replace(record.client, client_secret=""))
        text = json.dumps(record.as_json())
        if self._keyring is not None:
            self._asked("set_password", SERVICE, self._name, text)
            return
        self._make_folder()
        new = self._file.with_suffix(".new")  # one name, since only one process writes: a killed one leaves no more
        try:
            with suppress(FileNotFoundError):
                new.unlink()
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(new, self._file)
        except OSError as fault:
            raise Fault(f"the tokens cannot be kept in {self._file}: {fault.strerror}") from None

    def _text_of_file(self) -> str:
        try:
            status = self._file.lstat()
            if sys.platform != "win32" and (
                not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077
            ):
                raise Fault(f"{self._file} is open to others; remove it and sign in again")
            return self._file.read_text()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as fault:
            raise Fault(f"{self._file} cannot be read ({type(fault).__name__})") from None

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise Fault(f"the folder {self._folder} cannot be made: {fault.strerror}") from None

    def _asked(self, name: str, *arguments: str) -> Any:
        try:
            return getattr(self._keyring, name)(*arguments)
        except Exception as fault:  # whatever the keyrings of this world raise
            raise Fault(
                f"the keyring refused ({type(fault).__name__}); --store file keeps the tokens in a file instead"
            ) from None


def _keyring() -> Any:
    """The package, when it is installed and has a keyring to talk to."""
    try:
        package = importlib.import_module("keyring")
        return package if package.get_keyring().priority > 0 else None
    except Exception:  # not installed, or its backend cannot even be asked
        return None


def config_folder(environment: dict[str, str], home: Path) -> Path:
    """Where this system keeps what belongs to a person's programs."""
    if sys.platform == "win32":
        return Path(environment.get("APPDATA") or home / "AppData" / "Roaming") / "gatehouse" / "connections"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "gatehouse" / "connections"
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "gatehouse" / "connections"
