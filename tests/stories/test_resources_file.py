"""gatehouse.toml: every fault with its line, `gatehouse resource list|check`, and SIGHUP, after which everything is new or nothing."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from app.gate.known import CHECKED_CALLER
from bench.servers import free_port
from tests import commands, servers
from tests.actors import App, Browser, http
from tests.agents import agent
from tests.conftest import ROOT, House, emptied

HEAD = '[resources.one]\npath = "/mcp"\ntitle = "One"\n'
GOOD = HEAD + "builtin = true\n"
MORE = '\n[resources.two]\npath = "/two/mcp"\ntitle = "Two"\npython = "tests.servers:echo"\n'
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ELSEWHERE = '\n[resources.two]\npath = "/two"\ntitle = "Two"\nelsewhere = '

# What is written, where the fault is, what is said of it.
FAULTS = [
    ("[resources.one\n", 1, "Expected"),
    ('title = "a"\n\nresources = 5\n', 1, "title is not known here"),
    (HEAD + "builtin = true\nbuiltin = false\n", 5, "Cannot overwrite a value"),
    ("", 1, "resources is missing"),
    ("[resources]\n", 1, "resources must not be empty"),
    (HEAD, 1, "resources.one must have one of builtin = true, python, url and command"),
    (GOOD + 'python = "x:y"\n', 1, "must have one of"),
    (GOOD + 'titel = "x"\n', 5, "resources.one.titel is not known here; did you mean title?"),
    (GOOD + "idle = 5\n", 5, "resources.one.idle is only for command"),
    ('[resources.one]\ntitle = """a\nb"""\npath = "mcp"\nbuiltin = true\n', 4, "must be a path such as /github/mcp"),
    ('[resources.one]\ntitle = ""\npath = "/a/"\nbuiltin = 1\n', 4, "resources.one.builtin must be true or false"),
    ('[resources.one]\npath = "/.well-known/x"\ntitle = "x"\nbuiltin = true\n', 2, "must be a path"),
    ('[resources.one]\npath = "/account"\ntitle = "x"\nbuiltin = true\n', 2, "which this server needs itself"),
    (GOOD + GOOD.replace(".one", ".two"), 6, "as that of another resource"),
    (GOOD.replace(".one", ".One"), 1, "must be named in small letters"),
    (GOOD + '[resources.one.scopes]\nread = "x"\n', 5, "must have write, which the built-in tools need"),
    (GOOD + '[resources.one.tools]\na = "writ"\n', 6, "has writ, which is no scope here; they are read, write"),
    (GOOD + '[resources.one.tools]\na = { rate = "5" }\n', 6, "must be a rate such as 10/minute"),
    (
        GOOD + "[resources.one.tools.a]\nprice = -1\n",
        6,
        "resources.one.tools.a.price must be greater than or equal to 0",
    ),
    (GOOD + 'default = ["reed"]\n', 5, "has reed, which is no scope here"),
    (HEAD + 'python = "nonsense"\n', 4, "must be package.module:attribute"),
    (HEAD + 'url = "ftp://x"\n', 4, "must be an http or https URL"),
    (HEAD + 'url = "https://u:p@x"\n', 4, "must not hold credentials"),
    (HEAD + 'url = "https://x"\nsend = { secret = { env = "NO_SUCH" } }\n', 5, "names NO_SUCH, which the environment"),
    (HEAD + 'url = "https://x"\nsend = { secret = "abc" }\n', 5, "send.secret must be a table"),
    (HEAD + 'url = "https://x"\nsend = { secret = { file = "none" } }\n', 5, "names none, which cannot be read"),
    (HEAD + 'url = "https://x"\nsend = {}\n', 5, "must have a secret, or identity"),
    (HEAD + 'url = "https://x"\ncredentials = "github"\n', 5, 'must be "upstream:" and the name of a service'),
    (HEAD + 'url = "https://x"\ncredentials = "upstream:a"\nsend = { upstream = "a" }\n', 5, "one of them is enough"),
    (HEAD + 'url = "https://x"\nsend = { upstream = "A b" }\n', 5, "must be the name of a service"),
    (HEAD + 'url = "https://x"\nsend = { upstream = "a", scopes = ["a b"] }\n', 5, "resources.one.send.scopes"),
    (
        HEAD + 'url = "https://x"\nsend = { identity = "jwt", audience = "x", scopes = ["a"] }\n',
        5,
        "has scopes, which are only for upstream",
    ),
    (GOOD + 'credentials = "upstream:a"\n', 5, "resources.one.credentials is only for url"),
    (HEAD + 'url = "https://x"\nca_file = "none.pem"\n', 5, "which is no file"),
    (HEAD + 'elsewhere = "https://x/mcp"\n', 4, "must not be that of the default resource"),
    (GOOD + ELSEWHERE + '"https://x/"\n', 9, "must be an https URL as clients write it"),
    (GOOD + ELSEWHERE + '"https://X/mcp"\n', 9, "must be an https URL as clients write it"),
    (GOOD + ELSEWHERE + '"https://u:p@x/mcp"\n', 9, "must be an https URL as clients write it"),
    (GOOD + ELSEWHERE + '"https://x/mcp#a"\n', 9, "must be an https URL as clients write it"),
    (GOOD + ELSEWHERE + '"http://x/mcp"\n', 9, "must be https"),
    (GOOD + ELSEWHERE + '"https://mcp.example.com/mcp"\n', 9, "as that of another resource"),
    (GOOD + ELSEWHERE + '"https://mcp.example.com"\n', 9, "as that of another resource"),
    (HEAD + "command = []\n", 4, "resources.one.command must not be empty"),
    (HEAD + 'command = ["x"]\nenv = { A = 5 }\n', 5, "resources.one.env.A"),
    (HEAD + 'python = "a:b"\nscopes = { "one/x" = "x" }\n', 5, "begins like a scope of another resource"),
    (HEAD + 'python = "a:b"\nscopes = { openid = "x" }\n', 5, "has a meaning of its own here"),
    (HEAD + 'python = "a:b"\nscopes = { "a b" = "x" }\n', 5, "must be a word of letters"),
    (
        HEAD + 'python = "a:b"\n\n[resources.one.scopes]\na = { words = "x", implies = ["b"] }\n',
        7,
        "has b, which is no",
    ),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gatehouse.toml"
    path.write_text(GOOD)
    return path


def operator(*arguments: str, file: Path | None = None, cwd: Path = ROOT, **more: str) -> tuple[int, str]:
    given = {"GATEHOUSE_PUBLIC_URL": "https://mcp.example.com", "PATH": os.environ["PATH"], "HOME": str(cwd)}
    given |= {"PYTHONPATH": str(ROOT), "GATEHOUSE_DATA_DIR": str(cwd)} | more
    if file is not None:
        given["GATEHOUSE_RESOURCES_FILE"] = str(file)
    ran = commands.run(arguments, given, cwd=cwd)
    return ran.returncode, ran.stdout + ran.stderr


# Faults --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "line", "said"), FAULTS, ids=[said[:40] for _, _, said in FAULTS])
def test_a_fault_is_found(file: Path, text: str, line: int, said: str) -> None:
    file.write_text(text)
    code, printed = operator("resource", "check", file=file)
    assert code == 2, printed
    assert any(f"gatehouse.toml:{line}: " in row and said in row for row in printed.splitlines()), printed
    assert "Traceback" not in printed


def test_every_fault_is_told_at_once(file: Path) -> None:
    file.write_text(
        HEAD + 'builtin = true\nidle = 3\n\n[resources.one.tools]\nx = "a"\ny = "b"\n' + MORE + "most = 0\n"
    )
    _, printed = operator("resource", "check", file=file)
    assert [row.split(":")[1] for row in printed.splitlines() if "gatehouse.toml:" in row] == ["5", "8", "9", "15"]


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    code, printed = operator("resource", "check", file=tmp_path / "none.toml")
    assert (code, "cannot be read: No such file" in printed) == (2, True)
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe\0")
    code, printed = operator("resource", "check", str(tmp_path / "odd.toml"))
    assert (code, "cannot be read" in printed) == (2, True)
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000)
    assert operator("resource", "check", str(tmp_path / "deep.toml"))[0] == 2


def test_python_servers_are_imported_by_check(file: Path) -> None:
    for target, said in (
        ("no.such:thing", "no.such cannot be imported: ModuleNotFoundError"),
        ("tests.servers:nothing", "tests.servers has no nothing"),
        ("tests.servers:TOOLS", "neither an MCPServer, a FastMCP nor an ASGI app"),
    ):
        file.write_text(HEAD + f'python = "{target}"\n')
        code, printed = operator("resource", "check", file=file)
        assert (code, said in printed) == (1, True), printed
    file.write_text(HEAD + 'python = "mine:app"\n')
    (file.parent / "mine.py").write_text("async def app(scope, receive, send): ...\n")
    assert operator("resource", "check", file=file)[0] == 0, "beside the file"


# The list ------------------------------------------------------------------------------------------------------------


def test_the_list_names_no_secret(file: Path) -> None:
    file.write_text(HEAD + 'url = "https://inside/mcp"\nsend = { secret = { env = "TOKEN" }, prefix = "Bearer " }\n')
    code, printed = operator("resource", "list", "--json", file=file, TOKEN="hunter2")
    (row,) = json.loads(printed)
    assert (code, row["address"], row["backend"]) == (0, "https://mcp.example.com/mcp", "https://inside/mcp")
    assert "hunter2" not in printed


def test_where_the_file_is_looked_for(tmp_path: Path) -> None:
    """GATEHOUSE_RESOURCES_FILE, the working directory, the data directory; without any, the built-in tools at /mcp."""
    _, printed = operator("resource", "list", "--json", cwd=tmp_path)
    (row,) = json.loads(printed)
    assert (row["address"], row["backend"]) == ("https://mcp.example.com/mcp", "built-in tools")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "gatehouse.toml").write_text(GOOD.replace("/mcp", "/data/mcp"))
    data = str(tmp_path / "data")
    assert "/data/mcp" in operator("resource", "list", cwd=tmp_path, GATEHOUSE_DATA_DIR=data)[1]
    (tmp_path / "gatehouse.toml").write_text(GOOD.replace("/mcp", "/here/mcp"))
    assert "/here/mcp" in operator("resource", "list", cwd=tmp_path, GATEHOUSE_DATA_DIR=data)[1]


def test_without_mcp_the_first_is_the_default(file: Path) -> None:
    file.write_text(GOOD.replace("/mcp", "/b/mcp") + MORE)
    assert "default is https://mcp.example.com/b/mcp" in operator("resource", "check", file=file)[1]


def test_a_server_does_not_start_with_a_fault(house: House, file: Path) -> None:
    file.write_text(GOOD + "idle = 5\n")
    environment = house.environment() | {"GATEHOUSE_RESOURCES_FILE": str(file)}
    for command in (("serve", "--port", "0"), ("user", "list")):
        ran = commands.run(command, environment)
        assert (ran.returncode, "gatehouse.toml:5: resources.one.idle" in ran.stderr) == (2, True), ran.stderr


# Reloading -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def changing(dsn: str, file: Path) -> Iterator[House]:
    file.write_text(GOOD + MORE)
    servers.BEGUN.clear()
    house = House(dsn, resources_file=file).start()
    yield emptied(house)
    house.stop()


def reload(house: House) -> bool:
    assert house.app.house is not None
    return bool(house.wait_for(house.app.house.reload()))


def status(app: App, token: str, path: str) -> int:
    app.path = path
    return app.mcp(LIST, token).status_code


@pytest.fixture
def known(changing: House) -> tuple[App, str]:
    """An app with a token for the second resource."""
    changing.add_user()
    app, browser = App(changing.url), Browser(changing.url)
    app.register()
    return app, app.connect(browser, resource=f"{changing.url}/two/mcp")["access_token"]


def test_a_changed_rule_holds_at_once(changing: House, file: Path, known: tuple[App, str]) -> None:
    """The backend goes on: it is not started anew for it."""
    app, token = known
    assert status(app, token, "/two/mcp") == 200
    reader = app.connect(Browser(changing.url), resource=f"{changing.url}/two/mcp", scope="read")["access_token"]
    file.write_text(GOOD + MORE + 'tools = { x = { allow = false } }\nneeds = "write"\n')
    assert reload(changing)
    assert "Unknown tool" in app.call("x", token).json()["error"]["message"]
    assert status(app, reader, "/two/mcp") == 403
    for sent, code in ((reader, 403), (token, 200)):
        stream = app.http.get(f"{changing.url}/two/mcp", headers={"Authorization": f"Bearer {sent}"})
        assert stream.status_code == code
    assert servers.BEGUN == ["echo start"]


def test_resources_come_and_go(changing: House, file: Path, known: tuple[App, str]) -> None:
    app, token = known
    three = MORE.replace("two", "three").replace("servers:echo", "servers:lifeless")
    file.write_text(GOOD + three)
    assert reload(changing)
    assert servers.BEGUN == ["echo start", "echo stop"]
    assert status(app, token, "/two/mcp") == 404
    assert http().get(f"{changing.url}/.well-known/oauth-protected-resource/two/mcp").status_code == 404
    other = app.connect(Browser(changing.url), resource=f"{changing.url}/three/mcp")["access_token"]
    assert status(app, other, "/three/mcp") == 200
    file.write_text(GOOD + MORE)
    assert reload(changing)
    assert status(app, token, "/two/mcp") == 200


@pytest.mark.parametrize(
    "text",
    [
        GOOD + MORE + "idle = 5\n",
        "[",
        GOOD + MORE.replace("servers:echo", "servers:broken"),
        GOOD + MORE.replace("servers:echo", "servers:nothing").replace("/two", "/new"),
        GOOD + MORE.replace("two", "three") + MORE.replace("servers:echo", "servers:broken"),
    ],
)
def test_a_file_with_a_fault_changes_nothing(
    changing: House, file: Path, known: tuple[App, str], text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    app, token = known
    file.write_text(text)
    assert not reload(changing)
    assert "resources not reloaded" in "".join(capfd.readouterr())
    assert status(app, token, "/two/mcp") == 200
    assert http().get(f"{changing.url}/.well-known/oauth-protected-resource/three/mcp").status_code == 404
    assert servers.BEGUN.count("echo start") - servers.BEGUN.count("echo stop") == 1
    file.unlink()
    assert not reload(changing)
    assert status(app, token, "/two/mcp") == 200


def test_nothing_is_left_of_a_backend_that_did_not_start(changing: House, file: Path) -> None:
    file.write_text(GOOD + MORE.replace("servers:echo", "servers:stubborn"))
    assert not reload(changing)
    assert servers.BEGUN == ["echo start", "stubborn gone"]


def test_what_is_counted_and_remembered_outlives_a_reload(changing: House, known: tuple[App, str]) -> None:
    """Of the addresses that gatehouse.toml says nothing of, and of a resource of which it says the same as before."""
    robot = agent(changing, bits_floor=4, bits_ceiling=6)
    bits = [robot.start()["powChallenge"]["difficultyBits"] for _ in range(30)]
    assert bits[-1] > bits[0]
    url = f"{changing.url}/forward-auth?resource={changing.url}/two/mcp"
    counts, headers = changing.world.measures.counts, {"Authorization": f"Bearer {known[1]}"}
    assert http().get(url, headers=headers).status_code == 200
    checked = counts[CHECKED_CALLER]
    assert reload(changing)
    assert robot.start()["powChallenge"]["difficultyBits"] >= bits[-1]
    assert http().get(url, headers=headers).status_code == 200
    assert counts[CHECKED_CALLER] == checked


def test_a_call_that_runs_may_end(changing: House, file: Path, known: tuple[App, str]) -> None:
    """On the backend that is taken away; the next call finds the new one."""
    app, token = known
    app.path = "/two/mcp"
    entered, leave = threading.Event(), threading.Event()

    async def slow(scope: object, body: bytes, send: object) -> None:
        entered.set()
        while not leave.is_set():
            await __import__("asyncio").sleep(0.01)
        await servers.as_json(scope, body, send)  # type: ignore[arg-type]
        servers.BEGUN.append("answered")

    servers.echo.answer = slow
    answers: list[httpx2.Response] = []
    caller = threading.Thread(target=lambda: answers.append(app.mcp(LIST, token)))
    caller.start()
    assert entered.wait(10)
    file.write_text(GOOD)
    worker = threading.Thread(target=reload, args=(changing,))
    worker.start()
    deadline = time.monotonic() + 10
    while App(changing.url, path="/two/mcp").mcp(LIST, token).status_code != 404:
        assert time.monotonic() < deadline
    leave.set()
    caller.join(10)
    worker.join(20)
    servers.echo.answer = servers.as_json
    assert answers[0].status_code == 200
    assert servers.BEGUN == ["echo start", "answered", "echo stop"]


# SIGHUP, as a process hears it ---------------------------------------------------------------------------------------


@contextmanager
def serving(house: House, file: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """`gatehouse serve` in a process of its own: its handle, its address, its log."""
    port = free_port()
    url, log = f"http://localhost:{port}", file.parent / "log"
    environment = house.environment() | {"GATEHOUSE_RESOURCES_FILE": str(file), "GATEHOUSE_PUBLIC_URL": url}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve", "--port", str(port), *options],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: answered(f"{url}/healthz") == 200, log)
        yield process, url, log
    finally:
        process.terminate()
        process.wait(30)


def answered(url: str) -> int:
    try:
        return httpx2.get(url).status_code  # a new connection each time: any worker may answer
    except httpx2.TransportError:
        return 0


def until(holds: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_process_reloads_on_sighup(house: House, file: Path, workers: int) -> None:
    """All workers; none of them is replaced; a file with a fault is left aside and told of."""
    with serving(house, file, "--workers", str(workers)) as (process, url, log):
        metadata = f"{url}/.well-known/oauth-protected-resource"
        assert answered(f"{metadata}/two/mcp") == 404
        file.write_text(GOOD + MORE)
        process.send_signal(signal.SIGHUP)
        until(lambda: all(answered(f"{metadata}/two/mcp") == 200 for _ in range(20)), log)
        file.write_text(GOOD + MORE + "idle = 5\n")
        process.send_signal(signal.SIGHUP)
        until(lambda: "resources.two.idle is only for command" in log.read_text(), log)
        assert all(answered(f"{metadata}/two/mcp") == 200 for _ in range(20))
        file.write_text(GOOD)
        process.send_signal(signal.SIGHUP)
        until(lambda: all(answered(f"{metadata}/two/mcp") == 404 for _ in range(20)), log)
        assert "died" not in log.read_text()
        assert process.poll() is None


SUPERVISOR = """
import os, uvicorn
from app.cli.supervisor import Supervisor
from app.resources.listed import KEPT
from app.settings.read import load
supervisor = Supervisor(uvicorn.Config("app.cli.worker:worker_app", factory=True, port=0), load())
print(os.environ[KEPT] == TEXT, flush=True)
input()
supervisor.handle_hup()
print(os.environ[KEPT] == TEXT, flush=True)
"""


def test_a_supervisor_reads_the_file_once(house: House, tmp_path: Path) -> None:
    """What it keeps for workers is what it found good, though the file is another, or gone, a moment later: here a pipe,
    which can be read only once. A file that is gone is told of."""
    pipe = tmp_path / "gatehouse.toml"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-c", f"TEXT = {GOOD!r}\n{SUPERVISOR}"],
        cwd=ROOT,
        env=house.environment() | {"GATEHOUSE_RESOURCES_FILE": str(pipe)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            pipe.write_text(GOOD)
            assert select.select([process.stdout], [], [], 20)[0], "it waits for the file to be there once more"
            assert process.stdout.readline() == "True\n"
            pipe.unlink()
            told = process.communicate("\n", timeout=20)[0]
        finally:
            process.kill()
    assert "cannot be read: No such file or directory" in told
    assert told.endswith("True\n")


@pytest.mark.long
def test_a_new_worker_does_not_fall_over_a_file_with_a_fault(house: House, file: Path) -> None:
    """It serves what the others serve."""
    file.write_text(GOOD + MORE)
    with serving(house, file, "--workers", "2") as (process, url, log):
        metadata = f"{url}/.well-known/oauth-protected-resource"
        file.write_text("[")
        workers = workers_of(process.pid)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        until(lambda: log.read_text().count("resources as they were before") == 2, log)
        until(lambda: all(answered(f"{metadata}/two/mcp") == 200 for _ in range(20)), log)
        assert process.poll() is None


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
