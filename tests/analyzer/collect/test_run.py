"""Whole runs against an AWS in memory, with everything that can go wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import botocore.endpoint
import pytest
from botocore.exceptions import ClientError

from analyzer.collect import manifest_fetching
from analyzer.errors import InputError, RunError
from analyzer.model.records import ABSENT, Gap, ImageStatus, Kind, ReadStatus, RegistryKey
from tests.analyzer.collect.fakes import (
    ACCOUNT,
    NOW,
    REGION,
    Aws,
    MemoryStore,
    Recorder,
    Request,
    run,
    session,
)
from tests.support.registry import OCI_MANIFEST, Registry, Repository, World, generate, manifest_text
from tests.support.stub_ecr import Answer, Fault

OTHER = "us-east-1"


def text_of(name: object) -> str:
    """A manifest that no other name has."""
    number = abs(hash(("layer", name))) % 16**12
    return manifest_text([("sha256:" + f"{number:064x}", 10)], ("sha256:" + "c" * 64, 1))


def filled(registry: Registry, repository: str, *names: object) -> Repository:
    """A repository with an image per name, tagged with it."""
    made = registry.create_repository(repository)
    for name in names:
        made.put_image(text_of(name), tag=f"t{name}")
    return made


def small_world() -> World:
    world = World()
    filled(world.registry(), "aa", 1, 2, 3, 4, 5)
    filled(world.registry(), "bb", 5, 6)
    return world


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 1000])
def test_everything_is_read_whatever_the_size_of_pages(page_size: int) -> None:
    world = generate(5, 7, 3, seed=1)
    aws, store, progress = Aws(world, page_size=page_size), MemoryStore(), Recorder()
    result = run(store, progress=progress)
    assert result.status == "complete"
    assert store.runs == ["complete"]
    assert result.gaps == ()
    (summary,) = result.registries
    assert (summary.snapshot, summary.status, summary.repositories) == (7, "complete", 5)
    assert (summary.artifacts, summary.manifests_fetched) == (35, 35)
    read = store.reads[REGION]
    assert read.taken_at_ms == NOW * 1000
    assert [one.name for one in read.repositories] == sorted(world.registry().repositories)
    for repository in world.repositories():
        seen = store.repository(repository.name)
        assert seen.status is ReadStatus.COMPLETE
        assert seen.created_at_ms == round(repository.created_at * 1000)
        assert {a.digest: a.tags for a in seen.artifacts} == {
            digest: tuple(sorted(image.tags)) for digest, image in repository.images.items()
        }
        for artifact in seen.artifacts:
            image = repository.images[artifact.digest]
            assert artifact.pushed_at_ms == round(image.pushed_at * 1000)
            assert artifact.reported_size_bytes == image.size_bytes
            pulled = None if image.pulled_at is None else int(image.pulled_at // 86400)
            assert artifact.pulled_day == pulled
            manifest = store.manifests[artifact.digest]
            assert sum(blob.size_bytes for blob in manifest.blobs) == image.size_bytes
    assert result.calls == Counter(
        f"{'sts' if r.operation == 'GetCallerIdentity' else 'ecr'}:{r.operation}" for r in aws.requests
    )
    assert (result.retries, result.throttles) == (0, 0)
    assert progress.events[0] == ("started", REGION)
    assert progress.events[1] == ("known", REGION, 5)
    assert progress.events[-1] == ("finished", REGION, "complete")
    assert sum(event[3] for event in progress.events if event[0] == "done") == 35
    assert sum(event[2] for event in progress.events if event[0] == "fetched") == 35


def test_an_unchanged_night_fetches_no_manifest() -> None:
    store = MemoryStore()
    Aws(small_world())
    run(store)
    aws = Aws(small_world())
    result = run(store)
    assert aws.asked("BatchGetImage") == []
    assert result.status == "complete"


def test_manifests_are_asked_for_after_the_last_page_of_their_repository() -> None:
    aws = Aws(generate(4, 9, 2, seed=2), page_size=2)
    run(MemoryStore())
    for request in aws.asked("BatchGetImage"):
        later = aws.requests[aws.requests.index(request) + 1 :]
        name = request.parameters["repositoryName"]
        assert not [
            r for r in later if r.operation == "DescribeImages" and r.parameters["repositoryName"] == name
        ]


def test_settings_are_canonical_json_and_absence_is_told_from_ignorance() -> None:
    world = World()
    registry = world.registry()
    registry.settings["BLOB_MOUNTING"] = "ENABLED"
    registry.pull_through_cache_rules = [
        {
            "ecrRepositoryPrefix": "z",
            "upstreamRegistryUrl": "upstream-z.example",
            "createdAt": 1.0,
            "registryId": ACCOUNT,
        },
        {
            "ecrRepositoryPrefix": "aa",
            "upstreamRegistryUrl": "upstream-a.example",
            "updatedAt": 2.0,
            "registryId": ACCOUNT,
        },
    ]
    registry.pull_time_update_exclusions = ["arn:aws:iam::1:role/b", "arn:aws:iam::1:role/a"]
    with_policy = filled(registry, "aa")
    with_policy.lifecycle_policy = '{"rules": []}'
    with_policy.resource_tags = {"team": "x", "Cost": "é"}
    with_policy.encryption = {"encryptionType": "KMS", "kmsKey": "arn:aws:kms:k"}
    filled(registry, "bb")
    Aws(world)
    store = MemoryStore()
    run(store)
    read = store.reads[REGION]
    assert read.settings == {
        "basic_scan_type_version": '"AWS_NATIVE"',
        "blob_mounting": '"ENABLED"',
        "pull_through_cache_rules": (
            '[{"ecrRepositoryPrefix":"aa","registryId":"123456789012","upstreamRegistryUrl":"upstream-a.example"},'
            '{"ecrRepositoryPrefix":"z","registryId":"123456789012","upstreamRegistryUrl":"upstream-z.example"}]'
        ),
        "pull_time_update_exclusions": '["arn:aws:iam::1:role/a","arn:aws:iam::1:role/b"]',
        "collector_excluded": "false",
        "registry_policy_scope": '"V2"',
        "registry_policy_text": ABSENT,
        "replication_configuration": '{"rules":[]}',
        "repository_creation_templates": "[]",
        "scanning_configuration": '{"rules":[],"scanType":"BASIC"}',
    }
    assert store.repository("aa").settings == {
        "arn": f'"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/aa"',
        "uri": f'"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/aa"',
        "image_tag_mutability": '"MUTABLE"',
        "image_tag_mutability_exclusion_filters": "[]",
        "scan_on_push": "false",
        "encryption": '{"encryptionType":"KMS","kmsKey":"arn:aws:kms:k"}',
        "lifecycle_policy_text": json.dumps('{"rules": []}'),
        "repository_policy_text": ABSENT,
        "scanning": '{"appliedScanFilters":[],"scanFrequency":"MANUAL","scanOnPush":false}',
        "tags": r'{"Cost":"\u00e9","team":"x"}',
    }
    assert store.repository("bb").settings["lifecycle_policy_text"] == ABSENT
    assert store.repository("bb").settings["tags"] == "{}"
    assert store.repository("bb").settings["encryption"] == '{"encryptionType":"AES256"}'


def _is_about(repository: str, request: Request) -> bool:
    return bool(request.parameters["repositoryName"] == repository)


@pytest.mark.parametrize("kind", ["error", "throttle", "expire_token"])
def test_pages_read_before_a_failure_are_kept(kind: str) -> None:
    aws = Aws(small_world(), page_size=2, faults=[Fault(kind, "DescribeImages", "aa", nth=3)])  # type: ignore[arg-type]
    store = MemoryStore()
    result = run(store)
    assert result.status == "gaps"
    assert store.repository("aa").status is ReadStatus.PARTIAL
    # A page token that expired makes the first of them be read again, which are then the last seen.
    assert sorted(artifact.tags for artifact in store.repository("aa").artifacts) == [
        ("t1",),
        ("t2",),
        ("t3",),
        ("t4",),
    ]
    assert store.repository("bb").status is ReadStatus.COMPLETE
    (gap,) = result.gaps
    assert (gap.account, gap.region, gap.repository, gap.call) == (
        ACCOUNT,
        REGION,
        "aa",
        "ecr:DescribeImages",
    )
    assert "broke off after 4" in gap.detail
    # Its listing is over for this run, so that its manifests disturb nothing any more.
    assert {a.digest for a in store.repository("aa").artifacts} <= store.manifests.keys()
    last_listed = max(aws.requests.index(r) for r in aws.asked("DescribeImages") if _is_about("aa", r))
    assert last_listed < min(aws.requests.index(r) for r in aws.asked("BatchGetImage") if _is_about("aa", r))


@pytest.mark.parametrize(
    ("operation", "setting"),
    [
        ("GetLifecyclePolicy", "lifecycle_policy_text"),
        ("ListTagsForResource", "tags"),
        ("GetRepositoryPolicy", "repository_policy_text"),
    ],
)
def test_a_refused_setting_is_left_out_and_named(operation: str, setting: str) -> None:
    Aws(small_world(), faults=[Fault("deny", operation, "aa")])
    store = MemoryStore()
    (gap,) = run(store).gaps
    assert (gap.repository, gap.call, gap.reason) == ("aa", f"ecr:{operation}", "AccessDeniedException")
    assert gap.detail.startswith(f"missing ecr:{operation} on {ACCOUNT}/{REGION} aa; ")
    assert setting not in store.repository("aa").settings
    assert setting in store.repository("bb").settings
    assert store.repository("aa").status is ReadStatus.COMPLETE


#: Call to the settings that it gives.
REGISTRY_SETTINGS = {
    "GetAccountSetting": {"basic_scan_type_version", "blob_mounting", "registry_policy_scope"},
    "DescribePullThroughCacheRules": {"pull_through_cache_rules"},
    # Whether our own pulls are excluded is known only with the list.
    "ListPullTimeUpdateExclusions": {"pull_time_update_exclusions", "collector_excluded"},
    "GetRegistryScanningConfiguration": {"scanning_configuration"},
    "DescribeRegistry": {"replication_configuration"},
    "GetRegistryPolicy": {"registry_policy_text"},
    "DescribeRepositoryCreationTemplates": {"repository_creation_templates"},
}


@pytest.mark.parametrize("operation", REGISTRY_SETTINGS)
@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ValidationException", "UnknownOperationException"]
)
def test_a_refused_registry_setting_is_left_out_and_named(operation: str, code: str) -> None:
    Aws(small_world(), faults=[Fault("code", operation, code=code)])
    store = MemoryStore()
    (gap,) = run(store).gaps
    assert (gap.repository, gap.call, gap.reason) == ("", f"ecr:{operation}", code)
    everything = set().union(*REGISTRY_SETTINGS.values())
    assert store.reads[REGION].settings.keys() == everything - REGISTRY_SETTINGS[operation]


def test_images_that_may_not_be_listed_leave_a_refused_repository_with_its_settings() -> None:
    Aws(small_world(), faults=[Fault("deny", "DescribeImages", "aa")])
    store = MemoryStore()
    (gap,) = run(store).gaps
    assert (gap.repository, gap.call) == ("aa", "ecr:DescribeImages")
    assert store.repository("aa").status is ReadStatus.REFUSED
    assert store.repository("aa").artifacts == []
    assert store.repository("aa").settings["lifecycle_policy_text"] == ABSENT


def test_denied_manifests_are_counted_per_repository_and_not_asked_for_over_and_over() -> None:
    world = World()
    filled(world.registry(), "aa", *range(450))
    filled(world.registry(), "bb", 1, "only b")
    aws = Aws(world, faults=[Fault("deny", "BatchGetImage", "aa")])
    store = MemoryStore()
    result = run(store, workers=1)
    (gap,) = result.gaps
    # The one that b holds too came from there.
    assert (gap.repository, gap.call, gap.reason, gap.count) == (
        "aa",
        "ecr:BatchGetImage",
        "AccessDeniedException",
        449,
    )
    assert len(store.reads[REGION].refusals) == 449
    assert len([r for r in aws.asked("BatchGetImage") if r.parameters["repositoryName"] == "aa"]) == 1
    assert len(store.manifests) == 2


def test_a_registry_whose_repositories_may_not_be_listed_is_refused_and_keeps_its_settings() -> None:
    Aws(small_world(), faults=[Fault("deny", "DescribeRepositories")])
    store = MemoryStore()
    result = run(store)
    assert store.reads[REGION].status is ReadStatus.REFUSED
    assert store.reads[REGION].repositories == []
    assert store.reads[REGION].settings.keys() == set().union(*REGISTRY_SETTINGS.values())
    assert result.registries[0].status == "refused"
    assert [gap.call for gap in result.gaps] == ["ecr:DescribeRepositories"]


def test_a_list_of_repositories_that_breaks_off_is_partial() -> None:
    Aws(small_world(), page_size=1, faults=[Fault("error", "DescribeRepositories", nth=2)])
    store = MemoryStore()
    result = run(store)
    assert store.reads[REGION].status is ReadStatus.PARTIAL
    assert [one.name for one in store.reads[REGION].repositories] == ["aa"]
    assert [gap.reason for gap in result.gaps] == ["ServerException"]


def test_a_disabled_region_is_one_gap_and_nothing_more_is_asked_there() -> None:
    world = small_world()
    filled(world.registry(region=OTHER), "cc", 9)
    aws = Aws(world)
    refusal = Answer(b'{"__type":"UnrecognizedClientException","message":"invalid"}', 400)
    aws.hook = lambda request: (
        refusal if request.region == OTHER and "Caller" not in request.operation else None
    )
    store = MemoryStore()
    result = run(store, OTHER, REGION)
    assert [(gap.region, gap.repository, gap.reason) for gap in result.gaps] == [
        (OTHER, "", "UnrecognizedClientException")
    ]
    assert [r.operation for r in aws.requests if r.region == OTHER] == ["DescribeRepositories"]
    assert {s.key.region: s.status for s in result.registries} == {REGION: "complete", OTHER: "refused"}


def test_a_repository_deleted_while_it_is_read_is_a_gap() -> None:
    world = small_world()
    aws = Aws(world)

    def delete(request: Request) -> None:
        if request.operation == "DescribeImages":
            world.registry().repositories.pop("aa", None)

    aws.hook = delete
    store = MemoryStore()
    result = run(store)
    (gap,) = result.gaps
    assert (gap.repository, gap.reason) == ("aa", "RepositoryNotFoundException")
    assert store.repository("aa").status is ReadStatus.REFUSED
    assert [r.parameters["repositoryName"] for r in aws.asked("GetLifecyclePolicy")] == ["bb"]


def test_an_image_deleted_while_listing_is_kept_as_listed_and_its_manifest_refused() -> None:
    world = small_world()
    aws = Aws(world)
    gone = next(iter(world.registry().repositories["aa"].images))

    def delete(request: Request) -> None:
        # Asked of the other repository, this one may not be listed yet.
        if request.operation == "BatchGetImage" and request.parameters["repositoryName"] == "aa":
            world.registry().repositories["aa"].images.pop(gone, None)

    aws.hook = delete
    store = MemoryStore()
    (gap,) = run(store).gaps
    assert (gap.repository, gap.call, gap.reason, gap.count) == (
        "aa",
        "ecr:BatchGetImage",
        "ImageNotFound",
        1,
    )
    assert gone in {artifact.digest for artifact in store.repository("aa").artifacts}
    (refusal,) = store.reads[REGION].refusals
    assert (refusal.digest, refusal.reason, refusal.image_status) == (
        gone,
        "ImageNotFound",
        ImageStatus.ACTIVE,
    )


def test_a_manifest_that_does_not_hash_to_its_digest_is_not_stored() -> None:
    Aws(small_world(), faults=[Fault("wrong_digest", "BatchGetImage", "bb")])
    store = MemoryStore()
    result = run(store, workers=1)
    # The image that a holds too is had from there.
    assert [(gap.repository, gap.reason, gap.count) for gap in result.gaps] == [("bb", "DigestMismatch", 1)]
    assert len(store.manifests) == 5


def test_an_archived_image_refused_once_is_not_asked_for_until_it_is_restored() -> None:
    world = World()
    archived = filled(world.registry(), "aa", 1, 2)
    digest = next(iter(archived.images))
    archived.archive_image(digest)
    store = MemoryStore()
    Aws(world)
    (first,) = run(store).gaps
    assert (first.reason, first.count) == ("ImageArchived", 1)
    (refusal,) = store.reads[REGION].refusals
    assert (refusal.reason, refusal.image_status) == ("ImageArchived", ImageStatus.ARCHIVED)

    aws = Aws(world)
    assert run(store).gaps == (first,)
    assert aws.asked("BatchGetImage") == []
    assert store.repository("aa").artifacts[0].image_status is ImageStatus.ARCHIVED

    # One more: of both together the same is said.
    another = archived.put_image(text_of("another"))
    archived.archive_image(another.digest)
    Aws(world)
    (gap,) = run(store).gaps
    assert (gap.reason, gap.count) == ("ImageArchived", 2)
    archived.delete_image(another.digest)

    archived.images[digest].status = "ACTIVE"
    archived.images[digest].changed()
    Aws(world)
    assert run(store).gaps == ()
    assert digest in store.manifests


def test_unknown_and_malformed_manifests_are_stored_as_such() -> None:
    world = World()
    repository = filled(world.registry(), "aa", 1)
    repository.put_image('{"mediaType":"application/x-new"}', media_type=OCI_MANIFEST)
    repository.put_image('{"schemaVersion":2,"config":{},"layers":[]}')
    Aws(world)
    store = MemoryStore()
    run(store)
    assert Counter(m.kind for m in store.manifests.values()) == {
        Kind.IMAGE: 1,
        Kind.UNKNOWN: 1,
        Kind.UNREADABLE: 1,
    }


def test_an_archived_image_refused_for_another_reason_is_asked_for_again() -> None:
    world = World()
    archived = filled(world.registry(), "aa", 1)
    archived.archive_image(next(iter(archived.images)))
    store = MemoryStore()
    Aws(world, faults=[Fault("deny", "BatchGetImage", "aa")])
    for _ in range(2):
        (gap,) = run(store).gaps
        assert (gap.reason, gap.count) == ("AccessDeniedException", 1)
    Aws(world)
    (gap,) = run(store).gaps
    assert gap.reason == "ImageArchived"


def test_what_is_done_with_a_snapshot_is_done_under_its_lease_and_its_gaps_count() -> None:
    Aws(small_world())
    store = MemoryStore()
    found = Gap(ACCOUNT, REGION, "aa", "ecr:BatchGetImage", "Odd", count=3)

    def after(key: RegistryKey, number: int, snapshot: int) -> list[Gap]:
        assert (key.region, number, snapshot) == (REGION, 1, 7)
        assert (key.region in store.leased, store.runs) == (True, ["running"])
        return [found]

    result = run(store, after_snapshot=after)
    assert (result.gaps, result.registries[0].gaps, result.status) == ((found,), (found,), "gaps")
    assert store.runs == ["gaps"]


@pytest.mark.parametrize(
    ("exclusions", "excluded"),
    [
        ([], "false"),
        ([f"arn:aws:iam::{ACCOUNT}:role/collector"], "true"),
        ([f"arn:aws:iam::{ACCOUNT}:role/path/to/collector"], "true"),
        (["arn:aws:iam::210987654321:role/collector"], "false"),
    ],
)
def test_whether_its_own_pulls_leave_a_mark_is_a_setting(exclusions: list[str], excluded: str) -> None:
    world = small_world()
    world.registry().pull_time_update_exclusions = exclusions
    Aws(world)
    store = MemoryStore()
    run(store)
    assert store.reads[REGION].settings["collector_excluded"] == excluded
    assert store.callers == [f"arn:aws:sts::{ACCOUNT}:assumed-role/collector/tests"]


def test_a_digest_in_many_repositories_and_regions_is_fetched_once() -> None:
    world = World()
    for region in (REGION, OTHER, "eu-north-1"):
        for name in ("aa", "bb", "cc"):
            filled(world.registry(region=region), name, *range(150))
    aws = Aws(world)
    store = MemoryStore()
    result = run(store, REGION, OTHER, "eu-north-1", workers=9)
    asked = Counter(
        image["imageDigest"] for r in aws.asked("BatchGetImage") for image in r.parameters["imageIds"]
    )
    assert len(asked) == 150
    assert set(asked.values()) == {1}
    assert len(store.manifests) == 150
    assert sum(summary.manifests_fetched for summary in result.registries) == 150
    assert result.gaps == ()


def test_a_manifest_refused_in_one_registry_is_had_from_another_that_waited_for_it() -> None:
    world = World()
    filled(world.registry(), "denied", 1, 2)
    filled(world.registry(region=OTHER), "open", 1, 2)
    aws = Aws(world, faults=[Fault("deny", "BatchGetImage", "denied")])
    asking, waited = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if request.operation == "BatchGetImage" and request.region == REGION:
            asking.set()
            assert waited.wait(20)
        if request.operation == "DescribeImages" and request.region == OTHER:
            # The other registry lists its images while the first one's call is under way…
            assert asking.wait(20)
            # …and finds them claimed.
            threading.Timer(0.3, waited.set).start()

    aws.hook = hold
    store = MemoryStore()
    result = run(store, REGION, OTHER)
    assert len(store.manifests) == 2
    assert {gap.region for gap in result.gaps} <= {REGION}
    assert not store.reads[OTHER].refusals


def test_who_waits_for_another_registry_in_vain_fetches_the_manifest_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manifest_fetching, "_CLAIM_PATIENCE", 0.1)
    world = World()
    filled(world.registry(), "slow", 1)
    filled(world.registry(region=OTHER), "quick", 1)
    aws = Aws(world)
    asking, done = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if request.operation == "BatchGetImage" and request.region == REGION:
            asking.set()
            assert done.wait(20)
        if request.operation == "DescribeImages" and request.region == OTHER:
            assert asking.wait(20)

    class Watch(Recorder):
        def registry_done(self, summary: object) -> None:
            if getattr(summary, "key").region == OTHER:  # noqa: B009
                done.set()

    aws.hook = hold
    store = MemoryStore()
    result = run(store, REGION, OTHER, progress=Watch())
    assert result.gaps == ()
    assert len(aws.asked("BatchGetImage")) == 2


def test_a_registry_that_hangs_does_not_hold_up_the_others() -> None:
    world = World()
    for number in range(40):
        filled(world.registry(), f"slow-{number}", number)
    filled(world.registry(region=OTHER), "quick", "x")
    aws = Aws(world)
    committed = threading.Event()

    class Watch(Recorder):
        def registry_done(self, summary: object) -> None:
            if getattr(summary, "key").region == OTHER:  # noqa: B009
                committed.set()

    def hang(request: Request) -> None:
        if request.operation == "DescribeImages" and request.region == REGION:
            assert committed.wait(20), "the other registry was held up"

    aws.hook = hang
    result = run(MemoryStore(), REGION, OTHER, workers=2, progress=Watch())
    assert result.gaps == ()


def test_a_registry_held_by_another_process_is_named_and_the_others_go_on() -> None:
    world = small_world()
    filled(world.registry(region=OTHER), "cc", 9)
    aws = Aws(world)
    store = MemoryStore(held={REGION})
    result = run(store, REGION, OTHER)
    held, other = result.registries
    assert (held.key.region, held.snapshot, held.status) == (REGION, None, "held")
    assert [gap.reason for gap in held.gaps] == ["LeaseHeld"]
    assert store.gaps == {REGION: held.gaps}
    assert (other.snapshot, other.status) == (7, "complete")
    assert result.status == "gaps"
    assert not [r for r in aws.requests if r.region == REGION and r.operation != "GetCallerIdentity"]


class _NoSleep:
    """The time module without its waiting, for botocore's pauses between attempts."""

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0


