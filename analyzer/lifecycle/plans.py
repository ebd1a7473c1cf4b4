"""Lifecycle policies in a Terraform or OpenTofu plan: what a pull request would change.

Reads the document that ``terraform show -json PLANFILE`` (``tofu show -json``) prints, after
HashiCorp's "Terraform JSON Output Format". Resources of type ``aws_ecr_lifecycle_policy`` are
found under any module, count or for_each. What is known only after apply is followed through the
configuration as far as the document goes (``plan_references``), and is else unknown, with a
reason: a guess would have the wrong repository judged.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from analyzer.errors import InputError
from analyzer.json_texts import read_json_texts
from analyzer.lifecycle.parsing import InvalidPolicy, PolicyError, parse_policy
from analyzer.lifecycle.plan_references import Found, PlanReferences, as_object
from analyzer.lifecycle.policy import Policy

_TYPE: Final = "aws_ecr_lifecycle_policy"
#: The Cloud Control provider keeps a repository's policy inside the repository.
_CLOUD_CONTROL: Final = "awscc_ecr_repository"
#: 0 was the format of Terraform 0.12 to 1.0; minor versions only add.
_MAJOR_VERSIONS: Final = ("0", "1")
_HOW: Final = "give what `terraform show -json PLANFILE` (or `tofu show -json PLANFILE`) prints"

_CREATE_BEFORE_DESTROY: Final = (
    "create_before_destroy puts the new policy and then deletes the policy of the same repository: it may"
    " end up with none"
)
_DEPOSED: Final = (
    "a deposed object is deleted: that deletes the repository's policy, also one that another resource"
    " has put"
)

_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]{2,20}){1,3}-[0-9]{1,2}")
#: arn:PARTITION:ecr:REGION:ACCOUNT:repository/NAME
_REPOSITORY_ARN = re.compile(r"arn:aws[a-z-]*:ecr:([a-z0-9-]+):([0-9]{12}):repository/.+", re.DOTALL)


class PlannedAction(StrEnum):
    """What the plan does with a policy."""

    CREATE = "create"
    UPDATE = "update"
    #: Deleted and made anew, in either order.
    REPLACE = "replace"
    DELETE = "delete"
    NO_OP = "no-op"
    #: Terraform no longer manages it; in ECR it stays as it is.
    FORGET = "forget"
    #: An action that this version does not know.
    UNKNOWN = "unknown"


_ACTIONS: Final[Mapping[tuple[str, ...], PlannedAction]] = {
    ("no-op",): PlannedAction.NO_OP,
    ("create",): PlannedAction.CREATE,
    ("update",): PlannedAction.UPDATE,
    ("delete",): PlannedAction.DELETE,
    ("delete", "create"): PlannedAction.REPLACE,
    ("create", "delete"): PlannedAction.REPLACE,
    ("forget",): PlannedAction.FORGET,
    # The old object is let go of and stays in ECR.
    ("create", "forget"): PlannedAction.CREATE,
    ("forget", "create"): PlannedAction.CREATE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPolicy:
    """One ``aws_ecr_lifecycle_policy`` of a plan."""

    #: ``module.team["a"].aws_ecr_lifecycle_policy.this[0]``
    address: str
    action: PlannedAction
    #: Name of the repository that has the policy after apply (DELETE: that loses it), None when
    #: unknown.
    repository: str | None
    #: None where the plan does not say it: then it is wherever the provider is pointed to.
    region: str | None
    account: str | None
    #: The policy after apply; None when it is deleted, or unknown.
    text: str | None
    #: The policy and its repository before; None where the plan has none.
    before_text: str | None
    before_repository: str | None
    #: Why ``repository`` or ``text`` is not known; "" where both are.
    reason: str
    #: How ``repository`` was found where the plan itself leaves it open; "" where it does not.
    inferred: str
    #: What the plan would do that its author may not mean.
    warnings: tuple[str, ...]

    @property
    def changes(self) -> bool:
        """Whether ECR would be another after apply."""
        return self.action not in (PlannedAction.NO_OP, PlannedAction.FORGET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The lifecycle policies of one plan, by address."""

    #: What the user calls the document.
    origin: str
    policies: tuple[PlannedPolicy, ...]
    #: About the plan as a whole.
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPolicy:
    """A planned policy, its text parsed."""

    planned: PlannedPolicy
    #: None where there is no text, or ECR would refuse it.
    policy: Policy | None
    #: Everything that ECR would refuse in the text.
    errors: tuple[PolicyError, ...]


