"""A smoke test over real HTTP, against the emulator of the demo."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from analyzer.collect import CollectOptions, collect
from analyzer.model.records import Kind
from tests.analyzer.collect.fakes import NOW, REGION, MemoryStore, Recorder
from tests.support.emulators import moto_server
from tests.support.registry import digest_of, manifest_text

TEXT = manifest_text([("sha256:" + "a" * 64, 10)], ("sha256:" + "b" * 64, 1))


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with moto_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield url


def test_an_emulators_registry_is_read_and_what_it_does_not_know_is_a_gap(endpoint: str) -> None:
    assert endpoint
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="y", region_name=REGION)
    client = session.client("ecr")
    client.create_repository(repositoryName="team/app")
    client.put_image(
        repositoryName="team/app", imageManifest=TEXT, imageDigest=digest_of(TEXT), imageTag="v1"
    )
    client.close()
    store = MemoryStore()
    options = CollectOptions(regions=(REGION,), attempts=1)
    result = collect(store, session, options, clock=lambda: NOW, progress=Recorder())
    assert {gap.call for gap in result.gaps} == {
        "ecr:GetAccountSetting",
        "ecr:DescribePullThroughCacheRules",
        "ecr:DescribeRepositoryCreationTemplates",
        "ecr:ListPullTimeUpdateExclusions",
    }
    (artifact,) = store.repository("team/app").artifacts
    assert (artifact.digest, artifact.tags) == (digest_of(TEXT), ("v1",))
    assert store.manifests[artifact.digest].kind is Kind.IMAGE
