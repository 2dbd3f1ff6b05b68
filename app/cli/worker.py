"""A worker of `serve --workers N`: it ends with its supervisor, however that ends, so that the port is free for the next start."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.process import BaseProcess

from app.cli.operating import setting
from app.main import Gatehouse, create_app
from app.operate import logs


def worker_app() -> Gatehouse:
    """The app, in a process that uvicorn's supervisor has made."""
    logs.configure(setting("LOG_LEVEL") or "info")  # before the SDK brings a handler of its own
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_follow, args=(supervisor,), name="supervisor", daemon=True).start()
    return create_app()


def _follow(supervisor: BaseProcess) -> None:
    supervisor.join()  # a signal that nobody can catch leaves no other trace of itself
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)  # the second ends it without notice: the next start needs the port
