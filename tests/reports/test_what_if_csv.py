"""A simulation as CSV: stable headers, rows that add up, every image in its place, no formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given

from analyzer.model.frames import NO_TIME
from analyzer.model.simulation import Effect, Simulation
from analyzer.model.units import Money
from analyzer.model.verdicts import Outcome, Reason
from reports.csv_cells import neutral
from reports.what_if_csv import IMAGE_COLUMNS, REPOSITORY_COLUMNS, what_if_csv
from tests.reports.test_what_if_json import simulated, tags
from tests.strategies.lifecycle import LifecycleCase, lifecycle_cases
from tests.support.examples import examples
from tests.support.report_fixture import HOSTILE
from tests.support.simulation_fixture import ARCHIVE, KEEP, build_simulation

Rows = list[dict[str, str]]


def read(simulation: Simulation, rows: Literal["repository", "image"] = "repository") -> Rows:
    return list(csv.DictReader(io.StringIO(what_if_csv(simulation, rows), newline="")))


def test_headers_are_stable() -> None:
    # Programs rely on them: a change here is a change of the interface.
    assert REPOSITORY_COLUMNS[:6] == ("row", "candidate", "account", "region", "repository", "has_policy")
    assert IMAGE_COLUMNS == (
        "candidate",
        "account",
        "region",
        "repository",
        "digest",
        "tags",
        "pushed_at",
        "storage_class",
        "outcome",
        "reason",
        "rule",
        "rank",
        "age_days",
        "limit_type",
        "limit",
        "by_digest",
        "deferred",
        "near_limit",
        "in_use",
        "protected",
        "in_use_as",
        "used_by",
    )
    for rows, columns in (("repository", REPOSITORY_COLUMNS), ("image", IMAGE_COLUMNS)):
        text = what_if_csv(build_simulation(2), rows)  # type: ignore[arg-type]  # one of the two
        assert text.splitlines()[0] == ",".join(columns)
        assert len(set(columns)) == len(columns)


def test_rounding_puts_no_low_end_above_its_high_end() -> None:
    simulation = build_simulation(2, policies=(KEEP,))
    (candidate,) = simulation.candidates

    def effect(of: Effect, low: str, high: str) -> Effect:
        return replace(of, saving_low=Money(Decimal(low)), saving_high=Money(Decimal(high)))

    # Each column adds up to 0.000003, of which the one half ends in the first row and the other in the last.
    rows = tuple(
        replace(row, effect=effect(row.effect, low, "0.0000016"))
        for row, low in zip(candidate.repositories, ("0.0000012", "0.0000016"), strict=True)
    )
    totals = effect(candidate.totals, "0.0000028", "0.0000032")
    shown = read(replace(simulation, candidates=(replace(candidate, repositories=rows, totals=totals),)))
    for end in ("low", "high"):
        assert [row[f"saving_{end}_usd_per_month"] for row in shown[:2]] == ["0.000002", "0.000001"]


@pytest.mark.parametrize("scope", ["auto", "registry"])
@pytest.mark.parametrize("mounting", [True, False])
@pytest.mark.parametrize("policy", [KEEP, ARCHIVE])
def test_rows_and_shared_make_the_total(scope: Any, mounting: bool, policy: str) -> None:
    rows = read(build_simulation(9, scope=scope, mounting=mounting, policies=(policy,)))
    assert [row["row"] for row in rows] == ["repository"] * 9 + ["shared", "total"]
    *parts, total = rows
    added = [
        name
        for name in REPOSITORY_COLUMNS
        if name.endswith(("_bytes", "_scope", "_month"))
        or name in {"artifacts", "leaving", "archived", "kept"}
    ]
    checked = 0
    for name in added:
        if name.startswith("live_") or not total[name]:
            continue
        assert sum(Decimal(row[name]) for row in parts) == Decimal(total[name]), name
        checked += 1
    assert checked >= 15


def test_repositories_carry_the_figures_of_the_simulation() -> None:
    simulation = build_simulation(5, live=True, in_use=True)
    for row, shown in zip(simulation.candidates[0].repositories, read(simulation), strict=False):
        assert shown["repository"] == row.repository
        assert shown["freed_bytes_registry_scope"] == str(row.effect.freed_bytes.registry)
        assert shown["expired_logical_bytes"] == str(row.effect.expired_logical_bytes)
        assert shown["in_use"] == str(row.effect.in_use)
        assert shown["live_leaving"] == ("" if row.live is None else str(row.live.leaving))
        assert shown["warnings"].split() == [warning.code for warning in row.warnings]


def test_what_is_unknown_is_an_empty_cell() -> None:
    rows = read(build_simulation(4, unknowns=True, unpriced=True))
    unread = [
        row for row in rows if row["row"] == "repository" and not row["physical_bytes_repository_scope"]
    ]
    assert len(unread) == 1
    assert unread[0]["cost_repository_scope_usd_per_month"] == ""
    unpriced = [row for row in rows if row["region"] == "xx-nowhere-1"]
    assert unpriced
    assert all(not row["cost_repository_scope_usd_per_month"] for row in unpriced)
    assert all("no price for" in row["cost_leaves_out"] or row in unread for row in unpriced)
    offline = read(build_simulation(2, offline=True))
    assert {row["account"] + row["region"] for row in offline} == {""}
    assert offline[0]["saving_low_usd_per_month"] == ""
    assert "region" in offline[0]["saving_leaves_out"]


def test_every_candidate_has_its_rows() -> None:
    simulation = build_simulation(3, policies=(KEEP, ARCHIVE))
    assert [row["candidate"] for row in read(simulation)] == ["keep.json"] * 5 + ["archive.json"] * 5
    assert {row["candidate"] for row in read(simulation, "image")} == {"keep.json", "archive.json"}


def test_images_are_given_with_the_reason_of_their_fate() -> None:
    simulation = build_simulation(4, in_use=True)
    candidate = simulation.candidates[0]
    verdicts = candidate.verdicts
    by_digest = {row["digest"]: row for row in read(simulation, "image")}
    limits = {1: ("sinceImagePushed", "30"), 5: ("imageCountMoreThan", "20"), 9: ("imageCountMoreThan", "8")}
    everything = np.arange(len(verdicts.outcome))
    seen = set()
    for position, digest in zip(everything.tolist(), simulation.digests(everything), strict=True):
        concerned = (
            verdicts.outcome[position] != Outcome.KEPT
            or verdicts.reason[position] == Reason.BLOCKED_BY_INDEX
            or simulation.in_use[position]
            or simulation.protected[position]
        )
        assert (digest in by_digest) == concerned
        if not concerned:
            continue
        row, rule = by_digest[digest], int(verdicts.rule[position])
        seen.add(row["reason"])
        assert row["reason"] == Reason(int(verdicts.reason[position])).name.lower()
        assert row["tags"] == " ".join(tags(simulation, position))
        assert row["rule"] == (str(rule) if rule else "")
        assert (row["limit_type"], row["limit"]) == limits.get(rule, ("", ""))
        if verdicts.age_ms[position] == NO_TIME:
            assert row["age_days"] == ""
        else:
            assert row["rank"] == ""
            assert round(Decimal(row["age_days"]) * 86_400_000) == verdicts.age_ms[position]
        if verdicts.rank[position]:
            assert row["rank"] == str(verdicts.rank[position])
        by = int(verdicts.by[position])
        assert row["by_digest"] == (simulation.digests(np.array([by]))[0] if by >= 0 else "")
        assert row["in_use"] == str(bool(simulation.in_use[position])).lower()
    assert {"claimed", "blocked_by_index"} <= seen


@pytest.mark.parametrize("rows", ["repository", "image"])
def test_no_cell_of_hostile_text_runs_as_a_formula(rows: Any) -> None:
    simulation = build_simulation(
        14, hostile=True, in_use=True, users=True, unknowns=True, policies=(KEEP, ARCHIVE)
    )
    found = read(simulation, rows)
    texts = {cell for row in found for name, cell in row.items() if not name.endswith("_month")}
    assert not [text for text in texts if text.lstrip().startswith(("=", "+", "@", "＝"))]
    names = {row["repository"] for row in found}
    assert {neutral(name) for name in HOSTILE} <= names
    for unseen in ("\u202e", "\x1b", "\x00", "\ud800"):
        assert unseen not in "".join(texts)


@given(lifecycle_cases())
@examples(30)
def test_whatever_the_simulator_says_can_be_written(case: LifecycleCase) -> None:
    simulation = simulated(case)
    *repositories, _, total = read(simulation)
    of: Callable[[str], int] = lambda name: sum(int(row[name]) for row in repositories)  # noqa: E731
    assert of("leaving") + of("archived") + of("kept") == int(total["artifacts"]) == len(case.world.images)
    # All are in use.
    assert len(read(simulation, "image")) == len(case.world.images)
