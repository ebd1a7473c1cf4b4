"""`demurrage what-if --images`: from what the AWS CLI prints to ECR's own answer, without database or AWS."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import botocore.session
import pytest
from botocore.model import ListShape, Shape, StringShape, StructureShape
from hypothesis import Phase, given
from hypothesis import strategies as st

from analyzer.cli import main
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.writing import policy_json
from analyzer.model.media_types import OCI_INDEX, OCI_MANIFEST
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome as Fate
from analyzer.model.verdicts import Reason
from tests.analyzer.cli.conftest import Outcome
from tests.oracle.lifecycle import Image, Verdict, base_of, evaluate_slowly
from tests.strategies.lifecycle import LifecycleCase, lifecycle_cases
from tests.strategies.registries import sha256
from tests.support.corpus import shared_path
from tests.support.examples import examples
from tests.support.report_fixture import HOSTILE

Cli = Callable[..., Outcome]
Json = dict[str, Any]

#: Asked for before the tests take DEMURRAGE_SHARED out of the environment.
_SHARED = shared_path()
ACCOUNT = "123456789012"
AT = datetime(2026, 11, 23, tzinfo=UTC)
#: A policy that takes whatever was pushed more than a day before.
ALL = {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}
UNTAGGED = ALL | {"tagStatus": "untagged"}
KEEP_ONE = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}
EXPIRE = {"type": "expire"}
ARCHIVE = {"type": "transition", "targetStorageClass": "archive"}


def policy(*selections: Json, action: Json = EXPIRE) -> str:
    rules = [
        {"rulePriority": number, "selection": selection, "action": action}
        for number, selection in enumerate(selections, 1)
    ]
    return json.dumps({"rules": rules})


def detail(name: str, *tags: str, days: float | None = 10, **more: Any) -> Json:
    """An image as ``aws ecr describe-images`` lists it, pushed so many days before ``AT``."""
    listed: Json = {
        "registryId": ACCOUNT,
        "repositoryName": "team/app",
        "imageDigest": sha256(name),
        **({"imageTags": list(tags)} if tags else {}),
        **({} if days is None else {"imagePushedAt": (AT - timedelta(days=days)).isoformat()}),
    }
    return listed | more


def images(*details: Json) -> str:
    return json.dumps({"imageDetails": list(details)})


def manifest(name: str, **layers: int) -> Json:
    """An image of such layers, as ``aws ecr batch-get-image`` prints it."""
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(name + "/config")}
    blobs = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": sha256(layer), "size": size}
        for layer, size in layers.items()
    ]
    return printed(name, OCI_MANIFEST, config={**config, "size": 0}, layers=blobs)


def index(name: str, *children: str, **more: Any) -> Json:
    """An index of such images, as ``aws ecr batch-get-image`` prints it."""
    entries = [{"mediaType": OCI_MANIFEST, "digest": sha256(child), "size": 1} for child in children]
    return printed(name, OCI_INDEX, manifests=entries, **more)


def printed(name: str, media_type: str, **content: Any) -> Json:
    return {
        "registryId": ACCOUNT,
        "repositoryName": "team/app",
        "imageId": {"imageDigest": sha256(name)},
        "imageManifest": json.dumps({"schemaVersion": 2, "mediaType": media_type, **content}),
        "imageManifestMediaType": media_type,
    }


@pytest.fixture
def what_if(demurrage: Cli, tmp_path: Path) -> Cli:
    """Calls the command with documents in place of files, at ``AT`` and for JSON unless told otherwise."""

    def call(
        listing: str | bytes,
        *arguments: str,
        policies: Sequence[str] = (policy(ALL),),
        manifests: str | None = None,
        form: str = "json",
    ) -> Outcome:
        (tmp_path / "images.json").write_bytes(listing if isinstance(listing, bytes) else listing.encode())
        given = [f"--images={tmp_path / 'images.json'}", f"--at={AT.isoformat()}", f"--format={form}"]
        for number, text in enumerate(policies):
            (tmp_path / f"policy-{number}.json").write_text(text, encoding="utf-8")
            given.append(f"--policy=policy-{number}.json")
        if manifests is not None:
            (tmp_path / "manifests.json").write_text(manifests, encoding="utf-8")
            given.append("--manifests=manifests.json")
        return demurrage("what-if", *given, *arguments)

    return call


def document(outcome: Outcome) -> Json:
    assert (outcome.status, outcome.err) == (0, "")
    found: Json = json.loads(outcome.out)
    return found


def repository(outcome: Outcome) -> Json:
    """The only one there is."""
    (found,) = document(outcome)["repositories"]
    assert isinstance(found, dict)
    return found


def taken(found: Json) -> list[str]:
    """Digests that a rule acts on."""
    return [result["imageDigest"] for result in found["previewResults"]]


# --- the shape of ECR's own answer ---------------------------------------------------------------


def _is_of(shape: Shape, value: object, place: str) -> None:
    """Fail where ``value`` is not what botocore's model says of it."""
    if isinstance(shape, StructureShape):
        assert isinstance(value, dict), place
        assert not value.keys() - shape.members.keys(), place
        for name, member in value.items():
            _is_of(shape.members[name], member, f"{place}.{name}")
    elif isinstance(shape, ListShape):
        assert isinstance(value, list), place
        for entry in value:
            _is_of(shape.member, entry, f"{place}[]")
    elif shape.type_name == "timestamp":
        assert isinstance(value, str), place
        assert datetime.fromisoformat(value).utcoffset() == timedelta(0), place
    elif shape.type_name == "integer":
        assert type(value) is int, place
    else:
        assert isinstance(shape, StringShape), place
        assert isinstance(value, str), place
        assert not shape.enum or value in shape.enum, f"{place}: {value}"


