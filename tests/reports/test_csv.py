"""The CSV tables: raw numbers that add up, and no cell that a spreadsheet would run."""

import csv
import io
import time
from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.units import Money
from reports.csv import render_csvs
from reports.csv_cells import neutral, neutral_column
from reports.text import visible
from tests.support.report_fixture import (
    HOSTILE,
    NEVER_LISTED,
    POSSIBLY_REACHED,
    UNKNOWN_SIZE,
    build_report,
    nothing_known,
)

_FORMULA_STARTS = tuple("=+-@＝＋－＠﹢﹣﹦﹫−")
#: Any text, with what is dangerous made likely.
_NASTY = st.text(
    st.one_of(st.sampled_from([*_FORMULA_STARTS, *" \t\r\n\x00\xa0\u200b;,\"'"]), st.characters())
)


def _read(text: str) -> list[dict[str, str]]:
    assert "\r" not in text
    return list(csv.DictReader(io.StringIO(text)))


@given(_NASTY)
def test_no_cell_starts_a_formula_or_holds_an_unseen_character(text: str) -> None:
    cell = neutral(text)
    assert not cell.lstrip().startswith(_FORMULA_STARTS)
    assert not cell.startswith(("\t", "\r"))
    assert visible(cell) == cell
    cell.encode("utf-8")


@given(_NASTY)
def test_a_neutral_cell_differs_only_by_its_apostrophe_and_what_is_written_out(text: str) -> None:
    assert neutral(text) in {visible(text), f"'{visible(text)}"}


@given(st.lists(_NASTY, max_size=8))
def test_a_column_is_neutralised_like_its_cells(cells: list[str]) -> None:
    assert list(neutral_column(cells)) == [neutral(cell) for cell in cells]


@given(st.lists(_NASTY, min_size=1, max_size=4))
def test_hostile_names_survive_the_round_trip_through_a_csv_reader(names: list[str]) -> None:
    report = build_report(4)
    rows = [replace(report.repositories[n], repository=name) for n, name in enumerate(names)]
    report = replace(report, repositories=(*rows, *report.repositories[len(names) :]))
    read = _read(render_csvs(report)["repositories.csv"])
    assert [row["repository"] for row in read[: len(names)]] == [neutral(name) for name in names]


@pytest.mark.parametrize("name", ["api", "team/api", "1.2.3", "v1-2", "a=b", "日本語", "", " x"])
def test_harmless_text_is_untouched(name: str) -> None:
    assert neutral(name) == name


def test_the_tables_and_their_headers_are_stable() -> None:
    tables = render_csvs(build_report(3))
    headers = {name: text.splitlines()[0] for name, text in tables.items()}
    assert list(headers) == [
        "repositories.csv",
        "registries.csv",
        "images.csv",
        "ages.csv",
        "prices.csv",
        "gaps.csv",
    ]
    assert headers["repositories.csv"] == (
        "row,account,region,repository,created_at,status,complete_at,images,indexes,referrers,unknown,"
        "untagged_images,orphaned_images,possibly_reached_images,stale_images,never_pulled_images,"
        "archived_images,logical_bytes,"
        "physical_bytes_repository_scope,physical_bytes_registry_scope,unique_bytes,shared_bytes,"
        "untagged_freed_bytes,orphaned_freed_bytes,stale_freed_bytes,cost_repository_scope_usd_per_month,"
        "cost_registry_scope_usd_per_month,orphaned_cost_usd_per_month,cost_leaves_out,"
        "orphaned_cost_leaves_out,has_lifecycle_policy,pull_through_cache,scan_frequency,scan_filters,"
        "scan_frequency_by_rules,exposure,exposed_to,replicated_to,not_replicated_artifacts,"
        "replication_unknown_artifacts,replica_of,replica_artifacts,possible_replica_artifacts,"
        "replica_bytes_repository_scope,possible_replica_bytes_repository_scope,creation_template,tags"
    )
    assert headers["registries.csv"] == (
        "partition,account,region,snapshot,run,taken_at,status,blob_mounting,blob_mounting_ever,repositories,"
        "images,indexes,referrers,unknown,untagged_images,orphaned_images,possibly_reached_images,"
        "stale_images,never_pulled_images,archived_images,logical_bytes,physical_bytes_repository_scope,"
        "physical_bytes_registry_scope,shared_bytes,cost_repository_scope_usd_per_month,"
        "cost_registry_scope_usd_per_month,cost_low_usd_per_month,cost_high_usd_per_month,cost_low_scope,"
        "cost_high_scope,cost_leaves_out,scan_type,basic_scan_type_version,scan_rules,replication_rules,"
        "policy_scope,policy_lets_in,creation_templates,account_name"
    )
    assert headers["images.csv"] == (
        "account,region,repository,digest,kind,tags,tagged,orphaned,stale,pushed_at,last_pull,image_status,"
        "logical_bytes,unique_bytes_repository,unique_bytes_registry,in_use,scan_status,scan_completed,"
        "findings_critical,findings_high,findings_medium,findings_low,findings_informational,"
        "findings_undefined,replica,replicated,not_replicated,replication_unknown"
    )
    assert headers["gaps.csv"] == (
        "account,region,repository,call,reason,detail,count,accepted,accepted_because"
    )
    assert all(text.endswith("\n") for text in tables.values())


