"""What axe-core complains of on a page: in light and dark, narrow and on paper.

    python -m tests.support.axe report.html

prints one complaint a line, for the demo's report and others that are too large for a test.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

CHROMIUM: Final = Path("/usr/bin/chromium")
LOOKS: Final = ("light", "dark", "narrow", "print")
#: What is folded has to be laid out well too.
UNFOLD: Final = "() => document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"


def open_page(browser: Any, address: str, look: str) -> Any:
    """The page at ``address`` in one of LOOKS, with everything unfolded."""
    page = browser.new_page(
        viewport={"width": 320 if look == "narrow" else 1280, "height": 800},
        color_scheme="dark" if look == "dark" else "light",
    )
    page.goto(address)
    page.evaluate(UNFOLD)
    if look == "print":
        page.emulate_media(media="print")
    return page


def complaints(page: Any, *, contrast: bool = True) -> list[str]:
    """Every violation with the element it is about; contrast, the slow part, only where asked for."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 (not everywhere)

    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": contrast}}}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def has_contrast(look: str) -> bool:
    """Whether contrast is worth asking for: it does not depend on width, and paper is light."""
    return look in {"light", "dark"}


def _everything(path: Path) -> Iterator[str]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (not everywhere)

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        for look in LOOKS:
            page = open_page(browser, path.resolve().as_uri(), look)
            for complaint in complaints(page, contrast=has_contrast(look)):
                yield f"{look}: {complaint}"
            page.close()
        browser.close()


if __name__ == "__main__":
    for line in _everything(Path(sys.argv[1])):
        print(line)
