"""Machines are found where they are, whoever else is asked for, and refusals are gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from analyzer.collect.clients import CallSettings
from analyzer.collect.machines import MachineFinder
from analyzer.collect.places import OwnAccess, Place
from analyzer.model.pulls import Machine
from analyzer.model.records import RegistryKey

_ACCOUNT = "123456789012"
_REGIONS = ("eu-west-1", "us-east-1")
_DAY = 20_000
_GONE = "i-0123456789abcdef0"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An emulated AWS in this process."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    with mock_aws():
        yield


def _settings() -> CallSettings:
    return CallSettings(requests_per_second=1e6, sleep=lambda _: None)


def _finder() -> MachineFinder:
    access = OwnAccess(boto3.Session(), "")
    regions = (*_REGIONS, "public")
    places = [Place(RegistryKey("aws", _ACCOUNT, region), access) for region in regions]
    return MachineFinder(places, _settings())


def _instances(region: str, count: int) -> list[str]:
    client = boto3.client("ec2", region_name=region)
    image = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    answer = client.run_instances(ImageId=image, MinCount=count, MaxCount=count)
    return [instance["InstanceId"] for instance in answer["Instances"]]


@pytest.mark.usefixtures("aws")
def test_instances_are_found_in_their_regions_for_as_long_as_ec2_knows_them() -> None:
    (ireland,) = _instances("eu-west-1", 1)
    virginia, ended = _instances("us-east-1", 2)
    boto3.client("ec2", region_name="us-east-1").terminate_instances(InstanceIds=[ended])
    finder = _finder()
    wanted = {_ACCOUNT: {ireland, virginia, ended, _GONE}, "210987654321": {"i-0a1b2c3d"}}
    assert finder.find(wanted, _DAY) == sorted(
        [
            Machine(ireland, _ACCOUNT, "eu-west-1", _DAY),
            Machine(virginia, _ACCOUNT, "us-east-1", _DAY),
            Machine(ended, _ACCOUNT, "us-east-1", _DAY),
        ]
    )
    assert finder.gaps == []


class _Client:
    """EC2 in one region, which knows instances with an even last digit, in pages of two."""

    def __init__(self, real: Any, region: str, calls: list[tuple[str, str, list[str]]], refuse: str) -> None:
        self.meta = real.meta
        self._region, self._calls, self._refuse = region, calls, refuse

    def describe_instances(self, *, Filters: Any, NextToken: str = "0") -> dict[str, Any]:  # noqa: N803
        values = Filters[0]["Values"]
        self._calls.append((self._region, "DescribeInstances", values))
        if self._refuse == self._region:
            raise ClientError(
                {
                    "Error": {"Code": "UnauthorizedOperation", "Message": "no\x1b[2J"},
                    "ResponseMetadata": {"HTTPStatusCode": 403},  # type: ignore[typeddict-item]
                },
                "DescribeInstances",
            )
        there = [name for name in values if self._region == "us-east-1" and int(name[-1]) % 2 == 0]
        at = int(NextToken)
        instances = [{"InstanceId": name} for name in there[at : at + 2]]
        more = {"NextToken": str(at + 2)} if at + 2 < len(there) else {}
        return {"Reservations": [{"Instances": instances}, "nonsense"], **more}

    def describe_vpc_endpoints(self, *, Filters: Any) -> dict[str, Any]:  # noqa: N803
        (asked,) = Filters
        assert asked["Name"] == "vpc-endpoint-id"
        self._calls.append((self._region, "DescribeVpcEndpoints", asked["Values"]))
        if asked["Values"] == ["vpce-broken"]:
            return {"VpcEndpoints": None}
        there = [name for name in asked["Values"] if name == f"vpce-{self._region}"]
        # It need not keep to what it was asked.
        return {"VpcEndpoints": [{"VpcEndpointId": name} for name in [*there, "vpce-other", 7]]}


class _Access(OwnAccess):
    def __init__(self, make: Callable[[Any, str], Any]) -> None:
        super().__init__(boto3.Session(aws_access_key_id="x", aws_secret_access_key="y"), "")
        self._make = make

    def client(self, service: str, region: str, config: Any) -> Any:
        return self._make(super().client(service, region, config), region)


def _fake(refuse: str = "") -> tuple[MachineFinder, list[tuple[str, str, list[str]]]]:
    calls: list[tuple[str, str, list[str]]] = []
    access = _Access(lambda real, region: _Client(real, region, calls, refuse))
    places = [Place(RegistryKey("aws", _ACCOUNT, region), access) for region in _REGIONS]
    return MachineFinder(places, _settings()), calls


def test_many_are_asked_for_in_few_calls_and_the_missing_not_again() -> None:
    finder, calls = _fake()
    names = [f"i-{number:08d}" for number in range(450)]
    found = finder.find({_ACCOUNT: names}, _DAY)
    assert [machine.name for machine in found] == names[::2]
    assert {machine.region for machine in found} == {"us-east-1"}
    assert {len(values) for _, _, values in calls} == {200, 50}
    calls.clear()
    assert finder.find({_ACCOUNT: names[1::2]}, _DAY) == []
    assert calls == []


def test_a_refusal_is_a_gap_and_is_not_asked_for_again() -> None:
    finder, calls = _fake(refuse="eu-west-1")
    names = [f"i-{number:08d}" for number in range(450)]
    assert len(finder.find({_ACCOUNT: names}, _DAY)) == 225
    assert sum(region == "eu-west-1" for region, _, _ in calls) == 1
    (gap,) = finder.gaps
    assert (gap.call, gap.reason, gap.account, gap.region) == (
        "ec2:DescribeInstances",
        "UnauthorizedOperation",
        _ACCOUNT,
        "eu-west-1",
    )
    assert "the regions of instances and VPC endpoints there are not known" in gap.detail
    assert "\x1b" not in gap.detail


def test_endpoints_are_found_in_their_regions() -> None:
    finder, calls = _fake()
    names = [f"vpce-{region}" for region in ("eu-west-1", "us-east-1", "us-west-2")]
    assert finder.find({_ACCOUNT: names}, _DAY) == [
        Machine(f"vpce-{region}", _ACCOUNT, region, _DAY) for region in _REGIONS
    ]
    # What was found in one region is not looked for in the next.
    assert [values for _, _, values in calls] == [names, names[1:]]
    assert finder.gaps == []


def test_an_answer_without_its_list_is_a_gap() -> None:
    finder, _ = _fake()
    assert finder.find({_ACCOUNT: ["vpce-broken"]}, _DAY) == []
    assert [gap.call for gap in finder.gaps] == ["ec2:DescribeVpcEndpoints"] * 2
    assert {gap.reason for gap in finder.gaps} == {"InvalidAnswer"}
