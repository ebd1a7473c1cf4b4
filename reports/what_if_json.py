"""A simulation for programs: ECR's ``GetLifecyclePolicyPreview`` for many repositories, and more.

Each of ``repositories`` is what ECR answers for one of them (API reference,
"GetLifecyclePolicyPreview"), with what it does not say beside it: bytes, money, what is kept by an
index, what follows its subject, what is in use. ``previewResults`` has what a rule acts on, oldest
first, with the keys of ECR's ``LifecyclePolicyPreviewResult`` and no others. ``imageTags`` is ``[]``
for an untagged image, so that a reader need not ask whether it is there; every other key that AWS
leaves out where it knows nothing (``imagePushedAt``, ``targetStorageClass`` of an expiry,
``transitioningImageTotalCounts``) is left out here too. Times are ISO 8601 in UTC.

``bytes`` are integers, those of ``physical``, ``freed`` and ``archived`` at the scope that ``scope``
names, with both scopes beside them; null where nothing is known of them. ``expiredLogical`` is the
naive figure: the sizes of the leaving images added up. Money is as in report.json, null where the
region is not known. Its amounts add up: at repository scope the repositories make the totals, at
registry scope the repositories and ``shared``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from analyzer.model.frames import Int64
from analyzer.model.records import Gap
from analyzer.model.simulation import (
    Candidate,
    RepositoryEffect,
    Simulation,
)
from analyzer.model.units import iso
from analyzer.model.usage import KINDS
from analyzer.model.verdicts import Outcome
from reports.back_test import back_test_object
from reports.text import json_escaped
from reports.usage import coverage_object, use_object
from reports.what_if_figures import (
    low_scopes,
    no_region,
    split_columns,
)
from reports.what_if_images import ACTIONS, Names, moments_of, storage_classes, tags_of
from reports.what_if_json_figures import (
    MONEY_BOUNDS,
    MONEY_COLUMNS,
    Amounts,
    JsonObject,
    MoneyScope,
    against_object,
    archiving_object,
    bytes_object,
    cost_object,
    counts_object,
    replica_object,
    rule_object,
    shared_object,
    summary_object,
    totals_object,
)

#: Artifacts whose digests are fetched, and whose repositories are written, at once.
_AT_ONCE: Final = 100_000

_PLAIN: Final = re.compile("[0-9A-Za-z:+._-]*")


def render_what_if(simulation: Simulation, *, accepted_gaps: Sequence[tuple[Gap, str]] = ()) -> str:
    """The whole answer, with a line feed at its end; equal simulations give equal text."""
    return "".join(what_if_chunks(simulation, accepted_gaps=accepted_gaps))


def what_if_chunks(simulation: Simulation, *, accepted_gaps: Sequence[tuple[Gap, str]] = ()) -> Iterator[str]:
    """``render_what_if`` piece by piece, a few repositories at a time."""
    yield '{\n  "at": ' + _dumps(iso(simulation.at))
    yield _entry("scope", _dumps(simulation.scope), "  ")
    yield _entry("snapshot", _dumps(_snapshot(simulation)), "  ")
    notes = list(simulation.warnings)
    if len(simulation.candidates) == 1:
        candidate = simulation.candidates[0]
        yield _entry("policy", _dumps(candidate.name), "  ")
        yield from _candidate(simulation, candidate, "  ")
        notes += candidate.warnings
    else:
        yield ',\n  "candidates": ['
        for number, candidate in enumerate(simulation.candidates):
            yield f'{"," if number else ""}\n    {{\n      "policy": {_dumps(candidate.name)}'
            yield from _candidate(simulation, candidate, "      ")
            yield _entry("warnings", _list(map(_dumps, candidate.warnings), "      "), "      ")
            yield "\n    }"
        yield "\n  ]"
    yield _entry("missingInUse", _list(map(_dumps, simulation.missing_in_use), "  "), "  ")
    yield _entry("missingUses", _list(map(_dumps, _missing_uses(simulation)), "  "), "  ")
    yield _entry("coverage", _dumps(coverage_object(simulation.coverage, never_asked="neverAsked")), "  ")
    yield _entry("gaps", _list((_dumps(asdict(gap)) for gap in simulation.gaps), "  "), "  ")
    accepted = ({**asdict(gap), "accepted_because": reason} for gap, reason in accepted_gaps)
    yield _entry("accepted_gaps", _list(map(_dumps, accepted), "  "), "  ")
    yield _entry("warnings", _list(map(_dumps, notes), "  "), "  ")
    yield "\n}\n"


def _candidate(simulation: Simulation, candidate: Candidate, indent: str) -> Iterator[str]:
    parts = split_columns(candidate, MONEY_COLUMNS, MONEY_BOUNDS)
    priced = not no_region(candidate)
    low = low_scopes(simulation, candidate)
    yield f',\n{indent}"repositories": ['
    separator = f"\n{indent}  "
    for first, last in _batches(candidate):
        writer = _Images(simulation, candidate, candidate.repositories[first:last])
        for n in range(first, last):
            amounts = {name: part.rows[n] for name, part in parts.items()}
            row = candidate.repositories[n]
            members = _images(writer, row, indent + "    ") | _figures(
                simulation, row, amounts, low[n], indent + "    "
            )
            if candidate.live_totals is not None:
                against = _row_against(simulation, row, low[n])
                members["against"] = _dumps(against)
            yield separator + _object(members, indent + "  ")
            separator = f",\n{indent}  "
    yield f"\n{indent}]" if candidate.repositories else "]"
    yield _entry("shared", _dumps(shared_object(candidate, parts, priced=priced)), indent)
    yield _entry("totals", _dumps(totals_object(simulation, candidate, parts, priced=priced)), indent)
    yield _entry("rules", _list((_dumps(rule_object(rule)) for rule in candidate.rules), indent), indent)
    yield _entry(
        "archiving", _list((_dumps(archiving_object(one)) for one in candidate.archiving), indent), indent
    )
    if candidate.back_test is not None:
        yield _entry("backTest", _dumps(back_test_object(candidate.back_test)), indent)


def _batches(candidate: Candidate) -> Iterator[tuple[int, int]]:
    """Runs of repositories that name about so many artifacts together."""
    first = named = 0
    for n, row in enumerate(candidate.repositories):
        named += sum(map(len, _lists(row)))
        if named >= _AT_ONCE:
            yield first, n + 1
            first, named = n + 1, 0
    if first < len(candidate.repositories):
        yield first, len(candidate.repositories)


def _lists(row: RepositoryEffect) -> list[Int64]:
    """Everything that is named of a repository, but for whom it is named beside."""
    lists = (row.claimed, row.followers, row.blocked, row.in_use, row.protected)
    return [*lists, *(warning.positions for warning in row.warnings)]


class _Images:
    """Writes the images of some repositories, each one object on one line."""

    def __init__(
        self, simulation: Simulation, candidate: Candidate, rows: Sequence[RepositoryEffect]
    ) -> None:
        self._simulation = simulation
        self._verdicts = candidate.verdicts
        wanted = [positions for row in rows for positions in _lists(row)]
        by = [candidate.verdicts.by[part] for row in rows for part in (row.followers, row.blocked)]
        self._names = Names(simulation, np.concatenate([*wanted, *by]) if rows else np.zeros(0, np.int64))

    def digests(self, positions: Int64) -> list[str]:
        """The digests, as JSON."""
        names = self._names(positions)
        # As good as always: then nothing needs to be escaped.
        if _PLAIN.fullmatch("".join(names)):
            return [f'"{name}"' for name in names]
        return [_dumps(name) for name in names]

    def _common(self, positions: Int64) -> list[str]:
        """The members that every image has, without the brace that closes them."""
        tags = tags_of(self._simulation.facts, positions)
        texts = {tag: _dumps(tag) for tag in {tag for names in tags for tag in names}}
        pushed = moments_of(self._simulation.frames.artifacts.pushed_at_ms[positions])
        return [
            f'{{"imageTags": [{", ".join([texts[name] for name in names])}], "imageDigest": {digest}'
            + (f', "imagePushedAt": "{moment}"' if moment else "")
            for names, digest, moment in zip(tags, self.digests(positions), pushed, strict=True)
        ]

    def _acting(self, positions: Int64, *, with_rule: bool) -> list[str]:
        outcome = self._verdicts.outcome[positions].tolist()
        rules = self._verdicts.rule[positions].tolist()
        classes = storage_classes(self._simulation, positions)
        return [
            f'{common}, "action": {_ACTIONS[code]}'
            + (f', "appliedRulePriority": {rule or "null"}' if with_rule else "")
            + f', "storageClass": "{of_class}"'
            for common, code, rule, of_class in zip(
                self._common(positions), outcome, rules, classes, strict=True
            )
        ]

    def acted_on(self, positions: Int64) -> list[str]:
        """Images that leave or are archived, as in ``previewResults``; a follower's rule is null."""
        if not len(positions):
            return []
        return [f"{text}}}" for text in self._acting(positions, with_rule=True)]

    def in_use(self, positions: Int64) -> list[str]:
        """The same with the strongest kind of use, and every workload that uses the image."""
        acted_on, usage = self.acted_on(positions), self._simulation.usage
        if usage is None:
            return acted_on
        return [
            f'{text[:-1]}, "inUseAs": {_dumps(KINDS[usage.kind[position]])},'
            f' "workloads": [{", ".join(_dumps(use_object(use)) for use in usage.of(position))}]}}'
            for text, position in zip(acted_on, positions.tolist(), strict=True)
        ]

    def followers(self, positions: Int64) -> list[str]:
        """Images that go with their subject, which is named."""
        if not len(positions):
            return []
        subjects = self.digests(self._verdicts.by[positions])
        acting = self._acting(positions, with_rule=False)
        return [
            f'{text}, "subjectManifestDigest": {subject}}}'
            for text, subject in zip(acting, subjects, strict=True)
        ]

    def blocked(self, positions: Int64) -> list[str]:
        """Images that an index keeps, which is named, and the rule that would act (null: none)."""
        if not len(positions):
            return []
        rules, classes = self._verdicts.rule[positions].tolist(), storage_classes(self._simulation, positions)
        indexes = self.digests(self._verdicts.by[positions])
        return [
            f'{common}, "storageClass": "{of_class}", "rulePriority": {rule or "null"},'
            f' "blockedBy": {index}}}'
            for common, of_class, rule, index in zip(
                self._common(positions), classes, rules, indexes, strict=True
            )
        ]


