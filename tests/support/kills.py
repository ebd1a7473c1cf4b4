"""Collectors killed at random moments, and everything that must hold checked after each kill.

A season is a new database and a new world. Each of its nights the world moves on, a collector is started
and killed, the database is examined as it lies there, and a second collector, started as cron would, has to
bring it level with the world. What is asked for again, what history says, what reports show: see `Season`.

``python -m tests.support.kills --kills 200`` runs as many seasons as it takes, on all cores; a failure names
its season, and ``--seed SEASON --kills 5`` plays that again: the same worlds and the same choice of moments,
though threads and the clock have their part in what a moment meets.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection

from analyzer.cli import main as main_command
from analyzer.errors import InputError
from analyzer.model.records import Gap, RegistryRead
from analyzer.store.engine import Database
from analyzer.store.snapshots import SnapshotRef, last_run, rebuild, snapshots_of_run
from tests.support import invariants
from tests.support.nights import REGIONS, first_night, next_night
from tests.support.stub_ecr import Asked, Server, serve
from tests.support.truth import differences, held, unfounded, untold
from tests.support.warm_starts import INSIDE, Ended, Inside, Moment, WarmStarts, warm_starts

#: Of a season; the first of them strikes while the database is being made.
KILLS_PER_SEASON = 5
#: In so many of the nights the world is another one before the second start.
_MOVES_ON_MEANWHILE = 0.25
_ACCOUNT = "123456789012"
#: With gaps, and without.
_DONE = (0, 4)
_POLICY = (
    '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan",'
    '"countNumber":2},"action":{"type":"expire"}}]}'
)

Kind = Literal["time", "call", Inside]
_KINDS: tuple[Kind, ...] = ("time", "call", *INSIDE)
#: How often each moment comes while a database is made and filled, about; seconds of "time".
_FIRST_NIGHT: Mapping[str, float] = {
    "time": 1.0,
    "call": 60,
    "statement": 345,
    "before commit": 59,
    "after commit": 59,
    "step": 900,
}


class BrokenPromiseError(AssertionError):
    """Something did not survive a kill."""


@dataclass(slots=True)
class _Killer:
    """Kills the child from outside: some time after its start, or at a call that it makes to AWS."""

    kind: Kind | None
    at: float
    pid: int = 0
    calls: int = 0
    timer: threading.Timer | None = None
    #: Digests asked for by BatchGetImage since the collector was started.
    asked: set[str] = field(default_factory=set)

    def watch(self, pid: int) -> None:
        self.pid = pid
        if self.kind == "time":
            self.timer = threading.Timer(self.at, self._kill)
            self.timer.start()

    def hook(self, asked: Asked) -> None:
        self.calls += 1
        self.asked.update(image["imageDigest"] for image in asked.parameters.get("imageIds", ()))
        if self.kind == "call" and self.calls == self.at:
            self._kill()

    def over(self) -> None:
        """The child has ended: its number is no longer its own."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer.join()

    def _kill(self) -> None:
        # Until it is waited for, which takes longer than this, the number is the child's.
        if Path(f"/proc/{self.pid}").exists() or sys.platform != "linux":
            os.kill(self.pid, signal.SIGKILL)


@dataclass(slots=True)
class _Look:
    """What a database held when it was looked at, having been found sound."""

    #: Number of the newest snapshot by account and region.
    snapshots: Mapping[tuple[str, str], int] = field(default_factory=dict)
    manifests: frozenset[str] = frozenset()
    #: Digests of artifacts that are there and whose manifest is not known.
    unread: frozenset[str] = frozenset()
    #: By account, region and number: what is told of a snapshot and all before it…
    history: Mapping[tuple[str, str, int], str] = field(default_factory=dict)
    #: …and with the aggregates.
    history_with_facts: Mapping[tuple[str, str, int], str] = field(default_factory=dict)
    #: By region and number: the snapshot as the program gives it back.
    rebuilt: Mapping[tuple[str, int], str] = field(default_factory=dict)
    #: No kill came between a snapshot and its aggregates.
    is_settled: bool = False
    last_run: int = 0


