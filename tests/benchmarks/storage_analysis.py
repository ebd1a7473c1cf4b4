"""Storage analysis of a large database, against merely reading the columns that it needs.

Three contestants, each in processes of its own, in turn, over the same database:

- ``rows``: the very SELECT statements of ``load_frames``, through the same driver, every row fetched
  (``fetchmany``, as many at a time) and dropped. This is the baseline: reading, and nothing else.
- ``frames``: ``load_frames``, which makes arrays of those rows.
- ``analysis``: ``load_frames`` and ``analyze``.

Start-up and imports are not counted in the times; they are in the peak memory. The targets are
``analysis`` at most twice ``rows``, in less than 2 GB.

Usage: ``python -m tests.benchmarks.storage_analysis [--images N] [--db URL] [--profile]``; without
``--db`` a database is generated in a temporary folder.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select

from analyzer.storage import analyze
from analyzer.store import frames
from analyzer.store.engine import Database
from analyzer.store.snapshots import last_run, snapshots_of_run
from tests.benchmarks._measure import mb, measured, median, peak_memory_bytes, run_child
from tests.benchmarks._reading import fetch_rows, generate, statements_of
from tests.benchmarks.generate_database import TAKEN_AT_MS, add_shape_options

_ME = "tests.benchmarks.storage_analysis"
CONTESTANTS = ("rows", "frames", "analysis")
#: At most so many times the baseline, and so many bytes.
RATIO_LIMIT = 2.0
MEMORY_LIMIT = 2e9


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what each contestant takes, and the ratios."""
    parser = argparse.ArgumentParser(description="Measure storage analysis against reading alone.")
    parser.add_argument("--db", help="SQLAlchemy URL of a database to read (default: generate one)")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each contestant")
    parser.add_argument("--profile", action="store_true", help="only show where the analysis spends its time")
    parser.add_argument("--child", choices=(*CONTESTANTS, "statements", "profile"), help=argparse.SUPPRESS)
    parser.add_argument("--statements", type=Path, help=argparse.SUPPRESS)
    add_shape_options(parser)
    given = parser.parse_args(arguments)
    if given.child:
        _measure(given.child, Database(given.db), given.statements)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = given.db or generate(f"sqlite:///{folder}/large.db", given)
        if given.profile:
            run_child(_ME, "--db", url, "--child", "profile")
            return
        # The statements, and a first reading that warms the page cache.
        file = folder / "statements.json"
        run_child(_ME, "--db", url, "--child", "statements", "--statements", str(file))
        taken: dict[str, list[dict[str, float]]] = {contestant: [] for contestant in CONTESTANTS}
        for _ in range(given.rounds):
            for contestant in CONTESTANTS:
                taken[contestant].append(
                    run_child(_ME, "--db", url, "--child", contestant, "--statements", str(file))
                )
    _print(taken)


def _print(taken: dict[str, list[dict[str, float]]]) -> None:
    def of(contestant: str, what: str) -> float:
        return median([one[what] for one in taken[contestant]])

    print(f"{'':10}{'wall':>10}{'CPU':>10}{'peak memory':>14}    median of {len(taken['rows'])}")
    for contestant in CONTESTANTS:
        peak = max(one["peak_bytes"] for one in taken[contestant])
        seconds = f"{of(contestant, 'seconds'):8.2f} s{of(contestant, 'cpu_seconds'):8.2f} s"
        print(f"{contestant:10}{seconds}{mb(peak):>14}")
    load, compute = of("analysis", "load_seconds"), of("analysis", "analyze_seconds")
    print(f"of the analysis: load_frames {load:.2f} s, analyze {compute:.2f} s")
    for what, name in (("seconds", "wall"), ("cpu_seconds", "CPU")):
        ours = of("analysis", what)
        rows, loaded = (ours / max(of(contestant, what), 1e-9) for contestant in ("rows", "frames"))
        print(f"ratio ({name}): {rows:.2f} times rows (limit {RATIO_LIMIT:g}), {loaded:.2f} times frames")
    peak = max(one["peak_bytes"] for one in taken["analysis"])
    print(f"peak memory: {mb(peak)} (limit {mb(MEMORY_LIMIT)})")


# --- in a child -----------------------------------------------------------------------------------


def _measure(contestant: str, database: Database, statements: Path) -> None:
    # The schema's first use is slow for all and counts for none.
    with database.read() as connection:
        connection.execute(select(1))
    if contestant == "statements":
        statements.write_text(json.dumps(statements_of(database, frames.load_frames)), encoding="utf-8")
        answer: dict[str, float] = {}
    elif contestant == "profile":
        profile = cProfile.Profile()
        profile.runcall(_analysis, database)
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
        answer = {}
    else:
        with measured() as spent:
            if contestant == "rows":
                fetch_rows(database, json.loads(statements.read_text(encoding="utf-8")))
                split: dict[str, float] = {}
            elif contestant == "frames":
                split = _frames(database)
            else:
                split = _analysis(database)
        answer = {"seconds": spent.seconds, "cpu_seconds": spent.cpu_seconds, **split}
    print(json.dumps(answer | {"peak_bytes": peak_memory_bytes()}))


def _frames(database: Database) -> dict[str, float]:
    with database.read() as connection:
        frames.load_frames(connection, snapshots_of_run(connection, last_run(connection)))
    return {}


def _analysis(database: Database) -> dict[str, float]:
    with measured() as loading, database.read() as connection:
        loaded = frames.load_frames(connection, snapshots_of_run(connection, last_run(connection)))
    with measured() as computing:
        analyze(loaded, now_ms=TAKEN_AT_MS, stale_days=90)
    return {"load_seconds": loading.seconds, "analyze_seconds": computing.seconds}


if __name__ == "__main__":
    main()
