"""What runs on AWS Batch: job definitions, and the jobs that run or wait for a place.

Names of workloads: ``name:revision`` of definitions, ``queue/name:revision`` of the jobs in a queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analyzer.collect.workloads.reading import (
    Reading,
    Revisions,
    batches,
    entries,
    last_part,
    mapping,
    revision,
    text,
)
from analyzer.model.records import UseKind

ACTIONS = (
    "batch:DescribeJobDefinitions",
    "batch:DescribeJobQueues",
    "batch:DescribeJobs",
    "batch:ListJobs",
)

_PAGE, _JOBS = 100, 100
#: Pages of jobs in one state of one queue; a queue that is longer says nothing new after these, as a
#: rule, and the next night is a gap less.
_JOB_PAGES = 50
_STATES = {"RUNNING": UseKind.RUNNING, "STARTING": UseKind.RUNNING, "RUNNABLE": UseKind.CONFIGURED}


def fetch(reading: Reading) -> None:
    """Read the images of the last revisions of all job definitions, and of jobs in all queues."""
    images: dict[str, list[object]] = {}
    revisions = Revisions(reading.options.revisions)
    for entry in reading.pages(
        "batch", "DescribeJobDefinitions", "jobDefinitions", status="ACTIVE", maxResults=_PAGE
    ):
        name = last_part(mapping(entry).get("jobDefinitionArn"))
        if (found := revision(name)) is not None:
            images[name] = list(_images(mapping(entry)))
            revisions.add(*found)
    for name, is_newest in revisions.last():
        for image in images[name]:
            reading.use(name, image, UseKind.CONFIGURED if is_newest else UseKind.PREVIOUS)
    for entry in reading.pages("batch", "DescribeJobQueues", "jobQueues", maxResults=_PAGE):
        if queue := text(mapping(entry).get("jobQueueArn")):
            _read_jobs(reading, queue)


def _read_jobs(reading: Reading, queue: str) -> None:
    for state, kind in _STATES.items():
        jobs = reading.pages(
            "batch",
            "ListJobs",
            "jobSummaryList",
            most=_JOB_PAGES,
            jobQueue=queue,
            jobStatus=state,
            maxResults=_PAGE,
        )
        for some in batches((mapping(job).get("jobId") for job in jobs), _JOBS):
            answer = reading.call("batch", "DescribeJobs", jobs=some)
            for job in entries((answer or {}).get("jobs")):
                workload = f"{last_part(queue)}/{last_part(job.get('jobDefinition'))}"
                for image in _images(job):
                    reading.use(workload, image, kind)


def _images(described: Mapping[str, Any]) -> Iterator[object]:
    """The images of a job definition or a job, wherever its kind has them."""
    for key in ("containerProperties", "container"):
        yield mapping(described.get(key)).get("image")
    for task in entries(mapping(described.get("ecsProperties")).get("taskProperties")):
        for container in entries(task.get("containers")):
            yield container.get("image")
    pod = mapping(mapping(described.get("eksProperties")).get("podProperties"))
    for key in ("containers", "initContainers"):
        for container in entries(pod.get(key)):
            yield container.get("image")
    for node in entries(mapping(described.get("nodeProperties")).get("nodeRangeProperties")):
        yield from _images(node)
