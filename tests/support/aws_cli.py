"""As much of the AWS CLI, version 2, as the README's recipe needs: quick to start, and asks a stub.

``python aws_cli.py SERVICE COMMAND …`` prints what the CLI prints and leaves with its exit status.
The endpoint is that of AWS_ENDPOINT_URL; the region is AWS_REGION.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import jmespath  # type: ignore[import-untyped]  # ships no types

_TARGET = "AmazonEC2ContainerRegistry_V20150921."
#: Exit status where the service refused the call.
_REFUSED = 254
#: Parameters that are lists.
_LISTS = {"--image-ids", "--repository-names", "--accepted-media-types", "--resource-type-filters"}


def main(arguments: list[str]) -> int:
    """Run one command."""
    service, command, *rest = arguments
    options = _options(rest)
    output = options.pop("--output", [os.environ.get("AWS_DEFAULT_OUTPUT", "json")])[0]
    query = options.pop("--query", [""])[0]
    operation = "".join(word.capitalize() for word in command.split("-"))
    try:
        answer = _tags() if service == "resourcegroupstaggingapi" else _ask(operation, _parameters(options))
    except urllib.error.HTTPError as error:
        refusal = json.loads(error.read())
        sys.stderr.write(
            f"\nAn error occurred ({refusal['__type']}) when calling the {operation} operation: "
            f"{refusal['message']}\n"
        )
        return _REFUSED
    value = jmespath.search(query, answer) if query else answer
    if output == "text":
        sys.stdout.writelines("\t".join(row) + "\n" for row in value)
    else:
        sys.stdout.write(json.dumps(value, indent=4, ensure_ascii=False) + "\n")
    return 0


def _options(words: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            found[word] = []
        else:
            found[next(reversed(found))].append(word)
    return found


def _parameters(options: dict[str, list[str]]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for option, values in options.items():
        first, *words = option.removeprefix("--").split("-")
        name = first + "".join(word.capitalize() for word in words)
        # Shorthand syntax: key=value is an object.
        read = [dict([value.split("=")]) if "=" in value else value for value in values]
        parameters[name] = read if option in _LISTS else read[0]
    return parameters


def _ask(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    scope = f"AKIA/20260101/{os.environ['AWS_REGION']}/ecr/aws4_request"
    request = urllib.request.Request(  # noqa: S310 - the test's own server
        os.environ["AWS_ENDPOINT_URL"],
        json.dumps(parameters).encode(),
        {"X-Amz-Target": _TARGET + operation, "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}"},
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310 - as above
        answer: dict[str, Any] = json.load(response, parse_float=_time)
    if "nextToken" in answer:
        raise NotImplementedError("pages are not asked for: keep what the test's registry holds small")
    return answer


def _time(number: str) -> str:
    """Numbers with a fraction are times, in all that the recipe asks for."""
    return datetime.fromtimestamp(float(number), UTC).isoformat()


def _tags() -> dict[str, Any]:
    """GetResources, put together from what ECR itself says."""
    found = []
    for repository in _ask("DescribeRepositories", {})["repositories"]:
        arn = repository["repositoryArn"]
        if tags := _ask("ListTagsForResource", {"resourceArn": arn})["tags"]:
            found.append({"ResourceARN": arn, "Tags": tags})
    return {"ResourceTagMappingList": found}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
