"""An account's public registry, as one more registry to read.

ECR Public is one registry per account, whatever the region that its API is asked in, and it exists
in the commercial partition alone (botocore's endpoints: us-east-1 and us-west-2). Its key has the
region "public". What private registries have and it has not (lifecycle policies, scanning,
replication, account settings) is no gap: there is nothing to know.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from analyzer.collect.clients import (
    Answering,
    CallSettings,
    ServiceClient,
    client_config,
    read_plain_json,
)
from analyzer.collect.ecr import fetch_entries, unusable
from analyzer.collect.places import Access, Place
from analyzer.collect.public_manifests import FetchedManifest, PublicManifests
from analyzer.collect.refusals import UNSERVED_CODES, Reach, Refusal, RefusedError
from analyzer.collect.regions import PUBLIC_PARTITION
from analyzer.model.records import PUBLIC_REGION, RegistryKey

#: The service by boto3's name for it, which is IAM's prefix too.
SERVICE = "ecr-public"
#: Where its API is asked.
API_REGION = "us-east-1"
#: Reason of a refusal where whoever answers, or the partition, has no ECR Public.
NOT_OFFERED = "NotOffered"

_ALIAS = re.compile(r"[a-z][a-z0-9]+(?:[._-][a-z0-9]+)*")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)

#: Calls of private registries to which there is nothing that would correspond.
_LACKING = frozenset(
    {
        "BatchGetRepositoryScanningConfiguration",
        "GetAccountSetting",
        "GetRegistryScanningConfiguration",
        "ListPullTimeUpdateExclusions",
    }
)
#: What the answer would be to others: public repositories are pushed to, never filled from another
#: registry nor copied to one, and are made by hand.
_NONE_THERE: Mapping[str, Mapping[str, Any]] = {
    "DescribePullThroughCacheRules": {"pullThroughCacheRules": []},
    "DescribeRegistry": {"replicationConfiguration": {"rules": []}},
    "DescribeRepositoryCreationTemplates": {"repositoryCreationTemplates": []},
}
#: The same of those that say so by an error.
_NO_POLICY: Mapping[str, str] = {
    "GetLifecyclePolicy": "LifecyclePolicyNotFoundException",
    "GetRegistryPolicy": "RegistryPolicyNotFoundException",
}
#: Hosts of AWS's own endpoints; what stands in for them is an emulator or a proxy.
_AWS_HOSTS = (".amazonaws.com", ".api.aws")
_WITHOUT_CODE = re.compile("Http[45][0-9]{2}")


class PublicRegistry(NamedTuple):
    """The public registry of an account."""

    key: RegistryKey
    #: What its repositories' names begin with at public.ecr.aws, in their URIs.
    alias: str
    #: All that they may begin with, sorted: by each alias an image can be pulled.
    aliases: tuple[str, ...]


def fetch_public_registry(api: Answering) -> PublicRegistry | None:
    """The account's public registry, None where it has none.

    ``api`` asks ECR Public's API. Raises RefusedError where it does not answer.
    """
    # There is one at most.
    for entry in fetch_entries(api, "DescribeRegistries", "registries"):
        account, uri = entry.get("registryId"), entry.get("registryUri")
        alias = uri.rpartition("/")[2] if isinstance(uri, str) else ""
        if not isinstance(account, str) or not _ACCOUNT.fullmatch(account) or not _ALIAS.fullmatch(alias):
            raise RefusedError(unusable("the registry has no account or alias that could be one"))
        key = RegistryKey(PUBLIC_PARTITION, account, PUBLIC_REGION)
        return PublicRegistry(key, alias, _aliases(alias, entry.get("aliases")))
    return None


def _aliases(primary: str, listed: object) -> tuple[str, ...]:
    """``primary`` and those ``listed`` that are in force: others were only asked for, or denied."""
    found = {primary}
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and entry.get("status") == "ACTIVE":
            name = entry.get("name")
            if isinstance(name, str) and _ALIAS.fullmatch(name):
                found.add(name)
    return tuple(sorted(found))


def find_public_registry(access: Access, settings: CallSettings) -> PublicRegistry | None:
    """The public registry of the account that ``access`` leads into, None where it has none.

    Raises RefusedError where that is not known, with the reason NOT_OFFERED where whoever answers has
    no ECR Public.
    """
    api, url = _open(access, settings)
    try:
        return fetch_public_registry(api)
    except RefusedError as error:
        if _is_not_offered(error.refusal, url):
            detail = f"there is no ECR Public at {urlsplit(url).netloc} ({error})"
            raise RefusedError(Refusal(NOT_OFFERED, Reach.CALL, detail)) from error
        raise


def open_public_api(access: Access, settings: CallSettings) -> ServiceClient:
    """ECR Public's API in the account that ``access`` leads into; asks nothing yet."""
    return _open(access, settings)[0]


