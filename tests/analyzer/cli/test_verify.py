"""`demurrage verify` against an ECR over HTTP, with the slow evaluator for its preview."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analyzer.cli import cli
from analyzer.cli import verify as verify_module
from analyzer.cli.verify import verify_command
from analyzer.lifecycle.parsing import parse_policy
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome, Reason
from tests.analyzer.cli.conftest import Outcome as CliOutcome
from tests.oracle.lifecycle import Image, evaluate_repository
from tests.support.registry import OCI_INDEX, Repository, World, index_text, manifest_text
from tests.support.stub_ecr import Fault, Server

Cli = Callable[..., CliOutcome]

DAY = 86_400.0


def policy_text(keep: int = 3, days: int = 10) -> str:
    def rule(priority: int, status: str, count_type: str, number: int) -> dict[str, Any]:
        unit = {"countUnit": "days"} if count_type.startswith("since") else {}
        selection = {"tagStatus": status, "countType": count_type, **unit, "countNumber": number}
        return {"rulePriority": priority, "selection": selection, "action": {"type": "expire"}}

    rules = [rule(1, "untagged", "sinceImagePushed", days), rule(2, "any", "imageCountMoreThan", keep)]
    return json.dumps({"rules": rules})


def as_ecr_would(repository: Repository, text: str) -> list[dict[str, Any]]:
    """The rows of a preview, by the evaluator that is slow and obvious."""
    images = [
        Image(
            digest=one.digest,
            tags=frozenset(one.tags),
            pushed_at_ms=round(one.pushed_at * 1000),
            status=ImageStatus.ACTIVE,
            children=tuple(entry["digest"] for entry in json.loads(one.manifest).get("manifests", ())),
        )
        for one in repository.images.values()
    ]
    verdicts = evaluate_repository(images, parse_policy(text), round(time.time() * 1000))
    return [
        row_of(repository, image.digest, verdict.rule)
        for image, verdict in zip(images, verdicts, strict=True)
        if verdict.outcome is Outcome.EXPIRED and verdict.reason is Reason.CLAIMED
    ]


def row_of(repository: Repository, digest: str, rule: int) -> dict[str, Any]:
    image = repository.images[digest]
    return {
        "imageDigest": digest,
        **({"imageTags": image.tags} if image.tags else {}),
        "imagePushedAt": image.pushed_at,
        "action": {"type": "EXPIRE"},
        "appliedRulePriority": rule,
        "storageClass": "STANDARD",
    }


def push(repository: Repository, number: int, days: float, tag: str | None) -> str:
    digest = f"sha256:{number:064x}"
    text = manifest_text([(digest, 1_000)], (digest, 1_000))
    return repository.put_image(text, tag=tag, pushed_at=time.time() - days * DAY).digest


@pytest.fixture
def world() -> World:
    world = World()
    world.previewer = as_ecr_would
    for name in ("team/app", "team/web", "other"):
        repository = world.registry().create_repository(name)
        repository.lifecycle_policy = policy_text()
        for number in range(6):
            push(repository, number, 20 - 3 * number, f"v{number}" if number % 2 else None)
        children = [repository.images[digest] for digest in list(repository.images)[:2]]
        repository.put_image(
            index_text(children, [("linux", "amd64"), ("linux", "arm64")]),
            tag="latest",
            pushed_at=time.time() - DAY,
            media_type=OCI_INDEX,
        )
    return world


@pytest.fixture
def repository(world: World) -> Repository:
    return world.registry().repositories["team/app"]


@pytest.fixture
def verify(demurrage: Cli, aws: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CliOutcome]:
    """Calls verify on a database that holds a snapshot of the world."""
    monkeypatch.setitem(cli.commands, "verify", verify_command)
    monkeypatch.setattr(verify_module, "_POLL_SECONDS", 0.01)
    assert demurrage("collect", "--region", "eu-west-1", "--quiet").status == 0
    aws.calls.clear()

    def call(*arguments: str) -> CliOutcome:
        return demurrage("verify", *arguments)

    return call


def only(outcome: CliOutcome) -> dict[str, Any]:
    (found,) = json.loads(outcome.out)["repositories"]
    assert isinstance(found, dict)
    return found


# --- agreement ----------------------------------------------------------------------------------


def test_previews_that_agree_are_said_to_and_end_with_0(verify: Cli, aws: Server) -> None:
    outcome = verify("--repository", "team/*")
    assert outcome.status == 0, outcome.out
    assert "on 2 repositories: 2 agree\n" in outcome.out
    assert "123456789012/eu-west-1/team/app: agrees on all 7 artifacts (2 expire, 0 move" in outcome.out
    assert "previewing 2 repositories; ECR may take minutes" in outcome.err
    assert "eu-west-1/team/web: previewed, 2 images with an action" in outcome.err
    assert aws.calls["StartLifecyclePolicyPreview"] == 2
    # Nothing else is asked of AWS: no manifest is pulled, and nothing but previews is written.
    assert set(aws.calls) == {
        "GetCallerIdentity",
        "StartLifecyclePolicyPreview",
        "GetLifecyclePolicyPreview",
        "DescribeImages",
    }
    assert verify("--repository", "team/*", "--quiet").err == ""


def test_images_that_an_index_keeps_are_told_apart(verify: Cli, repository: Repository) -> None:
    document = only(verify("--repository", "team/app", "--format", "json"))
    children = list(repository.images)[:2]
    # The first is untagged and old, the second beyond the limit: both are claimed, and kept.
    assert document["blockedNotShown"] == sorted(children)
    assert document["aws"] == document["ours"] == {"expire": 2, "transition": 0}
    assert document["summary"] == {"expire": 2, "transition": 0}


def test_a_policy_from_a_file_is_previewed_in_place_of_the_one_in_force(
    verify: Cli, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "keep.json").write_text(policy_text(keep=1, days=1))
    outcome = verify("--repository", "team/app", "--policy", "keep.json", "--format", "json")
    assert outcome.status == 0
    assert repository.preview is not None
    assert repository.preview.policy_text == policy_text(keep=1, days=1)
    assert only(outcome)["aws"]["expire"] == 4
    assert repository.lifecycle_policy == policy_text()
    answer = {"registryId": "123456789012", "repositoryName": "x", "lifecyclePolicyText": policy_text(keep=2)}
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    assert verify("--repository", "team/app", "--policy", "answer.json").status == 0
    assert repository.preview.policy_text == policy_text(keep=2)


def test_what_was_pushed_and_deleted_since_the_snapshot_does_not_disturb(
    verify: Cli, repository: Repository
) -> None:
    gone = list(repository.images)[3]
    repository.delete_image(gone)
    new = push(repository, 99, 0.5, "v99")
    outcome = verify("--repository", "team/app", "--format", "json")
    assert outcome.status == 0, outcome.out
    document = only(outcome)
    assert (document["pushedSinceSnapshot"], document["goneSinceSnapshot"]) == ([new], [gone])
    assert document["artifacts"] == 7


def test_a_policy_that_changed_since_the_snapshot_is_the_one_compared(
    verify: Cli, repository: Repository
) -> None:
    assert not only(verify("--repository", "team/app", "--format", "json"))["policyChangedSinceSnapshot"]
    repository.lifecycle_policy = policy_text(keep=1)
    outcome = verify("--repository", "team/app", "--format", "json")
    assert outcome.status == 0
    assert only(outcome)["policyChangedSinceSnapshot"]
    repository.lifecycle_policy = None
    outcome = verify("--repository", "team/app", "--format", "json")
    assert outcome.status == 0
    assert only(outcome)["status"] == "no-policy"
    assert only(outcome)["policyChangedSinceSnapshot"]
    assert "no lifecycle policy is in force" in verify("--repository", "team/app").out


# --- disagreement -------------------------------------------------------------------------------


def test_disagreements_are_named_and_end_with_3(verify: Cli, world: World, repository: Repository) -> None:
    newest = list(repository.images)[5]

    def otherwise(there: Repository, text: str) -> list[dict[str, Any]]:
        rows = as_ecr_would(there, text)
        return [*rows[1:], row_of(there, newest, 2)] if there is repository else rows

    world.previewer = otherwise
    outcome = verify("--repository", "team/*")
    assert outcome.status == 3
    assert "1 agrees, 1 disagrees" in outcome.out
    words = " ".join(outcome.out.split())
    assert "team/app: DISAGREES on 2 of 7 artifacts (ECR: 2 expire" in words
    assert f"{newest} (v5) pushed" in words
    assert "ECR expires by rule 2, we keep it; rule 2 is the first to select it and keeps it" in words
    rows = list(csv.DictReader(io.StringIO(verify("--repository", "team/*", "--format", "csv").out)))
    assert [row["difference"] for row in rows if row["repository"] == "team/app"][:2] == [
        "aws-acts-we-keep",
        "we-act-aws-keeps",
    ]


def test_a_summary_that_does_not_fit_its_rows_is_a_finding(verify: Cli, repository: Repository) -> None:
    repository.preview_summary = {"expiringImageTotalCount": 7}
    outcome = verify("--repository", "team/app")
    assert outcome.status == 3
    assert "the preview contradicts itself" in outcome.out
    assert "ECR's summary says 7 expire" in outcome.out


def test_a_policy_that_only_one_side_accepts_is_a_finding(
    verify: Cli, aws: Server, world: World, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "keep.json").write_text(policy_text())
    aws.stub.faults = [
        Fault("code", "StartLifecyclePolicyPreview", code="InvalidParameterException", message="not so")
    ]
    outcome = verify("--repository", "team/app", "--policy", "keep.json")
    assert outcome.status == 3
    assert "ECR refuses the policy, which we accept: not so" in outcome.out
    aws.stub.faults = []
    world.previewer = lambda _repository, _text: []
    repository.lifecycle_policy = policy_text().replace('"any"', '"some"')
    outcome = verify("--repository", "team/app")
    assert outcome.status == 3
    assert "we refuse the policy, which ECR accepts" in outcome.out
    assert "BAD_ENUM" in outcome.out


# --- gaps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("deny", "StartLifecyclePolicyPreview", "team/app"), "AccessDeniedException"),
        (Fault("deny", "DescribeImages", "team/app"), "AccessDeniedException"),
    ],
    ids=["start", "list"],
)
def test_what_is_refused_is_a_gap_and_ends_with_4(
    verify: Cli, aws: Server, tmp_path: Path, fault: Fault, reason: str
) -> None:
    aws.stub.faults = [fault]
    outcome = verify("--repository", "team/*")
    assert outcome.status == 4
    assert "1 agrees, 1 unverified" in outcome.out
    assert f"123456789012/eu-west-1/team/app: ecr:{fault.operation} {reason}" in outcome.out
    assert f"eu-west-1/team/app: not previewed ({reason})" in outcome.err
    (tmp_path / "gaps.toml").write_text('[[gap]]\nrepository = "team/app"\nreason = "agreed"\n')
    accepted = verify("--repository", "team/*", "--accept-gaps", "gaps.toml", "--format", "json")
    assert accepted.status == 0
    document = json.loads(accepted.out)
    assert (document["gaps"], document["accepted_gaps"][0]["accepted_because"]) == ([], "agreed")


def test_a_repository_that_is_gone_and_a_preview_without_end_are_gaps(
    verify: Cli, world: World, repository: Repository
) -> None:
    del world.registry().repositories["team/web"]
    repository.preview_looks = 1_000_000
    outcome = verify("--repository", "team/*", "--wait", "1")
    assert outcome.status == 4
    assert "RepositoryNotFoundException" in outcome.out
    assert "PreviewTimeout" in outcome.out


def test_disagreement_counts_more_than_a_gap(
    verify: Cli, aws: Server, world: World, repository: Repository
) -> None:
    world.previewer = lambda there, _: [row_of(there, digest, 2) for digest in there.images]
    aws.stub.faults = [Fault("deny", "StartLifecyclePolicyPreview", "team/web")]
    assert repository.lifecycle_policy is not None
    assert verify("--repository", "team/*").status == 3


# --- asking for the wrong thing -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing option '--repository'"),
        (
            ["--repository", "nothing/*"],
            "--repository nothing/*: no repository of the last snapshot of eu-west-1",
        ),
        (["--repository", "team/*", "--region", "us-east-1"], "there are snapshots of eu-west-1 only"),
        (["--repository", "team/*", "--policy", "none.json"], "--policy none.json: No such file"),
        (["--repository", "team/*", "--account", "999999999999"], "belong to account 123456789012, not to"),
        (["--repository", "team/*", "--at-once", "0"], "--at-once"),
    ],
    ids=["nothing", "glob", "region", "file", "account", "at-once"],
)
def test_bad_usage_ends_with_2_and_starts_no_preview(
    verify: Cli, aws: Server, arguments: list[str], said: str
) -> None:
    outcome = verify(*arguments)
    assert outcome.status == 2
    assert said in outcome.err
    assert aws.calls["StartLifecyclePolicyPreview"] == 0


def test_an_invalid_policy_is_refused_before_aws_is_asked(verify: Cli, aws: Server, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(policy_text().replace('"any"', '"all"'))
    outcome = verify("--repository", "team/*", "--policy", "bad.json", "--format", "json")
    assert outcome.status == 2
    assert json.loads(outcome.out)["error"]["code"] == "BAD_ENUM"
    assert not aws.calls


def test_without_a_snapshot_it_says_what_to_run(
    demurrage: Cli, aws: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cli.commands, "verify", verify_command)
    outcome = demurrage("verify", "--repository", "*")
    assert outcome.status == 2
    assert "demurrage collect" in outcome.err
    assert not aws.calls


def test_repositories_of_other_accounts_are_left_out_and_said_so(
    demurrage: Cli, aws: Server, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cli.commands, "verify", verify_command)
    monkeypatch.setattr(verify_module, "_POLL_SECONDS", 0.01)
    theirs = world.registry("210987654321").create_repository("team/theirs")
    theirs.lifecycle_policy = policy_text()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "210987654321")
    assert demurrage("collect", "--region", "eu-west-1", "--quiet").status == 0
    outcome = demurrage("verify", "--repository", "team/theirs", "--format", "json")
    assert only(outcome)["status"] == "agrees"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    assert demurrage("collect", "--region", "eu-west-1", "--quiet").status == 0
    outcome = demurrage("verify", "--repository", "team/*")
    assert outcome.status == 0
    assert "Note: 1 more that match belong to other accounts than 123456789012" in outcome.out
    refused = demurrage("verify", "--repository", "team/theirs")
    assert refused.status == 2
    assert (
        "the credentials belong to account 123456789012, the repositories that match to 210987654321"
        in refused.err
    )
    assert aws.calls["StartLifecyclePolicyPreview"] == 3


def test_help_says_that_it_writes(demurrage: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.commands, "verify", verify_command)
    outcome = demurrage("verify", "--help")
    assert outcome.status == 0
    words = " ".join(outcome.out.split())
    assert "A preview changes no image and no policy, but starting one is a call of write level" in words
    assert "--repository GLOB" in words
    assert "[required]" in words
