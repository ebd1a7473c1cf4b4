"""What ``verify`` found, as text, JSON and CSV.

JSON has AWS's field names for what is AWS's. The CSV table has one row per image on which ECR and
we disagree, or that an index keeps although a rule claims it; moments are ISO 8601 in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any, Final

from analyzer.model.units import iso
from analyzer.model.verification import (
    Act,
    Compared,
    Difference,
    Disagreement,
    RepositoryVerification,
    Verification,
    VerificationStatus,
)
from analyzer.model.words import counted
from reports.csv_cells import neutralised, table_text
from reports.json_parts import gap_objects
from reports.text import json_escaped, shortened, visible

#: Columns of a terminal that is not made wider.
_WIDTH: Final = 100
#: Disagreements of one repository that the text names.
_SHOWN: Final = 20
_TAGS_SHOWN: Final = 3

_COLUMNS: Final = (
    "account",
    "region",
    "repository",
    "digest",
    "tags",
    "pushed_at",
    "difference",
    "aws_action",
    "aws_rule",
    "our_action",
    "our_rule",
    "why",
    "near_limit",
    "deferred",
)
#: Values of ``difference`` beside those of Difference: not disagreements.
_BLOCKED_SHOWN: Final = "blocked-by-index-shown"
_BLOCKED_HIDDEN: Final = "blocked-by-index-not-shown"


def verification_text(verification: Verification) -> str:
    """For a person at a terminal: what agrees, and each disagreement; gaps are left to the caller."""
    rows = verification.repositories
    counts = {
        status: sum(1 for row in rows if row.status is status)
        for status in (
            VerificationStatus.AGREES,
            VerificationStatus.DISAGREES,
            VerificationStatus.NO_POLICY,
            VerificationStatus.UNVERIFIED,
        )
    }
    words = (
        (counts[VerificationStatus.AGREES], "agrees", "agree"),
        (counts[VerificationStatus.DISAGREES], "disagrees", "disagree"),
        (counts[VerificationStatus.NO_POLICY], "has no policy", "have no policy"),
        (counts[VerificationStatus.UNVERIFIED], "unverified", "unverified"),
    )
    said = ", ".join(f"{count:,} {one if count == 1 else many}" for count, one, many in words if count)
    policy = "the policy in force" if verification.policy == "live" else visible(verification.policy)
    number = counted(len(rows), "repository", "repositories")
    headline = f"ECR's own preview of {policy} against ours, on {number}: {said or 'nothing to compare'}"
    lines = [headline, ""]
    for row in rows:
        lines += _repository_lines(row)
    lines += [f"Note: {visible(note)}" for note in verification.notes]
    return "\n".join(map(_wrapped, lines)).rstrip() + "\n"


def verification_json(verification: Verification) -> str:
    """The whole of it, for programs, with a line feed at its end."""
    rows = verification.repositories
    document = {
        "at": iso(verification.at),
        "policy": verification.policy,
        "agrees": bool(rows) and all(row.status is VerificationStatus.AGREES for row in rows),
        "repositories": [_repository_object(row) for row in rows],
        "totals": {
            status.value: sum(1 for row in rows if row.status is status) for status in VerificationStatus
        },
        "notes": list(verification.notes),
        **gap_objects(verification.gaps, verification.accepted_gaps),
    }
    return json_escaped(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def verification_csv(verification: Verification) -> str:
    """One row per image that is not plainly agreed on; only the header where there is none."""
    rows = (
        neutralised((row.account, row.region, row.repository, *cells))
        for row in verification.repositories
        for cells in _csv_rows(row)
    )
    return table_text(_COLUMNS, rows)


def _wrapped(line: str) -> str:
    """``line`` on as many lines as it needs, those after the first indented further."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return "\n".join(wrap(line, _WIDTH, subsequent_indent=indent, break_long_words=False)) if line else ""


