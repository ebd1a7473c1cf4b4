"""The page's section on changes of lifecycle policies: what they were predicted to take, and what left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analyzer.model.history import Fate, Outcomes, PolicyOutcome
from analyzer.model.results import Report
from analyzer.model.words import counted
from reports.anchors import repository_anchor
from reports.cells import MOST_ROWS, Cell, Column, Row, Table
from reports.figures import count, exact_size, moment, size
from reports.outcome import change_words
from reports.text import shortened, visible

#: Images that did not go as predicted, and are named.
_IMAGES: Final = 50
_FATES: Final = (
    (Fate.LEFT, "Left", "The policy takes it, and it left within ECR's 24 hours."),
    (Fate.LEFT_LATE, "Left late", "The policy takes it, and it left later than that."),
    (Fate.STILL_THERE, "Still there", "The policy takes it, and it is there though ECR has had its time."),
    (Fate.DUE, "Due", "The policy takes it, and ECR has not had its time yet."),
    (Fate.NOT_PREDICTED, "Not predicted", "It left, and no rule takes it: somebody deleted it."),
    (Fate.HELD, "Held", "A rule takes it, but an index that stays holds it, rightly."),
    (Fate.UNKNOWN, "Unknown", "Its repository could not be read whole since."),
)
_ODD: Final = (Fate.STILL_THERE, Fate.NOT_PREDICTED, Fate.LEFT_LATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomesSection:
    """What the section shows; the second table is left away where everything went as predicted."""

    summary: str
    changes: Table
    odd: Table | None
    notes: tuple[str, ...]


def outcome_section(report: Report) -> OutcomesSection | None:
    """The section of ``report``; None where no policy was changed."""
    outcomes = report.outcomes
    if outcomes is None or not outcomes.changes:
        return None
    return OutcomesSection(
        summary=_summary(outcomes),
        changes=_changes(outcomes),
        odd=_odd(outcomes),
        notes=outcomes.unknown,
    )


def _summary(outcomes: Outcomes) -> str:
    sums = {fate: sum(change.count(fate) for change in outcomes.changes) for fate in Fate}
    words = ", ".join(f"{count(number)} {fate}" for fate, number in sums.items() if number)
    return (
        f"The stored nights have {counted(len(outcomes.changes), 'change')} of lifecycle policies. "
        f"Image by image, that came to: {words or 'nothing predicted, and nothing left'}."
    )


def _changes(outcomes: Outcomes) -> Table:
    shown = outcomes.changes[:MOST_ROWS]
    left = len(outcomes.changes) - len(shown)
    more = f"; the latest {count(len(shown))} of {count(len(outcomes.changes))}" if left else ""
    return Table(
        name="policy-changes",
        caption=f"Changes of policies, the latest first{more}",
        columns=(
            Column(label="Repository", numeric=False),
            Column(label="Change", numeric=False),
            *(Column(label=label, hint=hint) for _, label, hint in _FATES),
            Column(
                label="Predicted", hint="What would leave with all that the policy was predicted to take."
            ),
            Column(label="Freed", hint="What left with those of them that are gone."),
        ),
        rows=tuple(_change_row(change) for change in shown),
        file="outcomes.csv",
        method="outcomes",
    )


def _change_row(change: PolicyOutcome) -> Row:
    what = f"{change_words(change)} by {moment(change.changed_at)}"
    return Row(
        cells=(
            _repository(change),
            Cell(text=what, notes=(f"looked at until {moment(change.until)}",)),
            *(_number(change, fate) for fate, *_ in _FATES),
            _bytes(change.predicted_bytes),
            _bytes(change.freed_bytes),
        )
    )


def _repository(change: PolicyOutcome) -> Cell:
    return Cell(
        text=visible(change.repository),
        notes=(f"{change.account} {change.region}",),
        link=repository_anchor(change.account, change.region, change.repository),
    )


def _number(change: PolicyOutcome, fate: Fate) -> Cell:
    number = change.count(fate)
    return Cell(text=count(number), value=str(number), tone="warn" if number and fate in _ODD else "")


def _bytes(size_bytes: int) -> Cell:
    return Cell(text=size(size_bytes), value=str(size_bytes), hint=exact_size(size_bytes))


def _odd(outcomes: Outcomes) -> Table | None:
    found = [
        (change, image)
        for fate in _ODD
        for change in outcomes.changes
        for image in change.images
        if image.fate is fate
    ]
    if not found:
        return None
    shown = found[:_IMAGES]
    which = f"{count(len(shown))} of {counted(len(found), 'image')}" if len(found) > len(shown) else "Images"
    return Table(
        name="policy-surprises",
        caption=f"{which} that did not go as predicted",
        columns=(
            Column(label="Repository", numeric=False),
            Column(label="Image", numeric=False),
            Column(label="What became of it", numeric=False),
            Column(label="Why", numeric=False),
        ),
        rows=tuple(
            Row(
                cells=(
                    _repository(change),
                    Cell(
                        text=shortened(" ".join(map(visible, image.tags)), 80) or "untagged",
                        notes=(visible(image.digest)[:19],),
                    ),
                    Cell(text=str(image.fate), tone="warn"),
                    Cell(text=image.reason or _why(image.fate)),
                )
            )
            for change, image in shown
        ),
        file="outcomes.csv",
        method="outcomes",
    )


def _why(fate: Fate) -> str:
    return next(hint for known, _, hint in _FATES if known is fate)