def _action(outcome: int) -> str:
    target = ', "targetStorageClass": "ARCHIVE"' if outcome == Outcome.TRANSITIONED else ""
    return f'{{"type": "{ACTIONS[outcome]}"{target}}}'


_ACTIONS: Final = {outcome: _action(outcome) for outcome in ACTIONS}


def _images(images: _Images, row: RepositoryEffect, indent: str) -> dict[str, str]:
    """What ECR answers for a repository, and the images that it does not name."""
    return {
        "registryId": _dumps(row.account),
        "region": _dumps(row.region),
        "repositoryName": _dumps(row.repository),
        "status": '"COMPLETE"',
        "lifecyclePolicyText": _dumps(row.policy_text),
        "previewResults": _list(images.acted_on(row.claimed), indent),
        "summary": _dumps(summary_object(row.effect)),
        "blocked": _list(images.blocked(row.blocked), indent),
        "followers": _list(images.followers(row.followers), indent),
        "warnings": _list(
            (
                f'{{"code": {_dumps(one.code)}, "text": {_dumps(one.text)},'
                f' "images": [{", ".join(images.digests(one.positions))}]}}'
                for one in row.warnings
            ),
            indent,
        ),
        "inUse": _list(images.in_use(row.in_use), indent),
        "protected": _list(images.acted_on(row.protected), indent),
    }


