"""What a real registry stores is what its manifests say: configs and layers, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from analyzer.demo import moto_faults
from analyzer.demo.plan import digest_of
from tests.support.docker_registry import DockerRegistry, docker_registry, fill, transcribe
from tests.support.pipeline import Pipeline

ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    folder = tmp_path_factory.mktemp("docker-registry")
    with docker_registry(folder) as registry:
        fill(registry, folder)
        yield registry


def test_registry_holds_images_of_both_formats_and_an_index(filled: DockerRegistry) -> None:
    manifests = filled.manifests()
    assert sorted(manifests) == [
        "mirror/app",
        "platform/base",
        "team/app",
        "team/app-docker",
        "team/multi",
        "team/worker",
    ]
    kinds = {manifest.media_type.split(".")[1] for held in manifests.values() for manifest in held}
    assert kinds == {"oci", "docker"}
    assert [len(manifests[name]) for name in ("team/app", "team/multi")] == [2, 3]
    assert {m.tags for m in manifests["team/app"]} == {("v1",), ("latest", "v2")}
    assert all(digest_of(m.text) == m.digest for held in manifests.values() for m in held)


def test_blob_folder_holds_what_the_manifests_name_each_blob_once(filled: DockerRegistry) -> None:
    named: dict[str, int] = {}
    for manifest in (m for held in filled.manifests().values() for m in held):
        parsed = json.loads(manifest.text)
        if "layers" in parsed:
            named |= {entry["digest"]: entry["size"] for entry in [parsed["config"], *parsed["layers"]]}
    assert sum(named.values()) == filled.stored_bytes() > 549_000


def test_transcribed_registry_answers_with_the_same_manifests(filled: DockerRegistry) -> None:
    with moto_faults.mended(), mock_aws():
        transcribe(filled, ACCOUNT, REGION)
        client = boto3.client("ecr", REGION)
        for name, manifests in filled.manifests().items():
            answer = client.batch_get_image(
                repositoryName=name, imageIds=[{"imageDigest": manifest.digest} for manifest in manifests]
            )
            assert [image["imageManifest"] for image in answer["images"]] == [m.text for m in manifests]


def test_analysis_agrees_with_the_blob_folder(filled: DockerRegistry, tmp_path: Path) -> None:
    with moto_faults.mended(), mock_aws():
        transcribe(filled, ACCOUNT, REGION)
        night = Pipeline(tmp_path).collect(boto3.Session(), REGION)
    assert night.result.gaps == ()
    assert night.total("physical_bytes_registry") == filled.stored_bytes()
    assert night.total("physical_bytes_repository") > filled.stored_bytes()
    assert night.total("indexes") == 1
