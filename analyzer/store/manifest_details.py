"""What manifests say beside what analyses look at: media types of references, platforms of children."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Table, func, literal, select

from analyzer.model.frames import Bools, Int32, Int64, Manifests
from analyzer.store import tables
from analyzer.store.columns import read_packed
from analyzer.store.tables import FOREIGN_BIT

UInt16 = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class ManifestDetails:
    """Of the manifests of frames, in their order; what is not named is 0."""

    #: Of each manifest, keys of ``media_types``.
    media_type: Int32
    artifact_type: Int32
    #: Beside ``Manifests.blobs``: keys of ``media_types``.
    blob_types: UInt16
    #: Beside ``Manifests.children``: keys of ``platforms``.
    child_platforms: UInt16
    media_types: Mapping[int, str]
    platforms: Mapping[int, str]


def load_manifest_details(connection: Connection, manifests: Manifests) -> ManifestDetails:
    """What is stored of ``manifests`` and not in them; a manifest never changes once it is stored."""
    table, wanted_ids = tables.manifest, manifests.digest_id
    query = select(
        table.c.digest_id,
        table.c.media_type_id,
        func.coalesce(table.c.artifact_type_id, literal(0)),
        table.c.blob_media_types,
        table.c.child_platforms,
    ).order_by(table.c.digest_id)

    def wanted(head: Int64) -> Bools:
        at = np.minimum(np.searchsorted(wanted_ids, head[0]), max(len(wanted_ids) - 1, 0))
        found: Bools = wanted_ids[at] == head[0] if len(wanted_ids) else np.zeros(head.shape[1], np.bool_)
        return found

    types, artifact_types = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    blobs: list[UInt16] = [np.zeros(0, np.uint16)]
    children: list[UInt16] = [np.zeros(0, np.uint16)]
    for head, (blob_types, platforms) in read_packed(connection, query, 3, wanted):
        types.append(head[1])
        artifact_types.append(head[2])
        blobs.append(np.frombuffer(blob_types.data, "<u2") & np.uint16(FOREIGN_BIT - 1))
        children.append(np.frombuffer(platforms.data, "<u2").astype(np.uint16))
    return ManifestDetails(
        media_type=np.concatenate(types).astype(np.int32),
        artifact_type=np.concatenate(artifact_types).astype(np.int32),
        blob_types=np.concatenate(blobs),
        child_platforms=np.concatenate(children),
        media_types=_names(connection, tables.media_type),
        platforms=_names(connection, tables.platform),
    )


def _names(connection: Connection, table: Table) -> dict[int, str]:
    return dict(connection.execute(select(table.c.id, table.c.name)).all())
