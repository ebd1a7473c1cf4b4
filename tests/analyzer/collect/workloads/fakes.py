"""Services that run images, behind real boto3 clients: requests are answered where they would be sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import boto3
from boto3.session import Session
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from analyzer.collect.clients import AwsRegistryClient, CallSettings
from analyzer.collect.places import OwnAccess, Place
from analyzer.collect.workloads import WorkloadOptions, readers
from analyzer.model.records import Gap, KnownUse, RegistryKey, UseKind, WorkloadRead, WorkloadUse
from tests.support.stub_workloads import SERVICES, Workloads

ACCOUNT, REGION = "123456789012", "eu-west-1"
KEY = RegistryKey("aws", ACCOUNT, REGION)
RUNNING, CONFIGURED, PREVIOUS = UseKind.RUNNING, UseKind.CONFIGURED, UseKind.PREVIOUS
#: When the uses that `again` gives were first seen.
SEEN_AT_MS = 1_780_000_000_000
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"

_current: list[Workloads] = []


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def image(name: str, letter: str = "") -> str:
    return f"{HOST}/{name}" + (f"@{digest(letter)}" if letter else "")


@cache
def _session() -> Session:
    made = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")

    def answer(request: Any, **_: object) -> AWSResponse:
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        body = request.body.encode() if isinstance(request.body, str) else bytes(request.body or b"")
        region, service = headers["authorization"].split("Credential=")[1].split("/")[2:4]
        reply = _current[0].handle(service, region, request.method, request.url, headers, body)
        return AWSResponse(request.url, reply.status, HTTPHeaders.from_dict(reply.headers), _Raw(reply.body))

    # botocore takes what a handler of this event gives for the answer; its stubs know no such handler.
    handler: Any = answer
    for service in SERVICES:
        model = made._session.get_service_model(service)
        made.events.register(f"before-send.{model.service_id.hyphenize()}", handler)
    return made


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        yield self._body


def client(
    aws: Workloads, *, key: RegistryKey = KEY, attempts: int = 1, settings: CallSettings | None = None
) -> AwsRegistryClient:
    """A client of the account and region whose services answer as ``aws`` says."""
    _current[:] = [aws]
    fast = settings or CallSettings(requests_per_second=1e9, attempts=attempts, sleep=lambda _: None)
    return AwsRegistryClient(Place(key, OwnAccess(_session(), "arn:aws:iam::123456789012:role/c")), fast)


def read(
    aws: Workloads,
    *sources: str,
    known: Mapping[str, Sequence[KnownUse]] | None = None,
    key: RegistryKey = KEY,
    attempts: int = 1,
    settings: CallSettings | None = None,
    **options: Any,
) -> tuple[list[WorkloadRead], list[Gap]]:
    """What the sources give, and the gaps they leave."""
    wanted = WorkloadOptions(sources=sources, **options)
    reads: list[WorkloadRead] = []
    gaps: list[Gap] = []
    opened = client(aws, key=key, attempts=attempts, settings=settings)
    for reader in readers(opened, wanted, known or {}):
        outcome = reader()
        reads += outcome.reads
        gaps += outcome.gaps
    return reads, gaps


def uses(aws: Workloads, source: str, **options: Any) -> list[tuple[str, str, UseKind]]:
    """What one source names, where nothing is refused."""
    (found,), gaps = read(aws, source, **options)
    assert gaps == []
    assert (found.source, str(found.status)) == (source, "complete")
    return [(use.workload, use.reference, use.kind) for use in found.uses]


def again(reads: Sequence[WorkloadRead], seen_at_ms: int = SEEN_AT_MS) -> dict[str, list[KnownUse]]:
    """The uses of ``reads`` as the store knows them on the next night."""
    return {entry.source: [KnownUse(WorkloadUse(*use), seen_at_ms) for use in entry.uses] for entry in reads}
