"""A simulation at the terminal: what would break first, sums that are true, nothing too wide."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from analyzer.model.results import UNKNOWN_SIZE, ScopedBytes, ScopedMoney
from analyzer.model.simulation import Replica, Simulation, SimulationWarning
from analyzer.model.units import GB
from reports.figures import size
from reports.usage import coverage_sentences, kinds_text, user_text
from reports.what_if_figures import change_of
from reports.what_if_table import what_if_text
from reports.what_if_words import change_text, place_of
from tests.reports.test_what_if_json import simulated
from tests.strategies.lifecycle import LifecycleCase, lifecycle_cases
from tests.support.examples import examples
from tests.support.simulation_fixture import ARCHIVE, COVERAGE, KEEP, NOTHING, build_simulation

_TOTALS = """\
6 repositories under keep.json at 2026-11-23T02:00:00Z, from snapshots of 2026-11-23T02:00:00Z

           ARTIFACTS       BYTES   USD/MONTH
────────────────────────────────────────────
TOTAL            120    10.07 GB       $1.01
LEAVES            34     1.49 GB       $0.15
ARCHIVED           0     0.00 GB       $0.00
KEPT              86     8.58 GB       $0.86

Saved: $0.15 per month
Naive: tools that add up image sizes would say 12.7 GB and $1.27 per month leave, 8.5 times as much.
Each layer is counted once per repository.

