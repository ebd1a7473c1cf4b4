"""The report as files: the one place in this package that touches the disk."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from analyzer.errors import InputError
from analyzer.model.results import Report
from reports.csv import render_csvs
from reports.html import render_html
from reports.json import render_json


def write_report(report: Report, output_dir: Path) -> list[Path]:
    """Write report.html, report.json and the CSV tables into ``output_dir``; their paths, in that order.

    The folder is made if need be. Everything is rendered before anything is written, and each file
    is written beside its target and renamed when complete, so that a reader never meets half a
    file. Raises InputError where the folder or a file in it cannot be written.
    """
    texts = {"report.html": render_html(report), "report.json": render_json(report), **render_csvs(report)}
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(output_dir, error) from error
    return [_write(output_dir / name, text) for name, text in texts.items()]


def _write(target: Path, text: str) -> Path:
    # The name is random because two reports may be written to one folder at the same time; it is
    # opened by hand because the tempfile module's files are closed to all other users.
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            with beside.open("xb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(target, error) from error
    return target


def _unwritable(path: Path, error: OSError) -> InputError:
    reason = error.strerror or str(error)
    return InputError(f"cannot write {path}: {reason}; make room there or choose another --output-dir")
