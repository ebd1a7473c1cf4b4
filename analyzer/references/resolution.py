"""What image references name among the images that were read, hundreds of thousands at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np

from analyzer.errors import InputError
from analyzer.families import Families, spans
from analyzer.model.frames import Bools, Frames, Int64, LifecycleFacts, UInt8
from analyzer.model.records import PUBLIC_REGION, ReadStatus
from analyzer.references.parsing import (
    DIGEST,
    TAG,
    ImageReference,
    RegistryKind,
    parse_reference,
)

#: Numbers of digests, in the order given, as ``Artifacts.digest_id`` has them; -1 for unknown ones.
DigestIds = Callable[[Sequence[str]], Int64]


class Fate(IntEnum):
    """What became of a reference."""

    #: It names something.
    FOUND = 0
    #: What it names would be in a repository, or a registry, that was read whole, and is not.
    MISSING = 1
    #: The same in a repository of a pull-through cache, which fetches it when it is asked for.
    CACHED = 2
    #: It is about a registry or repository that was not read, or not whole.
    ELSEWHERE = 3
    #: It is no reference.
    UNREADABLE = 4


@dataclass(frozen=True, slots=True)
class Named:
    """References taken apart, column by column."""

    #: Position in ``meant``; references to one repository share one.
    group: Sequence[int]
    #: The tag that decides, where no digest does.
    tag: Sequence[str | None]
    digest: Sequence[str | None]
    #: One reference of each group, tag and digest aside; None for what is no reference.
    meant: Sequence[ImageReference | None]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What references name."""

    #: ``Fate`` per reference.
    fate: UInt8
    #: Parallel, ordered by both: the reference names the artifact at that position.
    reference: Int64
    artifact: Int64


def take_apart(references: Sequence[ImageReference]) -> Named:
    """``references`` column by column."""
    groups: dict[tuple[str, ...], int] = {}
    meant: list[ImageReference | None] = []
    numbers = []
    for reference in references:
        key = (reference.registry, reference.account, reference.region, reference.repository)
        number = groups.setdefault(key, len(meant))
        if number == len(meant):
            meant.append(reference)
        numbers.append(number)
    digests = [reference.digest for reference in references]
    tags = [reference.tag if reference.digest is None else None for reference in references]
    return Named(numbers, tags, digests, meant)


def read_texts(texts: Sequence[str]) -> Named:
    """What ``take_apart`` gives of these references; some may be none.

    References to one repository share their beginning, which is parsed once.
    """
    beginnings: dict[str, int] = {}
    meant: list[ImageReference | None] = [None]
    numbers: list[int] = []
    tags: list[str | None] = []
    digests: list[str | None] = []
    for text in texts:
        head, at, digest = text.partition("@")
        name, colon, tag = head.rpartition(":")
        if not colon or "/" in tag:
            name, colon, tag = head, "", ""
        group = beginnings.get(name)
        if group is None:
            group = beginnings[name] = _beginning(name, meant)
        if group < 0 or (colon and not TAG.fullmatch(tag)) or (at and not DIGEST.fullmatch(digest)):
            # Something unusual, which is left to whoever knows all of it.
            try:
                whole = parse_reference(text)
            except InputError:
                numbers.append(0)
                tags.append(None)
                digests.append(None)
                continue
            numbers.append(len(meant))
            meant.append(whole)
            tags.append(whole.tag if whole.digest is None else None)
            digests.append(whole.digest)
            continue
        numbers.append(group)
        tags.append(None if at else tag or "latest")
        digests.append(digest or None)
    return Named(numbers, tags, digests, meant)


def _beginning(name: str, meant: list[ImageReference | None]) -> int:
    """Its number in ``meant``; -1 where what follows it may change what it is."""
    _, slash, path = name.partition("/")
    if not slash or "://" in name or ":" in path or name != name.strip():
        return -1
    try:
        parsed = parse_reference(name)
    except InputError:
        return -1
    meant.append(parsed)
    return len(meant) - 1


_NOWHERE: Final = np.zeros(0, np.int64)


