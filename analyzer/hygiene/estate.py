"""What the checks look at, and what they answer.

A check is a pure function ``(Estate) -> Iterable[Found | Unjudged]``. ``Known`` is all that was loaded;
``Estate`` adds what several checks need worked out once. A check names the artifacts that would leave if
its fault were mended (``Found.leaves``), and the runner (``analyzer.hygiene.checks``) prices them, names
the examples and fills in the commands: checks compute no money of storage, and read no digests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np

from analyzer.families import Families, spans
from analyzer.hygiene.blobs import StoredBlobs, find_blobs
from analyzer.hygiene.platforms import Platforms, find_platforms
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.refusals import InvalidPolicy
from analyzer.lifecycle.savings import Holdings
from analyzer.model.findings import CheckText, Evidence
from analyzer.model.frames import (
    NO_CHILDREN,
    NO_TIME,
    Bools,
    Frames,
    IndexChildren,
    Int64,
    LifecycleFacts,
)
from analyzer.model.lint import LintFinding, Severity
from analyzer.model.pull_report import RecordedPulls
from analyzer.model.pulls import PullHistory
from analyzer.model.registry_settings import (
    RegistrySettings,
    Replication,
    RepositorySettings,
    Scans,
    Settings,
)
from analyzer.model.transfer import MoneyRange, TransferFindings
from analyzer.model.units import ScopeChoice
from analyzer.model.usage import Coverage, Usage, UseBasis
from analyzer.pricing import PriceBook
from analyzer.storage import DAY_MS, Storage

#: Images named in a finding.
EXAMPLES: Final = 5
#: For so many days after its push an image that no tag reaches is no waste yet: what is being rolled out
#: was overwritten a moment ago.
ORPHAN_DAYS: Final = 14

NONE: Final[Int64] = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Some registries and all that was read about them; *row* is one of ``frames.repositories``."""

    frames: Frames
    facts: LifecycleFacts
    families: Families
    storage: Storage
    #: The moment that ages are counted to, milliseconds since 1970 UTC.
    at_ms: int
    #: Not pushed or pulled for so many days is stale.
    stale_days: int
    #: As they were read, in the order of the frames.
    settings: Settings
    #: What they come to, in the same order.
    of_registries: Sequence[RegistrySettings]
    of_repositories: Sequence[RepositorySettings]
    replication: Replication
    scans: Scans
    #: None where no workloads were read and nothing was listed: then nobody knows what is in use.
    usage: Usage | None
    #: Which workloads ``usage`` covers; None where these were not to count.
    coverage: Coverage | None
    #: Where workloads pull from; None where no workloads were read.
    transfers: TransferFindings | None
    #: What CloudTrail recorded of pulls; None where it was never read.
    recorded: RecordedPulls | None
    #: Of the policies in force.
    lint: Sequence[LintFinding]
    policies: Sequence[Policy]
    #: Position in ``policies`` of each row; -1 for none, or none that is known and valid.
    policy_of: Int64
    #: By row what is wrong with a policy that is not valid.
    policy_problems: Mapping[int, InvalidPolicy]
    prices: PriceBook
    #: Which end of the sharing of layers is shown.
    scope: ScopeChoice
    #: Digests of the artifacts at these positions.
    digests: Callable[[Int64], Sequence[str]]
    #: What was asked to count as a use.
    use_basis: UseBasis = field(default_factory=UseBasis)
    #: Accounts that are no strangers: those collected, those of the organization, those the user named.
    accounts: frozenset[str] = frozenset()
    #: What all indexes that were ever read say of their children.
    index_children: IndexChildren = NO_CHILDREN
    #: By digest_id: the image that an image says it was built on.
    base_names: Mapping[int, str] = field(default_factory=dict)
    #: Digests, of blobs too, by digest_id; and the other way, -1 for what was never read.
    digest_texts: Callable[[Sequence[int]], Mapping[int, str]] = lambda _: {}
    digest_ids: Callable[[Sequence[str]], Int64] = lambda digests: np.full(len(digests), -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One fault, as a check sees it."""

    #: Position in ``frames.registries``.
    registry: int
    #: Row of the repository; None where it is about the registry.
    row: int | None
    #: What is wrong, in one sentence.
    message: str
    #: Distinguishes several of one check in one repository; part of the finding's stable key.
    subject: str = ""
    #: Where this one matters more or less than the check does.
    severity: Severity | None = None
    #: In place of the check's fix and of its way to validate.
    fix: str = ""
    validate: str = ""
    #: Artifacts that it is about, the most telling first: the first few become evidence.
    artifacts: Int64 = field(default_factory=lambda: NONE)
    #: How many images it is about, where that is not the number of ``artifacts``.
    images: int | None = None
    #: Artifacts that leave if it is mended, of this repository (of this registry where ``row`` is None);
    #: None where mending it frees no storage of itself.
    leaves: Int64 | None = None
    #: What is saved per month in another way than by artifacts that leave.
    saving: MoneyRange | None = None
    saving_note: str = ""
    #: Beside ``artifacts``.
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """A repository (or with ``row`` None a registry) of which the check cannot tell, and why."""

    registry: int
    row: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """A check: what it is about, and how it is done."""

    text: CheckText
    find: Callable[[Estate], Iterable[Found | Unjudged]]


class Estate:
    """``Known``, with what several checks need worked out once."""

    def __init__(self, known: Known) -> None:
        """Nothing is worked out before it is asked for."""
        self.known = known
        frames = known.frames
        #: Per artifact its row.
        self.repository = frames.artifacts.repository
        #: Per row its registry, its name, and whether it is of a public registry.
        self.registry: list[int] = frames.repositories["registry"].tolist()
        self.names: list[str] = [str(name) for name in frames.repositories["repository"]]
        self.is_public: Bools = frames.is_public
        #: Per row: whether it was ever listed whole. Of others nothing is known to be absent.
        self.listed: Bools = frames.repositories["complete_at_ms"].to_numpy(np.int64) != NO_TIME
        self.accounts: list[str] = [str(account) for account in frames.registries["account"]]
        self.regions: list[str] = [str(region) for region in frames.registries["region"]]

    @property
    def rows(self) -> range:
        """Of all repositories."""
        return range(len(self.names))

    @cached_property
    def held(self) -> Int64:
        """Per row how many artifacts it holds."""
        return np.bincount(self.repository, minlength=len(self.names))

    @cached_property
    def holdings(self) -> Holdings:
        """Who holds which blobs."""
        return Holdings(self.known.frames, self.known.families)

    @property
    def pull_history(self) -> PullHistory | None:
        """The pulls that CloudTrail recorded; None where it was never read."""
        return None if self.known.recorded is None else self.known.recorded.history

    @cached_property
    def blobs(self) -> StoredBlobs:
        """Each blob once per repository."""
        return find_blobs(self.known.frames, self.known.families)

    @cached_property
    def platforms(self) -> Platforms:
        """For which platform each image is."""
        return find_platforms(self.known.frames, self.known.index_children)

    @cached_property
    def orphaned(self) -> Bools:
        """Artifacts that no tag reaches, however new."""
        return self.known.storage.artifacts["orphaned"].to_numpy(np.bool_)

    @cached_property
    def stale(self) -> Bools:
        """Artifacts neither pushed nor pulled for ``stale_days``, nor any index above them."""
        return self.known.storage.artifacts["stale"].to_numpy(np.bool_)

    @cached_property
    def needed(self) -> Bools:
        """What a workload uses, or may use through an index that nobody could read, and its referrers.

        False everywhere where no workloads were read.
        """
        usage = self.known.usage
        if usage is None:
            return np.zeros(len(self.repository), np.bool_)
        needed: Bools = (usage.in_use | usage.possibly)[self._principals]
        return needed

    @cached_property
    def idle(self) -> Bools:
        """Stale artifacts of private repositories that nothing known needs.

        What is under an index is used with it, so that no index that stays loses a child. ECR records no
        pulls from public repositories, so that nothing there is called idle.
        """
        return self.stale & ~self.needed & ~self.is_public[self.repository]

    @cached_property
    def lost(self) -> Bools:
        """Orphaned artifacts that nothing known needs, pushed more than ORPHAN_DAYS ago.

        What is under an index counts as pushed with it, and a push at an unknown time as new.
        """
        artifacts, families = self.known.frames.artifacts, self.known.families
        is_timeless = artifacts.pushed_at_ms == NO_TIME
        pushed = families.latest_of_ancestors(
            np.where(is_timeless, np.iinfo(np.int64).max, artifacts.pushed_at_ms)
        )
        old: Bools = pushed < self.known.at_ms - ORPHAN_DAYS * DAY_MS
        return self.orphaned & old[self._principals] & ~self.needed

    @cached_property
    def waste(self) -> Bools:
        """What can leave without anybody missing it, as far as anything is known: idle or lost."""
        return self.idle | self.lost

    @cached_property
    def _principals(self) -> Int64:
        return self.known.families.principals()

    @cached_property
    def _followers(self) -> tuple[Int64, Int64]:
        """What others share the fate of, ascending, and who these are, in parallel."""
        followers = np.flatnonzero(self._principals != np.arange(len(self.repository)))
        of = self._principals[followers]
        order = np.argsort(of, kind="stable")
        return of[order], followers[order]

    @cached_property
    def _oldest_first(self) -> Int64:
        """Positions by repository, then from the oldest to the youngest, unknown times last."""
        pushed = self.known.frames.artifacts.pushed_at_ms
        return np.lexsort((np.where(pushed == NO_TIME, np.iinfo(np.int64).max, pushed), self.repository))

    def with_referrers(self, positions: Int64) -> Int64:
        """``positions``, and the referrers that share the fate of one of them; ascending."""
        of, followers = self._followers
        first = np.searchsorted(of, positions, "left")
        counts = np.searchsorted(of, positions, "right") - first
        return np.union1d(positions, followers[spans(first, counts)])

    def by_repository(self, mask: Bools) -> Iterator[tuple[int, Int64]]:
        """Each row with an artifact of ``mask``, and their positions, oldest push first."""
        chosen = self._oldest_first[mask[self._oldest_first]]
        owner = self.repository[chosen]
        starts = np.flatnonzero(np.diff(owner, prepend=-1)).tolist()
        for start, end in pairwise([*starts, len(chosen)]):
            yield int(owner[start]), chosen[start:end]

    def of_rows(self, rows: Iterable[int]) -> Bools:
        """Artifacts of these rows."""
        chosen = np.zeros(len(self.names), np.bool_)
        chosen[list(rows)] = True
        return chosen[self.repository]
