"""What leaves the bill when artifacts leave or are archived: blobs counted by who still holds them.

A blob is stored as long as one artifact in its scope holds it, so an outcome frees exactly the
blobs whose holders all leave; image sizes added up say nothing about that. The scopes are those of
``analyzer.storage``: ``repository``, the upper bound of what is stored, and ``registry``, the lower.

A blob is in the archive class when all who hold it are archived, else in the standard class. That
a layer of an active and an archived image is billed once, as standard, is our reading: the ECR user
guide (page archive-image) says nothing of shared layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyzer.families import IMAGE, UNKNOWN, Families, spans
from analyzer.holdings import changes, reduce_runs, runs_of_repositories, sharing_groups, sort_rows
from analyzer.model.frames import Bools, Frames, Int32, Int64, UInt8, UInt32
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome

_Scalar = TypeVar("_Scalar", bound=np.generic)

#: What one holder makes of a blob; OR over all its holders is the blob's state.
_WAS_STANDARD, _STAYS, _STAYS_STANDARD = 1, 2, 4
#: The states in which bytes are told apart. In all others a blob stays in the standard class.
_FREED_ARCHIVE = 0
_FREED_STANDARD = _WAS_STANDARD
_STAYS_ARCHIVE = _STAYS
_ARCHIVED = _WAS_STANDARD | _STAYS
_STATES = 4

#: State that a holder contributes, by its outcome; from ``len(Outcome)`` on for archived ones.
_CONTRIBUTION = np.zeros(2 * len(Outcome), np.uint8)
_CONTRIBUTION[Outcome.KEPT] = _WAS_STANDARD | _STAYS | _STAYS_STANDARD
_CONTRIBUTION[Outcome.EXPIRED] = _FREED_STANDARD
_CONTRIBUTION[Outcome.TRANSITIONED] = _ARCHIVED
_CONTRIBUTION[len(Outcome) + Outcome.KEPT] = _STAYS_ARCHIVE
_CONTRIBUTION[len(Outcome) + Outcome.EXPIRED] = _FREED_ARCHIVE
_CONTRIBUTION[len(Outcome) + Outcome.TRANSITIONED] = _STAYS_ARCHIVE


@dataclass(frozen=True, slots=True)
class Savings:
    """What ``Holdings.measure`` gives: int64 columns, rows in the order of the frames.

    ``repositories``, counts: artifacts (of every kind), images, expired and transitioned (artifacts,
    whatever the reason); unknown_expired and unknown_transitioned (of these, those whose bytes
    nobody knows and that no figure of bytes contains).
    Image sizes, each blob counted once per image: logical_bytes, and of these
    expired_logical_bytes and transitioned_logical_bytes; a tool that knows no layers takes the
    former for the saving.
    At repository scope: physical_bytes and archive_bytes (of these, in the archive class) before;
    freed_bytes, which leave the bill, and freed_archive_bytes (of these, from the archive class);
    archived_bytes, which move from the standard to the archive class, be it that a holder is
    archived or that the last active one leaves and an archived one stays.
    At registry scope, of the blobs that no other repository of the sharing group holds:
    unique_bytes, unique_archive_bytes, freed_unique_bytes, freed_unique_archive_bytes and
    archived_unique_bytes.

    ``registries``: physical_bytes, archive_bytes, freed_bytes, freed_archive_bytes, archived_bytes
    at both scopes (suffix ``_repository`` and ``_registry``). What a registry has at registry scope
    beyond the unique bytes of its repositories is in blobs that several of them hold. All are at most
    as great as at repository scope, but archived_bytes: a blob that one repository frees goes over to
    the archive when another has archived it before.
    """

    repositories: pd.DataFrame
    registries: pd.DataFrame


class Holdings:
    """Who holds which blobs, prepared once for any number of measurements.

    Only images and referrers whose manifest is known hold blobs. Foreign layers are not stored, and
    a blob that a manifest lists twice is held once.
    """

    def __init__(self, frames: Frames, families: Families) -> None:
        """Prepare ``frames``; ``families`` are theirs."""
        artifacts = frames.artifacts
        self._repository = artifacts.repository
        self._repositories = len(frames.repositories)
        self._registries = len(frames.registries)
        self._registry_of = frames.repositories["registry"].to_numpy(np.int64)
        archived = np.isin(artifacts.image_status, (ImageStatus.ARCHIVED, ImageStatus.ACTIVATING))
        self._archived_code = archived * np.uint8(len(Outcome))
        self._unknown = families.kind == UNKNOWN

        held = _held_in_repositories(frames, families)
        group, group_registry = sharing_groups(frames)
        shared = _shared(held, artifacts.repository, group)
        self._joint = held.joint
        self._shared = shared.holdings
        # A blob with one holder in its repository shares that one's fate, so that all of these
        # count as one with the artifact; only the others need a state of their own.
        owner, size = artifacts.repository, frames.blob_size_bytes
        of_joint, elsewhere = owner[held.first[held.is_joint]], owner[held.first[shared.row]]
        self._own = _Parts.of(held.own, owner, self._repositories)
        self._of_joint = _Parts.of(held.joint_size, of_joint, self._repositories)
        self._of_shared = _Parts.of(size[shared.blob], group_registry[shared.group], self._registries)
        # What the repositories hold beside their unique bytes.
        self._elsewhere = _Parts.of(size[held.blob[shared.row]], elsewhere, self._repositories)
        self._fate_elsewhere = shared.fate

        self._logical = _Parts.of(held.logical, owner, self._repositories)
        self._before = {
            "artifacts": self._count(np.ones(len(owner), np.bool_)),
            "images": self._count(families.kind == IMAGE),
            "logical_bytes": self._logical.total(),
        }
        self._physical = self._own.total() + self._of_joint.total()
        self._unique = self._physical - self._elsewhere.total()

    def measure(self, outcome: UInt8) -> Savings:
        """What becomes of the bytes when ``outcome`` comes true for every artifact at once.

        ``outcome``: ``model.verdicts.Outcome`` codes in the order of the artifacts.

        Raises:
            ValueError: there is not one known code for each artifact.
        """
        if outcome.shape != self._archived_code.shape:
            raise ValueError(f"{len(outcome)} outcomes for {len(self._archived_code)} artifacts")
        if len(outcome) and outcome.max() >= len(Outcome):
            raise ValueError(f"{outcome.max()} is not the code of an outcome")
        expired, transitioned = outcome == Outcome.EXPIRED, outcome == Outcome.TRANSITIONED

        of_artifact = _CONTRIBUTION[self._archived_code + outcome]
        of_joint = self._joint.states(of_artifact)
        fates = np.concatenate((of_artifact, of_joint))
        of_shared = self._shared.states(fates)
        moved = self._own.by_state(of_artifact) + self._of_joint.by_state(of_joint)
        unique_moved = moved - self._elsewhere.by_state(fates[self._fate_elsewhere])

        repositories = {
            **self._before,
            "expired": self._count(expired),
            "transitioned": self._count(transitioned),
            "unknown_expired": self._count(expired & self._unknown),
            "unknown_transitioned": self._count(transitioned & self._unknown),
            "expired_logical_bytes": self._logical.total(expired),
            "transitioned_logical_bytes": self._logical.total(transitioned),
            **_columns(self._physical, moved),
            **_columns(self._unique, unique_moved, "unique_"),
        }
        of_repositories = _columns(self._by_registry(self._physical), self._by_registry(moved))
        of_groups = _columns(
            self._by_registry(self._unique) + self._of_shared.total(),
            self._by_registry(unique_moved) + self._of_shared.by_state(of_shared),
        )
        registries = {
            f"{name}_{scope}": values
            for scope, columns in (("repository", of_repositories), ("registry", of_groups))
            for name, values in columns.items()
        }
        return Savings(pd.DataFrame(repositories), pd.DataFrame(registries))

    def _count(self, chosen: Bools) -> Int64:
        counts = np.bincount(self._repository[chosen], minlength=self._repositories)
        return counts.astype(np.int64, copy=False)

    def _by_registry(self, of_repositories: Int64) -> Int64:
        """Sums over the last axis, repositories, by registry."""
        sums = np.zeros((self._registries, *of_repositories.shape[:-1]), np.int64)
        np.add.at(sums, self._registry_of, of_repositories.T)
        return sums.T


def _columns(physical: Int64, moved: Int64, scope: str = "") -> dict[str, Int64]:
    """The columns of bytes before (``physical``) and of those that were ``moved``, by state."""
    return {
        "unique_bytes" if scope else "physical_bytes": physical,
        f"{scope}archive_bytes": moved[_FREED_ARCHIVE] + moved[_STAYS_ARCHIVE],
        f"freed_{scope}bytes": moved[_FREED_ARCHIVE] + moved[_FREED_STANDARD],
        f"freed_{scope}archive_bytes": moved[_FREED_ARCHIVE],
        f"archived_{scope}bytes": moved[_ARCHIVED],
    }


@dataclass(frozen=True, slots=True)
class _Parts:
    """Bytes that share one fate each, those of one owner (repository or registry) together."""

    size: Int64
    #: Owners, and where their parts begin.
    owner: Int64
    starts: Int64
    owners: int

    @classmethod
    def of(cls, size: Int64, owner: npt.NDArray[np.integer], owners: int) -> _Parts:
        """Parts of these sizes; few runs of equal ``owner`` make sums fast."""
        starts = np.flatnonzero(changes(owner))
        return cls(size, owner[starts].astype(np.int64), starts, owners)

    def total(self, chosen: Bools | None = None) -> Int64:
        """Exact sums per owner of the parts that are ``chosen``, or of all."""
        sums = np.zeros(self.owners, np.int64)
        if chosen is None or chosen.any():
            size = self.size if chosen is None else np.where(chosen, self.size, 0)
            np.add.at(sums, self.owner, reduce_runs(np.add, size, self.starts))
        return sums

    def by_state(self, state: UInt8) -> Int64:
        """``total`` for each of the first ``_STATES`` states: an array of (state, owner)."""
        return np.array([self.total(state == number) for number in range(_STATES)])


@dataclass(frozen=True, slots=True)
class _Joint:
    """Blobs with several holders, which stand back to back: those of blob i from ``starts[i]`` on."""

    holder: npt.NDArray[np.signedinteger]
    starts: Int64

    def states(self, of_holder: UInt8) -> UInt8:
        """The state of each blob, given what each holder contributes."""
        return reduce_runs(np.bitwise_or, of_holder[self.holder], self.starts)


class _Column(Generic[_Scalar]):
    """A column that is written from its beginning, in memory reserved for it."""

    def __init__(self, reserved: npt.NDArray[_Scalar]) -> None:
        self._reserved = reserved
        self.length = 0

    def append(self, values: npt.NDArray[np.generic]) -> None:
        end = self.length + len(values)
        self._reserved[self.length : end] = values
        self.length = end

    @property
    def written(self) -> npt.NDArray[_Scalar]:
        return self._reserved[: self.length]


@dataclass(frozen=True, slots=True)
class _Held:
    """Each blob once per repository that holds it, r of them, ordered by repository."""

    blob: UInt32
    #: Position of the first holder, and whether there are more.
    first: Int32
    is_joint: Bools
    #: Those that have several, and their sizes.
    joint: _Joint
    joint_size: Int64
    #: Of each artifact: bytes of all its blobs, and of those that it alone holds in its repository.
    logical: Int64
    own: Int64


def _held_in_repositories(frames: Frames, families: Families) -> _Held:
    artifacts, manifests = frames.artifacts, frames.manifests
    # An array from another process has a dtype that equals int64 and is not it: add.at is slow then.
    size = frames.blob_size_bytes.view(np.int64)
    blob_bits = len(size).bit_length()
    holding = np.flatnonzero(families.holders)
    manifest = artifacts.manifest[holding]
    offsets = manifests.blob_offsets[manifest]
    lengths = manifests.blob_offsets[manifest + 1] - offsets
    repository = artifacts.repository[holding].astype(np.int64)
    any_foreign = bool(manifests.foreign.any())
    logical, own = np.zeros((2, len(families.kind)), np.int64)
    # Columns of the greatest length that they can have; only what is written to takes memory.
    most = int(lengths.sum())
    all_blobs = _Column(np.empty(most, np.uint32))
    firsts, joint_holders = _Column(np.empty(most, np.int32)), _Column(np.empty(most, np.int32))
    are_joint = _Column(np.empty(most, np.bool_))
    joint_starts, joint_sizes = _Column(np.empty(most, np.int64)), _Column(np.empty(most, np.int64))
    for begin, end in runs_of_repositories(repository, lengths):
        references = lengths[begin:end]
        at = spans(offsets[begin:end], references)
        blob = manifests.blobs[at].astype(np.int64)
        if any_foreign:
            # Digest 0 is nobody's and has no bytes.
            blob[manifests.foreign[at]] = 0
        # Numbered from the run's first repository, so that the rows pack into few bits.
        owner = repository[begin:end] - (repository[begin] if end else 0)
        key = np.repeat(owner << blob_bits, references) | blob
        key, within = sort_rows(key, np.repeat(np.arange(end - begin), references))
        new = changes(key, within)
        if not new.all():
            key, within = key[new], within[new]
        holder = holding[begin:end][within]
        starts = np.flatnonzero(changes(key))
        holders = np.diff(starts, append=len(key))
        blob, first = key[starts] & ((1 << blob_bits) - 1), holder[starts]
        blob_size = size[blob]
        is_joint = holders > 1
        np.add.at(own, first, np.where(is_joint, 0, blob_size))
        joint = np.flatnonzero(is_joint)
        several = holders[joint]
        of_joint = holder[np.repeat(is_joint, holders)]
        np.add.at(logical, of_joint, np.repeat(blob_size[joint], several))
        joint_starts.append(np.cumsum(several) - several + joint_holders.length)
        joint_holders.append(of_joint)
        joint_sizes.append(blob_size[joint])
        all_blobs.append(blob)
        firsts.append(first)
        are_joint.append(is_joint)
    logical += own
    return _Held(
        all_blobs.written,
        firsts.written,
        are_joint.written,
        _Joint(joint_holders.written, joint_starts.written),
        joint_sizes.written,
        logical,
        own,
    )


@dataclass(frozen=True, slots=True)
class _Shared:
    """The blobs that several repositories of one sharing group hold, s of them, by group."""

    group: Int64
    blob: Int64
    #: Who holds them: a position of an artifact, or behind those the number of a joint blob.
    holdings: _Joint
    #: Rows of ``_Held`` of all those repositories, in its order, and the same of these.
    row: Int64
    fate: Int64


def _shared(held: _Held, repository: Int32, group: Int64) -> _Shared:
    # Most blobs are in one repository only, or in one that shares with none, and need no sorting.
    blobs = np.sort(held.blob)
    repeated = np.zeros(int(blobs[-1]) + 1 if len(blobs) else 0, np.bool_)
    repeated[blobs[1:][blobs[1:] == blobs[:-1]]] = True
    candidate = np.flatnonzero(repeated[held.blob])
    group_of = group[repository[held.first[candidate]]]
    in_company = (np.bincount(group) > 1)[group_of]
    candidate, group_of = candidate[in_company], group_of[in_company]
    owner, blob, row = sort_rows(group_of, held.blob[candidate], candidate)
    starts = np.flatnonzero(changes(owner, blob))
    repositories = np.diff(starts, append=len(row))
    several = repositories > 1
    owner, blob = owner[starts[several]], blob[starts[several]]
    row = row[np.repeat(several, repositories)]
    lengths = repositories[several]
    joint_number = np.cumsum(held.is_joint, dtype=np.int32) - 1
    fate = np.where(held.is_joint[row], len(repository) + joint_number[row], held.first[row])
    holdings = _Joint(fate, np.cumsum(lengths) - lengths)
    return _Shared(owner, blob, holdings, *sort_rows(row, fate))
