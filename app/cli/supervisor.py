"""`serve --workers N`: uvicorn's supervisor, which passes SIGHUP on to its workers instead of replacing them."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from app.resources.listed import listed, source_of
from app.resources.read import ResourcesError
from app.settings import Settings

log = structlog.get_logger("gatehouse.resources")


def supervised(settings: Settings, **options: Any) -> None:
    """Serves until it is told to end; `options` are uvicorn's."""
    config = uvicorn.Config("app.cli.worker:worker_app", factory=True, **options)
    Supervisor(config, settings).run()


class Supervisor(Multiprocess):
    """A file with faults is not handed on: every worker goes on with what it has."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config, [config.bind_socket()])
        self._settings = settings
        self._had_terminal = sys.stdin.isatty()

    def handle_hup(self) -> None:
        if self._had_terminal and not sys.stdin.isatty():  # it was closed
            self.should_exit.set()
            return
        try:
            listed(source_of(self._settings.resources_file, self._settings.data_dir), self._settings.issuer)
        except ResourcesError as fault:
            log.error("resources not reloaded", faults=str(fault).splitlines())
            return
        for process in self.processes:
            if process.pid is not None and process.process.is_alive():
                os.kill(process.pid, signal.SIGHUP)
