"""What keeps layers from being shared: keys that split a registry, and blob mounting that is off.

Across the repositories of a registry layers are shared where the account setting BLOB_MOUNTING is on,
within one encryption type and key and never for pull-through-cache repositories, of images that are
pushed from then on by a client that asks for it (ECR user guide, "Cross-repository layer sharing").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyzer.holdings import changes, reduce_runs, sharing_groups, sort_rows
from analyzer.hygiene.blobs import ClassBytes, StoredBlobs, once_per
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64

_NOTHING = ClassBytes(0, 0)
_LATEST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class KeyPart:
    """The repositories of a registry that have one encryption type and key."""

    encryption_type: str
    #: "" for AWS's own.
    kms_key: str
    repositories: int
    #: Each blob once.
    stored: ClassBytes
    #: Bytes of these that repositories with other keys hold as well.
    elsewhere_bytes: int


@dataclass(frozen=True, slots=True)
class KeySplit:
    """A registry whose repositories have different keys, and what that stores more than once."""

    #: Position in ``Frames.registries``.
    registry: int
    #: Each blob once per key, less each blob once.
    repeated: ClassBytes
    #: Most bytes first, then by type and key.
    parts: tuple[KeyPart, ...]
    #: Repositories whose encryption is not known, which are in no figure.
    unknown: int


@dataclass(frozen=True, slots=True)
class Mountable:
    """What the repositories of one registry hold in common, as far as they could share it."""

    registry: int
    #: Each blob once per repository, and once per group of repositories that could share it.
    apart: ClassBytes
    shared: ClassBytes
    #: What repositories held in no image pushed before a moment and have in one since, while another
    #: repository of the group had it before: what a push since then could have mounted.
    recent: ClassBytes

    @property
    def repeated(self) -> ClassBytes:
        """What would not be stored if all could be shared."""
        return self.apart - self.shared


def find_key_splits(frames: Frames, blobs: StoredBlobs) -> list[KeySplit]:
    """The registries where blobs are held under several keys, in their order.

    Pull-through-cache repositories share with none and are left out, as are public registries, whose
    encryption nobody chooses.
    """
    repositories = frames.repositories
    registry = repositories["registry"].to_numpy(np.int64)
    judged = ~repositories["pull_through_cache"].to_numpy(np.bool_) & ~frames.is_public
    known = judged & (repositories["encryption_type"] != "").to_numpy(np.bool_)
    keys = pd.MultiIndex.from_arrays([registry, repositories["encryption_type"], repositories["kms_key"]])
    group, distinct = pd.factorize(keys)
    group = group.astype(np.int64)
    by_key = once_per(blobs, np.where(known, group, -1)[blobs.repository], len(distinct))
    whole = once_per(blobs, np.where(known, registry, -1)[blobs.repository], len(frames.registries))
    elsewhere = _held_by_several(frames, blobs, group, known, len(distinct))
    members = np.bincount(group[known], minlength=len(distinct)).tolist()
    unknown = np.bincount(registry[judged & ~known], minlength=len(frames.registries)).tolist()
    parts: dict[int, list[KeyPart]] = {}
    for number, (of, encryption_type, kms_key) in enumerate(distinct):
        if members[number]:
            part = KeyPart(
                str(encryption_type), str(kms_key), members[number], by_key[number], elsewhere[number]
            )
            parts.setdefault(int(of), []).append(part)
    found = []
    for position, own in sorted(parts.items()):
        repeated = sum((part.stored for part in own), _NOTHING) - whole[position]
        if repeated.total:
            own.sort(key=lambda part: (-part.stored.total, part.encryption_type, part.kms_key))
            found.append(KeySplit(position, repeated, tuple(own), unknown[position]))
    return found


def find_mountable(frames: Frames, blobs: StoredBlobs, since_ms: int) -> list[Mountable]:
    """What each registry could share, in the order of ``frames.registries``.

    A blob is new in a repository since ``since_ms`` where no image there was pushed before, or at an
    unknown time, that holds it; of images that are gone nothing is known here.
    """
    registry = frames.repositories["registry"].to_numpy(np.int64)
    group, group_registry = sharing_groups(frames)
    of_repositories = once_per(blobs, blobs.repository, len(registry))
    of_groups = once_per(blobs, group[blobs.repository], len(group_registry))
    apart = _summed(of_repositories, registry, len(frames.registries))
    shared = _summed(of_groups, group_registry, len(frames.registries))
    owner, _, row = sort_rows(group[blobs.repository], blobs.blob, np.arange(len(blobs.blob)))
    starts = np.flatnonzero(changes(owner, blobs.blob[row]))
    first = blobs.first_ms[row]
    earliest = reduce_runs(np.minimum, np.where(first == NO_TIME, _LATEST, first), starts)
    earliest = np.repeat(earliest, np.diff(starts, append=len(row)))
    is_recent = (first != NO_TIME) & (first >= since_ms) & (earliest < first)
    came = np.full(len(blobs.blob), -1)
    came[row[is_recent]] = blobs.repository[row[is_recent]]
    recent = _summed(once_per(blobs, came, len(registry)), registry, len(frames.registries))
    return [Mountable(number, *parts) for number, parts in enumerate(zip(apart, shared, recent, strict=True))]


def _held_by_several(
    frames: Frames, blobs: StoredBlobs, group: Int64, known: Bools, groups: int
) -> list[int]:
    """Bytes of each group, each blob once, that another group of its registry holds too."""
    registry = frames.repositories["registry"].to_numpy(np.int64)
    kept = blobs.repository[known[blobs.repository]]
    of, blob, owner = sort_rows(registry[kept], blobs.blob[known[blobs.repository]], group[kept])
    once = changes(of, blob, owner)
    of, blob, owner = of[once], blob[once], owner[once]
    starts = np.flatnonzero(changes(of, blob))
    holders = np.diff(starts, append=len(of))
    several = np.repeat(holders > 1, holders)
    sizes: Int64 = np.zeros(groups, np.int64)
    np.add.at(sizes, owner[several], frames.blob_size_bytes[blob[several]])
    found: list[int] = sizes.tolist()
    return found


def _summed(parts: Sequence[ClassBytes], owner: Int64, owners: int) -> list[ClassBytes]:
    sums = [_NOTHING] * owners
    for of, part in zip(owner.tolist(), parts, strict=True):
        sums[of] += part
    return sums
