"""Cost by the value of a tag, in every format: rows that add up, untagged and unknown among them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from decimal import Decimal

import click
import pytest

from analyzer.cli.common import tag_keys
from analyzer.cli.tables import report_table
from analyzer.model.results import Report
from analyzer.showback import group_by_tag
from reports import render_csvs, render_html, render_json
from tests.support.report_fixture import build_report

HOSTILE = "=<b>x</b>\x1b[31m"
TEAMS: tuple[dict[str, str] | None, ...] = (
    None,
    {},
    {"team": "web"},
    {"team": HOSTILE},
    {"other": "web"},
    {"team": ""},
)


def report(repositories: int = 30, **options: object) -> Report:
    made = build_report(repositories, **options)  # type: ignore[arg-type]  # handed on as they are
    rows = tuple(
        replace(row, settings=replace(row.settings, tags=TEAMS[n % len(TEAMS)]))
        for n, row in enumerate(made.repositories)
    )
    return replace(made, repositories=rows, groups=(group_by_tag(rows, "team"),))


def test_every_repository_is_in_one_group_and_those_without_a_value_come_last() -> None:
    made = report()
    (groups,) = made.groups
    assert {(row.kind, row.value) for row in groups.rows} == {
        ("value", "web"),
        ("value", HOSTILE),
        # A tag may be empty, and is one all the same.
        ("value", ""),
        ("untagged", ""),
        ("unknown", ""),
    }
    assert [row.kind for row in groups.rows][-2:] == ["untagged", "unknown"]
    members = [row for group in groups.rows for row in group.members]
    assert sorted(members, key=str) == sorted(made.repositories, key=str)
    amounts = [row.cost.repository.amount or 0 for row in groups.rows[:-2]]
    assert amounts == sorted(amounts, reverse=True)


@pytest.mark.parametrize("options", [{}, {"unpriced": True}, {"gaps": True, "unknowns": True}])
def test_columns_add_up_to_the_totals_of_the_report(options: dict[str, bool]) -> None:
    made = report(120, **options)
    rows = list(csv.DictReader(io.StringIO(render_csvs(made)["groups.csv"])))
    totals = json.loads(render_json(made))["totals"]["cost"]
    for scope in ("repository", "registry"):
        column = f"cost_{scope}_scope_usd_per_month"
        assert sum(Decimal(row[column] or 0) for row in rows) == Decimal(totals[scope]["amount"])
    assert sum(int(row["repositories"]) for row in rows) == 120
    stored = sum(int(row["physical_bytes_registry_scope"] or 0) for row in rows)
    assert stored == made.totals.physical_bytes.registry


def test_json_tells_untagged_unknown_and_an_empty_value_apart() -> None:
    groups = json.loads(render_json(report()))["groups"]
    kinds = {(group["row"], group["value"]) for group in groups}
    assert {("value", ""), ("untagged", None), ("unknown", None)} <= kinds
    assert {group["tag"] for group in groups} == {"team"}
    assert sum(group["repositories"] for group in groups) == 30


def test_texts_of_others_do_no_harm() -> None:
    made = report()
    page = render_html(made)
    assert 'id="groups"' in page
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    assert "without the tag team" in page
    assert "tags unknown" in page
    printed = report_table(made)
    assert "\x1b" not in printed
    assert "TAG team" in printed
    assert "'=<b>x</b>" in render_csvs(made)["groups.csv"]


def test_a_key_is_no_markup() -> None:
    made = report()
    assert "TAG [/red]" in report_table(replace(made, groups=(group_by_tag(made.repositories, "[/red]"),)))


def test_without_a_tag_asked_for_nothing_is_said_of_groups() -> None:
    made = build_report(3)
    assert "groups.csv" not in render_csvs(made)
    assert "groups" not in json.loads(render_json(made))
    assert 'id="groups"' not in render_html(made)


def test_keys_are_named_as_tags() -> None:
    assert tag_keys(["tag:team", "tag:cost:center", "tag:team"]) == ("team", "cost:center")
    for wrong in ("team", "tag:", ""):
        with pytest.raises(click.BadParameter, match="write tag:KEY"):
            tag_keys([wrong])