@pytest.fixture(scope="module")
def preview_shape() -> StructureShape:
    """What GetLifecyclePolicyPreview answers, by botocore's model of the service."""
    model = botocore.session.get_session().get_service_model("ecr")
    shape = model.operation_model("GetLifecyclePolicyPreview").output_shape
    assert isinstance(shape, StructureShape)
    return shape


def test_every_member_has_the_name_and_the_type_that_ecr_gives_it(
    what_if: Cli, preview_shape: StructureShape
) -> None:
    policies = [
        policy(ALL | {"tagStatus": "untagged"}, action=EXPIRE),
        policy(ALL | {"countType": "sinceImagePulled"}, action=ARCHIVE),
    ]
    listing = images(detail("tagged", "v1", "v2"), detail("untagged"), detail("undated", days=None))
    candidates = document(what_if(listing, policies=policies))["candidates"]
    for candidate in candidates:
        (found,) = candidate["repositories"]
        # Nothing is paged.
        assert preview_shape.members.keys() - found.keys() == {"nextToken"}
        own = {name: value for name, value in found.items() if name in preview_shape.members}
        _is_of(preview_shape, own, candidate["policy"])
        result = preview_shape.members["previewResults"].member.members  # type: ignore[attr-defined]
        assert {*result} == {key for one in found["previewResults"] for key in one}
    expiring, archiving = (candidate["repositories"][0] for candidate in candidates)
    assert expiring["previewResults"] == [
        {
            "imageTags": [],
            "imageDigest": sha256("untagged"),
            "imagePushedAt": "2026-11-13T00:00:00Z",
            "action": {"type": "EXPIRE"},
            "appliedRulePriority": 1,
            "storageClass": "STANDARD",
        }
    ]
    assert expiring["summary"] == {"expiringImageTotalCount": 1}
    assert archiving["previewResults"][0]["action"] == {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}
    assert archiving["summary"] == {
        "expiringImageTotalCount": 0,
        "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 2}],
    }


def test_the_answer_has_the_documented_keys_in_the_documented_order(what_if: Cli) -> None:
    answer = document(what_if(images(detail("one", "v1"))))
    expected = ["at", "repositories", "totals", "gaps", "warnings"]
    assert [key for key in answer if key in expected] == expected
    (found,) = answer["repositories"]
    expected = ["registryId", "region", "repositoryName", "status", "lifecyclePolicyText", "previewResults"]
    expected += ["summary", "blocked", "warnings", "inUse", "bytes", "cost"]
    own = [key for key in expected if key in found]
    assert own == expected
    assert (found["region"], found["cost"], answer["totals"]["cost"]) == (None, None, None)
    assert found["lifecyclePolicyText"] == policy(ALL)


# --- real documents ------------------------------------------------------------------------------


def _recorded(*operations: str) -> list[Json]:
    """Real answers of these operations; skips where the data is absent."""
    folder = _SHARED / "data" / "ecr_api"
    if not folder.is_dir():
        pytest.skip(f"the recorded answers of ECR are not at {folder} (set DEMURRAGE_SHARED)")
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    found = [record for record in map(json.loads, lines) if record["operation"] in operations]
    assert found, operations
    return found


def _listings() -> list[Json]:
    return _recorded("DescribeImages", "describe-images")


def test_every_recorded_listing_is_answered_in_ecrs_field_names(
    what_if: Cli, preview_shape: StructureShape
) -> None:
    seen = 0
    for record in _listings():
        answer = document(what_if(json.dumps(record["data"])))
        details = record["data"]["imageDetails"]
        assert len(answer["repositories"]) == len({one["repositoryName"] for one in details})
        for found in answer["repositories"]:
            _is_of(preview_shape, {key: found[key] for key in found if key in preview_shape.members}, "")
            own = {one["imageDigest"]: one for one in details}
            # All of them are older than a day.
            assert sorted(taken(found)) == sorted(own)
            for result in found["previewResults"]:
                listed = own[result["imageDigest"]]
                assert (found["registryId"], found["repositoryName"]) == (
                    listed["registryId"],
                    listed["repositoryName"],
                )
                assert result["imageTags"] == sorted(listed["imageTags"])
                assert datetime.fromisoformat(result["imagePushedAt"]) == _moment(listed["imagePushedAt"])
                seen += 1
    assert seen > 5


def _moment(value: Any) -> datetime:
    if isinstance(value, dict):
        parts = {name: part for name, part in value.items() if not name.startswith("__")}
        return datetime(**parts, tzinfo=UTC)
    return datetime.fromtimestamp(value, UTC)


def test_recorded_listings_may_stand_in_one_file(what_if: Cli) -> None:
    records = _listings()
    alone = [document(what_if(json.dumps(record["data"])))["repositories"] for record in records]
    plain = document(what_if("".join(f"{json.dumps(record['data'])}\n" for record in records)))
    assert plain["totals"]["repositories"] == len(plain["repositories"])
    by_name = {found["repositoryName"]: found for found in plain["repositories"]}
    assert by_name == {found["repositoryName"]: found for of_one in alone for found in of_one}
    # As placebo records them, one with the other.
    kept = [record for record in records if "status_code" in record]
    wrapped = [{"status_code": record["status_code"], "data": record["data"]} for record in kept]
    unwrapped = document(what_if("".join(json.dumps(record["data"]) for record in kept)))
    assert document(what_if("\n".join(map(json.dumps, wrapped)))) == unwrapped


