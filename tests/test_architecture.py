"""The house rules, as tests: floors that only look down, SQL where it belongs, small files, refusals returned in transactions."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APP = ROOT / "app"
FILES = sorted(path for path in APP.rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts)

# A room imports from lower floors and from itself; a door between rooms of one floor is a line in DOORS.
FLOORS = {
    "__init__": 0,
    "__version__": 0,
    "protocol": 0,
    "asking": 0,
    "clock": 0,
    "measures": 0,
    "paths": 0,
    "settings": 1,
    "language": 1,
    "db": 1,
    "tokens": 2,
    "audit": 2,
    "bodies": 2,
    "hashing": 2,
    "later": 2,
    "lightning": 2,
    "limits": 2,
    "mail": 2,
    "outside": 2,
    "providers": 2,
    "remembered": 2,
    "replay": 2,
    "resources": 2,
    "traces": 2,
    "world": 3,
    "web": 4,
    "work": 5,
    "clients": 6,
    "connections": 6,
    "identities": 6,
    "payments": 6,
    "metering": 6,
    "agents": 7,
    "selling": 7,
    "users": 7,
    "upstream": 7,
    "oauth": 7,
    "api_keys": 7,
    "gate": 8,
    "admin": 8,
    "account": 8,
    "landing": 8,
    "operate": 8,
    "seals": 8,
    "backups": 8,
    "checkup": 9,
    "bridge": 9,
    "urls": 9,
    "house": 10,
    "main": 10,
    "cli": 11,
    "__main__": 12,
}
DOORS: set[tuple[str, str]] = {
    ("agents", "api_keys"),  # who a bearer token stands for
    ("oauth", "api_keys"),  # who a bearer token stands for, and what an API key authorizes
    ("oauth", "selling"),  # a payment is traded for a token
    ("selling", "agents"),  # a payment that was traded before
    ("oauth", "agents"),  # of an agent's session
    ("main", "house"),
    ("providers", "tokens"),  # what seals the secrets of providers
    ("providers", "outside"),  # and fetches what issuers publish
    ("oauth", "upstream"),  # where one service is the only way in, apps are allowed before
    ("upstream", "users"),  # signing in with a service ends as every way of signing in does
    ("tokens", "audit"),  # signing keys that come
    ("limits", "audit"),  # and limits that are reached
    ("bridge", "checkup"),  # how to read an address and a challenge from outside
}
SQL = {"db", "audit", "later", "limits", "replay", "world"}  # and every store.py
WORDS = {"Manager", "Service", "Helper", "Utils", "Base", "Abstract", "Impl", "Common"}


def room(path: Path) -> str:
    return path.relative_to(APP).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "app" else {node.module}
    return found


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in FILES} <= set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_floors_only_look_down(path: Path) -> None:
    ours = room(path)
    for module in imports(path):
        if module.startswith("app."):
            theirs = module.split(".")[1]
            lower = FLOORS[theirs] < FLOORS[ours]
            assert theirs == ours or lower or (ours, theirs) in DOORS, f"{name_of(path)} must not import {module}"


@pytest.mark.parametrize("path", [path for path in FILES if room(path) == "protocol"], ids=name_of)
def test_the_protocol_is_pure(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.AsyncFunctionDef, ast.Await))]
    for module in imports(path):
        top = module.split(".")[0]
        assert module.startswith("app.protocol") or top in __import__("sys").stdlib_module_names, module
        assert top not in {"asyncio", "socket", "os", "time", "random", "secrets"}, module
    assert ".now(" not in path.read_text(), "time is an argument"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_sql_stays_in_its_rooms(path: Path) -> None:
    allowed = room(path) in SQL or path.name == "store.py"
    source = path.read_text()
    for module in imports(path):
        if module.split(".")[0] in {"sqlalchemy", "asyncpg"} and not allowed:
            names = re.findall(r"from sqlalchemy\S* import (.+)", source)
            only_types = all(name.strip() in TYPES for line in names for name in line.split(","))
            assert only_types or name_of(path) in EXCEPTIONS, f"{name_of(path)} imports {module}"


TYPES = {"AsyncConnection", "AsyncEngine", "DBAPIError"}
EXCEPTIONS = {
    "app/operate/sweep.py",  # deletes of every table
    "app/web/sessions.py",  # a row a browser
    "app/web/http.py",  # says what the driver's faults mean
    "app/tokens/live.py",  # LISTEN needs a connection of its own
    "app/operate/tracing.py",  # hears of SQLAlchemy's statements
    "app/cli/doctor.py",  # asks Postgres for its version
}


def test_only_the_settings_and_the_command_line_read_the_environment() -> None:
    for path in FILES:
        if room(path) not in {"settings", "cli"} and name_of(path) != "app/db/directories.py":
            assert "os.environ" not in path.read_text(), name_of(path)


def test_only_one_place_signs_and_one_accepts() -> None:
    for path in FILES:
        source = path.read_text()
        if name_of(path) != "app/tokens/issue.py":
            assert "jwt.encode" not in source, name_of(path)
        if name_of(path) not in {"app/tokens/verify.py", "app/tokens/assertions.py"}:  # ours; others'
            assert "jwt.decode" not in source, name_of(path)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_small(path: Path) -> None:
    source = path.read_text()
    limit = 750 if name_of(path) == "app/db/tables.py" else 250
    assert len(source.splitlines()) <= limit, name_of(path)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name not in {"url_table", "router"}:
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 40, f"{name_of(path)}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", [*FILES, *TESTS], ids=name_of)
def test_the_first_line_says_what_the_file_is_for(path: Path) -> None:
    first = path.read_text().split("\n", 1)[0]
    assert re.match(r'""".{10,}', first), name_of(path)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_called_by_an_empty_word(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            words = set(re.findall(r"[A-Z][a-z]+", node.name))
            assert not words & WORDS, f"{name_of(path)}: {node.name}"


