"""When each blob was first pushed, and the curve that this gives: what was stored then at the least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzer.families import Families
from analyzer.holdings import changes, reduce_runs, sharing_groups, sort_rows, stored_references
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64
from analyzer.model.results import ScopedBytes
from analyzer.model.trends import Reconstruction, RepositoryReconstruction
from analyzer.model.units import from_ms

DAY_MS = 86_400_000
#: How far back the curve goes, in steps of a week: a year.
WEEKS = 52


@dataclass(frozen=True, slots=True, kw_only=True)
class Births:
    """Each stored blob once in every repository, and once in every sharing group."""

    #: Ordered by repository and blob: r each. NO_TIME where a holder has no push time.
    repository: Int64
    blob: Int64
    born_ms: Int64
    #: Ordered by group and blob: g each; ``only`` is the one repository that holds it, else -1.
    group: Int64
    group_blob: Int64
    group_born_ms: Int64
    only: Int64
    #: Group of each repository, and registry of each group.
    group_of_repository: Int64
    registry_of_group: Int64


def blob_births(frames: Frames, families: Families) -> Births:
    """The first push of each blob among the artifacts of ``frames`` that hold it, at both scopes.

    ``families`` are theirs. Foreign layers are not stored, and an artifact of unknown content holds
    nothing that is known.
    """
    runs: list[tuple[Int64, ...]] = []
    for first, owner, blob, holder in stored_references(frames, families):
        starts = np.flatnonzero(changes(owner, blob))
        born = reduce_runs(np.minimum, frames.artifacts.pushed_at_ms[holder], starts)
        runs.append((owner[starts] + first, blob[starts], born))
    owner, blob, born = (np.concatenate(column) for column in zip(*runs, strict=True))
    group_of, registry_of_group = sharing_groups(frames)
    group, group_blob, row = sort_rows(group_of[owner], blob, np.arange(len(owner)))
    starts = np.flatnonzero(changes(group, group_blob))
    holders = np.diff(starts, append=len(row))
    return Births(
        repository=owner,
        blob=blob,
        born_ms=born,
        group=group[starts],
        group_blob=group_blob[starts],
        group_born_ms=reduce_runs(np.minimum, born[row], starts),
        only=np.where(holders == 1, owner[row[starts]], -1),
        group_of_repository=group_of,
        registry_of_group=registry_of_group,
    )


def moments_before(at_ms: int) -> Int64:
    """The moments of the curve that ends at ``at_ms``: a year of weeks."""
    moments: Int64 = at_ms - np.arange(WEEKS, -1, -1) * 7 * DAY_MS
    return moments


def reconstruct(
    frames: Frames, births: Births, *, at_ms: int, chosen: Bools | None = None
) -> tuple[Reconstruction, tuple[RepositoryReconstruction, ...]]:
    """What was stored at the least, as a whole and by repository, in the order of the frames.

    ``births`` are those of ``frames``; ``chosen`` says which repositories count, all by default. Of one
    repository the bytes at registry scope are those that no other one of its registry holds today.
    """
    moments = moments_before(at_ms)
    repositories = len(frames.repositories)
    wanted = np.ones(repositories, np.bool_) if chosen is None else chosen
    size = frames.blob_size_bytes

    def steps(born: Int64) -> Int64:
        """The first moment that has it."""
        return np.minimum(np.searchsorted(moments, born), len(moments) - 1)

    by_repository, by_own, artifacts = np.zeros((3, repositories, len(moments)), np.int64)
    np.add.at(by_repository, (births.repository, steps(births.born_ms)), size[births.blob])
    own = births.only >= 0
    np.add.at(by_own, (births.only[own], steps(births.group_born_ms[own])), size[births.group_blob[own]])
    pushed = frames.artifacts.pushed_at_ms
    np.add.at(artifacts, (frames.artifacts.repository, steps(pushed)), 1)
    for curve in (by_repository, by_own, artifacts):
        np.cumsum(curve, axis=1, out=curve)

    group_born = births.group_born_ms
    in_group = np.ones(len(births.group), np.bool_)
    if chosen is not None:
        in_group, group_born = held_by_chosen(births, wanted, len(size).bit_length())
    shared = np.zeros(len(moments), np.int64)
    np.add.at(shared, steps(group_born[in_group]), size[births.group_blob[in_group]])
    undated = wanted[births.repository] & (births.born_ms == NO_TIME)
    undated_group = in_group & (group_born == NO_TIME)
    times = tuple(from_ms(moment) for moment in moments.tolist())
    total = Reconstruction(
        at=times,
        bytes_repository=by_repository[wanted].sum(axis=0),
        bytes_registry=np.cumsum(shared),
        artifacts=artifacts[wanted].sum(axis=0),
        undated_bytes=ScopedBytes(
            repository=int(size[births.blob[undated]].sum()),
            registry=int(size[births.group_blob[undated_group]].sum()),
        ),
        undated_artifacts=int((wanted[frames.artifacts.repository] & (pushed == NO_TIME)).sum()),
    )
    undated_by = np.zeros((3, repositories), np.int64)
    np.add.at(undated_by[0], births.repository[undated], size[births.blob[undated]])
    lone = own & (births.group_born_ms == NO_TIME)
    np.add.at(undated_by[1], births.only[lone], size[births.group_blob[lone]])
    np.add.at(undated_by[2], frames.artifacts.repository[pushed == NO_TIME], 1)
    names = _places(frames)
    rows = tuple(
        RepositoryReconstruction(
            account=names[row][0],
            region=names[row][1],
            repository=names[row][2],
            created_at=from_ms(names[row][3]),
            curve=Reconstruction(
                at=times,
                bytes_repository=by_repository[row],
                bytes_registry=by_own[row],
                artifacts=artifacts[row],
                undated_bytes=ScopedBytes(
                    repository=int(undated_by[0, row]), registry=int(undated_by[1, row])
                ),
                undated_artifacts=int(undated_by[2, row]),
            ),
        )
        for row in np.flatnonzero(wanted).tolist()
    )
    return total, rows


def held_by_chosen(births: Births, chosen: Bools, bits: int) -> tuple[Bools, Int64]:
    """Which rows by group some chosen repository holds, and the first push to one of these."""
    rows = np.flatnonzero(chosen[births.repository])
    keys = (births.group << bits) | births.group_blob
    mine = np.searchsorted(
        keys, (births.group_of_repository[births.repository[rows]] << bits) | births.blob[rows]
    )
    born = np.full(len(keys), np.iinfo(np.int64).max)
    np.minimum.at(born, mine, births.born_ms[rows])
    held = np.zeros(len(keys), np.bool_)
    held[mine] = True
    return held, born


def _places(frames: Frames) -> list[tuple[str, str, str, int]]:
    registries, repositories = frames.registries, frames.repositories
    accounts, regions = registries["account"].tolist(), registries["region"].tolist()
    columns = (repositories[name].tolist() for name in ("registry", "repository", "created_at_ms"))
    return [
        (accounts[registry], regions[registry], name, created)
        for registry, name, created in zip(*columns, strict=True)
    ]
