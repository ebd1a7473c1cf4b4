"""Findings for programs; null is what is not known or does not apply."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from analyzer.model.findings import (
    CheckText,
    Evidence,
    Finding,
    FindingsReport,
    Owner,
    RepositoryFindings,
    Waiver,
)
from analyzer.model.lint import Severity
from analyzer.model.results import ScopedBytes
from analyzer.model.transfer import MoneyRange
from analyzer.model.units import iso
from reports.json_parts import gap_objects, money_object
from reports.text import json_escaped
from reports.usage import coverage_object, use_basis_object

_Object = dict[str, Any]


def findings_json(report: FindingsReport) -> str:
    """The whole answer of ``findings``, with a line feed at the end; equal reports give equal text."""
    document = {
        "at": iso(report.at),
        **findings_object(report),
        **gap_objects(report.gaps, report.accepted_gaps),
    }
    return json_escaped(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def checks_json(checks: tuple[CheckText, ...]) -> str:
    """The table of checks."""
    document = {"checks": [_check(check) for check in checks]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def findings_object(report: FindingsReport) -> _Object:
    """What report.json says of findings.

    The savings of ``findings`` overlap and do not add up. ``total`` counts each layer once, and so do the
    rows of ``repositories``, which add up to it at repository scope.
    """
    by_severity = Counter(finding.severity for finding in report.open)
    return {
        "stale_days": report.stale_days,
        "repositories_looked_at": report.repositories,
        "counts": {str(level): by_severity[level] for level in Severity},
        "waived": len(report.findings) - len(report.open),
        "total": {"freed_bytes": _bytes(report.freed_bytes), "saving": _range(report.storage_saving)},
        "findings": [_finding(finding) for finding in report.findings],
        "repositories": [_repository(row) for row in report.by_repository],
        "not_judged": [
            {
                "check": row.check,
                "account": row.account,
                "region": row.region,
                "repositories": row.repositories or None,
                "reason": row.reason,
            }
            for row in report.not_judged
        ],
        "unmatched_waivers": [_waiver(waiver) for waiver in report.unmatched_waivers],
        "checks": [_check(check) for check in report.checks],
        "coverage": None if report.coverage is None else coverage_object(report.coverage),
        "in_use_by": use_basis_object(report.use_basis),
        "warnings": list(report.warnings),
    }


def _finding(finding: Finding) -> _Object:
    return {
        "key": finding.key,
        "check": finding.check,
        "severity": str(finding.severity),
        "title": finding.title,
        "account": finding.account,
        "region": finding.region,
        "repository": finding.repository or None,
        "subject": finding.subject or None,
        "message": finding.message,
        "fix": finding.fix,
        "validate": finding.validate,
        "images": finding.images,
        "freed_bytes": _bytes(finding.freed_bytes),
        "images_of_unknown_size": finding.unknown_size,
        "saving": _range(finding.saving),
        "saving_supposes": finding.saving_note or None,
        "owner": _owner(finding.owner),
        "waiver": None if finding.waiver is None else _waiver(finding.waiver),
        "evidence": [_evidence(one) for one in finding.evidence],
    }


def _repository(row: RepositoryFindings) -> _Object:
    return {
        "account": row.account,
        "region": row.region,
        "repository": row.repository or None,
        "owner": _owner(row.owner),
        "severity": str(row.severity),
        "findings": row.findings,
        "checks": list(row.checks),
        "freed_bytes": _bytes(row.freed_bytes),
        "images_of_unknown_size": row.unknown_size,
        "saving": _range(row.saving),
    }


def _evidence(evidence: Evidence) -> _Object:
    return {
        "kind": evidence.kind,
        "name": evidence.name,
        "digest": evidence.digest or None,
        "tags": list(evidence.tags),
        "size_bytes": evidence.size_bytes,
        "pushed_at": None if evidence.pushed_at is None else iso(evidence.pushed_at),
        "last_pull": evidence.last_pull or None,
        "note": evidence.note or None,
    }


def _owner(owner: Owner | None) -> _Object | None:
    return None if owner is None else {"name": owner.name, "source": owner.source}


def _waiver(waiver: Waiver) -> _Object:
    return {
        "id": waiver.check,
        "account": waiver.account,
        "region": waiver.region,
        "repository": waiver.repository,
        "subject": waiver.subject,
        "owner": waiver.owner,
        "reason": waiver.reason,
        "expires": waiver.expires.isoformat(),
    }


def _check(check: CheckText) -> _Object:
    return {
        "id": check.id,
        "severity": str(check.severity),
        "title": check.title,
        "meaning": check.meaning,
        "validate": check.validate,
        "fix": check.fix,
        "source": check.source,
    }


def _bytes(both: ScopedBytes | None) -> _Object | None:
    return None if both is None else {"repository": both.repository, "registry": both.registry}


def _range(saving: MoneyRange | None) -> _Object | None:
    return None if saving is None else {"low": money_object(saving.low), "high": money_object(saving.high)}
