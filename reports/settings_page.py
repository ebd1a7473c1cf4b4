"""The page's section on what the registries are set to do: scan, replicate, let in, create."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from analyzer.model.registry_settings import Openness, RegistrySettings, Template
from analyzer.model.results import RegistryRow, Report, RepositoryRow
from analyzer.model.words import counted
from reports.cells import EMPTY, MOST_ROWS, PLACE_FACETS, Cell, Column, Place, Row, Table
from reports.figures import UNKNOWN, count, exact_size, listed, size
from reports.settings_words import (
    FREQUENCIES,
    OPENNESS,
    exposed_to,
    grant_words,
    place_words,
    replication_rule_words,
    scan_rule_words,
)

_UNKNOWN_CELL: Final = Cell(text=UNKNOWN, tone="muted")
#: Facts in one cell before the rest is only counted.
_MOST_NOTES: Final = 6

#: The widest circle first; what is unknown comes last.
_WIDEST: Final = (
    Openness.PUBLIC,
    Openness.CONDITIONAL,
    Openness.ORGANIZATION,
    Openness.ACCOUNTS,
    Openness.SERVICES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSection:
    """What the section shows; a table without rows is left away."""

    registries: Table
    scanning: Table
    #: Repositories that ECR scans otherwise than their registry's rules say; "" for none.
    disagreement: str
    replication: Table
    #: What the replicas come to; "" where nothing is known of any.
    replicas: str
    exposure: Table
    exposure_note: str


def settings_section(report: Report) -> SettingsSection:
    """The section of ``report``."""
    open_rows = _open_rows(report.repositories)
    return SettingsSection(
        registries=_registry_table(report.registries),
        scanning=_scanning_table(report),
        disagreement=_disagreement(report.repositories),
        replication=_replication_table(report),
        replicas=_replicas(report),
        exposure=_exposure_table(open_rows),
        exposure_note=_exposure_note(report.repositories, len(open_rows)),
    )


def _registry_table(registries: Sequence[RegistryRow]) -> Table:
    return Table(
        name="settings",
        caption="What the registries are set to do",
        columns=(
            Column(label="Registry", numeric=False),
            Column(label="Scanning", numeric=False),
            Column(label="Replication", numeric=False, hint="Repositories by prefix, and where to"),
            Column(label="Registry policy lets in", numeric=False),
            Column(
                label="Creation templates",
                numeric=False,
                hint="What repositories get that ECR creates by itself",
            ),
        ),
        rows=tuple(_registry_row(row) for row in registries[:MOST_ROWS]),
        footer=_other(len(registries), 5, "registries.csv"),
        file="registries.csv",
        method="settings",
        facets=PLACE_FACETS,
    )


def _registry_row(row: RegistryRow) -> Row:
    settings = row.settings
    return Row(
        facets=Place(account=row.account, region=row.region).facets,
        cells=(
            Cell(text=row.region, notes=(row.account,)),
            _scanning_cell(settings),
            _facts(
                None
                if settings.replication_rules is None
                else [replication_rule_words(rule) for rule in settings.replication_rules],
                "no rule",
            ),
            _policy_cell(settings),
            _facts(
                None
                if settings.templates is None
                else [_template_words(template) for template in settings.templates],
                "no template",
            ),
        ),
    )


def _scanning_cell(settings: RegistrySettings) -> Cell:
    if settings.scan_type is None or settings.scan_rules is None:
        return _UNKNOWN_CELL
    if settings.scan_type == "NONE":
        return Cell(text="not scanned", tone="muted")
    scanner = settings.basic_scan_type_version
    kind = settings.scan_type.lower()
    if settings.scan_type == "BASIC":
        kind = f"{kind}, {scanner or 'scanner unknown'}"
    return Cell(
        text=kind, notes=_notes([scan_rule_words(rule) for rule in settings.scan_rules]) or ("no rule",)
    )


def _policy_cell(settings: RegistrySettings) -> Cell:
    exposure = settings.exposure
    if exposure.openness is Openness.UNKNOWN and not exposure.grants:
        return Cell(text=UNKNOWN, tone="muted", hint=exposure.reason)
    return _facts(exposed_to(exposure), "nobody else")


def _template_words(template: Template) -> str:
    what = ", ".join(applied.lower().replace("_", " ") for applied in template.applied_for) or "nothing"
    policy = "with a lifecycle policy" if template.lifecycle_policy_text else "without a lifecycle policy"
    encryption = f", {template.encryption_type}" if template.encryption_type else ""
    return f"{template.prefix}: for {what}; {policy}{encryption}"


def _scanning_table(report: Report) -> Table:
    """How many repositories of each registry are scanned how, as ECR says it."""
    heads = (*FREQUENCIES, "")
    rows, totals = [], Counter[str]()
    for registry in report.registries:
        if registry.settings.scan_type == "NONE":
            continue
        own = Counter(
            str(row.settings.scanning.applied or "")
            for row in report.repositories
            if (row.account, row.region) == (registry.account, registry.region)
        )
        totals += own
        rows.append(
            Row(
                cells=(
                    Cell(text=registry.region, notes=(registry.account,)),
                    *(_number(own[head], tone_if_any=head == "") for head in heads),
                )
            )
        )
    total = Row(cells=(Cell(text="Total"), *(_number(totals[head]) for head in heads)), kind="total")
    return Table(
        name="scanning",
        caption="Repositories by how they are scanned",
        columns=(
            Column(label="Registry", numeric=False),
            Column(label="Continuously"),
            Column(label="On push"),
            Column(label="Not by itself", hint="Only when somebody asks for it"),
            Column(label="Unknown"),
        ),
        rows=tuple(rows[:MOST_ROWS]),
        footer=(*_other(len(rows), 5, "registries.csv"), total),
        file="repositories.csv",
        method="settings",
    )


def _number(number: int, *, tone_if_any: bool = False) -> Cell:
    return Cell(text=count(number), value=str(number), tone="warn" if number and tone_if_any else "")


def _disagreement(rows: Sequence[RepositoryRow]) -> str:
    names = [row.repository for row in rows if row.settings.scanning.agrees is False]
    if not names:
        return ""
    return (
        f"{counted(len(names), 'repository is', 'repositories are')} scanned otherwise than the rules of the"
        f" registry say: {listed(names)}. Both are in repositories.csv."
    )


def _replication_table(report: Report) -> Table:
    """From registry to registry, what is there and what is not."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for row in report.repositories:
        for place in row.settings.replicated_to or ():
            of = sums.setdefault((row.account, row.region, place_words(place)), [0, 0, 0, 0])
            for number, value in enumerate((1, place.present, place.missing, place.unknown)):
                of[number] += value
    rows = [
        Row(
            cells=(
                Cell(text=region, notes=(account,)),
                Cell(text=target),
                *(
                    _number(number, tone_if_any=column == len(numbers) - 1)
                    for column, number in enumerate(numbers)
                ),
            )
        )
        for (account, region, target), numbers in sorted(sums.items())
    ]
    return Table(
        name="replication",
        caption="What replication should have copied, and what is there",
        columns=(
            Column(label="From", numeric=False),
            Column(label="To", numeric=False),
            Column(label="Repositories"),
            Column(label="There", hint="Images, indexes and referrers with the same name and digest"),
            Column(
                label="Not there",
                hint="Pushed before the rule, not copied yet, or deleted there",
            ),
            Column(label="Unknown", hint="The destination was not read, or not whole"),
        ),
        rows=tuple(rows[:MOST_ROWS]),
        footer=_other(len(rows), 6, "repositories.csv"),
        file="repositories.csv",
        method="settings",
    )


