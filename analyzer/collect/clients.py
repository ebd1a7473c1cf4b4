"""Clients of AWS: who we are, one ECR client per registry, and what every call goes through.

Every attempt of a call waits for the token bucket of its registry and operation; it is retried by
botocore (``adaptive``), counted, and comes back as an answer or as `RefusedError`.

Botocore's own reading of answers, shape by shape and each time a datetime, is most of the CPU of
listing images, and it takes a body that broke off for an empty answer: a repository would seem to
have lost all its images. So the ECR clients made here take the JSON body as it is (times are
numbers) and refuse what is not JSON, through botocore's ``before-parse`` event. That is an event of
these clients alone: the session they come from stays as it was.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import botocore
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import InvalidRegionError
from botocore.parsers import ResponseParserError
from botocore.utils import validate_region_name

from analyzer import __version__
from analyzer.collect.places import Place
from analyzer.collect.rates import TokenBucket
from analyzer.collect.refusals import (
    CALL_ERRORS,
    CREDENTIALS_FAILED,
    PAGE_TOKEN_CODES,
    THROTTLING_CODES,
    UNREADABLE,
    CallError,
    ExpiredPageTokenError,
    Reach,
    Refusal,
    RefusedError,
    one_line,
    refusal_of,
)
from analyzer.errors import InputError, RunError
from analyzer.model.records import RegistryKey

if TYPE_CHECKING:
    from boto3.session import Session

#: Attempts of one call, the first included.
TOTAL_ATTEMPTS = 8
_CONNECT_SECONDS = 10
#: A page of a thousand images or a hundred manifests can take a while.
READ_SECONDS = 60.0

#: How often an answer that is not JSON is asked for again; botocore does not retry these.
_READINGS = 3

#: After so many failures in a row that might have passed, a call is not tried again.
_PATIENCE = 10


#: aws, aws-cn, aws-us-gov, aws-iso-b, aws-eusc…: not a list, so that a new one is let in.
_PARTITION = "aws(?:-[a-z0-9]{1,12}){0,2}"


#: The cluster that a token is for: its name among our parameters, and in the request that is signed.
_CLUSTER, _CLUSTER_HEADER = "DemurrageCluster", "x-k8s-aws-id"
#: How long the signature of a token lasts; EKS itself takes tokens for a few minutes more.
_TOKEN_SECONDS = 60


class StoppedError(Exception):
    """The run is ending; never leaves this package."""


class Identity(NamedTuple):
    """Whose credentials a session has."""

    partition: str
    account: str
    #: ARN as sts:GetCallerIdentity gives it; "" when it is not known.
    arn: str = ""
    #: Whose STS said so.
    region: str = ""


#: Calls that AWS charges for, each at its own price (AWS Cost Explorer and S3 pricing pages; CloudTrail's
#: LookupEvents and all read calls of ECR, ECS, EKS, Lambda and the like are free).
_BILLED_SERVICES = frozenset({"ce", "s3"})


@dataclass(slots=True)
class CallCounts:
    """What was asked of AWS, counted by botocore's events; filled from many threads."""

    #: Calls by service and operation as IAM spells them (``ecr:DescribeImages``), retries not included.
    calls: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    #: Attempts that were answered with a throttling error.
    throttles: int = 0
    #: Pages that were refused because their token had grown too old.
    expired_page_tokens: int = 0
    #: Bytes of the answers' bodies.
    received_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def watch(self, client: Any, service: str) -> None:
        """Count what ``client`` does from now on as calls of ``service``, IAM's prefix."""
        events = client.meta.events
        events.register("needs-retry", partial(self._attempted, f"{service}:"))
        events.register("before-parse", self._received)

    def count(self, name: str, received_bytes: int = 0) -> None:
        """Count a call that no client of botocore's makes."""
        with self._lock:
            self.calls[name] += 1
            self.received_bytes += received_bytes

    def expire_page_token(self) -> None:
        """Count a page that was refused for its token."""
        with self._lock:
            self.expired_page_tokens += 1

    def receive(self, size: int) -> None:
        """Count bytes of an answer that was read as it came."""
        with self._lock:
            self.received_bytes += size

    @property
    def billed(self) -> int:
        """How many of the calls AWS charges for."""
        return sum(n for name, n in self.calls.items() if name.partition(":")[0] in _BILLED_SERVICES)

    def _attempted(self, prefix: str, response: Any, operation: Any, attempts: int, **_: object) -> None:
        # Emitted once per attempt, whether it succeeded or not.
        throttled = (
            response is not None
            and response[0].status_code >= 400
            and response[1].get("Error", {}).get("Code") in THROTTLING_CODES
        )
        with self._lock:
            if attempts == 1:
                self.calls[prefix + operation.name] += 1
            else:
                self.retries += 1
            self.throttles += throttled

    def _received(self, response_dict: Mapping[str, Any], **_: object) -> None:
        body = response_dict.get("body")
        # Of an answer that streams, botocore leaves the reading to whoever wants it.
        if isinstance(body, bytes):
            with self._lock:
                self.received_bytes += len(body)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """How hard the clients of one run press AWS; shared by all of them."""

    #: Calls per second of one operation to one registry.
    requests_per_second: float
    #: The same for single operations that have a rate of their own, named as IAM spells them.
    operation_rates: Mapping[str, float] = field(default_factory=dict)
    #: Connections that a client keeps.
    connections: int = 10
    #: Attempts of one call, the first included.
    attempts: int = TOTAL_ATTEMPTS
    #: Seconds that an answer may take.
    read_seconds: float = READ_SECONDS
    counts: CallCounts = field(default_factory=CallCounts)
    #: Set when the run is ending.
    stop: threading.Event = field(default_factory=threading.Event)
    sleep: Callable[[float], None] = time.sleep


