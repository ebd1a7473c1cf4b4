"""Checks of settings: whether tags may move, and whether anything scans."""

from __future__ import annotations

import json

import pytest

from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Check, Estate
from analyzer.hygiene.settings import CHECKS
from analyzer.model.findings import Finding
from analyzer.model.lint import Severity
from analyzer.model.registry_settings import (
    Frequency,
    RegistrySettings,
    RepositorySettings,
    Scanning,
    ScanRule,
    Settings,
)
from tests.strategies.frames import ArtifactSpec, RepositorySpec, build_frames, image
from tests.support.estates import estate_of

NOW_MS = 20_000 * 86_400_000


def check(name: str) -> Check:
    (found,) = (one for one in CHECKS if one.text.id == name)
    return found


def one_repository(
    *,
    mutability: str | None = "MUTABLE",
    filters: tuple[str, ...] = (),
    scanning: Scanning | None = None,
    rules: tuple[ScanRule, ...] | None = (),
    empty: bool = False,
    cache: bool = False,
    public: bool = False,
) -> Estate:
    artifacts = () if empty else (ArtifactSpec(1, tags=1),)
    frames = build_frames(
        [RepositorySpec(artifacts, name="app", pull_through_cache=cache)], {1: image(10)}, {10: 1}
    )
    if public:
        frames.registries["region"] = "public"
    own = {} if mutability is None else {"image_tag_mutability": json.dumps(mutability)}
    own["image_tag_mutability_exclusion_filters"] = json.dumps(
        [{"filterType": "WILDCARD", "filter": text} for text in filters]
    )
    return estate_of(
        frames,
        now_ms=NOW_MS,
        settings=Settings([{}], [own]),
        of_registries=[RegistrySettings(scan_type="BASIC", scan_rules=rules)],
        of_repositories=[RepositorySettings(scanning=scanning or Scanning())],
    )


def found(estate: Estate, name: str) -> list[Finding]:
    return [told.finding for told in run_checks(estate, [check(name)]).told]


def test_mutable_tags_are_found() -> None:
    (finding,) = found(one_repository(), "MUTABLE_TAGS")
    assert (finding.severity, finding.saving) == (Severity.LOW, None)
    assert "--image-tag-mutability IMMUTABLE" in finding.fix
    assert finding.evidence[0].note == "MUTABLE"


def test_what_is_spared_from_moving_is_named_and_matters_less() -> None:
    (finding,) = found(
        one_repository(mutability="MUTABLE_WITH_EXCLUSION", filters=("v*", "prod")), "MUTABLE_TAGS"
    )
    assert finding.severity is Severity.INFO
    assert "but for those that fit 'prod', 'v*'" in finding.message


@pytest.mark.parametrize("mutability", ["IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION"])
def test_immutable_tags_are_no_finding(mutability: str) -> None:
    answers = run_checks(one_repository(mutability=mutability), [check("MUTABLE_TAGS")])
    assert (answers.told, answers.not_judged) == ((), ())


@pytest.mark.parametrize("where", [{"cache": True}, {"public": True}])
def test_tags_of_caches_and_public_repositories_have_to_move(where: dict[str, bool]) -> None:
    answers = run_checks(one_repository(**where), [check("MUTABLE_TAGS")])  # type: ignore[arg-type]
    assert (answers.told, answers.not_judged) == ((), ())


def test_tags_of_unknown_mutability_are_left_open() -> None:
    answers = run_checks(one_repository(mutability=None), [check("MUTABLE_TAGS")])
    assert answers.told == ()
    assert "not read" in answers.not_judged[0].reason


MANUAL = Scanning(applied=Frequency.MANUAL)
RULES = (ScanRule(frequency="SCAN_ON_PUSH", filters=("prod*", "web")),)


@pytest.mark.parametrize(
    ("scanning", "rules", "why"),
    [
        (MANUAL, (), "the registry has no basic scanning rule"),
        (MANUAL, RULES, "none of the registry's 2 filters matches its name ('prod*', 'web')"),
        (MANUAL, None, "the registry's rules were not read"),
        (Scanning(by_rules=Frequency.MANUAL), (), "no basic scanning rule"),
    ],
)
def test_what_nothing_scans_is_found_with_its_reason(
    scanning: Scanning, rules: tuple[ScanRule, ...] | None, why: str
) -> None:
    (finding,) = found(one_repository(scanning=scanning, rules=rules), "NOT_SCANNED")
    assert (finding.severity, finding.images) == (Severity.MEDIUM, 1)
    assert why in finding.message


def test_an_empty_repository_that_nothing_scans_is_a_fact_only() -> None:
    (finding,) = found(one_repository(scanning=MANUAL, empty=True), "NOT_SCANNED")
    assert finding.severity is Severity.INFO


@pytest.mark.parametrize("frequency", [Frequency.SCAN_ON_PUSH, Frequency.CONTINUOUS_SCAN])
def test_what_is_scanned_is_no_finding_whatever_the_rules_say(frequency: Frequency) -> None:
    scanning = Scanning(applied=frequency, by_rules=Frequency.MANUAL)
    answers = run_checks(one_repository(scanning=scanning), [check("NOT_SCANNED")])
    assert (answers.told, answers.not_judged) == ((), ())


def test_unknown_scanning_is_left_open_and_public_repositories_are_never_scanned() -> None:
    answers = run_checks(one_repository(), [check("NOT_SCANNED")])
    assert answers.told == ()
    assert answers.not_judged[0].reason == "how it is scanned was not read"
    public = run_checks(one_repository(public=True), [check("NOT_SCANNED")])
    assert (public.told, public.not_judged) == ((), ())
