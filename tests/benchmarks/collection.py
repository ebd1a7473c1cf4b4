"""The collector's CPU per image, against a bare boto3 loop over the same calls.

A stub ECR serves a generated registry from a process of its own. Each contestant runs in a process
of its own too, and its CPU (user and system, all threads, from the making of its session to its end)
is divided by the number of images:

- ``boto3``: a default client, one thread, a loop that makes the calls that the collector made, as the
  stub wrote them down, and drops the answers. This is the baseline.
- ``boto3 without its parser``: the same, the answers decoded from JSON and not read shape by shape,
  which is how the collector asks: what remains is the collector's own work.
- ``demurrage``: ``collect`` into a store of its own, which includes everything that it writes.

A *first night* fetches every manifest, an *unchanged night* none. The targets are at most 2.5 times
``boto3`` on a first night and 1.3 times on an unchanged one. Whether the contestants really asked
for the same is counted by the stub and printed.

Usage: ``python -m tests.benchmarks.collection [--repositories N] [--images N] [--rounds N] …``
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import http.client
import json
import math
import os
import pstats
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError

from analyzer.collect import CollectOptions, SilentProgress, collect
from analyzer.collect.clients import read_plain_json
from analyzer.store.engine import Database
from analyzer.store.opening import open_database
from analyzer.store.writer import Store
from tests.benchmarks._measure import measured, median, run_child
from tests.support.stub_ecr import started

_ME = "tests.benchmarks.collection"
_REGION = "eu-west-1"
CONTESTANTS = ("boto3", "boto3 without its parser", "demurrage")
NIGHTS = ("first", "unchanged")
#: At most so many times the baseline.
RATIO_LIMITS = {"first": 2.5, "unchanged": 1.3}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what an image costs each contestant on each night, and the ratios."""
    parser = argparse.ArgumentParser(description="Measure the collector's CPU against bare boto3's.")
    parser.add_argument("--repositories", type=int, default=200)
    parser.add_argument("--images", type=int, default=100, help="per repository")
    parser.add_argument("--layers", type=int, default=10, help="per image")
    parser.add_argument("--workers", type=int, default=CollectOptions(regions=(_REGION,)).workers)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--profile", choices=NIGHTS, help="only show where the collector's CPU goes that night"
    )
    parser.add_argument("--child", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--night", choices=NIGHTS, help=argparse.SUPPRESS)
    parser.add_argument("--db", help=argparse.SUPPRESS)
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--profiled", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        _measure(given)
        return
    shape = [
        part
        for name in ("repositories", "images", "layers")
        for part in (f"--{name}", str(getattr(given, name)))
    ]
    with tempfile.TemporaryDirectory() as name, started(*shape, "--log-calls") as url:
        benchmark = _Benchmark(url, Path(name), str(given.workers))
        # Nobody shall be measured while the stub serialises its answers for the first time.
        for night in NIGHTS:
            benchmark.write_down(night)
        if given.profile:
            if given.profile == "unchanged":
                benchmark.run("demurrage", "first", 1)
            benchmark.run("demurrage", given.profile, 1, "--profiled")
            return
        images = given.repositories * given.images
        print(
            f"{images:,} images in {given.repositories:,} repositories, {given.layers} layers each",
            flush=True,
        )
        taken: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for number in range(1, given.rounds + 1):
            for night in NIGHTS:
                for contestant in CONTESTANTS:
                    outcome = benchmark.run(contestant, night, number)
                    taken.setdefault((night, contestant), []).append(outcome)
    _print(taken, images)


@dataclass(frozen=True, slots=True)
class _Benchmark:
    """Starts contestants against the stub at ``url``."""

    url: str
    folder: Path
    workers: str

    def write_down(self, night: str) -> None:
        """Keep the calls that the collector makes that night, for the others to make."""
        self.run("demurrage", night, 0)
        self._plan(night).write_text(json.dumps(self._ask("log", None)))

    def _plan(self, night: str) -> Path:
        return self.folder / f"{night}.json"

    def run(self, contestant: str, night: str, number: int, *options: str) -> dict[str, Any]:
        """What one contestant took, with the calls that the stub counted meanwhile."""
        self._ask("reset", b"")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        # A round's database is new on its first night and the same on the unchanged one.
        db = f"sqlite:///{self.folder}/{number}.db"
        child = ("--child", contestant, "--night", night, "--db", db, "--workers", self.workers, *options)
        child = (*child, "--plan", str(self._plan(night)))
        outcome = run_child(_ME, *child, environment=environment)
        outcome["calls"] = self._ask("calls", None)
        return outcome

    def _ask(self, what: str, body: bytes | None) -> Any:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            connection.request("GET" if body is None else "POST", f"/_stub/{what}", body)
            return json.loads(connection.getresponse().read())


def _print(taken: dict[tuple[str, str], list[dict[str, Any]]], images: int) -> None:
    rounds = len(taken["first", "boto3"])
    print(f"{'':42}{'CPU':>10}{'per image':>12}{'wall':>10}    median of {rounds}")

    def cpu(night: str, contestant: str) -> float:
        return median([one["cpu_seconds"] for one in taken[night, contestant]])

    for night in NIGHTS:
        for contestant in CONTESTANTS:
            wall = median([one["seconds"] for one in taken[night, contestant]])
            total = cpu(night, contestant)
            name = f"{night} night, {contestant}"
            print(f"{name:42}{total:8.2f} s{total / images * 1e6:9.0f} us{wall:8.2f} s")
    for night in NIGHTS:
        ratio, stricter = (cpu(night, "demurrage") / cpu(night, baseline) for baseline in CONTESTANTS[:2])
        limit = RATIO_LIMITS[night]
        print(
            f"ratio, {night} night: {ratio:.2f} times boto3 (limit {limit:g}), "
            f"{stricter:.2f} without its parser"
        )
        calls = [taken[night, contestant][0]["calls"] for contestant in CONTESTANTS]
        same = "the same from all" if all(one == calls[0] for one in calls) else f"DIFFERENT: {calls}"
        print(f"calls, {night} night: {sum(calls[-1].values()):,}, {same}")


# --- contestants, each in a child -----------------------------------------------------------------


def _measure(given: argparse.Namespace) -> None:
    if given.child == "demurrage":
        database = open_database(given.db, create=True)
        profiles = _profile_all_threads() if given.profiled else []
        with measured() as spent:
            _collect(database, given.workers)
        database.engine.dispose()
        if profiles:
            pstats.Stats(*profiles, stream=sys.stderr).sort_stats("tottime").print_stats(35)
    else:
        with measured() as spent:
            _loop(json.loads(given.plan.read_text()), parsed=given.child == "boto3")
    print(json.dumps({"seconds": spent.seconds, "cpu_seconds": spent.cpu_seconds}))


def _profile_all_threads() -> list[cProfile.Profile]:
    """Profile this thread and all that start from now on, by their CPU time."""
    profiles: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        profile = cProfile.Profile(time.thread_time)
        profiles.append(profile)
        # Takes the place of this function in the thread that calls it.
        profile.enable()

    threading.setprofile(begin)
    begin()
    return profiles


def _loop(plan: Sequence[tuple[str, str, dict[str, Any]]], *, parsed: bool) -> None:
    """Everything that the collector asks for, one call after the other."""
    session = boto3.Session()
    session.client("sts", region_name=_REGION).get_caller_identity()
    ecr = session.client("ecr", region_name=_REGION)
    if not parsed:
        ecr.meta.events.register("before-parse.ecr", read_plain_json)
    for _, operation, parameters in plan:
        # What is not there (a policy, say) is answered with an error.
        with contextlib.suppress(ClientError):
            getattr(ecr, xform_name(operation))(**parameters)


def _collect(database: Database, workers: int) -> None:
    store = Store(database, lambda: round(time.time() * 1000))
    options = CollectOptions(
        regions=(_REGION,),
        workers=workers,
        requests_per_second=math.inf,
        batch_get_image_per_second=math.inf,
    )
    result = collect(store, boto3.Session(), options, progress=SilentProgress())
    if result.status != "complete":
        raise RuntimeError(f"the collector ended with gaps: {result.gaps}")


if __name__ == "__main__":
    main()
