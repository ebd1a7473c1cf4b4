"""Answers, as files give them, put together by the registry that each is of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from analyzer.documents.gathering import Gathered, Listing, Where
from analyzer.documents.placing import Placer, check_where
from analyzer.documents.registries import Contents, RegistryAnswers
from analyzer.errors import InputError
from analyzer.model.records import RegistryKey

KeyT = TypeVar("KeyT", bound=tuple[Any, ...])


def registries_of(
    gathered: Gathered, *, account: str | None = None, region: str | None = None
) -> list[RegistryAnswers]:
    """The registries that ``gathered`` is about, by account and region.

    ``account`` and ``region`` are those of answers that do not say and lie beside none that does.
    What is about no registry that anything else is of is noted. Raises InputError where an answer
    may be of several registries or of one that nothing names, and for an ``account`` or ``region``
    that no answer is of.
    """
    found = _Sorting(gathered, account, region).contents()
    for option, value, there in (
        ("--region", region, {key.region for key in found}),
        ("--account", account, {key.account for key in found}),
    ):
        if value is not None and there and value not in there:
            raise InputError(
                f"{option} {value}: the files are of {', '.join(sorted(there))}; leave it out, or name that"
            )
    keys = sorted(found, key=lambda key: (key.account, key.region, key.partition))
    return [RegistryAnswers(key, found[key], gathered) for key in keys]


class _Sorting:
    """One look at everything that was gathered; what says most comes first, and says where the rest is."""

    def __init__(self, gathered: Gathered, account: str | None, region: str | None) -> None:
        self._gathered = gathered
        named = [where for where in gathered.listings if where.account and where.region]
        self._placer = Placer(named, account=account, region=region)
        self._contents: dict[RegistryKey, Contents] = {}

    def contents(self) -> dict[RegistryKey, Contents]:
        """What there is of each registry."""
        gathered = self._gathered
        for where in _most_said_first(gathered.listings):
            self._add_listing(where, gathered.listings[where])
        for where, name in _in_order(gathered.images):
            images = gathered.images[where, name]
            self._of(where, images.place, name).images.setdefault(name, []).append(images)
        for where, operation, subject in _in_order(gathered.given):
            given = gathered.given[where, operation, subject]
            # A setting's name is no repository's.
            repository = "" if operation == "GetAccountSetting" else subject
            contents = self._of(where, given.place, repository)
            contents.given[operation, subject] = given
            if (where, operation, subject) in gathered.contradicted:
                contents.contradicted.add((operation, subject))
        for (where, name), tags in gathered.tags.items():
            for contents in self._known(where):
                contents.tags[name] = tags
        for where in gathered.all_tags:
            for contents in self._known(where):
                contents.has_all_tags = True
        for (where, operation, name), refused in gathered.refused.items():
            for contents in self._known(where, name):
                contents.refused[operation, name] = refused
        return self._contents

    def _add_listing(self, where: Where, listing: Listing) -> None:
        place = f"a list of repositories in {where.folder or 'the folder'}"
        is_empty = not listing.entries and not listing.nameless
        if is_empty and len(self._placer.candidates(where)) != 1:
            self._gathered.notes.append(
                f"{place} is empty and does not say of which registry; not read; name it with --account and "
                "--region if there is but one"
            )
            return
        contents = self._of(where, place)
        contents.is_listed = True
        known = contents.listing
        known.entries.update(listing.entries)
        known.nameless += listing.nameless
        known.is_whole = known.is_whole or listing.is_whole
        known.modified_at_ms = max(known.modified_at_ms, listing.modified_at_ms)

    def _of(self, where: Where, place: str, repository: str = "") -> Contents:
        """What there is of the registry that an answer is of; raises InputError."""
        check_where(where, place)
        key = self._placer.place(where, place, self._candidates(where, repository))
        self._placer.know(where.folder, key)
        return self._contents.setdefault(key, Contents())

    def _known(self, where: Where, repository: str = "") -> Sequence[Contents]:
        """The same of an answer that is passed over where it cannot be told."""
        keys = [key for key in self._candidates(where, repository) if key in self._contents]
        return [self._contents[keys[0]]] if len(keys) == 1 else []

    def _candidates(self, where: Where, repository: str) -> set[RegistryKey]:
        keys = self._placer.candidates(where)
        if len(keys) > 1 and repository:
            listed = {
                key
                for key in keys
                if key in self._contents and repository in self._contents[key].listing.entries
            }
            return listed or keys
        return keys


def _most_said_first(wheres: Iterable[Where]) -> list[Where]:
    return sorted(wheres, key=lambda where: (_openness(where), where))


def _in_order(keys: Iterable[KeyT]) -> list[KeyT]:
    """Keys that begin with where something is of, by that."""
    return sorted(keys, key=lambda key: (_openness(key[0]), key))


def _openness(where: Where) -> int:
    """How much is left open of where an answer is of."""
    return (not where.account) + (not where.region)
