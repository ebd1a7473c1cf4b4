"""The calls one by one: their parameters against botocore's model, their answers against ours."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from analyzer.collect import ecr
from analyzer.collect.clients import AwsRegistryClient, CallSettings, StoppedError
from analyzer.collect.images import PageFaults
from analyzer.collect.places import Place
from analyzer.collect.refusals import Reach, Refusal, RefusedError
from analyzer.model.records import ABSENT, Artifact, ImageStatus, RegistryKey

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config
    from types_boto3_ecr import ECRClient

KEY = RegistryKey("aws", "123456789012", "eu-west-1")
A = "sha256:" + "a" * 64
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
ARN = "arn:aws:ecr:eu-west-1:123456789012:repository/team/app"


@pytest.fixture(scope="module")
def session() -> Session:
    return boto3.Session(aws_access_key_id="x", aws_secret_access_key="y")


class _Access:
    """Gives one client, whatever is asked for."""

    caller = ""
    is_own = True

    def __init__(self, client: ECRClient) -> None:
        self._client = client

    def client(self, service: str, region: str, config: Config) -> ECRClient:
        del config
        assert (service, region) == ("ecr", KEY.region)
        return self._client


@pytest.fixture
def stubbed(session: Session) -> Iterator[tuple[Stubber, AwsRegistryClient]]:
    client = session.client("ecr", region_name=KEY.region)
    with Stubber(client) as stubber:
        yield (
            stubber,
            AwsRegistryClient(Place(KEY, _Access(client)), CallSettings(requests_per_second=math.inf)),
        )
        stubber.assert_no_pending_responses()


def test_repositories_with_their_settings(stubbed: tuple[Stubber, AwsRegistryClient]) -> None:
    stubber, client = stubbed
    entry: dict[str, Any] = {
        "repositoryArn": ARN,
        "registryId": KEY.account,
        "repositoryName": "team/app",
        "repositoryUri": "uri",
        "createdAt": CREATED,
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev-*"}],
        "imageScanningConfiguration": {"scanOnPush": True},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }
    stubber.add_response(
        "describe_repositories", {"repositories": [entry], "nextToken": "t"}, {"maxResults": 1000}
    )
    later = {"repositoryName": "no/time"}
    stubber.add_response(
        "describe_repositories", {"repositories": [later]}, {"maxResults": 1000, "nextToken": "t"}
    )
    listing = ecr.fetch_repositories(client)
    assert listing.refusal is None
    assert listing.left_out == 1
    record = listing.repositories["team/app"]
    assert record.created_at_ms == round(CREATED.timestamp() * 1000)
    assert record.settings == {
        "arn": f'"{ARN}"',
        "uri": '"uri"',
        "image_tag_mutability": '"IMMUTABLE_WITH_EXCLUSION"',
        "image_tag_mutability_exclusion_filters": '[{"filter":"dev-*","filterType":"WILDCARD"}]',
        "scan_on_push": "true",
        "encryption": '{"encryptionType":"AES256"}',
    }


def test_images_of_every_status(stubbed: tuple[Stubber, AwsRegistryClient]) -> None:
    stubber, client = stubbed
    detail: dict[str, Any] = {
        "imageDigest": A,
        "imageTags": ["x"],
        "imagePushedAt": CREATED,
        "imageStatus": "ARCHIVED",
        "lastRecordedPullTime": CREATED,
    }
    expected = {"repositoryName": "team/app", "maxResults": 1000, "filter": {"imageStatus": "ANY"}}
    stubber.add_response("describe_images", {"imageDetails": [detail]}, expected)
    listing = ecr.fetch_images(client, "team/app")
    created_ms = round(CREATED.timestamp() * 1000)
    assert listing.artifacts == {
        A: Artifact(A, ("x",), created_ms, ImageStatus.ARCHIVED, pulled_day=created_ms // 86_400_000)
    }


def test_readings_that_broke_off_count_what_is_wrong_with_an_entry_once(
    stubbed: tuple[Stubber, AwsRegistryClient],
) -> None:
    stubber, client = stubbed
    expected = {"repositoryName": "team/app", "maxResults": 1000, "filter": {"imageStatus": "ANY"}}
    odd: dict[str, Any] = {"imageDigest": "no digest"}
    newer: dict[str, Any] = {"imageDigest": A, "imageTags": ["x"]}
    older: dict[str, Any] = {"imageDigest": "sha256:" + "b" * 64, "imageTags": ["x"]}
    for details in ([odd, newer], [odd, older], [newer]):
        stubber.add_response("describe_images", {"imageDetails": details, "nextToken": "t"}, expected)
        stubber.add_client_error(
            "describe_images",
            "InvalidParameterException",
            "too old",
            expected_params={**expected, "nextToken": "t"},
        )
    listing = ecr.fetch_images(client, "team/app")
    assert listing.faults == PageFaults(left_out=1)
    # In the order of their last sight, so that the last has the tag.
    assert list(listing.artifacts) == [older["imageDigest"], A]
    assert listing.refusal == Refusal(
        "InvalidParameterException", Reach.CALL, "a page token expired in each of 3 readings; too old"
    )


def test_manifests_of_four_media_types_by_digest(stubbed: tuple[Stubber, AwsRegistryClient]) -> None:
    stubber, client = stubbed
    expected = {
        "repositoryName": "team/app",
        "imageIds": [{"imageDigest": A}],
        "acceptedMediaTypes": [
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.distribution.manifest.list.v2+json",
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.oci.image.index.v1+json",
        ],
    }
    failure: dict[str, Any] = {
        "imageId": {"imageDigest": A},
        "failureCode": "KmsError",
        "failureReason": "the key\nis gone",
    }
    stubber.add_response("batch_get_image", {"failures": [failure]}, expected)
    answers = ecr.fetch_manifests(client, "team/app", [A], {})
    assert answers.manifests == []
    assert (answers.refused[A].reason, answers.refused[A].detail) == ("KmsError", "the key is gone")
    stubber.add_response("batch_get_image", {"images": [], "failures": []}, expected)
    assert ecr.fetch_manifests(client, "team/app", [A], {}).refused[A].reason == "NotAnswered"


def test_settings_of_the_registry(stubbed: tuple[Stubber, AwsRegistryClient]) -> None:
    stubber, client = stubbed
    stubber.add_response("get_account_setting", {"value": "enabled"}, {"name": "BLOB_MOUNTING"})
    assert ecr.fetch_blob_mounting(client) == '"ENABLED"'
    stubber.add_response("get_account_setting", {"value": "perhaps"}, {"name": "BLOB_MOUNTING"})
    with pytest.raises(RefusedError, match="BLOB_MOUNTING is PERHAPS"):
        ecr.fetch_blob_mounting(client)
    rule: dict[str, Any] = {"ecrRepositoryPrefix": "pp", "createdAt": CREATED}
    stubber.add_response(
        "describe_pull_through_cache_rules", {"pullThroughCacheRules": [rule]}, {"maxResults": 1000}
    )
    assert ecr.fetch_pull_through_cache_rules(client) == '[{"ecrRepositoryPrefix":"pp"}]'
    for token, arn in ((None, "arn:aws:iam::1:role/b"), ("t", "arn:aws:iam::1:role/a")):
        answer: dict[str, Any] = {"pullTimeUpdateExclusions": [arn]} | ({} if token else {"nextToken": "t"})
        sent: dict[str, Any] = {"maxResults": 1000} | ({"nextToken": token} if token else {})
        stubber.add_response("list_pull_time_update_exclusions", answer, sent)
    assert ecr.fetch_pull_time_exclusions(client) == '["arn:aws:iam::1:role/a","arn:aws:iam::1:role/b"]'


def test_policies_and_tags_of_a_repository(stubbed: tuple[Stubber, AwsRegistryClient]) -> None:
    stubber, client = stubbed
    text = '{"rules": []}' + " " * 100
    answer: dict[str, Any] = {"lifecyclePolicyText": text}
    stubber.add_response("get_lifecycle_policy", answer, {"repositoryName": "team/app"})
    assert ecr.fetch_lifecycle_policy(client, "team/app") == json.dumps(text)
    stubber.add_client_error("get_lifecycle_policy", "LifecyclePolicyNotFoundException")
    assert ecr.fetch_lifecycle_policy(client, "team/app") == ABSENT
    stubber.add_response(
        "list_tags_for_resource", {"tags": [{"Key": "k", "Value": "v"}]}, {"resourceArn": ARN}
    )
    assert ecr.fetch_tags(client, ARN) == '{"k":"v"}'
    with pytest.raises(RefusedError, match="without its ARN"):
        ecr.fetch_tags(client, "")


def test_no_call_is_made_once_the_run_is_ending(stubbed: tuple[Stubber, AwsRegistryClient]) -> None:
    _, client = stubbed
    client.settings.stop.set()
    with pytest.raises(StoppedError):
        client.call("DescribeRepositories")
