"""What comes near a quota: each of them just below and at the threshold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analyzer.hygiene import quotas
from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Estate
from analyzer.hygiene.quotas import CHECKS
from analyzer.lifecycle.policy import Policy
from analyzer.model.findings import Finding
from analyzer.model.records import PUBLIC_REGION
from analyzer.model.registry_settings import Settings
from analyzer.pricing import bundled_prices
from tests.strategies.frames import ArtifactSpec, RepositorySpec, build_frames, image
from tests.support.estates import estate_of
from tests.support.quotas import published_quotas

PRICES = bundled_prices()
ALL = (
    quotas.REPOSITORIES,
    quotas.IMAGES,
    quotas.TAGS,
    quotas.RULES,
    quotas.POLICY_TEXT,
    quotas.CACHE_RULES,
    quotas.REPLICATION_RULES,
    quotas.FILTERS,
    quotas.DESTINATIONS,
    quotas.EXCLUSIONS,
    quotas.LAYER,
)


def estate(
    *,
    tags: int = 0,
    layer: int = 1,
    registry: dict[str, Any] | None = None,
    policy_text: str | None = None,
    rules: int = 0,
) -> Estate:
    frames = build_frames(
        [RepositorySpec((ArtifactSpec(1, tags=tags), ArtifactSpec(2)), name="a")],
        {1: image(20, 21), 2: image(20)},
        {20: 1, 21: layer},
    )
    frames.repositories["lifecycle_policy_text"] = [policy_text]
    given: dict[str, Any] = {}
    if registry is not None:
        texts = {name: json.dumps(value) for name, value in registry.items()}
        given["settings"] = Settings([texts], [{}])
    if rules:
        given |= {"policies": (Policy((None,) * rules),), "policy_of": np.array([0])}  # type: ignore[arg-type]
    return estate_of(frames, now_ms=0, prices=PRICES, **given)


def found(told: Estate) -> list[Finding]:
    return [one.finding for one in run_checks(told, CHECKS).told]


def subjects(told: Estate) -> list[str]:
    return [finding.subject for finding in found(told)]


def replication(destinations: Iterable[tuple[str, str]], rules: int = 1, filters: int = 0) -> dict[str, Any]:
    one = {
        "destinations": [{"registryId": account, "region": region} for account, region in destinations],
        "repositoryFilters": [{"filter": f"p{n}", "filterType": "PREFIX_MATCH"} for n in range(filters)],
    }
    return {"replication_configuration": {"rules": [one] * rules}}


def places(number: int) -> list[tuple[str, str]]:
    return [(f"{number:012}", "eu-west-1") for number in range(number)]


@pytest.mark.parametrize(
    ("below", "at", "subject"),
    [
        ({"tags": 799}, {"tags": 800}, "tags"),
        ({"layer": 41_600 * 2**20 - 1}, {"layer": 41_600 * 2**20}, "layer-size"),
        ({"policy_text": "x" * 24_575}, {"policy_text": "x" * 24_576}, "policy-length"),
        ({"policy_text": "x", "rules": 39}, {"policy_text": "x", "rules": 40}, "policy-rules"),
        (
            {"registry": {"pull_through_cache_rules": [{}] * 39}},
            {"registry": {"pull_through_cache_rules": [{}] * 40}},
            "cache-rules",
        ),
        (
            {"registry": {"pull_time_update_exclusions": ["x"] * 79}},
            {"registry": {"pull_time_update_exclusions": ["x"] * 80}},
            "pull-time-exclusions",
        ),
        ({"registry": replication([], rules=7)}, {"registry": replication([], rules=8)}, "replication-rules"),
        (
            {"registry": replication([], filters=79)},
            {"registry": replication([], filters=80)},
            "replication-filters",
        ),
        (
            {"registry": replication(places(19))},
            {"registry": replication(places(20))},
            "replication-destinations",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_four_fifths_of_a_quota_are_near_it(below: dict[str, Any], at: dict[str, Any], subject: str) -> None:
    assert subjects(estate(**below)) == []
    assert subjects(estate(**at)) == [subject]


def test_images_and_repositories_count_with_every_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "IMAGES", replace(quotas.IMAGES, default=2))
    monkeypatch.setattr(quotas, "REPOSITORIES", replace(quotas.REPOSITORIES, default=1))
    images, repositories = sorted(found(estate()), key=lambda finding: finding.subject)
    assert (images.repository, images.severity) == ("a", "high")
    assert images.message == (
        "images per repository: 2 of 2, 100 % of the default quota, which can be raised"
    )
    assert "--quota-code L-03A36CE1" in images.fix
    assert (repositories.repository, repositories.subject) == ("", "repositories")


def test_more_than_the_default_shows_that_the_quota_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "IMAGES", replace(quotas.IMAGES, default=1))
    (finding,) = found(estate())
    assert finding.severity == "low"
    assert "yours was raised" in finding.message


def test_what_was_listed_in_part_is_at_least_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "IMAGES", replace(quotas.IMAGES, default=2))
    told = estate()
    told.known.frames.repositories["status"] = ["partial"]
    (finding,) = found(told)
    assert "at least 2 of 2" in finding.message
    told.known.frames.repositories["complete_at_ms"] = [np.iinfo(np.int64).min]
    answers = run_checks(Estate(told.known), CHECKS)
    assert [left.reason for left in answers.not_judged] == ["its images were never listed whole"]


def test_the_worst_image_is_named_by_its_tags() -> None:
    (finding,) = found(estate(tags=950))
    assert (finding.severity, finding.images) == ("high", 1)
    assert finding.evidence[0].digest == f"sha256:{1:064x}"
    assert "cannot be raised" in finding.message


def test_public_registries_have_quotas_of_their_own() -> None:
    told = estate(tags=1_000)
    told.known.frames.registries["region"] = [PUBLIC_REGION]
    assert subjects(Estate(told.known)) == []


def test_the_figures_are_those_that_aws_publishes() -> None:
    published = published_quotas()
    names = {
        "Images per repository": quotas.IMAGES,
        "Registered repositories": quotas.REPOSITORIES,
        "Tags per image": quotas.TAGS,
        "Rules per lifecycle policy": quotas.RULES,
        "Lifecycle policy length": quotas.POLICY_TEXT,
        "Pull through cache rules per registry": quotas.CACHE_RULES,
        "Rules per replication configuration": quotas.REPLICATION_RULES,
        "Filters per replication rule": quotas.FILTERS,
        "Unique replication destinations": quotas.DESTINATIONS,
        "Maximum layer size": quotas.LAYER,
        "Pull-time update exclusions": quotas.EXCLUSIONS,
    }
    assert set(names.values()) == set(ALL)
    for name, quota in names.items():
        default, adjustable, code = published[name]
        assert (quota.default, bool(quota.code), quota.code) == (default, adjustable, code)
