"""What was pushed, as a replay needs it: when, with which tags, and of how many weeks that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyzer.families import Families, find_families, spans
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64, LifecycleFacts
from analyzer.model.history import History

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
#: No more than a year is looked back on.
MOST_WEEKS = 52
#: Of fewer weeks nothing is forecast, and of a repository with fewer none is expected.
FEWEST_WEEKS = 4
FEWEST_OF_REPOSITORY = 2
#: Of what was pushed before that, or at no known time.
LONG_AGO = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Every artifact that is known to have been in the repositories of some frames.

    n artifacts, ordered by repository and then by push time, unknown ones first; *positions* are
    positions among them.
    """

    #: Row of the present frames.
    repository: Int64
    pushed_ms: Int64
    #: Weeks ago, 0 being the last seven days; LONG_AGO where the time is unknown.
    week: Int64
    #: Position among the present artifacts, -1 for what is gone.
    present: Int64
    #: Milliseconds from the push to the last pull that ECR recorded, NO_TIME for none.
    pulled_after_ms: Int64
    #: As in ``Families``, of positions.
    kind: Int64
    opaque: Bools
    parent: Int64
    child: Int64
    subject: Int64
    #: Tags when it was first seen: (n + 1) offsets, and positions in ``tag_names``.
    tag_offsets: Int64
    tags: Int64
    tag_names: Sequence[str]
    #: By tag name: it goes on to the next image that is pushed with it.
    moves: Bools
    #: Frames that hold the manifests, and which of their artifacts each one is.
    frames: Frames
    artifact: Int64
    #: By repository: how many weeks back everything pushed is known, as far as can be told.
    weeks: Int64
    #: Whether it is known of all those weeks because nights saw them, by repository.
    observed: Bools


def record_of_present(
    frames: Frames, facts: LifecycleFacts, families: Families, *, at_ms: int, may_have_lost: Bools
) -> Record:
    """What the images that are there tell; what was deleted is missing.

    ``may_have_lost`` says of which repositories a policy deletes, or may: of those no more weeks count
    than since the oldest push that is still there.
    """
    rows = len(frames.repositories)
    return _ordered(
        frames,
        families,
        repository=frames.artifacts.repository.astype(np.int64),
        present=np.arange(len(frames.artifacts.repository)),
        tags=(facts.tag_offsets, facts.tags.astype(np.int64), facts.tag_names),
        moves=_moves(facts.tag_names, None),
        pulled_ms=facts.pulled_at_ms,
        at_ms=at_ms,
        observed_weeks=np.zeros(rows, np.int64),
        may_have_lost=may_have_lost,
        created_ms=frames.repositories["created_at_ms"].to_numpy(np.int64),
    )


def record_of_history(history: History, frames: Frames, *, at_ms: int, may_have_lost: Bools) -> Record:
    """What every night saw, of the repositories of ``frames``; ``may_have_lost`` as for the present.

    Of the time since a registry's first night everything is known but what came and went between two
    nights.
    """
    past = history.frames
    rows_of = history.rows_of(frames)
    row = np.full(len(past.repositories), -1)
    row[rows_of[rows_of >= 0]] = np.flatnonzero(rows_of >= 0)
    repository = row[past.artifacts.repository]
    present = _positions(frames, repository, past.artifacts.digest_id.astype(np.int64))
    pulled = np.full(len(repository), NO_TIME)
    day = past.artifacts.pulled_day.astype(np.int64)
    recorded = past.artifacts.pulled_day > np.iinfo(np.int32).min
    pulled[recorded] = (day[recorded] + 1) * DAY_MS - 1
    registry = frames.repositories["registry"].to_numpy(np.int64)
    first = np.array(
        [own[0] if len(own := history.nights_of(n)) else at_ms for n in range(len(past.registries))], np.int64
    )
    # Registries of the history are those of the frames, in their order.
    observed = np.clip((at_ms - first[registry]) // WEEK_MS, 0, MOST_WEEKS)
    return _ordered(
        past,
        find_families(past),
        repository=repository,
        present=present,
        tags=_birth_tags(history),
        moves=_moves(history.tag_names, history),
        pulled_ms=pulled,
        at_ms=at_ms,
        observed_weeks=observed,
        may_have_lost=may_have_lost,
        created_ms=frames.repositories["created_at_ms"].to_numpy(np.int64),
    )


def _positions(frames: Frames, repository: Int64, digest_id: Int64) -> Int64:
    """Where each (row, digest) stands among the artifacts of ``frames``, -1 where it does not."""
    keys = (frames.artifacts.repository.astype(np.int64) << 32) | frames.artifacts.digest_id
    wanted = (repository << 32) | digest_id
    if not len(keys):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((repository >= 0) & (keys[at] == wanted), at, -1)


def _birth_tags(history: History) -> tuple[Int64, Int64, Sequence[str]]:
    """The tags that each artifact carried in the first night that saw it."""
    count = len(history.frames.artifacts.repository)
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, history.presence.of, history.presence.first.astype(np.int64))
    tags = history.tags
    born = (tags.first <= first[tags.of]) & (first[tags.of] < tags.gone)
    of = tags.of[born]
    order = np.argsort(of, kind="stable")
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.bincount(of, minlength=count))))
    return offsets, tags.value[born][order], history.tag_names


