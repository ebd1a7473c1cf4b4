# moto's own helpers are private, and a mend replaces what uses them.
# ruff: noqa: SLF001
"""Every mend of moto's ECR, in one place, each marked with the fault it mends.

What the real service does is taken from botocore's service model (page sizes, defaults, error
names) and AWS's user guide, never from an emulator's answer. What a mended moto accepts still
proves nothing: it checks no layers, no credentials and no quota.

``mended()`` applies all of them and takes them back; the state that the added operations answer
from lives on moto's own backend objects, so a reset of moto forgets it too. This module and
``pour`` are the only ones of the package that import moto.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeVar

from moto.core.responses import ActionResult
from moto.ecr import policy_validation
from moto.ecr.exceptions import (
    ImageAlreadyExistsException,
    InvalidParameterException,
    RepositoryNotFoundException,
)
from moto.ecr.models import ECRBackend, ecr_backends
from moto.ecr.models import Image as MotoImage
from moto.ecr.models import Repository as MotoRepository
from moto.ecr.responses import ECRResponse

from analyzer.demo.plan import CreationTemplate, PullThroughRule, Refusal, digest_of

# One answer of the API, in the service model's own names. Its values are of every JSON type.
Answer = dict[str, Any]

_DEFAULT_PAGE = 100
_LARGEST_PAGE = 1000
_MOST_IMAGE_IDS = 100
#: lastEvaluatedAt of a policy that never ran.
_NEVER_EVALUATED = datetime(1970, 1, 1, tzinfo=UTC)
_ACCOUNT_SETTINGS = {
    "BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE",
    "REGISTRY_POLICY_SCOPE": "V2",
    "BLOB_MOUNTING": "DISABLED",
}


@dataclass(slots=True)
class _Added:
    """What one registry holds that moto has no place for."""

    account_settings: dict[str, str] = field(default_factory=lambda: dict(_ACCOUNT_SETTINGS))
    pull_through_rules: list[PullThroughRule] = field(default_factory=list)
    pull_time_exclusions: list[str] = field(default_factory=list)
    creation_templates: list[CreationTemplate] = field(default_factory=list)
    #: Calls refused, as (repository or "", call).
    refused: set[tuple[str, str]] = field(default_factory=set)


def _added(backend: ECRBackend) -> _Added:
    """The additions of one registry, made when first asked for."""
    # Through __dict__, because moto empties that, and so these, on a reset.
    state: _Added = backend.__dict__.setdefault("demurrage_added", _Added())
    return state


def set_account_setting(account: str, region: str, name: str, value: str) -> None:
    """Set what GetAccountSetting answers in one registry."""
    _added(ecr_backends[account][region]).account_settings[name] = value


def set_pull_through_rules(account: str, region: str, rules: Iterable[PullThroughRule]) -> None:
    """Set what DescribePullThroughCacheRules answers in one registry."""
    _added(ecr_backends[account][region]).pull_through_rules = list(rules)


def set_pull_time_exclusions(account: str, region: str, arns: Iterable[str]) -> None:
    """Set what ListPullTimeUpdateExclusions answers in one registry."""
    _added(ecr_backends[account][region]).pull_time_exclusions = list(arns)


def refuse(refusals: Iterable[Refusal]) -> None:
    """Let the calls named be answered with AccessDeniedException, on top of those refused already."""
    for refusal in refusals:
        backend = ecr_backends[refusal.account][refusal.region]
        _added(backend).refused.add((refusal.repository, refusal.call))


class _Mend(NamedTuple):
    """One attribute of moto replaced, and the fault that this mends."""

    owner: Any  # a class or module of moto: setattr takes any object
    name: str
    replacement: object
    fault: str


_MENDS: list[_Mend] = []
_Function = TypeVar("_Function", bound=Callable[..., Any])


def _mends(owner: object, name: str, fault: str) -> Callable[[_Function], _Function]:
    """Register the decorated function as ``owner.name``, mending ``fault``."""

    def register(function: _Function) -> _Function:
        _MENDS.append(_Mend(owner, name, function, fault))
        return function

    return register


def faults() -> Mapping[str, str]:
    """What is mended, as ``Class.attribute`` to the fault in moto's version of it."""
    return {f"{mend.owner.__name__.rpartition('.')[2]}.{mend.name}": mend.fault for mend in _MENDS}


