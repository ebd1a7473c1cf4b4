"""What ``recommend`` advises: for each repository the safe lifecycle policy that saves most, and why.

*Needed* is an image in use, one that was pulled within so many days, one of the last releases of its
tag family, a protected one, and whatever any of these reaches: children of indexes, referrers. What
is not known counts as needed. No policy here takes a needed image: the evaluator of ``what-if`` has
judged it before it got here, at the moment of the snapshot and at the end of the margin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from analyzer.model.usage import UseBasis

if TYPE_CHECKING:
    from analyzer.model.history import BackTest, RepositoryBackTest
    from analyzer.model.records import Gap
    from analyzer.model.results import ScopedBytes, ScopedMoney
    from analyzer.model.simulation import Effect
    from analyzer.model.units import Money, ScopeChoice
    from analyzer.model.usage import Coverage


class FamilyKind(StrEnum):
    """What the names of a tag family have in common."""

    #: Version numbers: v1.2.3, 2.0-alpine.
    RELEASE = "release"
    #: Version numbers of what comes before a release: 1.2.3-rc.1.
    PRERELEASE = "prerelease"
    #: Dates and times, and calendar versions: 2026-11-28, 20261128T0300.
    DATE = "date"
    #: A name with the hash of a commit: main-3f2a9c1.
    BRANCH = "branch"
    #: Hashes alone.
    HASH = "hash"
    #: Numbers that are counted up: 1234, build-87.
    BUILD = "build"
    #: Names of environments, which move from image to image: prod, staging-eu.
    ENVIRONMENT = "environment"
    #: Other names that move: latest, stable, main.
    POINTER = "pointer"
    #: Everything else.
    OTHER = "other"


class Status(StrEnum):
    """What comes of a repository; programs rely on these words."""

    #: It has no policy: put this one.
    SET = "set"
    #: Put this one in place of the one in force: it saves more, and is as safe.
    REPLACE = "replace"
    #: The one in force takes images that are needed: put this one, which does not.
    SAFER = "safer"
    #: The one in force is as safe, and saves as much.
    KEEP = "keep"
    #: There is nothing that a safe policy would take.
    NOTHING = "nothing"
    #: Too little is known to advise anything; ``reason`` says what.
    UNKNOWN = "unknown"
    #: The policy that was found did not stand the proof; ``reason`` says where.
    UNPROVEN = "unproven"

    @property
    def advises(self) -> bool:
        """Whether there is a policy to put."""
        return self in {Status.SET, Status.REPLACE, Status.SAFER}


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFamily:
    """Tag names of one kind in one repository."""

    kind: FamilyKind
    #: What it looks like, for people: ``v1.2.3``, ``main-<hash>``.
    label: str
    #: Distinct names, and artifacts that carry one.
    names: int
    images: int
    #: What a rule can select it by; None where no pattern tells it from the rest.
    pattern: str | None
    #: Of other families' artifacts in the repository: what the pattern selects beside its own.
    foreign: int
    #: A few of its names, the youngest first.
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBasis:
    """One rule of a recommended policy, and where its number comes from."""

    priority: int
    description: str
    #: untagged, any, or the pattern of the tags.
    selects: str
    by: Literal["images", "days"]
    #: countNumber.
    number: int
    #: What the needed images of today demand: so many images, or days.
    required: int
    #: What is added so that it stays safe while images are pushed and grow older.
    margin: int
    #: What rounding adds to these two, and to the least that is ever advised.
    rounding: int
    #: Artifacts it decides on, and of these what it takes today.
    decides: int
    takes: int
    #: Pushes a day that it counts, at the present rate.
    pushes_per_day: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Why artifacts of a repository are needed; one artifact may be so for several reasons."""

    artifacts: int
    in_use: int
    protected: int
    pulled: int
    releases: int
    #: Children and referrers of such.
    related: int
    #: It may be one of those, for all that is known.
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """What is taken that somebody once wanted."""

    #: Artifacts taken of which ECR records a pull, all before the days asked for, and the last of these.
    once_pulled: int
    last_pulled: date | None
    #: The latest pulled ones: ``repository:tag`` or ``repository@digest``.
    examples: tuple[str, ...]
    #: Artifacts taken that were never pulled as far as ECR records it.
    never_pulled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The advice on one repository."""

    #: Row of the frames' repositories.
    position: int
    account: str
    region: str
    repository: str
    status: Status
    #: Why there is no policy to put, or why one should be put though it saves less; else "".
    reason: str
    #: The JSON of the policy, as ECR takes it; None where there is none to put.
    policy_text: str | None
    rules: tuple[RuleBasis, ...]
    families: tuple[TagFamily, ...]
    #: True, False, or None where it could not be read.
    has_policy: bool | None
    #: What it does to the images of the snapshot, against no policy at all; of the policy in force
    #: where there is none to put. None where neither is known.
    effect: Effect | None
    #: The same under the policy in force; None where that is not known.
    current: Effect | None
    #: What following the advice saves beyond the policy in force (beyond none, where that is not
    #: known): at the end that cannot overstate it, and at the other one. Nothing without advice.
    saving_low: Money
    saving_high: Money
    #: Needed images that the policy in force takes.
    current_takes: int
    needed: Needed
    risk: Risk
    #: Until when it is safe at the present rate of pushes, if needs stay as they are.
    safe_until: datetime | None
    is_cache: bool | None
    #: What to know: replicas, caches, what is not known.
    notes: tuple[str, ...]
    #: Over the stored history; None where it was not worked out.
    back_test: RepositoryBackTest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDefault:
    """One policy that is safe in every repository, as a creation template would set it."""

    #: None where no single policy is safe everywhere and takes anything.
    policy_text: str | None
    reason: str
    rules: tuple[RuleBasis, ...]
    effect: Effect | None
    #: Freed by the best policy of each repository, and not by this one.
    lost_bytes: ScopedBytes | None
    lost: ScopedMoney | None
    #: Repositories it was made for, and those that need the numbers it has: rules by priority.
    repositories: int
    decided_by: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendOptions:
    """What counts as needed, and how much room a policy must leave."""

    #: Last releases of each tag family that stay.
    keep_releases: int = 5
    #: An image pulled within so many days is needed; no rule takes by a shorter age.
    pulled_within_days: int = 90
    #: For so many days a policy must stay safe at the present rate of pushes.
    margin_days: int = 30
    #: Share of what the best policy frees that may be lost for round numbers and fewer rules.
    loss: float = 0.01
    #: Let rules count days for tagged images too. That may save more where pushes have become frequent,
    #: and takes the last releases of what is not pushed any more.
    age_rules: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendReport:
    """The advice on some repositories."""

    #: The moment that ages are counted to.
    at: datetime
    scope: ScopeChoice
    options: RecommendOptions
    #: By what they save beyond the policy in force, greatest first; those without advice last.
    repositories: tuple[Recommendation, ...]
    #: All repositories with the advice followed, and as they are; None where there is none.
    totals: Effect | None
    current_totals: Effect | None
    #: What following the advice saves beyond the policies in force, at the end that cannot
    #: overstate it, and at the other one.
    saving_low: Money
    saving_high: Money
    #: None where it was not asked for.
    fleet: FleetDefault | None
    #: Which workloads the images in use come from; None where none were asked about.
    coverage: Coverage | None
    #: Whether anything said which images are in use.
    in_use_known: bool
    #: What was to count as a use, and how many patterns name protected images.
    use_basis: UseBasis = field(default_factory=UseBasis)
    protect_patterns: int = 0
    gaps: tuple[Gap, ...] = ()
    accepted_gaps: tuple[tuple[Gap, str], ...] = ()
    #: What is not known, in sentences for people.
    warnings: tuple[str, ...] = ()
    #: All policies at once over the stored history; None where it was not worked out.
    back_test: BackTest | None = None
