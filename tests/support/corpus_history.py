"""Eighteen months of the real corpus as a stored past: which image carried which tag on which night.

Images are there from the night that first saw them, as in a registry that nothing is deleted from;
tags move and vanish as they did. Nobody recorded a pull. All repositories are of one registry, and
its nights are a day apart.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from analyzer.model.frames import (
    NEVER_PULLED,
    NO_SIZE,
    NO_TIME,
    Artifacts,
    Frames,
    Int64,
    Listed,
    Manifests,
)
from analyzer.model.history import History, Presence, RecordedPulls, Spans, ValueSpans, WorkloadSpans
from analyzer.model.records import Kind
from analyzer.model.units import to_ms
from tests.support.corpus import require_shared

DAY_MS = 86_400_000
_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def load_corpus_history() -> History:
    """The past of all 86 repositories; skips the test where the data is absent."""
    layer_rows = [row.split("\t") for row in _lines("layers.tsv.gz")][1:]
    images = [json.loads(line) for line in _lines("images.jsonl.gz")]
    indexes = [json.loads(line) for line in _lines("indexes.jsonl.gz")]
    events = [row.split("\t") for row in _lines("tag_events.tsv.gz")][1:]
    every: list[dict[str, Any]] = sorted([*images, *indexes], key=lambda one: int(one["id"]))

    # Layers get the numbers behind those of images and indexes.
    behind = max(int(one["id"]) for one in every) + 1
    is_foreign = {int(row[0]): row[4] == _FOREIGN for row in layer_rows}
    sizes = np.zeros(behind + max(is_foreign) + 1, np.int64)
    for row in layer_rows:
        sizes[behind + int(row[0])] = int(row[2])

    names = sorted({str(one["repo"]) for one in every})
    row_of = {name: row for row, name in enumerate(names)}
    position_of = {int(one["id"]): position for position, one in enumerate(every)}
    keys = sorted(
        ((row_of[one["repo"]], position) for position, one in enumerate(every)),
    )
    artifact_of = {position: artifact for artifact, (_, position) in enumerate(keys)}
    pushed = np.array([to_ms(datetime.fromisoformat(every[p]["first_seen"])) for _, p in keys], np.int64)
    first_day = int(pushed.min()) // DAY_MS
    last = max(to_ms(datetime.fromisoformat(row[0])) for row in events)
    nights = np.arange(first_day + 1, last // DAY_MS + 2) * DAY_MS
    count, end = len(keys), len(nights)
    first = np.searchsorted(nights, pushed)
    tags, tag_names = _tags(events, position_of, artifact_of, nights)
    whole = Spans(np.arange(len(names)), np.zeros(len(names), np.int32), np.full(len(names), end, np.int32))
    nothing = np.zeros(0, np.int64)
    few = np.zeros(0, np.int32)
    digests = [str(every[position]["digest"]) for _, position in keys]
    tie = np.empty(count, np.int64)
    tie[np.argsort(np.array(digests))] = np.arange(count)
    return History(
        frames=Frames(
            _registries(),
            _repositories(names),
            Artifacts(
                repository=np.array([row for row, _ in keys], np.int32),
                digest_id=np.array([every[position]["id"] for _, position in keys], np.uint32),
                manifest=np.array([position for _, position in keys], np.int32),
                pushed_at_ms=pushed,
                image_status=np.zeros(count, np.uint8),
                pulled_day=np.full(count, NEVER_PULLED, np.int32),
                tags=np.zeros(count, np.int32),
                reported_size_bytes=np.full(count, NO_SIZE),
                subject=np.zeros(count, np.uint32),
                listed=np.full(count, Listed.IMAGE, np.uint8),
            ),
            _manifests(every, behind, is_foreign),
            sizes,
        ),
        night_offsets=np.array([0, end]),
        night_ms=nights,
        night_number=np.arange(1, end + 1),
        existence=whole,
        complete=whole,
        presence=Presence(
            of=np.arange(count),
            first=first.astype(np.int32),
            gone=np.full(count, end, np.int32),
            pushed_at_ms=pushed,
            archived_at_ms=np.full(count, NO_TIME),
            activated_at_ms=np.full(count, NO_TIME),
            image_status=np.zeros(count, np.uint8),
            tie=tie,
        ),
        tags=tags,
        pulls=ValueSpans(nothing, few, few, nothing),
        policies=ValueSpans(nothing, few, few, nothing),
        policy_texts=[],
        tag_names=tag_names,
        workloads=WorkloadSpans(nothing, few, few, nothing, nothing),
        recorded=RecordedPulls(nothing, nothing, nothing, nothing, nothing),
        recorded_days=[0],
        untraced=[None],
        digests=lambda positions: [digests[position] for position in positions.tolist()],
        digest_ids=lambda wanted: np.full(len(wanted), -1),
    )


def _lines(name: str) -> Iterator[str]:
    with gzip.open(require_shared() / "data" / "manifests" / name, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield line.rstrip("\n")


def _tags(
    events: list[list[str]], position_of: Mapping[int, int], artifact_of: Mapping[int, int], nights: Int64
) -> tuple[ValueSpans, list[str]]:
    """Each tag from the night that first saw it on an image up to the one that saw it elsewhere."""
    moves: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for time, repository, tag, identity in events:
        moves[repository, tag].append((to_ms(datetime.fromisoformat(time)), int(identity)))
    names = sorted({tag for _, tag in moves})
    place = {name: number for number, name in enumerate(names)}
    rows = []
    for (_, tag), moved in moves.items():
        times = np.searchsorted(nights, [time for time, _ in moved]).tolist()
        for number, first, gone in zip(
            [number for _, number in moved], times, [*times[1:], len(nights)], strict=True
        ):
            if number in position_of and first < gone:
                rows.append((artifact_of[position_of[number]], first, gone, place[tag]))
    rows.sort()
    columns = np.array(rows, np.int64).T
    spans = ValueSpans(columns[0], columns[1].astype(np.int32), columns[2].astype(np.int32), columns[3])
    return spans, names


def _manifests(every: list[dict[str, Any]], behind: int, is_foreign: Mapping[int, bool]) -> Manifests:
    blobs = [one.get("layers", ()) for one in every]
    children = [one.get("images", ()) for one in every]
    flat = [layer for some in blobs for layer in some]
    return Manifests(
        digest_id=np.array([one["id"] for one in every], np.uint32),
        kind=np.array([Kind.INDEX if "images" in one else Kind.IMAGE for one in every], np.uint8),
        subject=np.zeros(len(every), np.uint32),
        blob_offsets=np.cumsum([0, *map(len, blobs)]),
        blobs=np.array([behind + layer for layer in flat], np.uint32),
        foreign=np.array([is_foreign[layer] for layer in flat], np.bool_),
        child_offsets=np.cumsum([0, *map(len, children)]),
        children=np.array([child for some in children for child in some], np.uint32),
    )


def _registries() -> pd.DataFrame:
    return pd.DataFrame(
        {"partition": ["aws"], "account": ["111111111111"], "region": ["us-east-1"], "snapshot": [1]}
    )


def _repositories(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "registry": 0,
            "repository": names,
            "created_at_ms": 0,
            "encryption_type": "AES256",
            "kms_key": "",
            "pull_through_cache": False,
        }
    )
