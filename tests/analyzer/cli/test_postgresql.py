"""Every command on PostgreSQL answers what it answers on SQLite, byte for byte where it names no database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.store.conftest import postgresql, postgresql_clean, postgresql_server
from tests.support.databases import Provider
from tests.support.registry import World
from tests.support.stub_ecr import Fault, Server

__all__ = ["postgresql", "postgresql_clean", "postgresql_server"]

Cli = Callable[..., Outcome]
_NIGHTS = (1_795_000_000.0, 1_795_086_400.0)
_POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 1},
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3},
            "action": {"type": "expire"},
        },
    ]
}


def _questions(image: str) -> list[tuple[str, ...]]:
    """Commands that read what was collected, in every format that they print."""
    policy, formats = ("--policy", "policy.json"), ("table", "json", "csv")
    asked: list[tuple[str, ...]] = []
    for form in formats:
        asked += [
            ("report", "--format", form),
            ("report", "--format", form, "--run", "1", "--scope", "registry"),
            ("what-if", *policy, "--format", form, *(["--by-rule"] if form != "csv" else [])),
            ("frontier", "--format", form),
            ("explain", image, *policy, "--format", form),
            ("lint", *policy, "--format", form),
            ("findings", "--format", form),
            ("pulls", "--format", form),
            ("pulls", "--by", "route", "--format", form),
        ]
    return [*asked, ("what-if", *policy, "--against", "live", "--format", "markdown")]


def test_every_command_answers_as_on_sqlite(
    demurrage: Cli,
    aws: Server,
    world: World,
    postgresql: Provider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "policy.json").write_text(json.dumps(_POLICY))
    urls = {"sqlite": "sqlite:///night.sqlite", "postgresql": postgresql.empty_url()}
    region = ("--region", "eu-west-1")

    def both(*arguments: str) -> dict[str, Outcome]:
        return {kind: demurrage(*arguments, "--db", url) for kind, url in urls.items()}

    for done in both("db", "upgrade").values():
        assert done.status == 0, done.err
        assert done.out.endswith(": up to date\n")
    assert {done.status for done in both("db", "status").values()} == {0}

    # Of a first night that is refused something, and a second that finds another registry.
    (name, *_) = (repository.name for repository in world.repositories())
    monkeypatch.setattr(time, "time", lambda: _NIGHTS[0])
    aws.stub.faults.append(Fault("deny", "GetLifecyclePolicy", name))
    collected = both("collect", *region, "--format", "csv")
    aws.stub.faults.clear()
    assert collected["postgresql"] == collected["sqlite"]
    assert collected["sqlite"].status == 4
    world.push_and_delete(0.5)
    monkeypatch.setattr(time, "time", lambda: _NIGHTS[1])
    for kind, url in urls.items():
        done = demurrage("run", *region, "--output-dir", kind, "--format", "json", "--db", url)
        assert done.status == 0, done.err
    written = {kind: {path.name: path.read_bytes() for path in (tmp_path / kind).iterdir()} for kind in urls}
    assert written["postgresql"] == written["sqlite"]
    assert "report.html" in written["sqlite"]

    repository = next(iter(world.repositories()))
    image = f"{repository.name}@{next(iter(repository.images))}"
    for question in _questions(image):
        answers = both(*question)
        assert answers["postgresql"] == answers["sqlite"], question
        assert answers["sqlite"].status in (0, 4), (question, answers["sqlite"].err)
        assert answers["sqlite"].out, question

    pruned = both("db", "prune", "--keep", "last 1", "--format", "csv")
    assert pruned["postgresql"].out == pruned["sqlite"].out
    answers = both("report", "--format", "json")
    assert answers["postgresql"] == answers["sqlite"]
    # The policy in force of a repository that has one, asked of ECR itself.
    verified = both("verify", *region, "--policy", "policy.json", "--repository", name, "--format", "json")
    assert verified["postgresql"].status == verified["sqlite"].status, verified["postgresql"].err


def test_the_demo_leaves_its_database_in_postgresql(
    demurrage: Cli, postgresql: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Later nights are collected into PostgreSQL above, and into SQLite by the demo's own tests.
    monkeypatch.setattr("analyzer.cli.demo._NIGHTS", 1)
    url = postgresql.empty_url()
    done = demurrage("demo", "--output-dir", "out", "--quiet", "--db", url)
    assert done.status == 0, done.err
    assert (tmp_path / "out" / "report.html").is_file()
    report = demurrage("report", "--format", "json", "--db", url)
    assert json.loads(report.out)["totals"]["images"] > 0
    assert not list(tmp_path.rglob("*.sqlite"))
