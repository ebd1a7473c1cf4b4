"""What ECR's own lifecycle preview says, and how it compares with our verdicts.

Moments in records that are shown are aware datetimes; those of AWS's answers are milliseconds since
1970 UTC, as everywhere in the collector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from analyzer.model.records import Artifact, Gap

#: The actions of a preview, in ECR's words.
PreviewAction = Literal["EXPIRE", "TRANSITION"]


class PreviewRow(NamedTuple):
    """One entry of ``previewResults``: an image that a rule would act on."""

    digest: str
    tags: tuple[str, ...]
    pushed_at_ms: int | None
    action: PreviewAction
    #: appliedRulePriority, None where the answer has none.
    rule: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One complete preview of one repository."""

    #: The policy that ECR says it previewed.
    policy_text: str
    #: ECR looked at the images somewhere between these two.
    started_at_ms: int
    completed_at_ms: int
    #: Somebody else had started it, with the same policy.
    joined: bool
    rows: tuple[PreviewRow, ...]
    #: expiringImageTotalCount, None where the answer has no summary.
    expiring_total: int | None
    #: Sum of transitioningImageTotalCounts, which ECR leaves out where nothing transitions.
    transitioning_total: int | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The artifacts of a repository as they are now, by digest."""

    artifacts: Mapping[str, Artifact]
    #: lastRecordedPullTime to the millisecond, of those that have one.
    pulled_at_ms: Mapping[str, int]


class Difference(StrEnum):
    """How two verdicts on one image differ."""

    AWS_ACTS = "aws-acts-we-keep"
    WE_ACT = "we-act-aws-keeps"
    ACTION = "other-action"
    RULE = "other-rule"


class Act(NamedTuple):
    """What becomes of an image, and by which rule."""

    action: PreviewAction
    #: Priority; None where no rule is named, or none acts (a referrer that leaves with its subject).
    rule: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One image on which ECR and we disagree."""

    difference: Difference
    digest: str
    tags: tuple[str, ...]
    pushed_at: datetime | None
    #: None: it keeps the image as it is.
    aws: Act | None
    ours: Act | None
    #: Why we say so, in words.
    why: str
    #: Our verdict hangs on less than a day.
    near_limit: bool
    #: We say that it leaves in the same evaluation as an index that names it.
    deferred: bool


class VerificationStatus(StrEnum):
    """What came of one repository."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    #: No policy is in force there, so there was nothing to preview.
    NO_POLICY = "no-policy"
    #: ECR gave no preview; a gap says why.
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A preview and our verdicts, held against each other."""

    started_at: datetime
    completed_at: datetime
    joined: bool
    policy_text: str
    #: Artifacts that were looked at: all that the repository has now.
    artifacts: int
    #: Artifacts with an action: in the preview's rows, and by our rules.
    aws_expiring: int
    aws_transitioning: int
    our_expiring: int
    our_transitioning: int
    #: The same by the preview's own summary; None where it has none.
    summary_expiring: int | None
    summary_transitioning: int | None
    disagreements: tuple[Disagreement, ...]
    #: Digests of images that a rule of ours claims and an index that stays keeps, sorted: those that
    #: the preview shows as leaving all the same, and those that it does not. AWS does not document
    #: which it should do, so neither is a disagreement.
    blocked_shown: tuple[str, ...]
    blocked_hidden: tuple[str, ...]
    #: Images whose verdict changed while the preview ran: either was taken for right.
    on_the_edge: int
    #: Digests, sorted: new and gone since the snapshot that the manifests are from; in the preview,
    #: and gone since.
    pushed_since: tuple[str, ...]
    gone_since: tuple[str, ...]
    gone_after_preview: tuple[str, ...]
    #: Digests, sorted, of what may be an index and is not known from inside: children that it has
    #: are not known as such.
    unread: tuple[str, ...]
    #: Disagreements that would be left if children of indexes held no places in counts of images;
    #: None where there are none to begin with.
    without_child_slots: int | None

    @property
    def summary_differs(self) -> bool:
        """Whether the preview's summary and its own rows disagree."""
        return self.summary_expiring not in (None, self.aws_expiring) or self.summary_transitioning not in (
            None,
            self.aws_transitioning,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryVerification:
    """What came of one repository."""

    account: str
    region: str
    repository: str
    status: VerificationStatus
    #: None where there was nothing to compare.
    compared: Compared | None = None
    #: Who refuses the policy that the other one accepts, and why; "" where nobody does.
    validation: str = ""
    #: The policy in force is not the one of the snapshot, which other commands judge.
    policy_changed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The answer of ``verify``."""

    at: datetime
    #: What was previewed: "live" or the name of a file.
    policy: str
    #: By account, region and name.
    repositories: tuple[RepositoryVerification, ...]
    gaps: tuple[Gap, ...]
    accepted_gaps: tuple[tuple[Gap, str], ...]
    #: About the whole.
    notes: tuple[str, ...]

    @property
    def disagrees(self) -> bool:
        """Whether any repository disagrees."""
        return any(one.status is VerificationStatus.DISAGREES for one in self.repositories)
