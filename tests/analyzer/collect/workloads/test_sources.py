from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analyzer.collect.workloads import ACTIONS, check_sources
from analyzer.errors import InputError
from analyzer.model.records import RegistryKey
from tests.analyzer.collect.workloads.fakes import (
    ACCOUNT,
    CONFIGURED,
    HOST,
    PREVIOUS,
    REGION,
    RUNNING,
    SEEN_AT_MS,
    again,
    digest,
    image,
    read,
    uses,
)
from tests.support.stub_workloads import Refused, Request, Workloads

SEEN_AT = datetime.fromtimestamp(SEEN_AT_MS / 1000, UTC)
EARLIER, LATER = SEEN_AT - timedelta(days=3), SEEN_AT + timedelta(days=1)


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


# Lambda.


def function(name: str, version: str, letter: str = "a", when: datetime = EARLIER) -> dict[str, Any]:
    return {
        "FunctionName": name,
        "Version": version,
        "PackageType": "Image",
        "CodeSha256": letter * 64,
        "LastModified": when.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
    }


def lambdas(*pages: list[dict[str, Any]]) -> Workloads:
    def listed(request: Request) -> dict[str, Any]:
        assert request.parameters["FunctionVersion"] == "ALL"
        number = int(request.parameters.get("Marker", 0))
        following = str(number + 1) if number + 1 < len(pages) else None
        return {"Functions": pages[number], "NextMarker": following}

    def code(request: Request) -> dict[str, Any]:
        wanted = request.parameters["FunctionName"], request.parameters["Qualifier"]
        for entry in (entry for page in pages for entry in page):
            if (entry["FunctionName"], entry["Version"]) == wanted:
                resolved = f"{HOST}/{wanted[0]}@sha256:{entry['CodeSha256']}"
                location = "https://secret.example/?X-Amz-Signature=1"
                return {"Code": {"ImageUri": "x:latest", "ResolvedImageUri": resolved, "Location": location}}
        raise Refused("ResourceNotFoundException", "Function not found", 404)

    return Workloads({"lambda:ListFunctions": listed, "lambda:GetFunction": code})


def test_every_version_of_a_function_that_is_an_image_runs_the_digest_that_lambda_resolved() -> None:
    zipped = {"FunctionName": "z", "Version": "$LATEST", "PackageType": "Zip", "CodeSha256": "abc="}
    aws = lambdas([function("f", "$LATEST"), zipped], [function("f", "1", "b")])
    assert uses(aws, "lambda") == [
        ("f:$LATEST", image("f", "a"), RUNNING),
        ("f:1", image("f", "b"), RUNNING),
    ]
    assert aws.calls == {"lambda:ListFunctions": 2, "lambda:GetFunction": 2}


def test_functions_that_did_not_change_are_not_asked_about_again() -> None:
    aws = lambdas([function("f", "$LATEST"), function("f", "1", "b")])
    first, _ = read(aws, "lambda")
    aws.calls.clear()
    assert read(aws, "lambda", known=again(first)) == (first, [])
    assert aws.calls == {"lambda:ListFunctions": 1}


@pytest.mark.parametrize(
    "now",
    [
        function("f", "$LATEST", "b"),
        function("f", "$LATEST", "a", LATER),
        {**function("f", "$LATEST"), "CodeSha256": "no hash"},
        {**function("f", "$LATEST"), "LastModified": "yesterday"},
    ],
    ids=["digest", "changed", "no digest", "no time"],
)
def test_functions_that_may_have_changed_are_asked_about_again(now: dict[str, Any]) -> None:
    first, _ = read(lambdas([function("f", "$LATEST")]), "lambda")
    aws = lambdas([now])
    (found,), gaps = read(aws, "lambda", known=again(first))
    assert aws.calls["lambda:GetFunction"] == 1
    assert gaps == []
    assert found.uses[0].reference.endswith(now["CodeSha256"])


def test_a_function_that_was_deleted_meanwhile_is_no_gap_and_no_address_of_code_is_kept() -> None:
    aws = lambdas([function("f", "$LATEST")])
    aws.answers["lambda:ListFunctions"] = {"Functions": [function("f", "$LATEST"), function("g", "$LATEST")]}
    found = uses(aws, "lambda")
    assert [use[0] for use in found] == ["f:$LATEST"]
    assert "secret" not in repr(found)


# App Runner.


