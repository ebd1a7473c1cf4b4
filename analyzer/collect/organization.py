"""AWS Organizations: which accounts there are, and under which organizational units.

Asked of the management account or of a delegated administrator; both are answered alike. The service
is global: botocore finds the one endpoint of the partition, whatever region a client is made for.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard

from analyzer.collect.clients import ServiceClient
from analyzer.collect.paging import entries, pages
from analyzer.collect.refusals import Refusal, RefusedError, one_line

#: The longest name of an account or unit that is kept; AWS allows 50 and 128 characters.
_NAME = 128


class Member(NamedTuple):
    """An account of the organization."""

    account: str
    name: str = ""
    #: ACTIVE, or why it cannot be entered: SUSPENDED, PENDING_CLOSURE…
    state: str = "ACTIVE"


class Unit(NamedTuple):
    """Where in the organization an account is."""

    #: Ids of the root, and of the organizational units from there to the account.
    ids: tuple[str, ...]
    #: Their paths, each of names from the root: ``/Root``, ``/Root/Prod``.
    paths: tuple[str, ...]


@dataclass(slots=True)
class Membership:
    """The accounts of an organization, as far as they could be listed."""

    members: list[Member] = field(default_factory=list)
    #: Entries of the list that name no account.
    left_out: int = 0
    #: What the list broke off with.
    refusal: Refusal | None = None


def fetch_members(client: ServiceClient) -> Membership:
    """All accounts of the organization, by id."""
    found: dict[str, Member] = {}
    left_out, refusal = 0, None
    try:
        for page in pages(client, "ListAccounts"):
            for entry in entries(page, "Accounts"):
                account = entry.get("Id")
                if not is_account(account):
                    left_out += 1
                    continue
                # State took over from Status, which AWS has retired since September 2026 (Account in
                # the Organizations API reference); endpoints that lag behind send Status alone.
                state = entry.get("State") or entry.get("Status") or "unknown"
                found[account] = Member(account, _name(entry), one_line(state, 40))
    except RefusedError as error:
        refusal = error.refusal
    return Membership([found[account] for account in sorted(found)], left_out, refusal)


def fetch_units(client: ServiceClient) -> Mapping[str, Unit]:
    """Where each account is, by account; two calls for each organizational unit.

    Raises RefusedError when any of them is refused: a tree with holes decides nothing.
    """
    units: dict[str, Unit] = {}
    waiting: deque[Unit] = deque()
    seen: set[str] = set()

    def enter(kind: str, operation: str, above: Unit, **parameters: object) -> None:
        for page in pages(client, operation, **parameters):
            for entry in entries(page, kind):
                unit = str(entry.get("Id"))
                # No tree of AWS's has a circle, and no answer may lead us round in one.
                if unit not in seen:
                    seen.add(unit)
                    path = f"{above.paths[-1] if above.paths else ''}/{_name(entry)}"
                    waiting.append(Unit((*above.ids, unit), (*above.paths, path)))

    enter("Roots", "ListRoots", Unit((), ()))
    while waiting:
        place = waiting.popleft()
        parent = place.ids[-1]
        for page in pages(client, "ListAccountsForParent", ParentId=parent):
            units.update({str(entry.get("Id")): place for entry in entries(page, "Accounts")})
        enter("OrganizationalUnits", "ListOrganizationalUnitsForParent", place, ParentId=parent)
    return units


def is_account(value: object) -> TypeGuard[str]:
    """Whether ``value`` is an account's id: twelve digits."""
    return isinstance(value, str) and re.fullmatch("[0-9]{12}", value) is not None


def _name(entry: Mapping[str, object]) -> str:
    return one_line(entry.get("Name") or "", _NAME)
