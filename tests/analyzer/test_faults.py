"""Whatever AWS answers, or does not: the snapshot is the truth, or a gap names where it is not.

Random plans of faults, over HTTP, against a world that moves on. What was stored is compared with the
world's own objects: a difference that no gap names is a falsehood, and so is a gap with nothing missing.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import botocore.endpoint
import pytest
from boto3.session import Session

from analyzer.collect import CollectOptions, CollectResult, SilentProgress
from analyzer.errors import RunError
from analyzer.model.records import Gap, ReadStatus, RegistryRead
from analyzer.nightly import collect_snapshots
from analyzer.store.engine import Database
from analyzer.store.opening import open_database
from analyzer.store.snapshots import load_gaps, rebuild, snapshots_of_run
from analyzer.store.writer import Store
from tests.support.databases import opened
from tests.support.nights import REGIONS, first_night, next_night
from tests.support.registry import World
from tests.support.stub_ecr import Asked, Fault, FaultKind, Server, serve
from tests.support.truth import Place, differences, held, unfounded, untold

_PLANS = int(os.environ.get("FAULT_PLANS", "8"))
#: What an answer may take; a slow one takes longer.
_READ_SECONDS = 0.5
_SLOW_SECONDS = 0.8
_OF_REGISTRIES = (
    "DescribePullThroughCacheRules",
    "DescribeRegistry",
    "DescribeRepositories",
    "DescribeRepositoryCreationTemplates",
    "GetAccountSetting",
    "GetRegistryPolicy",
    "GetRegistryScanningConfiguration",
    "ListPullTimeUpdateExclusions",
)
_OF_REPOSITORIES = (
    "BatchGetImage",
    "BatchGetRepositoryScanningConfiguration",
    "DescribeImages",
    "GetLifecyclePolicy",
    "GetRepositoryPolicy",
    "ListTagsForResource",
)
_OPERATIONS = (*_OF_REGISTRIES, *_OF_REPOSITORIES)
_LISTINGS = (
    "DescribeImages",
    "DescribePullThroughCacheRules",
    "DescribeRepositories",
    "DescribeRepositoryCreationTemplates",
    "ListPullTimeUpdateExclusions",
)
#: Of each operation, what its answer cannot do without.
_FIELDS = {
    "BatchGetImage": ("images", "images/imageManifest", "images/imageId"),
    "BatchGetRepositoryScanningConfiguration": (
        "scanningConfigurations",
        "scanningConfigurations/repositoryName",
    ),
    "DescribeImages": ("imageDetails", "imageDetails/imageDigest"),
    "DescribePullThroughCacheRules": ("pullThroughCacheRules",),
    "DescribeRegistry": ("replicationConfiguration",),
    "DescribeRepositories": ("repositories", "repositories/repositoryName", "repositories/createdAt"),
    "DescribeRepositoryCreationTemplates": ("repositoryCreationTemplates",),
    "GetAccountSetting": ("value",),
    "GetLifecyclePolicy": ("lifecyclePolicyText",),
    "GetRegistryScanningConfiguration": ("scanningConfiguration",),
    "GetRepositoryPolicy": ("policyText",),
    "ListPullTimeUpdateExclusions": ("pullTimeUpdateExclusions",),
    "ListTagsForResource": ("tags",),
}
_CODES = ("KmsException", "LimitExceededException", "SomethingNewException", "ValidationException")


class _NoSleep:
    """The time module without its waiting, for botocore's pauses between attempts."""

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.endpoint, "time", _NoSleep())


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="not-a-secret")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with nothing in it but its schema, which takes longer to make than to copy."""
    file = tmp_path_factory.mktemp("template") / "empty.sqlite"
    open_database(f"sqlite:///{file}", create=True).engine.dispose()
    return file


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Iterator[Database]:
    file = tmp_path / "nights.sqlite"
    shutil.copy(template, file)
    with opened(f"sqlite:///{file}") as database:
        yield database


class Nights:
    """A database, a world, and what one run after the other makes of them."""

    def __init__(
        self, database: Database, session: Session, server: Server, regions: tuple[str, ...] = REGIONS
    ) -> None:
        self.database = database
        self.server = server
        self.world: World = server.stub.world
        self.result: CollectResult
        self._session = session
        self._regions = regions

    def collect(self, *faults: Fault, attempts: int = 2) -> list[Gap]:
        """One run, with those faults; gives its gaps."""
        self.server.stub.faults = list(faults)
        self.server.stub.struck.clear()
        options = CollectOptions(
            regions=self._regions,
            workers=4,
            attempts=attempts,
            read_seconds=_READ_SECONDS if any(fault.kind == "sleep" for fault in faults) else 20.0,
            requests_per_second=1e9,
            batch_get_image_per_second=1e9,
        )
        self.result = collect_snapshots(self.database, self._session, options, SilentProgress())
        with self.database.read() as connection:
            found = load_gaps(connection, snapshots_of_run(connection, self.result.run), self.result.run)
        assert found == sorted(self.result.gaps), "what is stored of gaps is not what was told"
        return found

    def read(self, region: str) -> RegistryRead:
        """The newest snapshot."""
        with self.database.read() as connection:
            refs = snapshots_of_run(connection, self.result.run)
            (found,) = [found for found in refs if found.key.region == region]
            return rebuild(connection, found)

    def complaints(self, *, fresh: bool) -> list[str]:
        """What is wrong with the last run's snapshots and gaps; ``fresh`` if it was the first."""
        found = []
        store = Store(self.database, lambda: 0)
        for region in self._regions:
            read = self.read(region)
            wanted = {artifact.digest for entry in read.repositories for artifact in entry.artifacts}
            stored = wanted - store.unknown_manifests(wanted)
            real = differences(held(self.world, region), read, stored)
            gaps = [gap for gap in self.result.gaps if gap.region == region]
            elsewhere = _elsewhere(self.world, region) if len(self._regions) > 1 else {}
            refused: set[Place] = {(name, "ecr:BatchGetImage") for name in elsewhere}
            struck: set[Place] = {
                (repository, f"ecr:{operation}")
                for place, repository, operation in self.server.stub.struck
                if place == region
            }
            refused = refused & struck if fresh else struck
            wrong = [*untold(real, gaps, elsewhere), *unfounded(real, gaps, refused)]
            found += [f"{region}: {complaint}" for complaint in wrong]
        return found


