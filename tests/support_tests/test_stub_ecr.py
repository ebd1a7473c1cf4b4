"""The stub ECR, driven by plain boto3 and compared with botocore's model of the service."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.model import ListShape, MapShape, Shape, StructureShape

from tests.support.registry import (
    DAY,
    DOCKER_MANIFEST,
    EPOCH,
    OCI_INDEX,
    OCI_MANIFEST,
    World,
    digest_of,
    generate,
    index_text,
    manifest_text,
)
from tests.support.stub_ecr import Fault, FaultKind, Server, serve, started

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

ACCOUNT = "123456789012"
A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64
C = "sha256:" + "c" * 64


@cache
def session() -> boto3.session.Session:
    """One for all: the first client of a session is the slow one."""
    return boto3.session.Session()


def client(
    server: Server | str,
    *,
    region: str = "eu-west-1",
    key: str = "test",
    attempts: int = 1,
    timeout: float = 20,
) -> ECRClient:
    return session().client(
        "ecr",
        endpoint_url=server if isinstance(server, str) else server.url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=timeout),
    )


def image(layers: dict[str, int], config: str = C) -> str:
    return manifest_text(layers.items(), (config, 7))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def small(world: World) -> Iterator[tuple[World, Server]]:
    repository = world.registry().create_repository("team/app")
    repository.put_image(image({A: 10, B: 20}), tag="v1", pushed_at=EPOCH)
    with serve(world) as server:
        yield world, server


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


# --- truth about images -------------------------------------------------------------------------


def test_moved_tag_leaves_the_old_image_untagged(small: tuple[World, Server]) -> None:
    world, server = small
    new = image({A: 10, B: 21})
    world.registry().repositories["team/app"].put_image(new, tag="v1", pushed_at=EPOCH + DAY)
    details = client(server).describe_images(repositoryName="team/app")["imageDetails"]
    assert [detail.get("imageTags") for detail in details] == [None, ["v1"]]
    assert "imageTags" not in details[0]
    assert [detail["imageSizeInBytes"] for detail in details] == [37, 38]


def test_absent_values_are_absent_keys(small: tuple[World, Server]) -> None:
    _, server = small
    (detail,) = client(server).describe_images(repositoryName="team/app")["imageDetails"]
    assert set(detail) == {
        "registryId",
        "repositoryName",
        "imageDigest",
        "imageTags",
        "imageSizeInBytes",
        "imagePushedAt",
        "imageManifestMediaType",
        "artifactMediaType",
        "imageStatus",
    }
    assert detail["imagePushedAt"].timestamp() == EPOCH


def test_archived_image_is_listed_only_when_asked_for_and_cannot_be_pulled(
    small: tuple[World, Server],
) -> None:
    world, server = small
    repository = world.registry().repositories["team/app"]
    (digest,) = repository.images
    repository.archive_image(digest)
    ecr = client(server)
    assert ecr.describe_images(repositoryName="team/app")["imageDetails"] == []
    for status in ("ANY", "ARCHIVED"):
        found = ecr.describe_images(repositoryName="team/app", filter={"imageStatus": status})
        assert [detail["imageStatus"] for detail in found["imageDetails"]] == ["ARCHIVED"]
    answer = ecr.batch_get_image(repositoryName="team/app", imageIds=[{"imageDigest": digest}])
    assert answer["images"] == []
    assert [failure["failureCode"] for failure in answer["failures"]] == ["ImageNotFound"]


def test_tag_status_filter(small: tuple[World, Server]) -> None:
    world, server = small
    world.registry().repositories["team/app"].put_image(image({A: 1}))
    ecr = client(server)
    tagged = ecr.describe_images(repositoryName="team/app", filter={"tagStatus": "TAGGED"})
    untagged = ecr.describe_images(repositoryName="team/app", filter={"tagStatus": "UNTAGGED"})
    assert [detail.get("imageTags") for detail in tagged["imageDetails"]] == [["v1"]]
    assert [detail.get("imageTags") for detail in untagged["imageDetails"]] == [None]


def test_index_has_the_size_of_its_largest_child(small: tuple[World, Server]) -> None:
    world, server = small
    repository = world.registry().repositories["team/app"]
    children = [repository.put_image(image({A: 100})), repository.put_image(image({B: 300}))]
    index = index_text(children, [("linux", "amd64"), ("linux", "arm64")])
    pushed = repository.put_image(index, tag="multi")
    (detail,) = client(server).describe_images(repositoryName="team/app", imageIds=[{"imageTag": "multi"}])[
        "imageDetails"
    ]
    assert detail["imageSizeInBytes"] == 307
    assert detail["imageManifestMediaType"] == OCI_INDEX
    assert detail["imageDigest"] == pushed.digest == digest_of(index)


def test_manifest_text_comes_back_unchanged(world: World) -> None:
    hostile = image({A: 1}).replace(
        '"layers"', '"annotations":{"x":"<script>\\u2028é☃\\"</script>"},"layers"'
    )
    world.registry().create_repository("app").put_image(hostile, tag="t")
    with serve(world) as server:
        for image_id in ({"imageTag": "t"}, {"imageDigest": digest_of(hostile)}):
            answer = client(server).batch_get_image(repositoryName="app", imageIds=[image_id])  # type: ignore[list-item]  # a TypedDict, spelt as a dict
            assert [one["imageManifest"] for one in answer["images"]] == [hostile]


def test_every_failure_of_batch_get_image_is_named(small: tuple[World, Server]) -> None:
    world, server = small
    (digest,) = world.registry().repositories["team/app"].images
    answer = client(server).batch_get_image(
        repositoryName="team/app",
        imageIds=[
            {"imageDigest": digest, "imageTag": "v1"},
            {"imageDigest": digest, "imageTag": "other"},
            {"imageDigest": A},
            {"imageDigest": "sha256:short"},
            {"imageTag": "none"},
            {},
        ],
    )
    assert [one["imageId"] for one in answer["images"]] == [{"imageDigest": digest, "imageTag": "v1"}]
    assert [failure["failureCode"] for failure in answer["failures"]] == [
        "ImageTagDoesNotMatchDigest",
        "ImageNotFound",
        "InvalidImageDigest",
        "ImageNotFound",
        "MissingDigestAndTag",
    ]


def test_media_type_that_is_not_accepted_is_not_answered(small: tuple[World, Server]) -> None:
    world, server = small
    (digest,) = world.registry().repositories["team/app"].images
    for accepted, number in ((DOCKER_MANIFEST, 0), (OCI_MANIFEST, 1)):
        answer = client(server).batch_get_image(
            repositoryName="team/app", imageIds=[{"imageDigest": digest}], acceptedMediaTypes=[accepted]
        )
        assert len(answer["images"]) == number


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 99, 100, 1000])
@pytest.mark.parametrize("forced", [None, 3])
def test_pages_of_any_size_give_every_image_once(size: int, forced: int | None) -> None:
    world = generate(1, 20, 3, seed=2)
    (repository,) = world.repositories()
    with serve(world, page_size=forced) as server:
        pages = (
            client(server)
            .get_paginator("describe_images")
            .paginate(repositoryName=repository.name, PaginationConfig={"PageSize": size})
        )
        sizes, digests = [], []
        for page in pages:
            sizes.append(len(page["imageDetails"]))
            digests += [detail["imageDigest"] for detail in page["imageDetails"]]
    assert digests == list(repository.images)
    assert max(sizes) == min(size, 20, forced or 20)


def test_page_is_a_hundred_unless_asked_otherwise() -> None:
    world = generate(101, 0, 3, seed=2)
    with serve(world) as server:
        ecr = client(server)
        first = ecr.describe_repositories()
        second = ecr.describe_repositories(nextToken=first["nextToken"])
    assert [len(page["repositories"]) for page in (first, second)] == [100, 1]
    assert "nextToken" not in second


def test_other_listings_page_too(world: World) -> None:
    registry = world.registry()
    registry.pull_time_update_exclusions = [f"arn:aws:iam::{ACCOUNT}:role/r{n}" for n in range(5)]
    registry.pull_through_cache_rules = [{"ecrRepositoryPrefix": f"hub{n}"} for n in range(5)]
    with serve(world, page_size=2) as server:
        ecr = client(server)
        rules = list(ecr.get_paginator("describe_pull_through_cache_rules").paginate())
        assert [len(page["pullThroughCacheRules"]) for page in rules] == [2, 2, 1]
        arns: list[str] = []
        answer = ecr.list_pull_time_update_exclusions()
        arns += answer["pullTimeUpdateExclusions"]
        while "nextToken" in answer:
            answer = ecr.list_pull_time_update_exclusions(nextToken=answer["nextToken"])
            arns += answer["pullTimeUpdateExclusions"]
        assert arns == registry.pull_time_update_exclusions
        one = ecr.describe_pull_through_cache_rules(ecrRepositoryPrefixes=["hub3"])
        assert [rule["ecrRepositoryPrefix"] for rule in one["pullThroughCacheRules"]] == ["hub3"]


def test_images_pushed_and_deleted_between_pages_move_no_other(world: World) -> None:
    repository = world.registry().create_repository("app")
    pushed = [repository.put_image(image({A: size})).digest for size in range(1, 7)]
    with serve(world) as server:
        ecr = client(server)
        first = ecr.describe_images(repositoryName="app", maxResults=3)
        repository.delete_image(pushed[0])
        late = repository.put_image(image({A: 99})).digest
        second = ecr.describe_images(repositoryName="app", maxResults=9, nextToken=first["nextToken"])
    seen = [detail["imageDigest"] for page in (first, second) for detail in page["imageDetails"]]
    assert seen == [*pushed, late]


def test_token_expires_and_belongs_to_its_request() -> None:
    world = generate(2, 5, 3, seed=2)
    one, two = world.repositories()
    with serve(world, faults=[Fault("expire_token", "DescribeImages", one.name, nth=2, times=1)]) as server:
        ecr = client(server)
        token = ecr.describe_images(repositoryName=one.name, maxResults=2)["nextToken"]
        for name, said in ((one.name, "expired"), (two.name, "another request")):
            with pytest.raises(ClientError, match=said) as raised:
                ecr.describe_images(repositoryName=name, nextToken=token)
            assert code_of(raised) == "InvalidParameterException"
        with pytest.raises(ClientError, match="nextToken"):
            ecr.describe_images(repositoryName=one.name, nextToken="rubbish")
        assert len(ecr.describe_images(repositoryName=one.name, nextToken=token)["imageDetails"]) == 3
    with serve(world, token_seconds=0) as server:
        ecr = client(server)
        token = ecr.describe_images(repositoryName=one.name, maxResults=2)["nextToken"]
        with pytest.raises(ClientError, match="expired"):
            ecr.describe_images(repositoryName=one.name, nextToken=token)


# --- parameters ---------------------------------------------------------------------------------


def test_unknown_repository_is_an_error_everywhere(small: tuple[World, Server]) -> None:
    ecr = client(small[1])
    arn = f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/none"
    calls: list[Callable[[], object]] = [
        lambda: ecr.describe_images(repositoryName="none"),
        lambda: ecr.batch_get_image(repositoryName="none", imageIds=[{"imageTag": "x"}]),
        lambda: ecr.get_lifecycle_policy(repositoryName="none"),
        lambda: ecr.describe_repositories(repositoryNames=["team/app", "none"]),
        lambda: ecr.list_tags_for_resource(resourceArn=arn),
    ]
    for call in calls:
        with pytest.raises(ClientError, match="'none' does not exist in the registry with id") as raised:
            call()
        assert code_of(raised) == "RepositoryNotFoundException"


def test_parameters_outside_the_model_are_refused(small: tuple[World, Server]) -> None:
    _, server = small
    refused: list[tuple[str, dict[str, Any]]] = [
        ("DescribeImages", {}),
        ("DescribeImages", {"repositoryName": "Team/App"}),
        ("DescribeImages", {"repositoryName": "team/app", "maxResults": 1001}),
        ("DescribeImages", {"repositoryName": "team/app", "maxResults": 0}),
        ("DescribeImages", {"repositoryName": "team/app", "maxResults": "5"}),
        ("DescribeImages", {"repositoryName": "team/app", "filter": {"imageStatus": "ALL"}}),
        ("DescribeImages", {"repositoryName": "team/app", "imageIds": [{"imageTag": "v1"}], "maxResults": 5}),
        ("DescribeImages", {"repositoryName": "team/app", "imagestatus": "ANY"}),
        ("BatchGetImage", {"repositoryName": "team/app", "imageIds": []}),
        ("BatchGetImage", {"repositoryName": "team/app", "imageIds": [{"imageDigest": A}] * 101}),
        ("DescribeRepositories", {"registryId": "12"}),
        ("DescribeRepositories", {"repositoryNames": ["team/app"], "maxResults": 5}),
        ("GetAccountSetting", {"name": "NONE"}),
        ("ListTagsForResource", {"resourceArn": "arn:aws:s3:::bucket"}),
    ]
    for operation, parameters in refused:
        status, body = _post(server.url, operation, parameters)
        assert (status, body["__type"]) == (400, "InvalidParameterException"), (operation, parameters)


def test_unknown_image_in_describe_images_is_an_error(small: tuple[World, Server]) -> None:
    with pytest.raises(ClientError, match="does not exist within the repository") as raised:
        client(small[1]).describe_images(repositoryName="team/app", imageIds=[{"imageDigest": A}])
    assert code_of(raised) == "ImageNotFoundException"


def test_settings_policies_and_tags(small: tuple[World, Server]) -> None:
    world, server = small
    ecr = client(server)
    with pytest.raises(ClientError) as raised:
        ecr.get_lifecycle_policy(repositoryName="team/app")
    assert code_of(raised) == "LifecyclePolicyNotFoundException"
    repository = world.registry().repositories["team/app"]
    repository.lifecycle_policy = '{"rules":[]}'
    repository.resource_tags = {"owner": "a", "cost": "b"}
    world.registry().settings["BLOB_MOUNTING"] = "ENABLED"
    assert ecr.get_lifecycle_policy(repositoryName="team/app")["lifecyclePolicyText"] == '{"rules":[]}'
    assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "ENABLED"
    assert ecr.list_tags_for_resource(resourceArn=repository.arn)["tags"] == [
        {"Key": "cost", "Value": "b"},
        {"Key": "owner", "Value": "a"},
    ]


def test_region_is_the_signatures_and_account_the_keys(world: World) -> None:
    world.registry("210987654321", "us-east-1").create_repository("theirs")
    world.registry().create_repository("ours")
    with serve(world) as server:
        names = [
            [one["repositoryName"] for one in ecr.describe_repositories()["repositories"]]
            for ecr in (
                client(server),
                client(server, region="us-east-1"),
                client(server, region="us-east-1", key="210987654321"),
            )
        ]
        sts = session().client(
            "sts",
            endpoint_url=server.url,
            region_name="eu-west-1",
            aws_access_key_id="210987654321",
            aws_secret_access_key="test",
        )
        assert sts.get_caller_identity()["Account"] == "210987654321"
    assert names == [["ours"], [], ["theirs"]]


# --- the answers against the model --------------------------------------------------------------


def _post(url: str, operation: str, parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(  # noqa: S310 - always the stub's own http URL
        url,
        json.dumps(parameters).encode(),
        {"X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}", "Connection": "close"},
    )
    opener = urllib.request.build_opener(_KeepErrors())
    with opener.open(request) as answer:
        body: dict[str, Any] = json.loads(answer.read())
        return answer.status, body


class _KeepErrors(urllib.request.HTTPErrorProcessor):
    """An HTTP error is an answer here."""

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        del request
        return response


def _strays(value: Any, shape: Shape, path: str) -> list[str]:
    """Keys and values of an answer that botocore's model does not know."""
    if isinstance(shape, StructureShape):
        missing = [f"{path}.{name}" for name in shape.required_members if name not in value]
        unknown = [f"{path}.{name}" for name in value if name not in shape.members]
        known = [(name, inner) for name, inner in value.items() if name in shape.members]
        inside = [_strays(inner, shape.members[name], f"{path}.{name}") for name, inner in known]
        return [*missing, *unknown, *chain.from_iterable(inside)]
    if isinstance(shape, ListShape):
        return list(chain.from_iterable(_strays(inner, shape.member, f"{path}[]") for inner in value))
    if isinstance(shape, MapShape):
        return [] if isinstance(value, dict) else [path]
    kinds = {"string": str, "integer": int, "long": int, "boolean": bool, "timestamp": int | float}
    return [] if isinstance(value, kinds[shape.type_name]) else [path]


