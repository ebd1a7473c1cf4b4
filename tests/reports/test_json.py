"""report.json: its shape, its sums, its bytes."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from analyzer.model.units import Money
from reports.csv import render_csvs
from reports.json import render_json
from tests.support.report_fixture import HOSTILE, build_report, nothing_known


def _amounts(rows: list[dict[str, Any]], key: str, scope: str) -> Decimal:
    amounts = [row[key][scope]["amount"] for row in rows]
    return sum((Decimal(amount) for amount in amounts if amount is not None), Decimal(0))


def test_the_document_has_its_keys_in_their_order() -> None:
    document = json.loads(render_json(build_report(3, gaps=True)))
    assert list(document) == [
        "at",
        "scope",
        "stale_days",
        "snapshot",
        "totals",
        "repositories",
        "shared",
        "registries",
        "ages",
        "prices",
        "gaps",
        "accepted_gaps",
    ]
    assert list(document["repositories"][0]) == [
        "account",
        "region",
        "repository",
        "created_at",
        "status",
        "complete_at",
        "images",
        "indexes",
        "referrers",
        "unknown",
        "untagged_images",
        "orphaned_images",
        "possibly_reached_images",
        "stale_images",
        "never_pulled_images",
        "archived_images",
        "logical_bytes",
        "physical_bytes",
        "unique_bytes",
        "shared_bytes",
        "untagged_freed_bytes",
        "orphaned_freed_bytes",
        "stale_freed_bytes",
        "cost",
        "orphaned_cost",
        "has_lifecycle_policy",
        "pull_through_cache",
        "settings",
    ]
    assert list(document["totals"]["cost"]) == ["repository", "registry", "low", "high"]
    assert document["prices"]["gb_bytes"] == 1_073_741_824


def test_money_is_a_plain_decimal_with_its_scope() -> None:
    document = json.loads(render_json(build_report(5)))
    for scope in ("repository", "registry"):
        money = document["totals"]["cost"][scope]
        assert list(money) == ["amount", "currency", "period", "scope"]
        assert money["scope"] == scope
        assert money["period"] == "month"
        assert "E" not in money["amount"]
        assert 2 <= len(money["amount"].partition(".")[2]) <= 6


@pytest.mark.parametrize("repositories", [0, 5, 200])
def test_rows_add_up_exactly_at_both_scopes(repositories: int) -> None:
    document = json.loads(render_json(build_report(repositories, unpriced=True, mounting="mixed")))
    rows, totals, shared = document["repositories"], document["totals"], document["shared"]
    assert _amounts(rows, "cost", "repository") == Decimal(totals["cost"]["repository"]["amount"])
    assert _amounts(rows, "cost", "registry") + Decimal(shared["cost"]["registry"]["amount"] or 0) == Decimal(
        totals["cost"]["registry"]["amount"]
    )
    for end, other in (
        ("repository", "repository"),
        ("registry", "registry"),
        ("low", "low"),
        ("high", "high"),
    ):
        assert _amounts(document["registries"], "cost", end) == Decimal(totals["cost"][other]["amount"])
    for scope in ("repository", "registry"):
        stored = sum(row["physical_bytes"][scope] for row in rows) + shared["physical_bytes"][scope]
        assert stored == totals["physical_bytes"][scope]


def test_unknown_money_is_null_and_says_why() -> None:
    document = json.loads(render_json(build_report(5, unpriced=True)))
    unknown = [row for row in document["repositories"] if row["region"] == "eu-west-1"]
    assert unknown
    assert all(row["cost"]["repository"]["amount"] is None for row in unknown)
    assert unknown[0]["orphaned_cost"]["leaves_out"] == ["no storage price for eu-west-1"]
    assert document["totals"]["cost"]["high"]["leaves_out"] == ["no storage price for eu-west-1"]
    assert None in [row["usd_per_gb_month"] for row in document["prices"]["rows"]]


def test_the_low_end_names_the_scope_it_stands_at() -> None:
    off = json.loads(render_json(build_report(5, mounting="off")))["totals"]["cost"]
    on = json.loads(render_json(build_report(5, mounting="on")))["totals"]["cost"]
    assert (off["low"]["scope"], off["high"]["scope"]) == ("repository", "repository")
    assert (on["low"]["scope"], on["high"]["scope"]) == ("registry", "repository")
    assert on["low"]["amount"] == on["registry"]["amount"]
    mixed = json.loads(render_json(build_report(5, mounting="mixed")))
    assert mixed["totals"]["cost"]["low"]["scope"] == "registry"
    mixed = json.loads(render_json(build_report(7, mounting="mixed")))
    assert mixed["totals"]["cost"]["low"]["scope"] == "mixed"
    assert [row["cost"]["low"]["scope"] for row in mixed["registries"]] == [
        *["registry"] * 2,
        *["repository"] * 2,
        *["registry"] * 2,
    ]
    asked = json.loads(render_json(build_report(5, scope="registry")))
    for row in [asked["totals"], *asked["registries"]]:
        assert (row["cost"]["low"]["scope"], row["cost"]["high"]["scope"]) == ("registry", "registry")


def test_the_low_end_stands_at_registry_scope_even_where_both_ends_are_equal() -> None:
    report = build_report(5, mounting="on")
    same = replace(report.totals, cost_low=report.totals.cost_high)
    rows = tuple(replace(row, cost_low=row.cost_high) for row in report.registries)
    cost = json.loads(render_json(replace(report, totals=same, registries=rows)))["totals"]["cost"]
    assert cost["low"]["scope"] == "registry"


def test_what_was_never_read_is_null_and_not_zero() -> None:
    document = json.loads(render_json(build_report(7, gaps=True, unknowns=True)))
    never = next(row for row in document["repositories"] if row["complete_at"] is None)
    assert {never[name] for name in ("images", "unknown", "logical_bytes", "unique_bytes")} == {None}
    assert never["physical_bytes"] == {"repository": None, "registry": None}
    assert never["cost"]["repository"]["amount"] is None
    assert never["cost"]["repository"]["leaves_out"] == ["images that were never listed"]
    unreadable = next(row for row in document["repositories"] if row["unknown"] and not row["images"])
    assert unreadable["logical_bytes"] is None
    assert unreadable["cost"]["registry"]["leaves_out"] == ["artifacts of unknown size"]
    assert "repositories that were never listed" in document["totals"]["cost"]["high"]["leaves_out"]
    assert "artifacts of unknown size" in document["totals"]["stale_cost"]["repository"]["leaves_out"]


def test_a_registry_of_which_nothing_is_known_shows_no_zero() -> None:
    report = nothing_known()
    document = json.loads(render_json(report))
    (row,) = document["registries"]
    for shown in (row, document["totals"]):
        assert shown["logical_bytes"] is None
        assert shown["images"] is None
        assert shown["repositories"] is None
        assert shown["cost"]["high"]["amount"] is None
        assert shown["cost"]["high"]["leaves_out"] == ["repositories that were never listed"]


def test_images_that_may_be_reached_are_counted_apart() -> None:
    report = build_report(5, unknowns=True)
    document = json.loads(render_json(report))
    assert document["totals"]["possibly_reached_images"] == report.totals.counts.possibly_reached_images > 0
    assert (
        "images that may belong to an index that could not be read"
        in document["totals"]["orphaned_cost"]["registry"]["leaves_out"]
    )


def test_a_registry_names_the_run_that_read_it() -> None:
    document = json.loads(render_json(build_report(7, not_read=True)))
    for rows in (document["registries"], document["snapshot"]["registries"]):
        assert [row["run"] for row in rows] == [42] * 5 + [40]
    assert document["snapshot"]["run"] == 42


def test_unread_cache_rules_are_null() -> None:
    report = build_report(2)
    rows = (replace(report.repositories[0], pull_through_cache=None), *report.repositories[1:])
    document = json.loads(render_json(replace(report, repositories=rows)))
    assert document["repositories"][0]["pull_through_cache"] is None


def test_ages_are_named_as_in_the_csv_tables() -> None:
    report = build_report(3)
    ages = json.loads(render_json(report))["ages"]
    header = render_csvs(report)["ages.csv"].splitlines()[0].split(",")
    assert [list(age) for age in ages] == [header] * len(report.ages)


def test_equal_reports_give_equal_bytes() -> None:
    first = render_json(build_report(20, gaps=True, hostile=True))
    assert first == render_json(build_report(20, gaps=True, hostile=True))
    assert first.endswith("}\n")
    assert first.count("\n") < 150


def test_hostile_text_is_escaped_and_comes_back_whole() -> None:
    text = render_json(build_report(len(HOSTILE), hostile=True))
    text.encode("utf-8")
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "＝1+1" in text
    assert [row["repository"] for row in json.loads(text)["repositories"]] == list(HOSTILE)


def test_a_setting_that_could_not_be_read_is_null() -> None:
    document = json.loads(render_json(build_report(6, mounting="unreadable", gaps=True)))
    assert {row["blob_mounting"] for row in document["registries"]} == {None}
    assert None in [row["has_lifecycle_policy"] for row in document["repositories"]]


def test_accepted_gaps_stand_apart_with_their_reason() -> None:
    document = json.loads(render_json(build_report(12, gaps=True)))
    assert document["accepted_gaps"][0]["accepted_because"] == "no permission wanted, see runbook"
    assert "accepted_because" not in document["gaps"][0]


def test_a_report_of_nothing_costs_nothing() -> None:
    report = build_report(0)
    assert report.totals.cost.repository == Money(Decimal(0))
    document = json.loads(render_json(replace(report, registries=())))
    assert document["totals"]["cost"]["repository"]["amount"] == "0.00"
    assert document["snapshot"]["registries"] == []
