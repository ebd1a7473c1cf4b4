"""Each mend of moto, through plain boto3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.ecr import policy_validation
from moto.ecr.models import ECRBackend
from moto.ecr.models import Image as MotoImage
from moto.ecr.responses import ECRResponse

from analyzer.demo import moto_faults, pour
from analyzer.demo.catalogue import POLICIES
from analyzer.demo.layers import (
    DOCKER_FOREIGN_LAYER,
    OCI_MANIFEST,
    Blob,
    Json,
    blob,
    child,
    image_manifest,
    index_manifest,
)
from analyzer.demo.plan import Image, PullThroughRule, Refusal, Registry, Repository, Scan, digest_of

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

ACCOUNT, REGION = "123456789012", "eu-west-1"
NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


@pytest.fixture
def ecr() -> Iterator[ECRClient]:
    with moto_faults.mended(), mock_aws():
        yield boto3.client("ecr", REGION)


def simple(number: int, size: int = 1_000, **more: Any) -> Image:
    text = image_manifest(blob(f"config {number}", 7), [blob(f"layer {number}", size)], oci=True)
    return Image(manifest=text, media_type=OCI_MANIFEST, pushed_at=NOW - timedelta(hours=number), **more)


def fill(*images: Image, name: str = "team/app", **more: Any) -> None:
    created_at = NOW - timedelta(days=900, milliseconds=250)
    repository = Repository(region=REGION, name=name, created_at=created_at, images=list(images), **more)
    pour.pour_repository(ACCOUNT, repository)


def error_code(failed: pytest.ExceptionInfo[ClientError]) -> str:
    return str(failed.value.response["Error"]["Code"])


def test_describe_images_pages_and_gives_every_image_once(ecr: ECRClient) -> None:
    images = [simple(n) for n in range(250)]
    fill(*images)
    first = ecr.describe_images(repositoryName="team/app")
    assert len(first["imageDetails"]) == 100
    for size in (1, 99, 250, 1000):
        pages = ecr.get_paginator("describe_images").paginate(
            repositoryName="team/app", PaginationConfig={"PageSize": size}
        )
        listed = [[detail["imageDigest"] for detail in page["imageDetails"]] for page in pages]
        assert max(map(len, listed)) == min(size, 250)
        assert [digest for page in listed for digest in page] == [image.digest for image in images]


def test_page_sizes_and_tokens_that_mean_nothing_are_refused(ecr: ECRClient) -> None:
    fill(simple(0))
    with pytest.raises(ClientError) as failed:
        ecr.describe_images(repositoryName="team/app", maxResults=1001)
    assert error_code(failed) == "InvalidParameterException"
    with pytest.raises(ClientError) as failed:
        ecr.describe_images(repositoryName="team/app", nextToken="not one of ours")
    assert error_code(failed) == "InvalidParameterException"


def test_describe_repositories_and_list_images_page(ecr: ECRClient) -> None:
    for number in range(5):
        fill(name=f"team/app-{number}")
    pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["repositories"]) for page in pages] == [2, 2, 1]
    assert len(ecr.describe_repositories(repositoryNames=["team/app-3"])["repositories"]) == 1
    fill(simple(0, tags=["a", "b"]), simple(1), name="team/tagged")
    lists = ecr.get_paginator("list_images").paginate(
        repositoryName="team/tagged", PaginationConfig={"PageSize": 2}
    )
    assert [[i.get("imageTag") for i in page["imageIds"]] for page in lists] == [["a", "b"], [None]]


def test_only_active_images_are_listed_unless_asked_for_others(ecr: ECRClient) -> None:
    fill(simple(0, tags=["x"]), simple(1, status="ARCHIVED", archived_at=NOW), simple(2, status="ACTIVATING"))

    def statuses(**more: Any) -> list[str]:
        answer = ecr.describe_images(repositoryName="team/app", **more)
        return [detail["imageStatus"] for detail in answer["imageDetails"]]

    assert statuses() == ["ACTIVE"]
    assert statuses(filter={"imageStatus": "ANY"}) == ["ACTIVE", "ARCHIVED", "ACTIVATING"]
    assert statuses(filter={"imageStatus": "ARCHIVED"}) == ["ARCHIVED"]
    assert statuses(filter={"imageStatus": "ANY", "tagStatus": "UNTAGGED"}) == ["ARCHIVED", "ACTIVATING"]
    listed = ecr.list_images(repositoryName="team/app", filter={"imageStatus": "ANY", "tagStatus": "TAGGED"})
    assert listed["imageIds"] == [{"imageDigest": simple(0).digest, "imageTag": "x"}]
    assert len(ecr.list_images(repositoryName="team/app")["imageIds"]) == 1


def test_every_field_of_an_image_is_told_and_absent_ones_stay_absent(ecr: ECRClient) -> None:
    scan = Scan("COMPLETE", NOW, {"HIGH": 3})
    subject = digest_of("subject")
    fill(
        simple(
            0,
            tags=["a", "b"],
            pulled_at=NOW,
            archived_at=NOW - timedelta(days=1),
            activated_at=NOW - timedelta(hours=5),
            artifact_media_type="application/spdx+json",
            subject_digest=subject,
            scan=scan,
        ),
        simple(1),
    )
    full, bare = ecr.describe_images(repositoryName="team/app")["imageDetails"]
    assert full == {
        "registryId": ACCOUNT,
        "repositoryName": "team/app",
        "imageDigest": simple(0).digest,
        "imageTags": ["a", "b"],
        "imageSizeInBytes": 1_007,
        "imagePushedAt": NOW,
        "imageScanStatus": {"status": "COMPLETE"},
        "imageScanFindingsSummary": {
            "imageScanCompletedAt": NOW,
            "vulnerabilitySourceUpdatedAt": NOW,
            "findingSeverityCounts": {"HIGH": 3},
        },
        "imageManifestMediaType": OCI_MANIFEST,
        "artifactMediaType": "application/spdx+json",
        "lastRecordedPullTime": NOW,
        "subjectManifestDigest": subject,
        "imageStatus": "ACTIVE",
        "lastArchivedAt": NOW - timedelta(days=1),
        "lastActivatedAt": NOW - timedelta(hours=5),
    }
    assert bare.keys() == {
        "registryId",
        "repositoryName",
        "imageDigest",
        "imageSizeInBytes",
        "imagePushedAt",
        "imageManifestMediaType",
        "imageStatus",
    }


def test_size_leaves_out_foreign_layers_and_of_an_index_is_its_largest_child(ecr: ECRClient) -> None:
    foreign = Blob(digest_of("windows"), 10**9, ("https://example.invalid/",))
    text = image_manifest(blob("config", 5), [foreign, blob("own", 20)])
    assert DOCKER_FOREIGN_LAYER in text
    windows = Image(manifest=text, media_type="m", pushed_at=NOW)
    small, large = simple(1, size=50), simple(2, size=90)
    entries = [child(i.manifest, i.digest, OCI_MANIFEST, "linux/amd64") for i in (small, large, simple(3))]
    index = Image(manifest=index_manifest(entries), media_type="i", pushed_at=NOW)
    fill(windows, small, large, index)
    details = ecr.describe_images(repositoryName="team/app")["imageDetails"]
    assert [detail["imageSizeInBytes"] for detail in details] == [25, 57, 97, 97]


def test_named_images_come_once_in_the_order_asked(ecr: ECRClient) -> None:
    fill(*[simple(n, tags=[f"t{n}"]) for n in range(5)])
    wanted = [{"imageTag": "t3"}, {"imageDigest": simple(1).digest}, {"imageDigest": simple(3).digest}]
    answer = ecr.describe_images(repositoryName="team/app", imageIds=wanted)  # type: ignore[arg-type]
    assert [d["imageDigest"] for d in answer["imageDetails"]] == [simple(3).digest, simple(1).digest]
    with pytest.raises(ClientError) as failed:
        ecr.describe_images(repositoryName="team/app", imageIds=[{"imageTag": "no such"}])
    assert error_code(failed) == "ImageNotFoundException"


def test_batch_get_image_answers_and_fails_by_id(ecr: ECRClient) -> None:
    fill(simple(0, tags=["t"]), simple(1, status="ARCHIVED"), simple(2, status="ACTIVATING"))
    gone = digest_of("gone")
    ids: list[Any] = [
        {"imageDigest": simple(0).digest},
        {"imageTag": "t"},
        {"imageDigest": simple(1).digest},
        {"imageDigest": simple(2).digest},
        {"imageDigest": gone},
        {"imageDigest": simple(0).digest, "imageTag": "other"},
    ]
    answer = ecr.batch_get_image(repositoryName="team/app", imageIds=ids)
    assert [image["imageManifest"] for image in answer["images"]] == [simple(0).manifest] * 2
    assert [image["imageId"] for image in answer["images"]] == [
        {"imageDigest": simple(0).digest},
        {"imageDigest": simple(0).digest, "imageTag": "t"},
    ]
    assert [(f["imageId"], f["failureCode"]) for f in answer["failures"]] == [
        (ids[2], "ImageNotFound"),
        (ids[3], "ImageNotFound"),
        (ids[4], "ImageNotFound"),
        (ids[5], "ImageTagDoesNotMatchDigest"),
    ]


def test_batch_get_image_takes_a_hundred_ids_and_no_more(ecr: ECRClient) -> None:
    images = [simple(n) for n in range(101)]
    fill(*images)
    ids: list[Any] = [{"imageDigest": image.digest} for image in images]
    assert len(ecr.batch_get_image(repositoryName="team/app", imageIds=ids[:100])["images"]) == 100
    with pytest.raises(ClientError) as failed:
        ecr.batch_get_image(repositoryName="team/app", imageIds=ids)
    assert error_code(failed) == "InvalidParameterException"


def test_images_with_equal_layers_are_two_images(ecr: ECRClient) -> None:
    fill()
    layers = [blob("the same", 10)]
    for config in ("one", "two"):
        text = image_manifest(blob(config, 3), layers)
        put = ecr.put_image(repositoryName="team/app", imageManifest=text)
        assert put["image"]["imageId"]["imageDigest"] == digest_of(text)
    assert len(ecr.describe_images(repositoryName="team/app")["imageDetails"]) == 2


def test_moved_tag_leaves_the_old_image_untagged(ecr: ECRClient) -> None:
    fill()
    for number in (1, 2):
        ecr.put_image(repositoryName="team/app", imageManifest=simple(number).manifest, imageTag="latest")
    details = ecr.describe_images(repositoryName="team/app")["imageDetails"]
    assert [(detail["imageDigest"], detail.get("imageTags")) for detail in details] == [
        (simple(1).digest, None),
        (simple(2).digest, ["latest"]),
    ]
    ecr.put_image(repositoryName="team/app", imageManifest=simple(1).manifest, imageTag="latest")
    details = ecr.describe_images(repositoryName="team/app")["imageDetails"]
    assert [detail.get("imageTags") for detail in details] == [["latest"], None]


def test_pushed_artifact_tells_its_type_and_subject(ecr: ECRClient) -> None:
    fill()
    subject = digest_of("x")
    manifest = json.loads(simple(1).manifest) | {"artifactType": "a/b", "subject": {"digest": subject}}
    ecr.put_image(repositoryName="team/app", imageManifest=json.dumps(manifest))
    (detail,) = ecr.describe_images(repositoryName="team/app")["imageDetails"]
    assert (detail["artifactMediaType"], detail["subjectManifestDigest"]) == ("a/b", subject)


def test_pushes_that_aws_refuses_are_refused(ecr: ECRClient) -> None:
    fill()
    fill(name="team/fixed", immutable=True)
    text = simple(1).manifest

    def refusal(**request: Any) -> str:
        with pytest.raises(ClientError) as failed:
            ecr.put_image(**request)
        return error_code(failed)

    put: Json = {"repositoryName": "team/app", "imageManifest": text, "imageTag": "a"}
    ecr.put_image(**put)  # type: ignore[arg-type]
    assert refusal(**put) == "ImageAlreadyExistsException"
    assert refusal(repositoryName="team/none", imageManifest=text) == "RepositoryNotFoundException"
    assert refusal(repositoryName="team/app", imageManifest="{") == "InvalidParameterException"
    assert refusal(**put, imageDigest=digest_of("other")) == "ImageDigestDoesNotMatchException"
    ecr.put_image(repositoryName="team/fixed", imageManifest=text, imageTag="a")
    other = simple(2).manifest
    assert (
        refusal(repositoryName="team/fixed", imageManifest=other, imageTag="a")
        == "ImageTagAlreadyExistsException"
    )


def test_account_settings_rules_and_exclusions_are_answered(ecr: ECRClient) -> None:
    assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"
    with pytest.raises(ClientError) as failed:
        ecr.get_account_setting(name="NO_SUCH")
    assert error_code(failed) == "InvalidParameterException"
    role = f"arn:aws:iam::{ACCOUNT}:role/collector"
    rule = PullThroughRule("docker-hub", "registry-1.docker.io", "docker-hub", NOW)
    pour.pour_registry(
        ACCOUNT,
        Registry(
            region=REGION, blob_mounting="ENABLED", pull_through_rules=[rule], pull_time_exclusions=[role]
        ),
    )
    assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "ENABLED"
    assert ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"] == [role]
    (answered,) = ecr.describe_pull_through_cache_rules()["pullThroughCacheRules"]
    assert answered == {
        "ecrRepositoryPrefix": "docker-hub",
        "upstreamRegistryUrl": "registry-1.docker.io",
        "upstreamRegistry": "docker-hub",
        "createdAt": NOW,
        "updatedAt": NOW,
        "registryId": ACCOUNT,
    }
    with pytest.raises(ClientError) as failed:
        ecr.describe_pull_through_cache_rules(ecrRepositoryPrefixes=["quay"])
    assert error_code(failed) == "PullThroughCacheRuleNotFoundException"
    # Another region has settings of its own.
    assert boto3.client("ecr", "us-east-1").get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_legal_lifecycle_policies_are_taken(ecr: ECRClient, name: str) -> None:
    fill()
    ecr.put_lifecycle_policy(repositoryName="team/app", lifecyclePolicyText=POLICIES[name])
    answer = ecr.get_lifecycle_policy(repositoryName="team/app")
    assert answer["lifecyclePolicyText"] == POLICIES[name]
    assert answer["lastEvaluatedAt"] == datetime(1970, 1, 1, tzinfo=UTC)


def test_last_evaluation_of_a_policy_is_the_one_that_happened(ecr: ECRClient) -> None:
    fill(lifecycle_policy=POLICIES["untagged"], lifecycle_evaluated_at=NOW)
    assert ecr.get_lifecycle_policy(repositoryName="team/app")["lastEvaluatedAt"] == NOW


def test_chosen_calls_are_denied_and_no_others(ecr: ECRClient) -> None:
    fill(tags={"team": "x"})
    fill(name="team/other")
    moto_faults.refuse(
        Refusal(ACCOUNT, REGION, repository, f"ecr:{call}", "AccessDeniedException", "")
        for repository, call in (
            ("team/app", "DescribeImages"),
            ("team/app", "ListTagsForResource"),
            ("", "GetAccountSetting"),
        )
    )
    arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/"
    for denied in (
        lambda: ecr.describe_images(repositoryName="team/app"),
        lambda: ecr.list_tags_for_resource(resourceArn=arn + "team/app"),
        lambda: ecr.get_account_setting(name="BLOB_MOUNTING"),
    ):
        with pytest.raises(ClientError) as failed:
            denied()
        assert error_code(failed) == "AccessDeniedException"
        assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert ecr.describe_images(repositoryName="team/other")["imageDetails"] == []
    assert ecr.list_tags_for_resource(resourceArn=arn + "team/other")["tags"] == []
    assert ecr.list_images(repositoryName="team/app")["imageIds"] == []
    assert boto3.client("ecr", "us-east-1").get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"


def test_settings_of_a_repository_are_kept(ecr: ECRClient) -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
    fill(kms_key=key, immutable=True, scan_on_push=True, tags={"team": "x"})
    (repository,) = ecr.describe_repositories()["repositories"]
    assert repository["createdAt"] == NOW - timedelta(days=900, milliseconds=250)
    assert repository["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key}
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    tags = ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
    assert tags == [{"Key": "team", "Value": "x"}]


def test_everything_is_undone_afterwards() -> None:
    owners = (ECRResponse, ECRBackend, MotoImage, policy_validation)
    before = [dict(vars(owner)) for owner in owners]
    with moto_faults.mended():
        assert [dict(vars(owner)) for owner in owners] != before
        with moto_faults.mended():
            pass
        assert ECRResponse.describe_images is not before[0]["describe_images"]
    assert [dict(vars(owner)) for owner in owners] == before
    with pytest.raises(KeyError), moto_faults.mended():
        raise KeyError
    assert [dict(vars(owner)) for owner in owners] == before


def test_state_of_the_added_operations_leaves_with_the_mock() -> None:
    for value in ("ENABLED", "DISABLED"):
        with moto_faults.mended(), mock_aws():
            ecr = boto3.client("ecr", REGION)
            assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"
            moto_faults.set_account_setting(ACCOUNT, REGION, "BLOB_MOUNTING", value)


def test_every_mend_says_what_it_mends() -> None:
    assert all(fault.strip() for fault in moto_faults.faults().values())
    assert {"ECRBackend.put_image", "ECRResponse.get_account_setting"} <= moto_faults.faults().keys()
