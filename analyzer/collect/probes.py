"""Whether the permissions of a registry or an account are there, found out by asking for very little.

Each permission is tried by the very call that needs it, because nothing else knows about boundaries,
service control policies and policies of the repositories themselves. None of the calls changes
anything. Calls about a repository are made about the first one that is no pull-through cache, where
asking for an image that is not there might make ECR look upstream. BatchGetImage is a pull, and a
pull leaves its mark on the image: so it is asked for a digest that no image has (64 zeros), to which
ECR answers with a success and a failure in it, or AccessDeniedException. StartLifecyclePolicyPreview
cannot be tried without starting one, and is not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError

from analyzer.collect import ecr
from analyzer.collect.callers import is_excluded
from analyzer.collect.clients import Answering, RegistryClient, ServiceClient
from analyzer.collect.paging import entries, pages
from analyzer.collect.permissions import REGISTRY, REPOSITORIES, Permission
from analyzer.collect.refusals import (
    ACCESS_CODES,
    PARAMETER_CODES,
    UNSERVED_CODES,
    Reach,
    Refusal,
    RefusedError,
    one_line,
)
from analyzer.model.records import RegistryKey

_T = TypeVar("_T")

#: Repositories looked at to find one to ask about.
_LOOKED_AT = 100
#: Its hash is not that of any text that anybody knows.
_NO_DIGEST = "sha256:" + "0" * 64
#: Prefix of a pull-through cache rule that is about every repository.
_ROOT = "ROOT"

#: Whoever is told that there is none of these was let in.
_NONE_THERE = frozenset(
    {
        "LifecyclePolicyNotFoundException",
        "LifecyclePolicyPreviewInProgressException",
        "LifecyclePolicyPreviewNotFoundException",
        "RegistryPolicyNotFoundException",
        "RepositoryPolicyNotFoundException",
        # Of S3 and CloudTrail: an old file may have been archived.
        "InvalidObjectState",
        "NoSuchKey",
        "TrailNotFoundException",
    }
)

_LISTING = "ecr:DescribeRepositories"
_EXCLUSIONS = "ecr:ListPullTimeUpdateExclusions"
_RULES = "ecr:DescribePullThroughCacheRules"

_PUBLIC_REGISTRIES = "ecr-public:DescribeRegistries"
_PUBLIC_LISTING = "ecr-public:DescribeRepositories"

_LIST_REGIONS = "account:ListRegions"
_DESCRIBE_REGIONS = "ec2:DescribeRegions"
_LIST_ACCOUNTS = "organizations:ListAccounts"
_LIST_ROOTS = "organizations:ListRoots"
_OF_UNIT = ("organizations:ListAccountsForParent", "organizations:ListOrganizationalUnitsForParent")

#: What each operation on the registry as a whole is asked for.
_OF_REGISTRY: Mapping[str, Mapping[str, object]] = {
    "ecr:DescribeRegistry": {},
    "ecr:DescribeRepositoryCreationTemplates": {"maxResults": 1},
    "ecr:GetAccountSetting": {"name": "BLOB_MOUNTING"},
    "ecr:GetRegistryPolicy": {},
    "ecr:GetRegistryScanningConfiguration": {},
}


@dataclass(frozen=True, slots=True)
class _Repository:
    """The repository that is asked about."""

    name: str
    arn: str


#: What each operation on a repository is asked for.
_OF_REPOSITORY: Mapping[str, Callable[[_Repository], Mapping[str, object]]] = {
    "ecr:BatchGetImage": lambda one: {
        "repositoryName": one.name,
        "imageIds": [{"imageDigest": _NO_DIGEST}],
    },
    "ecr:BatchGetRepositoryScanningConfiguration": lambda one: {"repositoryNames": [one.name]},
    "ecr:DescribeImages": lambda one: {
        "repositoryName": one.name,
        "maxResults": 1,
        "filter": {"imageStatus": "ANY"},
    },
    "ecr:GetLifecyclePolicy": lambda one: {"repositoryName": one.name},
    "ecr:GetLifecyclePolicyPreview": lambda one: {"repositoryName": one.name, "maxResults": 1},
    "ecr:GetRepositoryPolicy": lambda one: {"repositoryName": one.name},
    "ecr:ListTagsForResource": lambda one: {"resourceArn": one.arn},
}

#: The same of public repositories.
_OF_PUBLIC: Mapping[str, Callable[[_Repository], Mapping[str, object]]] = {
    "ecr-public:DescribeImages": lambda one: {"repositoryName": one.name, "maxResults": 1},
    "ecr-public:GetRepositoryPolicy": lambda one: {"repositoryName": one.name},
    "ecr-public:ListTagsForResource": lambda one: {"resourceArn": one.arn},
}

#: What is asked of each registry's account and region where pulls are wanted.
_OF_PULLS: Mapping[str, Mapping[str, object]] = {
    "cloudtrail:LookupEvents": {"MaxResults": 1},
    # EC2 gives no fewer.
    "ec2:DescribeInstances": {"MaxResults": 5},
    "ec2:DescribeVpcEndpoints": {"MaxResults": 1},
}

#: Why some permissions are never tried.
UNTRIED: Mapping[str, str] = {
    "ecr:StartLifecyclePolicyPreview": "not tried: to ask is to start a preview",
    # Entering each account is the first thing that `find_places` does; whom it lets in is told there.
    "sts:AssumeRole": "not tried by itself: see which accounts are entered",
}


class Verdict(StrEnum):
    """What became of the question whether a permission is there."""

    GRANTED = "granted"
    DENIED = "denied"
    #: The endpoint does not know the call: there is nothing to grant.
    NOT_OFFERED = "not offered"
    #: The registry holds nothing that the question could be about.
    NOTHING_THERE = "nothing there"
    UNKNOWN = "unknown"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class Probed:
    """One permission in one registry."""

    permission: Permission
    verdict: Verdict
    #: Whom or what was asked, or what AWS said.
    detail: str = ""


@dataclass(slots=True)
class PlaceProbe:
    """What one registry let us do."""

    key: RegistryKey
    #: ARN of who asked; "" where it is not known.
    caller: str
    probed: list[Probed] = field(default_factory=list)
    #: Whether the caller's pulls leave no trace; None where that is not known.
    is_excluded: bool | None = None
    #: EKS clusters in its account and region, as far as they were asked for.
    eks_clusters: int = 0
    #: Why the registry could not be asked at all; None where it could.
    out_of_reach: Refusal | None = None


@dataclass(slots=True)
class AccountProbe:
    """What one account let us do that is about no single registry."""

    partition: str
    account: str
    #: ARN of who asked.
    caller: str
    probed: list[Probed] = field(default_factory=list)


def tried_actions() -> frozenset[str]:
    """The actions that are tried somewhere here, or known not to be."""
    return frozenset(
        {
            *(_LISTING, _EXCLUSIONS, _RULES),
            *_OF_REGISTRY,
            *_OF_REPOSITORY,
            *(_PUBLIC_REGISTRIES, _PUBLIC_LISTING),
            *_OF_PUBLIC,
            *UNTRIED,
            *_OF_PULLS,
            *(_LIST_REGIONS, _DESCRIBE_REGIONS),
            *(_LIST_ACCOUNTS, _LIST_ROOTS, *_OF_UNIT),
        }
    )


def probe_place(client: RegistryClient, permissions: Iterable[Permission]) -> PlaceProbe:
    """Try each of ``permissions``, which are ECR's, in the registry of ``client``."""
    prober = Prober(permissions)
    found = PlaceProbe(client.key, client.caller)
    listed = prober.ask(client, _LISTING, {"maxResults": _LOOKED_AT})
    refusal = prober.refusals.get(_LISTING)
    if refusal is not None and refusal.reach in (Reach.TRANSIENT, Reach.REGISTRY):
        found.out_of_reach = refusal
        prober.note_rest(Verdict.UNKNOWN, f"not asked: the registry could not be reached ({refusal.reason})")
        found.probed = prober.verdicts()
        return found
    rules = prober.try_(_RULES, lambda: ecr.fetch_pull_through_cache_rules(client))
    excluded = prober.try_(_EXCLUSIONS, lambda: ecr.fetch_pull_time_exclusions(client))
    if excluded is not None and client.caller:
        found.is_excluded = is_excluded(client.caller, json.loads(excluded))
    for action, parameters in _OF_REGISTRY.items():
        prober.ask(client, action, parameters)
    for action, reason in UNTRIED.items():
        prober.note(action, Verdict.UNTRIED, reason)
    repository, why = _chosen(listed, json.loads(rules) if rules else [])
    if repository is None:
        prober.note_rest(Verdict.UNKNOWN if listed is None else Verdict.NOTHING_THERE, why)
    else:
        for action, parameters_of in _OF_REPOSITORY.items():
            prober.ask(client, action, parameters_of(repository), f"asked about {repository.name}")
    found.probed = prober.verdicts()
    return found


