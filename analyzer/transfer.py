"""What the image references of workloads tell about transfer, without any log.

A reference whose registry is in another region than the workload makes bytes cross regions at every
cold pull, which the registry's owner pays (ECR pricing, "Data transfer"). A reference to a replica
does not, wherever the image was pushed first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

import numpy as np

from analyzer.cold_pulls import ColdPulls
from analyzer.families import INDEX, Families
from analyzer.model.frames import Frames, Int64, LifecycleFacts
from analyzer.model.records import ReadStatus
from analyzer.model.transfer import (
    EXPLANATIONS,
    ColdPull,
    MoneyRange,
    TransferCode,
    TransferFinding,
    TransferFindings,
    User,
)
from analyzer.model.units import GB, Money
from analyzer.model.usage import KINDS, Workloads
from analyzer.pricing import PriceBook, exact_decimal
from analyzer.references.in_use import with_children
from analyzer.references.parsing import ImageReference, RegistryKind, parse_reference
from analyzer.references.resolution import DigestIds, Fate, Named, Resolver, read_texts
from analyzer.references.upstreams import cached_repository, upstream_of

#: Sources whose service takes images of its own region only.
_REGIONAL: Final = frozenset({"lambda", "sagemaker"})
#: Domains of the registries of partitions, for references that are put together here.
_DOMAINS: Final = {"aws": "amazonaws.com", "aws-cn": "amazonaws.com.cn", "aws-us-gov": "amazonaws.com"}
_ORDER: Final = {code: number for number, code in enumerate(EXPLANATIONS)}


#: Digest ids of an index and a child of it that is no image for any platform, of these indexes.
Attestations = Callable[[Sequence[int]], Collection[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class CacheRule:
    """A pull-through cache rule of a registry."""

    prefix: str
    #: ``upstreamRegistryUrl``.
    upstream: str


def find_transfers(
    workloads: Workloads,
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    prices: PriceBook,
    *,
    digest_ids: DigestIds,
    digests: Callable[[Int64], list[str]],
    caches: Sequence[Sequence[CacheRule] | None],
    attestations: Attestations,
) -> TransferFindings:
    """The references of ``workloads`` to images that are not in their own account and region.

    ``caches`` are the pull-through cache rules of each registry of ``frames``, None where they are not
    known. ``digest_ids`` and ``digests`` translate digests of artifacts; ``attestations`` is asked
    once, for the indexes that are pulled.
    """
    search = _Search(workloads, frames, facts, families, prices, digest_ids, digests, caches, attestations)
    return search.go()


def price_of_bytes(
    prices: PriceBook, from_region: str, to_region: str, size_bytes: int, *, period: str
) -> Money:
    """What so many bytes cost from one region to another, discount included; none in the same region."""
    if from_region == to_region:
        return Money(Decimal(0), period=period)
    price = prices.transfer.between(from_region, to_region)
    if price is None:
        reason = f"no price for transfer from {from_region} to {to_region}"
        return Money(None, period=period, leaves_out=(reason,))
    factor = Fraction(prices.transfer_factor(from_region))
    return Money(exact_decimal(Fraction(size_bytes, GB) * Fraction(price.usd_per_gb) * factor), period=period)


@dataclass(frozen=True, slots=True)
class _Group:
    """The workloads of one place and source that give one reference."""

    place: int
    source: int
    reference: int
    #: Positions of uses.
    uses: Sequence[int]


class _Search:
    def __init__(
        self,
        workloads: Workloads,
        frames: Frames,
        facts: LifecycleFacts,
        families: Families,
        prices: PriceBook,
        digest_ids: DigestIds,
        digests: Callable[[Int64], list[str]],
        caches: Sequence[Sequence[CacheRule] | None],
        attestations: Attestations,
    ) -> None:
        self._workloads = workloads
        self._frames = frames
        self._prices = prices
        self._digest_ids = digest_ids
        self._digests = digests
        self._caches = caches
        self._families = families
        self._attestations = attestations
        self._cold = ColdPulls(frames, families)
        self._resolver = Resolver(frames, facts, digest_ids, whole_registries=True)
        registries = frames.registries
        self._partitions = registries["partition"].tolist()
        self._places: list[tuple[str, str]] = list(
            zip(registries["account"], registries["region"], strict=True)
        )
        self._is_whole = [status == ReadStatus.COMPLETE for status in registries["status"]]
        self._registry: list[int] = frames.repositories["registry"].tolist()
        rows = zip(self._registry, frames.repositories["repository"], strict=True)
        # Of a repository that was made again the later row is the one that is there.
        self._row = {(self._places[registry], name): row for row, (registry, name) in enumerate(rows)}
        self._of_place = {place: position for position, place in enumerate(self._places)}
        self._bounds: list[int] = np.searchsorted(
            frames.artifacts.repository, np.arange(len(frames.repositories) + 1)
        ).tolist()

    def go(self) -> TransferFindings:
        named = read_texts(self._workloads.references)
        groups = list(self._groups())
        local = not_judged = 0
        private: list[tuple[_Group, ImageReference]] = []
        findings = []
        for group in groups:
            meant = named.meant[named.group[group.reference]]
            if meant is not None and meant.registry is RegistryKind.PRIVATE:
                if (meant.account, meant.region) == self._places[group.place]:
                    local += 1
                else:
                    private.append((group, meant))
            elif meant is not None and (upstream := upstream_of(meant)):
                findings.append(self._public(group, meant, upstream))
            else:
                not_judged += 1
        findings += self._private(private, named)
        return TransferFindings(
            findings=tuple(sorted(findings, key=_told)),
            references=len(groups),
            local=local,
            not_judged=not_judged,
        )

    def _groups(self) -> Iterator[_Group]:
        """Uses by place, source and reference."""
        told = self._workloads
        keys = (told.place.astype(np.int64) * max(1, len(told.sources)) + told.source) * max(
            1, len(told.references)
        ) + told.reference
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        for uses in np.split(order, starts[1:]) if len(order) else ():
            first = int(uses[0])
            yield _Group(
                int(told.place[first]), int(told.source[first]), int(told.reference[first]), uses.tolist()
            )

    def _private(
        self, groups: Sequence[tuple[_Group, ImageReference]], named: Named
    ) -> Iterator[TransferFinding]:
        texts = [self._workloads.references[group.reference] for group, _ in groups]
        found = self._artifacts(texts)
        wanted = self._digest_numbers([named.digest[group.reference] for group, _ in groups], found)
        there = [
            self._replica(group.place, meant, digest)
            for (group, meant), digest in zip(groups, wanted, strict=True)
        ]
        self._cold = self._without_attestations([*found, *there])
        better = self._better(list(zip(texts, there, strict=True)))
        for (group, meant), text, artifact, replica, reference in zip(
            groups, texts, found, there, better, strict=True
        ):
            yield self._finding(group, meant, text, artifact, replica, reference)

    def _without_attestations(self, artifacts: Sequence[int]) -> ColdPulls:
        roots = np.zeros(len(self._families.kind), np.bool_)
        roots[[position for position in artifacts if position >= 0]] = True
        pulled = with_children(roots, self._families)
        indexes = np.flatnonzero(pulled & (self._families.kind == INDEX))
        ids = sorted(set(self._frames.artifacts.digest_id[indexes].tolist()))
        return ColdPulls(self._frames, self._families, self._attestations(ids))

    def _artifacts(self, texts: Sequence[str]) -> list[int]:
        """The artifact that each of these references names; -1 where none was read."""
        resolved = self._resolver.resolve(read_texts(texts))
        found = np.full(len(texts), -1)
        # Ordered by artifact, so that of a repository that was made again the later one is taken.
        found[resolved.reference] = resolved.artifact
        found[resolved.fate != Fate.FOUND] = -1
        return [int(position) for position in found]

    def _digest_numbers(self, digests: Sequence[str | None], artifacts: Sequence[int]) -> list[int]:
        """The number of the digest that each reference is about, -1 where nobody knows which."""
        pairs = list(zip(digests, artifacts, strict=True))
        asked = sorted({digest for digest, artifact in pairs if digest is not None and artifact < 0})
        numbers = dict(zip(asked, self._digest_ids(asked).tolist(), strict=True)) if asked else {}
        ids = self._frames.artifacts.digest_id
        return [
            int(ids[artifact]) if artifact >= 0 else -1 if digest is None else numbers[digest]
            for digest, artifact in pairs
        ]

    def _replica(self, place: int, meant: ImageReference, digest: int) -> int:
        """The artifact in the workload's region with the name and digest that it wants, or -1."""
        account, region = self._places[place]
        if region == meant.region or digest < 0:
            return -1
        for owner in dict.fromkeys((account, meant.account)):
            row = self._row.get(((owner, region), meant.repository))
            if row is None:
                continue
            begin, end = self._bounds[row], self._bounds[row + 1]
            at: int = begin + int(np.searchsorted(self._frames.artifacts.digest_id[begin:end], digest))
            if at < end and self._frames.artifacts.digest_id[at] == digest:
                return at
        return -1

    def _better(self, wanted: Sequence[tuple[str, int]]) -> list[str]:
        """References to these replicas: by the same tag where it leads there, else by the digest."""
        better = [""] * len(wanted)
        at = [number for number, (_, replica) in enumerate(wanted) if replica >= 0]
        if not at:
            return better
        texts: list[str] = []
        without_tag: list[str] = []
        for number in at:
            text, replica = wanted[number]
            registry = self._registry[int(self._frames.artifacts.repository[replica])]
            place = self._places[registry]
            moved = _moved(parse_reference(text), *place)
            texts.append(moved)
            without_tag.append(moved.removesuffix(_behind(parse_reference(text))))
        leads = self._artifacts(texts)
        positions = np.array([wanted[number][1] for number in at], np.int64)
        digests = self._digests(positions)
        for number, text, head, led, replica, digest in zip(
            at, texts, without_tag, leads, positions.tolist(), digests, strict=True
        ):
            better[number] = text if led == replica else f"{head}@{digest}"
        return better

    def _finding(
        self, group: _Group, meant: ImageReference, text: str, artifact: int, replica: int, better: str
    ) -> TransferFinding:
        account, region = self._places[group.place]
        source = self._workloads.sources[group.source]
        cold = self._cold.of(artifact) if artifact >= 0 else self._elsewhere(meant, replica)
        caveats: list[str] = []
        payer = meant.account
        if meant.region == region:
            code = TransferCode.CROSS_ACCOUNT
            money = Money(Decimal(0), period="pull")
            price, payer = MoneyRange(money, money), ""
        elif source in _REGIONAL:
            code, payer = TransferCode.IMPOSSIBLE, ""
            money = Money(None, period="pull", leaves_out=(f"{source} pulls from its own region only",))
            price, better = MoneyRange(money, money), ""
        else:
            code = TransferCode.REPLICA_UNUSED if replica >= 0 else TransferCode.CROSS_REGION
            price = self._price(meant.region, region, cold)
            if replica < 0 and not self._is_whole[group.place]:
                caveats.append(
                    f"the registry of {account} in {region} was not read whole: a replica may be there"
                )
        return TransferFinding(
            code=code,
            account=account,
            region=region,
            source=source,
            reference=text,
            users=self._users(group),
            registry_account=meant.account,
            registry_region=meant.region,
            upstream="",
            repository=meant.repository,
            cold_pull=cold,
            usd_per_pull=price,
            payer=payer,
            better_reference=better,
            caveats=tuple(caveats),
        )

    def _elsewhere(self, meant: ImageReference, replica: int) -> ColdPull:
        if replica >= 0:
            # The same digest is the same image.
            return self._cold.of(replica)
        place = self._of_place.get((meant.account, meant.region))
        if place is None:
            reason = f"the registry of {meant.account} in {meant.region} was not read"
        elif not self._is_whole[place]:
            reason = f"the registry of {meant.account} in {meant.region} was read in part"
        else:
            reason = "the image is not there"
        return ColdPull(None, None, unknown=reason)

    def _price(self, from_region: str, to_region: str, cold: ColdPull) -> MoneyRange:
        if cold.low_bytes is None or cold.high_bytes is None:
            money = Money(None, period="pull", leaves_out=(f"bytes not known: {cold.unknown}",))
            return MoneyRange(money, money)
        low, high = (
            price_of_bytes(self._prices, from_region, to_region, size, period="pull")
            for size in (cold.low_bytes, cold.high_bytes)
        )
        return MoneyRange(low, high)

    def _public(self, group: _Group, meant: ImageReference, upstream: str) -> TransferFinding:
        account, region = self._places[group.place]
        rules = self._caches[group.place]
        better, caveats = "", []
        if rules is None:
            caveats.append(f"the pull-through cache rules of {account} in {region} are not known")
        else:
            domain = _DOMAINS.get(self._partitions[group.place])
            prefixes = sorted(rule.prefix for rule in rules if rule.upstream == upstream)
            if prefixes and domain:
                text = self._workloads.references[group.reference]
                host = f"{account}.dkr.ecr.{region}.{domain}"
                better = f"{host}/{cached_repository(meant, prefixes[0])}{_behind(parse_reference(text))}"
        # Data transfer in is free (EC2 on-demand pricing, "Data transfer").
        free = Money(Decimal(0), period="pull")
        return TransferFinding(
            code=TransferCode.PUBLIC_UPSTREAM,
            account=account,
            region=region,
            source=self._workloads.sources[group.source],
            reference=self._workloads.references[group.reference],
            users=self._users(group),
            registry_account="",
            registry_region="",
            upstream=upstream,
            repository=meant.repository,
            cold_pull=ColdPull(None, None, unknown=f"images of {upstream} are not read"),
            usd_per_pull=MoneyRange(free, free),
            payer="",
            better_reference=better,
            caveats=tuple(caveats),
        )

    def _users(self, group: _Group) -> tuple[User, ...]:
        """Each workload once, by the strongest way in which it uses the image."""
        told = self._workloads
        strongest: dict[str, int] = {}
        for use in group.uses:
            name, kind = told.names[int(told.workload[use])], int(told.kind[use])
            strongest[name] = min(kind, strongest.get(name, kind))
        ordered = sorted(strongest.items(), key=lambda entry: (entry[1], entry[0]))
        return tuple(User(workload=name, kind=KINDS[kind]) for name, kind in ordered)