def test_documented_manifests_give_their_images_a_size(what_if: Cli) -> None:
    (listing,) = _recorded("describe-images")
    documents = [record["data"] for record in _recorded("batch-get-image")]
    answer = document(what_if(json.dumps(listing["data"]), manifests="".join(map(json.dumps, documents))))
    (found,) = answer["repositories"]
    (image,) = (
        image for image in documents[0]["images"] if image["repositoryName"] == found["repositoryName"]
    )
    content = json.loads(image["imageManifest"])
    blobs = {blob["digest"]: blob["size"] for blob in [content["config"], *content["layers"]]}
    assert found["bytes"]["physical"] == found["bytes"]["freed"] == sum(blobs.values()) > 0
    # The other example's manifests are none, and of images that nobody listed.
    assert {gap["reason"] for gap in answer["gaps"]} == {"NotListed"}


def test_the_documented_preview_comes_out_as_documented(what_if: Cli) -> None:
    (preview,) = _recorded("get-lifecycle-policy-preview")
    documented = preview["data"]
    place = {"registryId": documented["registryId"], "repositoryName": documented["repositoryName"]}
    listing = images(
        detail("tagged", "v1", **place), detail("young", days=3, **place), detail("exact", days=14, **place)
    )
    found = repository(what_if(listing, policies=[documented["lifecyclePolicyText"]]))
    assert {name: found[name] for name in documented} == documented


def test_a_policy_may_come_as_the_cli_prints_it(what_if: Cli) -> None:
    for record in _recorded("get-lifecycle-policy", "GetLifecyclePolicy"):
        outcome = what_if(images(detail("old", days=15)), policies=[json.dumps(record["data"])])
        if "Error" in record["data"]:
            assert outcome.status == 2
            assert json.loads(outcome.out)["error"]["code"]
        else:
            assert repository(outcome)["lifecyclePolicyText"] == record["data"]["lifecyclePolicyText"]
            assert taken(repository(outcome)) == [sha256("old")]


# --- documents of every shape --------------------------------------------------------------------

_SECONDS = 1_565_128_275
_PLACEBO = {
    "__class__": "datetime",
    "year": 2019,
    "month": 8,
    "day": 6,
    "hour": 21,
    "minute": 51,
    "second": 15,
    "microsecond": 0,
}


@pytest.mark.parametrize(
    "pushed",
    [
        _SECONDS,
        float(_SECONDS),
        f"{_SECONDS}",
        f"{_SECONDS}.0",
        "2019-08-06T21:51:15Z",
        "2019-08-06T21:51:15.000000+00:00",
        "2019-08-06T23:51:15+02:00",
        "2019-08-06T14:51:15-07:00",
        "2019-08-06 21:51:15",
        "2019-08-07T03:21:15+05:30",
        _PLACEBO,
    ],
    ids=str,
)
def test_a_moment_has_many_spellings(what_if: Cli, pushed: object) -> None:
    found = repository(what_if(images(detail("one", imagePushedAt=pushed))))
    assert [result["imagePushedAt"] for result in found["previewResults"]] == ["2019-08-06T21:51:15Z"]


def test_the_evaluation_is_of_the_moment_asked_for_to_the_millisecond(what_if: Cli) -> None:
    listing = images(detail("one", imagePushedAt="2026-11-21T23:59:59.999+00:00"))
    exact = ("--at", "2026-11-22T23:59:59.999Z")
    assert taken(repository(what_if(listing, *exact))) == []
    later = ("--at", "2026-11-23T01:00:00+01:00")
    answer = document(what_if(listing, *later))
    assert answer["at"] == "2026-11-23T00:00:00Z"
    assert taken(answer["repositories"][0]) == [sha256("one")]


def test_without_a_moment_it_is_now(demurrage: Cli, tmp_path: Path) -> None:
    (tmp_path / "images.json").write_text(images(detail("one")), encoding="utf-8")
    (tmp_path / "policy.json").write_text(policy(ALL), encoding="utf-8")
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    outcome = demurrage("what-if", "--images=images.json", "--policy=policy.json", "--format=json")
    at = datetime.fromisoformat(document(outcome)["at"])
    assert before <= at <= datetime.now(UTC) + timedelta(milliseconds=1)
    assert document(outcome)["snapshot"] is None


_THREE = [detail("a", "v1", days=30), detail("b", days=20), detail("c", "v3", days=0.5)]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(images(one) for one in _THREE) + "\n",
        "".join(json.dumps({"imageDetails": [one]}, indent=4) for one in _THREE),
        json.dumps([json.loads(images(*_THREE[:1])), json.loads(images(*_THREE[1:]))]),
        json.dumps(_THREE),
        "\n".join(map(json.dumps, _THREE)),
        "\ufeff" + images(*_THREE),
        images(*_THREE, *_THREE),
        images(*reversed(_THREE)),
    ],
    ids=["lines", "pretty", "list", "details", "detail lines", "bom", "twice", "order"],
)
def test_the_layout_of_documents_is_nothing(what_if: Cli, text: str) -> None:
    assert document(what_if(text)) == document(what_if(images(*_THREE)))


def test_files_are_one_listing_together(demurrage: Cli, tmp_path: Path) -> None:
    for number, one in enumerate(_THREE):
        (tmp_path / f"{number}.json").write_text(images(one), encoding="utf-8")
    (tmp_path / "policy.json").write_text(policy(ALL), encoding="utf-8")
    files = [f"--images={number}.json" for number in range(len(_THREE))]
    common = ("what-if", *files, f"--at={AT.isoformat()}", "--policy=policy.json", "--format=json")
    assert taken(repository(demurrage(*common))) == [sha256("a"), sha256("b")]