_MISSING = object()


@contextmanager
def mended() -> Iterator[None]:
    """Moto with every mend of this module, for the duration; moto as it was afterwards.

    Not to be entered and left by several threads at once: the mends are moto's for all threads.
    """
    # Looked up in __dict__, so that an inherited attribute is not mistaken for the class's own.
    before = [(mend, mend.owner.__dict__.get(mend.name, _MISSING)) for mend in _MENDS]
    try:
        for mend in _MENDS:
            setattr(mend.owner, mend.name, mend.replacement)
        yield
    finally:
        for mend, original in reversed(before):
            if original is _MISSING:
                delattr(mend.owner, mend.name)
            else:
                setattr(mend.owner, mend.name, original)


def _error(code: str, message: str) -> InvalidParameterException:
    """An error of ECR's model that moto has no class for."""
    # moto finds the model by the module of the exception's class, so one of moto.ecr's must carry it.
    return InvalidParameterException(code, message)


# --- permissions ---------------------------------------------------------------------------------

_moto_call_action = ECRResponse.call_action


@_mends(ECRResponse, "call_action", "no call is ever refused")
def _call_action(self: ECRResponse) -> Any:  # moto's own "status, headers, body" triple
    action = str(self._get_action())
    repository = str(self._get_param("repositoryName") or "")
    arn = str(self._get_param("resourceArn") or "")
    if not repository and ":repository/" in arn:
        repository = arn.partition(":repository/")[2]
    call = f"ecr:{action}"
    if (repository, call) not in _added(self.ecr_backend).refused:
        return _moto_call_action(self)
    resource = (
        f"arn:aws:ecr:{self.region}:{self.current_account}:repository/{repository}" if repository else "*"
    )
    message = (
        f"User: arn:aws:iam::{self.current_account}:user/demurrage is not authorized to perform: {call} "
        f"on resource: {resource} because no identity-based policy allows the {call} action"
    )
    # Every error of this protocol that is the caller's own has status 400, this one too.
    headers = {**self.response_headers, "status": "400"}
    return 400, headers, json.dumps({"__type": "AccessDeniedException", "message": message})


# --- reading -------------------------------------------------------------------------------------


def _page(self: ECRResponse, rows: list[Any]) -> tuple[list[Any], str | None]:
    """The rows of the page that the request asks for, and the token of the next one."""
    size = self._get_param("maxResults") or _DEFAULT_PAGE
    if not 1 <= int(size) <= _LARGEST_PAGE:
        raise InvalidParameterException(
            f"Invalid parameter at 'maxResults' failed to satisfy constraint: 'must be 1 to {_LARGEST_PAGE}'"
        )
    token = self._get_param("nextToken")
    start = 0
    if token:
        try:
            start = int(base64.b64decode(token, validate=True))
        except (binascii.Error, ValueError):
            raise InvalidParameterException(
                "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"
            ) from None
    end = start + int(size)
    return rows[start:end], base64.b64encode(str(end).encode()).decode() if end < len(rows) else None


def _answer(key: str, rows: list[Any], token: str | None) -> ActionResult:
    return ActionResult({key: rows} | ({"nextToken": token} if token else {}))


def _status(image: MotoImage) -> str:
    return str(image.__dict__.get("image_status", "ACTIVE"))


def _wanted(self: ECRResponse, images: Iterable[MotoImage]) -> list[MotoImage]:
    """The images that pass the request's filter; without one, only those whose status is ACTIVE."""
    chosen = self._get_param("filter") or {}
    status = chosen.get("imageStatus", "ACTIVE")
    tagged = chosen.get("tagStatus", "ANY")
    return [
        image
        for image in images
        if status in ("ANY", _status(image))
        and tagged in ("ANY", "TAGGED" if image.image_tags else "UNTAGGED")
    ]


