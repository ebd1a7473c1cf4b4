"""What runs on AWS App Runner: the image of each service, by the tag that it names.

App Runner does not say which digest it runs.
"""

from __future__ import annotations

from analyzer.collect.refusals import Refusal
from analyzer.collect.workloads.reading import Reading, mapping, text
from analyzer.model.records import UseKind

ACTIONS = ("apprunner:DescribeService", "apprunner:ListServices")


def fetch(reading: Reading) -> None:
    """Read the image of every service that is made from one."""
    for entry in reading.pages(
        "apprunner", "ListServices", "ServiceSummaryList", by="NextToken", MaxResults=20
    ):
        arn, status = text(mapping(entry).get("ServiceArn")), mapping(entry).get("Status")
        if not arn or status == "DELETED":
            continue
        answer = reading.call("apprunner", "DescribeService", is_gone=_is_gone, ServiceArn=arn)
        service = mapping((answer or {}).get("Service"))
        source = mapping(service.get("SourceConfiguration"))
        image = mapping(source.get("ImageRepository")).get("ImageIdentifier")
        # A service that is paused, or failed to start, pulls its image when it is started again.
        kind = UseKind.RUNNING if service.get("Status") == "RUNNING" else UseKind.CONFIGURED
        reading.use(text(service.get("ServiceName")) or arn, image, kind)


def _is_gone(refusal: Refusal) -> bool:
    return refusal.reason == "ResourceNotFoundException"
