"""What-if on a large database, against merely reading the columns that it needs.

Contestants, each in processes of its own, in turn, over the same database:

- ``rows``: the very SELECT statements of ``load_frames_with_facts``, through the same driver, every
  row fetched (``fetchmany``, as many at a time) and dropped; its own start-up is not counted. This is
  the baseline: reading, and nothing else.
- ``what-if``: ``demurrage what-if --policy FILE`` for the whole fleet, from the start of the process
  to its end: verdicts, freed bytes at both scopes, dollars. As installed, with its bytecode cached.
- ``judged``: in one process, how long single parts take, evaluation alone among them.

And, on a sample of repositories, how much faster the evaluator is than the slow one that the tests
hold it against (``tests.oracle.lifecycle``): the targets are ``what-if`` at most twice ``rows``, and
evaluation at least 100 times faster.

Usage: ``python -m tests.benchmarks.what_if [--images N] [--db URL] [--policy FILE]``; without ``--db``
a database is generated in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import select

from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.parsing import parse_policy
from analyzer.lifecycle.policy import Policy
from analyzer.model.frames import NO_TIME
from analyzer.model.records import ImageStatus
from analyzer.pricing import bundled_prices
from analyzer.simulation import WhatIf
from analyzer.store import frames
from analyzer.store.engine import Database
from analyzer.what_if import World, answer, everywhere, load_world
from tests.benchmarks._measure import mb, measured, median, peak_memory_bytes, run_child
from tests.benchmarks._reading import fetch_rows, generate, statements_of
from tests.benchmarks.generate_database import add_shape_options
from tests.oracle import lifecycle as oracle

_ME = "tests.benchmarks.what_if"
#: At most so many times reading, at least so many times the slow evaluator.
RATIO_LIMIT = 2.0
SPEED_LIMIT = 100.0

POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 14,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["v*"],
                "countType": "imageCountMoreThan",
                "countNumber": 50,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 3,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 100},
            "action": {"type": "expire"},
        },
    ]
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what each contestant takes, and the ratios."""
    parser = argparse.ArgumentParser(description="Measure what-if against reading alone.")
    parser.add_argument("--db", help="SQLAlchemy URL of a database to read (default: generate one)")
    parser.add_argument("--policy", type=Path, help="policy to try (default: three rules)")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each contestant")
    parser.add_argument("--sample", type=int, default=20_000, help="artifacts that the slow evaluator gets")
    parser.add_argument("--child", choices=("statements", "rows", "judged"), help=argparse.SUPPRESS)
    parser.add_argument("--statements", type=Path, help=argparse.SUPPRESS)
    add_shape_options(parser)
    given = parser.parse_args(arguments)
    if given.child:
        _measure(given)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = given.db or generate(f"sqlite:///{folder}/large.db", given)
        policy = given.policy or folder / "policy.json"
        if not given.policy:
            policy.write_text(json.dumps(POLICY), encoding="utf-8")
        options = ("--db", url, "--policy", str(policy), "--statements", str(folder / "statements.json"))
        # The statements, and a first reading that warms the page cache.
        run_child(_ME, *options, "--child", "statements")
        _what_if(url, policy)
        reading, simulating = [], []
        for _ in range(given.rounds):
            reading.append(run_child(_ME, *options, "--child", "rows"))
            simulating.append(_what_if(url, policy))
        judged = run_child(_ME, *options, "--child", "judged", "--sample", str(given.sample))
    read = median([one["seconds"] for one in reading])
    whole = median(simulating)
    print(f"{'':10}{'wall':>10}    median of {given.rounds}")
    print(f"{'rows':10}{read:8.2f} s\n{'what-if':10}{whole:8.2f} s, process start included")
    parts = ", ".join(f"{part} {judged[part]:.2f} s" for part in ("load", "evaluate", "all"))
    print(f"in one process: {parts}; peak memory {mb(judged['peak_bytes'])}")
    print(f"ratio: {whole / max(read, 1e-9):.2f} times rows (limit {RATIO_LIMIT:g})")
    print(f"evaluation, slowly: {judged['slow'] * 1e6:.1f} us an artifact")
    for name, what in (("fast", "one more policy"), ("first", "with what is prepared once for all policies")):
        print(
            f"evaluation, {what}: {judged[name] * 1e6:.2f} us an artifact, "
            f"{judged['slow'] / judged[name]:,.0f} times faster (at least {SPEED_LIMIT:g})"
        )


