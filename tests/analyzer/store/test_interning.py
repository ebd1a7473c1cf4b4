"""Several collectors store the same digests, names and manifests at once, in any order."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from analyzer.model.records import BlobReference, Child, Kind, Manifest
from analyzer.store import interning, tables
from analyzer.store.engine import Database
from analyzer.store.interning import Interner, split_digest
from analyzer.store.manifests import load_manifests
from analyzer.store.writer import Store
from tests.strategies.registries import sha256, sha512
from tests.support.databases import Provider, opened, run_at_once

_DIGESTS = [sha256(f"{n}") for n in range(600)] + [sha512(f"{n}") for n in range(200)]


def _count(database: Database, table: str) -> int:
    with database.read() as connection:
        return connection.execute(
            select(func.count()).select_from(tables.metadata.tables[table])
        ).scalar_one()


def _at_once(*work: Callable[[], None]) -> None:
    """Run all of ``work`` in threads that start together; raises what one of them raised."""
    start, errors = threading.Barrier(len(work)), list[BaseException]()

    def one(task: Callable[[], None]) -> None:
        start.wait()
        try:
            task()
        except BaseException as error:  # noqa: BLE001  # raised again below
            errors.append(error)

    threads = [threading.Thread(target=one, args=(task,)) for task in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def test_ids_are_given_once_and_found_again(database: Database) -> None:
    interner = Interner(database)
    ids = dict(interner.digests(_DIGESTS[:10]))
    assert len(ids) == len(set(ids.values())) == 10
    assert interner.digests(_DIGESTS[5:15]).items() >= {d: ids[d] for d in _DIGESTS[5:10]}.items()
    assert Interner(database).digests(_DIGESTS[:10]) == ids
    assert interner.digests([]).keys() <= set(_DIGESTS)


def test_digests_of_other_algorithms_with_the_same_bytes_are_others(database: Database) -> None:
    interner = Interner(database)
    one, other = "sha256:" + "ab" * 32, "blake3:" + "ab" * 32
    assert split_digest(one)[1] == split_digest(other)[1]
    ids = interner.digests([one])
    assert interner.digests([other])[other] != ids[one]
    assert Store(database, lambda: 0).unknown_manifests([one, other]) == {one, other}
    manifest = Manifest(one, Kind.IMAGE, "m", 1)
    Store(database, lambda: 0).add_manifests([manifest])
    assert Store(database, lambda: 0).unknown_manifests([one, other]) == {other}
    assert load_manifests(database, [other]) == {}


def test_what_is_remembered_has_a_limit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interning, "_REMEMBERED", 7)
    interner = Interner(database)
    ids: dict[str, int] = {}
    for start in range(0, 100, 5):
        ids |= interner.digests(_DIGESTS[start : start + 5])
        assert len(interner._digests) <= 7
    assert Interner(database).digests(ids) == ids


def test_names_and_values_are_given_once(database: Database) -> None:
    names = [f"tag'%s;:{n}" for n in range(700)]
    interner = Interner(database)
    tags = interner.names(tables.tag_name, names)
    assert len(set(tags.values())) == len(names)
    assert Interner(database).names(tables.tag_name, names[:3]) == {name: tags[name] for name in names[:3]}
    # Case and accents make another name, in every locale.
    assert len(set(interner.names(tables.tag_name, ["v", "V", "ü", "u"]).values())) == 4
    values = interner.values(["null", '"x"', "null"])
    assert values.keys() == {"null", '"x"'}
    assert Interner(database).values(["null"]) == {"null": values["null"]}


def test_threads_with_overlapping_digests_agree(provider: Provider) -> None:
    database = provider.clean()
    found: dict[int, dict[str, int]] = {}

    def intern(number: int, interner: Interner) -> None:
        mine = _DIGESTS[number * 100 : number * 100 + 500]
        # One after the other in batches, each thread in an order of its own.
        mine = mine if number % 2 else mine[::-1]
        found[number] = {}
        for start in range(0, len(mine), 90):
            found[number] |= interner.digests(mine[start : start + 90])

    with opened(database.engine.url.render_as_string(hide_password=False)) as second:
        shared = Interner(database)
        interners = [shared, shared, Interner(second), Interner(second)]
        _at_once(*(lambda n=n, i=i: intern(n, i) for n, i in enumerate(interners)))
    together = {digest: number for ids in found.values() for digest, number in ids.items()}
    assert len(together) == 800
    assert len(set(together.values())) == 800
    assert all(together[digest] == number for ids in found.values() for digest, number in ids.items())
    assert _count(database, "digest") == 800


_SAME = """
from analyzer.store.engine import Database
from analyzer.store.interning import Interner
interner = Interner(Database(sys.argv[1]))
digests = [f"sha256:{n * 2**230:064x}" for n in range(5000)]
ready()
assert len(interner.digests(digests)) == 5000
"""


def test_processes_that_add_the_same_digests_at_once_do_not_lock_each_other_out(provider: Provider) -> None:
    # Processes, not threads: in one of them all sets have the same order, by chance the right one.
    database = provider.clean()
    url = database.engine.url.render_as_string(hide_password=False)
    assert run_at_once(_SAME, *[(url,)] * 3) == [(0, "")] * 3
    assert _count(database, "digest") == 5000


def _manifests(numbers: range) -> list[Manifest]:
    """Images over a few shared layers, each with an index of its own."""
    found = []
    for number in numbers:
        layers = [
            BlobReference(sha256(f"layer {(number * k) % 37}"), number * k % 37, f"type {k}")
            for k in (1, 2, 3)
        ]
        digest = sha256(f"image {number}")
        found.append(Manifest(digest, Kind.IMAGE, "image", 1, tuple(layers)))
        child = Child(digest, f"linux/{number % 5}")
        found.append(Manifest(sha256(f"index {number}"), Kind.INDEX, "index", 1, children=(child,)))
    return found


def test_threads_with_overlapping_manifests_lose_none(provider: Provider) -> None:
    database = provider.clean()

    def add(database: Database, manifests: list[Manifest]) -> None:
        store = Store(database, lambda: 0)
        for start in range(0, len(manifests), 30):
            store.add_manifests(manifests[start : start + 30])

    with opened(database.engine.url.render_as_string(hide_password=False)) as second:
        _at_once(
            lambda: add(database, _manifests(range(120))),
            lambda: add(database, _manifests(range(159, 39, -1))),
            lambda: add(second, _manifests(range(119, -1, -1))),
            lambda: add(second, _manifests(range(40, 160))),
        )
    everything = {manifest.digest: manifest for manifest in _manifests(range(160))}
    assert load_manifests(database, everything) == everything
    assert _count(database, "manifest") == len(everything)


_CHILD = """
import sys
from analyzer.store.engine import Database
from analyzer.store.writer import Store
from tests.analyzer.store.test_interning import _manifests
first, last, step = map(int, sys.argv[2:])
store = Store(Database(sys.argv[1]), lambda: 0)
ready()
manifests = _manifests(range(first, last, step))
for start in range(0, len(manifests), 20):
    store.add_manifests(manifests[start : start + 20])
"""


def test_processes_with_overlapping_manifests_lose_none(provider: Provider) -> None:
    database = provider.clean()
    url = database.engine.url.render_as_string(hide_password=False)
    ends = run_at_once(_CHILD, (url, "0", "120", "1"), (url, "159", "39", "-1"), (url, "40", "160", "1"))
    assert ends == [(0, "")] * 3
    everything = {manifest.digest: manifest for manifest in _manifests(range(160))}
    assert load_manifests(database, everything) == everything
