"""Whom repositories belong to."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.hygiene.owners import OwnedPrefix, Ownership, parse_owned_prefixes
from analyzer.model.findings import Owner

TEAM = OwnedPrefix(prefix="team/", owner="team")
WEB = OwnedPrefix(prefix="team/web", owner="web")
REST = OwnedPrefix(owner="platform")


def named(ownership: Ownership, repository: str, tags: dict[str, str] | None = None) -> str | None:
    owner = ownership.of("111111111111", repository, tags)
    return None if owner is None else owner.name


def test_the_first_tag_that_is_there_names_the_owner() -> None:
    both = Ownership(tag_keys=("owner", "team"), prefixes=(TEAM,))
    assert both.of("1", "team/a", {"team": "t", "owner": "o"}) == Owner(name="o", source="tag owner")
    assert both.of("1", "team/a", {"team": "t"}) == Owner(name="t", source="tag team")
    assert both.of("1", "team/a", {"owner": " ", "other": "x"}) == Owner(name="team", source="prefix team/")


def test_unknown_tags_leave_it_to_the_prefixes() -> None:
    assert named(Ownership(tag_keys=("team",), prefixes=(TEAM,)), "team/a", None) == "team"
    assert named(Ownership(tag_keys=("team",)), "team/a", None) is None


def test_an_entry_without_a_prefix_is_for_the_rest_and_for_registries() -> None:
    ownership = Ownership(prefixes=(REST, TEAM))
    assert named(ownership, "team/a") == "team"
    assert ownership.of("1", "other", {}) == Owner(name="platform", source="default")
    assert ownership.of_registry("1") == Owner(name="platform", source="default")
    assert Ownership(prefixes=(TEAM,)).of_registry("1") is None


def test_an_entry_may_be_for_some_accounts_alone() -> None:
    ownership = Ownership(prefixes=(OwnedPrefix(prefix="team/", owner="x", account="2*"), REST))
    assert named(ownership, "team/a") == "platform"
    assert ownership.of("222222222222", "team/a", {}) == Owner(name="x", source="prefix team/")


@given(
    st.lists(st.text("ab/", max_size=4), unique=True, max_size=8),
    st.text("ab/", max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_longest_prefix_wins_in_whatever_order(prefixes: list[str], name: str, random: Random) -> None:
    entries = [OwnedPrefix(prefix=prefix, owner=f"<{prefix}>") for prefix in prefixes]
    random.shuffle(entries)
    fitting = sorted((prefix for prefix in prefixes if name.startswith(prefix)), key=len)
    assert named(Ownership(prefixes=tuple(entries)), name) == (f"<{fitting[-1]}>" if fitting else None)


def test_a_file_of_prefixes() -> None:
    text = '[[owner]]\nprefix = "team/"\nowner = "team"\n\n[[owner]]\nowner = "platform"\n'
    assert parse_owned_prefixes(text, origin="o.toml") == (TEAM, REST)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("owner = 1", "only"),
        ('[[owner]]\nprefix = "a"\n', "owner is missing"),
        ('[[owner]]\nprefix = ""\nowner = "x"\n', "prefix"),
        ('[[owner]]\nname = "x"\n', "'name' is not a known key"),
        ('[[owner]]\nprefix = "a"\nowner = "x"\n' * 2, "number 2: prefix 'a' is there twice"),
        ('[[owner]]\nowner = "x"\n' * 2, "an entry without a prefix is there twice"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=r"o\.toml") as error:
        parse_owned_prefixes(text, origin="o.toml")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
