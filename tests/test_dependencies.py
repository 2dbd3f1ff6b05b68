"""Version floors with a CVE behind them, and a lock file that names hashes and no address."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "pyjwt": "2.13.0",  # CVE-2026-32597 crit, CVE-2026-48524, GHSA-jq35-7prp-9v3f algorithm allow-list
    "authlib": "1.7.2",  # CVE-2026-27962 jwk header, CVE-2026-28802 alg none, CVE-2026-44681 open redirect
    "starlette": "1.3.1",  # CVE-2026-54283 form limits, CVE-2026-48710 Host, CVE-2025-62727 Range
    "python-multipart": "0.0.31",  # CVE-2026-24486, CVE-2026-40347
    "h11": "0.16.0",  # CVE-2025-43859 chunk terminator
    "mcp": "2.3.0",  # CVE-2025-66416 rebinding, CVE-2026-52870 principals
    "jinja2": "3.1.6",  # CVE-2025-27516 sandbox
    "cryptography": "46.0.0",
}


def parts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@pytest.mark.parametrize("package", FLOORS)
def test_no_version_with_a_known_hole(package: str) -> None:
    assert parts(version(package)) >= parts(FLOORS[package])


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_pins_with_hashes_and_names_no_address(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    pinned = [line for line in lines if re.match(r"[a-z0-9]", line)]
    assert len(pinned) > 50
    for line in pinned:
        assert "==" in line, line
    assert sum("--hash=sha256:" in line for line in lines) >= len(pinned)
    assert not [line for line in lines if "://" in line or "--index" in line or "find-links" in line]


def test_the_node_lock_pins_with_hashes_and_names_no_address() -> None:
    """The registry is the one that npm is set to."""
    place = ROOT / "tests" / "referees" / "node"
    packages = json.loads((place / "package-lock.json").read_text())["packages"]
    wanted = packages.pop("")
    assert len(packages) > 100
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
    assert "://" not in (place / "package-lock.json").read_text()
    asked = json.loads((place / "package.json").read_text())
    for kind in ("dependencies", "optionalDependencies"):
        assert asked[kind] == wanted[kind]
        assert not [
            version for version in asked[kind].values() if not re.search(r"(^|@)\d+\.\d+\.\d+[-.a-z0-9]*$", version)
        ]


def test_what_is_installed_is_what_is_locked() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    for package in FLOORS:
        assert re.search(rf"^{package}==", lock, re.MULTILINE | re.IGNORECASE), package