def _what_if(url: str, policy: Path) -> float:
    """Seconds of the command as a user starts it, bytecode being kept from one time to the next."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = "from analyzer.cli import main; main()"
    command = [sys.executable, "-c", start, "what-if", "--db", url, "--policy", str(policy)]
    began = time.perf_counter()
    done = subprocess.run(
        command, check=False, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    seconds = time.perf_counter() - began
    # 4: the generated registries have gaps.
    if done.returncode not in (0, 4):
        raise RuntimeError(f"what-if ended with status {done.returncode}: {done.stderr}")
    return seconds


# --- in a child -----------------------------------------------------------------------------------


def _measure(given: argparse.Namespace) -> None:
    database = Database(given.db)
    # The schema's first use is slow for all and counts for none.
    with database.read() as connection:
        connection.execute(select(1))
    if given.child == "statements":
        asked = statements_of(database, frames.load_frames_with_facts)
        given.statements.write_text(json.dumps(asked), encoding="utf-8")
        result: dict[str, float] = {}
    elif given.child == "rows":
        with measured() as spent:
            fetch_rows(database, json.loads(given.statements.read_text(encoding="utf-8")))
        result = {"seconds": spent.seconds}
    else:
        result = _parts(database, given.policy.read_text(encoding="utf-8"), given.sample)
    print(json.dumps(result))


def _parts(database: Database, text: str, sample: int) -> dict[str, float]:
    policy = parse_policy(text)
    with measured() as loading:
        world = load_world(database)
    rows = np.arange(len(world.frames.repositories))
    proposal = everywhere(world, rows, "policy", policy, text)
    with measured() as first:
        evaluator = Evaluator(world.frames, world.facts, world.families, now_ms=world.at_ms)
        evaluator.judge([policy], proposal.policy_of)
    with measured() as evaluating:
        evaluator.judge([policy], proposal.policy_of)
    with measured() as everything:
        answer(world, WhatIf(proposals=[proposal], rows=rows, at_ms=world.at_ms), bundled_prices())
    return {
        "load": loading.seconds,
        "evaluate": first.seconds,
        "all": everything.seconds,
        "peak_bytes": peak_memory_bytes(),
        "first": first.seconds / len(world.families.kind),
        "fast": evaluating.seconds / len(world.families.kind),
        "slow": _slowly(world, policy, sample),
    }


def _slowly(world: World, policy: Policy, sample: int) -> float:
    """Seconds that the slow evaluator takes for an artifact, in repositories of every size."""
    counts = np.bincount(world.frames.artifacts.repository, minlength=len(world.frames.repositories))
    by_size = np.argsort(counts, kind="stable")
    chosen = by_size[:: max(1, round(int(counts.sum()) / sample))]
    repositories = [_images(world, row) for row in chosen.tolist()]
    with measured() as spent:
        oracle.evaluate_slowly(repositories, [policy] * len(repositories), world.at_ms)
    return spent.seconds / sum(map(len, repositories))


def _images(world: World, row: int) -> list[oracle.Image]:
    """The artifacts of one repository as the slow evaluator takes them; any digests will do."""
    artifacts, facts, families = world.frames.artifacts, world.facts, world.families
    begin, end = np.searchsorted(artifacts.repository, [row, row + 1]).tolist()
    children: dict[int, list[str]] = {}
    first, last = np.searchsorted(families.parent, [begin, end]).tolist()
    for parent, child in zip(families.parent[first:last], families.child[first:last], strict=True):
        children.setdefault(int(parent), []).append(f"{child:09}")
    return [
        oracle.Image(
            digest=f"{position:09}",
            tags=frozenset(
                facts.tag_names[tag]
                for tag in facts.tags[facts.tag_offsets[position] : facts.tag_offsets[position + 1]]
            ),
            pushed_at_ms=_moment(artifacts.pushed_at_ms[position]),
            last_pull_ms=_moment(facts.pulled_at_ms[position]),
            archived_at_ms=_moment(facts.archived_at_ms[position]),
            activated_at_ms=_moment(facts.activated_at_ms[position]),
            status=ImageStatus(int(artifacts.image_status[position])),
            children=tuple(children.get(position, ())),
            subject=None if families.subject[position] < 0 else f"{families.subject[position]:09}",
        )
        for position in range(begin, end)
    ]


def _moment(milliseconds: np.int64) -> int | None:
    return None if milliseconds == NO_TIME else int(milliseconds)


if __name__ == "__main__":
    main()