def test_app_runner_services_name_the_images_they_run_or_would_start() -> None:
    described = {
        "a": ("RUNNING", {"ImageRepository": {"ImageIdentifier": image("web:1")}}),
        "b": ("PAUSED", {"ImageRepository": {"ImageIdentifier": image("api:1")}}),
        "c": ("RUNNING", {"CodeRepository": {"RepositoryUrl": "https://git"}}),
    }
    listed = [
        {"ServiceArn": arn("apprunner", f"service/{name}"), "ServiceName": name, "Status": status}
        for name, (status, _) in described.items()
    ] + [{"ServiceArn": arn("apprunner", "service/gone"), "Status": "DELETED"}]

    def service(request: Request) -> dict[str, Any]:
        name = request.parameters["ServiceArn"].rpartition("/")[2]
        status, source = described[name]
        return {"Service": {"ServiceName": name, "Status": status, "SourceConfiguration": source}}

    def page(request: Request) -> dict[str, Any]:
        if request.parameters.get("NextToken") is None:
            return {"ServiceSummaryList": listed[:2], "NextToken": "2"}
        return {"ServiceSummaryList": listed[2:]}

    aws = Workloads({"apprunner:ListServices": page, "apprunner:DescribeService": service})
    assert uses(aws, "apprunner") == [("a", image("web:1"), RUNNING), ("b", image("api:1"), CONFIGURED)]


def test_a_service_that_aws_does_not_offer_in_a_region_is_not_asked_and_runs_nothing() -> None:
    aws = Workloads()
    key = RegistryKey("aws", ACCOUNT, "sa-east-1")
    (found,), gaps = read(aws, "apprunner", key=key)
    assert (str(found.status), found.uses, gaps, aws.calls) == ("complete", (), [], {})


def test_a_region_that_this_botocore_does_not_know_is_asked() -> None:
    aws = Workloads()
    read(aws, "apprunner", key=RegistryKey("aws", ACCOUNT, "eu-north-9"))
    assert aws.calls == {"apprunner:ListServices": 1}


# Batch.


def job_definition(name: str, number: int, **properties: Any) -> dict[str, Any]:
    return {
        "jobDefinitionName": name,
        "jobDefinitionArn": arn("batch", f"job-definition/{name}:{number}"),
        "revision": number,
        "type": "container",
        "status": "ACTIVE",
        **properties,
    }


def test_batch_definitions_of_every_kind_and_jobs_name_their_images() -> None:
    container = {"containerProperties": {"image": image("a:1")}}
    tasks = {"taskProperties": [{"containers": [{"image": image("b:1")}, {"image": image("c:1")}]}]}
    pod = {
        "podProperties": {
            "containers": [{"image": image("d:1")}],
            "initContainers": [{"image": image("e:1")}],
        }
    }
    nodes = {"nodeRangeProperties": [{"container": {"image": image("f:1")}}, {"ecsProperties": tasks}]}
    definitions = [
        job_definition("one", 1, containerProperties={"image": image("a:0")}),
        job_definition("one", 2, **container),
        job_definition("two", 1, ecsProperties=tasks),
        job_definition("three", 1, eksProperties=pod),
        job_definition("four", 10, nodeProperties=nodes),
    ]
    states: list[str] = []

    def jobs(request: Request) -> dict[str, Any]:
        states.append(request.parameters["jobStatus"])
        ids = {"RUNNING": ["1", "2"], "RUNNABLE": ["3"]}.get(states[-1], [])
        return {"jobSummaryList": [{"jobId": it, "jobName": "j"} for it in ids]}

    def described(request: Request) -> dict[str, Any]:
        definition = arn("batch", "job-definition/old:1")
        return {
            "jobs": [
                {"jobId": it, "jobDefinition": definition, "container": {"image": image(f"job:{it}")}}
                for it in request.parameters["jobs"]
            ]
        }

    aws = Workloads(
        {
            "batch:DescribeJobDefinitions": {"jobDefinitions": definitions},
            "batch:DescribeJobQueues": {"jobQueues": [{"jobQueueArn": arn("batch", "job-queue/q")}]},
            "batch:ListJobs": jobs,
            "batch:DescribeJobs": described,
        }
    )
    assert uses(aws, "batch") == [
        ("four:10", image("b:1"), CONFIGURED),
        ("four:10", image("c:1"), CONFIGURED),
        ("four:10", image("f:1"), CONFIGURED),
        ("one:1", image("a:0"), PREVIOUS),
        ("one:2", image("a:1"), CONFIGURED),
        ("q/old:1", image("job:1"), RUNNING),
        ("q/old:1", image("job:2"), RUNNING),
        ("q/old:1", image("job:3"), CONFIGURED),
        ("three:1", image("d:1"), CONFIGURED),
        ("three:1", image("e:1"), CONFIGURED),
        ("two:1", image("b:1"), CONFIGURED),
        ("two:1", image("c:1"), CONFIGURED),
    ]
    assert sorted(states) == ["RUNNABLE", "RUNNING", "STARTING"]
    assert aws.calls["batch:DescribeJobs"] == 2