REPOSITORY                                 LEAVES      FREED   SAVED/MONTH
──────────────────────────────────────────────────────────────────────────
111111111111/us-east-1/data/api                 9    0.38 GB         $0.04
"""


def table(text: str, first: str) -> list[list[str]]:
    """The cells of the table whose head begins with ``first``, below its head."""
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(first)) + 2
    rows = []
    for line in lines[start:]:
        cells = re.split(r"\s{2,}", line.strip())
        if line and len(cells) == 1:
            break
        if line:
            rows.append(cells)
        elif rows and rows[-1][0] in {"Total", "KEPT"}:
            break
    return rows


def fits(text: str) -> bool:
    """Whether no line is too long, but for words that would have to be broken."""
    return all(len(line) <= 100 or len(line.split()) == 1 for line in text.splitlines())


def amount(cell: str) -> Decimal:
    text = cell.rstrip("*").removesuffix(" GB").removesuffix(" MB").replace("$", "").replace(",", "")
    return Decimal(0) if text.startswith("<") else Decimal(text)


def test_totals_and_the_naive_figure_come_before_the_repositories() -> None:
    assert what_if_text(build_simulation(6)).startswith(_TOTALS)


@pytest.mark.parametrize("policy", [KEEP, ARCHIVE])
def test_the_four_lines_add_up(policy: str) -> None:
    text = what_if_text(build_simulation(12, mounting=True, policies=(policy,)))
    total, *parts = [
        row[1:]
        for row in re.findall(
            r"^(TOTAL|LEAVES|ARCHIVED|KEPT) +([\d,]+) +([\d.,]+ \wB) +(\S+) +([\d.,]+ \wB) +(\S+)$",
            text,
            re.MULTILINE,
        )
    ]
    assert len(parts) == 3
    for n in range(5):
        assert sum(amount(part[n]) for part in parts) == amount(total[n])


@pytest.mark.parametrize("scope", ["auto", "registry"])
@pytest.mark.parametrize("repositories", [4, 40])
def test_repositories_add_up_to_their_total(scope: Any, repositories: int) -> None:
    simulation = build_simulation(repositories, scope=scope, mounting=True, images=14)
    *rows, total = table(what_if_text(simulation), "REPOSITORY")
    assert total[0] == "Total"
    assert len(rows) <= 15 + 2
    assert any(row[0].startswith("Other (") for row in rows) == (repositories > 15)
    for column in (-1, -2):
        assert sum(amount(row[column]) for row in rows) == amount(total[column])
    of = simulation.candidates[0].totals
    assert amount(total[1]) == of.leaving


def test_images_in_use_and_protected_stand_above_everything() -> None:
    simulation = build_simulation(6, in_use=True)
    text = what_if_text(simulation)
    candidate = simulation.candidates[0]
    number = candidate.totals.in_use
    verb = "image that is" if number == 1 else "images that are"
    assert text.startswith(f"!! IN USE: {number} {verb} in use would be taken\n")
    assert "!! PROTECTED: " in text
    assert (
        text.index("!! PROTECTED")
        < text.index("Named as in use, and not there: 3 images")
        < text.index("TOTAL")
    )
    words = text.split()
    for row in candidate.repositories:
        for digest in simulation.digests(np.union1d(row.in_use, row.protected)):
            assert place_of(row) + f"@{digest}" in words
    assert "deleted by rule" in text


def test_images_in_use_are_named_with_some_of_those_who_use_them() -> None:
    simulation = build_simulation(9, in_use=True, users=True, images=40)
    totals, usage = simulation.candidates[0].totals, simulation.usage
    assert usage is not None
    text = " ".join(what_if_text(simulation).split())
    assert f"would be taken: {kinds_text(totals)} " in text
    listed = totals.in_use - totals.in_use_running - totals.in_use_configured - totals.in_use_previous
    assert f"{totals.in_use_running} running" in kinds_text(totals)
    assert f"{listed} on the list given" in kinds_text(totals)
    positions = [p for row in simulation.candidates[0].repositories for p in row.in_use.tolist()][:20]
    assert len(positions) > 2
    for position in positions:
        first, *others = usage.of(position)
        assert user_text(first) in text
        assert (f"; and {len(others) - 1:,} more" in text) or len(others) < 2
    assert "prod/service-0: configured in ecs prod/service-0 (111111111111/eu-west-1)" in text
    for sentence in coverage_sentences(COVERAGE):
        assert sentence in text


def test_many_images_in_use_are_counted_and_the_first_are_named() -> None:
    simulation = build_simulation(9, in_use=True, images=40)
    candidate = simulation.candidates[0]
    rows = tuple(replace(row, in_use=row.claimed) for row in candidate.repositories)
    number = sum(len(row.claimed) for row in rows)
    text = what_if_text(replace(simulation, candidates=(replace(candidate, repositories=rows),)))
    assert f"!! IN USE: {number} images" in text
    assert f"   and {number - 20} more: see --format csv --rows image, or json" in text


def test_policies_stand_side_by_side_and_each_is_told_apart() -> None:
    simulation = build_simulation(4, images=60, policies=(KEEP, ARCHIVE, NOTHING), in_use=True)
    text = what_if_text(simulation)
    head = next(
        line for line in text.splitlines() if line.split() == ["keep.json", "archive.json", "nothing.json"]
    )
    rows = {row[0]: row[1:] for row in table(text, head)}
    for label, pick in (("LEAVES", "leaving"), ("ARCHIVED", "archiving"), ("KEPT", "kept")):
        assert rows[label] == [f"{getattr(one.totals, pick):,}" for one in simulation.candidates]
    for name in ("keep.json", "archive.json", "nothing.json"):
        assert f"== {name} ==" in text
    assert "No artifact would leave or be archived." in text
    assert "would be taken by archive.json" in text


def test_dozens_of_policies_still_fit() -> None:
    text = what_if_text(build_simulation(2, policies=(KEEP, ARCHIVE, NOTHING) * 3))
    assert fits(text)


def test_the_change_from_the_policies_in_force_is_shown() -> None:
    simulation = build_simulation(5, live=True)
    text = what_if_text(simulation)
    assert "in force   keep.json" in text
    *rows, total = table(text, "REPOSITORY")
    assert rows[0][-1].lstrip("+").isdigit() or rows[0][-1] == "unknown"
    assert "unknown" in [row[-1] for row in rows]
    assert total[-1].endswith("*")
    assert "* not included: 1 repository whose policy in force is not known" in text


def live_totals(simulation: Simulation, **figures: Any) -> Simulation:
    """``simulation``, with what the policies in force would do changed to that, all of them known."""
    candidate = simulation.candidates[0]
    live = replace(candidate.totals, **figures)
    rows = tuple(replace(row, live=row.effect) for row in candidate.repositories)
    return replace(simulation, candidates=(replace(candidate, repositories=rows, live_totals=live),))


def said_of_change(simulation: Simulation) -> str:
    change = change_of(simulation, simulation.candidates[0])
    assert change is not None
    return change_text(change)


def test_a_line_says_what_the_policy_does_more_than_those_in_force() -> None:
    simulation = build_simulation(5, live=True)
    candidate = simulation.candidates[0]
    known = [(row.effect, row.live) for row in candidate.repositories if row.live is not None]
    assert len(known) == 4
    more = sum(effect.leaving - live.leaving for effect, live in known)
    freed = sum(effect.freed_bytes.repository - live.freed_bytes.repository for effect, live in known)
    saved = sum((effect.saving_low.amount or 0) - (live.saving_low.amount or 0) for effect, live in known)
    line = (
        f"Against the policies in force: {more} more artifacts leave, {size(freed)} more freed, ${saved:.2f}"
        " more saved per month (without 1 repository whose policy in force is not known)"
    )
    lines = what_if_text(simulation).splitlines()
    saved_at = next(n for n, text in enumerate(lines) if text.startswith("Saved: "))
    assert lines[saved_at + 1].startswith("Against the policies in force: ")
    assert line in " ".join(" ".join(lines).split())
    assert "Against the policies" not in what_if_text(build_simulation(5))


def test_less_the_same_and_unknown_are_said_as_such() -> None:
    simulation = build_simulation(1)
    totals = simulation.candidates[0].totals
    assert said_of_change(live_totals(simulation)) == (
        "as many artifacts leave, as much freed, as much saved per month"
    )
    freed = totals.freed_bytes.repository + 5 * GB
    most = replace(totals.saving_high, amount=(totals.saving_high.amount or Decimal(0)) + 3)
    least = replace(totals.saving_low, amount=(totals.saving_low.amount or Decimal(0)) + 1)
    more = ScopedBytes(repository=freed, registry=freed)
    assert said_of_change(live_totals(simulation, freed_bytes=more, saving_low=least, saving_high=most)) == (
        "as many artifacts leave, 5.00 GB less freed, $1.00–$3.00 less saved per month"
    )
    mixed = replace(totals.saving_low, amount=(totals.saving_low.amount or Decimal(0)) - 2)
    assert "from $3.00 less to $2.00 more saved per month" in said_of_change(
        live_totals(simulation, saving_low=mixed, saving_high=most)
    )
    unpriced = replace(totals.saving_low, amount=None, leaves_out=("the region is not known",))
    unread = ScopedMoney(
        repository=replace(totals.saving_low, amount=Decimal(0), leaves_out=(UNKNOWN_SIZE,)),
        registry=replace(totals.saving_low, amount=Decimal(0), leaves_out=(UNKNOWN_SIZE,)),
    )
    assert said_of_change(
        live_totals(
            simulation,
            saving_low=unpriced,
            saving_high=unpriced,
            expiry_saving=unread,
            freed_bytes=ScopedBytes(repository=0, registry=0),
        )
    ) == ("as many artifacts leave, how much is freed, unknown, how much is saved, unknown")


def test_counts_of_the_change_are_of_the_repositories_that_are_known() -> None:
    simulation = live_totals(build_simulation(2, policies=(ARCHIVE,)))
    candidate = simulation.candidates[0]
    first, *others = candidate.repositories
    assert first.live is not None
    fewer = replace(first.live, expired=first.effect.expired + 1, transitioned=first.effect.transitioned - 2)
    rows = (replace(first, live=fewer), *others)
    said = said_of_change(replace(simulation, candidates=(replace(candidate, repositories=rows),)))
    assert said.startswith("1 fewer artifact leaves, 2 more artifacts archived, as much freed")
    none = tuple(replace(row, live=None) for row in rows)
    said = said_of_change(replace(simulation, candidates=(replace(candidate, repositories=none),)))
    assert said == "unknown, for no policy in force is known"


def test_shared_layers_of_a_policy_that_is_not_known_are_not_shared_out() -> None:
    simulation = build_simulation(5, live=True, mounting=True)
    candidate = simulation.candidates[0]
    totals = candidate.totals
    both = totals.freed_bytes
    shared = replace(
        candidate,
        totals=replace(totals, freed_bytes=replace(both, registry=both.registry + GB)),
    )
    said = said_of_change(replace(simulation, candidates=(shared,)))
    # The low end stands at registry scope, and cannot be told.
    assert "more saved per month at repository scope (without 1 repository" in said
    assert "–" not in said
    said = said_of_change(replace(simulation, candidates=(shared,), scope="registry"))
    assert "how much is freed, unknown, how much is saved, unknown (without 1 repository" in said


def test_the_order_of_the_rows_is_explained_where_it_does_not_show() -> None:
    said = "Ordered by what is surely saved, the low end."
    assert said in what_if_text(build_simulation(4, mounting=True))
    assert said not in what_if_text(build_simulation(4, mounting=True, scope="registry"))
    assert said not in what_if_text(build_simulation(4, mounting=False))


@pytest.mark.parametrize("scope", ["repository", "registry"])
def test_layers_that_move_without_an_image_are_explained_at_each_scope(scope: str) -> None:
    simulation = build_simulation(3, mounting=True)
    candidate = simulation.candidates[0]
    moved = ScopedBytes(**{"repository": 0, "registry": 0, scope: GB // 3})
    totals = replace(candidate.totals, transitioned=0, transitioned_followers=0, archived_bytes=moved)
    said = "ARCHIVED: layers that only archived images hold once the others have left."
    shown = replace(simulation, candidates=(replace(candidate, totals=totals),))
    assert said in what_if_text(shown)
    # A figure that is not shown needs no explanation.
    other: Any = "registry" if scope == "repository" else "repository"
    assert said not in what_if_text(replace(shown, scope=other))


def test_references_stay_whole_to_be_copied() -> None:
    simulation = build_simulation(2, in_use=True, images=40)
    names = [f"sha256:{n:064x}" for n in range(len(simulation.in_use))]
    named = replace(simulation, digests=lambda positions: [names[n] for n in positions.tolist()])
    candidate = named.candidates[0]
    first = candidate.repositories[0]
    row = replace(first, repository="team-a/" + "long-name-" * 4, in_use=first.claimed)
    text = what_if_text(replace(named, candidates=(replace(candidate, repositories=(row,)),)))
    reference = f"   {place_of(row)}@{names[row.claimed[0]]}"
    assert len(reference) > 100
    # On a line of its own, indented as the others.
    assert reference in text.splitlines()


def test_zero_beside_something_unknown_is_unknown_in_the_sum_of_the_rest_too() -> None:
    simulation = build_simulation(20)
    candidate = simulation.candidates[0]
    nothing = replace(candidate.totals.saving_low, amount=Decimal(0), leaves_out=(UNKNOWN_SIZE,))
    none: dict[str, Any] = {
        "expiry_saving": ScopedMoney(repository=nothing, registry=nothing),
        "saving": ScopedMoney(repository=nothing, registry=nothing),
        "saving_low": nothing,
        "saving_high": nothing,
    }
    rows = tuple(replace(row, effect=replace(row.effect, **none)) for row in candidate.repositories)
    totals = replace(candidate.totals, **none)
    text = what_if_text(
        replace(simulation, candidates=(replace(candidate, repositories=rows, totals=totals),))
    )
    shown = {row[0]: row[-1] for row in table(text, "REPOSITORY")}
    assert "Other (5 repositories)" in shown
    assert set(shown.values()) == {"unknown"}


def test_archiving_that_saves_nothing_says_so() -> None:
    text = " ".join(what_if_text(build_simulation(4, policies=(ARCHIVE,))).split())
    assert "saves nothing" in text
    assert "150 TB" in text
    assert "at least 90 days" in text


def test_rules_are_shown_with_what_they_bring_and_alone() -> None:
    text = what_if_text(build_simulation(4, by_rule=True))
    rows = table(text, "RULE")
    assert [row[0] for row in rows[:3]] == ["1 untagged for a month", "5 releases stay", "9"]


def test_warnings_are_grouped_and_not_listed_one_by_one() -> None:
    text = what_if_text(build_simulation(30, unknowns=True))
    lines = [line for line in text.splitlines() if line.startswith("  UNKNOWN_TIME: ")]
    assert len(lines) == 1
    assert "artifacts in 3" in lines[0]
    assert "a policy in the plan is known only after apply" in text


def test_warnings_of_the_whole_and_replicas_are_told_within_reason() -> None:
    simulation = build_simulation(14)
    replicas = (
        Replica(account="1", region="a", has_policy=None, expired=0, transitioned=0),
        Replica(account="1", region="b", has_policy=False, expired=0, transitioned=0),
        Replica(account="1", region="c", has_policy=True, expired=3, transitioned=2),
    )
    candidate = simulation.candidates[0]
    rows = tuple(replace(row, replicas=replicas) for row in candidate.repositories)
    whole = replace(candidate, repositories=rows, warnings=("too many entries",) * 12)
    text = " ".join(what_if_text(replace(simulation, candidates=(whole,))).split())
    assert text.count("too many entries") == 10
    assert "and 2 more about the policy as a whole" in text
    assert "1/a (its policy is not known), 1/b (no policy: all is kept) and 1/c" in text
    assert "(its own policy: 3 leave, 2 archived)" in text
    assert "and 4 more repositories that have replicas" in text


def test_nothing_unknown_is_shown_as_zero() -> None:
    text = what_if_text(build_simulation(2, offline=True))
    totals = table(text, "           ARTIFACTS")
    assert {row[-1] for row in totals if row[0] in {"TOTAL", "LEAVES", "KEPT"}} == {"unknown"}
    assert "Saved: how much, is unknown" in text
    assert "* not included: the region is not known" in text
    unread = build_simulation(1, unknowns=True)
    rows = {row[0]: row for row in table(what_if_text(unread), "           ARTIFACTS")}
    assert rows["TOTAL"][2:] == ["unknown", "unknown"]
    assert rows["LEAVES"][2:] == ["unknown", "unknown"]
    # That nothing is archived is known, and what it saves.
    assert rows["ARCHIVED"][1:] == ["0", "0 bytes", "$0.00"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"repositories": 30, "hostile": True, "in_use": True, "unknowns": True, "mounting": True},
        {"repositories": 9, "hostile": True, "in_use": True, "users": True},
        {"repositories": 3, "policies": (KEEP, ARCHIVE, NOTHING), "hostile": True, "in_use": True},
        {
            "repositories": 14,
            "hostile": True,
            "live": True,
            "by_rule": True,
            "in_use": True,
            "unpriced": True,
        },
        {"repositories": 0},
    ],
)
def test_it_fits_a_terminal_and_controls_nothing_in_it(arguments: dict[str, Any]) -> None:
    text = what_if_text(build_simulation(**arguments))
    assert fits(text)
    assert all(line == line.rstrip() for line in text.splitlines())
    for unseen in ("\u202e", "\u2066", "\u200b", "\x1b", "\x00", "\ud800", "\t", "\r"):
        assert unseen not in text


def test_hostile_warnings_and_rules_control_nothing_either() -> None:
    simulation = build_simulation(2, by_rule=True)
    candidate = simulation.candidates[0]
    bad = "\x1b[31m[bold]x[/bold]\u202e" + "y" * 400
    warning = SimulationWarning(code="X", text=bad, positions=np.zeros(0, np.int64))
    rows = tuple(replace(row, warnings=(warning,)) for row in candidate.repositories)
    rules = tuple(replace(rule, description=bad) for rule in candidate.rules)
    text = what_if_text(
        replace(
            simulation,
            candidates=(replace(candidate, repositories=rows, rules=rules, warnings=(bad,)),),
            warnings=(bad,),
        )
    )
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]" in text
    assert fits(text)


@given(lifecycle_cases())
@examples(25)
def test_whatever_the_simulator_says_can_be_shown(case: LifecycleCase) -> None:
    simulation: Simulation = simulated(case)
    text = what_if_text(simulation)
    assert fits(text)
    totals = simulation.candidates[0].totals
    assert ("!! IN USE" in text) == bool(totals.leaving or totals.archiving)
