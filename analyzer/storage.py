"""Deduplicated storage: which bytes are there, who shares them, and what would leave with whom.

The model is the one that Amazon bills by: within a repository a blob is stored once; across the
repositories of a registry it may be stored once where the account setting BLOB_MOUNTING is on,
within one encryption type and key, and never for pull-through-cache repositories (ECR user guide,
"Cross-repository layer sharing"). So every figure is worked out at two scopes: ``repository``, the
upper bound, and ``registry``, the lower one.

Everything is integer arithmetic over arrays sorted once; there is no loop over images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyzer.families import IMAGE, INDEX, KINDS, REFERRER, UNKNOWN, Families, find_families
from analyzer.holdings import (
    changes,
    reduce_runs,
    sharing_groups,
    sort_rows,
    stored_references,
    sum_by_owner,
)
from analyzer.model.frames import (
    NEVER_PULLED,
    NO_SIZE,
    NO_TIME,
    Bools,
    Frames,
    Int64,
    UInt8,
)
from analyzer.model.records import ImageStatus

DAY_MS = 86_400_000

#: Traits whose leaving is worked out, with their bit; three bits up stands "or archived".
_TRAITS = {"untagged": 1, "orphaned": 2, "stale": 4}
_OR_ARCHIVED = 8
_ARCHIVED = 64

#: (upper bound in days, label) of the ages of stored bytes; None for no bound.
_AGES = (
    (30, "up to 30 days"),
    (90, "31 to 90 days"),
    (180, "91 to 180 days"),
    (365, "181 to 365 days"),
    (None, "over 365 days"),
)

COUNTS = (
    "images",
    "indexes",
    "referrers",
    "unknown",
    "untagged_images",
    "orphaned_images",
    "possibly_reached_images",
    "stale_images",
    "never_pulled_images",
    "archived_images",
)


@dataclass(frozen=True, slots=True)
class Storage:
    """What ``analyze`` gives; rows stand in the order of the frames they came from, bytes are int64.

    ``artifacts``: kind (image, index, referrer, unknown), tagged, orphaned, stale, logical_bytes,
    unique_bytes_repository, unique_bytes_registry.

    ``repositories``: the counts of ``COUNTS``, logical_bytes, physical_bytes and archive_bytes (of
    these, in the archive class) at repository scope, unique_bytes and unique_archive_bytes at
    registry scope, and per trait T (untagged, orphaned, stale) T_freed_bytes and
    T_freed_archive_bytes at repository scope, reported_size_bytes.

    ``registries``: repositories, the counts, logical_bytes, and at both scopes (suffix
    ``_repository`` and ``_registry``) physical_bytes, archive_bytes, T_freed_bytes,
    T_freed_archive_bytes; shared_bytes and shared_archive_bytes (registry scope, owned by no single
    repository), reported_size_bytes.

    ``ages``: label, physical_bytes (repository scope) by the newest push among a blob's holders.

    ``T_freed_bytes`` is physical before less physical after all artifacts with the trait have left;
    the archive part may be negative, when an archived image becomes a blob's only holder.
    """

    artifacts: pd.DataFrame
    repositories: pd.DataFrame
    registries: pd.DataFrame
    ages: pd.DataFrame


@dataclass(frozen=True, slots=True)
class _Blobs:
    """Each blob once within its scope: r of them, ordered by owner (repository or group)."""

    owner: Int64
    blob: Int64
    size: Int64
    #: AND over all holders of their flags: traits, trait or archived, archived.
    flags: UInt8
    #: How many artifacts hold it.
    holders: Int64
    #: One of the holders: the only one where ``holders`` is 1.
    holder: Int64
    #: The latest push among the holders, NO_TIME where none is known.
    newest_ms: Int64

    def by_class(self, owners: int) -> dict[str, Int64]:
        """physical_bytes, archive_bytes and the freed bytes of every trait, per owner."""
        archived = (self.flags & _ARCHIVED) != 0
        sums = {
            "physical_bytes": sum_by_owner(self.owner, self.size, owners),
            "archive_bytes": self._sum(archived, owners),
        }
        for trait, bit in _TRAITS.items():
            leaves = (self.flags & bit) != 0
            archived_after = ((self.flags & (bit * _OR_ARCHIVED)) != 0) & ~leaves
            sums[f"{trait}_freed_bytes"] = self._sum(leaves, owners)
            sums[f"{trait}_freed_archive_bytes"] = sums["archive_bytes"] - self._sum(archived_after, owners)
        return sums

    def _sum(self, chosen: Bools, owners: int) -> Int64:
        return sum_by_owner(self.owner, np.where(chosen, self.size, 0), owners)


def analyze(frames: Frames, *, now_ms: int, stale_days: int) -> Storage:
    """Deduplicated storage of ``frames`` at both scopes, and what each waste trait would free.

    ``now_ms`` (milliseconds since 1970 UTC) and ``stale_days`` decide what is stale: pushed and
    pulled longer ago than that, itself and through every index above it. Sizes are those of config
    and layers; foreign layers are not stored, a layer listed twice is stored once, and an index is
    never added to its children.
    """
    artifacts = frames.artifacts
    families = find_families(frames)
    principal = families.principals()
    reached = families.reachable(artifacts.tags > 0)
    # What a tag may reach through an index that nobody could read is not called waste.
    possibly_reached = families.possibly_reached(reached, artifacts.repository)
    orphaned = ~reached & ~possibly_reached
    stale = _stale(frames, families, now_ms, stale_days)[principal]
    untagged = artifacts.tags[principal] == 0
    archived = np.isin(artifacts.image_status, (ImageStatus.ARCHIVED, ImageStatus.ACTIVATING))

    flags = np.zeros(len(archived), np.uint8)
    for trait, bit in zip((untagged, orphaned, stale), _TRAITS.values(), strict=True):
        flags[trait] |= bit
        flags[trait | archived] |= bit * _OR_ARCHIVED
    flags[archived] |= _ARCHIVED

    by_repository, logical = _once_per_repository(frames, families, flags)
    repository_count, registry_count = len(frames.repositories), len(frames.registries)
    group, group_registry = sharing_groups(frames)
    by_group, held_by = _once_per_group(by_repository, group)

    per_artifact = pd.DataFrame(
        {
            "kind": pd.Categorical.from_codes(families.kind, pd.Index(KINDS)),
            "tagged": artifacts.tags > 0,
            "orphaned": orphaned,
            "stale": stale,
            "logical_bytes": logical,
            "unique_bytes_repository": _only_holder(by_repository, len(flags)),
            "unique_bytes_registry": _only_holder(by_group, len(flags)),
        }
    )

    is_image = families.kind == IMAGE
    counted = dict(
        zip(
            COUNTS,
            (
                is_image,
                families.kind == INDEX,
                families.kind == REFERRER,
                families.kind == UNKNOWN,
                is_image & (artifacts.tags == 0),
                is_image & orphaned,
                is_image & possibly_reached,
                is_image & stale,
                is_image & (artifacts.pulled_day == NEVER_PULLED),
                (is_image | (families.kind == UNKNOWN)) & archived,
            ),
            strict=True,
        )
    )
    sized = (families.kind != INDEX) & (artifacts.reported_size_bytes != NO_SIZE)
    reported = np.where(sized, artifacts.reported_size_bytes, 0)
    owner = artifacts.repository
    columns = {
        name: sum_by_owner(owner, mask.astype(np.int64), repository_count) for name, mask in counted.items()
    }
    columns["logical_bytes"] = sum_by_owner(owner, logical, repository_count)
    columns |= by_repository.by_class(repository_count)
    columns |= _unique_to_one_repository(frames, by_group, held_by)
    columns["reported_size_bytes"] = sum_by_owner(owner, reported, repository_count)
    repositories = pd.DataFrame(columns)

    return Storage(
        per_artifact,
        repositories,
        _registries(
            frames, repositories, by_group.by_class(len(group_registry)), group_registry, registry_count
        ),
        _ages(by_repository, now_ms),
    )


def _stale(frames: Frames, families: Families, now_ms: int, stale_days: int) -> Bools:
    """True where the last known push or pull, own or of an index above, is over ``stale_days`` old.

    ECR records a pull by the day at best, so a day counts as used until its end. What was never
    pulled and has no push time is not called stale.
    """
    artifacts = frames.artifacts
    day_end = (artifacts.pulled_day.astype(np.int64) + 1) * DAY_MS
    pulled = np.where(artifacts.pulled_day == NEVER_PULLED, NO_TIME, day_end)
    used = families.latest_of_ancestors(np.maximum(artifacts.pushed_at_ms, pulled))
    stale: Bools = (used != NO_TIME) & (used < now_ms - stale_days * DAY_MS)
    return stale


def _once_per_repository(frames: Frames, families: Families, flags: UInt8) -> tuple[_Blobs, Int64]:
    """Each stored blob once per repository, and the sum of the sizes of each artifact's blobs.

    A blob that an artifact lists twice counts once for it.
    """
    artifacts = frames.artifacts
    logical = np.zeros(len(families.kind), np.int64)
    runs = []
    for first, owners, blobs, holders in stored_references(frames, families):
        new = changes(holders, blobs)
        owner, blob, holder = owners[new], blobs[new], holders[new]
        np.add.at(logical, holder, frames.blob_size_bytes[blob])
        starts = np.flatnonzero(changes(owner, blob))
        runs.append(
            (
                owner[starts] + first,
                blob[starts],
                frames.blob_size_bytes[blob[starts]],
                reduce_runs(np.bitwise_and, flags[holder], starts),
                np.diff(starts, append=len(holder)),
                holder[starts],
                reduce_runs(np.maximum, artifacts.pushed_at_ms[holder], starts),
            )
        )
    return _Blobs(*(np.concatenate(column) for column in zip(*runs, strict=True))), logical


def _once_per_group(by_repository: _Blobs, group: Int64) -> tuple[_Blobs, Int64]:
    """Each blob once per group, and how many of the group's repositories hold it.

    ``holder`` of the answer is the artifact that ``by_repository`` names for the first of them.
    """
    owner, blob, row = sort_rows(
        group[by_repository.owner], by_repository.blob, np.arange(len(by_repository.blob))
    )
    starts = np.flatnonzero(changes(owner, blob))
    once = _Blobs(
        owner[starts],
        blob[starts],
        by_repository.size[row[starts]],
        reduce_runs(np.bitwise_and, by_repository.flags[row], starts),
        reduce_runs(np.add, by_repository.holders[row], starts),
        by_repository.holder[row[starts]],
        reduce_runs(np.maximum, by_repository.newest_ms[row], starts),
    )
    return once, np.diff(starts, append=len(row))


def _only_holder(once: _Blobs, artifacts: int) -> Int64:
    """Bytes per artifact of the blobs that it alone holds."""
    unique = np.zeros(artifacts, np.int64)
    alone = once.holders == 1
    np.add.at(unique, once.holder[alone], once.size[alone])
    return unique


def _unique_to_one_repository(frames: Frames, by_group: _Blobs, held_by: Int64) -> dict[str, Int64]:
    """Bytes per repository of the blobs that no other repository of its group holds."""
    sole = held_by == 1
    owner = frames.artifacts.repository[by_group.holder[sole]]
    size = by_group.size[sole]
    archived = (by_group.flags[sole] & _ARCHIVED) != 0
    unique, archive = np.zeros((2, len(frames.repositories)), np.int64)
    np.add.at(unique, owner, size)
    np.add.at(archive, owner[archived], size[archived])
    return {"unique_bytes": unique, "unique_archive_bytes": archive}


def _registries(
    frames: Frames,
    repositories: pd.DataFrame,
    group_sums: dict[str, Int64],
    group_registry: Int64,
    registries: int,
) -> pd.DataFrame:
    registry = frames.repositories["registry"].to_numpy(np.int64)

    def total(values: Int64, owner: Int64) -> Int64:
        sums = np.zeros(registries, np.int64)
        np.add.at(sums, owner, values)
        return sums

    columns = {"repositories": total(np.ones(len(registry), np.int64), registry)}
    for name in (*COUNTS, "logical_bytes", "reported_size_bytes"):
        columns[name] = total(repositories[name].to_numpy(), registry)
    for name, values in group_sums.items():
        columns[f"{name}_repository"] = total(repositories[name].to_numpy(), registry)
        columns[f"{name}_registry"] = total(values, group_registry)
    for shared, whole, part in (
        ("shared_bytes", "physical_bytes_registry", "unique_bytes"),
        ("shared_archive_bytes", "archive_bytes_registry", "unique_archive_bytes"),
    ):
        columns[shared] = columns[whole] - total(repositories[part].to_numpy(), registry)
    return pd.DataFrame(columns)


def _ages(stored: _Blobs, now_ms: int) -> pd.DataFrame:
    newest = stored.newest_ms
    known = newest != NO_TIME
    bounds = np.array([days * DAY_MS for days, _ in _AGES if days is not None])
    bucket = np.where(known, np.searchsorted(bounds, now_ms - np.where(known, newest, now_ms)), len(_AGES))
    labels = [label for _, label in _AGES] + ["unknown"]
    physical = np.array(
        [stored.size[bucket == number].sum(dtype=np.int64) for number in range(len(labels))], np.int64
    )
    return pd.DataFrame({"label": labels, "physical_bytes": physical})