def test_every_answer_has_the_shape_of_the_model(world: World) -> None:
    registry = world.registry()
    repository = registry.create_repository("app")
    pushed = repository.put_image(image({A: 1}), tag="t")
    pushed.scan = {
        "imageScanStatus": {"status": "COMPLETE"},
        "imageScanFindingsSummary": {"imageScanCompletedAt": EPOCH, "findingSeverityCounts": {"HIGH": 2}},
    }
    pushed.pulled_at = EPOCH
    pushed.changed()
    repository.lifecycle_policy = "x" * 100
    repository.resource_tags = {"a": "b"}
    registry.pull_through_cache_rules = [
        {"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "registry.example"}
    ]
    registry.pull_time_update_exclusions = [f"arn:aws:iam::{ACCOUNT}:role/r"]
    calls: dict[str, dict[str, Any]] = {
        "BatchGetImage": {"repositoryName": "app", "imageIds": [{"imageTag": "t"}, {"imageDigest": B}]},
        "DescribeImages": {"repositoryName": "app", "filter": {"imageStatus": "ANY"}},
        "DescribePullThroughCacheRules": {},
        "DescribeRepositories": {},
        "GetAccountSetting": {"name": "BLOB_MOUNTING"},
        "GetLifecyclePolicy": {"repositoryName": "app"},
        "ListPullTimeUpdateExclusions": {},
        "ListTagsForResource": {"resourceArn": repository.arn},
    }
    model = botocore.session.get_session().get_service_model("ecr")
    with serve(world) as server:
        for operation, parameters in calls.items():
            status, body = _post(server.url, operation, parameters)
            shape = model.operation_model(operation).output_shape
            assert status == 200, body
            assert shape is not None
            assert _strays(body, shape, operation) == []
        assert server.calls == dict.fromkeys(calls, 1)


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "ThrottlingException", 400),
        ("deny", "AccessDeniedException", 400),
        ("error", "ServerException", 500),
        ("code", "KmsException", 400),
    ],
)
def test_fault_strikes_its_operation_and_repository_at_its_time(
    small: tuple[World, Server], kind: FaultKind, code: str, status: int
) -> None:
    world, server = small
    world.registry().create_repository("other")
    fault = Fault(kind, "DescribeImages", "team/*", nth=2, times=1, code="KmsException")
    server.stub.faults = [fault]
    ecr = client(server)
    ecr.describe_images(repositoryName="other")
    ecr.describe_images(repositoryName="team/app")
    with pytest.raises(ClientError) as raised:
        ecr.describe_images(repositoryName="team/app")
    assert code_of(raised) == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    ecr.describe_images(repositoryName="team/app")


