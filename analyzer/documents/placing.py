"""Which registry an answer is of, where it does not say so itself.

An answer names its account at most, hardly ever its region. So each counts for the registry that
the list of repositories in its own folder names, or else that in the folders around it, or else
that anywhere: files of several registries lie in a folder each. What could be of two is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from analyzer.documents.fields import partition_of
from analyzer.documents.gathering import Where
from analyzer.errors import InputError
from analyzer.json_texts import shown
from analyzer.model.records import RegistryKey

_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z0-9]+){1,4}-\d{1,2}", re.ASCII)


class Placer:
    """Finds the registries of answers."""

    def __init__(self, named: Collection[Where], *, account: str | None, region: str | None) -> None:
        """``named`` are those that lists of repositories name in full.

        ``account`` and ``region`` are what the user says of answers that leave it open. Raises
        InputError where they can be none.
        """
        if account is not None and _ACCOUNT.fullmatch(account) is None:
            raise InputError(f"--account {account}: an account has twelve digits; write those")
        if region is not None and _REGION.fullmatch(region) is None:
            raise InputError(f"--region {region}: is not the name of an AWS region; write one like eu-west-1")
        self._account = account
        self._region = region
        self._by_folder: dict[str, set[RegistryKey]] = {}
        for where in named:
            self.know(where.folder, _key(where))

    def know(self, folder: str, key: RegistryKey) -> None:
        """From now on ``key`` is a registry that lies in ``folder``."""
        self._by_folder.setdefault(folder, set()).add(key)

    def known(self) -> set[RegistryKey]:
        """All registries that were named."""
        return {key for keys in self._by_folder.values() for key in keys}

    def candidates(self, where: Where) -> set[RegistryKey]:
        """The registries that an answer may be of: one, if all is well."""
        if where.account and where.region:
            return {_key(where)}
        account = where.account or self._account
        region = where.region or self._region
        for folder in (*_outwards(where.folder), None):
            keys = self.known() if folder is None else self._by_folder.get(folder, set())
            keys = {key for key in keys if not account or key.account == account}
            # What the user says counts where the answers leave it open, and only there.
            narrowed = {key for key in keys if not region or key.region == region}
            if keys:
                return narrowed or keys
        if account and region:
            return {_key(Where(where.folder, account, region))}
        return set()

    def place(self, where: Where, place: str, candidates: Collection[RegistryKey]) -> RegistryKey:
        """The one registry of ``candidates``; raises InputError where there is none, or several."""
        if len(candidates) == 1:
            return next(iter(candidates))
        if candidates:
            names = " or ".join(sorted(f"{key.account}/{key.region}" for key in candidates))
            raise InputError(
                f"{place} may be of {names}; put the files of each registry into a folder of its own"
            )
        missing = [
            f"{what} with {option}"
            for what, option, value in (
                ("its account", "--account ID", where.account or self._account),
                ("its region", "--region REGION", self._region),
            )
            if not value
        ]
        raise InputError(
            f"{place} does not say which registry it is of, and no list of repositories does; add what "
            f"`aws ecr describe-repositories` prints, or name {' and '.join(missing)}"
        )


def check_where(where: Where, place: str) -> None:
    """Raise InputError where the account that an answer names can be none."""
    if where.account and _ACCOUNT.fullmatch(where.account) is None:
        raise InputError(
            f"{place}: registryId is {shown(where.account)}; an account has twelve digits, so this is not "
            "what the AWS CLI printed"
        )


def _key(where: Where) -> RegistryKey:
    return RegistryKey(where.partition or partition_of(where.region), where.account, where.region)


def _outwards(folder: str) -> Iterator[str]:
    """``folder`` and those around it, from the inside out."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""
