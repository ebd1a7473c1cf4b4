from __future__ import annotations

import json
from typing import Any

from tests.analyzer.collect.workloads.fakes import (
    ACCOUNT,
    CONFIGURED,
    PREVIOUS,
    REGION,
    RUNNING,
    again,
    digest,
    image,
    read,
    uses,
)
from tests.support.stub_workloads import Refused, Request, Workloads

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
CLUSTER = f"{ARN}:cluster/shop"


def definition_arn(name: str) -> str:
    return f"{ARN}:task-definition/{name}"


class Ecs:
    """A small ECS: lists come two entries a page."""

    def __init__(self) -> None:
        self.clusters: list[str] = [CLUSTER]
        self.services: dict[str, dict[str, Any]] = {}
        self.tasks: list[dict[str, Any]] = []
        self.definitions: dict[str, list[str]] = {}
        self.revisions: list[dict[str, Any]] = []
        self.aws = Workloads()
        self.aws.answers.update(
            {
                "ecs:ListClusters": lambda r: self._page(r, "clusterArns", self.clusters),
                "ecs:ListServices": lambda r: self._page(r, "serviceArns", [*self.services]),
                "ecs:DescribeServices": lambda r: {
                    "services": [self.services[arn] for arn in r.parameters["services"]]
                },
                "ecs:DescribeServiceRevisions": lambda r: {
                    "serviceRevisions": [
                        one
                        for one in self.revisions
                        if one["serviceRevisionArn"] in r.parameters["serviceRevisionArns"]
                    ]
                },
                "ecs:ListTasks": lambda r: self._page(
                    r, "taskArns", [f"{ARN}:task/shop/{n}" for n in range(len(self.tasks))]
                ),
                "ecs:DescribeTasks": lambda r: {
                    "tasks": [self.tasks[int(arn.rpartition("/")[2])] for arn in r.parameters["tasks"]]
                },
                "ecs:ListTaskDefinitions": lambda r: self._page(
                    r, "taskDefinitionArns", [definition_arn(name) for name in self.definitions]
                ),
                "ecs:DescribeTaskDefinition": self._definition,
            }
        )

    @staticmethod
    def _page(request: Request, key: str, items: list[str]) -> dict[str, Any]:
        start = int(request.parameters.get("nextToken", 0))
        answer: dict[str, Any] = {key: items[start : start + 2]}
        if start + 2 < len(items):
            answer["nextToken"] = str(start + 2)
        return answer

    def _definition(self, request: Request) -> dict[str, Any]:
        name = request.parameters["taskDefinition"]
        if name not in self.definitions:
            raise Refused("ClientException", "Unable to describe task definition.")
        containers = [{"name": f"c{n}", "image": one} for n, one in enumerate(self.definitions[name])]
        return {
            "taskDefinition": {"taskDefinitionArn": definition_arn(name), "containerDefinitions": containers}
        }

    def service(self, name: str, definition: str, **more: Any) -> None:
        arn = f"{ARN}:service/shop/{name}"
        self.services[arn] = {
            "serviceArn": arn,
            "serviceName": name,
            "taskDefinition": definition_arn(definition),
            **more,
        }

    def task(self, definition: str, group: str, *containers: tuple[str, str]) -> None:
        self.tasks.append(
            {
                "taskDefinitionArn": definition_arn(definition),
                "group": group,
                "containers": [{"image": name, "imageDigest": it} for name, it in containers],
            }
        )


def test_running_tasks_are_told_by_their_service_or_definition_with_the_digests_they_got() -> None:
    ecs = Ecs()
    for _ in range(3):
        ecs.task("web:7", "service:web", (image("web:v7"), digest("a")), ("envoy:1", digest("b")))
    ecs.task("job:2", "family:job", (image("job", "c"), digest("c")), (image("side:1"), ""))
    assert uses(ecs.aws, "ecs") == [
        ("shop/job:2", image("job", "c"), RUNNING),
        ("shop/job:2", image("side:1"), RUNNING),
        ("shop/web", image("web:v7", "a"), RUNNING),
        ("shop/web", f"envoy:1@{digest('b')}", RUNNING),
    ]
    assert ecs.aws.calls["ecs:ListTasks"] == 2
    assert ecs.aws.calls["ecs:DescribeTasks"] == 1


