"""What pulls across regions and accounts cost, end to end: joins the store to the analyses of transfer.

Below the command line and the service, like ``what_if``, without clock or files.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from analyzer.model.transfer import TransferFindings
from analyzer.pricing import PriceBook
from analyzer.store.engine import Database
from analyzer.store.manifests import load_attestations
from analyzer.store.settings import load_all_settings
from analyzer.transfer import CacheRule, find_transfers, read_cache_rules
from analyzer.what_if import World


def judge_references(database: Database, world: World, prices: PriceBook) -> TransferFindings:
    """What the references of stored workloads tell about pulls across regions and accounts.

    ``world`` was loaded from ``database`` (``what_if.load_world``).
    """
    if world.workloads is None:
        raise TypeError("a world of documents has no workloads")

    def attestations(indexes: Sequence[int]) -> Collection[tuple[int, int]]:
        with database.read() as connection:
            return load_attestations(connection, indexes)

    with database.read() as connection:
        settings = load_all_settings(connection, world.frames, world.snapshots)
    return find_transfers(
        world.workloads,
        world.frames,
        world.facts,
        world.families,
        prices,
        digest_ids=world.digest_ids,
        digests=world.digests,
        caches=[_cache_rules(own.get("pull_through_cache_rules")) for own in settings.registries],
        attestations=attestations,
    )


def _cache_rules(text: str | None) -> tuple[CacheRule, ...] | None:
    """The rules of a registry; None where they are not known."""
    return None if text is None else read_cache_rules(json.loads(text) or ())
