"""The past from push times, against sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.births import blob_births, moments_before, reconstruct
from analyzer.families import IMAGE, REFERRER, find_families
from analyzer.holdings import sharing_groups
from analyzer.model.frames import Frames
from tests.strategies.frames import Case, cases


def _held(frames: Frames, position: int) -> set[int]:
    manifests, manifest = frames.manifests, int(frames.artifacts.manifest[position])
    if find_families(frames).kind[position] not in {IMAGE, REFERRER}:
        return set()
    begin, end = manifests.blob_offsets[manifest : manifest + 2].tolist()
    return {int(manifests.blobs[at]) for at in range(begin, end) if not manifests.foreign[at]}


@given(case=cases(), data=st.data())
def test_every_moment_holds_what_was_pushed_by_then_of_what_is_there(case: Case, data: st.DataObject) -> None:
    frames, rows = case.frames, len(case.frames.repositories)
    chosen = np.array([data.draw(st.booleans()) for _ in range(rows)], np.bool_)
    wanted = data.draw(st.sampled_from([None, chosen]))
    births = blob_births(frames, find_families(frames))
    total, curves = reconstruct(frames, births, at_ms=case.now_ms, chosen=wanted)
    group, _ = sharing_groups(frames)
    asked = range(rows) if wanted is None else np.flatnonzero(wanted).tolist()
    size = frames.blob_size_bytes.tolist()
    owner = frames.artifacts.repository.tolist()
    pushed = frames.artifacts.pushed_at_ms.tolist()
    held = [_held(frames, position) for position in range(len(owner))]
    moments = moments_before(case.now_ms).tolist()
    # The last moment is that of the snapshot: whatever is there is in it, whatever its clock said.
    for step, moment in [*enumerate(moments)][-3:]:
        there = [p for p in range(len(owner)) if step == len(moments) - 1 or pushed[p] <= moment]
        sums = {row: {b for p in there if owner[p] == row for b in held[p]} for row in asked}
        assert total.bytes_repository[step] == sum(size[b] for blobs in sums.values() for b in blobs)
        shared = {(int(group[row]), b) for row, blobs in sums.items() for b in blobs}
        assert total.bytes_registry[step] == sum(size[b] for _, b in shared)
        assert total.artifacts[step] == sum(owner[p] in sums for p in there)
        for curve, row in zip(curves, asked, strict=True):
            assert curve.curve.bytes_repository[step] == sum(size[b] for b in sums[row])
            assert curve.curve.artifacts[step] == sum(owner[p] == row for p in there)