def _elsewhere(world: World, region: str) -> dict[str, int]:
    """How many manifests of each repository of ``region`` another region has too."""
    others = {
        digest
        for repository in world.repositories()
        if repository.registry.region != region
        for digest in repository.images
    }
    repositories = world.registry(region=region).repositories
    return {
        name: len(others & one.images.keys())
        for name, one in repositories.items()
        if others & one.images.keys()
    }


def _plan(rng: random.Random, world: World) -> list[Fault]:
    """Some faults that a run is to survive."""
    return [_fault(rng, world) for _ in range(rng.randrange(1, 5))]


def _fault(rng: random.Random, world: World) -> Fault:
    kind: FaultKind = rng.choice(get_args(FaultKind))
    operation = rng.choice(_OPERATIONS)
    times = rng.choice((0, 1, 2, 5))
    field = code = ""
    if kind in ("expire_token", "empty_page", "overlap", "circle"):
        operation = rng.choice(_LISTINGS)
        times = times or (0 if kind != "empty_page" else 3)
    elif kind == "wrong_digest":
        operation = "BatchGetImage"
    elif kind == "drop":
        operation = rng.choice(list(_FIELDS))
        field = rng.choice(_FIELDS[operation])
    elif kind == "sleep":
        times = times or 2
    elif kind == "code":
        # A request about the registry that ECR does not accept is a fault of ours, and ends the run.
        code = rng.choice(_CODES[:-1] if operation == "DescribeRepositories" else _CODES)
    names = sorted({repository.name for repository in world.repositories()})
    whole = operation in _OF_REGISTRIES or operation == "BatchGetRepositoryScanningConfiguration"
    return Fault(
        kind,
        operation,
        repository="*" if whole else rng.choice(("*", *names)),
        region=rng.choice(("*", *REGIONS)),
        nth=rng.randrange(1, 6),
        times=times,
        seconds=_SLOW_SECONDS,
        code=code,
        field=field,
        share=rng.choice((1.0, 1.0, 0.5)),
    )


