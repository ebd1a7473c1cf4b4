"""The answer of ``explain``: one artifact, its relatives, the verdict on it and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from analyzer.model.records import Gap
from analyzer.model.results import ScopedBytes
from analyzer.model.usage import Coverage, Use
from analyzer.model.verdicts import Outcome, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """An artifact of the same repository, and what becomes of it."""

    digest: str
    #: Sorted.
    tags: tuple[str, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What an artifact belongs to and what belongs to it, as far as it is in the same repository."""

    #: Indexes that name it, and the artifacts that it names as an index.
    parents: tuple[Relative, ...]
    children: tuple[Relative, ...]
    #: How many more it names that are not there.
    absent_children: int
    #: What it refers to; None where it refers to nothing, or to what is not there.
    subject: Relative | None
    #: It refers to something that is not there.
    subject_is_absent: bool
    #: What refers to it.
    referrers: tuple[Relative, ...]
    #: It may be an index: its manifest could not be read, so its children are not known.
    may_have_children: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStep:
    """One rule of the policy, and what it makes of the artifact."""

    priority: int
    #: The rule in one line.
    rule: str
    description: str | None
    selects: bool
    #: In its storage class it is the first to select it, and so decides.
    decides: bool
    #: It would act on the artifact if it decided.
    claims: bool
    #: Why it does not select it, or how its count or age stands to the limit.
    why: str
    #: Where the rule selects it: its place among so many that the rule selects, where that counts.
    rank: int | None
    selected: int
    #: Where the rule selects it and counts days, None where that time is unknown.
    age_days: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """What would leave if this artifact were deleted, and no other image for a reason of its own."""

    #: Would leave by itself, others staying.
    unique_bytes: ScopedBytes
    #: Referrers that leave with it, and children that rules would take if it did not hold them back.
    followers: tuple[Relative, ...]
    released: tuple[Relative, ...]
    #: Would leave with all of these.
    freed_bytes: ScopedBytes
    #: Children that no other index and no tag would reach then: no rule takes them, nobody can pull
    #: them by name; and what would leave if they were deleted too.
    orphans: tuple[Relative, ...]
    freed_with_orphans_bytes: ScopedBytes
    #: Of all these: the size is not known, and is in no figure.
    unknown_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPulls:
    """When an image was last asked for, as CloudTrail recorded it; days since 1970-01-01 UTC."""

    #: Since its push, the first and last that anything is known of in its registry; None for none.
    first_day: int | None
    last_day: int | None
    #: Of these and the days between, those that are covered completely.
    complete_days: int
    #: None where it was not seen to be asked for so.
    by_digest_day: int | None
    #: By ``tag``, which it has now, and which may have meant another image then.
    by_tag_day: int | None
    tag: str

    @property
    def is_covered(self) -> bool:
        """Whether every day since its push, or since anything is known, is covered completely."""
        if self.first_day is None or self.last_day is None:
            return False
        return self.complete_days == self.last_day - self.first_day + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything about one artifact. "" is an account, region or repository that is not known."""

    #: The moment that the policy is evaluated at, and that of the snapshot; None for documents.
    at: datetime
    taken_at: datetime | None
    account: str
    region: str
    repository: str
    digest: str
    #: image, index, referrer or unknown.
    kind: str
    #: Sorted.
    tags: tuple[str, ...]
    pushed_at: datetime | None
    #: None where no pull is recorded; as exact as what is stored: to the day, mostly.
    pulled_at: datetime | None
    archived_at: datetime | None
    activated_at: datetime | None
    #: active, archived, activating or other.
    status: str
    #: Config and layers; None where the manifest was not read, and for an index, which has none.
    logical_bytes: int | None
    #: None where nothing is known of images in use, or was said of those not to be touched.
    in_use: bool | None
    protected: bool | None
    family: Family
    #: Where the policy comes from: "live", or a file.
    policy: str
    outcome: Outcome
    reason: Reason
    #: Priority of the deciding rule, None for none.
    rule: int | None
    #: The verdict in one sentence, and what else there is to know of it.
    sentence: str
    notes: tuple[str, ...]
    trace: tuple[TraceStep, ...]
    departure: Departure
    #: Who uses it: the strongest kind of use first, each workload once.
    users: tuple[Use, ...] = ()
    #: Not known to be in use, but an index in use that nobody could read may have it as a child.
    possibly_in_use: bool = False
    #: Which workloads were looked at; None where these were not asked about.
    coverage: Coverage | None = None
    #: None where CloudTrail was never read, and for documents.
    seen_pulls: SeenPulls | None = None
    #: About its repository or registry.
    gaps: tuple[Gap, ...] = ()