def _replicas(report: Report) -> str:
    rows = report.repositories
    artifacts = sum(row.settings.replicas for row in rows)
    certain = sum(row.settings.replica_bytes for row in rows)
    possible = sum(row.settings.possible_replica_bytes for row in rows)
    maybe = sum(row.settings.possible_replicas for row in rows)
    unread = [row.region for row in report.registries if row.settings.replication_rules is None]
    said = []
    if artifacts:
        said.append(
            f"{counted(artifacts, 'artifact is a replica', 'artifacts are replicas')} of one in another"
            f" registry of this report; {size(certain)} ({exact_size(certain)}) are stored for replicas"
            " alone, at repository scope."
        )
    if maybe:
        said.append(f"Of {counted(maybe, 'further artifact')} it is unknown; up to {size(possible)} more.")
    if unread:
        said.append(f"The replication rules of {listed(sorted(set(unread)))} could not be read.")
    return " ".join(said)


def _open_rows(rows: Sequence[RepositoryRow]) -> list[RepositoryRow]:
    found = [row for row in rows if row.settings.exposure.grants]
    order = {openness: place for place, openness in enumerate(_WIDEST)}
    return sorted(
        found,
        key=lambda row: (
            order.get(row.settings.exposure.openness, len(order)),
            row.account,
            row.region,
            row.repository,
        ),
    )


