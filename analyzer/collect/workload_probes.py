"""Whether the permissions to read workloads are there, in the account and region of one registry.

What is about one cluster, function or service is asked about one that does not exist: AWS looks at
the permission first, so that whoever lacks it is told so, and whoever has it is told that there is
none. What is listed is asked for one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from analyzer.collect.clients import AwsRegistryClient
from analyzer.collect.permissions import Permission, workload_part
from analyzer.collect.probes import Probed, Prober, Verdict
from analyzer.collect.refusals import ACCESS_CODES, Refusal
from analyzer.collect.workloads.sources import is_source_offered
from analyzer.model.records import RegistryKey

#: A name that nobody has given to anything.
_NAME = "demurrage-doctor-asks-about-nothing"
_HEX = "0" * 32

_LIST_CLUSTERS = "eks:ListClusters"
#: Every cluster that one page brings.
_CLUSTERS = 100


class _Question(NamedTuple):
    """What an operation is asked for, and how it says that there is no such thing."""

    parameters: Callable[[RegistryKey], Mapping[str, object]]
    #: Error code, and words that are in its message.
    none_there: tuple[tuple[str, str], ...] = ()


def _arn(service: str, resource: str) -> Callable[[RegistryKey], str]:
    return lambda key: f"arn:{key.partition}:{service}:{key.region}:{key.account}:{resource}"


def _fixed(**parameters: object) -> Callable[[RegistryKey], Mapping[str, object]]:
    return lambda _: parameters


_NOT_FOUND = (("ResourceNotFoundException", ""),)
_NO_CLUSTER = (("ClusterNotFoundException", ""),)
#: SageMaker and Batch have no code of their own for what does not exist.
_COULD_NOT_FIND = (("ValidationException", "Could not find"),)
_NO_QUEUE = (("ClientException", "does not exist"),)

_cluster = _arn("ecs", f"cluster/{_NAME}")
_revision = _arn("ecs", f"service-revision/{_NAME}/{_NAME}/1234567890123456789")
_service = _arn("apprunner", f"service/{_NAME}/{_HEX}")

_QUESTIONS: Mapping[str, _Question] = {
    "apprunner:DescribeService": _Question(lambda key: {"ServiceArn": _service(key)}, _NOT_FOUND),
    "apprunner:ListServices": _Question(_fixed(MaxResults=1)),
    "batch:DescribeJobDefinitions": _Question(_fixed(status="ACTIVE", maxResults=1)),
    "batch:DescribeJobQueues": _Question(_fixed(maxResults=1)),
    "batch:DescribeJobs": _Question(_fixed(jobs=[f"{_HEX[:8]}-0000-0000-0000-{_HEX[:12]}"])),
    "batch:ListJobs": _Question(_fixed(jobQueue=_NAME, maxResults=1), _NO_QUEUE),
    "codebuild:BatchGetProjects": _Question(_fixed(names=[_NAME])),
    "codebuild:ListProjects": _Question(_fixed()),
    "ecs:DescribeServiceRevisions": _Question(
        lambda key: {"serviceRevisionArns": [_revision(key)]},
        (*_NO_CLUSTER, ("ServiceNotFoundException", "")),
    ),
    "ecs:DescribeServices": _Question(_fixed(cluster=_NAME, services=[_NAME]), _NO_CLUSTER),
    "ecs:DescribeTaskDefinition": _Question(
        _fixed(taskDefinition=f"{_NAME}:1"), (("ClientException", "Unable to describe task definition"),)
    ),
    "ecs:DescribeTasks": _Question(_fixed(cluster=_NAME, tasks=[_HEX]), _NO_CLUSTER),
    "ecs:ListClusters": _Question(_fixed(maxResults=1)),
    "ecs:ListServices": _Question(_fixed(cluster=_NAME, maxResults=1), _NO_CLUSTER),
    "ecs:ListTaskDefinitions": _Question(_fixed(status="ACTIVE", maxResults=1)),
    "ecs:ListTasks": _Question(_fixed(cluster=_NAME, maxResults=1), _NO_CLUSTER),
    "eks:DescribeCluster": _Question(_fixed(name=_NAME), _NOT_FOUND),
    _LIST_CLUSTERS: _Question(_fixed(maxResults=_CLUSTERS)),
    "events:ListRuleNamesByTarget": _Question(
        lambda key: {"TargetArn": _cluster(key), "Limit": 1}, _NOT_FOUND
    ),
    "events:ListTargetsByRule": _Question(_fixed(Rule=_NAME, Limit=1), _NOT_FOUND),
    "inspector2:ListCoverage": _Question(_fixed(maxResults=1)),
    "lambda:GetFunction": _Question(_fixed(FunctionName=_NAME), _NOT_FOUND),
    "lambda:ListFunctions": _Question(_fixed(MaxItems=1)),
    "sagemaker:DescribeEndpoint": _Question(_fixed(EndpointName=_NAME), _COULD_NOT_FIND),
    "sagemaker:DescribeModel": _Question(_fixed(ModelName=_NAME), _COULD_NOT_FIND),
    "sagemaker:ListEndpoints": _Question(_fixed(MaxResults=1)),
    "sagemaker:ListModels": _Question(_fixed(MaxResults=1)),
    "scheduler:GetSchedule": _Question(_fixed(Name=_NAME, GroupName="default"), _NOT_FOUND),
    "scheduler:ListSchedules": _Question(_fixed(MaxResults=1)),
}

#: What IAM's refusals say, and those of a service that is not switched on do not.
_IAM_SAYS = "not authorized to perform"


class WorkloadProbe(NamedTuple):
    """What one account and region let us read of workloads."""

    probed: list[Probed]
    #: EKS clusters there, a hundred at most.
    clusters: int


def tried_workload_actions() -> frozenset[str]:
    """The actions that `probe_workloads` knows how to try."""
    return frozenset(_QUESTIONS)


def probe_workloads(
    client: AwsRegistryClient, sources: Iterable[str], permissions: Iterable[Permission]
) -> WorkloadProbe:
    """Try those of ``permissions`` that the ``sources`` need, where AWS offers them at all."""
    rows = list(permissions)
    prober = Prober(rows)
    clusters = 0
    for source in sources:
        mine = [row for row in rows if row.part == workload_part(source)]
        if not is_source_offered(source, client.key):
            for row in mine:
                prober.note(
                    row.action, Verdict.NOT_OFFERED, f"AWS has no such service in {client.key.region}"
                )
            continue
        for row in mine:
            question = _QUESTIONS[row.action]
            answer = prober.ask(client.service(row.service), row.action, question.parameters(client.key))
            refusal = prober.refusals.get(row.action)
            if refusal is not None and _is_none_there(refusal, question):
                prober.note(row.action, Verdict.GRANTED, "")
            elif source == "inspector" and refusal is not None and _is_switched_off(refusal):
                # It refuses whoever has not switched it on as if a permission were missing.
                prober.note(row.action, Verdict.NOT_OFFERED, f"{refusal.reason}: {refusal.detail}")
            if answer is not None and row.action == _LIST_CLUSTERS:
                clusters = len(answer.get("clusters") or ())
    return WorkloadProbe(prober.verdicts(), clusters)


def _is_switched_off(refusal: Refusal) -> bool:
    return refusal.reason in ACCESS_CODES and _IAM_SAYS not in refusal.detail


def _is_none_there(refusal: Refusal, question: _Question) -> bool:
    return any(refusal.reason == code and words in refusal.detail for code, words in question.none_there)
