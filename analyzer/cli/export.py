"""`demurrage export`: a stored snapshot as Parquet files, for tools of business intelligence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.asking import figure_options, take_figures
from analyzer.cli.choices import (
    at_option,
    output_dir_option,
    repositories_option,
    run_option,
)
from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    Common,
    accept_gaps_option,
    common,
    global_options,
    require_folder,
)
from analyzer.cli.streams import tell
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.exporting.parquet import Written


@click.command("export", context_settings=HELP)
@output_dir_option("Folder for the files.")
@repositories_option("Export only repositories of such names")
@run_option()
@at_option()
@click.option("--list-columns", is_flag=True, help="Print what each column of each file is, and stop.")
@figure_options
@accept_gaps_option
@global_options
@click.pass_context
def export_command(
    context: click.Context,
    /,
    output_dir: Path | None,
    repositories: tuple[str, ...],
    run: int | None,
    at: datetime | None,
    list_columns: bool,  # noqa: FBT001 (click gives it by name)
    **options: Any,
) -> int:
    """Write a stored snapshot as Parquet files: a row for each image, tag, layer and finding.

    Figures are those of the report of the same options. What is unknown is null. Asks nothing of AWS and
    changes nothing; files of the same names are replaced, when all are complete.

    Exit status: 0 done; 4 something was not read.
    """
    shared = common(context)
    if list_columns:
        shared.write(_columns(shared))
        return 0
    if output_dir is None:
        raise InputError("export writes files; say where with --output-dir DIR")
    if find_spec("pyarrow") is None:
        raise InputError(
            'Parquet files need pyarrow, which is not here; run: pip install "demurrage[parquet]"'
        )
    from analyzer.exporting.export import export
    from analyzer.store.opening import open_database

    asked = take_figures(options, run=run, at=at)
    database = open_database(shared.db_url)
    require_folder(output_dir)
    done = export(database, asked, output_dir, repositories=repositories)
    if not shared.quiet:
        for warning in done.report.warnings:
            tell(warning)
    shared.write(_rendered(shared, output_dir, done.report.run, done.files))
    return WITH_GAPS if done.report.gaps else 0


def _rendered(shared: Common, folder: Path, run: int, files: Sequence[Written]) -> str:
    from analyzer.cli.answers import csv_text
    from reports.text import json_escaped, visible

    if shared.format != "table":
        entries = [{"file": file.name, "rows": file.rows, "bytes": file.size_bytes} for file in files]
        if shared.format == "csv":
            return csv_text(entries)
        return json_escaped(json.dumps({"run": run, "files": entries}, indent=2))
    lines = [("FILE", "ROWS", "BYTES")]
    lines += [(file.name, f"{file.rows:,}", f"{file.size_bytes:,}") for file in files]
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [f"{name:{wide[0]}}   {rows:>{wide[1]}}   {size:>{wide[2]}}" for name, rows, size in lines]
    return "\n".join(
        [shown[0], "─" * len(shown[0]), *shown[1:], "", f"Run {run} is in {visible(str(folder))}."]
    )


def _columns(shared: Common) -> str:
    from analyzer.cli.answers import csv_text
    from analyzer.exporting.columns import TABLES
    from reports.text import json_escaped

    if shared.format == "table":
        lines = []
        for table in TABLES:
            lines.append(f"{table.file}: {table.row}")
            lines += [f"  {column.name} ({column.type}): {column.meaning}" for column in table.columns]
        return "\n".join(lines)
    rows = [
        {"file": table.file, "column": column.name, "type": str(column.type), "meaning": column.meaning}
        for table in TABLES
        for column in table.columns
    ]
    return csv_text(rows) if shared.format == "csv" else json_escaped(json.dumps({"columns": rows}, indent=2))
