"""What an outcome frees once more, slowly: sets of blobs before and after, nothing counted cleverly.

Bytes are Python integers, so no figure can overflow or be rounded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from analyzer.model.frames import Frames
from analyzer.model.verdicts import Outcome
from tests.oracle import storage

#: One row of a table: column name to value.
Row = dict[str, int]


@dataclass(frozen=True)
class Tables:
    """The two tables as lists of rows, in the order of the frames."""

    repositories: list[Row]
    registries: list[Row]


@dataclass(frozen=True)
class _Stock:
    """The blobs stored at one moment in one scope, by class."""

    standard: frozenset[int]
    archive: frozenset[int]

    @property
    def all(self) -> frozenset[int]:
        return self.standard | self.archive


def measure(frames: Frames, outcome: Sequence[int]) -> Tables:
    """What ``Holdings.measure`` must answer for ``outcome``, given as codes."""
    sizes = [int(size) for size in frames.blob_size_bytes]
    artifacts = storage._artifacts(frames)
    registry_of = [int(registry) for registry in frames.repositories["registry"]]
    group_of = storage._groups(frames)

    in_repository: list[list[storage._Artifact]] = [[] for _ in registry_of]
    in_group: dict[tuple[object, ...], list[storage._Artifact]] = {group: [] for group in group_of}
    for artifact in artifacts:
        in_repository[artifact.repository].append(artifact)
        in_group[group_of[artifact.repository]].append(artifact)

    repository_rows = [
        _repository_row(in_repository[r], in_group[group_of[r]], outcome, sizes)
        for r in range(len(registry_of))
    ]
    registry_rows = []
    for registry in range(len(frames.registries)):
        members = [r for r in range(len(registry_of)) if registry_of[r] == registry]
        row = {}
        for scope, parts in (
            ("repository", [in_repository[r] for r in members]),
            ("registry", [in_group[group] for group in {group_of[r] for r in members}]),
        ):
            for name in ("physical", "archive", "freed", "freed_archive", "archived"):
                row[f"{name}_bytes_{scope}"] = sum(_bytes(part, outcome, sizes)[name] for part in parts)
        registry_rows.append(row)
    return Tables(repository_rows, registry_rows)


def _repository_row(
    artifacts: Sequence[storage._Artifact],
    group: Sequence[storage._Artifact],
    outcome: Sequence[int],
    sizes: Sequence[int],
) -> Row:
    here = {artifact.position for artifact in artifacts}
    elsewhere = storage._held(artifact for artifact in group if artifact.position not in here)
    expired = [a for a in artifacts if outcome[a.position] == Outcome.EXPIRED]
    transitioned = [a for a in artifacts if outcome[a.position] == Outcome.TRANSITIONED]
    row = {
        "artifacts": len(artifacts),
        "images": sum(artifact.kind == "image" for artifact in artifacts),
        "expired": len(expired),
        "transitioned": len(transitioned),
        "unknown_expired": sum(artifact.kind == "unknown" for artifact in expired),
        "unknown_transitioned": sum(artifact.kind == "unknown" for artifact in transitioned),
        "logical_bytes": storage._logical(artifacts, sizes),
        "expired_logical_bytes": storage._logical(expired, sizes),
        "transitioned_logical_bytes": storage._logical(transitioned, sizes),
    }
    for name, size_bytes in _bytes(artifacts, outcome, sizes).items():
        row[f"{name}_bytes"] = size_bytes
    unique = _bytes(artifacts, outcome, sizes, ignoring=elsewhere)
    row["unique_bytes"] = unique["physical"]
    row["unique_archive_bytes"] = unique["archive"]
    row["freed_unique_bytes"] = unique["freed"]
    row["freed_unique_archive_bytes"] = unique["freed_archive"]
    row["archived_unique_bytes"] = unique["archived"]
    return row


def _bytes(
    scope: Sequence[storage._Artifact],
    outcome: Sequence[int],
    sizes: Sequence[int],
    *,
    ignoring: Collection[int] = (),
) -> dict[str, int]:
    """What is stored before, and what goes where, of all the blobs of one scope but some."""
    before = _stock([(artifact, artifact.archived) for artifact in scope], ignoring)
    after = _stock(
        [
            (artifact, artifact.archived or outcome[artifact.position] == Outcome.TRANSITIONED)
            for artifact in scope
            if outcome[artifact.position] != Outcome.EXPIRED
        ],
        ignoring,
    )
    return {
        "physical": storage._total(before.all, sizes),
        "archive": storage._total(before.archive, sizes),
        "freed": storage._total(before.all - after.all, sizes),
        "freed_archive": storage._total(before.archive - after.all, sizes),
        "archived": storage._total(before.standard & after.archive, sizes),
    }


def _stock(holders: Sequence[tuple[storage._Artifact, bool]], ignoring: Collection[int]) -> _Stock:
    """The blobs of ``holders`` (each with whether it is archived), less those to ignore."""
    standard = storage._held(artifact for artifact, archived in holders if not archived)
    archive = storage._held(artifact for artifact, archived in holders if archived)
    return _Stock(
        frozenset(standard.difference(ignoring)),
        frozenset(archive.difference(standard).difference(ignoring)),
    )
