"""Real manifests through the real collector over HTTP give the figures counted with plain sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from analyzer.demo import moto_faults
from tests.support.corpus import fill_moto, load_corpus
from tests.support.pipeline import Pipeline

ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An ECR that answers over HTTP, where boto3 looks for it by itself."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with moto_faults.mended():
        server.start()
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        yield f"http://{host}:{port}"
        server.stop()


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

    again = pipeline.collect(boto3.Session(), REGION)
    assert "ecr:BatchGetImage" not in again.result.calls
    assert again.total("physical_bytes_repository") == corpus.expected.repository
