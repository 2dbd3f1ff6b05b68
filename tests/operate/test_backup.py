"""A backup taken while it serves, sealed; and after a restore nothing that was used since can be used again."""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from app.backups import sealed_file
from app.backups.sealed_file import CHUNK, About, BadBackup
from app.backups.store import KEPT, VOIDED
from app.db.migrate import upgrade
from app.db.tables import metadata
from tests import commands, factors
from tests.actors import App, Browser, Device
from tests.conftest import House
from tests.holders import Holder
from tests.operate.replicas import wait_until
from tests.test_migrations import fresh_database

ABOUT = About(datetime(2026, 11, 21, tzinfo=UTC), "0014", "1")


class Site:
    """A house with a database of its own, which is taken down and put up again, at the same address to all who ask."""

    def __init__(self, dsn: str, stack: ExitStack, file: Path) -> None:
        self.file = file
        self._stack = stack
        self.dsn = fresh_database(dsn, "backed_up")
        upgrade(self.dsn)
        self.house = House(self.dsn).start()
        self.url = self.house.url
        self.house.add_user()
        self.house.add_user("eve@example.com")

    def operator(self, *arguments: str, code: int = 0, variables: dict[str, str] | None = None, **settings: str) -> str:
        given = self.house.environment() | {f"GATEHOUSE_{name}": value for name, value in settings.items()}
        given |= variables or {}
        ran = commands.run(arguments, given)
        assert ran.returncode == code, ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr
        return ran.stdout + ran.stderr

    def restored(self) -> House:
        self.house.stop()
        self.operator("restore", str(self.file), "--replace")
        self.house = House(self.dsn, public_url=self.url).start()
        self._stack.callback(self.house.stop)
        return self.house

    def eve(self) -> Browser:
        """Signed in."""
        browser = Browser(self.house.url)
        browser.sign_in(email="eve@example.com")
        return browser


