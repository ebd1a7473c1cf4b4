"""What tells where pullers are, end to end: AWS's ip-ranges brought up to date, and all that is stored.

Below the command line, without clock or files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from analyzer.collect.ip_ranges import IP_RANGES_URL, FetchedIpRanges, fetch_ip_ranges
from analyzer.errors import DemurrageError, InputError, RunError
from analyzer.model.pulls import Hints, Machine, Told
from analyzer.model.records import Gap, ReadStatus, UseKind
from analyzer.model.units import from_ms, iso, to_ms
from analyzer.model.usage import SOURCES
from analyzer.pulls.addresses import AddressBook, IpRanges, parse_ip_ranges
from analyzer.pulls.origin import (
    Inventory,
    KnownOrigin,
    ReadPlace,
    SeenUse,
    machines_of,
    take_inventory,
)
from analyzer.pulls.role_rules import RoleRule
from analyzer.store.engine import Database
from analyzer.store.ip_ranges import StoredIpRanges, get_ip_ranges, put_ip_ranges
from analyzer.store.machines import forget_machines, machine_regions, remember_machines
from analyzer.store.snapshots import newest_snapshots
from analyzer.store.workload_frames import load_workload_frames

_STORED: Final = "the ip-ranges in the database"


class Finder(Protocol):
    """Whoever finds machines: `analyzer.collect.machines.MachineFinder`."""

    @property
    def gaps(self) -> Sequence[Gap]:
        """What was refused."""

    def find(self, wanted: Mapping[str, Collection[str]], today: int) -> Sequence[Machine]:
        """Those of ``wanted`` (ids by account) that are there."""


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


class Locator:
    """Tells where pullers are by all that the database knows; an `analyzer.model.pulls.Origin`.

    Workloads are those of each registry's newest snapshot. Machines that are not known are asked for
    where somebody can be asked, and remembered. For one thread.
    """

    def __init__(
        self,
        database: Database,
        today: int,
        rules: Collection[RoleRule] = (),
    ) -> None:
        """``today`` is in days since 1970-01-01 UTC.

        Raises RunError where the ip-ranges in the database are damaged.
        """
        self._database = database
        self._today = today
        self._open_finder: Callable[[], Finder] | None = None
        self._finder: Finder | None = None
        self._problem = ""
        with database.read() as connection:
            self._machines = machine_regions(connection)
        self._origin = KnownOrigin(
            inventory=_inventory(database),
            machines=self._machines,
            addresses=address_book(database),
            rules=rules,
        )

    def ask_with(self, open_finder: Callable[[], Finder]) -> None:
        """From now on ask for machines that are not known.

        ``open_finder`` is called when there is the first, and may raise any DemurrageError.
        """
        self._open_finder = open_finder

    @property
    def notes(self) -> list[str]:
        """What could not be used to tell regions and why, a line each."""
        found = [gap.detail for gap in self._finder.gaps] if self._finder is not None else []
        if self._problem:
            found.insert(0, self._problem)
        if not self._origin.has_addresses:
            found.append(
                "addresses tell no region: AWS's ip-ranges are not in the database; run: demurrage update"
            )
        return found

    def tell(self, hints: Hints, /) -> Told:
        """Where the puller is; NOT_TOLD where nothing tells."""
        return self._origin.tell(hints)

    def prepare(self, hints: Iterable[Hints]) -> None:
        """Find the machines that ``hints`` name, before these are told."""
        wanted = {
            account: unknown
            for account, names in machines_of(hints).items()
            if (unknown := names - self._machines.keys())
        }
        if not wanted or self._open_finder is None or self._problem:
            return
        if self._finder is None:
            try:
                self._finder = self._open_finder()
            except DemurrageError as error:
                self._problem = f"EC2 instances and VPC endpoints were not asked for: {error}"
                return
        found = self._finder.find(wanted, self._today)
        if found:
            with self._database.write() as connection:
                remember_machines(connection, found)
            self._machines.update((machine.name, machine.region) for machine in found)

    def forget(self, before_day: int) -> int:
        """Forget machines last seen before ``before_day``; gives how many those are."""
        with self._database.write() as connection:
            return forget_machines(connection, before_day)


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
