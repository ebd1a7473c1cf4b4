"""report.html: one self-contained page, built from ``templates/`` with autoescape on."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection
from hashlib import sha256
from typing import Final

from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from analyzer.model.results import Report
from analyzer.model.simulation import Simulation
from reports.page import build_page
from reports.text import visible


class _Compiled(BytecodeCache):
    """Templates as Python's code, for all pages of a process: the service draws one after the other.

    An environment of its own for each page keeps what is drawn at the same time apart.
    """

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill ``bucket`` where its template was compiled before; a changed source is not taken for it."""
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._kept[bucket.key] = bucket.bytecode_to_string()


_COMPILED: Final = _Compiled()


def render_html(report: Report, *, what_if: Simulation | None = None) -> str:
    """The whole page. It makes no request, reads well without script and prints.

    With ``what_if`` it has a section about that simulated policy.

    The style and the script are inlined and named by hash in the content security policy, so that
    nothing which slips through the escaping could run either.
    """
    page = build_page(report, what_if)
    return render_template("report.html.j2", anchors=page.anchors, page=page)


def render_template(name: str, *, anchors: Collection[str] = (), **values: object) -> str:
    """A page from ``templates/``, given ``values`` beside its style, script and policy.

    A link is drawn only where what it leads to is on the page, among its ``anchors``.
    """
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=PackageLoader("reports", "templates"),
        bytecode_cache=_COMPILED,
        # Every value that is written passes here first; Markup (ours) goes through unchanged.
        finalize=_shown,
    )
    style = environment.get_template("report.css").render()
    script = environment.get_template("report.js").render()
    environment.globals["linked"] = lambda: anchors
    return environment.get_template(name).render(
        style=Markup(style),  # noqa: S704 (our own file)
        script=Markup(script),  # noqa: S704 (our own file)
        policy=_policy(style, script),
        **values,
    )


def _shown(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}';"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    return "sha256-" + b64encode(sha256(source.encode("utf-8")).digest()).decode("ascii")
