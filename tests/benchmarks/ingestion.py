"""Taking in a trail, against merely unpacking and parsing its files with orjson.

A day of a trail is generated: files as CloudTrail writes them, every record a pull, with repeats, copies
of cross-account calls, errors and pullers of all kinds. That is the worst there is: of a real trail most
records are about something else, and are passed over. Then, each in a process of its own:

- ``orjson``: each file read, unpacked by gzip and parsed, and dropped. This is the baseline.
- ``demurrage``: the folder taken into an SQLite database, in this process alone and with two more.

CPU is of all processes. The targets are at most 3 times the baseline's CPU, and with two processes at most
1.6 times its wall-clock time. Afterwards what is stored is compared with what was generated.

Usage: ``python -m tests.benchmarks.ingestion [--records N]``
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from analyzer.ingesting import Ingester, IngestOptions
from analyzer.model.pulls import NoOrigin
from analyzer.pulls.records import Rules
from analyzer.store.opening import open_database
from analyzer.store.pulls import load_pulls
from tests.benchmarks._measure import mb, peak_memory_bytes
from tests.support.trails import OTHER, OWNER, key, layer, packed, record, reduced_identity, role_identity

_ME = "tests.benchmarks.ingestion"
_DAY = 20_731
_IN_A_FILE = 5_000
CPU_LIMIT, WALL_LIMIT = 3.0, 1.6


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what a record costs each contestant, and the ratios."""
    parser = argparse.ArgumentParser(prog=_ME)
    parser.add_argument("--records", type=int, default=200_000)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="demurrage-trail-") as name:
        folder = Path(name)
        expected = generate(folder, chosen.records, seed=5)
        size = sum(file.stat().st_size for file in folder.rglob("*.gz"))
        print(f"{chosen.records:,} records in {mb(size)} of gzip, all of them pulls")
        found = {contestant: _in_a_child(contestant, folder) for contestant in ("orjson", "1", "2")}
    base = found["orjson"]
    _print("orjson", base, chosen.records)
    for contestant in ("1", "2"):
        row = found[contestant]
        _print(f"demurrage, {contestant} process{'es' * (contestant == '2')}", row, chosen.records)
        cpu, wall = row["cpu"] / base["cpu"], row["wall"] / base["wall"]
        print(f"  CPU {cpu:.2f} times orjson (at most {CPU_LIMIT}), wall {wall:.2f} times", end="")
        print(f" (at most {WALL_LIMIT})" if contestant == "2" else "")
        print(f"  what is stored is {'' if row['counts'] == expected else 'NOT '}what was generated")


def _print(name: str, row: dict[str, Any], records: int) -> None:
    print(
        f"{name}: {row['wall']:.2f} s, CPU {row['cpu']:.2f} s, {1e6 * row['cpu'] / records:.1f} us a record,"
        f" peak {mb(row['peak'])}"
    )


def _in_a_child(contestant: str, folder: Path) -> dict[str, Any]:
    # Not as a module of its own: each process of a pool imports the main module again, and that of the
    # command is small.
    code = f"from {_ME} import contend; contend({contestant!r}, {str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def contend(contestant: str, folder: str) -> None:
    """Print what reading ``folder`` took: orjson, or as many processes as ``contestant`` says."""
    print(json.dumps(_contend(contestant, Path(folder))))