class Resolver:
    """Resolves references against some frames."""

    def __init__(
        self, frames: Frames, facts: LifecycleFacts, digest_ids: DigestIds, *, whole_registries: bool
    ) -> None:
        """Resolve against ``frames``; ``whole_registries``: see ``find_in_use``."""
        self._frames = frames
        self._facts = facts
        self._digest_ids = digest_ids
        self._whole_registries = whole_registries
        registries = frames.registries
        self._registries = list(
            zip(registries["account"], registries["region"], registries["status"], strict=True)
        )
        # Of public registries whose aliases were read; any other alias is of a registry that was not.
        self._account_of_alias = {
            alias: account
            for account, aliases in zip(registries["account"], registries["public_aliases"], strict=True)
            for alias in aliases
        }
        self._by_name: dict[str, list[tuple[int, str, str]]] = {}
        names, numbers = frames.repositories["repository"], frames.repositories["registry"]
        for position, (name, number) in enumerate(zip(names, numbers, strict=True)):
            account, region, _ = self._registries[number]
            self._by_name.setdefault(name, []).append((position, account, region))
        self._is_whole = (frames.repositories["status"] == str(ReadStatus.COMPLETE)).to_numpy(np.bool_)
        self._is_cache = frames.repositories["pull_through_cache"].to_numpy(np.bool_)

    def resolve(self, named: Named) -> Resolved:
        """What these references name, all of them in a few passes."""
        all_meant = [self._with_account(meant) for meant in named.meant]
        repositories = [self._repositories(meant) for meant in all_meant]
        absent = np.array(
            [self._absent(meant, of) for meant, of in zip(all_meant, repositories, strict=True)], np.uint8
        )
        anywhere = np.array(
            [meant is not None and meant.registry is RegistryKind.NONE for meant in all_meant], np.bool_
        )
        group = np.array(named.group, np.int64)
        digest = self._digests(named.digest)
        by_digest = np.array([text is not None for text in named.digest], np.bool_)
        tag = np.array(self._tags(named.tag), np.int64)
        # A pair of a reference and a repository that it may mean.
        lengths = np.array([len(of) for of in repositories], np.int64)
        ends = np.cumsum(lengths)
        of_pair = np.repeat(np.arange(len(group)), lengths[group])
        where = np.concatenate([_NOWHERE, *repositories])[spans((ends - lengths)[group], lengths[group])]
        parts = [
            self._at_digest(of_pair, where, digest, by_digest[of_pair]),
            self._at_tag(of_pair, where, tag, ~by_digest[of_pair]),
            self._anywhere(np.flatnonzero(anywhere[group]), digest) if len(group) else (_NOWHERE, _NOWHERE),
        ]
        reference, artifact = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((artifact, reference))
        fate = absent[group]
        fate[reference] = Fate.FOUND
        return Resolved(fate, reference[order], artifact[order])

    def _with_account(self, meant: ImageReference | None) -> ImageReference | None:
        """``meant``; where it names a public registry that was read, by account and region.

        Its repositories are then found as those of private ones are.
        """
        if meant is None or meant.registry is not RegistryKind.PUBLIC:
            return meant
        alias, _, repository = meant.repository.partition("/")
        account = self._account_of_alias.get(alias)
        if account is None or not repository:
            return meant
        return replace(meant, account=account, region=PUBLIC_REGION, repository=repository)

    def _repositories(self, meant: ImageReference | None) -> Int64:
        """Positions of the repositories that ``meant`` may be about."""
        if meant is None or not _is_of_ecr(meant):
            return _NOWHERE
        same_name = self._by_name.get(meant.repository, [])
        if meant.repository:
            same_name = [*self._by_name.get("", ()), *same_name]
        return np.array(
            [
                position
                for position, account, region in same_name
                if _fits(account, meant.account) and _fits(region, meant.region)
            ],
            np.int64,
        )

    def _absent(self, meant: ImageReference | None, repositories: Int64) -> Fate:
        """What is to be said of a reference that names nothing there."""
        if meant is None:
            return Fate.UNREADABLE
        if not _is_of_ecr(meant):
            return Fate.ELSEWHERE
        if len(repositories):
            if not self._is_whole[repositories].all():
                return Fate.ELSEWHERE
            return Fate.CACHED if self._is_cache[repositories].any() else Fate.MISSING
        read = any(
            account == meant.account and region == meant.region and status == ReadStatus.COMPLETE
            for account, region, status in self._registries
        )
        return Fate.MISSING if self._whole_registries and read else Fate.ELSEWHERE

    def _digests(self, digests: Sequence[str | None]) -> Int64:
        """The number of each digest; -1 where there is none, or it is unknown."""
        distinct = sorted({digest for digest in digests if digest is not None})
        if not distinct:
            return np.full(len(digests), -1)
        numbers: dict[str | None, int] = dict(zip(distinct, self._digest_ids(distinct).tolist(), strict=True))
        numbers[None] = -1
        return np.array([numbers[digest] for digest in digests], np.int64)

    def _tags(self, tags: Sequence[str | None]) -> list[int]:
        """The number of each tag; -1 where there is none, or nothing has it."""
        names = {tag for tag in tags if tag is not None}
        if not names:
            return [-1] * len(tags)
        numbers = {name: number for number, name in enumerate(self._facts.tag_names) if name in names}
        return [-1 if tag is None else numbers.get(tag, -1) for tag in tags]

    def _at_digest(
        self, reference: Int64, repository: Int64, digest: Int64, chosen: Bools
    ) -> tuple[Int64, Int64]:
        """Of the ``chosen`` pairs the references and the artifacts that they name by digest."""
        chosen = chosen & (digest[reference] >= 0)
        reference, repository = reference[chosen], repository[chosen]
        artifacts = self._frames.artifacts
        keys = (artifacts.repository.astype(np.int64) << 32) | artifacts.digest_id
        return _joined(reference, (repository << 32) | digest[reference], keys, np.arange(len(keys)))

    def _at_tag(self, reference: Int64, repository: Int64, tag: Int64, chosen: Bools) -> tuple[Int64, Int64]:
        """The same by tag."""
        chosen = chosen & (tag[reference] >= 0)
        reference, repository = reference[chosen], repository[chosen]
        if not len(reference):
            return _NOWHERE, _NOWHERE
        facts, of_artifact = self._facts, self._frames.artifacts.repository
        wanted = np.zeros(len(facts.tag_names), np.bool_)
        wanted[tag[reference]] = True
        at = np.flatnonzero(wanted[facts.tags])
        carrier = np.searchsorted(facts.tag_offsets, at, side="right") - 1
        keys = (of_artifact[carrier].astype(np.int64) << 32) | facts.tags[at]
        order = np.argsort(keys, kind="stable")
        return _joined(reference, (repository << 32) | tag[reference], keys[order], carrier[order])

    def _anywhere(self, reference: Int64, digest: Int64) -> tuple[Int64, Int64]:
        """What references of a digest alone name, in every repository."""
        reference = reference[digest[reference] >= 0]
        if not len(reference):
            return _NOWHERE, _NOWHERE
        ids = self._frames.artifacts.digest_id.astype(np.int64)
        artifact = np.flatnonzero(np.isin(ids, digest[reference]))
        artifact = artifact[np.argsort(ids[artifact], kind="stable")]
        return _joined(reference, digest[reference], ids[artifact], artifact)