def test_refusal_names_the_action_and_the_resource(small: tuple[World, Server]) -> None:
    _, server = small
    server.stub.faults = [Fault("deny", "GetLifecyclePolicy")]
    with pytest.raises(
        ClientError, match=r"perform: ecr:GetLifecyclePolicy on resource: arn:.*repository/team/app"
    ):
        client(server).get_lifecycle_policy(repositoryName="team/app")


def test_client_that_retries_gets_over_a_throttling(small: tuple[World, Server]) -> None:
    _, server = small
    server.stub.faults = [Fault("throttle", "DescribeImages", times=1)]
    client(server, attempts=3).describe_images(repositoryName="team/app")
    assert server.calls["DescribeImages"] == 2


def test_slow_answer_outlasts_a_time_out(small: tuple[World, Server]) -> None:
    _, server = small
    server.stub.faults = [Fault("sleep", "DescribeRepositories", seconds=2, times=1)]
    with pytest.raises(ReadTimeoutError):
        client(server, timeout=0.2).describe_repositories()
    client(server).describe_repositories()


@pytest.mark.parametrize("kind", ["truncate", "garble"])
def test_broken_answer_reaches_the_client_as_a_success_without_its_list(
    small: tuple[World, Server], kind: FaultKind
) -> None:
    # boto3 raises nothing and does not retry: a client must not take this for an empty repository.
    _, server = small
    server.stub.faults = [Fault(kind, "DescribeImages", times=1)]
    ecr = client(server, attempts=3)
    assert set(ecr.describe_images(repositoryName="team/app")) == {"ResponseMetadata"}
    assert len(ecr.describe_images(repositoryName="team/app")["imageDetails"]) == 1
    assert server.calls["DescribeImages"] == 2