def test_repositories_are_told_apart_by_account_and_name(what_if: Cli) -> None:
    listing = images(
        detail("a"),
        detail("a", repositoryName="team/b"),
        detail("a", registryId="210987654321"),
        detail("a", repositoryName="other"),
    )
    found = document(what_if(listing))["repositories"]
    places = {(one["registryId"], one["repositoryName"]) for one in found}
    assert places == {
        (ACCOUNT, "team/app"),
        (ACCOUNT, "team/b"),
        (ACCOUNT, "other"),
        ("210987654321", "team/app"),
    }
    some = document(what_if(listing, "--repository", "*/b", "--repository", "other"))
    assert {one["repositoryName"] for one in some["repositories"]} == {"team/b", "other"}
    assert some["totals"]["repositories"] == 2
    refused = what_if(listing, "--repository", "team/[xyz]")
    assert (refused.status, refused.out) == (2, "")
    assert "--repository team/[xyz]: no repository has such a name" in refused.err


def test_images_without_a_place_are_together_in_one(what_if: Cli) -> None:
    nameless = [
        {key: value for key, value in one.items() if key not in {"registryId", "repositoryName"}}
        for one in _THREE
    ]
    found = repository(what_if(images(*nameless)))
    assert (found["registryId"], found["region"], found["repositoryName"]) == (None, None, None)
    assert taken(found) == [sha256("a"), sha256("b")]


def test_an_empty_listing_is_an_answer(what_if: Cli) -> None:
    answer = document(what_if(images()))
    assert (answer["repositories"], answer["totals"]["repositories"]) == ([], 0)


def test_a_listing_that_goes_on_is_a_gap_and_still_done(what_if: Cli) -> None:
    page = json.loads(images(*_THREE)) | {"nextToken": "abc"}
    answer = document(what_if(json.dumps(page)))
    assert [gap["reason"] for gap in answer["gaps"] if gap["call"] == "ecr:DescribeImages"] == ["Truncated"]
    last = json.loads(images(detail("d")))
    whole = document(what_if(f"{json.dumps(page)}\n{json.dumps(last)}"))
    assert "Truncated" not in {gap["reason"] for gap in whole["gaps"]}
    text = what_if(json.dumps(page), form="table")
    assert text.status == 0
    assert f"{ACCOUNT}/team/app: ecr:DescribeImages Truncated" in text.out


# --- what rules make of it -----------------------------------------------------------------------


def test_an_image_without_push_time_is_the_youngest_and_a_gap(what_if: Cli) -> None:
    listing = images(detail("undated", days=None), detail("young", "v1", days=2), detail("old", days=9))
    answer = document(what_if(listing, policies=[policy(ALL), policy(KEEP_ONE)]))
    by_age, by_count = (candidate["repositories"][0] for candidate in answer["candidates"])
    assert taken(by_age) == taken(by_count) == [sha256("old"), sha256("young")]
    (gap,) = [gap for gap in answer["gaps"] if gap["reason"] == "NoPushTime"]
    assert (gap["repository"], gap["count"]) == ("team/app", 1)
    assert sha256("undated") in gap["detail"]
    (warning,) = [one for one in by_age["warnings"] if one["code"] == "UNKNOWN_TIME"]
    assert warning["images"] == [sha256("undated")]


def test_untagged_images_that_an_unread_index_may_hold_are_named(what_if: Cli) -> None:
    listing = images(
        detail("index", "v1", imageManifestMediaType=OCI_INDEX),
        detail("child", imageManifestMediaType=OCI_MANIFEST),
        detail("young", days=0, imageManifestMediaType=OCI_MANIFEST),
    )
    answer = document(what_if(listing, policies=[policy(UNTAGGED)]))
    (found,) = answer["repositories"]
    assert (taken(found), found["blocked"]) == ([sha256("child")], [])
    (warning,) = [one for one in found["warnings"] if one["code"] == "UNREAD_INDEX"]
    assert warning["images"] == [sha256("child")]
    assert [gap["detail"] for gap in answer["gaps"] if gap["reason"] == "NoIndexManifest"]
    shown = what_if(listing, policies=[policy(UNTAGGED)], form="table")
    assert "UNREAD_INDEX" in shown.out


def test_with_its_manifest_an_index_keeps_its_children(what_if: Cli) -> None:
    listing = images(
        detail("index", "v1", imageManifestMediaType=OCI_INDEX),
        detail("child", imageManifestMediaType=OCI_MANIFEST),
        detail("other", imageManifestMediaType=OCI_MANIFEST),
    )
    manifests = json.dumps({"images": [index("index", "child", "elsewhere")], "failures": []})
    found = repository(what_if(listing, manifests=manifests, policies=[policy(UNTAGGED)]))
    assert taken(found) == [sha256("other")]
    (blocked,) = found["blocked"]
    assert (blocked["imageDigest"], blocked["blockedBy"], blocked["rulePriority"]) == (
        sha256("child"),
        sha256("index"),
        1,
    )
    assert "UNREAD_INDEX" not in {one["code"] for one in found["warnings"]}
    # A rule that takes the index as well takes all.
    assert len(taken(repository(what_if(listing, manifests=manifests)))) == 3


def test_children_take_slots_unless_told_otherwise(what_if: Cli) -> None:
    listing = images(
        detail("index", "v2", days=3, imageManifestMediaType=OCI_INDEX),
        detail("child", days=2),
        detail("old", "v1", days=9),
    )
    asked = {"manifests": json.dumps({"images": [index("index", "child")]})}
    two = [policy(KEEP_ONE | {"countNumber": 2})]
    assert taken(repository(what_if(listing, policies=two, **asked))) == [sha256("old")]
    loose = what_if(listing, "--no-children-take-slots", policies=two, **asked)
    assert taken(repository(loose)) == []


