"""The index of published reports in a real browser: quiet, accessible, sortable, leading to the reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analyzer.publishing.catalog import entry_of
from analyzer.publishing.folder import FolderTarget
from analyzer.publishing.publish import publish
from reports.html import render_html
from tests.support.axe import CHROMIUM, LOOKS, complaints, has_contrast, open_page
from tests.support.report_fixture import build_report, nothing_known

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed"),
    pytest.mark.enable_socket,
]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three published reports, one of which knows nothing."""
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("published")
    reports = (build_report(5), nothing_known(), build_report(6, gaps=True, mounting="mixed"))
    for number, report in enumerate(reports, start=1):
        page = made / "report.html"
        page.write_text(render_html(report), encoding="utf-8")
        dated = replace(report, run=number, taken_to=report.taken_to + timedelta(days=number))
        files = {"report.html": page}
        publish(FolderTarget(folder), entry_of(dated, files), files, keep=9)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_to_complain_of(browser: Any, folder: Path, look: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    page = open_page(browser, (folder / "index.html").as_uri(), look)
    assert complaints(page, contrast=has_contrast(look)) == []
    page.close()


def test_the_index_is_quiet_sortable_and_leads_to_the_reports(browser: Any, folder: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((folder / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    def runs() -> list[str]:
        return list(page.locator("tbody tr td:nth-child(2)").all_inner_texts())

    assert runs() == ["3", "2", "1"]
    page.get_by_role("button", name="Run").press("Enter")
    page.get_by_role("button", name="Run").press("Enter")
    assert runs() == ["1", "2", "3"]
    page.get_by_role("link", name="The latest report").click()
    assert "run3" in page.url
    assert page.locator("h1").count() == 1
    page.goto((folder / "latest.html").as_uri())
    page.wait_for_url("**/report.html")
    assert "run3" in page.url
    assert said == []
    page.close()
