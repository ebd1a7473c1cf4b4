"""Waivers: what they cover, for how long, and files that are none."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.hygiene.waivers import EXPIRED, covers, expired_waivers, has_expired, parse_waivers, waive
from analyzer.model.findings import Finding, Waiver
from analyzer.model.lint import Severity

DAY = date(2026, 11, 24)
FINDING = Finding(
    check="NO_POLICY",
    severity=Severity.MEDIUM,
    title="No lifecycle policy",
    account="111111111111",
    region="eu-west-1",
    repository="legacy/app",
    subject="rule-3",
    message="x",
    fix="y",
    validate="z",
)
WAIVER = Waiver(
    check="NO_POLICY", owner="team", reason="agreed", expires=DAY, place="w.toml: waiver number 1"
)
ENTRY = {"id": "NO_POLICY", "owner": "team", "reason": "agreed", "expires": "2026-11-24"}


def parsed(**changes: str | None) -> tuple[Waiver, ...]:
    entry = {key: value for key, value in (ENTRY | changes).items() if value is not None}
    text = "[[waiver]]\n" + "".join(f'{key} = "{value}"\n' for key, value in entry.items())
    return parse_waivers(text, origin="w.toml", ids=["NO_POLICY", "MUTABLE_TAGS"])


def test_a_waiver_is_read_with_all_that_it_says() -> None:
    (waiver,) = parsed(repository="legacy/*", account="1*", region="eu-*", subject="rule-*")
    assert waiver == replace(WAIVER, repository="legacy/*", account="1*", region="eu-*", subject="rule-*")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"id": None}, "id is missing"),
        ({"owner": None}, "owner is missing"),
        ({"reason": None}, "reason is missing"),
        ({"expires": None}, "expires is missing"),
        ({"reason": " "}, "reason"),
        ({"id": "NO_POLICE"}, "'NO_POLICE' is no check"),
        ({"id": "NOTHING*"}, "'NOTHING*' is no check"),
        ({"expires": "soon"}, "'soon' is no day"),
        ({"expires": "2026-02-30"}, "'2026-02-30' is no day"),
        ({"expires": "20261124"}, "is no day"),
        ({"expires": "2026-W48-2"}, "is no day"),
        ({"check": "NO_POLICY"}, "'check' is not a known key"),
    ],
)
def test_a_wrong_waiver_is_refused_in_one_line(changes: dict[str, str | None], complaint: str) -> None:
    with pytest.raises(InputError, match=r"w\.toml: waiver number 1") as error:
        parsed(**changes)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_a_date_of_toml_is_not_taken_for_text() -> None:
    text = '[[waiver]]\nid = "NO_POLICY"\nowner = "t"\nreason = "r"\nexpires = 2026-11-24\n'
    with pytest.raises(InputError, match="write text in quotes"):
        parse_waivers(text, origin="w.toml", ids=["NO_POLICY"])


@given(st.integers(-400, 400))
def test_a_waiver_holds_to_the_end_of_its_last_day(days: int) -> None:
    today = DAY + timedelta(days=days)
    judged, unmatched = waive([FINDING], [WAIVER], today)
    assert (judged[0].waiver == WAIVER) == (days <= 0)
    assert not unmatched
    assert has_expired(WAIVER, today) == (days > 0)
    assert len(list(expired_waivers([WAIVER], [FINDING], today))) == (days > 0)


@pytest.mark.parametrize("key", ["check", "account", "region", "repository", "subject"])
def test_every_pattern_must_fit(key: str) -> None:
    assert covers(WAIVER, FINDING)
    assert not covers(replace(WAIVER, **{key: "other*"}), FINDING)  # type: ignore[arg-type]  # patterns


def test_the_first_waiver_that_covers_counts_and_the_others_are_not_unmatched() -> None:
    first, second = replace(WAIVER, check="NO_*"), replace(WAIVER, owner="others")
    judged, unmatched = waive([FINDING], [first, second], DAY)
    assert judged[0].waiver == first
    assert unmatched == []


def test_an_expired_waiver_leaves_the_finding_to_a_later_one_that_holds() -> None:
    old, new = replace(WAIVER, expires=DAY - timedelta(days=1)), replace(WAIVER, owner="others")
    assert waive([FINDING], [old, new], DAY)[0][0].waiver == new


def test_a_waiver_that_covers_nothing_is_told() -> None:
    other = replace(WAIVER, region="us-*")
    judged, unmatched = waive([FINDING], [other], DAY)
    assert (judged, unmatched) == ([FINDING], [other])


def test_an_expired_waiver_is_a_finding_that_says_what_counts_again() -> None:
    old = replace(WAIVER, repository="legacy/*", expires=DAY - timedelta(days=1))
    (finding,) = expired_waivers([old], [FINDING, FINDING], DAY)
    assert (finding.check, finding.severity) == (EXPIRED.id, Severity.LOW)
    assert (finding.repository, finding.subject) == ("legacy/*", "NO_POLICY")
    assert "expired on 2026-11-23; 2 findings count again" in finding.message
    (left,) = expired_waivers([replace(old, region="us-*")], [FINDING], DAY)
    assert "nothing left" in left.message
