"""What came of each change of a lifecycle policy: what was predicted to leave against what left.

ECR evaluates a policy within 24 hours (ECR user guide, "Automate the cleanup of images by using
lifecycle policies"), at a moment that nobody sees: so what a night saw is judged at the time of the
next night, by which ECR may have taken it, and has a day more to do so. A change happened somewhere
between two nights; what the earlier of them saw is judged by the new policy too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

import numpy as np

from analyzer.backtest import tags_at
from analyzer.holdings import references_of
from analyzer.lifecycle.census import DAY_MS
from analyzer.lifecycle.parsing import parse_policy
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.refusals import InvalidPolicy
from analyzer.lifecycle.replay import replay
from analyzer.model.frames import NO_MANIFEST, NO_TIME, Int64
from analyzer.model.history import Fate, ImageOutcome, Outcomes, PolicyOutcome, ValueSpans
from analyzer.model.units import from_ms
from analyzer.model.verdicts import Outcome

#: ECR's 24 hours, and half a day for nights that are not quite a day apart.
_GRACE_MS: Final = DAY_MS + DAY_MS // 2
_FATES: Final = list(Fate)


@dataclass(frozen=True, slots=True)
class _Change:
    """A repository got another policy between night ``night`` - 1 and ``night``."""

    repository: int
    night: int
    #: The night that another change ended it, or the number of nights.
    end: int
    #: Positions of texts, -1 for no policy.
    before: int
    after: int


class _Line(NamedTuple):
    """An artifact that a rule takes at some moment."""

    artifact: int
    night: int
    #: Until when it is told.
    at_ms: int
    rule: int
    #: It leaves; else an index that stays holds it.
    leaves: bool


@dataclass(frozen=True, slots=True)
class _Said:
    """What was said of one repository, in the order of time."""

    lines: list[_Line]
    #: Nights and moments at which it was judged.
    judged: list[tuple[int, int]]


def policy_outcomes(past: Past, *, globs: Sequence[str] = ()) -> Outcomes:
    """What came of every change of a policy of the repositories of ``globs``, or of all."""
    history = past.history
    policies, number_of, spoilt = _parsed(history.policy_texts)
    names = history.frames.repositories["repository"].tolist()
    changes = [
        change
        for change in _changes(history.policies)
        if not globs or any(fnmatchcase(names[change.repository], glob) for glob in globs)
    ]
    wanted = np.array(sorted({change.repository for change in changes}), np.int64)
    standing = _judged(past, policies, number_of, history.policies, wanted)
    early = ValueSpans(
        np.array([change.repository for change in changes], np.int64),
        np.array([change.night - 1 for change in changes], np.int32),
        np.array([change.night for change in changes], np.int32),
        np.array([change.after for change in changes], np.int64),
    )
    at_change = _judged(past, policies, number_of, early, wanted)
    found = [_outcome(past, change, standing, at_change) for change in changes]
    found.sort(key=lambda one: (one.account, one.region, one.repository))
    found.sort(key=lambda one: one.changed_at, reverse=True)
    unknown = [
        f"{number:,} policies in force were not valid for this version ({code}), and nothing was predicted"
        for code, number in sorted(spoilt.items())
    ]
    return Outcomes(changes=tuple(found), unknown=tuple(unknown))


def _parsed(texts: Sequence[str]) -> tuple[list[Policy], Int64, dict[str, int]]:
    """The valid policies, the number of each text among them (-1 for none), and why others are not."""
    policies: list[Policy] = []
    numbers = np.full(len(texts) + 1, -1, np.int64)
    spoilt: dict[str, int] = {}
    for place, text in enumerate(texts):
        try:
            policies.append(parse_policy(text))
        except InvalidPolicy as problem:
            code = str(problem.errors[0].code)
            spoilt[code] = spoilt.get(code, 0) + 1
        else:
            numbers[place] = len(policies) - 1
    return policies, numbers, spoilt


def _changes(policies: ValueSpans) -> Iterator[_Change]:
    for row in range(1, len(policies.of)):
        if policies.of[row] == policies.of[row - 1] and policies.value[row] != policies.value[row - 1]:
            yield _Change(
                repository=int(policies.of[row]),
                night=int(policies.first[row]),
                end=int(policies.gone[row]),
                before=int(policies.value[row - 1]),
                after=int(policies.value[row]),
            )


def _judged(
    past: Past, policies: Sequence[Policy], number_of: Int64, of: ValueSpans, wanted: Int64
) -> dict[int, _Said]:
    """What is said of the repositories ``wanted``; archiving is none of it, for nothing leaves by that."""
    keep = np.isin(of.of, wanted) & (number_of[of.value] >= 0)
    in_force = ValueSpans(of.of[keep], of.first[keep], of.gone[keep], number_of[of.value[keep]])
    replayed = replay(past, policies, in_force, remembering=False, ahead=True)
    verdicts, judged = replayed.verdicts, replayed.judged
    found = {int(row): _Said([], []) for row in wanted.tolist()}
    columns = (verdicts.artifact, verdicts.night, verdicts.at_ms, verdicts.rule, verdicts.outcome)
    for artifact, night, at_ms, rule, outcome in zip(*(column.tolist() for column in columns), strict=True):
        if outcome != Outcome.TRANSITIONED:
            line = _Line(artifact, night, at_ms, rule, outcome == Outcome.EXPIRED)
            found[int(past.repository[artifact])].lines.append(line)
    for row, night, at_ms in zip(
        judged.repository.tolist(), judged.night.tolist(), judged.at_ms.tolist(), strict=True
    ):
        found[row].judged.append((night, at_ms))
    return found


def _outcome(
    past: Past,
    change: _Change,
    standing: dict[int, _Said],
    at_change: dict[int, _Said],
) -> PolicyOutcome:
    history = past.history
    row = change.repository
    registry = int(past.registry_of[row])
    nights = history.nights_of(registry)
    until = min(change.end, len(nights)) - 1
    presence = history.presence
    begin, end = np.searchsorted(past.repository[presence.of], [row, row + 1]).tolist()
    seen: dict[int, tuple[int, int]] = {}
    for at in range(begin, end):
        first, gone = int(presence.first[at]), int(presence.gone[at])
        # Only what was there from the night before the change on is a matter of this policy.
        if first <= until and gone > change.night - 1:
            artifact = int(presence.of[at])
            seen[artifact] = (min(first, seen.get(artifact, (first, 0))[0]), gone)
    early = [line for line in at_change[row].lines if line.night == change.night - 1]
    later = [line for line in standing[row].lines if change.night <= line.night <= until]
    predicted: dict[int, tuple[int, int]] = {}
    held: dict[int, int] = {}
    for line in [*early, *later]:
        if line.leaves:
            predicted.setdefault(line.artifact, (line.at_ms, line.rule))
        else:
            held.setdefault(line.artifact, line.rule)
    # What left as the former policy had it until the very change is not this one's doing.
    by_former = {line.artifact for line in standing[row].lines if line.night < change.night and line.leaves}
    read = _read_since(past, row, change.night, until)
    still = _still(standing[row], change.night, until)
    images = []
    for artifact, (_, gone) in seen.items():
        left = gone <= until
        fate, reason = Fate.UNKNOWN, ""
        due = predicted.get(artifact)
        if not read and not left and due is not None:
            reason = "its repository was not read whole since the change"
        elif left:
            if due is not None:
                on_time = int(nights[gone]) <= due[0] + _GRACE_MS
                fate = Fate.LEFT if on_time else Fate.LEFT_LATE
            elif gone == change.night and artifact in by_former:
                continue
            else:
                fate = Fate.NOT_PREDICTED
        elif due is not None:
            waits = int(nights[until]) < due[0] + DAY_MS
            fate = Fate.DUE if waits else Fate.STILL_THERE
            reason = "ECR has 24 hours from then on" if waits else still.get(artifact, _SPARED)
        elif artifact in held:
            fate, reason = Fate.HELD, "an index that stays holds it"
        else:
            continue
        images.append((artifact, fate, reason, due, gone if left else None))
    return _told(past, change, images, nights, until, predicted, held)


_SPARED: Final = "its policy takes it no more: it was tagged, pulled or restored since, or others left"


def _read_since(past: Past, row: int, night: int, until: int) -> bool:
    complete = past.history.complete
    begin, end = np.searchsorted(complete.of, [row, row + 1]).tolist()
    first, gone = complete.first[begin:end], complete.gone[begin:end]
    return bool(((first <= until) & (gone > night)).any())


def _still(said: _Said, first: int, last: int) -> dict[int, str]:
    """Why what the last judgement of these nights takes is still there, as far as that can be told."""
    judged = [moment for moment in said.judged if first <= moment[0] <= last]
    if not judged:
        return {}
    return {
        line.artifact: (
            "nothing that is stored explains it: ask ECR itself (demurrage verify)"
            if line.leaves
            else "an index that stays holds it now"
        )
        for line in said.lines
        if (line.night, line.at_ms) == judged[-1]
    }


def _told(
    past: Past,
    change: _Change,
    images: Sequence[tuple[int, Fate, str, tuple[int, int] | None, int | None]],
    nights: Int64,
    until: int,
    predicted: dict[int, tuple[int, int]],
    held: dict[int, int],
) -> PolicyOutcome:
    history, frames = past.history, past.history.frames
    artifacts = np.array([artifact for artifact, *_ in images], np.int64)
    digests = history.digests(artifacts)
    outcomes = []
    for (artifact, fate, reason, due, gone), digest in zip(images, digests, strict=True):
        pushed = int(frames.artifacts.pushed_at_ms[artifact])
        last = until if gone is None else gone - 1
        outcomes.append(
            ImageOutcome(
                digest=digest,
                tags=tags_at(history, artifact, last),
                pushed_at=None if pushed == NO_TIME else from_ms(pushed),
                fate=fate,
                predicted_at=None if due is None else from_ms(due[0]),
                rule=held.get(artifact, 0) if due is None else due[1],
                last_seen_at=from_ms(int(nights[last])),
                gone_at=None if gone is None else from_ms(int(nights[gone])),
                size_bytes=_size(past, np.array([artifact])),
                reason=reason,
            )
        )
    outcomes.sort(
        key=lambda one: (_FATES.index(one.fate), one.pushed_at is None, one.pushed_at or 0, one.digest)
    )
    left = {artifact for artifact, fate, *_ in images if fate in {Fate.LEFT, Fate.LEFT_LATE}}
    present = _present(past, change.repository, change.night - 1, until)
    registry = frames.registries.iloc[int(past.registry_of[change.repository])]
    texts = history.policy_texts
    return PolicyOutcome(
        account=str(registry["account"]),
        region=str(registry["region"]),
        repository=str(frames.repositories["repository"].iloc[change.repository]),
        known_before_at=from_ms(int(nights[change.night - 1])),
        changed_at=from_ms(int(nights[change.night])),
        text_before=None if change.before < 0 else texts[change.before],
        text_after=None if change.after < 0 else texts[change.after],
        until=from_ms(int(nights[until])),
        images=tuple(outcomes),
        freed_bytes=_freed(past, present, left),
        predicted_bytes=_freed(past, present, set(predicted)),
    )


def _present(past: Past, row: int, first: int, last: int) -> set[int]:
    """Artifacts of the repository that any of these nights had."""
    presence = past.history.presence
    begin, end = np.searchsorted(past.repository[presence.of], [row, row + 1]).tolist()
    mine = slice(begin, end)
    seen = (presence.first[mine] <= last) & (presence.gone[mine] > first)
    return set(presence.of[mine][seen].tolist())


def _blobs(past: Past, artifacts: Int64) -> Int64:
    """The stored blobs of these artifacts, each once."""
    frames = past.history.frames
    read = artifacts[frames.artifacts.manifest[artifacts] != NO_MANIFEST]
    return np.unique(references_of(frames, read)[1]).astype(np.int64)


def _size(past: Past, artifact: Int64) -> int | None:
    if past.history.frames.artifacts.manifest[artifact[0]] == NO_MANIFEST:
        return None
    return int(past.history.frames.blob_size_bytes[_blobs(past, artifact)].sum())


def _freed(past: Past, present: set[int], gone: set[int]) -> int:
    """Bytes that only those ``gone`` of ``present`` hold."""
    of_gone = _blobs(past, np.array(sorted(gone & present), np.int64))
    of_rest = _blobs(past, np.array(sorted(present - gone), np.int64))
    return int(past.history.frames.blob_size_bytes[np.setdiff1d(of_gone, of_rest)].sum())