def _exposure_table(rows: Sequence[RepositoryRow]) -> Table:
    return Table(
        name="exposure",
        caption="Repositories that policies open beyond their own account",
        columns=(
            Column(label="Repository", numeric=False),
            Column(label="Open to", numeric=False),
            Column(label="What they may", numeric=False),
        ),
        rows=tuple(_exposure_row(row) for row in rows[:MOST_ROWS]),
        footer=_other(len(rows), 3, "repositories.csv"),
        file="repositories.csv",
        method="settings",
        facets=(*PLACE_FACETS, "Open to"),
    )


def _exposure_row(row: RepositoryRow) -> Row:
    exposure = row.settings.exposure
    is_wide = exposure.openness in (Openness.PUBLIC, Openness.CONDITIONAL)
    place = Place.of(row.account, row.region, row.repository)
    return Row(
        facets=(*place.facets, OPENNESS[exposure.openness]),
        cells=(
            Cell(text=row.repository, notes=(f"{row.account}, {row.region}",), link=place.anchor),
            Cell(
                text=OPENNESS[exposure.openness],
                tone="warn" if is_wide else "",
                hint=exposure.reason,
            ),
            _facts([grant_words(grant) for grant in exposure.grants], ""),
        ),
    )


def _exposure_note(rows: Sequence[RepositoryRow], shown: int) -> str:
    unknown = sum(
        1
        for row in rows
        if row.settings.exposure.openness is Openness.UNKNOWN and not row.settings.exposure.grants
    )
    private = sum(1 for row in rows if row.settings.exposure.openness is Openness.PRIVATE)
    said = [] if shown else ["No policy that was read opens a repository beyond its own account."]
    if shown and private:
        said.append(f"{counted(private, 'repository is', 'repositories are')} open to nobody else.")
    if unknown:
        said.append(f"Of {counted(unknown, 'repository', 'repositories')} it is unknown.")
    return " ".join(said)


def _facts(texts: Sequence[str] | None, none: str) -> Cell:
    """Facts, one a line; ``none`` where there are none."""
    if texts is None:
        return _UNKNOWN_CELL
    if not texts:
        return Cell(text=none, tone="muted")
    first, *rest = _notes(texts)
    return Cell(text=first, notes=tuple(rest))


def _notes(texts: Sequence[str]) -> tuple[str, ...]:
    if len(texts) <= _MOST_NOTES:
        return tuple(texts)
    return (*texts[: _MOST_NOTES - 1], f"and {len(texts) - _MOST_NOTES + 1:,} more")


def _other(rows: int, columns: int, file: str) -> tuple[Row, ...]:
    left = rows - MOST_ROWS
    if left <= 0:
        return ()
    cells = (Cell(text=f"Other ({counted(left, 'row')}, see {file})"), *[EMPTY] * (columns - 1))
    return (Row(cells=cells, kind="other"),)
