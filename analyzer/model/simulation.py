"""What a simulated policy would do: the records that ``what-if`` shows, as tables, JSON and pages.

Money is per month, at the prices of the simulation; a *saving* is the bill before less the bill
after. Figures that depend on how far layers are shared come at both scopes (``ScopedBytes``): what
is promised is the smaller saving, that of ``registry`` scope wherever sharing is not known to be off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from analyzer.model.frames import Bools, Frames, Int64, LifecycleFacts
from analyzer.model.history import BackTest
from analyzer.model.records import Gap
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.units import Money, ScopeChoice
from analyzer.model.usage import Coverage, Usage
from analyzer.model.verdicts import Verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What becomes of the artifacts of one repository, or of all of them.

    Counts are of artifacts of every kind, as ECR counts them: an index, each of its children and
    each referrer is one.
    """

    artifacts: int
    #: By a rule, and what follows an expired subject without a rule.
    expired: int
    expired_followers: int
    #: To the archive class, likewise.
    transitioned: int
    transitioned_followers: int
    #: Kept only because an index that stays names them.
    blocked: int
    #: Of the expired and transitioned: those that may need a second run of ECR.
    deferred: int
    #: Decided by less than a day.
    near_limit: int
    #: Of the expired and transitioned: known to be in use, and named as protected.
    in_use: int
    protected: int
    #: Of those in use, by the strongest kind of use that is known; the rest is on a list.
    in_use_running: int = 0
    in_use_configured: int = 0
    in_use_previous: int = 0
    #: Of the expired: their bytes are not known, and are in no figure here.
    unknown_size: int

    #: Every image counted whole, and the same of the expired ones: the sum of image sizes, which
    #: tools that know no layers take for the saving.
    logical_bytes: int
    expired_logical_bytes: int
    #: Stored before.
    physical_bytes: ScopedBytes
    #: Would leave the bill.
    freed_bytes: ScopedBytes
    #: Would move from the standard to the archive class.
    archived_bytes: ScopedBytes
    #: The bill before, and what would be saved of it. At registry scope the rows of repositories
    #: hold what is theirs alone; a registry's total has the shared rest too.
    cost: ScopedMoney
    saving: ScopedMoney
    #: The two ends of the saving that ``--scope`` leaves open, as for the cost in a report: the
    #: lower one is what is promised. Equal where sharing is known to be off.
    saving_low: Money
    saving_high: Money
    #: Of the saving, what expiring brings; the rest, often nothing, is brought by archiving.
    expiry_saving: ScopedMoney
    #: ``expired_logical_bytes`` at the rate of the standard class.
    naive_saving: Money

    @property
    def kept(self) -> int:
        """Artifacts that stay in the class they are in."""
        return self.artifacts - self.leaving - self.archiving

    @property
    def leaving(self) -> int:
        """Artifacts that would be deleted, followers included."""
        return self.expired + self.expired_followers

    @property
    def archiving(self) -> int:
        """Artifacts that would be archived, followers included."""
        return self.transitioned + self.transitioned_followers


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationWarning:
    """Something in a verdict that AWS does not document, or that the reader should look at."""

    code: str
    text: str
    #: Positions of the artifacts that it is about, oldest first.
    positions: Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """The same repository in another registry: a policy does not reach it, it has its own or none."""

    account: str
    region: str
    #: None where it is not known, or not one that this version understands.
    has_policy: bool | None
    #: What its own policy in force would do there, as far as that is known.
    expired: int
    transitioned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryEffect:
    """One repository under one candidate."""

    #: Row of ``Simulation.frames.repositories``.
    position: int
    #: None where offline documents do not say it.
    account: str | None
    region: str | None
    repository: str | None
    #: Text of the policy that was simulated; None where none applies to this repository.
    policy_text: str | None
    effect: Effect
    #: The same under the policy in force, with ``--against live``; None where not asked for, or not
    #: known (with the reason in ``warnings``).
    live: Effect | None
    #: Positions of artifacts, oldest first: EXPIRED or TRANSITIONED by a rule; followers; blocked ones.
    claimed: Int64
    followers: Int64
    blocked: Int64
    #: Of those that leave or are archived: in use, and protected.
    in_use: Int64
    protected: Int64
    #: Repositories of other registries with the same name and mostly the same images.
    replicas: tuple[Replica, ...]
    warnings: tuple[SimulationWarning, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEffect:
    """What one rule of a candidate contributes, over all repositories."""

    priority: int
    description: str | None
    expired: int
    transitioned: int
    #: Freed bytes of the policy less those of the policy without this rule: negative where the rule
    #: shields images from later ones.
    marginal_freed_bytes: ScopedBytes
    #: Freed bytes of a policy of this rule alone.
    alone_freed_bytes: ScopedBytes
    marginal_saving: ScopedMoney
    alone_saving: ScopedMoney


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiving:
    """Whether archiving pays in one region, at repository scope, at the volumes that are there."""

    region: str
    archived_bytes: int
    #: What archiving alone saves a month, once everything that is freed has left.
    saving: Money
    #: None where a price that decides is not known.
    saves: bool | None
    #: An archived image is billed for at least so many days, and what that comes to (its period says
    #: for how long).
    minimum_days: int
    minimum_cost: Money
    #: What it costs to restore all these bytes one time.
    retrieval_cost: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One candidate policy (or one set of policies) and all that it would do."""

    #: The file it came from, or "live".
    name: str
    #: Ordered by ``saving_low``, greatest first and unknown ones last; then by freed and archived
    #: bytes at repository scope, artifacts that leave, account, region, name.
    repositories: tuple[RepositoryEffect, ...]
    totals: Effect
    #: The same totals under the policies in force, with ``--against live``.
    live_totals: Effect | None
    #: Empty where it was not asked for, or the repositories have different policies.
    rules: tuple[RuleEffect, ...]
    #: One per region where something is archived.
    archiving: tuple[Archiving, ...]
    verdicts: Verdicts
    #: About the candidate as a whole.
    warnings: tuple[str, ...]
    #: What it would have done in the past; None where that was not asked for.
    back_test: BackTest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The answer to a what-if question. Positions are positions in ``frames.artifacts``."""

    #: Which end the figures show first: auto, repository or registry.
    scope: ScopeChoice

    #: The moment that policies are evaluated at.
    at: datetime
    #: Time of the snapshots looked at; None for documents.
    taken_from: datetime | None
    taken_to: datetime | None
    candidates: tuple[Candidate, ...]
    frames: Frames
    facts: LifecycleFacts
    #: Digests of the artifacts at these positions.
    digests: Callable[[Int64], Sequence[str]]
    in_use: Bools
    protected: Bools
    #: Whether anything said which images are in use, and which are protected; where nothing did the
    #: two above are all false, and mean nothing.
    in_use_given: bool = True
    protected_given: bool = True
    #: Images named as in use that are not there, in repositories that were read: as text.
    missing_in_use: tuple[str, ...]
    #: Who uses what, and which workloads that covers; None where it is not known, or nobody asked.
    usage: Usage | None = None
    coverage: Coverage | None = None
    gaps: tuple[Gap, ...]
    warnings: tuple[str, ...]
