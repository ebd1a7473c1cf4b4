"""`demurrage what-if --back-test` on a database of several nights, pulled and used meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analyzer.model.media_types import OCI_MANIFEST
from analyzer.model.records import (
    Artifact,
    BlobReference,
    Kind,
    Manifest,
    ReadStatus,
    RegistryRead,
    RepositoryRead,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.model.units import GB
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from analyzer.store.writer import Store
from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import DAY_MS, FIRST_NIGHT, HOST, KEY
from tests.analyzer.lifecycle.test_plans import policy_text
from tests.analyzer.store.examples import commit
from tests.strategies.registries import sha256
from tests.support.report_fixture import HOSTILE

Cli = Callable[..., Outcome]

_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_DAY = FIRST_NIGHT // DAY_MS
_WEB = WorkloadUse("prod/web", f"{HOST}/app:stable", UseKind.RUNNING)


def _image(name: str, *tags: str, age: int) -> Artifact:
    return Artifact(sha256(name), tags, pushed_at_ms=FIRST_NIGHT - age * DAY_MS, media_type=OCI_MANIFEST)


_PULLED, _USED, _QUIET, _NEW = (
    _image("pulled", "v1", age=30),
    _image("used", "stable", age=20),
    _image("quiet", HOSTILE[0], age=10),
    _image("new", "v2", age=1),
)


def _night(number: int, *images: Artifact, status: ReadStatus = ReadStatus.COMPLETE) -> RegistryRead:
    return RegistryRead(
        KEY,
        FIRST_NIGHT + number * DAY_MS,
        ReadStatus.COMPLETE,
        [RepositoryRead("app", 1, status, images, {})],
        {},
        workloads=[WorkloadRead("ecs", ReadStatus.COMPLETE, [_WEB])],
    )


@pytest.fixture
def what_if(demurrage: Cli, tmp_path: Path) -> Cli:
    database = Database(f"sqlite:///{tmp_path / 'past.sqlite'}")
    upgrade_schema(database)
    images = (_PULLED, _USED, _QUIET, _NEW)
    Store(database, lambda: 0).add_manifests(
        [
            Manifest(
                of.digest, Kind.IMAGE, OCI_MANIFEST, 500, [BlobReference(sha256(f"l{n}"), 10 * GB, _LAYER)]
            )
            for n, of in enumerate(images)
        ]
    )
    commit(database, _night(0, *images))
    commit(database, _night(1, *images, status=ReadStatus.PARTIAL))
    commit(database, _night(2, _PULLED._replace(pulled_day=_DAY + 2), _USED, _QUIET, _NEW))
    database.engine.dispose()
    (tmp_path / "one.json").write_text(policy_text(1), encoding="utf-8")
    return lambda *arguments: demurrage(
        "what-if", "--db", "sqlite:///past.sqlite", "--policy", "one.json", *arguments
    )


def test_a_program_gets_what_would_have_been_missed(what_if: Cli) -> None:
    outcome = what_if("--back-test", "--format", "json")
    assert outcome.err == ""
    found = json.loads(outcome.out)["backTest"]
    assert found["totals"] == {
        "removed": 3,
        "archived": 0,
        "needed": 2,
        "pulled": 1,
        "used": 1,
        "tagged": 0,
        "pulledOnTheDay": 0,
        "notSeenAgain": 0,
    }
    (row,) = found["repositories"]
    assert (row["nights"], row["nightsUnread"], row["removed"]) == (3, 1, 3)
    assert [(one["needed"], one["days"], one["by"]) for one in found["examples"]] == [
        ("used", 0, "ecs prod/web"),
        ("pulled", 2, None),
    ]
    # 30 GB for two of the days of a month.
    assert found["savedByteDays"]["repository"] == 30 * GB * 2
    assert found["saved"][0]["amount"].startswith("0.1971")
    assert found["saved"][0]["period"] == "2 days"
    assert any("could not be read whole" in sentence for sentence in found["unknown"])


def test_a_terminal_gets_it_below_the_rest(what_if: Cli) -> None:
    text = " ".join(what_if("--back-test").out.split())
    assert "had it been in force since 2026-11-01, judged at 3 moments up to 2026-11-03" in text
    assert "it would have removed 3 images; 2 of them were needed: 1 pulled, 1 in use afterwards" in text
    assert "app v1 (sha256:" in text
    assert "removed 2026-11-01, pulled 2026-11-03, 2 days later" in text
    assert "Back-test" not in what_if().out


def test_text_of_other_people_is_written_out(what_if: Cli, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'past.sqlite'}")
    commit(database, _night(3, _USED, _QUIET._replace(tags=(HOSTILE[0], "\x1b[31m")), _NEW))
    database.engine.dispose()
    outcome = what_if("--back-test")
    assert outcome.status == 0
    assert "given another tag 2026-11-04, 3 days later, \\x1b[31m" in outcome.out
    assert "\x1b" not in outcome.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--back-test", "--format", "csv"), "--back-test has no place in --format csv"),
        (("--back-test", "--images", "one.json"), "--back-test replays what the database holds"),
    ],
)
def test_where_there_is_no_past_it_is_refused(what_if: Cli, arguments: tuple[str, ...], said: str) -> None:
    outcome = what_if(*arguments)
    assert outcome.status == 2
    assert said in outcome.err