# SageMaker.


def test_sagemaker_is_asked_once_about_models_and_endpoints_that_do_not_change() -> None:
    variants = [{"DeployedImages": [{"SpecifiedImage": image("m:1"), "ResolvedImage": image("m", "a")}]}]
    aws = Workloads(
        {
            "sagemaker:ListModels": {"Models": [{"ModelName": "m", "CreationTime": EARLIER}]},
            "sagemaker:DescribeModel": {
                "PrimaryContainer": {"Image": image("m:1")},
                "Containers": [{"Image": image("n:1")}],
            },
            "sagemaker:ListEndpoints": {"Endpoints": [{"EndpointName": "e", "LastModifiedTime": EARLIER}]},
            "sagemaker:DescribeEndpoint": {
                "ProductionVariants": variants,
                "PendingDeploymentSummary": {
                    "ProductionVariants": [{"DeployedImages": [{"SpecifiedImage": image("m:2")}]}]
                },
            },
        }
    )
    first, gaps = read(aws, "sagemaker")
    assert gaps == []
    assert [tuple(use) for use in first[0].uses] == [
        ("endpoint/e", image("m:1", "a"), RUNNING),
        ("endpoint/e", image("m:2"), RUNNING),
        ("model/m", image("m:1"), CONFIGURED),
        ("model/m", image("n:1"), CONFIGURED),
    ]
    aws.calls.clear()
    assert read(aws, "sagemaker", known=again(first)) == (first, [])
    assert aws.calls == {"sagemaker:ListModels": 1, "sagemaker:ListEndpoints": 1}
    aws.answers["sagemaker:ListEndpoints"] = {"Endpoints": [{"EndpointName": "e", "LastModifiedTime": LATER}]}
    read(aws, "sagemaker", known=again(first))
    assert aws.calls["sagemaker:DescribeEndpoint"] == 1


def test_a_model_made_again_under_its_name_is_asked_about_again() -> None:
    aws = Workloads(
        {
            "sagemaker:ListModels": {"Models": [{"ModelName": "m", "CreationTime": LATER}]},
            "sagemaker:DescribeModel": {"PrimaryContainer": {"Image": image("m:2")}},
        }
    )
    old, _ = read(aws, "sagemaker")
    aws.answers["sagemaker:DescribeModel"] = {"PrimaryContainer": {"Image": image("m:3")}}
    assert uses(aws, "sagemaker", known=again(old)) == [("model/m", image("m:3"), CONFIGURED)]


def test_a_model_deleted_meanwhile_is_no_gap() -> None:
    def gone(_: Request) -> dict[str, Any]:
        raise Refused("ValidationException", 'Could not find model "arn:…".')

    aws = Workloads(
        {"sagemaker:ListModels": {"Models": [{"ModelName": "m"}]}, "sagemaker:DescribeModel": gone}
    )
    assert uses(aws, "sagemaker") == []


# CodeBuild.


def test_codebuild_projects_come_a_hundred_a_call_through_its_binary_protocol() -> None:
    names = [f"p{n:03}" for n in range(150)]

    def page(request: Request) -> dict[str, Any]:
        if "nextToken" in request.parameters:
            return {"projects": names[100:]}
        return {"projects": names[:100], "nextToken": "t"}

    def projects(request: Request) -> dict[str, Any]:
        return {
            "projects": [
                {"name": name, "environment": {"image": "aws/codebuild/standard:7.0"}}
                for name in request.parameters["names"]
            ]
        }

    aws = Workloads({"codebuild:ListProjects": page, "codebuild:BatchGetProjects": projects})
    found = uses(aws, "codebuild")
    assert found == [(name, "aws/codebuild/standard:7.0", CONFIGURED) for name in names]
    assert aws.calls == {"codebuild:ListProjects": 2, "codebuild:BatchGetProjects": 2}


# Inspector.


