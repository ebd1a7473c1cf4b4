"""The page's section on a simulated policy, as text: in order, adding up, and nothing hostile alive in it."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest

from analyzer.model.simulation import Simulation
from reports.cells import MOST_ROWS, Table
from reports.html import render_html
from reports.usage import SAFE, coverage_sentences, kinds_text
from reports.what_if_page import what_if_section
from tests.support.report_fixture import HOSTILE, build_report
from tests.support.simulation_fixture import ARCHIVE, COVERAGE, KEEP, NOTHING, build_simulation


class _Section(HTMLParser):
    """Tags, ids and text of the section."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self.page = render_html(build_report(2), what_if=simulation)
        start = self.page.index('<section aria-labelledby="what-if">')
        self.html = self.page[start : self.page.index("</section>", start)]
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(self.html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def shown(table: Table | None, column: int) -> tuple[list[Decimal], Decimal]:
    """The figures of a column as they are read, without and with the row that is their total."""
    assert table is not None
    *rows, total = [row.cells[column].text for row in (*table.rows, *table.footer)]
    return [figure(text) for text in rows], figure(total)


def figure(text: str) -> Decimal:
    return Decimal(0) if text in {"unknown", "–", ""} or text[0] == "<" else Decimal(text.replace(",", ""))


def test_without_a_simulation_the_page_is_as_before() -> None:
    report = build_report(2)
    assert render_html(report) == render_html(report, what_if=None)
    assert 'id="what-if"' not in render_html(report)


def test_what_would_break_comes_before_the_figures_and_those_before_the_images() -> None:
    section = _Section(build_simulation(6, in_use=True, live=True, by_rule=True))
    places = [
        section.html.index(marker)
        for marker in (
            "Named as in use, and not there",
            "in use would be taken",
            "protected would be taken",
            ">Total<",
            ">Leaves<",
            ">Archived<",
            ">Kept<",
            "Why not the sum of image sizes?",
            'id="what-if-1-compared-table"',
            'id="what-if-1-chart-title"',
            'id="what-if-1-repositories-table"',
            'id="what-if-1-rules-table"',
            "To know",
            "Which images",
        )
    ]
    assert places == sorted(places)


def test_ids_are_unique_on_the_page_of_several_candidates() -> None:
    section = _Section(build_simulation(5, policies=(KEEP, ARCHIVE, NOTHING), by_rule=True))
    ids = re.findall(r' id="([^"]+)"', section.page)
    assert len(ids) == len(set(ids))
    assert "Policies side by side" in section.text
    assert "Nothing would leave or be archived." in section.text


@pytest.mark.parametrize("repositories", [5, MOST_ROWS + 30])
@pytest.mark.parametrize("policy", [KEEP, ARCHIVE])
def test_the_shown_columns_add_up_to_the_shown_total(repositories: int, policy: str) -> None:
    simulation = build_simulation(repositories, images=16, mounting=True, policies=(policy,))
    part = what_if_section(simulation).candidates[0]
    table = part.repositories
    assert table is not None
    assert len(table.rows) == min(repositories, MOST_ROWS)
    for column in range(1, len(table.columns)):
        rows, total = shown(table, column)
        assert sum(rows) == total, table.columns[column].label
    assert shown(table, 1)[1] == simulation.candidates[0].totals.leaving


def test_nothing_is_said_of_images_in_use_where_nobody_said_which_are() -> None:
    unasked = what_if_section(build_simulation(6)).candidates[0]
    asked = what_if_section(build_simulation(6, in_use=True)).candidates[0]
    assert unasked.repositories is not None
    assert asked.repositories is not None
    assert "In use" not in [column.label for column in unasked.repositories.columns]
    assert "In use" in [column.label for column in asked.repositories.columns]
    for table in (unasked.repositories, asked.repositories):
        assert sum(width for _, width in table.groups) == len(table.columns)


def test_who_uses_images_is_said_with_what_it_covers() -> None:
    simulation = build_simulation(6, in_use=True, users=True, policies=(KEEP, NOTHING))
    section = what_if_section(simulation)
    assert section.coverage == tuple(coverage_sentences(COVERAGE))
    taken, safe = section.candidates
    assert (taken.claim, safe.claim) == ("", SAFE)
    alarm = taken.alarms[0]
    assert alarm.heading.endswith(f"would be taken: {kinds_text(simulation.candidates[0].totals)}")
    assert all(" in ecs prod/service-" in image or "on the list given" in image for image in alarm.images)
    assert section.missing_in_use[0].startswith("prod/service-0: configured in ecs")
    page = _Section(simulation).text
    assert section.coverage[0] in page
    assert SAFE in page


def test_the_order_of_the_rows_is_said_as_it_is() -> None:
    apart = what_if_section(build_simulation(4, mounting=True)).candidates[0].repositories
    together = what_if_section(build_simulation(4)).candidates[0].repositories
    assert apart is not None
    assert together is not None
    assert apart.caption == "Repositories, ordered by what is surely saved, the low end"
    assert together.caption == "Repositories, those that save most first"


def test_cards_show_both_scopes_only_where_layers_may_be_shared() -> None:
    apart = what_if_section(build_simulation(6, mounting=True)).candidates[0]
    assert "–" in apart.cards[0].figure
    together = what_if_section(build_simulation(6, mounting=False)).candidates[0]
    assert "–" not in together.cards[0].figure
    assert "once per repository" in together.cards[0].sentences[0]
    assert together.repositories is not None
    assert [column.label for column in together.repositories.columns].count("Registry scope") == 0


def test_without_prices_the_cards_show_bytes_and_the_tables_say_unknown() -> None:
    part = what_if_section(build_simulation(3, offline=True)).candidates[0]
    assert part.cards[0].figure.endswith("B")
    assert part.repositories is not None
    assert part.repositories.footer[-1].cells[-1].text == "unknown"
    assert "the region is not known" in part.footnote
    assert "0.00" not in part.cards[1].figure


def test_bytes_that_nobody_knows_are_unknown() -> None:
    part = what_if_section(build_simulation(1, unknowns=True)).candidates[0]
    assert part.cards[0].figure == "unknown"
    assert part.cards[1].figure == "unknown"
    assert part.chart is None
    assert part.naive == ""


def test_the_first_images_of_the_first_repositories_are_listed_oldest_first() -> None:
    simulation = build_simulation(14, images=90)
    candidate = simulation.candidates[0]
    part = what_if_section(simulation).candidates[0]
    assert len(part.images) == 10
    assert part.images_note
    for row, listed in zip(candidate.repositories, part.images, strict=False):
        digests = [line.cells[0].text for line in listed.table.rows]
        assert digests == list(simulation.digests(row.claimed[:20]))[: len(digests)]
        assert f"{row.effect.leaving:,} leave" in listed.heading
    assert not what_if_section(build_simulation(2, images=8)).candidates[0].images_note


def test_a_policy_in_force_that_is_not_known_is_not_taken_for_none() -> None:
    part = what_if_section(build_simulation(5, live=True)).candidates[0]
    assert part.repositories is not None
    changes = [row.cells[-1] for row in part.repositories.rows]
    assert [cell.text for cell in changes].count("unknown") == 1
    assert part.repositories.footer[-1].cells[-1].incomplete
    assert "The policy in force in 1 repository is not known." in part.note


def test_long_lists_are_cut_and_counted() -> None:
    simulation = build_simulation(9, in_use=True, images=60)
    candidate = simulation.candidates[0]
    rows = tuple(replace(row, in_use=row.claimed) for row in candidate.repositories)
    number = sum(len(row.claimed) for row in rows)
    assert number > 20
    long = replace(
        simulation,
        candidates=(replace(candidate, repositories=rows, warnings=("w",) * 12),),
        missing_in_use=("m",) * 25,
    )
    section = what_if_section(long)
    alarm = section.candidates[0].alarms[0]
    assert alarm.heading == f"{number} images that are in use would be taken"
    assert len(alarm.images) == 20
    assert alarm.more == f"and {number - 20} more"
    assert (len(section.missing_in_use), section.missing_more) == (20, "and 5 more")
    assert "and 2 more about the policy as a whole" in section.candidates[0].notes


def test_hostile_text_is_dead_and_visible() -> None:
    arguments: dict[str, Any] = dict.fromkeys(("hostile", "in_use", "users", "unknowns", "by_rule"), True)
    simulation = build_simulation(14, policies=(KEEP, ARCHIVE), **arguments)
    candidate = replace(simulation.candidates[0], warnings=HOSTILE)
    section = _Section(
        replace(simulation, candidates=(candidate, simulation.candidates[1]), warnings=HOSTILE)
    )
    section.page.encode("utf-8")
    attributes = {name for _, found in section.tags for name in found}
    assert not {name for name in attributes if name.startswith("on")}
    assert "style" not in attributes
    assert {tag for tag, _ in section.tags}.isdisjoint({"script", "img", "style", "iframe"})
    links = [found["href"] or "" for tag, found in section.tags if tag == "a"]
    files = {"what-if.csv", "what-if-images.csv", "what-if.json"}
    assert all(link in files or re.fullmatch("#[a-z0-9-]+", link) for link in links)
    assert "<script>alert(1)</script>" in section.text
    assert r"invoice\u202egnp.exe" in section.text
    assert "{{7*7}}{% raw %}${7*7}" in section.text
    for unseen in ("\u202e", "\u2066", "\u200b", "\x1b", "\x00", "\ud800"):
        assert unseen not in section.html


def test_equal_simulations_give_equal_sections() -> None:
    first, second = (render_html(build_report(2), what_if=build_simulation(5, live=True)) for _ in range(2))
    assert first == second


def test_a_fleet_makes_no_endless_page() -> None:
    simulation = build_simulation(900, images=3, policies=(KEEP, ARCHIVE), live=True)
    bare = len(render_html(build_report(2)))
    assert len(render_html(build_report(2), what_if=simulation)) - bare < 700_000