class ServiceClient:
    """One AWS service in one account and region, with its rate limits; safe to share between threads."""

    def __init__(self, client: Any, service: str, settings: CallSettings, *, is_own: bool = True) -> None:
        """``client`` is botocore's, ``service`` IAM's prefix of it.

        ``is_own`` says that the credentials are those that the run began with: that they fail ends the
        run, while those of another account cost that account.
        """
        self._client = client
        self._service = service
        self.settings = settings
        self._is_own = is_own
        self._failures: Counter[str] = Counter()
        self._buckets: dict[str, TokenBucket] = {}
        self._lock = threading.Lock()
        settings.counts.watch(client, service)
        # Every attempt waits its turn, retries too, and is signed after that.
        client.meta.events.register_first("request-created", self._wait)

    def call(
        self, operation: str, *, tolerate: Collection[str] = (), **parameters: object
    ) -> Mapping[str, Any]:
        """The answer to one call (``DescribeImages``).

        Raises RefusedError for an expected refusal (``tolerate`` names further error codes that are one
        here), as ExpiredPageTokenError where it is the ``nextToken`` among the parameters that is refused,
        StoppedError when the run is ending, and whatever else botocore raises.
        """
        # A registry that times out for good would otherwise take minutes for each repository.
        if self._failures[operation] >= _PATIENCE:
            detail = f"not asked: the last {_PATIENCE} such calls to this registry failed in a row"
            raise RefusedError(Refusal("GaveUp", Reach.REPOSITORY, detail))
        for _ in range(_READINGS - 1):
            try:
                return self._ask(operation, tolerate, parameters)
            except RefusedError as error:
                if error.refusal.reason != UNREADABLE:
                    raise
        return self._ask(operation, tolerate, parameters)

    def close(self) -> None:
        """Hang up; whoever calls all the same dials again."""
        self._client.close()

    def _ask(
        self, operation: str, tolerate: Collection[str], parameters: Mapping[str, object]
    ) -> Mapping[str, Any]:
        if self.settings.stop.is_set():
            raise StoppedError
        try:
            answer: Mapping[str, Any] = getattr(self._client, xform_name(operation))(**parameters)
        except CALL_ERRORS as error:
            refusal = self._refusal(error, tolerate)
            if refusal is None:
                raise
            failed = refusal.reach is Reach.TRANSIENT
            self._failures[operation] = self._failures[operation] + 1 if failed else 0
            if "nextToken" in parameters and refusal.reason in PAGE_TOKEN_CODES:
                self.settings.counts.expire_page_token()
                raise ExpiredPageTokenError(refusal) from error
            raise RefusedError(refusal) from error
        self._failures[operation] = 0
        return answer

    def _refusal(self, error: CallError, tolerate: Collection[str]) -> Refusal | None:
        try:
            return refusal_of(error, tolerate)
        except RunError as failure:
            if self._is_own:
                raise
            return Refusal(CREDENTIALS_FAILED, Reach.REGISTRY, one_line(failure))

    def _wait(self, operation_name: str, **_: object) -> None:
        """Handler of botocore's request-created event."""
        with self._lock:
            bucket = self._buckets.get(operation_name)
            if bucket is None:
                call = f"{self._service}:{operation_name}"
                rate = self.settings.operation_rates.get(call, self.settings.requests_per_second)
                bucket = self._buckets[operation_name] = TokenBucket(rate, sleep=self.settings.sleep)
        bucket.acquire()
        if self.settings.stop.is_set():
            raise StoppedError