def covered(region: str, letter: str, count: int) -> dict[str, Any]:
    return {
        "resourceType": "AWS_ECR_CONTAINER_IMAGE",
        "resourceId": f"arn:aws:ecr:{region}:{ACCOUNT}:repository/team/app/{digest(letter)}",
        "resourceMetadata": {"ecrImage": {"inUseCount": count}},
    }


def test_inspector_names_the_digests_that_are_in_use() -> None:
    aws = Workloads(
        {
            "inspector2:ListCoverage": {
                "coveredResources": [covered(REGION, "a", 2), covered(REGION, "b", 0), {"resourceId": "i-1"}]
            }
        }
    )
    assert uses(aws, "inspector") == [("team/app", image("team/app", "a"), RUNNING)]


def test_inspector_is_asked_about_clusters_whose_pods_are_not_read() -> None:
    aws = Workloads(
        {
            "eks:ListClusters": {"clusters": ["prod", "test"]},
            "inspector2:ListCoverage": {"coveredResources": [covered(REGION, "a", 2)]},
        }
    )
    (clusters, inspected), (gap,) = read(aws, "eks", "inspector")
    assert (clusters.source, str(clusters.status), clusters.uses) == ("eks", "partial", ())
    assert (inspected.source, str(inspected.status)) == ("inspector", "complete")
    assert [use.reference for use in inspected.uses] == [image("team/app", "a")]
    assert (gap.call, gap.reason, gap.count) == ("kubernetes:ListPods", "NotAsked", 2)
    assert "no way into prod, test; give one with --eks-pods or --kubeconfig" in gap.detail


def test_an_account_without_inspector_has_no_gap_for_it_beside_that_of_the_clusters() -> None:
    def denied(_: Request) -> dict[str, Any]:
        raise Refused("AccessDeniedException", "Invoking account does not have access", 403)

    aws = Workloads({"eks:ListClusters": {"clusters": ["prod"]}, "inspector2:ListCoverage": denied})
    (_, inspected), gaps = read(aws, "eks", "inspector")
    assert str(inspected.status) == "refused"
    assert [gap.call for gap in gaps] == ["kubernetes:ListPods"]


def test_an_account_without_clusters_asks_inspector_nothing() -> None:
    aws = Workloads()
    (found,), gaps = read(aws, "eks", "inspector")
    assert (found.source, str(found.status), gaps) == ("eks", "complete", [])
    assert aws.calls == {"eks:ListClusters": 1}


def test_what_inspector_once_said_is_closed_when_the_clusters_speak_for_themselves() -> None:
    aws = Workloads({"inspector2:ListCoverage": {"coveredResources": [covered(REGION, "a", 2)]}})
    before, _ = read(aws, "inspector")
    reads, _ = read(aws, "eks", "inspector", known=again(before))
    assert [(entry.source, str(entry.status), entry.uses) for entry in reads] == [
        ("eks", "complete", ()),
        ("inspector", "complete", ()),
    ]


# All of them.


def test_an_account_that_uses_none_of_them_costs_ten_calls() -> None:
    aws = Workloads()
    reads, gaps = read(aws, *check_sources(["all"]))
    assert gaps == []
    assert {entry.source for entry in reads} == set(ACTIONS) - {"inspector"}
    assert {(str(entry.status), tuple(entry.uses)) for entry in reads} == {("complete", ())}
    assert sum(aws.calls.values()) == 10


def test_every_call_that_is_made_is_among_the_actions_of_its_source() -> None:
    names = [action for actions in ACTIONS.values() for action in actions]
    assert len(set(names)) == len(names)
    assert all(list(actions) == sorted(actions) for actions in ACTIONS.values())


@pytest.mark.parametrize(
    ("given", "sources"),
    [
        (["all"], tuple(ACTIONS)),
        (["none"], ()),
        (["lambda", "ecs", "ecs"], ("ecs", "lambda")),
    ],
)
def test_sources_are_chosen_by_name(given: list[str], sources: tuple[str, ...]) -> None:
    assert check_sources(given) == sources


@pytest.mark.parametrize("given", [[], ["all", "ecs"], ["ec2"], ["none", "ecs"], ["\x1b[31m"]])
def test_a_choice_that_makes_no_sense_is_refused_in_one_line(given: list[str]) -> None:
    with pytest.raises(InputError, match=r"give all, none, or some of ecs, lambda, ") as refused:
        check_sources(given)
    assert "\x1b" not in str(refused.value)