@_mends(ECRResponse, "describe_repositories", "no paging: maxResults and nextToken are ignored")
def _describe_repositories(self: ECRResponse) -> ActionResult:
    names = self._get_param("repositoryNames")
    rows = self.ecr_backend.describe_repositories(
        repository_names=names, registry_id=self._get_param("registryId")
    )
    # Naming repositories excludes paging.
    page, token = (rows, None) if names else _page(self, list(rows))
    return _answer("repositories", page, token)


def _stored_bytes(image: MotoImage) -> int | None:
    """Config and layers of an image less the foreign layers; None for an index or an unknown type."""
    known = image.__dict__.get("demurrage_bytes", _MISSING)
    if known is _MISSING:
        manifest = json.loads(image.image_manifest)
        known = None
        if "layers" in manifest:
            layers = [layer for layer in manifest["layers"] if "foreign" not in layer["mediaType"]]
            known = manifest.get("config", {}).get("size", 0) + sum(layer["size"] for layer in layers)
        image.__dict__["demurrage_bytes"] = known
    size: int | None = known
    return size


def _reported_bytes(image: MotoImage, repository: MotoRepository) -> int | None:
    """imageSizeInBytes: of an index, that of its largest child present."""
    size = _stored_bytes(image)
    children = () if size is not None else json.loads(image.image_manifest).get("manifests", ())
    if children:
        images = _by_digest(repository)
        present = [images[child["digest"]] for child in children if child["digest"] in images]
        return max((_stored_bytes(image) or 0 for image in present), default=0)
    return size


def _described(image: MotoImage, repository: MotoRepository) -> Answer:
    """One row of imageDetails, with every field that the service model has and moto lacks."""
    extra = image.__dict__
    row = {
        "registryId": image.registry_id,
        "repositoryName": image.repository_name,
        "imageDigest": image.image_digest,
        "imageTags": list(image.image_tags) or None,
        "imageSizeInBytes": _reported_bytes(image, repository),
        "imagePushedAt": image.image_pushed_at,
        "imageScanStatus": extra.get("image_scan_status"),
        "imageScanFindingsSummary": extra.get("image_scan_findings_summary"),
        "imageManifestMediaType": image.image_manifest_media_type,
        "artifactMediaType": extra.get("artifact_media_type"),
        "lastRecordedPullTime": extra.get("last_recorded_pull_time"),
        "subjectManifestDigest": extra.get("subject_manifest_digest"),
        "imageStatus": _status(image),
        "lastArchivedAt": extra.get("last_archived_at"),
        "lastActivatedAt": extra.get("last_activated_at"),
    }
    return {name: value for name, value in row.items() if value is not None}


@_mends(
    ECRResponse,
    "describe_images",
    "no paging; the filter is ignored, so archived images are always shown; imageSizeInBytes is the config's "
    "size; artifactMediaType, lastRecordedPullTime, imageStatus, its dates and subjectManifestDigest are "
    "absent",
)
def _describe_images(self: ECRResponse) -> ActionResult:
    name, registry = self._get_param("repositoryName"), self._get_param("registryId")
    repository = self.ecr_backend._get_repository(name, registry)
    ids = self._get_param("imageIds")
    if ids:
        # Naming images excludes paging; each is answered once, in the order asked.
        found = [repository._get_image(i.get("imageTag"), i.get("imageDigest")) for i in ids]
        page, token = list(dict.fromkeys(found)), None
    else:
        page, token = _page(self, _wanted(self, repository.images))
    return _answer("imageDetails", [_described(image, repository) for image in page], token)


@_mends(ECRResponse, "list_images", "no paging; imageStatus is ignored, so archived images are always shown")
def _list_images(self: ECRResponse) -> ActionResult:
    name, registry = self._get_param("repositoryName"), self._get_param("registryId")
    repository = self.ecr_backend._get_repository(name, registry)
    rows: list[Answer] = []
    for image in _wanted(self, repository.images):
        rows += [{"imageDigest": image.image_digest, "imageTag": tag} for tag in image.image_tags] or [
            {"imageDigest": image.image_digest}
        ]
    return _answer("imageIds", *_page(self, rows))


