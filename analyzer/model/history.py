"""The past: what images were there when, what a policy would have taken, what changed, what came true.

A *night* is a snapshot of one registry that the store still has. Nights are numbered from 0 in each
registry, and whatever was there is there from its ``first`` night up to, and without, its ``gone``
night; ``gone`` is the number of nights there are for what is there still. Between two nights things
are taken to be as the earlier one saw them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

import numpy as np
import pandas as pd

from analyzer.model.frames import Frames, Int32, Int64, UInt8
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.units import Money

# The past of images, as the store gives it.


@dataclass(frozen=True, slots=True)
class Spans:
    """Something held during intervals of nights; s long each, ordered by ``of`` and ``first``."""

    #: Position of whatever it held for.
    of: Int64
    first: Int32
    gone: Int32


@dataclass(frozen=True, slots=True)
class Presence(Spans):
    """Artifacts were there in that state; what is pushed again, archived or restored begins another span."""

    #: Milliseconds since 1970 UTC, or NO_TIME.
    pushed_at_ms: Int64
    archived_at_ms: Int64
    activated_at_ms: Int64
    #: ``model.records.ImageStatus`` codes.
    image_status: UInt8
    #: As ``LifecycleFacts.tie``.
    tie: Int64


@dataclass(frozen=True, slots=True)
class ValueSpans(Spans):
    """Something had a value: the day of the last pull, a position in a list of texts."""

    value: Int64


@dataclass(frozen=True, slots=True)
class WorkloadSpans(Spans):
    """Workloads of the account and region of a registry (``of``) named images, wherever these are."""

    #: Positions in ``names`` (``source workload``) and ``references`` (as the workloads give them).
    name: Int64
    reference: Int64
    names: Sequence[str] = ()
    references: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RecordedPulls:
    """Images that CloudTrail's records show asked for, one row per day and what was asked for."""

    day: Int64
    #: Position in ``places``: account, region, repository.
    place: Int64
    #: What it was asked for by: a digest_id, 0 for none, or a position in ``History.tag_names``, -1.
    digest_id: Int64
    tag: Int64
    #: Position in ``pullers``: one of those who asked, as text for people.
    puller: Int64
    places: Sequence[tuple[str, str, str]] = ()
    pullers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class History:
    """What was when in some registries, up to their chosen snapshots.

    ``frames`` has every repository and every artifact (a digest in a repository) that any night had,
    as last known; positions are positions there. Where it speaks of reads (``status``,
    ``complete_at_ms``) it is the last that there was.
    """

    frames: Frames
    #: (registries + 1) offsets into the nights, which are given registry after registry.
    night_offsets: Int64
    #: When each night's snapshot was taken, ascending in each registry; and its number there.
    night_ms: Int64
    night_number: Int64

    #: Repositories existed.
    existence: Spans
    #: Their lists of images were read whole.
    complete: Spans
    presence: Presence
    #: Tags pointed at artifacts: ``of`` is the artifact, ``value`` a position in ``tag_names``.
    tags: ValueSpans
    #: ECR's record of the last pull: ``value`` is its day. No span: it had recorded none.
    pulls: ValueSpans
    #: Lifecycle policies in force: ``of`` is a repository, ``value`` a position in ``policy_texts`` or -1
    #: for none. No span: it could not be read.
    policies: ValueSpans
    #: Distinct texts.
    policy_texts: Sequence[str]
    #: Distinct names; "" for numbers that name nothing.
    tag_names: Sequence[str]
    workloads: WorkloadSpans
    recorded: RecordedPulls
    #: Of how many days from a registry's first night to its last CloudTrail's records are whole.
    recorded_days: Sequence[int]
    #: By registry: whether pulls of some principals left no trace in ECR's record; None for unknown.
    untraced: Sequence[bool | None]
    #: Digests of the artifacts at these positions, in that order; and what ``Artifacts.digest_id`` has
    #: for digests, -1 for unknown ones.
    digests: Callable[[Int64], list[str]]
    digest_ids: Callable[[Sequence[str]], Int64]

    def nights_of(self, registry: int) -> Int64:
        """When the nights of the registry at that position were, milliseconds since 1970 UTC."""
        return self.night_ms[self.night_offsets[registry] : self.night_offsets[registry + 1]]

    def rows_of(self, frames: Frames) -> Int64:
        """The row of this history for each row of ``frames.repositories``, -1 where it has none."""
        mine = {key: row for row, key in enumerate(_keys(self.frames))}
        return np.array([mine.get(key, -1) for key in _keys(frames)], np.int64)


