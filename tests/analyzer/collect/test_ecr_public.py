"""The public registry of an account, over HTTP: the AWS API, and the registry's own for manifests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from analyzer.collect.claims import Claims
from analyzer.collect.clients import CallCounts, CallSettings, ServiceClient, StoppedError, client_config
from analyzer.collect.contract import SilentProgress
from analyzer.collect.ecr_public import (
    API_REGION,
    SERVICE,
    PublicRegistry,
    PublicRegistryClient,
    fetch_public_registry,
)
from analyzer.collect.pool import Pool
from analyzer.collect.public_manifests import FetchedManifest, ManifestFailure, PublicManifests
from analyzer.collect.refusals import RefusedError
from analyzer.collect.registry import RegistryCollector
from analyzer.model.records import ABSENT, ReadStatus, RegistryKey, RegistryRead
from tests.analyzer.collect.fakes import NOW, MemoryStore
from tests.support.registry import World, generate
from tests.support.stub_ecr_public import ALIAS, PublicServer, serve_public

KEY = RegistryKey("aws", "123456789012", "public")


@pytest.fixture
def world() -> World:
    world = generate(2, 5, 3, 8, region="public")
    world.registry().create_repository("empty")
    next(world.repositories()).resource_tags = {"team": "a"}
    return world


@pytest.fixture
def server(world: World) -> Iterator[PublicServer]:
    with serve_public(world) as server:
        yield server


@pytest.fixture
def settings() -> CallSettings:
    return CallSettings(requests_per_second=1e9, attempts=1)


def api_of(server: PublicServer, settings: CallSettings) -> ServiceClient:
    session = boto3.Session(aws_access_key_id="AKIA", aws_secret_access_key="no")
    # The service is no literal, which is what the stubs' overloads tell the types by.
    make: Any = session.client
    client = make(SERVICE, region_name=API_REGION, endpoint_url=server.url, config=client_config(settings))
    return ServiceClient(client, SERVICE, settings)


def manifests_of(server: PublicServer, settings: CallSettings, **changes: Any) -> PublicManifests:
    return PublicManifests(
        **{
            "stop": settings.stop,
            "counts": settings.counts,
            "url": server.url,
            "per_second": float("inf"),
            "sleep": lambda _: None,
            **changes,
        }
    )


def read(server: PublicServer, settings: CallSettings) -> tuple[RegistryRead, MemoryStore]:
    """The registry through the collector."""
    api = api_of(server, settings)
    registry = fetch_public_registry(api)
    assert registry is not None
    client = PublicRegistryClient(registry, api, manifests_of(server, settings), "arn:aws:iam::1:role/x")
    store, pool = MemoryStore(), Pool(2, 1)
    lane = pool.lane()
    try:
        collector = RegistryCollector(
            client,
            lane,
            store,
            Claims(),
            SilentProgress(),
            lambda: NOW,
            resume_since_ms=0,
            public_aliases=registry.aliases,
        )
        with store.lease(registry.key, "pid 1", "here") as lease:
            store.runs.append("running")
            read = collector.read(lease)
            store.commit_snapshot(lease, 1, read)
            return read, store
    finally:
        lane.close()
        pool.close()


def test_a_public_registry_is_read_like_any_other(
    server: PublicServer, settings: CallSettings, world: World
) -> None:
    server.page_size = 2
    found, store = read(server, settings)
    assert (found.key, found.status, list(found.gaps), dict(found.settings)) == (
        KEY,
        ReadStatus.COMPLETE,
        [],
        {
            "public_aliases": f'["{ALIAS}"]',
            "pull_through_cache_rules": "[]",
            "registry_policy_text": ABSENT,
            "replication_configuration": '{"rules":[]}',
            "repository_creation_templates": "[]",
        },
    )
    assert [one.name for one in found.repositories] == sorted(world.registry().repositories)
    for one in found.repositories:
        truth = world.registry().repositories[one.name]
        assert one.status is ReadStatus.COMPLETE
        assert one.created_at_ms == round(truth.created_at * 1000)
        assert {artifact.digest: artifact.tags for artifact in one.artifacts} == {
            digest: tuple(sorted(image.tags)) for digest, image in truth.images.items()
        }
        assert one.settings["lifecycle_policy_text"] == ABSENT
        assert store.manifests.keys() >= truth.images.keys()
    assert found.repositories[0].settings["tags"] == '{"team":"a"}'
    # One token for each repository, and each manifest asked for once, but for the first try.
    assert sorted(query["scope"][0] for query in server.asked) == [
        f"repository:{ALIAS}/{one.name}:pull" for one in found.repositories if one.artifacts
    ]
    assert settings.counts.calls["ecr-public:GetManifest"] == 10 + 2 * len(server.asked)
    assert settings.counts.calls["ecr-public:DescribeImages"] == 7


def test_no_registry_is_none_and_a_refusal_is_a_refusal(settings: CallSettings) -> None:
    with serve_public(World()) as server:
        assert fetch_public_registry(api_of(server, settings)) is None
        server.refused["DescribeRegistries"] = "AccessDeniedException"
        with pytest.raises(RefusedError, match="AccessDeniedException"):
            fetch_public_registry(api_of(server, settings))


def test_aliases_are_those_in_force_and_that_of_the_uris(
    server: PublicServer, settings: CallSettings
) -> None:
    server.aliases = {"shop": "ACTIVE", "asked-for": "PENDING", "taken": "REJECTED", "no alias": "ACTIVE"}
    registry = fetch_public_registry(api_of(server, settings))
    assert registry == PublicRegistry(KEY, ALIAS, (ALIAS, "shop"))


def test_gaps_are_about_the_public_service(server: PublicServer, settings: CallSettings) -> None:
    server.refused["ListTagsForResource"] = "AccessDeniedException"
    server.tamper = lambda text: f"{text} "
    found, store = read(server, settings)
    assert {(gap.region, gap.call, gap.reason) for gap in found.gaps} == {
        ("public", "ecr-public:ListTagsForResource", "AccessDeniedException"),
        ("public", "ecr-public:BatchGetImage", "DigestMismatch"),
    }
    assert store.manifests == {}


def _first(world: World) -> tuple[str, str]:
    repository = next(one for one in world.repositories() if one.images)
    return f"{ALIAS}/{repository.name}", next(iter(repository.images))


def test_throttling_and_server_errors_are_waited_out(
    server: PublicServer, settings: CallSettings, world: World
) -> None:
    waits: list[float] = []
    server.statuses = [429, 503, 200]
    fetched = manifests_of(server, settings, sleep=waits.append).get(*_first(world))
    assert isinstance(fetched, FetchedManifest)
    assert waits == [1.0, 2.0]


def test_nothing_more_is_asked_after_a_few_that_failed(
    server: PublicServer, settings: CallSettings, world: World
) -> None:
    server.statuses = [429] * 1000
    manifests = manifests_of(server, settings)
    for _ in range(3):
        failure = manifests.get(*_first(world))
        assert isinstance(failure, ManifestFailure)
        assert failure.code == "Http429"
    before = server.calls["manifests"]
    assert manifests.get(*_first(world)) == ManifestFailure(
        "GaveUp", "not asked: the last 3 manifests could not be had"
    )
    assert server.calls["manifests"] == before


def test_a_token_that_grew_too_old_is_replaced(
    server: PublicServer, settings: CallSettings, world: World
) -> None:
    manifests = manifests_of(server, settings)
    assert isinstance(manifests.get(*_first(world)), FetchedManifest)
    server.tokens.clear()
    assert isinstance(manifests.get(*_first(world)), FetchedManifest)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer realm="http://elsewhere.example/token/",service="x"',
        'Bearer realm="{url}.example/token/",service="x"',
        'Basic realm="{url}/token/"',
        "",
    ],
)
def test_an_answer_cannot_send_us_elsewhere(
    server: PublicServer, settings: CallSettings, world: World, challenge: str
) -> None:
    server.challenge = challenge
    failure = manifests_of(server, settings).get(*_first(world))
    assert isinstance(failure, ManifestFailure)
    assert failure.code == "InvalidAnswer"
    assert server.asked == []


def test_what_is_not_there_and_what_is_no_text_are_failures(
    server: PublicServer, settings: CallSettings, world: World
) -> None:
    manifests = manifests_of(server, settings)
    repository, digest = _first(world)
    gone = manifests.get(repository, "sha256:" + "0" * 64)
    assert gone == ManifestFailure("ImageNotFound", "the registry does not have it")
    server.tamper = lambda _: "\udcff"
    assert manifests.get(repository, digest) == ManifestFailure("InvalidAnswer", "what came is no UTF-8 text")


def test_a_registry_that_cannot_be_reached_is_a_failure(world: World, settings: CallSettings) -> None:
    with serve_public(world) as server:
        pass
    failure = manifests_of(server, settings).get(*_first(world))
    assert isinstance(failure, ManifestFailure)
    assert failure.code == "EndpointConnectionError"


def test_a_run_that_ends_asks_nothing_more(server: PublicServer, world: World) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        manifests_of(server, CallSettings(requests_per_second=1.0, stop=stop)).get(*_first(world))
    assert CallCounts().calls == {}
