"""`demurrage outcome` from AWS's answers to the terminal: a policy is set, ECR acts, somebody deletes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analyzer.store.opening import open_database
from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.lifecycle.test_plans import policy_text
from tests.analyzer.test_nightly import REGION, collect_night
from tests.support.registry import DAY, EPOCH, Repository, World, manifest_text
from tests.support.stub_ecr import serve

Cli = Callable[..., Outcome]


def _push(repository: Repository, name: str, at: float) -> str:
    number = sum(map(ord, name))
    text = manifest_text([(f"sha256:{number:064x}", 1_000 + number)], (f"sha256:{number + 1:064x}", 7))
    return repository.put_image(text, tag=name, pushed_at=at).digest


@pytest.fixture
def outcome(demurrage: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Three nights: the policy comes before the second, by which ECR has acted; then a hand deletes."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    database = open_database(f"sqlite:///{tmp_path / 'nights.sqlite'}", create=True)
    world = World(region=REGION)
    repository = world.registry(region=REGION).create_repository("app", created_at=EPOCH)
    old, mid, new = (_push(repository, name, EPOCH + n * 60) for n, name in enumerate(("old", "mid", "new")))
    with serve(world) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        collect_night(database, at=EPOCH + DAY)
        repository.lifecycle_policy = policy_text(2)
        repository.delete_image(old)
        collect_night(database, at=EPOCH + 2 * DAY)
        repository.delete_image(new)
        collect_night(database, at=EPOCH + 3 * DAY)
    database.engine.dispose()
    assert mid in repository.images
    return lambda *arguments: demurrage("outcome", "--db", "sqlite:///nights.sqlite", *arguments)


def test_what_ecr_took_and_what_a_hand_took_are_told_apart(outcome: Cli) -> None:
    document = json.loads(outcome("--format", "json").out)
    (change,) = document["changes"]
    assert {image["tags"][0]: image["fate"] for image in change["images"]} == {
        "old": "left",
        "new": "not_predicted",
    }
    assert change["freed_bytes"] == change["predicted_bytes"] > 1_000
    text = outcome().out
    assert "app: policy set between 2026-01-02T00:00:00Z and 2026-01-03T00:00:00Z" in " ".join(text.split())
    assert "1 left, 1 not predicted" in text
    assert outcome("--format", "csv").out.count("\n") == 3


def test_a_name_that_no_repository_has_is_refused(outcome: Cli) -> None:
    refused = outcome("--repository", "nobody")
    assert refused.status == 2
    assert "no repository has such a name" in refused.err
