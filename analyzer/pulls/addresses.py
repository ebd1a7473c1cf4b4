"""AWS's own addresses: its ip-ranges.json, and the region of an address by it.

The format is that of the VPC user guide, "AWS IP address ranges": a time of creation, and prefixes of
IPv4 and IPv6, each with a region (or ``GLOBAL``), a service and a network border group. A prefix stands
there once for each service that has a part in it, under ``AMAZON`` too. Local zones have a border group
of their own and the region that they belong to, which is what transfer is priced by.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, Final, NamedTuple, NoReturn

from analyzer.errors import InputError
from analyzer.json_texts import shown

#: Longer files are none of AWS's: in 2026 it is two million bytes long.
MAX_BYTES: Final = 32 << 20
#: A region where AWS names none: edge locations, which belong to no region.
_GLOBAL: Final = ""
#: Of the services that a prefix can be of: EC2 is where customers' machines are, AMAZON stands for all.
_EC2, _AMAZON = "EC2", "AMAZON"
_MOST_PREFIXES = 200_000
#: Wider prefixes than these are nobody's.
_WIDEST = {4: 8, 6: 20}

_REGION = re.compile("[a-z]{2,8}(?:-[a-z0-9]{1,16}){1,4}")
#: What stands for no region: GLOBAL, and whatever AWS may add of that kind.
_NO_REGION = re.compile("[A-Z][A-Z0-9_-]{0,31}")
_SERVICE = re.compile("[A-Z][A-Z0-9_]{0,63}")
_CREATED = re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})-([0-9]{2})-([0-9]{2})-([0-9]{2})")
_MEND = "take the file of https://ip-ranges.amazonaws.com/ip-ranges.json"


class Prefix(NamedTuple):
    """A block of AWS's addresses, under one of the services that have a part in it."""

    network: IPv4Network | IPv6Network
    #: "" where it belongs to no region.
    region: str
    service: str


@dataclass(frozen=True, slots=True)
class IpRanges:
    """AWS's addresses as of one moment."""

    created_at: datetime
    prefixes: tuple[Prefix, ...]


class Location(NamedTuple):
    """Where an address of AWS's is."""

    #: "" where it belongs to no region.
    region: str
    #: Whether the addresses are those of EC2.
    is_ec2: bool


def parse_ip_ranges(data: bytes, origin: str) -> IpRanges:
    """What an ip-ranges.json says.

    Raises InputError, one line that begins with ``origin``, for what AWS would not publish. What it
    may add one day (fields, services, words in place of a region) is let pass.
    """
    if len(data) > MAX_BYTES:
        _refuse(origin, f"is longer than {MAX_BYTES >> 20} MiB")
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{origin} is not UTF-8 text; {_MEND}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{origin} is not JSON; {_MEND}") from error
    if not isinstance(document, dict):
        _refuse(origin, "is no JSON object")
    created_at = _created(document.get("createDate"), origin)
    prefixes = [
        prefix
        for version, name, field in ((4, "prefixes", "ip_prefix"), (6, "ipv6_prefixes", "ipv6_prefix"))
        for prefix in _prefixes(document.get(name), f"{origin}, {name}", field, version)
    ]
    if not prefixes:
        _refuse(origin, "names no prefix")
    if len(prefixes) > _MOST_PREFIXES:
        _refuse(origin, f"names {len(prefixes):,} prefixes, more than {_MOST_PREFIXES:,}")
    return IpRanges(created_at, tuple(prefixes))


