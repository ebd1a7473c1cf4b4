"""Checks of whom policies let in: the public, and accounts that nobody here knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from analyzer.hygiene.estate import Check, Estate, Found, Unjudged
from analyzer.model.findings import CheckText, Evidence
from analyzer.model.lint import Severity
from analyzer.model.registry_settings import Exposure, Grant, Openness
from analyzer.model.words import counted

#: Access that changes what others get.
_CHANGING: Final = frozenset({"push", "delete", "administer", "replicate", "import", "create"})
_SHOWN: Final = 5
_GET_POLICY: Final = (
    "aws ecr get-repository-policy --registry-id {account} --region {region} --repository-name {repository}"
)
_GET_REGISTRY_POLICY: Final = "aws ecr get-registry-policy --region {region}"


def open_to_anyone(estate: Estate) -> Iterator[Found | Unjudged]:
    """Repositories and registries that let anyone in; of public repositories, to change them."""
    for registry, row, exposure in _exposures(estate):
        is_public = row is not None and bool(estate.is_public[row])
        grants = [
            grant
            for grant in exposure.grants
            if grant.kind == "public" and not (is_public and not _CHANGING & set(grant.access))
        ]
        certain = [grant for grant in grants if not grant.is_narrowed]
        if not grants:
            if exposure.openness is Openness.UNKNOWN:
                yield Unjudged(registry=registry, row=row, reason="whom its policy lets in is not known")
            continue
        if certain:
            message = f"anyone may {_access(certain)}, in whatever account they are"
        else:
            message = (
                f"anyone who meets its policy's conditions may {_access(grants)};"
                " the conditions are not judged"
            )
        yield Found(
            registry=registry,
            row=row,
            message=message,
            severity=None if certain else Severity.MEDIUM,
            validate="" if row is not None else _GET_REGISTRY_POLICY,
            images=0 if row is None else int(estate.held[row]),
            evidence=_evidence(grants),
        )


def open_to_strangers(estate: Estate) -> Iterator[Found | Unjudged]:
    """Repositories and registries that let in accounts, organizations or principals that nobody knows."""
    known = estate.known.accounts | set(estate.accounts)
    for registry, row, exposure in _exposures(estate):
        strangers = [
            grant
            for grant in exposure.grants
            if grant.kind in {"account", "organization", "unknown"} and grant.who not in known
        ]
        if not strangers:
            if exposure.openness is Openness.UNKNOWN:
                yield Unjudged(registry=registry, row=row, reason="whom its policy lets in is not known")
            continue
        who = sorted({_named(grant) for grant in strangers})
        named = ", ".join(who[:_SHOWN]) + (f" and {len(who) - _SHOWN:,} more" if len(who) > _SHOWN else "")
        changes = any(_CHANGING & set(grant.access) for grant in strangers)
        only_organizations = all(grant.kind == "organization" for grant in strangers)
        severity = Severity.HIGH if changes else Severity.LOW if only_organizations else None
        yield Found(
            registry=registry,
            row=row,
            message=f"its policy lets {named} {_access(strangers)}",
            severity=severity,
            validate="" if row is not None else _GET_REGISTRY_POLICY,
            images=0 if row is None else int(estate.held[row]),
            evidence=_evidence(strangers),
        )


def _exposures(estate: Estate) -> Iterator[tuple[int, int | None, Exposure]]:
    """Of every registry by itself, then of every repository what its registry does not open already."""
    for registry, own in enumerate(estate.known.of_registries):
        # Public registries have no policy of their own.
        if own.scan_type != "NONE":
            yield registry, None, own.exposure
    for row, settings in enumerate(estate.known.of_repositories):
        registry = estate.registry[row]
        whole = estate.known.of_registries[registry].exposure.grants
        own_grants = tuple(grant for grant in settings.exposure.grants if not _is_within(grant, whole))
        yield registry, row, replace(settings.exposure, grants=own_grants)


def _is_within(grant: Grant, wider: Sequence[Grant]) -> bool:
    """Whether one of ``wider`` gives the same grantee as much."""
    return any(
        (other.kind, other.who) == (grant.kind, grant.who)
        and set(grant.access) <= set(other.access)
        and (grant.is_narrowed or not other.is_narrowed)
        for other in wider
    )


def _named(grant: Grant) -> str:
    kinds = {"account": "account ", "organization": "organization ", "unknown": ""}
    return f"{kinds[grant.kind]}{grant.who}"


def _access(grants: Sequence[Grant]) -> str:
    words = sorted({word for grant in grants for word in grant.access})
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _evidence(grants: Sequence[Grant]) -> tuple[Evidence, ...]:
    shown = tuple(
        Evidence(
            kind="grant",
            name=f"{grant.kind} {grant.who}",
            note=", ".join(grant.access) + (", under conditions that are not judged" * grant.is_narrowed),
        )
        for grant in grants[:_SHOWN]
    )
    left = len(grants) - len(shown)
    if left > 0:
        return (*shown, Evidence(kind="grant", name=counted(left, "other grant", "other grants")))
    return shown


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        CheckText(
            id="OPEN_TO_PUBLIC",
            severity=Severity.HIGH,
            title="Open to anyone",
            meaning=(
                "A policy lets any AWS account in. Whoever pulls makes you pay for the transfer, and sees"
                " what is in the images; whoever pushes decides what you run."
            ),
            validate=f"{_GET_POLICY}; {_GET_REGISTRY_POLICY}",
            fix=(
                "name the accounts that need it as principals, or add a condition on aws:PrincipalOrgID with"
                " your organization's id, and set the policy again: aws ecr set-repository-policy"
            ),
            source="ECR user guide, Private repository policies; IAM user guide, Policy evaluation logic",
        ),
        open_to_anyone,
    ),
    Check(
        CheckText(
            id="OPEN_TO_UNKNOWN_ACCOUNT",
            severity=Severity.MEDIUM,
            title="Open to accounts that nobody knows",
            meaning=(
                "A policy lets in accounts, organizations or principals that are neither among those that"
                " were collected nor among those that you said are known. A principal that is a bare id"
                " belonged to a role or user that is gone."
            ),
            validate=f"{_GET_POLICY}; {_GET_REGISTRY_POLICY}",
            fix=(
                "take them out of the policy; or, if they are yours or a partner's, say so with"
                " --known-account ID (an account's or an organization's)"
            ),
            source="ECR user guide, Private repository policies; IAM user guide, AWS JSON policy elements",
        ),
        open_to_strangers,
    ),
)
