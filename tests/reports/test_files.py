"""Files are written whole or not at all, and a refusal is a sentence."""

from pathlib import Path

import pytest

from analyzer.errors import InputError
from reports.files import write_report
from tests.support.report_fixture import build_report

_NAMES = [
    "report.html",
    "report.json",
    "repositories.csv",
    "registries.csv",
    "images.csv",
    "ages.csv",
    "prices.csv",
    "gaps.csv",
    "columns.csv",
]


def test_all_files_are_written_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    paths = write_report(build_report(5, hostile=True, gaps=True), folder)
    assert [path.name for path in paths] == _NAMES
    assert sorted(path.name for path in folder.iterdir()) == sorted(_NAMES)


def test_equal_reports_write_equal_bytes_over_the_old_ones(tmp_path: Path) -> None:
    paths = write_report(build_report(5), tmp_path)
    before = [path.read_bytes() for path in paths]
    write_report(build_report(9), tmp_path)
    assert [path.read_bytes() for path in paths] != before
    write_report(build_report(5), tmp_path)
    assert [path.read_bytes() for path in paths] == before


def test_a_folder_that_is_a_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"cannot write .*taken.*--output-dir"):
        write_report(build_report(1), target)
    assert target.read_text(encoding="utf-8") == "mine"


def test_a_target_that_cannot_be_replaced_is_refused_and_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*report\.json"):
        write_report(build_report(1), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