def test_throttled_calls_are_retried_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.endpoint, "time", _NoSleep())
    world = World()
    world.registry()
    Aws(world, faults=[Fault("throttle", "DescribeRepositories", times=1)])
    result = run(MemoryStore(), attempts=2)
    assert result.gaps == ()
    assert (result.calls["ecr:DescribeRepositories"], result.retries, result.throttles) == (1, 1, 1)


def test_a_broken_answer_is_asked_for_again_and_never_taken_for_an_empty_one() -> None:
    aws = Aws(small_world(), faults=[Fault("garble", "DescribeImages", "aa", times=2)])
    store = MemoryStore()
    assert run(store).gaps == ()
    assert len(store.repository("aa").artifacts) == 5
    assert len(aws.asked("DescribeImages")) == 4

    Aws(small_world(), faults=[Fault("garble", "DescribeImages", "aa")])
    (gap,) = run(store).gaps
    assert (gap.repository, gap.reason) == ("aa", "UnreadableAnswer")
    assert store.repository("aa").status is ReadStatus.REFUSED


def test_an_answer_without_its_list_is_not_an_empty_list() -> None:
    aws = Aws(small_world())
    aws.hook = lambda request: Answer(b"{}") if request.operation == "DescribeImages" else None
    store = MemoryStore()
    assert {gap.reason for gap in run(store).gaps} == {"InvalidAnswer"}
    assert store.repository("aa").status is ReadStatus.REFUSED


