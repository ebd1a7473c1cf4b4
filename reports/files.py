"""The report as files: the one place in this package that touches the disk."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from analyzer.errors import InputError
from analyzer.model.results import Report
from analyzer.model.simulation import Simulation
from reports.columns import NAME as COLUMNS_NAME
from reports.columns import render_columns
from reports.csv import render_csvs
from reports.html import render_html
from reports.json import render_json
from reports.recommend_scripts import script_text, terraform_text
from reports.recommend_words import advice
from reports.what_if_csv import what_if_csv
from reports.what_if_json import render_what_if


def write_report(report: Report, output_dir: Path, *, what_if: Simulation | None = None) -> list[Path]:
    """Write report.html, report.json and the CSV tables into ``output_dir``; their paths, in that order.

    The last table is columns.csv, which says what each column of the others means.

    Where policies are recommended, recommended.tf and recommended.sh have them all.

    With ``what_if`` the page has a section on that simulation, and beside it stand what-if.json,
    what-if.csv (a row per repository) and what-if-images.csv (one per image that is touched).

    The folder is made if need be. Everything is rendered before anything is written, and each file
    is written beside its target and renamed when complete, so that a reader never meets half a
    file. Raises InputError where the folder or a file in it cannot be written.
    """
    texts = {
        "report.html": render_html(report, what_if=what_if),
        "report.json": render_json(report),
        **render_csvs(report),
    }
    if report.recommendations is not None and advice(report.recommendations):
        texts |= {
            "recommended.tf": terraform_text(report.recommendations),
            "recommended.sh": script_text(report.recommendations),
        }
    if what_if is not None:
        texts |= {
            "what-if.json": render_what_if(what_if),
            "what-if.csv": what_if_csv(what_if),
            "what-if-images.csv": what_if_csv(what_if, rows="image"),
        }
    texts[COLUMNS_NAME] = render_columns(
        {name: text for name, text in texts.items() if name.endswith(".csv")}
    )
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
