"""The words, the page's section and the scripts of recommended policies."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import hcl2
import pytest

from analyzer.model.recommendation import Status
from analyzer.model.units import Money
from reports.html import render_html
from reports.recommend_json import recommend_json
from reports.recommend_page import recommend_section
from reports.recommend_scripts import script_text, terraform_text
from reports.recommend_text import recommend_text
from reports.recommend_words import money_words
from reports.text import visible
from tests.support.recommend_fixture import POLICY, recommendations_of, with_recommendations
from tests.support.report_fixture import build_report


@pytest.mark.parametrize(
    ("amount", "words"),
    [("0", "$0.00"), ("0.001", "<$0.01"), ("-0.001", "-<$0.01"), ("-1.5", "-$1.50"), ("1234.5", "$1,234.50")],
)
def test_amounts_are_whole_cents_and_never_nothing_where_there_is_something(amount: str, words: str) -> None:
    assert money_words(Money(Decimal(amount))) == words
    assert money_words(Money(Decimal(0), leaves_out=("x",))) == "unknown"
    assert money_words(Money.unknown("x")) == "unknown"


def test_the_section_has_a_row_for_each_and_the_texts_of_the_first() -> None:
    section = recommend_section(with_recommendations(build_report(40)))
    assert section is not None
    assert len(section.table.rows) == 40
    assert len(section.blocks) == 10
    assert section.blocks[0].text == POLICY
    assert section.default is not None
    assert recommend_section(build_report(3)) is None


def test_snapshots_of_several_registries_are_not_called_nights() -> None:
    # One night of three registries.
    assert (
        recommend_text(recommendations_of(build_report(3))).count("Replayed over 3 stored snapshots these")
        == 1
    )


def test_the_page_stays_small_however_many_repositories_there_are() -> None:
    few, many = (len(render_html(with_recommendations(build_report(n)))) for n in (200, 400))
    assert many - few < 400_000


def test_every_format_shows_hostile_names_and_obeys_none(tmp_path: Path) -> None:
    report = recommendations_of(build_report(20, hostile=True), hostile=True)
    for text in (
        recommend_text(report),
        recommend_json(report),
        terraform_text(report),
        script_text(report),
    ):
        assert visible(text.replace("\n", "")) == text.replace("\n", "")
    json.loads(recommend_json(report))
    hcl2.loads(terraform_text(report))
    (tmp_path / "put.sh").write_text(script_text(report))
    assert subprocess.run(["bash", "-n", tmp_path / "put.sh"], check=False).returncode == 0


def test_only_what_is_to_be_put_is_in_the_scripts() -> None:
    report = recommendations_of(build_report(14))
    advised = sum(row.status.advises for row in report.repositories)
    assert advised == 6
    assert script_text(report).count("\npolicy ") == advised
    assert terraform_text(report).count("aws_ecr_lifecycle_policy") == advised
    nothing = replace(
        report, repositories=tuple(row for row in report.repositories if row.status is Status.KEEP)
    )
    assert "\npolicy " not in script_text(nothing)