def test_a_page_token_that_repeats_ends_the_listing() -> None:
    aws = Aws(small_world())
    page = b'{"imageDetails":[],"nextToken":"again"}'
    aws.hook = lambda request: Answer(page) if request.operation == "DescribeImages" else None
    store = MemoryStore()
    assert {gap.reason for gap in run(store).gaps} == {"InvalidAnswer"}
    assert len(aws.asked("DescribeImages")) == 4


def test_a_registry_that_keeps_failing_is_given_up() -> None:
    world = World()
    for number in range(60):
        filled(world.registry(), f"r{number:02d}")
    aws = Aws(world, faults=[Fault("error", "DescribeImages")])
    result = run(MemoryStore(), workers=2)
    assert len(aws.asked("DescribeImages")) < 20
    reasons = Counter(gap.reason for gap in result.gaps)
    assert reasons["ServerException"] + reasons["GaveUp"] == 60


@pytest.mark.parametrize("code", ["InvalidParameterException", "ValidationException"])
@pytest.mark.parametrize(
    "operation",
    ["DescribeImages", "GetLifecyclePolicy", "ListTagsForResource", "GetRepositoryPolicy", "BatchGetImage"],
)
def test_a_repository_whose_parameters_ecr_does_not_accept_is_a_gap(operation: str, code: str) -> None:
    world = World()
    filled(world.registry(), "aa", 1)
    filled(world.registry(), "bb", 2)
    Aws(world, faults=[Fault("code", operation, "aa", code=code)])
    store = MemoryStore()
    (gap,) = run(store).gaps
    assert (gap.repository, gap.call, gap.reason) == ("aa", f"ecr:{operation}", code)
    assert f"{ACCOUNT}/{REGION} aa" in gap.detail
    assert store.repository("bb").status is ReadStatus.COMPLETE


