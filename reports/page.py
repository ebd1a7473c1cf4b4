"""What the page says, from top to bottom.

At the head stand the scope, the time and how complete it all is; then the numbers that matter most;
then the sections, in the order of ``_sections``: what to do first, then where the money is, where it
is going, what could leave, and the evidence, the method and its limits last.

To join, a section needs three things:

1. ``reports/<part>_page.py`` with a frozen record, of text, ``Table`` and ``Chart`` only, and a function
   ``<part>_section(report)`` that makes it (None where the report has nothing of the kind);
2. ``reports/templates/<part>.html.j2``, which writes that record, there called ``content``, from the first
   line after the heading on. Tables, cards, charts and folded texts come from the macros in
   ``tables.html.j2`` and ``figures.html.j2``; headings begin at ``<h3>``. Nothing is marked safe there;
3. a line in ``_sections`` below, where its place in the page is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from analyzer.model.results import Report
from analyzer.model.simulation import Simulation
from reports.cards import Card, cost_card, stored_card, waste_card
from reports.cells import Tone
from reports.changed_card import changed_card
from reports.facts import completeness, covers, moment_of_snapshot, redacted_words, scope_of_money
from reports.findings_page import actions_section, check_anchors, findings_section
from reports.frontier import fewer_section
from reports.method_page import method_section
from reports.money_page import MoneySection, groups_section, money_section, registries_section
from reports.outcome_page import outcome_section
from reports.pulls_page import pulls_section
from reports.recommend_page import recommend_section
from reports.rounding import CENT_DECIMALS, Costs, rounded_costs
from reports.settings_page import settings_section
from reports.trend_page import trend_section
from reports.waste_page import ages_section, waste_section
from reports.what_if_page import what_if_section


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the page."""

    #: The id of its heading: part of addresses that people keep, so it never changes.
    name: str
    title: str
    #: A word or two for the table of contents.
    label: str
    #: The file in ``templates/`` that writes ``content``.
    template: str
    content: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the template writes, in the page's order."""

    title: str
    covers: str
    snapshot: str
    completeness: str
    #: What that means; "" where it needs no words.
    completeness_detail: str
    completeness_tone: Tone
    has_gaps: bool
    scope: str
    #: What a report without names leaves out; "" of any other.
    redacted: str
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    #: The ids of the rows that cells may lead to.
    anchors: frozenset[str]


def build_page(report: Report, what_if: Simulation | None = None) -> Page:
    """The page of ``report``, and of ``what_if`` if any; equal ones give equal pages."""
    verdict, detail, tone = completeness(report)
    costs = rounded_costs(report, CENT_DECIMALS)
    money = money_section(report, costs)
    changed = changed_card(report.trend)
    return Page(
        title=f"What our registries cost, {report.at:%Y-%m-%d}",
        covers=covers(report),
        snapshot=moment_of_snapshot(report),
        completeness=verdict,
        completeness_detail=detail,
        completeness_tone=tone,
        has_gaps=bool(report.gaps or report.accepted_gaps),
        scope=scope_of_money(report),
        redacted=redacted_words(report),
        cards=tuple(filter(None, (cost_card(report), stored_card(report), changed, waste_card(report)))),
        sections=tuple(_sections(report, money, costs, what_if)),
        anchors=frozenset((*(row.anchor for row in money.repositories.rows), *check_anchors(report))),
    )


def _sections(
    report: Report, money: MoneySection, costs: Costs, what_if: Simulation | None
) -> Iterator[Section]:
    """The sections in their order; those that the report has nothing for are left away."""
    simulated = None if what_if is None else what_if_section(what_if)
    names = []
    for name, title, label, content in (
        ("actions", "What to do first", "What to do", actions_section(report)),
        ("money", "Where the money is", "Repositories", money),
        ("groups", "By tag", "Tags", groups_section(report)),
        ("registries", "By registry", "Registries", registries_section(report, costs)),
        # Where it is going: growth, forecast, and what a change of policy has brought.
        ("trend", "Growth, and what is to be expected", "Growth", trend_section(report)),
        ("ages", "How old the stored bytes are", "Ages", ages_section(report)),
        ("waste", "Waste, and what only looks like it", "Waste", waste_section(report)),
        ("recommended", "Policies to set", "Policies", recommend_section(report)),
        ("fewer", "What if we kept fewer", "Keeping fewer", fewer_section(report)),
        ("what-if", "What if the policy changed", "What if", simulated),
        ("outcomes", "What changes of policies came to", "Policy changes", outcome_section(report)),
        ("findings", "Findings", "Findings", findings_section(report)),
        ("pulls", "Pulls across regions and accounts", "Pulls", pulls_section(report.pulls)),
        ("registry-settings", "Registry settings", "Settings", settings_section(report)),
    ):
        if content is not None:
            names.append(name)
            yield _section(name, title, label, content)
    # Last, for it has the methods of the sections that there are.
    yield _section("method", "Method and limits", "Method", method_section(report, frozenset(names)))


def _section(name: str, title: str, label: str, content: object) -> Section:
    template = f"{name.replace('-', '_')}.html.j2"
    return Section(name=name, title=title, label=label, template=template, content=content)
