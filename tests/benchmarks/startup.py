"""How long ``demurrage --help`` takes, as a multiple of ``python -c pass``; to stay below 15."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
LIMIT = 15.0


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Print both medians and their ratio; the two take turns, so that a busy machine slows both."""
    demurrage = str(Path(sys.executable).with_name("demurrage"))
    commands = {"python -c pass": [sys.executable, "-c", "pass"], "demurrage --help": [demurrage, "--help"]}
    for command in commands.values():
        _seconds(command)
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            taken[name].append(_seconds(command))
    nothing, ours = (statistics.median(times) for times in taken.values())
    for name, times in taken.items():
        print(f"{name:18} median {statistics.median(times) * 1000:7.1f} ms of {ROUNDS}")
    print(f"{'ratio':18} {ours / nothing:14.1f}    (limit {LIMIT:g})")


if __name__ == "__main__":
    main()
