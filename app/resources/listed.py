"""The resources of this process as they are now: read at the start, and again when told to, all or nothing."""

from __future__ import annotations

from pathlib import Path

import structlog

from app.resources.read import ResourcesError, Source, parsed, text_of
from app.resources.served import Resources, built_in
from app.settings.read import Settings
from app.settings.variables import environment

FILE = "gatehouse.toml"
KEPT = "GATEHOUSE_RESOURCES_KEPT"  # its last text without a fault, for the workers of one supervisor
log = structlog.get_logger("gatehouse.resources")


class Listed:
    """One per process; `now` is replaced as a whole."""

    def __init__(self, settings: Settings) -> None:
        """Raises ResourcesError."""
        self._settings = settings
        try:
            self.now = self.read()
        except ResourcesError as fault:
            self.now = self._as_before(fault)

    def read(self) -> Resources:
        """What the file says at this moment, without serving it. Raises ResourcesError."""
        return listed(source_of(self._settings.resources_file, self._settings.data_dir), self._settings.issuer)

    def _as_before(self, fault: ResourcesError) -> Resources:
        """A worker that has to be replaced does not fall over a file that its supervisor would not hand on. Raises the fault
        where there is no supervisor."""
        text, source = environment().get(KEPT), source_of(self._settings.resources_file, self._settings.data_dir)
        if text is None or source is None:
            raise fault
        log.error("resources as they were before", faults=str(fault).splitlines())
        return parsed(text, source, self._settings.issuer)


def listed(source: Source | None, issuer: str) -> Resources:
    """What the file says; without one, the built-in tools alone. Raises ResourcesError."""
    if source is None:
        return Resources.of(issuer, [built_in(issuer)])
    return parsed(text_of(source), source, issuer)


def source_of(file: Path | None, data_dir: Path | None) -> Source | None:
    """The file that was set; else gatehouse.toml in the working directory or in the data directory, if it is there."""
    if file is None:
        folders = [folder for folder in (Path(), data_dir) if folder is not None]
        file = next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)
    return None if file is None else Source(file.absolute(), environment())
