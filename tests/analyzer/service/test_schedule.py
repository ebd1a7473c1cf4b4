"""Crontab expressions fire when cron would, through both changes of the clocks."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.model.units import to_ms
from analyzer.service.schedule import Schedule

BERLIN = ZoneInfo("Europe/Berlin")


def _moments(expression: str, zone: str, start: datetime, count: int) -> list[str]:
    schedule, moments, at = Schedule(expression, zone), list[str](), to_ms(start) - 1
    for _ in range(count):
        following = schedule.after(at)
        assert following is not None
        at = following
        moments.append(f"{datetime.fromtimestamp(at / 1000, UTC):%a %Y-%m-%dT%H:%M:%S}")
    return moments


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 3 * * 0", ["Sun 2026-11-01T03:00:00", "Sun 2026-11-08T03:00:00"]),
        ("0 3 * * 7", ["Sun 2026-11-01T03:00:00", "Sun 2026-11-08T03:00:00"]),
        ("0 3 * * SUN", ["Sun 2026-11-01T03:00:00", "Sun 2026-11-08T03:00:00"]),
        ("0 3 * * 1", ["Mon 2026-11-02T03:00:00", "Mon 2026-11-09T03:00:00"]),
        ("0 3 * * 1-5/2", ["Fri 2026-10-30T03:00:00", "Mon 2026-11-02T03:00:00", "Wed 2026-11-04T03:00:00"]),
        ("0 3 * * fri-7", ["Fri 2026-10-30T03:00:00", "Sat 2026-10-31T03:00:00", "Sun 2026-11-01T03:00:00"]),
        ("0 3 * * */3", ["Sat 2026-10-31T03:00:00", "Sun 2026-11-01T03:00:00", "Wed 2026-11-04T03:00:00"]),
        # Either is enough where both are restricted (crontab(5)).
        ("0 3 2 * 5", ["Fri 2026-10-30T03:00:00", "Mon 2026-11-02T03:00:00", "Fri 2026-11-06T03:00:00"]),
        ("*/20 22 29 oct *", ["Thu 2026-10-29T22:00:00", "Thu 2026-10-29T22:20:00"]),
        ("@weekly", ["Sun 2026-11-01T00:00:00"]),
        ("30 */5 * * * *", ["Thu 2026-10-29T12:00:30", "Thu 2026-10-29T12:05:30"]),
    ],
)
def test_fields_mean_what_they_mean_to_cron(expression: str, expected: list[str]) -> None:
    start = datetime(2026, 10, 29, 12, tzinfo=UTC)
    assert _moments(expression, "UTC", start, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        # 02:30 comes twice on 25 October and not at all on 29 March: the job runs once either way.
        (
            "30 2 * * *",
            datetime(2026, 10, 24, 12, tzinfo=UTC),
            ["Sun 2026-10-25T00:30:00", "Mon 2026-10-26T01:30:00"],
        ),
        (
            "30 2 * * *",
            datetime(2026, 3, 28, 12, tzinfo=UTC),
            ["Sun 2026-03-29T01:30:00", "Mon 2026-03-30T00:30:00"],
        ),
        # Every hour is every hour there is.
        (
            "30 * * * *",
            datetime(2026, 10, 25, 0, tzinfo=UTC),
            ["Sun 2026-10-25T00:30:00", "Sun 2026-10-25T01:30:00", "Sun 2026-10-25T02:30:00"],
        ),
    ],
)
def test_a_change_of_the_clocks_neither_loses_nor_doubles_a_night(
    expression: str, start: datetime, expected: list[str]
) -> None:
    assert _moments(expression, "Europe/Berlin", start, len(expected)) == expected


@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    day=st.integers(0, 3000),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
)
@example(minute=0, hour=0, day=87, zone="Europe/Berlin")
def test_a_daily_job_runs_once_on_every_day_of_its_zone(minute: int, hour: int, day: int, zone: str) -> None:
    schedule = Schedule(f"{minute} {hour} * * *", zone)
    start = datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
    days, at = [], to_ms(start)
    for _ in range(4):
        following = schedule.after(at)
        assert following is not None
        at = following
        days.append(datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).date())
    assert days == [days[0] + timedelta(days=number) for number in range(4)]


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "0 fields"),
        ("nightly", "it has 1 field, not 5"),
        ("1 2 3", "3 fields"),
        ("1 2 3 4 5 6 7", "7 fields"),
        ("61 2 * * *", "61"),
        ("0 25 * * *", "25"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 * * 8", "'8'"),
        ("0 0 * * foo", "'foo'"),
        ("0 0 * * */0", "'/0'"),
        ("0 0 * * 5-1", "ends before it begins"),
        ("every night", "2 fields"),
    ],
)
def test_what_is_no_crontab_line_is_refused_with_its_place(expression: str, why: str) -> None:
    with pytest.raises(InputError, match=r"--schedule") as error:
        Schedule(expression, "UTC")
    assert why in str(error.value)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "Europe"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InputError, match="--timezone"):
        Schedule("@daily", zone)


def test_moments_between_are_listed_up_to_a_bound_and_the_recent_ones_always() -> None:
    schedule, until = Schedule("* * * * * *", "UTC"), 10_000_000
    assert schedule.between(0, 3_000, recent_ms=1) == [1_000, 2_000, 3_000]
    assert schedule.between(3_000, 3_000, recent_ms=1) == []
    found = schedule.between(0, until, recent_ms=5_000)
    assert len(found) == 1_005
    assert found[-5:] == [until - 4_000, until - 3_000, until - 2_000, until - 1_000, until]


def test_the_longest_pause_is_that_of_the_schedule() -> None:
    now = to_ms(datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert Schedule("30 2 * * *", "UTC").longest_pause_ms(now) == 86_400_000
    assert Schedule("30 2 * * mon-fri", "UTC").longest_pause_ms(now) == 3 * 86_400_000


def test_a_schedule_survives_being_stored() -> None:
    stored = pickle.loads(pickle.dumps(Schedule("30  2 * * *", "Europe/Berlin")))
    assert str(stored) == "30 2 * * * (Europe/Berlin)"
    assert stored.after(0) == Schedule("30 2 * * *", "Europe/Berlin").after(0)