def _created(value: object, origin: str) -> datetime:
    found = _CREATED.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        _refuse(origin, f"has the createDate {shown(value)}, no time like 2026-08-22-15-17-05")
    try:
        created_at = datetime(*map(int, found.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        _refuse(origin, f"has the createDate {shown(value)}, which no calendar has")
    if not 2010 <= created_at.year < 2200:
        _refuse(origin, f"has the createDate {shown(value)}, which cannot be")
    return created_at


def _prefixes(rows: object, place: str, field: str, version: int) -> Iterable[Prefix]:
    if not isinstance(rows, list):
        _refuse(place, "is no list")
    for number, row in enumerate(rows, start=1):
        here = f"{place}, number {number}"
        if not isinstance(row, dict):
            _refuse(here, "is no object")
        region = _text(row, "region", here)
        if not _REGION.fullmatch(region):
            if not _NO_REGION.fullmatch(region):
                _refuse(here, f"has the region {shown(region)}, which is none")
            region = _GLOBAL
        service = _text(row, "service", here)
        if not _SERVICE.fullmatch(service):
            _refuse(here, f"has the service {shown(service)}, which is none")
        text = _text(row, field, here)
        try:
            network = ip_network(text)
        except ValueError:
            network = None
        if network is None or network.version != version or "/" not in text:
            _refuse(here, f"has the {field} {shown(text)}, no block of IPv{version} addresses")
        if network.prefixlen < _WIDEST[version]:
            _refuse(here, f"has the {field} {shown(text)}, wider than any of AWS's")
        yield Prefix(network, region, service)


def _text(row: dict[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        _refuse(place, f"has no {name}" if value is None else f"has the {name} {shown(value)}, no text")
    return value


def _refuse(place: str, what: str) -> NoReturn:
    raise InputError(f"{place} {what}; {_MEND}")


class AddressBook:
    """Tells which of AWS's regions an address is in: that of the longest prefix around it.

    Nested prefixes are laid out as disjoint blocks, so that one bisection finds the block.
    """

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        """Of equally long ``prefixes`` EC2's tells, then another service's, then AMAZON's.

        Where those disagree none tells. Blocks of private and other special addresses are passed over.
        """
        told: dict[IPv4Network | IPv6Network, dict[str, set[str]]] = {}
        for prefix in prefixes:
            if prefix.network.is_global:
                told.setdefault(prefix.network, {}).setdefault(prefix.service, set()).add(prefix.region)
        blocks: dict[int, list[tuple[int, int, Location]]] = {4: [], 6: []}
        for network, services in told.items():
            first = int(network.network_address)
            blocks[network.version].append((first, first + network.num_addresses, _location(services)))
        self._starts4, self._places4 = _laid_out(blocks[4])
        self._starts6, self._places6 = _laid_out(blocks[6])

    def find(self, address: str) -> Location | None:
        """Where ``address`` is; None for one that is not AWS's, and for what is no address."""
        try:
            packed = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
        except (OSError, ValueError):
            # Names of hosts stand where addresses do, and any text may be in a record.
            return None
        if packed.startswith(_MAPPED) and len(packed) == 16:
            packed = packed[12:]
        number = int.from_bytes(packed)
        if len(packed) == 4:
            return self._places4[bisect_right(self._starts4, number)]
        return self._places6[bisect_right(self._starts6, number)]


#: An IPv4 address written as an IPv6 one (RFC 4291, section 2.5.5.2).
_MAPPED = bytes(10) + b"\xff\xff"


def is_public(address: str) -> bool:
    """Whether ``address`` is one that the internet routes to one machine; not so for what is no address."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast


def _location(services: dict[str, set[str]]) -> Location:
    """What the entries of one prefix come to."""
    if _EC2 in services:
        regions = services[_EC2]
    else:
        others = [regions for service, regions in services.items() if service != _AMAZON]
        regions = set().union(*others) if others else services[_AMAZON]
    return Location(next(iter(regions)) if len(regions) == 1 else _GLOBAL, _EC2 in services)


def _laid_out(blocks: list[tuple[int, int, Location]]) -> tuple[list[int], list[Location | None]]:
    """Starts of disjoint blocks, and the place before the first start and from each one on.

    Prefixes are nested in each other or apart, so that a stack of those that are open is enough.
    """
    starts: list[int] = []
    places: list[Location | None] = [None]
    is_open: list[tuple[int, Location]] = []

    def begin(at: int, place: Location | None) -> None:
        if starts and starts[-1] == at:
            places[-1] = place
        else:
            starts.append(at)
            places.append(place)

    def close(until: int) -> None:
        while is_open and is_open[-1][0] <= until:
            end, _ = is_open.pop()
            begin(end, is_open[-1][1] if is_open else None)

    for first, end, place in sorted(blocks, key=lambda block: (block[0], -block[1])):
        close(first)
        begin(first, place)
        is_open.append((end, place))
    if is_open:
        close(max(end for end, _ in is_open))
    return starts, places
