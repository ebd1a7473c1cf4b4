"""What a source does when it is refused, cut short or lied to."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.collect.clients import CallSettings
from analyzer.collect.workloads import ACTIONS, reading
from analyzer.collect.workloads.reading import Revisions, revision, time_ms, with_digest
from analyzer.model.records import ReadStatus
from tests.analyzer.collect.workloads.fakes import ACCOUNT, REGION, again, digest, image, read
from tests.support.stub_workloads import Refused, Reply, Request, Workloads

#: An answer for every call that is made: each lists one thing, which is described.
FULL: dict[str, dict[str, Any]] = {
    "apprunner:ListServices": {
        "ServiceSummaryList": [{"ServiceArn": "arn:aws:apprunner:s", "ServiceName": "s"}]
    },
    "apprunner:DescribeService": {
        "Service": {
            "ServiceName": "s",
            "SourceConfiguration": {"ImageRepository": {"ImageIdentifier": image("app")}},
        }
    },
    "batch:DescribeJobDefinitions": {
        "jobDefinitions": [
            {
                "jobDefinitionArn": "arn:aws:batch:x:1:job-definition/j:1",
                "containerProperties": {"image": "j"},
            }
        ]
    },
    "batch:DescribeJobQueues": {"jobQueues": [{"jobQueueArn": "arn:aws:batch:x:1:job-queue/q"}]},
    "batch:ListJobs": {"jobSummaryList": [{"jobId": "1", "jobName": "j"}]},
    "batch:DescribeJobs": {"jobs": [{"jobDefinition": "j:1", "container": {"image": "j"}}]},
    "codebuild:ListProjects": {"projects": ["p"]},
    "codebuild:BatchGetProjects": {"projects": [{"name": "p", "environment": {"image": "p"}}]},
    "ecs:ListClusters": {"clusterArns": ["arn:aws:ecs:x:1:cluster/c"]},
    "ecs:ListServices": {"serviceArns": ["arn:aws:ecs:x:1:service/c/s"]},
    "ecs:DescribeServices": {
        "services": [
            {"serviceName": "s", "taskDefinition": "t:1", "currentServiceRevisions": [{"arn": "revision"}]}
        ]
    },
    "ecs:DescribeServiceRevisions": {
        "serviceRevisions": [
            {
                "serviceRevisionArn": "revision",
                "containerImages": [{"image": "i", "imageDigest": digest("a")}],
            }
        ]
    },
    "ecs:ListTasks": {"taskArns": ["arn:aws:ecs:x:1:task/c/1"]},
    "ecs:DescribeTasks": {"tasks": [{"group": "service:s", "containers": [{"image": "i"}]}]},
    "ecs:ListTaskDefinitions": {"taskDefinitionArns": ["arn:aws:ecs:x:1:task-definition/t:1"]},
    "ecs:DescribeTaskDefinition": {"taskDefinition": {"containerDefinitions": [{"image": "t"}]}},
    "eks:ListClusters": {"clusters": ["k"]},
    "eks:DescribeCluster": {"cluster": {"name": "k"}},
    "events:ListRuleNamesByTarget": {"RuleNames": ["r"]},
    "events:ListTargetsByRule": {
        "Targets": [
            {"Id": "1", "Arn": "arn:aws:ecs:x:1:cluster/c", "EcsParameters": {"TaskDefinitionArn": "t:1"}}
        ]
    },
    "inspector2:ListCoverage": {"coveredResources": []},
    "lambda:ListFunctions": {"Functions": [{"FunctionName": "f", "Version": "1", "PackageType": "Image"}]},
    "lambda:GetFunction": {"Code": {"ResolvedImageUri": image("f", "a")}},
    "sagemaker:ListModels": {"Models": [{"ModelName": "m"}]},
    "sagemaker:DescribeModel": {"PrimaryContainer": {"Image": "m"}},
    "sagemaker:ListEndpoints": {"Endpoints": [{"EndpointName": "e"}]},
    "sagemaker:DescribeEndpoint": {"ProductionVariants": [{"DeployedImages": [{"SpecifiedImage": "m"}]}]},
    "scheduler:ListSchedules": {
        "Schedules": [{"Name": "n", "GroupName": "g", "Target": {"Arn": "arn:aws:ecs:x:1:cluster/c"}}]
    },
    "scheduler:GetSchedule": {"Target": {"EcsParameters": {"TaskDefinitionArn": "t:1"}}},
}
CALLS = [(source, action) for source, actions in ACTIONS.items() for action in actions]


def refusing(call: str, refuse: Callable[[Request], Any]) -> Workloads:
    return Workloads({**FULL, call: refuse})


def denied(_: Request) -> dict[str, Any]:
    raise Refused("AccessDeniedException", "not authorized", 403)


def test_the_table_of_actions_holds_exactly_the_calls_that_are_made() -> None:
    for source, actions in ACTIONS.items():
        aws = Workloads(dict(FULL))
        read(aws, source, eks_pods=True)
        assert sorted(aws.calls) == list(actions), source


@pytest.mark.parametrize(("source", "call"), CALLS, ids=[call for _, call in CALLS])
def test_each_refused_call_is_a_gap_and_nothing_known_seems_gone(source: str, call: str) -> None:
    (found,), gaps = read(refusing(call, denied), source, eks_pods=True)
    mine = [gap for gap in gaps if gap.call == call]
    assert [(gap.reason, gap.account, gap.region) for gap in mine] == [
        ("AccessDeniedException", ACCOUNT, REGION)
    ]
    assert mine[0].detail.startswith(f"missing {call} on {ACCOUNT}/{REGION}; which images ")
    assert found.status is not ReadStatus.COMPLETE
    is_only_call = len(refusing(call, denied).answers) and call in (
        "apprunner:ListServices",
        "codebuild:ListProjects",
        "eks:ListClusters",
        "inspector2:ListCoverage",
        "lambda:ListFunctions",
    )
    assert (found.status is ReadStatus.REFUSED) == is_only_call


# Botocore really waits after a throttled call: a list, a batch and single things must do.
@pytest.mark.parametrize(
    ("source", "call"),
    [("ecs", "ecs:ListTasks"), ("ecs", "ecs:DescribeServices"), ("lambda", "lambda:GetFunction")],
)
def test_throttling_and_server_errors_are_retried_and_then_a_gap(source: str, call: str) -> None:
    def throttled(_: Request) -> dict[str, Any]:
        raise Refused("ThrottlingException", "Rate exceeded", 400)

    settings = CallSettings(requests_per_second=1e9, attempts=1)
    aws = refusing(call, throttled)
    (found,), gaps = read(aws, source, eks_pods=True, settings=settings)
    assert found.status is not ReadStatus.COMPLETE
    assert ("ThrottlingException", True) in {
        (gap.reason, "throttled until the last retry" in gap.detail) for gap in gaps
    }
    assert settings.counts.throttles == aws.calls[call]


def test_no_answer_of_a_workload_service_ends_the_night() -> None:
    codes = itertools.cycle(["ValidationException", "InvalidParameterException", "BrandNewException"])
    for (source, call), code in zip(CALLS, codes, strict=False):

        def refused(_: Request, code: str = code) -> dict[str, Any]:
            raise Refused(code, "no such thing")

        _, gaps = read(refusing(call, refused), source, eks_pods=True)
        assert code in {gap.reason for gap in gaps}


@pytest.mark.parametrize(
    "code", ["UnknownOperationException", "InvalidAction", "SubscriptionRequiredException"]
)
def test_a_service_that_the_endpoint_does_not_have_runs_nothing(code: str) -> None:
    def unknown(_: Request) -> dict[str, Any]:
        raise Refused(code)

    (found,), gaps = read(Workloads({"batch:DescribeJobDefinitions": unknown}), "batch")
    assert (found.status, found.uses, gaps) == (ReadStatus.COMPLETE, (), [])


def test_a_call_that_the_endpoint_lacks_is_a_gap_when_the_service_is_there() -> None:
    def unknown(_: Request) -> dict[str, Any]:
        raise Refused("UnknownOperationException")

    (found,), gaps = read(refusing("batch:ListJobs", unknown), "batch")
    assert found.status is ReadStatus.PARTIAL
    assert {gap.call for gap in gaps} == {"batch:ListJobs"}


def test_a_permission_that_is_missing_is_not_tried_for_each_of_a_thousand_things() -> None:
    aws = refusing("sagemaker:DescribeModel", denied)
    aws.answers["sagemaker:ListModels"] = {"Models": [{"ModelName": f"m{n}"} for n in range(1000)]}
    (found,), (gap,) = read(aws, "sagemaker")
    assert aws.calls["sagemaker:DescribeModel"] == 3
    assert (gap.call, gap.count) == ("sagemaker:DescribeModel", 1000)
    assert len(found.uses) == 1


def test_a_list_that_breaks_off_keeps_what_came() -> None:
    def pages(request: Request) -> dict[str, Any]:
        if "nextToken" in request.parameters:
            raise Refused("ThrottlingException", "Rate exceeded")
        return {"projects": ["a", "b"], "nextToken": "more"}

    def projects(request: Request) -> dict[str, Any]:
        return {"projects": [{"name": n, "environment": {"image": n}} for n in request.parameters["names"]]}

    aws = Workloads({"codebuild:ListProjects": pages, "codebuild:BatchGetProjects": projects})
    (found,), (gap,) = read(aws, "codebuild")
    assert found.status is ReadStatus.PARTIAL
    assert [use.reference for use in found.uses] == ["a", "b"]
    assert "the list broke off after 2" in gap.detail


def test_a_token_that_comes_back_ends_the_list_with_a_gap() -> None:
    aws = Workloads({"codebuild:ListProjects": {"projects": [], "nextToken": "again"}})
    (found,), (gap,) = read(aws, "codebuild")
    assert (found.status, gap.reason) == (ReadStatus.PARTIAL, "InvalidAnswer")
    assert aws.calls["codebuild:ListProjects"] == 2


def test_what_is_beyond_the_bound_of_a_night_is_a_gap_and_follows_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "MOST_CALLS", 10)

    def model(request: Request) -> dict[str, Any]:
        return {"PrimaryContainer": {"Image": request.parameters["ModelName"]}}

    models = [{"ModelName": f"m{n}", "CreationTime": 1.0} for n in range(25)]
    aws = Workloads({"sagemaker:ListModels": {"Models": models}, "sagemaker:DescribeModel": model})
    known: dict[str, Any] = {}
    status = ""
    for beyond in (15, 5, 0):
        (found,), gaps = read(aws, "sagemaker", known=known)
        status = str(found.status)
        known = again([found])
        assert len(found.uses) == 25 - beyond
        assert [(gap.reason, gap.count) for gap in gaps] == ([("TooManyCalls", beyond)] if beyond else [])
    assert status == "complete"


def test_a_list_of_too_many_pages_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    from analyzer.collect.workloads import ecs  # noqa: PLC0415

    monkeypatch.setattr(ecs, "_SCHEDULE_PAGES", 3)
    tokens = itertools.count()
    aws = refusing("scheduler:ListSchedules", lambda _: {"Schedules": [], "NextToken": str(next(tokens))})
    _, (gap,) = read(aws, "ecs")
    assert (gap.call, gap.reason) == ("scheduler:ListSchedules", "TooManyPages")
    assert aws.calls["scheduler:ListSchedules"] == 3


@pytest.mark.parametrize("body", [b'{"clusterArns": ["arn:aws:ecs:x:1:clus', b"<html>", b"[" * 100_000])
def test_an_answer_that_broke_off_is_not_an_empty_one(body: bytes) -> None:
    class Broken(Workloads):
        def handle(self, *request: Any) -> Reply:
            reply = super().handle(*request)
            return reply._replace(body=body)

    (found,), gaps = read(Broken(), "ecs")
    assert found.status is ReadStatus.REFUSED
    assert {gap.reason for gap in gaps} == {"UnreadableAnswer"}


def test_a_binary_answer_that_broke_off_is_not_an_empty_one() -> None:
    class Broken(Workloads):
        def handle(self, *request: Any) -> Reply:
            reply = super().handle(*request)
            return reply._replace(body=reply.body[: len(reply.body) // 2])

    (found,), gaps = read(Broken({"codebuild:ListProjects": {"projects": ["a", "b"]}}), "codebuild")
    assert found.status is ReadStatus.REFUSED
    assert {gap.reason for gap in gaps} == {"UnreadableAnswer"}


def test_answers_of_the_wrong_shape_end_nothing() -> None:
    shapes: list[object] = ["text", 7, {"a": 1}, ["text", 3, None, [], {}], None]
    values = itertools.cycle(shapes)
    # CodeBuild's are read by botocore, and its own faults are not ours to mend.
    for source, call in [*CALLS, *CALLS]:
        if not call.startswith("codebuild:"):
            answer = dict.fromkeys(FULL[call], next(values))
            for entry in read(Workloads({**FULL, call: answer}), source, eks_pods=True)[0]:
                assert entry.source in (source, "inspector")


def test_hostile_names_are_made_one_printable_line() -> None:
    projects = [{"name": "a\x1b[31m\n<b>" + "x" * 9_000, "environment": {"image": "i\x00\r\n" + "y" * 9_000}}]
    aws = Workloads(
        {"codebuild:ListProjects": {"projects": ["a"]}, "codebuild:BatchGetProjects": {"projects": projects}}
    )
    (found,), _ = read(aws, "codebuild")
    (use,) = found.uses
    assert use.workload.isprintable()
    assert use.reference.isprintable()
    assert (len(use.workload), len(use.reference)) == (512, 1024)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 300)), max_size=600),
    st.integers(1, 5),
)
def test_the_last_revisions_are_those_of_a_plain_sort(added: list[tuple[str, int]], most: int) -> None:
    revisions = Revisions(most)
    for family, number in added:
        revisions.add(family, number)
    expected = []
    for family in "abc":
        numbers = sorted({number for name, number in added if name == family})
        expected += [(f"{family}:{number}", number == numbers[-1]) for number in numbers[-most:]]
    assert list(revisions.last()) == expected


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("web:7", ("web", 7)),
        ("a:b:12", ("a:b", 12)),
        ("web", None),
        (":7", None),
        ("web:x", None),
        ("w:²", None),
    ],
)
def test_revisions_are_told_from_names(name: str, found: tuple[str, int] | None) -> None:
    assert revision(name) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2024-01-01T00:00:00.500+0000", 1704067200500),
        ("2024-01-01T00:00:00", 1704067200000),
        ("yesterday", None),
        (1704067200.5, 1704067200500),
        (1e300, None),
        (-1, None),
        (float("nan"), None),
        (None, None),
    ],
)
def test_times_are_understood_or_unknown(value: object, found: int | None) -> None:
    assert time_ms(value) == found


@pytest.mark.parametrize(
    ("name", "of", "reference"),
    [
        ("app:1", "sha256:a", "app:1@sha256:a"),
        ("app@sha256:b", "sha256:a", "app@sha256:b"),
        ("app:1", "", "app:1"),
        ("app:1", None, "app:1"),
        (None, "sha256:a", ""),
    ],
)
def test_a_digest_is_put_behind_a_reference_that_has_none(name: object, of: object, reference: str) -> None:
    assert with_digest(name, of) == reference
