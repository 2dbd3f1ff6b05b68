"""`serve --workers N`: uvicorn's supervisor, which passes SIGHUP on to its workers instead of replacing them."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from app.cli.running import OPTIONS
from app.resources.listed import KEPT, source_of
from app.resources.read import ResourcesError, parsed, text_of
from app.settings.read import Settings

LONGEST = 100_000  # of a variable of the environment
log = structlog.get_logger("gatehouse.resources")


def supervised(settings: Settings, **options: Any) -> None:
    """Serves until it is told to end; `options` are uvicorn's."""
    options |= {"loop": "uvloop", "timeout_graceful_shutdown": settings.drain_seconds, **OPTIONS}
    config = uvicorn.Config("app.cli.worker:worker_app", factory=True, **options)
    with ExitStack() as stack:
        if (
            settings.metrics_token is not None and settings.metrics_dir is None
        ):  # where the workers' numbers are added up
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="gatehouse-measures-"))
            os.environ["GATEHOUSE_METRICS_DIR"] = place
        Supervisor(config, settings).run()


class Supervisor(Multiprocess):
    """A file with faults is not handed on: every worker goes on with what it has."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config, [config.bind_socket()])
        self._settings = settings
        self._had_terminal = sys.stdin.isatty()
        self._keep()

    def init_processes(self) -> None:
        with _born_deaf():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        with _born_deaf():
            super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        super().terminate_all()
        for listener in self.sockets:
            listener.close()  # when the last worker has closed its own, nobody is left to wait for an answer

    def handle_hup(self) -> None:
        if self._had_terminal and not sys.stdin.isatty():  # it was closed
            self.should_exit.set()
            return
        try:
            self._keep()
        except ResourcesError as fault:
            log.error("resources not reloaded", faults=str(fault).splitlines())
            return
        for process in self.processes:
            if process.pid is not None and process.process.is_alive():
                os.kill(process.pid, signal.SIGHUP)

    def _keep(self) -> None:
        """What the file says, for workers that start later. Raises ResourcesError."""
        source = source_of(self._settings.resources_file, self._settings.data_dir)
        if source is not None:
            text = text_of(source)  # once: what is kept is what was found good
            parsed(text, source, self._settings.issuer)
            os.environ.pop(KEPT, None)
            if len(text) < LONGEST:
                os.environ[KEPT] = text


@contextmanager
def _born_deaf() -> Iterator[None]:
    """Processes that start now keep SIGHUP waiting until they listen to it, instead of dying of it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
