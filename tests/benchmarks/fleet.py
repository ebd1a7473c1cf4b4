"""Calls per second of a collection of many registries, against bare boto3 in as many threads.

A stub ECR in a process of its own answers every call after 50 ms, for registries of a few small
repositories each. The contestants, each in a process of its own, make the very same calls:

- ``boto3``: default clients, one per registry, and 64 threads that take the next call off a list
  and drop the answer. This is the baseline; it knows beforehand what to ask.
- ``demurrage``: ``collect`` with 64 workers and its standard rates, into a database of its own.

What the collector's rates allow is printed too: no registry may take less time than its most
frequent call at the rate of that call. The target is at least 80 % of whichever is lower, on a
first night and on an unchanged one.

Usage: ``python -m tests.benchmarks.fleet [--registries N] [--repositories N] [--images N] …``
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import queue
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from analyzer.collect import CollectOptions, SilentProgress, collect
from analyzer.collect.session import open_session
from analyzer.store.opening import open_database
from analyzer.store.writer import Store
from tests.benchmarks._measure import measured, median, run_child
from tests.support.registry import made_up_region
from tests.support.stub_ecr import started

_ME = "tests.benchmarks.fleet"
_REGION = "eu-west-1"
_LATENCY = 0.05
NIGHTS = ("first", "unchanged")
#: At least so much of the lower of the two limits.
SHARE = 0.8


def main(arguments: Sequence[str] | None = None) -> None:
    """Print calls per second of both, what the rates allow, and the collector's share."""
    parser = argparse.ArgumentParser(description="Measure a collection of many registries.")
    parser.add_argument("--registries", type=int, default=200)
    parser.add_argument("--repositories", type=int, default=5, help="per registry")
    parser.add_argument("--images", type=int, default=10, help="per repository")
    parser.add_argument("--layers", type=int, default=8, help="per image")
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=["boto3", "demurrage"], help=argparse.SUPPRESS)
    parser.add_argument("--db", help=argparse.SUPPRESS)
    parser.add_argument("--plan", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        _measure(given)
        return
    shape = [
        part
        for name in ("registries", "repositories", "images", "layers")
        for part in (f"--{name}", str(getattr(given, name)))
    ]
    taken: dict[tuple[str, str], list[float]] = {}
    allowed: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as name,
        started(*shape, "--latency-seconds", str(_LATENCY), "--log-calls") as url,
    ):
        common = ("--registries", str(given.registries), "--threads", str(given.threads))
        for number in range(given.rounds):
            for night in NIGHTS:
                _ask(url, "reset", b"")
                db = f"sqlite:///{name}/{number}.db"
                ours = run_child(_ME, "--child", "demurrage", "--db", db, *common, environment=_aws(url))
                plan = [call for call in _ask(url, "log", None) if call[1] != "GetCallerIdentity"]
                path = Path(name) / "plan.json"
                path.write_text(json.dumps(plan))
                _ask(url, "reset", b"")
                bare = run_child(_ME, "--child", "boto3", "--plan", str(path), *common, environment=_aws(url))
                asked = sum(_ask(url, "calls", None).values())
                if asked != len(plan):
                    raise RuntimeError(f"boto3 made {asked} calls, not {len(plan)}")
                allowed[night] = _allowed(plan)
                for contestant, seconds in (("demurrage", ours["seconds"]), ("boto3", bare["seconds"])):
                    taken.setdefault((night, contestant), []).append(len(plan) / seconds)
                if not number:
                    print(
                        f"{night} night: {len(plan):,} calls to {given.registries:,} registries, each "
                        f"answered after {_LATENCY * 1000:.0f} ms; {given.threads} threads",
                        flush=True,
                    )
    _print(taken, allowed)


def _print(taken: dict[tuple[str, str], list[float]], allowed: dict[str, float]) -> None:
    rounds = len(taken["first", "boto3"])
    print(
        f"{'calls per second, median of ' + str(rounds):32}{'boto3':>10}{'demurrage':>12}{'rates allow':>14}"
    )
    shares = {}
    for night in NIGHTS:
        bare, ours = median(taken[night, "boto3"]), median(taken[night, "demurrage"])
        shares[night] = ours / min(bare, allowed[night])
        print(f"{night + ' night':32}{bare:10,.0f}{ours:12,.0f}{allowed[night]:14,.0f}")
    for night, share in shares.items():
        print(f"ratio, {night} night: {share:.2f} of the lower limit (at least {SHARE:g})")


def _allowed(plan: Sequence[tuple[str, str, dict[str, Any]]]) -> float:
    """Calls per second if no registry went faster than the collector's standard rates let it."""
    options = CollectOptions(regions=(_REGION,))
    own = {"BatchGetImage": options.batch_get_image_per_second}
    counts = Counter((region, operation) for region, operation, _ in plan)
    seconds = (n / own.get(operation, options.requests_per_second) for (_, operation), n in counts.items())
    return len(plan) / max(seconds)


def _aws(url: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _ask(url: str, what: str, body: bytes | None) -> Any:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    with contextlib.closing(connection):
        connection.request("GET" if body is None else "POST", f"/_stub/{what}", body)
        return json.loads(connection.getresponse().read())


# --- contestants, each in a child -----------------------------------------------------------------


def _measure(given: argparse.Namespace) -> None:
    regions = [_REGION, *(made_up_region(number) for number in range(1, given.registries))]
    if given.child == "demurrage":
        database = open_database(given.db, create=True)
        store = Store(database, lambda: round(time.time() * 1000))
        options = CollectOptions(regions=tuple(regions), workers=given.threads)
        with measured() as spent:
            result = collect(store, open_session(), options, progress=SilentProgress())
        database.engine.dispose()
        if result.status != "complete":
            raise RuntimeError(f"the collector ended with gaps: {result.gaps[:3]}")
    else:
        plan = json.loads(Path(given.plan).read_text())
        with measured() as spent:
            _loop(plan, given.threads)
    print(json.dumps({"seconds": spent.seconds, "cpu_seconds": spent.cpu_seconds}))


def _loop(plan: Sequence[tuple[str, str, dict[str, Any]]], threads: int) -> None:
    """Make every call of ``plan``, by that many threads."""
    session = boto3.Session()
    config = Config(max_pool_connections=threads)
    clients = {
        region: session.client("ecr", region_name=region, config=config) for region in {r for r, _, _ in plan}
    }
    calls: queue.SimpleQueue[tuple[str, str, dict[str, Any]]] = queue.SimpleQueue()
    for call in plan:
        calls.put(call)

    def work() -> None:
        while True:
            try:
                region, operation, parameters = calls.get_nowait()
            except queue.Empty:
                return
            client = clients[region]
            method = getattr(client, xform_name(operation))
            with contextlib.suppress(ClientError):
                # A repository without a policy is answered with an error.
                method(**parameters)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
