"""The night as a whole: what is written beside the snapshot, and what a report is made of."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from boto3.session import Session
from sqlalchemy import select

from analyzer import nightly
from analyzer.collect import CollectOptions, CollectResult, SilentProgress
from analyzer.errors import InputError, SchemaError
from analyzer.model.records import Gap, RegistryKey
from analyzer.model.units import GB
from analyzer.nightly import ReportOptions, collect_snapshots, make_report
from analyzer.pricing import bundled_prices, load_prices
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.facts import write_facts
from analyzer.store.opening import open_database
from analyzer.store.writer import Store
from tests.support.registry import OCI_MANIFEST, World, generate, manifest_text
from tests.support.stub_ecr import Server, serve

REGION = "eu-west-1"


@pytest.fixture
def world() -> World:
    return generate(3, 8, 4, 11)


@pytest.fixture
def aws(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    with serve(world) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(f"sqlite:///{tmp_path / 'nights.sqlite'}", create=True)


def collect_night(database: Database, *regions: str, at: float = 1_700_000_000.0) -> CollectResult:
    options = CollectOptions(regions=regions or (REGION,), requests_per_second=1e6)
    return collect_snapshots(database, Session(), options, SilentProgress(), clock=lambda: at)


def report_options(**changes: object) -> ReportOptions:
    return replace(ReportOptions(prices=bundled_prices()), **changes)  # type: ignore[arg-type]


@pytest.mark.usefixtures("aws")
def test_manifests_read_in_vain_are_a_gap_every_night(database: Database, world: World) -> None:
    repository = next(world.repositories())
    repository.put_image('{"schemaVersion":2,"mediaType":"application/x-new"}', media_type=OCI_MANIFEST)
    repository.put_image('{"schemaVersion":2,"config":{},"layers":[]}')
    expected = {(repository.name, "UnknownMediaType", 1), (repository.name, "UnreadableManifest", 1)}
    calls: list[Mapping[str, int]] = []
    for night in range(3):
        result = collect_night(database, at=1_700_000_000.0 + 86_400 * night)
        calls.append(result.calls)
        assert {(gap.repository, gap.reason, gap.count) for gap in result.gaps} == expected
        assert result.status == "gaps"
        report = make_report(database, report_options())
        assert {(gap.repository, gap.reason, gap.count) for gap in report.gaps} == expected
        assert report.totals.counts.unknown == 2
    assert ["ecr:BatchGetImage" in made for made in calls] == [True, False, False]


@pytest.mark.usefixtures("aws")
def test_sizes_that_contradict_each_other_are_a_gap_every_night(database: Database, world: World) -> None:
    layer, config = "sha256:" + "a" * 64, ("sha256:" + "b" * 64, 10)
    world.registry().create_repository("honest").put_image(manifest_text([(layer, 1000)], config), tag="v")
    collect_night(database)
    liar = world.registry().create_repository("liar")
    liar.put_image(manifest_text([(layer, 999), (layer, 998)], config))
    liar.put_image(manifest_text([(layer, 1000)], config))
    for night in range(3):
        result = collect_night(database, at=1_700_000_000.0 + 86_400 * night)
        report = make_report(database, report_options())
        for gaps in (result.gaps, report.gaps):
            assert [(gap.repository, gap.reason, gap.count) for gap in gaps] == [("liar", "SizeConflict", 1)]
            assert f"gives {layer} 998 bytes; 1000 are counted" in gaps[0].detail
        assert ("ecr:BatchGetImage" in result.calls) == (night == 0)
    # What is no longer there contradicts nothing.
    world.registry().repositories.pop("liar")
    assert collect_night(database).status == "complete"
    assert make_report(database, report_options()).gaps == ()


_KILLED_NIGHT = """
import os, signal, sys
from boto3.session import Session
from analyzer import nightly
from analyzer.collect import CollectOptions
from analyzer.store.opening import open_database
from analyzer.collect import SilentProgress
def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)
nightly.write_facts = killed
database = open_database(sys.argv[1], create=True)
nightly.collect_snapshots(
    database, Session(), CollectOptions(regions=("eu-west-1",), requests_per_second=1e6), SilentProgress()
)
"""


@pytest.mark.usefixtures("aws")
def test_a_kill_after_the_snapshot_loses_no_gap(tmp_path: Path, world: World) -> None:
    repository = next(world.repositories())
    repository.put_image('{"schemaVersion":2,"mediaType":"application/x-new"}', media_type=OCI_MANIFEST)
    url = f"sqlite:///{tmp_path / 'killed.sqlite'}"
    child = subprocess.run(
        [sys.executable, "-c", _KILLED_NIGHT, url],
        cwd=Path(__file__).resolve().parents[2],
        check=False,
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    database = open_database(url)
    assert [gap.reason for gap in make_report(database, report_options()).gaps] == ["UnknownMediaType"]
    # The next night is not kept waiting by the dead one's lease, and completes the facts.
    collect_night(database)
    with database.read() as connection:
        assert {fact.first_snapshot for fact in connection.execute(select(tables.repository_fact))} == {2}


@pytest.mark.usefixtures("aws")
def test_facts_are_written_while_the_lease_is_held(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def noting(*arguments: Any) -> None:
        with database.read() as connection:
            holder = connection.execute(
                select(tables.lease.c.holder)
                .join(tables.registry, tables.registry.c.id == tables.lease.c.registry_id)
                .where(tables.registry.c.region == arguments[1].region)
            ).scalar_one()
            seen.append((arguments[1].region, holder is not None))
        write_facts(*arguments)

    monkeypatch.setattr(nightly, "write_facts", noting)
    collect_night(database, REGION, "us-east-1")
    assert sorted(seen) == [(REGION, True), ("us-east-1", True)]


@pytest.mark.usefixtures("aws")
def test_who_collected_is_kept_with_the_run(database: Database) -> None:
    collect_night(database)
    with database.read() as connection:
        run = connection.execute(select(tables.run)).one()
        settings = dict(
            connection.execute(
                select(tables.registry_setting.c.name, tables.setting_value.c.value).join(
                    tables.setting_value, tables.setting_value.c.id == tables.registry_setting.c.value_id
                )
            ).all()
        )
    assert run.caller.startswith("arn:aws:sts::123456789012:assumed-role/")
    assert (run.status, run.finished_at_ms) == ("complete", 1_700_000_000_000)
    assert settings["collector_excluded"] == "false"


@pytest.mark.parametrize("create", [False, True])
def test_another_programs_database_is_refused_and_stays_as_it_is(tmp_path: Path, create: bool) -> None:
    file = tmp_path / "theirs.db"
    theirs = sqlite3.connect(file)
    theirs.execute("CREATE TABLE notes (text TEXT)")
    theirs.commit()
    theirs.close()
    before = file.read_bytes()
    with pytest.raises(SchemaError, match="not those of demurrage"):
        open_database(f"sqlite:///{file}", create=create)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.usefixtures("aws")
def test_aggregates_are_kept_as_facts_when_they_change(database: Database, world: World) -> None:
    collect_night(database)
    collect_night(database)
    report = make_report(database, report_options())
    with database.read() as connection:
        facts = connection.execute(select(tables.repository_fact)).all()
    assert {fact.first_snapshot for fact in facts} == {1}
    assert sum(fact.physical_bytes for fact in facts) == report.totals.physical_bytes.repository
    assert sum(fact.logical_bytes for fact in facts) == report.totals.logical_bytes
    world.push_and_delete(0.5)
    collect_night(database)
    with database.read() as connection:
        facts = connection.execute(
            select(tables.repository_fact).where(tables.repository_fact.c.gone_snapshot.is_(None))
        ).all()
    changed = make_report(database, report_options())
    assert sum(fact.physical_bytes for fact in facts) == changed.totals.physical_bytes.repository


@pytest.mark.usefixtures("aws")
def test_ages_count_to_the_snapshot_unless_told_otherwise(database: Database) -> None:
    collect_night(database, at=1_700_000_000.0)
    assert make_report(database, report_options()).at == datetime.fromtimestamp(1_700_000_000, UTC)
    later = make_report(database, report_options(at_ms=1_900_000_000_000))
    assert later.at == datetime.fromtimestamp(1_900_000_000, UTC)
    assert later.totals.counts.stale_images == later.totals.counts.images


@pytest.mark.usefixtures("aws")
def test_a_registry_held_by_another_process_is_a_gap_and_keeps_its_snapshot(database: Database) -> None:
    collect_night(database)
    before = make_report(database, report_options())
    other = Store(database, lambda: 1_700_000_000_000)
    with other.lease(RegistryKey("aws", "123456789012", REGION), "someone else", "another host"):
        result = collect_night(database, REGION, "us-east-1")
    assert {row.key.region: row.status for row in result.registries} == {
        REGION: "held",
        "us-east-1": "complete",
    }
    report = make_report(database, report_options())
    assert [gap.reason for gap in report.gaps] == ["LeaseHeld"]
    assert "another host" in report.gaps[0].detail
    shown = {row.region: row for row in report.registries}
    assert shown[REGION].snapshot == before.registries[0].snapshot
    assert shown[REGION].physical_bytes == before.registries[0].physical_bytes


@pytest.mark.usefixtures("aws")
def test_scope_auto_is_a_range_only_where_layers_may_be_shared(database: Database, world: World) -> None:
    world.registry().settings["BLOB_MOUNTING"] = "DISABLED"
    collect_night(database)
    totals = make_report(database, report_options()).totals
    assert totals.cost_low == totals.cost_high == totals.cost.repository
    assert totals.cost.registry != totals.cost.repository
    world.registry().settings["BLOB_MOUNTING"] = "ENABLED"
    collect_night(database)
    totals = make_report(database, report_options()).totals
    assert (totals.cost_low, totals.cost_high) == (totals.cost.registry, totals.cost.repository)
    # It is not retroactive, and switching it off keeps what is mounted.
    world.registry().settings["BLOB_MOUNTING"] = "DISABLED"
    collect_night(database)
    report = make_report(database, report_options())
    assert report.totals.cost_low == report.totals.cost.registry
    assert (report.registries[0].blob_mounting, report.registries[0].blob_mounting_ever) == ("DISABLED", True)
    for scope in ("repository", "registry"):
        forced = make_report(database, report_options(scope=scope)).totals
        assert forced.cost_low == forced.cost_high == getattr(forced.cost, scope)


@pytest.mark.usefixtures("aws")
def test_archived_bytes_are_priced_as_archive_and_rows_add_up(database: Database, world: World) -> None:
    for repository in world.repositories():
        for digest in list(repository.images)[:3]:
            collect_night(database)
            repository.archive_image(digest)
    collect_night(database)
    book = bundled_prices().overridden_by(
        load_prices(
            'format = 1\ncurrency = "USD"\n'
            '[[storage]]\nclass = "archive"\nregions = ["*"]\nas_of = "2026-11"\nsource = "test"\n'
            'confidence = "high"\ntiers = [{ from_gb = 0, usd_per_gb_month = "0" }]\n',
            origin="test",
        )
    )
    report = make_report(database, report_options(prices=book))
    full = make_report(database, report_options())
    assert report.totals.counts.archived_images == 9
    for scope in ("repository", "registry"):
        cheap, dear = getattr(report.totals.cost, scope).amount, getattr(full.totals.cost, scope).amount
        assert 0 < cheap < dear
        assert abs(dear - Decimal(getattr(full.totals.physical_bytes, scope)) / GB / 10) < Decimal("1e-20")
        shared = report.shared_cost.amount if scope == "registry" else Decimal(0)
        assert shared is not None
        with localcontext() as context:
            context.prec = 200
            rows = sum(getattr(row.cost, scope).amount for row in report.repositories)
            assert rows + shared == cheap


def test_an_index_is_never_added_to_its_children(database: Database, world: World, aws: Server) -> None:
    del world.registry().repositories
    world.registry().repositories = {}
    repository = world.registry().create_repository("team/app")
    layer, config = ("sha256:" + "a" * 64, 1000), ("sha256:" + "b" * 64, 10)
    repository.put_image(manifest_text([layer, layer], config), tag="v1")
    collect_night(database)
    assert aws.calls["BatchGetImage"] == 1
    report = make_report(database, report_options())
    assert report.totals.logical_bytes == 1010
    assert report.totals.physical_bytes.repository == 1010


def test_there_is_nothing_to_report_before_the_first_night(database: Database) -> None:
    with pytest.raises(InputError, match="no snapshot yet"):
        make_report(database, report_options())


def test_a_database_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no database"):
        open_database(f"sqlite:///{tmp_path / 'none.sqlite'}")
    assert list(tmp_path.iterdir()) == []


def test_gaps_sort_by_place() -> None:
    gaps = [Gap("2", "a", "", "c", "r"), Gap("1", "b", "x", "c", "r"), Gap("1", "b", "", "c", "r")]
    assert [(gap.account, gap.repository) for gap in sorted(gaps)] == [("1", ""), ("1", "x"), ("2", "")]


_KILLED_AFTER_ONE = """
import os, signal, sys, threading
from boto3.session import Session
from analyzer import nightly
from analyzer.collect import CollectOptions, SilentProgress
from analyzer.store.opening import open_database
class Killing(SilentProgress):
    def registry_done(self, summary):
        os.kill(os.getpid(), signal.SIGKILL)