def _image_of_id(repository: MotoRepository, image_id: Mapping[str, str]) -> MotoImage | str:
    """The image that ``image_id`` names, or the failure code if there is none that can be pulled."""
    tag, digest = image_id.get("imageTag"), image_id.get("imageDigest")
    if not tag and not digest:
        return "MissingDigestAndTag"
    by_digest = _by_digest(repository)
    image = by_digest.get(digest) if digest else _holder(repository, tag)
    # An archived image, or one still being restored, cannot be pulled.
    if image is None or _status(image) != "ACTIVE":
        return "ImageNotFound"
    return image if not tag or tag in image.image_tags else "ImageTagDoesNotMatchDigest"


def _by_digest(repository: MotoRepository) -> dict[str, MotoImage]:
    """The images of a repository by digest, remembered until its list of images changes."""
    # moto searches its list for every id: quadratic in a large repository.
    images = repository.images
    mark = (images, len(images), images[-1] if images else None)
    cached = repository.__dict__.get("demurrage_by_digest")
    if cached is None or any(old is not new for old, new in zip(cached[0], mark, strict=True)):
        cached = mark, {image.image_digest: image for image in images}
        repository.__dict__["demurrage_by_digest"] = cached
    known: dict[str, MotoImage] = cached[1]
    return known


def _holder(repository: MotoRepository, tag: str | None) -> MotoImage | None:
    """The image that carries ``tag``, if any does."""
    return next((image for image in repository.images if tag in image.image_tags), None)


@_mends(
    ECRResponse,
    "batch_get_image",
    "101 ids are not refused; images that share a (wrong) digest come twice; archived images are answered; "
    "a failure does not say which digest it is about; each id is searched for in a list",
)
def _batch_get_image(self: ECRResponse) -> ActionResult:
    name, registry = self._get_param("repositoryName"), self._get_param("registryId")
    repository = self.ecr_backend._get_repository(name, registry)
    ids: list[dict[str, str]] = self._get_param("imageIds") or []
    if not 1 <= len(ids) <= _MOST_IMAGE_IDS:
        raise InvalidParameterException(
            f"Invalid parameter at 'imageIds' failed to satisfy constraint: 'Member must have length 1 to "
            f"{_MOST_IMAGE_IDS}'"
        )
    images: list[Answer] = []
    failures: list[Answer] = []
    for image_id in ids:
        found = _image_of_id(repository, image_id)
        if isinstance(found, str):
            failures.append(
                {"imageId": image_id, "failureCode": found, "failureReason": "Requested image not found"}
            )
            continue
        images.append(
            {
                "registryId": found.registry_id,
                "repositoryName": found.repository_name,
                "imageId": {**image_id, "imageDigest": found.image_digest},
                "imageManifest": found.image_manifest,
                "imageManifestMediaType": found.image_manifest_media_type,
            }
        )
    return ActionResult({"images": images, "failures": failures})


# --- operations that moto lacks -------------------------------------------------------------------


@_mends(ECRResponse, "get_account_setting", "the operation is missing")
def _get_account_setting(self: ECRResponse) -> ActionResult:
    name = self._get_param("name")
    value = _added(self.ecr_backend).account_settings.get(name)
    if value is None:
        raise InvalidParameterException(
            f"Invalid parameter at 'name' failed to satisfy constraint: 'Unknown account setting {name}'"
        )
    return ActionResult({"name": name, "value": value})


@_mends(ECRResponse, "describe_pull_through_cache_rules", "the operation is missing")
def _describe_pull_through_cache_rules(self: ECRResponse) -> ActionResult:
    prefixes = self._get_param("ecrRepositoryPrefixes") or []
    rules = _added(self.ecr_backend).pull_through_rules
    unknown = sorted(set(prefixes) - {rule.prefix for rule in rules})
    if unknown:
        raise _error(
            "PullThroughCacheRuleNotFoundException",
            f"Pull through cache rule with ECR repository prefix '{unknown[0]}' was not found",
        )
    rows: list[Answer] = [
        {
            "ecrRepositoryPrefix": rule.prefix,
            "upstreamRegistryUrl": rule.upstream_url,
            "upstreamRegistry": rule.upstream,
            "createdAt": rule.created_at,
            "updatedAt": rule.created_at,
            "registryId": self.current_account,
        }
        for rule in rules
        if not prefixes or rule.prefix in prefixes
    ]
    return _answer("pullThroughCacheRules", *_page(self, rows))


