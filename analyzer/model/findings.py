"""What ``findings`` tells of registries: faults found by the checks of ``analyzer.hygiene``.

Ids of checks, keys of findings and the order of fields are stable: waivers, tickets and programs rely on
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from analyzer.model.lint import Severity
from analyzer.model.records import Gap
from analyzer.model.results import ScopedBytes
from analyzer.model.transfer import MoneyRange
from analyzer.model.usage import Coverage, UseBasis


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckText:
    """One check, for somebody who meets it for the first time.

    ``validate`` and ``fix`` may hold ``{account}``, ``{region}``, ``{repository}`` and ``{subject}``, which
    stand for those of a finding, quoted for a shell.
    """

    #: Stable, in capitals: ``NO_POLICY``.
    id: str
    #: Of an ordinary finding; a single one may matter more or less.
    severity: Severity
    title: str
    #: What it means where it is found, and what is judged.
    meaning: str
    #: Commands or steps that show that it is so.
    validate: str
    #: What to do about it.
    fix: str
    #: Where the rule comes from.
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One of the things that show it: an image mostly, else a layer, a setting, a workload."""

    #: image, index, referrer, unknown (artifacts), layer, setting, grant, workload, repository, waiver.
    kind: str
    #: ``repository:tag`` or ``repository@digest`` of artifacts; else what names it.
    name: str
    #: Of artifacts and layers; "" for anything else.
    digest: str = ""
    #: Sorted; of artifacts a few at most.
    tags: tuple[str, ...] = ()
    #: Of an artifact: config and layers, each counted whole. None where unknown, or without meaning.
    size_bytes: int | None = None
    pushed_at: datetime | None = None
    #: ISO date, ``never``, or "" where it is not known or without meaning.
    last_pull: str = ""
    #: What else there is to say, in one sentence.
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whom a repository belongs to, and how that is known."""

    name: str
    #: ``tag KEY`` or ``prefix PREFIX``.
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """Findings that somebody decided to live with, until a day.

    Patterns are shell-style; what is left out of the file matches everything.
    """

    #: Pattern over ids of checks.
    check: str
    #: Who answers for it, and why.
    owner: str
    reason: str
    #: The last day (UTC) that it holds.
    expires: date
    account: str = "*"
    region: str = "*"
    #: Findings about a whole registry have the name "".
    repository: str = "*"
    #: Pattern over ``Finding.subject``.
    subject: str = "*"
    #: Where it stands, for messages: ``FILE: waiver number 2``.
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault, where it is and what mending it would save."""

    #: ``CheckText.id``.
    check: str
    severity: Severity
    title: str
    account: str
    region: str
    #: "" where it is about the whole registry.
    repository: str
    #: What it is about inside of that: a rule's priority, a digest, a key; "" for all of it.
    subject: str
    #: What is wrong, in one sentence.
    message: str
    #: What to do, and how to see that it is so; commands are filled in.
    fix: str
    validate: str
    #: How many images it is about.
    images: int = 0
    #: What would leave the store if it were mended; None where nothing would, or nobody knows.
    freed_bytes: ScopedBytes | None = None
    #: Of what would leave: artifacts of unknown size, which no figure contains.
    unknown_size: int = 0
    #: Per month, if it were mended: ``low`` is promised. None where mending it saves no money of itself;
    #: an unknown amount says why. Findings overlap: these do not add up.
    saving: MoneyRange | None = None
    #: What the saving supposes, in one sentence; "" where nothing is to be said.
    saving_note: str = ""
    #: A few, never all.
    evidence: tuple[Evidence, ...] = ()
    #: None where nobody is known.
    owner: Owner | None = None
    #: The waiver that covers it; a waived finding fails nothing.
    waiver: Waiver | None = None

    @property
    def key(self) -> str:
        """What names the finding tomorrow too: check, account, region, repository and subject."""
        place = f"{self.check}/{self.account}/{self.region}/{self.repository}"
        return f"{place}#{self.subject}" if self.subject else place


@dataclass(frozen=True, slots=True, kw_only=True)
class NotJudged:
    """A check that says nothing of some places, because what it looks at is not known there."""

    check: str
    account: str
    region: str
    #: Repositories of that registry that it says nothing about; 0 for the registry as a whole.
    repositories: int
    #: What is not known, in one sentence.
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryFindings:
    """What the open findings of one repository come to together, each blob once."""

    account: str
    region: str
    #: "" for what is about the whole registry.
    repository: str
    #: Of the repository; None where nobody is known.
    owner: Owner | None
    #: Of the gravest.
    severity: Severity
    findings: int
    #: Ids of the checks, each once: those that promise most first.
    checks: tuple[str, ...]
    #: What leaves the store if all of them are mended; None where nothing does, or nobody knows.
    freed_bytes: ScopedBytes | None
    unknown_size: int
    #: None where none of them saves storage. At repository scope the rows add up to
    #: ``FindingsReport.storage_saving``.
    saving: MoneyRange | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsReport:
    """The answer of ``findings``."""

    #: The moment that ages are counted to.
    at: datetime
    stale_days: int
    #: How many repositories were looked at.
    repositories: int
    #: The checks that were run, in the order of the table.
    checks: tuple[CheckText, ...]
    #: Open and waived ones: by severity, then what is promised to be saved (greatest first), then freed
    #: bytes, then account, region, repository, check and subject.
    findings: tuple[Finding, ...]
    #: By what is promised to be saved, the most first; then by severity.
    by_repository: tuple[RepositoryFindings, ...]
    not_judged: tuple[NotJudged, ...]
    #: Waivers that cover no finding and have not expired.
    unmatched_waivers: tuple[Waiver, ...]
    #: All that leaves the store if every open finding is mended, each blob once however many findings it
    #: is part of, and what that saves per month.
    freed_bytes: ScopedBytes
    storage_saving: MoneyRange
    #: Which workloads were read; None where none were to count.
    coverage: Coverage | None = None
    #: What was to count as a use of an image.
    use_basis: UseBasis = field(default_factory=UseBasis)
    #: What the user's list of images in use says nothing about, in sentences for people.
    warnings: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    accepted_gaps: tuple[tuple[Gap, str], ...] = ()

    @property
    def open(self) -> tuple[Finding, ...]:
        """Those that nobody waived."""
        return tuple(finding for finding in self.findings if finding.waiver is None)
