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

import numpy as np
import pandas as pd

from analyzer.families import Families, spans
from analyzer.lifecycle.agenda import Agenda
from analyzer.lifecycle.census import DAY_MS
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.policy import Policy
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
from analyzer.model.history import ValueSpans
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
    """What `replay` gives."""

    #: Every artifact that was taken, each time it was; without memory, every verdict that a rule acts
    #: on an artifact or would, but for an index that holds it.
    verdicts: Verdict
    judged: Judged
    #: Moments, over all registries.
    moments: int


def replay(
    past: Past,
    policies: Sequence[Policy],
    in_force: ValueSpans,
    *,
    remembering: bool = True,
    ahead: bool = False,
) -> Replay:
    """What ``policies`` take in ``past``.

    ``in_force`` says where and when they are in force: ``of`` repositories, ``value`` their policy.
    ``remembering``, what was taken stays taken until it is pushed again, and what was archived
    until it is restored, so that later moments are judged as they would have been. Without it every
    moment is judged on what was there in truth. ``ahead``, what was there is judged at the time of the
    next moment (the last at its own), and so is told what leaves until then.
    """
    run = _Run(past, policies, in_force, remembering=remembering, ahead=ahead)
    return run.all()


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
        self._agenda = Agenda(past, policies, in_force, ahead=ahead)
        self._verdicts: list[tuple[Int64, ...]] = []
        self._judged: list[tuple[Int64, ...]] = []

    def all(self) -> Replay:
        for moment, rows in self._agenda:
            self._step(moment, rows)
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
        self._agenda.note(again, np.full(len(again), moment + 1))
        moved = at[~expired]
        if len(moved):
            self._agenda.note_archived(np.unique(rows[repository[moved]]), moment)


@dataclass(frozen=True, slots=True)
class _State:
    """Some repositories at one moment; times are counted from it."""

    frames: Frames
    facts: LifecycleFacts
    families: Families


def _since(moments: Int64, now: Int64) -> Int64:
    """Times counted from ``now``, unknown ones as they are."""
    return np.where(moments == NO_TIME, NO_TIME, moments - now)