def test_wrong_digest_text_does_not_hash_to_its_digest(small: tuple[World, Server]) -> None:
    world, server = small
    (digest,) = world.registry().repositories["team/app"].images
    server.stub.faults = [Fault("wrong_digest", "BatchGetImage", times=1)]
    ecr = client(server)
    texts = [
        ecr.batch_get_image(repositoryName="team/app", imageIds=[{"imageDigest": digest}])["images"][0]
        for _ in range(2)
    ]
    assert [digest_of(one["imageManifest"]) == digest for one in texts] == [False, True]


def test_latency_is_of_every_answer(world: World) -> None:
    with serve(world, latency_seconds=0.05) as server:
        ecr = client(server)
        began = time.perf_counter()
        for _ in range(3):
            ecr.describe_repositories()
        assert time.perf_counter() - began >= 0.15


# --- the generator and the process --------------------------------------------------------------


def _state(world: World) -> list[object]:
    return [
        (
            one.name,
            one.created_at,
            [(i.digest, i.tags, i.pushed_at, i.pulled_at) for i in one.images.values()],
        )
        for one in world.repositories()
    ]


def test_generator_gives_equal_registries_for_equal_arguments() -> None:
    one, two, other = generate(3, 10, 6, seed=5), generate(3, 10, 6, seed=5), generate(3, 10, 6, seed=6)
    assert _state(one) == _state(two) != _state(other)
    assert one.push_and_delete(0.2) == two.push_and_delete(0.2) == (6, 6)
    assert _state(one) == _state(two)
    assert one.push_and_delete(0) == (0, 0)