def _contend(contestant: str, folder: Path) -> dict[str, Any]:
    began, cpu = time.perf_counter(), _cpu()
    counts: dict[str, int] = {}
    if contestant == "orjson":
        for file in sorted(folder.rglob("*.gz")):
            len(orjson.loads(gzip.decompress(file.read_bytes()))["Records"])
        wall, cpu = time.perf_counter() - began, _cpu() - cpu
    else:
        with tempfile.TemporaryDirectory(prefix="demurrage-ingest-") as name:
            database = open_database(f"sqlite:///{name}/x.sqlite", create=True)
            began, cpu = time.perf_counter(), _cpu()
            options = IngestOptions(
                rules=Rules(), origin=NoOrigin(), today=_DAY + 1, processes=int(contestant)
            )
            Ingester(database, options).folder(folder)
            wall, cpu = time.perf_counter() - began, _cpu() - cpu
            with database.read() as connection:
                history = load_pulls(connection, 0, 40_000)
            found: Counter[str] = Counter()
            for *names, times in (*history.pulls, *history.left_out):
                found["|".join(map(str, names))] += int(times)
            counts = dict(found)
    return {"wall": wall, "cpu": cpu, "peak": peak_memory_bytes(), "counts": counts}


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(row.ru_utime + row.ru_stime for row in used)


def generate(folder: Path, records: int, seed: int) -> dict[str, int]:
    """Write a trail of about so many records under ``folder``; gives what ought to be counted of it.

    A tenth of the records come twice, a tenth of the calls are another account's, with the copies of both
    or of one, and a twentieth fail.
    """
    chance = random.Random(seed)
    expected: Counter[str] = Counter()
    waiting: list[dict[str, Any]] = []
    written = number = 0
    while written < records:
        while len(waiting) < min(2 * _IN_A_FILE, records - written):
            number += 1
            waiting += _call(chance, number, expected)
        chance.shuffle(waiting)
        part, waiting = waiting[:_IN_A_FILE], waiting[_IN_A_FILE:]
        name = folder / key(day="2026-10-05", time=f"{number // 5_000 % 24:02}05", mark=f"{written:016}")
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(packed(part))
        written += len(part)
    if waiting:
        (folder / key(day="2026-10-06", time="0105")).parent.mkdir(parents=True, exist_ok=True)
        (folder / key(day="2026-10-06", time="0105")).write_bytes(packed(waiting))
    return dict(expected)


def _call(chance: random.Random, number: int, expected: Counter[str]) -> list[dict[str, Any]]:
    """The records of one call, counted in ``expected`` as it should be."""
    day = _DAY - (number % 50 == 0)
    # Each of 200 repositories has layers of its own, and is pulled by the nodes of three clusters.
    app = chance.randrange(200)
    repository, digest = f"team/app{app}", layer(20 * app + chance.randrange(20))
    role, session = f"nodes{(app + chance.randrange(3)) % 30}", f"i-{chance.randrange(16**8):017x}"
    about: dict[str, Any] = {
        "time": f"2026-10-0{5 if day == _DAY else 4}T{chance.randrange(24):02}:14:02Z",
        "repository": repository,
        "asked": {"layerDigest": digest},
    }
    if chance.random() < 0.05:
        found = [
            record(f"{number:036}", identity=role_identity(role=role), errorCode="AccessDenied", **about)
        ]
        expected[f"{day}|{OWNER}|eu-west-1|error"] += 1
    elif chance.random() < 0.1:
        about["sharedEventID"] = f"shared{number:030}"
        owners = record(f"o{number:035}", identity=reduced_identity(session=session), **about)
        pullers = record(
            f"p{number:035}", identity=role_identity(OTHER, role, session), recipient=OTHER, **about
        )
        found = chance.choice([[owners], [pullers], [owners, pullers], [owners, pullers]])
        principal = f"arn:aws:iam::{OTHER}:role/{role}" if pullers in found else ""
        expected[_name(day, repository, digest, OTHER, principal)] += 1
    else:
        found = [record(f"{number:036}", identity=role_identity(role=role, session=session), **about)]
        expected[_name(day, repository, digest, OWNER, f"arn:aws:iam::{OWNER}:role/{role}")] += 1
    return found + (found[:1] if chance.random() < 0.1 else [])


def _name(day: int, repository: str, digest: str, account: str, principal: str) -> str:
    row = (day, OWNER, "eu-west-1", repository, "layer", digest, "", account, principal)
    return "|".join(map(str, (*row, "", "unknown", "none")))


if __name__ == "__main__":
    main(sys.argv[1:])
