"""Reading many files at once, in processes of their own where there are many: parsing is all CPU."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, cast

from analyzer.pulls.files import Extract, UnreadableFileError, read_file
from analyzer.pulls.records import Rules

#: So many bytes of files, packed, are worth the start of processes.
_WORTH_BYTES: Final = 4 << 20
#: Files fetched at a time, and so many for each process that wait to be taken.
_FETCHING = 8
_AHEAD = 3


@dataclass(frozen=True, slots=True)
class FileToRead:
    """A file that was found and not read yet."""

    #: As people know it.
    name: str
    size: int
    #: Gives its bytes; raises UnreadableFileError. Called from a thread.
    fetch: Callable[[], bytes]
    #: Whether its name does not say which hours it is about.
    with_hours: bool = False


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file, and what is in it or why that is not known."""

    file: FileToRead
    extract: Extract
    problem: str = ""


class FileReader:
    """Reads files by the same rules; a context, in which the processes live."""

    def __init__(self, rules: Rules, processes: int) -> None:
        """``processes`` at most; with 1 everything happens in this one."""
        self._rules = rules
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        self._threads = ThreadPoolExecutor(_FETCHING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def read(self, files: Iterable[FileToRead], total_bytes: int) -> Iterator[ReadFile]:
        """What is in ``files``, in their order; ``total_bytes`` says whether processes are worth it."""
        if self._pool is None and self._processes > 1 and total_bytes >= _WORTH_BYTES:
            # A copy of this process would hold its threads' locks, and its connections.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._processes, context, _begin, (self._rules,))
        fetched = _ahead(files, lambda file: self._threads.submit(file.fetch), _FETCHING)
        pool = self._pool
        if pool is None:
            parsed = ((file, partial(self._parsed, file, data)) for file, data in fetched)
        else:
            started = _ahead(fetched, lambda entry: _start(pool, *entry), _AHEAD * self._processes)
            parsed = ((file, result) for (file, _), result in started)
        for file, result in parsed:
            try:
                yield ReadFile(file, result())
            except UnreadableFileError as error:
                yield ReadFile(file, Extract(), str(error))

    def _parsed(self, file: FileToRead, data: Future[bytes]) -> Extract:
        return read_file(data.result(), self._rules, with_hours=file.with_hours)


def _start(pool: ProcessPoolExecutor, file: FileToRead, data: Future[bytes]) -> Callable[[], Extract]:
    """Have a process parse a file; gives what waits for it."""
    if data.exception() is not None:
        return cast("Callable[[], Extract]", data.result)
    return pool.submit(_parse, data.result(), file.with_hours).result


def _ahead(items: Iterable[Any], start: Callable[[Any], Any], number: int) -> Iterator[tuple[Any, Any]]:
    """Each of ``items`` with what ``start`` made of it, which is called for ``number`` of them ahead."""
    waiting: deque[tuple[Any, Any]] = deque()
    for item in items:
        waiting.append((item, start(item)))
        if len(waiting) >= number:
            yield waiting.popleft()
    yield from waiting


_rules = Rules()


def _begin(rules: Rules) -> None:
    global _rules  # noqa: PLW0603  what a process of a pool is given once
    _rules = rules


def _parse(data: bytes, with_hours: bool) -> Extract:  # noqa: FBT001  a pool passes by position
    return read_file(data, _rules, with_hours=with_hours)
