from __future__ import annotations

import pytest

from analyzer.acceptance import AcceptedGap, parse_accepted_gaps, split_gaps
from analyzer.errors import InputError
from analyzer.model.records import Gap

GAP = Gap("111111111111", "eu-west-1", "legacy/app", "ecr:GetLifecyclePolicy", "AccessDeniedException")


def test_an_entry_covers_by_pattern_and_says_why() -> None:
    text = '[[gap]]\nrepository = "legacy/*"\ncall = "ecr:Get*"\nreason = "agreed"\n'
    accepted = parse_accepted_gaps(text, origin="gaps.toml")
    assert accepted == (AcceptedGap("agreed", repository="legacy/*", call="ecr:Get*"),)
    assert split_gaps([GAP], accepted) == ([], [(GAP, "agreed")])


@pytest.mark.parametrize("pattern", ["account", "region", "repository", "call"])
def test_every_pattern_must_match(pattern: str) -> None:
    entry = AcceptedGap("agreed", **{pattern: "other*"})
    assert split_gaps([GAP], [entry]) == ([GAP], [])


def test_the_first_entry_that_covers_gives_the_reason() -> None:
    entries = [AcceptedGap("no", region="us-*"), AcceptedGap("first"), AcceptedGap("second")]
    assert split_gaps([GAP], entries)[1] == [(GAP, "first")]


def test_a_gap_of_the_whole_registry_has_an_empty_repository() -> None:
    whole = Gap("1", "r", "", "ecr:GetAccountSetting", "AccessDenied")
    assert split_gaps([whole, GAP], [AcceptedGap("registry only", repository="")])[0] == [GAP]


def test_an_empty_file_accepts_nothing() -> None:
    assert parse_accepted_gaps("", origin="gaps.toml") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("gap = [", "is not valid TOML"),
        ('[[gaps]]\nreason = "x"\n', "only"),
        ('gap = "x"\n', "only"),
        ("gap = [1]\n", "gap number 1 is not a table"),
        ('[[gap]]\nreason = "x"\nacount = "1"\n', "'acount' is not a known key"),
        ('[[gap]]\nregion = "eu-*"\n', "reason is missing"),
        ('[[gap]]\nreason = ""\n', "reason"),
        ('[[gap]]\nreason = "x"\naccount = 12\n', "account"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=r"gaps\.toml") as error:
        parse_accepted_gaps(text, origin="gaps.toml")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
