"""`demurrage collect` and the workloads of an emulated AWS, in two regions over HTTP."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.ec2.models import ec2_backends
from moto.ecs.models import ecs_backends

from analyzer.demo import moto_faults
from tests.analyzer.cli.conftest import Outcome
from tests.support.emulators import moto_server
from tests.support.registry import digest_of, manifest_text
from tests.support.stub_ecr import Server

#: moto's, whatever the credentials.
ACCOUNT = "123456789012"
REGIONS = ("eu-west-1", "us-east-1")


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    monkeypatch.setenv("DEMURRAGE_REQUESTS_PER_SECOND", "100000")
    with moto_faults.mended(), moto_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield


def fill(session: boto3.Session, region: str) -> dict[str, str]:
    """Images and whatever uses them in a region; gives the registry's address and the image's names."""

    def client(service: str) -> Any:
        return session.client(service, region_name=region)  # type: ignore[call-overload]  # the service is no literal

    registry = f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com"
    text = manifest_text([("sha256:" + "a" * 64, 10)], ("sha256:" + "b" * 64, 1))
    digest = digest_of(text)
    ecr = client("ecr")
    ecr.create_repository(repositoryName="app")
    ecr.put_image(repositoryName="app", imageManifest=text, imageDigest=digest, imageTag="v1")
    app = f"{registry}/app:v1"
    ecs = client("ecs")
    ecs.create_cluster(clusterName="shop")
    for number in range(4):
        ecs.register_task_definition(
            family="web",
            containerDefinitions=[{"name": "main", "image": f"{registry}/app:v{number}", "memory": 64}],
        )
    ecs.create_service(cluster="shop", serviceName="web", taskDefinition="web:1", desiredCount=0)
    subnet = next(iter(ec2_backends[ACCOUNT][region].describe_subnets())).id
    ecs.run_task(
        cluster="shop",
        taskDefinition="web:2",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
    )
    for task in ecs_backends[ACCOUNT][region].tasks["shop"].values():
        for container in task.containers:
            # moto's tasks never say which digest they got.
            container.__dict__["image_digest"] = digest
    role = client("iam")
    name = f"lambda-{region}"
    role.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    functions = client("lambda")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    functions.create_function(FunctionName="thumb", Role=arn, PackageType="Image", Code={"ImageUri": app})
    functions.publish_version(FunctionName="thumb")
    batch = client("batch")
    job = {
        "image": app,
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
    }
    for _ in range(2):
        batch.register_job_definition(jobDefinitionName="etl", type="container", containerProperties=job)
    client("sagemaker").create_model(ModelName="rank", ExecutionRoleArn=arn, PrimaryContainer={"Image": app})
    client("codebuild").create_project(
        name="build",
        source={"type": "S3", "location": "bucket/source.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": app, "computeType": "BUILD_GENERAL1_SMALL"},
        serviceRole=arn,
    )
    # moto makes up a digest of its own.
    code = functions.get_function(FunctionName="thumb", Qualifier="1")["Code"]
    return {"registry": registry, "digest": digest, "function": code["ResolvedImageUri"]}


def workloads(database: Path) -> set[tuple[str, ...]]:
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT region, source, workload, kind, image_reference FROM v_workloads"
        ).fetchall()
    connection.close()
    return set(rows)


@pytest.mark.usefixtures("moto")
def test_what_runs_in_two_regions_is_in_the_database_and_asked_for_once(
    demurrage: Callable[..., Outcome], tmp_path: Path
) -> None:
    session = boto3.Session()
    places = {region: fill(session, region) for region in REGIONS}
    database = tmp_path / "d.db"
    arguments = (
        *("collect", "--db", f"sqlite:///{database}", "--format", "json"),
        *(part for region in REGIONS for part in ("--region", region)),
        # moto answers for App Runner with an HTML page.
        *("--workload-sources", "ecs,lambda,eks,batch,sagemaker,codebuild"),
    )
    first = demurrage(*arguments)
    assert first.status == 0, first.err
    expected = set()
    for region, place in places.items():
        app, digest = f"{place['registry']}/app", place["digest"]
        expected |= {
            (region, *row)
            for row in (
                ("ecs", "web:1", "configured", f"{app}:v0"),
                ("ecs", "shop/web", "configured", f"{app}:v0"),
                ("ecs", "shop/web:2", "running", f"{app}:v1@{digest}"),
                ("ecs", "web:2", "previous", f"{app}:v1"),
                ("ecs", "web:3", "previous", f"{app}:v2"),
                ("ecs", "web:4", "configured", f"{app}:v3"),
                ("lambda", "thumb:$LATEST", "running", place["function"]),
                ("lambda", "thumb:1", "running", place["function"]),
                ("batch", "etl:1", "previous", f"{app}:v1"),
                ("batch", "etl:2", "configured", f"{app}:v1"),
                ("sagemaker", "model/rank", "configured", f"{app}:v1"),
                ("codebuild", "build", "configured", f"{app}:v1"),
            )
        }
    assert workloads(database) == expected
    second = demurrage(*arguments)
    assert second.status == 0, second.err
    assert workloads(database) == expected
    calls = json.loads(second.out)["calls"]
    assert "ecs:DescribeTaskDefinition" in json.loads(first.out)["calls"]
    assert "ecs:DescribeTaskDefinition" not in calls


def test_nobody_is_asked_about_workloads_who_is_not_to_be(
    demurrage: Callable[..., Outcome], aws: Server, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path / 'd.db'}"
    outcome = demurrage("collect", "--db", database, "--region", "eu-west-1", "--workload-sources", "none")
    assert outcome.status == 0, outcome.err
    assert aws.stub.workloads.calls == {}


def test_an_unchanged_night_of_an_account_without_workloads_costs_ten_calls_for_them(
    demurrage: Callable[..., Outcome], aws: Server, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path / 'd.db'}"
    outcome = demurrage("collect", "--db", database, "--region", "eu-west-1")
    assert outcome.status == 0, outcome.err
    assert sum(aws.stub.workloads.calls.values()) == 10


@pytest.mark.usefixtures("aws")
def test_a_region_with_a_cluster_has_a_gap_that_says_how_to_close_it(
    demurrage: Callable[..., Outcome], aws: Server, tmp_path: Path
) -> None:
    aws.stub.workloads.answers["eks:ListClusters"] = {"clusters": ["prod"]}
    database = f"sqlite:///{tmp_path / 'd.db'}"
    outcome = demurrage("collect", "--db", database, "--region", "eu-west-1", "--format", "json")
    assert outcome.status == 4
    (gap,) = json.loads(outcome.out)["gaps"]
    assert (gap["call"], gap["reason"]) == ("kubernetes:ListPods", "NotAsked")
    assert "no way into prod; give one with --eks-pods or --kubeconfig" in gap["detail"]
    assert aws.stub.workloads.calls["inspector2:ListCoverage"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workload-sources", "ecs,ec2"], "'ec2' is none; give all, none, or some of ecs, lambda"),
        (["--workload-sources", ""], "--workload-sources is empty"),
        (["--workload-sources", "ecs", "--eks-pods"], "are about EKS, which --workload-sources leaves out"),
        (["--kubeconfig", "kube"], "--kubeconfig kube: there are no contexts in it"),
        (["--revisions", "0"], "0 is not in the range"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_choices_that_make_no_sense_are_bad_usage(
    demurrage: Callable[..., Outcome], tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "kube").write_text("a: 1")
    outcome = demurrage("collect", "--region", "eu-west-1", *arguments)
    assert outcome.status == 2
    assert words in outcome.err
