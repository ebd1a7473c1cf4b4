"""What runs on Amazon ECS: tasks with their digests, services, schedules, task definitions.

A task definition never changes once it is registered, so each is described once and then known
from the last snapshot: an unchanged night lists definitions, a hundred a call, and describes none.

Names of workloads: ``cluster/service``, ``cluster/family:revision`` of tasks that belong to no
service, ``cluster/rule/name`` and ``cluster/schedule/group/name`` of what starts tasks by the clock,
and ``family:revision`` of the definitions themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from analyzer.collect.refusals import Reach, Refusal
from analyzer.collect.workloads.reading import (
    Reading,
    Revisions,
    batches,
    entries,
    last_part,
    mapping,
    revision,
    text,
    with_digest,
)
from analyzer.model.records import UseKind

ACTIONS = (
    "ecs:DescribeServiceRevisions",
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:ListClusters",
    "ecs:ListServices",
    "ecs:ListTaskDefinitions",
    "ecs:ListTasks",
    "events:ListRuleNamesByTarget",
    "events:ListTargetsByRule",
    "scheduler:GetSchedule",
    "scheduler:ListSchedules",
)

# What one call takes at most (API reference of each).
_SERVICES, _TASKS, _SERVICE_REVISIONS, _PAGE = 10, 100, 20, 100
#: Ten thousand schedules. EventBridge Scheduler holds a million, most of which start no task.
_SCHEDULE_PAGES = 100


def fetch(reading: Reading) -> None:
    """Read everything that ECS runs, would start, or could go back to."""
    definitions = _Definitions(reading)
    clusters = [text(arn) for arn in reading.pages("ecs", "ListClusters", "clusterArns", maxResults=_PAGE)]
    for cluster in filter(None, clusters):
        _read_services(reading, cluster, definitions)
        _read_tasks(reading, cluster)
    if clusters:
        _read_rules(reading, clusters, definitions)
        _read_schedules(reading, definitions)
    revisions = Revisions(reading.options.revisions)
    for arn in reading.pages(
        "ecs", "ListTaskDefinitions", "taskDefinitionArns", status="ACTIVE", sort="DESC", maxResults=_PAGE
    ):
        if (found := revision(last_part(arn))) is not None:
            revisions.add(*found)
    definitions.read(revisions)


class _Definitions:
    """Task definitions by ``family:revision``: what names them, and which images they name."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        #: ``family:revision``, or a family alone, to the workloads that would start it.
        self._users: dict[str, set[str]] = {}

    def used(self, definition: object, workload: str) -> None:
        """Note that ``workload`` starts tasks of ``definition``, an ARN or a name."""
        if name := last_part(definition):
            self._users.setdefault(name, set()).add(workload)

    def read(self, revisions: Revisions) -> None:
        """Note the images of all definitions: of those that something starts first."""
        last = dict(revisions.last())
        newest = {name.rpartition(":")[0]: name for name, is_newest in last.items() if is_newest}
        users: dict[str, set[str]] = {}
        for name, workloads in self._users.items():
            users.setdefault(newest.get(name, name), set()).update(workloads)
        for name in [*sorted(users), *(name for name in last if name not in users)]:
            images = self._images(name)
            # Whoever starts a task of a family without saying which revision gets the newest.
            is_next = name in users or last.get(name, False)
            for image in images:
                self._reading.use(name, image, UseKind.CONFIGURED if is_next else UseKind.PREVIOUS)
                for workload in users.get(name, ()):
                    self._reading.use(workload, image, UseKind.CONFIGURED)

    def _images(self, name: str) -> Sequence[object]:
        if known := self._reading.known(name):
            return known
        answer = self._reading.call("ecs", "DescribeTaskDefinition", is_gone=_is_gone, taskDefinition=name)
        definition = mapping((answer or {}).get("taskDefinition"))
        return [container.get("image") for container in entries(definition.get("containerDefinitions"))]


def _read_services(reading: Reading, cluster: str, definitions: _Definitions) -> None:
    names = reading.pages(
        "ecs", "ListServices", "serviceArns", is_gone=_is_gone, cluster=cluster, maxResults=_PAGE
    )
    current: dict[str, str] = {}
    for some in batches(names, _SERVICES):
        answer = reading.call("ecs", "DescribeServices", is_gone=_is_gone, cluster=cluster, services=some)
        _note_failures(reading, "DescribeServices", answer)
        for service in entries((answer or {}).get("services")):
            workload = f"{last_part(cluster)}/{text(service.get('serviceName'))}"
            # Those of a deployment that is under way, or of CodeDeploy's task sets, run beside it.
            for part in (
                service,
                *entries(service.get("deployments")),
                *entries(service.get("taskSets")),
            ):
                definitions.used(part.get("taskDefinition"), workload)
            for one in entries(service.get("currentServiceRevisions")):
                if arn := text(one.get("arn")):
                    current[arn] = workload
    # A deployment keeps to the digests that its tags had when it began, whatever becomes of the tags:
    # a service that is scaled to nothing over night pulls those in the morning.
    for some in batches(current, _SERVICE_REVISIONS):
        answer = reading.call("ecs", "DescribeServiceRevisions", is_gone=_is_gone, serviceRevisionArns=some)
        _note_failures(reading, "DescribeServiceRevisions", answer)
        for one in entries((answer or {}).get("serviceRevisions")):
            workload = current.get(text(one.get("serviceRevisionArn")), "")
            for image in entries(one.get("containerImages")):
                if workload and image.get("imageDigest"):
                    reference = with_digest(image.get("image"), image.get("imageDigest"))
                    reading.use(workload, reference, UseKind.CONFIGURED)