@pytest.mark.parametrize("seed", range(_PLANS))
def test_under_any_faults_the_snapshot_is_the_truth_or_a_gap_names_where_it_is_not(
    database: Database, session: Session, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    world = first_night(rng)
    with serve(world, page_size=rng.choice((None, 1, 2, 7))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        nights = Nights(database, session, server)
        for night in (1, 2):
            plan = _plan(rng, world)
            nights.collect(*plan, attempts=rng.choice((1, 2, 3)))
            assert nights.complaints(fresh=night == 1) == [], f"seed {seed}, night {night}: {plan}"
            next_night(world, rng, night)
        nights.collect()
        assert nights.complaints(fresh=True) == [], f"seed {seed}, after all faults"
        assert {gap.reason for gap in nights.result.gaps} <= {"ImageArchived"}


@pytest.fixture
def nights(database: Database, session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    with serve(first_night(random.Random(1)), page_size=3) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield Nights(database, session, server, REGIONS[:1])


@pytest.mark.parametrize("operation", _OPERATIONS)
def test_each_call_that_is_denied_is_one_kind_of_gap_and_no_other(nights: Nights, operation: str) -> None:
    gaps = nights.collect(Fault("deny", operation))
    assert nights.complaints(fresh=True) == []
    assert {(gap.call, gap.reason) for gap in gaps} == {(f"ecr:{operation}", "AccessDeniedException")}
    assert all(f"missing ecr:{operation}" in gap.detail for gap in gaps)


@pytest.mark.parametrize("page_size", [1, 2, 7, 1000])
def test_pages_of_any_size_that_repeat_overlap_or_are_empty_give_the_truth(
    nights: Nights, page_size: int
) -> None:
    nights.server.stub.page_size = page_size
    gaps = nights.collect(
        Fault("overlap", share=0.5), *(Fault("empty_page", listing, times=2) for listing in _LISTINGS)
    )
    assert (nights.complaints(fresh=True), gaps) == ([], [])


def test_a_throttling_storm_that_retries_outlast_leaves_nothing_out(nights: Nights) -> None:
    storm = [Fault("throttle", operation, share=0.15) for operation in _OPERATIONS]
    gaps = nights.collect(*storm, attempts=8)
    assert nights.result.throttles > 10
    assert nights.result.retries >= nights.result.throttles
    assert (nights.complaints(fresh=True), gaps) == ([], [])


@pytest.mark.parametrize("kind", ["circle", "expire_token"])
def test_page_tokens_that_lead_nowhere_leave_what_came_and_a_gap(nights: Nights, kind: FaultKind) -> None:
    nights.collect()
    before = {entry.key: entry for entry in nights.read(REGIONS[0]).repositories}
    gaps = nights.collect(Fault(kind, "DescribeImages", "api", region=REGIONS[0]))
    assert [(gap.repository, gap.call) for gap in gaps] == [("api", "ecr:DescribeImages")]
    expired = kind == "expire_token"
    assert ("a page token expired in each of 3 readings" in gaps[0].detail) == expired
    assert nights.result.expired_page_tokens == (3 if expired else 0)
    # Nothing disappears because it was not seen.
    after = {entry.key: entry for entry in nights.read(REGIONS[0]).repositories}
    assert {key: entry.artifacts for key, entry in after.items()} == {
        key: entry.artifacts for key, entry in before.items()
    }
    assert nights.complaints(fresh=True) == []


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "operation", ["DescribeImages", "DescribeRepositories", "ListPullTimeUpdateExclusions"]
)
def test_a_listing_whose_page_token_expired_is_begun_anew(nights: Nights, operation: str, times: int) -> None:
    nights.server.stub.page_size = 1
    registry = nights.world.registry(region=REGIONS[0])
    registry.pull_time_update_exclusions = [f"arn:aws:iam::123456789012:role/{n}" for n in range(4)]
    name = "api" if operation == "DescribeImages" else ""
    # The pages after the first are asked for with a token: these, in one reading after the other.
    faults = [Fault("expire_token", operation, name, nth=3, times=1)]
    if times == 2:
        faults.append(Fault("expire_token", operation, name, nth=5, times=1))
    gaps = nights.collect(*faults)
    assert (nights.complaints(fresh=True), gaps) == ([], [])
    assert nights.result.expired_page_tokens == times
    assert {entry.status for entry in nights.read(REGIONS[0]).repositories} == {ReadStatus.COMPLETE}


class _Once:
    """A hook that changes the world at the nth call of an operation on the repository "api"."""

    def __init__(self, operation: str, nth: int, change: Any) -> None:
        self._wanted = (operation, REGIONS[0], "api")
        self._left = nth
        self._change = change

    def __call__(self, asked: Asked) -> None:
        if (asked.operation, asked.region, asked.repository) == self._wanted:
            self._left -= 1
            if not self._left:
                self._change()


@pytest.mark.parametrize("nth", [2, 3])
def test_images_pushed_deleted_and_retagged_while_listing_are_as_before_or_after(
    nights: Nights, nth: int
) -> None:
    api = nights.world.registry(region=REGIONS[0]).repositories["api"]
    before = held(nights.world, REGIONS[0]).repositories["api", round(api.created_at * 1000)].artifacts

    def change() -> None:
        oldest, *_, newest = list(api.images.values())
        new = api.put_image(oldest.manifest + " ", tag="pushed-meanwhile", pushed_at=oldest.pushed_at)
        api.put_tag("moved-meanwhile", oldest)
        api.put_tag("moved-meanwhile", new)
        api.delete_image(newest.digest)
        api.delete_image(oldest.digest)

    nights.server.stub.hook = _Once("DescribeImages", nth, change)
    nights.collect()
    after = held(nights.world, REGIONS[0]).repositories["api", round(api.created_at * 1000)].artifacts
    (read,) = [entry for entry in nights.read(REGIONS[0]).repositories if entry.name == "api"]
    for artifact in read.artifacts:
        assert artifact in (before.get(artifact.digest), after.get(artifact.digest))
    # What was there all the time cannot be missed.
    assert before.keys() & after.keys() <= {artifact.digest for artifact in read.artifacts}
    tags = [tag for artifact in read.artifacts for tag in artifact.tags]
    assert len(tags) == len(set(tags))
    # The next night is level.
    nights.server.stub.hook = lambda _: None
    nights.collect()
    assert nights.complaints(fresh=True) == []


@pytest.mark.parametrize("readings", [2, 3])
def test_images_that_come_and_go_before_a_listing_is_begun_anew_are_as_after(
    nights: Nights, readings: int
) -> None:
    """What goes whole counts alone: what an earlier reading saw may be gone, and its tag elsewhere."""
    api = nights.world.registry(region=REGIONS[0]).repositories["api"]

    def change() -> None:
        oldest, second, *_, newest = list(api.images.values())
        new = api.put_image(oldest.manifest + " ", tag="pushed-meanwhile", pushed_at=oldest.pushed_at)
        for tag in oldest.tags:
            api.put_tag(tag, new)
        api.put_tag("moved-meanwhile", second)
        api.delete_image(newest.digest)
        api.delete_image(oldest.digest)

    # With the page that is refused, when the first has been read.
    nights.server.stub.hook = _Once("DescribeImages", 2, change)
    faults = [Fault("expire_token", "DescribeImages", "api", nth=nth, times=1) for nth in (2, 4)]
    assert nights.collect(*faults[: readings - 1]) == []
    assert nights.result.expired_page_tokens == readings - 1
    assert nights.complaints(fresh=True) == []


def test_readings_that_all_break_off_are_put_together_and_lose_nothing(nights: Nights) -> None:
    nights.collect()
    api = nights.world.registry(region=REGIONS[0]).repositories["api"]
    key = "api", round(api.created_at * 1000)
    before = held(nights.world, REGIONS[0]).repositories[key].artifacts

    def change() -> None:
        oldest, second, *_ = list(api.images.values())
        api.put_image(second.manifest + " ", tag="pushed-meanwhile", pushed_at=oldest.pushed_at)
        api.delete_image(oldest.digest)

    # Of the second reading a page more comes than of the first.
    nights.server.stub.hook = _Once("DescribeImages", 3, change)
    faults = [Fault("expire_token", "DescribeImages", "api", nth=nth, times=1) for nth in (2, 5, 7)]
    (gap,) = nights.collect(*faults)
    (read,) = [entry for entry in nights.read(REGIONS[0]).repositories if entry.name == "api"]
    assert (gap.repository, read.status) == ("api", ReadStatus.PARTIAL)
    digests = [artifact.digest for artifact in read.artifacts]
    assert len(digests) == len(set(digests))
    # Nothing is gone because half a listing did not show it.
    assert before.keys() <= set(digests)
    tags = [tag for artifact in read.artifacts for tag in artifact.tags]
    assert len(tags) == len(set(tags))
    nights.server.stub.hook = lambda _: None
    assert nights.collect() == []
    assert nights.complaints(fresh=True) == []


@pytest.mark.parametrize(
    "operation", ["DescribeImages", "GetLifecyclePolicy", "ListTagsForResource", "BatchGetImage"]
)
@pytest.mark.parametrize("again", [False, True], ids=["deleted", "made again"])
def test_a_repository_deleted_at_any_point_is_a_gap_and_gone_the_next_night(
    nights: Nights, operation: str, again: bool
) -> None:
    registry = nights.world.registry(region=REGIONS[0])

    def delete() -> None:
        old = registry.repositories.pop("api")
        if again:
            registry.create_repository("api", created_at=old.created_at + 1)

    nights.server.stub.hook = _Once(operation, 1, delete)
    gaps = nights.collect()
    # Of one that was made again before anything was asked of it, the answers are the new one's.
    assert gaps or (again and operation == "DescribeImages")
    assert {gap.repository for gap in gaps} <= {"api"}
    nights.server.stub.hook = lambda _: None
    assert nights.collect() == []
    assert nights.complaints(fresh=True) == []


def test_a_manifest_seen_once_is_kept_when_its_image_is_archived(nights: Nights) -> None:
    nights.collect()
    for repository in nights.world.repositories():
        for digest in repository.images:
            repository.archive_image(digest)
    nights.server.calls.clear()
    # Nothing could be read any more, and nothing has to be.
    assert nights.collect() == []
    assert nights.server.calls["BatchGetImage"] == 0
    assert nights.complaints(fresh=True) == []


def test_a_policy_that_does_not_parse_is_kept_as_it_is(nights: Nights) -> None:
    spoilt = '{"rules": [\u0000 not json'
    for repository in nights.world.repositories():
        repository.lifecycle_policy = spoilt
    assert nights.collect() == []
    assert nights.complaints(fresh=True) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("RequestExpired", "this machine's clock"),
        ("SignatureDoesNotMatch", "this machine's clock"),
        ("InvalidSignatureException", "this machine's clock"),
    ],
)
def test_a_clock_that_aws_does_not_accept_ends_the_run_with_one_line(
    nights: Nights, code: str, words: str
) -> None:
    for operation in ("GetCallerIdentity", "DescribeImages"):
        with pytest.raises(RunError, match=words) as raised:
            nights.collect(Fault("code", operation, code=code))
        assert len(raised.value.lines) == 1
        assert code in str(raised.value)