class Answering(Protocol):
    """Whoever answers the calls of one service; safe to share between threads."""

    def call(
        self, operation: str, *, tolerate: Collection[str] = (), **parameters: object
    ) -> Mapping[str, Any]:
        """The answer to one call (``DescribeImages``); raises as `ServiceClient.call` does."""


class RegistryClient(Answering, Protocol):
    """Whoever answers the calls of ECR about one registry."""

    @property
    def key(self) -> RegistryKey:
        """The registry."""

    @property
    def caller(self) -> str:
        """ARN of whoever makes the calls; "" where it is not known."""

    @property
    def lacking(self) -> frozenset[str]:
        """Calls about what registries of this kind do not have: not made, and no gap."""

    def close(self) -> None:
        """Let go of what it holds open; called once the registry was read."""


class AwsRegistryClient(ServiceClient):
    """One registry's ECR, and the other services of its account and region."""

    #: A private registry has everything.
    lacking: frozenset[str] = frozenset()

    def __init__(self, place: Place, settings: CallSettings) -> None:
        """Open ``place``; makes a client, and asks nothing yet."""
        self._place = place
        self._services: dict[str, ServiceClient] = {}
        self._signer: Any = None
        client = place.access.client("ecr", place.key.region, client_config(settings))
        super().__init__(client, "ecr", settings, is_own=place.access.is_own)
        client.meta.events.register("before-parse", read_plain_json)

    @property
    def key(self) -> RegistryKey:
        """The registry."""
        return self._place.key

    @property
    def caller(self) -> str:
        """ARN of whoever makes the calls; "" where it is not known."""
        return self._place.access.caller

    def service(self, name: str, iam_prefix: str | None = None) -> ServiceClient:
        """Another service, by boto3's name for it, in the same account and region; one client of each."""
        with self._lock:
            found = self._services.get(name)
            if found is None:
                config = client_config(self.settings)
                client = self._place.access.client(name, self.key.region, config)
                # Botocore reads CBOR, which CodeBuild speaks, to the end or not at all.
                if client.meta.service_model.resolved_protocol in ("json", "rest-json"):
                    client.meta.events.register("before-parse", read_plain_json)
                found = ServiceClient(
                    client, iam_prefix or name, self.settings, is_own=self._place.access.is_own
                )
                self._services[name] = found
        return found

    def close(self) -> None:
        """Hang up all services of the registry's account and region."""
        super().close()
        with self._lock:
            others = list(self._services.values())
        for other in others:
            other.close()

    def eks_token(self, cluster: str) -> str:
        """What proves to an EKS cluster of the account who we are, for about a minute.

        It is a signed request for GetCallerIdentity, which the cluster sends to STS for us (EKS's user
        guide, "cluster authentication"); nothing is sent here. Raises RefusedError, and RunError when
        the run's own credentials fail.
        """
        with self._lock:
            client = self._signer
            if client is None:
                client = self._signer = self._place.access.client(
                    "sts", self.key.region, client_config(self.settings)
                )
                client.meta.events.register("provide-client-params.sts.GetCallerIdentity", _take_cluster)
                client.meta.events.register("before-sign.sts.GetCallerIdentity", _name_cluster)
        try:
            url = client.generate_presigned_url(
                "get_caller_identity",
                Params={_CLUSTER: cluster},
                ExpiresIn=_TOKEN_SECONDS,
                HttpMethod="GET",
            )
        except CALL_ERRORS as error:
            refusal = self._refusal(error, ())
            if refusal is None:
                raise
            raise RefusedError(refusal) from error
        return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _take_cluster(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Handler of botocore's provide-client-params event: the name is no parameter of STS."""
    context[_CLUSTER] = params.pop(_CLUSTER)


def _name_cluster(request: Any, **_: object) -> None:
    """Handler of botocore's before-sign event: a token is good for one cluster."""
    request.headers[_CLUSTER_HEADER] = request.context[_CLUSTER]


def check_regions(regions: Iterable[str]) -> tuple[str, ...]:
    """``regions`` sorted and without repeats; raises InputError when one cannot be a region's name."""
    names = tuple(sorted(set(regions)))
    if not names:
        raise InputError("no region to collect: name at least one")
    for name in names:
        try:
            # Botocore lets an empty name pass.
            validate_region_name(name or " ")
        except InvalidRegionError as error:
            raise InputError(f"{one_line(name)!r} is not the name of an AWS region") from error
    return names


def fetch_identity(
    session: Session, regions: Iterable[str], settings: CallSettings | None = None
) -> Identity:
    """Account and partition of ``session``'s credentials, asked of the first region that answers.

    The calls are counted in ``settings``.

    Raises RunError when the credentials cannot be used, or what answers is not AWS's STS.
    """
    settings = settings or CallSettings(requests_per_second=1.0)
    failure = "no region was given"
    for region in regions:
        try:
            client = session.client("sts", region_name=region, config=client_config(settings))
            settings.counts.watch(client, "sts")
            answer = client.get_caller_identity()
        except CALL_ERRORS as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            # A region that is not enabled, or does not exist, says nothing about the others.
            failure = f"{region}: {refusal.reason} ({refusal.detail})"
            continue
        return identity_of(answer, region)
    raise RunError(f"cannot find out whose credentials these are; sts:GetCallerIdentity failed in {failure}")


def identity_of(answer: Mapping[str, Any], region: str) -> Identity:
    """Who GetCallerIdentity says we are; its words become the names of registries.

    Raises RunError where they are none that AWS would use.
    """
    arn, account = answer.get("Arn"), answer.get("Account")
    # arn:PARTITION:sts::ACCOUNT:assumed-role/…
    matched = re.match(rf"arn:({_PARTITION}):", arn) if isinstance(arn, str) else None
    if matched is None or not isinstance(account, str) or not re.fullmatch("[0-9]{12}", account):
        raise RunError(
            f"sts:GetCallerIdentity in {region} answered with account {one_line(repr(account), 60)} and ARN "
            f"{one_line(repr(arn), 120)}, which are none of AWS; check AWS_ENDPOINT_URL and the profile"
        )
    return Identity(matched[1], account, one_line(arn, 2048), region)


def read_plain_json(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Handler of botocore's before-parse event: take the answer from the body, unparsed.

    Only of a success; errors are left to botocore. Raises ResponseParserError, as botocore does not,
    when the body is no JSON object.
    """
    if response_dict["status_code"] != 200:
        return
    try:
        answer = json.loads(response_dict["body"])
    except (ValueError, RecursionError) as error:
        raise ResponseParserError(f"the answer to {operation_model.name} is not JSON: {error}") from error
    if type(answer) is not dict:
        raise ResponseParserError(f"the answer to {operation_model.name} is no JSON object")
    for name in operation_model.output_shape.members:
        if name in answer:
            customized_response_dict[name] = answer[name]
    response_dict["body"] = b"{}"


def client_config(settings: CallSettings) -> Config:
    """Botocore's configuration of a client for ``settings``."""
    return Config(
        max_pool_connections=settings.connections,
        connect_timeout=min(_CONNECT_SECONDS, settings.read_seconds),
        read_timeout=settings.read_seconds,
        # The client-side limiter of ``adaptive`` slows down what is throttled, and that alone: each
        # registry and service has a client of its own.
        retries={"mode": "adaptive", "total_max_attempts": settings.attempts},
        tcp_keepalive=True,
        # Botocore would put together the same words about Python and the system for every call,
        # and check every parameter against the model: a third of its CPU, and all of ours are made
        # here and tested against it.
        user_agent=f"demurrage/{__version__} Botocore/{botocore.__version__}",
        parameter_validation=False,
    )