def _read_tasks(reading: Reading, cluster: str) -> None:
    # ECS never sets a desired status of PENDING: those that are to run are all here.
    arns = reading.pages(
        "ecs",
        "ListTasks",
        "taskArns",
        is_gone=_is_gone,
        cluster=cluster,
        desiredStatus="RUNNING",
        maxResults=_PAGE,
    )
    for some in batches(arns, _TASKS):
        answer = reading.call("ecs", "DescribeTasks", is_gone=_is_gone, cluster=cluster, tasks=some)
        _note_failures(reading, "DescribeTasks", answer)
        for task in entries((answer or {}).get("tasks")):
            # Tasks have ids that are new each night; what they belong to has a name that stays.
            kind, _, name = text(task.get("group")).partition(":")
            owner = name if kind == "service" and name else last_part(task.get("taskDefinitionArn"))
            for container in entries(task.get("containers")):
                reference = with_digest(container.get("image"), container.get("imageDigest"))
                reading.use(f"{last_part(cluster)}/{owner}", reference, UseKind.RUNNING)


def _read_rules(reading: Reading, clusters: Iterable[str], definitions: _Definitions) -> None:
    """EventBridge rules of the default bus, the only one that has schedules."""
    for cluster in clusters:
        for rule in reading.pages(
            "events", "ListRuleNamesByTarget", "RuleNames", by="NextToken", TargetArn=cluster
        ):
            for target in reading.pages(
                "events", "ListTargetsByRule", "Targets", by="NextToken", is_gone=_is_gone, Rule=rule
            ):
                if mapping(target).get("Arn") == cluster:
                    parameters = mapping(target.get("EcsParameters"))
                    workload = f"{last_part(cluster)}/rule/{text(rule)}"
                    definitions.used(parameters.get("TaskDefinitionArn"), workload)


def _read_schedules(reading: Reading, definitions: _Definitions) -> None:
    """EventBridge Scheduler: tasks of a cluster, or ECS's RunTask as a universal target."""
    for schedule in reading.pages(
        "scheduler",
        "ListSchedules",
        "Schedules",
        by="NextToken",
        most=_SCHEDULE_PAGES,
        MaxResults=_PAGE,
    ):
        arn = text(mapping(mapping(schedule).get("Target")).get("Arn"))
        is_universal = arn.lower().endswith(":aws-sdk:ecs:runtask")
        name, group = text(mapping(schedule).get("Name")), text(mapping(schedule).get("GroupName"))
        if not name or not (is_universal or (":ecs:" in arn and ":cluster/" in arn)):
            continue
        answer = reading.call(
            "scheduler", "GetSchedule", is_gone=_is_gone, Name=name, GroupName=group or "default"
        )
        target = mapping((answer or {}).get("Target"))
        if is_universal:
            given = _input(target.get("Input"))
            cluster = last_part(given.get("cluster", "default"))
            definition = given.get("taskdefinition")
        else:
            cluster = last_part(arn)
            definition = mapping(target.get("EcsParameters")).get("TaskDefinitionArn")
        definitions.used(definition, f"{cluster}/schedule/{group}/{name}")


def _input(value: object) -> dict[str, Any]:
    """The parameters of a universal target, whose names may be written in either case."""
    try:
        given = json.loads(text(value) or "{}")
    except (ValueError, RecursionError):
        return {}
    return {key.lower(): entry for key, entry in given.items()} if isinstance(given, dict) else {}


def _is_gone(refusal: Refusal) -> bool:
    """Whether it was deleted after it was listed."""
    if refusal.reason == "ClientException":
        return refusal.detail.startswith("Unable to describe task definition")
    return refusal.reason in (
        "ClusterNotFoundException",
        "ResourceNotFoundException",
        "ServiceNotFoundException",
    )


def _note_failures(reading: Reading, operation: str, answer: object) -> None:
    for failure in entries(mapping(answer).get("failures")):
        reason = text(failure.get("reason")) or "Failure"
        if reason != "MISSING":
            detail = text(failure.get("detail")) or "no detail"
            reading.trouble(f"ecs:{operation}", Refusal(reason, Reach.CALL, detail))
