"""Ids from other people's names: safe, stable and one for each repository."""

import re

from hypothesis import given
from hypothesis import strategies as st

from reports.anchors import repository_anchor
from tests.support.report_fixture import HOSTILE

_NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(), st.from_regex(r"[a-z0-9/_.-]{2,60}", fullmatch=True))


@given(_NAMES, _NAMES, _NAMES)
def test_an_id_is_of_letters_digits_and_hyphens_whatever_the_name(
    account: str, region: str, name: str
) -> None:
    anchor = repository_anchor(account, region, name)
    assert re.fullmatch(r"r(-[a-z0-9]+)+", anchor)
    assert len(anchor) <= 48
    assert anchor == repository_anchor(account, region, name)


@given(st.tuples(_NAMES, _NAMES, _NAMES), st.tuples(_NAMES, _NAMES, _NAMES))
def test_two_repositories_never_share_an_id(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (repository_anchor(*one) == repository_anchor(*other)) == (one == other)


def test_an_address_that_somebody_kept_still_leads_there() -> None:
    anchor = repository_anchor("123456789012", "eu-west-1", "Team/app_web")
    assert anchor == "r-team-app-web-606d9c312163"


def test_names_that_read_alike_are_told_apart() -> None:
    alike = {repository_anchor("1", "eu-west-1", name) for name in ("a/b", "a-b", "a_b", "a.b", "A/B")}
    assert len(alike) == 5
    assert repository_anchor("1", "2\x003", "4") != repository_anchor("1", "2", "3\x004")
