"""The corpus is what its figures say, and what is made of it holds the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

import boto3
import pytest
from botocore.config import Config

from analyzer.demo import moto_faults
from analyzer.demo.plan import Image, digest_of
from tests.support.corpus import Corpus, StoredBytes, fill_moto, load_corpus, regclient_manifests
from tests.support.emulators import moto_server

ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def whole() -> Corpus:
    return load_corpus()


def _bytes_of(repositories: Iterable[Iterable[Image]]) -> StoredBytes:
    """The same figures from the manifests that were made."""
    logical = repository = 0
    everywhere: dict[str, int] = {}
    for images in repositories:
        held: dict[str, int] = {}
        for image in images:
            layers = json.loads(image.manifest).get("layers", [])
            stored = {
                layer["digest"]: layer["size"] for layer in layers if "foreign" not in layer["mediaType"]
            }
            logical += sum(stored.values())
            held |= stored
        repository += sum(held.values())
        everywhere |= held
    return StoredBytes(logical, repository, sum(everywhere.values()))


def test_whole_corpus_has_the_published_figures(whole: Corpus) -> None:
    assert (len(whole.repositories), whole.images, whole.indexes) == (86, 24_303, 11_406)
    assert whole.expected == StoredBytes(4_044_003_214_623, 1_668_666_543_193, 1_288_257_670_414)


def test_manifests_made_hold_the_same_bytes_as_the_records(whole: Corpus) -> None:
    assert _bytes_of(repository.images for repository in whole.repositories) == whole.expected


def test_no_two_images_of_a_repository_share_a_digest(whole: Corpus) -> None:
    counts = Counter((r.name, image.digest) for r in whole.repositories for image in r.images)
    assert sum(counts.values()) == whole.images + whole.indexes == len(counts)


def test_children_of_indexes_are_present_and_tags_are_the_last_ones(whole: Corpus) -> None:
    reached = 0
    for repository in whole.repositories:
        by_digest = {image.digest: image for image in repository.images}
        tagged = [image for image in repository.images if image.tags]
        found = set()
        for image in tagged:
            parsed = json.loads(image.manifest)
            children = [entry["digest"] for entry in parsed.get("manifests", ())]
            assert all(digest in by_digest for digest in children)
            found |= set(children) if "manifests" in parsed else {image.digest}
        reached += len(found)
    # The figure published for images reachable from a tag at the end.
    assert reached == 2_166


def test_sample_is_made_of_whole_repositories_of_the_same_manifests(whole: Corpus) -> None:
    sample = load_corpus(7)
    assert len(sample.repositories) == 7
    of_whole = {repository.name: repository for repository in whole.repositories}
    for repository in sample.repositories:
        assert repository.images == of_whole[repository.name].images
    assert _bytes_of(repository.images for repository in sample.repositories) == sample.expected


def test_regclient_manifests_are_byte_exact() -> None:
    manifests = regclient_manifests()
    assert len(manifests) == 53
    assert all(digest_of(manifest.text) == manifest.digest for manifest in manifests)


@pytest.fixture
def endpoint() -> Iterator[str]:
    with moto_faults.mended(), moto_server() as url:
        yield url


def test_sample_can_be_read_over_http(endpoint: str) -> None:
    corpus = load_corpus(3)
    fill_moto(corpus, ACCOUNT, "us-east-1")
    client = boto3.client(
        "ecr",
        "us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    for repository in corpus.repositories:
        pages = client.get_paginator("describe_images").paginate(
            repositoryName=repository.name, PaginationConfig={"PageSize": 1000}
        )
        details = [detail for page in pages for detail in page["imageDetails"]]
        assert {d["imageDigest"]: sorted(d.get("imageTags", [])) for d in details} == {
            image.digest: image.tags for image in repository.images
        }
        assert {d["imageDigest"]: d["imagePushedAt"] for d in details} == {
            image.digest: image.pushed_at for image in repository.images
        }
        wanted = repository.images[:100]
        answer = client.batch_get_image(
            repositoryName=repository.name, imageIds=[{"imageDigest": image.digest} for image in wanted]
        )
        assert [image["imageManifest"] for image in answer["images"]] == [image.manifest for image in wanted]
        assert not answer["failures"]
