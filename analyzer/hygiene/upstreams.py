"""Check of upstream registries that are used directly where ECR's pull-through cache can stand for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from analyzer.errors import InputError
from analyzer.hygiene.estate import EXAMPLES, Check, Estate, Found, Unjudged
from analyzer.model.findings import CheckText, Evidence
from analyzer.model.lint import Severity
from analyzer.model.transfer import TransferCode, TransferFinding
from analyzer.model.words import counted, images
from analyzer.references.parsing import parse_reference
from analyzer.references.upstreams import cached_repository, upstream_of
from analyzer.transfer import read_cache_rules


@dataclass(slots=True)
class _Uses:
    """What uses one upstream in one account and region."""

    transfers: list[TransferFinding] = field(default_factory=list)
    #: Positions of images that say they were built on one of its images, by what they name.
    bases: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


def upstreams_used_directly(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per registry and upstream: workloads that pull from it, and images that were built on what it has."""
    known = estate.known
    if known.transfers is None and not known.base_names:
        for registry in range(len(estate.regions)):
            yield Unjudged(
                registry=registry, row=None, reason="no workloads were read: what they pull is unknown"
            )
        return
    for (registry, upstream), uses in sorted(_by_upstream(estate).items()):
        rules = read_cache_rules(known.settings.registries[registry])
        prefixes = sorted(rule.prefix for rule in rules or () if rule.upstream == upstream)
        parts = []
        if uses.transfers:
            users = {(one.source, user.workload) for one in uses.transfers for user in one.users}
            workloads = counted(len(users), "workload pulls", "workloads pull")
            parts.append(
                f"{workloads} {counted(len(uses.transfers), 'image', 'images')} from {upstream} directly"
            )
        if uses.bases:
            number = sum(map(len, uses.bases.values()))
            verb = "says that it was" if number == 1 else "say that they were"
            parts.append(f"{images(number)} {verb} built on an image of {upstream}")
        cache = (
            "whether a pull-through cache rule stands for it is not known"
            if rules is None
            else f"a pull-through cache rule with the prefix {prefixes[0]} stands for it"
            if prefixes
            else "no pull-through cache rule stands for it"
        )
        yield Found(
            registry=registry,
            row=None,
            subject=upstream,
            message=f"{' and '.join(parts)}; {cache}",
            severity=Severity.MEDIUM if prefixes else Severity.LOW,
            fix=(
                f"name the images through the cache, as the evidence says: the rule with the prefix"
                f" {prefixes[0]} is there"
                if prefixes
                else ""
            ),
            images=0,
            evidence=(*_workloads(uses), *_bases(estate, uses, registry, prefixes))[: 2 * EXAMPLES],
        )


def _by_upstream(estate: Estate) -> dict[tuple[int, str], _Uses]:
    known = estate.known
    places = {place: number for number, place in enumerate(zip(estate.accounts, estate.regions, strict=True))}
    found: dict[tuple[int, str], _Uses] = defaultdict(_Uses)
    for one in known.transfers.findings if known.transfers is not None else ():
        if one.code is TransferCode.PUBLIC_UPSTREAM and (one.account, one.region) in places:
            found[places[one.account, one.region], one.upstream].transfers.append(one)
    if known.base_names:
        upstream_by_name = {name: _upstream(name) for name in set(known.base_names.values())}
        digests = known.frames.artifacts.digest_id
        for position in np.flatnonzero(np.isin(digests, list(known.base_names))).tolist():
            name = known.base_names[int(digests[position])]
            if upstream := upstream_by_name[name]:
                row = int(estate.repository[position])
                if not estate.is_public[row]:
                    found[estate.registry[row], upstream].bases[name].append(position)
    return found


def _upstream(name: str) -> str:
    """The upstream of an image's name; "" where there is none, or no name: anybody may write anything."""
    try:
        return upstream_of(parse_reference(name))
    except InputError:
        return ""


def _workloads(uses: _Uses) -> list[Evidence]:
    found = []
    for one in uses.transfers[:EXAMPLES]:
        first = one.users[0].workload if one.users else ""
        more = f" and {len(one.users) - 1:,} more" if len(one.users) > 1 else ""
        instead = f"; name instead: {one.better_reference}" if one.better_reference else ""
        found.append(
            Evidence(
                kind="workload",
                name=f"{one.account}/{one.region}/{one.source}/{first}",
                note=f"pulls {one.reference}{more}{instead}",
            )
        )
    return found


def _bases(estate: Estate, uses: _Uses, registry: int, prefixes: Sequence[str]) -> list[Evidence]:
    found = []
    for name, positions in sorted(uses.bases.items())[:EXAMPLES]:
        instead = ""
        if prefixes:
            cached = cached_repository(parse_reference(name), prefixes[0])
            place = f"{estate.accounts[registry]}/{estate.regions[registry]}"
            instead = f"; through the cache it is {cached} of {place}"
        repositories = sorted({estate.names[int(estate.repository[position])] for position in positions})
        found.append(
            Evidence(
                kind="repository",
                name=repositories[0],
                note=(
                    f"{images(len(positions))} of {counted(len(repositories), 'repository', 'repositories')}"
                    f" built on {name}{instead}"
                ),
            )
        )
    return found


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        CheckText(
            id="UPSTREAM_USED_DIRECTLY",
            severity=Severity.LOW,
            title="Images come from an upstream registry although ECR can cache it",
            meaning=(
                "Workloads name images of a registry that a pull-through cache can stand for, or images of"
                " this registry say (by the annotation org.opencontainers.image.base.name) that they were"
                " built on one. Each cold pull then depends on that registry, its limits and its terms, and"
                " goes through the NAT gateway where there is one. It is more urgent where a rule is there"
                " and not used."
            ),
            validate=(
                "aws ecr describe-pull-through-cache-rules --registry-id {account} --region {region}"
                " --query 'pullThroughCacheRules[].[ecrRepositoryPrefix,upstreamRegistryUrl]'"
            ),
            fix=(
                "create a rule for {subject} (aws ecr create-pull-through-cache-rule --region {region}"
                " --ecr-repository-prefix PREFIX --upstream-registry-url {subject}; some upstreams need a"
                " --credential-arn), give what it will hold a lifecycle policy by a repository creation"
                " template, and name the images through it"
            ),
            source="ECR user guide, Sync an upstream registry with an Amazon ECR private registry",
        ),
        upstreams_used_directly,
    ),
)
