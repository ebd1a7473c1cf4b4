"""Files of a folder that somebody filled, to be read one at a time."""

from __future__ import annotations

import codecs
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from analyzer.errors import InputError

#: Bytes of the largest file that is read: it has to fit into memory more than once.
_LARGEST = 2**30

#: PowerShell's redirection writes UTF-16 unless told otherwise.
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class FolderFile:
    """One file; a ``documents.gathering.Source``."""

    path: Path
    #: From the folder on, with slashes.
    name: str
    #: That of the folder it lies in, "" for the outermost.
    folder: str
    modified_at_ms: int
    size_bytes: int

    def read(self) -> str:
        """Its text, UTF-8 or, where it begins with its mark, UTF-16. Raises InputError."""
        if self.size_bytes > _LARGEST:
            raise InputError(
                f"{self.name} has {self.size_bytes:,} bytes, and at most {_LARGEST:,} are read at a time; "
                "split it between two documents, for example into one file per repository"
            )
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{self.name} cannot be read: {error.strerror or error}; mend that, or take it away"
            ) from error
        encoding = "utf-16" if data.startswith(_UTF_16_MARKS) else "utf-8"
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
                # No JSON that broke, but something else altogether.
                return data.decode("latin-1")
            raise InputError(
                f"{self.name} is no UTF-8 text: byte {error.start} is {data[error.start]:#04x}; write it "
                "again with the AWS CLI, or take it away"
            ) from error


def files_of(folder: Path) -> tuple[list[FolderFile], list[str]]:
    """The files in ``folder`` and the folders in it, by name; and what was passed over, in words.

    What is hidden (its name begins with a dot) is passed over in silence. Links are not followed: what
    lies elsewhere was not meant. Raises InputError where there is no such folder.
    """
    files: list[FolderFile] = []
    notes: list[str] = []

    def unreadable(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        raise InputError(f"{folder / name} cannot be read: {error.strerror or error}; name a folder that can")

    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "is not there"
        raise InputError(f"{folder} {what}; name the folder with what the AWS CLI printed")
    for here, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        within = Path(here).relative_to(folder).as_posix()
        within = "" if within == "." else within
        for name in sorted((*names, *(name for name in folders if (Path(here) / name).is_symlink()))):
            if name.startswith("."):
                continue
            path = Path(here) / name
            shown = f"{within}/{name}" if within else name
            try:
                found = path.lstat()
            except OSError as error:
                raise InputError(
                    f"{shown} cannot be read: {error.strerror or error}; mend that, or take it away"
                ) from error
            if not stat.S_ISREG(found.st_mode):
                what = "a link" if stat.S_ISLNK(found.st_mode) else "no ordinary file"
                notes.append(f"{shown} is {what}; not read")
                continue
            files.append(FolderFile(path, shown, within, found.st_mtime_ns // 1_000_000, found.st_size))
    return files, notes
