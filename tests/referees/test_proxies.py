"""nginx and Caddy as the documentation configures them, before a real server: no fault; and what the doctor finds when they are wrong."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.checkup.findings import Finding, Verdict
from app.checkup.snippets import AUTHORIZATION, BUFFERING, SCHEME, SLASH, WELL_KNOWN, WHOLE, snippet
from bench.servers import free_port
from tests.conftest import House
from tests.doors import certificate
from tests.stories.test_doctor_url import failures, looked_at


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


@contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """Until the port answers, and no longer than the block."""
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"HOME": str(folder)}
    ) as process:
        try:
            asyncio.run(_answers(port, process))
            yield
        finally:
            process.terminate()
            process.wait(10)


async def _answers(port: int, process: subprocess.Popen[str]) -> None:
    async with asyncio.timeout(20):
        while True:
            assert process.poll() is None, process.stdout and process.stdout.read()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0)
                continue
            writer.close()
            return


@pytest.fixture
def behind(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[House, int]]:
    """A server that knows its public https address, and the port where a proxy is to stand in front of it."""
    _, authority = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    port = free_port()
    house = House(dsn, public_url=f"https://localhost:{port}", allowed_hosts=()).start()
    yield house, port
    house.stop()


def nginx(folder: Path, house: House, port: int, inside: str) -> list[str]:
    """The documented words, with this test's ports and files."""
    inside = inside.replace("127.0.0.1:8000", house.url.replace("http://localhost", "127.0.0.1"))
    inside = re.sub(r"/etc/\S+/fullchain\.pem", str(folder / "server.pem"), inside)
    inside = re.sub(r"/etc/\S+/privkey\.pem", str(folder / "server.key"), inside)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; user root; pid {folder}/pid; error_log stderr;\nevents {{}}\nhttp {{ access_log off; {paths}\n"
        + inside.replace("443 ssl", f"127.0.0.1:{port} ssl")
        + "}\n"
    )
    return [program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]


def caddy(folder: Path, house: House, port: int, inside: str) -> list[str]:
    inside = inside.replace("127.0.0.1:8000", house.url.replace("http://localhost", "127.0.0.1"))
    inside = inside.replace("localhost {", f"https://localhost:{port} {{\n\ttls server.pem server.key", 1)
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + inside)
    return [program("caddy"), "run", "--config", "Caddyfile", "--adapter", "caddyfile"]


COMMANDS = {"nginx": nginx, "caddy": caddy}


def seen_through(proxy: str, behind: tuple[House, int], folder: Path, inside: str) -> tuple[dict[str, Finding], str]:
    house, port = behind
    with running(COMMANDS[proxy](folder, house, port, inside), port, folder):
        return looked_at(f"https://localhost:{port}/mcp")


@pytest.mark.parametrize("proxy", ["nginx", "caddy"])
def test_the_documented_configuration_has_no_fault(proxy: str, behind: tuple[House, int], tmp_path: Path) -> None:
    found, said = seen_through(proxy, behind, tmp_path, snippet(proxy, WHOLE, "localhost"))
    assert not failures(found), said
    assert found["tls"].verdict is found["hsts"].verdict is Verdict.PASSED, said


def whole(words: str) -> str:
    """The documented server, with other words inside."""
    text = snippet("nginx", WHOLE, "localhost")
    return text[: text.index("    location /")] + words + "\n}\n"


PASS = "proxy_pass http://127.0.0.1:8000; proxy_set_header Host $http_host;"
WRONG = {
    "slash": (f"location /mcp/ {{ {PASS} }} location /.well-known/ {{ {PASS} }}", {"redirects"}),
    "well-known": (f"location ~ /\\. {{ deny all; }} location / {{ {PASS} }}", {"document at path", "metadata"}),
    "authorization": (f'location / {{ {PASS} proxy_set_header Authorization ""; }}', {"authorization arrives"}),
    "host": ("location / { proxy_pass http://127.0.0.1:8000; }", {"post without token"}),
    "bots": (
        f"location / {{ if ($http_user_agent ~* claude) {{ return 403; }} {PASS} }}",
        {"programs get in"},
    ),
    "down": ("location / { proxy_pass http://127.0.0.1:9; }", {"post without token", "get without token"}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_nginx_is_seen_for_what_it_is(wrong: str, behind: tuple[House, int], tmp_path: Path) -> None:
    words, expected = WRONG[wrong]
    found, said = seen_through("nginx", behind, tmp_path, whole(words))
    assert expected <= failures(found), said
    assert "nginx:\n" in said, said


CURED = {
    SLASH: "".join(
        f"location {path} {{ {PASS} }}\n" for path in ("/token", "/register", "/authorize", "/.well-known/")
    ),
    WELL_KNOWN: f"location ~ /\\. {{ deny all; }} location / {{ {PASS} }}\n",
    SCHEME: "",
    AUTHORIZATION: "",
    BUFFERING: "",
}


@pytest.mark.parametrize("topic", CURED)
def test_the_printed_words_cure(topic: str, behind: tuple[House, int], tmp_path: Path) -> None:
    """What was wrong, with the snippet in it; where it is no location, inside the one for everything."""
    words = snippet("nginx", topic)
    host = "" if topic == SCHEME else "proxy_set_header Host $http_host;"
    inside = CURED[topic] + words
    if not CURED[topic]:
        inside = f"location / {{ proxy_pass http://127.0.0.1:8000; {host}\n{words}\n}}"
    found, said = seen_through("nginx", behind, tmp_path, whole(inside))
    assert not failures(found), said
