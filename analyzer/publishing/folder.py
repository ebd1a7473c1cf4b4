"""Publishing into a folder: a report appears by one rename."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from analyzer.errors import InputError, RunError
from analyzer.model.publication import INDEX_JSON, REPORTS, PublishedReport
from analyzer.publishing.catalog import ChangedIndexError

try:
    import fcntl
except ImportError:  # Windows has no such locks, and its publishers have to take turns by themselves.
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(file: IO[bytes]) -> Iterator[None]:
    """Hold ``file`` alone until it is closed, waiting for others; raises OSError where there are no locks."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)
    yield


class FolderTarget:
    """A folder; made if need be."""

    def __init__(self, folder: Path) -> None:
        """Publish into ``folder``; raises InputError where that cannot be written."""
        self.folder = folder
        try:
            (folder / REPORTS).mkdir(parents=True, exist_ok=True)
            probe = folder / f".{secrets.token_hex(8)}.part"
            try:
                probe.write_bytes(b"demurrage")
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"--publish {folder} cannot be written: {error.strerror or error}; name another folder"
            ) from error

    @property
    def label(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def put_report(self, entry: PublishedReport, files: Mapping[str, Path]) -> None:
        """Copy the files beside where they belong, and rename their folder when all are there."""
        place = self.folder / REPORTS / entry.id
        beside = self.folder / REPORTS / f".{entry.id}.{secrets.token_hex(4)}.part"
        with self._told():
            if place.is_dir():
                return
            try:
                for name, source in files.items():
                    copy = beside / name
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, copy)
                    _to_disk(copy)
                try:
                    beside.rename(place)
                except OSError:
                    # Another publisher may have been quicker, with the same report.
                    if not place.is_dir():
                        raise
            finally:
                shutil.rmtree(beside, ignore_errors=True)

    def read_index(self) -> tuple[bytes, str] | None:
        """index.json, which itself tells its version."""
        with self._told():
            try:
                data = (self.folder / INDEX_JSON).read_bytes()
            except FileNotFoundError:
                return None
        return data, hashlib.sha256(data).hexdigest()

    def write_index(self, data: bytes, version: str | None) -> None:
        """Replace index.json if it is as it was read; others wait meanwhile."""
        with self._alone():
            known = self.read_index()
            if (None if known is None else known[1]) != version:
                raise ChangedIndexError
            self.write_page(INDEX_JSON, data)

    def write_page(self, name: str, data: bytes) -> None:
        """Write the page beside where it belongs and rename it."""
        target = self.folder / name
        beside = self.folder / f".{name}.{secrets.token_hex(4)}.part"
        with self._told():
            try:
                beside.write_bytes(data)
                _to_disk(beside)
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)

    def remove_report(self, entry: PublishedReport) -> None:
        """Take the report's folder away, by one rename first."""
        place = self.folder / REPORTS / entry.id
        beside = self.folder / REPORTS / f".{entry.id}.{secrets.token_hex(4)}.gone"
        with self._told():
            try:
                place.rename(beside)
            except FileNotFoundError:
                return
            shutil.rmtree(beside)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._told(), (self.folder / ".lock").open("ab") as lock, locked(lock):
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"cannot publish to {self.folder}: {error.strerror or error}") from error


def _to_disk(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())
