"""Digests by number: their texts, and the order that the texts have."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer.model.records import Kind, Manifest
from analyzer.store import digest_texts
from analyzer.store.digest_texts import load_digest_texts_of_all
from analyzer.store.engine import Database
from analyzer.store.names import load_digest_ids
from analyzer.store.writer import Store
from tests.strategies.registries import sha256, sha512


def test_texts_and_their_order_are_those_of_the_digests(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest_texts, "_AT_ONCE", 3)
    digests = [make(str(number)) for number in range(20) for make in (sha256, sha512)]
    digests.append(f"sha256:{0:064x}")
    Store(database, lambda: 0).add_manifests(
        [Manifest(digest, Kind.UNKNOWN, "text/new", 1) for digest in digests]
    )
    with database.read() as connection:
        texts = load_digest_texts_of_all(connection)
        ids = load_digest_ids(connection, digests)
    assert texts.texts(ids) == digests
    assert [digests[place] for place in np.argsort(texts.ranks(ids))] == sorted(digests)


def test_a_database_without_digests_has_none(database: Database) -> None:
    with database.read() as connection:
        texts = load_digest_texts_of_all(connection)
    assert texts.texts(np.zeros(0, np.int64)) == []