def test_services_name_the_images_of_every_definition_of_a_deployment_and_the_digests_it_keeps_to() -> None:
    ecs = Ecs()
    ecs.definitions = {"web:7": [image("web:v7")], "web:6": [image("web:v6")], "web:5": [image("web:v5")]}
    revision = f"{ARN}:service-revision/shop/web/1"
    ecs.service(
        "web",
        "web:7",
        deployments=[{"taskDefinition": definition_arn("web:6")}],
        taskSets=[{"taskDefinition": definition_arn("web:5")}],
        currentServiceRevisions=[{"arn": revision}],
    )
    ecs.revisions = [
        {
            "serviceRevisionArn": revision,
            "containerImages": [
                {"containerName": "c", "image": image("web:v7"), "imageDigest": digest("7")},
                {"containerName": "d", "image": "public.ecr.aws/x/y:1"},
            ],
        }
    ]
    found = uses(ecs.aws, "ecs", revisions=1)
    assert [use for use in found if use[0] == "shop/web"] == [
        ("shop/web", image("web:v5"), CONFIGURED),
        ("shop/web", image("web:v6"), CONFIGURED),
        ("shop/web", image("web:v7"), CONFIGURED),
        ("shop/web", image("web:v7", "7"), CONFIGURED),
    ]
    assert {use for use in found if use[0] != "shop/web"} == {
        (f"web:{n}", image(f"web:v{n}"), CONFIGURED) for n in (5, 6, 7)
    }


def test_the_last_revisions_of_each_family_are_known_in_whatever_order_they_are_listed() -> None:
    ecs = Ecs()
    ecs.definitions = {f"web:{n}": [image(f"web:v{n}")] for n in (9, 10, 2, 11, 1)}
    ecs.definitions["job:1"] = [image("job:1")]
    assert uses(ecs.aws, "ecs") == [
        ("job:1", image("job:1"), CONFIGURED),
        ("web:10", image("web:v10"), PREVIOUS),
        ("web:11", image("web:v11"), CONFIGURED),
        ("web:9", image("web:v9"), PREVIOUS),
    ]
    assert ecs.aws.calls["ecs:DescribeTaskDefinition"] == 4


def test_an_unchanged_night_describes_no_definition() -> None:
    ecs = Ecs()
    ecs.definitions = {f"web:{n}": [image(f"web:v{n}"), "envoy:1"] for n in range(1, 6)}
    for n in range(25):
        ecs.service(f"s{n:02}", "web:1")
    for _ in range(250):
        ecs.task("web:1", "service:s01", (image("web:v1"), digest("a")))
    first, gaps = read(ecs.aws, "ecs")
    assert gaps == []
    assert ecs.aws.calls["ecs:DescribeTaskDefinition"] == 4
    ecs.aws.calls.clear()
    second, gaps = read(ecs.aws, "ecs", known=again(first))
    assert (second, gaps) == (first, [])
    # One cluster; lists of 2 a page here, of 100 at AWS.
    assert ecs.aws.calls == {
        "ecs:ListClusters": 1,
        "ecs:ListServices": 13,
        "ecs:DescribeServices": 3,
        "ecs:ListTasks": 125,
        "ecs:DescribeTasks": 3,
        "ecs:ListTaskDefinitions": 3,
        "events:ListRuleNamesByTarget": 1,
        "scheduler:ListSchedules": 1,
    }


