"""What a digest tells: how things stand, what changed, what to do, and what is alarming."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from analyzer.model.results import ScopedBytes
from analyzer.model.units import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From where on something is alarming; None for never."""

    #: USD per month.
    cost_above: Decimal | None = None
    #: Per cent of the monthly cost ``growth_days`` before.
    growth_above: Decimal | None = None
    growth_days: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one report came to."""

    run: int
    at: datetime
    #: At both ends of what may be shared.
    cost_low: Money
    cost_high: Money
    stored_bytes: ScopedBytes
    registries: int
    repositories: int
    images: int
    gaps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryChange:
    """How one repository changed."""

    #: ``account/region/name``.
    name: str
    #: Per month at repository scope; None where it is not known on one of the sides.
    cost: Decimal | None
    #: At repository scope.
    stored_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changed since an earlier report, both made with the same options and prices."""

    before: Standing
    #: At repository scope; None where one of the two is not known whole.
    cost: Decimal | None
    stored_bytes: int
    images: int
    #: Those that are there on one side alone, sorted.
    new_repositories: tuple[str, ...]
    gone_repositories: tuple[str, ...]
    #: That grew or shrank most, by bytes; a few.
    movers: tuple[RepositoryChange, ...]
    #: What could not be read now and could before, and the other way: calls and places, sorted.
    new_gaps: tuple[str, ...]
    gone_gaps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionLine:
    """Something to do that saves money."""

    #: ``account/region/name``.
    place: str
    what: str
    #: Per month: what is promised.
    saving: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAdvice:
    """What the recommended lifecycle policies come to."""

    #: Repositories that a policy should be put in.
    to_put: int
    #: Of these: the policy in force takes images that are needed.
    safer: int
    #: Per month, of following all of the advice: at the end that cannot overstate it, and at the other.
    saving_low: Money
    saving_high: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What it will cost if policies are as they are, or others."""

    #: Of the forecast's scenario: none, current, recommended, candidate.
    name: str
    title: str
    at: datetime
    #: Per month at repository scope: the middle of what is expected.
    cost: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """All that is told after a run."""

    #: None where the run made no report.
    now: Standing | None
    changes: Changes | None
    #: One line each.
    alerts: tuple[str, ...]
    #: Dearest first; their savings overlap.
    actions: tuple[ActionLine, ...]
    #: None where no policies were looked for.
    advice: PolicyAdvice | None
    #: How many open findings of each severity, most severe first; None where none were looked for.
    findings: tuple[tuple[str, int], ...] | None
    #: The end of each scenario that was forecast; empty where nothing was.
    outlook: tuple[Outlook, ...]
    #: Steps of the run that failed, and why.
    failures: tuple[tuple[str, str], ...]
    #: Where the report was published.
    places: tuple[str, ...]

    @property
    def is_alarming(self) -> bool:
        """Whether somebody should look now."""
        return bool(self.alerts or self.failures)


@dataclass(frozen=True, slots=True)
class DigestTexts:
    """A digest as it is sent."""

    #: Of its content, for receivers that drop what they had.
    id: str
    subject: str
    plain: str
    #: In Slack's mrkdwn.
    slack: str
    json: str
