"""Makes findings of what checks found: names, evidence, bytes that leave and what they cost."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np

from analyzer.families import KINDS, UNKNOWN
from analyzer.hygiene.estate import EXAMPLES, Check, Estate, Found
from analyzer.lifecycle.savings import Savings
from analyzer.model.findings import Evidence, Finding
from analyzer.model.frames import NEVER_PULLED, NO_TIME, Int64, UInt8
from analyzer.model.records import PUBLIC_REGION
from analyzer.model.results import UNKNOWN_SIZE, ScopedBytes
from analyzer.model.transfer import MoneyRange
from analyzer.model.units import Money, Scope, add_up, from_day, from_ms
from analyzer.model.verdicts import Outcome
from analyzer.pricing import StorageRates, rates

_SCOPES: Final[tuple[Scope, ...]] = ("repository", "registry")
#: Where the API of public registries is.
_PUBLIC_API_REGION: Final = "us-east-1"
#: Tags of one artifact that evidence names.
_TAGS: Final = 5


#: Bytes that leave (None where all are unknown), how many of unknown size leave beside, the saving.
Freed = tuple[ScopedBytes | None, int, MoneyRange]


@dataclass(frozen=True, slots=True)
class Union:
    """What many findings free together."""

    freed_bytes: ScopedBytes
    unknown_size: int
    saving: MoneyRange
    #: The same of each row that something leaves.
    by_row: Mapping[int, Freed]


class Teller:
    """Turns what checks found in one estate into findings."""

    def __init__(self, estate: Estate) -> None:
        """Prepare the rates of every region, at both scopes."""
        self._estate = estate
        known = estate.known
        registries = known.storage.registries
        columns = {str(name): registries[name].tolist() for name in registries}
        self._rates: dict[tuple[str, Scope], StorageRates] = {}
        for region in dict.fromkeys(estate.regions):
            of = [number for number, name in enumerate(estate.regions) if name == region]
            for scope in _SCOPES:
                archive = sum(columns[f"archive_bytes_{scope}"][number] for number in of)
                physical = sum(columns[f"physical_bytes_{scope}"][number] for number in of)
                self._rates[region, scope] = rates(
                    known.prices,
                    region,
                    standard_bytes_total=physical - archive,
                    archive_bytes_total=archive,
                )
        ever = known.frames.registries["blob_mounting_ever"].tolist()
        self._low: list[Scope] = [
            ("registry" if was else "repository") if known.scope == "auto" else known.scope for was in ever
        ]
        self._high: Scope = "repository" if known.scope == "auto" else known.scope

    def tell(self, found: Sequence[tuple[Check, Found]]) -> list[Finding]:
        """The findings of ``found``, in the same order."""
        findings = [self._worded(check, answer) for check, answer in found]
        for number, evidence in self._evidence([answer for _, answer in found]):
            findings[number] = replace(findings[number], evidence=(*evidence, *findings[number].evidence))
        for number, freed, unknown, saving in self._savings([answer for _, answer in found]):
            findings[number] = replace(
                findings[number], freed_bytes=freed, unknown_size=unknown, saving=saving
            )
        return findings

    def union(self, leaves: Iterable[Int64]) -> Union:
        """What leaves the store when all of these artifacts do, each blob once, and what it costs a month."""
        outcome = self._outcome(leaves)
        savings = self._estate.holdings.measure(outcome)
        columns = {str(name): savings.registries[name].tolist() for name in savings.registries}
        freed = {
            scope: [
                self._priced(
                    region,
                    scope,
                    columns[f"freed_bytes_{scope}"][number],
                    columns[f"freed_archive_bytes_{scope}"][number],
                )
                for number, region in enumerate(self._estate.regions)
            ]
            for scope in _SCOPES
        }
        rows = _by_column(savings)
        unknown = sum(rows["unknown_expired"])
        total = ScopedBytes(**{scope: sum(columns[f"freed_bytes_{scope}"]) for scope in _SCOPES})
        low = add_up(freed[scope][number] for number, scope in enumerate(self._low))
        return Union(
            total,
            unknown,
            MoneyRange(
                low=_beside(low, unknown, total.repository),
                high=_beside(add_up(freed[self._high]), unknown, total.repository),
            ),
            {
                row: self._of_row(rows, row, self._estate.registry[row])
                for row in np.unique(self._estate.repository[outcome == Outcome.EXPIRED]).tolist()
            },
        )

    def _worded(self, check: Check, found: Found) -> Finding:
        estate, text = self._estate, check.text
        repository = "" if found.row is None else estate.names[found.row]
        region = estate.regions[found.registry]
        blanks = {
            "account": estate.accounts[found.registry],
            "region": region,
            "repository": repository,
            "subject": found.subject,
        }
        return Finding(
            check=text.id,
            severity=text.severity if found.severity is None else found.severity,
            title=text.title,
            account=estate.accounts[found.registry],
            region=region,
            repository=repository,
            subject=found.subject,
            message=found.message,
            fix=_filled(found.fix or text.fix, blanks),
            validate=_filled(found.validate or text.validate, blanks),
            images=len(found.artifacts) if found.images is None else found.images,
            saving=found.saving,
            saving_note=found.saving_note,
            evidence=found.evidence,
        )

    def _evidence(self, found: Sequence[Found]) -> Iterator[tuple[int, list[Evidence]]]:
        """By position in ``found``, the examples among its artifacts."""
        shown = [answer.artifacts[:EXAMPLES] for answer in found]
        # Names are asked for once, for each question may go to a database.
        rows = iter(self._of_artifacts(np.concatenate([np.zeros(0, np.int64), *shown])))
        for number, positions in enumerate(shown):
            if len(positions):
                yield number, list(islice(rows, len(positions)))

    def _of_artifacts(self, positions: Int64) -> Iterator[Evidence]:
        estate, known = self._estate, self._estate.known
        artifacts, facts = known.frames.artifacts, known.facts
        sizes = known.storage.artifacts["logical_bytes"].to_numpy(np.int64)
        digests = known.digests(positions) if len(positions) else ()
        for position, digest in zip(positions.tolist(), digests, strict=True):
            row = int(artifacts.repository[position])
            begin, end = facts.tag_offsets[position : position + 2].tolist()
            tags = sorted(facts.tag_names[number] for number in facts.tags[begin:end].tolist())
            kind = int(known.families.kind[position])
            pushed, pulled = int(artifacts.pushed_at_ms[position]), int(artifacts.pulled_day[position])
            last_pull = "never" if pulled == NEVER_PULLED else from_day(pulled).isoformat()
            yield Evidence(
                kind=KINDS[kind],
                name=f"{estate.names[row]}:{tags[0]}" if tags else f"{estate.names[row]}@{digest}",
                digest=digest,
                tags=tuple(tags[:_TAGS]),
                size_bytes=None if kind == UNKNOWN else int(sizes[position]),
                pushed_at=None if pushed == NO_TIME else from_ms(pushed),
                # Public registries record no pulls.
                last_pull="" if estate.is_public[row] else last_pull,
            )

    def _savings(self, found: Sequence[Found]) -> Iterator[tuple[int, ScopedBytes | None, int, MoneyRange]]:
        """By position in ``found``: bytes that leave (None where all are unknown), unknown, the saving."""
        rounds: list[dict[int, tuple[int, Int64]]] = []
        turns: dict[int, int] = defaultdict(int)
        for number, answer in enumerate(found):
            if answer.leaves is None:
                continue
            if not len(answer.leaves):
                zero = ScopedBytes(repository=0, registry=0)
                yield number, zero, 0, self._range(answer.registry, dict.fromkeys(_SCOPES, (0, 0)))
            elif answer.row is None:
                union = self.union([answer.leaves])
                yield number, union.freed_bytes, union.unknown_size, union.saving
            else:
                # Repositories do not touch each other's figures: one measurement has one of each.
                turn = turns[answer.row]
                turns[answer.row] += 1
                if turn == len(rounds):
                    rounds.append({})
                rounds[turn][answer.row] = number, answer.leaves
        for by_row in rounds:
            savings = self._estate.holdings.measure(self._outcome(leaves for _, leaves in by_row.values()))
            rows = _by_column(savings)
            for row, (number, _) in by_row.items():
                yield (number, *self._of_row(rows, row, found[number].registry))

    def _of_row(self, of: Mapping[str, Sequence[int]], row: int, registry: int) -> Freed:
        parts: dict[Scope, tuple[int, int]] = {
            "repository": (of["freed_bytes"][row], of["freed_archive_bytes"][row]),
            "registry": (of["freed_unique_bytes"][row], of["freed_unique_archive_bytes"][row]),
        }
        unknown = of["unknown_expired"][row]
        money = self._range(registry, parts)
        freed = {scope: parts[scope][0] for scope in _SCOPES}
        saving = MoneyRange(
            low=_beside(money.low, unknown, freed["repository"]),
            high=_beside(money.high, unknown, freed["repository"]),
        )
        nothing_known = unknown and not freed["repository"]
        return None if nothing_known else ScopedBytes(**freed), unknown, saving

    def _range(self, registry: int, parts: dict[Scope, tuple[int, int]]) -> MoneyRange:
        region = self._estate.regions[registry]
        low, high = (self._priced(region, end, *parts[end]) for end in (self._low[registry], self._high))
        return MoneyRange(low=low, high=high)

    def _priced(self, region: str, scope: Scope, freed: int, freed_archive: int) -> Money:
        return self._rates[region, scope].freed(
            standard_bytes=freed - freed_archive, archive_bytes=freed_archive
        )

    def _outcome(self, leaves: Iterable[Int64]) -> UInt8:
        outcome: UInt8 = np.full(len(self._estate.repository), Outcome.KEPT, np.uint8)
        for positions in leaves:
            outcome[positions] = Outcome.EXPIRED
        return outcome


def _by_column(savings: Savings) -> dict[str, list[int]]:
    """What is needed of its repositories, as plain numbers: a frame is slow to ask row by row."""
    names = (
        "unknown_expired",
        "freed_bytes",
        "freed_archive_bytes",
        "freed_unique_bytes",
        "freed_unique_archive_bytes",
    )
    return {name: savings.repositories[name].tolist() for name in names}


def _beside(money: Money, unknown: int, freed_bytes: int) -> Money:
    """``money``, saying that it leaves out what is of unknown size; nothing beside that is unknown."""
    if not unknown:
        return money
    amount = money.amount if freed_bytes else None
    return replace(money, amount=amount, leaves_out=tuple(sorted({*money.leaves_out, UNKNOWN_SIZE})))


def _filled(text: str, blanks: dict[str, str]) -> str:
    """``text`` with what stands in braces filled in, quoted for a shell.

    Names may hold braces, and so may JSON in a command: only the known words are filled, each once.
    """
    if blanks["region"] == PUBLIC_REGION:
        text = text.replace("aws ecr ", "aws ecr-public ")
        blanks = {**blanks, "region": _PUBLIC_API_REGION}
    parts = [text]
    for word, value in blanks.items():
        split: list[str] = []
        for number, part in enumerate(parts):
            if number % 2:
                split.append(part)
                continue
            pieces = part.split(f"{{{word}}}")
            split.append(pieces[0])
            for piece in pieces[1:]:
                split += [shlex.quote(value), piece]
        parts = split
    return "".join(parts)