def _figures(
    simulation: Simulation,
    row: RepositoryEffect,
    amounts: Amounts,
    low: MoneyScope,
    indent: str,
) -> dict[str, str]:
    cost = None if row.region is None else cost_object(simulation, row.effect, amounts, low)
    return {
        "counts": _dumps(counts_object(simulation, row.effect)),
        "bytes": _dumps(bytes_object(simulation, row.effect)),
        "cost": _dumps(cost),
        "replicas": _list((_dumps(replica_object(one)) for one in row.replicas), indent),
    }


def _row_against(simulation: Simulation, row: RepositoryEffect, low: MoneyScope) -> JsonObject | None:
    if row.live is None:
        return None
    return against_object(simulation, row.live, row.effect, low, priced=row.region is not None)


def _missing_uses(simulation: Simulation) -> Iterator[JsonObject]:
    """What is named as in use and is not there, and everybody who names it."""
    usage = simulation.usage
    for one in () if usage is None else usage.missing:
        users = () if usage is None else usage.of_missing(one)
        yield {"reference": one.reference, "kind": one.kind, "workloads": list(map(use_object, users))}


def _snapshot(simulation: Simulation) -> JsonObject | None:
    if simulation.taken_from is None or simulation.taken_to is None:
        return None
    return {"taken_from": iso(simulation.taken_from), "taken_to": iso(simulation.taken_to)}


def _entry(key: str, text: str, indent: str) -> str:
    return f',\n{indent}"{key}": {text}'


def _object(members: Mapping[str, str], indent: str) -> str:
    """A JSON object of ``members``, which are JSON, each on a line of its own."""
    return "{" + ",".join(f'\n{indent}  "{key}": {text}' for key, text in members.items()) + f"\n{indent}}}"


def _list(texts: Iterator[str] | Sequence[str] | map[str], indent: str) -> str:
    """A JSON array of ``texts``, each on a line of its own."""
    joined = f",\n{indent}  ".join(texts)
    return f"[\n{indent}  {joined}\n{indent}]" if joined else "[]"


def _dumps(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    # Most is plain ASCII, where only this one character is unseen and not yet escaped.
    return text if text.isascii() and "\x7f" not in text else json_escaped(text)
