"""Pulls across regions and accounts, from the store to what is said about them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from analyzer.documents import read_documents
from analyzer.model.media_types import OCI_INDEX, OCI_MANIFEST
from analyzer.model.pull_costs import AdviceKind
from analyzer.model.pulls import Confidence, Coverage, PullHistory, PullKind, Pulls, RegionMethod
from analyzer.model.records import (
    Artifact,
    BlobReference,
    Child,
    Kind,
    Manifest,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.model.transfer import EXPLANATIONS, ColdPull, TransferCode, TransferFinding, TransferFindings
from analyzer.model.units import GB
from analyzer.pricing import bundled_prices
from analyzer.pull_costs import judge_pulls, judge_references, judge_stored_pulls
from analyzer.store.engine import Database
from analyzer.store.opening import open_database
from analyzer.store.writer import Store
from analyzer.what_if import load_world, world_of_documents
from tests.strategies.registries import sha256

OWN, OTHER = "111111111111", "222222222222"
EU = RegistryKey("aws", OWN, "eu-west-1")
US = RegistryKey("aws", OWN, "us-east-1")
SEOUL = RegistryKey("aws", OTHER, "ap-northeast-2")
EU_HOST = f"{OWN}.dkr.ecr.eu-west-1.amazonaws.com"
US_HOST = f"{OWN}.dkr.ecr.us-east-1.amazonaws.com"
SEOUL_HOST = f"{OTHER}.dkr.ecr.ap-northeast-2.amazonaws.com"
PRICES = bundled_prices()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'pulls.sqlite'}", create=True)
    yield database
    database.engine.dispose()


def blob(name: str, size: int, *, foreign: bool = False) -> BlobReference:
    return BlobReference(sha256(f"blob {name}"), size, "layer", foreign)


def image(name: str, *blobs: BlobReference) -> Manifest:
    return Manifest(sha256(name), Kind.IMAGE, OCI_MANIFEST, 500, blobs)


def index(name: str, *children: tuple[str, str]) -> Manifest:
    named = tuple(Child(sha256(child), platform) for child, platform in children)
    return Manifest(sha256(name), Kind.INDEX, OCI_INDEX, 500, children=named)


#: Of 3 GB and 1 GB; an index of both, with an attestation of one byte.
MANIFESTS = (
    image("big", blob("base", 2 * GB), blob("app", GB), blob("base", 2 * GB), blob("win", 7, foreign=True)),
    image("small", blob("config", GB)),
    image("attestation", blob("provenance", 1)),
    index("both", ("big", "linux/amd64"), ("small", "linux/arm64"), ("attestation", "unknown/unknown")),
)


def held(name: str, *tags: str) -> Artifact:
    return Artifact(sha256(name), tags, pushed_at_ms=1, media_type=OCI_MANIFEST)


ALL = (
    held("big", "v1"),
    held("small", "v2"),
    held("attestation"),
    held("both", "multi"),
    held("unread", "x"),
)


def repository(name: str, *artifacts: Artifact, status: ReadStatus = ReadStatus.COMPLETE) -> RepositoryRead:
    return RepositoryRead(name, 1, status, artifacts)


def uses(
    source: str, *references: str, workload: str = "web", kind: UseKind = UseKind.RUNNING
) -> WorkloadRead:
    return WorkloadRead(
        source,
        ReadStatus.COMPLETE,
        tuple(WorkloadUse(workload, reference, kind) for reference in references),
    )


def read_of(
    key: RegistryKey,
    *repositories: RepositoryRead,
    workloads: Sequence[WorkloadRead] = (),
    caches: str | None = "[]",
    status: ReadStatus = ReadStatus.COMPLETE,
) -> RegistryRead:
    settings = {} if caches is None else {"pull_through_cache_rules": caches}
    return RegistryRead(key, 1, status, repositories, settings, workloads=workloads)


def judged(database: Database, *reads: RegistryRead) -> TransferFindings:
    store = Store(database, lambda: 1)
    store.add_manifests(MANIFESTS)
    run = store.begin_run(1, "host", "1")
    for read in reads:
        with store.lease(read.key, "test", "host") as lease:
            store.commit_snapshot(lease, run, read)
    store.finish_run(run, 1, "complete")
    return judge_references(database, load_world(database), PRICES)


def only(found: TransferFindings) -> TransferFinding:
    (finding,) = found.findings
    return finding


def amounts(finding: TransferFinding) -> tuple[Decimal | None, Decimal | None]:
    return finding.usd_per_pull.low.amount, finding.usd_per_pull.high.amount


def test_a_reference_into_another_region_costs_what_its_layers_cost_to_move(database: Database) -> None:
    finding = only(
        judged(
            database,
            read_of(EU, repository("app", *ALL)),
            read_of(US, workloads=[uses("ecs", f"{EU_HOST}/app:v1")]),
        )
    )
    assert finding.code is TransferCode.CROSS_REGION
    assert (finding.account, finding.region, finding.source) == (OWN, "us-east-1", "ecs")
    assert (finding.registry_region, finding.repository, finding.payer) == ("eu-west-1", "app", OWN)
    assert finding.cold_pull == ColdPull(3 * GB, 3 * GB, foreign_bytes=7)
    assert amounts(finding) == (Decimal("0.06"), Decimal("0.06"))
    assert finding.usd_per_pull.low.period == "pull"
    assert finding.better_reference == ""
    assert not finding.is_cross_account


def test_an_index_is_a_range_without_its_attestations(database: Database) -> None:
    finding = only(
        judged(
            database,
            read_of(SEOUL, repository("app", *ALL)),
            read_of(US, workloads=[uses("eks", f"{SEOUL_HOST}/app:multi")]),
        )
    )
    assert finding.cold_pull == ColdPull(GB, 3 * GB, foreign_bytes=7)
    assert amounts(finding) == (Decimal("0.08"), Decimal("0.24"))
    assert finding.is_cross_account
    assert finding.payer == OTHER


def test_a_local_replica_is_named_first_and_a_reference_to_it_is_no_finding(database: Database) -> None:
    found = judged(
        database,
        read_of(EU, repository("app", held("big", "v1"), held("small", "v2"))),
        read_of(
            US,
            # The tag v2 has not come along.
            repository("app", held("big", "v1"), held("small")),
            workloads=[
                uses("ecs", f"{EU_HOST}/app:v1", f"{EU_HOST}/app:v2", f"{US_HOST}/app:v1"),
                uses("batch", f"{EU_HOST}/gone:v1"),
            ],
        ),
    )
    assert [(finding.code, finding.better_reference) for finding in found.findings] == [
        (TransferCode.REPLICA_UNUSED, f"{US_HOST}/app:v1"),
        (TransferCode.REPLICA_UNUSED, f"{US_HOST}/app@{sha256('small')}"),
        (TransferCode.CROSS_REGION, ""),
    ]
    assert (found.references, found.local, found.not_judged) == (4, 1, 0)
    assert found.findings[2].cold_pull == ColdPull(None, None, unknown="the image is not there")


def test_a_replica_in_the_owners_registry_of_the_region_is_one_too(database: Database) -> None:
    us_of_other = RegistryKey("aws", OTHER, "us-east-1")
    finding = only(
        judged(
            database,
            read_of(US, workloads=[uses("ecs", f"{OTHER}.dkr-ecr-fips.ap-northeast-2.on.aws/app:v1")]),
            read_of(SEOUL, repository("app", *ALL)),
            read_of(us_of_other, repository("app", *ALL)),
        )
    )
    assert finding.code is TransferCode.REPLICA_UNUSED
    assert finding.better_reference == f"{OTHER}.dkr-ecr-fips.us-east-1.on.aws/app:v1"


def test_a_digest_is_found_as_a_replica_where_its_registry_was_never_read(database: Database) -> None:
    finding = only(
        judged(
            database,
            read_of(
                US,
                repository("app", *ALL),
                workloads=[uses("ecs", f"{EU_HOST}/app:v1@{sha256('big')}")],
            ),
        )
    )
    assert finding.code is TransferCode.REPLICA_UNUSED
    assert finding.better_reference == f"{US_HOST}/app:v1@{sha256('big')}"
    assert finding.cold_pull.high_bytes == 3 * GB


def test_the_name_of_a_repository_may_be_in_the_tag_too(database: Database) -> None:
    finding = only(
        judged(
            database,
            read_of(EU, repository("a", held("big", "a-a"))),
            read_of(US, repository("a", held("big", "a-a")), workloads=[uses("ecs", f"{EU_HOST}/a:a-a")]),
        )
    )
    assert finding.better_reference == f"{US_HOST}/a:a-a"


@pytest.mark.parametrize(
    ("reads", "unknown"),
    [
        ([], f"the registry of {OTHER} in ap-northeast-2 was not read"),
        (
            [read_of(SEOUL, status=ReadStatus.PARTIAL)],
            f"the registry of {OTHER} in ap-northeast-2 was read in part",
        ),
        ([read_of(SEOUL, repository("app", held("unread", "v1")))], "its manifest could not be read"),
    ],
)
def test_bytes_that_are_not_known_have_no_price(
    database: Database, reads: list[RegistryRead], unknown: str
) -> None:
    here = read_of(US, workloads=[uses("ecs", f"{SEOUL_HOST}/app:v1")], status=ReadStatus.PARTIAL)
    finding = only(judged(database, here, *reads))
    assert finding.cold_pull == ColdPull(None, None, unknown=unknown)
    assert amounts(finding) == (None, None)
    assert finding.usd_per_pull.high.leaves_out == (f"bytes not known: {unknown}",)
    assert finding.caveats == (
        f"the registry of {OWN} in us-east-1 was not read whole: a replica may be there",
    )


def test_a_region_without_a_price_is_unknown_money(database: Database) -> None:
    mexico = RegistryKey("aws", OWN, "mx-central-1")
    finding = only(
        judged(
            database,
            read_of(mexico, repository("app", *ALL)),
            read_of(US, workloads=[uses("ecs", f"{OWN}.dkr.ecr.mx-central-1.amazonaws.com/app:v1")]),
        )
    )
    assert finding.cold_pull.low_bytes == 3 * GB
    assert finding.usd_per_pull.low.leaves_out == ("no price for transfer from mx-central-1 to us-east-1",)


def test_the_same_region_of_another_account_is_free(database: Database) -> None:
    finding = only(
        judged(
            database,
            read_of(RegistryKey("aws", OTHER, "us-east-1"), repository("app", *ALL)),
            read_of(US, workloads=[uses("lambda", f"{OTHER}.dkr.ecr.us-east-1.amazonaws.com/app:v1")]),
        )
    )
    assert finding.code is TransferCode.CROSS_ACCOUNT
    assert amounts(finding) == (Decimal(0), Decimal(0))
    assert finding.payer == ""


@pytest.mark.parametrize("source", ["lambda", "sagemaker"])
def test_services_that_stay_in_their_region_contradict_the_reference(database: Database, source: str) -> None:
    finding = only(
        judged(
            database,
            read_of(EU, repository("app", *ALL)),
            read_of(US, workloads=[uses(source, f"{EU_HOST}/app:v1")]),
        )
    )
    assert finding.code is TransferCode.IMPOSSIBLE
    assert amounts(finding) == (None, None)
    assert finding.usd_per_pull.low.leaves_out == (f"{source} pulls from its own region only",)


@pytest.mark.parametrize(
    ("reference", "upstream", "cached"),
    [
        ("nginx", "registry-1.docker.io", "hub/library/nginx:latest"),
        ("docker.io/team/app:1", "registry-1.docker.io", "hub/team/app:1"),
        ("public.ecr.aws/docker/library/redis:7", "public.ecr.aws", "public/docker/library/redis:7"),
        ("quay.io/a/b:1", "quay.io", ""),
        ("ghcr.io/a/b:1", "ghcr.io", ""),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io", "pause:3.9"),
        ("registry.gitlab.com/a/b/c:1", "registry.gitlab.com", ""),
        ("cgr.dev/chainguard/static:latest", "cgr.dev", ""),
        ("mine.azurecr.io/a:1", "mine.azurecr.io", ""),
    ],
)
def test_upstreams_that_a_cache_can_stand_for(
    database: Database, reference: str, upstream: str, cached: str
) -> None:
    rules = [
        {"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "registry-1.docker.io"},
        {"ecrRepositoryPrefix": "public", "upstreamRegistryUrl": "public.ecr.aws"},
        {"ecrRepositoryPrefix": "ROOT", "upstreamRegistryUrl": "registry.k8s.io"},
    ]
    read = read_of(US, workloads=[uses("ecs", reference)], caches=json.dumps(rules))
    finding = only(judged(database, read))
    assert finding.code is TransferCode.PUBLIC_UPSTREAM
    assert (finding.upstream, finding.registry_account) == (upstream, "")
    assert finding.better_reference == (f"{US_HOST}/{cached}" if cached else "")
    assert amounts(finding) == (Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    "reference",
    [
        "mcr.microsoft.com/dotnet/runtime:8.0",
        "gcr.io/distroless/static",
        "registry.example.com:5000/a",
        "aws/codebuild/standard:7.0",
        "not a reference",
    ],
)
def test_what_no_cache_supports_is_not_judged(database: Database, reference: str) -> None:
    found = judged(database, read_of(US, workloads=[uses("codebuild", reference)]))
    assert found == TransferFindings(findings=(), references=1, local=0, not_judged=1)


def test_rules_that_are_not_known_are_said_so(database: Database) -> None:
    finding = only(judged(database, read_of(US, workloads=[uses("ecs", "nginx")], caches=None)))
    assert finding.caveats == (f"the pull-through cache rules of {OWN} in us-east-1 are not known",)


def test_workloads_of_one_reference_are_told_together_by_how_they_use_it(database: Database) -> None:
    reference = f"{EU_HOST}/app:v1"
    ecs = WorkloadRead(
        "ecs",
        ReadStatus.COMPLETE,
        (
            WorkloadUse("b", reference, UseKind.CONFIGURED),
            WorkloadUse("a", reference, UseKind.PREVIOUS),
            WorkloadUse("a", reference, UseKind.CONFIGURED),
            WorkloadUse("c", reference, UseKind.RUNNING),
        ),
    )
    finding = only(judged(database, read_of(EU), read_of(US, workloads=[ecs])))
    told = [(user.workload, user.kind) for user in finding.users]
    assert told == [("c", "running"), ("a", "configured"), ("b", "configured")]


def test_without_workloads_there_is_nothing_to_judge(database: Database) -> None:
    assert judged(database, read_of(EU, repository("app", *ALL))) == TransferFindings((), 0, 0, 0)


def test_documents_have_no_workloads() -> None:
    documents = read_documents([("i", '{"imageDetails": []}')], [], region="eu-west-1", taken_at_ms=0)
    with pytest.raises(TypeError, match="no workloads"):
        judge_references(None, world_of_documents(documents, at_ms=0), PRICES)  # type: ignore[arg-type]


def test_findings_are_ordered_by_code_and_by_what_a_pull_costs(database: Database) -> None:
    found = judged(
        database,
        read_of(EU, repository("app", *ALL)),
        read_of(
            US,
            workloads=[
                uses("ecs", f"{EU_HOST}/app:v2", f"{EU_HOST}/app:x", f"{EU_HOST}/app:v1", "nginx"),
                uses("lambda", f"{EU_HOST}/app:v1"),
            ],
        ),
    )
    assert [finding.reference.rpartition("/")[2] for finding in found.findings] == [
        "app:v1",
        "app:v2",
        "app:x",
        "nginx",
        "app:v1",
    ]


def test_every_code_is_explained() -> None:
    assert set(EXPLANATIONS) == set(TransferCode)
    for explained in EXPLANATIONS.values():
        assert all((explained.title, explained.meaning, explained.validate, explained.fix, explained.source))


DAY = 20_000
DAY_MS = 86_400_000


def pushed(name: str, day: int, *tags: str) -> Artifact:
    return Artifact(sha256(name), tags, pushed_at_ms=day * DAY_MS, media_type=OCI_MANIFEST)


def test_recorded_pulls_are_priced_and_advised_by_what_the_store_holds(database: Database) -> None:
    store = Store(database, lambda: 1)
    # Beside those: one that comes and goes in the window, with a layer of its own.
    store.add_manifests([*MANIFESTS, image("passing", blob("base", 2 * GB), blob("once", GB // 2))])
    settings = {"replication_configuration": '{"rules":[]}'}
    old = pushed("big", DAY - 9, "v1")
    nights = (
        (old, pushed("passing", DAY + 1)),
        (old, pushed("small", DAY + 3, "v2")),
    )
    for number, artifacts in enumerate(nights, 1):
        run = store.begin_run(number, "host", "1")
        for key, held_there in ((SEOUL, artifacts), (US, ())):
            with store.lease(key, "test", "host") as lease:
                read = RegistryRead(
                    key, number, ReadStatus.COMPLETE, [repository("app", *held_there)], settings
                )
                store.commit_snapshot(lease, run, read)
        store.finish_run(run, number, "complete")
    layer = blob("app", GB).digest
    pulls = Pulls(
        DAY,
        OTHER,
        SEOUL.region,
        "app",
        PullKind.LAYER,
        layer,
        "",
        OWN,
        "node",
        US.region,
        RegionMethod.WORKLOAD,
        Confidence.HIGH,
        100,
    )
    coverage = tuple(Coverage(DAY + n, OTHER, SEOUL.region, "s3", "complete") for n in range(10))
    history = PullHistory(DAY, DAY + 9, (pulls,), coverage=coverage)
    costs, advice = judge_pulls(database, load_world(database), history, {layer: GB}, PRICES)
    assert costs.total.size_bytes == 100 * GB
    assert costs.total.transfer.high.amount == Decimal("8.00")
    (option,) = advice.options
    # What passed by (0.5 GB) and what is new (1 GB), 3.04 times in a month.
    assert option.new_bytes == round(Decimal("4.56") * GB)
    assert option.stored_bytes == 4 * GB
    assert {one.kind for one in advice.advice} == {AdviceKind.REPLICATE, AdviceKind.MOVE_REPOSITORIES}
    replicate = next(one for one in advice.advice if one.kind is AdviceKind.REPLICATE)
    # Pulled in a month 304 GB at 0.08, against 4.56 GB at 0.08 and 4 GB at 0.10.
    assert replicate.saving.low.amount == Decimal("23.5552")
    assert json.loads(replicate.replication_json)["rules"][0]["destinations"] == [
        {"region": US.region, "registryId": OTHER}
    ]


def test_without_recorded_pulls_nothing_is_said_of_a_month(database: Database) -> None:
    store = Store(database, lambda: 1)
    run = store.begin_run(1, "host", "1")
    with store.lease(EU, "test", "host") as lease:
        store.commit_snapshot(lease, run, read_of(EU, repository("app")))
    store.finish_run(run, 1, "complete")
    costs, advice = judge_stored_pulls(database, load_world(database), DAY, DAY + 9, PRICES)
    assert costs.total.layer_pulls == 0
    assert costs.total.monthly_transfer.high.amount is None
    assert [(one.account, one.region, one.uncovered_days) for one in costs.coverage] == [
        (OWN, "eu-west-1", 10)
    ]
    assert (advice.advice, advice.options) == ((), ())
