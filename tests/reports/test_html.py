"""The page as text: order, sums, words for every state, and nothing hostile alive in it."""

import base64
import gzip
import hashlib
import re
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Literal

import pytest

from analyzer.model.results import Report, ScopedBytes, ScopedMoney
from analyzer.model.units import Money
from reports.anchors import repository_anchor
from reports.cells import MOST_REPOSITORIES
from reports.files import write_report
from reports.html import render_html
from tests.support.report_fixture import HOSTILE, POSSIBLY_REACHED, Mounting, build_report, nothing_known
from tests.support.simulation_fixture import build_simulation
from tests.support.whole_report import whole_report


class _Page(HTMLParser):
    """Tags with their attributes, and the cells of each table by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.tables: dict[str, dict[str, list[list[str]]]] = {}
        self._sections: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._in_cell = False
        self._skip = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self._sections = self.tables.setdefault(str(dict(attrs)["id"]).removesuffix("-table"), {})
        elif tag in {"thead", "tbody", "tfoot"}:
            self._rows = self._sections.setdefault(tag, [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"th", "td"}:
            self._rows[-1].append("")
            self._in_cell = True
        if self._skip:
            self._skip += 1
        elif tag in {"style", "script"} or dict(attrs).get("class") == "note":
            self._skip = 1

    def handle_endtag(self, tag: str) -> None:
        self._in_cell &= tag not in {"th", "td"}
        if self._skip:
            self._skip -= 1

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.text += data
            if self._in_cell:
                self._rows[-1][-1] += data


def _column(page: _Page, section: str, column: int) -> list[Decimal]:
    cells = [row[column].rstrip("†").replace(",", "") for row in page.tables["repositories"].get(section, [])]
    return [Decimal(0) if cell in {"unknown", "–"} or cell[0] == "<" else Decimal(cell) for cell in cells]


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_the_sections_come_in_the_readers_order() -> None:
    text = render_html(build_report(5, gaps=True))
    places = [
        text.index(marker)
        for marker in (
            ">Completeness<",
            ">Cost</h2>",
            ">Stored</h2>",
            ">Waste</h2>",
            'id="money"',
            'id="cost-chart-title"',
            'id="repositories-table"',
            'id="registries-table"',
            'id="age-chart-title"',
            'id="ages-table"',
            'id="waste-table"',
            'id="method"',
            'id="prices-table"',
            'id="gaps-table"',
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize("repositories", [5, MOST_REPOSITORIES + 61])
def test_the_shown_columns_add_up_to_the_shown_total(repositories: int) -> None:
    page = _Page(render_html(build_report(repositories, unpriced=True, gaps=True)))
    table = page.tables["repositories"]
    assert len(table["tbody"]) == min(repositories, MOST_REPOSITORIES)
    names = [row[0] for row in table["tfoot"]]
    assert names == (["Other (61 repositories)"] if repositories > MOST_REPOSITORIES else []) + [
        "Shared",
        "Total",
    ]
    for column in range(1, 10):
        *closing, total = _column(page, "tfoot", column)
        assert sum([*_column(page, "tbody", column), *closing]) == total, column


def test_no_repository_shows_more_unique_than_stored_or_stored_than_logical() -> None:
    page = _Page(render_html(build_report(200)))
    logical, stored, unique = (_column(page, "tbody", column) for column in (4, 5, 6))
    assert all(u <= s <= w for u, s, w in zip(unique, stored, logical, strict=True))


def test_the_page_is_the_same_for_the_same_report() -> None:
    assert render_html(build_report(30, hostile=True)) == render_html(build_report(30, hostile=True))


def test_a_thousand_repositories_with_all_sections_and_long_names_fit_in_three_megabytes() -> None:
    prefix = "the-platform-organization/continuous-delivery-team/production-services/"
    report = whole_report(MOST_REPOSITORIES, prefix=prefix, gaps=True, unknowns=True, mounting="mixed")
    what_if = build_simulation(210, in_use=True, live=True, by_rule=True)
    page = render_html(report, what_if=what_if).encode("utf-8")
    assert len(page) < 3_000_000
    assert len(gzip.compress(page)) < 600_000
    assert page.count(b'<tr id="r-') == MOST_REPOSITORIES


def test_style_and_script_are_named_by_hash_and_nothing_else_may_run() -> None:
    text = render_html(build_report(2))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    for tag in ("style", "script"):
        source = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(source) == 1
        digest = base64.b64encode(hashlib.sha256(source[0].encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;".replace("+", "&#43;") in policy[1].replace("+", "&#43;")
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]


def test_hostile_text_is_dead_and_visible() -> None:
    text = render_html(build_report(len(HOSTILE) + 2, hostile=True, gaps=True))
    text.encode("utf-8")
    page = _Page(text)
    assert not {name for _, attributes in page.tags for name in attributes if name.startswith("on")}
    assert "style" not in {name for _, attributes in page.tags for name in attributes}
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "img" not in {tag for tag, _ in page.tags}
    names = [row[0] for row in page.tables["repositories"]["tbody"]]
    assert "<script>alert(1)</script>" in names
    assert r"invoice\u202egnp.exe" in names
    assert r"two\nlines\ttab\rreturn" in names
    assert r"\x1b[31mred\x1b[0m\x00\x07" in names
    assert "{{7*7}}{% raw %}${7*7}" in names
    for unseen in ("\u202e", "\u2066", "\u200b", "\x1b", "\x00"):
        assert unseen not in text


def _links(page: _Page) -> set[str]:
    return {
        attributes[name] or ""
        for _, attributes in page.tags
        for name in ("href", "src")
        if name in attributes
    }


def _hostile_report() -> Report:
    """A report with something for every section, and with names as an attacker would choose them."""
    return whole_report(len(HOSTILE) + 8, hostile=True, gaps=True, unknowns=True, unpriced=True)


def test_the_page_links_only_to_itself_and_to_the_files_beside_it(tmp_path: Path) -> None:
    report, what_if = _hostile_report(), build_simulation(14, hostile=True, in_use=True, by_rule=True)
    written = {path.name for path in write_report(report, tmp_path, what_if=what_if)}
    page = _Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link for link in _links(page) if not link.startswith("#")} <= written
    assert {link[1:] for link in _links(page) if link.startswith("#")} <= set(ids)


def test_every_table_leads_to_its_rows_and_its_method() -> None:
    what_if = build_simulation(14, in_use=True, by_rule=True)
    text = render_html(_hostile_report(), what_if=what_if)
    blocks = text.split('<div class="table">')[1:]
    assert len(blocks) > 15
    for block in blocks:
        below = block.partition("</table>")[2]
        assert re.search(r'<a href="[a-z-]+\.(csv|json)">', below), block[:300]
        assert re.search(r'<a href="#method-[a-z-]+">', below), block[:300]


def test_a_repository_has_one_address_wherever_it_stands() -> None:
    report = _hostile_report()
    page = _Page(render_html(report))
    anchors = [repository_anchor(row.account, row.region, row.repository) for row in report.repositories]
    rows = [attributes["id"] for tag, attributes in page.tags if tag == "tr" and "id" in attributes]
    assert rows == anchors
    assert {f"#{anchor}" for anchor in anchors} <= _links(page)


def test_a_repository_without_a_row_of_its_own_is_not_linked() -> None:
    report = build_report(6)
    page = _Page(render_html(report, what_if=build_simulation(4)))
    known = {f"#{repository_anchor(row.account, row.region, row.repository)}" for row in report.repositories}
    assert {link for link in _links(page) if link.startswith("#r-")} == known


def test_exact_numbers_stand_behind_the_rounded_ones() -> None:
    report = build_report(3)
    text = render_html(report)
    row = report.repositories[0]
    assert f'data-value="{row.logical_bytes}" title="{row.logical_bytes:,} bytes"' in text
    assert f'title="{report.totals.physical_bytes.repository:,} bytes"' in text


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (build_report(7, mounting="off"), "is off (DISABLED) everywhere, so each layer is charged once per"),
        (build_report(7, mounting="unreadable"), "could not be read anywhere, so each layer is charged once"),
        (
            build_report(7, mounting="on"),
            "Money is a range: blob mounting, which lets repositories share layers,",
        ),
        (build_report(7, mounting="mixed"), "is or was on in 4 of 6 registries."),
        (build_report(7, mounting="mixed"), "In 1 of 6 registries the setting could not be read;"),
        (build_report(7, scope="repository"), "Money is at repository scope, as asked for"),
        (build_report(7, scope="registry"), "Money is at registry scope, as asked for"),
        (build_report(7), "Complete: every repository was read."),
        (
            build_report(7, gaps=True),
            "Incomplete: 2 of 7 repositories not fully read; the repository list of 1 of",
        ),
        (build_report(7, unpriced=True), "Leaves out: no storage price for me-central-1."),
        (build_report(7), "Discounts, free tier, credits and taxes: all amounts are list prices."),
        (build_report(7, mounting="off"), "The most that turning it on could ever be worth there is $"),
        (replace(build_report(0), registries=()), "No registry has been read."),
    ],
)
def test_the_page_says_where_it_stands(report: Report, sentence: str) -> None:
    assert sentence in _flat(_Page(render_html(report)).text)


def test_a_range_is_shown_as_a_range_and_waste_at_its_safe_end() -> None:
    report = build_report(6, mounting="on")
    text = _flat(_Page(render_html(report)).text)
    low, high = report.totals.cost_low.amount, report.totals.cost_high.amount
    assert low is not None
    assert high is not None
    assert f"${low:,.2f}\N{EN DASH}${high:,.2f} a month" in text
    safe = report.totals.orphaned_cost.registry.amount
    assert safe is not None
    assert f"Waste ${safe:,.2f} a month" in text
    assert "That is the low end, at registry scope; at repository scope, the high end, it is $" in text
    assert "exactly what would leave" not in text


def test_unknown_cost_is_said_with_its_reason_and_never_zero() -> None:
    report = build_report(4)
    unknown = Money.unknown("no price file")
    both = ScopedMoney(repository=unknown, registry=unknown)
    report = replace(
        report,
        totals=replace(
            report.totals, cost=both, cost_low=unknown, cost_high=unknown, orphaned_cost=both, stale_cost=both
        ),
        repositories=tuple(replace(row, cost=both, orphaned_cost=unknown) for row in report.repositories),
        registries=tuple(
            replace(row, cost=both, cost_low=unknown, cost_high=unknown) for row in report.registries
        ),
        shared_cost=unknown,
    )
    page = _Page(render_html(report))
    text = _flat(page.text)
    assert "Cost unknown" in text
    assert "Leaves out: no price file." in text
    assert "by stored bytes, since no price is known" in text
    assert "$" not in text
    assert [row[1] for row in page.tables["repositories"]["tbody"]] == ["unknown"] * 4


def test_a_repository_that_was_never_read_shows_no_zeros() -> None:
    text = render_html(build_report(7, gaps=True))
    rows = _Page(text).tables["repositories"]["tbody"]
    row = next(row for row in rows if row[-1] == "refused")
    assert row[1:11] == ["unknown"] * 10
    assert 'title="images that were never listed">unknown<' in text


def test_bytes_of_unknown_artifacts_are_unknown_in_every_table() -> None:
    report = build_report(7, unknowns=True)
    text = render_html(report)
    page = _Page(text)
    rows = page.tables["repositories"]["tbody"]
    unreadable = next(row for row in rows if row[1] == "unknown")
    assert unreadable[1:7] == ["unknown"] * 6
    assert unreadable[7] == "0†"
    some = next(row for row, shown in zip(report.repositories, rows, strict=True) if shown[5].endswith("†"))
    assert some.counts.unknown
    assert all(cell.endswith("†") for cell in page.tables["repositories"]["tfoot"][-1][1:7])
    assert all(cell.endswith("†") for cell in page.tables["registries"]["tfoot"][-1][4:9])
    assert page.tables["ages"]["tfoot"][0][1].endswith("†")
    assert f"Leaves out: {report.totals.counts.unknown} artifacts of unknown size." in _flat(page.text)


def test_a_report_of_which_nothing_is_known_shows_no_zero() -> None:
    page = _Page(render_html(nothing_known()))
    text = _flat(page.text)
    assert "$0.00" not in text
    assert "nothing would leave" not in text
    for label in ("Cost", "Waste", "Stored"):
        assert f"{label} unknown" in text
    assert "an unknown number of repositories, an unknown number of images" in text
    assert "No image is known to be orphaned, but not all of them could be looked at." in text
    for name in ("registries", "repositories", "waste", "ages"):
        section = [*page.tables[name]["tbody"], *page.tables[name].get("tfoot", [])]
        cells = {cell for row in section for cell in row[1:]}
        assert not {cell for cell in cells if cell.strip("0.†") == "" and cell}, name


def _without_orphans(report: Report, *reasons: str, possibly: int = 0) -> Report:
    """``report`` with nothing orphaned, as far as is known."""
    nothing = Money(Decimal(0), leaves_out=reasons)
    totals = replace(
        report.totals,
        counts=replace(report.totals.counts, orphaned_images=0, possibly_reached_images=possibly),
        orphaned_freed_bytes=ScopedBytes(repository=0, registry=0),
        orphaned_cost=ScopedMoney(repository=nothing, registry=nothing),
    )
    rows = tuple(replace(row, orphaned_freed_bytes=0, orphaned_cost=nothing) for row in report.repositories)
    return replace(report, totals=totals, repositories=rows, images=report.images.assign(orphaned=False))


def test_no_waste_is_promised_only_where_everything_was_looked_at() -> None:
    known = _flat(_Page(render_html(_without_orphans(build_report(3)))).text)
    assert "Waste $0.00 a month for 0 bytes Every image is reached by a tag: nothing would leave." in known
    report = _without_orphans(build_report(3), POSSIBLY_REACHED, possibly=4)
    page = _Page(render_html(report))
    text = _flat(page.text)
    assert "Waste unknown No image is known to be orphaned" in text
    assert "Whether a tag reaches 4 more images is unknown: they may belong to an index that" in text
    assert "nothing would leave" not in text
    assert "$0.00" not in text
    row = next(row for row in page.tables["waste"]["tbody"] if row[0] == "Possibly orphaned")
    assert row[1:] == ["4"] + ["unknown"] * 4
    orphaned = next(row for row in page.tables["waste"]["tbody"] if row[0] == "Orphaned")
    assert all(cell.endswith("†") for cell in orphaned[2:])


@pytest.mark.parametrize("mounting", ["unreadable", "on", "mixed"])
@pytest.mark.parametrize("scope", ["auto", "repository", "registry"])
def test_savings_are_promised_at_registry_scope_unless_sharing_is_proven_off(
    mounting: Mounting, scope: Literal["auto", "repository", "registry"]
) -> None:
    report = build_report(7, mounting=mounting, scope=scope)
    text = _flat(_Page(render_html(report)).text)
    safe, other = report.totals.orphaned_cost.registry.amount, report.totals.orphaned_cost.repository.amount
    assert f"Waste ${safe:,.2f} a month for" in text
    assert f"both at least No tag reaches {report.totals.counts.orphaned_images} images. At least" in text
    assert f"at repository scope, the high end, it is ${other:,.2f} and" in text
    assert "exactly what would leave" not in text


def test_savings_are_exact_where_sharing_is_off() -> None:
    report = build_report(7)
    text = _flat(_Page(render_html(report)).text)
    amount = report.totals.orphaned_cost.repository.amount
    assert f"Waste ${amount:,.2f} a month for" in text
    assert "exactly what would leave with them" in text
    assert "both at least" not in text


@pytest.mark.parametrize(("mounting", "scope"), [("off", "repository"), ("on", "registry")])
def test_sizes_are_compared_with_what_is_freed_at_the_same_scope(mounting: Mounting, scope: str) -> None:
    report = build_report(7, mounting=mounting)
    images = report.images
    added_up = int(images.loc[images["orphaned"] & (images["kind"] == "image"), "logical_bytes"].sum())
    times = added_up / getattr(report.totals.orphaned_freed_bytes, scope)
    said = f"{times:,.1f} times what would be freed at {scope} scope"
    assert said in _flat(_Page(render_html(report)).text)


def test_a_registry_that_the_run_did_not_read_is_named() -> None:
    page = _Page(render_html(build_report(7, not_read=True)))
    text = _flat(page.text)
    said = "444455556666/us-east-1 was not read in run 42; shown as of 2026-11-20 02:00 UTC (run 40)."
    assert f"Incomplete: {said}" in text
    assert "Complete: every repository was read" not in text
    assert "Run 42, read 2026-11-23 02:00\N{EN DASH}02:02 UTC." in text


def test_unread_cache_rules_are_said_to_be_unknown() -> None:
    report = build_report(2)
    rows = tuple(replace(row, pull_through_cache=None) for row in report.repositories)
    assert render_html(replace(report, repositories=rows)).count("pull-through cache: unknown") == 2


def test_small_money_is_not_shown_as_nothing() -> None:
    page = _Page(render_html(build_report(3)))
    shown = [row[1] for row in page.tables["repositories"]["tbody"]]
    assert all(cell != "0.00" for cell in shown)


def test_gaps_of_one_kind_are_one_row_and_accepted_ones_come_last() -> None:
    report = build_report(300, gaps=True)
    rows = _Page(render_html(report)).tables["gaps"]["tbody"]
    assert len(rows) < len(report.gaps)
    assert rows[-1][-1] == "accepted"
    assert sum(int(row[-2]) for row in rows) == len(report.gaps) + 1


def test_discounted_prices_are_not_called_list_prices() -> None:
    report = build_report(3)
    prices = tuple(replace(row, discount_factor=Decimal("0.90")) for row in report.prices)
    page = _Page(render_html(replace(report, prices=prices)))
    assert "with the discount of the price file" in page.text
    assert page.tables["prices"]["tbody"][0][4] == "0.9"
