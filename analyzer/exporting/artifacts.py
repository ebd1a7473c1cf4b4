"""The tables with a row for each artifact, tag or reference: made block by block, out of columns.

What is in memory at once beside the frames is a block, whatever there is to export.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analyzer.exporting.blocks import Block, Coded, Masked, coded, cuts, picked, spread
from analyzer.loading import Loaded
from analyzer.model.frames import NEVER_PULLED, NO_MANIFEST, NO_SIZE, NO_TIME, Bools, Int64
from analyzer.model.records import ImageStatus
from analyzer.model.registry_settings import SEVERITIES, Copy
from analyzer.model.results import Report
from analyzer.store.digest_texts import DigestTexts
from analyzer.store.manifest_details import ManifestDetails

#: Rows of a row group.
GROUP_ROWS: Final = 2**18


@dataclass(frozen=True)
class Source:
    """What the tables are made of."""

    loaded: Loaded
    report: Report
    texts: DigestTexts
    details: ManifestDetails
    #: Of ``loaded.frames``: the repositories to export.
    chosen: Bools
    group_rows: int = GROUP_ROWS

    @cached_property
    def order(self) -> Int64:
        """The artifacts to export: by account, region, repository and digest."""
        artifacts = self.loaded.frames.artifacts
        ids, which = np.unique(artifacts.digest_id, return_inverse=True)
        rank = self.texts.ranks(ids.astype(np.int64))[which]
        order = np.lexsort((rank, artifacts.repository))
        found: Int64 = order[self.chosen[artifacts.repository[order]]]
        return found

    def pieces(self, sizes: Int64) -> Iterator[Int64]:
        """``order`` in pieces of about as many rows as a row group has: ``sizes`` each in ``order``."""
        for begin, end in cuts(sizes, self.group_rows):
            yield self.order[begin:end]

    def place(self, artifacts: Int64) -> dict[str, Coded]:
        """Account, region and repository of these artifacts."""
        return self.place_of(self.loaded.frames.artifacts.repository[artifacts].astype(np.int64))

    def place_of(self, repositories: Int64) -> dict[str, Coded]:
        """The same of these repositories."""
        frames = self.loaded.frames
        rows, which = np.unique(repositories, return_inverse=True)
        registries = frames.repositories["registry"].to_numpy(np.int64)[rows]
        names = frames.repositories["repository"].to_numpy(object)[rows]
        columns = {
            name: frames.registries[name].to_numpy(object)[registries] for name in ("account", "region")
        }
        found = {}
        for name, texts in (columns | {"repository": names}).items():
            short = coded(texts)
            found[name] = Coded(short.codes[which], short.texts)
        return found

    def digests(self, ids: npt.NDArray[np.integer[Any]]) -> Coded:
        """The digests of these numbers, each text made once; 0 is null."""
        used, codes = np.unique(ids.astype(np.int64), return_inverse=True)
        nulls = int(np.searchsorted(used, 1))
        return Coded(np.maximum(codes - nulls, -1), self.texts.texts(used[nulls:]))

    def media_types(self, keys: npt.NDArray[np.integer[Any]]) -> Coded:
        """The media types of these keys; 0, and the empty one, is null."""
        used, codes = np.unique(keys, return_inverse=True)
        names = [self.details.media_types.get(key) or None for key in used.tolist()]
        short = coded(names)
        return Coded(short.codes[codes], short.texts)

    def manifest_numbers(self, column: npt.NDArray[np.integer[Any]], artifacts: Int64) -> Int64:
        """What ``column``, of manifests, says of the artifacts; 0 where there is no manifest."""
        manifest = self.loaded.frames.artifacts.manifest[artifacts]
        known = manifest != NO_MANIFEST
        found = np.zeros(len(artifacts), np.int64)
        found[known] = column[manifest[known]]
        return found


def images(source: Source) -> Iterator[Block]:
    """Blocks of ``images``."""
    loaded, table = source.loaded, source.report.images
    frames, facts, scans = loaded.frames, loaded.facts, loaded.scans
    artifacts = frames.artifacts
    # The report's table is in the same order, with the repositories that are not chosen in between.
    rows_of = np.flatnonzero(source.chosen[np.sort(artifacts.repository)])
    reached = loaded.families.reachable(artifacts.tags > 0)
    in_doubt = loaded.families.possibly_reached(reached, artifacts.repository)
    statuses = [status.name for status in ImageStatus]
    begin = 0
    for piece in source.pieces(np.ones(len(source.order), np.int64)):
        rows = table.take(rows_of[begin : begin + len(piece)])
        begin += len(piece)
        kind = rows["kind"].to_numpy(object)
        sized = kind != "unknown"
        replica = rows["replica"].to_numpy(object)
        completed = scans.completed_day[piece]
        yield {
            **source.place(piece),
            "digest": source.digests(artifacts.digest_id[piece]),
            "kind": coded([None if word == "unknown" else word for word in kind]),
            "media_type": source.media_types(source.manifest_numbers(source.details.media_type, piece)),
            "artifact_type": source.media_types(source.manifest_numbers(source.details.artifact_type, piece)),
            "tags": artifacts.tags[piece],
            "pushed_at": _times(artifacts.pushed_at_ms[piece]),
            "last_pull": _days(artifacts.pulled_day[piece], NEVER_PULLED),
            "image_status": picked(artifacts.image_status[piece].astype(np.int64), statuses),
            "archived_at": _times(facts.archived_at_ms[piece]),
            "activated_at": _times(facts.activated_at_ms[piece]),
            "orphaned": Masked(rows["orphaned"].to_numpy(np.bool_), ~in_doubt[piece]),
            "stale": rows["stale"].to_numpy(np.bool_),
            "logical_bytes": Masked(rows["logical_bytes"].to_numpy(np.int64), sized),
            **{
                f"unique_bytes_{scope}_scope": Masked(rows[f"unique_bytes_{scope}"].to_numpy(np.int64), sized)
                for scope in ("repository", "registry")
            },
            "reported_size_bytes": Masked(
                artifacts.reported_size_bytes[piece], artifacts.reported_size_bytes[piece] != NO_SIZE
            ),
            "in_use": coded([_USES.get(word, word) for word in rows["in_use"]]),
            "scan_status": coded([word or None for word in rows["scan_status"]]),
            "scan_completed": _days(completed, NEVER_PULLED),
            **{
                f"findings_{severity}": Masked(
                    scans.findings[piece, number].astype(np.int64), completed != NEVER_PULLED
                )
                for number, severity in enumerate(SEVERITIES)
            },
            "replica": Masked(replica == Copy.YES.name.lower(), replica != Copy.UNKNOWN.name.lower()),
        }


#: The report's words for how an image is used that are others here.
_USES: Final[dict[str, str | None]] = {"": "none", "unknown": None}


def tags(source: Source) -> Iterator[Block]:
    """Blocks of ``tags``."""
    facts, artifacts = source.loaded.facts, source.loaded.frames.artifacts
    owner = np.repeat(np.arange(len(artifacts.digest_id)), np.diff(facts.tag_offsets))
    used, which = np.unique(facts.tags, return_inverse=True)
    names = [facts.tag_names[key] for key in used.tolist()]
    rank = np.empty(len(names), np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    repository = artifacts.repository[owner]
    order = np.lexsort((rank[which], repository))
    order = order[source.chosen[repository[order]]]
    for begin in range(0, len(order), source.group_rows):
        rows = order[begin : begin + source.group_rows]
        yield {
            **source.place(owner[rows]),
            "tag": picked(which[rows], names),
            "digest": source.digests(artifacts.digest_id[owner[rows]]),
        }


def layers(source: Source) -> Iterator[Block]:
    """Blocks of ``layers``."""
    frames = source.loaded.frames
    artifacts, manifests = frames.artifacts, frames.manifests
    for piece in source.pieces(source.manifest_numbers(np.diff(manifests.blob_offsets), source.order)):
        begins = source.manifest_numbers(manifests.blob_offsets[:-1], piece)
        at, run = spread(begins, source.manifest_numbers(np.diff(manifests.blob_offsets), piece))
        position = at - begins[run]
        blob = manifests.blobs[at]
        yield {
            **source.place(piece[run]),
            "image_digest": source.digests(artifacts.digest_id[piece[run]]),
            "position": position.astype(np.int32),
            "blob_digest": source.digests(blob),
            "size_bytes": frames.blob_size_bytes[blob],
            "media_type": source.media_types(source.details.blob_types[at]),
            "role": Coded((position > 0).astype(np.int64), ["config", "layer"]),
            "stored": ~manifests.foreign[at],
        }


def blobs(source: Source) -> Iterator[Block]:
    """Blocks of ``blobs``."""
    frames = source.loaded.frames
    manifests, size = frames.manifests, len(frames.blob_size_bytes)
    named = np.zeros(size, np.bool_)
    in_images, in_repositories, in_registries = (np.zeros(size, np.int64) for _ in range(3))
    # Every registry's artifacts come one after the other.
    last_registry = np.full(size, -1, np.int64)
    registry = frames.repositories["registry"].to_numpy(np.int64)
    counts = source.manifest_numbers(np.diff(manifests.blob_offsets), source.order)
    repository = frames.artifacts.repository[source.order].astype(np.int64)
    changes = np.flatnonzero(np.diff(repository, prepend=-1))
    of_each = np.add.reduceat(counts, changes) if len(changes) else np.zeros(0, np.int64)
    bounds = np.append(changes, len(source.order))
    for first, last in cuts(of_each, source.group_rows):
        piece = source.order[bounds[first] : bounds[last]]
        owner = repository[bounds[first] : bounds[last]]
        begins = source.manifest_numbers(manifests.blob_offsets[:-1], piece)
        at, run = spread(begins, source.manifest_numbers(np.diff(manifests.blob_offsets), piece))
        named[manifests.blobs[at]] = True
        stored = ~manifests.foreign[at]
        blob, run = manifests.blobs[at][stored].astype(np.int64), run[stored]
        _count(in_images, run, blob)
        _count(in_repositories, owner[run], blob)
        for place in np.unique(registry[owner]).tolist():
            found = np.unique(blob[registry[owner[run]] == place])
            in_registries[found] += last_registry[found] != place
            last_registry[found] = place
    ids = np.flatnonzero(named)
    ids = ids[np.argsort(source.texts.ranks(ids))]
    for begin in range(0, len(ids), source.group_rows):
        rows = ids[begin : begin + source.group_rows]
        yield {
            "digest": source.texts.texts(rows),
            "size_bytes": frames.blob_size_bytes[rows],
            "images": in_images[rows],
            "repositories": in_repositories[rows],
            "registries": in_registries[rows],
        }


def _count(into: Int64, holders: Int64, blobs: Int64) -> None:
    """Add to each of ``blobs`` how many different ones of ``holders`` have it."""
    pairs = np.unique(holders << 32 | blobs) & 0xFFFFFFFF
    found, times = np.unique(pairs, return_counts=True)
    into[found] += times


def index_children(source: Source) -> Iterator[Block]:
    """Blocks of ``index_children``."""
    frames = source.loaded.frames
    artifacts, manifests = frames.artifacts, frames.manifests
    is_there = _Presence(source)
    names = [
        source.details.platforms.get(key, "") for key in range(max(source.details.platforms, default=0) + 1)
    ]
    for piece in source.pieces(source.manifest_numbers(np.diff(manifests.child_offsets), source.order)):
        begins = source.manifest_numbers(manifests.child_offsets[:-1], piece)
        at, run = spread(begins, source.manifest_numbers(np.diff(manifests.child_offsets), piece))
        platform = source.details.child_platforms[at].astype(np.int64)
        yield {
            **source.place(piece[run]),
            "index_digest": source.digests(artifacts.digest_id[piece[run]]),
            "position": (at - begins[run]).astype(np.int32),
            "child_digest": source.digests(manifests.children[at]),
            "platform": picked(np.where(platform, platform, -1), names),
            "present": is_there(artifacts.repository[piece[run]], manifests.children[at]),
        }


def referrers(source: Source) -> Iterator[Block]:
    """Blocks of ``referrers``."""
    artifacts = source.loaded.frames.artifacts
    is_there = _Presence(source)
    # As the manifest says, or where it is not known the listing.
    subject = source.manifest_numbers(source.loaded.frames.manifests.subject, source.order)
    subject = np.where(subject, subject, artifacts.subject[source.order])
    rows = np.flatnonzero(subject)
    for begin in range(0, len(rows), source.group_rows):
        some = rows[begin : begin + source.group_rows]
        piece = source.order[some]
        yield {
            **source.place(piece),
            "digest": source.digests(artifacts.digest_id[piece]),
            "subject_digest": source.digests(subject[some]),
            "artifact_type": source.media_types(source.manifest_numbers(source.details.artifact_type, piece)),
            "subject_present": is_there(artifacts.repository[piece], subject[some]),
        }


class _Presence:
    """Whether a repository has an artifact of some digest."""

    def __init__(self, source: Source) -> None:
        artifacts = source.loaded.frames.artifacts
        self._keys = artifacts.repository.astype(np.int64) << 32 | artifacts.digest_id

    def __call__(
        self, repository: npt.NDArray[np.integer[Any]], digest: npt.NDArray[np.integer[Any]]
    ) -> Bools:
        wanted = repository.astype(np.int64) << 32 | digest.astype(np.int64)
        if not len(self._keys):
            return np.zeros(len(wanted), np.bool_)
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        found: Bools = self._keys[at] == wanted
        return found


def _times(milliseconds: Int64) -> Masked:
    known = milliseconds != NO_TIME
    return Masked(np.where(known, milliseconds, 0), known)


def _days(days: npt.NDArray[np.int32], nothing: int) -> Masked:
    known = days != nothing
    return Masked(np.where(known, days, 0), known)