def _keys(frames: Frames) -> list[tuple[object, ...]]:
    registries, repositories = frames.registries, frames.repositories
    places = list(zip(registries["partition"], registries["account"], registries["region"], strict=True))
    columns = (repositories[name].tolist() for name in ("registry", "repository", "created_at_ms"))
    return [(*places[registry], name, created) for registry, name, created in zip(*columns, strict=True)]


# A policy replayed over it.


class LaterKind(StrEnum):
    """What shows that an image was needed after a policy would have taken it, strongest first."""

    #: ECR recorded a pull of a later day.
    PULLED = "pulled"
    #: CloudTrail has one.
    RECORDED = "recorded"
    #: A workload named it.
    USED = "used"
    #: It was given another tag: whoever promotes an image reads it.
    TAGGED = "tagged"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterUse:
    """One image that a policy would have taken, and that was needed afterwards."""

    account: str
    region: str
    repository: str
    digest: str
    #: Those it carried when it would have been taken, sorted.
    tags: tuple[str, ...]
    pushed_at: datetime | None
    #: When the policy would have taken it, whether it would have been deleted or archived, and by
    #: which rule (its priority; 0 where it follows its subject).
    taken_at: datetime
    action: Literal["expire", "archive"]
    rule: int
    kind: LaterKind
    #: The first day known of which it was needed, and days from ``taken_at`` to the end of that day.
    needed_on: date
    days: int
    #: Who, or which tag; "" for what ECR's own record does not say.
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackTestCounts:
    """How many images a policy would have taken, and what became of them in truth.

    As ECR counts them: an index, each of its children and each referrer is one.
    """

    #: Those that would have been deleted, and those archived instead.
    removed: int = 0
    archived: int = 0
    #: Of both together. Pulled on a later day, by ECR's record or CloudTrail's.
    pulled: int = 0
    #: Named by a workload afterwards, and given another tag afterwards; pulled or not.
    used: int = 0
    tagged: int = 0
    #: Needed in any of these ways.
    needed: int = 0
    #: Not needed as far as is known, and ECR records a pull of the very day: before or after is unknown.
    same_day: int = 0
    #: Not needed as far as is known, and no later night saw the image: nothing can be known.
    unwatched: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryBackTest:
    """One repository under the policy that was replayed."""

    #: Row of ``History.frames.repositories``.
    position: int
    account: str
    region: str
    repository: str
    counts: BackTestCounts
    #: Nights on which it existed, and of these those on which it could not be read whole.
    nights: int
    nights_unread: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackTest:
    """What policies would have done had they been in force since the first night.

    What they take stays taken: later nights are judged without it, as ECR would. What they are held
    against is the truth as it went on with these images there.
    """

    #: The first and the last moment that was judged; None where there was no night.
    first_at: datetime | None
    last_at: datetime | None
    #: Snapshots replayed, over all registries, and moments judged: days between two snapshots count.
    nights: int
    moments: int
    #: Those with a policy, ordered by account, region, name and creation.
    repositories: tuple[RepositoryBackTest, ...]
    totals: BackTestCounts
    #: Images that were needed, the soonest needed first; of many only the first are named.
    examples: tuple[LaterUse, ...]
    #: What would not have been stored meanwhile, in byte-days: bytes times the days they were there.
    saved_byte_days: ScopedBytes
    #: What that would have cost at today's prices, over the whole time; the period says how long.
    saved: ScopedMoney
    #: Of the images taken: their bytes are not known, and are in no figure here.
    unknown_size: int
    #: What is not known, in sentences for people.
    unknown: tuple[str, ...]


# Two snapshots against each other.


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One side of a difference."""

    run: int
    taken_from: datetime
    taken_to: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Artifacts, bytes and cost on either side, and what became of them in between."""

    #: None where there was no such thing on that side, or nobody knows.
    artifacts_before: int | None
    artifacts_after: int | None
    bytes_before: ScopedBytes | None
    bytes_after: ScopedBytes | None
    #: After less before, nothing counting as 0; of bytes at registry scope those that are its alone.
    artifacts: int | None
    bytes: ScopedBytes | None
    #: Unknown, with the reason, where it is not known on either side.
    cost: ScopedMoney


