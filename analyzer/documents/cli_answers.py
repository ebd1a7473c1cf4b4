"""What the AWS CLI prints, by the call of the API that it answers: known by content, not by file name.

Beside an answer there may be parameters of its request, as ``--query`` can put them there: an answer
without images does not say whose it is, and none says which images were asked for::

    --query "{repositoryName: 'app', filter: {imageStatus: 'ANY'}, imageDetails: imageDetails}"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from analyzer.documents.images import image_pages
from analyzer.documents.manifests import manifest_answers
from analyzer.errors import InputError
from analyzer.json_texts import shown

#: The operation by a key that only its answer has, in the order in which they are looked for.
_OPERATIONS = {
    "imageDetails": "DescribeImages",
    "scanningConfigurations": "BatchGetRepositoryScanningConfiguration",
    "scanningConfiguration": "GetRegistryScanningConfiguration",
    "replicationConfiguration": "DescribeRegistry",
    "repositoryCreationTemplates": "DescribeRepositoryCreationTemplates",
    "pullThroughCacheRules": "DescribePullThroughCacheRules",
    "pullTimeUpdateExclusions": "ListPullTimeUpdateExclusions",
    "repositories": "DescribeRepositories",
    "ResourceTagMappingList": "GetResources",
    "images": "BatchGetImage",
    "lifecyclePolicyText": "GetLifecyclePolicy",
    "policyText": "GetRepositoryPolicy",
}

#: The same of a single entry of a list, as ``--query`` and jq print them.
_ENTRIES = {
    "imageManifest": "BatchGetImage",
    "imageDigest": "DescribeImages",
    "repositoryArn": "DescribeRepositories",
    "ResourceARN": "GetResources",
}

#: The list that such entries are of; those of images have readers of their own.
_LIST_OF = {"DescribeRepositories": "repositories", "GetResources": "ResourceTagMappingList"}

#: What has one of the keys above, or looks as if it were of use, and is not: key, and what to say of it.
_OTHERS = {
    "previewResults": "what `aws ecr get-lifecycle-policy-preview` prints, which is not needed",
    "imageIds": "what `aws ecr list-images` prints, without times and sizes",
    "imageTag": "of `aws ecr list-images`, without times and sizes",
    "layers": "of layers, which are read from manifests",
    "schemaVersion": "a manifest without its digest; `aws ecr batch-get-image` prints both",
    "rules": "a lifecycle policy without its repository; `aws ecr get-lifecycle-policy` prints both",
    "tags": "of tags without their repository; `aws resourcegroupstaggingapi get-resources"
    " --resource-type-filters ecr:repository` prints both",
}

#: Each line of the CLI's own about a refused call. Versions differ in what they write before it.
_ERROR = re.compile(
    r"An error occurred \((?P<code>[A-Za-z0-9.]{1,100})\) when calling the (?P<operation>[A-Za-z]{1,80}) "
    r"operation(?: \(reached max retries: \d+\))?: (?P<message>.*)"
)
#: How ECR's messages name the repository they are about.
_ABOUT = re.compile(
    r"repository with name '(?P<name>[^']{2,256})'.*?registry with id '(?P<account>\d{12})'"
    r"|resource: arn:[a-z-]+:ecr:(?P<region>[a-z0-9-]+):(?P<of>\d{12}):repository/(?P<path>\S{2,256})"
    r"|registry with id '(?P<registry>\d{12})'"
)


class Answer(NamedTuple):
    """One answer of the API."""

    operation: str
    #: Where it stands, for messages.
    place: str
    content: Mapping[str, Any]
    #: More was to come: the CLI was told not to page, or to end early.
    more: bool = False
    #: Not the answer itself but entries of one, as ``--query`` and jq take them out.
    is_part: bool = False


class Refused(NamedTuple):
    """A line in which the CLI says that a call was refused, and what it was about ("" if not said)."""

    operation: str
    code: str
    message: str
    account: str
    region: str
    repository: str


def answers_in(value: Any, place: str) -> Iterator[Answer | str]:
    """Every answer in ``value``, and of what is none, in words, what it is.

    Raises InputError for an answer that is malformed.
    """
    if isinstance(value, list):
        yield from _answers_of_list(value, place)
        return
    if not isinstance(value, dict):
        yield f"{place} is {shown(value)}"
        return
    if isinstance(value.get("data"), dict) and "status_code" in value:
        # As placebo records an answer.
        value = value["data"]
    operation = _operation(value)
    if operation is None:
        known = next((what for key, what in _OTHERS.items() if key in value), None)
        yield f"{place} is {known}" if known else f"{place} is not the answer of a call that is used here"
    elif operation == "DescribeImages":
        for at, details, more in image_pages(value, place):
            asked = {
                name: value[name] for name in ("registryId", "repositoryName", "filter") if name in value
            }
            yield Answer(operation, at, {**asked, "imageDetails": details}, more, "imageDetails" not in value)
    elif operation == "BatchGetImage":
        yield from _manifests(value, place)
    elif operation in _LIST_OF and _LIST_OF[operation] not in value:
        yield Answer(operation, place, {_LIST_OF[operation]: [value]}, is_part=True)
    else:
        # The API's own names for it, and the one of the CLI's --max-items.
        more = any(value.get(name) for name in ("nextToken", "NextToken", "PaginationToken"))
        yield Answer(operation, place, value, more)


def refusals_in(text: str) -> list[Refused]:
    """The calls that were refused, of what the CLI wrote to stderr."""
    refused = []
    for found in _ERROR.finditer(text):
        about = _ABOUT.search(found["message"])
        account = (about["account"] or about["of"] or about["registry"]) if about else ""
        name = (about["name"] or about["path"] or "") if about else ""
        region = (about["region"] or "") if about else ""
        refused.append(
            Refused(found["operation"], found["code"], found["message"].strip(), account, region, name)
        )
    return refused


def cli_command(operation: str) -> str:
    """The command of the AWS CLI that prints the answer to ``operation``."""
    if operation == "ListTagsForResource":
        return "aws resourcegroupstaggingapi get-resources --resource-type-filters ecr:repository"
    return "aws ecr " + re.sub(r"(?<!^)(?=[A-Z])", "-", operation).lower()


def _answers_of_list(value: list[Any], place: str) -> Iterator[Answer | str]:
    operations = {_operation(entry) if isinstance(entry, dict) else None for entry in value}
    operation = next(iter(operations)) if len(operations) == 1 else None
    are_entries = operation is not None and not any(
        _OPERATIONS.get(key) == operation for entry in value for key in entry
    )
    if are_entries and operation == "DescribeImages":
        for at, details, more in image_pages(value, place):
            yield Answer(operation, at, {"imageDetails": details}, more, is_part=True)
    elif are_entries and operation == "BatchGetImage":
        yield from _manifests(value, place)
    elif are_entries and operation is not None:
        yield Answer(operation, f"{place}, entry", {_LIST_OF[operation]: value}, is_part=True)
    elif not value:
        yield f"{place} is an empty list"
    else:
        for number, entry in enumerate(value):
            at = f"{place}, entry {number}"
            if isinstance(entry, list):
                raise InputError(f"{at} is a list in a list; give what the AWS CLI prints as it is")
            yield from answers_in(entry, at)


def _manifests(value: Any, place: str) -> Iterator[Answer]:
    for at, images, failures in manifest_answers(value, place):
        yield Answer("BatchGetImage", at, {"images": images, "failures": failures})


def _operation(value: Mapping[str, Any]) -> str | None:
    """The operation that ``value`` is the answer of, or an entry of one."""
    if "previewResults" in value:
        return None
    for key, operation in _OPERATIONS.items():
        if key in value:
            # Policies of registries are printed without a repository.
            of_registry = key == "policyText" and "repositoryName" not in value
            return "GetRegistryPolicy" if of_registry else operation
    if isinstance(value.get("name"), str) and isinstance(value.get("value"), str):
        return "GetAccountSetting"
    for key, operation in _ENTRIES.items():
        # list-images prints digests too.
        if key in value and "imageTag" not in value:
            return operation
    return None
