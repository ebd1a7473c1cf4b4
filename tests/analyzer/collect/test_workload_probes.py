"""Whether workloads may be read, asked of services that refuse, that have nothing, and that are not there."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from analyzer.collect.clients import AwsRegistryClient, CallSettings
from analyzer.collect.permissions import WORKLOADS, permissions_of
from analyzer.collect.places import OwnAccess, Place
from analyzer.collect.probes import Verdict
from analyzer.collect.workload_probes import WorkloadProbe, probe_workloads
from analyzer.collect.workloads import ACTIONS
from analyzer.model.records import RegistryKey
from tests.support.emulators import moto_server
from tests.support.registry import generate
from tests.support.stub_ecr import Server, serve
from tests.support.stub_workloads import Refused, Request

KEY = RegistryKey("aws", "123456789012", "eu-west-1")
ROWS = permissions_of(WORKLOADS)
DENIED = "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: {}"


@pytest.fixture
def aws() -> Iterator[Server]:
    with serve(generate(1, 1, 1, 1)) as server:
        yield server


def _client(monkeypatch: pytest.MonkeyPatch, url: str, key: RegistryKey = KEY) -> AwsRegistryClient:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    session = boto3.Session(aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="not-a-secret")
    settings = CallSettings(requests_per_second=1e6, attempts=1)
    return AwsRegistryClient(Place(key, OwnAccess(session, "")), settings)


def _probe(client: AwsRegistryClient, *sources: str) -> WorkloadProbe:
    return probe_workloads(client, sources, [row for row in ROWS if row.part.split(".")[1] in sources])


def _verdicts(probe: WorkloadProbe) -> dict[str, Verdict]:
    return {probed.permission.action: probed.verdict for probed in probe.probed}


def _refusing(server: Server, action: str, code: str, message: str) -> None:
    def refuse(_: Request) -> dict[str, object]:
        raise Refused(code, message)

    server.stub.workloads.answers = {action: refuse}


def test_each_action_denied_is_denied_and_no_other(aws: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    client = _client(monkeypatch, aws.url)
    for row in ROWS:
        _refusing(aws, row.action, "AccessDeniedException", DENIED.format(row.action))
        source = row.part.split(".")[1]
        verdicts = _verdicts(_probe(client, source))
        assert set(verdicts) == set(ACTIONS[source])
        assert [action for action, verdict in verdicts.items() if verdict is not Verdict.GRANTED] == [
            row.action
        ]
        assert verdicts[row.action] is Verdict.DENIED


@pytest.mark.parametrize(
    ("action", "code", "message"),
    [
        ("ecs:ListServices", "ClusterNotFoundException", "Cluster not found."),
        ("ecs:DescribeTaskDefinition", "ClientException", "Unable to describe task definition."),
        ("lambda:GetFunction", "ResourceNotFoundException", "Function not found: arn:…"),
        ("eks:DescribeCluster", "ResourceNotFoundException", "No cluster found for name: …"),
        ("apprunner:DescribeService", "ResourceNotFoundException", "Service not found."),
        ("batch:ListJobs", "ClientException", "JobQueue x does not exist"),
        ("sagemaker:DescribeModel", "ValidationException", 'Could not find model "x".'),
        ("events:ListTargetsByRule", "ResourceNotFoundException", "Rule does not exist on EventBus default."),
        ("scheduler:GetSchedule", "ResourceNotFoundException", "Schedule x does not exist."),
    ],
)
def test_who_is_told_that_there_is_none_was_let_in(
    aws: Server, monkeypatch: pytest.MonkeyPatch, action: str, code: str, message: str
) -> None:
    _refusing(aws, action, code, message)
    (source,) = (source for source, actions in ACTIONS.items() if action in actions)
    assert _verdicts(_probe(_client(monkeypatch, aws.url), source))[action] is Verdict.GRANTED


def test_another_refusal_says_nothing(aws: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    client = _client(monkeypatch, aws.url)
    for code, message in (("ValidationException", "1 validation error"), ("ServerException", "oh")):
        _refusing(aws, "sagemaker:DescribeModel", code, message)
        verdicts = _verdicts(_probe(client, "sagemaker"))
        assert verdicts["sagemaker:DescribeModel"] is Verdict.UNKNOWN


def test_an_inspector_that_is_switched_off_is_no_missing_permission(
    aws: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _client(monkeypatch, aws.url)
    action = "inspector2:ListCoverage"
    _refusing(aws, action, "AccessDeniedException", "Invoking account does not have access")
    assert _verdicts(_probe(client, "inspector"))[action] is Verdict.NOT_OFFERED
    _refusing(aws, action, "AccessDeniedException", DENIED.format(action))
    assert _verdicts(_probe(client, "inspector"))[action] is Verdict.DENIED


def test_a_service_that_the_region_lacks_is_not_asked(aws: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    key = RegistryKey("aws", "123456789012", "af-south-1")
    verdicts = _verdicts(_probe(_client(monkeypatch, aws.url, key), "apprunner"))
    assert set(verdicts.values()) == {Verdict.NOT_OFFERED}
    assert not aws.stub.workloads.calls


def test_clusters_are_counted(aws: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.stub.workloads.answers = {"eks:ListClusters": {"clusters": ["one", "two"]}}
    assert _probe(_client(monkeypatch, aws.url), "eks").clusters == 2


def test_an_emulator_that_refuses_nothing_grants_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = ("codebuild", "eks")
    with moto_server() as url:
        verdicts = _verdicts(_probe(_client(monkeypatch, url), *sources))
    assert set(verdicts) == {action for source in sources for action in ACTIONS[source]}
    assert set(verdicts.values()) == {Verdict.GRANTED}
