"""Files as the README's recipe for `demurrage import` makes them, from an ECR that boto3 can ask."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from analyzer.manifests import ACCEPTED_MEDIA_TYPES


def iso_times(value: datetime) -> object:
    """A time as version 2 of the AWS CLI prints it."""
    return value.isoformat()


def epoch_times(value: datetime) -> object:
    """A time as version 1 of the AWS CLI prints it."""
    return value.timestamp()


def printed(answer: dict[str, Any], times: Callable[[datetime], object] = iso_times) -> str:
    """An answer as the AWS CLI prints it with ``--output json``."""
    kept = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    return json.dumps(kept, indent=4, ensure_ascii=False, default=times) + "\n"


def write_recipe(
    client: Any, folder: Path, times: Callable[[datetime], object] = iso_times, leave_out: Iterable[str] = ()
) -> None:
    """Fill ``folder`` with what the recipe's commands print of the registry that ``client`` asks.

    ``leave_out`` are files that are not to be written.
    """
    files: dict[str, list[str]] = {}

    def note(file: str, answer: dict[str, Any]) -> None:
        files.setdefault(file, []).append(printed(answer, times))

    def ask(file: str, operation: str, **parameters: Any) -> None:
        """Append what a command prints: its answer to one file, its complaint to another."""
        try:
            note(file, getattr(client, operation)(**parameters))
        except ClientError as error:
            files.setdefault("errors.txt", []).append(f"\n{error}\n")

    repositories = client.get_paginator("describe_repositories").paginate().build_full_result()
    note("repositories.json", repositories)
    tagged = []
    for repository in repositories["repositories"]:
        name = repository["repositoryName"]
        pages = client.get_paginator("describe_images").paginate(
            repositoryName=name, filter={"imageStatus": "ANY"}
        )
        images = pages.build_full_result()["imageDetails"]
        note(
            "images.json", {"repositoryName": name, "filter": {"imageStatus": "ANY"}, "imageDetails": images}
        )
        digests = [image["imageDigest"] for image in images if image["imageStatus"] == "ACTIVE"]
        for first in range(0, len(digests), 100):
            ids = [{"imageDigest": digest} for digest in digests[first : first + 100]]
            accepted = list(ACCEPTED_MEDIA_TYPES)
            ask(
                "manifests.json",
                "batch_get_image",
                repositoryName=name,
                imageIds=ids,
                acceptedMediaTypes=accepted,
            )
        ask("policies.json", "get_lifecycle_policy", repositoryName=name)
        ask("access.json", "get_repository_policy", repositoryName=name)
        ask("scanning.json", "batch_get_repository_scanning_configuration", repositoryNames=[name])
        arn = repository["repositoryArn"]
        if tags := client.list_tags_for_resource(resourceArn=arn)["tags"]:
            tagged.append({"ResourceARN": arn, "Tags": tags})
    note("tags.json", {"ResourceTagMappingList": tagged})
    ask("settings.json", "get_account_setting", name="BLOB_MOUNTING")
    ask("settings.json", "get_account_setting", name="BASIC_SCAN_TYPE_VERSION")
    ask("settings.json", "get_account_setting", name="REGISTRY_POLICY_SCOPE")
    ask("caches.json", "describe_pull_through_cache_rules")
    ask("registry.json", "get_registry_scanning_configuration")
    ask("registry.json", "describe_registry")
    ask("registry.json", "get_registry_policy")
    ask("registry.json", "describe_repository_creation_templates")
    ask("exclusions.json", "list_pull_time_update_exclusions")
    folder.mkdir(parents=True, exist_ok=True)
    for name, texts in files.items():
        if name not in leave_out:
            (folder / name).write_text("".join(texts), encoding="utf-8")
