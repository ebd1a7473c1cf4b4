"""The emulated AWS of the demo, as any boto3 program sees it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

import analyzer.demo
from analyzer.demo import ACCOUNT, EmulatedAws, emulated_aws
from analyzer.demo.plan import digest_of
from analyzer.errors import InputError

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient
    from types_boto3_ecr.type_defs import ImageDetailTypeDef

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


@pytest.fixture
def aws() -> Iterator[EmulatedAws]:
    with emulated_aws(NOW) as aws:
        yield aws


def listed(ecr: ECRClient, name: str) -> list[ImageDetailTypeDef]:
    pages = ecr.get_paginator("describe_images").paginate(
        repositoryName=name, filter={"imageStatus": "ANY"}, PaginationConfig={"PageSize": 1000}
    )
    return [detail for page in pages for detail in page["imageDetails"]]


def test_its_account_and_regions_answer(aws: EmulatedAws) -> None:
    assert boto3.client("sts").get_caller_identity()["Account"] == aws.account == ACCOUNT
    assert aws.regions == ("us-east-1", "eu-west-1", "us-west-2")
    names = set()
    for region in aws.regions:
        pages = boto3.client("ecr", region).get_paginator("describe_repositories").paginate()
        names |= {(region, r["repositoryName"]) for page in pages for r in page["repositories"]}
    assert len(names) == 54
    assert ("us-east-1", "sandbox/new-service") in names


def test_manifests_are_those_that_the_digests_name(aws: EmulatedAws) -> None:
    ecr = boto3.client("ecr", aws.regions[0])
    details = listed(ecr, "orders/api")[:100]
    answer = ecr.batch_get_image(
        repositoryName="orders/api", imageIds=[{"imageDigest": detail["imageDigest"]} for detail in details]
    )
    assert not answer["failures"]
    for image in answer["images"]:
        assert digest_of(image["imageManifest"]) == image["imageId"]["imageDigest"]
        assert json.loads(image["imageManifest"])["mediaType"] == image["imageManifestMediaType"]


def test_every_refusal_named_is_one_and_says_why(aws: EmulatedAws) -> None:
    assert {refusal.account for refusal in aws.refusals} == {ACCOUNT}
    assert all(refusal.why for refusal in aws.refusals)
    denied = {(r.region, r.repository, r.call) for r in aws.refusals if r.code == "AccessDeniedException"}
    assert denied == {
        ("us-east-1", "security/vault-sidecar", "ecr:DescribeImages"),
        ("us-east-1", "payments/ledger", "ecr:GetLifecyclePolicy"),
        ("us-west-2", "", "ecr:GetAccountSetting"),
    }
    east = boto3.client("ecr", "us-east-1")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        east.describe_images(repositoryName="security/vault-sidecar")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        east.get_lifecycle_policy(repositoryName="payments/ledger")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        boto3.client("ecr", "us-west-2").get_account_setting(name="BLOB_MOUNTING")
    assert east.get_account_setting(name="BLOB_MOUNTING")["value"] == "ENABLED"
    assert boto3.client("ecr", "eu-west-1").get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"


def test_unreadable_images_are_those_of_the_refusals(aws: EmulatedAws) -> None:
    expected = {(r.region, r.repository) for r in aws.refusals if r.code == "ImageNotFound"}
    assert expected
    for region, name in expected:
        ecr = boto3.client("ecr", region)
        archived = [d for d in listed(ecr, name) if d["imageStatus"] == "ARCHIVED"]
        answer = ecr.batch_get_image(
            repositoryName=name, imageIds=[{"imageDigest": d["imageDigest"]} for d in archived[:100]]
        )
        assert not answer["images"]
        assert {failure["failureCode"] for failure in answer["failures"]} == {"ImageNotFound"}


def test_nights_pass() -> None:
    with emulated_aws(NOW, seed=3) as aws:
        ecr = boto3.client("ecr", "us-east-1")
        before = {detail["imageDigest"] for detail in listed(ecr, "web/storefront")}
        for _ in range(4):
            aws.pass_night()
        details = listed(ecr, "web/storefront")
        new = [detail for detail in details if detail["imageDigest"] not in before]
        assert aws.now == NOW + timedelta(days=4)
        assert new
        assert all(detail["imagePushedAt"] > NOW for detail in new)
        # Refusals hold on.
        with pytest.raises(ClientError, match="AccessDeniedException"):
            ecr.describe_images(repositoryName="security/vault-sidecar")


def test_environment_is_harmless_inside_and_restored_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://203.0.113.1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "999999999999")
    before = dict(os.environ)
    with emulated_aws(NOW, seed=1) as aws:
        assert "AWS_PROFILE" not in os.environ
        assert os.environ["AWS_SECRET_ACCESS_KEY"] != "mine"
        # Would be refused by the test run's own guard if it went to that endpoint.
        assert boto3.client("sts", "us-east-1").get_caller_identity()["Account"] == aws.account
    assert dict(os.environ) == before


def test_without_the_emulator_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyzer.demo, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r'pip install "demurrage\[demo\]"'), emulated_aws(NOW):
        pass
