"""What every call goes through: rates, retries, counts, and whose credentials failed."""

from __future__ import annotations

import threading
import time
from typing import Any

import boto3
import pytest
from botocore.config import Config

from analyzer.collect import CollectOptions, RegistrySummary, SilentProgress, collect
from analyzer.collect.clients import AwsRegistryClient, CallCounts, CallSettings, StoppedError
from analyzer.collect.places import OwnAccess, Place
from analyzer.collect.refusals import Reach, RefusedError
from analyzer.errors import RunError
from analyzer.model.records import RegistryKey
from tests.analyzer.collect.fakes import ACCOUNT, NOW, REGION, Aws, MemoryStore, Request, session
from tests.support.registry import World, generate, made_up_region
from tests.support.stub_ecr import Answer, Fault, serve

OTHER = "us-east-1"


def client(settings: CallSettings, region: str = REGION, *, is_own: bool = True) -> AwsRegistryClient:
    access = OwnAccess(session(), "", is_own=is_own)
    return AwsRegistryClient(Place(RegistryKey("aws", ACCOUNT, region), access), settings)


def refused(message: str, code: str = "ExpiredTokenException") -> Answer:
    return Answer(f'{{"__type":"{code}","message":"{message}"}}'.encode(), 400)


def test_every_attempt_waits_for_its_turn() -> None:
    Aws(World(), faults=[Fault("throttle", times=1)])
    waits: list[float] = []
    settings = CallSettings(requests_per_second=0.01, attempts=2, sleep=waits.append)
    client(settings).call("DescribeRepositories")
    # The second attempt's turn is 100 s after the first's, whatever botocore waited before it.
    (wait,) = waits
    assert 90 < wait <= 100
    counts = settings.counts
    assert (counts.calls, counts.retries, counts.throttles) == ({"ecr:DescribeRepositories": 1}, 1, 1)


def test_each_operation_and_registry_has_a_rate_of_its_own() -> None:
    Aws(generate(1, 1, 1, 1))
    waits: list[float] = []
    settings = CallSettings(
        requests_per_second=2.0, operation_rates={"ecr:GetAccountSetting": 1e9}, sleep=waits.append
    )
    here, there = client(settings), client(settings, OTHER)
    here.call("DescribeRepositories")
    here.call("DescribePullThroughCacheRules")
    there.call("DescribeRepositories")
    for _ in range(20):
        here.call("GetAccountSetting", name="BLOB_MOUNTING")
    assert waits == []
    here.call("DescribeRepositories")
    assert len(waits) == 1


def test_a_throttled_registry_slows_down_alone() -> None:
    aws = Aws(World())

    def hook(request: Request) -> Answer | None:
        throttled = request.region == REGION and sum(r.region == REGION for r in aws.requests) <= 1
        return refused("Rate exceeded", "ThrottlingException") if throttled else None

    aws.hook = hook
    settings = CallSettings(requests_per_second=1e9, attempts=5)
    slow, quick = client(settings), client(settings, OTHER)
    slow.call("DescribeRepositories")
    quick.call("DescribeRepositories")
    regions = [request.region for request in aws.requests]
    assert regions == [REGION] * 2 + [OTHER]
    assert (settings.counts.retries, settings.counts.throttles) == (1, 1)


def test_bytes_of_answers_are_counted_errors_too() -> None:
    aws = Aws(World())
    answers = [b'{"repositories":[]}', b'{"__type":"AccessDeniedException","message":"no"}']
    aws.hook = lambda _: Answer(answers[0], 200) if len(aws.requests) == 1 else Answer(answers[1], 400)
    settings = CallSettings(requests_per_second=1e9)
    one = client(settings)
    one.call("DescribeRepositories")
    with pytest.raises(RefusedError):
        one.call("DescribeRepositories")
    assert settings.counts.received_bytes == sum(map(len, answers))
    assert settings.counts.billed == 0


def test_calls_that_aws_charges_for_are_told_apart() -> None:
    counts = CallCounts()
    counts.calls.update({"ecr:DescribeImages": 5, "ce:GetCostAndUsage": 2, "cex:Other": 3, "s3:GetObject": 4})
    assert counts.billed == 6


def test_credentials_of_ones_own_that_fail_end_the_run() -> None:
    aws = Aws(World())
    aws.hook = lambda _: refused("too old")
    with pytest.raises(RunError, match="the credentials have expired"):
        client(CallSettings(requests_per_second=1e9)).call("DescribeRepositories")


def test_credentials_of_another_account_that_fail_cost_that_account() -> None:
    aws = Aws(World())
    aws.hook = lambda _: refused("too old")
    with pytest.raises(RefusedError) as caught:
        client(CallSettings(requests_per_second=1e9), is_own=False).call("DescribeRepositories")
    assert (caught.value.refusal.reason, caught.value.refusal.reach) == ("CredentialsFailed", Reach.REGISTRY)
    assert "the credentials have expired" in caught.value.refusal.detail


def test_a_run_that_ends_while_a_call_waits_makes_it_no_more() -> None:
    aws, stop = Aws(World()), threading.Event()
    settings = CallSettings(requests_per_second=1.0, stop=stop, sleep=lambda _: stop.set())
    one = client(settings)
    one.call("DescribeRepositories")
    with pytest.raises(StoppedError):
        one.call("DescribeRepositories")
    assert len(aws.asked("DescribeRepositories")) == 1


def test_other_services_of_the_account_are_asked_through_one_client_each() -> None:
    made: list[tuple[str, str]] = []

    class Watched(OwnAccess):
        def client(self, service: str, region: str, config: Config) -> Any:
            made.append((service, region))
            return super().client(service, region, config)

    settings = CallSettings(requests_per_second=1e9)
    place = Place(RegistryKey("aws", ACCOUNT, REGION), Watched(session(), ""))
    one = AwsRegistryClient(place, settings)
    Aws(World())
    sts = one.service("sts")
    assert one.service("sts") is sts
    sts.call("GetCallerIdentity")
    assert made == [("ecr", REGION), ("sts", REGION)]
    assert settings.counts.calls == {"sts:GetCallerIdentity": 1}


def test_a_registry_that_was_read_keeps_no_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    regions = [REGION, *(made_up_region(number) for number in range(1, 5))]
    left: dict[str, set[int]] = {}

    class Watching(SilentProgress):
        def registry_done(self, summary: RegistrySummary) -> None:
            mine = left[summary.key.region] = {id(connection) for connection in server.connections}
            deadline = time.monotonic() + 10
            # That of STS stays; whoever hung up is forgotten by the server a moment later.
            while len(mine) > 1 and time.monotonic() < deadline:
                time.sleep(0.01)
                mine &= {id(connection) for connection in server.connections}

    with serve(generate(2, 3, 2, 1, account=ACCOUNT, region=REGION, registries=len(regions))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        own = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")
        options = CollectOptions(regions=tuple(regions), workers=1, requests_per_second=1e9)
        result = collect(MemoryStore(), own, options, clock=lambda: NOW, progress=Watching())
    assert result.status == "complete"
    assert {region: len(open_) <= 1 for region, open_ in left.items()} == dict.fromkeys(regions, True)
