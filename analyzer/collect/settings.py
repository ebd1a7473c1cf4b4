"""What registries and repositories are set to do: scan, replicate, let in, create.

Each call is one function that gives the setting as canonical JSON, ABSENT where ECR says that there
is none, and raises RefusedError. Nothing here decides what a refusal means for the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analyzer.collect.clients import RegistryClient
from analyzer.collect.ecr import canonical, fetch_entries, of_type, unusable
from analyzer.collect.refusals import PARAMETER_CODES, REPOSITORY_GONE, Reach, Refusal, RefusedError, one_line
from analyzer.model.records import ABSENT

#: repositoryNames that BatchGetRepositoryScanningConfiguration takes at most.
SCANNING_BATCH = 25

_NO_REGISTRY_POLICY = "RegistryPolicyNotFoundException"
_NO_REPOSITORY_POLICY = "RepositoryPolicyNotFoundException"

_TEMPLATE_FIELDS = (
    "appliedFor",
    "customRoleArn",
    "description",
    "encryptionConfiguration",
    "imageTagMutability",
    "imageTagMutabilityExclusionFilters",
    "lifecyclePolicy",
    "prefix",
    "repositoryPolicy",
    "resourceTags",
)
_SCANNING_FIELDS = ("appliedScanFilters", "scanFrequency", "scanOnPush")


@dataclass(slots=True)
class ScanningAnswers:
    """What one look at the scanning of some repositories gave."""

    #: Repository name to its setting.
    settings: dict[str, str] = field(default_factory=dict)
    #: Repository name to why it has none; with ``settings`` this covers every name asked for.
    refused: dict[str, Refusal] = field(default_factory=dict)
    #: What a whole call was refused for, with the names it was about.
    refusals: list[tuple[Refusal, Sequence[str]]] = field(default_factory=list)


def fetch_account_setting(client: RegistryClient, name: str) -> str:
    """An account setting as a JSON string, whatever its value."""
    answer = client.call("GetAccountSetting", tolerate=PARAMETER_CODES, name=name)
    return canonical(of_type(answer.get("value"), str))


def fetch_scanning_configuration(client: RegistryClient) -> str:
    """The registry's scanning configuration: ``{"rules": […], "scanType": "BASIC"}``, rules sorted."""
    answer = client.call("GetRegistryScanningConfiguration", tolerate=PARAMETER_CODES)
    configuration = of_type(answer.get("scanningConfiguration"), dict)
    return canonical(
        {
            "rules": _sorted(of_type(configuration.get("rules"), list), "repositoryFilters"),
            "scanType": of_type(configuration.get("scanType"), str),
        }
    )


def fetch_replication_configuration(client: RegistryClient) -> str:
    """Where the registry's images are copied to: ``{"rules": […]}``, sorted."""
    answer = client.call("DescribeRegistry", tolerate=PARAMETER_CODES)
    configuration = of_type(answer.get("replicationConfiguration"), dict)
    rules = of_type(configuration.get("rules"), list)
    return canonical({"rules": _sorted(rules, "destinations", "repositoryFilters")})


def fetch_registry_policy(client: RegistryClient) -> str:
    """The registry policy's text as a JSON string, or ABSENT."""
    return _policy(client, "GetRegistryPolicy", _NO_REGISTRY_POLICY)


def fetch_repository_policy(client: RegistryClient, repository: str) -> str:
    """The repository policy's text as a JSON string, or ABSENT."""
    return _policy(client, "GetRepositoryPolicy", _NO_REPOSITORY_POLICY, repositoryName=repository)


def fetch_creation_templates(client: RegistryClient) -> str:
    """The repository creation templates as a sorted JSON list of objects, without times."""
    templates = [
        {name: template[name] for name in _TEMPLATE_FIELDS if template.get(name) is not None}
        for template in fetch_entries(
            client, "DescribeRepositoryCreationTemplates", "repositoryCreationTemplates"
        )
    ]
    return canonical(sorted(templates, key=canonical))


def fetch_scanning(client: RegistryClient, repositories: Sequence[str]) -> ScanningAnswers:
    """How at most SCANNING_BATCH ``repositories`` are scanned.

    One name that ECR does not know any more, or does not like, may cost the whole call: then halves
    are asked for, until it costs that repository alone.
    """
    answers = ScanningAnswers()
    waiting: list[Sequence[str]] = [repositories]
    while waiting:
        names = waiting.pop()
        try:
            _ask_for_scanning(client, names, answers)
        except RefusedError as error:
            reason = error.refusal.reason
            if reason != REPOSITORY_GONE and reason not in PARAMETER_CODES:
                answers.refusals.append((error.refusal, names))
                answers.refused.update(dict.fromkeys(names, error.refusal))
            elif len(names) > 1:
                middle = len(names) // 2
                waiting += [names[middle:], names[:middle]]
            else:
                answers.refused[names[0]] = error.refusal
    return answers


def _ask_for_scanning(client: RegistryClient, names: Sequence[str], answers: ScanningAnswers) -> None:
    answer = client.call(
        "BatchGetRepositoryScanningConfiguration", tolerate=PARAMETER_CODES, repositoryNames=list(names)
    )
    found = of_type(answer.get("scanningConfigurations"), list)
    left = dict.fromkeys(names)
    for entry in found:
        name = entry.get("repositoryName") if isinstance(entry, Mapping) else None
        if name in left:
            answers.settings[name] = _scanning(entry)
            del left[name]
    for failure in answer.get("failures") or ():
        name = failure.get("repositoryName") if isinstance(failure, Mapping) else None
        if name in left:
            answers.refused[name] = _failed(failure)
            del left[name]
    for name in left:
        answers.refused[name] = Refusal("NotAnswered", Reach.CALL, "the answer says nothing about it")


def _scanning(entry: Mapping[str, Any]) -> str:
    setting = {name: entry[name] for name in _SCANNING_FIELDS if entry.get(name) is not None}
    filters = setting.get("appliedScanFilters")
    if isinstance(filters, list):
        setting["appliedScanFilters"] = sorted(filters, key=canonical)
    return canonical(setting)


def _failed(failure: Mapping[str, Any]) -> Refusal:
    code = one_line(failure.get("failureCode") or "Unknown", 100)
    text = one_line(failure.get("failureReason") or "no reason was given")
    if code == "REPOSITORY_NOT_FOUND":
        return Refusal(REPOSITORY_GONE, Reach.REPOSITORY, text)
    return Refusal(code, Reach.CALL, text)


def _policy(client: RegistryClient, operation: str, none: str, **parameters: object) -> str:
    try:
        answer = client.call(operation, tolerate=(none, *PARAMETER_CODES), **parameters)
    except RefusedError as error:
        if error.refusal.reason == none:
            return ABSENT
        raise
    return canonical(of_type(answer.get("policyText"), str))


def _sorted(rules: Sequence[Any], *lists: str) -> list[Any]:
    """The rules, and the named lists in them, in an order that does not depend on the answer's."""
    if not all(isinstance(rule, Mapping) for rule in rules):
        raise RefusedError(unusable("the answer holds a rule that is no object"))
    ordered = [
        {
            name: sorted(value, key=canonical) if name in lists and isinstance(value, list) else value
            for name, value in rule.items()
        }
        for rule in rules
    ]
    return sorted(ordered, key=canonical)
