"""The sweep against its slow twin, and against judging and counting every N by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import find_families
from analyzer.lifecycle.evaluation import Evaluator, Options
from analyzer.lifecycle.frontier import least_numbers, sweep
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, TagStatus
from analyzer.lifecycle.savings import Holdings
from analyzer.model.frames import NO_TIME, Frames, Int64, LifecycleFacts, UInt8
from analyzer.model.frontier import By, ClassBytes, Frontier, Steps
from analyzer.model.units import Scope
from analyzer.model.verdicts import Outcome
from tests.oracle.frontier import Bytes, SlowFrontier
from tests.strategies.frames import DAY_MS, cases
from tests.support.examples import examples

_BY = st.sampled_from(get_args(By))
_SCOPES: tuple[Scope, ...] = get_args(Scope)
_COUNTS: dict[str, CountType] = {
    "images": CountType.IMAGE_COUNT_MORE_THAN,
    "days": CountType.SINCE_IMAGE_PUSHED,
}


@dataclass(frozen=True, slots=True)
class _Question:
    frames: Frames
    facts: LifecycleFacts
    now_ms: int
    by: By
    children_take_slots: bool
    #: One per repository.
    chosen: tuple[bool, ...]

    def swept(self) -> Frontier:
        return sweep(
            self.frames,
            self.facts,
            find_families(self.frames),
            now_ms=self.now_ms,
            by=self.by,
            chosen=None if all(self.chosen) else np.array(self.chosen, np.bool_),
            children_take_slots=self.children_take_slots,
        )

    def slow(self) -> SlowFrontier:
        return SlowFrontier(
            self.frames,
            self.facts,
            now_ms=self.now_ms,
            by=self.by,
            children_take_slots=self.children_take_slots,
        )

    def repositories(self) -> list[int]:
        return [position for position, is_chosen in enumerate(self.chosen) if is_chosen]


@st.composite
def _questions(draw: st.DrawFn) -> _Question:
    case = draw(cases())
    count = len(case.frames.artifacts.repository)
    # Few moments, so that ranks are decided by ties and ages stand on the limit.
    moments = st.sampled_from(
        [case.now_ms - days * DAY_MS + ms for days in (0, 1, 2, 5) for ms in (0, -1, 1)]
    )
    restored = st.one_of(st.just(NO_TIME), st.just(NO_TIME), st.just(NO_TIME), moments)
    pushed = st.one_of(moments, moments, moments, st.just(NO_TIME))
    times = {
        name: np.array(draw(st.lists(some, min_size=count, max_size=count)), np.int64)
        for name, some in (("pushed", pushed), ("restored", restored))
    }
    if not draw(st.booleans()):
        times["pushed"] = np.minimum(case.frames.artifacts.pushed_at_ms, case.now_ms + DAY_MS)
        # Ages of years by days would have thousands of N, each to be tried.
        near = case.now_ms - 40 * DAY_MS
        times["pushed"] = np.where(times["pushed"] == NO_TIME, NO_TIME, np.maximum(times["pushed"], near))
    facts = LifecycleFacts(
        pulled_at_ms=np.full(count, NO_TIME),
        archived_at_ms=np.full(count, NO_TIME),
        activated_at_ms=times["restored"],
        tie=np.array(draw(st.permutations(range(count))), np.int64),
        tag_offsets=np.zeros(count + 1, np.int64),
        tags=np.zeros(0, np.int32),
        tag_names=(),
    )
    repositories = len(case.frames.repositories)
    everywhere = draw(st.booleans())
    return _Question(
        frames=replace(case.frames, artifacts=replace(case.frames.artifacts, pushed_at_ms=times["pushed"])),
        facts=facts,
        now_ms=case.now_ms,
        by=draw(_BY),
        children_take_slots=draw(st.sampled_from([True, True, True, False])),
        chosen=tuple(everywhere or draw(st.booleans()) for _ in range(repositories)),
    )


def _at(stored: ClassBytes, position: int, scope: Scope) -> Bytes:
    return int(stored.standard(scope)[position]), int(stored.archive(scope)[position])


def _well_formed(steps: Steps, owners: int) -> None:
    assert len(steps.offsets) == owners + 1
    for begin, end in zip(steps.offsets.tolist(), steps.offsets[1:].tolist(), strict=False):
        n = steps.n[begin:end].tolist()
        assert n[0] == 1
        assert n == sorted(set(n))
    assert steps.offsets[-1] == len(steps.n) == len(steps.kept)


@examples(100)
@given(_questions())
def test_every_n_stores_what_marking_and_counting_it_alone_finds(question: _Question) -> None:
    frontier, slow, chosen = question.swept(), question.slow(), question.repositories()
    _well_formed(frontier.repositories, len(question.frames.repositories))
    _well_formed(frontier.registries, len(question.frames.registries))
    # As many as a repository has artifacts, or the ages there are in days; and all of them.
    numbers = {*range(1, 10), slow.largest()}
    if question.by == "days":
        numbers |= {29, 30, 31, 39, 40}
    for n in sorted(numbers):
        of_repositories, of_registries = frontier.repositories.at(n), frontier.registries.at(n)
        for scope in _SCOPES:
            for registry, position in enumerate(of_registries.tolist()):
                kept, stored, rest = slow.of_registry(registry, n, scope, chosen)
                assert frontier.registries.kept[position] == kept, (n, registry)
                assert _at(frontier.registries.stored, position, scope) == stored, (n, registry, scope)
                assert _at(frontier.rest, registry, scope) == rest
            for repository in chosen:
                position = int(of_repositories[repository])
                found = (
                    int(frontier.repositories.kept[position]),
                    _at(frontier.repositories.stored, position, scope),
                )
                assert found == slow.of_repository(repository, n, scope), (n, repository, scope)


@examples(100)
@given(_questions())
def test_every_n_agrees_with_judging_and_measuring_it_alone(question: _Question) -> None:
    question = replace(question, chosen=(True,) * len(question.chosen))
    frames, families = question.frames, find_families(question.frames)
    least = least_numbers(
        frames,
        question.facts,
        families,
        now_ms=question.now_ms,
        by=question.by,
        children_take_slots=question.children_take_slots,
    )
    options = Options(children_take_slots=question.children_take_slots)
    evaluator = Evaluator(frames, question.facts, families, now_ms=question.now_ms, options=options)
    holdings, frontier = Holdings(frames, families), question.swept()
    everywhere = np.zeros(len(frames.repositories), np.int64)
    for n in sorted({1, *least.tolist(), *(least[least > 1] - 1).tolist()}):
        rule = Rule(
            priority=1,
            tag_status=TagStatus.ANY,
            count_type=_COUNTS[question.by],
            count_number=n,
            action=Action.EXPIRE,
        )
        outcome = evaluator.judge([Policy((rule,))], everywhere).outcome
        assert ((outcome == Outcome.EXPIRED) == (least > n)).all(), n
        savings = holdings.measure(outcome)
        at, stored = frontier.registries.at(n), frontier.registries.stored
        for scope in _SCOPES:
            after = {
                name: savings.registries[f"{name}_{scope}"].to_numpy()
                for name in (
                    "physical_bytes",
                    "archive_bytes",
                    "freed_bytes",
                    "freed_archive_bytes",
                    "archived_bytes",
                )
            }
            archive = after["archive_bytes"] - after["freed_archive_bytes"] + after["archived_bytes"]
            standard = after["physical_bytes"] - after["freed_bytes"] - archive
            assert (stored.standard(scope)[at] == standard).all(), (n, scope)
            assert (stored.archive(scope)[at] == archive).all(), (n, scope)
        of_repositories = frontier.repositories.at(n)
        assert (frontier.repositories.kept[of_repositories] == _kept(frames, outcome)).all()
        left = savings.repositories["physical_bytes"] - savings.repositories["freed_bytes"]
        of = frontier.repositories.stored
        found = of.standard_repository[of_repositories] + of.archive_repository[of_repositories]
        assert (found == left.to_numpy()).all(), n


def _kept(frames: Frames, outcome: UInt8) -> Int64:
    stays = frames.artifacts.repository[outcome == Outcome.KEPT]
    return np.bincount(stays, minlength=len(frames.repositories))
