"""The card on what changed: signed, with its days, and unknown where there are too few of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reports.changed_card import changed_card
from reports.figures import size
from tests.support.report_fixture import build_report
from tests.support.trend_fixture import with_trend


def test_the_last_known_day_is_held_against_the_known_day_before_it() -> None:
    trend = with_trend(build_report(4)).trend
    assert trend is not None
    known = np.ones(30, np.bool_)
    known[28] = False
    card = changed_card(replace(trend, total=replace(trend.total, known=known)))
    assert card is not None
    moved = int(trend.total.repository_bytes[29] - trend.total.repository_bytes[27])
    assert card.figure == f"-{size(-moved)}"
    assert card.beside == "from 2026-11-21 to 2026-11-23"
    assert card.sentences[0].startswith(
        f"{size(int(trend.flow.new_bytes_repository[29]))} came, 1.00 GB left"
    )
    assert card.sentences[-1].startswith("In 30 days: ")


def test_what_came_by_other_ways_is_said() -> None:
    trend = with_trend(build_report(4)).trend
    assert trend is not None
    other = np.full(30, -5, np.int64)
    card = changed_card(replace(trend, flow=replace(trend.flow, other_bytes_repository=other)))
    assert card is not None
    assert card.sentences[1].startswith("-5 bytes by manifests that were read later")


def test_with_fewer_than_two_known_days_nothing_is_claimed() -> None:
    trend = with_trend(build_report(4)).trend
    assert trend is not None
    for known in (np.zeros(30, np.bool_), np.arange(30) == 7):
        card = changed_card(replace(trend, total=replace(trend.total, known=known)))
        assert card is not None
        assert (card.figure, card.exact, card.beside) == ("unknown", "", "")


def test_without_trends_there_is_no_card() -> None:
    assert changed_card(None) is None