options = CollectOptions(regions=("eu-west-1", "us-east-1"), requests_per_second=1e6, workers=1)
database = open_database(sys.argv[1], create=True)
nightly.collect_snapshots(database, Session(), options, Killing(), clock=lambda: 1_700_000_000.0)
"""


def test_a_second_start_goes_on_from_the_registries_that_were_read_before_a_kill(
    tmp_path: Path, aws: Server, world: World
) -> None:
    world.registry(region="us-east-1").create_repository("other").put_image(
        manifest_text([("sha256:" + "a" * 64, 10)], ("sha256:" + "b" * 64, 1)), tag="v"
    )
    url = f"sqlite:///{tmp_path / 'killed.sqlite'}"
    child = subprocess.run(
        [sys.executable, "-c", _KILLED_AFTER_ONE, url],
        cwd=Path(__file__).resolve().parents[2],
        check=False,
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    database = open_database(url)
    aws.calls.clear()
    result = collect_night(database, "eu-west-1", "us-east-1", at=1_700_000_060.0)
    assert result.run == 2
    assert [(row.key.region, row.is_resumed, row.snapshot) for row in result.registries] == [
        ("eu-west-1", True, 1),
        ("us-east-1", False, 1),
    ]
    assert (aws.calls["DescribeRepositories"], aws.calls["DescribeImages"]) == (1, 1)
    report = make_report(database, report_options())
    assert {(row.region, row.run) for row in report.registries} == {("eu-west-1", 2), ("us-east-1", 2)}
    with database.read() as connection:
        facts = connection.execute(select(tables.repository_fact)).all()
        assert len(facts) == len(list(world.repositories()))
    # The next night everything is read again.
    again = collect_night(database, "eu-west-1", "us-east-1", at=1_700_000_120.0)
    assert [row.is_resumed for row in again.registries] == [False, False]
