"""Pulls from CloudTrail into the store: joins its files and event history, their reading and the store.

Whatever order files come in, and however often, every event counts once (`analyzer.store.pulls`). What
was taken in is noted with it, so that a run that was cut short goes on where it was, and the next night
reads only what is new. What could not be read, and days of which there is nothing, are coverage.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from analyzer.errors import InputError
from analyzer.model.pull_batches import Evidence, FileMark, PullBatch, WrittenPulls
from analyzer.model.pulls import Hints, Origin
from analyzer.model.records import PUBLIC_REGION, RegistryKey
from analyzer.model.trails import StoredFile, TrailPlace, TrailSource
from analyzer.pulls.batches import columns_of
from analyzer.pulls.files import Extract, Span, UnreadableFileError, records_of
from analyzer.pulls.names import file_hash, is_beside, parse_name
from analyzer.pulls.reading import FileReader, FileToRead, ReadFile
from analyzer.pulls.records import Rules
from analyzer.store.engine import Database
from analyzer.store.pull_coverage import known_files, settled_days
from analyzer.store.pulls import PullStore

#: Rows of a batch, about, and files: what a kill costs, and what is in memory.
_ROWS = 150_000
_FILES = 400
#: Days that are read again, for files that come late.
LATE_DAYS = 2
#: Days that are read of a source that was never read.
FIRST_DAYS = 30
#: Days whose events are remembered one by one; older ones take no more. More than the event history has.
REMEMBERED_DAYS = 100
#: Event histories that are asked at a time.
_HISTORIES = 16
#: Reasons that are kept word for word.
_PROBLEMS = 50

LOOKUP = "lookup"


class History(Protocol):
    """An event history: `analyzer.collect.lookups.EventHistory`."""

    def pages(self, day: int) -> Iterator[list[Mapping[str, Any]]]:
        """The pulls of a day; raises UnreadableFileError."""


@dataclass(slots=True)
class IngestTotals:
    """How one source went."""

    source: str
    files: int = 0
    known_files: int = 0
    #: Of files, as they are stored.
    read_bytes: int = 0
    #: Layers and images asked for: counted, counted before, of days that are closed.
    written: WrittenPulls = field(default_factory=lambda: WrittenPulls(0, 0, 0))
    #: Events whose time cannot be read.
    undated: int = 0
    #: Whether a new file holds a read among management events, as pulls are.
    has_reads: bool = False
    #: What could not be read and why, the first of them.
    problems: list[str] = field(default_factory=list)
    unreadable: int = 0
    notes: list[str] = field(default_factory=list)

    def fail(self, what: str, why: str) -> None:
        """Note that something could not be read."""
        self.unreadable += 1
        if len(self.problems) < _PROBLEMS:
            self.problems.append(f"{what}: {why}")


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest."""

    rules: Rules
    origin: Origin
    #: Today, in days since 1970-01-01 UTC, and the first day to read; None for what is new.
    today: int
    since: int | None = None
    processes: int = 2
    #: Called with what records say of pullers before ``origin`` tells where these are.
    prepare: Callable[[Iterable[Hints]], None] | None = None


