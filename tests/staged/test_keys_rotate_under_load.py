"""Signing keys rotated twenty times while two replicas issue and verify: no verification fails, here or at others (RFC 7517 §5)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx2
import jwt
import pytest

from app.db.engine import engine as engine_of
from app.tokens.keyring import PUBLISHED_BEFORE
from app.tokens.rotate import rotate
from app.tokens.secrets import Secrets
from tests.actors import App, Browser
from tests.conftest import SECRET_KEY
from tests.staged.conftest import Database
from tests.staged.people import add_ada, at
from tests.staged.replica import Replica, replicas

pytestmark = pytest.mark.long

ROTATIONS = 20
MAX_AGE = 300  # seconds that the key set may be kept, by its Cache-Control
SIGNATURE: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False}  # this is about keys
PUBLIC = "http://localhost:8000"


@dataclass
class Load:
    """What went on meanwhile."""

    failed: list[str] = field(default_factory=list)
    verified: int = 0
    over: bool = False


class Careful:
    """A resource server that keeps the key set as long as it may and never asks in between, whatever `kid` comes."""

    def __init__(self, url: str, now: Callable[[], float]) -> None:
        self._url, self._now = url, now
        self._keys: dict[str, Any] = {}
        self._until = 0.0

    def key(self, token: str) -> Any:
        if self._now() >= self._until:
            answer = httpx2.get(f"{self._url}/.well-known/jwks.json", trust_env=False, timeout=30)
            assert f"max-age={MAX_AGE}" in answer.headers["cache-control"]
            self._keys = {one["kid"]: jwt.PyJWK(one).key for one in answer.json()["keys"]}
            self._until = self._now() + MAX_AGE
        return self._keys[jwt.get_unverified_header(token)["kid"]]


@pytest.fixture(scope="module", autouse=True)
def ada(shared: Database) -> None:
    asyncio.run(add_ada(shared.dsn))


@pytest.fixture
def pair(shared: Database) -> Iterator[tuple[Replica, Replica]]:
    """Their clocks stand, and are turned together."""
    now = time.time()
    # What was revoked may be heard of late: here minutes pass at a stroke, in which nobody can ask.
    options = {"frozen_at": now, "public_url": PUBLIC, "revocation_staleness": 10_000}
    with replicas(shared.dsn, 2, **options) as (one, other):
        yield one, other


@pytest.fixture
def turned(pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    """PyJWT's own clock goes with those of the replicas: it keeps a key set for so long, and asks anew only so often."""
    clock = SimpleNamespace(monotonic=lambda: pair[0].clock.value)
    for module in ("api_jwk", "jwk_set_cache", "jwks_client"):
        monkeypatch.setattr(f"jwt.{module}.time", clock)


def publish(dsn: str, now: float) -> None:
    """As the button and the command do."""

    async def work() -> None:
        engine = engine_of(dsn, 2)
        moment = datetime.fromtimestamp(now, UTC)
        await rotate(engine, Secrets.of((SECRET_KEY,)).signing_keys, moment, lifetime=timedelta(seconds=3600))
        await engine.dispose()

    asyncio.run(work())


def published(replica: Replica) -> set[str]:
    """The names of its keys."""
    answer = httpx2.get(f"{replica.url}/.well-known/jwks.json", trust_env=False, timeout=30)
    return {key["kid"] for key in answer.json()["keys"]}


@contextmanager
def going_on(work: Callable[[], None], load: Load) -> Iterator[None]:
    """Again and again in a thread of its own, until the block ends."""

    def run() -> None:
        while not load.over:
            try:
                work()
                load.verified += 1
            except Exception as fault:
                load.failed.append(f"{type(fault).__name__}: {fault}")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        load.over = True
        thread.join()


@pytest.mark.usefixtures("turned")
def test_twenty_rotations_and_no_failed_verification(shared: Database, pair: tuple[Replica, Replica]) -> None:
    one, other = pair
    browser = Browser(one.url)
    apps = [App(replica.url) for replica in pair]
    for app in apps:
        app.register()
    held = [at(app, one).connect(browser) for app in apps]
    pyjwt = jwt.PyJWKClient(f"{other.url}/.well-known/jwks.json", lifespan=MAX_AGE)
    careful = [Careful(replica.url, lambda: one.clock.value) for replica in pair]
    load, seen = Load(), set[str]()

    def verify_everywhere() -> None:
        for number, app in enumerate(apps):
            issuer, verifier = (one, other) if number else (other, one)
            held[number] = at(app, issuer).refresh(held[number]["refresh_token"]).json()
            token = held[number]["access_token"]
            seen.add(jwt.get_unverified_header(token)["kid"])
            for replica in (verifier, issuer):
                answer = at(app, replica).call("whoami", token)
                assert answer.status_code == 200, answer.text
            for key in (pyjwt.get_signing_key_from_jwt(token).key, *(party.key(token) for party in careful)):
                jwt.decode(token, key, algorithms=["ES256"], options=SIGNATURE)

    with going_on(verify_everywhere, load):
        for _ in range(ROTATIONS):
            before = published(one) | published(other)
            publish(shared.dsn, one.clock.value)
            # Heard by both; then there are minutes for everybody.
            while not all(published(replica) - before for replica in pair):
                time.sleep(0.005)
            until = load.verified + 2
            while load.verified < until and not load.failed:  # upcoming: published, signing nothing
                time.sleep(0.005)
            for _ in range(2):  # and a client that asked a moment before it was published has it by then
                for replica in pair:
                    replica.clock.value += PUBLISHED_BEFORE.total_seconds() / 2
                for replica in pair:
                    replica.catch_up()
                until = load.verified + 2
                while load.verified < until and not load.failed:
                    time.sleep(0.005)
    assert not load.failed, load.failed[:3]
    assert len(seen) == ROTATIONS + 1, "each of them signed"
    assert load.verified >= ROTATIONS * 6


def test_all_keys_at_once(shared: Database, pair: tuple[Replica, Replica]) -> None:
    """Somebody presses the button twenty times."""
    one, other = pair
    app = App(one.url)
    app.register()
    tokens = app.connect(Browser(one.url))
    for _ in range(ROTATIONS):
        publish(shared.dsn, one.clock.value)
    for replica in pair:
        assert at(app, replica).call("whoami", tokens["access_token"]).status_code == 200
        replica.clock.value += PUBLISHED_BEFORE.total_seconds() + 1
    for replica in pair:
        replica.catch_up()
    renewed = at(app, other).refresh(tokens["refresh_token"]).json()
    for token in (tokens["access_token"], renewed["access_token"]):
        assert at(app, one).call("whoami", token).status_code == 200
        key = jwt.PyJWKClient(f"{one.url}/.well-known/jwks.json").get_signing_key_from_jwt(token)
        assert key.algorithm_name == "ES256"