def is_transaction(node: ast.AsyncWith) -> bool:
    return any(ast.unparse(item.context_expr).endswith(".begin()") for item in node.items)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_inside_a_transaction_a_refusal_is_returned(path: Path) -> None:
    """A raise would roll back what the refusal learned: the revocation, the counter, the audit line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.AsyncWith) and is_transaction(node):
            for inner in ast.walk(node):
                assert not isinstance(inner, ast.Raise), f"{name_of(path)}:{inner.lineno} raises in a transaction"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_transaction_waits_for_a_hash_or_the_network(path: Path) -> None:
    slow = ("passwords.", "http.", "httpx2.", "asyncio.sleep", "read_body", "form(")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.AsyncWith) and is_transaction(node):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Await):
                    assert not ast.unparse(inner.value).startswith(slow), f"{name_of(path)}:{inner.lineno}"


def test_secrets_are_compared_in_constant_time() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(op, (ast.Eq, ast.NotEq)) for op in node.ops):
                text = ast.unparse(node)
                assert (
                    not re.search(r"\b(secret|csrf|mac|token|password)\b(?!\()", text.replace('"token', ""))
                    or "c." in text
                ), f"{name_of(path)}:{node.lineno}: {text}"


def test_the_specifications_are_where_the_readme_says() -> None:
    """Whoever has an RFC number finds the file: the table of the README, held against first lines."""
    rows = re.findall(r"^\| RFC (\d+)[^|]*\| (`[^|]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(rows) >= 12
    for number, files in rows:
        for file in re.findall(r"`([^`]+)`", files):
            path = APP / file
            assert path.is_file(), f"the README names {file}"
            head = path.read_text().split("\n\n", 1)[0]
            assert number in head or f"RFC {number}" in path.read_text(), f"{file} does not say RFC {number}"


def test_nothing_that_is_answered_may_be_forgotten_by_postgres() -> None:
    """A crash, or a failover, would make good again what was spent."""
    assert not [path.name for path in FILES if "synchronous_commit" in path.read_text()]
