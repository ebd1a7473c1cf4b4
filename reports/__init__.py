"""Result objects in, text out: the HTML page, the JSON document and the CSV tables.

The four names below are the public surface. They are looked up on first use, because they bring
pandas or Jinja2 with them and ``demurrage --help`` needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.csv import render_csvs
    from reports.files import write_report
    from reports.html import render_html
    from reports.json import render_json

__all__ = ["render_csvs", "render_html", "render_json", "write_report"]

_MODULES = {
    "render_csvs": "reports.csv",
    "render_html": "reports.html",
    "render_json": "reports.json",
    "write_report": "reports.files",
}


def __getattr__(name: str) -> object:
    """The public function ``name``; raises AttributeError for any other name."""
    if name not in _MODULES:
        raise AttributeError(f"module 'reports' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """The public names, sorted."""
    return sorted(__all__)
