"""Image references of every form, lists of them from every tool, and what they name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.documents import Documents, read_documents
from analyzer.errors import InputError
from analyzer.families import find_families
from analyzer.model.frames import Int64
from analyzer.model.media_types import OCI_INDEX, OCI_MANIFEST
from analyzer.references import (
    ImageReference,
    InUse,
    Protected,
    RegistryKind,
    find_in_use,
    find_protected,
    parse_protect,
    parse_reference,
    read_references,
)
from tests.support.examples import examples

ACCOUNT, REGION = "123456789012", "eu-west-1"
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
HEX = "4a1c6567c38904384ebc64e35b7eeddd8451110c299e3368d2210066487d97e5"
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (HOST, REGION),
        (HOST.upper(), REGION),
        (f"{HOST}:443", REGION),
        (f"{ACCOUNT}.dkr.ecr-fips.us-east-2.amazonaws.com", "us-east-2"),
        (f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        (f"{ACCOUNT}.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        (f"{ACCOUNT}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
        (f"{ACCOUNT}.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
        (f"{ACCOUNT}.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
        (f"{ACCOUNT}.dkr.ecr-fips.us-gov-east-1.amazonaws.com", "us-gov-east-1"),
        (f"{ACCOUNT}.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        (f"{ACCOUNT}.dkr-ecr.us-west-2.on.aws", "us-west-2"),
        (f"{ACCOUNT}.dkr-ecr-fips.us-gov-west-1.on.aws", "us-gov-west-1"),
        (f"{ACCOUNT}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1"),
        (f"{ACCOUNT}.dkr.ecr.us-east-1.localhost.localstack.cloud:4566", "us-east-1"),
    ],
)
def test_every_host_of_private_ecr_says_account_and_region(host: str, region: str) -> None:
    reference = parse_reference(f"{host}/team/app:1.0")
    assert reference == ImageReference(
        text=f"{host}/team/app:1.0",
        registry=RegistryKind.PRIVATE,
        host=host.lower(),
        account=ACCOUNT,
        region=region,
        repository="team/app",
        tag="1.0",
    )


@pytest.mark.parametrize(
    ("text", "registry", "host", "repository", "tag", "digest"),
    [
        ("nginx", RegistryKind.OTHER, "", "nginx", "latest", None),
        ("team/app:1", RegistryKind.OTHER, "", "team/app", "1", None),
        ("localhost/app", RegistryKind.OTHER, "localhost", "app", "latest", None),
        ("registry:5000/app:1", RegistryKind.OTHER, "registry:5000", "app", "1", None),
        ("[::1]:5000/app", RegistryKind.OTHER, "[::1]:5000", "app", "latest", None),
        ("public.ecr.aws/docker/nginx:1", RegistryKind.PUBLIC, "public.ecr.aws", "docker/nginx", "1", None),
        ("ecr-public.aws.com/a/b", RegistryKind.PUBLIC, "ecr-public.aws.com", "a/b", "latest", None),
        (
            f"12345.dkr.ecr.{REGION}.amazonaws.com/a",
            RegistryKind.OTHER,
            f"12345.dkr.ecr.{REGION}.amazonaws.com",
            "a",
            "latest",
            None,
        ),
        (f"{HOST}/a@{DIGEST}", RegistryKind.PRIVATE, HOST, "a", None, DIGEST),
        (f"{HOST}/a:v1@{DIGEST}", RegistryKind.PRIVATE, HOST, "a", "v1", DIGEST),
        (f" docker-pullable://{HOST}/a@{DIGEST}\n", RegistryKind.PRIVATE, HOST, "a", None, DIGEST),
        (f"docker://{HOST}/a:v1", RegistryKind.PRIVATE, HOST, "a", "v1", None),
        (f"https://{HOST}/a:v1", RegistryKind.PRIVATE, HOST, "a", "v1", None),
        (DIGEST, RegistryKind.NONE, "", "", None, DIGEST),
        (f"docker://{DIGEST}", RegistryKind.NONE, "", "", None, DIGEST),
        (
            "MyRepository@sha256:123456789012",
            RegistryKind.OTHER,
            "",
            "MyRepository",
            None,
            "sha256:123456789012",
        ),
    ],
)
def test_references_of_every_form(
    text: str, registry: RegistryKind, host: str, repository: str, tag: str | None, digest: str | None
) -> None:
    found = parse_reference(text)
    assert found.text == text.strip()
    assert (found.registry, found.host, found.repository) == (registry, host, repository)
    assert (found.tag, found.digest) == (tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "a:",
        "a:b:c",
        "a@",
        "a@b",
        f"@{DIGEST}",
        "/a",
        "a/",
        "a//b",
        "a:-b",
        f"{HOST}/",
        HOST,
        f"{HOST}:latest",
        "é",
        "a\0",
        "x" + ":t" * 2,
        "http://",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no image reference; write HOST"):
        parse_reference(text)


@given(st.text() | st.text("ab:/@.-_ 1sha256\n", max_size=20))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        found = parse_reference(text)
    except InputError:
        return
    assert (found.tag is None) <= (found.digest is not None)
    assert parse_reference(found.text) == found


def texts(text: str) -> list[str]:
    return [reference.text for reference in read_references(text, "in-use.txt")]


def test_lines_with_comments_and_blanks() -> None:
    text = f"\ufeff# production\n\n{HOST}/a:1 # the shop\r\n  {HOST}/b\t#x\n{HOST}/a:1\n"
    assert texts(text) == [f"{HOST}/a:1", f"{HOST}/b"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], []),
        ({"apiVersion": "v1", "kind": "List", "items": []}, []),
        ({"tasks": [], "failures": []}, []),
        ("a:1", ["a:1"]),
        (["a:1", "b", "a:1"], ["a:1", "b"]),
        ([{"image": "a:1"}, {"imageUri": "b:2"}, "c"], ["a:1", "b:2", "c"]),
        ([{"imageDigest": DIGEST}], [DIGEST]),
        ({"images": ["a:1", "b:2"]}, ["a:1", "b:2"]),
        ({"Code": {"ImageUri": "a:1", "ResolvedImageUri": f"a@{DIGEST}"}}, ["a:1", f"a@{DIGEST}"]),
        (
            {"imageConfiguration": {"imageUri": "h.io/a:1", "resolvedImageDigest": DIGEST}},
            ["h.io/a:1", f"h.io/a@{DIGEST}"],
        ),
        ({"containerDefinitions": [{"image": "a", "command": ["x y"]}, {"image": "b"}]}, ["a", "b"]),
    ],
)
def test_json_of_every_shape(document: Any, expected: list[str]) -> None:
    assert texts(json.dumps(document)) == expected
    assert texts("\ufeff\n" + json.dumps(document, indent=2)) == expected


def test_several_json_documents_count_together() -> None:
    assert texts('"a"\n"b"\n["c"]{"image": "d"}') == ["a", "b", "c", "d"]


def test_pods_name_what_they_ask_for_and_what_runs() -> None:
    pod = {
        "metadata": {"annotations": {"image": "not this"}},
        "spec": {
            "initContainers": [{"name": "init", "image": f"{HOST}/init:1"}],
            "containers": [{"name": "app", "image": f"{HOST}/app:1", "args": ["image: x"]}],
            "ephemeralContainers": [{"name": "debug", "image": "busybox"}],
            "volumes": [{"name": "model", "image": {"reference": f"{HOST}/model:3", "pullPolicy": "Always"}}],
        },
        "status": {
            "containerStatuses": [
                {"image": f"{HOST}/app:1", "imageID": f"{HOST}/app@{DIGEST}"},
                {"image": DIGEST, "imageID": f"docker-pullable://{HOST}/init@{DIGEST}"},
                {"image": "what is this", "imageID": ""},
                {"image": "busybox", "imageID": f"docker://{DIGEST}"},
            ]
        },
    }
    found = texts(json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod, pod]}))
    assert sorted(found) == sorted(
        [
            f"{HOST}/init:1",
            f"{HOST}/app:1",
            "busybox",
            f"{HOST}/model:3",
            f"{HOST}/app@{DIGEST}",
            f"docker-pullable://{HOST}/init@{DIGEST}",
        ]
    )


def test_tasks_name_the_tag_and_the_digest_that_runs() -> None:
    task = {
        "containers": [
            {"image": f"{HOST}/app:1", "imageDigest": DIGEST},
            {"image": f"{HOST}/b@{DIGEST}", "imageDigest": DIGEST},
        ]
    }
    found = read_references(json.dumps({"tasks": [task], "failures": []}), "tasks.json")
    assert [(one.repository, one.tag, one.digest, one.region) for one in found] == [
        ("app", "1", None, REGION),
        ("app", None, DIGEST, REGION),
        ("b", None, DIGEST, REGION),
    ]


def test_listed_images_are_named_by_account_repository_and_digest() -> None:
    (found,) = read_references(
        json.dumps({"imageDetails": [{"registryId": ACCOUNT, "repositoryName": "a", "imageDigest": DIGEST}]}),
        "x",
    )
    assert found == ImageReference(
        text=f"{ACCOUNT}/a@{DIGEST}",
        registry=RegistryKind.PRIVATE,
        account=ACCOUNT,
        repository="a",
        digest=DIGEST,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no image"),
        (" \n\ufeff", "names no image"),
        ("# nothing yet\n", "names no image"),
        ("a:1\nNAME   READY\n", "line 2: 'NAME   READY' is no image reference"),
        ("{}", "names no image"),
        ('{"items": [{"kind": "Node"}]}', "names no image"),
        ("[5]", "entry 0 is neither a text nor an object"),
        ("[[]]", "entry 0 is neither a text nor an object"),
        ('["a b"]', "entry 0: 'a b' is no image reference"),
        ('[{"image": "a b"}]', "'a b' is no image reference"),
        ('[{"imageDigest": "a"}]', "is no digest"),
        ('[{"imageDigest": "\\ud800"}]', "is no image reference"),
        ('["a"', "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_list_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        texts(text)
    assert str(caught.value).startswith("in-use.txt")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_deep_documents_are_walked_to_the_end() -> None:
    text = '{"a":' * 400 + '{"image": "x"}' + "}" * 400
    assert texts(text) == ["x"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["image", "images", "imageDigest", "apiVersion", "items", "x"]), inner
        )
    ),
    max_leaves=12,
)


@examples(200)
@given(st.text() | JSON.map(json.dumps))
def test_any_text_is_a_list_or_refused_in_one_line(text: str) -> None:
    try:
        found, refusal = texts(text), ""
    except InputError as error:
        found, refusal = [], str(error)
    assert len(refusal.splitlines()) <= 1
    assert len(set(found)) == len(found)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


#: (account, repository, digest number, tags, numbers of children; None for an image).
Held = tuple[str, str, int, tuple[str, ...], tuple[int, ...] | None]


def documents_of(held: list[Held], region: str | None = REGION) -> Documents:
    """Listed images with manifests that name those children."""
    details, images = [], []
    for account, name, number, tags, children in held:
        place = {"registryId": account, "repositoryName": name}
        media_type = OCI_MANIFEST if children is None else OCI_INDEX
        details.append(
            {
                **place,
                "imageDigest": digest(number),
                "imageTags": list(tags),
                "imageManifestMediaType": media_type,
            }
        )
        blob = {"mediaType": "application/x", "digest": digest(99), "size": 1}
        content = (
            {"config": blob, "layers": []}
            if children is None
            else {"manifests": [{**blob, "digest": digest(child)} for child in children]}
        )
        images.append(
            {
                **place,
                "imageId": {"imageDigest": digest(number)},
                "imageManifest": json.dumps({"schemaVersion": 2, "mediaType": media_type, **content}),
            }
        )
    return read_documents(
        [("i", json.dumps({"imageDetails": details}))],
        [("m", json.dumps({"images": images}))],
        region=region,
        taken_at_ms=0,
    )


def numbers_of(documents: Documents, digests: Sequence[str]) -> Int64:
    ids = dict(zip(documents.digests, documents.frames.artifacts.digest_id.tolist(), strict=True))
    return np.array([ids.get(digest, -1) for digest in digests], np.int64)


def in_use(documents: Documents, *references: str | ImageReference, **options: bool) -> InUse:
    def digest_ids(digests: Sequence[str]) -> Int64:
        return numbers_of(documents, digests)

    parsed = [parse_reference(one) if isinstance(one, str) else one for one in references]
    families = find_families(documents.frames)
    return find_in_use(parsed, documents.frames, documents.facts, families, digest_ids, **options)


FLEET: list[Held] = [
    (ACCOUNT, "app", 1, ("1.0", "latest"), None),
    (ACCOUNT, "app", 2, (), None),
    (ACCOUNT, "app", 3, ("multi",), (2, 4, 50)),
    (ACCOUNT, "app", 4, (), (5,)),
    (ACCOUNT, "app", 5, (), None),
    (ACCOUNT, "team/app", 1, ("1.0",), None),
    ("222222222222", "app", 1, ("1.0",), None),
]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (f"{HOST}/app", [0]),
        (f"{HOST}/app:1.0", [0]),
        (f"{HOST}/team/app:1.0", [5]),
        (f"{HOST}/app@{digest(2)}", [1]),
        (f"{HOST}/app:gone@{digest(2)}", [1]),
        (f"{HOST}/app:multi", [1, 2, 3, 4]),
        (f"{HOST}/app@{digest(4)}", [3, 4]),
        (f"{HOST.replace(ACCOUNT, '222222222222')}/app:1.0", [6]),
        (f"{ACCOUNT}.dkr-ecr.{REGION}.on.aws/app:1.0", [0]),
        (digest(1), [0, 5, 6]),
    ],
)
def test_references_name_images_and_what_is_under_them(reference: str, expected: list[int]) -> None:
    found = in_use(documents_of(FLEET), reference)
    assert np.flatnonzero(found.in_use).tolist() == expected
    assert found.unmatched == found.elsewhere == []
    assert not found.possibly.any()


def test_what_names_nothing_is_broken_or_elsewhere() -> None:
    broken = [f"{HOST}/app:gone", f"{HOST}/app@{digest(77)}"]
    missing = [f"{HOST}/other:1"]
    other = [
        f"{HOST.replace(REGION, 'us-east-1')}/app:1.0",
        f"{HOST.replace(ACCOUNT, '333333333333')}/app:1.0",
        "app:1.0",
        f"public.ecr.aws/app/app@{digest(1)}",
        digest(77),
    ]
    documents = documents_of(FLEET)
    some = in_use(documents, *broken, *missing, *other)
    assert not some.in_use.any()
    assert some.named == [()] * 8
    assert [one.text for one in some.unmatched] == broken
    assert [one.text for one in some.elsewhere] == missing + other
    whole = in_use(documents, *broken, *missing, *other, whole_registries=True)
    assert [one.text for one in whole.unmatched] == broken + missing
    assert [one.text for one in whole.elsewhere] == other


def test_registry_that_was_read_in_part_may_hold_more() -> None:
    documents = documents_of(FLEET)
    registries = documents.frames.registries.assign(status="partial")
    documents = replace(documents, frames=replace(documents.frames, registries=registries))
    found = in_use(documents, f"{HOST}/other:1", whole_registries=True)
    assert (len(found.unmatched), len(found.elsewhere)) == (0, 1)


def test_unknown_account_region_and_name_fit_any() -> None:
    documents = documents_of([("", "", 1, ("1.0",), None), ("", "app", 2, ("1.0",), None)], region=None)
    found = in_use(documents, f"{HOST}/app:1.0", f"{HOST}/b@{digest(1)}", f"{HOST}/b@{digest(2)}")
    assert found.named == [(0, 1), (0,), ()]
    known = documents_of(FLEET)
    listed = ImageReference(text="x", registry=RegistryKind.PRIVATE, repository="app", digest=digest(1))
    assert in_use(known, listed).named == [(0, 6)]


def test_index_that_nobody_read_may_have_the_rest_as_children() -> None:
    text = json.dumps(
        {
            "imageDetails": [
                {
                    "repositoryName": name,
                    "imageDigest": digest(number),
                    "imageTags": tags,
                    "imageManifestMediaType": kind,
                }
                for name, number, tags, kind in (
                    ("a", 1, ["multi"], OCI_INDEX),
                    ("a", 2, [], OCI_MANIFEST),
                    ("b", 3, [], OCI_MANIFEST),
                )
            ]
        }
    )
    found = in_use(read_documents([("i", text)], taken_at_ms=0), f"{HOST}/a:multi")
    assert found.in_use.tolist() == [True, False, False]
    assert found.possibly.tolist() == [False, True, False]


def test_digests_are_asked_once_and_only_where_one_is_looked_for() -> None:
    documents = documents_of(FLEET)
    asked: list[list[str]] = []

    def digest_ids(digests: Sequence[str]) -> Int64:
        asked.append(list(digests))
        return numbers_of(documents, digests)

    families = find_families(documents.frames)
    by_tag = [parse_reference(f"{HOST}/app:1.0")]
    find_in_use(by_tag, documents.frames, documents.facts, families, digest_ids)
    assert asked == []
    by_digest = [parse_reference(f"{HOST}/{name}@{digest(1)}") for name in ("team/app", "app")]
    find_in_use(by_tag + by_digest, documents.frames, documents.facts, families, digest_ids)
    assert asked == [[digest(1)]]


def test_nothing_read_and_nothing_named() -> None:
    empty = documents_of([])
    found = in_use(empty, f"{HOST}/a", digest(1), whole_registries=True)
    assert (found.in_use.tolist(), found.named, len(found.elsewhere)) == ([], [(), ()], 2)
    assert not in_use(documents_of(FLEET)).in_use.any()


def covered(documents: Documents, *globs: str) -> Protected:
    def digests(positions: Int64) -> list[str]:
        return [documents.digests[position] for position in positions]

    families = find_families(documents.frames)
    return find_protected(parse_protect(globs), documents.frames, documents.facts, families, digests)


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*", [0, 1, 2, 3, 4, 5, 6]),
        ("app", [0, 1, 2, 3, 4, 6]),
        ("*app", [0, 1, 2, 3, 4, 5, 6]),
        ("team/*", [5]),
        ("[!t]*", [0, 1, 2, 3, 4, 6]),
        ("app:1.?", [0, 6]),
        (":1.*", [0, 5, 6]),
        ("app:multi", [1, 2, 3, 4]),
        ("app:*", [0, 1, 2, 3, 4, 6]),
        (digest(4), [3, 4]),
        (f"{digest(0)[:-1]}[12]", [0, 1, 5, 6]),
        (f"team/app@{digest(1)}", [5]),
        (f"{HOST}/app:1.0", [0]),
        (f"{HOST}/*", [0, 1, 2, 3, 4, 5]),
        ("App", []),
        ("app:1", []),
        (f"team/app@{digest(2)}", []),
        (f"{HOST.replace(REGION, 'us-east-1')}/app", []),
    ],
)
def test_patterns_protect_what_they_name_and_what_is_under_it(glob: str, expected: list[int]) -> None:
    found = covered(documents_of(FLEET), glob)
    assert np.flatnonzero(found.protected).tolist() == expected
    assert found.unmatched == (() if expected else (glob,))


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("public.ecr.aws/shop/app:1.0", [0]),
        ("public.ecr.aws/a1b2c3d4/*app:1.0", [0, 5]),
        ("public.ecr.aws/*", [0, 1, 2, 3, 4, 5]),
        ("PUBLIC.ecr.aws/s*p/team/app", [5]),
        ("public.ecr.aws/stranger/app", []),
        ("public.ecr.aws/app", []),
        ("app:1.0", [0, 6]),
    ],
)
def test_patterns_with_an_alias_are_about_its_registry_alone(glob: str, expected: list[int]) -> None:
    documents = documents_of(FLEET)
    aliases = pd.Series([("a1b2c3d4", "shop"), ()], dtype="object")
    registries = documents.frames.registries.assign(public_aliases=aliases)
    found = covered(replace(documents, frames=replace(documents.frames, registries=registries)), glob)
    assert np.flatnonzero(found.protected).tolist() == expected
    assert found.unmatched == (() if expected else (glob,))


def test_patterns_add_up() -> None:
    found = covered(documents_of(FLEET), "team/app", "nothing", ":multi")
    assert np.flatnonzero(found.protected).tolist() == [1, 2, 3, 4, 5]
    assert found.unmatched == ("nothing",)
    assert not covered(documents_of(FLEET)).protected.any()
    assert covered(documents_of([]), "*").unmatched == ("*",)


@pytest.mark.parametrize(
    "glob",
    [
        "",
        ":",
        "app:",
        "app@",
        "app@x",
        f"@{DIGEST}",
        "a:b:c",
        "host:5000/app",
        "sha256:",
        HOST,
        "public.ecr.aws",
    ],
)
def test_what_is_no_pattern_is_refused(glob: str) -> None:
    with pytest.raises(InputError, match=r"\A--protect '.*' is no pattern for images; write REPOSITORY"):
        parse_protect([glob])


NAMES = st.sampled_from(["a", "b", "a/b"])
TAGS = st.sampled_from(["1", "2", "x"])
ACCOUNTS = st.sampled_from(["", ACCOUNT, "222222222222"])
NUMBERS = st.integers(1, 6)
FLEETS = st.dictionaries(
    st.tuples(ACCOUNTS, st.just("") | NAMES, NUMBERS),
    st.tuples(st.sets(TAGS, max_size=2), st.none() | st.sets(NUMBERS, max_size=2)),
    max_size=12,
)


def fleet_of(drawn: dict[tuple[str, str, int], tuple[set[str], set[int] | None]]) -> list[Held]:
    return [
        (*key, tuple(sorted(tags)), None if children is None else tuple(sorted(children)))
        for key, (tags, children) in sorted(drawn.items())
    ]


def under(held: list[Held], roots: set[int]) -> set[int]:
    """Positions of ``roots`` and of all that their indexes hold, by plain search."""
    found = set(roots)
    while True:
        more = {
            position
            for index in found
            for position, entry in enumerate(held)
            if entry[:2] == held[index][:2] and entry[2] in (held[index][4] or ())
        }
        if more <= found:
            return found
        found |= more


@examples(150)
@given(
    drawn=FLEETS,
    wanted=st.lists(st.tuples(ACCOUNTS.filter(bool), NAMES, TAGS | NUMBERS), max_size=4),
    region=st.none() | st.just(REGION),
)
def test_in_use_is_what_a_plain_search_finds(
    drawn: dict[tuple[str, str, int], tuple[set[str], set[int] | None]],
    wanted: list[tuple[str, str, str | int]],
    region: str | None,
) -> None:
    held = fleet_of(drawn)
    references = [
        f"{account}.dkr.ecr.{REGION}.amazonaws.com/{name}"
        + (f":{what}" if isinstance(what, str) else f"@{digest(what)}")
        for account, name, what in wanted
    ]
    documents = documents_of(held, region)
    found = in_use(documents, *references)
    expected = [
        tuple(
            position
            for position, (account, name, number, tags, _) in enumerate(held)
            if account in ("", of) and name in ("", repository) and (what in tags or what == number)
        )
        for of, repository, what in wanted
    ]
    assert found.named == expected
    roots = {position for positions in expected for position in positions}
    # A manifest of one digest is one manifest to all repositories that were not given their own; here
    # each was given its own.
    assert set(np.flatnonzero(found.in_use).tolist()) == under(held, roots)


@examples(150)
@given(
    drawn=FLEETS,
    repository=st.sampled_from(["*", "a", "a*", "[ab]", "?/?"]),
    tag=st.sampled_from(["", "*", "1", "[12]"]),
)
def test_protected_is_what_a_plain_search_finds(
    drawn: dict[tuple[str, str, int], tuple[set[str], set[int] | None]], repository: str, tag: str
) -> None:
    held = fleet_of(drawn)
    found = covered(documents_of(held), f"{repository}:{tag}" if tag else repository)
    roots = {
        position
        for position, (_, name, _, tags, _) in enumerate(held)
        if fnmatchcase(name, repository) and (not tag or any(fnmatchcase(one, tag) for one in tags))
    }
    assert set(np.flatnonzero(found.protected).tolist()) == under(held, roots)
    assert bool(found.unmatched) == (not roots)