class ImageEvent(StrEnum):
    """What happened to an image between two snapshots."""

    PUSHED = "pushed"
    #: Pushed again: it is there on both sides, with another push time.
    REPUSHED = "repushed"
    #: Gone, and the policy in force on either side takes it.
    EXPIRED = "expired"
    #: Gone, and no known policy takes it.
    DELETED = "deleted"
    #: Gone, and the policy in force is not known.
    GONE = "gone"
    ARCHIVED = "archived"
    RESTORED = "restored"
    RETAGGED = "retagged"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryDifference:
    """One repository that is on either side."""

    account: str
    region: str
    repository: str
    created_at: datetime
    #: new, gone, changed, same; or unknown, where one side could not read it, and no change is known.
    status: Literal["new", "gone", "changed", "same", "unknown"]
    change: Change
    #: Images by what happened to them; nothing where one side could not read it.
    events: dict[ImageEvent, int]
    #: Why it is not known; "" where it is.
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """One setting of a repository or of a registry (``repository`` is "") with another value.

    Values are JSON texts; None where the setting was not known on that side.
    """

    account: str
    region: str
    repository: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingChange:
    """A finding that is on one side only."""

    status: Literal["new", "mended"]
    check: str
    severity: str
    account: str
    region: str
    repository: str
    subject: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What changed between two snapshots; tuples are in their final order."""

    before: Moment
    after: Moment
    #: What the rows of ``repositories`` add up to, with ``shared_bytes`` and ``shared_cost`` at registry
    #: scope. The sides are all that was stored, the change what is known on both.
    totals: Change
    #: What completes the rows at registry scope: bytes that several repositories hold.
    shared_bytes: int
    shared_cost: Money
    #: By size of the change at repository scope, greatest first; then by cost, name.
    repositories: tuple[RepositoryDifference, ...]
    #: account, region, repository, digest, tags (space separated, of the later side where it is there),
    #: event, detail, kind, pushed_at, logical_bytes; ordered by account, region, repository, event, digest.
    images: pd.DataFrame
    settings: tuple[SettingChange, ...]
    #: None where findings were not worked out.
    findings: tuple[FindingChange, ...] | None
    #: What is not known, in sentences for people.
    unknown: tuple[str, ...]


# Predicted against what came true.


class Fate(StrEnum):
    """What became of an image after its repository's policy changed."""

    #: The policy takes it, and it left within the time that ECR takes.
    LEFT = "left"
    #: The policy takes it, and it left later than that.
    LEFT_LATE = "left late"
    #: The policy takes it, and it is still there, though ECR has had its time.
    STILL_THERE = "still there"
    #: The policy takes it, and ECR has not had its time yet.
    DUE = "due"
    #: It left, and the policy does not take it: somebody deleted it.
    NOT_PREDICTED = "not predicted"
    #: A rule selects it for removal, but an index that stays holds it: it is right that it is there.
    HELD = "held"
    #: The repository could not be read since.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutcome:
    """One image that was predicted to leave, or left."""

    digest: str
    tags: tuple[str, ...]
    pushed_at: datetime | None
    fate: Fate
    #: First moment that the policy takes it; None where it never does.
    predicted_at: datetime | None
    rule: int
    #: Taken between these two nights; None for what is there still.
    last_seen_at: datetime | None
    gone_at: datetime | None
    #: Of its own manifest, each layer once; None where its manifest was never read.
    size_bytes: int | None
    #: Why it is still there, as far as that can be told; "" for all others.
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOutcome:
    """One change of one repository's policy, and what came of it until the next change."""

    account: str
    region: str
    repository: str
    #: The policy was changed between these two nights.
    known_before_at: datetime
    changed_at: datetime
    #: None for no policy.
    text_before: str | None
    text_after: str | None
    #: The last night looked at.
    until: datetime
    #: Ordered by fate, then the oldest first.
    images: tuple[ImageOutcome, ...]
    #: Bytes that left (repository scope) with the images predicted and gone, and the part of the
    #: prediction that is still stored.
    freed_bytes: int
    predicted_bytes: int

    def count(self, fate: Fate) -> int:
        """How many images met ``fate``."""
        return sum(image.fate is fate for image in self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Every change of a policy that the store has seen, the latest first."""

    changes: tuple[PolicyOutcome, ...]
    #: What is not known, in sentences for people.
    unknown: tuple[str, ...]
