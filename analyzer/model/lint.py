"""What ``lint`` finds: faults of lifecycle policies, each held against the images that are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np

from analyzer.model.frames import Int64
from analyzer.model.records import Gap
from analyzer.model.results import ScopedBytes
from analyzer.model.usage import Coverage, Usage, Use


class Severity(StrEnum):
    """How much a finding matters; the first matters most."""

    #: Images that are needed leave, or the policy does not do what it says.
    HIGH = "high"
    #: Bytes pile up that no rule will ever take, or a rule is without any effect.
    MEDIUM = "medium"
    #: Worth a look, nothing is lost by it today.
    LOW = "low"
    #: A fact to know, most likely meant so.
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the one that matters most."""
        return list(Severity).index(self)

    def is_at_least(self, threshold: Severity) -> bool:
        """Whether it matters as much as ``threshold`` or more."""
        return self.rank <= threshold.rank


class LintCode(StrEnum):
    """The checks; programs rely on these names."""

    #: The repository has no policy.
    NO_POLICY = "NO_POLICY"
    #: Whether it has one could not be read.
    POLICY_UNREADABLE = "POLICY_UNREADABLE"
    #: Its policy is not one that ECR accepts, as far as its rules are known.
    POLICY_INVALID = "POLICY_INVALID"
    #: No image is selected by the rule.
    RULE_MATCHES_NOTHING = "RULE_MATCHES_NOTHING"
    #: Earlier rules select every image that the rule selects.
    RULE_SHADOWED = "RULE_SHADOWED"
    #: No image satisfies the whole list of the rule, while images satisfy its entries singly.
    AND_TRAP = "AND_TRAP"
    #: Tagged images that no rule will ever expire.
    UNCAPPED_TAGGED = "UNCAPPED_TAGGED"
    #: Images that no tag reaches and that no rule will ever expire.
    UNCAPPED_ORPHANED = "UNCAPPED_ORPHANED"
    #: The rule claims children of indexes that stay, or may do so where an index could not be read.
    STRIPS_CHILDREN = "STRIPS_CHILDREN"
    #: Images in use leave or are archived: high where a workload runs or would start with one, medium
    #: where only earlier states of workloads name them.
    TAKES_IN_USE = "TAKES_IN_USE"
    #: Images that are never to be touched leave or are archived.
    TAKES_PROTECTED = "TAKES_PROTECTED"
    #: The rule archives, and at present volumes the archive is no cheaper.
    ARCHIVE_WITHOUT_PAYBACK = "ARCHIVE_WITHOUT_PAYBACK"
    #: Another registry holds the same images under the same name, under another policy.
    REPLICA_POLICY_DIFFERS = "REPLICA_POLICY_DIFFERS"
    #: Children of indexes take places among the images that the rule keeps.
    COUNT_RULE_SLOTS_HELD = "COUNT_RULE_SLOTS_HELD"
    #: The rule selects images and claims none of them.
    NEVER_ACTS = "NEVER_ACTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """One fault of one policy in one repository."""

    code: LintCode
    severity: Severity
    account: str
    region: str
    repository: str
    #: Priority of the rule that it is about; None for the policy as a whole, or the lack of it.
    rule: int | None
    #: What is wrong, in one sentence.
    message: str
    #: What to do about it, in one sentence.
    fix: str
    #: How many images it is about.
    images: int = 0
    #: What would leave if these images alone left, all together; what blobs share with the other
    #: repositories of the registry counts at ``repository`` scope only. None where there are no such
    #: images, or the size of none of them is known.
    affected_bytes: ScopedBytes | None = None
    #: Of these images: their size is not known, and is in no figure.
    unknown_size: int = 0
    #: The oldest of them, a few: ``repository:tag`` or ``repository@digest``.
    examples: tuple[str, ...] = ()
    #: Who uses these examples, those of the first one first.
    users: tuple[Use, ...] = ()
    #: All of them, oldest first, as positions in the frames that were judged: for whoever has these too.
    artifacts: Int64 = field(default_factory=lambda: np.zeros(0, np.int64), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LintReport:
    """The answer of ``lint``; findings that matter most come first, then those of most bytes.

    Of high ones those about images in use come before all others.
    """

    #: The moment that policies are evaluated at.
    at: datetime
    #: The file of the policy that was judged in place of those in force, else None.
    policy: str | None
    #: How many repositories were looked at, and how many of them have a policy that could be judged.
    repositories: int
    with_policy: int
    findings: tuple[LintFinding, ...]
    #: Images named as in use that are not there, as they were named; None without such a list.
    missing_in_use: tuple[str, ...] | None = None
    #: Who uses what, and which workloads that covers; None where it is not known, or nobody asked.
    usage: Usage | None = None
    coverage: Coverage | None = None
    gaps: tuple[Gap, ...] = ()
    accepted_gaps: tuple[tuple[Gap, str], ...] = ()
