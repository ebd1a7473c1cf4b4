"""What the AWS CLI prints, to frames: every layout, every time format, every kind of odd content."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.documents import Documents, read_documents
from analyzer.errors import InputError
from analyzer.families import find_families
from analyzer.model.frames import NEVER_PULLED, NO_MANIFEST, NO_SIZE, NO_TIME, Listed
from analyzer.model.media_types import OCI_INDEX, OCI_MANIFEST
from analyzer.model.records import ImageStatus, Kind
from analyzer.model.units import from_ms, to_ms
from tests.support.corpus import shared_path
from tests.support.examples import examples

TAKEN_AT_MS = 1_790_000_000_000
PUSHED_AT_MS = 1_565_128_275_000
APP = {"registryId": "123456789012", "repositoryName": "team/app"}


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def detail(number: int, **more: Any) -> dict[str, Any]:
    return {**APP, "imageDigest": digest(number), "imagePushedAt": 1565128275.0, **more}


def listing(*details: Any, **more: Any) -> str:
    return json.dumps({"imageDetails": details, **more})


def image_text(*blobs: tuple[str, int], **more: Any) -> str:
    entries = [{"mediaType": "application/x", "digest": name, "size": size} for name, size in blobs]
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": entries[0], "layers": entries[1:], **more}
    )


def index_text(*children: str) -> str:
    entries = [{"mediaType": OCI_MANIFEST, "digest": child, "size": 1} for child in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def answer(*images: tuple[str, Any], repository: dict[str, str] | None = None, **more: Any) -> str:
    entries = [
        {
            **(APP if repository is None else repository),
            "imageId": {"imageDigest": name},
            "imageManifest": text,
        }
        for name, text in images
    ]
    return json.dumps({"images": entries, "failures": [], **more})


def read(images: str, *manifests: str, region: str | None = None) -> Documents:
    return read_documents(
        [("images.json", images)],
        [("manifests.json", text) for text in manifests],
        region=region,
        taken_at_ms=TAKEN_AT_MS,
    )


def attempt(images: str, *manifests: str) -> tuple[Documents | None, str]:
    """The documents, or why they were refused."""
    try:
        return read(images, *manifests), ""
    except InputError as error:
        return None, str(error)


def reasons(documents: Documents) -> dict[str, int]:
    return {gap.reason: gap.count for gap in documents.gaps}


def tags_of(documents: Documents, position: int) -> set[str]:
    facts = documents.facts
    start, end = facts.tag_offsets[position : position + 2]
    return {facts.tag_names[number] for number in facts.tags[start:end]}


ONE, TWO = detail(1, imageTags=["b", "a"]), detail(2)


@pytest.mark.parametrize(
    "text",
    [
        listing(ONE, TWO),
        "\ufeff" + listing(ONE, TWO),
        listing(ONE) + "\n" + listing(TWO) + "\n\n",
        listing(ONE) + listing(TWO),
        json.dumps(json.loads(listing(ONE)), indent=4)
        + "\r\n\ufeff"
        + json.dumps(json.loads(listing(TWO)), indent=4),
        f"[{listing(ONE)}, {listing(TWO)}]",
        json.dumps([ONE, TWO]),
        f"{json.dumps(ONE)}\n{json.dumps(TWO)}\n",
        f"[{listing(ONE)}, {json.dumps(TWO)}]",
        json.dumps({"status_code": 200, "data": json.loads(listing(ONE, TWO, ResponseMetadata={}))}),
        listing(ONE, nextToken="more") + listing(TWO),
    ],
    ids=[
        "one",
        "mark",
        "lines",
        "joined",
        "pretty",
        "list",
        "bare list",
        "bare lines",
        "mixed",
        "placebo",
        "pages",
    ],
)
def test_every_layout_says_the_same(text: str) -> None:
    documents = read(text)
    assert documents.digests == [digest(1), digest(2)]
    assert [tags_of(documents, position) for position in (0, 1)] == [{"a", "b"}, set()]
    assert documents.frames.artifacts.pushed_at_ms.tolist() == [PUSHED_AT_MS] * 2
    assert reasons(documents) == {"NoManifest": 2}


def test_texts_count_together() -> None:
    documents = read_documents([("a", listing(ONE)), ("b", listing(TWO))], taken_at_ms=TAKEN_AT_MS)
    assert documents.digests == [digest(1), digest(2)]


@pytest.mark.parametrize(
    ("value", "expected_ms"),
    [
        (1565128275, PUSHED_AT_MS),
        (1565128275.0, PUSHED_AT_MS),
        (1565128275.4567, PUSHED_AT_MS + 457),
        ("1565128275.25", PUSHED_AT_MS + 250),
        ("2019-08-06T21:51:15Z", PUSHED_AT_MS),
        ("2019-08-06T23:51:15+02:00", PUSHED_AT_MS),
        ("2019-08-06T14:51:15.5-0700", PUSHED_AT_MS + 500),
        ("2019-08-06 21:51:15.123456+00:00", PUSHED_AT_MS + 123),
        ("2019-08-06T21:51:15.123456789", PUSHED_AT_MS + 123),
        ("2019-08-06T21:51:15", PUSHED_AT_MS),
        (
            {
                "__class__": "datetime",
                "year": 2019,
                "month": 8,
                "day": 6,
                "hour": 21,
                "minute": 51,
                "second": 15,
            },
            PUSHED_AT_MS,
        ),
        (0, 0),
        (-1.5, -1500),
    ],
)
def test_times_in_every_notation(value: object, expected_ms: int) -> None:
    names = ("imagePushedAt", "lastRecordedPullTime", "lastArchivedAt", "lastActivatedAt")
    documents = read(listing(detail(1, **dict.fromkeys(names, value))))
    facts = documents.facts
    assert [
        int(times[0])
        for times in (
            documents.frames.artifacts.pushed_at_ms,
            facts.pulled_at_ms,
            facts.archived_at_ms,
            facts.activated_at_ms,
        )
    ] == [expected_ms] * 4
    assert documents.frames.artifacts.pulled_day.tolist() == [expected_ms // 86_400_000]


@pytest.mark.parametrize(
    "value",
    [
        True,
        "",
        "yesterday",
        "2019-08-06",
        "20190806T215115Z",
        "2019-02-30T00:00:00Z",
        "2019-08-06T21:51:15+99:00",
        1565128275000,
        -1e300,
        10**300,
        [],
        {},
        {"__class__": "datetime", "year": 2019, "month": 8},
        {"__class__": "datetime", "year": "2019", "month": 8, "day": 6},
        {"__class__": "datetime", "year": 10**30, "month": 8, "day": 6},
        {"__class__": "datetime", "year": 2019, "month": 13, "day": 6},
        {"__class__": "date", "year": 2019, "month": 8, "day": 6},
    ],
)
@pytest.mark.parametrize(
    "name", ["imagePushedAt", "lastRecordedPullTime", "lastArchivedAt", "lastActivatedAt"]
)
def test_what_is_no_time_is_refused(name: str, value: object) -> None:
    with pytest.raises(
        InputError, match=rf"\Aimages\.json, document 1, imageDetails \[1\]: {name}: .*describe-images"
    ):
        read(listing(ONE, detail(2, **{name: value})))


def test_absent_facts_are_unknown_and_not_zero() -> None:
    documents = read(listing({"imageDigest": "sha256:1"}))
    artifacts, facts = documents.frames.artifacts, documents.facts
    assert artifacts.pushed_at_ms.tolist() == [NO_TIME]
    assert artifacts.pulled_day.tolist() == [NEVER_PULLED]
    assert artifacts.reported_size_bytes.tolist() == [NO_SIZE]
    assert artifacts.manifest.tolist() == [NO_MANIFEST]
    assert artifacts.listed.tolist() == [Listed.UNKNOWN]
    assert artifacts.image_status.tolist() == [ImageStatus.ACTIVE]
    assert [facts.pulled_at_ms[0], facts.archived_at_ms[0], facts.activated_at_ms[0]] == [NO_TIME] * 3
    (registry,) = documents.frames.registries.to_dict("records")
    assert registry == {
        "partition": "",
        "account": "",
        "region": "",
        "snapshot": 0,
        "run": 0,
        "taken_at_ms": TAKEN_AT_MS,
        "status": "complete",
        "blob_mounting": "",
        "blob_mounting_ever": False,
        "account_name": "",
        "public_aliases": (),
    }
    (repository,) = documents.frames.repositories.to_dict("records")
    assert repository == {
        "registry": 0,
        "repository": "",
        "created_at_ms": NO_TIME,
        "status": "complete",
        "complete_at_ms": TAKEN_AT_MS,
        "encryption_type": "",
        "kms_key": "",
        "pull_through_cache": False,
        "pull_through_cache_known": False,
        "lifecycle_policy_text": None,
        "lifecycle_policy_known": False,
    }
    assert reasons(documents) == {"NoPushTime": 1, "NoManifest": 1}
    assert "sha256:1" in next(gap.detail for gap in documents.gaps if gap.reason == "NoPushTime")


def test_no_images_are_an_empty_answer() -> None:
    documents = read(listing(), answer())
    assert (documents.digests, documents.gaps) == ([], [])
    assert len(documents.frames.registries) == len(documents.frames.repositories) == 0
    assert find_families(documents.frames).opaque.tolist() == []


def test_repositories_of_several_registries_are_apart_and_in_order() -> None:
    places = [("222222222222", "a"), ("111111111111", "b"), ("111111111111", "a"), (None, "a")]
    details = [
        {"registryId": account, "repositoryName": name, "imageDigest": digest(number), "imagePushedAt": 0}
        for number in (2, 1)
        for account, name in places
    ]
    documents = read(listing(*details), region="cn-north-1")
    frames = documents.frames
    assert frames.registries["account"].tolist() == ["", "111111111111", "222222222222"]
    assert set(frames.registries["region"]) == {"cn-north-1"}
    assert set(frames.registries["partition"]) == {"aws-cn"}
    assert frames.repositories["registry"].tolist() == [0, 1, 1, 2]
    assert frames.repositories["repository"].tolist() == ["a", "a", "b", "a"]
    assert frames.artifacts.repository.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert documents.digests == [digest(1), digest(2)] * 4
    keys = (frames.artifacts.repository.astype(np.int64) << 32) | frames.artifacts.digest_id
    assert (np.diff(keys) > 0).all()
    assert {gap.region for gap in documents.gaps} == {"cn-north-1"}


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-west-1", "aws"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_partition_follows_the_region(region: str, partition: str) -> None:
    assert read(listing(ONE), region=region).frames.registries["partition"].tolist() == [partition]


def test_smaller_digest_text_has_the_smaller_tie() -> None:
    documents = read(
        listing(
            *({"imageDigest": name, "imagePushedAt": 5} for name in ("sha256:b", "sha256:10", "sha256:9"))
        )
    )
    assert documents.digests == ["sha256:10", "sha256:9", "sha256:b"]
    assert (np.diff(documents.facts.tie) > 0).all()


def test_statuses_media_types_and_subjects() -> None:
    documents = read(
        listing(
            detail(1, imageStatus="ACTIVE", imageManifestMediaType=OCI_MANIFEST),
            detail(2, imageStatus="ARCHIVED", imageManifestMediaType=OCI_INDEX),
            detail(3, imageStatus="ACTIVATING", imageManifestMediaType="application/x"),
            detail(4, imageStatus="NEW", artifactMediaType="application/vnd.oci.image.config.v1+json"),
            detail(5, subjectManifestDigest=digest(1)),
            detail(6, subjectManifestDigest="sha256:gone"),
        )
    )
    artifacts = documents.frames.artifacts
    assert artifacts.image_status.tolist() == [
        ImageStatus.ACTIVE,
        ImageStatus.ARCHIVED,
        ImageStatus.ACTIVATING,
        ImageStatus.OTHER,
        ImageStatus.ACTIVE,
        ImageStatus.ACTIVE,
    ]
    assert artifacts.listed.tolist() == [
        Listed.IMAGE,
        Listed.INDEX,
        Listed.UNKNOWN,
        Listed.IMAGE,
        Listed.UNKNOWN,
        Listed.UNKNOWN,
    ]
    families = find_families(documents.frames)
    assert families.subject.tolist() == [-1, -1, -1, -1, 0, -1]
    assert families.opaque.tolist() == [False, True, True, False, True, True]
    assert reasons(documents) == {"UnknownImageStatus": 1, "NoManifest": 5, "NoIndexManifest": 1}


def test_entries_for_one_image_are_united() -> None:
    documents = read(
        listing(
            detail(1, imageTags=["b"], imageSizeInBytes=7),
            detail(1, imageTags=["a", "b"], imageManifestMediaType=OCI_MANIFEST),
        )
    )
    assert tags_of(documents, 0) == {"a", "b"}
    assert documents.frames.artifacts.tags.tolist() == [2]
    assert documents.frames.artifacts.reported_size_bytes.tolist() == [7]
    assert documents.frames.artifacts.listed.tolist() == [Listed.IMAGE]
    assert reasons(documents) == {"NoManifest": 1}


def test_entries_that_contradict_each_other_are_a_gap_and_the_later_counts() -> None:
    documents = read(
        listing(detail(1, imageStatus="ARCHIVED"), detail(1, imageStatus="ACTIVE", imagePushedAt=5))
    )
    assert documents.frames.artifacts.pushed_at_ms.tolist() == [5000]
    assert documents.frames.artifacts.image_status.tolist() == [ImageStatus.ACTIVE]
    assert reasons(documents) == {"Contradiction": 1, "NoManifest": 1}


def test_tag_on_two_images_is_a_gap() -> None:
    documents = read(listing(detail(1, imageTags=["v1"]), detail(2, imageTags=["v1"])))
    assert [tags_of(documents, position) for position in (0, 1)] == [{"v1"}, {"v1"}]
    assert reasons(documents) == {"TagOnSeveralImages": 1, "NoManifest": 2}


@pytest.mark.parametrize("name", ["nextToken", "NextToken"])
def test_listing_that_breaks_off_is_partial(name: str) -> None:
    documents = read(
        listing(ONE, **{name: "more"}) + listing({"repositoryName": "b", **TWO, "registryId": "1"})
    )
    assert documents.frames.repositories["status"].tolist() == ["complete", "partial"]
    assert documents.frames.repositories["complete_at_ms"].tolist() == [TAKEN_AT_MS, NO_TIME]
    assert reasons(documents)["Truncated"] == 1


def test_empty_last_page_ends_a_listing() -> None:
    assert "Truncated" not in reasons(read(listing(ONE, nextToken="more") + listing()))


@pytest.mark.parametrize(
    "more",
    [
        {"imageSizeInBytes": -1},
        {"imageSizeInBytes": 2**63},
        {"imageSizeInBytes": True},
        {"imageSizeInBytes": 1.5},
        {"imageSizeInBytes": "5"},
        {"imageManifestMediaType": 5},
        {"artifactMediaType": []},
    ],
)
def test_odd_size_or_media_type_is_a_gap(more: dict[str, Any]) -> None:
    documents = read(listing(detail(1, **more)))
    assert documents.frames.artifacts.reported_size_bytes.tolist() == [NO_SIZE]
    assert reasons(documents) == {"InvalidAnswer": 1, "NoManifest": 1}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (5, "5 is no image"),
        (None, "null is no image"),
        ({}, "imageDigest is missing"),
        ({"imageDigest": ""}, "imageDigest is missing"),
        ({"imageDigest": 5}, "imageDigest is 5 and no text"),
        ({"imageDigest": "\ud800"}, "holds characters that are in no name"),
        (detail(1, repositoryName=[]), "repositoryName is a list and no text"),
        (detail(1, registryId=123456789012), "registryId is 123456789012 and no text"),
        (detail(1, imageTags="v1"), "imageTags is 'v1' and no list"),
        (detail(1, imageTags=[None, ""]), "imageTags holds an empty tag"),
        (detail(1, imageTags=[{}]), "a tag is an object and no text"),
        (detail(1, imageTags=["a\0"]), "holds characters that are in no name"),
        (detail(1, imageStatus=1), "imageStatus is 1 and no text"),
        (detail(1, subjectManifestDigest=False), "subjectManifestDigest is false and no text"),
    ],
)
def test_images_that_cannot_be_told_are_refused(entry: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(listing(entry))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "images.json is empty"),
        ("\ufeff \n", "images.json is empty"),
        ("An error occurred", "images.json is not JSON: Expecting value at line 1, column 1"),
        (listing(ONE) + "\n}", "at line 2, column 1"),
        ("{", "is not JSON"),
        ("5", "is 5"),
        ("null", "is null"),
        ('"x"', "is 'x'"),
        ("[[]]", "entry 0 is a list"),
        ("{}", "has no imageDetails"),
        ('{"imageDetails": null}', "imageDetails is null and no list"),
        ('{"imageDetails": NaN}', "a value from line 1 on cannot be read"),
        ("1" * 5000, "a value from line 1 on cannot be read"),
        ("[" * 100_000, "nested too deeply"),
        ('{"imageDetails":' + "[" * 100_000, "nested too deeply"),
        ('{"imageIds": []}', "`aws ecr list-images`"),
        (answer(), "--manifests takes"),
        ('{"previewResults": []}', "get-lifecycle-policy-preview"),
        ('{"rules": []}', "a lifecycle policy"),
        ('{"Error": {}}', "an error of the AWS CLI"),
        ('{"imageDigest": "sha256:1", "imageTag": "v1"}', "list-images"),
        ('[{"imageDigest": "sha256:1", "imageTag": "v1"}]', "list-images"),
    ],
)
def test_other_documents_are_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert str(caught.value).startswith("images.json")
    assert message in str(caught.value)
    assert str(caught.value).endswith("give what `aws ecr describe-images --output json` prints")


def test_manifests_give_sizes_children_and_subjects() -> None:
    manifests = answer(
        (digest(1), image_text((digest(10), 5), (digest(11), 7), (digest(11), 7))),
        (digest(2), index_text(digest(1), digest(99))),
        (
            digest(3),
            image_text((digest(10), 5), subject={"digest": digest(2), "mediaType": OCI_INDEX, "size": 1}),
        ),
    )
    documents = read(listing(detail(1), detail(2), detail(3)), manifests)
    frames = documents.frames
    assert documents.gaps == []
    assert frames.manifests.kind.tolist() == [Kind.IMAGE, Kind.INDEX, Kind.IMAGE]
    start, end = frames.manifests.blob_offsets[:2]
    assert frames.blob_size_bytes[frames.manifests.blobs[start:end]].tolist() == [5, 7, 7]
    families = find_families(frames)
    assert list(zip(families.parent.tolist(), families.child.tolist(), strict=True)) == [(1, 0)]
    assert families.subject.tolist() == [-1, -1, 1]
    assert not families.opaque.any()


def test_short_digests_are_taken_as_given() -> None:
    manifests = answer(
        ("sha256:i", image_text(("sha256:c", 5), (digest(11), 7))),
        ("sha256:x", index_text("sha256:i", "gone")),
    )
    documents = read(
        listing({**APP, "imageDigest": "sha256:i"}, {**APP, "imageDigest": "sha256:x"}), manifests
    )
    assert reasons(documents) == {"NoPushTime": 2}
    frames = documents.frames
    assert frames.blob_size_bytes[frames.manifests.blobs].tolist() == [5, 7]
    families = find_families(frames)
    assert (families.parent.tolist(), families.child.tolist()) == ([1], [0])


@pytest.mark.parametrize(
    "text",
    [
        '{"mediaType": "%s", "mediaType": "%s", "manifests": [{"digest": "short", "size": 1}]}',
        '{"mediaType": "%s", "manifests": [{"digest": "", "size": 1}]}',
        '{"mediaType": "%s", "manifests": [{"digest": "\\ud800", "size": 1}]}',
        '{"mediaType": "%s", "manifests": [5, {"digest": 5, "size": 1}, {"digest": "short", "size": -1}]}',
        '{"mediaType": "%s", "manifests": {"digest": "short"}}',
        "[]",
    ],
)
def test_malformed_manifests_are_gaps(text: str) -> None:
    documents = read(listing(ONE), answer((digest(1), text.replace("%s", OCI_INDEX))))
    assert documents.frames.manifests.kind.tolist() == [Kind.UNREADABLE]
    assert reasons(documents) == {"UnreadableManifest": 1}
    assert find_families(documents.frames).opaque.tolist() == [True]


@pytest.mark.parametrize("text", ["manifestExample1", "", "[" * 100_000, "1" * 5000, "\ud800"])
def test_manifests_that_are_not_json_are_gaps(text: str) -> None:
    assert reasons(read(listing(ONE), answer((digest(1), text)))) == {"ManifestNotJSON": 1}


def test_manifest_of_an_unknown_type_is_a_gap() -> None:
    documents = read(listing(ONE), answer((digest(1), '{"mediaType": "application/x"}')))
    assert reasons(documents) == {"UnknownMediaType": 1}


@pytest.mark.parametrize("manifest", [None, 5, {"schemaVersion": 2}])
def test_manifest_that_is_no_text_is_a_gap(manifest: object) -> None:
    documents = read(listing(ONE), answer((digest(1), manifest)))
    assert reasons(documents) == {"ManifestNotJSON": 1, "NoManifest": 1}


def test_manifest_given_twice_counts_once() -> None:
    text = image_text((digest(10), 5))
    again = json.dumps(json.loads(text), indent=3)
    documents = read(listing(ONE), answer((digest(1), text), (digest(1), text)), answer((digest(1), again)))
    assert documents.gaps == []
    assert documents.frames.manifests.blobs.tolist() == [2]


def test_manifests_that_contradict_each_other_count_for_nothing() -> None:
    texts = [image_text((digest(10), size)) for size in (5, 6, 7)]
    documents = read(listing(ONE), answer(*((digest(1), text) for text in texts)))
    assert documents.frames.artifacts.manifest.tolist() == [NO_MANIFEST]
    assert reasons(documents) == {"ManifestContradiction": 1}


def test_each_repository_keeps_the_manifest_given_for_it() -> None:
    other = {"registryId": "123456789012", "repositoryName": "other"}
    documents = read(
        listing(ONE, {**ONE, **other}, {**ONE, "repositoryName": "third"}),
        answer((digest(1), image_text((digest(10), 5)))),
        answer((digest(1), image_text((digest(11), 6))), repository=other),
    )
    frames = documents.frames
    assert frames.repositories["repository"].tolist() == ["other", "team/app", "third"]
    assert frames.artifacts.manifest.tolist() == [0, 1, NO_MANIFEST]
    assert frames.blob_size_bytes[frames.manifests.blobs].tolist() == [6, 5]
    assert reasons(documents) == {"ManifestContradiction": 1}


def test_manifest_given_for_one_repository_serves_the_others() -> None:
    text = answer((digest(1), image_text((digest(10), 5))), repository={})
    documents = read(listing(ONE, {**ONE, "repositoryName": "other"}), text)
    assert documents.frames.artifacts.manifest.tolist() == [0, 0]
    assert len(documents.frames.manifests.kind) == 1
    assert documents.gaps == []


def test_blob_of_two_sizes_is_a_gap() -> None:
    documents = read(
        listing(ONE, TWO),
        answer((digest(1), image_text((digest(10), 5))), (digest(2), image_text((digest(10), 6)))),
    )
    assert documents.frames.blob_size_bytes[documents.frames.manifests.blobs].tolist() == [5, 5]
    assert reasons(documents) == {"SizeConflict": 1}


def test_manifests_of_images_that_are_not_listed_are_a_gap() -> None:
    documents = read(listing(ONE), answer((digest(2), image_text((digest(10), 5)))))
    assert len(documents.frames.manifests.kind) == 0
    assert reasons(documents) == {"NoManifest": 1, "NotListed": 1}


def test_failures_are_gaps_of_their_repository() -> None:
    text = answer(
        (digest(1), image_text((digest(10), 5))),
        failures=[
            {
                "imageId": {"imageDigest": digest(2)},
                "failureCode": "ImageNotFound",
                "failureReason": "Requested…",
            },
            {"imageId": {"imageTag": "v1"}, "failureCode": "ImageNotFound"},
            {"imageId": 5, "failureCode": ["x"]},
            7,
        ],
    )
    documents = read(listing(ONE), text)
    found = {gap.reason: gap for gap in documents.gaps}
    assert {reason: gap.count for reason, gap in found.items()} == {"ImageNotFound": 2, "Unknown": 2}
    assert found["ImageNotFound"].repository == "team/app"
    assert found["ImageNotFound"].detail == f"2 manifests not given by ECR: sizes unknown ({digest(2)}, v1)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "manifests.json is empty"),
        (listing(ONE), "--images takes"),
        (json.dumps(ONE), "--images takes"),
        ("[[]]", "entry 0 is a list"),
        ("{}", "has no images"),
        ("7", "is 7"),
        ('{"images": 5}', "images is 5 and no list"),
        ('{"images": [], "failures": 5}', "failures is 5 and no list"),
        ('{"images": [5]}', "5 is no image"),
        ('{"images": [{"imageManifest": "x"}]}', "imageId is null and no object"),
        ('{"images": [{"imageId": {"imageTag": "x"}}]}', "imageId.imageDigest is missing"),
        ('{"images": [{"imageId": {"imageDigest": 5}}]}', "imageId.imageDigest is 5 and no text"),
        (image_text((digest(1), 5)), "a manifest without its digest"),
    ],
)
def test_other_documents_are_refused_as_manifests(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(listing(ONE), text)
    assert str(caught.value).startswith("manifests.json")
    assert message in str(caught.value)


@pytest.mark.parametrize("bare", [False, True])
def test_manifests_in_other_layouts(bare: bool) -> None:
    images = json.loads(answer((digest(1), image_text((digest(10), 5)))))
    text = json.dumps(images["images"] if bare else [images])
    assert read(listing(ONE), text).gaps == []
    assert read(listing(ONE), json.dumps(images["images"][0])).gaps == []


def test_documented_and_recorded_answers_are_read() -> None:
    folder = shared_path() / "data" / "ecr_api"
    if not folder.is_dir():
        pytest.skip(f"no recorded answers at {folder} (set DEMURRAGE_SHARED)")
    lines = [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    images = [
        json.dumps(line["data"])
        for line in lines
        if line["operation"] in ("describe-images", "DescribeImages")
    ]
    manifests = [json.dumps(line["data"]) for line in lines if line["operation"] == "batch-get-image"]
    documents = read("\n".join(images), "".join(manifests))
    expected = sum(len(json.loads(text)["imageDetails"]) for text in images)
    assert expected == len(documents.digests) == 6
    assert from_ms(int(documents.frames.artifacts.pushed_at_ms[0])) == datetime(
        2019, 8, 6, 21, 51, 15, tzinfo=UTC
    )
    frames = documents.frames
    assert frames.blob_size_bytes[frames.manifests.blobs].sum() == 2777 + 17743696 + 2565026 + 28005981 + 775
    assert set(reasons(documents)) == {"NoManifest", "NotListed"}
    for line in lines:
        if line["operation"] not in ("describe-images", "DescribeImages"):
            with pytest.raises(InputError):
                read(json.dumps(line["data"]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = [
    "registryId",
    "repositoryName",
    "imageTag",
    "imageTags",
    "imageSizeInBytes",
    "imagePushedAt",
    "imageStatus",
    "lastArchivedAt",
    "lastActivatedAt",
    "lastRecordedPullTime",
    "subjectManifestDigest",
    "imageManifestMediaType",
    "artifactMediaType",
    "imageManifest",
]
SHAPED = st.fixed_dictionaries(
    {
        "imageDigest": st.text(min_size=1) | JSON,
        "imageId": st.fixed_dictionaries({"imageDigest": st.text()}) | JSON,
    },
    optional=dict.fromkeys(NAMES, JSON | st.text()),
)
TEXTS = st.one_of(
    st.text(),
    JSON.map(json.dumps),
    st.lists(SHAPED | JSON).map(lambda entries: json.dumps({"imageDetails": entries})),
    st.lists(SHAPED | JSON).map(lambda entries: json.dumps({"images": entries, "failures": entries})),
)


@examples(300)
@given(images=TEXTS, manifests=TEXTS)
def test_any_text_is_read_or_refused_in_one_line(images: str, manifests: str) -> None:
    for texts in ((images,), (listing(ONE), manifests)):
        documents, refusal = attempt(*texts)
        assert len(refusal.splitlines()) == (documents is None)
        if documents is not None:
            assert all(len(gap.detail.splitlines()) == 1 for gap in documents.gaps)
            "".join(documents.digests).encode()
            find_families(documents.frames)


PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=6)
MOMENTS = st.none() | st.integers(
    to_ms(datetime(2015, 1, 1, tzinfo=UTC)), to_ms(datetime(2040, 1, 1, tzinfo=UTC))
)
IMAGES = st.fixed_dictionaries(
    {
        "tags": st.sets(PLAIN, max_size=3),
        "pushed": MOMENTS,
        "pulled": MOMENTS,
        "archived": MOMENTS,
        "activated": MOMENTS,
        "status": st.sampled_from(["ACTIVE", "ARCHIVED", "ACTIVATING"]),
        "size": st.none() | st.integers(0, 2**63 - 1),
        "subject": st.none() | PLAIN,
    }
)


@examples(150)
@given(
    held=st.dictionaries(
        st.tuples(st.sampled_from(["", "1", "2"]), st.sampled_from(["", "a", "b"]), PLAIN), IMAGES
    ),
    data=st.data(),
)
def test_random_images_come_back(
    held: dict[tuple[str, str, str], dict[str, Any]], data: st.DataObject
) -> None:
    def written(moment_ms: int | None) -> object:
        if moment_ms is None:
            return None
        moment = from_ms(moment_ms)
        return data.draw(
            st.sampled_from([moment_ms / 1000, moment.isoformat(), moment.isoformat().replace("+00:00", "Z")])
        )

    details = [
        {
            "registryId": account or None,
            "repositoryName": name,
            "imageDigest": of,
            "imageTags": sorted(image["tags"]),
            "imagePushedAt": written(image["pushed"]),
            "lastRecordedPullTime": written(image["pulled"]),
            "lastArchivedAt": written(image["archived"]),
            "lastActivatedAt": written(image["activated"]),
            "imageStatus": image["status"],
            "imageSizeInBytes": image["size"],
            "subjectManifestDigest": image["subject"],
        }
        for (account, name, of), image in data.draw(
            st.permutations(sorted(held.items(), key=lambda item: item[0]))
        )
    ]
    documents = read(listing(*details))
    frames, artifacts, facts = documents.frames, documents.frames.artifacts, documents.facts
    ids = {int(number): of for number, of in zip(artifacts.digest_id, documents.digests, strict=True)}

    def known(values: Any, position: int, unknown: int) -> int | None:
        return None if values[position] == unknown else int(values[position])

    found = {}
    for position, of in enumerate(documents.digests):
        repository = frames.repositories.iloc[int(artifacts.repository[position])]
        account = frames.registries["account"].iloc[int(repository["registry"])]
        subject = int(artifacts.subject[position])
        key = (account, repository["repository"], of)
        found[key] = {
            "tags": tags_of(documents, position),
            "pushed": known(artifacts.pushed_at_ms, position, NO_TIME),
            "pulled": known(facts.pulled_at_ms, position, NO_TIME),
            "archived": known(facts.archived_at_ms, position, NO_TIME),
            "activated": known(facts.activated_at_ms, position, NO_TIME),
            "status": ImageStatus(artifacts.image_status[position]).name,
            "size": known(artifacts.reported_size_bytes, position, NO_SIZE),
            # The name of an absent subject is not kept.
            "subject": ids.get(subject, held[key]["subject"]) if subject else None,
        }
    assert found == held
