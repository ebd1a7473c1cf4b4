"""The explanation of one image as text for a terminal, as JSON and as CSV.

Text of other people is escaped in every format, and in CSV no cell begins like a formula.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from textwrap import wrap
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analyzer.model.explanation import Departure, Explanation, Family, Relative, SeenPulls
from analyzer.model.results import ScopedBytes
from analyzer.model.units import GB, from_day, iso
from analyzer.model.verdicts import Outcome
from reports.csv_cells import neutral, neutralised, table_text, truth
from reports.text import json_escaped, shortened, visible
from reports.usage import coverage_object, covered_text, use_object, user_text

_WIDTH: Final = 100
_LABEL: Final = 10
#: Relatives of one kind that the text shows; JSON has all.
_SHOWN: Final = 10

_OUTCOMES: Final = {
    Outcome.KEPT: "stays",
    Outcome.EXPIRED: "leaves",
    Outcome.TRANSITIONED: "is archived",
}
#: In the words of ECR's lifecycle policy preview.
_ACTIONS: Final = {Outcome.EXPIRED: "EXPIRE", Outcome.TRANSITIONED: "TRANSITION"}

_CSV_COLUMNS: Final = (
    "account",
    "region",
    "repository",
    "digest",
    "priority",
    "rule",
    "selects",
    "decides",
    "claims",
    "rank",
    "selected",
    "age_days",
    "why",
)


def explain_text(explanation: Explanation) -> str:
    """Everything about the image for a person; gaps are left to the caller."""
    place = "/".join(filter(None, (explanation.account, explanation.region, explanation.repository)))
    policy = "the policy in force" if explanation.policy == "live" else f"the policy {explanation.policy}"
    parts = [
        visible(f"{place}@{explanation.digest}" if place else explanation.digest),
        *_facts(explanation),
        "",
        *_wrapped(f"Under {policy} at {iso(explanation.at)}:"),
        *_wrapped(explanation.sentence),
        *(line for note in explanation.notes for line in _wrapped(note)),
    ]
    text = "\n".join(parts) + "\n"
    if explanation.trace:
        text += "\n" + _trace(explanation)
    family = _family(explanation.family)
    if family:
        text += "\nFamily\n" + "\n".join(family) + "\n"
    return text + "\nIf it left\n" + "\n".join(_departure(explanation.departure)) + "\n"


def _pull(moment: datetime | None) -> str | None:
    """The moment of a pull; where only its day is stored, which its last millisecond stands for, the day."""
    if moment is None:
        return None
    text = iso(moment)
    return text.removesuffix("T23:59:59.999Z")


def _facts(explanation: Explanation) -> list[str]:
    tags = ", ".join(explanation.tags[:_SHOWN]) or "none"
    if len(explanation.tags) > _SHOWN:
        tags += f" and {len(explanation.tags) - _SHOWN:,} more"
    rows = [
        ("Kind", explanation.kind),
        ("Tags", tags),
        ("Pushed", _moment(explanation.pushed_at, "unknown")),
        ("Pulled", _pull(explanation.pulled_at) or "no pull is recorded"),
        *(("Asked for", said) for said in _seen(explanation.seen_pulls)),
        ("Status", explanation.status),
    ]
    for label, moment in (("Archived", explanation.archived_at), ("Restored", explanation.activated_at)):
        if moment is not None:
            rows.append((label, iso(moment)))
    unique = explanation.departure.unique_bytes
    if explanation.logical_bytes is not None:
        rows.append(("Size", f"{_gb(explanation.logical_bytes)}, {_range(unique)} of it in no other image"))
    elif explanation.kind == "index":
        rows.append(("Size", "none of its own: its children have the bytes"))
    else:
        rows.append(("Size", "unknown"))
    rows += [("In use", said) for said in _users(explanation)]
    if explanation.protected is not None:
        rows.append(("Protected", "yes" if explanation.protected else "no"))
    return [line for label, value in rows for line in _labelled(label, value)]


def _seen(seen: SeenPulls | None) -> list[str]:
    """When it was last asked for, as CloudTrail recorded it; nothing is claimed of days not covered."""
    if seen is None:
        return []
    if seen.first_day is None or seen.last_day is None:
        return ["unknown: CloudTrail was not read for its registry since its push"]
    said = []
    if seen.by_digest_day is not None:
        said.append(f"by digest last on {from_day(seen.by_digest_day)}, as CloudTrail recorded it")
    if seen.by_tag_day is not None and seen.by_tag_day > (seen.by_digest_day or 0):
        said.append(
            f"by the tag {seen.tag} last on {from_day(seen.by_tag_day)}, as CloudTrail recorded it; "
            "the tag may have meant another image then"
        )
    days = f"from {from_day(seen.first_day)} to {from_day(seen.last_day)}"
    if not said and seen.is_covered:
        return [f"by nobody {days}, as CloudTrail recorded it on every day"]
    if not said:
        covered = f"{seen.complete_days:,} of these {seen.last_day - seen.first_day + 1:,} days"
        return [f"not known: CloudTrail recorded nothing {days}, but only {covered} are covered completely"]
    return said


def _seen_object(seen: SeenPulls | None) -> dict[str, Any] | None:
    """The same for programs."""
    if seen is None:
        return None
    days = (seen.first_day, seen.last_day, seen.by_digest_day, seen.by_tag_day)
    first, last, by_digest, by_tag = (None if day is None else from_day(day).isoformat() for day in days)
    return {
        "first_day": first,
        "last_day": last,
        "complete_days": seen.complete_days,
        "covered": seen.is_covered,
        "by_digest": by_digest,
        "by_tag": None if by_tag is None else {"tag": seen.tag, "day": by_tag},
    }


def _users(explanation: Explanation) -> list[str]:
    """Who uses it, a line each, or what is known of that nobody does; nothing where it was not asked."""
    users = explanation.users
    if users:
        said = [user_text(use) for use in users[:_SHOWN]]
        more = [f"and {len(users) - _SHOWN:,} more"] if len(users) > _SHOWN else []
        return [*said, *more]
    coverage = explanation.coverage
    if explanation.possibly_in_use:
        return ["perhaps, as a child of an index in use that could not be read"]
    if explanation.in_use is None:
        return [] if coverage is None else ["unknown: no workloads were read"]
    if coverage is None or explanation.in_use:
        return ["yes" if explanation.in_use else "no"]
    return [f"no workload is known to use it ({covered_text(coverage)})"]


def _moment(moment: datetime | None, otherwise: str) -> str:
    return otherwise if moment is None else iso(moment)


def _trace(explanation: Explanation) -> str:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("RULE", justify="right", no_wrap=True)
    table.add_column("WHAT IT DOES", overflow="fold", ratio=1)
    table.add_column("DECIDES", no_wrap=True)
    table.add_column("HERE", overflow="fold", ratio=1)
    for step in explanation.trace:
        claims = "would act" if step.claims else "would not act"
        here = f"selects it and {claims}: {step.why}" if step.selects else f"does not select it: {step.why}"
        table.add_row(
            str(step.priority), Text(visible(step.rule)), "yes" if step.decides else "", Text(visible(here))
        )
    out = io.StringIO()
    # Always of one width and without colour: a pipe gets what a terminal shows.
    Console(file=out, width=_WIDTH, color_system=None, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _family(family: Family) -> list[str]:
    lines = _relatives("Index", family.parents)
    if family.subject is not None:
        lines += _relatives("Subject", (family.subject,))
    elif family.subject_is_absent:
        lines += _labelled("Subject", "is not there")
    lines += _relatives("Child", family.children)
    if family.absent_children:
        lines += _labelled("Child", f"{family.absent_children:,} more that it names are not there")
    if family.may_have_children:
        lines += _labelled("Child", "unknown: its manifest could not be read, and it may be an index")
    return lines + _relatives("Referrer", family.referrers)


def _relatives(label: str, relatives: Sequence[Relative]) -> list[str]:
    lines = [
        line
        for relative in relatives[:_SHOWN]
        for line in _labelled(label, f"{_named(relative)} {_OUTCOMES[relative.outcome]}")
    ]
    if len(relatives) > _SHOWN:
        lines += _labelled(label, f"and {len(relatives) - _SHOWN:,} more")
    return lines


def _named(relative: Relative) -> str:
    tags = ", ".join(relative.tags[:3]) + (", …" if len(relative.tags) > 3 else "")
    return f"{relative.digest} ({tags})" if tags else relative.digest


def _departure(departure: Departure) -> list[str]:
    with_it = []
    for relatives, one, many in (
        (departure.followers, "referrer", "referrers"),
        (departure.released, "child that it alone holds back", "children that it alone holds back"),
    ):
        if relatives:
            with_it.append(f"{len(relatives):,} {one if len(relatives) == 1 else many}")
    lines = _labelled("Alone", f"{_range(departure.unique_bytes)} would leave")
    if with_it:
        lines += _labelled(
            "With it", f"{' and '.join(with_it)}: {_range(departure.freed_bytes)} would leave in all"
        )
    if departure.orphans:
        number = len(departure.orphans)
        what = "1 child would be left" if number == 1 else f"{number:,} children would be left"
        total = _range(departure.freed_with_orphans_bytes)
        lines += _labelled("Orphans", f"{what} that no tag reaches; {total} in all if these went too")
    if departure.unknown_size:
        number = departure.unknown_size
        what = "the size of 1 artifact" if number == 1 else f"the sizes of {number:,} artifacts"
        lines += _labelled("Unknown", f"{what}, in none of these figures")
    return lines


def _range(both: ScopedBytes) -> str:
    low, high = _gb(both.registry), _gb(both.repository)
    return high if low == high else f"{low} to {high}"


def _gb(size_bytes: int) -> str:
    if 0 < size_bytes < GB / 200:
        return f"{size_bytes:,} bytes"
    return f"{Decimal(size_bytes) / GB:,.2f} GB"


def _labelled(label: str, value: str) -> list[str]:
    return wrap(
        visible(shortened(value, 2_000)),
        _WIDTH,
        initial_indent=f"{label:{_LABEL}}",
        subsequent_indent=" " * _LABEL,
        break_on_hyphens=False,
    )


def _wrapped(line: str) -> list[str]:
    return wrap(visible(line), _WIDTH, break_on_hyphens=False)


def explain_json(explanation: Explanation) -> str:
    """Everything about the image for programs; ``action`` and ``storageClass`` in ECR's own words."""
    action = _ACTIONS.get(explanation.outcome)
    document: dict[str, Any] = {
        "at": iso(explanation.at),
        "taken_at": _iso(explanation.taken_at),
        "account": explanation.account or None,
        "region": explanation.region or None,
        "repository": explanation.repository or None,
        "digest": explanation.digest,
        "kind": explanation.kind,
        "tags": list(explanation.tags),
        "pushed_at": _iso(explanation.pushed_at),
        "pulled_at": _pull(explanation.pulled_at),
        "asked_for": _seen_object(explanation.seen_pulls),
        "archived_at": _iso(explanation.archived_at),
        "activated_at": _iso(explanation.activated_at),
        "status": explanation.status,
        "logical_bytes": explanation.logical_bytes,
        "unique_bytes": _bytes(explanation.departure.unique_bytes),
        "in_use": explanation.in_use,
        "users": [use_object(use) for use in explanation.users],
        "coverage": coverage_object(explanation.coverage),
        "protected": explanation.protected,
        "family": {
            "parents": _list(explanation.family.parents),
            "children": _list(explanation.family.children),
            "absent_children": explanation.family.absent_children,
            "may_have_children": explanation.family.may_have_children,
            "subject": None if explanation.family.subject is None else _relative(explanation.family.subject),
            "subject_is_absent": explanation.family.subject_is_absent,
            "referrers": _list(explanation.family.referrers),
        },
        "policy": explanation.policy,
        "verdict": {
            "action": None if action is None else {"type": action},
            "appliedRulePriority": explanation.rule if action is not None else None,
            "decidingRulePriority": explanation.rule,
            "reason": explanation.reason.name,
            "sentence": explanation.sentence,
            "notes": list(explanation.notes),
        },
        "trace": [
            {
                "rulePriority": step.priority,
                "rule": step.rule,
                "description": step.description,
                "selects": step.selects,
                "decides": step.decides,
                "claims": step.claims,
                "why": step.why,
                "rank": step.rank,
                "selected": step.selected,
                "age_days": step.age_days,
            }
            for step in explanation.trace
        ],
        "departure": {
            "followers": _list(explanation.departure.followers),
            "released_children": _list(explanation.departure.released),
            "freed_bytes": _bytes(explanation.departure.freed_bytes),
            "orphans": _list(explanation.departure.orphans),
            "freed_with_orphans_bytes": _bytes(explanation.departure.freed_with_orphans_bytes),
            "unknown_size": explanation.departure.unknown_size,
        },
        "gaps": [
            {"call": gap.call, "reason": gap.reason, "detail": gap.detail, "count": gap.count}
            for gap in explanation.gaps
        ],
    }
    if action == "TRANSITION":
        document["verdict"]["action"]["targetStorageClass"] = "ARCHIVE"
    return json_escaped(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def _bytes(both: ScopedBytes) -> dict[str, int]:
    return {"repository": both.repository, "registry": both.registry}


def _list(relatives: Sequence[Relative]) -> list[dict[str, Any]]:
    return [_relative(relative) for relative in relatives]


def _relative(relative: Relative) -> dict[str, Any]:
    return {
        "digest": relative.digest,
        "tags": list(relative.tags),
        "action": _ACTIONS.get(relative.outcome),
    }


def explain_csv(explanation: Explanation) -> str:
    """The trace, one row per rule, for spreadsheets."""
    place = neutralised((explanation.account, explanation.region, explanation.repository, explanation.digest))
    rows = [
        (
            *place,
            step.priority,
            neutral(step.rule),
            truth(step.selects),
            truth(step.decides),
            truth(step.claims),
            "" if step.rank is None else step.rank,
            step.selected,
            "" if step.age_days is None else step.age_days,
            neutral(step.why),
        )
        for step in explanation.trace
    ]
    return table_text(_CSV_COLUMNS, rows)