def test_a_referrer_follows_its_subject_and_has_no_rule(what_if: Cli) -> None:
    listing = images(
        detail("app", "v1", days=9),
        detail("signature", days=8, subjectManifestDigest=sha256("app")),
        detail("kept", "v2", days=0),
        detail("its signature", days=9, subjectManifestDigest=sha256("kept")),
    )
    found = repository(what_if(listing))
    assert taken(found) == [sha256("app")]
    assert found["summary"] == {"expiringImageTotalCount": 1}
    (follower,) = found["followers"]
    assert (follower["imageDigest"], follower["subjectManifestDigest"]) == (
        sha256("signature"),
        sha256("app"),
    )
    assert "appliedRulePriority" not in follower
    assert (found["counts"]["leaving"], found["counts"]["followers"]) == (2, 1)


def test_storage_classes(what_if: Cli) -> None:
    archived_at = (AT - timedelta(days=95)).isoformat()
    listing = images(
        detail("archived", "v1", days=400, imageStatus="ARCHIVED", lastArchivedAt=archived_at),
        detail("restoring", "v2", days=400, imageStatus="ACTIVATING", lastArchivedAt=archived_at),
        detail("active", "v3", days=400, imageStatus="ACTIVE"),
        detail("pulled", "v4", days=400, lastRecordedPullTime=AT.timestamp()),
    )
    rules = [
        {
            "rulePriority": 3,
            "selection": {**ALL, "countType": "sinceImagePulled", "countNumber": 90},
            "action": ARCHIVE,
        },
        {
            "rulePriority": 7,
            "selection": {
                **ALL,
                "storageClass": "archive",
                "countType": "sinceImageTransitioned",
                "countNumber": 90,
            },
            "action": EXPIRE,
        },
    ]
    found = repository(what_if(listing, policies=[json.dumps({"rules": rules})]))
    shown = [
        (result["imageTags"], result["action"]["type"], result["appliedRulePriority"], result["storageClass"])
        for result in found["previewResults"]
    ]
    assert shown == [(["v3"], "TRANSITION", 3, "STANDARD"), (["v1"], "EXPIRE", 7, "ARCHIVE")]
    assert {one["code"]: one["images"] for one in found["warnings"]} == {"ACTIVATING": [sha256("restoring")]}


def test_what_goes_is_listed_oldest_first_in_its_class(what_if: Cli) -> None:
    def moved(name: str, days: float, archived: float) -> Json:
        at = (AT - timedelta(days=archived)).isoformat()
        return detail(name, name, days=days, imageStatus="ARCHIVED", lastArchivedAt=at)

    listing = images(moved("a", 500, 100), moved("b", 400, 300), moved("c", 300, 200))
    in_archive = {"storageClass": "archive", "countType": "sinceImageTransitioned", "countNumber": 90}
    found = repository(what_if(listing, policies=[policy(ALL | in_archive)]))
    assert [result["imageTags"] for result in found["previewResults"]] == [["b"], ["c"], ["a"]]
    listing = images(detail("x", "x", days=3), detail("y", "y", days=5), detail("z", "z", days=4))
    found = repository(what_if(listing))
    assert [result["imageTags"] for result in found["previewResults"]] == [["y"], ["z"], ["x"]]


# --- bytes and money -----------------------------------------------------------------------------

_GB = 2**30
_SIZED = {
    "listing": images(detail("old", "v1", days=9), detail("new", "v2", days=0)),
    "manifests": json.dumps(
        {"images": [manifest("old", base=3 * _GB, a=2 * _GB), manifest("new", base=3 * _GB, b=_GB)]}
    ),
}


def test_freed_is_what_no_kept_image_holds(what_if: Cli) -> None:
    held = repository(what_if(_SIZED["listing"], manifests=_SIZED["manifests"]))["bytes"]
    assert (held["logical"], held["physical"]) == (9 * _GB, 6 * _GB)
    assert (held["expiredLogical"], held["freed"]) == (5 * _GB, 2 * _GB)


def test_a_region_gives_prices(what_if: Cli) -> None:
    asked = (_SIZED["listing"], "--region", "us-east-1")
    answer = document(what_if(*asked, manifests=_SIZED["manifests"]))
    cost = answer["totals"]["cost"]
    assert cost["before"]["repository"] == {
        "amount": "0.60",
        "currency": "USD",
        "period": "month",
        "scope": "repository",
    }
    assert cost["saving"]["repository"]["amount"] == "0.20"
    assert cost["naiveSaving"]["amount"] == "0.50"
    assert answer["repositories"][0]["region"] == "us-east-1"
    text = what_if(*asked, manifests=_SIZED["manifests"], form="table").out
    assert "Saved: $0.20 per month" in text


def test_a_region_without_prices_saves_an_unknown_amount(what_if: Cli) -> None:
    asked = (_SIZED["listing"], "--region", "mars-north-1")
    saving = document(what_if(*asked, manifests=_SIZED["manifests"]))["totals"]["cost"]["saving"]
    assert saving["low"]["amount"] is None
    assert any("mars-north-1" in reason for reason in saving["low"]["leaves_out"])


def test_without_manifests_sizes_are_unknown_and_never_zero(what_if: Cli) -> None:
    found = repository(what_if(_SIZED["listing"]))
    assert (found["bytes"]["physical"], found["bytes"]["freed"]) == (None, None)
    shown = what_if(_SIZED["listing"], form="table").out
    leaves = next(line for line in shown.splitlines() if line.startswith("LEAVES"))
    assert leaves.split()[2:] == ["unknown", "unknown"]
    (row, *_) = csv.DictReader(io.StringIO(what_if(_SIZED["listing"], form="csv").out))
    assert (row["freed_bytes_repository_scope"], row["saving_low_usd_per_month"]) == ("", "")


