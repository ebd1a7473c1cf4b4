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

from analyzer.collect.clients import Answering
from analyzer.collect.ecr import pages
from analyzer.collect.public_manifests import FetchedManifest, PublicManifests
from analyzer.collect.refusals import Reach, Refusal, RefusedError
from analyzer.model.records import PUBLIC_REGION, RegistryKey

#: The service by boto3's name for it, which is IAM's prefix too.
SERVICE = "ecr-public"
#: Where its API is asked.
API_REGION = "us-east-1"
#: The partition that has it.
PARTITION = "aws"

_ALIAS = re.compile(r"[a-z][a-z0-9]+(?:[._-][a-z0-9]+)*")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)

#: Calls of private registries to which there is nothing that would correspond.
_LACKING = frozenset(
    {
        "BatchGetRepositoryScanningConfiguration",
        "DescribeRegistry",
        "DescribeRepositoryCreationTemplates",
        "GetAccountSetting",
        "GetRegistryPolicy",
        "GetRegistryScanningConfiguration",
        "ListPullTimeUpdateExclusions",
    }
)


class PublicRegistry(NamedTuple):
    """The public registry of an account."""

    key: RegistryKey
    #: What its repositories' names begin with at public.ecr.aws.
    alias: str


def fetch_public_registry(api: Answering) -> PublicRegistry | None:
    """The account's public registry, None where it has none.

    ``api`` asks ECR Public's API. Raises RefusedError where it does not answer.
    """
    for page in pages(api, "DescribeRegistries"):
        registries = page.get("registries")
        if not isinstance(registries, list):
            raise RefusedError(_unusable("the answer holds no list of registries"))
        for entry in registries:
            account, uri = entry.get("registryId"), entry.get("registryUri")
            alias = uri.rpartition("/")[2] if isinstance(uri, str) else ""
            if not isinstance(account, str) or not _ACCOUNT.fullmatch(account) or not _ALIAS.fullmatch(alias):
                raise RefusedError(_unusable("the registry has no account or alias that could be one"))
            return PublicRegistry(RegistryKey(PARTITION, account, PUBLIC_REGION), alias)
    return None


class PublicRegistryClient:
    """A RegistryClient for a public registry; safe to share between threads."""

    lacking = _LACKING

    def __init__(
        self, registry: PublicRegistry, api: Answering, manifests: PublicManifests, caller: str = ""
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
        if operation == "GetLifecyclePolicy":
            # There is no call to set one either.
            detail = "public repositories have no lifecycle policies"
            raise RefusedError(Refusal("LifecyclePolicyNotFoundException", Reach.CALL, detail))
        if operation == "DescribePullThroughCacheRules":
            # Public repositories are pushed to, never filled from another registry.
            return {"pullThroughCacheRules": []}
        if operation == "BatchGetImage":
            return self._batch_get_image(parameters)
        # No public image is archived, and no filter is known.
        parameters.pop("filter", None)
        return self._api.call(operation, tolerate=tolerate, **parameters)

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


def _unusable(detail: str) -> Refusal:
    return Refusal("InvalidAnswer", Reach.CALL, detail)
