"""`demurrage explain` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analyzer.model.records import Gap
from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import ACCOUNT, HOST, NEW, OLD, POLICY, REGION, URL, make_database

Cli = Callable[..., Outcome]


@pytest.fixture
def explain(demurrage: Cli, tmp_path: Path) -> Cli:
    make_database(tmp_path)
    return lambda *arguments: demurrage("explain", "--db", URL, *arguments)


def _document(outcome: Outcome) -> dict[str, Any]:
    assert outcome.status == 0, outcome.err
    document: dict[str, Any] = json.loads(outcome.out)
    return document


@pytest.mark.parametrize(
    "image",
    [
        "app:dev-2",
        "app",
        f"app@{NEW.digest}",
        NEW.digest,
        f"{HOST}/app:dev-2",
        f"{HOST}/app:other@{NEW.digest}",
    ],
)
def test_an_image_has_many_names(explain: Cli, image: str) -> None:
    document = _document(explain(image, "--format", "json"))
    assert (document["account"], document["region"], document["repository"]) == (ACCOUNT, REGION, "app")
    assert (document["digest"], document["tags"]) == (NEW.digest, ["dev-2", "latest"])


def test_the_verdict_under_the_policy_in_force(explain: Cli) -> None:
    text = explain("app:dev-1").out
    assert f"{ACCOUNT}/{REGION}/app@{OLD.digest}\n" in text
    assert "Under the policy in force at 2026-11-23T02:00:00Z:\n" in text
    assert "It leaves: rule 7 takes it; 41.0 days since its push, the limit is 30 days.\n" in text
    assert "does not select it: none of its tags" in " ".join(text.split())
    stays = _document(explain("copy:dev-1", "--format", "json"))
    assert stays["verdict"]["sentence"] == "It stays: its repository has no lifecycle policy."
    assert stays["taken_at"] == "2026-11-23T02:00:00Z"


def test_another_policy_and_another_moment(explain: Cli, tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text(json.dumps(POLICY).replace("30", "90"))
    kept = _document(explain("app:dev-1", "--policy", "new.json", "--format", "json"))
    assert (kept["policy"], kept["verdict"]["action"]) == ("new.json", None)
    later = _document(explain("app:dev-1", "--policy", "new.json", "--at", "2027-02-01", "--format", "json"))
    assert later["verdict"]["action"] == {"type": "EXPIRE"}
    (tmp_path / "bad.json").write_text("{}".ljust(120))
    assert explain("app:dev-1", "--policy", "bad.json").status == 2


def test_a_name_for_several_images_is_refused_with_all_of_them(explain: Cli) -> None:
    outcome = explain(OLD.digest)
    assert (outcome.status, outcome.out) == (2, "")
    assert (
        f"names 2 images; name one of them: {HOST}/app@{OLD.digest}, {HOST}/copy@{OLD.digest}" in outcome.err
    )


@pytest.mark.parametrize(
    "image", ["app:v9", "nothing", f"222222222222{HOST[12:]}/app:dev-1", "sha256:" + "0" * 64]
)
def test_an_image_that_is_not_there(explain: Cli, image: str) -> None:
    outcome = explain(image)
    assert outcome.status == 2
    assert f"{image}: there is no such image in the last snapshot" in outcome.err


def test_what_is_no_name_is_bad_usage(explain: Cli) -> None:
    assert explain("a b").status == 2


def test_use_and_protection_are_told(explain: Cli, tmp_path: Path) -> None:
    (tmp_path / "used.txt").write_text(f"{HOST}/app:dev-1\n")
    document = _document(
        explain("app:dev-1", "--in-use", "used.txt", "--protect", ":latest", "--format", "json")
    )
    assert (document["in_use"], document["protected"]) == (True, False)
    assert _document(explain("app:dev-1", "--format", "json"))["in_use"] is None


def test_the_trace_is_the_csv(explain: Cli) -> None:
    lines = explain("app:dev-1", "--format", "csv").out.splitlines()
    assert lines[0].startswith("account,region,repository,digest,priority,")
    assert [line.split(",")[4] for line in lines[1:]] == ["5", "7"]


def test_gaps_about_the_repository_are_shown_and_status_4(demurrage: Cli, tmp_path: Path) -> None:
    make_database(tmp_path, Gap(ACCOUNT, REGION, "copy", "ecr:BatchGetImage", "AccessDeniedException"))
    outcome = demurrage("explain", "--db", URL, "copy:dev-1")
    assert outcome.status == 4
    assert "ecr:BatchGetImage AccessDeniedException" in outcome.out
    assert demurrage("explain", "--db", URL, "app:dev-1").status == 0


# Without a database.


def _images(folder: Path) -> None:
    details = [
        {
            "registryId": ACCOUNT,
            "repositoryName": "team/app",
            "imageDigest": OLD.digest,
            "imageTags": ["v1"],
            "imagePushedAt": "2026-10-01T00:00:00+00:00",
        },
        {
            "registryId": ACCOUNT,
            "repositoryName": "team/app",
            "imageDigest": NEW.digest,
            "imagePushedAt": "2026-11-01T00:00:00+00:00",
        },
    ]
    (folder / "images.json").write_text(json.dumps({"imageDetails": details}))
    (folder / "policy.json").write_text(json.dumps(POLICY))


OFFLINE = ("--images", "images.json", "--at", "2026-11-23T00:00:00Z", "--format", "json")


def test_documents_need_no_database(demurrage: Cli, tmp_path: Path) -> None:
    _images(tmp_path)
    document = _document(demurrage("explain", "team/app:v1", *OFFLINE, "--policy", "policy.json"))
    assert document["verdict"]["appliedRulePriority"] == 7
    assert document["verdict"]["sentence"] == (
        "It leaves: rule 7 takes it; 53.0 days since its push, the limit is 30 days."
    )
    assert (document["region"], document["taken_at"], document["logical_bytes"]) == (None, None, None)
    assert {gap["call"] for gap in document["gaps"]}


def test_manifests_tell_the_size(demurrage: Cli, tmp_path: Path) -> None:
    _images(tmp_path)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": f"sha256:{'c' * 64}",
            "size": 5,
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": f"sha256:{'d' * 64}",
                "size": 70,
            }
        ],
    }
    entry = {
        "registryId": ACCOUNT,
        "repositoryName": "team/app",
        "imageId": {"imageDigest": OLD.digest},
        "imageManifest": json.dumps(manifest),
        "imageManifestMediaType": manifest["mediaType"],
    }
    (tmp_path / "manifests.json").write_text(json.dumps({"images": [entry], "failures": []}))
    document = _document(demurrage("explain", OLD.digest, *OFFLINE, "--manifests", "manifests.json"))
    assert document["logical_bytes"] == 75
    assert document["verdict"]["reason"] == "NO_POLICY"
    assert "is not known" in document["verdict"]["sentence"]


def test_manifests_alone_are_bad_usage(demurrage: Cli) -> None:
    outcome = demurrage("explain", "app:v1", "--manifests", "manifests.json")
    assert outcome.status == 2
    assert "--images FILE" in outcome.err
