"""DescribeImages entries to artifacts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.collect.images import PageFaults, add_page, milliseconds
from analyzer.model.records import Artifact, ImageStatus, ScanSummary

A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64
PUSHED = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)


def page(*details: Any) -> tuple[dict[str, Artifact], PageFaults]:
    artifacts: dict[str, Artifact] = {}
    faults = add_page(details, artifacts)
    return artifacts, faults


def test_a_whole_entry() -> None:
    detail = {
        "registryId": "123456789012",
        "repositoryName": "team/app",
        "imageDigest": A,
        "imageTags": ["v2", "latest", "v2"],
        "imageSizeInBytes": 2**40,
        "imagePushedAt": PUSHED.timestamp(),
        "imageScanStatus": {"status": "COMPLETE"},
        "imageScanFindingsSummary": {
            "imageScanCompletedAt": 86400.0 * 20 + 5,
            "findingSeverityCounts": {"CRITICAL": 1, "HIGH": 2, "MEDIUM": 3, "UNDEFINED": 6},
        },
        "imageManifestMediaType": "application/m",
        "artifactMediaType": "application/a",
        "lastRecordedPullTime": 86400.0 * 30 - 0.001,
        "subjectManifestDigest": B,
        "imageStatus": "ARCHIVED",
        "lastArchivedAt": 7,
        "lastActivatedAt": 8.5,
    }
    artifacts, faults = page(detail)
    assert faults == PageFaults()
    assert artifacts == {
        A: Artifact(
            digest=A,
            tags=("latest", "v2"),
            pushed_at_ms=1_772_366_400_123,
            image_status=ImageStatus.ARCHIVED,
            archived_at_ms=7_000,
            activated_at_ms=8_500,
            reported_size_bytes=2**40,
            media_type="application/m",
            artifact_media_type="application/a",
            subject_digest=B,
            pulled_day=29,
            scan=ScanSummary("COMPLETE", 20, 1, 2, 3, 0, 0, 6),
        )
    }
    assert type(artifacts[A]) is Artifact


def test_what_is_absent_stays_absent() -> None:
    assert page({"imageDigest": A}) == ({A: Artifact(A)}, PageFaults())
    nothing = {"imageTags": None, "imagePushedAt": None, "lastRecordedPullTime": None, "imageStatus": None}
    assert page({"imageDigest": A, **nothing}) == ({A: Artifact(A)}, PageFaults())


@pytest.mark.parametrize(
    "moment",
    [
        PUSHED,
        PUSHED.astimezone(timezone(timedelta(hours=9))),
        PUSHED.timestamp(),
        "2026-03-01T12:00:00.123Z",
        "2026-03-01T13:00:00.123+01:00",
        str(PUSHED.timestamp()),
    ],
)
def test_times_may_be_numbers_datetimes_or_text(moment: object) -> None:
    artifacts, faults = page({"imageDigest": A, "imagePushedAt": moment, "lastRecordedPullTime": moment})
    assert faults == PageFaults()
    assert artifacts[A].pushed_at_ms == 1_772_366_400_123
    assert artifacts[A].pulled_day == 20_513
    assert milliseconds(moment) == 1_772_366_400_123


def test_an_entry_seen_again_replaces_the_earlier_one_and_moves_to_the_end() -> None:
    artifacts: dict[str, Artifact] = {}
    add_page([{"imageDigest": A, "imageTags": ["x", "y"]}, {"imageDigest": B}], artifacts)
    add_page([{"imageDigest": A, "imageTags": ["z"]}], artifacts)
    assert list(artifacts) == [B, A]
    assert artifacts[A].tags == ("z",)


@pytest.mark.parametrize(
    "bad", [None, 5, "", "sha256:short", "md5:" + "a" * 32, A.upper(), A + "\n", A + " "]
)
def test_an_entry_without_a_digest_is_left_out_and_counted(bad: object) -> None:
    artifacts, faults = page({"imageDigest": bad, "imageTags": ["x"]}, {"imageDigest": B, "imageTags": ["y"]})
    assert artifacts == {B: Artifact(B, ("y",))}
    assert faults == PageFaults(left_out=1)


@pytest.mark.parametrize("bad", [None, 5, "text", []])
def test_what_is_no_entry_is_left_out_and_counted(bad: object) -> None:
    assert page(bad, {"imageDigest": B}) == ({B: Artifact(B)}, PageFaults(left_out=1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("imageTags", "text"),
        ("imageTags", 5),
        ("imageTags", [None]),
        ("imagePushedAt", "soon"),
        ("imagePushedAt", float("nan")),
        ("imagePushedAt", float("inf")),
        ("imagePushedAt", 1e300),
        ("imagePushedAt", []),
        ("imagePushedAt", True),
        ("lastRecordedPullTime", -1e12),
        ("lastArchivedAt", {}),
        ("imageSizeInBytes", -1),
        ("imageSizeInBytes", 2**63),
        ("imageSizeInBytes", 1.5),
        ("imageSizeInBytes", True),
        ("imageStatus", []),
        ("imageManifestMediaType", 5),
        ("artifactMediaType", []),
        ("subjectManifestDigest", "sha256:x"),
        ("subjectManifestDigest", 5),
        ("imageScanStatus", "COMPLETE"),
        ("imageScanStatus", {"status": 5}),
        ("imageScanFindingsSummary", ["x"]),
        ("imageScanFindingsSummary", {"findingSeverityCounts": {"HIGH": "many"}}),
        ("imageScanFindingsSummary", {"findingSeverityCounts": {"HIGH": -1}}),
    ],
)
def test_a_field_that_makes_no_sense_is_left_out_and_the_entry_kept(name: str, value: object) -> None:
    good = {"imageDigest": A, "imageSizeInBytes": 5} | {name: value}
    artifacts, faults = page(good, {"imageDigest": B, "imageTags": ["y"]})
    expected = Artifact(A, reported_size_bytes=None if name == "imageSizeInBytes" else 5)
    assert artifacts == {A: expected, B: Artifact(B, ("y",))}
    assert faults == PageFaults(mended=1)


def test_tags_that_no_database_takes_are_made_storable() -> None:
    artifacts, faults = page({"imageDigest": A, "imageTags": ["nul\0", "half\ud800", "é"]})
    assert artifacts[A].tags == ("half\ufffd", "nul\ufffd", "é")
    assert faults == PageFaults(mended=1)


def test_a_status_of_the_future_is_counted() -> None:
    artifacts, faults = page(
        {"imageDigest": A, "imageStatus": "FROZEN"}, {"imageDigest": B, "imageStatus": "ACTIVATING"}
    )
    assert artifacts[A].image_status is ImageStatus.OTHER
    assert artifacts[B].image_status is ImageStatus.ACTIVATING
    assert faults == PageFaults(unknown_status=1)


_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([A, B, "ACTIVE"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_names = [
    "imageTags",
    "imagePushedAt",
    "imageSizeInBytes",
    "imageStatus",
    "imageManifestMediaType",
    "artifactMediaType",
    "subjectManifestDigest",
    "lastRecordedPullTime",
    "lastArchivedAt",
    "imageScanStatus",
    "imageScanFindingsSummary",
]


@given(
    st.lists(
        _value
        | st.fixed_dictionaries(
            {"imageDigest": st.sampled_from([A, B]) | _value}, optional=dict.fromkeys(_names, _value)
        ),
        max_size=5,
    )
)
def test_no_page_raises_and_all_that_comes_out_can_be_stored(details: list[Any]) -> None:
    artifacts, faults = page(*details)
    assert faults.left_out + len(artifacts) <= len(details)
    for digest, artifact in artifacts.items():
        assert digest in (A, B)
        texts = [*artifact.tags, artifact.media_type or "", artifact.artifact_media_type or ""]
        texts.append(artifact.scan.status if artifact.scan else "")
        assert "\0" not in "".join(texts).encode().decode()
        for number in (artifact.pushed_at_ms, artifact.archived_at_ms, artifact.reported_size_bytes):
            assert number is None or -(2**63) <= number < 2**63
        assert artifact.pulled_day is None or -(2**31) <= artifact.pulled_day < 2**31
