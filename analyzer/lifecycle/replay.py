"""Policies replayed over the past: what ECR would have taken, moment after moment.

ECR evaluates policies about once a day (ECR user guide, "Automate the cleanup of images by using
lifecycle policies": images are affected within 24 hours), so a *moment* is a night, and every whole
day after it until the next one; in between, things stay as the night saw them. At each moment only
the repositories are judged in which something can have changed since they last were: an artifact, a
tag, a pull or the policy itself, or a limit in days that something has passed.

Rules look at ages and never at the time of day, so that each registry's times are counted from its
own moment and the k-th moments of all registries are judged together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from analyzer.families import Families, find_families, spans
from analyzer.lifecycle.census import DAY_MS, NameMatches
from analyzer.lifecycle.evaluation import Evaluator, Options
from analyzer.lifecycle.policy import Action, CountType, Policy
from analyzer.model.frames import (
    NEVER_PULLED,
    NO_MANIFEST,
    NO_SIZE,
    NO_TIME,
    Artifacts,
    Bools,
    Frames,
    Int64,
    LifecycleFacts,
    Listed,
    Manifests,
    UInt8,
)
from analyzer.model.history import History, Spans, ValueSpans
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome, Reason, Verdicts


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says of artifacts at some moments: parallel arrays, in the order of time."""

    #: Position in ``History.frames.artifacts``.
    artifact: Int64
    #: Position in ``History.presence`` of the state that it was in.
    presence: Int64
    #: Milliseconds since 1970 UTC, and the night that this was, or that came before it.
    at_ms: Int64
    night: Int64
    #: ``Outcome`` and ``Reason`` codes, and the priority of the rule.
    outcome: UInt8
    reason: UInt8
    rule: Int64


@dataclass(frozen=True, slots=True)
class Judged:
    """When repositories were judged: parallel arrays, in the order of time."""

    repository: Int64
    at_ms: Int64
    night: Int64


@dataclass(frozen=True, slots=True)
class Replay:
    """What ``Past.replay`` gives."""

    #: Every artifact that was taken, each time it was; without memory, every verdict that a rule acts
    #: on an artifact or would, but for an index that holds it.
    verdicts: Verdict
    judged: Judged
    #: Moments, over all registries.
    moments: int