def probe_public_registry(api: Answering, permissions: Iterable[Permission]) -> list[Probed]:
    """Whether ``api``, ECR Public's, says if the account has a public registry; no other is tried."""
    prober = Prober(row for row in permissions if row.action == _PUBLIC_REGISTRIES)
    prober.ask(api, _PUBLIC_REGISTRIES, {"maxResults": 1})
    return prober.verdicts()


def probe_public_place(
    api: Answering, key: RegistryKey, caller: str, permissions: Iterable[Permission]
) -> PlaceProbe:
    """Try those of ``permissions`` that are about public repositories in the registry ``key``.

    ``api`` is ECR Public's, which ``caller`` asks. Nobody's pulls of public images are recorded.
    """
    prober = Prober(row for row in permissions if row.action != _PUBLIC_REGISTRIES)
    found = PlaceProbe(key, caller)
    listed = prober.ask(api, _PUBLIC_LISTING, {"maxResults": 1})
    refusal = prober.refusals.get(_PUBLIC_LISTING)
    if refusal is not None and refusal.reach in (Reach.TRANSIENT, Reach.REGISTRY):
        found.out_of_reach = refusal
        prober.note_rest(Verdict.UNKNOWN, f"not asked: the registry could not be reached ({refusal.reason})")
        found.probed = prober.verdicts()
        return found
    repository, why = _chosen(listed, [])
    if repository is None:
        prober.note_rest(Verdict.UNKNOWN if listed is None else Verdict.NOTHING_THERE, why)
    else:
        for action, parameters_of in _OF_PUBLIC.items():
            prober.ask(api, action, parameters_of(repository), f"asked about {repository.name}")
    found.probed = prober.verdicts()
    return found


