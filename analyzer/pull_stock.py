"""What repositories hold and what is new in them, for replication to be reckoned from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from analyzer.families import IMAGE, Families
from analyzer.holdings import references_of
from analyzer.model.frames import NO_MANIFEST, NO_TIME, Frames, Int64
from analyzer.model.pull_costs import Pushes, RepositoryStock
from analyzer.model.records import Kind


def find_stock(frames: Frames, families: Families, pushes: Pushes, since_ms: int) -> list[RepositoryStock]:
    """The stock of each repository of ``frames``; ``pushes`` are those from ``since_ms`` on.

    An image without a push time counts as older. Of what was pushed before and is gone since nothing is
    known here, so that its blobs count as fresh where something pushed later holds them too.
    """
    artifacts = frames.artifacts
    bounds = np.searchsorted(artifacts.repository, np.arange(len(frames.repositories) + 1)).tolist()
    older = (artifacts.pushed_at_ms == NO_TIME) | (artifacts.pushed_at_ms < since_ms)
    kind = np.full(len(artifacts.manifest), int(Kind.UNKNOWN))
    read = artifacts.manifest != NO_MANIFEST
    kind[read] = frames.manifests.kind[artifacts.manifest[read]]
    holds = kind == Kind.IMAGE
    unread = ~holds & (kind != Kind.INDEX)
    nothing = np.zeros(0, np.int64)
    stocks = []
    for row, (begin, end) in enumerate(pairwise(bounds)):
        positions = begin + np.flatnonzero(holds[begin:end])
        image, blob = _pairs(frames, positions)
        pushed = pushes.blobs.get(row, nothing)
        # What was collected after the frames were read.
        later = pushed >= len(frames.blob_size_bytes)
        fresh = np.setdiff1d(pushed[~later], blob[older[image]])
        whole = families.kind[image] == IMAGE
        images = len(np.unique(image[whole]))
        stocks.append(
            RepositoryStock(
                stored=np.unique(blob),
                fresh=fresh,
                unread=int(np.count_nonzero(unread[begin:end]))
                + int(np.count_nonzero(later))
                + pushes.unread.get(row, 0),
                cold_pull_bytes=round(int(frames.blob_size_bytes[blob[whole]].sum()) / images)
                if images
                else None,
            )
        )
    return stocks


def _pairs(frames: Frames, positions: Int64) -> tuple[Int64, Int64]:
    """Each of the artifacts at ``positions`` with each distinct blob that is stored for it."""
    within, blob = references_of(frames, positions)
    keys = np.unique((positions[within] << 32) | blob.astype(np.int64))
    return keys >> 32, keys & 0xFFFFFFFF