class Moments:
    """The moments of each registry, and nights as moments."""

    def __init__(self, history: History) -> None:
        ms, night, firsts, counts = [], [], [], []
        for registry in range(len(history.night_offsets) - 1):
            taken = history.nights_of(registry)
            upto = np.append(taken[1:], taken[-1:])
            # The next night stands for the day that ends close to it.
            between = np.maximum(0, (upto - taken - DAY_MS // 2) // DAY_MS)
            steps = 1 + between
            steps[-1:] = 1
            number = spans(np.zeros(len(taken), np.int64), steps)
            ms.append(np.repeat(taken, steps) + number * DAY_MS)
            night.append(np.repeat(np.arange(len(taken)), steps))
            firsts.append(np.concatenate((np.cumsum(steps) - steps, [int(steps.sum())])))
            counts.append(int(steps.sum()))
        nothing = [np.zeros(0, np.int64)]
        self.counts = np.array(counts, np.int64)
        self.offsets: Int64 = np.concatenate((np.zeros(1, np.int64), np.cumsum(self.counts)))
        #: Of all registries, one after the other.
        self.ms: Int64 = np.concatenate(nothing + ms)
        self.night: Int64 = np.concatenate(nothing + night)
        self._first: Int64 = np.concatenate(nothing + firsts)
        self._first_offsets = history.night_offsets[:-1] + np.arange(len(counts))

    def of_night(self, registry: Int64, night: Int64) -> Int64:
        """The first moment of each ``night``; of one past the last, the number of moments."""
        first: Int64 = self._first[self._first_offsets[registry] + night]
        return first

    def after(self, registry: Int64, ms: Int64) -> Int64:
        """The first moment of each registry later than ``ms``; the number of moments where none is."""
        found = np.zeros(len(ms), np.int64)
        for number, (begin, end) in enumerate(pairwise(self.offsets.tolist())):
            mine = registry == number
            found[mine] = np.searchsorted(self.ms[begin:end], ms[mine], side="right")
        return found


class Past:
    """A history made ready for any number of replays."""

    def __init__(self, history: History, *, options: Options | None = None) -> None:
        self.history = history
        self.families: Families = find_families(history.frames)
        self.moments = Moments(history)
        self.options = options or Options()
        self.name_matches = NameMatches(history.tag_names)
        artifacts, repositories = history.frames.artifacts, history.frames.repositories
        self.repository: Int64 = artifacts.repository.astype(np.int64)
        self.registry_of: Int64 = repositories["registry"].to_numpy(np.int64)
        count = len(repositories)
        self.presence = _Located(history.presence, self.repository, self, count)
        self.tags = _Located(history.tags, self.repository, self, count)
        self.pulls = _Located(history.pulls, self.repository, self, count)
        self.pairs = np.searchsorted(self.repository[self.families.parent], np.arange(count + 1))
        self.here = np.full(len(self.repository), -1, np.int64)

    def everywhere(self, policy_of: Int64) -> ValueSpans:
        """The policies at positions ``policy_of`` (-1 for none) in each repository, all the time."""
        rows = np.flatnonzero(policy_of >= 0)
        nights = np.diff(self.history.night_offsets)[self.registry_of[rows]]
        return ValueSpans(rows, np.zeros(len(rows), np.int32), nights.astype(np.int32), policy_of[rows])

    def replay(
        self,
        policies: Sequence[Policy],
        in_force: ValueSpans,
        *,
        remembering: bool = True,
        ahead: bool = False,
    ) -> Replay:
        """What ``policies`` take, in force as ``in_force`` says: ``of`` repositories, ``value`` their policy.

        ``remembering``, what was taken stays taken until it is pushed again, and what was archived
        until it is restored, so that later moments are judged as they would have been. Without it every
        moment is judged on what was there in truth. ``ahead``, what was there is judged at the time of the
        next moment (the last at its own), and so is told what leaves until then.
        """
        run = _Run(self, policies, in_force, remembering=remembering, ahead=ahead)
        return run.all()


class _Located:
    """Spans of artifacts as intervals of moments, those of one repository side by side."""

    def __init__(self, of: Spans, repository: Int64, past: Past, repositories: int) -> None:
        self.repository = repository[of.of]
        registry = past.registry_of[self.repository]
        self.first = past.moments.of_night(registry, of.first.astype(np.int64))
        self.gone = past.moments.of_night(registry, of.gone.astype(np.int64))
        self._offsets = np.searchsorted(self.repository, np.arange(repositories + 1))

    def at(self, rows: Int64, moment: int) -> Int64:
        """Positions of the spans of the repositories ``rows`` that hold at that moment."""
        starts = self._offsets[rows]
        found = spans(starts, self._offsets[rows + 1] - starts)
        return found[(self.first[found] <= moment) & (moment < self.gone[found])]


class _Run:
    """One replay."""

    def __init__(
        self,
        past: Past,
        policies: Sequence[Policy],
        in_force: ValueSpans,
        *,
        remembering: bool,
        ahead: bool,
    ) -> None:
        self._past = past
        self._policies = policies
        self._remembering = remembering
        self._ahead = ahead
        registry = past.registry_of[in_force.of]
        self._first = past.moments.of_night(registry, in_force.first.astype(np.int64))
        self._gone = past.moments.of_night(registry, in_force.gone.astype(np.int64))
        self._in_force = in_force
        count = len(past.repository)
        #: When each artifact was last taken, and archived; NO_TIME for never.
        self._removed_ms = np.full(count, NO_TIME)
        self._archived_ms = np.full(count, NO_TIME)
        self._agenda: list[list[Int64]] = [[] for _ in range(int(past.moments.counts.max(initial=0)))]
        self._verdicts: list[tuple[Int64, ...]] = []
        self._judged: list[tuple[Int64, ...]] = []

    def all(self) -> Replay:
        self._plan()
        for moment, rows in enumerate(self._agenda):
            if rows:
                self._step(moment, np.unique(np.concatenate(rows)))
            rows.clear()
        columns = [np.concatenate(column) for column in zip(*self._verdicts, strict=True)]
        artifact, presence, at, night, outcome, reason, rule = columns or [np.zeros(0, np.int64)] * 7
        verdicts = Verdict(
            artifact, presence, at, night, outcome.astype(np.uint8), reason.astype(np.uint8), rule
        )
        judged = [np.concatenate(column) for column in zip(*self._judged, strict=True)]
        return Replay(
            verdicts,
            Judged(*(judged or [np.zeros(0, np.int64)] * 3)),
            int(self._past.moments.counts.sum()),
        )

    # When to look at which repository.

    def _plan(self) -> None:
        past, history = self._past, self._past.history
        has_policy = np.zeros(len(past.registry_of), np.bool_)
        counts_pulls = np.zeros(len(past.registry_of), np.bool_)
        has_policy[self._in_force.of] = True
        of_pulls = [
            any(rule.count_type is CountType.SINCE_IMAGE_PULLED for rule in policy.rules)
            for policy in self._policies
        ]
        counts_pulls[self._in_force.of[np.array(of_pulls, np.bool_)[self._in_force.value]]] = True
        self._note(self._in_force.of, self._first)
        for located, chosen in (
            (past.presence, has_policy),
            (past.tags, has_policy),
            (past.pulls, counts_pulls),
        ):
            mine = chosen[located.repository]
            for ends in (located.first, located.gone):
                self._note(located.repository[mine], ends[mine])
        presence = history.presence
        restored = np.where(
            presence.activated_at_ms == NO_TIME, presence.pushed_at_ms, presence.activated_at_ms
        )
        pulled = history.pulls.value.astype(np.int64) * DAY_MS + DAY_MS - 1
        for count_type, limit, rows in self._limits():
            chosen = np.zeros(len(past.registry_of), np.bool_)
            chosen[rows] = True
            if count_type is CountType.SINCE_IMAGE_TRANSITIONED:
                self._note_passing(past.presence, presence.archived_at_ms, limit, chosen)
                continue
            self._note_passing(past.presence, restored, limit, chosen)
            if count_type is CountType.SINCE_IMAGE_PULLED:
                self._note_passing(past.pulls, pulled, limit, chosen)

    def _limits(self) -> list[tuple[CountType, int, Int64]]:
        """Every limit in days of the policies, with the repositories that it is in force in."""
        found: dict[tuple[CountType, int], list[Int64]] = {}
        order = np.argsort(self._in_force.value, kind="stable")
        bounds = np.searchsorted(self._in_force.value[order], np.arange(len(self._policies) + 1))
        for number, policy in enumerate(self._policies):
            rows = self._in_force.of[order[bounds[number] : bounds[number + 1]]]
            for rule in policy.rules:
                if rule.count_type is not CountType.IMAGE_COUNT_MORE_THAN and len(rows):
                    found.setdefault((rule.count_type, rule.count_number), []).append(rows)
        return [(kind, days, np.unique(np.concatenate(rows))) for (kind, days), rows in found.items()]

    def _note_passing(self, located: _Located, since_ms: Int64, days: int, chosen: Bools) -> None:
        """Look again where something passes a limit of ``days`` while it is there."""
        at = np.flatnonzero(chosen[located.repository] & (since_ms != NO_TIME))
        repository = located.repository[at]
        # Strictly more than the limit is needed.
        moment = self._past.moments.after(self._past.registry_of[repository], since_ms[at] + days * DAY_MS)
        if self._ahead:
            moment = np.maximum(moment - 1, 0)
        inside = (located.first[at] <= moment) & (moment < located.gone[at])
        self._note(repository[inside], moment[inside])

    def _note(self, repository: Int64, moment: Int64) -> None:
        keep = moment < self._past.moments.counts[self._past.registry_of[repository]]
        key = np.unique((moment[keep] << 32) | repository[keep])
        moments = key >> 32
        starts = np.flatnonzero(np.diff(moments, prepend=-1))
        for begin, end in pairwise([*starts.tolist(), len(key)]):
            self._agenda[int(moments[begin])].append(key[begin:end] & 0xFFFFFFFF)

    # One moment.

    def _step(self, moment: int, rows: Int64) -> None:
        past = self._past
        policy_of = np.full(len(past.registry_of), -1, np.int64)
        holds = (self._first <= moment) & (moment < self._gone)
        policy_of[self._in_force.of[holds]] = self._in_force.value[holds]
        rows = rows[policy_of[rows] >= 0]
        registry = past.registry_of[rows]
        at = past.moments.offsets[registry] + moment
        now_ms = self._now_ms(registry, moment)
        self._judged.append((rows, now_ms, past.moments.night[at]))
        presence = past.presence.at(rows, moment)
        if self._remembering:
            presence = presence[~self._is_removed(presence)]
        if not len(presence):
            return
        state = self._state(rows, presence, now_ms, moment)
        evaluator = Evaluator(
            state.frames,
            state.facts,
            state.families,
            now_ms=0,
            options=past.options,
            name_matches=past.name_matches,
        )
        verdicts = evaluator.judge(self._policies, policy_of[rows])
        self._take(moment, rows, presence, state.frames.artifacts.repository.astype(np.int64), verdicts)

    def _now_ms(self, registry: Int64, moment: int) -> Int64:
        """The time that the moment of each registry is judged at."""
        moments = self._past.moments
        judged = np.minimum(moment + 1, moments.counts[registry] - 1) if self._ahead else moment
        now_ms: Int64 = moments.ms[moments.offsets[registry] + judged]
        return now_ms

    def _is_removed(self, presence: Int64) -> Bools:
        """Taken, and not pushed again since."""
        of = self._past.history.presence
        removed = self._removed_ms[of.of[presence]]
        is_removed: Bools = (removed != NO_TIME) & (of.pushed_at_ms[presence] <= removed)
        return is_removed

    def _state(self, rows: Int64, presence: Int64, now_ms: Int64, moment: int) -> _State:
        past = self._past
        of = past.history.presence
        artifact = of.of[presence]
        local = np.searchsorted(rows, past.repository[artifact])
        now = now_ms[local]
        status, archived = of.image_status[presence], of.archived_at_ms[presence]
        pushed, activated = of.pushed_at_ms[presence], of.activated_at_ms[presence]
        if self._remembering:
            since = self._archived_ms[artifact]
            moved = (since != NO_TIME) & (pushed <= since) & (activated <= since)
            status = np.where(moved, np.uint8(ImageStatus.ARCHIVED), status)
            archived = np.where(moved, since, archived)
        pulled = np.full(len(artifact), NO_TIME)
        here = past.here
        here[artifact] = np.arange(len(artifact))
        held = past.pulls.at(rows, moment)
        at = here[past.history.pulls.of[held]]
        pulled[at[at >= 0]] = past.history.pulls.value[held[at >= 0]] * DAY_MS + DAY_MS - 1
        carried = past.tags.at(rows, moment)
        owner = here[past.history.tags.of[carried]]
        carried, owner = carried[owner >= 0], owner[owner >= 0]
        tags = np.bincount(owner, minlength=len(artifact))
        starts = past.pairs[rows]
        pairs = spans(starts, past.pairs[rows + 1] - starts)
        parent, child = here[past.families.parent[pairs]], here[past.families.child[pairs]]
        both = (parent >= 0) & (child >= 0)
        subject = past.families.subject[artifact]
        subject = np.where(subject >= 0, here[subject], -1)
        here[artifact] = -1
        count = len(artifact)
        facts = LifecycleFacts(
            pulled_at_ms=_since(pulled, now),
            archived_at_ms=_since(archived, now),
            activated_at_ms=_since(activated, now),
            tie=of.tie[presence],
            tag_offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(tags))),
            tags=past.history.tags.value[carried].astype(np.int32),
            tag_names=past.history.tag_names,
        )
        artifacts = Artifacts(
            repository=local.astype(np.int32),
            digest_id=past.history.frames.artifacts.digest_id[artifact],
            manifest=np.full(count, NO_MANIFEST, np.int32),
            pushed_at_ms=_since(pushed, now),
            image_status=status,
            pulled_day=np.full(count, NEVER_PULLED, np.int32),
            tags=tags.astype(np.int32),
            reported_size_bytes=np.full(count, NO_SIZE),
            subject=np.zeros(count, np.uint32),
            listed=np.full(count, Listed.UNKNOWN, np.uint8),
        )
        repositories = pd.DataFrame(index=pd.RangeIndex(len(rows)))
        frames = Frames(pd.DataFrame(), repositories, artifacts, Manifests.none(), np.zeros(0, np.int64))
        families = Families(
            kind=past.families.kind[artifact],
            parent=parent[both],
            child=child[both],
            subject=subject,
            opaque=past.families.opaque[artifact],
        )
        return _State(frames, facts, families)

    def _take(self, moment: int, rows: Int64, presence: Int64, repository: Int64, verdicts: Verdicts) -> None:
        past = self._past
        taken = verdicts.outcome != Outcome.KEPT
        told = taken if self._remembering else taken | (verdicts.reason == Reason.BLOCKED_BY_INDEX)
        at = np.flatnonzero(told)
        if not len(at):
            return
        registry = past.registry_of[rows[repository[at]]]
        place = past.moments.offsets[registry] + moment
        now_ms = self._now_ms(registry, moment)
        artifact = past.history.presence.of[presence[at]]
        outcome = verdicts.outcome[at]
        self._verdicts.append(
            (
                artifact,
                presence[at],
                now_ms,
                past.moments.night[place],
                outcome.astype(np.int64),
                verdicts.reason[at].astype(np.int64),
                verdicts.rule[at].astype(np.int64),
            )
        )
        if not self._remembering:
            return
        expired = outcome == Outcome.EXPIRED
        self._removed_ms[artifact[expired]] = now_ms[expired]
        self._archived_ms[artifact[~expired]] = now_ms[~expired]
        # What left may have held something, or hidden it from a rule: ECR may need another run.
        again = np.unique(rows[repository[at]])
        self._note(again, np.full(len(again), moment + 1))
        moved = at[~expired]
        if len(moved):
            self._note_archived(np.unique(rows[repository[moved]]), moment)

    def _note_archived(self, rows: Int64, moment: int) -> None:
        """Look again where what was archived now passes a limit for archived images."""
        registry = self._past.registry_of[rows]
        now_ms = self._past.moments.ms[self._past.moments.offsets[registry] + moment]
        limits = {
            rule.count_number
            for policy in self._policies
            for rule in policy.rules
            if rule.count_type is CountType.SINCE_IMAGE_TRANSITIONED and rule.action is Action.EXPIRE
        }
        for days in sorted(limits):
            self._note(rows, self._past.moments.after(registry, now_ms + days * DAY_MS))


@dataclass(frozen=True, slots=True)
class _State:
    """Some repositories at one moment; times are counted from it."""

    frames: Frames
    facts: LifecycleFacts
    families: Families


def _since(moments: Int64, now: Int64) -> Int64:
    """Times counted from ``now``, unknown ones as they are."""
    return np.where(moments == NO_TIME, NO_TIME, moments - now)