def read_plan(text: str, origin: str) -> Plan:
    """The lifecycle policies that the plan ``text`` holds, changed or not.

    Raises InputError, naming ``origin``, for anything that is no plan in JSON of a known version.
    """
    document = _document(text, origin)
    entries = document.get("resource_changes") or []
    if not isinstance(entries, list):
        raise InputError(f"{origin}: resource_changes is no list; {_HOW}")
    references = PlanReferences(document)
    policies = [
        _planned(entry, references, f"{origin}: resource_changes[{number}]")
        for number, entry in enumerate(entries)
        if _is_policy(entry)
    ]
    policies.sort(key=lambda policy: policy.address)
    return Plan(
        origin=origin,
        policies=tuple(policies),
        warnings=(*_warnings(document, entries), *_contested(policies)),
    )


def policies_of_plan(plan: Plan) -> tuple[PlanPolicy, ...]:
    """Every policy of ``plan``, parsed as ECR would; in the plan's order."""
    return tuple(_parsed(planned) for planned in plan.policies)


def _parsed(planned: PlannedPolicy) -> PlanPolicy:
    if planned.text is None:
        return PlanPolicy(planned=planned, policy=None, errors=())
    try:
        return PlanPolicy(planned=planned, policy=parse_policy(planned.text), errors=())
    except InvalidPolicy as error:
        return PlanPolicy(planned=planned, policy=None, errors=error.errors)


def _document(text: str, origin: str) -> Mapping[str, Any]:
    """The plan's object, its version checked."""
    document, *others = read_json_texts(text, origin, _HOW)
    if isinstance(document, dict) and "@level" in document:
        raise InputError(f"{origin} is the log of `terraform plan -json`; {_HOW}")
    if others:
        raise InputError(f"{origin} holds {1 + len(others)} JSON documents; {_HOW}")
    if not isinstance(document, dict):
        raise InputError(f"{origin} holds no JSON object; {_HOW}")
    version = document.get("format_version")
    if not isinstance(version, str):
        raise InputError(f"{origin} has no format_version, so it is no plan in JSON; {_HOW}")
    if version.split(".")[0] not in _MAJOR_VERSIONS:
        raise InputError(
            f"{origin} has format_version {version[:40]!r}; this version of demurrage reads 0.x and 1.x"
        )
    if not document.keys() & {"planned_values", "resource_changes", "configuration"}:
        what = "a state" if "values" in document else "no plan"
        raise InputError(f"{origin} is {what}; {_HOW}")
    return document


def _is_policy(entry: object) -> bool:
    return (
        isinstance(entry, dict) and entry.get("type") == _TYPE and entry.get("mode", "managed") == "managed"
    )


def _planned(entry: Mapping[str, Any], references: PlanReferences, place: str) -> PlannedPolicy:
    """One entry of resource_changes; raises InputError, naming ``place``, for what is malformed."""
    address, change = entry.get("address"), entry.get("change")
    if not isinstance(address, str) or not isinstance(change, dict):
        raise InputError(f"{place} has no address or no change; {_HOW}")
    actions = change.get("actions")
    if not isinstance(actions, list) or not all(isinstance(one, str) for one in actions):
        raise InputError(f"{place} ({address[:100]}) has no list of actions; {_HOW}")
    action = _ACTIONS.get(tuple(actions), PlannedAction.UNKNOWN)
    before, after = as_object(change.get("before")), as_object(change.get("after"))
    unknown = as_object(change.get("after_unknown"))
    reasons: list[str] = []
    found = references.repository_of(entry)
    inferred = ""
    repository, text = _text(before.get("repository")), None
    if action is PlannedAction.UNKNOWN:
        reasons.append(f"the plan's action {json.dumps(actions)[:100]} is not known to this version")
    elif action not in (PlannedAction.DELETE, PlannedAction.FORGET):
        repository = _text(after.get("repository"))
        if repository is None:
            repository = found.name
            inferred = found.how if repository is not None else ""
        if repository is None:
            when = "known only after apply" if unknown.get("repository") is True else "not in the plan"
            reasons.append(f"its repository is {when}" + (f" ({found.how})" if found.how else ""))
        text = _text(after.get("policy"))
        if text is None:
            when = "known only after apply" if unknown.get("policy") is True else "not in the plan"
            reasons.append(f"its policy is {when}")
    elif repository is None:
        reasons.append("its repository is not in the plan")
    elif action is PlannedAction.FORGET:
        text = _text(before.get("policy"))
    if isinstance(deposed := entry.get("deposed"), str):
        # What an interrupted replacement left behind; its address is that of its successor.
        address += f" (deposed {deposed})"
    if unknown.get("region") is True:
        # Replaced because it moves: where it was says nothing.
        before = {key: value for key, value in before.items() if key != "region"}
    region, account = _place(before, after, found, references.provider_of(entry))
    return PlannedPolicy(
        address=address,
        action=action,
        repository=repository,
        region=region,
        account=account,
        text=text,
        before_text=_text(before.get("policy")),
        before_repository=_text(before.get("repository")),
        reason="; ".join(reasons),
        inferred=inferred,
        warnings=_traps(entry, actions, before, repository),
    )


