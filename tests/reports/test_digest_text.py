"""Digests as text: bounded, and nobody's text runs in a chat or a terminal."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal

import pytest

from analyzer.digest import build_digest
from analyzer.model.digest import Digest, PolicyAdvice, Thresholds
from analyzer.model.units import Money
from reports.digest_text import LONGEST, digest_texts
from reports.text import UNSEEN
from tests.support.report_fixture import HOSTILE, build_report, nothing_known

BEFORE, AFTER = build_report(6, gaps=True), replace(build_report(8, gaps=True, mounting="mixed"), run=43)


def _digest(**changes: object) -> Digest:
    digest = build_digest(
        AFTER, previous=BEFORE, earlier=BEFORE, thresholds=Thresholds(), places=["s3://b/p"]
    )
    return replace(digest, **changes)  # type: ignore[arg-type]


def test_it_says_what_is_what_changed_and_where_the_report_is() -> None:
    texts = digest_texts(_digest())
    assert texts.subject.startswith("ECR costs at least $")
    lines = texts.plain.splitlines()
    assert " per month for " in lines[0]
    assert any(line.startswith("Since ") and "(run 42)" in line for line in lines)
    assert any(line.startswith("New repositories: ") for line in lines)
    assert lines[-1] == "Report: s3://b/p"


def test_alerts_and_failures_come_first() -> None:
    texts = digest_texts(_digest(alerts=("too much",), failures=(("publish", "no room"),)))
    assert texts.plain.splitlines()[:2] == ["ALERT: too much", "FAILED: publish: no room"]
    assert texts.subject.endswith(": 1 step failed")
    assert digest_texts(_digest(alerts=("a", "b"))).subject.endswith(": 2 alerts")


def test_what_is_not_known_is_not_zero() -> None:
    digest = build_digest(nothing_known(), previous=None, earlier=None, thresholds=Thresholds())
    texts = digest_texts(digest)
    assert texts.subject == "ECR: what it costs is not known"
    assert "Not included: " in texts.plain
    assert "cost unknown for unknown bytes stored in" in texts.plain
    now = json.loads(texts.json)["now"]
    assert (now["cost_high"], now["stored_bytes"], now["images"]) == (None, None, None)
    since = build_digest(AFTER, previous=nothing_known(), earlier=None, thresholds=Thresholds())
    assert "what changed is unknown" in digest_texts(since).plain
    changes = json.loads(digest_texts(since).json)["changes"]
    assert (changes["stored_bytes"], changes["images"]) == (None, None)


@pytest.mark.parametrize(
    "text", ["<!channel> <https://evil|click>", "*bold* _it_ `code` ~no~ @here", *HOSTILE]
)
def test_slack_shows_other_peoples_text_as_it_is(text: str) -> None:
    slack = digest_texts(_digest(alerts=(text,))).slack
    line = slack.splitlines()[1]
    assert line.startswith("ALERT: ")
    assert "<" not in line
    assert ">" not in line
    assert re.search("(?<!\u200b)[*_~`@]", line) is None
    # The zero-width space is ours.
    assert re.search(f"[{UNSEEN}]", line.replace("\u200b", "")) is None


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_terminal_obeys_nothing(hostile: str) -> None:
    texts = digest_texts(_digest(alerts=(hostile,), failures=(("collect", hostile),)))
    assert re.search(f"[{UNSEEN}]", texts.plain.replace("\n", "")) is None
    assert re.search(f"[{UNSEEN}]", texts.json.replace("\n", "")) is None


def test_it_is_never_longer_than_a_message_and_says_what_is_left_away() -> None:
    texts = digest_texts(_digest(alerts=tuple(f"alert {'x' * 100} {number}" for number in range(500))))
    for text in (texts.plain, texts.slack):
        assert len(text) <= LONGEST + 100
        assert re.search(r"… [0-9]+ more lines are in the report\n$", text)
    assert len(json.loads(texts.json)["alerts"]) == 500


def test_recommended_policies_are_told_with_what_they_save_and_with_those_that_take_too_much() -> None:
    advice = PolicyAdvice(
        to_put=3, safer=1, saving_low=Money(Decimal("12.5")), saving_high=Money(Decimal(20))
    )
    texts = digest_texts(replace(_digest(), advice=advice))
    assert "Recommended: 3 lifecycle policies that take no needed image; saving per month: $12.50–$20.00" in (
        texts.plain
    )
    assert "Policies in force that take needed images: 1\n" in texts.plain
    assert json.loads(texts.json)["recommendations"]["saving_low"]["amount"] == "12.50"
    nothing = replace(advice, to_put=0, safer=0)
    assert "Recommended" not in digest_texts(replace(_digest(), advice=nothing)).plain


def test_the_same_digest_has_the_same_id() -> None:
    assert digest_texts(_digest()).id == digest_texts(_digest()).id
    assert digest_texts(_digest()).id != digest_texts(_digest(alerts=("new",))).id


def test_json_has_money_as_everywhere() -> None:
    document = json.loads(digest_texts(_digest()).json)
    assert set(document) == {
        "alerts",
        "failures",
        "now",
        "changes",
        "actions",
        "recommendations",
        "findings",
        "forecast",
        "places",
    }
    assert document["now"]["cost_high"]["currency"] == "USD"
    assert document["now"]["cost_high"]["period"] == "month"
    assert document["changes"]["before"]["run"] == 42
