"""The simulator against a slow recount: every count, byte and cent of every effect, every list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given

from analyzer.lifecycle.savings import Holdings
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.simulation import Candidate, Effect, RepositoryEffect, RuleEffect
from analyzer.model.units import Money
from analyzer.model.verdicts import Outcome
from tests.oracle import simulation as oracle
from tests.oracle.simulation import SCOPES, Amount
from tests.strategies.simulation import SimulationCase, draw_simulation, policies_of, simulation_cases
from tests.support.examples import examples

#: Amounts that never end as decimals are carried to 150 digits.
_DUST = Fraction(1, 10**100)
_MONEY = ("cost", "saving", "expiry_saving")
_BYTES = ("physical_bytes", "freed_bytes", "archived_bytes")


def assert_money(got: Money, expected: Amount, what: str) -> None:
    assert set(got.leaves_out) == expected.leaves_out, what
    assert (got.amount is None) == (expected.usd is None), (what, got, expected)
    if got.amount is not None and expected.usd is not None:
        assert abs(Fraction(got.amount) - expected.usd) < _DUST, (what, got, float(expected.usd))


def assert_effect(got: Effect, expected: oracle.Effect) -> None:
    assert {name: getattr(got, name) for name in expected.counts} == expected.counts
    assert {name: getattr(got, name) for name in expected.plain_bytes} == expected.plain_bytes
    for name in _BYTES:
        assert at_both(getattr(got, name)) == expected.bytes[name], name
    for name in _MONEY:
        both: ScopedMoney = getattr(got, name)
        for scope in SCOPES:
            assert_money(getattr(both, scope), expected.money[f"{name}.{scope}"], f"{name} at {scope}")
    for name in ("saving_low", "saving_high", "naive_saving"):
        assert_money(getattr(got, name), expected.money[name], name)


def at_both(size: ScopedBytes) -> dict[str, int]:
    return {"repository": size.repository, "registry": size.registry}


def assert_row(got: RepositoryEffect, judged: oracle.Judged) -> None:
    assert_effect(got.effect, judged.row_effect(got.position))
    expected = judged.lists(got.position)
    for name in ("claimed", "followers", "blocked", "in_use", "protected"):
        assert getattr(got, name).tolist() == getattr(expected, name), name


# Shrinking a failure takes minutes, for every example is judged and priced twice.
@pytest.mark.timeout(600)
@examples(100)
@given(simulation_cases())
def test_every_figure_equals_a_slow_recount(case: SimulationCase) -> None:
    simulation, question = case.simulated(), case.question
    assert [one.name for one in simulation.candidates] == [one.name for one in question.proposals]
    live = None if question.against is None else case.judged(question.against)
    for candidate, proposal in zip(simulation.candidates, question.proposals, strict=True):
        judged = case.judged(proposal)
        assert candidate.verdicts.outcome.tolist() == [one.outcome for one in judged.verdicts]
        assert_effect(candidate.totals, judged.effect(question.rows.tolist()))
        assert sorted(row.position for row in candidate.repositories) == question.rows.tolist()
        for row in candidate.repositories:
            assert_row(row, judged)
        assert_against(case, candidate, live)
        assert_archiving(candidate, judged)
        assert_order(candidate.repositories)


def assert_against(case: SimulationCase, candidate: Candidate, live: oracle.Judged | None) -> None:
    problems = case.question.not_in_force or {}
    if live is None:
        assert candidate.live_totals is None
    else:
        assert candidate.live_totals is not None
        assert_effect(candidate.live_totals, live.effect(case.question.rows.tolist()))
    for row in candidate.repositories:
        told = [one.text for one in row.warnings if one.code == "POLICY_UNKNOWN"]
        if live is None or row.position in problems:
            assert row.live is None
            assert told == ([] if live is None else [problems[row.position]])
        else:
            assert told == []
            assert row.live is not None
            assert_effect(row.live, live.row_effect(row.position))


def assert_archiving(candidate: Candidate, judged: oracle.Judged) -> None:
    expected = judged.archiving()
    assert [one.region for one in candidate.archiving] == [one.region for one in expected]
    for got, one in zip(candidate.archiving, expected, strict=True):
        assert got.archived_bytes == one.archived_bytes
        assert_money(got.saving, one.saving, "saving of archiving")
        assert got.saves is (None if one.saving.usd is None else one.saving.usd > 0)
        assert (got.minimum_days, got.minimum_cost.period) == (90, "90 days")
        for money, usd in ((got.minimum_cost, one.minimum_cost), (got.retrieval_cost, one.retrieval_cost)):
            assert (money.amount is None) == (usd is None)
            if money.amount is not None and usd is not None:
                assert abs(Fraction(money.amount) - usd) < _DUST


def assert_order(rows: Sequence[RepositoryEffect]) -> None:
    """Greatest promised saving first, unknown ones last; of equals the one that frees most."""
    for one, other in pairwise(rows):
        mine, theirs = one.effect.saving_low.amount, other.effect.saving_low.amount
        assert mine is not None or theirs is None
        if mine is not None and theirs is not None:
            assert mine >= theirs
        if mine == theirs:
            assert one.effect.freed_bytes.repository >= other.effect.freed_bytes.repository


@pytest.mark.timeout(600)
@examples(30)
@given(simulation_cases())
def test_every_rule_brings_what_is_missing_without_it(case: SimulationCase) -> None:
    proposal = case.question.proposals[0]
    (candidate,) = case.simulated(proposals=[proposal], by_rule=True, against=None).candidates
    used = {number for number in proposal.policy_of[case.question.rows].tolist() if number >= 0}
    if len(used) != 1:
        assert candidate.rules == ()
        return
    expected = oracle.rules(case.oracle_world, policies_of(proposal))
    assert [rule.priority for rule in candidate.rules] == [rule.priority for rule in expected]
    for got, one in zip(candidate.rules, expected, strict=True):
        assert (got.expired, got.transitioned) == (one.expired, one.transitioned)
        assert at_both(got.alone_freed_bytes) == one.alone.bytes["freed_bytes"]
        for scope in SCOPES:
            assert_rule_at(got, one, candidate.totals, scope)


def assert_rule_at(got: RuleEffect, one: oracle.RuleEffect, totals: Effect, scope: str) -> None:
    freed = getattr(totals.freed_bytes, scope)
    assert getattr(got.marginal_freed_bytes, scope) + one.without.bytes["freed_bytes"][scope] == freed
    assert_money(getattr(got.alone_saving, scope), one.alone.money[f"saving.{scope}"], f"alone at {scope}")
    whole, without = getattr(totals.saving, scope), one.without.money[f"saving.{scope}"]
    marginal: Money = getattr(got.marginal_saving, scope)
    assert set(marginal.leaves_out) == {*whole.leaves_out, *without.leaves_out}
    assert (marginal.amount is None) == (whole.amount is None or without.usd is None)
    if marginal.amount is not None and without.usd is not None:
        assert abs(Fraction(marginal.amount) + without.usd - Fraction(whole.amount)) < _DUST


def test_the_random_questions_hold_what_is_to_be_compared() -> None:
    # A recount of questions in which nothing happens would compare nothing.
    seen: dict[str, int] = {}

    def count(**found: bool) -> None:
        for name, is_there in found.items():
            seen[name] = seen.get(name, 0) + bool(is_there)

    for case in _seeded(150):
        simulation = case.simulated()
        for candidate in simulation.candidates:
            totals, rows = candidate.totals, candidate.repositories
            own = sum(row.effect.freed_bytes.registry for row in rows)
            count(
                expired=totals.freed_bytes.repository > 0,
                archived=totals.archived_bytes.repository > 0,
                archive_freed=_archive_changed(case, candidate),
                shared=totals.freed_bytes.registry > own,
                differs=totals.freed_bytes.registry < totals.freed_bytes.repository,
                outside=len(rows) < len(case.world.repositories),
                unknown_size=totals.unknown_size > 0,
                unpriced=any("no price" in reason for reason in totals.saving.repository.leaves_out),
                no_region="the region is not known" in totals.saving.repository.leaves_out,
                negative=(totals.saving.registry.amount or Decimal(0)) < 0,
                followers=totals.expired_followers > 0,
                blocked=totals.blocked > 0,
                deferred=totals.deferred > 0,
                in_use=totals.in_use > 0,
                replicas=any(row.replicas for row in rows),
                pays=any(one.saves for one in candidate.archiving),
                costs=any(one.saves is False for one in candidate.archiving),
            )
    assert {name for name, times in seen.items() if times < 2} == set(), seen


def _archive_changed(case: SimulationCase, candidate: Candidate) -> bool:
    savings = Holdings(case.frames, case.world.families).measure(candidate.verdicts.outcome)
    return bool(savings.registries["freed_archive_bytes_repository"].sum())


def _seeded(count: int) -> list[SimulationCase]:
    return [draw_simulation(Random(seed)) for seed in range(count)]


@examples(30)
@given(simulation_cases())
def test_replicas_say_what_their_own_policies_do(case: SimulationCase) -> None:
    frames, world = case.frames, case.world
    everywhere = replace(case.oracle_world, rows=range(len(world.repositories)))
    verdicts = oracle.Judged(everywhere, policies_of(case.in_force)).verdicts
    of = frames.artifacts.repository
    for row in case.simulated().candidates[0].repositories:
        expected = []
        for other in range(len(world.repositories)):
            if _are_replicas(case, row.position, other):
                mine = [verdicts[position].outcome for position in np.flatnonzero(of == other)]
                registry = frames.registries.iloc[int(frames.repositories["registry"].iloc[other])]
                known = bool(frames.repositories["lifecycle_policy_known"].iloc[other])
                has_policy = bool(case.in_force.policy_of[other] >= 0)
                expected.append(
                    (
                        registry["account"],
                        registry["region"],
                        has_policy if known else None,
                        mine.count(Outcome.EXPIRED),
                        mine.count(Outcome.TRANSITIONED),
                    )
                )
        got = [(r.account, r.region, r.has_policy, r.expired, r.transitioned) for r in row.replicas]
        assert got == expected


def _are_replicas(case: SimulationCase, one: int, other: int) -> bool:
    rows: Mapping[str, list[object]] = case.frames.repositories.to_dict("list")  # type: ignore[assignment]
    if rows["registry"][one] == rows["registry"][other] or not rows["repository"][one]:
        return False
    mine, theirs = ({image.digest for image in case.world.repositories[row]} for row in (one, other))
    smaller = min(len(mine), len(theirs))
    return (
        rows["repository"][one] == rows["repository"][other]
        and smaller > 0
        and 2 * len(mine & theirs) >= smaller
    )
