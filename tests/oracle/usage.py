"""Who uses which image, searched for one by one: the slow twin of ``analyzer.references.usage``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Held:
    """An artifact in a repository."""

    digest: str
    tags: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository and what it holds."""

    account: str
    region: str
    name: str
    held: tuple[Held, ...] = ()
    #: All its images were listed.
    is_whole: bool = True
    is_cache: bool = False


@dataclass(frozen=True, slots=True)
class Meant:
    """What a reference says.

    "" for an account is another registry than those of ECR, or a public one that was not read.
    """

    account: str
    region: str
    name: str
    tag: str | None
    digest: str | None
    #: Of a public registry, in place of account and region.
    alias: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Told:
    """A use: how it is told, of what; kind 0 runs, 1 is configured, 2 previous, 3 on a list."""

    place: int
    source: str
    workload: str
    kind: int
    reference: str


#: Position of a repository and a digest in it.
Key = tuple[int, str]


class Searched:
    """What a search through everything finds."""

    def __init__(
        self,
        repositories: Sequence[Repository],
        whole_registries: frozenset[tuple[str, str]],
        uses: Sequence[Told],
        meant: dict[str, Meant],
        aliases: Mapping[str, tuple[str, str]],
    ) -> None:
        """``aliases`` are those of public registries that were read, with account and region."""
        self._repositories = repositories
        self._whole = whole_registries
        #: Per artifact the kind of use by each workload, and by each reference of a list.
        self.users: dict[Key, dict[tuple[int, str, str], int]] = {}
        #: References that are broken, with the kind of each workload that has them.
        self.missing: dict[str, dict[tuple[int, str, str], int]] = {}
        self.cached: set[str] = set()
        self.elsewhere: set[str] = set()
        for use in uses:
            said = meant[use.reference]
            if said.alias in aliases:
                account, region = aliases[said.alias]
                said = replace(said, account=account, region=region)
            self._note(use, said)

    def _note(self, use: Told, meant: Meant) -> None:
        owner = (use.place, use.source, use.workload if use.kind != 3 else use.reference)
        roots = list(self._named(meant))
        if not roots:
            fate = self._fate(meant)
            if fate == "missing":
                of = self.missing.setdefault(use.reference, {})
                of[owner] = min(use.kind, of.get(owner, 9))
            elif use.kind != 3:
                (self.cached if fate == "cached" else self.elsewhere).add(use.reference)
        for root in roots:
            self._use(root, owner, use.kind)
            by_both = meant.digest is not None and ":" in use.reference.split("@")[0].split("/")[-1]
            if (use.kind == 0 and meant.digest is not None) or (use.kind == 1 and by_both):
                for whole in self._above(root):
                    self._use(whole, owner, 1)

    def _use(self, key: Key, owner: tuple[int, str, str], kind: int) -> None:
        for reached in self._below(key):
            of = self.users.setdefault(reached, {})
            of[owner] = min(kind, of.get(owner, 9))

    def _named(self, meant: Meant) -> Iterator[Key]:
        for position in self._of_name(meant):
            for held in self._repositories[position].held:
                if held.digest == meant.digest or (meant.digest is None and meant.tag in held.tags):
                    yield position, held.digest

    def _of_name(self, meant: Meant) -> list[int]:
        wanted = (meant.account, meant.region, meant.name)
        return [
            position
            for position, one in enumerate(self._repositories)
            if meant.account and (one.account, one.region, one.name) == wanted
        ]

    def _fate(self, meant: Meant) -> str:
        found = [self._repositories[position] for position in self._of_name(meant)]
        if not found:
            return "missing" if (meant.account, meant.region) in self._whole else "elsewhere"
        if not all(one.is_whole for one in found):
            return "elsewhere"
        return "cached" if any(one.is_cache for one in found) else "missing"

    def _below(self, key: Key) -> set[Key]:
        """The artifact, and what is under it."""
        position = key[0]
        children = {held.digest: held.children for held in self._repositories[position].held}
        found, left = set[Key](), [key[1]]
        while left:
            digest = left.pop()
            if digest in children and (position, digest) not in found:
                found.add((position, digest))
                left += children[digest]
        return found

    def _above(self, key: Key) -> set[Key]:
        """What has the artifact under it."""
        position = key[0]
        everything = [(position, held.digest) for held in self._repositories[position].held]
        return {one for one in everything if key in self._below(one)}
