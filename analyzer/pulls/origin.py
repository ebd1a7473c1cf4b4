"""Where a puller is, told by whatever is known: the workloads that were read, the machines, the addresses.

ECR's front end makes the calls of a pull, and its records have neither the client's region nor, as a
rule, its address. So the region is told by what leads to it:

1. the workloads of the principal's account that name the repository, where they are all in one region;
2. the EC2 instance that the role's session is named for;
3. the VPC endpoint that the call came through;
4. the source address, by AWS's ip-ranges;
5. the user's own rules about roles.

The surest tells, and of equally sure ones the first. What is about this very call (2 to 4) overrules
equally sure knowledge of workloads: a call from elsewhere proves that they are not the only pullers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from analyzer.errors import InputError
from analyzer.model.pulls import INTERNET, NOT_TOLD, Confidence, Hints, RegionMethod, Told
from analyzer.model.records import UseKind
from analyzer.pulls.addresses import AddressBook, is_public
from analyzer.pulls.role_rules import RoleRule
from analyzer.references import ImageReference, RegistryKind, parse_reference

#: Methods about the call itself.
_OF_THE_CALL: Final = (RegionMethod.INSTANCE, RegionMethod.ENDPOINT, RegionMethod.ADDRESS)
_RANKS: Final = {Confidence.HIGH: 3, Confidence.MEDIUM: 2, Confidence.LOW: 1, Confidence.NONE: 0}

#: EC2 user guide, "Resource IDs": 8 hexadecimal digits, of new resources 17.
_INSTANCE = re.compile("i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
#: Principals that no workload pulls as: IAM's users, and people in federated sessions.
_PEOPLE = re.compile("arn:[a-z-]+:(?:iam::[0-9]{12}:(?:user/.*|root)|sts::[0-9]{12}:federated-user/.*)")


class SeenUse(NamedTuple):
    """A workload names an image."""

    #: Where the workload is.
    account: str
    region: str
    #: As the workload gives it.
    reference: str
    kind: UseKind


class ReadPlace(NamedTuple):
    """Workloads of one account and region were read."""

    account: str
    region: str
    #: Whether every source there was read to the end.
    is_whole: bool


#: Account of a principal; account, region and name of a repository.
_Named = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Inventory:
    """In which regions the workloads of an account name a repository, and how sure one of them is."""

    places: Mapping[_Named, Told] = field(default_factory=dict)

    def tell(self, hints: Hints) -> Told | None:
        """The one region in which workloads of the principal's account name the repository."""
        told = self.places.get((hints.principal_account, hints.account, hints.region, hints.repository))
        if told is None or not hints.principal_account or _PEOPLE.fullmatch(hints.principal):
            return None
        return told


def take_inventory(uses: Iterable[SeenUse], read: Iterable[ReadPlace]) -> Inventory:
    """What ``uses`` tell about pullers; ``read`` says where workloads were looked for.

    What an earlier state of a workload names counts only where nothing runs or may start. It is sure
    where something runs and every source was read, in more than one region; where but one region of
    the account was read, nobody knows of the others.
    """
    wholes: defaultdict[str, list[bool]] = defaultdict(list)
    for place in read:
        wholes[place.account].append(place.is_whole)
    named: defaultdict[_Named, dict[UseKind, set[str]]] = defaultdict(dict)
    parsed: dict[str, ImageReference | None] = {}
    for use in uses:
        if use.reference not in parsed:
            parsed[use.reference] = _parsed(use.reference)
        image = parsed[use.reference]
        if image is not None and image.registry is RegistryKind.PRIVATE:
            by_kind = named[use.account, image.account, image.region, image.repository]
            by_kind.setdefault(use.kind, set()).add(use.region)
    return Inventory(
        {key: told for key, kinds in named.items() if (told := _only_region(kinds, wholes[key[0]]))}
    )


def _parsed(reference: str) -> ImageReference | None:
    try:
        return parse_reference(reference)
    except InputError:
        return None


