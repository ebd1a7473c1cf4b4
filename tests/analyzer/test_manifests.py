"""Manifest texts to records."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.manifests import DIGEST_MISMATCH, is_digest, parse_manifest
from analyzer.model.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from analyzer.model.records import BlobReference, Child, Kind, Manifest

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def sha256(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def blob(letter: str, size: int, media_type: str = LAYER, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(letter), "size": size, **more}


def image(**more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": blob("c", 7, CONFIG),
        "layers": [blob("a", 10), blob("b", 20)],
        **more,
    }


def without(content: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}


def parse(content: object, api_type: str | None = None) -> Manifest:
    text = content if isinstance(content, str) else json.dumps(content)
    parsed = parse_manifest(sha256(text), text, api_type)
    assert isinstance(parsed, Manifest)
    assert parsed.digest == sha256(text)
    assert parsed.size_bytes == len(text.encode())
    return parsed


def test_config_comes_first_then_layers_in_order_with_repeats() -> None:
    parsed = parse(image(layers=[blob("b", 20), blob("a", 10), blob("b", 20)]))
    assert parsed.kind is Kind.IMAGE
    assert parsed.media_type == OCI_MANIFEST
    assert list(parsed.blobs) == [
        BlobReference(digest("c"), 7, CONFIG),
        BlobReference(digest("b"), 20, LAYER),
        BlobReference(digest("a"), 10, LAYER),
        BlobReference(digest("b"), 20, LAYER),
    ]
    assert parsed.artifact_type is None
    assert parsed.subject_digest is None


@pytest.mark.parametrize(
    ("media_type", "foreign"),
    [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", True),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", True),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", False),
        (LAYER, False),
        ("application/vnd.example.foreign.thing", False),
    ],
)
def test_the_media_type_alone_makes_a_layer_foreign(media_type: str, foreign: bool) -> None:
    plain, with_urls = blob("a", 10, media_type), blob("b", 20, media_type, urls=["https://example.com/x"])
    parsed = parse(image(layers=[plain, with_urls]))
    assert [entry.foreign for entry in parsed.blobs] == [False, foreign, foreign]


def test_an_index_has_children_with_platforms_and_no_blobs() -> None:
    content = {
        "schemaVersion": 2,
        "mediaType": DOCKER_LIST,
        "manifests": [
            blob("a", 1, DOCKER_MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
            blob("b", 1, DOCKER_MANIFEST, platform={"os": "linux", "architecture": "arm", "variant": "v7"}),
            blob("c", 1, DOCKER_MANIFEST, platform={"os": "unknown", "architecture": "unknown"}),
            blob("d", 1, DOCKER_MANIFEST, platform={"os": "", "architecture": "amd64"}),
            blob("e", 1, DOCKER_MANIFEST, platform=None),
            blob("f", 1, DOCKER_MANIFEST),
        ],
    }
    parsed = parse(content)
    assert parsed.kind is Kind.INDEX
    assert parsed.media_type == DOCKER_LIST
    assert list(parsed.blobs) == []
    assert list(parsed.children) == [
        Child(digest("a"), "linux/amd64"),
        Child(digest("b"), "linux/arm/v7"),
        Child(digest("c"), "unknown/unknown"),
        Child(digest("d")),
        Child(digest("e")),
        Child(digest("f")),
    ]


def test_a_referrer_has_a_subject_and_an_artifact_type() -> None:
    parsed = parse(image(subject=blob("d", 5, OCI_MANIFEST), artifactType="application/spdx+json"))
    assert (parsed.subject_digest, parsed.artifact_type) == (digest("d"), "application/spdx+json")
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "artifactType": "application/x"}
    assert parse({**index, "subject": blob("d", 5)}).artifact_type == "application/x"


@pytest.mark.parametrize(
    ("config", "media_type", "expected"),
    [
        (
            "application/vnd.cncf.helm.config.v1+json",
            OCI_MANIFEST,
            "application/vnd.cncf.helm.config.v1+json",
        ),
        (CONFIG, OCI_MANIFEST, None),
        ("application/vnd.docker.container.image.v1+json", OCI_MANIFEST, None),
        ("application/vnd.oci.empty.v1+json", OCI_MANIFEST, None),
        ("application/vnd.docker.plugin.v1+json", DOCKER_MANIFEST, None),
    ],
)
def test_the_config_names_the_artifact_type_of_an_oci_artifact_only(
    config: str, media_type: str, expected: str | None
) -> None:
    assert parse(image(mediaType=media_type, config=blob("c", 2, config))).artifact_type == expected


def test_annotations_are_kept_where_they_are_text_and_made_storable() -> None:
    text = json.dumps(image(annotations={"a": "é", "b": 5, "c": "nul\0", "d": ""}))
    parsed = parse(text.replace('"d": ""', r'"d": "half \ud800"'))
    assert parsed.annotations == {"a": "é", "c": "nul\ufffd", "d": "half \ufffd"}
    assert parse(image(annotations=None)).annotations == {}


@pytest.mark.parametrize(
    ("content", "api_type", "kind", "media_type"),
    [
        (without(image(), "mediaType"), None, Kind.IMAGE, OCI_MANIFEST),
        (without(image(), "mediaType"), DOCKER_MANIFEST, Kind.IMAGE, DOCKER_MANIFEST),
        (without(image(), "mediaType"), OCI_INDEX, Kind.IMAGE, OCI_MANIFEST),
        (image(mediaType=""), OCI_MANIFEST, Kind.IMAGE, OCI_MANIFEST),
        (image(), DOCKER_LIST, Kind.IMAGE, OCI_MANIFEST),
        ({"schemaVersion": 2, "manifests": []}, None, Kind.INDEX, OCI_INDEX),
        ({"schemaVersion": 2, "manifests": []}, DOCKER_LIST, Kind.INDEX, DOCKER_LIST),
        ({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": None}, None, Kind.INDEX, OCI_INDEX),
        ({"mediaType": "application/x-new", "size": -1}, OCI_INDEX, Kind.UNKNOWN, "application/x-new"),
        ({"schemaVersion": 1, "fsLayers": []}, "application/x-old", Kind.UNKNOWN, "application/x-old"),
        ({}, None, Kind.UNKNOWN, ""),
        ({}, OCI_MANIFEST, Kind.UNREADABLE, OCI_MANIFEST),
    ],
)
def test_the_media_type_is_the_texts_own_then_the_structures(
    content: dict[str, Any], api_type: str | None, kind: Kind, media_type: str
) -> None:
    parsed = parse(content, api_type)
    assert (parsed.kind, parsed.media_type) == (kind, media_type)


def test_an_image_without_layers_is_its_config() -> None:
    assert [entry.size_bytes for entry in parse(image(layers=None)).blobs] == [7]
    assert [entry.size_bytes for entry in parse(image(layers=[])).blobs] == [7]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not JSON",
        "\ufeff{}",
        "null",
        "[]",
        '"text"',
        "[" * 100_000,
        '{"a":' * 100_000,
        json.dumps(image())[:-1],
        json.dumps(image()).replace('"size": 7', '"size": 7, "size": 7'),
        json.dumps(image()).replace('"size": 7', '"size": NaN'),
        json.dumps(image()).replace('"size": 7', '"size": Infinity'),
        json.dumps(image()).replace('"size": 7', '"size": ' + "9" * 10_000),
        json.dumps(image(annotations={"long": "x" * 2**22})),
        image(schemaVersion=3),
        image(config=None),
        image(config=[]),
        without(image(), "config"),
        without(image(), "layers"),
        image(layers={}),
        image(layers="layers"),
        image(layers=[None]),
        image(layers=["x"]),
        image(layers=[[]]),
        image(layers=[{}]),
        image(manifests=[]),
        image(mediaType=OCI_INDEX, manifests=[]),
        image(mediaType=5),
        image(mediaType=["x"]),
        image(mediaType="x" * 300),
        image(mediaType="snow\u2603"),
        image(artifactType=5),
        image(artifactType="line\nbreak"),
        image(subject="sha256"),
        image(subject={}),
        image(subject={"digest": "sha256:short"}),
        image(annotations=[]),
        image(layers=[blob("a", -1)]),
        image(layers=[blob("a", 2**63)]),
        image(layers=[{**blob("a", 1), "size": 1.0}]),
        image(layers=[{**blob("a", 1), "size": "1"}]),
        image(layers=[{**blob("a", 1), "size": True}]),
        image(layers=[{**blob("a", 1), "mediaType": None}]),
        image(layers=[{**blob("a", 1), "digest": None}]),
        image(layers=[{**blob("a", 1), "digest": "sha256:" + "A" * 64}]),
        image(layers=[{**blob("a", 1), "digest": "sha256:" + "a" * 63}]),
        image(layers=[{**blob("a", 1), "digest": "md5:" + "a" * 32}]),
        image(layers=[{**blob("a", 1), "digest": "sha256:" + "a" * 64 + "\n"}]),
        image(layers=[{**blob("a", 1), "digest": "sha512:" + "a" * 64}]),
        {"mediaType": OCI_INDEX, "schemaVersion": 2},
        {"mediaType": OCI_INDEX, "manifests": [{"digest": digest("a")}]},
        {"mediaType": OCI_INDEX, "manifests": [blob("a", -1)]},
        {"mediaType": OCI_INDEX, "manifests": [blob("a", 1, platform="linux")]},
        {"mediaType": OCI_INDEX, "manifests": [blob("a", 1, platform={"os": 1, "architecture": "x"})]},
    ],
)
def test_an_authentic_text_that_breaks_the_rules_is_unreadable(content: object) -> None:
    parsed = parse(content)
    assert parsed.kind is Kind.UNREADABLE
    assert list(parsed.blobs) == []
    assert list(parsed.children) == []


def test_the_largest_size_is_readable() -> None:
    assert parse(image(layers=[blob("a", 2**63 - 1)])).kind is Kind.IMAGE


def test_sha512_is_checked_too() -> None:
    text = json.dumps(image())
    name = "sha512:" + hashlib.sha512(text.encode()).hexdigest()
    parsed = parse_manifest(name, text)
    assert isinstance(parsed, Manifest)
    assert parsed.kind is Kind.IMAGE
    assert parse_manifest(name, text + " ") == DIGEST_MISMATCH


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (digest("a"), "{}"),
        ("md5:" + hashlib.sha256(b"{}").hexdigest(), "{}"),
        (hashlib.sha256(b"{}").hexdigest(), "{}"),
        ("sha256:" + hashlib.sha256(b"{}").hexdigest().upper(), "{}"),
        ("", "{}"),
        (digest("a"), "\ud800"),
    ],
)
def test_a_text_that_does_not_hash_to_the_digest_is_no_manifest(name: str, text: str) -> None:
    assert parse_manifest(name, text) == DIGEST_MISMATCH


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([digest("a"), LAYER]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
_fields = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.just(2) | _json,
        "mediaType": st.sampled_from([OCI_MANIFEST, OCI_INDEX, DOCKER_LIST, DOCKER_MANIFEST]) | _json,
        "config": st.just(blob("c", 7, CONFIG)) | _json,
        "layers": st.lists(st.just(blob("a", 10)) | _json) | _json,
        "manifests": st.lists(st.just(blob("a", 10)) | _json) | _json,
        "subject": st.just(blob("d", 5)) | _json,
        "artifactType": _json,
        "annotations": st.dictionaries(st.text(), _json) | _json,
    },
)


@given(
    st.text() | _fields.map(json.dumps), st.none() | st.text() | st.sampled_from([OCI_MANIFEST, OCI_INDEX])
)
def test_any_text_is_a_manifest_of_some_kind_or_a_mismatch(text: str, api_type: str | None) -> None:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        assert parse_manifest(digest("a"), text, api_type) == DIGEST_MISMATCH
        return
    parsed = parse_manifest("sha256:" + hashlib.sha256(data).hexdigest(), text, api_type)
    assert isinstance(parsed, Manifest)
    assert parsed.size_bytes == len(data)
    for entry in parsed.blobs:
        assert is_digest(entry.digest)
        assert 0 <= entry.size_bytes < 2**63
    for child in parsed.children:
        assert is_digest(child.digest)
    assert bool(parsed.blobs) == (parsed.kind is Kind.IMAGE)
    # Whatever is handed to the store can be written as UTF-8 and has no NUL.
    written = [
        parsed.media_type,
        parsed.artifact_type or "",
        *parsed.annotations,
        *parsed.annotations.values(),
    ]
    assert "\0" not in "".join(written).encode().decode()


@given(st.binary())
def test_arbitrary_bytes_read_as_text_never_raise(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert parse_manifest("sha256:" + hashlib.sha256(data).hexdigest(), text) is not None
    assert parse_manifest(text, text) == DIGEST_MISMATCH
