"""Frames of hand-written registries: what settings mean, and what is said where nothing is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from analyzer.model.frames import NO_TIME, Frames
from analyzer.model.records import ABSENT, ReadStatus, RegistryKey, RegistryRead, RepositoryRead
from analyzer.store.engine import Database
from analyzer.store.frames import load_frames
from analyzer.store.names import load_digests, load_tags
from analyzer.store.snapshots import snapshots_of_run
from tests.analyzer.store.examples import KEY, commit, image, read_of


def _frames(database: Database, run: int) -> Frames:
    with database.read() as connection:
        return load_frames(connection, snapshots_of_run(connection, run))


def _registry(
    settings: Mapping[str, str], *names: str, of_each: Mapping[str, str] = MappingProxyType({})
) -> RegistryRead:
    """A whole read of repositories called ``names``, each with the settings ``of_each``."""
    reads = [RepositoryRead(name, 0, ReadStatus.COMPLETE, (), of_each) for name in names]
    return RegistryRead(KEY, 1, ReadStatus.COMPLETE, reads, settings)


@pytest.mark.parametrize(
    ("prefixes", "filled"),
    [
        (["team"], ["team/a", "team/a/b"]),
        (["team/a"], ["team/a/b"]),
        (["team", "hub"], ["hub/x", "team/a", "team/a/b"]),
        # ROOT covers whatever no other rule does, and what that is cannot be told.
        (["ROOT"], []),
        (["ROOT", "hub"], ["hub/x"]),
        ([], []),
    ],
)
def test_pull_through_cache_rules_fill_the_repositories_below_their_prefix(
    database: Database, prefixes: list[str], filled: list[str]
) -> None:
    rules = json.dumps([{"ecrRepositoryPrefix": prefix} for prefix in prefixes])
    names = ("ROOT/x", "hub/x", "team", "team/a", "team/a/b", "teams/a")
    commit(database, _registry({"pull_through_cache_rules": rules}, *names))
    repositories = _frames(database, 1).repositories
    assert repositories["repository"].tolist() == sorted(names)
    assert repositories.loc[repositories["pull_through_cache"], "repository"].tolist() == filled
    known = repositories.loc[repositories["pull_through_cache_known"], "repository"].tolist()
    assert known == (filled if "ROOT" in prefixes else sorted(names))


def test_blob_mounting_was_ever_on_from_the_snapshot_that_saw_it(database: Database) -> None:
    for value in ('"DISABLED"', '"ENABLED"', None, '"DISABLED"', ABSENT):
        commit(database, _registry({} if value is None else {"blob_mounting": value}))
    registries = [_frames(database, run).registries.iloc[0] for run in range(1, 6)]
    assert [row["blob_mounting"] for row in registries] == ["DISABLED", "ENABLED", "ENABLED", "DISABLED", ""]
    assert [bool(row["blob_mounting_ever"]) for row in registries] == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("settings", "policy", "known", "encryption", "key"),
    [
        ({}, None, False, "", ""),
        ({"lifecycle_policy_text": ABSENT, "encryption": ABSENT}, None, True, "", ""),
        (
            {"lifecycle_policy_text": '""', "encryption": '{"encryptionType":"AES256"}'},
            "",
            True,
            "AES256",
            "",
        ),
        (
            {"lifecycle_policy_text": '"{}"', "encryption": '{"encryptionType":"KMS","kmsKey":"arn:k"}'},
            "{}",
            True,
            "KMS",
            "arn:k",
        ),
    ],
)
def test_absent_and_unknown_settings_are_told_apart(
    database: Database, settings: dict[str, str], policy: str | None, known: bool, encryption: str, key: str
) -> None:
    commit(database, _registry({}, "app", "other", of_each=settings))
    for row in _frames(database, 1).repositories.to_dict("records"):
        # The very None: pandas's own kinds of nothing are not.
        found: Any = row["lifecycle_policy_text"]
        assert found is None if policy is None else found == policy
        assert row["lifecycle_policy_known"] is known
        assert (row["encryption_type"], row["kms_key"]) == (encryption, key)


def test_last_complete_read_is_remembered_through_bad_nights(database: Database) -> None:
    def read(status: ReadStatus, taken_at_ms: int) -> RegistryRead:
        return RegistryRead(
            KEY, taken_at_ms, ReadStatus.COMPLETE, [RepositoryRead("app", 0, status, [image("a")])]
        )

    statuses = [ReadStatus.PARTIAL, ReadStatus.COMPLETE, ReadStatus.COMPLETE, ReadStatus.PARTIAL]
    for night, status in enumerate(statuses, start=1):
        commit(database, read(status, night * 100))
    commit(database, RegistryRead(KEY, 500, ReadStatus.REFUSED))
    rows = [_frames(database, run).repositories.iloc[0] for run in range(1, 6)]
    assert [row["complete_at_ms"] for row in rows] == [NO_TIME, 200, 300, 300, 300]
    assert [row["status"] for row in rows] == ["partial", "complete", "complete", "partial", "refused"]


def test_registry_without_a_repository_has_empty_frames_of_the_right_types(database: Database) -> None:
    commit(database, _registry({}))
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, 1)
        empty = load_frames(connection, snapshots)
        assert load_digests(connection, empty) == []
        assert load_tags(connection, empty, snapshots) == []
    commit(database, read_of(image("a", "t")))
    full = _frames(database, 2)
    assert len(empty.repositories) == len(empty.artifacts.digest_id) == len(empty.manifests.digest_id) == 0
    assert empty.repositories.dtypes.to_dict() == full.repositories.dtypes.to_dict()
    assert empty.registries.dtypes.to_dict() == full.registries.dtypes.to_dict()


def test_registries_are_in_the_order_of_their_names_in_every_locale(database: Database) -> None:
    keys = [
        RegistryKey("aws", account, region)
        for account in ("2", "10", "1")
        for region in ("us-west-2", "ap-southeast-1", "ap-south-1", "US-EAST-1")
    ]
    for key in keys:
        commit(database, RegistryRead(key, 1, ReadStatus.COMPLETE))
    registries = _frames(database, len(keys)).registries
    got = list(zip(registries["account"], registries["region"], strict=True))
    assert got == sorted((key.account, key.region) for key in keys)
