"""A report without names, for people who may see figures and nothing else.

Only what the tables here let pass stays in words: what AWS and this program call things, and regions. What
names something of yours becomes a pseudonym, the same wherever the name stands, made of the name and a key
(HMAC-SHA-256): under one key two reports can be compared, and nobody without it can try out names. Any
other text is gone, and so is a field that nobody decided on. Numbers, money and moments stay.

Rows that figures leave in the order of names are put in that of pseudonyms, which tells nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import numpy as np
import pandas as pd

from analyzer.model.findings import (
    CheckText,
    Evidence,
    Finding,
    FindingsReport,
    NotJudged,
    Owner,
    RepositoryFindings,
    Waiver,
)
from analyzer.model.frontier import PricedFrontier, RepositoryFrontier
from analyzer.model.records import Gap
from analyzer.model.registry_settings import (
    Exposure,
    Grant,
    Place,
    RegistrySettings,
    ReplicationRule,
    RepositorySettings,
    Scanning,
    ScanRule,
    Template,
)
from analyzer.model.results import (
    AgeBucket,
    PriceRow,
    RegistryRow,
    Report,
    RepositoryRow,
    TagGroup,
    TagGroups,
    Totals,
)
from analyzer.model.trends import (
    Comparison,
    Forecast,
    NoForecast,
    RepositoryForecast,
    RepositoryReconstruction,
    RepositoryTrend,
    ScenarioForecast,
    TrendReport,
    UnknownDay,
)
from analyzer.model.units import Money
from analyzer.model.usage import Coverage, PlaceCoverage, UseBasis

#: Stands for a text that is gone.
GONE: Final = "(redacted)"

# What becomes of a text. Anything else in the tables is a kind of name, the first part of its pseudonym.
#: It is a word of AWS, of this program, or a region.
_KEEP: Final = "keep"
#: It is prose, or could be anything.
_DROP: Final = "drop"
#: A number, a digest, or something with a name.
_SUBJECT: Final = "subject"
#: A pattern or prefix; those that name nothing stay.
_PATTERN: Final = "pattern"
_DIGEST: Final = "digest"
#: Tags separated by spaces.
_TAGS: Final = "tags"

_REGISTRY: Final = {"account": "account", "region": _KEEP}
_REPOSITORY: Final = {**_REGISTRY, "repository": "repository"}

#: What becomes of each field that holds text, by the record it is of.
RULES: Final[Mapping[type, Mapping[str, str]]] = {
    Report: {"scope": _KEEP, "accepted_gaps": _DROP, "redacted": _KEEP},
    Totals: {"cost_low_scope": _KEEP, "cost_high_scope": _KEEP},
    Money: {"currency": _KEEP, "period": _KEEP, "leaves_out": _KEEP},
    RegistryRow: {
        **_REGISTRY,
        "partition": _KEEP,
        "status": _KEEP,
        "blob_mounting": _KEEP,
        "account_name": "name",
    },
    RegistrySettings: {"scan_type": _KEEP, "basic_scan_type_version": _KEEP, "policy_scope": _KEEP},
    ScanRule: {"frequency": _KEEP, "filters": _PATTERN},
    ReplicationRule: {"destinations": "account", "prefixes": _PATTERN},
    Grant: {"kind": _KEEP, "who": "principal", "access": _KEEP},
    Exposure: {"reason": _DROP},
    Template: {
        "prefix": _PATTERN,
        "applied_for": _KEEP,
        "encryption_type": _KEEP,
        "kms_key": "key",
        "lifecycle_policy_text": _DROP,
        "image_tag_mutability": _KEEP,
        "tags": "label",
    },
    RepositoryRow: {**_REPOSITORY, "status": _KEEP},
    Scanning: {"applied_filters": _PATTERN, "matching_filters": _PATTERN},
    Place: _REGISTRY,
    RepositorySettings: {"creation_template": _PATTERN, "tags": "label"},
    AgeBucket: {"label": _KEEP},
    PriceRow: {"region": _KEEP, "storage_class": _KEEP, "source": _KEEP, "as_of": _KEEP, "confidence": _KEEP},
    Gap: {**_REPOSITORY, "call": _KEEP, "reason": _KEEP, "detail": _DROP},
    PricedFrontier: {"by": _KEEP},
    RepositoryFrontier: _REPOSITORY,
    TagGroups: {"key": "label"},
    TagGroup: {"kind": _KEEP, "value": "label"},
    CheckText: dict.fromkeys(("id", "severity", "title", "meaning", "validate", "fix", "source"), _KEEP),
    Finding: {
        **_REPOSITORY,
        "check": _KEEP,
        "title": _KEEP,
        "subject": _SUBJECT,
        "message": _DROP,
        "fix": _DROP,
        "validate": _DROP,
        "saving_note": _DROP,
    },
    Evidence: {
        "kind": _KEEP,
        "name": "example",
        "digest": _DIGEST,
        "tags": "tag",
        "last_pull": _KEEP,
        "note": _DROP,
    },
    Owner: {"name": "owner", "source": _DROP},
    Waiver: {
        "check": _PATTERN,
        "owner": "owner",
        "reason": _DROP,
        "account": _PATTERN,
        "region": _PATTERN,
        "repository": _PATTERN,
        "subject": _PATTERN,
        "place": _DROP,
    },
    RepositoryFindings: {**_REPOSITORY, "checks": _KEEP},
    NotJudged: {**_REGISTRY, "check": _KEEP, "reason": _DROP},
    PlaceCoverage: {
        **_REGISTRY,
        **dict.fromkeys(("read", "partial", "refused", "never_asked"), _KEEP),
    },
    FindingsReport: {"accepted_gaps": _DROP, "warnings": _DROP},
    UseBasis: {"workloads": _KEEP},
    UnknownDay: {"reason": _DROP},
    Comparison: {"period": _KEEP, "unknown": _KEEP},
    RepositoryTrend: {**_REPOSITORY, "movement": _KEEP},
    RepositoryReconstruction: _REPOSITORY,
    Forecast: {"basis": _KEEP, "method": _KEEP, "limits": _KEEP},
    ScenarioForecast: {"name": _KEEP, "title": _KEEP},
    RepositoryForecast: {**_REPOSITORY, "method": _KEEP, "reason": _KEEP},
    NoForecast: {"reason": _KEEP},
    TrendReport: {"accepted_gaps": _DROP},
}

#: Columns of ``Report.images``; a column of texts that is not here is gone.
_COLUMNS: Final[Mapping[str, str]] = {
    **_REPOSITORY,
    "digest": _DIGEST,
    "tags": _TAGS,
    "kind": _KEEP,
    "pushed_at": _KEEP,
    "last_pull": _KEEP,
    "image_status": _KEEP,
    "in_use": _KEEP,
    "scan_status": _KEEP,
    "scan_completed": _KEEP,
    "replica": _KEEP,
}

#: Parts of a report that are left out whole, with what to call them: they are made of names.
LEFT_OUT: Final[Mapping[str, str]] = {
    "pulls": "pulls across regions and accounts",
    "outcomes": "outcomes of policies",
    "recommendations": "recommended policies",
    "warnings": "what lists of images do not cover",
}

#: Patterns and prefixes that name nothing.
_NAMELESS: Final = frozenset({"", "*", "ROOT"})
_DIGEST_TEXT: Final = re.compile(r"[a-z0-9]+:[0-9a-f]{32,}")
_NUMBER: Final = re.compile(r"\d{1,4}")
_ACCOUNT: Final = re.compile(r"\d{12}")
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-\d|public")

_Record = TypeVar("_Record")


def redact(report: Report, key: bytes, *, own_prices: bool = False) -> Report:
    """``report`` without names, for whoever does not know ``key``; see the module.

    ``own_prices``: where prices come from is in the words of a file of the user's.
    """
    checks = () if report.findings is None else report.findings.checks
    redaction = _Redaction(key, {check.id: check for check in checks}, own_prices=own_prices)
    left_out = [field for field in fields(report) if field.name in LEFT_OUT]
    nothing: dict[str, Any] = {field.name: field.default for field in left_out}
    told = tuple(LEFT_OUT[field.name] for field in left_out if getattr(report, field.name) != field.default)
    images = report.images
    bare = replace(report, images=pd.DataFrame(), **nothing)
    return in_order(replace(redaction.record(bare), images=redaction.images(images), redacted=told))


def in_order(report: Report) -> Report:
    """``report`` with its rows in the order that reports have, by the names that it has now."""
    findings, trend = report.findings, report.trend
    if findings is not None:
        findings = replace(
            findings,
            findings=tuple(sorted(findings.findings, key=_finding)),
            by_repository=tuple(sorted(findings.by_repository, key=_repository_findings)),
            coverage=None if findings.coverage is None else _covered(findings.coverage),
        )
    if trend is not None:
        forecast = trend.forecast
        if isinstance(forecast, Forecast):
            forecast = replace(forecast, repositories=tuple(sorted(forecast.repositories, key=_greatest_end)))
        trend = replace(
            trend,
            repositories=tuple(sorted(trend.repositories, key=_movement)),
            reconstructed=tuple(sorted(trend.reconstructed, key=lambda row: (_place(row), row.created_at))),
            forecast=forecast,
        )
    return replace(
        report,
        registries=tuple(sorted(report.registries, key=lambda row: (row.account, row.region, row.partition))),
        repositories=tuple(sorted(report.repositories, key=_dearest_first)),
        gaps=tuple(sorted(report.gaps)),
        accepted_gaps=tuple(sorted(report.accepted_gaps)),
        groups=tuple(
            replace(groups, rows=tuple(replace(row, members=_by_place(row.members)) for row in groups.rows))
            for groups in report.groups
        ),
        frontier=tuple(
            replace(sweep, repositories=_by_place(sweep.repositories)) for sweep in report.frontier
        ),
        findings=findings,
        trend=trend,
    )


class _Redaction:
    """What becomes of texts under one key."""

    def __init__(self, key: bytes, checks: Mapping[str, CheckText], *, own_prices: bool) -> None:
        self._key = key
        self._checks = checks
        self._own_prices = own_prices
        # A name stands in many places.
        self._mark = lru_cache(maxsize=2**16)(self._hash)

    def record(self, record: _Record) -> _Record:
        """A dataclass or named tuple without names."""
        if isinstance(record, Finding):
            return cast(_Record, self._finding(record))
        rules = RULES.get(type(record), {})
        if isinstance(record, PriceRow) and self._own_prices:
            rules = {**rules, "source": _DROP, "as_of": _DROP}
        if is_dataclass(record) and not isinstance(record, type):
            names = [field.name for field in fields(record)]
            return cast(
                _Record,
                replace(record, **{n: self._value(getattr(record, n), rules.get(n, _DROP)) for n in names}),
            )
        raise TypeError(f"{type(record).__name__} is no record that is known to hold names")

    def images(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table of images, in the order of its new names."""
        columns: dict[str, Any] = {}
        for name in table:
            column, rule = table[name], _COLUMNS.get(str(name), _DROP)
            is_text = not (pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column))
            if is_text and rule != _KEEP:
                columns[str(name)] = [self._text(text, rule) for text in column]
            else:
                columns[str(name)] = column
        found = pd.DataFrame(columns)
        return found.sort_values(
            ["account", "region", "repository", "digest"], kind="stable", ignore_index=True
        )

    def _finding(self, finding: Finding) -> Finding:
        """One finding: its evidence is named by kind, digest and repository."""
        names = {field.name for field in fields(finding)} - {"evidence"}
        rules = RULES[Finding]
        changed = {name: self._value(getattr(finding, name), rules.get(name, _DROP)) for name in names}
        # As the table of checks has them, for any repository.
        check = self._checks.get(finding.check)
        if check is not None:
            changed |= {"message": check.title, "fix": check.fix, "validate": check.validate}
        examples = []
        for evidence in map(self.record, finding.evidence):
            name = f"{changed['repository']}@{evidence.digest}" if evidence.digest else evidence.name
            examples.append(replace(evidence, name=name))
        return replace(finding, **changed, evidence=tuple(examples))

    def _value(self, value: Any, rule: str) -> Any:
        if value is None or isinstance(value, bool | int | float | Decimal | date | timedelta | Enum):
            return value
        if isinstance(value, str):
            return self._text(value, rule)
        if isinstance(value, Mapping):
            return dict(
                sorted((self._text(key, rule), self._value(item, rule)) for key, item in value.items())
            )
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in "biuf":
                raise TypeError(f"an array of {value.dtype} may hold names")
            return value
        if isinstance(value, pd.DataFrame):
            # Of images, which are taken apart.
            return value
        if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
            items = [self._value(item, rule) for item in value]
            # These are in the order of their names.
            return tuple(sorted(items) if rule in {_PATTERN, "tag"} else items)
        return self.record(value)

    def _text(self, text: str, rule: str) -> str:
        if rule == _KEEP or not text:
            return text
        if rule == _DROP:
            return GONE
        if rule == _TAGS:
            return " ".join(sorted(self._name("tag", tag) for tag in text.split(" ")))
        if rule == _SUBJECT and _NUMBER.fullmatch(text):
            return text
        if rule == _PATTERN and (text in _NAMELESS or _REGION.fullmatch(text)):
            return text
        if rule == _DIGEST or (rule == _SUBJECT and _DIGEST_TEXT.fullmatch(text)):
            return f"sha256:{self._mark(_DIGEST, text)}"
        if rule in {"account", "principal"} and _ACCOUNT.fullmatch(text):
            return self._name("account", text)
        if rule == "account" and _REGION.fullmatch(text):
            # Of a pair of an account and its region.
            return text
        if rule == "principal" and text == "*":
            return text
        return self._name(rule, text)

    def _name(self, kind: str, text: str) -> str:
        return f"{kind}-{self._mark(kind, text)[:12]}"

    def _hash(self, kind: str, text: str) -> str:
        return hmac.new(
            self._key, f"{kind}\0{text}".encode("utf-8", "surrogatepass"), hashlib.sha256
        ).hexdigest()


