"""The load from several processes at once: one of them fills no more than one or two workers, since it runs on one core itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import uvloop

from bench import cores
from bench.load import BadAnswer, Script, Task, drive

MOST = 1_000_000  # requests a round


@dataclass(frozen=True, slots=True)
class Load:
    """For each connection the bytes that it sends, one after the other; `again` and again, or each once."""

    slots: list[list[bytes]]
    status: int
    marker: bytes
    again: bool = True

    def dealt(self, hands: int) -> list[Load]:
        """To so many processes, evenly."""
        return [Load(self.slots[hand::hands], self.status, self.marker, self.again) for hand in range(hands)]


@dataclass(frozen=True, slots=True)
class Answered:
    """One round of one process. `used` is how many requests of each connection were answered; latencies in seconds."""

    seconds: float
    latencies: list[float]
    used: list[int]


class Crew:
    """Processes that wait for a load, each behind a pipe."""

    def __init__(self, pipes: list[Connection], pids: list[int]) -> None:
        self._pipes = pipes
        self._pids = pids

    def pin(self, chosen: frozenset[int]) -> None:
        cores.pin(self._pids, chosen)

    def round(self, load: Load, port: int, seconds: float, mark: Callable[[], None]) -> list[Answered]:
        """One round of all of them together; `mark` is called before and after. Raises BadAnswer."""
        for pipe, part in zip(self._pipes, load.dealt(len(self._pipes)), strict=True):
            pipe.send((part, port, seconds))
        for pipe in self._pipes:
            pipe.recv()  # it is ready
        mark()
        for pipe in self._pipes:
            pipe.send(None)
        answers = [pipe.recv() for pipe in self._pipes]
        mark()
        for answer in answers:
            if isinstance(answer, str):
                raise BadAnswer(answer)
        return answers


@contextmanager
def crew(hands: int) -> Iterator[Crew]:
    context = get_context("spawn")
    started: list[tuple[BaseProcess, Connection]] = []
    try:
        for _ in range(hands):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            started.append((process, ours))
        yield Crew([pipe for _, pipe in started], [process.pid or 0 for process, _ in started])
    finally:
        for _, pipe in started:
            pipe.close()
        for process, _ in started:
            process.join(10)


def _work(pipe: Connection) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            try:
                load, port, seconds = pipe.recv()
            except (EOFError, KeyboardInterrupt):
                return
            pipe.send("ready")
            pipe.recv()
            try:
                pipe.send(runner.run(_driven(load, port, seconds)))
            except BadAnswer as fault:
                pipe.send(str(fault))


async def _driven(load: Load, port: int, seconds: float) -> Answered:
    used = [0] * len(load.slots)

    def script(slot: int) -> Script:
        while True:
            for sent in load.slots[slot]:
                yield sent
                used[slot] += 1  # it was answered
            if not load.again:
                return

    task = Task(script, load.status, load.marker)
    measured = await drive(task, port, seconds=seconds, most=MOST, connections=len(load.slots))
    return Answered(measured.seconds, measured.latencies, used)
