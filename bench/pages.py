"""The pages of people: what rendering one costs the server, and what it weighs as it travels, with its files (packed)."""

from __future__ import annotations

import re
from dataclasses import replace
from http.client import HTTPConnection

from app.web.flow import sealed, step
from bench.jobs import Job, request, same
from bench.scene import Scene, pending

ROOMS = tuple(f"/account/{room}" for room in ("api-keys", "sessions", "usage", "security", "profile")) + tuple(
    f"/admin{room}"
    for room in ("", "/users", "/clients", "/connections", "/api-keys", "/attempts", "/audit", "/settings")
)
LINKED = re.compile(rb'(?:src|href)="(/static/[^"]+)"')


def page_jobs(scene: Scene) -> list[Job]:
    """Signed in, but for the sign-in."""
    now = scene.world.now()
    asked = sealed(replace(pending(scene.client_id, scene.world, now), prompt=("consent",)), scene.world)
    pages = (
        ("front", "/", scene.cookie),
        ("sign-in", step("/login", asked), ""),
        ("consent", step("/consent", asked), scene.cookie),
        ("account", "/account", scene.cookie),
        *((path[1:], path, scene.cookie) for path in ROOMS),
    )
    return [
        Job(f"page: {name}", same(request("GET", path, scene.port, cookie=cookie), 200, b"</html>"), page=path)
        for name, path, cookie in pages
    ]


def weight(scene: Scene, path: str) -> float | None:
    """The page and every file that it names, as they travel, in kB. None for what is no page."""
    if not path:
        return None
    html = fetched(scene, path)
    return sum(map(len, [html, *(fetched(scene, found.decode()) for found in set(LINKED.findall(html)))])) / 1000


def fetched(scene: Scene, path: str) -> bytes:
    connection = HTTPConnection("127.0.0.1", scene.port, timeout=10)
    try:
        connection.request("GET", path, headers={"Cookie": scene.cookie, "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        assert answer.status == 200, f"{answer.status} for {path}"
        return answer.read()
    finally:
        connection.close()