def test_generated_images_share_bases_and_are_what_they_say() -> None:
    world = generate(4, 25, 9, seed=5)
    layers: list[str] = []
    for repository in world.repositories():
        for one in repository.images.values():
            body = json.loads(one.manifest)
            assert digest_of(one.manifest) == one.digest
            assert one.size_bytes == body["config"]["size"] + sum(layer["size"] for layer in body["layers"])
            assert len(body["layers"]) == 9
            layers += [layer["digest"] for layer in body["layers"]]
    assert len(set(layers)) < 0.6 * len(layers)


def test_next_day_pushes_new_images_deletes_the_oldest_and_moves_latest() -> None:
    world = generate(2, 10, 3, seed=5)
    before = {one.name: (set(one.images), one.tags["latest"]) for one in world.repositories()}
    assert world.push_and_delete(0.3) == (6, 6)
    for one in world.repositories():
        old, latest = before[one.name]
        assert len(one.images) == 10
        assert len(old & set(one.images)) == 7
        assert one.tags["latest"] not in old
        assert "latest" not in one.images[latest].tags


def test_process_of_its_own_serves_the_same_registry() -> None:
    world = generate(2, 3, 4, seed=9)
    arguments = ("--repositories", "2", "--images", "3", "--layers", "4", "--seed", "9", "--page-size", "2")
    with started(*arguments, faults=[Fault("deny", "GetAccountSetting")]) as url:
        ecr = client(url)
        for repository in world.repositories():
            pages = ecr.get_paginator("describe_images").paginate(repositoryName=repository.name)
            found = [detail["imageDigest"] for page in pages for detail in page["imageDetails"]]
            assert found == list(repository.images)
        with pytest.raises(ClientError):
            ecr.get_account_setting(name="BLOB_MOUNTING")
        assert _aside(url, "calls") == {"DescribeImages": 4, "GetAccountSetting": 1}
        _aside(url, "reset", "")
        assert _aside(url, "calls") == {}
        _aside(url, "faults", "[]")
        assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"
        assert _aside(url, "push-and-delete", "0.34") == [2, 2]
        assert _aside(url, "totals") == {"repositories": 2, "images": 6, "manifests": 6}


def _aside(url: str, path: str, body: str | None = None) -> Any:
    request = urllib.request.Request(  # noqa: S310 - always the stub's own http URL
        f"{url}/_stub/{path}", None if body is None else body.encode(), {"Connection": "close"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.loads(answer.read())
