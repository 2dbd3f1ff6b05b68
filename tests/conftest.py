"""What every test stands on: one real Postgres, one real server on a real socket, empty tables, a clock to turn."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
import uvicorn
from pydantic import SecretStr
from sqlalchemy import text

from app.cli.running import OPTIONS, Server, claimed
from app.db import embedded
from app.db.migrate import upgrade
from app.db.tables import metadata
from app.gate import server
from app.gate.server import Build
from app.main import create_app
from app.operate import sweep
from app.settings.read import Settings
from app.tokens.rotate import ensure_key
from app.users import accounts, passwords
from app.world import World
from tests import commands
from tests.actors import OPENED, PASSWORD, App, Browser
from tests.websites import Website, certificate

if TYPE_CHECKING:
    from tests.mailbox import Mailboxes

ROOT = Path(__file__).parent.parent
SECRET_KEY = "a key for tests that is long enough to seal with"
PRICED = Path(__file__).parent / "priced.toml"  # the built-in tools, for sats


# A sweep of its own accord, while a test has turned the clock by months, would leave nothing of the shared database's keys.
sweep.EVERY_SECONDS = 86400.0

HASHED: dict[str, str] = {}  # of passwords: a tenth of a second each
# What a test left is little: deleted in a moment, where TRUNCATE makes a new file for every table and index.
KEPT = {"signing_keys"}
DELETED = " ".join(f"DELETE FROM {table.name};" for table in reversed(metadata.sorted_tables) if table.name not in KEPT)
# The audit log only grows, but for those who say beforehand why it may not (migration 0012).
EMPTIED = f"DO $$ BEGIN PERFORM set_config('gatehouse.audit', 'tests', true); {DELETED} END $$"


class Clock:
    """The time of the server under test: the real one, turned forward by what a test asks for."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class House:
    """A Gatehouse that serves, and what an operator may do with it."""

    serving: ClassVar[list[House]] = []

    def __init__(self, dsn: str, build: Build = server.build, **options: object) -> None:
        self.dsn = dsn
        self.clock = Clock()
        self._listener = claimed("127.0.0.1", 0)
        self.url = f"http://localhost:{self._listener.getsockname()[1]}"
        given = {"public_url": self.url, "database_url": SecretStr(dsn), "secret_key": (SecretStr(SECRET_KEY),)}
        if (
            "public_url" in options
        ):  # then this is how a test reaches it, without the proxy that such an address stands for
            given["allowed_hosts"] = tuple(
                self.url.replace("localhost", name)[7:] for name in ("localhost", "127.0.0.1")
            )
        self.settings = Settings(**{"register_per_minute": 0, "log_level": "error", **given, **options})  # type: ignore[arg-type]
        self.app = create_app(self.settings, self.clock, build)
        self._ready = threading.Event()
        self._server = Server(uvicorn.Config(self.app, timeout_graceful_shutdown=2, **OPTIONS), self._ready.set)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._loop = asyncio.new_event_loop()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve([self._listener]))
        self._loop.close()

    def start(self) -> House:
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"
        self.serving.append(self)
        return self

    def stop(self) -> None:
        if self in self.serving:
            self.serving.remove(self)
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server did not stop"

    @property
    def world(self) -> World:
        assert self.app.world is not None
        return self.app.world

    def wait_for(self, work: object) -> object:
        """Runs a coroutine in the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(100)  # type: ignore[arg-type]

    def turn_clock(self, **by: float) -> None:
        """Time passes; the database is heard of again, as it would be within a second."""
        self.clock.ahead += timedelta(**by)
        self.wait_for(self.world.live.catch_up())

    def catch_up(self) -> None:
        """What LISTEN brings within a moment, brought now."""
        self.wait_for(self.world.live.catch_up())

    def sql(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        async def run() -> list[tuple[object, ...]]:
            async with self.world.db.execution_options(answer_within=100).begin() as db:
                # A test may write much on a busy computer, and wait for a sweep that deletes it.
                await db.execute(text("SET LOCAL statement_timeout = 0"))
                await db.execute(text("SET LOCAL lock_timeout = 0"))
                result = await db.execute(text(statement), values)
                return [tuple(row) for row in result] if result.returns_rows else []

        rows: list[tuple[object, ...]] = self.wait_for(run())  # type: ignore[assignment]
        # Without ORDER BY any order is right: here never the one that Postgres happened to take.
        promised = "ORDER BY" in statement
        return rows if promised else rows[::-1]

    def add_user(self, email: str = "ada@example.com", password: str = PASSWORD, *, admin: bool = False) -> str:
        """The id of a new user."""

        async def run() -> str:
            if password not in HASHED:
                HASHED[password] = await passwords.hashed(password, self.world.hashing)
            async with self.world.db.begin() as db:
                user = await accounts.create(db, email, "", HASHED[password], self.world.now(), is_admin=admin)
            assert user is not None
            return user.id

        return self.wait_for(run())  # type: ignore[return-value]

    def environment(self) -> dict[str, str]:
        """What an operator's command needs to find this database, and the mail server."""
        ours = {"DATABASE_URL": self.dsn, "PUBLIC_URL": self.url, "SECRET_KEY": SECRET_KEY}
        ours |= {"SIGN_UP": self.settings.sign_up}
        if self.settings.resources_file is not None:
            ours["RESOURCES_FILE"] = str(self.settings.resources_file)
        if self.settings.smtp_url is not None:
            ours |= {"SMTP_URL": self.settings.smtp_url.get_secret_value(), "MAIL_FROM": self.settings.mail_from or ""}
        if self.settings.providers is not None:
            ours |= {"PROVIDERS": self.settings.providers.get_secret_value()}
        return os.environ | {f"GATEHOUSE_{name}": value for name, value in ours.items()}

    def operator(self, *arguments: str, input: str = "", code: int = 0) -> str:
        """Runs a command as the operator would, against the same database; returns what it prints."""
        ran = commands.run(arguments, self.environment(), input)
        assert ran.returncode == code, ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr
        return ran.stdout + (ran.stderr if code else "")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def database() -> Iterator[str]:
    """A migrated database of its own, gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="gatehouse-tests-"))
    place.chmod(0o711)  # as root, Postgres runs as somebody else, who has to pass through
    with embedded.hold(place):
        try:
            url = embedded.start(place).dsn
            upgrade(url)
            yield url
        finally:
            embedded.stop(place)
            shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    with database() as url:
        yield url


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the web sites under test, which the server trusts."""
    return certificate(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def website(authority: Path) -> Iterator[Website]:
    """Somebody else's, empty."""
    site = Website(authority)
    yield site
    site.close()


@pytest.fixture(scope="session")
def served(dsn: str, authority: Path) -> Iterator[House]:
    house = House(dsn, ca_file=authority, lightning_url=SecretStr("pretend:")).start()
    yield house
    house.stop()


@pytest.fixture
def house(served: House) -> Iterator[House]:
    """The server, with nobody and nothing in it but its signing key."""
    yield emptied(served)
    left(served)


def emptied(served: House) -> House:
    served.clock.ahead = timedelta(0)
    # Another minute for the trace, which takes so many steps of one address: the whole suite comes from one.
    served.world.traces.has_room("nobody", served.clock() + timedelta(minutes=5))
    for other in (each for each in House.serving if each.dsn == served.dsn):
        # What any of them has counted or seen, and writes in a while, is not the next test's.
        other.wait_for(other.world.tally.flush())
        other.wait_for(other.world.traces.flush())
    served.sql(EMPTIED)
    if not served.sql("SELECT FROM signing_keys WHERE signs_from <= :now", now=served.clock()):
        # The sweep came by while the clock was turned by months, and left the keys of that time only.
        served.sql("DELETE FROM signing_keys")
        keys, lifetime = served.world.secrets.signing_keys, served.world.token_lifetime
        served.wait_for(ensure_key(served.world.db, keys, served.clock(), lifetime=lifetime))
        served.wait_for(served.world.live.load_keys())
        served.sql(EMPTIED)
    served.world.providers.look_again()
    served.catch_up()
    return served


def left(served: House) -> None:
    """What looks after payments in it shares its database with that of the next test, and must agree on the time."""
    served.clock.ahead = timedelta(0)
    while OPENED:
        OPENED.pop().close()


@pytest.fixture(scope="session")
def mailboxes() -> Iterator[Mailboxes]:
    """Where the letters of `mailing` arrive."""
    from tests.mailbox import Mailboxes

    boxes = Mailboxes()
    yield boxes
    boxes.close()


def with_mail(dsn: str, mailboxes: Mailboxes) -> House:
    url = SecretStr(f"smtp://localhost:{mailboxes.port}?tls=none")
    proxies = (ip_network("127.0.0.0/8"),)  # so that a test can come from many places
    sender = "Gatehouse <no-reply@example.com>"
    return House(dsn, smtp_url=url, mail_from=sender, sign_up="open", trusted_proxies=proxies)


@pytest.fixture(scope="session")
def served_with_mail(dsn: str, mailboxes: Mailboxes) -> Iterator[House]:
    house = with_mail(dsn, mailboxes).start()
    yield house
    house.stop()


@pytest.fixture
def mailing(served_with_mail: House, mailboxes: Mailboxes) -> Iterator[House]:
    """As `house`, with a mail server, and anybody may sign up."""
    mailboxes.sent(served_with_mail)
    mailboxes.refuse.clear()
    yield emptied(served_with_mail)
    left(served_with_mail)


@pytest.fixture(scope="session")
def served_for_sats(dsn: str) -> Iterator[House]:
    house = House(dsn, lightning_url=SecretStr("pretend:"), resources_file=PRICED, paid_scope=("read", "write")).start()
    yield house
    house.stop()


@pytest.fixture
def shop(served_for_sats: House) -> Iterator[House]:
    """As `house`; its tools cost sats, anybody may pay, and its node pretends."""
    yield emptied(served_for_sats)
    left(served_for_sats)


@pytest.fixture
def browser(house: House) -> Browser:
    """Nobody is signed in yet."""
    return Browser(house.url)


@pytest.fixture
def app(house: House) -> App:
    """A registered public client; ada@example.com has an account."""
    house.add_user()
    app = App(house.url)
    app.register()
    return app
