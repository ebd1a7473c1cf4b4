"""What the benchmarks share: children of their own to measure in, clocks, and how figures are spelt."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Spent:
    """What a with block took: wall-clock time, and CPU time of all threads, user and system."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def measured() -> Iterator[Spent]:
    """Fills in the yielded ``Spent`` when the block ends."""
    spent = Spent()
    began, cpu = time.perf_counter(), _cpu_seconds()
    yield spent
    spent.seconds, spent.cpu_seconds = time.perf_counter() - began, _cpu_seconds() - cpu


def peak_memory_bytes() -> int:
    """The most memory this process ever had resident.

    Linux hands the figure of whoever started a process on to it, so a child's is right only where
    its parent stayed small: that is why the big work is never done in the parent.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run_child(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run ``python -m MODULE ARGUMENTS`` and give the JSON object in the last line it prints.

    Raises CalledProcessError when it fails; what it writes to stderr is passed through.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=environment)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def median(values: Sequence[float]) -> float:
    """The median of at least one value."""
    return float(statistics.median(values))


def mb(size_bytes: float) -> str:
    """Bytes as millions of them: ``12.3 MB``."""
    return f"{size_bytes / 1e6:,.1f} MB"


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
