"""What registries and repositories are set to, and what asking for it costs."""

from __future__ import annotations

import json
from math import ceil

import pytest

from analyzer.model.records import ABSENT
from tests.analyzer.collect.fakes import ACCOUNT, REGION, Aws, MemoryStore, Request, run
from tests.support.registry import World, generate
from tests.support.stub_ecr import Answer, Fault

SCANNING = "BatchGetRepositoryScanningConfiguration"
POLICY = '{"Version": "2012-10-17", "Statement": []}'


def world_of(repositories: int, images: int = 0) -> World:
    return generate(repositories, images, 2, seed=3)


def names_of(world: World) -> list[str]:
    return sorted(world.registry().repositories)


def value(store: MemoryStore, repository: str, setting: str) -> object:
    return json.loads(store.repository(repository).settings[setting])


@pytest.mark.parametrize(("repositories", "page_size"), [(1, None), (25, None), (26, None), (60, 20)])
def test_an_unchanged_night_keeps_to_its_budget_of_calls(repositories: int, page_size: int | None) -> None:
    world, store = world_of(repositories, images=3), MemoryStore()
    world.registry().policy = POLICY
    Aws(world, page_size=page_size)
    run(store)
    aws = Aws(world, page_size=page_size)
    result = run(store)
    assert result.gaps == ()
    calls = dict(aws.stub.calls)
    # The identity of the caller is asked once, for all registries; it counts as a registry's own.
    assert "BatchGetImage" not in calls
    image_pages = calls.pop("DescribeImages")
    repository_pages = calls.pop("DescribeRepositories")
    assert image_pages == repositories * ceil(3 / (page_size or 1000))
    assert repository_pages == ceil(repositories / (page_size or 1000))
    assert calls.pop(SCANNING) == ceil(repositories / 25)
    each = [calls.pop(name) for name in ("GetLifecyclePolicy", "ListTagsForResource", "GetRepositoryPolicy")]
    assert each == [repositories] * 3
    assert sum(calls.values()) <= 12, calls


