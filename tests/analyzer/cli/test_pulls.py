"""`demurrage pulls` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analyzer.model.media_types import OCI_MANIFEST
from analyzer.model.pull_batches import ALL_HOURS, Evidence, PullBatch
from analyzer.model.pulls import NoOrigin
from analyzer.model.records import (
    Artifact,
    BlobReference,
    Gap,
    Kind,
    Manifest,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.model.units import GB
from analyzer.pulls.batches import columns_of
from analyzer.pulls.files import Extract
from analyzer.pulls.records import Rules
from analyzer.store.opening import open_database
from analyzer.store.pulls import PullStore
from analyzer.store.writer import Store
from tests.analyzer.cli.conftest import Outcome
from tests.strategies.registries import sha256
from tests.support.trails import record

Cli = Callable[..., Outcome]

ACCOUNT = "111111111111"
EU, US = (RegistryKey("aws", ACCOUNT, region) for region in ("eu-west-1", "us-east-1"))
EU_HOST, US_HOST = (f"{ACCOUNT}.dkr.ecr.{key.region}.amazonaws.com" for key in (EU, US))
URL = "sqlite:///pulls.sqlite"
AT_MS = 1_795_658_400_000


def _held(name: str) -> Artifact:
    return Artifact(sha256(name), ("v1",), pushed_at_ms=1, media_type=OCI_MANIFEST)


def _read(
    key: RegistryKey, *names: str, references: tuple[str, ...] = (), gaps: tuple[Gap, ...] = ()
) -> RegistryRead:
    repositories = tuple(RepositoryRead(name, 1, ReadStatus.COMPLETE, (_held(name),)) for name in names)
    uses = tuple(WorkloadUse("prod/web", reference, UseKind.RUNNING) for reference in references)
    return RegistryRead(
        key,
        AT_MS,
        ReadStatus.COMPLETE,
        repositories,
        {"pull_through_cache_rules": "[]"},
        gaps,
        workloads=(WorkloadRead("ecs", ReadStatus.COMPLETE, uses),),
    )


def _make(tmp_path: Path, *reads: RegistryRead) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'pulls.sqlite'}", create=True)
    store = Store(database, lambda: AT_MS)
    for name, size in (("app", 3 * GB), ("tool", GB)):
        layer = BlobReference(sha256(f"layer of {name}"), size, "layer")
        store.add_manifests([Manifest(sha256(name), Kind.IMAGE, OCI_MANIFEST, 500, (layer,))])
    run = store.begin_run(AT_MS, "host", "1")
    for read in reads:
        with store.lease(read.key, "test", "host") as lease:
            store.commit_snapshot(lease, run, read)
    store.finish_run(run, AT_MS, "complete")
    database.engine.dispose()


@pytest.fixture
def pulls(demurrage: Cli, tmp_path: Path) -> Cli:
    references = (f"{EU_HOST}/app:v1", f"{EU_HOST}/tool:v1", f"{US_HOST}/app:v1")
    _make(tmp_path, _read(EU, "app", "tool"), _read(US, "app", references=references))
    return lambda *arguments: demurrage("pulls", "--db", URL, *arguments)


def _document(outcome: Outcome) -> dict[str, Any]:
    found = json.loads(outcome.out)
    assert isinstance(found, dict)
    return found


def test_references_across_regions_are_told_with_what_to_do(pulls: Cli) -> None:
    outcome = pulls()
    assert outcome.status == 0, outcome.err
    assert "One cold pull of each moves 4.00 GB and costs $0.0800" in outcome.out
    assert f"name instead: {US_HOST}/app:v1" in outcome.out
    assert outcome.out.index("TRANSFER_REPLICA_UNUSED") < outcome.out.index("TRANSFER_CROSS_REGION")


def test_programs_and_spreadsheets_get_the_same(pulls: Cli) -> None:
    document = _document(pulls("--format", "json"))
    assert document["at"] == "2026-11-26T02:00:00Z"
    assert document["references"] == {"looked_at": 3, "local": 1, "not_judged": 0}
    rows = list(csv.DictReader(io.StringIO(pulls("--format", "csv").out)))
    assert [row["reference"] for row in rows] == [one["reference"] for one in document["findings"]]
    assert [row["cost_usd_per_pull_high"] for row in rows] == ["0.06", "0.02"]


@pytest.mark.parametrize(
    ("by", "column", "values"),
    [
        ("route", "region", ["us-east-1"]),
        ("repository", "repository", ["app", "tool"]),
        ("puller", "workload", ["prod/web"]),
    ],
)
def test_findings_are_put_together_as_asked(pulls: Cli, by: str, column: str, values: list[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(pulls("--by", by, "--format", "csv").out)))
    assert [row[column] for row in rows] == values
    assert by.upper() in pulls("--by", by).out


def test_only_the_repositories_that_are_asked_for(pulls: Cli) -> None:
    document = _document(pulls("--repository", "t*", "--format", "json"))
    assert [one["repository"] for one in document["findings"]] == ["tool"]
    assert document["total"]["high_bytes"] == GB
    refused = pulls("--repository", "nothing/*")
    assert refused.status == 2
    assert "--repository nothing/*: no repository has such a name" in refused.err


@pytest.mark.parametrize(("threshold", "status"), [("high", 0), ("medium", 3), ("low", 3), ("info", 3)])
def test_findings_at_or_above_the_threshold_fail(pulls: Cli, threshold: str, status: int) -> None:
    assert pulls("--fail-on", threshold).status == status


def test_own_prices_count(pulls: Cli, tmp_path: Path) -> None:
    (tmp_path / "half.toml").write_text('format = 1\ncurrency = "USD"\ndiscount_factor = "0.5"\n')
    assert "costs $0.0400" in pulls("--prices", "half.toml").out


def test_what_was_not_read_is_a_gap_and_an_accepted_one_is_none(demurrage: Cli, tmp_path: Path) -> None:
    gap = Gap(
        account=ACCOUNT,
        region="us-east-1",
        repository="",
        call="ecs:ListTasks",
        reason="AccessDeniedException",
    )
    _make(tmp_path, _read(EU, "app"), _read(US, gaps=(gap,)))
    outcome = demurrage("pulls", "--db", URL)
    assert outcome.status == 4
    assert "ecs:ListTasks AccessDeniedException" in outcome.out
    (tmp_path / "gaps.toml").write_text('[[gap]]\ncall = "ecs:ListTasks"\nreason = "known"\n')
    assert demurrage("pulls", "--db", URL, "--accept-gaps", "gaps.toml").status == 0


def test_the_report_says_so_too(pulls: Cli, demurrage: Cli, tmp_path: Path) -> None:
    assert demurrage("report", "--db", URL, "--output-dir", "out").status == 0
    assert f"{US_HOST}/app:v1" in (tmp_path / "out" / "report.html").read_text()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "pull-routes.csv").read_text())))
    assert [(row["registry_region"], row["region"], row["findings"]) for row in rows] == [
        ("eu-west-1", "us-east-1", "2")
    ]
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["pulls"]["findings"] == _document(pulls("--format", "json"))["findings"]


def test_recorded_pulls_are_counted_priced_and_put_together(
    pulls: Cli, demurrage: Cli, tmp_path: Path
) -> None:
    refused = pulls("--by", "day")
    assert refused.status == 2
    assert "--by day is about recorded pulls" in refused.err
    layer = sha256("layer of app")
    asked = record(
        "event-1",
        account=ACCOUNT,
        repository="app",
        asked={"layerDigest": layer},
        time="2026-11-20T08:00:00Z",
    )
    extract = Extract()
    extract.add([asked], Rules())
    covered = Evidence(20_777, ACCOUNT, EU.region, "s3", ALL_HOURS, has_reads=True, is_whole=True)
    database = open_database(f"sqlite:///{tmp_path / 'pulls.sqlite'}")
    PullStore(database).write(PullBatch(columns_of([extract], NoOrigin()), evidence=(covered,)))
    database.engine.dispose()
    document = _document(pulls("--format", "json"))["recorded"]
    assert (document["total"]["layer_pulls"], document["total"]["bytes"]) == (1, 3 * GB)
    assert [one["day"] for one in document["days"]] == ["2026-11-20"]
    text = pulls("--by", "day").out
    assert "2026-11-20" in text
    rows = list(csv.DictReader(io.StringIO(pulls("--by", "route", "--format", "csv").out)))
    assert [(row["basis"], row["region"]) for row in rows] == [
        ("references", "us-east-1"),
        ("recorded", "unknown"),
    ]
    told = json.loads(demurrage("explain", "--db", URL, f"{EU_HOST}/app:v1", "--format", "json").out)
    assert (told["asked_for"]["last_day"], told["asked_for"]["by_digest"]) == ("2026-11-20", None)
    assert (
        _document(pulls("--repository", "tool", "--format", "json"))["recorded"]["total"]["layer_pulls"] == 0
    )
