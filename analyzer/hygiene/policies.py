"""Checks of lifecycle policies: what ``lint`` finds of those in force, and repositories that need one most.

Each code of ``lint`` is a check of the same id, but for the one about images that a user protects. What
lint says stays lint's: message and fix are its own, and here stand the words around them, and which of
the images could leave without anybody missing them. That a repository lacks a policy several of these
checks see: it is told once, by the one that knows best what to put there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import numpy as np

from analyzer.hygiene.estate import Check, Estate, Found, Unjudged
from analyzer.model.findings import CheckText, Evidence
from analyzer.model.frames import Int64
from analyzer.model.lint import LintCode, LintFinding, Severity
from analyzer.model.words import counted, images

_GET_POLICY: Final = (
    "aws ecr get-lifecycle-policy --registry-id {account} --region {region} --repository-name {repository}"
)
_LINT: Final = "demurrage lint --repository {repository}"
_RECOMMEND: Final = "`demurrage recommend --repository {repository}` works a safe policy out"
_RULES: Final = "ECR user guide, Lifecycle policies: how they work, and their parameters"

#: Codes about images that pile up: mending them frees those that can go.
_PILING: Final = frozenset({LintCode.NO_POLICY, LintCode.UNCAPPED_TAGGED, LintCode.UNCAPPED_ORPHANED})
#: Codes of a policy that is not there.
_OF_LACK: Final = frozenset({LintCode.NO_POLICY, LintCode.REPLICA_POLICY_DIFFERS})
_REPLICA: Final = "REPLICA_WITHOUT_POLICY"
_CACHE: Final = "CACHE_WITHOUT_POLICY"
#: Lint has two findings of these codes about one rule, told apart by how much they matter: what the one
#: that matters less (or may be so) has behind its subject.
_SECOND: Final[Mapping[tuple[LintCode, Severity], str]] = {
    (LintCode.TAKES_IN_USE, Severity.MEDIUM): "previous",
    (LintCode.UNCAPPED_TAGGED, Severity.LOW): "archived",
    (LintCode.STRIPS_CHILDREN, Severity.HIGH): "possible",
}

#: Title, ordinary severity, meaning, source. What to do is in lint's own words.
_TEXTS: Final[Mapping[LintCode, tuple[str, Severity, str, str]]] = {
    LintCode.NO_POLICY: (
        "No lifecycle policy",
        Severity.MEDIUM,
        (
            "Nothing ever leaves the repository by itself: every push is paid for until somebody deletes it."
            f" Of caches and replicas {_CACHE}, {_REPLICA} and {LintCode.REPLICA_POLICY_DIFFERS} tell it"
            " in place of this check."
        ),
        _RULES,
    ),
    LintCode.POLICY_UNREADABLE: (
        "Whether there is a policy is not known",
        Severity.MEDIUM,
        "The policy could not be read, so that nothing about it was judged.",
        "ECR API reference, GetLifecyclePolicy",
    ),
    LintCode.POLICY_INVALID: (
        "A policy that cannot be judged",
        Severity.HIGH,
        "The policy's text is not one that ECR accepts, as far as its rules are known here.",
        _RULES,
    ),
    LintCode.RULE_MATCHES_NOTHING: (
        "A rule that selects nothing",
        Severity.LOW,
        "No image has tags that the rule asks for. Often a tag scheme changed, and the rule did not.",
        _RULES,
    ),
    LintCode.RULE_SHADOWED: (
        "A rule that never decides",
        Severity.LOW,
        (
            "Each image is decided by the first rule that selects it, and rules of smaller numbers select all"
            " that this one does."
        ),
        _RULES,
    ),
    LintCode.AND_TRAP: (
        "A list that no image can meet",
        Severity.HIGH,
        (
            "An image must meet every entry of a rule's list of tags. Whoever wrote the list most likely"
            " meant any of them."
        ),
        "ECR user guide, Lifecycle policy parameters: tagPatternList and tagPrefixList",
    ),
    LintCode.UNCAPPED_TAGGED: (
        "Tagged images that no rule ever takes",
        Severity.MEDIUM,
        (
            "The policy leaves these images alone for ever, by a gap between its rules or by a limit that is"
            " never reached."
        ),
        _RULES,
    ),
    LintCode.UNCAPPED_ORPHANED: (
        "Orphaned images that no rule ever takes",
        Severity.MEDIUM,
        "No tag reaches these images, and the policy has no rule for them.",
        _RULES,
    ),
    LintCode.STRIPS_CHILDREN: (
        "A rule that claims children of indexes",
        Severity.LOW,
        (
            "ECR deletes no image that an index refers to: such a claim frees nothing. Where an index could"
            " not be read, nobody knows which images it needs."
        ),
        "ECR user guide, Lifecycle policies: images referenced by a manifest list",
    ),
    LintCode.TAKES_IN_USE: (
        "A policy takes images in use",
        Severity.HIGH,
        (
            "Workloads run these images, would start with them, or would roll back to them. Once they are"
            " gone, the next start fails."
        ),
        "the references of the workloads that were read",
    ),
    LintCode.ARCHIVE_WITHOUT_PAYBACK: (
        "Archiving that saves nothing",
        Severity.MEDIUM,
        "At the volumes that are there the archive class is no cheaper than the standard class.",
        "ECR pricing, archive storage",
    ),
    LintCode.REPLICA_POLICY_DIFFERS: (
        "Replicas under different policies",
        Severity.MEDIUM,
        "Policies do not replicate. Repositories that hold the same images are cleaned up differently.",
        "ECR user guide, Private image replication: considerations",
    ),
    LintCode.COUNT_RULE_SLOTS_HELD: (
        "Children of indexes take a rule's places",
        Severity.LOW,
        (
            "The rule counts each platform of an index as an image of its own, so that it keeps fewer"
            " releases than its number says."
        ),
        _RULES,
    ),
    LintCode.NEVER_ACTS: (
        "A rule that acts on nothing today",
        Severity.INFO,
        "The rule selects images and its limit spares all of them. That is right for a rule that keeps.",
        _RULES,
    ),
}

_KEPT_LONG: Final = (
    "if those of these images leave that are stale or orphaned, and that nothing known uses; a policy may"
    " take more"
)


def _of_code(code: LintCode, estate: Estate) -> Iterator[Found]:
    """What lint says under ``code``, but for what another check tells."""
    telling = _telling(estate) if code in _OF_LACK else {}
    rows: dict[tuple[str, str, str], int] = {}
    for row in estate.rows:
        registry = estate.registry[row]
        # Of a repository that was made again the later row is the one that is there.
        rows[estate.accounts[registry], estate.regions[registry], estate.names[row]] = row
    for finding in estate.known.lint:
        if finding.code is code:
            row = rows[finding.account, finding.region, finding.repository]
            if telling.get(row, code) == code:
                yield _found(estate, row, finding, is_piling=code in _PILING or row in telling)


def _telling(estate: Estate) -> dict[int, str]:
    """Rows of repositories that hold something and lack a policy, with the check that tells of it.

    What leaves a cache comes back when it is asked for, and a replica should have its source's policy:
    these know more of what to put than that other registries have one for the same images, and all of
    them more than that there is none.
    """
    is_cache = estate.known.frames.repositories["pull_through_cache"].tolist()
    differing = {
        (finding.account, finding.region, finding.repository)
        for finding in estate.known.lint
        if finding.code is LintCode.REPLICA_POLICY_DIFFERS
    }
    telling: dict[int, str] = {}
    for row, _ in _lacking(estate):
        registry = estate.registry[row]
        if is_cache[row]:
            telling[row] = _CACHE
        elif estate.known.of_repositories[row].replica_of:
            telling[row] = _REPLICA
        elif (estate.accounts[registry], estate.regions[registry], estate.names[row]) in differing:
            telling[row] = LintCode.REPLICA_POLICY_DIFFERS
        else:
            telling[row] = LintCode.NO_POLICY
    return telling


def _found(estate: Estate, row: int, finding: LintFinding, *, is_piling: bool) -> Found:
    """``is_piling``: mending it frees those of its images that can go."""
    return Found(
        registry=estate.registry[row],
        row=row,
        subject=_subject(finding),
        severity=finding.severity,
        message=finding.message,
        fix=finding.fix,
        images=finding.images,
        artifacts=finding.artifacts,
        leaves=_of_waste(estate, finding.artifacts) if is_piling else None,
        saving_note=_note(estate) if is_piling else "",
        evidence=tuple(
            Evidence(
                kind="workload",
                name=f"{use.source} {use.account}/{use.region} {use.workload}" if use.account else use.source,
                note=f"{use.kind}: {use.reference}",
            )
            for use in finding.users[:3]
        ),
    )


def _subject(finding: LintFinding) -> str:
    # An invalid policy names the rule of its first error, which changes as errors are mended.
    has_rule = finding.rule is not None and finding.code is not LintCode.POLICY_INVALID
    parts = [f"rule-{finding.rule}"] if has_rule else []
    # By its rule alone, what a policy archives for ever stands apart already.
    if second := _SECOND.get((finding.code, finding.severity)):
        parts.append(second)
    return "-".join(parts)


def _of_waste(estate: Estate, positions: Int64) -> Int64:
    """What of these can leave, with the referrers that go with it."""
    return estate.with_referrers(positions[estate.waste[positions]])


def _note(estate: Estate) -> str:
    return _KEPT_LONG if estate.known.usage is not None else f"{_KEPT_LONG}; what workloads use was not read"


def replicas_without_policy(estate: Estate) -> Iterator[Found]:
    """Repositories that replication fills, and that have no policy of their own."""
    telling = _telling(estate)
    for row, positions in _lacking(estate):
        if telling[row] == _REPLICA:
            sources = estate.known.of_repositories[row].replica_of
            places = ", ".join(f"{place.account}/{place.region}" for place in sources[:3])
            yield _without(
                estate,
                row,
                positions,
                f"replication fills it from {places}, and its {images(len(positions))} stay for ever:"
                " policies and deletions at the source do not reach it",
            )


def caches_without_policy(estate: Estate) -> Iterator[Found | Unjudged]:
    """Repositories that a pull-through cache fills, and that have no policy."""
    repositories = estate.known.frames.repositories
    is_known = repositories["pull_through_cache_known"].tolist()
    is_cache = repositories["pull_through_cache"].tolist()
    for row, positions in _lacking(estate):
        if not is_known[row]:
            yield Unjudged(
                registry=estate.registry[row],
                row=row,
                reason="whether a pull-through cache fills it is not known",
            )
        elif is_cache[row]:
            yield _without(
                estate,
                row,
                positions,
                "a pull-through cache fills it, and everything that was ever pulled through stays:"
                f" {counted(len(positions), 'artifact', 'artifacts')}",
            )


def _lacking(estate: Estate) -> Iterator[tuple[int, Int64]]:
    """Rows of private repositories that hold something and are known to have no policy."""
    repositories = estate.known.frames.repositories
    is_known = repositories["lifecycle_policy_known"].to_numpy(np.bool_)
    lacking = is_known & (estate.known.policy_of < 0) & ~estate.is_public
    lacking[list(estate.known.policy_problems)] = False
    yield from estate.by_repository(lacking[estate.repository])


def _without(estate: Estate, row: int, positions: Int64, message: str) -> Found:
    return Found(
        registry=estate.registry[row],
        row=row,
        message=message,
        artifacts=positions,
        leaves=_of_waste(estate, positions),
        saving_note=_note(estate),
    )


def _check_of(code: LintCode) -> Check:
    title, severity, meaning, source = _TEXTS[code]
    text = CheckText(
        id=str(code),
        severity=severity,
        title=title,
        meaning=meaning,
        validate=f"{_LINT}; {_GET_POLICY}",
        fix=_RECOMMEND,
        source=source,
    )
    find: Callable[[Estate], Iterable[Found]] = partial(_of_code, code)
    return Check(text, find)


CHECKS: Final[tuple[Check, ...]] = (
    *(_check_of(code) for code in _TEXTS),
    Check(
        CheckText(
            id=_REPLICA,
            severity=Severity.MEDIUM,
            title="A replica without a policy",
            meaning=(
                "Replication copies images, and neither policies nor (unless a rule says so) deletions. A"
                " replica without a policy of its own keeps all that its source ever held."
            ),
            validate=f"aws ecr describe-registry --region {{region}}; {_GET_POLICY}",
            fix=(
                "put the policy of the source here too; a repository creation template does so for"
                f" repositories to come. {_RECOMMEND}"
            ),
            source="ECR user guide, Private image replication: considerations",
        ),
        replicas_without_policy,
    ),
    Check(
        CheckText(
            id=_CACHE,
            severity=Severity.MEDIUM,
            title="A pull-through cache without a policy",
            meaning=(
                "ECR makes repositories for what is pulled through a cache and never cleans them up. An image"
                " that leaves is fetched again when it is next asked for."
            ),
            validate=f"aws ecr describe-pull-through-cache-rules --region {{region}}; {_GET_POLICY}",
            fix=(
                "put a policy that expires what was not pulled for some weeks (countType sinceImagePulled); a"
                " repository creation template does so for repositories to come"
            ),
            source="ECR user guide, Sync an upstream registry: repository creation templates",
        ),
        caches_without_policy,
    ),
)
