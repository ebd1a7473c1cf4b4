"""Which repositories a registry's scanning rules match, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.registry_settings import Frequency, Scanning, Settings
from analyzer.scanning import by_rules, matches_filter, read_scan_plan, scanning_of_repositories
from tests.strategies.frames import RepositorySpec, build_frames

PUSH, ALWAYS, MANUAL = Frequency.SCAN_ON_PUSH, Frequency.CONTINUOUS_SCAN, Frequency.MANUAL


def configuration(scan_type: str, rules: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {
        "scanning_configuration": json.dumps(
            {
                "scanType": scan_type,
                "rules": [
                    {
                        "scanFrequency": frequency,
                        "repositoryFilters": [{"filter": f, "filterType": "WILDCARD"} for f in filters],
                    }
                    for frequency, filters in rules.items()
                ],
            }
        )
    }


def judged(scan_type: str, rules: Mapping[str, Sequence[str]], name: str, *, own: bool | None = False) -> Any:
    plan = read_scan_plan(configuration(scan_type, rules))
    assert plan is not None
    return by_rules(plan, name, scan_on_push=own)


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("prod", "prod repo-prod prod-repo repo-prod-repo prodrepo"),
        ("*prod", "prod repo-prod"),
        ("prod*", "prod prod-repo prodrepo"),
        ("*prod*", "prod repo-prod prod-repo repo-prod-repo prodrepo"),
        ("prod*repo", "prod-repo prodrepo"),
    ],
)
def test_filters_match_as_in_the_table_of_the_user_guide(text: str, matching: str) -> None:
    # "Filters to choose which repositories are scanned in Amazon ECR", table of examples.
    names = ["prod", "repo-prod", "prod-repo", "repo-prod-repo", "prodrepo"]
    assert [name for name in names if matches_filter(text, name)] == matching.split()


def _slow(text: str, name: str) -> bool:
    """The same, by trying everything that an asterisk may stand for."""
    if not text:
        return not name
    if text[0] == "*":
        return any(_slow(text[1:], name[cut:]) for cut in range(len(name) + 1))
    return name[:1] == text[0] and _slow(text[1:], name[1:])


@given(st.text("ab*", min_size=1, max_size=7), st.text("ab/", min_size=1, max_size=8))
def test_filters_match_as_the_slow_twin_has_it(text: str, name: str) -> None:
    expected = _slow(text if "*" in text else f"*{text}*", name)
    assert matches_filter(text, name) == expected


def test_a_filter_of_a_hundred_asterisks_takes_no_time() -> None:
    assert not matches_filter("a*" * 100 + "b", "a" * 256)


@pytest.mark.parametrize(
    ("scan_type", "rules", "name", "own", "expected"),
    [
        ("BASIC", {}, "app", False, (MANUAL, ())),
        ("BASIC", {}, "app", True, (PUSH, ())),
        ("BASIC", {}, "app", None, (None, ())),
        ("BASIC", {PUSH: ["app", "z"]}, "my/app", None, (PUSH, ("app",))),
        ("ENHANCED", {PUSH: ["*"], ALWAYS: ["prod/*"]}, "prod/a", False, (ALWAYS, ("prod/*",))),
        ("ENHANCED", {PUSH: ["*"], ALWAYS: ["prod/*"]}, "dev/a", False, (PUSH, ("*",))),
        # What no filter matches is not scanned; the repository's own setting does not count here.
        ("ENHANCED", {ALWAYS: ["prod/*"]}, "dev/a", True, (MANUAL, ())),
        ("ENHANCED", {}, "app", True, (None, ())),
        ("BASIC", {"HOURLY": ["app"]}, "app", False, (None, ("app",))),
        ("BASIC", {MANUAL: ["app"]}, "app", False, (MANUAL, ("app",))),
    ],
)
def test_the_frequency_that_rules_give(
    scan_type: str, rules: Mapping[str, Sequence[str]], name: str, own: bool | None, expected: object
) -> None:
    assert judged(scan_type, rules, name, own=own) == expected


def test_what_ecr_applies_is_held_against_the_rules() -> None:
    names = ["agrees", "differs", "filters", "unread"]
    frames = build_frames([RepositorySpec(name=name) for name in names], {}, {})

    def applied(frequency: str, *filters: str) -> dict[str, str]:
        listed = [{"filter": text, "filterType": "WILDCARD"} for text in filters]
        said = {"scanFrequency": frequency, "scanOnPush": False, "appliedScanFilters": listed}
        return {"scan_on_push": "false", "scanning": json.dumps(said)}

    repositories = [
        applied("SCAN_ON_PUSH", "agrees"),
        applied("MANUAL"),
        applied("SCAN_ON_PUSH", "other"),
        {"scan_on_push": "false"},
    ]
    rules = configuration("BASIC", {PUSH: ["agrees", "differs", "filters"]})
    found = scanning_of_repositories(frames, Settings([rules], repositories))
    assert [one.agrees for one in found] == [True, False, False, None]
    assert found[1] == Scanning(MANUAL, (), PUSH, ("differs",))
    assert found[3] == Scanning(None, None, MANUAL, ())


def test_rules_that_were_not_read_say_nothing() -> None:
    frames = build_frames([RepositorySpec(name="app")], {}, {})
    said = {"scanFrequency": "SCAN_ON_PUSH", "scanOnPush": True, "appliedScanFilters": []}
    (found,) = scanning_of_repositories(frames, Settings([{}], [{"scanning": json.dumps(said)}]))
    assert found == Scanning(PUSH, (), None, None)
    assert found.agrees is None
    assert scanning_of_repositories(frames, Settings([{}], [{}])) == [Scanning()]


def test_a_frequency_that_is_new_is_not_known() -> None:
    frames = build_frames([RepositorySpec(name="app")], {}, {})
    (found,) = scanning_of_repositories(frames, Settings([{}], [{"scanning": '{"scanFrequency":"HOURLY"}'}]))
    assert found.applied is None
