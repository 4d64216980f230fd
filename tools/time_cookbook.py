"""Run the jobs of docs/cookbook.md with an installed everymask, each as it stands, and time them.

    python tools/time_cookbook.py VENV/bin [--skip "A batch on many cores, or a cluster"]

VENV is one in which the wheel is installed (``make dist`` makes such a venv in build/venv; jobs need the
extras that the page names). Files are made first, small ones, as in ``tests/docs/test_cookbook.py``; grids
are the full ones. Processor time is that of the commands and of what they start. Exits 1 where a job fails.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.docs.made_files import make_files  # noqa: E402

SERVERS = {"studio"}
"""Commands that do not end by themselves."""


def jobs(page: str) -> list[tuple[str, list[list[str]]]]:
    """Title and commands of each job: words after ``everymask``, or ``python -c CODE``."""
    found = []
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        commands = []
        for language, code in re.findall(r"^```(shell|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            if language == "python":
                commands.append(["python", "-c", textwrap.dedent(code)])
            else:
                commands += [shlex.split(line) for line in code.splitlines() if line.startswith("everymask ")]
        found.append((title.strip(), [words for words in commands if words[1] not in SERVERS]))
    return [(title, commands) for title, commands in found if commands]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bin", type=Path, help="folder with everymask and python")
    parser.add_argument("--skip", nargs="*", default=[], metavar="TITLE")
    given = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder))
        for title, commands in jobs((ROOT / "docs/cookbook.md").read_text("utf-8")):
            if title in given.skip:
                continue
            before, start, codes = os.times(), time.perf_counter(), []
            for words in commands:
                program = str((given.bin / words[0]).absolute())
                done = subprocess.run([program, *words[1:]], cwd=folder, capture_output=True, text=True)
                codes.append(done.returncode)
                if done.returncode:
                    print(f"{shlex.join(words)[:100]}\n{done.stderr[-1500:]}", file=sys.stderr)
            after = os.times()
            cpu = after.children_user + after.children_system - before.children_user - before.children_system
            verdict = "failed" if any(codes) else f"{len(commands)} command{'s' if len(commands) > 1 else ''}"
            print(
                f"{title:52s} {time.perf_counter() - start:6.1f} s, processor {cpu:6.1f} s, {verdict}",
                flush=True,
            )
            failed += any(codes)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
