"""Manifests come back as they were stored, whatever they say; sizes never change once known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, func, insert, select

from analyzer.model.records import BlobReference, Child, Kind, Manifest
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.interning import split_digest
from analyzer.store.manifests import (
    BASE_NAME,
    load_base_names,
    load_index_children,
    load_manifests,
    load_size_conflicts,
)
from analyzer.store.names import load_digest_texts
from analyzer.store.snapshots import snapshots_of_run
from analyzer.store.writer import Store
from tests.analyzer.store.examples import commit, image, read_of
from tests.strategies.registries import sha256, sha512
from tests.support.databases import Provider
from tests.support.examples import database_examples

_POOL = (*(sha256(f"{n}") for n in range(5)), sha512("0"), sha512("1"))
#: Sizes of blobs by their place in the pool: drawn manifests agree on them.
_SIZES = dict(zip(_POOL, (0, 1, 2**31, 2**32, 2**63 - 1, 7, 8), strict=True))
_DIGESTS = st.sampled_from(_POOL)
# Text as the collector lets it through: no NUL and no lone surrogate, all else.
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
_LAYERS = st.builds(
    lambda digest, media_type, foreign: BlobReference(digest, _SIZES[digest], media_type, foreign),
    _DIGESTS,
    _TEXTS,
    st.booleans(),
)
_MANIFESTS = st.lists(
    st.builds(
        Manifest,
        _DIGESTS,
        st.sampled_from(Kind),
        _TEXTS,
        st.integers(0, 4 * 2**20),
        st.lists(_LAYERS, max_size=5).map(tuple),
        st.lists(st.builds(Child, _DIGESTS, st.none() | _TEXTS), max_size=3).map(tuple),
        st.none() | _TEXTS,
        st.none() | _DIGESTS,
        st.dictionaries(_TEXTS, _TEXTS, max_size=2),
    ),
    unique_by=lambda manifest: manifest.digest,
)


def _store(database: Database) -> Store:
    return Store(database, lambda: 0)


def _conflicts(database: Database) -> list[tuple[str, str, int, int]]:
    with database.read() as connection:
        found = load_size_conflicts(connection)
    return [(one.manifest, one.blob, one.size_bytes, one.counted_bytes) for one in found]


def _image(name: str, *blobs: tuple[str, int]) -> Manifest:
    layers = tuple(BlobReference(sha256(blob), size, "layer") for blob, size in blobs)
    return Manifest(sha256(name), Kind.IMAGE, "image", 100, layers)


@database_examples(50)
@given(manifests=_MANIFESTS)
def test_manifests_come_back_as_they_were_stored(sqlite: Provider, manifests: list[Manifest]) -> None:
    database = sqlite.clean()
    _store(database).add_manifests(manifests)
    assert load_manifests(database, _POOL) == {manifest.digest: manifest for manifest in manifests}
    some = {manifest.digest: manifest for manifest in manifests[:2]}
    assert load_manifests(database, some.keys()) == some


def test_every_kind_of_reference_comes_back(database: Database) -> None:
    layer = BlobReference(sha256("layer"), 2**40, "layer/'%s;:x")
    manifests = [
        Manifest(
            sha256("image"),
            Kind.IMAGE,
            "application/vnd.oci.image.manifest.v1+json",
            700,
            (
                BlobReference(sha512("config"), 5, "config"),
                layer,
                BlobReference(sha256("base"), 9, "layer/'%s;:x", foreign=True),
                layer,
                # The same blob once more, under another type and as a foreign one.
                layer._replace(media_type="other", foreign=True),
            ),
            subject_digest=sha512("subject"),
            artifact_type="application/spdx+json",
            annotations={"org.opencontainers.image.title": 'ü "quoted"\n', "": ""},
        ),
        Manifest(
            sha512("index"),
            Kind.INDEX,
            "application/vnd.oci.image.index.v1+json",
            300,
            children=(
                Child(sha256("image"), "linux/amd64"),
                Child(sha512("never stored"), "linux/arm/v7"),
                Child(sha256("image"), None),
            ),
        ),
        Manifest(sha256("odd"), Kind.UNKNOWN, "text/x", 0),
        Manifest(sha256("bad"), Kind.UNREADABLE, "", 1),
    ]
    store = _store(database)
    store.add_manifests(manifests)
    assert load_manifests(database, [m.digest for m in manifests]) == {m.digest: m for m in manifests}


def test_unknown_manifests_are_those_never_stored(database: Database) -> None:
    store = _store(database)
    manifest = replace(_image("a", ("layer", 1)), subject_digest=sha512("a"))
    asked = {sha256("a"), sha512("a"), sha256("layer"), sha256("b")}
    assert store.unknown_manifests(asked) == asked
    assert store.unknown_manifests([]) == set()
    store.add_manifests([manifest])
    # That a digest is known (as a layer, a subject) says nothing of its manifest.
    assert store.unknown_manifests(asked) == asked - {sha256("a")}
    assert load_manifests(database, asked) == {sha256("a"): manifest}
    assert load_manifests(database, []) == {}


def test_more_digests_than_fit_one_statement(database: Database) -> None:
    store = _store(database)
    manifests = [_image(f"m{n}", (f"l{n}", n), ("base", 5)) for n in range(1100)]
    store.add_manifests(manifests)
    digests = [manifest.digest for manifest in manifests]
    assert store.unknown_manifests([*digests, sha256("other")]) == {sha256("other")}
    assert load_manifests(database, digests) == {manifest.digest: manifest for manifest in manifests}


def test_manifest_stored_again_is_left_alone(database: Database) -> None:
    manifest = _image("a", ("layer", 1))
    for _ in range(2):
        _store(database).add_manifests([manifest])
    _store(database).add_manifests([])
    assert load_manifests(database, [manifest.digest]) == {manifest.digest: manifest}


def test_blob_keeps_its_first_size_and_every_contradiction_is_told_once(database: Database) -> None:
    store = _store(database)
    store.add_manifests([_image("a", ("layer", 3))])
    store.add_manifests(
        [
            _image("b", ("layer", 3), ("new", 1)),
            _image("c", ("layer", 4), ("layer", 4), ("new", 2)),
            _image("d", ("layer", 3), ("new", 1)),
        ]
    )
    expected = sorted([("c", "layer", 4, 3), ("c", "new", 2, 1)], key=lambda row: sha256(row[1]))
    assert _conflicts(database) == [(sha256(m), sha256(b), size, first) for m, b, size, first in expected]
    # Stored again, it says nothing new.
    store.add_manifests([_image("c", ("layer", 4), ("layer", 4), ("new", 2))])
    assert len(_conflicts(database)) == 2
    sizes = [blob.size_bytes for blob in load_manifests(database, [sha256("c")])[sha256("c")].blobs]
    assert sizes == [3, 3, 1]


def test_later_first_size_in_one_batch_counts_in_the_order_given(database: Database) -> None:
    _store(database).add_manifests([_image("b", ("layer", 2)), _image("a", ("layer", 1))])
    assert _conflicts(database) == [(sha256("a"), sha256("layer"), 1, 2)]


def test_collectors_that_contradict_each_other_at_once_are_found_out(postgresql: Provider) -> None:
    database = postgresql.clean()
    store = _store(database)
    store.add_manifests([_image("first", ("other", 1))])
    digest = tables.digest.c
    # What another collector commits between our look at the blobs and our writing of them.
    with database.write() as connection:
        hashed = split_digest(sha256("layer"))[1]
        connection.execute(insert(tables.digest).values(algorithm="sha256", hash=hashed))
        blob = connection.execute(select(digest.id).where(digest.hash == hashed)).scalar_one()

    seen: list[str] = []

    def quicker(_c: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if sql.startswith("INSERT INTO blob ") and not seen:
            seen.append(sql)
            with database.write() as other:
                other.execute(insert(tables.blob).values(digest_id=blob, size_bytes=3))

    event.listen(database.engine, "before_cursor_execute", quicker)
    try:
        store.add_manifests([_image("a", ("layer", 1))])
    finally:
        event.remove(database.engine, "before_cursor_execute", quicker)
    assert len(seen) == 1
    assert _conflicts(database) == [(sha256("a"), sha256("layer"), 1, 3)]


@pytest.mark.parametrize(("name", "taken"), [("media_type", 2**15 - 1), ("platform", 2**16 - 1)])
def test_names_beyond_what_fits_the_packed_codes_are_left_out(
    database: Database, name: str, taken: int
) -> None:
    # All codes but one are used up, as somebody who may push could do in a night.
    with database.write() as connection:
        connection.execute(insert(tables.metadata.tables[name]).values(id=taken - 1, name="taken"))
        if not database.is_sqlite:
            connection.execute(select(func.setval(f"{name}_id_seq", taken - 1)))
    image = Manifest(
        sha256("i"),
        Kind.IMAGE,
        "taken",
        1,
        (BlobReference(sha256("a"), 1, "a"), BlobReference(sha256("b"), 2, "b", foreign=True)),
    )
    index = Manifest(
        sha256("x"), Kind.INDEX, "taken", 1, children=(Child(sha256("i"), "p"), Child(sha256("i"), "q"))
    )
    _store(database).add_manifests([image, index])
    if name == "media_type":
        image = replace(image, blobs=(image.blobs[0], image.blobs[1]._replace(media_type="")))
    else:
        index = replace(index, children=(index.children[0], index.children[1]._replace(platform=None)))
    found = load_manifests(database, [sha256("i"), sha256("x")])
    assert found == {sha256("i"): image, sha256("x"): index}


@pytest.mark.parametrize(
    "text", ["", "sha256", "sha256:", ":00", "sha256:0", "sha256:xy", "sha256:AB", "sha256:a b", "sha256: ab"]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a digest|fromhex"):
        split_digest(text)


def test_children_of_every_index_come_with_their_platforms(database: Database) -> None:
    index = Manifest(
        _POOL[0],
        Kind.INDEX,
        "index",
        10,
        children=(Child(_POOL[1], "linux/arm64"), Child(_POOL[2], "linux/amd64"), Child(_POOL[3])),
    )
    other = Manifest(_POOL[4], Kind.INDEX, "index", 10, children=(Child(_POOL[1], "linux/amd64"),))
    # What is no index names no children, whatever is in it.
    image = replace(_image("image", (_POOL[1], 1)), children=(Child(_POOL[3], "linux/s390x"),))
    with database.read() as connection:
        nothing = load_index_children(connection)
    assert (len(nothing.child), len(nothing.platform)) == (0, 0)
    _store(database).add_manifests([index, other, image])
    with database.read() as connection:
        found = load_index_children(connection)
        texts = load_digest_texts(connection, found.child.tolist())
    assert {
        (texts[child], found.names[platform] if platform >= 0 else None)
        for child, platform in zip(found.child.tolist(), found.platform.tolist(), strict=True)
    } == {
        (_POOL[1], "linux/arm64"),
        (_POOL[2], "linux/amd64"),
        (_POOL[3], None),
        (_POOL[1], "linux/amd64"),
    }


def test_an_index_that_came_later_names_no_children_of_the_past(database: Database) -> None:
    first, second = read_of(image("a")), read_of(image("a"), image("b"))
    later = image("b").digest
    _store(database).add_manifests([Manifest(later, Kind.INDEX, "index", 1, children=(Child(_POOL[1]),))])
    for read in (first, second):
        commit(database, read)
    with database.read() as connection:
        nights = [
            [(one.registry_id, one.number) for one in snapshots_of_run(connection, run)] for run in (1, 2)
        ]
        found = [len(load_index_children(connection, night).child) for night in nights]
    assert found == [0, 1]


def test_base_images_are_what_the_annotation_says(database: Database) -> None:
    named = replace(_image("named", (_POOL[1], 1)), annotations={BASE_NAME: "python:3", "a": "b"})
    # The name of the annotation as the value of another one.
    quoted = replace(_image("quoted", (_POOL[2], 1)), annotations={"a": BASE_NAME, "b": f'"{BASE_NAME}"'})
    empty = replace(_image("empty", (_POOL[3], 1)), annotations={BASE_NAME: ""})
    _store(database).add_manifests([named, quoted, empty])
    with database.read() as connection:
        found = load_base_names(connection)
        texts = load_digest_texts(connection, list(found))
    assert {texts[key]: name for key, name in found.items()} == {named.digest: "python:3"}