def _repository_lines(row: RepositoryVerification) -> Iterator[str]:
    name = visible(f"{row.account}/{row.region}/{row.repository}")
    found = row.compared
    if row.status is VerificationStatus.NO_POLICY:
        yield f"{name}: no lifecycle policy is in force"
    elif row.status is VerificationStatus.UNVERIFIED:
        yield f"{name}: not verified, see the gaps"
    elif found is None:
        yield f"{name}: DISAGREES on the policy itself"
    elif row.status is VerificationStatus.AGREES:
        yield (
            f"{name}: agrees on all {counted(found.artifacts, 'artifact', 'artifacts')}"
            f" ({found.aws_expiring:,} expire, {found.aws_transitioning:,} move to the archive)"
        )
    elif not found.disagreements:
        yield f"{name}: the preview contradicts itself; its rows have our verdicts"
    else:
        yield (
            f"{name}: DISAGREES on {len(found.disagreements):,} of"
            f" {counted(found.artifacts, 'artifact', 'artifacts')} (ECR: {found.aws_expiring:,} expire,"
            f" {found.aws_transitioning:,} move to the archive; ours: {found.our_expiring:,} and"
            f" {found.our_transitioning:,})"
        )
    if row.validation:
        yield f"    {visible(row.validation)}"
    if found is not None:
        for one in found.disagreements[:_SHOWN]:
            yield f"    {_disagreement_line(one)}"
        if len(found.disagreements) > _SHOWN:
            yield f"    and {len(found.disagreements) - _SHOWN:,} more: see --format csv or json"
        for note in notes_of(row, found):
            yield f"    {note}"


def notes_of(row: RepositoryVerification, found: Compared) -> list[str]:
    """What a reader of this comparison should know beside its disagreements, a sentence each."""
    notes = []
    if found.summary_differs:
        notes.append(
            f"ECR's summary says {_known(found.summary_expiring)} expire and"
            f" {_known(found.summary_transitioning)} move to the archive, its rows {found.aws_expiring:,} and"
            f" {found.aws_transitioning:,}"
        )
    if found.without_child_slots is not None:
        notes.append(
            "if children of indexes held no place in counts of images, the disagreements would be"
            f" {found.without_child_slots:,} instead of {len(found.disagreements):,}"
        )
    blocked = len(found.blocked_shown) + len(found.blocked_hidden)
    if blocked:
        notes.append(
            f"{counted(blocked, 'image', 'images')} claimed by a rule and kept by an index that stays: ECR's"
            f" preview shows {len(found.blocked_shown):,} of them (AWS does not say whether it should)"
        )
    if found.on_the_edge:
        notes.append(
            f"{counted(found.on_the_edge, 'image', 'images')} crossed a limit of days while ECR looked,"
            f" between {iso(found.started_at)} and {iso(found.completed_at)}: either verdict counts"
        )
    if found.pushed_since or found.gone_since:
        notes.append(
            f"pushed since the snapshot: {len(found.pushed_since):,}; gone since: {len(found.gone_since):,};"
            " compared is what is there now"
        )
    if found.gone_after_preview:
        notes.append(
            "in the preview, gone before the listing that followed it, and so not compared:"
            f" {counted(len(found.gone_after_preview), 'image', 'images')}"
        )
    if found.unread:
        notes.append(
            f"{counted(len(found.unread), 'artifact', 'artifacts')} may be an index and was never read:"
            " images that it holds can differ; run demurrage collect first"
        )
    if found.joined:
        notes.append("a preview of the same policy was already running, and is the one compared")
    if row.policy_changed:
        notes.append("the policy in force is another than in the snapshot, which other commands judge")
    return notes


def _disagreement_line(one: Disagreement) -> str:
    what = {
        Difference.AWS_ACTS: f"ECR {_act(one.aws)}, we keep it",
        Difference.WE_ACT: f"ECR keeps it, we say it {_act(one.ours)}",
        Difference.ACTION: f"ECR {_act(one.aws)}, we say it {_act(one.ours)}",
        Difference.RULE: f"ECR {_act(one.aws)}, we say it {_act(one.ours)}",
    }[one.difference]
    marks = [
        *(["within a day of its limit"] if one.near_limit else []),
        *(["with an index that names it: ECR may need two runs"] if one.deferred else []),
    ]
    marked = f" [{'; '.join(marks)}]" if marks else ""
    pushed = f" pushed {iso(one.pushed_at)}" if one.pushed_at else ""
    return f"{one.digest}{_tags(one.tags)}{pushed}: {what}; {visible(one.why)}{marked}"