def probe_pulls(open_service: Callable[[str], Answering], rows: Iterable[Permission]) -> list[Probed]:
    """Whether the calls are granted that ``ingest --lookup`` makes in one account and region.

    ``open_service`` gives the client of a service, by boto3's name.
    """
    prober = Prober(rows)
    for action, parameters in _OF_PULLS.items():
        prober.ask(open_service(action.partition(":")[0]), action, parameters)
    return prober.verdicts()


def probe_regions(open_service: Callable[[str], ServiceClient], rows: Iterable[Permission]) -> list[Probed]:
    """Whether one of the calls is granted that say which regions an account has: one is enough.

    ``open_service`` gives the client of a service, by boto3's name.
    """
    prober = Prober(rows)
    prober.ask(open_service("account"), _LIST_REGIONS, {"MaxResults": 1})
    if _LIST_REGIONS not in prober.refusals:
        prober.note(_DESCRIBE_REGIONS, Verdict.UNTRIED, f"not needed beside {_LIST_REGIONS}")
        return prober.verdicts()
    prober.ask(open_service("ec2"), _DESCRIBE_REGIONS, {"AllRegions": False})
    if _DESCRIBE_REGIONS not in prober.refusals:
        prober.note(_LIST_REGIONS, Verdict.UNTRIED, f"not needed beside {_DESCRIBE_REGIONS}")
    else:
        prober.note(_DESCRIBE_REGIONS, Verdict.UNTRIED, f"refused as well; {_LIST_REGIONS} is enough")
    return prober.verdicts()


def probe_organization(client: ServiceClient, permissions: Iterable[Permission]) -> list[Probed]:
    """Try each of ``permissions``, which are of AWS Organizations."""
    prober = Prober(permissions)
    prober.ask(client, _LIST_ACCOUNTS, {"MaxResults": 1})
    root = prober.try_(_LIST_ROOTS, lambda: _first_root(client))
    if root:
        for action in _OF_UNIT:
            prober.ask(client, action, {"ParentId": root, "MaxResults": 1})
    else:
        prober.note_rest(Verdict.UNKNOWN, "not asked: the organization's root is not known")
    return prober.verdicts()


