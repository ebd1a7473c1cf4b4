"""Checks of whom policies let in."""

from __future__ import annotations

import pytest

from analyzer.hygiene.access import CHECKS
from analyzer.hygiene.checks import Answers, run_checks
from analyzer.hygiene.estate import Check
from analyzer.model.findings import Finding
from analyzer.model.lint import Severity
from analyzer.model.registry_settings import (
    Exposure,
    Grant,
    Openness,
    RegistrySettings,
    RepositorySettings,
)
from tests.strategies.frames import RepositorySpec, build_frames
from tests.support.estates import estate_of

NOW_MS = 20_000 * 86_400_000
OWN, FRIEND, STRANGER, ORG = "111111111111", "444455556666", "777788889999", "o-a1b2c3d4e5"
PRIVATE = Exposure(Openness.PRIVATE, (), "")


def check(name: str) -> Check:
    (found,) = (one for one in CHECKS if one.text.id == name)
    return found


def grant(kind: str, who: str, *access: str, narrowed: bool = False) -> Grant:
    return Grant(kind, who, access or ("pull",), narrowed)


def open_to(*grants: Grant) -> Exposure:
    return Exposure(Openness.ACCOUNTS, grants, "")


def answers(
    name: str,
    exposure: Exposure,
    *,
    registry: Exposure = PRIVATE,
    public: bool = False,
    known: frozenset[str] = frozenset(),
) -> Answers:
    frames = build_frames([RepositorySpec(name="app")], {}, {})
    if public:
        frames.registries["region"] = "public"
    estate = estate_of(
        frames,
        now_ms=NOW_MS,
        of_registries=[RegistrySettings(scan_type="NONE" if public else "BASIC", exposure=registry)],
        of_repositories=[RepositorySettings(exposure=exposure)],
        accounts=known,
    )
    return run_checks(estate, [check(name)])


def findings(name: str, *grants: Grant, known: frozenset[str] = frozenset()) -> list[Finding]:
    return [told.finding for told in answers(name, open_to(*grants), known=known).told]


def test_a_repository_that_is_open_to_anyone() -> None:
    (finding,) = findings("OPEN_TO_PUBLIC", grant("public", "*", "pull", "push"))
    assert finding.severity is Severity.HIGH
    assert finding.message == "anyone may pull and push, in whatever account they are"
    assert finding.evidence[0].name == "public *"
    assert "--repository-name app" in finding.validate


def test_anyone_under_conditions_matters_less() -> None:
    (finding,) = findings("OPEN_TO_PUBLIC", grant("public", "*", narrowed=True))
    assert finding.severity is Severity.MEDIUM
    assert "conditions are not judged" in finding.message


def test_a_registry_by_itself_is_told_once_and_not_again_for_its_repositories() -> None:
    everyone = grant("public", "*")
    found = answers("OPEN_TO_PUBLIC", open_to(everyone), registry=open_to(everyone)).told
    assert [told.finding.repository for told in found] == [""]
    assert "get-registry-policy" in found[0].finding.validate
    # What a repository opens beyond that is its own.
    wider = answers("OPEN_TO_PUBLIC", open_to(grant("public", "*", "push")), registry=open_to(everyone)).told
    assert [told.finding.repository for told in wider] == ["", "app"]


def test_a_public_repository_is_found_only_where_anyone_may_change_it() -> None:
    pulled = Exposure(Openness.PUBLIC, (grant("public", "*"),), "")
    assert answers("OPEN_TO_PUBLIC", pulled, public=True) == Answers((), ())
    pushed = Exposure(Openness.PUBLIC, (grant("public", "*"), grant("public", "*", "push")), "")
    (told,) = answers("OPEN_TO_PUBLIC", pushed, public=True).told
    assert told.finding.message.startswith("anyone may push")


@pytest.mark.parametrize(
    ("granted", "severity"),
    [
        (grant("account", STRANGER), Severity.MEDIUM),
        (grant("account", STRANGER, "push"), Severity.HIGH),
        (grant("organization", ORG), Severity.LOW),
        (grant("organization", ORG, "delete"), Severity.HIGH),
        (grant("unknown", "AROAEXAMPLE"), Severity.MEDIUM),
    ],
)
def test_strangers_matter_by_what_they_may(granted: Grant, severity: Severity) -> None:
    (finding,) = findings("OPEN_TO_UNKNOWN_ACCOUNT", granted)
    assert finding.severity is severity
    assert granted.who in finding.message


def test_those_who_are_known_are_no_strangers() -> None:
    known = (
        grant("account", OWN),
        grant("account", FRIEND),
        grant("organization", ORG),
        grant("service", "ec2"),
    )
    assert findings("OPEN_TO_UNKNOWN_ACCOUNT", *known, known=frozenset({FRIEND, ORG})) == []


def test_many_strangers_are_named_by_a_few() -> None:
    (finding,) = findings("OPEN_TO_UNKNOWN_ACCOUNT", *(grant("account", f"{n:012}") for n in range(1, 9)))
    assert finding.message.count("account ") == 5
    assert "and 3 more" in finding.message
    assert finding.evidence[-1].name == "3 other grants"


@pytest.mark.parametrize("name", ["OPEN_TO_PUBLIC", "OPEN_TO_UNKNOWN_ACCOUNT"])
def test_an_unknown_policy_is_left_open_and_a_private_one_is_no_finding(name: str) -> None:
    (left,) = answers(name, Exposure()).not_judged
    assert (left.repositories, left.reason) == (1, "whom its policy lets in is not known")
    assert answers(name, PRIVATE) == Answers((), ())
