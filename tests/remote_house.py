"""A Gatehouse whose tools are a remote server's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import House, emptied


@contextmanager
def in_front_of(dsn: str, url: str, **keys: Any) -> Iterator[House]:
    """`keys` are those of its resource in gatehouse.toml."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gatehouse.toml"
        named = {"path": "/mcp", "title": "A remote server", "url": url, **keys}
        lines = [f"{name} = {json.dumps(value)}" for name, value in named.items()]
        file.write_text("\n".join(["[resources.remote]", *lines]))
        house = House(dsn, resources_file=file).start()
        try:
            yield emptied(house)
        finally:
            house.stop()
