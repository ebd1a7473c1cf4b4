"""The stub's lifecycle previews, driven by plain boto3 and compared with botocore's model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.registry import EPOCH, Repository, World
from tests.support.stub_ecr import Fault, Server, serve
from tests.support_tests.test_stub_ecr import A, B, client, code_of, image

POLICY = '{"rules":[' + " " * 100 + "]}"


def archive_all(repository: Repository, _: str) -> list[dict[str, Any]]:
    return [
        {
            "imageDigest": one.digest,
            "imageTags": one.tags,
            "imagePushedAt": one.pushed_at,
            "action": {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"},
            "appliedRulePriority": 2,
            "storageClass": "STANDARD",
        }
        for one in repository.images.values()
    ]


@pytest.fixture
def repository() -> Repository:
    world = World()
    world.previewer = archive_all
    repository = world.registry().create_repository("app")
    repository.put_image(image({A: 1}), tag="one")
    repository.put_image(image({B: 1}), tag="two", pushed_at=EPOCH + 1)
    return repository


@pytest.fixture
def server(repository: Repository) -> Iterator[Server]:
    world = World()
    world.registries[world.account, world.region] = repository.registry
    world.previewer = archive_all
    with serve(world, page_size=1) as served:
        yield served


def test_preview_is_in_progress_then_complete_with_pages_and_a_summary(server: Server) -> None:
    ecr = client(server)
    started = ecr.start_lifecycle_policy_preview(repositoryName="app", lifecyclePolicyText=POLICY)
    assert (started["status"], started["lifecyclePolicyText"]) == ("IN_PROGRESS", POLICY)
    with pytest.raises(ClientError) as raised:
        ecr.start_lifecycle_policy_preview(repositoryName="app", lifecyclePolicyText=POLICY)
    assert code_of(raised) == "LifecyclePolicyPreviewInProgressException"
    first = ecr.get_lifecycle_policy_preview(repositoryName="app")
    assert first["status"] == "IN_PROGRESS"
    assert "previewResults" not in set(first)
    pages = list(ecr.get_paginator("get_lifecycle_policy_preview").paginate(repositoryName="app"))
    assert [row["imageTags"] for page in pages for row in page["previewResults"]] == [["one"], ["two"]]
    assert len(pages) == 2
    assert pages[0]["summary"] == {
        "expiringImageTotalCount": 0,
        "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 2}],
    }
    # What is complete may be started again.
    ecr.start_lifecycle_policy_preview(repositoryName="app", lifecyclePolicyText=POLICY)


@pytest.mark.parametrize("end", ["FAILED", "EXPIRED"])
def test_preview_may_end_otherwise(server: Server, repository: Repository, end: str) -> None:
    repository.preview_ends_as, repository.preview_looks = end, 0
    ecr = client(server)
    ecr.start_lifecycle_policy_preview(repositoryName="app", lifecyclePolicyText=POLICY)
    answer = ecr.get_lifecycle_policy_preview(repositoryName="app")
    assert answer["status"] == end
    assert "previewResults" not in set(answer)


def test_preview_without_a_text_is_of_the_policy_in_force(server: Server, repository: Repository) -> None:
    ecr = client(server)
    with pytest.raises(ClientError) as raised:
        ecr.start_lifecycle_policy_preview(repositoryName="app")
    assert code_of(raised) == "LifecyclePolicyNotFoundException"
    with pytest.raises(ClientError) as raised:
        ecr.get_lifecycle_policy_preview(repositoryName="app")
    assert code_of(raised) == "LifecyclePolicyPreviewNotFoundException"
    repository.lifecycle_policy = POLICY
    assert ecr.start_lifecycle_policy_preview(repositoryName="app")["lifecyclePolicyText"] == POLICY


def test_preview_parameters_are_held_to_the_model_and_calls_can_be_made_to_fail(server: Server) -> None:
    ecr = client(server)
    with pytest.raises(ClientError) as raised:
        ecr.start_lifecycle_policy_preview(repositoryName="app", lifecyclePolicyText=POLICY + " " * 30_720)
    assert code_of(raised) == "InvalidParameterException"
    with pytest.raises(ClientError) as raised:
        ecr.get_lifecycle_policy_preview(repositoryName="app", maxResults=101)
    assert code_of(raised) == "InvalidParameterException"
    with pytest.raises(ClientError) as raised:
        ecr.start_lifecycle_policy_preview(repositoryName="none", lifecyclePolicyText=POLICY)
    assert code_of(raised) == "RepositoryNotFoundException"
    server.stub.faults = [Fault("throttle", "GetLifecyclePolicyPreview")]
    with pytest.raises(ClientError) as raised:
        ecr.get_lifecycle_policy_preview(repositoryName="app")
    assert code_of(raised) == "ThrottlingException"