def test_rules_and_schedules_keep_the_definitions_they_start_in_use() -> None:
    ecs = Ecs()
    ecs.definitions = {f"job:{n}": [image(f"job:v{n}")] for n in range(1, 6)}
    target = {"Id": "1", "Arn": CLUSTER}
    schedules: dict[str, dict[str, Any]] = {
        "pinned": {"Arn": CLUSTER, "EcsParameters": {"TaskDefinitionArn": definition_arn("job:2")}},
        "universal": {
            "Arn": "arn:aws:scheduler:::aws-sdk:ecs:runTask",
            "Input": json.dumps({"Cluster": CLUSTER, "TaskDefinition": "job"}),
        },
        "broken": {"Arn": "arn:aws:scheduler:::aws-sdk:ecs:runTask", "Input": "<no json>"},
        "queue": {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"},
    }
    ecs.aws.answers |= {
        "events:ListRuleNamesByTarget": {"RuleNames": ["nightly"]},
        "events:ListTargetsByRule": {
            "Targets": [
                {**target, "EcsParameters": {"TaskDefinitionArn": definition_arn("job:1")}},
                {"Id": "2", "Arn": f"{ARN}:cluster/other", "EcsParameters": {"TaskDefinitionArn": "other:1"}},
            ]
        },
        "scheduler:ListSchedules": {
            "Schedules": [
                {"Name": name, "GroupName": "default", "Target": {"Arn": it["Arn"]}}
                for name, it in schedules.items()
            ]
        },
        "scheduler:GetSchedule": lambda r: {"Target": schedules[r.parameters["Name"]]},
    }
    found = uses(ecs.aws, "ecs", revisions=1)
    assert [use for use in found if use[0].startswith("shop/")] == [
        ("shop/rule/nightly", image("job:v1"), CONFIGURED),
        ("shop/schedule/default/pinned", image("job:v2"), CONFIGURED),
        ("shop/schedule/default/universal", image("job:v5"), CONFIGURED),
    ]
    assert ecs.aws.calls["scheduler:GetSchedule"] == 3


def test_what_was_deleted_while_it_was_read_is_no_gap() -> None:
    ecs = Ecs()
    ecs.service("web", "gone:1")
    ecs.aws.answers["ecs:DescribeTasks"] = {"failures": [{"arn": "a", "reason": "MISSING"}]}
    ecs.task("web:1", "service:web", (image("web"), digest("a")))
    assert uses(ecs.aws, "ecs") == []


def test_failures_that_are_no_deletions_are_gaps() -> None:
    ecs = Ecs()
    ecs.service("web", "web:1")
    ecs.aws.answers["ecs:DescribeServices"] = {
        "failures": [{"arn": "a", "reason": "ACCESS_DENIED", "detail": "no"}]
    }
    (found,), gaps = read(ecs.aws, "ecs")
    assert str(found.status) == "partial"
    assert [(gap.call, gap.reason) for gap in gaps] == [("ecs:DescribeServices", "ACCESS_DENIED")]


def test_a_refused_cluster_does_not_hide_the_others() -> None:
    ecs = Ecs()
    ecs.clusters = [CLUSTER, f"{ARN}:cluster/closed"]

    def tasks(request: Request) -> dict[str, Any]:
        if request.parameters["cluster"] != CLUSTER:
            raise Refused("AccessDeniedException", "no", 400)
        return {"taskArns": [f"{ARN}:task/shop/0"]}

    ecs.aws.answers["ecs:ListTasks"] = tasks
    ecs.task("web:1", "service:web", (image("web"), digest("a")))
    (found,), (gap,) = read(ecs.aws, "ecs")
    assert str(found.status) == "partial"
    assert [tuple(use) for use in found.uses] == [("shop/web", image("web", "a"), RUNNING)]
    assert (gap.call, gap.reason, gap.repository) == ("ecs:ListTasks", "AccessDeniedException", "")
    assert (
        gap.detail
        == f"missing ecs:ListTasks on {ACCOUNT}/{REGION}; which images ECS runs is not fully known (no)"
    )