@pytest.mark.parametrize("code", ["InvalidParameterException", "ValidationException"])
def test_a_request_about_the_registry_that_ecr_does_not_accept_ends_the_run(code: str) -> None:
    Aws(small_world(), faults=[Fault("code", "DescribeRepositories", code=code)])
    store = MemoryStore()
    with pytest.raises(ClientError, match=code):
        run(store)
    assert (store.runs, store.leased, store.reads) == (["failed"], {}, {})


def test_an_unexpected_error_ends_the_run_and_keeps_its_manifests() -> None:
    world = World()
    filled(world.registry(), "aa", *range(150))
    filled(world.registry(region=OTHER), "bb", *range(150, 160))
    Aws(world)
    store = MemoryStore()

    class Breaks(Recorder):
        def _note(self, *event: object) -> None:
            if event[:2] == ("fetched", REGION):
                raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        run(store, REGION, OTHER, workers=2, progress=Breaks())
    assert (store.runs, store.leased) == (["failed"], {})
    assert REGION not in store.reads
    assert len(store.manifests) >= 50


def test_a_registry_whose_lease_is_lost_is_given_up_and_keeps_its_manifests() -> None:
    world = small_world()
    filled(world.registry(region=OTHER), "cc", 9)
    aws = Aws(world)
    store = MemoryStore()
    fetched, released = threading.Event(), threading.Event()
    hung_to_the_end: list[bool] = []

    class Watch(Recorder):
        def _note(self, *event: object) -> None:
            if event[:2] == ("fetched", REGION):
                fetched.set()

    def lose(request: Request) -> None:
        # The first answer comes; the lease goes while the next hangs.
        mine = [r for r in aws.asked("BatchGetImage") if r.region == REGION]
        if len(mine) == 2 and request is mine[1]:
            assert fetched.wait(20)
            store.leased[REGION].lost.set()
            hung_to_the_end.append(not released.wait(60))

    aws.hook = lose
    result = run(store, REGION, OTHER, progress=Watch())
    assert hung_to_the_end == []
    released.set()
    lost, other = result.registries
    assert (lost.key.region, lost.snapshot, lost.status) == (REGION, None, "held")
    assert [gap.reason for gap in lost.gaps] == ["LeaseLost"]
    assert f"{ACCOUNT}/{REGION}" in lost.gaps[0].detail
    assert store.gaps == {REGION: lost.gaps}
    assert (other.snapshot, other.status) == (7, "complete")
    assert REGION not in store.reads
    # Of whichever repository was read first.
    assert store.manifests.keys() & {d for one in world.registry().repositories.values() for d in one.images}


