"""When a rule that selects by tags last had anything to select, from the tags that were there before."""

from __future__ import annotations

import numpy as np

from analyzer.families import spans
from analyzer.lifecycle.matching import TagNames
from analyzer.lifecycle.policy import Rule
from analyzer.model.frames import Bools, Int64
from analyzer.model.tag_history import TagHistory


def last_selected_ms(rule: Rule, history: TagHistory) -> int | None:
    """Time of the last snapshot in which an artifact met the whole list of ``rule``; None for never.

    ``rule`` is one for tagged images. Whether the artifact was of the rule's storage class then, or
    a referrer that no rule looks at, is not looked into.
    """
    met = _spans_of_entries(rule, history)
    best: int | None = None
    # The last moment of a match is the last moment of one of its spans.
    for ending in met:
        artifact, moment = history.artifact[ending], history.last_ms[ending]
        holds = np.ones(len(moment), np.bool_)
        for entry in met:
            holds &= _carried(history, entry, artifact, moment)
        if holds.any():
            latest = int(moment[holds].max())
            best = latest if best is None else max(best, latest)
    return best


def _spans_of_entries(rule: Rule, history: TagHistory) -> list[Int64]:
    """For each entry of the rule's list the spans whose tag meets it, ordered by artifact."""
    names = TagNames.of(history.tag_names)
    if rule.tag_patterns:
        matches = [names.match(pattern) for pattern in rule.tag_patterns]
    else:
        matches = [names.begin_with(prefix) for prefix in rule.tag_prefixes]
    order = np.argsort(history.artifact, kind="stable")
    return [order[match[history.tag[order]]] for match in matches]


def _carried(history: TagHistory, entry: Int64, artifact: Int64, moment: Int64) -> Bools:
    """Whether each ``artifact`` carried a tag of the spans ``entry`` at its ``moment``."""
    carriers = history.artifact[entry]
    starts = np.searchsorted(carriers, artifact, side="left")
    lengths = np.searchsorted(carriers, artifact, side="right") - starts
    which = np.repeat(np.arange(len(artifact)), lengths)
    span = entry[spans(starts, lengths)]
    during = (history.first_ms[span] <= moment[which]) & (moment[which] <= history.last_ms[span])
    return np.bincount(which[during], minlength=len(artifact)) > 0
