"""Settings and scans beside frames, now and at past snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analyzer.model.frames import Frames
from analyzer.model.records import (
    ABSENT,
    Artifact,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    ScanSummary,
)
from analyzer.model.registry_settings import NEVER_COMPLETED, NO_SCAN, Scans, Settings
from analyzer.store.engine import Database
from analyzer.store.frames import load_frames
from analyzer.store.names import load_digests
from analyzer.store.settings import load_all_settings, load_scans
from analyzer.store.snapshots import snapshots_of_run
from tests.analyzer.store.examples import KEY, commit, image

OTHER = RegistryKey("aws", "111111111111", "us-east-1")


def read_of(
    repositories: Mapping[str, Mapping[str, str]],
    settings: Mapping[str, str],
    *,
    key: RegistryKey = KEY,
    artifacts: Sequence[Artifact] = (),
) -> RegistryRead:
    reads = [
        RepositoryRead(name, 5, ReadStatus.COMPLETE, artifacts, own) for name, own in repositories.items()
    ]
    return RegistryRead(key, 1, ReadStatus.COMPLETE, reads, settings)


def loaded(database: Database, run: int) -> tuple[Frames, Settings, Scans, list[str]]:
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, run)
        frames = load_frames(connection, snapshots)
        return (
            frames,
            load_all_settings(connection, frames, snapshots),
            load_scans(connection, frames, snapshots),
            load_digests(connection, frames),
        )


def test_settings_stand_in_the_order_of_frames_and_unknown_ones_are_left_out(database: Database) -> None:
    policy = '"{}"'
    commit(
        database,
        read_of(
            {"b": {"repository_policy_text": policy, "uri": '"u"'}, "a": {"repository_policy_text": ABSENT}},
            {"registry_policy_text": ABSENT, "blob_mounting": '"ENABLED"'},
        ),
    )
    commit(database, read_of({"c": {"tags": "{}"}}, {"registry_policy_scope": '"V2"'}, key=OTHER))
    frames, settings, scans, _ = loaded(database, 2)
    assert frames.repositories["repository"].tolist() == ["a", "b", "c"]
    # Nothing of the other registry's, and of repositories only what is asked for.
    assert settings.registries == [
        {"registry_policy_text": ABSENT, "blob_mounting": '"ENABLED"'},
        {"registry_policy_scope": '"V2"'},
    ]
    assert settings.repositories == [
        {"repository_policy_text": ABSENT},
        {"repository_policy_text": policy},
        {"tags": "{}"},
    ]
    assert len(scans.status) == 0


def test_settings_are_those_of_the_snapshot_asked_for(database: Database) -> None:
    for team in ("a", "b"):
        commit(database, read_of({"app": {"tags": f'{{"team":"{team}"}}'}}, {"scanning_configuration": team}))
    for run, team in ((1, "a"), (2, "b")):
        _, settings, _, _ = loaded(database, run)
        assert settings.repositories == [{"tags": f'{{"team":"{team}"}}'}]
        assert settings.registries == [{"scanning_configuration": team}]


def test_scans_stand_beside_their_artifacts_and_none_is_told_from_no_findings(database: Database) -> None:
    scanned = {
        "clean": ScanSummary("COMPLETE", 20_000),
        "bad": ScanSummary(
            "ACTIVE", 20_001, critical=1, high=2, medium=3, low=4, informational=5, undefined=6
        ),
        "failed": ScanSummary("FAILED", None),
        "never": None,
    }
    artifacts = [replace_scan(image(name), scan) for name, scan in scanned.items()]
    commit(database, read_of({"app": {}}, {}, artifacts=artifacts))
    rescanned = [replace_scan(image(name), ScanSummary("COMPLETE", 20_002)) for name in scanned]
    commit(database, read_of({"app": {}}, {}, artifacts=rescanned))
    _, _, scans, digests = loaded(database, 1)
    of = {artifact.digest: name for artifact, name in zip(artifacts, scanned, strict=True)}
    found = {
        of[digest]: (
            None if status == NO_SCAN else scans.statuses[status],
            None if day == NEVER_COMPLETED else day,
            findings,
        )
        for digest, status, day, findings in zip(
            digests,
            scans.status.tolist(),
            scans.completed_day.tolist(),
            scans.findings.tolist(),
            strict=True,
        )
    }
    assert found == {
        "clean": ("COMPLETE", 20_000, [0] * 6),
        "bad": ("ACTIVE", 20_001, [1, 2, 3, 4, 5, 6]),
        "failed": ("FAILED", None, [0] * 6),
        "never": (None, None, [0] * 6),
    }
    _, _, now, _ = loaded(database, 2)
    assert np.array(now.completed_day).tolist() == [20_002] * 4


def replace_scan(artifact: Artifact, scan: ScanSummary | None) -> Artifact:
    return artifact._replace(scan=scan)
