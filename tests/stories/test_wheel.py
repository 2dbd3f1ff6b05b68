"""The built wheel runs where there is no checkout: templates and migrations are inside, the command is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="gatehouse-wheel-"))
    place.chmod(0o711)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def test_the_wheel_runs_in_an_empty_environment(elsewhere: Path) -> None:
    """The Dockerfile's own steps: build the wheel, install it without its source, run its command from another folder."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(elsewhere), str(ROOT)]
    built = subprocess.run(build, capture_output=True, text=True, timeout=100)
    assert built.returncode == 0, built.stderr
    wheel = next(elsewhere.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert {"app/templates/consent.html", "app/migrations/env.py", "app/migrations/versions/0001_first.py"} <= set(
        names
    )
    assert not [name for name in names if name.startswith(("tests", "bench"))]

    venv.create(elsewhere / "venv", with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(elsewhere / "venv")}))
    # The dependencies are those of this environment, so that nothing is fetched; the product itself is the wheel's.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--prefix", str(elsewhere / "venv"), str(wheel)], check=True, timeout=60)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GATEHOUSE_", "PYTHON"))}
    python = str(elsewhere / "venv" / "bin" / "python")
    where = subprocess.run(
        [python, "-c", "import app; print(app.__file__)"], cwd=elsewhere, env=clean, capture_output=True, text=True
    )
    assert str(elsewhere) in where.stdout
    command = next((elsewhere / "venv" / "bin").glob("gatehouse"))
    ran = subprocess.run(
        [python, str(command), "demo"], cwd=elsewhere, env=clean, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Done" in ran.stdout