def _open(access: Access, settings: CallSettings) -> tuple[ServiceClient, str]:
    """The API, and the URL of where it is asked."""
    made = access.client(SERVICE, API_REGION, client_config(settings))
    made.meta.events.register("before-parse", read_plain_json)
    return ServiceClient(made, SERVICE, settings, is_own=access.is_own), made.meta.endpoint_url


def _is_not_offered(refusal: Refusal, url: str) -> bool:
    if refusal.reason in UNSERVED_CODES or refusal.reason in ("Http404", "Http501"):
        return True
    # Emulators answer what they do not know with any error, and AWS always with a code.
    is_of_aws = (urlsplit(url).hostname or "").endswith(_AWS_HOSTS)
    return not is_of_aws and _WITHOUT_CODE.fullmatch(refusal.reason) is not None


class PublicRegistryClient:
    """A RegistryClient for a public registry; safe to share between threads."""

    lacking = _LACKING

    def __init__(
        self, registry: PublicRegistry, api: ServiceClient, manifests: PublicManifests, caller: str = ""
    ) -> None:
        """``api`` asks ECR Public's API in ``API_REGION``; ``caller`` is the ARN of who does."""
        self._registry = registry
        self._api = api
        self._manifests = manifests
        self._caller = caller

    @property
    def key(self) -> RegistryKey:
        """The registry."""
        return self._registry.key

    @property
    def caller(self) -> str:
        """ARN of whoever makes the calls; "" where it is not known."""
        return self._caller

    def call(
        self, operation: str, *, tolerate: Collection[str] = (), **parameters: object
    ) -> Mapping[str, Any]:
        """The answer to one call of ECR (``DescribeImages``), from ECR Public.

        Raises RefusedError for an expected refusal, and StoppedError when the run is ending.
        """
        if operation in _NO_POLICY:
            # There is no call to set one either.
            detail = "public registries and repositories have no such policy"
            raise RefusedError(Refusal(_NO_POLICY[operation], Reach.CALL, detail))
        if operation in _NONE_THERE:
            return _NONE_THERE[operation]
        if operation == "BatchGetImage":
            return self._batch_get_image(parameters)
        # No public image is archived, and no filter is known.
        parameters.pop("filter", None)
        return self._api.call(operation, tolerate=tolerate, **parameters)

    def close(self) -> None:
        """Hang up."""
        self._api.close()

    def _batch_get_image(self, parameters: Mapping[str, object]) -> Mapping[str, Any]:
        repository = f"{self._registry.alias}/{parameters['repositoryName']}"
        images, failures = [], []
        image_ids = parameters["imageIds"]
        for image_id in image_ids if isinstance(image_ids, list) else []:
            found = self._manifests.get(repository, image_id["imageDigest"])
            if isinstance(found, FetchedManifest):
                entry = {"imageId": image_id, "imageManifest": found.text}
                images.append({**entry, "imageManifestMediaType": found.media_type or None})
            else:
                failures.append(
                    {"imageId": image_id, "failureCode": found.code, "failureReason": found.detail}
                )
        return {"images": images, "failures": failures}


def open_public_registry(
    place: Place, settings: CallSettings, manifests: PublicManifests
) -> PublicRegistryClient:
    """The client of a public registry; asks nothing yet."""
    registry = PublicRegistry(place.key, place.public_alias, place.public_aliases)
    return PublicRegistryClient(
        registry, open_public_api(place.access, settings), manifests, place.access.caller
    )
