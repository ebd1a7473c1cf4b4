"""What recorded pulls cost, out of the store: joins it to the analyses of pulls and of transfer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Final

from analyzer.families import Families
from analyzer.model.frames import Frames
from analyzer.model.pull_costs import Network, PullCosts, TransferAdvice
from analyzer.model.pull_report import RecordedPulls
from analyzer.model.pulls import PullHistory, PullKind
from analyzer.model.registry_settings import Settings
from analyzer.pricing import PriceBook
from analyzer.pull_advice import Holdings, Registry, advise
from analyzer.pull_pricing import price_pulls
from analyzer.pull_stock import find_stock
from analyzer.store.engine import Database
from analyzer.store.names import load_digest_ids
from analyzer.store.pull_coverage import pull_days
from analyzer.store.pulls import load_layer_sizes, load_pulls
from analyzer.store.pushes import load_pushes
from analyzer.store.snapshots import SnapshotRef

#: Days that are looked at, unless the user says otherwise.
PULL_DAYS: Final = 30
_DAY_MS: Final = 86_400_000


def judge_recorded(
    database: Database,
    frames: Frames,
    families: Families,
    settings: Settings,
    snapshots: Sequence[SnapshotRef],
    prices: PriceBook,
    *,
    days: int,
    globs: Sequence[str] = (),
    network: Network | None = None,
) -> RecordedPulls | None:
    """The pulls of the last ``days`` that anything is known of; None where nothing ever was.

    Only from repositories whose names fit one of ``globs``, if there are any.
    """
    with database.read() as connection:
        known = pull_days(connection)
        if known is None:
            return None
        first, last = known
        history = load_pulls(connection, max(first, last - days + 1), last)
        if globs:
            chosen = tuple(
                one for one in history.pulls if any(fnmatchcase(one.repository, glob) for glob in globs)
            )
            # What was left out is known by registry alone.
            history = replace(history, pulls=chosen, left_out=())
        layers = {one.digest for one in history.pulls if one.kind is PullKind.LAYER}
        sizes = load_layer_sizes(connection, layers)
    costs, advice = judge_history(
        database,
        history,
        sizes,
        frames,
        families,
        settings,
        snapshots,
        prices,
        network,
    )
    return RecordedPulls(costs=costs, advice=advice, history=history)


def judge_history(
    database: Database,
    history: PullHistory,
    sizes: Mapping[str, int],
    frames: Frames,
    families: Families,
    settings: Settings,
    snapshots: Sequence[SnapshotRef],
    prices: PriceBook,
    network: Network | None = None,
) -> tuple[PullCosts, TransferAdvice]:
    """What the pulls of ``history`` cost, and what to do about them, by what ``frames`` hold.

    ``sizes`` are the bytes of layers by digest; one that is missing is unknown.
    """
    since_ms, until_ms = history.first_day * _DAY_MS, (history.last_day + 1) * _DAY_MS
    with database.read() as connection:
        pushes = load_pushes(connection, frames, snapshots, since_ms, until_ms)
        registries = frames.registries
        keys = [Registry(*key) for key in zip(registries["account"], registries["region"], strict=True)]
        stocks = find_stock(frames, families, pushes, since_ms)
        rows = zip(frames.repositories["registry"].tolist(), frames.repositories["repository"], strict=True)
        holdings = Holdings(
            # Of a repository that was made again the later row is the one that is there.
            stocks={(keys[of], name): stock for (of, name), stock in zip(rows, stocks, strict=True)},
            blob_sizes=frames.blob_size_bytes,
            digest_ids=partial(load_digest_ids, connection),
            rules={
                key: _rules(own.get("replication_configuration"))
                for key, own in zip(keys, settings.registries, strict=True)
            },
        )
        advice = advise(history, sizes, prices, holdings, network)
    return price_pulls(history, sizes, prices, network), advice


def _rules(text: str | None) -> Sequence[Mapping[str, Any]] | None:
    """The replication rules of a registry; None where they are not known."""
    found = None if text is None else json.loads(text)
    return found["rules"] if isinstance(found, dict) else None
