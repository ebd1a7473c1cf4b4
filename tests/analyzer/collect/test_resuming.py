"""What a run that was cut short has read is not read again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from analyzer.collect import registry as registry_module
from analyzer.model.records import (
    Artifact,
    Checkpoint,
    Gap,
    ReadStatus,
    RegistryKey,
    RepositoryRead,
    ResumableSnapshot,
)
from tests.analyzer.collect.fakes import (
    ACCOUNT,
    NOW,
    REGION,
    Aws,
    MemoryLease,
    MemoryStore,
    Recorder,
    Request,
    run,
)
from tests.support.registry import World, generate
from tests.support.stub_ecr import Answer

OTHER = "us-east-1"
KEY = RegistryKey("aws", ACCOUNT, REGION)


@pytest.fixture
def world() -> World:
    return generate(6, 3, 3, seed=4)


@pytest.fixture
def every_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a checkpoint as soon as a repository is read, and not once a minute."""
    monkeypatch.setattr(registry_module, "_CHECKPOINT", 0.0)


def asked_of(aws: Aws, operation: str) -> list[str]:
    return [request.parameters["repositoryName"] for request in aws.asked(operation)]


def test_a_whole_snapshot_of_a_run_cut_short_is_taken_over_without_a_call(world: World) -> None:
    aws, progress, after = Aws(world), Recorder(), []
    gap = Gap(ACCOUNT, REGION, "", "ecr:GetAccountSetting", "AccessDeniedException")
    store = MemoryStore(resumable={KEY: ResumableSnapshot(5, round(NOW * 1000) - 1, 6, 18, [gap])})

    def after_snapshot(key: RegistryKey, number: int, snapshot: int) -> Sequence[Gap]:
        after.append((key.region, number, snapshot))
        return ()

    result = run(store, REGION, OTHER, progress=progress, after_snapshot=after_snapshot)
    first, second = result.registries
    assert (first.snapshot, first.status, first.repositories, first.artifacts) == (5, "complete", 6, 18)
    assert (first.is_resumed, second.is_resumed) == (True, False)
    assert first.gaps == (gap,)
    assert result.status == "gaps"
    assert store.resumed == {REGION: 5}
    assert sorted(after) == [(REGION, 1, 5), (OTHER, 1, 7)]
    assert set(store.reads) == {OTHER}
    assert {request.region for request in aws.requests if request.operation != "GetCallerIdentity"} == {OTHER}
    assert ("finished", REGION, "complete") in progress.events


def test_a_registry_that_another_process_reads_is_not_taken_over(world: World) -> None:
    Aws(world)
    store = MemoryStore(resumable={KEY: ResumableSnapshot(5, 1, 6, 18)}, held={REGION})
    (summary,) = run(store).registries
    assert (summary.status, summary.is_resumed) == ("held", False)
    assert store.resumed == {}


class _PowerCutError(Exception):
    """What ends the first run."""


@pytest.mark.usefixtures("every_repository")
def test_repositories_read_before_the_end_are_not_listed_again(world: World) -> None:
    aws, store = Aws(world), MemoryStore()
    calls = iter(range(100))

    def hook(request: Request) -> Answer | None:
        if request.operation == "DescribeImages" and next(calls) == 3:
            raise _PowerCutError
        return None

    aws.hook = hook
    with pytest.raises(_PowerCutError):
        run(store, workers=1)
    assert store.reads == {}
    kept = {point.read.name: point for point in store.checkpoints[REGION]}
    assert 0 < len(kept) <= 3
    assert all(point.read.status is ReadStatus.COMPLETE for point in kept.values())
    assert all(point.read_at_ms == NOW * 1000 for point in kept.values())

    again = Aws(world)
    known = set(store.manifests)
    result = run(store)
    assert result.status == "complete"
    names = set(world.registry().repositories)
    assert set(asked_of(again, "DescribeImages")) == names - kept.keys()
    assert set(asked_of(again, "GetLifecyclePolicy")) == names - kept.keys()
    fetched = [
        image_id["imageDigest"]
        for request in again.asked("BatchGetImage")
        for image_id in request.parameters["imageIds"]
    ]
    assert sorted(fetched) == sorted(store.manifests.keys() - known)
    for repository in store.reads[REGION].repositories:
        images = world.registry().repositories[repository.name].images
        assert {artifact.digest for artifact in repository.artifacts} == set(images)
        assert {"lifecycle_policy_text", "tags", "arn", "encryption"} <= repository.settings.keys()
    assert store.checkpoints == {}


