"""A small ECR over HTTP, quick enough to measure a client against.

It speaks what boto3 speaks to ECR (AWS JSON 1.1) and to STS's GetCallerIdentity (query, XML), for
the calls of ``_OPERATIONS``; services that run images are answered by ``stub_workloads``. What it takes
for granted about AWS is botocore's service model and the documentation; where neither says, the choice
is commented. Signatures are not checked: the region is that of the signature, the account that of the
access key when it is twelve digits long.

In a thread::

    with serve(generate(10, 100, 10, seed=1)) as server:
        boto3.client("ecr", endpoint_url=server.url, ...)

As a process of its own, so that its work does not count as the client's::

    with started("--repositories", "200", "--images", "100") as url: ...

which is ``python -m tests.support.stub_ecr``; it prints its URL, and stops when its standard input
ends. Beside the API there are, for tests:

- ``GET /_stub/calls``: how often each operation was asked, as JSON;
- ``GET /_stub/log``: region, operation and parameters of each ECR call, with ``--log-calls``;
- ``POST /_stub/reset``: forget those counts, and that log;
- ``POST /_stub/faults``: a JSON list of objects with the fields of ``Fault``, in place of all;
- ``POST /_stub/push-and-delete``: a JSON number, see ``World.push_and_delete``;
- ``GET /_stub/totals``: how many repositories, images and distinct manifests there are.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import contextlib
import json
import random
import re
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs

import botocore.session
from botocore.model import ListShape, Shape, StringShape, StructureShape

from tests.support.registry import Image, LifecyclePreview, Registry, Repository, World, generate
from tests.support.stub_workloads import SERVICES, Workloads

_TARGET = "AmazonEC2ContainerRegistry_V20150921."
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DEFAULT_PAGE = 100
_SETTINGS = ("BASIC_SCAN_TYPE_VERSION", "BLOB_MOUNTING", "REGISTRY_POLICY_SCOPE")

FaultKind = Literal[
    "throttle",  # ThrottlingException, "Rate exceeded"
    "deny",  # AccessDeniedException
    "error",  # HTTP 500, ServerException
    "unavailable",  # HTTP 503 and a page of HTML, as from something in between
    "code",  # HTTP 400 with ``code``
    "sleep",  # answers after ``seconds``
    "reset",  # breaks the connection in place of an answer
    # For both of these boto3 raises nothing: it hands on a success that lacks every key.
    "truncate",  # promises the whole body, sends half and hangs up
    "garble",  # half a JSON document, of the promised length
    "drop",  # the answer lacks ``field``, or its first entry does: imageDetails/imageDigest
    "wrong_digest",  # BatchGetImage: texts that do not hash to their digests
    # Of listings alone:
    "expire_token",  # this nextToken is too old
    "empty_page",  # no entry, and a nextToken that goes on as if there had been no such page
    "overlap",  # begins with the last entry of the page before
    "circle",  # after the first page the nextToken leads back to it, whenever it is used
]


@dataclass(slots=True)
class Fault:
    """What goes wrong, and when: at the ``nth`` matching call and the ``times - 1`` after it."""

    kind: FaultKind
    operation: str = "*"
    #: Matched against the repository's name; calls about none have the name "".
    repository: str = "*"
    region: str = "*"
    nth: int = 1
    #: 0 means for ever.
    times: int = 0
    seconds: float = 0.0
    code: str = "ServerException"
    message: str = "made to fail"
    field: str = ""
    #: Of the calls that would be struck, how many really are, in no order but the same every time.
    share: float = 1.0
    seen: int = 0

    def strikes(self, operation: str, repository: str, region: str) -> bool:
        """Count this call if it matches, and say whether it goes wrong."""
        asked = ((operation, self.operation), (repository, self.repository), (region, self.region))
        if not all(fnmatchcase(name, pattern) for name, pattern in asked):
            return False
        self.seen += 1
        due = self.seen >= self.nth and (not self.times or self.seen < self.nth + self.times)
        return due and (self.share >= 1.0 or random.Random(self.seen).random() < self.share)


class ApiError(Exception):
    """An error that the API answers with."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    body: bytes
    status: int = 200
    content_type: str = "application/x-amz-json-1.1"
    delay_seconds: float = 0.0
    truncated: bool = False
    reset: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    operation: str
    account: str
    region: str
    #: Name of the repository it is about, "" for none.
    repository: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One API call, validated."""

    registry: Registry
    parameters: dict[str, Any]
    #: What goes wrong with it.
    kinds: frozenset[FaultKind]

    def repository(self) -> Repository:
        """The repository that the call names."""
        return self.named(self.parameters["repositoryName"])

    def named(self, name: str) -> Repository:
        """The repository of that name, or the error of AWS."""
        found = self.registry.repositories.get(name)
        if found is None:
            raise ApiError(
                "RepositoryNotFoundException",
                f"The repository with name '{name}' does not exist in the registry with id "
                f"'{self.registry.account}'",
            )
        return found


class Stub:
    """Answers calls about a world; knows nothing of HTTP's transport.

    ``page_size`` is the most that any page holds, whatever is asked for: AWS may return fewer
    results than maxResults. ``token_seconds`` is how long a nextToken lives.
    """

    def __init__(
        self,
        world: World,
        *,
        faults: Sequence[Fault] = (),
        page_size: int | None = None,
        token_seconds: float | None = None,
        latency_seconds: float = 0.0,
        log_calls: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.world = world
        self.faults = list(faults)
        self.calls: Counter[str] = Counter()
        #: Region, operation and parameters of every ECR call, where they are wanted.
        self.log: list[tuple[str, str, dict[str, Any]]] | None = [] if log_calls else None
        #: (region, repository, operation) of the requests that a fault struck.
        self.struck: set[tuple[str, str, str]] = set()
        #: Called with each request before it is answered, under the world's lock, which it may change.
        self.hook: Callable[[Asked], None] = lambda _: None
        #: What other services answer, and what they were asked.
        self.workloads = Workloads()
        self.page_size = page_size
        self._token_seconds = token_seconds
        self._latency_seconds = latency_seconds
        self._clock = clock
        self._model = botocore.session.get_session().get_service_model("ecr")

    def handle(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """The answer to one HTTP request."""
        with self.world.lock:
            if path.startswith("/_stub/"):
                return self._aside(path.removeprefix("/_stub/"), body)
            signed = re.search(
                r"Credential=([^/,]*)/\d+/([^/,]*)/([^/,]*)/", headers.get("authorization", "")
            )
            key, region, service = signed.groups() if signed else ("", self.world.region, "")
            account = key if re.fullmatch(r"\d{12}", key) else self.world.account
            if service in SERVICES:
                reply = self.workloads.handle(
                    service, region, headers.get(":method", "POST"), path, headers, body
                )
                content_type = reply.headers["content-type"]
                return Answer(
                    reply.body,
                    reply.status,
                    content_type,
                    delay_seconds=self._latency_seconds,
                    headers=reply.headers,
                )
            target = headers.get("x-amz-target", "")
            if not target.startswith(_TARGET):
                return self._sts(body, account, region)
            return self._ecr(target.removeprefix(_TARGET), account, region, body)

    def _ecr(self, operation: str, account: str, region: str, body: bytes) -> Answer:
        self.calls[operation] += 1
        parameters = json.loads(body or b"{}")
        if self.log is not None:
            self.log.append((region, operation, parameters))
        name = str(parameters.get("repositoryName") or _repository_of_arn(parameters.get("resourceArn")))
        self.hook(Asked(operation, account, region, name, parameters))
        struck = [fault for fault in self.faults if fault.strikes(operation, name, region)]
        if struck:
            self.struck.add((region, name, operation))
        delay = self._latency_seconds + sum(fault.seconds for fault in struck if fault.kind == "sleep")
        kinds = frozenset(fault.kind for fault in struck)
        if "reset" in kinds:
            return Answer(b"", reset=True)
        if "unavailable" in kinds:
            return Answer(_UNAVAILABLE, 503, "text/html", delay_seconds=delay)
        try:
            for fault in struck:
                refuse(fault, operation, account, region, name)
            if operation not in _OPERATIONS:
                raise ApiError("UnknownOperationException", f"{operation} is not served by this stub")
            shape = self._model.operation_model(operation).input_shape
            if complaint := _invalid(parameters, shape):
                raise ApiError(
                    "InvalidParameterException", f"Invalid parameter at '{operation}': {complaint}"
                )
            call = Call(
                self.world.registry(parameters.get("registryId", account), region),
                parameters,
                kinds,
            )
            answer = _OPERATIONS[operation](self, call)
        except ApiError as error:
            refusal = {"__type": error.code, "message": error.message}
            return Answer(json.dumps(refusal).encode(), error.status, delay_seconds=delay)
        for fault in struck:
            if fault.kind == "drop":
                answer = _without(answer, fault.field)
        if "garble" in kinds:
            answer = answer[: len(answer) // 2]
        return Answer(answer, delay_seconds=delay, truncated="truncate" in kinds)

    def _sts(self, body: bytes, account: str, region: str) -> Answer:
        action = parse_qs(body.decode()).get("Action", [""])[0]
        self.calls[action] += 1
        self.hook(Asked(action, account, region, "", {}))
        struck = [fault for fault in self.faults if fault.strikes(action, "", region)]
        delay = self._latency_seconds + sum(fault.seconds for fault in struck if fault.kind == "sleep")
        try:
            for fault in struck:
                refuse(fault, action, account, "", "", service="sts")
            if action != "GetCallerIdentity":
                raise ApiError("InvalidAction", f"Could not find operation {action}")
        except ApiError as error:
            text = (
                '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
                f"<Code>{error.code}</Code><Message>{error.message}</Message></Error></ErrorResponse>"
            )
            return Answer(text.encode(), error.status, "text/xml", delay_seconds=delay)
        text = (
            '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
            f"<Arn>{_caller(account)}</Arn><UserId>AROAEXAMPLE:tests</UserId><Account>{account}</Account>"
            "</GetCallerIdentityResult></GetCallerIdentityResponse>"
        )
        return Answer(text.encode(), content_type="text/xml", delay_seconds=delay)

    def _aside(self, what: str, body: bytes) -> Answer:
        answer: object = None
        match what:
            case "calls":
                answer = dict(sorted(self.calls.items()))
            case "log":
                answer = self.log
            case "reset":
                self.calls.clear()
                if self.log is not None:
                    self.log.clear()
            case "faults":
                self.faults = [Fault(**fault) for fault in json.loads(body)]
            case "push-and-delete":
                answer = self.world.push_and_delete(json.loads(body))
            case "totals":
                images = [image.digest for r in self.world.repositories() for image in r.images.values()]
                answer = {
                    "repositories": sum(1 for _ in self.world.repositories()),
                    "images": len(images),
                    "manifests": len(set(images)),
                }
            case _:
                return Answer(b"no such side path", 404, "text/plain")
        return Answer(json.dumps(answer).encode(), content_type="application/json")

    # --- paging -----------------------------------------------------------------------------------

    def _after(self, call: Call, kind: str) -> str:
        """The last name or number of the page before, or "" for the first page."""
        token = call.parameters.get("nextToken")
        if token is None:
            return ""
        try:
            said, born, last = json.loads(base64.urlsafe_b64decode(token))
        except (binascii.Error, ValueError, TypeError) as error:
            raise ApiError("InvalidParameterException", "Invalid parameter at 'nextToken'") from error
        if said != kind:
            raise ApiError("InvalidParameterException", "'nextToken' belongs to another request")
        aged = self._token_seconds is not None and self._clock() - born > self._token_seconds
        if "expire_token" in call.kinds or aged:
            # The code is an assumption: no published text says how an old token is refused.
            raise ApiError("InvalidParameterException", "Invalid parameter at 'nextToken': it has expired")
        return str(last)

    def _limit(self, call: Call) -> int:
        asked = int(call.parameters.get("maxResults", _DEFAULT_PAGE))
        return min(asked, self.page_size) if self.page_size else asked

    def _token(self, kind: str, last: str | int, born: float | None = None) -> str:
        born = self._clock() if born is None else born
        return base64.urlsafe_b64encode(json.dumps([kind, born, last]).encode()).decode()

    def _page(self, call: Call, kind: str, places: Sequence[Any], start: int) -> tuple[slice, str | None]:
        """The rows of one page, and its nextToken.

        ``places`` is what each row is found again by; ``start`` is the first that is due.
        """
        if "empty_page" in call.kinds and start < len(places):
            # For ever, if the fault strikes for ever; and from the start, where nothing came before.
            return slice(0, 0), self._token(kind, places[start - 1] if start else "")
        end = start + self._limit(call)
        if "overlap" in call.kinds:
            start = max(0, start - 1)
        if end >= len(places):
            return slice(start, end), None
        if "circle" in call.kinds:
            return slice(start, end), self._token(kind, "" if start else places[end - 1], born=0.0)
        return slice(start, end), self._token(kind, places[end - 1])

    def _paged(self, call: Call, key: str, rows: Sequence[tuple[str, Any]]) -> bytes:
        """One page of named rows in the order of their names, as the list ``key``."""
        kind = f"{key} {call.registry.account} {call.registry.region}"
        names = [name for name, _ in rows]
        page, token = self._page(call, kind, names, bisect_right(names, self._after(call, kind)))
        answer: dict[str, Any] = {key: [row for _, row in rows[page]]}
        if token is not None:
            answer["nextToken"] = token
        return json.dumps(answer).encode()

    # --- operations -------------------------------------------------------------------------------

    def describe_repositories(self, call: Call) -> bytes:
        """DescribeRepositories."""
        names = call.parameters.get("repositoryNames")
        if names is None:
            repositories = sorted(call.registry.repositories.items())
            return self._paged(call, "repositories", [(name, one.described()) for name, one in repositories])
        _no_paging(call, "repositoryNames")
        return json.dumps({"repositories": [call.named(name).described() for name in names]}).encode()

    def describe_images(self, call: Call) -> bytes:
        """DescribeImages; without a filter of imageStatus it lists ACTIVE images alone."""
        repository = call.repository()
        account, name = call.registry.account, repository.name
        if (image_ids := call.parameters.get("imageIds")) is not None:
            _no_paging(call, "imageIds")
            found = []
            for image_id in image_ids:
                image = _find(repository, image_id)
                if isinstance(image, str):
                    raise ApiError(
                        "ImageNotFoundException",
                        f"The image with imageId {image_id} does not exist within the repository with name "
                        f"'{name}' in the registry with id '{account}'",
                    )
                found.append(image)
            return _joined("imageDetails", [image.detail(account, name) for image in found])
        wanted = call.parameters.get("filter", {})
        status, tagging = wanted.get("imageStatus", "ACTIVE"), wanted.get("tagStatus", "ANY")
        kind = f"images {account} {call.registry.region} {name} {status} {tagging}"
        last = self._after(call, kind)
        images = list(repository.images.values())
        if (status, tagging) != ("ANY", "ANY"):
            images = [
                image
                for image in images
                if status in ("ANY", image.status)
                and tagging in ("ANY", "TAGGED" if image.tags else "UNTAGGED")
            ]
        # By the order of pushes: what is pushed or deleted between two pages moves nothing else.
        start = bisect_right(images, int(last), key=lambda image: image.number) if last else 0
        page, token = self._page(call, kind, [image.number for image in images], start)
        return _joined(
            "imageDetails",
            [image.detail(account, name) for image in images[page]],
            None if token is None else {"nextToken": token},
        )

    def batch_get_image(self, call: Call) -> bytes:
        """BatchGetImage; what cannot be had is in ``failures``, and the answer is still a success."""
        repository = call.repository()
        account, name = call.registry.account, repository.name
        accepted = call.parameters.get("acceptedMediaTypes")
        images: dict[tuple[str, str | None], bytes] = {}
        failures = []
        for image_id in call.parameters["imageIds"]:
            image = _find(repository, image_id)
            # An archived image cannot be pulled, nor one still being restored.
            if not isinstance(image, str) and image.status != "ACTIVE":
                image = "ImageNotFound"
            # AWS may convert a manifest instead; a client that relies on that is not ours.
            if not isinstance(image, str) and accepted and image.media_type not in accepted:
                image = "ImageNotFound"
            if isinstance(image, str):
                failures.append({"imageId": image_id, "failureCode": image, "failureReason": _REASONS[image]})
                continue
            tag = image_id.get("imageTag")
            if "wrong_digest" in call.kinds:
                text = f"{image.manifest} "
                images[image.digest, tag] = image.answer_with_text(account, name, text, tag)
            elif tag:
                images[image.digest, tag] = image.answer_with_text(account, name, image.manifest, tag)
            else:
                images[image.digest, None] = image.answer(account, name)
        return _joined("images", list(images.values()), {"failures": failures})

    def get_lifecycle_policy(self, call: Call) -> bytes:
        """GetLifecyclePolicy; a repository without one is an error, as in AWS."""
        repository = call.repository()
        if repository.lifecycle_policy is None:
            raise ApiError(
                "LifecyclePolicyNotFoundException",
                f"Lifecycle policy does not exist for the repository with name '{repository.name}' in the "
                f"registry with id '{call.registry.account}'",
            )
        return json.dumps(
            {
                "registryId": call.registry.account,
                "repositoryName": repository.name,
                "lifecyclePolicyText": repository.lifecycle_policy,
            }
        ).encode()

    def start_lifecycle_policy_preview(self, call: Call) -> bytes:
        """StartLifecyclePolicyPreview; finds what ``World.previewer`` does, at once."""
        repository = call.repository()
        if repository.preview is not None and repository.preview.looks_left > 0:
            raise ApiError(
                "LifecyclePolicyPreviewInProgressException",
                f"The lifecycle policy preview for the repository with name '{repository.name}' in the "
                f"registry with id '{call.registry.account}' is in progress",
            )
        text = call.parameters.get("lifecyclePolicyText")
        if text is None:
            text = json.loads(self.get_lifecycle_policy(call))["lifecyclePolicyText"]
        repository.preview = LifecyclePreview(
            policy_text=text,
            rows=self.world.previewer(repository, text),
            looks_left=repository.preview_looks,
            ends_as=repository.preview_ends_as,
        )
        return json.dumps(
            {
                "registryId": call.registry.account,
                "repositoryName": repository.name,
                "lifecyclePolicyText": text,
                "status": "IN_PROGRESS",
            }
        ).encode()

    def get_lifecycle_policy_preview(self, call: Call) -> bytes:
        """GetLifecyclePolicyPreview; filter and imageIds are not served."""
        repository = call.repository()
        preview = repository.preview
        if preview is None:
            raise ApiError(
                "LifecyclePolicyPreviewNotFoundException",
                f"Lifecycle policy preview does not exist for the repository with name '{repository.name}' "
                f"in the registry with id '{call.registry.account}'",
            )
        answer: dict[str, Any] = {
            "registryId": call.registry.account,
            "repositoryName": repository.name,
            "lifecyclePolicyText": preview.policy_text,
            "status": "IN_PROGRESS" if preview.looks_left else preview.ends_as,
        }
        if preview.looks_left:
            preview.looks_left -= 1
        elif preview.ends_as == "COMPLETE":
            kind = f"preview {call.registry.account} {call.registry.region} {repository.name}"
            start = int(self._after(call, kind) or 0)
            end = start + self._limit(call)
            answer["previewResults"] = preview.rows[start:end]
            summary = repository.preview_summary
            if summary := _preview_summary(preview.rows) if summary is None else summary:
                answer["summary"] = summary
            if end < len(preview.rows):
                answer["nextToken"] = self._token(kind, end)
        return json.dumps(answer).encode()

    def list_tags_for_resource(self, call: Call) -> bytes:
        """ListTagsForResource."""
        name = _repository_of_arn(call.parameters["resourceArn"])
        if not name:
            raise ApiError("InvalidParameterException", "Invalid parameter at 'resourceArn'")
        tags = call.named(name).resource_tags
        return json.dumps({"tags": [{"Key": key, "Value": tags[key]} for key in sorted(tags)]}).encode()

    def get_account_setting(self, call: Call) -> bytes:
        """GetAccountSetting."""
        name = call.parameters["name"]
        if name not in _SETTINGS:
            raise ApiError("InvalidParameterException", f"Invalid parameter at 'name': {name}")
        return json.dumps({"name": name, "value": call.registry.settings[name]}).encode()

    def describe_pull_through_cache_rules(self, call: Call) -> bytes:
        """DescribePullThroughCacheRules."""
        by_prefix = {rule["ecrRepositoryPrefix"]: rule for rule in call.registry.pull_through_cache_rules}
        rules = sorted(by_prefix.items())
        if (prefixes := call.parameters.get("ecrRepositoryPrefixes")) is not None:
            _no_paging(call, "ecrRepositoryPrefixes")
            rules = [rule for rule in rules if rule[0] in prefixes]
            if len(rules) < len(set(prefixes)):
                raise ApiError(
                    "PullThroughCacheRuleNotFoundException", "The pull through cache rule does not exist"
                )
        return self._paged(call, "pullThroughCacheRules", rules)

    def list_pull_time_update_exclusions(self, call: Call) -> bytes:
        """ListPullTimeUpdateExclusions."""
        arns = sorted(call.registry.pull_time_update_exclusions)
        return self._paged(call, "pullTimeUpdateExclusions", [(arn, arn) for arn in arns])

    def get_registry_scanning_configuration(self, call: Call) -> bytes:
        """GetRegistryScanningConfiguration."""
        registry = call.registry
        return json.dumps(
            {"registryId": registry.account, "scanningConfiguration": registry.scanning}
        ).encode()

    def batch_get_repository_scanning_configuration(self, call: Call) -> bytes:
        """BatchGetRepositoryScanningConfiguration; an unknown name is a failure of its own."""
        found, failures = [], []
        for name in call.parameters["repositoryNames"]:
            repository = call.registry.repositories.get(name)
            if repository is None:
                failures.append(
                    {
                        "repositoryName": name,
                        "failureCode": "REPOSITORY_NOT_FOUND",
                        "failureReason": "REPOSITORY_NOT_FOUND",
                    }
                )
            else:
                found.append(_scanned(repository))
        return json.dumps({"scanningConfigurations": found, "failures": failures}).encode()

    def describe_registry(self, call: Call) -> bytes:
        """DescribeRegistry."""
        registry = call.registry
        return json.dumps(
            {"registryId": registry.account, "replicationConfiguration": registry.replication}
        ).encode()

    def get_registry_policy(self, call: Call) -> bytes:
        """GetRegistryPolicy; a registry without one is an error, as in AWS."""
        account, policy = call.registry.account, call.registry.policy
        if policy is None:
            raise ApiError(
                "RegistryPolicyNotFoundException",
                f"Registry policy does not exist in the registry with id '{account}'",
            )
        return json.dumps({"registryId": account, "policyText": policy}).encode()

    def get_repository_policy(self, call: Call) -> bytes:
        """GetRepositoryPolicy; a repository without one is an error, as in AWS."""
        repository, account = call.repository(), call.registry.account
        if repository.policy is None:
            raise ApiError(
                "RepositoryPolicyNotFoundException",
                f"Repository policy does not exist for the repository with name '{repository.name}' in the "
                f"registry with id '{account}'",
            )
        return json.dumps(
            {"registryId": account, "repositoryName": repository.name, "policyText": repository.policy}
        ).encode()

    def describe_repository_creation_templates(self, call: Call) -> bytes:
        """DescribeRepositoryCreationTemplates; ``prefixes`` is not served."""
        templates = {template["prefix"]: template for template in call.registry.creation_templates}
        return self._paged(call, "repositoryCreationTemplates", sorted(templates.items()))


_OPERATIONS: dict[str, Callable[[Stub, Call], bytes]] = {
    "BatchGetImage": Stub.batch_get_image,
    "BatchGetRepositoryScanningConfiguration": Stub.batch_get_repository_scanning_configuration,
    "DescribeImages": Stub.describe_images,
    "DescribePullThroughCacheRules": Stub.describe_pull_through_cache_rules,
    "DescribeRegistry": Stub.describe_registry,
    "DescribeRepositories": Stub.describe_repositories,
    "DescribeRepositoryCreationTemplates": Stub.describe_repository_creation_templates,
    "GetAccountSetting": Stub.get_account_setting,
    "GetLifecyclePolicy": Stub.get_lifecycle_policy,
    "GetLifecyclePolicyPreview": Stub.get_lifecycle_policy_preview,
    "GetRegistryPolicy": Stub.get_registry_policy,
    "GetRegistryScanningConfiguration": Stub.get_registry_scanning_configuration,
    "GetRepositoryPolicy": Stub.get_repository_policy,
    "ListPullTimeUpdateExclusions": Stub.list_pull_time_update_exclusions,
    "ListTagsForResource": Stub.list_tags_for_resource,
    "StartLifecyclePolicyPreview": Stub.start_lifecycle_policy_preview,
}

_UNAVAILABLE = b"<html><body><h1>503 Service Unavailable</h1></body></html>"

_REASONS = {
    "ImageNotFound": "Requested image not found",
    "ImageTagDoesNotMatchDigest": "The image tag does not match the image digest",
    "InvalidImageDigest": "Invalid request parameters: image digest should be 'sha256:' and 64 hex digits",
    "MissingDigestAndTag": "Invalid request parameters: both tag and digest cannot be null",
}


def _scanned(repository: Repository) -> dict[str, Any]:
    """One entry of ``scanningConfigurations``, as the registry's rules have it.

    A filter without an asterisk matches names that contain it, one with asterisks whole names; of
    two frequencies the continuous one counts (ECR user guide, "Filters to choose which repositories
    are scanned"). Scan on push may also be set on the repository itself, which counts in basic
    scanning.
    """
    scanning = repository.registry.scanning
    matching: list[tuple[str, dict[str, Any]]] = [
        (rule["scanFrequency"], entry)
        for rule in scanning["rules"]
        for entry in rule["repositoryFilters"]
        if fnmatchcase(repository.name, entry["filter"] if "*" in entry["filter"] else f"*{entry['filter']}*")
    ]
    frequencies = {frequency for frequency, _ in matching}
    if scanning["scanType"] == "BASIC" and repository.scan_on_push:
        frequencies.add("SCAN_ON_PUSH")
    order = ("CONTINUOUS_SCAN", "SCAN_ON_PUSH", "MANUAL")
    chosen = next((frequency for frequency in order if frequency in frequencies), "MANUAL")
    return {
        "repositoryArn": repository.arn,
        "repositoryName": repository.name,
        "scanOnPush": chosen == "SCAN_ON_PUSH",
        "scanFrequency": chosen,
        "appliedScanFilters": [entry for frequency, entry in matching if frequency == chosen],
    }


def _preview_summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The summary of a preview; what transitions is only in it where something does."""
    kinds = [row["action"]["type"] for row in rows]
    summary: dict[str, Any] = {"expiringImageTotalCount": kinds.count("EXPIRE")}
    if "TRANSITION" in kinds:
        moving = {"targetStorageClass": "ARCHIVE", "imageTotalCount": kinds.count("TRANSITION")}
        summary["transitioningImageTotalCounts"] = [moving]
    return summary


def _find(repository: Repository, image_id: dict[str, str]) -> Image | str:
    """The image of an imageId, or the code of AWS for why there is none."""
    digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
    if not digest and not tag:
        return "MissingDigestAndTag"
    if digest and not _DIGEST.fullmatch(digest):
        return "InvalidImageDigest"
    image = repository.images.get(digest or repository.tags.get(tag or "", ""))
    if image is None:
        return "ImageNotFound"
    return image if not tag or tag in image.tags else "ImageTagDoesNotMatchDigest"


def refuse(
    fault: Fault, operation: str, account: str, region: str, repository: str, service: str = "ecr"
) -> None:
    """Raise what a fault answers with, if it is one that does."""
    if fault.kind == "throttle":
        raise ApiError("ThrottlingException", "Rate exceeded")
    if fault.kind == "error":
        raise ApiError("ServerException", "made to fail", 500)
    if fault.kind == "code":
        raise ApiError(fault.code, fault.message)
    if fault.kind == "deny":
        resource = f"arn:aws:ecr:{region}:{account}:repository/{repository}" if repository else "*"
        raise ApiError(
            "AccessDeniedException",
            f"User: {_caller(account)} is not authorized to perform: {service}:{operation} "
            f"on resource: {resource} because no identity-based policy allows the action",
        )


def _caller(account: str) -> str:
    return f"arn:aws:sts::{account}:assumed-role/collector/tests"


def _repository_of_arn(arn: object) -> str:
    match = re.fullmatch(
        r"arn:[a-z-]+:ecr:[a-z0-9-]+:\d{12}:repository/(.+)", arn if isinstance(arn, str) else ""
    )
    return match[1] if match else ""


def _no_paging(call: Call, key: str) -> None:
    for paging in ("maxResults", "nextToken"):
        if paging in call.parameters:
            raise ApiError("InvalidParameterException", f"'{paging}' cannot be used with '{key}'")


def _without(answer: bytes, field: str) -> bytes:
    """``answer`` without a key, or with a first entry of a list that lacks one."""
    content = json.loads(answer)
    outer, _, inner = field.partition("/")
    if not inner:
        content.pop(outer, None)
    elif content.get(outer):
        content[outer][0].pop(inner, None)
    return json.dumps(content).encode()


def _joined(key: str, rows: list[bytes], rest: dict[str, Any] | None = None) -> bytes:
    """``{key: rows, **rest}`` of rows that are JSON already."""
    tail = b"," + json.dumps(rest).encode()[1:] if rest else b"}"
    return b'{"' + key.encode() + b'":[' + b",".join(rows) + b"]" + tail


def _invalid(value: object, shape: Shape | None, path: str = "") -> str:
    """What is wrong with a parameter by botocore's model, or ""."""
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            return f"{path} is not an object"
        for name in shape.required_members:
            if name not in value:
                return f"{path}/{name} is missing"
        complaints = (
            _invalid(inner, shape.members[name], f"{path}/{name}")
            if name in shape.members
            else f"{path}/{name} is unknown"
            for name, inner in value.items()
        )
        return next(filter(None, complaints), "")
    if shape is None:
        return ""
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", float("inf"))
    if isinstance(shape, ListShape):
        if not isinstance(value, list) or not low <= len(value) <= high:
            return f"{path} is not a list of {low} to {high}"
        return next(filter(None, (_invalid(inner, shape.member, f"{path}/[]") for inner in value)), "")
    if isinstance(shape, StringShape):
        if not isinstance(value, str) or not low <= len(value) <= high:
            return f"{path} is not a text of {low} to {high} characters"
        if shape.enum and value not in shape.enum:
            return f"{path} is none of {shape.enum}"
        pattern = shape.metadata.get("pattern")
        return "" if pattern is None or re.fullmatch(pattern, value) else f"{path} does not match {pattern}"
    if shape.type_name == "integer" and (type(value) is not int or not low <= value <= high):
        return f"{path} is not a whole number from {low} to {high}"
    return ""


# --- HTTP -----------------------------------------------------------------------------------------

_STATUS = {
    200: b"200 OK",
    400: b"400 Bad Request",
    404: b"404 Not Found",
    500: b"500 Internal Server Error",
    503: b"503 Service Unavailable",
}


class _Connection(asyncio.Protocol):
    """As much of HTTP/1.1 as boto3 uses: one request at a time, kept alive."""

    def __init__(self, stub: Stub, loop: asyncio.AbstractEventLoop, everyone: set[asyncio.Transport]) -> None:
        self._stub = stub
        self._loop = loop
        self._everyone = everyone
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._everyone.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._transport is not None:
            self._everyone.discard(self._transport)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        while end >= 0:
            request, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            length = end + 4 + int(headers.get("content-length", "0"))
            if len(self._buffer) < length:
                return
            body = bytes(self._buffer[end + 4 : length])
            del self._buffer[:length]
            # As HTTP/2 has it, among the headers.
            headers[":method"], path, _ = request.split(" ")
            answer = self._stub.handle(path, headers, body)
            if answer.delay_seconds:
                self._loop.call_later(answer.delay_seconds, self._send, answer)
            else:
                self._send(answer)
            end = self._buffer.find(b"\r\n\r\n")

    def _send(self, answer: Answer) -> None:
        if self._transport is None:
            return
        more = "".join(
            f"{name}: {value}\r\n" for name, value in answer.headers.items() if name != "content-type"
        )
        head = (
            b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nx-amzn-RequestId: stub\r\n%b\r\n"
            % (
                _STATUS[answer.status],
                answer.content_type.encode(),
                len(answer.body),
                more.encode(),
            )
        )
        if answer.reset:
            self._transport.abort()
        elif answer.truncated:
            self._transport.write(head + answer.body[: len(answer.body) // 2])
            self._transport.close()
        else:
            self._transport.write(head + answer.body)


async def _listen(stub: Stub, port: int, everyone: set[asyncio.Transport]) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Connection(stub, loop, everyone), "127.0.0.1", port, backlog=512)


def _url(server: asyncio.Server) -> str:
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@dataclass(frozen=True, slots=True)
class Server:
    """A stub that is being served, and where."""

    url: str
    stub: Stub
    #: Clients that have not hung up.
    connections: AbstractSet[asyncio.Transport] = frozenset()

    @property
    def calls(self) -> Counter[str]:
        """How often each operation was asked."""
        return self.stub.calls


@contextlib.contextmanager
def serve(
    world: World,
    *,
    faults: Sequence[Fault] = (),
    page_size: int | None = None,
    token_seconds: float | None = None,
    latency_seconds: float = 0.0,
) -> Iterator[Server]:
    """Serve ``world`` from a thread of this process, on a free port of 127.0.0.1."""
    stub = Stub(
        world,
        faults=faults,
        page_size=page_size,
        token_seconds=token_seconds,
        latency_seconds=latency_seconds,
    )
    with serve_stub(stub) as server:
        yield server


@contextlib.contextmanager
def serve_stub(stub: Stub) -> Iterator[Server]:
    """The same of a stub that is made already."""
    loop = asyncio.new_event_loop()
    everyone: set[asyncio.Transport] = set()
    server = loop.run_until_complete(_listen(stub, 0, everyone))
    thread = threading.Thread(target=loop.run_forever, name="stub-ecr", daemon=True)
    thread.start()
    try:
        yield Server(_url(server), stub, everyone)
    finally:
        asyncio.run_coroutine_threadsafe(_close(server, everyone), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(server: asyncio.Server, everyone: set[asyncio.Transport]) -> None:
    """Stop listening, and hang up on every client."""
    server.close()
    for transport in list(everyone):
        transport.abort()
    # One turn of the loop, in which the aborted transports close their sockets.
    await asyncio.sleep(0)


@contextlib.contextmanager
def started(*arguments: str, faults: Sequence[Fault] = ()) -> Iterator[str]:
    """The URL of a stub in a process of its own, started with those command-line arguments."""
    spelt = json.dumps([asdict(fault) for fault in faults])
    command = [sys.executable, "-m", "tests.support.stub_ecr", *arguments, "--faults", spelt]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the stub has no pipes")
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the stub did not start: exit status {process.wait()}")
            yield url
        finally:
            process.stdin.close()
            process.wait(timeout=30)


async def _run(stub: Stub, port: int) -> None:
    server = await _listen(stub, port, set())
    print(_url(server), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a generated registry until standard input ends."""
    parser = argparse.ArgumentParser(description="An ECR over HTTP for tests and benchmarks.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--account", default="123456789012")
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--repositories", type=int, default=10)
    parser.add_argument("--images", type=int, default=100, help="per repository")
    parser.add_argument("--layers", type=int, default=10, help="per image")
    parser.add_argument("--registries", type=int, default=1, help="see registry.made_up_region")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page-size", type=int, help="the most that any page holds")
    parser.add_argument("--token-seconds", type=float, help="how long a nextToken lives")
    parser.add_argument("--latency-seconds", type=float, default=0.0, help="of every answer")
    parser.add_argument("--log-calls", action="store_true", help="keep them for /_stub/log")
    parser.add_argument("--faults", default="[]", help="a JSON list, see Fault")
    given = parser.parse_args(arguments)
    world = generate(
        given.repositories,
        given.images,
        given.layers,
        given.seed,
        account=given.account,
        region=given.region,
        registries=given.registries,
    )
    stub = Stub(
        world,
        faults=[Fault(**fault) for fault in json.loads(given.faults)],
        page_size=given.page_size,
        token_seconds=given.token_seconds,
        latency_seconds=given.latency_seconds,
        log_calls=given.log_calls,
    )
    asyncio.run(_run(stub, given.port))


if __name__ == "__main__":
    main()
