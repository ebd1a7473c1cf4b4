"""The page in a real browser, from the disk: quiet, narrow enough, legible, usable by keyboard and by ear."""

from collections.abc import Iterator
from typing import Any

import pytest

from reports.anchors import repository_anchor
from reports.html import render_html
from tests.support.axe import CHROMIUM, LOOKS, UNFOLD, complaints, has_contrast, open_page
from tests.support.report_fixture import HOSTILE, nothing_known
from tests.support.simulation_fixture import ARCHIVE, KEEP, build_simulation
from tests.support.whole_report import whole_report

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed"),
    pytest.mark.enable_socket,
]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    report = whole_report(
        260, hostile=True, gaps=True, unknowns=True, not_read=True, unpriced=True, mounting="mixed"
    )
    path.write_text(render_html(report), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Pages for the slow judge of accessibility, by what is in them."""
    needed: dict[str, Any] = {
        "hostile": True,
        "in_use": True,
        "users": True,
        "unknowns": True,
        "by_rule": True,
        "live": True,
    }
    hostile = whole_report(len(HOSTILE) + 14, hostile=True, gaps=True, unknowns=True, not_read=True)
    pages = {
        "everything, hostile": render_html(
            hostile, what_if=build_simulation(3, policies=(KEEP, ARCHIVE), **needed)
        ),
        "nothing known": render_html(nothing_known()),
    }
    folder = tmp_path_factory.mktemp("small")
    for n, text in enumerate(pages.values()):
        (folder / f"{n}.html").write_text(text, encoding="utf-8")
    return {name: (folder / f"{n}.html").as_uri() for n, name in enumerate(pages)}


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_quiet_and_never_scrolls_sideways(
    browser: Any, address: str, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.evaluate(UNFOLD)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    assert requests == [address]
    page.close()


def test_tables_sort_by_keyboard_and_say_so(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    column = page.locator("#repositories-table thead tr:last-child th", has_text="Logical")
    column.locator("button").focus()
    assert column.get_attribute("aria-sort") is None

    def values() -> list[int]:
        cells = page.locator("#repositories-table tbody td:nth-child(5)")
        return [int(text) for text in cells.evaluate_all("all => all.map(c => c.dataset.value)") if text]

    page.keyboard.press("Enter")
    assert column.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)
    page.keyboard.press("Space")
    assert column.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())
    assert page.locator("#repositories-table th[aria-sort]").count() == 1
    # The closing rows are no part of the order.
    assert page.locator("#repositories-table tfoot tr").last.inner_text().startswith("Total")
    page.close()


def test_unknown_money_sorts_last_in_both_directions(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    head = page.locator("#registries-table thead tr:last-child th").nth(7)
    for _ in range(2):
        head.locator("button").click()
        last = page.locator("#registries-table tbody tr").last.locator("td").nth(6)
        assert last.inner_text() == "unknown"
    page.close()


def test_without_script_everything_is_there_and_nothing_looks_clickable(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("button").count() == 0
    assert page.locator("#repositories-table tbody tr:visible").count() == 260
    assert page.locator("svg[role=img]").count() == 7
    assert page.locator("input, select").count() == 0
    assert page.locator("#gaps-table").is_visible()
    context.close()


_CONTRAST = """
() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const luminance = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const linear = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((byte) => {
      const part = byte / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (colour !== 'rgba(0, 0, 0, 0)') return colour;
    }
    return getComputedStyle(document.documentElement).backgroundColor;
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest('script, style, title, desc')) continue;
    const style = getComputedStyle(element);
    const ink = element.closest('svg') ? style.fill : style.color;
    const [a, b] = [luminance(ink), luminance(ground(element))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(element.outerHTML.slice(0, 80));
  }
  return faint;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(browser: Any, address: str, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    page.evaluate(UNFOLD)
    assert page.evaluate(_CONTRAST) == []
    page.close()


def test_the_page_prints_in_light_and_within_the_paper(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 1032, "height": 800}, color_scheme="dark")
    page.goto(address)
    page.evaluate(UNFOLD)
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1032
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(_CONTRAST) == []
    assert page.pdf()[:5] == b"%PDF-"
    page.close()


@pytest.mark.parametrize(
    ("which", "look"), [*(("everything, hostile", look) for look in LOOKS), ("nothing known", "light")]
)
def test_axe_finds_nothing_to_complain_of(browser: Any, small: dict[str, str], which: str, look: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    page = open_page(browser, small[which], look)
    assert complaints(page, contrast=has_contrast(look)) == []
    page.close()


def test_axe_would_complain(browser: Any, small: dict[str, str]) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    page = open_page(browser, small["nothing known"], "light")
    page.evaluate("document.querySelector('main').append(document.createElement('input'))")
    assert [complaint.split(":")[0] for complaint in complaints(page)] == ["label"]
    page.close()


def _rows(page: Any, table: str = "repositories") -> list[str]:
    names = page.locator(f"#{table}-table tbody tr:visible th a")
    return [str(name) for name in names.all_inner_texts()]


def _status(page: Any, table: str = "repositories") -> str:
    return str(page.locator(f".table:has(#{table}-table) [role=status]").inner_text())


def test_a_long_table_is_folded_and_filtered_by_keyboard_and_says_how_many_rows_show(
    browser: Any, address: str
) -> None:
    page = browser.new_page()
    page.goto(address)
    assert _status(page) == "25 of 260 rows shown"
    assert len(_rows(page)) == 25
    field = page.get_by_role("group", name="Filter: Repositories, dearest first").get_by_label("Filter")
    field.focus()
    page.keyboard.type("ML/ eu-west-1")
    found = _rows(page)
    assert found
    assert all(name.startswith("ml/") for name in found)
    assert _status(page) == f"{len(found)} of 260 rows shown; the closing rows count all"
    # From the filter on to the choices, and by the first letter to a region.
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Tab")
    page.keyboard.type("us-east-1")
    notes = page.locator("#repositories-table tbody tr:visible th .note").all_inner_texts()
    assert len(notes) == 25
    assert all("us-east-1" in note for note in notes)
    more = page.locator(".table:has(#repositories-table) button.more")
    assert more.get_attribute("aria-expanded") == "false"
    more.focus()
    page.keyboard.press("Enter")
    assert more.get_attribute("aria-expanded") == "true"
    assert more.inner_text() == "Show the first 25"
    assert len(_rows(page)) > 25
    page.close()


def test_a_filter_that_nothing_matches_says_so_and_is_no_pattern(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    field = page.get_by_role("group", name="Filter: Repositories, dearest first").get_by_label("Filter")
    field.fill("(.*")
    assert _rows(page) == []
    assert _status(page) == "0 of 260 rows shown; the closing rows count all"
    field.fill("<SCRIPT>alert")
    assert _rows(page) == ["<script>alert(1)</script>"]
    page.close()


def test_what_is_filtered_and_sorted_is_kept_in_the_address(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    tools = page.get_by_role("group", name="Filter: Repositories, dearest first")
    tools.get_by_label("Filter").fill("web/ +&#%")
    tools.get_by_label("Filter").fill("web/")
    tools.get_by_label("Region").select_option("us-east-1")
    page.locator("#repositories-table th button", has_text="Logical").click()
    seen, kept = _rows(page), page.url
    assert len(seen) > 2
    page.close()
    page = browser.new_page()
    page.goto(kept)
    assert _rows(page) == seen
    assert page.locator("#repositories-table th[aria-sort=descending]").inner_text().startswith("Logical")
    page.close()


@pytest.mark.parametrize("query", ["q=%E0%A4%A", "sort=99-falling", "sort=x", "facet-0=nowhere", "&&=&?"])
def test_an_address_that_was_tampered_with_shows_the_page(browser: Any, address: str, query: str) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{address}#repositories-table?{query}")
    assert page.locator("#repositories-table").is_visible()
    assert said == []
    page.close()


def test_the_address_of_a_repository_leads_to_its_row_though_it_is_folded(browser: Any, address: str) -> None:
    report = whole_report(
        260, hostile=True, gaps=True, unknowns=True, not_read=True, unpriced=True, mounting="mixed"
    )
    last = report.repositories[-1]
    anchor = repository_anchor(last.account, last.region, last.repository)
    page = browser.new_page(viewport={"width": 1280, "height": 700})
    page.goto(f"{address}#{anchor}")
    row = page.locator(f"#{anchor}")
    assert row.is_visible()
    box = row.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 700
    assert row.locator("th a").inner_text() == last.repository
    page.close()


def test_a_link_to_a_row_that_is_filtered_away_brings_it_back(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    tools = page.get_by_role("group", name="Filter: Repositories, dearest first")
    tools.get_by_label("Filter").fill("no such name")
    assert _rows(page) == []
    page.locator("#fewer-repositories-table tbody th a").first.click()
    page.wait_for_function("document.querySelector('tr:target').getBoundingClientRect().height > 0")
    assert tools.get_by_label("Filter").input_value() == ""
    page.close()


def test_what_is_folded_is_printed_and_controls_are_not(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.emulate_media(media="print")
    assert page.locator("#repositories-table tbody tr:visible").count() == 260
    assert page.locator("nav:visible, .tools:visible, button.more:visible").count() == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    page.close()


def test_heads_of_tables_are_whole_where_paper_repeats_them(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.emulate_media(media="print")
    # Chromium repeats neither what is positioned nor buttons.
    lost = page.locator("thead *").evaluate_all(
        "all => all.filter((e) => getComputedStyle(e).position !== 'static'"
        " || (e.localName === 'button' && getComputedStyle(e).display !== 'contents')).length"
    )
    assert lost == 0
    assert page.locator("thead button").count() > 0
    page.close()


def test_the_first_stop_of_the_keyboard_skips_to_the_figures(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the figures"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    page.close()