@_mends(ECRResponse, "list_pull_time_update_exclusions", "the operation is missing")
def _list_pull_time_update_exclusions(self: ECRResponse) -> ActionResult:
    rows = _added(self.ecr_backend).pull_time_exclusions
    return _answer("pullTimeUpdateExclusions", *_page(self, list(rows)))


@_mends(ECRResponse, "describe_repository_creation_templates", "the operation is missing")
def _describe_repository_creation_templates(self: ECRResponse) -> ActionResult:
    prefixes = self._get_param("prefixes") or []
    rows: list[Answer] = [
        {
            "prefix": template.prefix,
            "appliedFor": list(template.applied_for),
            "encryptionConfiguration": {"encryptionType": "AES256"},
            "imageTagMutability": "MUTABLE",
            "resourceTags": [{"Key": key, "Value": value} for key, value in template.tags.items()],
            **({} if template.lifecycle_policy is None else {"lifecyclePolicy": template.lifecycle_policy}),
            "createdAt": template.created_at,
            "updatedAt": template.created_at,
        }
        for template in _added(self.ecr_backend).creation_templates
        if not prefixes or template.prefix in prefixes
    ]
    return _answer("repositoryCreationTemplates", *_page(self, rows))


# --- registry settings ----------------------------------------------------------------------------


def set_registry(
    account: str,
    region: str,
    *,
    scanning: Mapping[str, Any],
    replication: Mapping[str, Any],
    policy: str | None,
    templates: Iterable[CreationTemplate],
) -> None:
    """Set what one registry answers about its scanning, replication, policy and templates."""
    # Past moto's own put operations, which refuse a second replication rule and most actions.
    backend = ecr_backends[account][region]
    backend.registry_scanning_configuration = dict(scanning)
    backend.replication_config = dict(replication)
    backend.registry_policy = policy
    _added(backend).creation_templates = list(templates)


@_mends(
    ECRBackend,
    "batch_get_repository_scanning_configuration",
    "a filter with an asterisk matches the beginning of a name; only the last filter is applied; a "
    "continuous scan does not win; scan on push as the repository has it is left out",
)
def _batch_get_repository_scanning_configuration(
    self: ECRBackend, names: list[str]
) -> tuple[list[Answer], list[str]]:
    present = [self.repositories[name] for name in names if name in self.repositories]
    scanning = self.registry_scanning_configuration
    rows = [_scanned(repository, scanning) for repository in present]
    return rows, [name for name in names if name not in self.repositories]


def _scanned(repository: MotoRepository, scanning: Mapping[str, Any]) -> Answer:
    """One row of scanningConfigurations (ECR user guide, "Filters to choose which repositories…")."""
    matching: dict[str, list[Answer]] = {}
    for rule in scanning["rules"]:
        for entry in rule["repositoryFilters"]:
            text = entry["filter"]
            # Without an asterisk it is enough that the name contains it.
            if fnmatchcase(repository.name, text if "*" in text else f"*{text}*"):
                matching.setdefault(rule["scanFrequency"], []).append(entry)
    frequency = next((f for f in ("CONTINUOUS_SCAN", "SCAN_ON_PUSH") if f in matching), "MANUAL")
    configured = repository.image_scanning_configuration
    own = isinstance(configured, dict) and configured.get("scanOnPush", False)
    if frequency == "MANUAL" and own and scanning["scanType"] == "BASIC":
        frequency = "SCAN_ON_PUSH"
    return {
        "repositoryArn": repository.arn,
        "repositoryName": repository.name,
        "scanOnPush": frequency == "SCAN_ON_PUSH",
        "scanFrequency": frequency,
        "appliedScanFilters": matching.get(frequency, []),
    }


# --- lifecycle policies ---------------------------------------------------------------------------

