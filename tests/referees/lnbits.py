"""LNbits in a virtual environment of its own, with its FakeWallet: a Lightning node for tests, up in seconds, that reaches nowhere.

`make lnbits` installs it (it needs older versions of what we use); the tests are skipped without it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2

from bench.servers import free_port

PLACE = Path(__file__).parent.parent.parent / ".lnbits"
STAMP = PLACE / ".installed"
# Without the second, bolt11 cannot be imported.
PACKAGES = ("lnbits==1.6.2", "bitstring>=4,<5")


class NoLnbits(Exception):
    """Why it cannot run here, in one sentence."""


def program() -> Path:
    """Raises NoLnbits."""
    if not STAMP.is_file() or STAMP.read_text() != "\n".join(PACKAGES):
        raise NoLnbits("LNbits is not installed; `make lnbits` installs it")
    return PLACE / "bin" / "python"


def install() -> None:
    """From the index that pip is set to. Raises NoLnbits."""
    with suppress(NoLnbits):
        program()
        return
    shutil.rmtree(PLACE, ignore_errors=True)
    for command in (
        [sys.executable, "-m", "venv", str(PLACE)],
        [str(PLACE / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
    ):
        ran = subprocess.run(command, capture_output=True, text=True, timeout=540)
        if ran.returncode:
            said = (ran.stderr + ran.stdout).strip().splitlines()
            raise NoLnbits("LNbits could not be installed: " + (said[-1] if said else f"exit {ran.returncode}"))
    STAMP.write_text("\n".join(PACKAGES))


class Lnbits:
    """A server with two wallets: ours, whose invoice key we have, and a payer's, full of sats."""

    def __init__(self, folder: Path) -> None:
        python = program()
        port = free_port()
        package = next((PLACE / "lib").glob("python3*")) / "site-packages" / "lnbits"
        (folder / "lnbits").symlink_to(package)  # it serves ./lnbits/static
        self.address = f"http://127.0.0.1:{port}"
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [str(PLACE / "bin" / "lnbits"), "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=_environment(folder, port),
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # it may start others, which are to end with it
        )
        assert python
        self.http = httpx2.Client(base_url=self.address, timeout=30)
        try:
            self._set_up()
        except BaseException:
            self.stop()
            raise

    def _set_up(self) -> None:
        password = secrets.token_urlsafe(12)
        owner = {"username": "owner", "password": password, "password_repeat": password}
        for _ in range(240):
            with suppress(httpx2.HTTPError):
                answer = self.http.put("/api/v1/auth/first_install", json=owner)
                if answer.status_code == 200:
                    break
            assert self._process.poll() is None, "LNbits did not start"
            time.sleep(0.25)
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        ours, payer = (self.http.post("/api/v1/account", json={"name": name}).json() for name in ("ours", "payer"))
        self.key, self._payer = ours["inkey"], payer["adminkey"]
        filled = self.http.put("/users/api/v1/balance", json={"id": payer["id"], "amount": 100_000}, headers=bearer)
        assert filled.status_code == 200, filled.text
        self.url = f"lnbits+http://{self.key}@{self.address.removeprefix('http://')}"

    def pay(self, bolt11: str) -> str:
        """The preimage, as the payer's wallet learned it."""
        keys = {"X-Api-Key": self._payer}
        paid = self.http.post("/api/v1/payments", json={"out": True, "bolt11": bolt11}, headers=keys)
        assert paid.status_code == 201, paid.text
        looked = self.http.get(f"/api/v1/payments/{paid.json()['payment_hash']}", headers=keys).json()
        assert looked["paid"] is True
        preimage: Any = looked["preimage"]
        return str(preimage)

    def stop(self) -> None:
        self.http.close()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its own session's, whatever is left of it
        self._process.wait(10)
        self._log.close()


def _environment(folder: Path, port: int) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "HOME": str(folder),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LNBITS_DATA_FOLDER": str(folder / "data"),
        "LNBITS_EXTENSIONS_PATH": str(folder / "ext"),
        "LNBITS_BACKEND_WALLET_CLASS": "FakeWallet",
        "FAKE_WALLET_SECRET": "tests",
        "LNBITS_ADMIN_UI": "true",
        "AUTH_HTTPS_ONLY": "false",
        "LNBITS_EXTENSIONS_DEACTIVATE_ALL": "true",
        "LNBITS_EXTENSIONS_MANIFESTS": "[]",
        "LNBITS_PRICE_AGGREGATOR_ENABLED": "false",
        "LNBITS_RATE_LIMIT_NO": "100000",
    }


if __name__ == "__main__":
    try:
        install()
    except NoLnbits as why:
        sys.exit(f"skipped: {why}")
