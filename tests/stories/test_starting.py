"""Starting and stopping as an operator does: one command, one sentence when it cannot be, nothing lost by kill -9."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.db import embedded
from app.db.migrate import head
from bench.servers import free_port
from tests.actors import App, Browser
from tests.conftest import ROOT, SECRET_KEY, House

Start = Callable[..., "Running"]


class Running:
    """A `gatehouse up` or `serve` in a process of its own."""

    def __init__(
        self,
        *arguments: str,
        program: tuple[str, ...] = (sys.executable, "-m", "app"),
        cwd: Path = ROOT,
        **environment: str,
    ) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*program, *arguments],
            cwd=cwd,
            env=clean | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""

    def until(self, words: str, seconds: float = 20) -> str:
        """What it says up to these words. Fails when it ends or takes longer."""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            deadline = time.monotonic() + seconds
            while words not in self.said:
                assert time.monotonic() < deadline, f"never said {words!r}:\n{self.said}"
                if selector.select(0.2):
                    chunk = self.process.stdout.read()
                    assert chunk or self.process.poll() is None, f"ended:\n{self.said}"
                    self.said += chunk or ""
        return self.said

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(20)
        if self.process.stdout is not None and not self.process.stdout.closed:
            os.set_blocking(self.process.stdout.fileno(), True)
            self.said += self.process.stdout.read() or ""
            self.process.stdout.close()
        return code

    def sentence(self, seconds: float = 20) -> tuple[int, str]:
        """The exit code and what it said, of a start that cannot be."""
        said, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, said

    @property
    def url(self) -> str:
        found = re.search(r"issuer\s+(\S+)", self.said)
        assert found
        return found[1]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Running] = []

    def run(*arguments: str, **options: Any) -> Running:
        started.append(Running(*arguments, **options))
        return started[-1]

    yield run
    for running in started:
        with suppress(ProcessLookupError):  # with its workers, which would hold on to what we read from
            os.killpg(running.process.pid, signal.SIGKILL)
        running.end(signal.SIGKILL)


@pytest.fixture
def place() -> Iterator[Path]:
    """A data directory that is not there yet."""
    parent = Path(tempfile.mkdtemp(prefix="gatehouse-start-"))
    parent.chmod(0o711)
    yield parent / "data"
    embedded.stop(parent / "data")
    shutil.rmtree(parent, ignore_errors=True)


def test_one_command_starts_it_and_the_link_makes_the_owner(start: Start, place: Path) -> None:
    """From nothing in under five seconds, from its data in under two (measured in `make bench`; here with room for a busy machine)."""
    up = start("up", "--port", "0", "--data-dir", str(place))
    said = up.until("Ctrl-C stops it")
    assert time.monotonic() - up.began < 40
    link = re.search(r"http://localhost:\d+/setup\?code=\S+", said)
    assert link
    browser = Browser(up.url)
    page = browser.open(link[0])
    fields = {"email": "owner@example.com", "name": "Olga", "password": "four words make one"}
    page = browser.send("/setup", csrf=page.field("csrf"), code=page.field("code"), **fields)
    assert "Olga" in page.text
    app = App(up.url)
    app.register()
    tokens = app.connect(browser)
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    assert httpx2.get(f"{up.url}/readyz").json()["status"] == "ready"
    assert up.end(signal.SIGINT) == 0
    assert "Traceback" not in up.said
    assert embedded.running(place) is None, "the database was stopped too"
    again = start("up", "--port", "0", "--data-dir", str(place))
    assert "/setup" not in again.until("Ctrl-C stops it")
    assert again.end(signal.SIGTERM) == 0
    assert embedded.running(place) is None


def test_the_lines_it_prints_work_as_they_stand(start: Start, place: Path) -> None:
    up = start("up", "--port", "0", GATEHOUSE_DATA_DIR=str(place))
    said = up.until("Ctrl-C stops it")
    environment = {**os.environ, "GATEHOUSE_DATA_DIR": str(place)}

    def paste(line: str) -> str:
        ran = subprocess.run(["sh", "-c", line], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    lines = [line.strip() for line in said.splitlines()]
    assert "WWW-Authenticate: Bearer" in paste(next(line for line in lines if line.startswith("curl -si"))).replace(
        "www-a", "WWW-A"
    )
    add = next(line for line in lines if "user add" in line).replace("YOU@EXAMPLE.COM", "me@example.com")
    assert "Added me@example.com" in paste(add)
    assert '"via":"cli"' in paste(next(line for line in lines if "tools/call" in line))
    up.end()


def test_kill_9_loses_nothing_and_the_next_start_works(start: Start, place: Path) -> None:
    up = start("up", "--port", "0", "--data-dir", str(place))
    up.until("Ctrl-C stops it")
    public_url = up.url
    environment = {"GATEHOUSE_DATA_DIR": str(place)}
    added = start("user", "add", "ada@example.com", "--password-stdin", **environment)
    assert added.process.wait(20) == 2, "no password came on standard input"
    key = subprocess.run(
        [sys.executable, "-m", "app", "user", "add", "ada@example.com", "--password-stdin"],
        input="four words make one\n",
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert key.returncode == 0, key.stderr
    app, browser = App(public_url), Browser(public_url)
    app.register()
    tokens = app.connect(browser)
    up.end(signal.SIGKILL)
    port = public_url.rsplit(":", 1)[1]
    again = start("up", "--port", port, "--data-dir", str(place))
    again.until("Ctrl-C stops it")
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    assert app.refresh(tokens["refresh_token"]).status_code == 200
    assert again.end() == 0


def test_who_forgot_to_name_their_database_is_told_of_the_new_one(start: Start, place: Path) -> None:
    listed = ("user", "list")
    code, said = start(*listed, GATEHOUSE_DATA_DIR=str(place)).sentence()
    assert code == 0
    assert f"made a new database in {place}" in said
    assert "GATEHOUSE_DATABASE_URL" in said
    code, said = start(*listed, GATEHOUSE_DATA_DIR=str(place)).sentence()
    assert code == 0
    assert "made" not in said


def test_two_starts_on_one_data_directory(start: Start, place: Path) -> None:
    first = start("up", "--port", "0", "--data-dir", str(place))
    first.until("Ctrl-C stops it")
    code, said = start("up", "--port", "0", "--data-dir", str(place)).sentence()
    assert code == 1
    assert f"already runs on {place}" in said
    assert "Traceback" not in said
    assert httpx2.get(f"{first.url}/healthz").status_code == 200


def test_a_port_in_use(start: Start, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = start("up", "--port", str(port), "--data-dir", str(place)).sentence()
    assert code == 1
    assert f"port {port} is in use" in said
    assert len(said.strip().splitlines()) == 1
    assert not place.exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://nobody:x@127.0.0.1:1/none", "cannot be reached"),
        ("postgresql://nobody:x@no-such-host.invalid/none", "cannot be reached"),
        ("mysql://x", "must start with postgresql://"),
        ("postgresql://nobody:x/y@127.0.0.1:1/none", "%XX"),
        ("", "GATEHOUSE_DATABASE_URL is not set"),
    ],
)
def test_a_wrong_database_url(start: Start, url: str, words: str) -> None:
    secret = "s" * 40
    serve = start(
        "serve", GATEHOUSE_DATABASE_URL=url, GATEHOUSE_PUBLIC_URL="https://mcp.example", GATEHOUSE_SECRET_KEY=secret
    )
    code, said = serve.sentence(30)
    assert code in (1, 2)
    assert words in said
    assert "Traceback" not in said
    assert "nobody:x" not in said


def test_every_fault_of_the_configuration_is_told_at_once(start: Start) -> None:
    code, said = start(
        "serve",
        GATEHOUSE_DATABASE_URL="postgresql://x@y/z",
        GATEHOUSE_PUBLIC_URL="http://mcp.example/",
        GATEHOUSE_SECRET_KEY="short",
        GATEHOUSE_ACCESS_TOKEN_LIFETIME="soon",
        GATEHOUSE_LOG_LEVEL="loud",
        GATEHOUSE_SINGUP="open",
        GATEHOUSE_SERVICE_HOST="10.0.0.1",
    ).sentence()
    assert code == 2
    for name in ("PUBLIC_URL", "SECRET_KEY", "ACCESS_TOKEN_LIFETIME", "LOG_LEVEL"):
        assert f"GATEHOUSE_{name} " in said
    assert "GATEHOUSE_SINGUP is not a setting; GATEHOUSE_SIGN_UP is" in said
    assert "SERVICE_HOST" not in said, "others have variables too, such as Kubernetes"
    assert "Traceback" not in said


def test_what_an_object_lacks_is_named(start: Start) -> None:
    given = '{"network": "a chain", "asset": "0x1", "pay_to": "0x2", "units_per_sat": 1, "fee": 1}'
    code, said = start(
        "serve",
        GATEHOUSE_DATABASE_URL="postgresql://x@y/z",
        GATEHOUSE_PUBLIC_URL="https://mcp.example",
        GATEHOUSE_SECRET_KEY="s" * 40,
        GATEHOUSE_FACILITATOR=given,
    ).sentence()
    assert code == 2
    assert "GATEHOUSE_FACILITATOR has no url" in said
    assert "GATEHOUSE_FACILITATOR: network: " in said
    assert "GATEHOUSE_FACILITATOR: fee: " in said
    assert "is not set" not in said


def test_production_wants_https_and_a_schema_that_is_current(start: Start, house: House) -> None:
    plain = start(
        "serve",
        GATEHOUSE_DATABASE_URL=house.dsn,
        GATEHOUSE_PUBLIC_URL="http://mcp.example",
        GATEHOUSE_SECRET_KEY="s" * 40,
    )
    code, said = plain.sentence()
    assert code == 2
    assert "must be https" in said
    house.sql("UPDATE alembic_version SET version_num = '0000'")
    try:
        behind = start(
            "serve",
            GATEHOUSE_DATABASE_URL=house.dsn,
            GATEHOUSE_PUBLIC_URL="https://mcp.example",
            GATEHOUSE_SECRET_KEY="s" * 40,
        )
        code, said = behind.sentence()
    finally:
        house.sql("UPDATE alembic_version SET version_num = :head", head=head())
    assert code == 1
    assert "needs migrations" in said


def test_another_secret_key_is_noticed_at_start(start: Start, house: House) -> None:
    wrong = start(
        "serve",
        GATEHOUSE_DATABASE_URL=house.dsn,
        GATEHOUSE_PUBLIC_URL="https://mcp.example",
        GATEHOUSE_SECRET_KEY="s" * 40,
    )
    code, said = wrong.sentence()
    assert code == 1
    assert "sealed with another GATEHOUSE_SECRET_KEY" in said


def two_workers(start: Start, house: House, port: int, **options: Any) -> Running:
    """They serve."""
    url = f"http://localhost:{port}"
    serve = start(
        "serve",
        "--workers",
        "2",
        "--port",
        str(port),
        GATEHOUSE_DATABASE_URL=house.dsn,
        GATEHOUSE_DRAIN_NOTICE="0",
        GATEHOUSE_PUBLIC_URL=url,
        GATEHOUSE_SECRET_KEY=house.settings.secret_key[0].get_secret_value(),
        **options,
    )
    serve.until('"event":"open"')
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and serve.process.poll() is None:
        with suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/readyz").status_code == 200:
                return serve
    raise AssertionError(f"it never opened:\n{serve.said}")


def test_two_workers_share_everything(start: Start, house: House) -> None:
    """All state is in Postgres: register, sign in, redeem and call on whichever worker answers; revocation reaches both."""
    house.add_user()
    port = free_port()
    url = f"http://localhost:{port}"
    serve = two_workers(start, house, port)
    app, browser = App(url), Browser(url)
    app.register()
    tokens = app.connect(browser)
    for _ in range(10):
        fresh = App(url)  # a connection of its own, so perhaps another worker
        assert fresh.call("whoami", tokens["access_token"]).status_code == 200
        tokens = app.refresh(tokens["refresh_token"]).json()
    app.http.post(f"{url}/revoke", data={"token": tokens["refresh_token"], "client_id": app.client_id})
    deadline, answers = time.monotonic() + 1, [200]
    while (
        time.monotonic() < deadline and answers[-10:] != [401] * 10
    ):  # one of them may have heard of it before the other
        answers.append(App(url).call("whoami", tokens["access_token"]).status_code)
    assert {App(url).call("whoami", tokens["access_token"]).status_code for _ in range(10)} == {401}
    assert serve.end() == 0


def test_workers_end_with_a_supervisor_that_was_killed(start: Start, house: House) -> None:
    """Nobody is left on the port, and the next start finds it free."""
    port = free_port()
    first = two_workers(start, house, port)
    assert first.end(signal.SIGKILL) == -signal.SIGKILL  # reads until the last worker has closed its output
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
    assert two_workers(start, house, port).end() == 0


def test_workers_of_a_checkout(start: Start, house: House, tmp_path: Path) -> None:
    """Through the command that deploy/link-command makes: each worker reads that file again before it begins."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    for name in ("lib", "lib64", "pyvenv.cfg"):
        if (Path(sys.prefix) / name).exists():
            (tmp_path / name).symlink_to(Path(sys.prefix) / name)
    subprocess.run(["sh", str(ROOT / "deploy" / "link-command"), str(tmp_path)], check=True)
    serve = two_workers(start, house, free_port(), program=(str(tmp_path / "bin" / "gatehouse"),), cwd=tmp_path)
    assert serve.end() == 0
    assert "Traceback" not in serve.said
    lines = [line for line in serve.said.splitlines() if not line.startswith("{")]
    assert not lines, "the log is JSON from its first line, whoever brings a handler of their own"