def _is_of_ecr(meant: ImageReference) -> bool:
    """Whether it is about a private registry, or about a public one whose account is known."""
    return meant.registry is RegistryKind.PRIVATE or bool(meant.account)


def _fits(one: str, other: str) -> bool:
    return one == other or not one or not other


def _joined(left: Int64, wanted: Int64, keys: Int64, right: Int64) -> tuple[Int64, Int64]:
    """Pairs of ``left`` and ``right`` where what is ``wanted`` is among the sorted ``keys``."""
    first = np.searchsorted(keys, wanted, side="left")
    lengths = np.searchsorted(keys, wanted, side="right") - first
    return np.repeat(left, lengths), right[spans(first, lengths)]


def under(named: Int64, artifact: Int64, families: Families) -> tuple[Int64, Int64]:
    """The pairs given, and those of each name with the children of its indexes, at any depth."""
    return _along(named, artifact, families.parent, families.child)


def above(named: Int64, artifact: Int64, families: Families) -> tuple[Int64, Int64]:
    """The pairs given, and those of each name with the indexes above, at any depth."""
    return _along(named, artifact, families.child, families.parent)


def _along(named: Int64, artifact: Int64, source: Int64, target: Int64) -> tuple[Int64, Int64]:
    """Pairs closed under steps from ``source`` to ``target``, ordered by artifact and name."""
    order = np.argsort(source, kind="stable")
    source, target = source[order], target[order]
    # One integer for a pair, so that pairs are sorted as integers are.
    names = int(named.max(initial=0)) + 1
    reached = new = _distinct(artifact * names + named)
    while len(new):
        stepped, of = _joined(new % names, new // names, source, target)
        new = _distinct(of * names + stepped)
        at = np.minimum(np.searchsorted(reached, new), len(reached) - 1)
        new = new[reached[at] != new]
        if len(new):
            reached = np.sort(np.concatenate([reached, new]))
    return reached % names, reached // names


def _distinct(numbers: Int64) -> Int64:
    """The distinct ``numbers``, sorted; what NumPy has for it looks each one up in a table first."""
    ordered = np.sort(numbers)
    first: Int64 = ordered[np.diff(ordered, prepend=-1) != 0]
    return first
