"""What a simulation promises whatever it is asked, and single cases written by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pandas as pd
from hypothesis import given

from analyzer.families import find_families
from analyzer.lifecycle.policy import Action, Policy
from analyzer.model.frames import Frames, Int64, LifecycleFacts
from analyzer.model.records import ImageStatus
from analyzer.model.results import ScopedMoney
from analyzer.model.simulation import Effect, RepositoryEffect, Simulation
from analyzer.model.units import GB, Money, from_ms
from analyzer.model.verdicts import Outcome, Reason
from analyzer.pricing import PriceBook, bundled_prices, load_prices
from analyzer.simulation import Proposal, WhatIf, simulate
from tests.analyzer.lifecycle.worlds import NOW_MS, HandMade, Pushed, Repository, make_world, rule
from tests.strategies.simulation import SimulationCase, same_everywhere, simulation_cases
from tests.support.examples import examples
from tests.support.usage import usage_of, use

_SCOPES = ("repository", "registry")
_MONEY = ("cost", "saving", "expiry_saving")
_COUNTS = (
    "artifacts",
    "expired",
    "expired_followers",
    "transitioned",
    "transitioned_followers",
    "blocked",
    "deferred",
    "near_limit",
    "in_use",
    "protected",
    "unknown_size",
    "kept",
    "leaving",
    "archiving",
)
_DUST = Fraction(1, 10**100)
#: Keeps everything, and yet selects all.
_KEEP_ALL = Policy((rule(1, keep=2**31 - 1),))
_FLAT = load_prices(
    'format = 1\ncurrency = "USD"\n[[storage]]\nclass = "standard"\nregions = ["eu-west-1", "us-east-1"]\n'
    'as_of = "2026-11"\nsource = "test"\nconfidence = "high"\n'
    'tiers = [{ from_gb = 0, usd_per_gb_month = "0.1" }]\n',
    origin="test",
)


def _sum(amounts: Iterable[Money]) -> Decimal:
    with localcontext() as context:
        context.prec = 200
        return sum((money.amount or Decimal(0) for money in amounts), Decimal(0))


def _at(effect: Effect, name: str, scope: str) -> Money:
    both: ScopedMoney = getattr(effect, name)
    money: Money = getattr(both, scope)
    return money


def _is_priced(money: Money) -> bool:
    """Whether a price or the region is what is missing, if anything is."""
    return not any("price" in reason or "region" in reason for reason in money.leaves_out)


# Whatever is asked.


@examples(40)
@given(simulation_cases())
def test_rows_add_up_to_the_totals(case: SimulationCase) -> None:
    for candidate in case.simulated().candidates:
        totals, rows = candidate.totals, [row.effect for row in candidate.repositories]
        for name in (*_COUNTS, "logical_bytes", "expired_logical_bytes"):
            assert getattr(totals, name) == sum(getattr(row, name) for row in rows), name
        for name in ("physical_bytes", "freed_bytes", "archived_bytes"):
            whole, parts = getattr(totals, name), [getattr(row, name) for row in rows]
            assert whole.repository == sum(part.repository for part in parts), name
            assert whole.registry >= sum(part.registry for part in parts), name
        for name in _MONEY:
            money = [_at(row, name, "repository") for row in rows]
            total = _at(totals, name, "repository")
            # Where a class has no price, rows of both signs may cancel out in a total that is known.
            if all(map(_is_priced, [*money, total])):
                assert abs(Fraction(total.amount or 0) - Fraction(_sum(money))) < _DUST, name
        if all(_is_priced(row.naive_saving) for row in rows):
            naive = _sum(row.naive_saving for row in rows)
            assert abs(Fraction(totals.naive_saving.amount or 0) - Fraction(naive)) < _DUST


@examples(40)
@given(simulation_cases())
def test_a_saving_is_the_bill_before_less_the_bill_after(case: SimulationCase) -> None:
    everything = np.arange(len(case.world.repositories))
    keep = same_everywhere(_KEEP_ALL, len(everything))
    for candidate in case.simulated(rows=everything).candidates:
        outcome = candidate.verdicts.outcome
        frames, facts = _come_true(case.frames, case.world.facts, outcome)
        (after,) = simulate(
            WhatIf(proposals=[keep], rows=everything, at_ms=case.question.at_ms),
            frames,
            facts,
            find_families(frames),
            case.prices,
            digests=case.digests,
        ).candidates
        for scope in _SCOPES:
            bill = _at(candidate.totals, "cost", scope)
            then, saved = _at(after.totals, "cost", scope), _at(candidate.totals, "saving", scope)
            if all(map(_is_priced, (bill, then, saved))):
                spent = Fraction(bill.amount or 0) - Fraction(then.amount or 0)
                assert abs(spent - Fraction(saved.amount or 0)) < _DUST


def _come_true(frames: Frames, facts: LifecycleFacts, outcome: np.ndarray) -> tuple[Frames, LifecycleFacts]:
    """What is left after ``outcome``."""
    artifacts, kept = frames.artifacts, outcome != Outcome.EXPIRED
    columns = {field.name: getattr(artifacts, field.name)[kept] for field in fields(artifacts)}
    archived = outcome[kept] == Outcome.TRANSITIONED
    columns["image_status"] = np.where(archived, ImageStatus.ARCHIVED, columns["image_status"]).astype(
        np.uint8
    )
    left = {
        name: getattr(facts, name)[kept]
        for name in ("pulled_at_ms", "archived_at_ms", "activated_at_ms", "tie")
    }
    untagged = np.zeros(int(kept.sum()) + 1, np.int64)
    return (
        replace(frames, artifacts=replace(artifacts, **columns)),
        replace(facts, **left, tag_offsets=untagged, tags=np.zeros(0, np.int32)),
    )


@examples(25)
@given(simulation_cases())
def test_nothing_moves_outside_the_repositories_in_question(case: SimulationCase) -> None:
    rows, of = case.question.rows, case.frames.artifacts.repository
    outside = ~np.isin(of, rows)
    simulation = case.simulated()
    for candidate, proposal in zip(simulation.candidates, case.question.proposals, strict=True):
        assert (candidate.verdicts.outcome[outside] == Outcome.KEPT).all()
        assert (candidate.verdicts.reason[outside] == Reason.NO_POLICY).all()
        # What a proposal says of others changes nothing of the answer.
        silent = np.full(len(proposal.policy_of), -1)
        silent[rows] = proposal.policy_of[rows]
        (again,) = case.simulated(proposals=[replace(proposal, policy_of=silent)]).candidates
        assert again.totals == candidate.totals
        assert [row.effect for row in again.repositories] == [row.effect for row in candidate.repositories]


@examples(40)
@given(simulation_cases())
def test_keeping_everything_saves_exactly_nothing(case: SimulationCase) -> None:
    keep = same_everywhere(_KEEP_ALL, len(case.world.repositories))
    (candidate,) = case.simulated(proposals=[keep], by_rule=True).candidates
    for effect in (candidate.totals, *(row.effect for row in candidate.repositories)):
        assert effect.leaving == effect.archiving == effect.expired_logical_bytes == 0
        for scope in _SCOPES:
            assert _at(effect, "saving", scope) == _at(effect, "expiry_saving", scope) == Money(Decimal(0))
        assert effect.saving_low == effect.saving_high == effect.naive_saving == Money(Decimal(0))
    assert candidate.archiving == ()
    for one in candidate.rules:
        assert one.marginal_saving == ScopedMoney(repository=Money(Decimal(0)), registry=Money(Decimal(0)))


@examples(30)
@given(simulation_cases())
def test_no_policy_at_all_is_the_same_as_none_in_question(case: SimulationCase) -> None:
    nothing = Proposal(
        name="nothing", policies=(), texts=(), policy_of=np.full(len(case.world.repositories), -1)
    )
    (candidate,) = case.simulated(proposals=[nothing], by_rule=True).candidates
    assert candidate.rules == ()
    assert candidate.totals.leaving == 0
    assert {row.policy_text for row in candidate.repositories} <= {None}
    (none,) = case.simulated(rows=np.zeros(0, np.int64)).candidates[:1]
    assert none.repositories == ()
    assert none.totals.artifacts == none.totals.physical_bytes.registry == 0
    assert none.totals.cost.registry == none.totals.saving_low == Money(Decimal(0))


@examples(30)
@given(simulation_cases())
def test_of_one_flat_price_the_promised_saving_is_the_smaller_one(case: SimulationCase) -> None:
    # Not so of tiers: where less is stored a byte may be worth more.
    flat = replace(case, prices=_FLAT)
    for candidate in flat.simulated(scope="auto").candidates:
        if candidate.totals.archived_bytes.registry:
            continue
        for effect in (candidate.totals, *(row.effect for row in candidate.repositories)):
            low, high = effect.saving_low.amount, effect.saving_high.amount
            if low is not None and high is not None and _is_priced(effect.saving_high):
                assert low <= high
    for scope in _SCOPES:
        for candidate in flat.simulated(scope=scope).candidates:
            money = _at(candidate.totals, "saving", scope)
            assert candidate.totals.saving_low == candidate.totals.saving_high == money


@examples(30)
@given(simulation_cases())
def test_what_a_class_without_a_price_holds_is_unknown_and_never_nothing(case: SimulationCase) -> None:
    priceless = replace(case, prices=PriceBook())
    for candidate in priceless.simulated().candidates:
        for effect in (candidate.totals, *(row.effect for row in candidate.repositories)):
            for scope in _SCOPES:
                size = {name: getattr(getattr(effect, f"{name}_bytes"), scope) for name in _SIZES}
                cost, saved = _at(effect, "cost", scope), _at(effect, "saving", scope)
                unknown = bool(cost.leaves_out) and not _is_priced(cost)
                assert unknown == (size["physical"] > 0)
                assert (cost.amount is None) == bool(cost.leaves_out)
                if size["freed"] or size["archived"]:
                    # Of a registry what one repository loses to the archive another may take from it.
                    assert saved.amount is None or saved.amount == 0
                    assert saved.amount is None or size["archived"]
            assert effect.saving_low.amount in {None, Decimal(0)}


_SIZES = ("physical", "freed", "archived")


@examples(30)
@given(simulation_cases())
def test_the_same_question_has_the_same_answer_whatever_was_asked_beside(case: SimulationCase) -> None:
    simulation = case.simulated()
    for number, proposal in enumerate(case.question.proposals):
        (alone,) = case.simulated(proposals=[proposal], against=None).candidates
        beside = simulation.candidates[number]
        assert alone.totals == beside.totals
        assert [row.effect for row in alone.repositories] == [row.effect for row in beside.repositories]


# Cases written by hand.


def _simulate(
    world: HandMade,
    *policies: Policy,
    prices: PriceBook | None = None,
    frames: Frames | None = None,
    in_force: Proposal | None = None,
    **more: object,
) -> Simulation:
    rows = len(world.frames.repositories)
    question: dict[str, object] = {
        "proposals": [
            same_everywhere(policy, rows, f"{number}.json") for number, policy in enumerate(policies)
        ],
        "rows": world.rows,
        "at_ms": world.at_ms,
        **more,
    }
    return simulate(
        WhatIf(**question),  # type: ignore[arg-type]
        frames or world.frames,
        world.facts,
        world.families,
        prices or bundled_prices(),
        digests=world.digests,
        in_force=in_force,
    )


def _names(world: HandMade, positions: Int64) -> list[str]:
    return [world.names[position] for position in positions.tolist()]


def _one_row(simulation: Simulation) -> RepositoryEffect:
    (row,) = simulation.candidates[0].repositories
    return row


_OLD = Policy((rule(1, pushed=10),))
_ARCHIVE_OLD = Policy((rule(1, pushed=10, action=Action.TRANSITION),))


def test_what_leaves_is_priced_by_the_layers_that_nobody_else_holds() -> None:
    world = make_world(
        Repository(
            images=(
                Pushed(name="old", age=20, blobs={"base": 4 * GB, "own": GB}),
                Pushed(name="new", age=1, blobs={"base": 4 * GB}),
            )
        )
    )
    effect = _one_row(_simulate(world, _OLD)).effect
    assert (effect.logical_bytes, effect.expired_logical_bytes) == (9 * GB, 5 * GB)
    assert (effect.physical_bytes.repository, effect.freed_bytes.repository) == (5 * GB, GB)
    assert effect.cost.repository == Money(Decimal("0.5"))
    assert effect.saving.repository == effect.saving_low == Money(Decimal("0.1"))
    # What tools say that add up image sizes.
    assert effect.naive_saving == Money(Decimal("0.5"))


def test_layers_that_repositories_share_leave_the_registry_with_the_last_of_them() -> None:
    shared = {"base": 2 * GB}
    world = make_world(
        Repository(name="one", images=(Pushed(name="a", age=20, blobs=shared),)),
        Repository(name="two", images=(Pushed(name="b", age=20, blobs=shared),)),
    )
    world.frames.registries["blob_mounting_ever"] = [True]
    both = _simulate(world, _OLD).candidates[0]
    assert (both.totals.freed_bytes.repository, both.totals.freed_bytes.registry) == (4 * GB, 2 * GB)
    assert (both.totals.saving_low.amount, both.totals.saving_high.amount) == (Decimal("0.2"), Decimal("0.4"))
    # No repository by itself can promise them.
    assert [row.effect.saving_low.amount for row in both.repositories] == [0, 0]
    one = _simulate(world, _OLD, rows=np.array([0])).candidates[0]
    assert (one.totals.physical_bytes.registry, one.totals.freed_bytes.registry) == (2 * GB, 0)
    assert one.totals.cost.registry == Money(Decimal("0.2"))


def test_sharing_that_was_never_on_leaves_but_one_figure() -> None:
    world = make_world(
        *(
            Repository(name=name, images=(Pushed(name=name, age=20, blobs={"base": GB}),))
            for name in ("one", "two")
        )
    )
    totals = _simulate(world, _OLD).candidates[0].totals
    assert totals.saving.registry.amount == Decimal("0.1")
    assert totals.saving_low == totals.saving_high == Money(Decimal("0.2"))


def test_archiving_below_the_second_tier_saves_exactly_nothing() -> None:
    world = make_world(Repository(images=(Pushed(name="old", age=20, blobs={"own": 3 * GB}),)))
    candidate = _simulate(world, _ARCHIVE_OLD).candidates[0]
    assert candidate.totals.archived_bytes.repository == 3 * GB
    assert candidate.totals.saving_low == Money(Decimal(0))
    (archiving,) = candidate.archiving
    assert (archiving.region, archiving.archived_bytes, archiving.saves) == ("eu-west-1", 3 * GB, False)
    assert archiving.retrieval_cost.amount


def test_bytes_of_unknown_size_make_savings_say_so() -> None:
    unknown = Pushed(name="unread", age=20, unread=True)
    known = Pushed(name="read", age=20, blobs={"own": GB})
    reason = ("artifacts of unknown size",)
    alone = make_world(Repository(images=(unknown,)))
    effect = _one_row(_simulate(alone, _OLD)).effect
    assert effect.unknown_size == 1
    for money in (effect.cost.repository, effect.saving.registry, effect.saving_low, effect.naive_saving):
        assert money == Money(None, leaves_out=reason)
    beside = make_world(Repository(images=(unknown, known)))
    effect = _one_row(_simulate(beside, _OLD)).effect
    assert effect.saving_low == effect.expiry_saving.registry == Money(Decimal("0.1"), leaves_out=reason)
    # It stays: what leaves is known.
    effect = _one_row(_simulate(beside, Policy((rule(1, "*", pushed=10),)))).effect
    assert effect.saving_low == Money(Decimal(0))
    assert effect.cost.repository.leaves_out == reason


def test_archiving_something_of_unknown_size_may_save_or_cost() -> None:
    unknown = Pushed(name="unread", age=20, unread=True)
    reason = ("artifacts of unknown size",)
    effect = _one_row(_simulate(make_world(Repository(images=(unknown,))), _ARCHIVE_OLD)).effect
    assert (effect.transitioned, effect.unknown_size) == (1, 0)
    assert effect.saving_low == effect.saving.registry == Money(None, leaves_out=reason)
    # Nothing at all leaves.
    assert effect.expiry_saving.repository == effect.naive_saving == Money(Decimal(0))
    known = Pushed(name="read", age=20, blobs={"own": GB})
    effect = _one_row(_simulate(make_world(Repository(images=(unknown, known))), _ARCHIVE_OLD)).effect
    # Of what is known it is known that it saves nothing.
    assert effect.saving_low == Money(Decimal(0), leaves_out=reason)


def test_a_repository_that_was_never_listed_may_hold_more() -> None:
    world = make_world(Repository(images=(Pushed(name="old", age=20, blobs={"own": GB}),), listed=False))
    effect = _one_row(_simulate(world, _OLD)).effect
    assert effect.cost.repository.leaves_out == ("images that were never listed",)
    assert effect.saving_low == Money(Decimal("0.1"))


def test_an_unknown_region_has_no_money_and_costs_nothing_where_nothing_is() -> None:
    world = make_world(
        Repository(name="empty"),
        Repository(name="full", images=(Pushed(name="old", age=20, blobs={"own": GB}),)),
    )
    world.frames.registries["region"] = [""]
    candidate = _simulate(world, _OLD).candidates[0]
    rows = {row.repository: row for row in candidate.repositories}
    assert {row.region for row in candidate.repositories} == {None}
    assert rows["empty"].effect.cost.repository == Money(Decimal(0))
    assert rows["full"].effect.saving_low == Money.unknown("the region is not known")
    assert candidate.totals.naive_saving == Money.unknown("the region is not known")
    assert candidate.totals.freed_bytes.repository == GB
    # Unknown savings come last.
    assert [row.repository for row in candidate.repositories] == ["empty", "full"]


def test_a_policy_in_force_that_is_not_known_is_not_compared_with() -> None:
    image = Pushed(name="old", age=20, blobs={"own": GB})
    world = make_world(Repository(name="one", images=(image,)), Repository(name="two", images=(image,)))
    live = Proposal(name="live", policies=(_KEEP_ALL,), texts=("keep",), policy_of=np.array([0, -1]))
    reasons = {1: "it could not be read"}
    compared = _simulate(world, _OLD, against=live, not_in_force=reasons)
    one, two = sorted(compared.candidates[0].repositories, key=lambda row: row.position)
    assert one.live is not None
    assert one.live.freed_bytes.repository == 0
    assert two.live is None
    assert [(w.code, w.text, w.positions.tolist()) for w in two.warnings] == [
        ("POLICY_UNKNOWN", "it could not be read", [])
    ]
    # Where nothing is compared, it does not matter.
    alone = _simulate(world, _OLD, not_in_force=reasons).candidates[0]
    assert alone.live_totals is None
    assert not any(row.warnings for row in alone.repositories)


def test_a_replica_whose_policy_is_not_understood_is_not_said_to_keep_everything() -> None:
    image = Pushed(name="old", age=20, blobs={"own": GB})
    world = make_world(
        Repository(name="app", images=(image,)), Repository(name="app", images=(image,), registry=1)
    )
    (first, second) = (np.array([0]), np.array([1]))
    world.frames.repositories["lifecycle_policy_text"] = pd.Series([None, "{}"], dtype=object)
    unread = Proposal(name="live", policies=(), texts=(), policy_of=np.array([-1, -1]))
    (replica,) = _one_row(_simulate(world, _OLD, rows=first, in_force=unread)).replicas
    assert (replica.account, replica.region, replica.has_policy) == ("111111111111", "us-east-1", None)
    (replica,) = _one_row(_simulate(world, _OLD, rows=second, in_force=unread)).replicas
    assert (replica.has_policy, replica.expired) == (False, 0)
    read = Proposal(name="live", policies=(_OLD,), texts=("old",), policy_of=np.array([-1, 0]))
    (replica,) = _one_row(_simulate(world, _OLD, rows=first, in_force=read)).replicas
    assert (replica.has_policy, replica.expired, replica.transitioned) == (True, 1, 0)
    # Asked of a world whose policies nobody looked at.
    (replica,) = _one_row(_simulate(world, _OLD, rows=first)).replicas
    assert replica.has_policy is None


def test_lists_go_by_age_and_equal_ages_by_digest() -> None:
    # Numbers of digests in a database go against the names here: see worlds.
    archived = {"status": ImageStatus.ARCHIVED, "archived": 100}
    world = make_world(
        Repository(
            images=(
                Pushed(name="b", age=30),
                Pushed(name="a", age=30),
                Pushed(name="c", age=40),
                Pushed(name="d", age=500, **archived),  # type: ignore[arg-type]
                Pushed(name="e", age=600, **archived),  # type: ignore[arg-type]
                Pushed(name="index", age=None, children=("b2", "a2")),
                Pushed(name="b2", age=30),
                Pushed(name="a2", age=30),
                Pushed(name="s2", age=90, subject="c"),
                Pushed(name="s1", age=90, subject="c"),
            )
        )
    )
    policy = Policy((rule(1, pushed=10), rule(2, transitioned=90)))
    everything = np.ones(len(world.names), np.bool_)
    row = _one_row(_simulate(world, policy, in_use=everything, protected=everything))
    assert _names(world, row.claimed) == ["d", "e", "c", "a", "b"]
    assert _names(world, row.followers) == ["s1", "s2"]
    assert _names(world, row.blocked) == ["a2", "b2"]
    assert _names(world, row.in_use) == ["d", "e", "s1", "s2", "c", "a", "b"]
    assert row.protected.tolist() == row.in_use.tolist()
    told = {warning.code: _names(world, warning.positions) for warning in row.warnings}
    assert told["FOLLOWS_SUBJECT"] == ["s1", "s2"]
    assert told["UNKNOWN_TIME"] == ["index"]


def test_warnings_go_to_the_repository_that_they_are_about() -> None:
    def images(*names: str) -> tuple[Pushed, ...]:
        return tuple(Pushed(name=name, age=10) for name in names)

    world = make_world(
        Repository(name="one", images=images("b", "a")),
        Repository(name="three", images=(Pushed(name="e", age=100),)),
        Repository(name="two", images=images("d", "c")),
    )
    rows = {row.repository: row for row in _simulate(world, _OLD).candidates[0].repositories}
    for name, expected in (("one", ["a", "b"]), ("two", ["c", "d"])):
        (warning,) = rows[name].warnings
        assert (warning.code, _names(world, warning.positions)) == ("NEAR_LIMIT", expected)
    assert rows["three"].warnings == ()


def test_rules_are_shown_where_one_policy_applies_and_not_where_several_do() -> None:
    blobs = {"own": GB}
    world = make_world(
        Repository(name="one", images=(Pushed(name="a", age=20, blobs=blobs),)),
        Repository(name="two", images=(Pushed(name="b", tags=("v1",), age=20, blobs={"other": 2 * GB}),)),
        Repository(name="zero", images=()),
    )
    shield = Policy((rule(1, "v*", keep=5), rule(2, pushed=10)))
    several = Proposal(
        name="plan", policies=(shield, _OLD), texts=("shield", "old"), policy_of=np.array([0, 1, -1])
    )
    assert _simulate(world, shield).candidates[0].rules == ()
    (candidate,) = _simulate(world, proposals=[several], by_rule=True).candidates
    assert candidate.rules == ()
    one = replace(several, policy_of=np.array([0, 0, -1]))
    first, second = _simulate(world, proposals=[one], by_rule=True).candidates[0].rules
    # Without the first rule the second would take more.
    assert (first.expired, first.marginal_freed_bytes.repository) == (0, -2 * GB)
    assert first.marginal_saving.repository.amount == Decimal("-0.2")
    assert first.alone_saving.repository == Money(Decimal(0))
    assert (second.expired, second.marginal_freed_bytes.repository) == (1, GB)
    assert (second.alone_freed_bytes.repository, second.alone_saving.registry.amount) == (
        3 * GB,
        Decimal("0.3"),
    )


def test_what_a_rule_brings_is_exact_to_the_last_digit() -> None:
    # Amounts of more digits than a decimal has by default, whose difference is small.
    world = make_world(
        Repository(
            images=(
                Pushed(name="huge", tags=("v1",), age=20, blobs={"huge": 2**53 + 1}),
                Pushed(name="small", age=20, blobs={"small": 1}),
            )
        )
    )
    policy = Policy((rule(1, "v*", pushed=10), rule(2, pushed=10)))
    (candidate,) = _simulate(world, policy, by_rule=True).candidates
    without = Fraction(2**53 + 1, GB) / 10
    second = candidate.rules[1].marginal_saving.repository.amount
    whole = candidate.totals.saving.repository.amount
    assert second is not None
    assert whole is not None
    assert Fraction(second) == Fraction(1, GB) / 10
    assert Fraction(second) + without == Fraction(whole)


def test_rows_of_equal_saving_go_by_place() -> None:
    image = Pushed(name="old", age=20, blobs={"own": GB})
    world = make_world(
        *(
            Repository(name=name, images=(image,), registry=registry)
            for registry in (0, 1)
            for name in ("a", "b")
        )
    )
    rows = _simulate(world, _OLD).candidates[0].repositories
    assert [(row.region, row.repository) for row in rows] == [
        ("eu-west-1", "a"),
        ("eu-west-1", "b"),
        ("us-east-1", "a"),
        ("us-east-1", "b"),
    ]


def test_the_simulation_says_when_it_was_taken_and_what_it_was_given() -> None:
    world = make_world(Repository(images=(Pushed(name="a"),)), Repository(name="app2", registry=1))
    world.frames.registries["taken_at_ms"] = [NOW_MS - 5, NOW_MS - 7]
    stored = _simulate(world, _OLD, missing_in_use=("gone:v1",))
    assert (stored.taken_from, stored.taken_to) == (from_ms(NOW_MS - 7), from_ms(NOW_MS - 5))
    assert stored.at == from_ms(world.at_ms)
    assert stored.missing_in_use == ("gone:v1",)
    assert not stored.in_use.any()
    assert not stored.protected.any()
    assert (stored.in_use_given, stored.protected_given) == (False, False)
    given = _simulate(world, _OLD, in_use=np.zeros(1, np.bool_), protected=np.ones(1, np.bool_))
    assert (given.in_use_given, given.protected_given, given.protected.tolist()) == (True, True, [True])
    world.frames.registries["snapshot"] = [0, 0]
    assert (_simulate(world, _OLD).taken_from, _simulate(world, _OLD).taken_to) == (None, None)


def test_each_policy_is_told_by_its_text_and_its_caveats() -> None:
    world = make_world(Repository(images=(Pushed(name="a"),)), Repository(name="b"))
    proposal = Proposal(
        name="plan.json", policies=(_OLD,), texts=("the text",), policy_of=np.array([-1, 0]), warnings=("so",)
    )
    (candidate,) = _simulate(world, proposals=[proposal]).candidates
    assert (candidate.name, candidate.warnings) == ("plan.json", ("so",))
    assert {row.repository: row.policy_text for row in candidate.repositories} == {
        "app": None,
        "b": "the text",
    }


def test_images_in_use_that_are_taken_are_counted_by_the_strongest_kind_of_use() -> None:
    images = (*(Pushed(name=name, age=90) for name in "abcde"), Pushed(name="kept"))
    world = make_world(Repository(name="app", images=images))
    kinds = ("running", "configured", "previous", "listed")
    users = {
        f"sha256:{name}": [use("w", kind, "list" if kind == "listed" else "ecs")]
        for name, kind in zip("abcd", kinds, strict=True)
    }
    users["sha256:a"].append(use("v", "previous"))
    users["sha256:kept"] = [use("w")]
    count = len(world.frames.artifacts.digest_id)
    usage = usage_of([users.get(name, []) for name in world.digests(np.arange(count))])
    totals = _simulate(world, _OLD, in_use=usage.in_use, usage=usage).candidates[0].totals
    found = (totals.in_use, totals.in_use_running, totals.in_use_configured, totals.in_use_previous)
    assert found == (4, 1, 1, 1)