@pytest.mark.parametrize("command", ["up", "serve"])
def test_where_it_listens(start: Start, house: House, tmp_path: Path, command: str) -> None:
    """By its option, else the environment, else .env; what is empty in the environment is not set there."""
    ports = {name: free_port() for name in ("option", "environment", "file")}
    (tmp_path / ".env").write_text(f"GATEHOUSE_HOST=127.0.0.2\nGATEHOUSE_PORT={ports['file']}\n")
    given = {
        "cwd": tmp_path,
        "PYTHONPATH": str(ROOT),
        "GATEHOUSE_DATA_DIR": str(tmp_path),
        "GATEHOUSE_DATABASE_URL": house.dsn,
        "GATEHOUSE_PUBLIC_URL": "https://mcp.example",
        "GATEHOUSE_SECRET_KEY": SECRET_KEY,
        "GATEHOUSE_DRAIN_NOTICE": "0",
        "GATEHOUSE_TRUSTED_PROXIES": "",
        "GATEHOUSE_CA_FILE": "",
        "GATEHOUSE_ACCESS_TOKEN_LIFETIME": "",
    }
    opened = {"up": "Ctrl-C stops it", "serve": '"event":"open"'}[command]
    for options, environment, host, port in (
        ((), {"GATEHOUSE_PORT": ""}, "127.0.0.2", "file"),
        ((), {"GATEHOUSE_PORT": str(ports["environment"])}, "127.0.0.2", "environment"),
        (("--host", "127.0.0.3", "--port", str(ports["option"])), {"GATEHOUSE_PORT": "no"}, "127.0.0.3", "option"),
    ):
        running = start(command, *options, **given, **environment)
        running.until(opened)
        assert httpx2.get(f"http://{host}:{ports[port]}/healthz").status_code == 200
        assert running.end() == 0
    code, said = start(command, **given, GATEHOUSE_PORT="tcp://10.0.0.1:80").sentence()
    assert (code, said) == (2, "gatehouse: GATEHOUSE_PORT must be a number from 0 to 65535\n")


def test_further_authorities_that_are_not_there(start: Start, house: House, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for file, why in (("none.pem", "cannot be read: No such file"), ("empty.pem", "holds no certificates")):
        serve = start(
            "serve",
            GATEHOUSE_DATABASE_URL=house.dsn,
            GATEHOUSE_PUBLIC_URL="https://mcp.example",
            GATEHOUSE_SECRET_KEY=SECRET_KEY,
            GATEHOUSE_CA_FILE=str(tmp_path / file),
        )
        code, said = serve.sentence()
        assert code == 2
        assert f"GATEHOUSE_CA_FILE ({tmp_path / file}) {why}" in said
        assert "database" not in said
