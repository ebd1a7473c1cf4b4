"""What the next night may take for known of workloads."""

from __future__ import annotations

from analyzer.model.records import (
    KnownUse,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.store.engine import Database
from analyzer.store.writer import Store
from tests.analyzer.store.examples import KEY, commit

WEB = WorkloadUse("shop/web", "app:v1@sha256:a", UseKind.RUNNING)
JOB = WorkloadUse("job:1", "job:v1", UseKind.PREVIOUS)


def night(at_ms: int, *uses: WorkloadUse, key: RegistryKey = KEY, source: str = "ecs") -> RegistryRead:
    reads = [WorkloadRead(source, ReadStatus.COMPLETE, uses)]
    return RegistryRead(key, at_ms, ReadStatus.COMPLETE, workloads=reads)


def known(database: Database, key: RegistryKey = KEY) -> dict[str, set[KnownUse]]:
    return {source: set(uses) for source, uses in Store(database, lambda: 0).known_uses(key).items()}


def test_nothing_is_known_of_a_registry_that_was_never_read(database: Database) -> None:
    assert known(database) == {}


def test_a_use_is_known_since_the_first_snapshot_that_has_it(database: Database) -> None:
    commit(database, night(1_000, WEB))
    commit(database, night(2_000, WEB, JOB))
    assert known(database) == {"ecs": {KnownUse(WEB, 1_000), KnownUse(JOB, 2_000)}}


def test_a_use_that_is_gone_is_not_known_and_one_that_is_back_is_new(database: Database) -> None:
    commit(database, night(1_000, WEB, JOB))
    commit(database, night(2_000, WEB))
    assert known(database) == {"ecs": {KnownUse(WEB, 1_000)}}
    commit(database, night(3_000, WEB, JOB))
    assert known(database) == {"ecs": {KnownUse(WEB, 1_000), KnownUse(JOB, 3_000)}}


def test_what_another_region_or_source_has_is_its_own(database: Database) -> None:
    other = RegistryKey(KEY.partition, KEY.account, "us-east-1")
    commit(database, night(1_000, WEB))
    commit(database, night(2_000, JOB, key=other, source="batch"))
    assert known(database) == {"ecs": {KnownUse(WEB, 1_000)}}
    assert known(database, other) == {"batch": {KnownUse(JOB, 2_000)}}
