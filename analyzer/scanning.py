"""How repositories are scanned: by the rules of their registry, and as ECR applies them.

Rules and filters follow the ECR user guide, "Filters to choose which repositories are scanned in
Amazon ECR": a filter without an asterisk matches every name that contains it, one with asterisks
whole names in which each stands for any characters or none; of two rules that match, continuous
scanning counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analyzer.model.frames import Frames
from analyzer.model.registry_settings import Frequency, Scanning, ScanRule, Settings

_BASIC = "BASIC"
#: What ECR's answers say.
_OF_ECR = frozenset(Frequency) - {Frequency.NOT_SCANNED}
_PUBLIC = Scanning(Frequency.NOT_SCANNED, (), Frequency.NOT_SCANNED, ())
#: The frequency that counts where several match.
_STRONGEST = (Frequency.CONTINUOUS_SCAN, Frequency.SCAN_ON_PUSH, Frequency.MANUAL)


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """A registry's scanning configuration."""

    #: BASIC or ENHANCED.
    scan_type: str
    rules: tuple[ScanRule, ...]


def read_scan_plan(settings: Mapping[str, str]) -> ScanPlan | None:
    """The scanning configuration among the settings of a registry; None where it is not known."""
    text = settings.get("scanning_configuration")
    found = None if text is None else json.loads(text)
    if not isinstance(found, dict):
        return None
    return ScanPlan(
        str(found["scanType"]),
        tuple(
            ScanRule(
                frequency=str(rule.get("scanFrequency")), filters=_filters(rule.get("repositoryFilters"))
            )
            for rule in found["rules"]
        ),
    )


def matches_filter(text: str, name: str) -> bool:
    """Whether a scanning filter matches a repository's name."""
    if "*" not in text:
        return text in name
    # Piece by piece: a regular expression would take its time over a filter of a hundred asterisks.
    first, *middle, last = text.split("*")
    at, end = len(first), len(name) - len(last)
    if at > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for piece in middle:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def by_rules(
    plan: ScanPlan, name: str, *, scan_on_push: bool | None
) -> tuple[Frequency | None, tuple[str, ...]]:
    """The frequency that ``plan`` gives a repository, and the filters that do.

    ``scan_on_push`` is the repository's own setting, None where it is not known: in basic scanning it
    counts beside the rules (PutImageScanningConfiguration, which the registry's rules replace).
    The frequency is None where the rules leave it open: enhanced scanning without any rule, of which
    the user guide says both that everything is scanned continuously and that what no filter matches
    is not scanned; and a frequency that this version does not know.
    """
    matching: dict[str, set[str]] = {}
    for rule in plan.rules:
        for text in rule.filters:
            if matches_filter(text, name):
                matching.setdefault(rule.frequency, set()).add(text)
    if matching.keys() - set(_STRONGEST):
        return None, tuple(sorted(set().union(*matching.values())))
    frequency = next((f for f in _STRONGEST if f in matching), Frequency.MANUAL)
    filters = tuple(sorted(matching.get(frequency, ())))
    if frequency is Frequency.MANUAL and plan.scan_type == _BASIC:
        if scan_on_push is None:
            return None, filters
        return (Frequency.SCAN_ON_PUSH if scan_on_push else Frequency.MANUAL), filters
    if plan.scan_type != _BASIC and not plan.rules:
        return None, ()
    return frequency, filters


def scanning_of_repositories(frames: Frames, settings: Settings) -> list[Scanning]:
    """How each repository of ``frames`` is scanned, in their order."""
    plans = [read_scan_plan(registry) for registry in settings.registries]
    rows = zip(
        frames.repositories["registry"].tolist(),
        frames.repositories["repository"].tolist(),
        settings.repositories,
        frames.is_public.tolist(),
        strict=True,
    )
    return [
        _PUBLIC if is_public else _scanning(plans[registry], name, own)
        for registry, name, own, is_public in rows
    ]


def _scanning(plan: ScanPlan | None, name: str, settings: Mapping[str, str]) -> Scanning:
    applied, filters = _applied(settings)
    if plan is None:
        return Scanning(applied, filters)
    text = settings.get("scan_on_push")
    own = None if text is None else json.loads(text) is True
    frequency, matching = by_rules(plan, name, scan_on_push=own)
    return Scanning(applied, filters, frequency, matching)


def _applied(settings: Mapping[str, str]) -> tuple[Frequency | None, tuple[str, ...] | None]:
    text = settings.get("scanning")
    found = None if text is None else json.loads(text)
    if not isinstance(found, dict):
        return None, None
    said = found.get("scanFrequency")
    frequency = Frequency(said) if said in _OF_ECR else None
    filters = found.get("appliedScanFilters")
    return frequency, None if filters is None else _filters(filters)


def _filters(entries: Sequence[Mapping[str, object]] | None) -> tuple[str, ...]:
    return tuple(sorted({str(entry.get("filter")) for entry in entries or ()}))
