"""Each blob once per repository, as the checks of sharing look at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzer.families import Families
from analyzer.holdings import changes, reduce_runs, sort_rows, stored_references
from analyzer.model.frames import Bools, Frames, Int64
from analyzer.model.records import ImageStatus


@dataclass(frozen=True, slots=True)
class StoredBlobs:
    """The blobs that are stored, each once in every repository; ordered by repository and blob."""

    #: Row of ``Frames.repositories``.
    repository: Int64
    #: digest_id.
    blob: Int64
    size: Int64
    #: Whether all of its holders there are archived.
    is_archived: Bools
    #: The earliest push among its holders there; NO_TIME where that of one is not known.
    first_ms: Int64


def find_blobs(frames: Frames, families: Families) -> StoredBlobs:
    """What images and referrers of known manifests hold; foreign layers are not stored."""
    artifacts = frames.artifacts
    archived = np.isin(artifacts.image_status, (ImageStatus.ARCHIVED, ImageStatus.ACTIVATING))
    runs = []
    for first, owner, blob, holder in stored_references(frames, families):
        starts = np.flatnonzero(changes(owner, blob))
        runs.append(
            (
                owner[starts] + first,
                blob[starts],
                frames.blob_size_bytes[blob[starts]],
                reduce_runs(np.bitwise_and, archived[holder].astype(np.uint8), starts) != 0,
                # NO_TIME is the least of all numbers.
                reduce_runs(np.minimum, artifacts.pushed_at_ms[holder], starts),
            )
        )
    return StoredBlobs(*(np.concatenate(column) for column in zip(*runs, strict=True)))


@dataclass(frozen=True, slots=True)
class ClassBytes:
    """Bytes of the two storage classes."""

    standard: int
    archive: int

    @property
    def total(self) -> int:
        """Of both."""
        return self.standard + self.archive

    def __add__(self, other: ClassBytes) -> ClassBytes:
        return ClassBytes(self.standard + other.standard, self.archive + other.archive)

    def __sub__(self, other: ClassBytes) -> ClassBytes:
        return ClassBytes(self.standard - other.standard, self.archive - other.archive)


def once_per(blobs: StoredBlobs, owner: Int64, owners: int) -> list[ClassBytes]:
    """Bytes of each owner where it stores each of its blobs once.

    ``owner``: per row of ``blobs``, from 0 to ``owners`` - 1; -1 for rows that are left out. A blob is in
    the archive where all who hold it are archived.
    """
    kept = np.flatnonzero(owner >= 0)
    key, blob, row = sort_rows(owner[kept], blobs.blob[kept], kept)
    starts = np.flatnonzero(changes(key, blob))
    archived = reduce_runs(np.bitwise_and, blobs.is_archived[row].astype(np.uint8), starts) != 0
    size, key = blobs.size[row[starts]], key[starts]
    sums = np.zeros((2, owners), np.int64)
    np.add.at(sums[0], key[~archived], size[~archived])
    np.add.at(sums[1], key[archived], size[archived])
    return [ClassBytes(standard, archive) for standard, archive in sums.T.tolist()]