def _only_region(kinds: Mapping[UseKind, set[str]], wholes: Collection[bool]) -> Told | None:
    running, configured = kinds.get(UseKind.RUNNING, set()), kinds.get(UseKind.CONFIGURED, set())
    regions = running | configured or kinds.get(UseKind.PREVIOUS, set())
    if len(regions) != 1:
        return None
    if len(wholes) < 2:
        confidence = Confidence.LOW
    elif running and all(wholes):
        confidence = Confidence.HIGH
    else:
        confidence = Confidence.MEDIUM
    return Told(next(iter(regions)), RegionMethod.WORKLOAD, confidence)


class KnownOrigin:
    """Tells where pullers are; an `analyzer.model.pulls.Origin`."""

    def __init__(
        self,
        *,
        inventory: Inventory | None = None,
        machines: Mapping[str, str] | None = None,
        addresses: AddressBook | None = None,
        rules: Collection[RoleRule] = (),
    ) -> None:
        """``machines`` gives the regions of EC2 instances (``i-…``) and VPC endpoints (``vpce-…``).

        It may grow as more of them become known. Without ``addresses`` no address tells anything.
        """
        self._inventory = inventory or Inventory()
        self._machines = {} if machines is None else machines
        self._addresses = addresses
        self._rules = tuple(rules)

    @property
    def has_addresses(self) -> bool:
        """Whether addresses can tell anything: AWS's ip-ranges are known."""
        return self._addresses is not None

    def tell(self, hints: Hints, /) -> Told:
        """Where the puller is; NOT_TOLD where nothing tells."""
        found = [
            told
            for told in (
                self._inventory.tell(hints),
                self._by_machine(instance_of(hints.session), RegionMethod.INSTANCE),
                self._by_machine(hints.endpoint, RegionMethod.ENDPOINT),
                self._by_address(hints.source_address),
                self._by_rule(hints),
            )
            if told is not None
        ]
        if not found:
            return NOT_TOLD
        best = found[0]
        for told in found[1:]:
            if _overrules(told, best):
                best = told
        return best

    def _by_machine(self, name: str, method: RegionMethod) -> Told | None:
        region = self._machines.get(name) if name else None
        return Told(region, method, Confidence.HIGH) if region else None

    def _by_address(self, address: str) -> Told | None:
        if not address or self._addresses is None:
            return None
        place = self._addresses.find(address)
        if place is None:
            if not is_public(address):
                return None
            # A company may bring addresses of its own into a region of AWS.
            return Told(INTERNET, RegionMethod.ADDRESS, Confidence.MEDIUM)
        if not place.region:
            return None
        confidence = Confidence.HIGH if place.is_ec2 else Confidence.MEDIUM
        return Told(place.region, RegionMethod.ADDRESS, confidence)

    def _by_rule(self, hints: Hints) -> Told | None:
        for rule in self._rules:
            if rule.covers(hints.principal_account, hints.principal):
                return Told(rule.region, RegionMethod.ROLE, Confidence.MEDIUM)
        return None


def instance_of(session: str) -> str:
    """The EC2 instance that a role's ``session`` is named for, as those of instance profiles are; or ""."""
    return session if _INSTANCE.fullmatch(session) else ""


def machines_of(hints: Iterable[Hints]) -> dict[str, set[str]]:
    """By account of the principal, the instances and endpoints that ``hints`` name."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for one in hints:
        names = {instance_of(one.session), one.endpoint} - {""}
        if names and one.principal_account:
            found[one.principal_account] |= names
    return dict(found)


def _overrules(told: Told, first: Told) -> bool:
    """Whether ``told`` counts rather than what came ``first``."""
    if _RANKS[told.confidence] != _RANKS[first.confidence]:
        return _RANKS[told.confidence] > _RANKS[first.confidence]
    return told.region != first.region and told.method in _OF_THE_CALL and first.method not in _OF_THE_CALL
