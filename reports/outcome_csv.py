"""Rows of what came of changes of policies, one for each image; an empty cell does not apply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from analyzer.model.history import Outcomes
from analyzer.model.units import iso
from reports.csv_cells import Cell, neutralised
from reports.outcome import image_object

OUTCOME_COLUMNS: Final = (
    "account",
    "region",
    "repository",
    "known_before_at",
    "changed_at",
    "until",
    "digest",
    "tags",
    "pushed_at",
    "fate",
    "predicted_at",
    "rule",
    "last_seen_at",
    "gone_at",
    "size_bytes",
    "reason",
)


def outcome_rows(outcomes: Outcomes) -> Iterator[list[Cell]]:
    """One row per image of each change."""
    for change in outcomes.changes:
        place = (change.account, change.region, change.repository)
        times = (iso(change.known_before_at), iso(change.changed_at), iso(change.until))
        for image in change.images:
            found = image_object(image)
            cells = (image.digest, " ".join(image.tags), *(found[name] for name in OUTCOME_COLUMNS[8:]))
            yield neutralised((*place, *times, *cells))
