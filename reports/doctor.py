"""What `doctor` found, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap

from analyzer.model.checks import Check, CheckStatus, Examination, MissingPolicy
from reports.text import json_escaped, visible

#: Columns of a terminal that nobody made wider.
_WIDTH = 80
_INDENT = 10
#: Places named of those that a check is about; all are in the JSON.
_PLACES = 3
_HEADS = {
    "program": "Program",
    "configuration": "Configuration",
    "files": "Files",
    "database": "Database",
    "aws": "AWS",
    "account": "Accounts",
    "registry": "Registries",
    "pulls": "Pulls",
    "publishing": "Publishing",
    "digest": "Digest",
    "permission": "Permissions",
}
#: Groups of which there is a check per registry: those that are well are counted.
_MANY = frozenset({"account", "registry", "permission"})


def examination_json(found: Examination) -> str:
    """A JSON document: ``can_run``, ``clean``, ``counts``, ``checks`` and ``missing_policies``."""
    counts = Counter(check.status for check in found.checks)
    document = {
        "can_run": found.can_run,
        "clean": found.is_clean,
        "counts": {str(status): counts[status] for status in CheckStatus},
        "checks": [asdict(check) for check in found.checks],
        "missing_policies": [asdict(entry) for entry in found.missing],
    }
    return json_escaped(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def examination_text(found: Examination) -> str:
    """A few lines per group, what is well in short, then the policies to be granted."""
    lines: list[str] = []
    for group, head in _HEADS.items():
        checks = [check for check in found.checks if check.group == group]
        if checks:
            lines += [head, *_group(checks, is_many=group in _MANY), ""]
    for entry in found.missing:
        lines += [*_policy(entry), ""]
    return "\n".join([*lines, *_verdict(found)]) + "\n"


def _group(checks: Sequence[Check], *, is_many: bool) -> Iterator[str]:
    if not is_many:
        for check in checks:
            yield from _check(check, _what(check.id), check.subject)
        return
    for ids, alike in _alike(checks):
        names = ", ".join(map(_what, ids))
        yield from _check(alike[0], names, _subjects([check.subject for check in alike]))
    well = [check for check in checks if check.status is CheckStatus.OK]
    if well:
        yield from _wrapped("ok", f"{len(well):,} of {len(checks):,}")


def _alike(checks: Sequence[Check]) -> Iterator[tuple[list[str], list[Check]]]:
    """What is not well, joined: of the same check the places, of the same places and words the checks."""
    of_check: dict[tuple[str, CheckStatus], list[Check]] = {}
    for check in checks:
        if check.status not in (CheckStatus.OK, CheckStatus.SKIPPED):
            of_check.setdefault((check.id, check.status), []).append(check)
    joined: dict[tuple[object, ...], tuple[list[str], list[Check]]] = {}
    for (name, status), alike in of_check.items():
        places = tuple(check.subject for check in alike)
        entry = joined.setdefault((status, places, alike[0].found, alike[0].mend), ([], alike))
        entry[0].append(name)
    yield from joined.values()


def _subjects(subjects: Sequence[str]) -> str:
    shown = ", ".join(subjects[:_PLACES])
    more = len(subjects) - _PLACES
    return f"{shown} and {more:,} more, the first of which says" if more > 0 else shown


def _what(name: str) -> str:
    return name.partition(".")[2]


def _check(check: Check, name: str, subject: str) -> Iterator[str]:
    about = f" {subject}" if subject else ""
    yield from _wrapped(str(check.status), f"{name}{about}: {check.found}")
    if check.mend:
        yield from _wrapped("", f"→ {check.mend}")


def _wrapped(label: str, text: str) -> Iterator[str]:
    """``text`` beside ``label``, on as many lines as it needs; what is pasted is not broken inside words."""
    head = f"  {label:<{_INDENT - 2}}"
    first, *rest = wrap(visible(text), _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False) or [
        ""
    ]
    yield head + first
    for line in rest:
        yield " " * _INDENT + line


def _policy(entry: MissingPolicy) -> Iterator[str]:
    whom = f" of {entry.principal}" if entry.principal else ""
    yield from wrap(
        visible(f"Missing in account {entry.account}; add to the policies{whom}:"),
        _WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield visible_lines(json.dumps(entry.policy, indent=2))


def visible_lines(text: str) -> str:
    """``text`` with every unseen character but its line ends written out."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _verdict(found: Examination) -> Iterator[str]:
    counts = Counter(check.status for check in found.checks)
    told = ", ".join(f"{counts[status]:,} {status}" for status in CheckStatus if counts[status])
    if not found.can_run:
        said = "The nightly run could not work."
    elif found.is_clean:
        said = "All is well."
    else:
        said = "The nightly run works, with gaps or warnings."
    yield from wrap(f"{said} ({told})", _WIDTH)