def _first_root(client: ServiceClient) -> str:
    """Id of the organization's root, "" where there is none; a page may be empty and not be the last."""
    roots = (root for page in pages(client, "ListRoots") for root in entries(page, "Roots"))
    return str(next(roots, {}).get("Id") or "")


def answered(ask: Callable[[], _T]) -> _T:
    """What ``ask`` gives; raises RefusedError also for what botocore cannot even ask, as of an odd ARN."""
    try:
        return ask()
    except BotoCoreError as error:
        raise RefusedError(Refusal(type(error).__name__, Reach.CALL, one_line(error))) from error


class Prober:
    """Asks, and keeps what became of each question."""

    def __init__(self, permissions: Iterable[Permission]) -> None:
        self._wanted = {row.action: row for row in permissions}
        self._probed: dict[str, Probed] = {}
        self.refusals: dict[str, Refusal] = {}

    def ask(
        self, client: Answering, action: str, parameters: Mapping[str, object], about: str = ""
    ) -> Mapping[str, Any] | None:
        """The answer to ``action``; None where it is refused, or is none of the permissions wanted."""
        tolerate = (*_NONE_THERE, *PARAMETER_CODES)

        def call() -> Mapping[str, Any]:
            return client.call(self._wanted[action].operation, tolerate=tolerate, **parameters)

        return self.try_(action, call, about)

    def try_(self, action: str, ask: Callable[[], _T], about: str = "") -> _T | None:
        """What ``ask`` gives, which is ``action``; None as `ask`."""
        if action not in self._wanted:
            return None
        try:
            answer = answered(ask)
        except RefusedError as error:
            self.refusals[action] = error.refusal
            self._probed[action] = _judged(self._wanted[action], error.refusal, about)
            return None
        self.note(action, Verdict.GRANTED, about)
        return answer

    def note(self, action: str, verdict: Verdict, detail: str) -> None:
        """Keep ``verdict``, if the permission is wanted."""
        if action in self._wanted:
            self._probed[action] = Probed(self._wanted[action], verdict, detail)

    def note_rest(self, verdict: Verdict, detail: str) -> None:
        """Keep ``verdict`` of all that has none yet."""
        for action in self._wanted.keys() - self._probed.keys():
            self.note(action, verdict, detail)

    def verdicts(self) -> list[Probed]:
        """What became of each permission wanted, by action."""
        return [self._probed[action] for action in sorted(self._wanted)]


def _judged(permission: Permission, refusal: Refusal, about: str) -> Probed:
    if refusal.reason in _NONE_THERE:
        return Probed(permission, Verdict.GRANTED, about)
    said = f"{refusal.reason}: {refusal.detail}"
    if refusal.reason in ACCESS_CODES:
        return Probed(permission, Verdict.DENIED, said)
    is_unserved = refusal.reason in UNSERVED_CODES
    # A registry-wide call has no parameter of the registry's own that could be wrong.
    is_of_registry = permission.part == REGISTRY and permission.resource != REPOSITORIES
    is_unknown_setting = refusal.reason in PARAMETER_CODES and is_of_registry
    if is_unserved or is_unknown_setting:
        return Probed(permission, Verdict.NOT_OFFERED, said)
    return Probed(permission, Verdict.UNKNOWN, said)


def _chosen(
    listed: Mapping[str, Any] | None, rules: Iterable[Mapping[str, Any]]
) -> tuple[_Repository | None, str]:
    """The repository to ask about, or None and why there is none."""
    if listed is None:
        return None, "not asked: no repository to ask about is known"
    repositories = listed.get("repositories")
    found = [
        _Repository(str(entry["repositoryName"]), str(entry.get("repositoryArn") or ""))
        for entry in (repositories if isinstance(repositories, list) else ())
        if isinstance(entry, Mapping) and entry.get("repositoryName")
    ]
    if not found:
        return None, "not asked: there is no repository to ask about"
    prefixes = [str(rule.get("ecrRepositoryPrefix") or "") for rule in rules]
    for repository in found:
        if not any(_covers(prefix, repository.name) for prefix in prefixes):
            return repository, ""
    return None, f"not asked: the first {len(found)} repositories are pull-through caches"


def _covers(prefix: str, name: str) -> bool:
    """Whether a pull-through cache rule with ``prefix`` makes repositories called ``name``."""
    return prefix == _ROOT or name.startswith(f"{prefix.rstrip('/')}/")
