"""The master key changes while the server runs: everything sealed is brought to the new one, and nobody notices."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

from pydantic import SecretStr

from app.db.tables import metadata
from app.seals import store
from app.tokens.secrets import Secrets
from tests import commands, factors
from tests.actors import App, Browser
from tests.conftest import SECRET_KEY, House
from tests.providers import configured
from tests.upstream.test_vault import call, connect, said
from tests.upstreams import Upstream, house_with

NEW = "another key for tests that is long enough to seal with"


def as_operator(house: House, keys: str, *arguments: str, code: int = 0) -> str:
    ran = commands.run(arguments, house.environment() | {"GATEHOUSE_SECRET_KEY": keys})
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_everything_sealed_is_sealed_anew(house: House, browser: Browser, acme: Upstream) -> None:
    """old,new → new,old → `seal rotate` → the old one opens nothing any more, and tools go on."""
    house.add_user()
    browser.sign_in()
    factors.set_up(house, browser)
    connect(browser)
    configured(house, stored=acme.definition())
    before = json.loads(as_operator(house, SECRET_KEY, "seal", "status", "--json"))
    assert all(count["older"] == 0 and count["newest"] >= 1 for count in before), before
    status = json.loads(as_operator(house, f"{NEW},{SECRET_KEY}", "seal", "status", "--json"))
    assert all(count["newest"] == 0 for count in status)
    said_by = as_operator(house, f"{NEW},{SECRET_KEY}", "seal", "rotate")
    assert "tokens of users elsewhere: 1 sealed anew" in said_by
    assert "Keep the older key" in said_by
    try:
        after = json.loads(as_operator(house, NEW, "seal", "status", "--json"))
        assert all((count["older"], count["lost"]) == (0, 0) and count["newest"] >= 1 for count in after), after
        assert [kind.name for kind in store.KINDS] == [count["kind"] for count in after]
        # A server with the new key first, beside one with the old one first: both do their work.
        both = house_with(
            house.dsn, {"acme": acme.definition()}, secret_key=(SecretStr(NEW), SecretStr(SECRET_KEY))
        ).start()
        try:
            both.clock.ahead = house.clock.ahead
            app = App(both.url)
            app.register()
            visitor = Browser(both.url)
            page = visitor.sign_in()
            assert "/login/second" in page.url
        finally:
            both.stop()
        lost = as_operator(house, SECRET_KEY, "seal", "rotate", code=1)
        assert "cannot be opened with any key" in lost
    finally:
        as_operator(house, f"{SECRET_KEY},{NEW}", "seal", "rotate")
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'seals.rotated'") == [(2,)]


def test_tools_go_on_under_either_key(house: House, browser: Browser, acme: Upstream) -> None:
    """A process that has both keys refreshes what the other has sealed."""
    house.add_user()
    browser.sign_in()
    app = App(house.url)
    app.register()
    app.token_of_ada = app.connect(browser)["access_token"]  # type: ignore[attr-defined]
    connect(browser)
    secrets = Secrets.of((SECRET_KEY, NEW))
    [(sealed, user, provider, row)] = house.sql("SELECT sealed, user_id, provider, id FROM upstream_accounts")
    context = "\0".join((str(user), str(provider), str(row))).encode()
    assert isinstance(sealed, bytes)
    assert secrets.upstream_tokens.resealed(sealed, context) is None
    anew = Secrets.of((NEW, SECRET_KEY)).upstream_tokens.resealed(sealed, context)
    assert anew is not None
    assert secrets.upstream_tokens.open(anew, context) == secrets.upstream_tokens.open(sealed, context)
    assert said(call(app))["said"]["name"] == "Ada Lovelace"


def test_everything_that_is_sealed_and_kept_is_among_them() -> None:
    """Flows to services end after ten minutes; what is sealed in an address is nowhere in the database."""
    sealed = {table.name for table in metadata.sorted_tables if "sealed" in table.c}
    assert sealed == {kind.table.name for kind in store.KINDS} | {"upstream_flows"}


def test_what_was_refreshed_meanwhile_stays(house: House, browser: Browser, acme: Upstream) -> None:
    """Between reading and writing a call refreshes: its tokens are not overwritten with those of before."""
    house.add_user()
    browser.sign_in()
    connect(browser)
    kind = next(kind for kind in store.KINDS if kind.table.name == "upstream_accounts")

    async def rotate() -> bool:
        async with house.world.db.begin() as db:
            [(row, before)] = await store.batch(db, kind, None)
        async with house.world.db.begin() as db:
            await db.execute(kind.table.update().values(sealed=b"refreshed"))
        async with house.world.db.begin() as db:
            return await store.reseal(db, kind, row, before, b"sealed anew")

    assert house.wait_for(rotate()) is False
    assert house.sql("SELECT sealed FROM upstream_accounts") == [(b"refreshed",)]


def test_nobody_notices(house: House, acme: Upstream) -> None:
    """Calls go on, and refresh, while another process seals everything anew: none of them fails."""
    keys = (SecretStr(SECRET_KEY), SecretStr(NEW))
    both = house_with(house.dsn, {"acme": acme.definition()}, secret_key=keys).start()
    try:
        both.clock.ahead = house.clock.ahead
        both.add_user()
        browser = Browser(both.url)
        browser.sign_in()
        app = App(both.url)
        app.register()
        app.token_of_ada = app.connect(browser)["access_token"]  # type: ignore[attr-defined]
        connect(browser)
        done = threading.Event()
        refreshes = "UPDATE upstream_accounts SET expires_at = refreshed_at + interval '1 second'"

        def calls() -> int:
            count = 0
            while not done.is_set() or not count:
                both.sql(refreshes)
                assert said(call(app))["said"]["name"] == "Ada Lovelace"
                count += 1
            return count

        with ThreadPoolExecutor(1) as thread:
            calling = thread.submit(calls)
            said_by = as_operator(both, f"{NEW},{SECRET_KEY}", "seal", "rotate")
            done.set()
            assert calling.result(30) > 1
        assert "signing keys: 2 sealed anew" in said_by
        both.sql(refreshes)
        assert said(call(app))["said"]["name"] == "Ada Lovelace"
        assert both.sql("SELECT broken_at FROM upstream_accounts") == [(None,)]
    finally:
        both.stop()
        as_operator(house, f"{SECRET_KEY},{NEW}", "seal", "rotate")
