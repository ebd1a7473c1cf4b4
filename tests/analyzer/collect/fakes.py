"""An AWS in memory behind real boto3 clients, and a store that keeps what it is given.

Requests go through botocore whole (parameters checked against its model, signed, retried, answers
parsed) up to the moment they would be sent; there the stub of ``tests.support`` answers them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from boto3.session import Session
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from analyzer.collect import CollectOptions, CollectResult, RegistrySummary, collect
from analyzer.errors import LeaseError
from analyzer.model.records import (
    Checkpoint,
    Gap,
    ImageStatus,
    KnownUse,
    Manifest,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    ResumableSnapshot,
)
from tests.support.registry import World
from tests.support.stub_ecr import Answer, Fault, Stub

REGION = "eu-west-1"
ACCOUNT = "123456789012"
NOW = 1_780_000_000.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it would have been sent."""

    operation: str
    region: str
    parameters: dict[str, Any]


class Aws:
    """Answers the requests of ``session()``."""

    def __init__(self, world: World, *, faults: Sequence[Fault] = (), page_size: int | None = None) -> None:
        self.stub = Stub(world, faults=faults, page_size=page_size)
        self.requests: list[Request] = []
        #: Called with each request before it is answered; may block, change the world or answer.
        self.hook: Callable[[Request], Answer | None] = lambda _: None
        _current.clear()
        _current.append(self)

    def answer(self, request: Any) -> AWSResponse:
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        body = request.body.encode() if isinstance(request.body, str) else bytes(request.body or b"")
        operation = headers.get("x-amz-target", "").rpartition(".")[2] or "GetCallerIdentity"
        region = headers["authorization"].split("/")[2]
        seen = Request(operation, region, json.loads(body) if operation != "GetCallerIdentity" else {})
        self.requests.append(seen)
        answer = self.hook(seen) or self.stub.handle(urlsplit(request.url).path, headers, body)
        return AWSResponse(
            request.url,
            answer.status,
            HTTPHeaders.from_dict({"Content-Type": answer.content_type}),
            _Raw(answer.body),
        )

    def asked(self, operation: str) -> list[Request]:
        return [request for request in self.requests if request.operation == operation]


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        yield self._body


#: The Aws that answers; one session serves all tests, because making one is slow.
_current: list[Aws] = []


@cache
def session() -> Session:
    made = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")
    for service in ("ecr", "sts"):
        # botocore takes what a handler of this event gives for the answer; its stubs know no such handler.
        handler: Any = lambda request, **_: _current[0].answer(request)  # noqa: E731
        made.events.register(f"before-send.{service}", handler)
    return made


@dataclass(frozen=True, slots=True)
class MemoryLease:
    """The lease on a region's registry."""

    region: str
    lost: threading.Event


