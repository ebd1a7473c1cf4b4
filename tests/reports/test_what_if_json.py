"""A simulation as JSON: in ECR's own shape, every figure in place, and nothing unknown as zero."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import botocore.session
import numpy as np
import pytest
from hypothesis import given

from analyzer.lifecycle.writing import policy_json
from analyzer.model.frames import NO_TIME
from analyzer.model.records import Gap, ImageStatus
from analyzer.model.results import UNLISTED_IMAGES, ScopedBytes, ScopedMoney
from analyzer.model.simulation import Simulation
from analyzer.model.units import Money, from_ms, iso, to_ms
from analyzer.model.usage import KINDS
from analyzer.model.verdicts import Outcome, Reason
from analyzer.pricing import bundled_prices
from analyzer.simulation import Proposal, WhatIf, simulate
from reports.usage import coverage_object, use_object
from reports.what_if_json import render_what_if, what_if_chunks
from tests.strategies.lifecycle import LifecycleCase, lifecycle_cases
from tests.support.examples import examples
from tests.support.report_fixture import HOSTILE
from tests.support.simulation_fixture import ARCHIVE, COVERAGE, KEEP, NOTHING, build_simulation

_BOTH = ("repository", "registry")


def answer(simulation: Simulation, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render_what_if(simulation, **more))
    return found


def tags(simulation: Simulation, position: int) -> list[str]:
    facts = simulation.facts
    at = facts.tags[facts.tag_offsets[position] : facts.tag_offsets[position + 1]].tolist()
    return sorted(facts.tag_names[tag] for tag in at)


def image(simulation: Simulation, position: int) -> dict[str, Any]:
    """What every image is shown with, one at a time."""
    pushed = int(simulation.frames.artifacts.pushed_at_ms[position])
    shown: dict[str, Any] = {
        "imageTags": tags(simulation, position),
        "imageDigest": simulation.digests(np.array([position]))[0],
    }
    if pushed != NO_TIME:
        shown["imagePushedAt"] = iso(from_ms(pushed))
    return shown


def exactly(amount: dict[str, Any]) -> Decimal:
    return Decimal(amount["amount"])


# --- the shape ----------------------------------------------------------------------------------


def test_one_candidate_is_answered_in_the_documented_order() -> None:
    found = answer(build_simulation(2))
    keys = [key for key in found if key in {"at", "repositories", "totals", "gaps", "warnings"}]
    assert keys == ["at", "repositories", "totals", "gaps", "warnings"]
    assert "candidates" not in found
    assert found["at"] == "2026-11-23T02:00:00Z"


def test_several_candidates_stand_side_by_side() -> None:
    found = answer(build_simulation(2, policies=(KEEP, ARCHIVE)))
    assert "repositories" not in found
    assert [one["policy"] for one in found["candidates"]] == ["keep.json", "archive.json"]
    assert [list(one)[:2] for one in found["candidates"]] == [["policy", "repositories"]] * 2
    alone = answer(build_simulation(2))
    assert found["candidates"][0]["repositories"] == alone["repositories"]
    assert found["candidates"][0]["totals"] == alone["totals"]


@pytest.mark.parametrize("policy", [KEEP, ARCHIVE])
def test_rows_have_the_members_that_ecr_documents_and_no_others(policy: str) -> None:
    model: Any = botocore.session.get_session().get_service_model("ecr")
    rows = model.shape_for("LifecyclePolicyPreviewResult").members
    of_repository = set(model.shape_for("GetLifecyclePolicyPreviewResponse").members) - {"nextToken"}
    found = answer(build_simulation(4, policies=(policy,)))
    for repository in found["repositories"]:
        assert of_repository <= set(repository)
        assert set(repository["summary"]) <= set(model.shape_for("LifecyclePolicyPreviewSummary").members)
        for row in repository["previewResults"]:
            assert set(row) == set(rows)
            assert set(row["action"]) <= set(model.shape_for("LifecyclePolicyRuleAction").members)
            assert row["action"]["type"] in model.shape_for("ImageActionType").enum
            assert row["storageClass"] in model.shape_for("LifecyclePolicyStorageClass").enum


def test_preview_rows_are_what_rules_act_on_oldest_first() -> None:
    simulation = build_simulation(5, policies=(ARCHIVE,), unknowns=True, images=40)
    candidate = simulation.candidates[0]
    verdicts, artifacts = candidate.verdicts, simulation.frames.artifacts
    rows = 0
    for row, shown in zip(candidate.repositories, answer(simulation)["repositories"], strict=True):
        expected = []
        for position in row.claimed.tolist():
            archived = verdicts.outcome[position] == Outcome.TRANSITIONED
            expected.append(
                {
                    **image(simulation, position),
                    "action": {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}
                    if archived
                    else {"type": "EXPIRE"},
                    "appliedRulePriority": int(verdicts.rule[position]),
                    "storageClass": "ARCHIVE"
                    if artifacts.image_status[position] == ImageStatus.ARCHIVED
                    else "STANDARD",
                }
            )
        assert shown["previewResults"] == expected
        pushed = [one["imagePushedAt"] for one in expected]
        assert pushed == sorted(pushed)
        rows += len(expected)
        mine = artifacts.repository == row.position
        acted = mine & (verdicts.reason == Reason.CLAIMED) & (verdicts.outcome != Outcome.KEPT)
        assert len(expected) == np.count_nonzero(acted)
    assert rows


def test_untagged_images_have_an_empty_list_of_tags_and_tags_are_sorted() -> None:
    rows = [row for one in answer(build_simulation(4))["repositories"] for row in one["previewResults"]]
    assert [] in [row["imageTags"] for row in rows]
    several = [row["imageTags"] for row in rows if len(row["imageTags"]) > 1]
    assert several
    assert all(names == sorted(names) for names in several)


def test_a_push_time_that_is_not_known_is_left_out() -> None:
    simulation = build_simulation(3)
    position = int(simulation.candidates[0].repositories[0].claimed[0])
    artifacts = simulation.frames.artifacts
    pushed = artifacts.pushed_at_ms.copy()
    pushed[position] = NO_TIME
    frames = replace(simulation.frames, artifacts=replace(artifacts, pushed_at_ms=pushed))
    row = answer(replace(simulation, frames=frames))["repositories"][0]["previewResults"][0]
    assert "imagePushedAt" not in row
    assert row["imageDigest"]


def test_transitions_are_counted_only_where_there_are_some() -> None:
    for policy in (KEEP, ARCHIVE):
        simulation = build_simulation(4, policies=(policy,))
        shown = answer(simulation)["repositories"]
        for row, one in zip(simulation.candidates[0].repositories, shown, strict=True):
            expected: dict[str, Any] = {"expiringImageTotalCount": row.effect.expired}
            if row.effect.transitioned:
                expected["transitioningImageTotalCounts"] = [
                    {"targetStorageClass": "ARCHIVE", "imageTotalCount": row.effect.transitioned}
                ]
            assert one["summary"] == expected
        assert any("transitioningImageTotalCounts" in one["summary"] for one in shown) == (policy == ARCHIVE)


def test_followers_blocked_and_needed_images_are_named_apart() -> None:
    simulation = build_simulation(6, images=40, in_use=True, policies=(ARCHIVE,))
    candidate = simulation.candidates[0]
    verdicts = candidate.verdicts
    found = answer(simulation)["repositories"]
    lists = ("followers", "blocked", "inUse", "protected")
    for row, shown in zip(candidate.repositories, found, strict=True):
        for name, positions in zip(
            lists, (row.followers, row.blocked, row.in_use, row.protected), strict=True
        ):
            expected = [image(simulation, position) for position in positions.tolist()]
            keys = ("imageTags", "imageDigest", "imagePushedAt")
            assert [{key: one[key] for key in keys} for one in shown[name]] == expected
        for name, positions in (("followers", row.followers), ("blocked", row.blocked)):
            key = {"followers": "subjectManifestDigest", "blocked": "blockedBy"}[name]
            by = list(simulation.digests(verdicts.by[positions]))
            assert [one[key] for one in shown[name]] == by
        for position, one in zip(row.in_use.tolist(), shown["inUse"], strict=True):
            assert one["appliedRulePriority"] == (int(verdicts.rule[position]) or None)
    for name in (*lists, "warnings"):
        assert any(one[name] for one in found), name


def test_images_in_use_have_all_their_users() -> None:
    simulation = build_simulation(6, images=40, in_use=True, users=True)
    usage = simulation.usage
    assert usage is not None
    found = answer(simulation)
    for row, shown in zip(simulation.candidates[0].repositories, found["repositories"], strict=True):
        for position, one in zip(row.in_use.tolist(), shown["inUse"], strict=True):
            assert one["inUseAs"] == KINDS[usage.kind[position]]
            assert one["workloads"] == [use_object(use) for use in usage.of(position)]
    counts, totals = found["totals"]["counts"], simulation.candidates[0].totals
    assert counts["inUseRunning"] == totals.in_use_running > 0
    assert counts["inUse"] == totals.in_use > totals.in_use_running + totals.in_use_previous
    assert found["coverage"] == coverage_object(COVERAGE, never_asked="neverAsked")
    assert [one["reference"] for one in found["missingUses"]] == found["missingInUse"]
    unasked = answer(build_simulation(2))
    assert (unasked["coverage"], unasked["missingUses"]) == (None, [])
    assert unasked["totals"]["counts"]["inUseRunning"] is None


def test_warnings_name_their_images() -> None:
    simulation = build_simulation(6)
    for row, shown in zip(
        simulation.candidates[0].repositories, answer(simulation)["repositories"], strict=True
    ):
        assert shown["warnings"] == [
            {"code": one.code, "text": one.text, "images": list(simulation.digests(one.positions))}
            for one in row.warnings
        ]


def test_gaps_and_warnings_about_the_whole_stand_at_the_end() -> None:
    simulation = build_simulation(2, unknowns=True)
    whole = replace(simulation.candidates[0], warnings=("about the policy",))
    accepted = [(Gap("1", "r", "", "ecr:X", "AccessDenied"), "no permission wanted")]
    found = answer(replace(simulation, candidates=(whole,)), accepted_gaps=accepted)
    assert found["gaps"][0]["call"] == "ecr:DescribeImages"
    assert found["gaps"][0]["count"] == 2
    assert found["accepted_gaps"][0]["accepted_because"] == "no permission wanted"
    assert found["warnings"] == ["a policy in the plan is known only after apply", "about the policy"]


# --- bytes and money ----------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["auto", "repository", "registry"])
def test_bytes_stand_at_both_scopes_and_at_the_one_asked_for(scope: Any) -> None:
    simulation = build_simulation(4, scope=scope)
    effect, shown = simulation.candidates[0].totals, answer(simulation)["totals"]["bytes"]
    main = "registry" if scope == "registry" else "repository"
    assert shown["scope"] == main
    assert shown["logical"] == effect.logical_bytes
    assert shown["expiredLogical"] == effect.expired_logical_bytes
    for name, both in (
        ("physical", effect.physical_bytes),
        ("freed", effect.freed_bytes),
        ("archived", effect.archived_bytes),
    ):
        assert {at: shown[at][name] for at in _BOTH} == {at: getattr(both, at) for at in _BOTH}
        assert shown[name] == getattr(both, main)


def columns(cost: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("before", "saving", "expirySaving"):
        for end, money in cost[name].items():
            yield f"{name} {end}", money
    yield "naive", cost["naiveSaving"]


def assert_money_adds_up(candidate: dict[str, Any]) -> None:
    totals = dict(columns(candidate["totals"]["cost"]))
    for name, total in totals.items():
        rows = [dict(columns(row["cost"]))[name] for row in candidate["repositories"]]
        assert {money["currency"] for money in (*rows, total)} == {"USD"}
        if any(money["amount"] is None for money in (*rows, total)):
            continue
        shared = Decimal(0)
        kind, _, end = name.partition(" ")
        if end == "registry" or (end in {"low", "high"} and total["scope"] == "registry"):
            shared = exactly(candidate["shared"]["cost"][kind]["registry"])
        assert sum(map(exactly, rows)) + shared == exactly(total), name


@pytest.mark.parametrize("scope", ["auto", "repository", "registry"])
@pytest.mark.parametrize("mounting", [True, False])
@pytest.mark.parametrize("policy", [KEEP, ARCHIVE])
def test_amounts_add_up_to_the_last_digit(scope: Any, mounting: bool, policy: str) -> None:
    found = answer(build_simulation(17, scope=scope, mounting=mounting, policies=(policy,)))
    assert_money_adds_up(found)
    for name in ("physical", "freed", "archived"):
        for at in _BOTH:
            shared = found["shared"]["bytes"][name]["registry"] if at == "registry" else 0
            rows = sum(row["bytes"][at][name] for row in found["repositories"])
            assert rows + shared == found["totals"]["bytes"][at][name]


@pytest.mark.parametrize(
    ("scope", "mounting", "low"), [("auto", True, "registry"), ("auto", False, "repository")]
)
def test_money_says_at_which_scope_it_stands(scope: Any, mounting: bool, low: str) -> None:
    found = answer(build_simulation(3, scope=scope, mounting=mounting))
    for cost in (found["totals"]["cost"], *(row["cost"] for row in found["repositories"])):
        saving = cost["saving"]
        assert {end: saving[end]["scope"] for end in saving} == {
            "repository": "repository",
            "registry": "registry",
            "low": low,
            "high": "repository",
        }
        assert saving["low"]["amount"] == saving[low]["amount"]
        assert cost["naiveSaving"]["scope"] == "logical"


def test_registries_that_differ_mix_the_scopes_of_the_low_end() -> None:
    simulation = build_simulation(4)
    registries = simulation.frames.registries.copy()
    registries["blob_mounting_ever"] = [True, False]
    found = answer(replace(simulation, frames=replace(simulation.frames, registries=registries)))
    assert found["totals"]["cost"]["saving"]["low"]["scope"] == "mixed"
    lows = {row["region"]: row["cost"]["saving"]["low"]["scope"] for row in found["repositories"]}
    assert lows == {"eu-west-1": "registry", "us-east-1": "repository"}


def test_without_a_region_nothing_is_priced() -> None:
    found = answer(build_simulation(2, offline=True))
    assert found["snapshot"] is None
    assert found["totals"]["cost"] is None
    assert found["shared"]["cost"] is None
    for row in found["repositories"]:
        assert (row["registryId"], row["region"], row["cost"]) == (None, None, None)
        assert row["bytes"]["physical"] > 0


def test_a_region_without_prices_makes_amounts_unknown_and_not_zero() -> None:
    found = answer(build_simulation(4, unpriced=True))
    for row in found["repositories"]:
        money = row["cost"]["before"]["repository"]
        assert (money["amount"] is None) == (row["region"] == "xx-nowhere-1")
    reasons = found["totals"]["cost"]["before"]["repository"]["leaves_out"]
    assert "no price for storage-standard in xx-nowhere-1" in reasons
    assert_money_adds_up(found)


def test_bytes_that_nobody_knows_are_null_and_part_of_the_money_is_said_to_be_missing() -> None:
    found = answer(build_simulation(3, unknowns=True))
    unread = [row for row in found["repositories"] if row["bytes"]["physical"] is None]
    assert len(unread) == 1
    assert unread[0]["bytes"]["logical"] is None
    assert unread[0]["bytes"]["leaves_out"] == ["artifacts of unknown size"]
    assert unread[0]["cost"]["before"]["repository"]["amount"] is None
    assert found["totals"]["cost"]["before"]["repository"]["leaves_out"] == ["artifacts of unknown size"]
    assert found["totals"]["bytes"]["physical"] > 0


def test_what_was_never_listed_is_counted_as_unknown_and_not_as_nothing() -> None:
    simulation = build_simulation(1)
    candidate = simulation.candidates[0]
    row = candidate.repositories[0]
    unknown = Money.unknown(UNLISTED_IMAGES)
    nothing = ScopedBytes(repository=0, registry=0)
    empty = replace(
        row.effect,
        artifacts=0,
        expired=0,
        expired_followers=0,
        blocked=0,
        logical_bytes=0,
        physical_bytes=nothing,
        freed_bytes=nothing,
        cost=ScopedMoney(repository=unknown, registry=unknown),
    )
    never = replace(candidate, repositories=(replace(row, effect=empty),), totals=empty)
    shown = answer(replace(simulation, candidates=(never,)))["repositories"][0]
    assert (shown["counts"]["artifacts"], shown["counts"]["kept"]) == (None, None)
    assert (shown["bytes"]["physical"], shown["bytes"]["logical"]) == (None, None)
    assert shown["counts"]["leaving"] == 0


# --- against the policies in force --------------------------------------------------------------


def test_the_change_from_the_policies_in_force_is_given_where_they_are_known() -> None:
    simulation = build_simulation(5, live=True)
    candidate = simulation.candidates[0]
    found = answer(simulation)
    assert found["totals"]["against"]["repositoriesOfUnknownPolicy"] == 1
    for row, shown in zip(candidate.repositories, found["repositories"], strict=True):
        if row.live is None:
            assert shown["against"] is None
            continue
        change = shown["against"]["change"]
        assert change["leaving"] == row.effect.leaving - row.live.leaving
        assert (
            change["freedBytes"]["registry"]
            == row.effect.freed_bytes.registry - row.live.freed_bytes.registry
        )
        assert shown["against"]["counts"]["leaving"] == row.live.leaving
        saved = exactly(shown["cost"]["saving"]["low"]) - exactly(shown["against"]["cost"]["saving"]["low"])
        assert abs(saved - exactly(change["saving"]["low"])) <= Decimal("0.000002")
    assert "against" not in answer(build_simulation(2))["repositories"][0]


def test_what_rules_bring_and_whether_archiving_pays_are_told() -> None:
    simulation = build_simulation(3, policies=(ARCHIVE,), by_rule=True)
    found = answer(simulation)
    assert [one["rulePriority"] for one in found["rules"]] == [2, 3]
    assert [one["region"] for one in found["archiving"]] == ["eu-west-1", "us-east-1"]
    assert {one["saves"] for one in found["archiving"]} <= {False, None}
    assert found["archiving"][0]["minimumCost"]["period"] == "90 days"


# --- other people's text, and size --------------------------------------------------------------


def test_hostile_text_comes_back_as_it_was_and_is_escaped() -> None:
    simulation = build_simulation(
        14, hostile=True, in_use=True, users=True, policies=(KEEP, ARCHIVE, NOTHING)
    )
    text = render_what_if(simulation)
    text.encode("utf-8")
    for unseen in ("\u202e", "\u2066", "\u200b", "\x1b", "\x00", "\ud800", "\x7f"):
        assert unseen not in text
    found = json.loads(text)
    names = {row["repositoryName"] for row in found["candidates"][0]["repositories"]}
    assert set(HOSTILE) <= names
    assert found["candidates"][0]["policy"] == HOSTILE[0]


def test_equal_simulations_give_equal_text_in_any_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {"in_use": True, "live": True, "policies": (KEEP, ARCHIVE)}
    text = render_what_if(build_simulation(9, **arguments))
    assert text == render_what_if(build_simulation(9, **arguments))
    monkeypatch.setattr("reports.what_if_json._AT_ONCE", 1)
    chunks = list(what_if_chunks(build_simulation(9, **arguments)))
    assert len(chunks) > 9
    assert "".join(chunks) == text
    assert text.endswith("}\n")


def test_no_repositories_at_all() -> None:
    found = answer(build_simulation(0))
    assert found["repositories"] == []
    assert found["totals"]["counts"]["artifacts"] == 0


# --- whatever the simulator says ----------------------------------------------------------------


def simulated(case: LifecycleCase) -> Simulation:
    world = case.world
    texts = [policy_json(policy) for policy in case.policies]
    names = [one.digest for one in world.images]
    return simulate(
        WhatIf(
            proposals=[Proposal(name="p", policies=case.policies, texts=texts, policy_of=case.policy_array)],
            rows=np.arange(len(world.frames.repositories)),
            at_ms=case.now_ms,
            in_use=np.ones(len(names), np.bool_),
        ),
        world.frames,
        world.facts,
        world.families,
        bundled_prices(),
        digests=lambda positions: [names[position] for position in positions.tolist()],
    )


@given(lifecycle_cases())
@examples(60)
def test_every_artifact_stands_where_its_verdict_puts_it(case: LifecycleCase) -> None:
    simulation = simulated(case)
    found = answer(simulation)
    assert to_ms(simulation.at) == case.now_ms
    verdicts = simulation.candidates[0].verdicts
    for row, shown in zip(simulation.candidates[0].repositories, found["repositories"], strict=True):
        mine = np.flatnonzero(simulation.frames.artifacts.repository == row.position)
        acted = [one["imageDigest"] for name in ("previewResults", "followers") for one in shown[name]]
        outcome = verdicts.outcome[mine]
        assert sorted(acted) == sorted(simulation.digests(mine[outcome != Outcome.KEPT]))
        assert shown["counts"]["kept"] == np.count_nonzero(outcome == Outcome.KEPT)
        assert len(shown["inUse"]) == len(acted)
        assert shown["summary"]["expiringImageTotalCount"] == sum(
            one["action"]["type"] == "EXPIRE" for one in shown["previewResults"]
        )
        blocked = verdicts.reason[mine] == Reason.BLOCKED_BY_INDEX
        assert sorted(one["imageDigest"] for one in shown["blocked"]) == sorted(
            simulation.digests(mine[blocked])
        )
    assert_money_adds_up(found)