# The orders of a report's rows, as those who make them have them.


def _place(row: Any) -> tuple[str, str, str]:
    return row.account, row.region, getattr(row, "repository", "")


def _by_place(rows: Iterable[_Record]) -> tuple[_Record, ...]:
    return tuple(sorted(rows, key=_place))


def _covered(coverage: Coverage) -> Coverage:
    return replace(coverage, places=_by_place(coverage.places))


def _dearest_first(row: RepositoryRow) -> tuple[object, ...]:
    amount = row.cost.repository.amount
    return (
        amount is None,
        -(amount or Decimal(0)),
        -row.physical_bytes.repository,
        *_place(row),
        row.created_at,
    )


def _promised(row: Finding | RepositoryFindings) -> Decimal:
    return Decimal(0) if row.saving is None else row.saving.low.amount or Decimal(0)


def _finding(row: Finding) -> tuple[object, ...]:
    freed = 0 if row.freed_bytes is None else row.freed_bytes.repository
    return row.severity.rank, -_promised(row), -freed, *_place(row), row.check, row.subject


def _repository_findings(row: RepositoryFindings) -> tuple[object, ...]:
    return -_promised(row), row.severity.rank, -row.findings, *_place(row)


def _movement(row: RepositoryTrend) -> tuple[object, ...]:
    moved = -1 if row.change is None else abs(row.change.bytes.repository)
    return -moved, *_place(row), row.created_at


def _greatest_end(row: RepositoryForecast) -> tuple[object, ...]:
    first = row.ends[0] if row.ends else None
    return -(row.now_bytes if first is None else first.middle), *_place(row), row.created_at