class Ingester:
    """Takes sources into one database; for one thread."""

    def __init__(self, database: Database, options: IngestOptions) -> None:
        self._database = database
        self._options = options
        self._store = PullStore(database)
        #: Of the files of the day at hand.
        self._problems: list[str] = []

    def trail(self, source: TrailSource, registries: Iterable[RegistryKey]) -> IngestTotals:
        """Read what is new in a trail's bucket; ``registries`` are those that ought to be in it."""
        totals = IngestTotals(source.name)
        try:
            places = source.places()
        except UnreadableFileError as error:
            totals.fail(source.name, str(error))
            self._cover(self._missing(source.name, registries, str(error)))
            return totals
        if not places:
            # A prefix that is not the trail's would otherwise be a quiet night, every night.
            totals.fail(
                source.name, "there is no file of a trail; name bucket and prefix as the trail has them"
            )
        state = source.state()
        if state.problem or state.note:
            totals.notes.append(state.problem or state.note)
        with FileReader(self._options.rules, self._options.processes) as reader:
            for place in places:
                for day in self._days(source.name, place):
                    try:
                        files = source.files(place, day)
                    except UnreadableFileError as error:
                        totals.fail(f"{place.account}/{place.region}", str(error))
                        self._cover([Evidence(day, *place, source.name, problem=str(error))])
                        continue
                    found = [file for file in files if not is_beside(file.name)]
                    vouched = bool(found) and state.vouches_for(place.region, day)
                    self._day(reader, totals, place, day, found, source.fetch)
                    problem = state.problem or self._unfinished(day)
                    self._settle(Evidence(day, *place, source.name, is_whole=vouched), problem)
        have = set(places)
        lacking = [key for key in registries if TrailPlace(key.account, key.region) not in have]
        self._cover(self._missing(source.name, lacking, "the trail has no files of this account and region"))
        return totals

    def folder(self, folder: Path) -> IngestTotals:
        """Read the files under a folder, whatever their names, that were not read before."""
        source = str(folder.resolve())
        totals = IngestTotals(source)
        by_span: defaultdict[TrailPlace | None, defaultdict[int, list[StoredFile]]]
        by_span = defaultdict(lambda: defaultdict(list))
        for file in _files_under(folder):
            if is_beside(file.name):
                continue
            name = parse_name(file.name)
            if name is None:
                by_span[None][0].append(file)
            elif self._options.since is None or name.day >= self._options.since:
                by_span[TrailPlace(name.account, name.region)][name.day].append(file)
        if not by_span:
            raise InputError(f"--trail {folder}: there are no files of CloudTrail's in it")
        fetch = partial(_read_local, folder)
        with FileReader(self._options.rules, self._options.processes) as reader:
            for place, days in sorted(by_span.items(), key=lambda entry: entry[0] or ("", "")):
                for day, files in sorted(days.items()):
                    self._day(reader, totals, place, day, files, fetch)
                    if place is not None:
                        self._settle(Evidence(day, *place, source), self._unfinished(day))
        if totals.files and not totals.has_reads:
            totals.notes.append(
                "no new file holds a read event, as pulls are: are they a trail's, and does it keep reads?"
            )
        return totals

    def histories(self, histories: Mapping[RegistryKey, History], history_days: int) -> IngestTotals:
        """Ask event histories, several at a time, for the days that are not complete."""
        totals = IngestTotals(LOOKUP)
        turn = Lock()
        with ThreadPoolExecutor(_HISTORIES) as threads:
            asked = [
                threads.submit(self._history, totals, key, history, history_days, turn)
                for key, history in histories.items()
            ]
            for future in asked:
                future.result()
        return totals

    def finish(self) -> int:
        """Forget the events of days long gone; gives how many days take no more from now on."""
        return self._store.close_days(self._options.today - REMEMBERED_DAYS)

    def _history(
        self, totals: IngestTotals, key: RegistryKey, history: History, history_days: int, turn: Lock
    ) -> None:
        place = TrailPlace(key.account, key.region)
        oldest = self._options.today - history_days + 1
        for day in self._days(LOOKUP, place, oldest):
            extract = Extract()
            problem = ""
            pages = history.pages(day)
            while True:
                try:
                    page = next(pages, None)
                    if page is not None:
                        extract.add(records_of({"Events": page}), self._options.rules)
                except UnreadableFileError as error:
                    problem, page = str(error), None
                if page is None or len(extract) >= _ROWS:
                    with turn:
                        self._write(totals, [extract], ())
                    extract = Extract()
                if page is None:
                    break
            with turn:
                unfinished = problem or self._unfinished(day)
                if problem:
                    totals.fail(f"{key.account}/{key.region}", problem)
                self._cover([Evidence(day, *place, LOOKUP, is_whole=not unfinished, problem=unfinished)])
            if problem:
                # What one day is refused for, the next will be.
                return

    def _days(self, source: str, place: TrailPlace, oldest: int | None = None) -> Iterator[int]:
        """The days to read: those that were not read well before, and the last ones again."""
        today = self._options.today
        first = today - FIRST_DAYS + 1 if self._options.since is None else self._options.since
        first = first if oldest is None else max(first, oldest)
        done: set[int] = set()
        if self._options.since is None:
            with self._database.read() as connection:
                done = settled_days(connection, source, *place)
        return iter([day for day in range(first, today + 1) if day not in done or day >= today - LATE_DAYS])

    def _unfinished(self, day: int) -> str:
        return "the day was not over when it was read" if day >= self._options.today else ""

    def _day(
        self,
        reader: FileReader,
        totals: IngestTotals,
        place: TrailPlace | None,
        day: int,
        files: Sequence[StoredFile],
        fetch: Callable[[str], bytes],
    ) -> None:
        """Read those of a day's files that are not in the store."""
        with self._database.read() as connection:
            known = set(known_files(connection, totals.source, day).tolist())
        marks = {file.name: file_hash(file.name, file.size) for file in files}
        new = [file for file in files if marks[file.name] not in known]
        totals.known_files += len(files) - len(new)
        self._problems = []
        to_read = [
            FileToRead(file.name, file.size, partial(fetch, file.name), with_hours=place is None)
            for file in new
        ]
        batch: list[ReadFile] = []
        for read in reader.read(to_read, sum(file.size for file in new)):
            if read.problem:
                totals.fail(read.file.name, read.problem)
                self._problems.append(read.problem)
                continue
            totals.files += 1
            totals.has_reads |= read.extract.has_reads
            totals.read_bytes += read.file.size
            batch.append(read)
            if len(batch) >= _FILES or sum(len(entry.extract) for entry in batch) >= _ROWS:
                self._take(totals, place, day, batch, marks)
                batch = []
        if batch:
            self._take(totals, place, day, batch, marks)

    def _take(
        self,
        totals: IngestTotals,
        place: TrailPlace | None,
        day: int,
        batch: Sequence[ReadFile],
        marks: Mapping[str, int],
    ) -> None:
        evidence: list[Evidence] = []
        for read in batch:
            extract = read.extract
            hours: Mapping[Span, int] = extract.hours
            name = parse_name(read.file.name)
            if place is not None and name is not None:
                hours = {(*place, day): 1 << name.hour}
            evidence += [
                Evidence(of_day, account, region, totals.source, bits, extract.has_reads)
                for (account, region, of_day), bits in hours.items()
            ]
        self._write(
            totals,
            [read.extract for read in batch],
            [FileMark(totals.source, day, marks[read.file.name]) for read in batch],
            _merged(evidence),
        )

    def _write(
        self,
        totals: IngestTotals,
        extracts: Sequence[Extract],
        files: Sequence[FileMark],
        evidence: Sequence[Evidence] = (),
    ) -> None:
        if self._options.prepare is not None:
            self._options.prepare(hints for extract in extracts for hints in extract.hints)
        columns = columns_of(extracts, self._options.origin)
        totals.undated += sum(extract.undated for extract in extracts)
        totals.written += self._store.write(PullBatch(columns, tuple(files), tuple(evidence)))

    def _settle(self, evidence: Evidence, problem: str) -> None:
        """Say how a day went, when all of its files were looked at."""
        if self._problems:
            count = len(self._problems)
            files = "a file" if count == 1 else f"{count} files"
            problem = f"{files} could not be read: {self._problems[0]}"
        self._cover([evidence._replace(problem=problem)])

    def _missing(self, source: str, registries: Iterable[RegistryKey], why: str) -> list[Evidence]:
        days = range(
            self._options.today - LATE_DAYS if self._options.since is None else self._options.since,
            self._options.today + 1,
        )
        return [
            Evidence(day, key.account, key.region, source, problem=why)
            for key in registries
            if key.region != PUBLIC_REGION
            for day in days
        ]

    def _cover(self, evidence: Sequence[Evidence]) -> None:
        if evidence:
            columns = columns_of((), self._options.origin)
            self._store.write(PullBatch(columns, evidence=tuple(evidence)))


def _merged(evidence: Iterable[Evidence]) -> list[Evidence]:
    """One row for each day and place, sorted."""
    found: dict[tuple[int, str, str], Evidence] = {}
    for row in evidence:
        known = found.get(row[:3], row)
        found[row[:3]] = known._replace(
            hours=known.hours | row.hours, has_reads=known.has_reads or row.has_reads
        )
    return [found[key] for key in sorted(found)]


def _files_under(folder: Path) -> list[StoredFile]:
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and name.endswith((".json", ".json.gz", ".jsonl", ".jsonl.gz", ".gz")):
                found.append(StoredFile(path.relative_to(folder).as_posix(), path.stat().st_size))
    return sorted(found)


def _read_local(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"cannot be read: {error.strerror or error}") from error
