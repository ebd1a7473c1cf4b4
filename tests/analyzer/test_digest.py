"""What a digest says of two reports, and where it raises its voice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from analyzer.digest import advice_of, alerts_of, build_digest, changes_between, outlook_of
from analyzer.model.digest import PolicyAdvice, Thresholds
from analyzer.model.recommendation import Status
from analyzer.model.results import Report, ScopedMoney
from analyzer.model.trends import Forecast, ForecastPoint, NoForecast, ScenarioForecast, Span
from analyzer.model.units import Money
from tests.support.recommend_fixture import recommendations_of
from tests.support.report_fixture import HOSTILE, build_report, nothing_known

BEFORE = build_report(6, gaps=True)


def _later(report: Report, days: int = 1, **changes: object) -> Report:
    return replace(report, run=report.run + 1, taken_to=report.taken_to + timedelta(days=days), **changes)  # type: ignore[arg-type]


def _costing(amount: str | None, report: Report = BEFORE, *leaves_out: str) -> Report:
    money = Money.unknown("no price") if amount is None else Money(Decimal(amount), leaves_out=leaves_out)
    return replace(report, totals=replace(report.totals, cost_low=money, cost_high=money))


def test_changes_are_the_difference_of_the_rows_and_name_what_came_and_went() -> None:
    gone, grown, *others = BEFORE.repositories
    new = replace(gone, repository="brand/new")
    stored = grown.physical_bytes
    grown = replace(grown, physical_bytes=replace(stored, repository=stored.repository + 10**12))
    after = _later(BEFORE, repositories=(new, grown, *others), gaps=BEFORE.gaps[1:])
    changes = changes_between(BEFORE, after)
    names = [f"{row.account}/{row.region}/{row.repository}" for row in (new, gone, grown)]
    assert changes.new_repositories == (names[0],)
    assert changes.gone_repositories == (names[1],)
    assert changes.movers[0].name == names[2]
    assert changes.movers[0].stored_bytes == 10**12
    assert {(one.name, one.stored_bytes) for one in changes.movers[1:]} == {
        (names[0], new.physical_bytes.repository),
        (names[1], -gone.physical_bytes.repository),
    }
    assert changes.new_gaps == ()
    assert len(changes.gone_gaps) == 1
    assert changes.before.run == BEFORE.run


def test_nothing_changed_is_nothing() -> None:
    changes = changes_between(BEFORE, _later(BEFORE))
    assert changes.cost == Decimal(0)
    assert (changes.stored_bytes, changes.images, changes.movers) == (0, 0, ())
    assert (changes.new_repositories, changes.gone_repositories, changes.new_gaps) == ((), (), ())


def test_a_change_of_what_is_not_known_is_not_known() -> None:
    assert changes_between(nothing_known(), BEFORE).cost is None
    assert changes_between(BEFORE, nothing_known()).cost is None


@pytest.mark.parametrize(
    ("amount", "above", "alarms"),
    [("100", "100", False), ("100.01", "100", True), ("0", "0", False), ("5", None, False)],
)
def test_a_cost_above_its_threshold_alarms(amount: str, above: str | None, alarms: bool) -> None:
    limits = Thresholds(cost_above=None if above is None else Decimal(above))
    assert bool(alerts_of(_costing(amount), None, limits)) == alarms


@pytest.mark.parametrize(
    ("before", "now", "above", "told"),
    [
        ("100", "110", "10", None),
        ("100", "110.01", "10", "grew by 10.0% since"),
        ("100", "90", "0", None),
        ("0", "0", "5", None),
        ("0", "1", "5", "from nothing"),
        (None, "1", "5", "is not known"),
        ("1", None, "5", "is not known"),
    ],
)
def test_growth_above_its_threshold_alarms(
    before: str | None, now: str | None, above: str, told: str | None
) -> None:
    limits = Thresholds(growth_above=Decimal(above))
    alerts = alerts_of(_later(_costing(now)), _costing(before), limits)
    assert alerts == () if told is None else told in alerts[0]


def test_what_a_cost_leaves_out_is_said_and_an_unknown_one_is_not_below() -> None:
    limits = Thresholds(cost_above=Decimal(1))
    assert "at least 5.00 USD" in alerts_of(_costing("5", BEFORE, "unlisted"), None, limits)[0]
    assert "is not known" in alerts_of(_costing(None), None, limits)[0]


def test_growth_needs_something_to_grow_from() -> None:
    assert alerts_of(_costing("5"), None, Thresholds(growth_above=Decimal(1))) == ()


def test_a_night_that_failed_has_a_digest_too() -> None:
    digest = build_digest(
        None, previous=None, earlier=None, thresholds=Thresholds(), failures=[("collect", "no credentials")]
    )
    assert digest.is_alarming
    assert (digest.now, digest.changes, digest.actions, digest.findings) == (None, None, (), None)


def test_recommended_policies_are_told_by_how_many_there_are_and_what_all_of_them_save() -> None:
    found = recommendations_of(BEFORE)
    statuses = (Status.SET, Status.SAFER, Status.REPLACE, Status.KEEP, Status.UNKNOWN)
    rows = tuple(
        replace(row, status=status) for row, status in zip(found.repositories, statuses, strict=False)
    )
    assert len(rows) == len(statuses)
    report = replace(BEFORE, recommendations=replace(found, repositories=rows))
    assert advice_of(report) == PolicyAdvice(
        to_put=3, safer=1, saving_low=found.saving_low, saving_high=found.saving_high
    )
    assert advice_of(BEFORE) is None


def test_a_forecast_is_told_by_where_each_scenario_ends() -> None:
    def point(days: int, usd: int) -> ForecastPoint:
        money = ScopedMoney(repository=Money(Decimal(usd)), registry=Money(Decimal(1)))
        span = Span(low=1, middle=2, high=3)
        at = BEFORE.taken_to + timedelta(days=days)
        return ForecastPoint(
            at=at,
            days=days,
            artifacts=span,
            bytes_repository=span,
            bytes_registry=span,
            cost_low=money,
            cost=money,
            cost_high=money,
        )

    scenario = ScenarioForecast(
        name="none", title="no policy", policies=0, points=(point(30, 5), point(60, 7))
    )
    forecast = Forecast(
        at=BEFORE.taken_to,
        months=2,
        level=0.8,
        replays=1,
        seed=1,
        measured_from=BEFORE.taken_from,
        measured_to=BEFORE.taken_to,
        pushes=1,
        basis="history",
        method=(),
        limits=(),
        scenarios=(scenario, replace(scenario, name="current", points=())),
        repositories=(),
    )
    (told,) = outlook_of(forecast)
    assert (told.name, told.cost, told.at) == ("none", Money(Decimal(7)), scenario.points[1].at)
    assert outlook_of(NoForecast(reason="too young")) == outlook_of(None) == ()


def test_hostile_names_do_not_break_it() -> None:
    report = build_report(len(HOSTILE), hostile=True)
    digest = build_digest(report, previous=BEFORE, earlier=BEFORE, thresholds=Thresholds())
    assert digest.changes is not None
    assert len(digest.changes.new_repositories) == len(report.repositories)
