"""What tells where pullers are, end to end: AWS's ip-ranges brought up to date, and all that is stored.

Below the command line, without clock or files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from analyzer.collect.ip_ranges import IP_RANGES_URL, FetchedIpRanges, fetch_ip_ranges
from analyzer.errors import InputError, RunError
from analyzer.model.records import ReadStatus, UseKind
from analyzer.model.units import from_ms, iso, to_ms
from analyzer.model.usage import SOURCES
from analyzer.pulls.addresses import AddressBook, IpRanges, parse_ip_ranges
from analyzer.pulls.origin import Inventory, KnownOrigin, ReadPlace, SeenUse, take_inventory
from analyzer.pulls.role_rules import RoleRule
from analyzer.store.engine import Database
from analyzer.store.ip_ranges import StoredIpRanges, get_ip_ranges, put_ip_ranges
from analyzer.store.machines import machine_regions
from analyzer.store.snapshots import newest_snapshots
from analyzer.store.workload_frames import load_workload_frames

_STORED: Final = "the ip-ranges in the database"


@dataclass(frozen=True, slots=True, kw_only=True)
class IpRangesUpdate:
    """How AWS's ip-ranges stand after an update."""

    #: When AWS made those that are stored now, and those that were before; None where there were none.
    created_at: datetime
    previous_at: datetime | None
    prefixes: int
    regions: int
    #: Address or name of the file that they came from.
    source: str

    @property
    def is_changed(self) -> bool:
        """Whether they are others than before."""
        return self.created_at != self.previous_at


def update_from_file(
    database: Database, ranges: IpRanges, data: bytes, file: str, now_ms: int
) -> IpRangesUpdate:
    """Store ``data``, which ``file`` holds and ``ranges`` is parsed from.

    Raises InputError where they are older than what is stored.
    """
    known = _known(database)
    if not _store(database, ranges, data, file, "", now_ms):
        raise InputError(
            f"--ip-ranges {file} is of {iso(ranges.created_at)}, older than what the database has; "
            f"take a newer file from {IP_RANGES_URL}"
        )
    return _update(ranges, known, file)


def update_from_aws(
    database: Database, now_ms: int, fetch: Callable[[str], FetchedIpRanges | None] = fetch_ip_ranges
) -> IpRangesUpdate:
    """Store the ip-ranges that AWS publishes now.

    ``fetch`` gives them, or None where they still are those of the ETag that it gets. Raises RunError
    where they cannot be had, are none, or are older than what is stored.
    """
    known = _known(database)
    etag = known.etag if known is not None and known.source == IP_RANGES_URL else ""
    fetched = fetch(etag)
    if fetched is None:
        if known is None:
            raise RunError(f"{IP_RANGES_URL} says that nothing has changed, of nothing; try again")
        return _update(parse_ip_ranges(known.document, _STORED), known, known.source)
    try:
        ranges = parse_ip_ranges(fetched.document, IP_RANGES_URL)
    except InputError as error:
        raise RunError(f"something else than AWS's file came: {error}, elsewhere") from error
    if not _store(database, ranges, fetched.document, IP_RANGES_URL, fetched.etag, now_ms):
        raise RunError(
            f"{IP_RANGES_URL} answers with a file of {iso(ranges.created_at)}, older than what is stored, "
            "which stays; a proxy may keep it, try again later"
        )
    return _update(ranges, known, IP_RANGES_URL)


def known_origin(database: Database, rules: Collection[RoleRule] = ()) -> KnownOrigin:
    """Whoever tells where pullers are, by all that the database knows, and by ``rules``.

    Workloads are those of each registry's newest snapshot. Raises RunError where the ip-ranges in the
    database are damaged.
    """
    with database.read() as connection:
        machines = machine_regions(connection)
    return KnownOrigin(
        inventory=_inventory(database), machines=machines, addresses=address_book(database), rules=rules
    )


def address_book(database: Database) -> AddressBook | None:
    """AWS's addresses as they are stored; None where they never were. Raises RunError for damaged ones."""
    with database.read() as connection:
        known = get_ip_ranges(connection)
    if known is None:
        return None
    try:
        return AddressBook(parse_ip_ranges(known.document, _STORED).prefixes)
    except InputError as error:
        raise RunError(f"{_STORED} are damaged; run: demurrage update") from error


def _inventory(database: Database) -> Inventory:
    with database.read() as connection:
        snapshots = list(newest_snapshots(connection).values())
        if not snapshots:
            return Inventory()
        workloads = load_workload_frames(connection, snapshots)
    places = [(snapshot.key.account, snapshot.key.region) for snapshot in snapshots]
    whole: defaultdict[int, set[str]] = defaultdict(set)
    for read in workloads.reads:
        if read.status is ReadStatus.COMPLETE:
            whole[read.place].add(read.source)
    read_places = {read.place for read in workloads.reads if read.status is not ReadStatus.REFUSED}
    uses = {
        SeenUse(places[place][0], places[place][1], workloads.references[reference], UseKind(kind))
        for place, reference, kind in zip(
            workloads.place.tolist(), workloads.reference.tolist(), workloads.kind.tolist(), strict=True
        )
    }
    return take_inventory(
        uses, [ReadPlace(*places[place], whole[place] >= set(SOURCES)) for place in sorted(read_places)]
    )


def _known(database: Database) -> StoredIpRanges | None:
    """What is stored; None also where it is damaged, which an update mends."""
    with database.read() as connection:
        try:
            known = get_ip_ranges(connection)
            if known is not None:
                parse_ip_ranges(known.document, _STORED)
        except (InputError, RunError):
            return None
    return known


def _store(
    database: Database, ranges: IpRanges, document: bytes, source: str, etag: str, now_ms: int
) -> bool:
    given = StoredIpRanges(
        created_at_ms=to_ms(ranges.created_at),
        stored_at_ms=now_ms,
        source=source,
        etag=etag,
        document=document,
    )
    with database.write() as connection:
        return put_ip_ranges(connection, given)


def _update(ranges: IpRanges, known: StoredIpRanges | None, source: str) -> IpRangesUpdate:
    return IpRangesUpdate(
        created_at=ranges.created_at,
        previous_at=None if known is None else from_ms(known.created_at_ms),
        prefixes=len({prefix.network for prefix in ranges.prefixes}),
        regions=len({prefix.region for prefix in ranges.prefixes if prefix.region}),
        source=source,
    )
