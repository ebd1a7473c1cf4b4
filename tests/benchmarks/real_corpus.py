"""The whole real corpus through the collector over HTTP, twice; its figures must be exact.

    python -m tests.benchmarks.real_corpus

Prints the seconds of each part. The emulator runs in the same process and takes most of them.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

from analyzer.demo import ACCOUNT, moto_faults
from tests.support.corpus import fill_moto, load_corpus
from tests.support.pipeline import Pipeline

REGION = "us-east-1"
#: Logical bytes, and physical ones at repository and at registry scope.
FIGURES = (4_044_003_214_623, 1_668_666_543_193, 1_288_257_670_414)


def main() -> None:
    """Fail with an AssertionError unless both nights give the published figures."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    started = time.perf_counter()
    corpus = load_corpus()
    print(f"load and re-make {corpus.images + corpus.indexes:,} manifests: {_since(started)}")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with moto_faults.mended(), tempfile.TemporaryDirectory() as folder:
        server.start()
        host, port = server.get_host_and_port()
        os.environ.update(
            AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_ENDPOINT_URL=f"http://{host}:{port}"
        )
        fill_moto(corpus, ACCOUNT, REGION)
        pipeline = Pipeline(Path(folder))
        for night in ("first", "unchanged"):
            started = time.perf_counter()
            seen = pipeline.collect(boto3.Session(), REGION)
            fetched = seen.result.calls.get("ecr:BatchGetImage", 0)
            print(f"{night} night: {_since(started)}, {fetched} BatchGetImage calls")
            scopes = ("logical_bytes", "physical_bytes_repository", "physical_bytes_registry")
            assert tuple(map(seen.total, scopes)) == FIGURES
            assert (seen.total("images"), seen.total("indexes")) == (corpus.images, corpus.indexes)
        server.stop()
    print("bytes exact:", *(f"{figure:,}" for figure in FIGURES))


def _since(started: float) -> str:
    return f"{time.perf_counter() - started:.1f} s"


if __name__ == "__main__":
    main()
