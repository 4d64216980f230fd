"""A call in a fresh process, so that what it may die of is known to be its own doing.

python -m everymask.batching.own_process RESULT    # reads the call from stdin, for `in_own_process` alone
"""

from __future__ import annotations

import os
import pickle  # between our own processes, as Ray does it
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


class ProcessDied(Exception):
    """The process went without an answer."""


def in_own_process(call: Callable[..., Value], *arguments: object) -> Value:
    """What ``call(*arguments)`` returns in a process started for it; the process ends with this one.

    Raises :class:`ProcessDied`, which says what of, when the process dies or the call raises.
    """
    with tempfile.TemporaryDirectory(prefix="everymask-own-") as scratch:
        answer = Path(scratch) / "answer"
        command = [sys.executable, "-m", "everymask.batching.own_process", str(answer)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
        )
        assert process.stdin is not None
        assert process.stderr is not None
        said: list[bytes] = []
        listening = threading.Thread(target=lambda stream: said.append(stream.read()), args=(process.stderr,))
        listening.start()
        try:
            with suppress(OSError):  # it died before it had heard all; Windows calls that an invalid argument
                pickle.dump((call, arguments), process.stdin, protocol=5)
                process.stdin.flush()
            process.wait()
        finally:
            process.kill()
            process.wait()
            listening.join()
            process.stderr.close()
            with suppress(OSError):
                process.stdin.close()
        if process.returncode != 0:
            raise ProcessDied(_what_of(process.returncode, said[0].decode(errors="replace")))
        return pickle.loads(answer.read_bytes())  # type: ignore[no-any-return]


def _what_of(status: int, said: str) -> str:
    if status < 0:
        try:
            return f"signal {-status}, {signal.Signals(-status).name}"
        except ValueError:
            return f"signal {-status}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"exit status {status}" + (f", {lines[-1]}" if lines else "")


def _answer() -> None:
    """Be the process: take the call from stdin, leave its result, end when the other side has gone."""
    call, arguments = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    result = Path(sys.argv[1])
    result.write_bytes(pickle.dumps(call(*arguments), protocol=5))


def _end_with_stdin() -> None:
    os.read(sys.stdin.fileno(), 1)  # not by way of the buffer, whose lock would be held when Python ends
    os._exit(1)


if __name__ == "__main__":
    _answer()
