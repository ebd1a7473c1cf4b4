"""Facts: written only when changed, ended with their repository, never put back by an older snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from analyzer.model.records import ReadStatus, RegistryKey, RegistryRead, RepositoryRead
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.facts import write_facts
from tests.analyzer.store.examples import KEY, commit

_A, _B = ("a", 1), ("b", 1)
_OTHER = RegistryKey(KEY.partition, KEY.account, "us-east-1")


def _read(*repositories: tuple[str, int], key: RegistryKey = KEY) -> RegistryRead:
    reads = [RepositoryRead(*repository, ReadStatus.COMPLETE) for repository in repositories]
    return RegistryRead(key, 1, ReadStatus.COMPLETE, reads)


def _facts(number: int) -> dict[str, int]:
    """Aggregates that are all ``number``."""
    names = (column.name for column in tables.repository_fact.c)
    keys = {"repository_id", "first_snapshot", "gone_snapshot"}
    return {name: number for name in names if name not in keys}


def _write(
    database: Database,
    snapshot: int,
    facts: Mapping[tuple[str, int], int],
    shared: int,
    key: RegistryKey = KEY,
) -> None:
    write_facts(database, key, snapshot, {name: _facts(number) for name, number in facts.items()}, shared)


def _intervals(database: Database, region: str = KEY.region) -> list[tuple[Any, ...]]:
    """(repository or "", first snapshot, gone snapshot, figure) of a region's facts, sorted."""
    registry, repository = tables.registry, tables.repository
    of_repository, of_registry = tables.repository_fact, tables.registry_fact
    with database.read() as connection:
        rows = connection.execute(
            select(
                repository.c.name,
                of_repository.c.first_snapshot,
                of_repository.c.gone_snapshot,
                of_repository.c.physical_bytes,
            )
            .join(repository, repository.c.id == of_repository.c.repository_id)
            .join(registry, registry.c.id == repository.c.registry_id)
            .where(registry.c.region == region)
        ).all()
        shared = connection.execute(
            select(of_registry.c.first_snapshot, of_registry.c.gone_snapshot, of_registry.c.shared_bytes)
            .join(registry, registry.c.id == of_registry.c.registry_id)
            .where(registry.c.region == region)
        ).all()
    return sorted([*map(tuple, rows), *(("", *row) for row in shared)])


def test_facts_are_written_only_when_they_change(database: Database) -> None:
    nights = [({_A: 10, _B: 20}, 5), ({_A: 10, _B: 20}, 5), ({_A: 10, _B: 21}, 5), ({_A: 11, _B: 21}, 6)]
    for snapshot, (facts, shared) in enumerate(nights, start=1):
        assert commit(database, _read(_A, _B)) == snapshot
        _write(database, snapshot, facts, shared)
    assert _intervals(database) == [
        ("", 1, 4, 5),
        ("", 4, None, 6),
        ("a", 1, 4, 10),
        ("a", 4, None, 11),
        ("b", 1, 3, 20),
        ("b", 3, None, 21),
    ]


def test_bytes_may_be_more_than_32_bits_hold(database: Database) -> None:
    commit(database, _read(_A))
    facts = {name: 2**50 if name.endswith("_bytes") else 1 for name in _facts(0)}
    write_facts(database, KEY, 1, {_A: facts}, 2**51)
    assert _intervals(database) == [("", 1, None, 2**51), ("a", 1, None, 2**50)]


def test_one_changed_column_is_a_change(database: Database) -> None:
    commit(database, _read(_A))
    _write(database, 1, {_A: 1}, 0)
    for snapshot, name in enumerate(_facts(0), start=2):
        commit(database, _read(_A))
        changed = {**_facts(1), name: 2} if snapshot % 2 == 0 else {**_facts(1), name: 3}
        write_facts(database, KEY, snapshot, {_A: changed}, 0)
    rows = [row for row in _intervals(database) if row[0] == "a"]
    assert [row[1] for row in rows] == list(range(1, len(_facts(0)) + 2))


def test_facts_end_with_their_repository_and_begin_again_with_it(database: Database) -> None:
    commit(database, _read(_A, _B))
    _write(database, 1, {_A: 1, _B: 2}, 0)
    commit(database, _read(_B))
    _write(database, 2, {_B: 2}, 0)
    assert _intervals(database) == [("", 1, None, 0), ("a", 1, 2, 1), ("b", 1, None, 2)]
    commit(database, _read(_A, _B))
    _write(database, 3, {_A: 1, _B: 2}, 0)
    assert _intervals(database) == [
        ("", 1, None, 0),
        ("a", 1, 2, 1),
        ("a", 3, None, 1),
        ("b", 1, None, 2),
    ]


def test_older_snapshot_does_not_overwrite_a_newer_ones_facts(database: Database) -> None:
    commit(database, _read(_A))
    _write(database, 1, {_A: 1}, 1)
    commit(database, _read(_A))
    commit(database, _read(_A))
    _write(database, 3, {_A: 3}, 3)
    expected = [("", 1, 3, 1), ("", 3, None, 3), ("a", 1, 3, 1), ("a", 3, None, 3)]
    assert _intervals(database) == expected
    _write(database, 2, {_A: 2}, 2)
    _write(database, 1, {_A: 9}, 9)
    assert _intervals(database) == expected


def test_older_snapshot_writes_nothing_even_where_the_newer_has_not_yet(database: Database) -> None:
    commit(database, _read(_A, _B))
    commit(database, _read(_B))
    # Of the first collector, slower than the second: repository a is gone by now.
    _write(database, 1, {_A: 1, _B: 1}, 1)
    assert _intervals(database) == []
    _write(database, 2, {_B: 2}, 2)
    assert _intervals(database) == [("", 2, None, 2), ("b", 2, None, 2)]


def test_facts_of_a_snapshot_are_not_written_over(database: Database) -> None:
    commit(database, _read(_A))
    _write(database, 1, {_A: 1}, 1)
    _write(database, 1, {_A: 2}, 2)
    assert _intervals(database) == [("", 1, None, 1), ("a", 1, None, 1)]


def test_registries_keep_their_facts_apart(database: Database) -> None:
    for key, number in ((KEY, 1), (_OTHER, 2)):
        commit(database, replace(_read(_A, key=key), taken_at_ms=number))
        _write(database, 1, {_A: number}, number, key)
    commit(database, _read(_A))
    _write(database, 2, {_A: 7}, 7)
    assert _intervals(database) == [("", 1, 2, 1), ("", 2, None, 7), ("a", 1, 2, 1), ("a", 2, None, 7)]
    assert _intervals(database, _OTHER.region) == [("", 1, None, 2), ("a", 1, None, 2)]
