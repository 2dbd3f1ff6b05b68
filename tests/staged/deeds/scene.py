"""What is done in several steps, any of which the process may die at: how each begins, and what must hold when it died."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.actors import App, Browser
from tests.conftest import House
from tests.upstreams import Upstream


@dataclass
class Scene:
    """Ada, her browser, her app, her account elsewhere; everything is made ready at the house that stays up."""

    house: House
    browser: Browser
    app: App
    service: Upstream
    kept: dict[str, Any] = field(default_factory=dict)

    def count(self, table: str, where: str = "true") -> int:
        (row,) = self.house.sql(f"SELECT count(*) FROM {table} WHERE {where}")
        assert isinstance(row[0], int)
        return row[0]

    def noted(self, event: str) -> int:
        return self.count("audit_events", f"event = '{event}'")

    def mark(self, **counts: int) -> None:
        """How many there are of what the deed makes more of."""
        self.kept |= counts

    def same(self, *counts: int) -> bool:
        """Whether the deed was done: all of it or nothing of it."""
        assert set(counts) in ({0}, {1}), counts
        return counts[0] == 1


Request = tuple[str, dict[str, Any]]  # the path, and what httpx2 is to send


@dataclass(frozen=True)
class Deed:
    """`begin` makes everything ready and returns the request; `done` says by SQL whether it was done, and fails when it was
    done by halves; `go_on` is the client, who heard nothing and tries again elsewhere."""

    name: str
    begin: Callable[[Scene], Request]
    done: Callable[[Scene], bool]
    go_on: Callable[[Scene, bool], None]


def cookies(scene: Scene) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in scene.browser.http.cookies.items())}


def again(scene: Scene) -> httpx2.Response:
    """The same request, at the house that stays up."""
    path, options = scene.kept["request"]
    method = options.get("method", "POST")
    rest = {name: value for name, value in options.items() if name != "method"}
    return scene.app.http.request(method, scene.house.url + path, **rest)


def client(scene: Scene) -> dict[str, str]:
    return {"client_id": scene.app.client_id}
