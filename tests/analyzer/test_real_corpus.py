"""Real manifests through the real collector over HTTP give the figures counted with plain sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import boto3
import numpy as np
import pytest

from analyzer.demo import moto_faults
from analyzer.families import find_families
from analyzer.hygiene.bases import find_spreads
from analyzer.hygiene.blobs import find_blobs
from analyzer.hygiene.platforms import find_platforms
from analyzer.hygiene.sharing import find_key_splits, find_mountable
from analyzer.hygiene.sizes import find_jumps
from analyzer.model.frames import IndexChildren, LifecycleFacts
from tests.oracle import bases, size_jumps
from tests.support.corpus import StoredBytes, fill_moto, load_corpus
from tests.support.emulators import moto_server
from tests.support.pipeline import Night, Pipeline

NO_TAGS = np.zeros(0, np.int32)
ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An ECR that answers over HTTP, where boto3 looks for it by itself."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with moto_faults.mended(), moto_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield url


def test_a_sample_of_whole_repositories_is_exact_to_the_byte(endpoint: str, tmp_path: Path) -> None:
    assert endpoint
    corpus = load_corpus(8)
    fill_moto(corpus, ACCOUNT, REGION)
    pipeline = Pipeline(tmp_path)
    night = pipeline.collect(boto3.Session(), REGION)
    assert night.result.gaps == ()
    assert night.total("images") == corpus.images
    assert night.total("indexes") == corpus.indexes
    assert night.total("logical_bytes") == corpus.expected.logical
    assert night.total("physical_bytes_repository") == corpus.expected.repository
    assert night.total("physical_bytes_registry") == corpus.expected.registry
    _judge_layers(night, corpus.expected)

    again = pipeline.collect(boto3.Session(), REGION)
    assert "ecr:BatchGetImage" not in again.result.calls
    assert again.total("physical_bytes_repository") == corpus.expected.repository


def _judge_layers(night: Night, expected: StoredBytes) -> None:
    """What the checks of layers find is what a slow search finds, and what plain sets counted."""
    frames = night.frames
    count = len(frames.artifacts.digest_id)
    families = find_families(frames)
    # Indexes of one repository list their platforms in one order, as a rule.
    places = np.concatenate([np.arange(n) for n in np.diff(frames.manifests.child_offsets)]).astype(np.int32)
    names = [f"{place:02}" for place in range(int(places.max()) + 1)]
    platforms = find_platforms(frames, IndexChildren(frames.manifests.children, places, names))
    blobs = find_blobs(frames, families)
    (mountable,) = find_mountable(frames, blobs, 0)
    assert mountable.repeated.total == expected.repository - expected.registry
    assert find_key_splits(frames, blobs) == []
    nothing = np.zeros(count, np.int64)
    untagged = LifecycleFacts(nothing, nothing, nothing, nothing, np.zeros(count + 1, np.int64), NO_TAGS, ())
    sizes = night.storage.artifacts["logical_bytes"].to_numpy(np.int64)
    found = find_jumps(frames, untagged, families, platforms, sizes, 0)
    stems: list[set[str]] = [set() for _ in range(count)]
    assert found
    told = platforms.platform.tolist()
    assert [astuple(jump) for jump in found] == size_jumps.jumps(frames, stems, told, [False] * count, 0)
    spreads = find_spreads(frames, families, platforms, np.ones(count, np.bool_))
    assert [(s.registry, s.spare_bytes) for s in spreads] == [
        (s.registry, s.spare_bytes) for s in bases.spreads(frames, told, [False] * count, [True] * count)
    ]