def test_an_error_code_that_is_new_is_a_gap_and_the_run_goes_on() -> None:
    Aws(small_world(), faults=[Fault("code", "DescribeImages", "bb", code="SomethingNewException")])
    store = MemoryStore()
    assert {(gap.repository, gap.reason) for gap in run(store).gaps} == {("bb", "SomethingNewException")}
    assert store.runs == ["gaps"]


def test_expired_credentials_end_the_run() -> None:
    Aws(small_world(), faults=[Fault("code", "DescribeImages", "bb", code="ExpiredTokenException")])
    store = MemoryStore()
    with pytest.raises(RunError, match="expired"):
        run(store)
    assert store.runs == ["failed"]


def test_credentials_that_are_refused_everywhere_end_the_run_before_it_begins() -> None:
    Aws(small_world(), faults=[Fault("code", "GetCallerIdentity", code="InvalidClientTokenId")])
    store = MemoryStore()
    with pytest.raises(RunError, match=r"us-east-1: InvalidClientTokenId"):
        run(store, REGION, OTHER)
    assert store.runs == []


def test_the_identity_is_asked_of_the_next_region_when_the_first_is_disabled() -> None:
    Aws(small_world(), faults=[Fault("code", "GetCallerIdentity", code="InvalidClientTokenId", times=1)])
    assert run(MemoryStore(), REGION, OTHER).status == "complete"