def test_every_row_has_as_many_cells_as_its_header() -> None:
    for name, text in render_csvs(build_report(14, hostile=True, gaps=True, unpriced=True)).items():
        rows = list(csv.reader(io.StringIO(text)))
        assert {len(row) for row in rows} == {len(rows[0])}, name


@pytest.mark.parametrize("unpriced", [False, True])
def test_columns_add_up_to_the_totals(unpriced: bool) -> None:
    report = build_report(120, unpriced=unpriced)
    rows, totals = _read(render_csvs(report)["repositories.csv"]), report.totals
    assert [row["row"] for row in rows] == ["repository"] * 120 + ["shared"]

    def money(column: str) -> Decimal:
        return sum((Decimal(row[column]) for row in rows if row[column]), Decimal(0))

    def shown(total: Money) -> Decimal:
        assert total.amount is not None
        return round(total.amount, 6)

    assert money("cost_repository_scope_usd_per_month") == shown(totals.cost.repository)
    assert money("cost_registry_scope_usd_per_month") == shown(totals.cost.registry)
    assert money("orphaned_cost_usd_per_month") == shown(totals.orphaned_cost.repository)
    for column, total in [
        ("images", totals.counts.images),
        ("logical_bytes", totals.logical_bytes),
        ("physical_bytes_repository_scope", totals.physical_bytes.repository),
        ("physical_bytes_registry_scope", totals.physical_bytes.registry),
    ]:
        assert sum(int(row[column]) for row in rows) == total


def test_unknown_money_is_an_empty_cell_with_a_reason() -> None:
    rows = _read(render_csvs(build_report(5, unpriced=True))["repositories.csv"])
    unknown = [row for row in rows if row["region"] == "eu-west-1"]
    assert {row["cost_repository_scope_usd_per_month"] for row in unknown} == {""}
    assert {row["cost_leaves_out"] for row in unknown} == {"no storage price for eu-west-1"}


def test_what_was_never_read_is_an_empty_cell_with_a_reason() -> None:
    rows = _read(render_csvs(build_report(7, gaps=True, unknowns=True))["repositories.csv"])
    never = next(row for row in rows if row["status"] == "refused")
    assert {never[name] for name in ("images", "logical_bytes", "cost_repository_scope_usd_per_month")} == {
        ""
    }
    assert never["cost_leaves_out"] == never["orphaned_cost_leaves_out"] == NEVER_LISTED
    unreadable = next(row for row in rows if row["images"] == "0" and row["row"] == "repository")
    assert int(unreadable["unknown"]) > 0
    assert {unreadable[name] for name in ("physical_bytes_registry_scope", "unique_bytes")} == {""}
    assert unreadable["cost_leaves_out"] == UNKNOWN_SIZE
    doubtful = next(row for row in rows if int(row["possibly_reached_images"] or 0) > 0)
    assert POSSIBLY_REACHED in doubtful["orphaned_cost_leaves_out"]
    assert POSSIBLY_REACHED not in doubtful["cost_leaves_out"]


