"""Time and peak memory of several sides that do the same work, in one run on one machine.

Each side lives in a process of its own, so that its peak memory is its own; the sides take turns, so
that whatever else the machine does falls on all of them alike. Trust ratios, not seconds.
"""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Side:
    """One way of doing the work: ``factory`` ("module:function") makes a callable, which is timed."""

    name: str
    factory: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What one side took: seconds of each turn, and memory in bytes."""

    name: str
    wall_s: list[float]
    cpu_s: list[float]  # all threads together; steadier than wall time on a busy machine
    peak_bytes: int  # of the whole process, weights and libraries included
    working_bytes: int  # of it, what one turn added to the process as it was before the first
    answer: np.ndarray | None  # of the last turn, if the callable gave an array or a tensor


def compare(
    sides: Sequence[Side], *, turns: int = 3, threads: int = 2, warmup: bool = True
) -> list[Measured]:
    """Each side's time and memory over ``turns`` interleaved turns, the warm-up turn not counted."""
    workers = [_Worker(side, threads) for side in sides]
    try:
        for _ in range(int(warmup)):
            for worker in workers:
                worker.turn()
        timed: list[list[tuple[float, float]]] = [[] for _ in sides]
        for _ in range(turns):
            for seconds, worker in zip(timed, workers, strict=True):
                seconds.append(worker.turn())
        return [worker.finish(seconds) for seconds, worker in zip(timed, workers, strict=True)]
    finally:
        for worker in workers:
            worker.close()


def ratio_table(measured: Sequence[Measured], *, best: Callable[[list[float]], float] = min) -> str:
    """A text table; every ratio is against the first side (higher is better, memory included)."""
    first = measured[0]
    lines = [
        " " * 28 + "".join(f"{title:>9}{'ratio':>8}" for title in ("wall s", "cpu s", "peak MB", "work MB"))
    ]
    for one in measured:
        cells = f"{one.name:28}"
        for ours, theirs, unit, places in (
            (best(one.wall_s), best(first.wall_s), 1, 3),
            (best(one.cpu_s), best(first.cpu_s), 1, 3),
            (one.peak_bytes, first.peak_bytes, 2**20, 0),
            (one.working_bytes, first.working_bytes, 2**20, 0),
        ):
            cells += f"{ours / unit:9.{places}f}{theirs / max(ours, 1e-9):7.2f}x"
        lines.append(cells)
    return "\n".join(lines)


def difference(ours: np.ndarray | None, theirs: np.ndarray | None) -> str:
    """The largest and the typical difference, in units of the reference's spread."""
    if ours is None or theirs is None:
        return "no answers to compare"
    apart = np.abs(ours.astype(np.float64) - theirs) / theirs.std()
    typical = np.sqrt((apart**2).mean())
    return f"largest difference {apart.max():.1e}, root mean square {typical:.1e} of the spread"


class _Worker:
    """A side in its own process."""

    def __init__(self, side: Side, threads: int) -> None:
        self.side = side
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, side, threads), daemon=True)
        self.process.start()
        theirs.close()
        self._receive()  # ready

    def turn(self) -> tuple[float, float]:
        return self._ask("turn")

    def finish(self, seconds: list[tuple[float, float]]) -> Measured:
        peak, working, answer = self._ask("finish")
        wall, cpu = ([pair[index] for pair in seconds] for index in range(2))
        return Measured(self.side.name, wall, cpu, peak, working, answer)

    def close(self) -> None:
        self.pipe.close()
        self.process.join(timeout=10)
        if self.process.is_alive():
            self.process.terminate()

    def _ask(self, request: str) -> Any:
        self.pipe.send(request)
        return self._receive()

    def _receive(self) -> Any:
        try:
            return self.pipe.recv()
        except EOFError:
            raise RuntimeError(f"the process of {self.side.name!r} ended; its error is above") from None


def _serve(pipe: Connection, side: Side, threads: int) -> None:
    """The worker's process: make the callable, then take turns until the pipe closes."""
    import torch

    torch.set_num_threads(threads)
    module, _, name = side.factory.partition(":")
    work = getattr(importlib.import_module(module), name)(**side.options)
    before, answer = resident_bytes(), None
    reset_peak()
    pipe.send("ready")
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        if request == "finish":
            peak = peak_bytes()
            pipe.send((peak, max(peak - before, 0), _as_array(answer)))
            continue
        answer = None  # the last turn's, so that two never exist at once
        wall, cpu = time.perf_counter(), time.process_time()
        answer = work()
        pipe.send((time.perf_counter() - wall, time.process_time() - cpu))


def _as_array(answer: Any) -> np.ndarray | None:
    if hasattr(answer, "detach"):
        return answer.detach().float().cpu().numpy()
    return answer if isinstance(answer, np.ndarray) else None


def resident_bytes() -> int:
    """Memory that this process holds now."""
    return _status("VmRSS") or _maximum()


def peak_bytes() -> int:
    """The most memory that this process held, since :func:`reset_peak` where the system can tell."""
    return _status("VmHWM") or _maximum()


def reset_peak() -> None:
    """Start counting the peak anew (Linux; elsewhere the peak is that of the process's whole life)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        return


def _status(field_name: str) -> int:
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(field_name)), 0)


def _maximum() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