# --- no database, no AWS -------------------------------------------------------------------------


def test_neither_database_nor_data_folder_is_touched(
    what_if: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMURRAGE_DB_URL", "sqlite:////nowhere/at/all.sqlite")
    assert taken(repository(what_if(images(*_THREE))))
    monkeypatch.delenv("DEMURRAGE_DB_URL")
    assert taken(repository(what_if(images(*_THREE))))
    assert not (tmp_path / "data").exists()


def test_what_is_needed_is_asked_of_documents_too(what_if: Cli, tmp_path: Path) -> None:
    used = [
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/team/app:gone",
    ]
    (tmp_path / "used.json").write_text(json.dumps(used), encoding="utf-8")
    outcome = what_if(images(*_THREE), "--in-use", "used.json", "--fail-on-in-use")
    assert outcome.status == 3
    answer = json.loads(outcome.out)
    assert [one["imageDigest"] for one in answer["repositories"][0]["inUse"]] == [sha256("a")]
    assert answer["missingInUse"] == used[1:]
    protected = what_if(images(*_THREE), "--protect", sha256("b"), "--fail-on-in-use")
    assert protected.status == 3
    assert what_if(images(*_THREE), "--protect", ":v3", "--fail-on-in-use").status == 0


# --- what cannot be used -------------------------------------------------------------------------

#: (document, what the one line says of it).
UNUSABLE_IMAGES: list[tuple[str | bytes, str]] = [
    ("", "is empty"),
    ("{", "is not JSON"),
    (images(*_THREE)[:-2], "is not JSON"),
    ("null", "is null"),
    ("17", "is 17"),
    ("NaN", "cannot be read"),
    ("{}", "has no imageDetails"),
    ("[" * 100_000, "nested too deeply"),
    ('{"imageDetails":' * 100_000, "nested too deeply"),
    (images(detail("a", imageSizeInBytes=0)).replace("0}", "9" * 10_000 + "}"), "cannot be read"),
    (b"\xff\xfe\x00", "is not UTF-8 text"),
    (json.dumps({"imageDetails": {}}), "is an object and no list"),
    (json.dumps({"imageIds": []}), "list-images"),
    (json.dumps({"images": []}), "--manifests takes"),
    (policy(ALL), "--policy takes"),
    (json.dumps({"Error": {"Code": "AccessDeniedException"}}), "an error of the AWS CLI"),
    (images({}), "imageDigest is missing"),
    (images(detail("a", imageDigest=5)), "imageDigest is 5"),
    (images(detail("a", imageDigest="sha256:\0")), "characters that are in no name"),
    (images(detail("a", imageTags="v1")), "imageTags is 'v1' and no list"),
    (images(detail("a", imageTags=["\ud800"])), "characters that are in no name"),
    (images(detail("a", imagePushedAt="yesterday")), "no ISO 8601 time"),
    (images(detail("a", imagePushedAt=1e300)), "no time in seconds"),
    (images(detail("a", imagePushedAt="2026-02-30T00:00:00Z")), "no time"),
    (images(detail("a", lastRecordedPullTime=[])), "lastRecordedPullTime"),
    (images(detail("a", imageStatus=1)), "imageStatus is 1"),
    (images(detail("a", repositoryName=["x"])), "repositoryName is a list"),
]


def _one_line(outcome: Outcome) -> str:
    """The line on stderr of bad usage, of which nothing is on stdout."""
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.startswith("demurrage: ")
    assert len(outcome.err) < 700
    assert "Traceback" not in outcome.err
    return outcome.err


@pytest.mark.parametrize(("text", "said"), UNUSABLE_IMAGES, ids=lambda value: str(value)[:40])
def test_images_that_cannot_be_used_are_one_line(what_if: Cli, text: str | bytes, said: str) -> None:
    line = _one_line(what_if(text))
    assert "images.json" in line
    assert said in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("[" * 100_000, "nested too deeply"),
        (images(*_THREE), "--images takes"),
        (json.dumps({"images": 5}), "images is 5 and no list"),
        (json.dumps({"images": [{"imageManifest": "{}"}]}), "imageId is null"),
        (json.dumps({"images": [5]}), "5 is no image"),
        (json.dumps({"schemaVersion": 2}), "a manifest without its digest"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_manifests_that_cannot_be_used_are_one_line(what_if: Cli, text: str, said: str) -> None:
    line = _one_line(what_if(images(*_THREE), manifests=text))
    assert "--manifests manifests.json" in line
    assert said in line


@pytest.mark.parametrize(
    "text",
    ["not JSON", "[]", "5", '{"layers": ' * 5_000, json.dumps({"schemaVersion": 2, "layers": [5]})],
    ids=["text", "list", "number", "deep", "layers"],
)
def test_a_manifest_that_is_none_is_a_gap(what_if: Cli, text: str) -> None:
    broken = printed("a", OCI_MANIFEST) | {"imageManifest": text}
    answer = document(what_if(images(*_THREE), manifests=json.dumps({"images": [broken]})))
    reasons = {gap["reason"] for gap in answer["gaps"] if sha256("a") in gap["detail"]}
    assert reasons & {"ManifestNotJSON", "UnreadableManifest", "UnknownMediaType"}
    assert answer["totals"]["bytes"]["freed"] is None


# --- other people's text -------------------------------------------------------------------------

#: What documents may hold; NUL and lone surrogates they refuse.
_NASTY = [text for text in HOSTILE if "\0" not in text and "\ud800" not in text]
_NASTY += ["=1+1", "+1", "-1", "@SUM(A1)", "a|b`c`", "@everyone", "#1", "https://evil.example"]
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _nasty() -> str:
    digest = "sha256:\x1b]0;owned\x07<b>"
    return images(
        *(
            detail(f"{number}", text, f"{text}{number}", repositoryName=text)
            for number, text in enumerate(_NASTY)
        ),
        detail("x", "v1", imageDigest=digest, repositoryName="=x"),
    )


def _unseen(text: str) -> set[str]:
    return {char for char in text if unicodedata.category(char) in _UNSEEN} - {"\n"}


@pytest.mark.parametrize("rows", ["repository", "image"])
def test_csv_holds_nothing_that_runs(what_if: Cli, rows: str) -> None:
    outcome = what_if(_nasty(), f"--rows={rows}", "--protect=*", form="csv")
    table = list(csv.reader(io.StringIO(outcome.out)))
    assert len(table) > len(_NASTY)
    assert len({len(row) for row in table}) == 1
    for cell in (cell for row in table[1:] for cell in row):
        first = unicodedata.normalize("NFKC", cell).lstrip()[:1]
        assert first not in {"=", "+", "@", "\t", "\r"}, cell
        assert first != "-" or re.fullmatch(r"-[0-9.]+", cell), cell


def test_a_terminal_gets_nothing_to_obey(what_if: Cli) -> None:
    outcome = what_if(_nasty(), "--protect=*", "--protect=\x1b[2Jnone", form="table")
    assert outcome.status == 0
    assert "PROTECTED" in outcome.out
    assert _unseen(outcome.out) == set()
    assert "\\x1b[2Jnone" in outcome.out
    assert outcome.err == ""


def test_json_is_json_without_control_characters(what_if: Cli) -> None:
    outcome = what_if(_nasty(), "--protect=*")
    assert _unseen(outcome.out) == set()
    names = {found["repositoryName"] for found in json.loads(outcome.out)["repositories"]}
    assert names == {*_NASTY, "=x"}


def test_markdown_shows_names_and_makes_nothing_of_them(what_if: Cli) -> None:
    outcome = what_if(_nasty(), "--protect=*", form="markdown")
    assert outcome.status == 0
    # A zero-width space is how a mention is defused.
    assert _unseen(outcome.out) <= {"\u200b"}
    assert set(re.findall(r"</?([a-z]+|!--)", outcome.out)) == {"code", "!--"}
    prose = re.sub(r"`[^`]*`|<code>.*?</code>", "", outcome.out)
    assert "@everyone" not in prose
    assert "https://" not in prose
    heads = {line.count("|") for line in outcome.out.splitlines() if line.startswith("| ")}
    assert len(heads) == 1


def test_hostile_text_in_messages_is_made_visible(what_if: Cli) -> None:
    line = _one_line(what_if(images(detail("a", imageStatus=["\x1b[31m"], imageDigest="\x1b[31m" * 99))))
    assert _unseen(line) == set()
    assert _unseen(_one_line(what_if(images(*_THREE), "--repository", "\x1b[31m\u202e"))) == set()


# --- against the oracle --------------------------------------------------------------------------


class _Printer:
    """Writes the images of a case out as the AWS CLI would, in one of its ways."""

    def __init__(self, case: LifecycleCase, rng: random.Random) -> None:
        self._rng = rng
        self._registry = case.world.frames.repositories["registry"].tolist()
        self._names = case.world.frames.repositories["repository"].tolist()

    def place(self, row: int) -> tuple[str, str]:
        return f"{self._registry[row]:012}", self._names[row]

    def details(self, row: int, image: Image) -> Json:
        account, name = self.place(row)
        found: Json = {"registryId": account, "repositoryName": name, "imageDigest": image.digest}
        if image.tags or self._rng.random() < 0.5:
            found["imageTags"] = self._rng.sample(sorted(image.tags), len(image.tags))
        for key, moment in (
            ("imagePushedAt", image.pushed_at_ms),
            ("lastRecordedPullTime", image.last_pull_ms),
            ("lastArchivedAt", image.archived_at_ms),
            ("lastActivatedAt", image.activated_at_ms),
        ):
            if moment is not None:
                found[key] = self._time(moment)
        if image.status is not ImageStatus.ACTIVE or self._rng.random() < 0.5:
            found["imageStatus"] = image.status.name if image.status else "ACTIVE"
        # A subject is known from the listing, from the manifest, or from both.
        if image.subject and (self._rng.random() < 0.5 or not image.children):
            found["subjectManifestDigest"] = image.subject
        return found

    def _time(self, moment_ms: int) -> object:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms)
        placebo = {"__class__": "datetime", "year": moment.year, "month": moment.month, "day": moment.day}
        placebo |= {"hour": moment.hour, "minute": moment.minute, "second": moment.second}
        zone = timezone(timedelta(minutes=self._rng.choice((-210, 0, 60, 345))))
        return self._rng.choice(
            (
                moment_ms / 1000,
                f"{moment_ms / 1000:.3f}",
                moment.astimezone(zone).isoformat(),
                {**placebo, "microsecond": moment.microsecond},
            )
        )

    def manifest(self, row: int, image: Image) -> Json | None:
        if not image.children and (image.subject is None or self._rng.random() < 0.5):
            return None
        account, name = self.place(row)
        content: Json = {"schemaVersion": 2, "mediaType": OCI_INDEX if image.children else OCI_MANIFEST}
        if image.children:
            content["manifests"] = [
                {"mediaType": OCI_MANIFEST, "digest": child, "size": 1} for child in image.children
            ]
        else:
            blob = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256("{}"), "size": 2}
            content |= {"config": blob, "layers": [blob]}
        if image.subject:
            content["subject"] = {"mediaType": OCI_MANIFEST, "digest": image.subject, "size": 1}
        return {
            "registryId": account,
            "repositoryName": name,
            "imageId": {"imageDigest": image.digest},
            "imageManifest": json.dumps(content),
        }

    def documents(self, key: str, entries: Sequence[Json]) -> str:
        """``entries`` in documents of any length, in any order."""
        left = self._rng.sample(entries, len(entries))
        texts = []
        while left:
            count = self._rng.randint(1, len(left))
            texts.append(json.dumps({key: left[:count]}, indent=self._rng.choice((None, 2))))
            left = left[count:]
        return self._rng.choice(("", "\n")).join(texts) or json.dumps({key: []})