def _moves(names: Sequence[str], history: History | None) -> Bools:
    """Which tag names go from image to image: those that did, and those without a digit.

    The latter are names such as latest, main or prod; a version, a date, a build number and nearly
    every hash has a digit.
    """
    moves = np.array([not any(map(str.isdigit, name)) for name in names], np.bool_)
    if history is not None and len(history.tags.of):
        repository = history.frames.artifacts.repository[history.tags.of].astype(np.int64)
        pairs = np.unique(np.stack((repository, history.tags.value, history.tags.of), axis=1), axis=0)
        again = (pairs[1:, 0] == pairs[:-1, 0]) & (pairs[1:, 1] == pairs[:-1, 1])
        moves[pairs[1:][again, 1]] = True
    return moves


def _ordered(
    frames: Frames,
    families: Families,
    *,
    repository: Int64,
    present: Int64,
    tags: tuple[Int64, Int64, Sequence[str]],
    moves: Bools,
    pulled_ms: Int64,
    at_ms: int,
    observed_weeks: Int64,
    may_have_lost: Bools,
    created_ms: Int64,
) -> Record:
    pushed = frames.artifacts.pushed_at_ms
    order = np.lexsort((np.arange(len(pushed)), pushed, repository))
    order = order[repository[order] >= 0]
    position = np.full(len(pushed), -1)
    position[order] = np.arange(len(order))
    dated = pushed != NO_TIME
    # A clock that is ahead of ours pushed it just now.
    week = np.where(dated, np.maximum(at_ms - np.where(dated, pushed, at_ms), 0) // WEEK_MS, LONG_AGO)
    offsets, names, texts = tags
    lengths = np.diff(offsets)[order]
    parent, child = position[families.parent], position[families.child]
    both = (parent >= 0) & (child >= 0)
    subject = families.subject[order]
    pulled = (pulled_ms != NO_TIME) & dated
    after = np.where(pulled, np.where(pulled, pulled_ms, 0) - np.where(pulled, pushed, 0), NO_TIME)
    weeks, observed = _known_weeks(
        repository[order], pushed[order], at_ms, observed_weeks, may_have_lost, created_ms
    )
    return Record(
        repository=repository[order],
        pushed_ms=pushed[order],
        week=week[order],
        present=present[order],
        pulled_after_ms=after[order],
        kind=families.kind[order],
        opaque=families.opaque[order],
        parent=parent[both],
        child=child[both],
        subject=np.where(subject >= 0, position[subject], -1),
        tag_offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths))),
        tags=names[spans(offsets[order], lengths)],
        tag_names=texts,
        moves=moves,
        frames=frames,
        artifact=order,
        weeks=weeks,
        observed=observed,
    )


def _known_weeks(
    repository: Int64,
    pushed: Int64,
    at_ms: int,
    observed_weeks: Int64,
    may_have_lost: Bools,
    created_ms: Int64,
) -> tuple[Int64, Bools]:
    """Of how many whole weeks the pushes of each repository are known, and whether nights saw them."""
    oldest = np.full(len(created_ms), at_ms)
    dated = pushed != NO_TIME
    np.minimum.at(oldest, repository[dated], pushed[dated])
    # A repository is as old as its first image where that was copied from elsewhere with its time.
    age = np.maximum(at_ms - np.minimum(created_ms, oldest), 0) // WEEK_MS
    survived = np.where(may_have_lost, np.maximum(at_ms - oldest, 0) // WEEK_MS, age)
    weeks = np.minimum(np.maximum(survived, np.minimum(observed_weeks, age)), MOST_WEEKS)
    # Seen for long enough, what nights saw is worth more than what is left of the time before.
    seen = observed_weeks >= 8
    weeks = np.where(seen & may_have_lost, np.minimum(observed_weeks, age), weeks)
    return weeks, np.minimum(observed_weeks, age) >= weeks
