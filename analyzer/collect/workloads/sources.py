"""The sources of workloads: how each is read, and which IAM actions that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial

from botocore.loaders import create_loader
from botocore.regions import EndpointResolver

from analyzer.collect.clients import AwsRegistryClient
from analyzer.collect.refusals import one_line
from analyzer.collect.workloads import (
    apprunner,
    batch,
    codebuild,
    ecs,
    eks,
    functions,
    inspector,
    sagemaker,
)
from analyzer.collect.workloads.options import WorkloadOptions
from analyzer.collect.workloads.reading import NotThereError, Reading, SourceOutcome
from analyzer.errors import InputError
from analyzer.model.records import KnownUse, ReadStatus, RegistryKey, WorkloadRead

_FETCH: Mapping[str, Callable[[Reading], object]] = {
    "ecs": ecs.fetch,
    "lambda": functions.fetch,
    "eks": eks.fetch,
    "inspector": inspector.fetch,
    "apprunner": apprunner.fetch,
    "batch": batch.fetch,
    "sagemaker": sagemaker.fetch,
    "codebuild": codebuild.fetch,
}

#: By source, the IAM actions that reading it takes, sorted.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "ecs": ecs.ACTIONS,
    "lambda": functions.ACTIONS,
    "eks": eks.ACTIONS,
    "inspector": inspector.ACTIONS,
    "apprunner": apprunner.ACTIONS,
    "batch": batch.ACTIONS,
    "sagemaker": sagemaker.ACTIONS,
    "codebuild": codebuild.ACTIONS,
}

_CHOICE = f"give all, none, or some of {', '.join(ACTIONS)}"

#: What botocore's table of endpoints calls the service of each source.
_ENDPOINTS = {
    "ecs": "ecs",
    "lambda": "lambda",
    "eks": "eks",
    "inspector": "inspector2",
    "apprunner": "apprunner",
    "batch": "batch",
    "sagemaker": "api.sagemaker",
    "codebuild": "codebuild",
}
_ECR = "api.ecr"

#: Calls per second of operations whose published rate is low: of Lambda's control plane, all but
#: GetFunction share 15 a second (Lambda's quotas, "API requests").
RATES: Mapping[str, float] = {"lambda:ListFunctions": 5.0}


def check_sources(names: Iterable[str]) -> tuple[str, ...]:
    """The sources that ``names`` stand for: ``all``, ``none``, or names of sources.

    Raises InputError for a name that is none of these.
    """
    given = list(dict.fromkeys(names))
    if not given:
        raise InputError(f"--workload-sources is empty; {_CHOICE}")
    if given in (["all"], ["none"]):
        return tuple(ACTIONS) if given == ["all"] else ()
    for name in given:
        if name not in ACTIONS:
            raise InputError(f"--workload-sources: {one_line(name)!r} is none; {_CHOICE}")
    return tuple(name for name in ACTIONS if name in given)


def readers(
    client: AwsRegistryClient, options: WorkloadOptions, known: Mapping[str, Sequence[KnownUse]]
) -> list[Callable[[], SourceOutcome]]:
    """A task for each source that ``options`` names, to be run in any order, at a time or not.

    ``known`` are the uses that the last snapshot has of each source.
    """
    wanted = [name for name in ACTIONS if name in options.sources]
    if "eks" in wanted and "inspector" in wanted:
        # Inspector is asked only for what the clusters do not say themselves.
        wanted.remove("inspector")
    return [partial(_read, client, name, options, known) for name in wanted]


def _read(
    client: AwsRegistryClient, name: str, options: WorkloadOptions, known: Mapping[str, Sequence[KnownUse]]
) -> SourceOutcome:
    reading = Reading(client, name, known.get(name, ()), options)
    result = _fetched(reading)
    outcome = reading.outcome()
    if name != "eks" or "inspector" not in options.sources:
        return outcome
    second = Reading(client, "inspector", known.get("inspector", ()), options)
    if result is True:
        _fetched(second)
        # What stays unknown is said by the gaps of the clusters; many accounts have no Inspector.
        return SourceOutcome([*outcome.reads, *second.outcome().reads], outcome.gaps)
    if second.has_known_uses and reading.is_untroubled:
        # The clusters say more than it did before.
        return SourceOutcome([*outcome.reads, WorkloadRead("inspector", ReadStatus.COMPLETE)], outcome.gaps)
    return outcome


def _fetched(reading: Reading) -> object:
    """What the source's function gives; nothing where AWS does not offer the service."""
    if not is_source_offered(reading.source, reading.key):
        return None
    try:
        return _FETCH[reading.source](reading)
    except NotThereError:
        return None


@cache
def _resolver() -> EndpointResolver:
    return EndpointResolver(create_loader().load_data("endpoints"))


def is_source_offered(source: str, key: RegistryKey) -> bool:
    """Whether AWS offers the service of a source of workloads in the region of ``key``."""
    return is_offered(_ENDPOINTS[source], key)


def is_offered(endpoint: str, key: RegistryKey) -> bool:
    """Whether AWS offers a service in the region of ``key``, by botocore's table of endpoints.

    A region that botocore does not know at all, not even for ECR, may have any.
    """
    partition = key.partition
    if key.region not in _resolver().get_available_endpoints(_ECR, partition):
        return True
    return key.region in _resolver().get_available_endpoints(endpoint, partition)