def _tags(tags: Sequence[str]) -> str:
    if not tags:
        return " (untagged)"
    shown = ", ".join(shortened(visible(tag), 60) for tag in tags[:_TAGS_SHOWN])
    more = f" and {len(tags) - _TAGS_SHOWN:,} more" if len(tags) > _TAGS_SHOWN else ""
    return f" ({shown}{more})"


def _act(act: Act | None) -> str:
    if act is None:
        return "stays"
    verb = "expires" if act.action == "EXPIRE" else "is archived"
    return f"{verb} by rule {act.rule}" if act.rule is not None else f"{verb} by no rule"


def _repository_object(row: RepositoryVerification) -> dict[str, Any]:
    found = row.compared
    shown: dict[str, Any] = {
        "registryId": row.account,
        "region": row.region,
        "repositoryName": row.repository,
        "status": row.status.value,
        "validation": row.validation or None,
        "policyChangedSinceSnapshot": row.policy_changed,
    }
    if found is None:
        return shown
    return {
        **shown,
        "lifecyclePolicyText": found.policy_text,
        "startedAt": iso(found.started_at),
        "completedAt": iso(found.completed_at),
        "joinedRunningPreview": found.joined,
        "artifacts": found.artifacts,
        "aws": {"expire": found.aws_expiring, "transition": found.aws_transitioning},
        "ours": {"expire": found.our_expiring, "transition": found.our_transitioning},
        "summary": {"expire": found.summary_expiring, "transition": found.summary_transitioning},
        "summaryDiffers": found.summary_differs,
        "disagreements": [_disagreement_object(one) for one in found.disagreements],
        "blockedShown": list(found.blocked_shown),
        "blockedNotShown": list(found.blocked_hidden),
        "onTheEdge": found.on_the_edge,
        "pushedSinceSnapshot": list(found.pushed_since),
        "goneSinceSnapshot": list(found.gone_since),
        "goneAfterPreview": list(found.gone_after_preview),
        "unread": list(found.unread),
        "disagreementsWithoutChildSlots": found.without_child_slots,
        "notes": notes_of(row, found),
    }


def _disagreement_object(one: Disagreement) -> dict[str, Any]:
    return {
        "imageDigest": one.digest,
        "imageTags": list(one.tags),
        "imagePushedAt": _moment(one.pushed_at) or None,
        "difference": one.difference.value,
        "aws": _act_object(one.aws),
        "ours": _act_object(one.ours),
        "why": one.why,
        "nearLimit": one.near_limit,
        "deferred": one.deferred,
    }


def _act_object(act: Act | None) -> dict[str, Any] | None:
    if act is None:
        return None
    action = {"type": act.action, **({"targetStorageClass": "ARCHIVE"} if act.action == "TRANSITION" else {})}
    return {"action": action, "appliedRulePriority": act.rule}


def _csv_rows(row: RepositoryVerification) -> Iterator[tuple[str, ...]]:
    found = row.compared
    if found is None:
        return
    for one in found.disagreements:
        yield (
            one.digest,
            " ".join(one.tags),
            _moment(one.pushed_at),
            one.difference.value,
            *_act_cells(one.aws),
            *_act_cells(one.ours),
            one.why,
            str(one.near_limit).lower(),
            str(one.deferred).lower(),
        )
    for digests, difference in (
        (found.blocked_shown, _BLOCKED_SHOWN),
        (found.blocked_hidden, _BLOCKED_HIDDEN),
    ):
        for digest in digests:
            yield (digest, *("",) * 2, difference, *("",) * 7)


def _act_cells(act: Act | None) -> tuple[str, str]:
    if act is None:
        return "", ""
    return act.action, "" if act.rule is None else str(act.rule)


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else iso(moment)


def _known(number: int | None) -> str:
    return "an unknown number" if number is None else f"{number:,}"
