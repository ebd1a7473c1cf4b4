"""What came of changes of policies: for a terminal and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from analyzer.model.history import Fate, ImageOutcome, Outcomes, PolicyOutcome
from analyzer.model.units import iso
from analyzer.model.words import counted
from reports.figures import size
from reports.text import json_escaped, shortened, visible
from reports.what_if_terminal import wrapped_lines

_CHANGES: Final = 15
_IMAGES: Final = 5
#: What a reader should look at.
_ODD: Final = (Fate.STILL_THERE, Fate.NOT_PREDICTED, Fate.LEFT_LATE, Fate.UNKNOWN, Fate.DUE, Fate.HELD)


def outcome_text(outcomes: Outcomes) -> str:
    """Every change, the latest first, with the images that did not go as predicted."""
    changes = outcomes.changes
    if not changes:
        lines = ["No change of a lifecycle policy is in the stored nights"]
    else:
        lines = [f"{counted(len(changes), 'change')} of lifecycle policies in the stored nights"]
        for change in changes[:_CHANGES]:
            lines += _change_lines(change)
        if len(changes) > _CHANGES:
            lines.append(f"and {len(changes) - _CHANGES:,} earlier; --format json has all")
    return wrapped_lines([*lines, *(f"Not known: {sentence}" for sentence in outcomes.unknown)])


def change_words(change: PolicyOutcome) -> str:
    """``policy set``, ``policy removed`` or ``policy changed``."""
    if change.text_before is None:
        return "policy set"
    return "policy removed" if change.text_after is None else "policy changed"


def fate_words(change: PolicyOutcome) -> str:
    """``12 left, 1 still there``; ``nothing was predicted, and nothing left``."""
    words = [f"{change.count(fate):,} {fate}" for fate in Fate if change.count(fate)]
    return ", ".join(words) or "nothing was predicted, and nothing left"


def _change_lines(change: PolicyOutcome) -> Iterator[str]:
    yield (
        f"{change.account}/{change.region}/{visible(change.repository)}: {change_words(change)} between "
        f"{iso(change.known_before_at)} and {iso(change.changed_at)}"
    )
    yield f"  until {iso(change.until)}: {fate_words(change)}"
    freed = size(change.freed_bytes)
    yield f"  predicted to free {size(change.predicted_bytes)}; what left of it freed {freed}"
    for fate in _ODD:
        images = [image for image in change.images if image.fate is fate]
        for image in images[:_IMAGES]:
            yield f"    {fate}: {_image_text(image)}"
        if len(images) > _IMAGES:
            yield f"    {fate}: and {len(images) - _IMAGES:,} more"


def _image_text(image: ImageOutcome) -> str:
    tags = shortened(" ".join(visible(tag) for tag in image.tags), 60) or "untagged"
    gone = f", gone by {iso(image.gone_at)}" if image.gone_at else ""
    due = f", predicted by {iso(image.predicted_at)} (rule {image.rule})" if image.predicted_at else ""
    reason = f": {image.reason}" if image.reason else ""
    return f"{tags} {visible(image.digest)[:19]}{due}{gone}{reason}"


def outcome_json(outcomes: Outcomes) -> str:
    """All of it as one JSON object, with a line feed at its end."""
    return json_escaped(json.dumps(outcomes_object(outcomes), indent=2, ensure_ascii=False)) + "\n"


def outcomes_object(outcomes: Outcomes) -> dict[str, Any]:
    """The same as it stands in JSON."""
    return {
        "changes": [
            {
                "account": change.account,
                "region": change.region,
                "repository": change.repository,
                "known_before_at": iso(change.known_before_at),
                "changed_at": iso(change.changed_at),
                "until": iso(change.until),
                "policy_before": change.text_before,
                "policy_after": change.text_after,
                "counts": {fate.name.lower(): change.count(fate) for fate in Fate},
                "predicted_bytes": change.predicted_bytes,
                "freed_bytes": change.freed_bytes,
                "images": [image_object(image) for image in change.images],
            }
            for change in outcomes.changes
        ],
        "unknown": list(outcomes.unknown),
    }


def image_object(image: ImageOutcome) -> dict[str, Any]:
    """One image as it stands in JSON."""
    return {
        "digest": image.digest,
        "tags": list(image.tags),
        "fate": image.fate.name.lower(),
        "rule": image.rule or None,
        **{
            name: None if at is None else iso(at)
            for name, at in (
                ("pushed_at", image.pushed_at),
                ("predicted_at", image.predicted_at),
                ("last_seen_at", image.last_seen_at),
                ("gone_at", image.gone_at),
            )
        },
        "size_bytes": image.size_bytes,
        "reason": image.reason or None,
    }