@pytest.mark.usefixtures("every_repository")
def test_the_manifests_of_a_checkpoint_are_fetched_where_they_are_not_stored(world: World) -> None:
    aws, store = Aws(world), MemoryStore()
    run(store)
    reads = store.reads[REGION].repositories
    fresh = MemoryStore(checkpoints={REGION: [Checkpoint(read, (), round(NOW * 1000)) for read in reads]})
    aws = Aws(world)
    result = run(fresh)
    assert result.status == "complete"
    assert aws.asked("DescribeImages") == []
    assert fresh.manifests == store.manifests
    assert fresh.reads[REGION].repositories == reads


def test_what_the_listing_says_of_a_repository_is_newer_than_its_checkpoint(world: World) -> None:
    name = next(iter(world.registry().repositories))
    repository = world.registry().repositories[name]
    store = MemoryStore()
    Aws(world)
    run(store)
    read = store.repository(name)
    repository.tag_mutability = "IMMUTABLE"
    stale = RepositoryRead(
        name,
        read.created_at_ms,
        ReadStatus.COMPLETE,
        [Artifact("sha256:" + "e" * 64)],
        {**read.settings, "image_tag_mutability": '"MUTABLE"', "tags": '{"from":"checkpoint"}'},
    )
    gap = Gap(ACCOUNT, REGION, name, "ecr:GetLifecyclePolicy", "AccessDeniedException")
    gone = RepositoryRead("deleted/meanwhile", 1, ReadStatus.COMPLETE)
    again = RepositoryRead(name, read.created_at_ms + 1, ReadStatus.COMPLETE)
    points = [Checkpoint(entry, (gap,) if entry is stale else (), 1) for entry in (stale, gone, again)]
    store = MemoryStore(checkpoints={REGION: points})
    Aws(world)
    result = run(store)
    found = store.repository(name)
    assert [artifact.digest for artifact in found.artifacts] == ["sha256:" + "e" * 64]
    assert found.settings["image_tag_mutability"] == '"IMMUTABLE"'
    assert found.settings["tags"] == '{"from":"checkpoint"}'
    assert gap in result.gaps
    assert "deleted/meanwhile" not in {entry.name for entry in store.reads[REGION].repositories}


def _watched(store: MemoryStore) -> list[Checkpoint]:
    """Fills with all checkpoints that the store is given."""
    saved: list[Checkpoint] = []

    def save(lease: MemoryLease, checkpoints: Sequence[Checkpoint]) -> None:
        assert store.leased[lease.region] is lease
        saved.extend(checkpoints)

    store.save_checkpoints = save  # type: ignore[method-assign]
    return saved


def test_a_quick_registry_writes_no_checkpoint(world: World) -> None:
    Aws(world)
    store = MemoryStore()
    saved = _watched(store)
    run(store)
    assert saved == []


@pytest.mark.usefixtures("every_repository")
def test_what_was_refused_is_not_kept(world: World) -> None:
    aws, store = Aws(world), MemoryStore()
    refused = next(iter(world.registry().repositories))
    saved = _watched(store)

    def hook(request: Request) -> Answer | None:
        if request.operation == "DescribeImages" and request.parameters["repositoryName"] == refused:
            return Answer(b'{"__type":"AccessDeniedException","message":"no"}', 400)
        return None

    aws.hook = hook
    run(store)
    assert {point.read.name for point in saved} == set(world.registry().repositories) - {refused}
