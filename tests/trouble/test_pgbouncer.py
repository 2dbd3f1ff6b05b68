"""Behind PgBouncer in transaction mode, where each transaction may meet another connection: everything works, and the news comes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.servers import free_port
from tests.actors import App, Browser, Device, http
from tests.trouble import programs
from tests.trouble.gatehouse import Gatehouse, assert_bearable, serving, until
from tests.trouble.postgres import Postgres

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def bouncer(started: Postgres) -> Iterator[int]:
    """Its port. It has two connections for everybody, so that each of ours meets both."""
    name, folder, port = programs.program("pgbouncer"), Path(tempfile.mkdtemp(prefix="gatehouse-bouncer-")), free_port()
    text = programs.documented("ini").replace("host=10.0.0.5 port=5432", f"host=127.0.0.1 port={started.port}")
    text = text.replace("default_pool_size = 20", "default_pool_size = 2")
    text = text.replace("dbname=gatehouse", "dbname=gatehouse user=gatehouse")
    text += f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n"
    (folder / "pgbouncer.ini").write_text(text)
    programs.give(folder, folder / "pgbouncer.ini")
    with programs.running([name, str(folder / "pgbouncer.ini")], folder / "log", port):
        yield port
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def served(started: Postgres, bouncer: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    log = tmp_path_factory.mktemp("bounced") / "log"
    with serving(started.through(bouncer), log, direct_database_url=started.dsn) as gatehouse:
        yield gatehouse


def test_every_way_in_works(gatehouse: Gatehouse, browser: Browser) -> None:
    """Several at once, each step in any of the two connections."""

    def everything(_: int) -> None:
        app, person = App(gatehouse.url), Browser(gatehouse.url)
        app.register()
        tokens = app.connect(person)
        assert app.call("whoami", tokens["access_token"]).status_code == 200
        assert app.call("list_notes", tokens["access_token"]).status_code == 200
        for _ in range(5):
            tokens = app.refresh(tokens["refresh_token"]).json()
        key = person.http.post(f"{gatehouse.url}/api-keys", json={"name": "cron"}).json()["apiKey"]
        assert app.call("whoami", key).status_code == 200
        assert http().post(f"{gatehouse.url}/auth/token", json={"apiKey": key}).status_code == 200
        for path in ("/account", "/account/api-keys", "/account/sessions", "/account/usage", "/account/security"):
            assert person.open(path).status == 200
        device = Device.of(App(gatehouse.url))
        assert device.word() == "authorization_pending"

    with ThreadPoolExecutor(6) as people:
        list(people.map(everything, range(6)))


def test_a_revocation_is_heard_of_past_it(
    gatehouse: Gatehouse, app: App, browser: Browser, database: Postgres, bouncer: int, tmp_path: Path
) -> None:
    """In a second process, which learns of it by NOTIFY alone."""
    tokens, named = app.connect(browser), {"Host": urlsplit(gatehouse.url).netloc}
    settings = {"direct_database_url": database.dsn, "public_url": gatehouse.url}
    with serving(database.through(bouncer), tmp_path / "other", **settings) as other:
        elsewhere = App(other.url, client_id=app.client_id)
        assert elsewhere.call("whoami", tokens["access_token"], named).status_code == 200
        app.http.post(f"{app.url}/revoke", data={"token": tokens["refresh_token"], "client_id": app.client_id})
        until(lambda: elsewhere.call("whoami", tokens["access_token"], named).status_code == 401, 5, "heard")


def test_its_database_goes_and_comes_back(gatehouse: Gatehouse, app: App, browser: Browser, database: Postgres) -> None:
    tokens = app.connect(browser)
    database.kill()
    refused = app.refresh(tokens["refresh_token"])
    assert_bearable(refused)
    assert refused.status_code == 503
    database.start()
    assert gatehouse.becomes_ready(seconds=5) < 5
    assert until(lambda: app.refresh(tokens["refresh_token"]).status_code == 200, 5, "refreshed") < 5
