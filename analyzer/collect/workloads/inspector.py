"""What Amazon Inspector knows to be in use: the digests of images that EKS pods and ECS tasks run.

Of use where the pods of a cluster cannot be read. It knows images that it scans, and neither which
workload runs them nor what would be started next; so a workload's name is the image's repository.
"""

from __future__ import annotations

import re

from analyzer.collect.workloads.reading import Reading, mapping, text
from analyzer.model.records import UseKind

ACTIONS = ("inspector2:ListCoverage",)

#: arn:PARTITION:ecr:REGION:ACCOUNT:repository/NAME/sha256:HASH
_IMAGE = re.compile(
    r"arn:aws[a-z-]*:ecr:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):repository/"
    r"(?P<name>.+)/(?P<digest>sha256:[0-9a-f]{64})"
)
#: The end of a registry's host name, by partition (ECR's user guide, endpoints of each partition).
_HOSTS = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}

_FILTER = {
    "resourceType": [{"comparison": "EQUALS", "value": "AWS_ECR_CONTAINER_IMAGE"}],
    "ecrImageInUseCount": [{"lowerInclusive": 1}],
}


def fetch(reading: Reading) -> None:
    """Read which images are in use now."""
    for entry in reading.pages(
        "inspector2", "ListCoverage", "coveredResources", filterCriteria=_FILTER, maxResults=200
    ):
        covered = mapping(entry)
        image = _IMAGE.fullmatch(text(covered.get("resourceId")))
        count = mapping(mapping(covered.get("resourceMetadata")).get("ecrImage")).get("inUseCount")
        # An endpoint that does not know the filter gives all images.
        if image is None or not isinstance(count, int) or count < 1:
            continue
        host = _HOSTS.get(reading.key.partition, "amazonaws.com")
        registry = f"{image['account']}.dkr.ecr.{image['region']}.{host}"
        reading.use(image["name"], f"{registry}/{image['name']}@{image['digest']}", UseKind.RUNNING)