def test_a_registry_of_which_nothing_is_known_has_empty_cells() -> None:
    tables = render_csvs(nothing_known())
    (row,) = _read(tables["registries.csv"])
    for name in ("repositories", "images", "logical_bytes", "shared_bytes", "cost_high_usd_per_month"):
        assert row[name] == "", name
    assert row["cost_leaves_out"] == "repositories that were never listed"
    assert {age["physical_bytes_repository_scope"] for age in _read(tables["ages.csv"])} == {""}


def test_an_artifact_of_unknown_size_has_none() -> None:
    rows = _read(render_csvs(build_report(5, unknowns=True))["images.csv"])
    columns = ("logical_bytes", "unique_bytes_repository", "unique_bytes_registry")
    assert {row[name] for row in rows for name in columns if row["kind"] == "unknown"} == {""}
    assert "" not in {row[name] for row in rows for name in columns if row["kind"] != "unknown"}


def test_a_registry_row_names_its_run_and_the_scopes_of_its_ends() -> None:
    rows = _read(render_csvs(build_report(7, not_read=True, mounting="mixed"))["registries.csv"])
    assert [row["run"] for row in rows] == ["42"] * 5 + ["40"]
    assert [row["cost_low_scope"] for row in rows][:3] == ["registry", "registry", "repository"]
    assert {row["cost_high_scope"] for row in rows} == {"repository"}


def test_unknown_settings_are_empty_cells() -> None:
    tables = render_csvs(build_report(30, gaps=True, mounting="unreadable"))
    assert {row["blob_mounting"] for row in _read(tables["registries.csv"])} == {""}
    policies = {row["has_lifecycle_policy"] for row in _read(tables["repositories.csv"])}
    assert policies == {"", "false", "true"}
    cached = {row["pull_through_cache"] for row in _read(tables["repositories.csv"]) if row["account"]}
    assert cached == {"", "false", "true"}


def test_hostile_tags_are_neutralised_in_the_list_of_images() -> None:
    text = render_csvs(build_report(len(HOSTILE), hostile=True))["images.csv"]
    text.encode("utf-8")
    tags = {row["tags"] for row in _read(text)}
    assert {neutral(tag) for tag in HOSTILE} <= tags
    assert "'=cmd|'/C calc'!A0" in tags


def test_images_are_written_as_the_frame_has_them() -> None:
    report = build_report(2)
    frame = report.images.iloc[:3].copy()
    frame["pushed_at"] = pd.to_datetime(
        ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.000Z", "NaT"], utc=True
    )
    frame["stale"] = pd.array([True, False, None], dtype="boolean")
    frame["logical_bytes"] = pd.array([2**53 + 1, 0, None], dtype="Int64")
    rows = _read(render_csvs(replace(report, images=frame))["images.csv"])
    assert [row["pushed_at"] for row in rows] == ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05Z", ""]
    assert [row["stale"] for row in rows] == ["true", "false", ""]
    assert [row["logical_bytes"] for row in rows] == ["9007199254740993", "0", ""]


def test_a_large_list_of_images_is_written_by_columns() -> None:
    report = build_report(40)
    frame = pd.concat([report.images] * (200_000 // len(report.images)), ignore_index=True)
    started = time.process_time()
    render_csvs(replace(report, images=frame))
    # About 0.8 s on the machine it was written on; a loop over rows takes ten times that.
    assert time.process_time() - started < 8


def test_gaps_say_whether_they_were_accepted() -> None:
    rows = _read(render_csvs(build_report(12, gaps=True))["gaps.csv"])
    assert rows[-1]["accepted"] == "true"
    assert rows[-1]["accepted_because"] == "no permission wanted, see runbook"
    assert {row["accepted"] for row in rows[:-1]} == {"false"}


def test_money_in_another_currency_is_refused() -> None:
    report = build_report(1)
    cost = replace(report.totals.cost, repository=Money(Decimal(1), "CNY"))
    with pytest.raises(ValueError, match="USD per month, not CNY"):
        render_csvs(replace(report, totals=replace(report.totals, cost=cost)))


def test_equal_reports_give_equal_tables() -> None:
    assert render_csvs(build_report(8, gaps=True)) == render_csvs(build_report(8, gaps=True))
