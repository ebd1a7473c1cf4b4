"""Who uses which of the images that were read: stored workloads and the user's own list together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyzer.families import Families
from analyzer.model.frames import Bools, Frames, Int64, LifecycleFacts, UInt8
from analyzer.model.records import PUBLIC_REGION, ReadStatus, UseKind
from analyzer.model.usage import (
    KINDS,
    LISTED,
    SOURCES,
    UNUSED,
    Coverage,
    MissingUse,
    PlaceCoverage,
    Unresolved,
    Usage,
    UseTexts,
    Workloads,
)
from analyzer.references.parsing import ImageReference
from analyzer.references.resolution import (
    DigestIds,
    Fate,
    Named,
    Resolved,
    Resolver,
    above,
    read_texts,
    take_apart,
    under,
)

_TAG_AND_DIGEST: Final = re.compile(r":[^/:@]+@")


def up_to(workloads: Workloads, weakest: UseKind) -> Workloads:
    """``workloads`` without the uses that are weaker than ``weakest``; previous is the weakest."""
    keep = workloads.kind <= weakest
    named, reference = np.unique(workloads.reference[keep], return_inverse=True)
    return replace(
        workloads,
        place=workloads.place[keep],
        source=workloads.source[keep],
        workload=workloads.workload[keep],
        reference=reference.astype(np.int32),
        kind=workloads.kind[keep],
        references=[workloads.references[position] for position in named.tolist()],
    )


def coverage_of(workloads: Workloads, registries: pd.DataFrame) -> Coverage:
    """Which sources of workloads were read where, for each row of ``Frames.registries``."""
    found: list[dict[str, ReadStatus]] = [{} for _ in range(len(registries))]
    for read in workloads.reads:
        found[read.place][read.source] = read.status
    places = zip(registries["account"], registries["region"], found, strict=True)
    return Coverage(tuple(_place(account, region, reads) for account, region, reads in places))


def _place(account: str, region: str, reads: dict[str, ReadStatus]) -> PlaceCoverage:
    order = [*SOURCES, *sorted(reads.keys() - set(SOURCES))]

    def that_are(status: ReadStatus) -> tuple[str, ...]:
        return tuple(source for source in order if reads.get(source) is status)

    return PlaceCoverage(
        account=account,
        region=region,
        read=that_are(ReadStatus.COMPLETE),
        partial=that_are(ReadStatus.PARTIAL),
        refused=that_are(ReadStatus.REFUSED),
        # In a public registry's "region" nothing can run.
        never_asked=()
        if region == PUBLIC_REGION
        else tuple(source for source in SOURCES if source not in reads),
    )


def use_words(usage: Usage | None, coverage: Coverage | None, frames: Frames) -> npt.NDArray[np.object_]:
    """Per artifact how it is used, in a word: the strongest kind of use, "unknown", or "".

    "" is not known to be used, where at least one source was read whole in the artifact's own account
    and region; where none was nobody looked, and it is unknown. So it is for what may be a child of an
    index in use that could not be read.
    """
    if usage is None:
        return np.full(len(frames.artifacts.digest_id), "unknown", object)
    words = np.full(UNUSED + 1, "", object)
    words[: len(KINDS)] = KINDS
    of_each: npt.NDArray[np.object_] = words[usage.kind]
    looked = np.zeros(len(frames.registries), np.bool_)
    if coverage is not None:
        looked[:] = [bool(place.read) for place in coverage.places]
    registry = frames.repositories["registry"].to_numpy(np.int64)
    open_to_doubt = usage.possibly | ~looked[registry[frames.artifacts.repository]]
    of_each[open_to_doubt & ~usage.in_use] = "unknown"
    return of_each


def find_usage(
    workloads: Workloads | None,
    listed: Sequence[ImageReference],
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    digest_ids: DigestIds,
    *,
    whole_registries: bool = True,
) -> Usage:
    """Who uses which artifact of ``frames``: what ``workloads`` and ``listed`` name, and its family.

    References are resolved as ``find_in_use`` does it, through the tags that ``frames`` have: those of
    the snapshot. What is under an index is used as the index is. Where a running workload says which
    digest it got, or a configured one which its tag gave, the indexes that have it as a child would be
    pulled at the next start by tag, with all that is under them: these count as configured.
    """
    known = _as_told(workloads if workloads is not None else _NO_WORKLOADS)
    texts = len(known.references)
    named = _together(read_texts(known.references), take_apart(listed))
    resolver = Resolver(frames, facts, digest_ids, whole_registries=whole_registries)
    resolved = resolver.resolve(named)

    names = texts + len(listed)
    uses = _Uses(known, len(listed))
    # After the references as they are come the same once more, for what a running digest is part of.
    is_whole = np.arange(2 * names) >= names
    got = uses.got_digests(known.references, named)
    from_inside = np.zeros(names, np.bool_)
    from_inside[uses.reference[got]] = True
    pairs = _reached(resolved, from_inside, families, names)

    offsets, users = uses.by_name(names, got)
    strength = np.full(2 * names, UNUSED, np.uint8)
    np.minimum.at(strength, uses.reference, uses.kind)
    strength[names:] = UseKind.CONFIGURED
    kind = np.full(len(families.kind), UNUSED, np.uint8)
    np.minimum.at(kind, pairs[1], strength[pairs[0]])
    possibly = families.possibly_reached(kind != UNUSED, frames.artifacts.repository)
    place = zip(frames.registries["account"], frames.registries["region"], strict=True)
    texts_of = UseTexts(known, list(place), [reference.text for reference in listed])
    return Usage(
        kind=kind,
        possibly=possibly,
        reached=pairs[1],
        reached_by=pairs[0],
        user_offsets=offsets,
        users=users,
        is_whole=is_whole,
        use_kind=uses.kind,
        owner=uses.owner,
        uses=texts_of,
        missing=_missing(resolved, uses, offsets, users, texts_of),
        unresolved=_unresolved(resolved.fate[:texts], known.references),
    )


_NOBODY: Final = np.zeros(0, np.int32)
_NO_WORKLOADS: Final = Workloads(
    place=_NOBODY,
    source=_NOBODY,
    workload=_NOBODY,
    reference=_NOBODY,
    kind=np.zeros(0, np.uint8),
    sources=(),
    names=(),
    references=(),
    reads=(),
)


def _together(one: Named, other: Named) -> Named:
    """The references of both, one after the other."""
    return Named(
        [*one.group, *(group + len(one.meant) for group in other.group)],
        [*one.tag, *other.tag],
        [*one.digest, *other.digest],
        [*one.meant, *other.meant],
    )


def _reached(resolved: Resolved, from_inside: Bools, families: Families, names: int) -> tuple[Int64, Int64]:
    """Names and the artifacts that they reach, ordered by artifact.

    References ``from_inside`` reach what they name is part of, under the names that come after all.
    """
    name, artifact = under(resolved.reference, resolved.artifact, families)
    inside = from_inside[resolved.reference]
    if inside.any():
        roots = resolved.reference[inside], resolved.artifact[inside]
        outer = under(*above(*roots, families), families)
        name = np.concatenate([name, outer[0] + names])
        artifact = np.concatenate([artifact, outer[1]])
        order = np.lexsort((name, artifact))
        name, artifact = name[order], artifact[order]
    return name, artifact


def _as_told(workloads: Workloads) -> Workloads:
    """``workloads`` in the order in which uses are told: by place, source, workload and reference.

    Ids of the database, by which they come, say nothing to a reader.
    """
    keys = (
        _ranks(workloads.references)[workloads.reference],
        _ranks(workloads.names)[workloads.workload],
        workloads.source,
        workloads.place,
    )
    order = np.lexsort(keys)
    return replace(
        workloads,
        place=workloads.place[order],
        source=workloads.source[order],
        workload=workloads.workload[order],
        reference=workloads.reference[order],
        kind=workloads.kind[order],
    )


def _ranks(texts: Sequence[str]) -> Int64:
    rank = np.empty(len(texts), np.int64)
    rank[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return rank


class _Uses:
    """The uses of workloads and, after them, one for each reference of the list."""

    def __init__(self, workloads: Workloads, listed: int) -> None:
        number = len(workloads.kind)
        self.reference: Int64 = np.concatenate(
            [workloads.reference, len(workloads.references) + np.arange(listed)]
        )
        self.kind = np.concatenate([workloads.kind, np.full(listed, LISTED, np.uint8)])
        # Workloads of one name in different places, or of different sources, are different ones.
        whose = workloads.place.astype(np.int64) * len(workloads.sources) + workloads.source
        _, owner = np.unique(whose * len(workloads.names) + workloads.workload, return_inverse=True)
        self.owner: Int64 = np.concatenate([owner, number + np.arange(listed)])

    def got_digests(self, texts: Sequence[str], named: Named) -> Bools:
        """Uses whose digest is what a workload got, and not what somebody wrote down for it.

        Of what runs any digest may be that; of what is configured one that stands behind a tag.
        """
        by_digest = np.array([digest is not None for digest in named.digest], np.bool_)
        by_both = np.zeros(len(by_digest), np.bool_)
        by_both[: len(texts)] = [_TAG_AND_DIGEST.search(text) is not None for text in texts]
        running = (self.kind == UseKind.RUNNING) & by_digest[self.reference]
        got: Bools = running | ((self.kind == UseKind.CONFIGURED) & by_both[self.reference])
        return got

    def by_name(self, names: int, again: Bools) -> tuple[Int64, Int64]:
        """Offsets and uses of each name: all uses of references, and then some of these ``again``."""
        order = np.argsort(self.reference, kind="stable")
        more = order[again[order]]
        counts = [np.bincount(self.reference[uses], minlength=names) for uses in (order, more)]
        return np.concatenate([np.zeros(1, np.int64), *counts]).cumsum(), np.concatenate([order, more])


def _missing(
    resolved: Resolved, uses: _Uses, offsets: Int64, users: Int64, texts: UseTexts
) -> tuple[MissingUse, ...]:
    """Uses of what is not there: those of the strongest kind first, then by reference."""
    kinds, owners = uses.kind.tolist(), uses.owner.tolist()
    strongest: dict[str, dict[int, int]] = {}
    for name in np.flatnonzero(resolved.fate == Fate.MISSING).tolist():
        for use in users[offsets[name] : offsets[name + 1]].tolist():
            # A list may name what workloads name too.
            of_reference = strongest.setdefault(texts.reference(use), {})
            first = of_reference.setdefault(owners[use], use)
            if kinds[use] < kinds[first]:
                of_reference[owners[use]] = use
    found = []
    for reference, of_reference in strongest.items():
        told = sorted(of_reference.values(), key=lambda use: (kinds[use], use))
        found.append((kinds[told[0]], MissingUse(reference, KINDS[kinds[told[0]]], tuple(told))))
    return tuple(one for _, one in sorted(found, key=lambda entry: (entry[0], entry[1].reference)))


def _unresolved(fate: UInt8, references: Sequence[str]) -> Unresolved:
    def some(which: Fate) -> tuple[int, str]:
        texts = [references[n] for n in np.flatnonzero(fate == which).tolist()]
        return len(texts), min(texts, default="")

    return Unresolved(*some(Fate.ELSEWHERE), *some(Fate.CACHED), *some(Fate.UNREADABLE))
