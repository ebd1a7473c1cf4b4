"""What `doctor` asks of AWS: whose credentials these are, which registries they reach, what they may do.

Asks little and changes nothing: see `analyzer.collect.probes` for what is asked of each registry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from analyzer.collect.account_patterns import need_units, parse_patterns
from analyzer.collect.accounts import check_options, find_places
from analyzer.collect.clients import (
    AwsRegistryClient,
    CallSettings,
    ServiceClient,
    client_config,
    identity_of,
)
from analyzer.collect.contract import CollectOptions
from analyzer.collect.delivery_probes import (
    BucketPlace,
    BucketProbe,
    TopicProbe,
    probe_bucket,
    probe_topic,
)
from analyzer.collect.ecr_public import SERVICE, open_public_api
from analyzer.collect.permissions import (
    ORGANIZATION,
    PUBLIC,
    PULLS,
    REGIONS,
    REGISTRY,
    UNITS,
    VERIFY,
    Permission,
    permissions_of,
    workload_part,
)
from analyzer.collect.places import Place, Places
from analyzer.collect.probes import (
    AccountProbe,
    PlaceProbe,
    probe_organization,
    probe_place,
    probe_public_place,
    probe_public_registry,
    probe_pulls,
    probe_regions,
)
from analyzer.collect.refusals import NO_CREDENTIALS, RefusedError, one_line
from analyzer.collect.regions import ALL_REGIONS, PUBLIC_PARTITION, greeting_regions, wants_public
from analyzer.collect.trail_probes import TrailProbe, probe_trail
from analyzer.collect.trails import TrailBucket
from analyzer.collect.workload_probes import probe_workloads
from analyzer.errors import DemurrageError, RunError

if TYPE_CHECKING:
    from boto3.session import Session

#: Somebody waits for the answer: a place that does not answer is found out in seconds.
_ATTEMPTS = 2
_READ_SECONDS = 20.0


@dataclass(slots=True, kw_only=True)
class SessionFacts:
    """What is known of one set of credentials and of its way to AWS before any account is entered."""

    #: Profile of the AWS configuration.
    profile: str
    #: Where the credentials come from, in botocore's words (``env``, ``iam-role``, ``sso``…).
    method: str = ""
    is_temporary: bool = False
    #: Whether botocore gets new ones by itself before these end.
    is_renewed: bool = False
    #: When the ones at hand end, where that is known.
    expires_at: datetime | None = None
    #: Service to the URL that takes the place of AWS's own.
    endpoints: Mapping[str, str] = field(default_factory=dict)
    #: ARN of whose they are, and the region whose STS said so; "" where none did.
    caller: str = ""
    region: str = ""
    #: Why they are of no use; "" where they are.
    unusable: str = ""


@dataclass(slots=True, kw_only=True)
class AwsFacts:
    """All that AWS could be asked."""

    sessions: list[SessionFacts] = field(default_factory=list)
    #: How far this machine's clock is ahead of AWS's; None where AWS did not say.
    ahead_seconds: float | None = None
    #: Why no registry could be found, if none could.
    unusable: DemurrageError | None = None
    places: Places | None = None
    #: By account and region.
    probes: list[PlaceProbe] = field(default_factory=list)
    #: By account.
    accounts: list[AccountProbe] = field(default_factory=list)
    #: What else the night asks with the first session's credentials; None where they are of no use.
    beside: BesideFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a night asks AWS for beside registries, with the credentials that it begins with."""

    #: ``s3://BUCKET/PREFIX`` of each trail whose pulls are read.
    trails: tuple[str, ...] = ()
    #: Where reports are published.
    buckets: tuple[BucketPlace, ...] = ()
    #: ARNs of the topics that are told.
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideFacts:
    """What AWS said of `Beside`."""

    #: ARN of who asked.
    caller: str
    trails: tuple[TrailProbe, ...] = ()
    buckets: tuple[BucketProbe, ...] = ()
    topics: tuple[TopicProbe, ...] = ()