_ARCHIVE_POLICIES = "archive rules and sinceImagePulled are refused though legal since November 2025"
_MENDS += [
    _Mend(policy_validation, name, values | more, _ARCHIVE_POLICIES)
    for name, values, more in (
        ("VALID_ACTION_PROPERTIES", policy_validation.VALID_ACTION_PROPERTIES, {"targetStorageClass"}),
        ("VALID_ACTION_TYPE_VALUES", policy_validation.VALID_ACTION_TYPE_VALUES, {"transition"}),
        ("VALID_SELECTION_PROPERTIES", policy_validation.VALID_SELECTION_PROPERTIES, {"storageClass"}),
        (
            "VALID_SELECTION_COUNT_TYPE_VALUES",
            policy_validation.VALID_SELECTION_COUNT_TYPE_VALUES,
            {"sinceImagePulled", "sinceImageTransitioned"},
        ),
    )
]

_moto_get_lifecycle_policy = ECRBackend.get_lifecycle_policy


@_mends(ECRBackend, "get_lifecycle_policy", "lastEvaluatedAt is always the present moment")
def _get_lifecycle_policy(self: ECRBackend, registry_id: str, repository_name: str) -> Answer:
    answer = _moto_get_lifecycle_policy(self, registry_id, repository_name)
    repository = self._get_repository(repository_name, registry_id)
    evaluated_at = repository.__dict__.get("demurrage_evaluated_at") or _NEVER_EVALUATED
    return {**answer, "lastEvaluatedAt": evaluated_at}


# --- writing -------------------------------------------------------------------------------------


def _may_move(repository: MotoRepository, tag: str) -> bool:
    """Whether a tag that an image carries may be moved to another one."""
    filters = repository.image_tag_mutability_exclusion_filters or []
    excluded = any(fnmatchcase(tag, entry["filter"]) for entry in filters)
    return repository.is_tag_immutable() == excluded


@_mends(
    ECRBackend,
    "put_image",
    "the digest is not the manifest's; a moved tag deletes the image that had it instead of leaving it "
    "untagged; the wrong error for an immutable tag; an unknown repository or bad JSON crashes",
)
def _put_image(
    self: ECRBackend,
    repository_name: str,
    image_manifest: str,
    image_tag: str | None,
    image_manifest_mediatype: str | None = None,
    digest: str | None = None,
) -> MotoImage:
    repository = self.repositories.get(repository_name)
    if repository is None:
        raise RepositoryNotFoundException(repository_name, self.account_id)
    try:
        parsed = json.loads(image_manifest)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise InvalidParameterException(
            "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
        )
    media_type = image_manifest_mediatype or parsed.get("mediaType")
    if not media_type:
        raise InvalidParameterException("image manifest mediatype not provided in manifest or parameter")
    true_digest = digest_of(image_manifest)
    if digest not in (None, true_digest):
        raise _error(
            "ImageDigestDoesNotMatchException",
            f"The provided digest '{digest}' does not match the calculated digest '{true_digest}'",
        )
    present = _by_digest(repository).get(true_digest)
    if present is not None and (image_tag is None or image_tag in present.image_tags):
        raise ImageAlreadyExistsException(
            registry_id=repository.registry_id,
            image_tag=image_tag or "",
            digest=true_digest,
            repository_name=repository_name,
        )
    holder = _holder(repository, image_tag) if image_tag is not None else None
    if holder is not None and image_tag is not None:
        if not _may_move(repository, image_tag):
            raise _error(
                "ImageTagAlreadyExistsException",
                f"The image tag '{image_tag}' already exists in the '{repository_name}' repository and "
                "cannot be overwritten because the tag is immutable.",
            )
        holder.remove_tag(image_tag)
    if present is None:
        present = MotoImage(
            self.account_id,
            image_tag,  # type: ignore[arg-type]  # moto's own code handles None, its annotation does not say so
            image_manifest,
            repository_name,
            media_type,
            true_digest,
        )
        repository.images.append(present)
    elif image_tag is not None:
        present.update_tag(image_tag)
    subject = parsed.get("subject")
    present.__dict__["subject_manifest_digest"] = subject.get("digest") if isinstance(subject, dict) else None
    present.__dict__["artifact_media_type"] = parsed.get("artifactType") or parsed.get("config", {}).get(
        "mediaType"
    )
    return present


@_mends(MotoImage, "_create_digest", "the digest is that of the joined layer digests; random for an index")
def _create_digest(self: MotoImage) -> None:
    self._image_digest = digest_of(self.image_manifest)
