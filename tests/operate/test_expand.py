"""Expand, then contract: this release's code on the schema of the next, and migrations that take nothing away too early."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from app.db.migrate import head, upgrade
from tests.actors import App, Browser, Device, http
from tests.conftest import ROOT, House
from tests.stories.test_starting import Start, start
from tests.test_migrations import fresh_database

__all__ = ["start"]
NEXT = f"{int(head()) + 1:04d}"
# What a migration of the next release may do while this one still serves: more of everything, nothing less.
EXPANDED = f"""
ALTER TABLE users ADD COLUMN nickname text;
ALTER TABLE connections ADD COLUMN colour text NOT NULL DEFAULT 'green';
ALTER TABLE codes ADD COLUMN invented_at timestamptz;
ALTER TABLE clients ADD COLUMN rating integer CHECK (rating > 0);
CREATE TABLE inventions (id text PRIMARY KEY, user_id text REFERENCES users (id) ON DELETE CASCADE);
CREATE INDEX ix_connections_colour ON connections (colour);
CREATE FUNCTION mirrored() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.nickname = NEW.name; RETURN NEW; END $$;
CREATE TRIGGER mirrored BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION mirrored();
UPDATE alembic_version SET version_num = '{NEXT}';
"""
LAST_OF_BEFORE = "0013"  # up to here there was no release that could have served meanwhile
TAKES_AWAY = re.compile(
    r"\b(drop\s+(table|column)|rename|set\s+not\s+null|alter\s+column\s+\w+\s+(set\s+data\s+)?type)\b",
    re.IGNORECASE,
)


@pytest.fixture
def later(dsn: str) -> Iterator[House]:
    """This release, on the schema of the next."""
    url = fresh_database(dsn, "schema_of_the_next_release")
    upgrade(url)
    asyncio.run(run(url, EXPANDED))
    house = House(url).start()
    yield house
    house.stop()


async def run(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statements)
    await connection.close()


def test_this_release_works_on_the_schema_of_the_next(later: House, start: Start) -> None:
    later.add_user()
    app, browser = App(later.url), Browser(later.url)
    app.register()
    tokens = app.connect(browser)
    refreshed = app.refresh(tokens["refresh_token"]).json()
    assert app.call("add_note", refreshed["access_token"], text="still here").status_code == 200
    page = browser.open("/account/api-keys")
    made = browser.send("/account/api-keys", csrf=page.field("csrf"), name="laptop", scope="read")
    assert made.status == 200
    gadget = Device.of(App(later.url))
    gadget.decide(browser)
    assert gadget.poll().status_code == 200
    app.http.post(f"{later.url}/revoke", data={"token": refreshed["refresh_token"], "client_id": app.client_id})
    later.catch_up()
    assert app.call("whoami", refreshed["access_token"]).status_code == 401
    assert http().get(f"{later.url}/readyz").status_code == 200
    assert "ada@example.com" in later.operator("user", "list")
    assert "Nothing to do" in later.operator("migrate"), "the older program leaves it alone"


def test_a_schema_that_took_something_away_is_refused(later: House) -> None:
    """A contracting migration says which code it leaves behind, on the table that Alembic keeps."""
    later.sql(f"COMMENT ON TABLE alembic_version IS '{NEXT}'")
    assert http().get(f"{later.url}/readyz").status_code == 503
    assert "newer Gatehouse" in later.operator("migrate", code=1)
    later.sql(f"COMMENT ON TABLE alembic_version IS '{head()}'")
    assert http().get(f"{later.url}/readyz").status_code == 200


def faults(path: Path) -> list[str]:
    """What the upgrade of a migration takes away from code that still serves."""
    tree = ast.parse(path.read_text())
    (up,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"]
    found = []
    for node in ast.walk(up):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and TAKES_AWAY.search(node.value):
            found.append(f"line {node.lineno}: {node.value.strip()[:80]}")
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, given = node.func.attr, {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in ("drop_table", "drop_column", "rename_table"):
            found.append(f"line {node.lineno}: {name}")
        if name == "alter_column" and given.keys() & {"new_column_name", "type_"}:
            found.append(f"line {node.lineno}: another name or type")
        if name == "alter_column" and given.get("nullable") == "False":
            found.append(f"line {node.lineno}: set not null")
        if name == "add_column" and "nullable=False" in ast.unparse(node) and "server_default" not in ast.unparse(node):
            found.append(f"line {node.lineno}: a column that older code leaves out must be nullable or have a default")
    return found


def migrations() -> list[Path]:
    return sorted(path for path in (ROOT / "migrations" / "versions").glob("*.py") if path.name[:4] > LAST_OF_BEFORE)


@pytest.mark.parametrize("path", migrations(), ids=lambda path: path.stem)
def test_no_migration_takes_away_what_code_that_serves_still_needs(path: Path) -> None:
    """Unless it says `CONTRACTS = "0014"`: from the release with that revision on, no code uses what goes; and tells the database."""
    contracts = re.search(r'^CONTRACTS = "(\d{4})"', path.read_text(), re.MULTILINE)
    if contracts is None:
        assert faults(path) == [], f"{path.name}: expand first, contract a release later (docs/operate.md)"
    else:
        assert contracts[1] < path.name[:4], "what no longer uses it was released before"
        assert f"COMMENT ON TABLE alembic_version IS '{contracts[1]}'" in path.read_text().replace('"', "'")


@pytest.mark.parametrize(
    "step",
    [
        'op.drop_column("users", "name")',
        'op.drop_table("users")',
        'op.rename_table("users", "people")',
        'op.alter_column("users", "name", new_column_name="called")',
        'op.alter_column("users", "language", nullable=False)',
        'op.execute("ALTER TABLE users ALTER COLUMN language SET NOT NULL")',
        'op.execute("ALTER TABLE users RENAME COLUMN name TO called")',
        'op.add_column("users", sa.Column("age", sa.Integer(), nullable=False))',
    ],
)
def test_what_is_found(step: str, tmp_path: Path) -> None:
    (tmp_path / "0099_x.py").write_text(f"def upgrade():\n    {step}\n\n\ndef downgrade():\n    pass\n")
    assert faults(tmp_path / "0099_x.py")