def _moved(reference: ImageReference, account: str, region: str) -> str:
    """The reference with another account and region, its endpoint and domain left as they are."""
    host = reference.host.replace(reference.account, account, 1)
    host = host.replace(f".{reference.region}.", f".{region}.", 1)
    return f"{host}/{reference.repository}{_behind(reference)}"


def _behind(reference: ImageReference) -> str:
    """Tag and digest as they are written behind a repository."""
    tag = f":{reference.tag}" if reference.tag is not None else ""
    return f"{tag}@{reference.digest}" if reference.digest is not None else tag


def _told(finding: TransferFinding) -> tuple[object, ...]:
    """The key by which findings are ordered: those that save most for least first."""
    amount = finding.usd_per_pull.high.amount
    return (
        _ORDER[finding.code],
        amount is None,
        -(amount or 0),
        finding.account,
        finding.region,
        finding.source,
        finding.reference,
    )


def read_cache_rules(registry: Mapping[str, str]) -> tuple[CacheRule, ...] | None:
    """The rules in the settings of a registry, as the store gives them; None where they are not known."""
    text = registry.get("pull_through_cache_rules")
    if text is None:
        return None
    return tuple(
        CacheRule(str(rule.get("ecrRepositoryPrefix", "")), str(rule.get("upstreamRegistryUrl", "")))
        for rule in json.loads(text) or ()
    )
