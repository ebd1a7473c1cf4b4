"""Upstream registries that are used directly: what the findings of references and base images come to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Estate, Unjudged
from analyzer.hygiene.upstreams import CHECKS, upstreams_used_directly
from analyzer.model.findings import Finding
from analyzer.model.registry_settings import Settings
from analyzer.model.transfer import (
    ColdPull,
    MoneyRange,
    TransferCode,
    TransferFinding,
    TransferFindings,
    User,
)
from analyzer.model.units import Money
from analyzer.pricing import bundled_prices
from tests.strategies.frames import ArtifactSpec, RepositorySpec, build_frames, image
from tests.support.estates import estate_of

PRICES = bundled_prices()
ACCOUNT, REGION = "111111111111", "eu-west-1"
HUB = "registry-1.docker.io"
FREE = MoneyRange(Money(Decimal(0), period="pull"), Money(Decimal(0), period="pull"))


def direct(
    reference: str, *workloads: str, better: str = "", upstream: str = HUB, **where: str
) -> TransferFinding:
    return TransferFinding(
        code=TransferCode.PUBLIC_UPSTREAM,
        account=where.get("account", ACCOUNT),
        region=where.get("region", REGION),
        source="ecs",
        reference=reference,
        users=tuple(User(workload=name, kind="running") for name in workloads),
        registry_account="",
        registry_region="",
        upstream=upstream,
        repository="library/python",
        cold_pull=ColdPull(None, None, unknown="not read"),
        usd_per_pull=FREE,
        payer="",
        better_reference=better,
    )


def estate(
    *findings: TransferFinding,
    rules: list[dict[str, str]] | None = None,
    bases: Mapping[int, str] | None = None,
    read: bool = True,
) -> Estate:
    artifacts = tuple(ArtifactSpec(number, tags=1) for number in (1, 2, 3))
    frames = build_frames(
        [RepositorySpec(artifacts[:2], name="a"), RepositorySpec(artifacts[2:], name="b")],
        {1: image(20), 2: image(21), 3: image(22)},
        {},
    )
    texts = {} if rules is None else {"pull_through_cache_rules": json.dumps(rules)}
    given: dict[str, Any] = {"settings": Settings([texts], [{}, {}]), "base_names": bases or {}}
    if read:
        given["transfers"] = TransferFindings(findings, len(findings), 0, 0)
    return estate_of(frames, now_ms=0, prices=PRICES, **given)


def found(told: Estate) -> list[Finding]:
    return [one.finding for one in run_checks(told, CHECKS).told]


RULE = [{"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": HUB}]


def test_workloads_of_one_upstream_are_one_finding_and_more_urgent_where_a_rule_is_there() -> None:
    better = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/hub/library/python:3"
    told = direct("python:3", "web", "api", better=better), direct("nginx:1", "web")
    (finding,) = found(estate(*told, rules=RULE))
    assert (finding.subject, finding.severity, finding.repository) == (HUB, "medium", "")
    assert finding.message == (
        f"2 workloads pull 2 images from {HUB} directly; a pull-through cache rule with the prefix hub stands"
        " for it"
    )
    assert better in finding.evidence[0].note
    assert finding.saving is None
    assert "create-pull-through-cache-rule" not in finding.fix


def test_without_a_rule_the_fix_is_to_make_one_and_unknown_rules_are_called_so() -> None:
    (finding,) = found(estate(direct("python:3", "web"), rules=[]))
    assert finding.severity == "low"
    assert f"--upstream-registry-url {HUB}" in finding.fix
    assert "no pull-through cache rule stands for it" in finding.message
    (finding,) = found(estate(direct("python:3", "web")))
    assert "is not known" in finding.message


def test_images_say_what_they_were_built_on() -> None:
    bases = {1: "docker.io/library/python:3", 3: "python:3", 2: "not a reference : at all", 9: "python:3"}
    (finding,) = found(estate(rules=RULE, bases=bases))
    assert finding.message.startswith(
        f"2 images say that they were built on an image of {HUB}; a pull-through"
    )
    assert [evidence.name for evidence in finding.evidence] == ["a", "b"]
    assert "through the cache it is hub/library/python of 111111111111/eu-west-1" in finding.evidence[0].note


def test_workloads_of_places_that_were_not_read_and_own_images_are_no_finding() -> None:
    assert found(estate(direct("python:3", "web", account="999999999999"), rules=[])) == []
    assert found(estate(bases={1: f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/base:1"})) == []


def test_without_workloads_nobody_knows_what_they_pull() -> None:
    (answer,) = upstreams_used_directly(estate(read=False))
    assert isinstance(answer, Unjudged)