def test_settings_of_a_registry_are_kept_whole_and_in_an_order_of_their_own() -> None:
    world = World()
    registry = world.registry()
    here, there = {"filter": "a*", "filterType": "WILDCARD"}, {"filter": "b", "filterType": "WILDCARD"}
    push = {"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [there, here]}
    always = {"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": [there]}
    west = {"region": "us-west-2", "registryId": ACCOUNT}
    east = {"region": "us-east-1", "registryId": "444455556666"}
    prod = {"filter": "prod", "filterType": "PREFIX_MATCH"}
    registry.scanning = {"scanType": "ENHANCED", "rules": [push, always]}
    registry.replication = {"rules": [{"destinations": [west, east], "repositoryFilters": [prod]}]}
    registry.policy = POLICY
    registry.creation_templates = [
        {"prefix": "ROOT", "appliedFor": ["REPLICATION"], "createdAt": 1.0, "updatedAt": 2.0},
        {"prefix": "prod", "appliedFor": ["CREATE_ON_PUSH"], "lifecyclePolicy": "{}"},
    ]
    Aws(world, page_size=1)
    store = MemoryStore()
    assert run(store).gaps == ()
    settings = {name: json.loads(text) for name, text in store.reads[REGION].settings.items()}
    assert settings["scanning_configuration"] == {
        "scanType": "ENHANCED",
        "rules": [
            {"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [here, there]},
            {"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": [there]},
        ],
    }
    assert settings["replication_configuration"] == {
        "rules": [{"destinations": [east, west], "repositoryFilters": [prod]}]
    }
    assert settings["registry_policy_text"] == POLICY
    assert settings["repository_creation_templates"] == [
        {"appliedFor": ["CREATE_ON_PUSH"], "lifecyclePolicy": "{}", "prefix": "prod"},
        {"appliedFor": ["REPLICATION"], "prefix": "ROOT"},
    ]
    assert (settings["registry_policy_scope"], settings["basic_scan_type_version"]) == ("V2", "AWS_NATIVE")

    registry.scanning["rules"].reverse()
    registry.replication["rules"][0]["destinations"].reverse()
    again = MemoryStore()
    Aws(world)
    run(again)
    assert again.reads[REGION].settings == store.reads[REGION].settings


def test_settings_of_a_repository() -> None:
    world = world_of(30)
    first, second, *_ = names_of(world)
    world.registry().scanning["rules"] = [
        {
            "scanFrequency": "SCAN_ON_PUSH",
            "repositoryFilters": [{"filter": first, "filterType": "WILDCARD"}],
        }
    ]
    world.registry().repositories[first].policy = POLICY
    Aws(world)
    store = MemoryStore()
    assert run(store).gaps == ()
    assert value(store, first, "repository_policy_text") == POLICY
    assert store.repository(second).settings["repository_policy_text"] == ABSENT
    assert value(store, first, "scanning") == {
        "appliedScanFilters": [{"filter": first, "filterType": "WILDCARD"}],
        "scanFrequency": "SCAN_ON_PUSH",
        "scanOnPush": True,
    }
    for name in names_of(world)[1:]:
        expected = {"appliedScanFilters": [], "scanFrequency": "MANUAL", "scanOnPush": False}
        assert value(store, name, "scanning") == expected


@pytest.mark.parametrize(
    ("operation", "setting"),
    [
        ("GetLifecyclePolicy", "lifecycle_policy_text"),
        ("ListTagsForResource", "tags"),
        ("GetRepositoryPolicy", "repository_policy_text"),
        (SCANNING, "scanning"),
    ],
)
def test_a_call_that_the_endpoint_does_not_know_is_one_gap_and_not_asked_for_each_repository(
    operation: str, setting: str
) -> None:
    world = world_of(120)
    aws = Aws(world, faults=[Fault("code", operation, code="UnknownOperationException")])
    store = MemoryStore()
    (gap,) = run(store, workers=2).gaps
    assert (gap.repository, gap.call, gap.reason) == ("", f"ecr:{operation}", "UnknownOperationException")
    assert len(aws.asked(operation)) < 10
    read = store.reads[REGION]
    assert len(read.repositories) == 120
    assert all(setting not in repository.settings for repository in read.repositories)


def test_account_settings_refused_for_one_reason_are_one_gap_that_names_what_stays_unknown() -> None:
    aws = Aws(world_of(1), faults=[Fault("deny", "GetAccountSetting")])
    (gap,) = run(MemoryStore()).gaps
    assert "whether layers are shared across repositories is unknown" in gap.detail
    assert "which scanner basic scanning uses is unknown" in gap.detail
    assert len(aws.asked("GetAccountSetting")) == 1


def test_an_account_setting_that_the_region_does_not_know_costs_no_other() -> None:
    aws = Aws(world_of(1))
    refusal = Answer(b'{"__type":"InvalidParameterException","message":"name"}', 400)
    aws.hook = lambda request: (
        refusal if request.parameters.get("name") == "BASIC_SCAN_TYPE_VERSION" else None
    )
    store = MemoryStore()
    (gap,) = run(store).gaps
    assert (gap.call, gap.reason) == ("ecr:GetAccountSetting", "InvalidParameterException")
    assert "which scanner" in gap.detail
    assert "layers" not in gap.detail
    assert {"blob_mounting", "registry_policy_scope"} <= store.reads[REGION].settings.keys()


def test_scanning_that_may_not_be_seen_is_one_gap_that_counts_the_repositories() -> None:
    world = world_of(60)
    aws = Aws(world, faults=[Fault("deny", SCANNING)])
    store = MemoryStore()
    (gap,) = run(store).gaps
    assert (gap.repository, gap.call, gap.count) == ("", f"ecr:{SCANNING}", 60)
    assert gap.detail.startswith(f"missing ecr:{SCANNING} on {ACCOUNT}/{REGION}; ")
    assert len(aws.asked(SCANNING)) == 3
    assert "scanning" not in store.repository(names_of(world)[0]).settings


@pytest.mark.parametrize("code", ["RepositoryNotFoundException", "InvalidParameterException"])
def test_one_name_that_spoils_a_whole_call_costs_that_repository_alone(code: str) -> None:
    world = world_of(25)
    bad = names_of(world)[7]
    aws = Aws(world)
    refusal = Answer(json.dumps({"__type": code, "message": "no"}).encode(), 400)
    aws.hook = lambda request: refusal if bad in request.parameters.get("repositoryNames", ()) else None
    store = MemoryStore()
    (gap,) = run(store).gaps
    assert (gap.repository, gap.call, gap.reason) == (bad, f"ecr:{SCANNING}", code)
    for name in names_of(world):
        assert ("scanning" in store.repository(name).settings) == (name != bad)


def test_a_repository_deleted_meanwhile_is_no_second_gap() -> None:
    world = world_of(3)
    gone = names_of(world)[1]
    aws = Aws(world)

    def delete(request: Request) -> None:
        if request.operation == SCANNING:
            world.registry().repositories.pop(gone, None)

    aws.hook = delete
    gaps = run(MemoryStore(), workers=1).gaps
    assert {(gap.repository, gap.reason) for gap in gaps} == {(gone, "RepositoryNotFoundException")}
    assert f"ecr:{SCANNING}" not in {gap.call for gap in gaps}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"scanningConfigurations": [], "failures": []}, "NotAnswered"),
        ({"failures": []}, "InvalidAnswer"),
        ({"scanningConfigurations": [], "failures": [{"repositoryName": "NAME", "failureCode": "X"}]}, "X"),
    ],
)
def test_an_answer_without_the_repository_is_a_gap(answer: object, reason: str) -> None:
    world = world_of(1)
    (name,) = names_of(world)
    aws = Aws(world)
    body = Answer(json.dumps(answer).replace("NAME", name).encode())
    aws.hook = lambda request: body if request.operation == SCANNING else None
    store = MemoryStore()
    (gap,) = run(store).gaps
    assert gap.reason == reason
    assert "scanning" not in store.repository(name).settings


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("GetRegistryScanningConfiguration", {}),
        ("GetRegistryScanningConfiguration", {"scanningConfiguration": {"scanType": "BASIC"}}),
        ("DescribeRegistry", {"registryId": ACCOUNT}),
        ("GetRegistryPolicy", {"registryId": ACCOUNT}),
        ("DescribeRepositoryCreationTemplates", {}),
    ],
)
def test_an_answer_that_lacks_what_was_asked_for_is_not_taken_for_none(
    operation: str, answer: object
) -> None:
    aws = Aws(world_of(1))
    body = Answer(json.dumps(answer).encode())
    aws.hook = lambda request: body if request.operation == operation else None
    (gap,) = run(MemoryStore()).gaps
    assert (gap.call, gap.reason) == (f"ecr:{operation}", "InvalidAnswer")
