"""What the disk may hold after a power cut: the log broken off anywhere, pages torn, a half checkpoint.

A collector is killed and its files are copied as they lie there, the log cut or spoilt at random bytes.
Reopened, each copy must be sound, and be exactly what some commit left: which one, the frames of the log
that are whole say, and what that one left, a journal that the collector kept of its own commits.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from analyzer.store.opening import open_database
from tests.support import invariants
from tests.support.nights import REGIONS, first_night, next_night
from tests.support.stub_ecr import serve
from tests.support.warm_starts import Moment, WarmStarts, warm_starts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills and forks of POSIX")

# SQLite's file format, section 4: the write-ahead log.
_HEADER = 32
_FRAME_HEADER = 24

#: After so many the collector is killed; a night of three registries has some more.
_COMMITS = 16

Damage = Literal["cut", "flip", "zeros", "noise"]
_DAMAGES: tuple[Damage, ...] = ("cut", "flip", "zeros", "noise")


@dataclass(frozen=True, slots=True)
class Leftovers:
    """A database as a killed collector left it."""

    database: bytes
    log: bytes
    #: Hash of the contents before the collector began, and after each of its commits.
    states: list[str]
    #: What the connection was set to before each commit.
    catches: list[dict[str, object]]

    @property
    def page_bytes(self) -> int:
        return int(struct.unpack(">I", self.log[8:12])[0])

    def frames(self) -> Iterator[tuple[int, int, bool]]:
        """Page number, end in the log, and whether it ends a transaction, of each frame."""
        size = _FRAME_HEADER + self.page_bytes
        for start in range(_HEADER, len(self.log) - size + 1, size):
            page, pages_after = struct.unpack(">II", self.log[start : start + 8])
            yield page, start + size, pages_after > 0

    def state_within(self, log: bytes) -> str:
        """What must be found where ``log`` is all that is left: up to where it is not what was written."""
        # Not the place of the damage: the bytes may have been zeros before.
        pairs = enumerate(zip(self.log, log, strict=False))
        sound = next((place for place, (was, now) in pairs if was != now), len(log))
        return self.states[
            self.in_database + sum(commits and end <= sound for _, end, commits in self.frames())
        ]

    @property
    def in_database(self) -> int:
        """How many of the commits had gone from the log into the database."""
        return len(self.states) - 1 - sum(commits for _, _, commits in self.frames())


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmStarts]:
    with warm_starts(tmp_path_factory.mktemp("starts")) as starts:
        yield starts


@pytest.fixture(scope="module", params=["first night", "third night"])
def leftovers(
    request: pytest.FixtureRequest, starts: WarmStarts, tmp_path_factory: pytest.TempPathFactory
) -> Leftovers:
    """Killed in the first night, which makes the schema too, or in a later one."""
    folder = tmp_path_factory.mktemp("nights")
    file, journal = folder / "nights.sqlite", folder / "journal"
    rng = random.Random(request.param)
    world = first_night(rng)
    with serve(world) as server:
        environment = {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_ENDPOINT_URL": server.url,
            "DEMURRAGE_DB_URL": f"sqlite:///{file}",
            "DEMURRAGE_REGION": " ".join(REGIONS),
            "DEMURRAGE_REQUESTS_PER_SECOND": "100000",
        }
        if request.param == "third night":
            for night in (1, 2):
                assert starts.run("collect", environment=environment).status in (0, 4)
                next_night(world, rng, night)
        with sqlite3.connect(file) as connection:
            before = invariants.contents(connection)
        connection.close()
        killed = starts.run(
            "collect", environment=environment, moment=Moment("after commit", _COMMITS), journal=journal
        )
    assert killed.status is None
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return Leftovers(
        file.read_bytes(),
        file.with_name("nights.sqlite-wal").read_bytes(),
        [before, *(line.pop("contents") for line in lines)],
        lines,
    )


def _damaged(log: bytes, damage: Damage, position: int, page_bytes: int, rng: random.Random) -> bytes:
    """``log`` with nothing to be relied on from ``position`` to the end of its page, or from there on."""
    if damage == "cut":
        return log[:position]
    end = min(len(log), position + page_bytes)
    if damage == "flip":
        end = min(len(log), position + 1)
        return (
            log[:position] + bytes(byte ^ (1 << rng.randrange(8)) for byte in log[position:end]) + log[end:]
        )
    if damage == "zeros":
        # The file had grown already, and its last pages were never written.
        return log[:position] + bytes(len(log) - position)
    return log[:position] + rng.randbytes(end - position) + log[end:]


def _examined(folder: Path, database: bytes, log: bytes) -> str:
    """What is found when those files are opened; everything that must hold of it was checked."""
    file = folder / "copy.sqlite"
    file.write_bytes(database)
    file.with_name("copy.sqlite-wal").write_bytes(log)
    file.with_name("copy.sqlite-shm").unlink(missing_ok=True)
    with invariants.connect(file) as connection:
        found = invariants.contents(connection)
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'snapshot'").fetchone():
            assert invariants.broken(connection) == []
        else:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


def test_every_commit_is_made_with_the_safety_catches_on(leftovers: Leftovers) -> None:
    assert len(leftovers.catches) == _COMMITS
    # 2 is FULL: the log is synchronised with every commit. Migrations alone do without foreign keys.
    assert {(catches["synchronous"], catches["journal_mode"]) for catches in leftovers.catches} == {
        (2, "wal")
    }
    keys = [bool(catches["foreign_keys"]) for catches in leftovers.catches]
    assert keys == sorted(keys)
    assert keys[-1]


def test_each_commit_of_the_journal_is_one_of_the_log(leftovers: Leftovers) -> None:
    # But for those of the migrations, whose connection was the only one and wrote them back.
    migrations = [catches for catches in leftovers.catches if not catches["foreign_keys"]]
    assert leftovers.in_database == len(migrations)
    assert len(set(leftovers.states)) > _COMMITS // 2


@pytest.mark.parametrize("damage", _DAMAGES)
def test_a_log_that_breaks_off_anywhere_leaves_what_a_commit_left(
    leftovers: Leftovers, damage: Damage, tmp_path: Path
) -> None:
    rng = random.Random(damage)
    edges = [end for _, end, commits in leftovers.frames() if commits]
    positions = [rng.randrange(len(leftovers.log)) for _ in range(12)]
    positions += [rng.choice(edges) + shift for shift in (-1, 0, 1, 8)]
    for position in positions:
        if position >= len(leftovers.log):
            continue
        log = _damaged(leftovers.log, damage, position, leftovers.page_bytes, rng)
        found = _examined(tmp_path, leftovers.database, log)
        assert found == leftovers.state_within(log), f"{damage} at {position}"


def test_a_checkpoint_that_breaks_off_loses_nothing(leftovers: Leftovers, tmp_path: Path) -> None:
    rng = random.Random(1)
    size = leftovers.page_bytes
    pages = sorted({page for page, _, _ in leftovers.frames()})
    for _ in range(8):
        database = bytearray(leftovers.database)
        for page in rng.sample(pages, min(len(pages), 10)):
            start = (page - 1) * size
            database.extend(bytes(max(0, start + size - len(database))))
            # The first page's header is written with it; a sector of the disk is written or is not.
            torn = 512 * rng.randrange(1, size // 512)
            database[start + torn : start + size] = rng.randbytes(size - torn)
        assert _examined(tmp_path, bytes(database), leftovers.log) == leftovers.states[-1]


def test_the_program_opens_what_a_power_cut_left(leftovers: Leftovers, tmp_path: Path) -> None:
    log = leftovers.log[: len(leftovers.log) * 2 // 3]
    _examined(tmp_path, leftovers.database, log)
    database = open_database(f"sqlite:///{tmp_path / 'copy.sqlite'}", create=True)
    database.engine.dispose()
    with invariants.connect(tmp_path / "copy.sqlite") as connection:
        assert invariants.contents(connection) == leftovers.state_within(log)