class Season:
    """One database and one world, and how many kills they have lived through."""

    def __init__(self, seed: int, folder: Path, starts: WarmStarts, server: Server) -> None:
        self.kills: list[str] = []
        self._rng = random.Random(seed)
        self._world = server.stub.world
        self._server = server
        self._starts = starts
        self._folder = folder
        self._file = folder / "nights.sqlite"
        self._policy = folder / "policy.json"
        self._policy.write_text(_POLICY, encoding="utf-8")
        self._environment = {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": server.url,
            "DEMURRAGE_DB_URL": f"sqlite:///{self._file}",
            "DEMURRAGE_REGION": " ".join(REGIONS),
            "DEMURRAGE_REQUESTS_PER_SECOND": "100000",
            "DEMURRAGE_QUIET": "1",
        }
        #: Of a night that nobody killed: how often each moment comes.
        self._moments: Mapping[str, float] = _FIRST_NIGHT
        #: Every manifest that was ever pushed, by digest.
        self._texts: dict[str, str] = {}
        self._night = 0
        self._before = _Look()
        #: After the last night that came to its end.
        self._report: dict[str, Any] = {}

    def kill(self) -> bool:
        """One night: a collector is killed and another takes up its work; False if it was too quick."""
        self._move_on()
        before = self._before
        kind = self._rng.choice(_KINDS)
        # A little beyond the last, as no night is quite like another.
        at = self._rng.uniform(0, self._moments[kind] * 1.05)
        if kind != "time":
            at = int(at) + 1
        killed, _ = self._collect(kind, at)
        if killed.status is not None:
            self._check(
                killed.status in _DONE, f"an undisturbed run ended with {killed.status}: {killed.err}"
            )
            self._check_level(killed.status)
            self._before = self._look(is_settled=True)
            self._check_history(before, self._before)
            return False
        self.kills.append(f"{kind} at {at:.3f}" if kind == "time" else f"{kind} at {at}")
        after = self._look()
        self._check_history(before, after)
        self._check_killed_run()
        if before.snapshots:
            report = self._told("report", "--run", str(before.last_run))
            # What is learnt of a manifest it says of the past as well.
            same = report == self._report or bool(before.unread & after.manifests)
            self._check(same, "the last night's report is not what it was before the kill")
            simulated = self._told("what-if", "--policy", str(self._policy))
            self._check(bool(simulated["repositories"]), "what-if finds nothing")
        if self._rng.random() < _MOVES_ON_MEANWHILE:
            after = self._take_up_another_world(after)
        self._take_up(after)
        return True

    def _move_on(self) -> None:
        if self._night:
            next_night(self._world, self._rng, self._night)
        self._night += 1
        self._texts.update(
            (image.digest, image.manifest)
            for repository in self._world.repositories()
            for image in repository.images.values()
        )

    def _take_up_another_world(self, before: _Look) -> _Look:
        """A second start that finds the world changed: what it goes on from is as it was, all else as it is.

        Nothing may be a mixture of both. Gives what the database holds then.
        """
        old = {region: held(self._world, region) for region in REGIONS}
        self._move_on()
        done, _ = self._collect(None)
        self._check(
            done.status in _DONE, f"the start in a changed world ended with {done.status}: {done.err}"
        )
        after = self._look()
        self._check_history(before, after)
        reads = self._last_reads()
        for region in REGIONS:
            now = held(self._world, region)
            from_old = differences(old[region], reads[region], after.manifests)
            apart = from_old.keys() & differences(now, reads[region], after.manifests).keys()
            mixed = sorted(place for place in apart if place[1] != "ecr:BatchGetImage")
            self._check(not mixed, f"{region} is neither as it was nor as it is: {mixed}")
        return after

    def _take_up(self, before: _Look) -> None:
        began = time.monotonic()
        done, killer = self._collect(None)
        self._check(done.status in _DONE, f"the second start ended with {done.status}: {done.err}")
        self._check(
            "Lease" not in done.out + done.err,
            f"the second start found a registry held by the dead: {done.out}",
        )
        self._moments = {**done.moments, "call": killer.calls, "time": time.monotonic() - began}
        again = killer.asked & before.manifests
        self._check(not again, f"asked for manifests that were stored before: {sorted(again)[:3]}")
        self._check_level(done.status or 0)
        self._before = self._look(is_settled=True)
        self._check_history(before, self._before)

    # What is done.

    def _collect(self, kind: Kind | None, at: float = 0) -> tuple[Ended, _Killer]:
        """Start a collector, to be killed at a moment or, if it is of no kind, at none."""
        killer = _Killer(kind, at)
        moment = next((Moment(inside, int(at)) for inside in INSIDE if inside == kind), None)
        self._server.stub.hook = killer.hook
        ended = self._starts.run("collect", environment=self._environment, moment=moment, watch=killer.watch)
        killer.over()
        self._server.stub.hook = lambda _: None
        return ended, killer

    def _told(self, *arguments: str) -> dict[str, Any]:
        """What a command that only reads answers; asked in this process, which is five times as quick."""
        answer = self._folder / "answer.json"
        url = f"sqlite:///{self._file}"
        try:
            main_command([*arguments, "--db", url, "--format", "json", "--output", str(answer), "--quiet"])
        except SystemExit as leave:
            self._check(leave.code in _DONE, f"{arguments} ended with {leave.code}")
        told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        answer.unlink()
        return told

    # What must hold.

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            raise BrokenPromiseError(
                f"night {self._night}, killed at {', '.join(self.kills) or 'nothing'}: {what}"
            )

    def _look(self, *, is_settled: bool = False) -> _Look:
        """What the file holds, once it was found to be sound."""
        if not self._file.exists():
            return _Look()
        with invariants.connect(self._file) as connection:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'run'").fetchone()
            if not tables:
                # Killed before the schema was there: it is made whole or not at all.
                (others,) = connection.execute(
                    "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'alembic%' "
                    "AND name NOT LIKE 'sqlite_%'"
                ).fetchone()
                self._check(others == 0, "half a schema")
                return _Look()
            if not connection.execute("SELECT 1 FROM run").fetchone():
                # Killed before the first run; perhaps between two migrations.
                (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
                self._check(sound == "ok", sound)
                return _Look()
            complaints = invariants.broken(connection)
            self._check(not complaints, "; ".join(complaints))
            stored = invariants.manifests(connection)
            false = invariants.false_manifests(stored, self._texts)
            self._check(not false, "; ".join(false))
            look = _Look(
                invariants.snapshots(connection),
                frozenset(stored),
                frozenset(invariants.artifacts(connection) - stored.keys()),
                invariants.history(connection, facts=False),
                invariants.history(connection, facts=True),
                is_settled=is_settled,
            )
            if look.snapshots:
                look.rebuilt, look.last_run = self._rebuilt()
        return look

    def _rebuilt(self) -> tuple[dict[tuple[str, int], str], int]:
        """Every snapshot of the file as the program gives it back, and the run that is the last."""
        database = Database(f"sqlite:///{self._file}")
        try:
            with database.read() as connection:
                last = last_run(connection)
                return {
                    (found.key.region, found.number): repr(rebuild(connection, found))
                    for run in range(1, last + 1)
                    for found in _snapshots(connection, run)
                }, last
        finally:
            database.engine.dispose()

    def _last_reads(self) -> dict[str, RegistryRead]:
        """The newest snapshots, by region."""
        database = Database(f"sqlite:///{self._file}")
        try:
            with database.read() as connection:
                return {
                    found.key.region: rebuild(connection, found)
                    for found in snapshots_of_run(connection, last_run(connection))
                }
        finally:
            database.engine.dispose()

    def _check_history(self, before: _Look, after: _Look) -> None:
        """Nothing that was told of the past is told differently, and nothing is lost."""
        changed: list[object] = [
            key for key, told in before.history.items() if after.history.get(key) != told
        ]
        changed += [key for key, told in before.rebuilt.items() if after.rebuilt.get(key) != told]
        # The aggregates of the newest snapshot may still have been on their way.
        changed += [
            key
            for key, told in before.history_with_facts.items()
            if (before.is_settled or key[2] < before.snapshots[key[:2]])
            and after.history_with_facts.get(key) != told
        ]
        self._check(not changed, f"what is told of {changed} is not what it was")
        self._check(after.manifests >= before.manifests, "manifests are gone")

    def _check_killed_run(self) -> None:
        """A run that says that it ended has left, or taken over, a snapshot of each registry."""
        if not self._file.exists():
            return
        with invariants.connect(self._file) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'run'").fetchone():
                return
            last = connection.execute("SELECT id, status FROM run ORDER BY id DESC LIMIT 1").fetchone()
            if last is None or last[1] not in ("complete", "gaps"):
                return
            left = connection.execute(
                "SELECT registry_id FROM snapshot WHERE run_id = ?1 "
                "UNION SELECT registry_id FROM resumed_snapshot WHERE run_id = ?1",
                [last[0]],
            ).fetchall()
        self._check(len(left) == len(REGIONS), f"run {last[0]} is {last[1]} with {len(left)} snapshots")

    def _check_level(self, status: int) -> None:
        """The newest snapshots are the world as it is, and every gap is one."""
        with invariants.connect(self._file) as connection:
            stored = invariants.manifests(connection)
            false = invariants.false_facts(connection)
        self._check(not false, "; ".join(false))
        report = self._report = self._told("report")
        gaps = [Gap(**{**gap, "repository": gap["repository"] or ""}) for gap in report["gaps"]]
        reads = self._last_reads()
        for region in REGIONS:
            real = differences(held(self._world, region), reads[region], stored)
            # Of all that is not as in the world, the manifests of archived images alone may be missing.
            others = {place for place in real if place[1] != "ecr:BatchGetImage"}
            self._check(not others, f"{region} is not as it is in the world: {sorted(others)}")
            told = [gap for gap in gaps if gap.region == region]
            complaints = [*untold(real, told), *unfounded(real, told)]
            self._check(not complaints, f"{region}: {'; '.join(complaints)}")
        self._check(status == (4 if gaps else 0), f"exit status {status} where the gaps are {gaps}")


def _snapshots(connection: Connection, run: int) -> Sequence[SnapshotRef]:
    """As of ``run``; none, where no run up to that number left any."""
    try:
        return snapshots_of_run(connection, run)
    except InputError:
        return ()


@contextmanager
def season(seed: int, starts: WarmStarts) -> Iterator[Season]:
    """A new season, played with ``starts``; what it leaves is removed."""
    world = first_night(random.Random(seed))
    with tempfile.TemporaryDirectory(prefix="demurrage-kills-") as folder, serve(world) as server:
        yield Season(seed, Path(folder), starts, server)


def play(seed: int, kills: int, starts: WarmStarts) -> list[str]:
    """So many kills in one season; gives their moments.

    Raises BrokenPromiseError, saying how to repeat it.
    """
    with season(seed, starts) as played:
        try:
            while len(played.kills) < kills:
                played.kill()
        except Exception as error:
            again = f"python -m tests.support.kills --seed {seed} --kills {kills}"
            raise BrokenPromiseError(f"season {seed}: {error}; to repeat it: {again}") from error
        return played.kills


class _Player:
    """What a process of its own plays seasons with, one after the other."""

    starts: WarmStarts

    @classmethod
    def get_ready(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        context = warm_starts(Path(folder.name))
        cls.starts = context.__enter__()
        # In the opposite order: the folder goes when nobody writes to it any more.
        atexit.register(folder.cleanup)
        atexit.register(context.__exit__, None, None, None)

    @classmethod
    def play(cls, chosen: tuple[int, int]) -> list[str]:
        moments = play(*chosen, cls.starts)
        print(f"season {chosen[0]}: {len(moments)} kills survived", flush=True)
        return moments


def main(arguments: Sequence[str] | None = None) -> None:
    """Play seasons until so many collectors were killed."""
    parser = argparse.ArgumentParser(description="Kill collectors, and check what they leave.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, help="of the first season; default: another one every time")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    print(f"{given.kills} kills from season {seed} on", flush=True)
    seasons = [
        (seed + number, min(KILLS_PER_SEASON, given.kills - KILLS_PER_SEASON * number))
        for number in range(-(-given.kills // KILLS_PER_SEASON))
    ]
    with ProcessPoolExecutor(given.processes, get_context("spawn"), _Player.get_ready) as pool:
        try:
            moments = [moment for played in pool.map(_Player.play, seasons) for moment in played]
        except BrokenPromiseError as error:
            pool.shutdown(cancel_futures=True)
            sys.exit(str(error))
    kinds = Counter(moment.partition(" at ")[0] for moment in moments)
    print(
        f"{len(moments)} kills survived: " + ", ".join(f"{n} by {kind}" for kind, n in sorted(kinds.items()))
    )


if __name__ == "__main__":
    main()
