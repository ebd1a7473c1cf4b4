"""One run of the collector: every registry that can be reached, each into its own snapshot."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from analyzer import __version__
from analyzer.collect.accounts import find_places
from analyzer.collect.clients import AwsRegistryClient, CallSettings, RegistryClient
from analyzer.collect.contract import (
    AfterSnapshot,
    CollectOptions,
    CollectResult,
    LeaseT,
    OneAtATime,
    Progress,
    SnapshotStore,
)
from analyzer.collect.crew import Crew, OpenClient
from analyzer.collect.ecr_public import open_public_registry
from analyzer.collect.places import Place, Places
from analyzer.collect.public_manifests import REGISTRY_URL, PublicManifests
from analyzer.collect.session import certificates
from analyzer.collect.workloads import NO_WORKLOADS, RATES, WorkloadOptions
from analyzer.errors import InputError

if TYPE_CHECKING:
    from boto3.session import Session

#: New objects between two garbage collections during a run.
_GARBAGE_THRESHOLD = 100_000


def collect(
    store: SnapshotStore[LeaseT],
    session: Session,
    options: CollectOptions,
    *,
    more_sessions: Sequence[Session] = (),
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    public_url: str = REGISTRY_URL,
    progress: Progress,
    after_snapshot: AfterSnapshot = lambda _key, _run, _snapshot: (),
) -> CollectResult:
    """Read the registries that ``options`` name and write a snapshot of each.

    Whatever AWS refuses is a gap of the registry it is about, and the others go on. ``more_sessions``
    have credentials for what those of ``session`` do not reach: other partitions, mostly. ``clock`` gives
    seconds since 1970 UTC; ``sleep`` is what the rate limits wait with; ``public_url`` is where the
    manifests of public registries are; ``after_snapshot`` is called from several threads.

    Raises InputError when the options make no sense or the credentials are another account's,
    RunError when the credentials cannot be used, and whatever unexpected a thread raised: then the
    run is recorded as failed, and the manifests fetched so far are kept.
    """
    if options.workers < 1 or options.attempts < 1:
        raise InputError("at least one worker and one attempt per call are needed")
    if not (options.requests_per_second > 0 and options.batch_get_image_per_second > 0):
        raise InputError("requests per second must be above zero")
    settings = CallSettings(
        requests_per_second=options.requests_per_second,
        operation_rates={
            **{call: min(rate, options.requests_per_second) for call, rate in RATES.items()},
            "ecr:BatchGetImage": options.batch_get_image_per_second,
        },
        connections=max(10, options.workers),
        attempts=options.attempts,
        read_seconds=options.read_seconds,
        sleep=sleep,
    )
    found = find_places((session, *more_sessions), options, settings)
    open_client: OpenClient = AwsRegistryClient
    if any(place.key.is_public for place in found.places):
        manifests = PublicManifests(
            stop=settings.stop,
            counts=settings.counts,
            url=public_url,
            verify=certificates(session) or True,
            sleep=sleep,
        )
        open_client = partial(_open_client, manifests)
    return collect_places(
        store,
        found,
        settings,
        workers=options.workers,
        resume_seconds=options.resume_seconds,
        workloads=options.workloads,
        clock=clock,
        progress=progress,
        after_snapshot=after_snapshot,
        open_client=open_client,
    )


def _open_client(manifests: PublicManifests, place: Place, settings: CallSettings) -> RegistryClient:
    """Whoever answers for ``place``, be it private or public."""
    if place.key.is_public:
        return open_public_registry(place, settings, manifests)
    return AwsRegistryClient(place, settings)


def collect_places(
    store: SnapshotStore[LeaseT],
    found: Places,
    settings: CallSettings,
    *,
    workers: int,
    resume_seconds: float,
    clock: Callable[[], float],
    progress: Progress,
    after_snapshot: AfterSnapshot,
    workloads: WorkloadOptions = NO_WORKLOADS,
    open_client: OpenClient = AwsRegistryClient,
) -> CollectResult:
    """Read the registries that were ``found``, each through the client that ``open_client`` makes.

    Otherwise as `collect`.
    """
    host = socket.gethostname()
    run = store.begin_run(_ms(clock), host, __version__, found.caller or None)
    status = "failed"
    try:
        for key, gap in found.gaps:
            store.record_gaps(run, key, [gap])
        with _fewer_garbage_collections():
            registries = Crew(
                store,
                run,
                host,
                found.places,
                settings,
                workers,
                OneAtATime(progress),
                clock,
                after_snapshot,
                resume_seconds,
                workloads,
                open_client,
            ).go()
        has_gaps = found.gaps or any(registry.gaps for registry in registries)
        status = "gaps" if has_gaps else "complete"
    finally:
        store.finish_run(run, _ms(clock), status)
    counts = settings.counts
    return CollectResult(
        run=run,
        status=status,
        registries=tuple(registries),
        unreached=tuple(sorted(gap for _, gap in found.gaps)),
        skipped=found.skipped,
        calls=dict(sorted(counts.calls.items())),
        billed_calls=counts.billed,
        retries=counts.retries,
        throttles=counts.throttles,
        expired_page_tokens=counts.expired_page_tokens,
        received_bytes=counts.received_bytes,
    )


@contextmanager
def _fewer_garbage_collections() -> Iterator[None]:
    """Let tuples pile up: a run makes millions of them and no cycles to speak of.

    Python's collector would walk all of them after every few hundred new ones, which is a third of
    the CPU of an unchanged night.
    """
    before = gc.get_threshold()
    gc.set_threshold(_GARBAGE_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _ms(clock: Callable[[], float]) -> int:
    return round(clock() * 1000)
