"""``python -m benchmarks [NAME...]``: the benchmarks of this folder, one after the other.

Each runs in a process of its own, so that peak memory is its own; options after ``--`` go to each.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
ORDER = ("encoders", "everything", "video")


def benchmark_names() -> list[str]:
    """The benchmarks there are: files with a ``main``, the usual three first."""
    files = [path for path in sorted(FOLDER.glob("*.py")) if "\ndef main(" in path.read_text("utf-8")]
    names = [path.stem for path in files if not path.stem.startswith("_")]
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all; the number of those that failed."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    names, options = arguments[:split] or benchmark_names(), arguments[split + 1 :]
    unknown = set(names) - set(benchmark_names())
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(benchmark_names())}")
    failed = 0
    for name in names:
        print(f"\n== {name} ==", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options]).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