def _run(*arguments: str) -> tuple[int, str]:
    """Exit status and stderr of the command."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told), pytest.raises(SystemExit) as leave:
        main(arguments)
    assert isinstance(leave.value.code, int)
    return leave.value.code, told.getvalue()


def _answers(case: LifecycleCase, rng: random.Random, *, slots: bool) -> Iterator[tuple[Policy, Json]]:
    """What the command says of each policy of ``case``."""
    printer = _Printer(case, rng)
    rows = list(enumerate(case.world.repositories))
    details = [printer.details(row, image) for row, held in rows for image in held]
    manifests = [printer.manifest(row, image) for row, held in rows for image in held]
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images.json").write_text(printer.documents("imageDetails", details), encoding="utf-8")
        given_manifests = printer.documents("images", [one for one in manifests if one is not None])
        (folder / "manifests.json").write_text(given_manifests, encoding="utf-8")
        arguments = [f"--images={folder / 'images.json'}", f"--manifests={folder / 'manifests.json'}"]
        for number, tried in enumerate(case.policies):
            (folder / f"{number}.json").write_text(policy_json(tried), encoding="utf-8")
            arguments.append(f"--policy={folder / f'{number}.json'}")
        if not slots:
            arguments.append("--no-children-take-slots")
        at = datetime.fromtimestamp(case.now_ms / 1000, UTC).isoformat()
        status, told = _run(
            "what-if", *arguments, f"--at={at}", "--format=json", f"--output={folder / 'out.json'}"
        )
        assert (status, told) == (0, "")
        answer = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    yield from zip(case.policies, answer.get("candidates", [answer]), strict=True)


# A whole command for each step of shrinking would take minutes; the evaluator's own tests shrink.
@examples(100, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(lifecycle_cases(), st.integers(0, 2**32), st.booleans())
def test_the_oracle_says_the_same_of_what_the_cli_printed(
    case: LifecycleCase, seed: int, slots: bool
) -> None:
    repositories = case.world.repositories
    place = _Printer(case, random.Random(seed)).place
    for tried, answer in _answers(case, random.Random(seed), slots=slots):
        shown = {(one["registryId"], one["repositoryName"]): one for one in answer["repositories"]}
        assert shown.keys() == {place(row) for row, held in enumerate(repositories) if held}
        verdicts = evaluate_slowly(
            repositories, [tried] * len(repositories), case.now_ms, children_take_slots=slots
        )
        for row, held in enumerate(repositories):
            if held:
                _compare(shown[place(row)], dict(zip(held, verdicts[row], strict=True)))


def _compare(shown: Json, expected: dict[Image, Verdict]) -> None:
    by_reason: dict[Reason, list[tuple[Image, Verdict]]] = {}
    for image, verdict in expected.items():
        by_reason.setdefault(verdict.reason, []).append((image, verdict))
    results = shown["previewResults"]
    claimed = sorted(by_reason.get(Reason.CLAIMED, []), key=lambda pair: _age_order(pair[0]))
    assert [_result(one) for one in results] == [
        (image.digest, sorted(image.tags), verdict.outcome, verdict.rule, _class_of(image))
        for image, verdict in claimed
    ]
    followers = {
        one["imageDigest"]: (one["subjectManifestDigest"], _FATES[one["action"]["type"]])
        for one in shown["followers"]
    }
    assert followers == {
        image.digest: (verdict.by, verdict.outcome)
        for image, verdict in by_reason.get(Reason.FOLLOWS_SUBJECT, [])
    }
    blocked = {one["imageDigest"]: one["rulePriority"] for one in shown["blocked"]}
    assert blocked == {
        image.digest: verdict.rule or None for image, verdict in by_reason.get(Reason.BLOCKED_BY_INDEX, [])
    }
    summary = shown["summary"]
    assert summary["expiringImageTotalCount"] == sum(v.outcome is Fate.EXPIRED for _, v in claimed)
    archived = sum(verdict.outcome is Fate.TRANSITIONED for _, verdict in claimed)
    of_class = {"targetStorageClass": "ARCHIVE", "imageTotalCount": archived}
    assert summary.get("transitioningImageTotalCounts", []) == ([of_class] if archived else [])


_FATES = {"EXPIRE": Fate.EXPIRED, "TRANSITION": Fate.TRANSITIONED}


def _result(one: Json) -> tuple[object, ...]:
    action = one["action"]
    return (
        one["imageDigest"],
        one["imageTags"],
        _FATES[action["type"]],
        one["appliedRulePriority"],
        one["storageClass"],
    )


def _class_of(image: Image) -> str:
    return "ARCHIVE" if image.status in {ImageStatus.ARCHIVED, ImageStatus.ACTIVATING} else "STANDARD"


def _age_order(image: Image) -> tuple[float, str]:
    """Oldest first: by the time since which it is in its class."""
    since = image.archived_at_ms if image.status is ImageStatus.ARCHIVED else base_of(image)
    return (float("inf") if since is None else since), image.digest
