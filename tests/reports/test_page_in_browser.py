"""The page in a real browser, from the disk: quiet, narrow enough, legible, sortable by keyboard."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.html import render_html
from tests.support.frontier_fixture import with_frontier
from tests.support.pulls_fixture import FINDINGS, pull_report, recorded_pulls
from tests.support.report_fixture import build_report

_CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.skipif(not _CHROMIUM.exists(), reason="Debian's chromium is not installed"),
    pytest.mark.enable_socket,
]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=str(_CHROMIUM), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    report = build_report(
        260, hostile=True, gaps=True, unknowns=True, not_read=True, unpriced=True, mounting="mixed"
    )
    pulls = replace(pull_report(*FINDINGS), recorded=recorded_pulls())
    path.write_text(render_html(with_frontier(replace(report, pulls=pulls))), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("width", [390, 1280])
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
    assert page.locator("svg[role=img]").count() == 6
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
    assert page.evaluate(_CONTRAST) == []
    page.close()


def test_the_page_prints_in_light_and_within_the_paper(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 1032, "height": 800}, color_scheme="dark")
    page.goto(address)
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1032
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(_CONTRAST) == []
    assert page.pdf()[:5] == b"%PDF-"
    page.close()