def examine(
    sessions: Sequence[Session],
    options: CollectOptions,
    *,
    beside: Beside = Beside(),
    for_verify: bool = False,
    for_pulls: bool = False,
    clock: Callable[[], float] = time.time,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> AwsFacts:
    """Look at everything that ``options`` and ``beside`` name.

    ``for_verify`` and ``for_pulls`` are whether the permissions of `verify` and of `ingest --lookup` are
    wanted too; ``clock`` gives seconds since 1970 UTC; ``progress`` is told, in the caller's thread, how
    many registries of how many are done.
    Raises InputError where the options or a trail's URL make no sense; all else that is wrong is part of
    the answer.
    """
    check_options(options, len(sessions))
    settings = CallSettings(
        requests_per_second=options.requests_per_second,
        connections=max(10, options.workers),
        attempts=min(options.attempts, _ATTEMPTS),
        read_seconds=min(options.read_seconds, _READ_SECONDS),
    )
    facts = AwsFacts()
    try:
        for session in sessions:
            facts.sessions.append(_greet(facts, session, options, settings, clock))
        for session, known in zip(sessions, facts.sessions, strict=True):
            if options.organization and known.caller:
                facts.accounts.append(_probe_organization(session, known, options, settings))
        if all(known.unusable for known in facts.sessions):
            return facts
        facts.beside = _probe_beside(sessions[0], facts.sessions[0], options, beside, settings)
        facts.places = find_places(sessions, options, settings)
        parts = (REGISTRY, VERIFY) if for_verify else (REGISTRY,)
        _probe_all(facts, facts.places, settings, options, (*parts, *(PULLS if for_pulls else ())), progress)
    except DemurrageError as error:
        facts.unusable = error
    finally:
        settings.stop.set()
    return facts


def _probe_all(
    facts: AwsFacts,
    places: Places,
    settings: CallSettings,
    options: CollectOptions,
    parts: Sequence[str],
    progress: Callable[[int, int], None],
) -> None:
    wanted = permissions_of(parts)
    total = len(places.places)
    progress(0, total)
    sources = options.workloads.sources
    pool = ThreadPoolExecutor(max(1, min(options.workers, total)), thread_name_prefix="doctor")
    try:
        # Of each account the first by region; the public one only where there is no other.
        in_order = sorted(places.places, key=lambda place: (place.key.is_public, place.key.region))
        of_account = {place.key.account: place for place in reversed(in_order)}
        accounts = [
            pool.submit(_probe_account, place, settings, options.regions) for place in of_account.values()
        ]
        registries = [pool.submit(_probe, place, settings, wanted, sources) for place in places.places]
        for done, registry in enumerate(as_completed(registries), 1):
            facts.probes.append(registry.result())
            progress(done, total)
        facts.accounts += [account.result() for account in accounts]
    finally:
        # An interrupt or a fault ends it: no thread is to begin another call.
        settings.stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        facts.probes.sort(key=lambda probe: (probe.key.account, probe.key.region))
        facts.accounts.sort(key=lambda probe: probe.account)


def _probe(
    place: Place, settings: CallSettings, wanted: Sequence[Permission], sources: Sequence[str]
) -> PlaceProbe:
    if place.key.is_public:
        api = open_public_api(place.access, settings)
        return probe_public_place(api, place.key, place.access.caller, permissions_of((PUBLIC,)))
    client = AwsRegistryClient(place, settings)
    of_pulls = [row for row in wanted if row.part in PULLS]
    found = probe_place(client, [row for row in wanted if row not in of_pulls])
    if of_pulls and found.out_of_reach is None:
        found.probed += probe_pulls(client.service, of_pulls)
    if sources and found.out_of_reach is None:
        rows = permissions_of(tuple(map(workload_part, sources)))
        workloads = probe_workloads(client, sources, rows)
        found.probed += workloads.probed
        found.eks_clusters = workloads.clusters
    return found


def _probe_account(place: Place, settings: CallSettings, regions: Sequence[str]) -> AccountProbe:
    """What finding the registries of an account takes, one of which is ``place``."""
    probed = []
    if ALL_REGIONS in regions:
        client = AwsRegistryClient(place, settings)
        probed += probe_regions(client.service, permissions_of((REGIONS,)))
    if wants_public(regions) and place.key.partition == PUBLIC_PARTITION:
        api = open_public_api(place.access, settings)
        probed += probe_public_registry(api, permissions_of((PUBLIC,)))
    return AccountProbe(place.key.partition, place.key.account, place.access.caller, probed)


def _probe_beside(
    session: Session, known: SessionFacts, options: CollectOptions, beside: Beside, settings: CallSettings
) -> BesideFacts | None:
    """What the first session may do beside its registries; None where it may do nothing."""
    if known.unusable:
        return None
    region = greeting_regions(session, options.regions)[0]
    trails = [TrailBucket(url, session, settings, region) for url in beside.trails]
    partition = known.caller.split(":")[1]
    iam = _service(session, "iam", known.region, settings)
    s3 = _service(session, "s3", session.region_name or region, settings)
    return BesideFacts(
        caller=known.caller,
        trails=tuple(probe_trail(bucket, partition) for bucket in trails),
        buckets=tuple(probe_bucket(s3, iam, known.caller, place) for place in beside.buckets),
        topics=tuple(
            probe_topic(_service(session, "sns", arn.split(":")[3], settings), iam, known.caller, arn)
            for arn in beside.topics
        ),
    )


def _probe_organization(
    session: Session, known: SessionFacts, options: CollectOptions, settings: CallSettings
) -> AccountProbe:
    """What the session may ask of its organization; the units only where they matter."""
    chosen = (
        parse_patterns(options.include, "--include"),
        parse_patterns(options.exclude, "--exclude"),
    )
    parts = (ORGANIZATION, UNITS) if need_units(*chosen) else (ORGANIZATION,)
    client = _service(session, "organizations", known.region, settings)
    _, partition, _, _, account, _ = known.caller.split(":", 5)
    return AccountProbe(partition, account, known.caller, probe_organization(client, permissions_of(parts)))


def _greet(
    facts: AwsFacts,
    session: Session,
    options: CollectOptions,
    settings: CallSettings,
    clock: Callable[[], float],
) -> SessionFacts:
    """What the session says of itself, and what STS says of it."""
    known = SessionFacts(profile=one_line(session.profile_name, 60))
    regions = greeting_regions(session, options.regions)
    try:
        _describe(known, session, regions[0], options.regions, settings)
        _compare(facts, known, session, regions, settings, clock)
    except RunError as error:
        known.unusable = str(error)
    except (BotoCoreError, ValueError) as error:
        # Configuration that botocore reads only now: a broken profile, an endpoint that is no URL.
        known.unusable = f"AWS configuration: {one_line(error)}"
    return known


def _describe(
    known: SessionFacts, session: Session, region: str, wanted: Sequence[str], settings: CallSettings
) -> None:
    """Note what the session says of itself; raises RunError without credentials."""
    known.endpoints = _endpoints(session, region, wanted, settings)
    credentials: Any = session.get_credentials()
    if credentials is None:
        raise RunError(NO_CREDENTIALS)
    known.method = one_line(credentials.method or "unknown", 60)
    known.is_temporary = bool(credentials.get_frozen_credentials().token)
    known.is_renewed = hasattr(credentials, "refresh_needed")
    # Botocore tells nobody when they end; where it stops keeping that here, it is not known.
    ends = getattr(credentials, "_expiry_time", None)
    known.expires_at = ends.astimezone(UTC) if isinstance(ends, datetime) else None


def _endpoints(
    session: Session, region: str, wanted: Sequence[str], settings: CallSettings
) -> dict[str, str]:
    """Services that are asked elsewhere than where botocore would ask them by itself."""
    make: Any = session.client
    # The stubs do not know the option, which botocore documents.
    unset: Any = {"ignore_configured_endpoint_urls": True}
    config = client_config(settings)
    own = config.merge(Config(**unset))
    found = {}
    services = ["ecr", "sts"]
    if wants_public(wanted):
        services.append(SERVICE)
    for service in services:
        used = make(service, region_name=region, config=config).meta.endpoint_url
        if used != make(service, region_name=region, config=own).meta.endpoint_url:
            found[service] = one_line(used, 200)
    return found


def _compare(
    facts: AwsFacts,
    known: SessionFacts,
    session: Session,
    regions: Sequence[str],
    settings: CallSettings,
    clock: Callable[[], float],
) -> None:
    """Note whose the credentials are by the first region's STS that answers, and what time it is there.

    A clock that is far off makes AWS refuse the signature, and that answer has its time too. Raises
    RunError where the credentials cannot be used.
    """
    failure = ""
    for region in regions:
        client = _service(session, "sts", region, settings)
        before = clock()
        answer: Mapping[str, Any] = {}
        try:
            answer = client.call("GetCallerIdentity")
            identity = identity_of(answer, region)
            known.caller, known.region = identity.arn, region
            return
        except (RefusedError, RunError) as error:
            if isinstance(error.__cause__, ClientError):
                answer = error.__cause__.response
            if isinstance(error, RunError):
                raise
            # A region that is not enabled, or of another partition, says nothing about the others.
            failure = f"{region}: {error}"
        finally:
            told = _told(answer)
            if told is not None:
                facts.ahead_seconds = (before + clock()) / 2 - told
    raise RunError(f"sts:GetCallerIdentity failed in {failure}")


def _service(session: Session, name: str, region: str, settings: CallSettings) -> ServiceClient:
    # The service is no literal, which is what the stubs' overloads tell the types by.
    make: Any = session.client
    return ServiceClient(make(name, region_name=region, config=client_config(settings)), name, settings)


def _told(answer: Mapping[str, Any]) -> float | None:
    """Seconds since 1970 in the Date header of ``answer``; None where it has none."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