@pytest.fixture
def site(dsn: str, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(dsn, stack, tmp_path / "gatehouse.backup")


def refusal(response: Any) -> str:
    word: str = response.json()["error"]
    return word


def test_what_was_used_since_the_backup_cannot_be_used_again(site: Site) -> None:
    """Codes, refresh tokens, device codes, access tokens that were revoked, DPoP proofs, links, browser sessions."""
    house = site.house
    app, refreshing, revoked = App(site.url), App(site.url), App(site.url)
    for each in (app, refreshing, revoked):
        each.register()
    eve = site.eve()
    code, tokens, ended = app.code(eve), refreshing.connect(eve), revoked.connect(eve)
    gadget = Device.of(App(site.url))
    gadget.decide(eve)
    link = house.operator("user", "reset-password", "ada@example.com").split("code=")[1].split()[0]
    cookies = dict(eve.http.cookies)

    assert "Only the secret key opens it" in site.operator("backup", str(site.file))

    holder = Holder(app, house)
    proof = holder.proof("POST", "/token")
    assert holder.redeem(code, proof).status_code == 200
    assert gadget.poll().status_code == 200
    moved = refreshing.refresh(tokens["refresh_token"]).json()
    revoked.http.post(f"{site.url}/revoke", data={"token": ended["refresh_token"], "client_id": revoked.client_id})
    eve.send("/logout", csrf=eve.open("/account").field("csrf"))

    house = site.restored()
    for each in (app, refreshing, revoked, gadget.app):
        each.url = house.url
    host = {"Host": site.url.removeprefix("http://")}
    assert refusal(app.redeem(code)) == "invalid_grant"
    assert refusal(gadget.poll()) in ("invalid_grant", "expired_token")
    for token in (tokens, moved, ended):
        assert refusal(refreshing.refresh(token["refresh_token"])) == "invalid_grant"
        assert refreshing.call("whoami", token["access_token"], host).status_code == 401
    assert house.sql("SELECT count(*) FROM connections WHERE revoked_at IS NULL") == [(0,)]
    assert Browser(house.url).open(f"/password?code={link}").status == 410
    late = Browser(house.url)
    late.http.cookies.update(cookies)
    assert "/login" in late.open("/account").url

    fresh = site.eve()
    again = app.code(fresh, resource=f"{site.url}/mcp")
    assert refusal(holder.redeem(again, proof)) == "invalid_dpop_proof"
    app.url = site.url
    young = holder.proof("POST", "/token")
    app.url = house.url
    assert refusal(holder.redeem(again, young)) == "invalid_dpop_proof", "for a minute: clocks of clients may be ahead"
    house.turn_clock(seconds=62)
    app.url = site.url
    holder.house = house
    later = holder.proof("POST", "/token")
    app.url = house.url
    assert holder.redeem(app.code(fresh, resource=f"{site.url}/mcp"), later).status_code == 200


def test_second_steps_that_were_used_since_are_used(site: Site) -> None:
    house = site.house
    browser = Browser(site.url)
    browser.sign_in()
    phone = factors.set_up(house, browser)
    site.operator("backup", str(site.file))
    code, recovery = phone.next_code(), phone.recovery[0]
    for typed in ({"code": code}, {"recovery": recovery}):
        there = Browser(site.url)
        assert "/account" in factors.second_step(there, factors.first_step(there), **typed).url
    ahead = house.clock.ahead
    late = Browser(site.url)
    halfway = factors.first_step(late)

    house = site.restored()
    house.clock.ahead = ahead
    for typed in ({"code": code}, {"recovery": recovery}, {"recovery": phone.recovery[1]}):
        there = Browser(house.url)
        assert factors.second_step(there, factors.first_step(there), **typed).status == 400
    house.turn_clock(seconds=90)
    phone.house = house
    late.url = house.url
    assert "/account" not in factors.second_step(late, halfway, code=phone.code()).url, "half of before is nothing now"
    there = Browser(house.url)
    assert "/account" in factors.second_step(there, factors.first_step(there), code=phone.code()).url


def test_what_people_and_scripts_keep(site: Site) -> None:
    """Passwords, API keys, apps and what they were allowed: connecting again asks for a sign-in and no more."""
    key = site.house.operator("api-key", "add", "laptop", "--user", "eve@example.com", "--quiet").strip()
    app = App(site.url)
    app.register()
    app.connect(site.eve())
    site.operator("backup", str(site.file))
    house = site.restored()
    host = {"Host": site.url.removeprefix("http://")}
    app.url = house.url
    assert app.call("whoami", key, host).status_code == 200
    page = site.eve().open(app.authorize_url(resource=f"{site.url}/mcp"))
    assert page.left_to is not None, "no consent is asked for"
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'database.restored'") == [(1,)]


def test_a_backup_is_of_one_moment_while_flows_go_on(site: Site) -> None:
    over = threading.Event()
    faults: list[str] = []

    def flows() -> None:
        app, eve = App(site.url), site.eve()
        app.register()
        while not over.is_set():
            answer = app.refresh(app.connect(eve)["refresh_token"])
            faults.extend([] if answer.status_code == 200 else [answer.text])

    people = [threading.Thread(target=flows, daemon=True) for _ in range(3)]
    for person in people:
        person.start()
    wait_until(lambda: site.house.sql("SELECT count(*) > 2 FROM connections") == [(True,)], 30)
    site.operator("backup", str(site.file))
    over.set()
    for person in people:
        person.join(30)
    assert not faults
    house = site.restored()
    orphans = """SELECT count(*) FROM audit_events a WHERE event = 'token.issued' AND detail->>'grant' <> 'api_key'
        AND NOT EXISTS (SELECT FROM connections c WHERE c.id = a.detail->>'connection')"""
    assert house.sql(orphans) == [(0,)]
    assert house.sql("SELECT count(*) > 0 FROM connections") == [(True,)]


def test_refusals_leave_everything_as_it_is(site: Site) -> None:
    site.operator("backup", str(site.file))
    assert stat.S_IMODE(site.file.stat().st_mode) == 0o600
    assert b"eve@example.com" not in site.file.read_bytes()
    assert "exists already" in site.operator("backup", str(site.file), code=1)
    assert "stop every replica" in site.operator("restore", str(site.file), "--replace", code=1)
    site.house.stop()
    assert "not empty" in site.operator("restore", str(site.file), code=1)
    other = site.operator(
        "restore", str(site.file), "--replace", code=1, SECRET_KEY="another key of forty characters or so!!"
    )
    assert "another GATEHOUSE_SECRET_KEY" in other
    whole = site.file.read_bytes()
    site.file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "damaged" in site.operator("restore", str(site.file), "--replace", code=1)
    assert "eve@example.com" in site.operator("user", "list")
    assert "give the FILE" in site.operator("restore", code=2)
    assert "signs in again" in site.operator("restore", "--mark-only")


def test_nothing_is_deleted_for_what_cannot_be_brought_back(site: Site, tmp_path: Path) -> None:
    """Not for want of a program that can read it."""
    site.operator("backup", str(site.file))
    site.house.stop()
    older = {
        "pg_dump": "echo 'pg_dump (PostgreSQL) 18.0'",
        "pg_restore": "echo 'unsupported version (1.99)' >&2; exit 1",
    }
    for name, script in older.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    before = os.environ["PATH"]
    said = site.operator("restore", str(site.file), "--replace", code=1, variables={"PATH": f"{tmp_path}:{before}"})
    assert "nothing was changed" in said
    assert "unsupported version" in said
    assert "eve@example.com" in site.operator("user", "list")


def test_a_database_that_only_a_socket_leads_to(site: Site) -> None:
    """postgresql:///name?host=/run/…, which Python's urlunsplit makes postgresql:/name of."""
    site.house.stop()
    parts = urlsplit(site.dsn)
    by_query = f"postgresql://{parts.path}?{parts.query}&user={parts.username}&password={parts.password}"
    assert "Only the secret key" in site.operator("backup", str(site.file), DATABASE_URL=by_query)


def test_a_restore_that_was_cut_short_does_not_start(site: Site) -> None:
    """Between the rows and what is void of them no Gatehouse takes the database for ready."""
    site.house.sql("DELETE FROM alembic_version")
    site.house.stop()
    assert "migrations" in site.operator("user", "list", code=1)


def test_a_secret_key_that_is_lost_is_replaced(site: Site) -> None:
    """Passwords and apps stay; phones' codes are set up anew."""
    app = App(site.url)
    app.register()
    app.connect(site.eve())
    browser = Browser(site.url)
    browser.sign_in()
    factors.set_up(site.house, browser)
    site.house.stop()
    new: dict[str, Any] = {"SECRET_KEY": "another key of forty characters or so!!"}
    assert "restore --mark-only" in site.operator("token", "--user", "eve@example.com", code=1, **new)
    site.operator("restore", "--mark-only", **new)
    site.house = House(site.dsn, public_url=site.url, secret_key=(SecretStr(new["SECRET_KEY"]),)).start()
    try:
        app.url = site.house.url
        app.connect(site.eve(), resource=f"{site.url}/mcp")
        there = Browser(site.house.url)
        assert factors.second_step(there, factors.first_step(there), code="123456").status == 400
        site.operator("user", "reset-factors", "ada@example.com", **new)
        Browser(site.house.url).sign_in()
    finally:
        site.house.stop()


def test_every_table_has_its_word() -> None:
    """Whoever adds a table decides what a restore makes of it."""
    assert set(VOIDED) | KEPT == set(metadata.tables)
    assert not set(VOIDED) & KEPT


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_the_file_gives_back_what_went_in(size: int) -> None:
    plain = bytes(size)
    line, file = sealed(plain)
    assert b"".join(sealed_file.opened(file, line, ("x" * 32, "k" * 32))) == plain


@pytest.mark.parametrize("harm", ["cut", "longer", "swapped", "head"])
def test_a_file_that_was_changed_is_refused(harm: str) -> None:
    line, file = sealed(bytes(3 * CHUNK))
    whole = file.read()
    block = CHUNK + 16
    parts = {
        "cut": whole[: 2 * block],
        "longer": whole + b"x",
        "swapped": whole[block : 2 * block] + whole[:block] + whole[2 * block :],
        "head": whole,
    }
    line = line.replace(b"0014", b"0013") if harm == "head" else line
    with pytest.raises(BadBackup):
        list(sealed_file.opened(io.BytesIO(parts[harm]), line, ("k" * 32,)))


def sealed(plain: bytes) -> tuple[bytes, io.BytesIO]:
    file = io.BytesIO()
    sealed_file.write(file, ABOUT, iter([plain]), ("k" * 32,))
    file.seek(0)
    _, line = sealed_file.about(file)
    return line, file