def test_another_accounts_credentials_are_an_input_error() -> None:
    Aws(small_world())
    with pytest.raises(InputError, match=f"belong to account {ACCOUNT}, not to 210987654321"):
        run(MemoryStore(), account="210987654321")
    assert run(MemoryStore(), account=ACCOUNT).status == "complete"


@pytest.mark.parametrize("region", ["", "eu west 1", "eu-west-1/../x", "x" * 80])
def test_what_is_no_region_is_an_input_error(region: str) -> None:
    Aws(small_world())
    with pytest.raises(InputError, match="not the name of an AWS region"):
        run(MemoryStore(), region)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C is heard, though a shell that starts tests in the background has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_run_promptly_though_a_call_hangs() -> None:
    aws = Aws(small_world())
    hanging, released = threading.Event(), threading.Event()
    hung_to_the_end: list[bool] = []

    def hang(request: Request) -> None:
        if request.operation == "DescribeImages":
            hanging.set()
            hung_to_the_end.append(not released.wait(60))

    def interrupt() -> None:
        hanging.wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    aws.hook = hang
    store = MemoryStore()
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(store)
    # The run waited for no answer.
    assert hung_to_the_end == []
    released.set()
    assert store.runs == ["failed"]
    assert store.leased == {}


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_keeps_the_manifests_that_were_fetched() -> None:
    world = small_world()
    aws = Aws(world)
    fetched, released = threading.Event(), threading.Event()

    class Watch(Recorder):
        def _note(self, *event: object) -> None:
            if event[0] == "fetched":
                fetched.set()

    def hang(request: Request) -> None:
        if request.operation == "DescribeImages" and _is_about("bb", request):
            released.wait(60)

    def interrupt() -> None:
        fetched.wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    aws.hook = hang
    store = MemoryStore()
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(store, progress=Watch())
    released.set()
    assert store.manifests.keys() == world.registry().repositories["aa"].images.keys()
    assert (store.runs, store.leased) == (["failed"], {})


def test_the_session_that_was_given_is_not_changed() -> None:
    world = small_world()
    Aws(world)
    run(MemoryStore())
    page = session().client("ecr", region_name=REGION).describe_images(repositoryName="aa")
    assert page["imageDetails"][0]["imagePushedAt"].tzinfo is not None
