"""Whether images were needed after some moment: by pulls, by workloads, by further tags.

What is known of a pull is its day, so that only one of a later day is sure to have come afterwards.
What was pushed again is there again: uses from then on are no longer of what was taken.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzer.families import spans
from analyzer.lifecycle.census import DAY_MS
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.replay import Verdict
from analyzer.model.frames import Bools, Int64
from analyzer.model.history import LaterKind, Spans
from analyzer.references.parsing import RegistryKind
from analyzer.references.resolution import read_texts

#: ``FirstUse.day`` of what was not used.
NEVER: Final = int(np.iinfo(np.int64).max)
#: Snapshots of several registries that are no further apart are of one night.
_SAME_NIGHT_MS: Final = DAY_MS // 2
_TAG_AND_DIGEST: Final = re.compile(r":[^/:@]+@")


@dataclass(frozen=True, slots=True)
class FirstUse:
    """The first use of one kind of each thing taken: parallel arrays in its order."""

    #: Day since 1970 UTC; ``NEVER`` for none.
    day: Int64
    #: Position in ``who``; -1 for none.
    by: Int64
    who: Sequence[str]


@dataclass(frozen=True, slots=True)
class Later:
    """What is known of the uses of each thing taken after it was."""

    uses: dict[LaterKind, FirstUse]
    #: ECR or CloudTrail know of a pull of the day on which it was taken, before or after.
    same_day: Bools
    #: No later night saw it.
    unwatched: Bools


def later_uses(past: Past, taken: Verdict) -> Later:
    """What became of ``taken``, as far as the nights of ``past`` know."""
    history = past.history
    until = _pushed_again(past, taken)
    day, until_day = taken.at_ms // DAY_MS, _days(until)
    nobody: Sequence[str] = ()

    row, at = _pairs(history.pulls.of, taken.artifact)
    value = history.pulls.value[at]
    valid = (value > day[row]) & (value <= until_day[row])
    pulled = _first(len(day), row[valid], value[valid], np.full(int(valid.sum()), -1))
    same_day = np.zeros(len(day), np.bool_)
    # Recorded before the night, a pull of that day had been before.
    same_day[row[(value == day[row]) & (history.pulls.first[at] > taken.night[row])]] = True

    artifact, of_day, by = _recorded(past)
    row, at = _pairs(artifact, taken.artifact)
    valid = (of_day[at] > day[row]) & (of_day[at] <= until_day[row])
    recorded = _first(len(day), row[valid], of_day[at[valid]], by[at[valid]])
    same_day[row[of_day[at] == day[row]]] = True

    artifact, first_ms, last_ms, by = _used(past)
    row, at = _pairs(artifact, taken.artifact)
    valid = (last_ms[at] + _SAME_NIGHT_MS >= taken.at_ms[row]) & (first_ms[at] < until[row])
    since = np.maximum(first_ms[at], taken.at_ms[row]) // DAY_MS
    used = _first(len(day), row[valid], since[valid], by[at[valid]])

    row, at = _pairs(history.tags.of, taken.artifact)
    tagged_ms = _night_ms(past, history.tags, past.repository[history.tags.of])[0][at]
    valid = (history.tags.first[at] > taken.night[row]) & (tagged_ms < until[row])
    tagged = _first(len(day), row[valid], tagged_ms[valid] // DAY_MS, history.tags.value[at[valid]])

    row, at = _pairs(history.presence.of, taken.artifact)
    unwatched = np.ones(len(day), np.bool_)
    unwatched[row[history.presence.gone[at] - 1 > taken.night[row]]] = False
    return Later(
        {
            LaterKind.PULLED: FirstUse(*pulled, nobody),
            LaterKind.RECORDED: FirstUse(*recorded, history.recorded.pullers),
            LaterKind.USED: FirstUse(*used, history.workloads.names),
            LaterKind.TAGGED: FirstUse(*tagged, history.tag_names),
        },
        same_day,
        unwatched,
    )


def _days(moments: Int64) -> Int64:
    return np.where(moments == NEVER, NEVER, moments // DAY_MS)


def _pushed_again(past: Past, taken: Verdict) -> Int64:
    """When each was next pushed, NEVER where it was not."""
    presence = past.history.presence
    row, at = _pairs(presence.of, taken.artifact)
    pushed = presence.pushed_at_ms[at]
    again = pushed > taken.at_ms[row]
    until = np.full(len(taken.artifact), NEVER)
    np.minimum.at(until, row[again], pushed[again])
    return until


def _pairs(of: Int64, wanted: Int64) -> tuple[Int64, Int64]:
    """For each of ``wanted`` its rows in the sorted ``of``: positions there, and in ``of``."""
    starts = np.searchsorted(of, wanted)
    lengths = np.searchsorted(of, wanted, side="right") - starts
    return np.repeat(np.arange(len(wanted)), lengths), spans(starts, lengths)


def _first(count: int, row: Int64, day: Int64, by: Int64) -> tuple[Int64, Int64]:
    """The least ``day`` of each row, and by whom that was (the least of several)."""
    first, who = np.full(count, NEVER), np.full(count, -1, np.int64)
    order = np.lexsort((by, day, row))
    row = row[order]
    new = np.flatnonzero(np.diff(row, prepend=-1))
    first[row[new]], who[row[new]] = day[order[new]], by[order[new]]
    return first, who


def _night_ms(past: Past, of: Spans, repository: Int64) -> tuple[Int64, Int64, Int64]:
    """When spans were first seen, last seen, and seen gone (NEVER for those that are there still)."""
    history = past.history
    offset = history.night_offsets[past.registry_of[repository]]
    end = history.night_offsets[past.registry_of[repository] + 1]
    first, gone = offset + of.first, offset + of.gone
    if not len(history.night_ms):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    ended = gone < end
    return (
        history.night_ms[first],
        history.night_ms[gone - 1],
        np.where(ended, history.night_ms[np.where(ended, gone, 0)], NEVER),
    )


class _Names:
    """Finds artifacts by repository and digest, or by repository and tag at some time."""

    def __init__(self, past: Past) -> None:
        self._past = past
        frames, tags = past.history.frames, past.history.tags
        self._keys = (past.repository << 32) | frames.artifacts.digest_id.astype(np.int64)
        self.rows: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
        accounts, regions = frames.registries["account"].tolist(), frames.registries["region"].tolist()
        repositories = zip(
            frames.repositories["registry"].tolist(), frames.repositories["repository"].tolist(), strict=True
        )
        for row, (registry, name) in enumerate(repositories):
            self.rows[accounts[registry], regions[registry], name].append(row)
        repository = past.repository[tags.of]
        width = max(1, len(past.history.tag_names))
        self._width = width
        key = repository * width + tags.value
        self._order = np.argsort(key, kind="stable")
        self._sorted = key[self._order]
        self.tag_seen_ms, self.tag_last_ms, self.tag_gone_ms = _night_ms(past, tags, repository)

    def by_digest(self, row: Int64, digest_id: Int64) -> Int64:
        """The artifact of each repository and digest, -1 for none."""
        wanted = (row << 32) | digest_id
        if not len(self._keys):
            return np.full(len(wanted), -1)
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        return np.where((self._keys[at] == wanted) & (digest_id > 0), at, -1)

    def by_tag(self, row: Int64, tag: Int64) -> tuple[Int64, Int64]:
        """Positions in the arguments, and the spans of tags there."""
        found, at = _pairs(self._sorted, row * self._width + tag)
        return found, self._order[at]


def _recorded(past: Past) -> tuple[Int64, Int64, Int64]:
    """Artifacts that CloudTrail saw asked for, ordered; the day; by whom."""
    recorded, names = past.history.recorded, _Names(past)
    of_place = [names.rows.get(place, []) for place in recorded.places]
    counts = np.array([len(rows) for rows in of_place], np.int64)
    flat = np.array([row for rows in of_place for row in rows], np.int64)
    starts = np.cumsum(counts) - counts
    lengths = counts[recorded.place] if len(counts) else np.zeros(0, np.int64)
    pull = np.repeat(np.arange(len(recorded.day)), lengths)
    row = flat[spans(starts[recorded.place] if len(counts) else lengths, lengths)]

    artifact = names.by_digest(row, recorded.digest_id[pull])
    known = artifact >= 0
    by_digest, of_digest = pull[known], artifact[known]
    # A repository that was made again may have had the same image before.
    keep = _was_there(past, of_digest, recorded.day[by_digest])
    by_digest, of_digest = by_digest[keep], of_digest[keep]

    with_tag = recorded.tag[pull] >= 0
    asked = pull[with_tag]
    found, at = names.by_tag(row[with_tag], recorded.tag[asked])
    day = recorded.day[asked[found]]
    # Only where the tag pointed there all day long is it known what came.
    whole = (names.tag_seen_ms[at] <= day * DAY_MS) & (
        (names.tag_gone_ms[at] == NEVER) | (names.tag_last_ms[at] >= (day + 1) * DAY_MS)
    )
    by_tag, of_tag = asked[found[whole]], past.history.tags.of[at[whole]]

    pull, artifact = np.concatenate((by_digest, by_tag)), np.concatenate((of_digest, of_tag))
    order = np.argsort(artifact, kind="stable")
    return artifact[order], recorded.day[pull[order]], recorded.puller[pull[order]]


def _was_there(past: Past, artifact: Int64, day: Int64) -> Bools:
    presence = past.history.presence
    _, _, gone = _night_ms(past, presence, past.repository[presence.of])
    row, at = _pairs(presence.of, artifact)
    there = np.zeros(len(artifact), np.bool_)
    there[row[(presence.pushed_at_ms[at] // DAY_MS <= day[row]) & (day[row] <= _days(gone[at]))]] = True
    return there


def _used(past: Past) -> tuple[Int64, Int64, Int64, Int64]:
    """Artifacts that workloads named, ordered; first and last moment known; by which workload."""
    history, workloads = past.history, past.history.workloads
    texts = list(workloads.references)
    # Where both are written the digest decides, and the tag is what the next start asks for.
    both = [number for number, text in enumerate(texts) if _TAG_AND_DIGEST.search(text)]
    named = read_texts([*texts, *(texts[number].partition("@")[0] for number in both)])
    reference = np.array([*range(len(texts)), *both], np.int64)
    names = _Names(past)
    tag_numbers = {name: number for number, name in enumerate(history.tag_names) if name}
    digests = sorted({digest for digest in named.digest if digest is not None})
    numbers = dict(zip(digests, history.digest_ids(digests).tolist() if digests else [], strict=True))
    asked, rows, digest_id, tag = [], [], [], []
    everywhere = list(range(len(past.registry_of)))
    for number, (group, name, digest) in enumerate(zip(named.group, named.tag, named.digest, strict=True)):
        meant = named.meant[group]
        if meant is None:
            continue
        if meant.registry is RegistryKind.NONE:
            fit = everywhere
        else:
            fit = names.rows.get((meant.account, meant.region, meant.repository), [])
        for place in fit:
            asked.append(number)
            rows.append(place)
            digest_id.append(-1 if digest is None else numbers[digest])
            tag.append(-1 if digest is not None or name is None else tag_numbers.get(name, -1))
    ask, row = np.array(asked, np.int64), np.array(rows, np.int64)
    digest_ids, tags = np.array(digest_id, np.int64), np.array(tag, np.int64)

    artifact = names.by_digest(row, digest_ids)
    known = np.flatnonzero(artifact >= 0)
    of_digest = [(ask[known], artifact[known])]
    # An index is used where what it is made of is.
    order = np.argsort(past.families.child, kind="stable")
    inside, at = _pairs(past.families.child[order], artifact[known])
    of_digest.append((ask[known[inside]], past.families.parent[order[at]]))
    with_tag = np.flatnonzero(tags >= 0)
    found, at_tag = names.by_tag(row[with_tag], tags[with_tag])

    # Each reference is named by workloads at several times.
    offset = history.night_offsets[workloads.of]
    since = history.night_ms[offset + workloads.first] if len(workloads.of) else offset
    until = history.night_ms[offset + workloads.gone - 1] if len(workloads.of) else offset
    by_reference = np.argsort(workloads.reference, kind="stable")
    sorted_references = workloads.reference[by_reference]

    parts = []
    for asks, artifacts, spans_of_tags in (
        *((asks, artifacts, None) for asks, artifacts in of_digest),
        (ask[with_tag[found]], history.tags.of[at_tag], at_tag),
    ):
        pair, use = _pairs(sorted_references, reference[asks])
        use = by_reference[use]
        first, last = since[use], until[use]
        keep = np.ones(len(use), np.bool_)
        if spans_of_tags is not None:
            of_tag = spans_of_tags[pair]
            first = np.maximum(first, names.tag_seen_ms[of_tag])
            last = np.minimum(last, names.tag_last_ms[of_tag])
            keep = first <= last + _SAME_NIGHT_MS
        parts.append((artifacts[pair][keep], first[keep], last[keep], workloads.name[use][keep]))
    artifact, first, last, by = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(artifact, kind="stable")
    return artifact[order], first[order], last[order], by[order]