def _traps(
    entry: Mapping[str, Any], actions: list[Any], before: Mapping[str, Any], repository: str | None
) -> tuple[str, ...]:
    # Deleting the resource is DeleteLifecyclePolicy on its repository, whoever put the policy there.
    is_same = repository is not None and repository == before.get("repository")
    if actions == ["create", "delete"] and is_same:
        return (_CREATE_BEFORE_DESTROY,)
    if "deposed" in entry and actions == ["delete"]:
        return (_DEPOSED,)
    return ()


def _place(
    before: Mapping[str, Any], after: Mapping[str, Any], found: Found, provider: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    """Region and account of a policy, from the best of what the plan says.

    Its own ``region`` (since version 6 of the AWS provider) and ``registry_id``, then those of the
    repository that it refers to, then the provider's configuration.
    """
    regions: list[object] = [after.get("region"), before.get("region"), found.values.get("region")]
    accounts: list[object] = [
        after.get("registry_id"),
        before.get("registry_id"),
        found.values.get("registry_id"),
    ]
    arn = found.values.get("arn")
    if isinstance(arn, str) and (matched := _REPOSITORY_ARN.fullmatch(arn)):
        regions.append(matched[1])
        accounts.append(matched[2])
    regions.append(provider.get("region"))
    accounts.append(provider.get("account"))
    return _first(regions, _REGION), _first(accounts, _ACCOUNT)


def _first(values: list[object], pattern: re.Pattern[str]) -> str | None:
    return next((one for one in values if isinstance(one, str) and pattern.fullmatch(one)), None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _warnings(document: Mapping[str, Any], entries: list[Any]) -> list[str]:
    said = []
    if document.get("errored") is True:
        said.append("planning ended with an error: what the plan would do after it is not in it")
    deferred = document.get("deferred_changes")
    for one in deferred if isinstance(deferred, list) else ():
        change = as_object(as_object(one).get("resource_change"))
        if _is_policy(change):
            said.append(
                f"{change.get('address')} is deferred to a later plan ({as_object(one).get('reason')}):"
                " it is not judged"
            )
    others = sum(1 for entry in entries if isinstance(entry, dict) and entry.get("type") == _CLOUD_CONTROL)
    if others:
        said.append(f"policies inside {_CLOUD_CONTROL} are not read; the plan has {others} such resources")
    return said


def _contested(policies: list[PlannedPolicy]) -> list[str]:
    """A warning per repository that two resources of the plan give a policy to: the last one wins."""
    writers = Counter(
        (policy.account or "", policy.region, policy.repository)
        for policy in policies
        # Equal names in regions that are not known may be two repositories.
        if policy.region is not None
        and policy.repository is not None
        and policy.action
        in (PlannedAction.CREATE, PlannedAction.UPDATE, PlannedAction.REPLACE, PlannedAction.NO_OP)
    )
    return [
        f"{number} resources of the plan set the policy of repository {repository}: each apply would undo the"
        " others'"
        for (_, _, repository), number in sorted(writers.items())
        if number > 1
    ]