@dataclass
class MemoryStore:
    """A SnapshotStore in memory."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    reads: dict[str, RegistryRead] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    leased: dict[str, MemoryLease] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    callers: list[str | None] = field(default_factory=list)
    #: Of registries without a snapshot, by region.
    gaps: dict[str, Sequence[Gap]] = field(default_factory=dict)
    refused: dict[tuple[RegistryKey, tuple[str, int], str], ImageStatus] = field(default_factory=dict)
    #: How many manifests each call of add_manifests brought.
    added: list[int] = field(default_factory=list)
    resumable: dict[RegistryKey, ResumableSnapshot] = field(default_factory=dict)
    resumed: dict[str, int] = field(default_factory=dict)
    checkpoints: dict[str, list[Checkpoint]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin_run(self, started_at_ms: int, host: str, version: str, caller: str | None) -> int:
        assert started_at_ms == NOW * 1000
        assert host
        assert version
        self.runs.append("running")
        self.callers.append(caller)
        return len(self.runs)

    def finish_run(self, run: int, finished_at_ms: int, status: str) -> None:
        assert finished_at_ms == NOW * 1000
        assert self.runs[run - 1] == "running", "finished twice"
        self.runs[run - 1] = status

    @contextmanager
    def lease(self, key: RegistryKey, holder: str, host: str) -> Iterator[MemoryLease]:
        assert holder.startswith("pid ")
        assert host
        if key.region in self.held:
            raise LeaseError(f"{key.account}/{key.region} is being collected by another process")
        lease = self.leased[key.region] = MemoryLease(key.region, threading.Event())
        try:
            yield lease
        finally:
            del self.leased[key.region]

    def unknown_manifests(self, digests: Collection[str]) -> set[str]:
        with self.lock:
            return {digest for digest in digests if digest not in self.manifests}

    def add_manifests(self, manifests: Sequence[Manifest]) -> None:
        with self.lock:
            self.added.append(len(manifests))
            self.manifests.update((manifest.digest, manifest) for manifest in manifests)

    def record_gaps(self, run: int, key: RegistryKey, gaps: Sequence[Gap]) -> None:
        assert run == len(self.runs)
        self.gaps[key.region] = gaps

    def repository_counts(self) -> Mapping[RegistryKey, int]:
        return {}

    def resumable_snapshots(self, since_ms: int, now_ms: int) -> Mapping[RegistryKey, ResumableSnapshot]:
        assert since_ms < now_ms == NOW * 1000
        return self.resumable

    def resume_snapshot(self, run: int, key: RegistryKey, snapshot: ResumableSnapshot) -> None:
        assert run == len(self.runs)
        assert key.region in self.leased
        self.resumed[key.region] = snapshot.number

    def load_checkpoints(self, lease: MemoryLease, since_ms: int, now_ms: int) -> Sequence[Checkpoint]:
        assert since_ms < now_ms == NOW * 1000
        return self.checkpoints.get(lease.region, [])

    def save_checkpoints(self, lease: MemoryLease, checkpoints: Sequence[Checkpoint]) -> None:
        assert self.leased[lease.region] is lease
        self.checkpoints.setdefault(lease.region, []).extend(checkpoints)

    def refused_manifests(self, key: RegistryKey) -> Mapping[tuple[tuple[str, int], str], ImageStatus]:
        return {
            (repository, digest): status
            for (registry, repository, digest), status in self.refused.items()
            if registry == key
        }

    def known_uses(self, key: RegistryKey) -> Mapping[str, Sequence[KnownUse]]:
        before = self.reads.get(key.region)
        if before is None:
            return {}
        seen = before.taken_at_ms
        return {read.source: [KnownUse(use, seen) for use in read.uses] for read in before.workloads}

    def commit_snapshot(self, lease: MemoryLease, run: int, read: RegistryRead) -> int:
        assert lease.region == read.key.region
        assert self.leased[lease.region] is lease
        assert run == len(self.runs)
        for refusal in read.refusals:
            self.refused[read.key, refusal.repository_key, refusal.digest] = refusal.image_status
        self.reads[lease.region] = read
        self.checkpoints.pop(lease.region, None)
        return 7

    def repository(self, name: str, region: str = REGION) -> RepositoryRead:
        (found,) = [read for read in self.reads[region].repositories if read.name == name]
        return found


class Recorder:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self._busy = threading.Lock()

    def _note(self, *event: Any) -> None:
        assert self._busy.acquire(blocking=False), "called by two threads at once"
        self.events.append(event)
        self._busy.release()

    def places_known(self, count: int) -> None:
        self.places = count

    def registry_started(self, key: RegistryKey) -> None:
        self._note("started", key.region)

    def repositories_known(self, key: RegistryKey, count: int) -> None:
        self._note("known", key.region, count)

    def repository_done(self, key: RegistryKey, repository: str, artifacts: int) -> None:
        self._note("done", key.region, repository, artifacts)

    def manifests_fetched(self, key: RegistryKey, count: int) -> None:
        self._note("fetched", key.region, count)

    def registry_done(self, summary: RegistrySummary) -> None:
        self._note("finished", summary.key.region, summary.status)


def run(
    store: MemoryStore,
    *regions: str,
    attempts: int = 1,
    workers: int = 4,
    account: str | None = None,
    progress: Recorder | None = None,
    after_snapshot: Callable[[RegistryKey, int, int], Sequence[Gap]] = lambda *_: (),
) -> CollectResult:
    """Collect from the current Aws, as fast as it answers."""
    options = CollectOptions(
        regions=regions or (REGION,),
        accounts=() if account is None else (account,),
        workers=workers,
        attempts=attempts,
        requests_per_second=1e9,
        batch_get_image_per_second=1e9,
    )
    return collect(
        store,
        session(),
        options,
        clock=lambda: NOW,
        progress=progress or Recorder(),
        after_snapshot=after_snapshot,
    )
