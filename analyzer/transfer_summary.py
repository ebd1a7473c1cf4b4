"""Findings about transfer put together: by route, repository and workload."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from analyzer.model.pull_report import TransferGroup, TransferSummary
from analyzer.model.transfer import EXPLANATIONS, MoneyRange, TransferCode, TransferFinding
from analyzer.model.units import Money, add_up

_ORDER: Final = {code: number for number, code in enumerate(EXPLANATIONS)}
#: Names of the fields of TransferGroup that a row is about, and their values.
_Key = tuple[tuple[str, str], ...]


def summarize_transfers(findings: Sequence[TransferFinding]) -> TransferSummary:
    """What ``findings`` come to, together and by what they have in common."""
    return TransferSummary(
        total=_group((), findings),
        routes=_grouped(findings, _route),
        repositories=_grouped(findings, _repository),
        pullers=_grouped(findings, _pullers),
    )


def _route(finding: TransferFinding) -> Iterator[_Key]:
    yield (*_registry(finding), ("region", finding.region))


def _repository(finding: TransferFinding) -> Iterator[_Key]:
    yield (*_registry(finding), ("repository", finding.repository))


def _pullers(finding: TransferFinding) -> Iterator[_Key]:
    place = (("account", finding.account), ("region", finding.region), ("source", finding.source))
    for user in finding.users:
        yield (*place, ("workload", user.workload))


def _registry(finding: TransferFinding) -> _Key:
    return (
        ("registry_account", finding.registry_account),
        ("registry_region", finding.registry_region),
        ("upstream", finding.upstream),
    )


def _grouped(
    findings: Iterable[TransferFinding], keys: Callable[[TransferFinding], Iterable[_Key]]
) -> tuple[TransferGroup, ...]:
    members: dict[_Key, list[TransferFinding]] = {}
    for finding in findings:
        for key in keys(finding):
            members.setdefault(key, []).append(finding)
    rows = {key: _group(key, of) for key, of in members.items()}
    ordered = sorted(rows.items(), key=lambda entry: (*_dearest(entry[1]), entry[0]))
    return tuple(group for _, group in ordered)


def _dearest(group: TransferGroup) -> tuple[object, ...]:
    amount = group.usd.high.amount
    # What is unknown may be the dearest of all, and must not be lost below what is free.
    return amount is not None and not amount, -(amount or 0), -group.high_bytes, -group.crossing


def _group(key: _Key, findings: Sequence[TransferFinding]) -> TransferGroup:
    crossing = [finding for finding in findings if finding.crosses_regions]
    sized = [finding for finding in crossing if finding.cold_pull.high_bytes is not None]
    workloads = {
        (finding.account, finding.region, finding.source, user.workload)
        for finding in findings
        for user in finding.users
    }
    return TransferGroup(
        **dict(key),
        codes=tuple(sorted({finding.code for finding in findings}, key=_ORDER.__getitem__)),
        accounts=tuple(sorted({finding.account for finding in findings})),
        payers=tuple(sorted({finding.payer for finding in crossing})),
        findings=len(findings),
        workloads=1 if "workload" in dict(key) else len(workloads),
        crossing=len(crossing),
        unsized=len(crossing) - len(sized),
        low_bytes=sum(finding.cold_pull.low_bytes or 0 for finding in sized),
        high_bytes=sum(finding.cold_pull.high_bytes or 0 for finding in sized),
        replica_bytes=sum(
            finding.cold_pull.high_bytes or 0
            for finding in sized
            if finding.code is TransferCode.REPLICA_UNUSED
        ),
        usd=MoneyRange(
            _sum(finding.usd_per_pull.low for finding in crossing),
            _sum(finding.usd_per_pull.high for finding in crossing),
        ),
    )


def _sum(amounts: Iterable[Money]) -> Money:
    return add_up([Money(Decimal(0), period="pull"), *amounts])
