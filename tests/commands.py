"""The operator's commands, each in a process of its own, forked from one that has imported the program, since that takes long."""

from __future__ import annotations

import os
import sys
import tempfile
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

ROOT = Path(__file__).parent.parent
forks = get_context("forkserver")
forks.set_forkserver_preload(["app.cli.commands", "app.main", "tests.commands", "tests.staged.replica"])


def run(
    arguments: tuple[str, ...], environment: dict[str, str], input: str = "", cwd: Path = ROOT, timeout: float = 60
) -> CompletedProcess[str]:
    """As `python -m app` with these arguments would. Raises TimeoutExpired."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-command-") as folder:
        streams = [str(Path(folder) / name) for name in ("in", "out", "err")]
        Path(streams[0]).write_text(input)
        process: ForkServerProcess = forks.Process(target=_command, args=(arguments, environment, cwd, streams))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired(arguments, timeout)
        out, err = (Path(stream).read_text() for stream in streams[1:])
        return CompletedProcess(arguments, process.exitcode, out, err)


def _command(arguments: tuple[str, ...], environment: dict[str, str], cwd: Path, streams: list[str]) -> None:
    """In the new process: nothing of the one that it was forked from but the imported modules."""
    for number, path in enumerate(streams):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["gatehouse", *arguments]
    from app.__main__ import main

    main()
