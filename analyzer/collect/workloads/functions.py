"""What runs on AWS Lambda: the functions that are container images, and their published versions.

Which digest a version has is in its list entry: Lambda's guide (configuration-images) says that a
tag is translated into the digest when the function is made, to be read with GetFunctionConfiguration,
whose only field for it is CodeSha256. What is missing there is the repository, so GetFunction is asked
once of each version; as long as the digest is the one that is known, and nothing was changed since, it
is not asked again. GetFunction also gives a presigned URL of the code of other functions; it is neither
kept nor shown.

Every version that can be invoked counts as running: Lambda fetches the image of a function from ECR
from time to time, and a function whose image is gone fails (Lambda's guide, "Function lifecycle").
"""

from __future__ import annotations

import re

from analyzer.collect.refusals import Refusal
from analyzer.collect.workloads.reading import Reading, mapping, text, time_ms
from analyzer.model.records import UseKind

ACTIONS = ("lambda:GetFunction", "lambda:ListFunctions")

_DIGEST = re.compile(r"[0-9a-f]{64}")


def fetch(reading: Reading) -> None:
    """Read the image of every version of every function that has one."""
    for entry in reading.pages(
        "lambda",
        "ListFunctions",
        "Functions",
        by="Marker",
        next_by="NextMarker",
        FunctionVersion="ALL",
        MaxItems=50,
    ):
        function = mapping(entry)
        name, version = text(function.get("FunctionName")), text(function.get("Version"))
        if function.get("PackageType") != "Image" or not name or not version:
            continue
        workload = f"{name}:{version}"
        references = _known(
            reading, workload, text(function.get("CodeSha256")), time_ms(function.get("LastModified"))
        )
        if not references:
            references = _asked(reading, name, version)
        for reference in references:
            reading.use(workload, reference, UseKind.RUNNING)


def _known(reading: Reading, workload: str, code_sha256: str, changed_at_ms: int | None) -> tuple[str, ...]:
    """The image that the last snapshot has of the version, if it is still that one."""
    if changed_at_ms is None or not _DIGEST.fullmatch(code_sha256):
        return ()
    references = reading.known(workload, changed_at_ms=changed_at_ms)
    return references if all(r.endswith(f"@sha256:{code_sha256}") for r in references) else ()


def _asked(reading: Reading, name: str, version: str) -> tuple[str, ...]:
    answer = reading.call("lambda", "GetFunction", is_gone=_is_gone, FunctionName=name, Qualifier=version)
    code = mapping((answer or {}).get("Code"))
    return tuple(filter(None, [text(code.get("ResolvedImageUri")) or text(code.get("ImageUri"))]))


def _is_gone(refusal: Refusal) -> bool:
    return refusal.reason == "ResourceNotFoundException"
