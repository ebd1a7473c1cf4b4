"""Which snapshots a rule keeps, held against a plain reading of its words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.model.records import ReadStatus
from analyzer.retention import Taken, kept_snapshots, parse_retention

_NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
_DAY = timedelta(days=1)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _taken(number: int, moment: datetime, status: ReadStatus = ReadStatus.COMPLETE) -> Taken:
    return Taken(number, _ms(moment), status)


def _nightly(nights: int) -> list[Taken]:
    """One snapshot a night, the last one now."""
    return [_taken(number, _NOW - (nights - number) * _DAY) for number in range(1, nights + 1)]


def _kept(rule: str, snapshots: Sequence[Taken], now: datetime = _NOW) -> set[int]:
    return set(kept_snapshots(parse_retention(rule), snapshots, _ms(now)))


def _dates(rule: str, nights: int) -> list[str]:
    taken = {entry.number: entry for entry in _nightly(nights)}
    kept = sorted(_kept(rule, list(taken.values())))
    return [datetime.fromtimestamp(taken[n].taken_at_ms / 1000, UTC).strftime("%a %m-%d") for n in kept]


def test_days_are_so_many_times_24_hours() -> None:
    assert _dates("3d", 10) == ["Fri 11-20", "Sat 11-21", "Sun 11-22", "Mon 11-23"]


def test_weeks_begin_on_monday_and_keep_their_last_snapshot() -> None:
    assert _dates("weekly 3", 30) == ["Sun 11-15", "Sun 11-22", "Mon 11-23"]


def test_months_and_years_are_those_of_the_calendar() -> None:
    assert _dates("monthly 3", 400) == ["Wed 09-30", "Sat 10-31", "Mon 11-23"]
    assert _dates("yearly", 400) == ["Wed 12-31", "Mon 11-23"]


def test_all_of_some_days_then_weekly_then_monthly() -> None:
    assert _dates("2d, weekly 2, monthly", 60) == [
        "Wed 09-30",
        "Sat 10-31",
        "Sat 11-21",
        "Sun 11-22",
        "Mon 11-23",
    ]


def test_a_week_keeps_its_last_complete_snapshot_or_the_best_there_is() -> None:
    complete, partial, refused = ReadStatus.COMPLETE, ReadStatus.PARTIAL, ReadStatus.REFUSED
    week = [
        _taken(1, _NOW - 20 * _DAY, complete),
        _taken(2, _NOW - 19 * _DAY, complete),
        _taken(3, _NOW - 18 * _DAY, partial),
        _taken(4, _NOW - 12 * _DAY, partial),
        _taken(5, _NOW - 11 * _DAY, refused),
        _taken(6, _NOW - 5 * _DAY, refused),
        _taken(7, _NOW - 4 * _DAY, refused),
        _taken(8, _NOW, complete),
    ]
    assert _kept("weekly", week) == {2, 4, 7, 8}


def test_the_newest_stays_whatever_the_rule_and_so_does_the_last_that_answered() -> None:
    history = [
        _taken(1, _NOW - 90 * _DAY),
        _taken(2, _NOW - 80 * _DAY),
        *(_taken(number, _NOW - (70 - number) * _DAY, ReadStatus.REFUSED) for number in range(3, 8)),
    ]
    assert _kept("1d", history) == {2, 7}
    assert _kept("1d", history[2:]) == {7}
    assert _kept("1d", []) == set()


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "30",
        "d",
        "30d,",
        "often",
        "weekly -1",
        "weekly 0",
        "last",
        "last 0",
        "0d",
        "3d weekly",
        "days 3",
        "1000000d",
        "٣d",
    ],
)
def test_what_is_no_rule_is_refused_in_one_line(rule: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_retention(rule)
    assert str(caught.value).startswith(f"--keep {rule!r}: ")
    assert "\n" not in str(caught.value)


_RULES = st.lists(
    st.one_of(
        st.integers(1, 40).map("{}d".format),
        st.integers(1, 9).map("last {}".format),
        st.sampled_from(("daily", "weekly", "monthly", "yearly")).flatmap(
            lambda word: st.one_of(st.just(word), st.integers(1, 9).map(f"{word} {{}}".format))
        ),
    ),
    min_size=1,
    max_size=3,
).map(", ".join)


@st.composite
def _histories(draw: st.DrawFn) -> list[Taken]:
    hours = sorted(draw(st.lists(st.integers(0, 24 * 400), max_size=40)))
    statuses = st.sampled_from(list(ReadStatus))
    start = _NOW - 400 * _DAY
    return [
        _taken(number, start + timedelta(hours=hour), draw(statuses))
        for number, hour in enumerate(hours, start=1)
    ]


def _plainly(rule: str, snapshots: Sequence[Taken]) -> set[int]:
    """The words of the module, one after the other."""
    kept = {entry.number for entry in snapshots[-1:]}
    for term in rule.split(", "):
        word, _, count = term.partition(" ")
        moments = {n.number: datetime.fromtimestamp(n.taken_at_ms / 1000, UTC) for n in snapshots}
        if word == "last":
            kept |= {entry.number for entry in snapshots if entry.number > len(snapshots) - int(count)}
        elif word.endswith("d"):
            kept |= {number for number, at in moments.items() if _NOW - at <= int(word[:-1]) * _DAY}
        else:
            names = {"daily": "%Y-%m-%d", "weekly": "%G-%V", "monthly": "%Y-%m", "yearly": "%Y"}
            last = [_NOW.strftime(names[word])]
            moment = _NOW
            while len(last) < int(count or 500):
                moment -= _DAY
                if (name := moment.strftime(names[word])) != last[-1]:
                    last.append(name)
                if moment < _NOW - 4_000 * _DAY:
                    break
            for name in last:
                inside = [entry for entry in snapshots if moments[entry.number].strftime(names[word]) == name]
                for status in (ReadStatus.COMPLETE, ReadStatus.PARTIAL, ReadStatus.REFUSED):
                    of_status = [entry.number for entry in inside if entry.status is status]
                    if of_status:
                        kept.add(of_status[-1])
                        break
    first = min(kept, default=0)
    answered = {entry.number for entry in snapshots if entry.status is not ReadStatus.REFUSED}
    for number in sorted(kept):
        if number in answered:
            break
        before = [other for other in answered if other < number]
        if before:
            kept.add(max(before))
            break
    return kept if first else set()


@given(rule=_RULES, snapshots=_histories())
def test_a_rule_keeps_what_its_words_say(rule: str, snapshots: list[Taken]) -> None:
    assert _kept(rule, snapshots) == _plainly(rule, snapshots)


@given(rule=_RULES, snapshots=_histories())
def test_pruning_twice_is_pruning_once(rule: str, snapshots: list[Taken]) -> None:
    once = _kept(rule, snapshots)
    assert _kept(rule, [entry for entry in snapshots if entry.number in once]) == once


@given(rule=_RULES, nights=st.integers(1, 120), every=st.integers(1, 9))
def test_pruning_every_few_nights_ends_where_pruning_once_does(rule: str, nights: int, every: int) -> None:
    history = _nightly(nights)
    stored: list[Taken] = []
    for entry in history:
        stored.append(entry)
        if entry.number % every == 0:
            now = datetime.fromtimestamp(entry.taken_at_ms / 1000, UTC)
            numbers = _kept(rule, stored, now)
            stored = [one for one in stored if one.number in numbers]
    assert _kept(rule, stored) == _kept(rule, history)
