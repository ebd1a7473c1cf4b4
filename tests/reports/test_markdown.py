"""A simulation as a comment on a pull request."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from analyzer.model.frames import Frames, Int64
from analyzer.model.records import Gap
from analyzer.model.results import UNKNOWN_SIZE, ScopedBytes, ScopedMoney
from analyzer.model.simulation import Candidate, Effect, RepositoryEffect, Simulation, SimulationWarning
from analyzer.model.units import GB, Money, from_ms
from analyzer.model.verdicts import Outcome, Verdicts
from reports.markdown import MARKER, render_markdown
from tests.oracle.lifecycle import Image
from tests.strategies.lifecycle import arrays_of

HOSTILE = "a|b`c`<img src=x>@everyone #1 [x](https://evil.example) \\| **!** \u202e\n| www.evil.example"
NONE = np.zeros(0, np.int64)

WORLD = arrays_of(
    [
        [Image("sha256:1", frozenset({"v1", "v2", "v3", "v4"})), Image("sha256:2"), Image("sha256:3")],
        [Image("sha256:4", frozenset({HOSTILE}))],
        # Repositories without images.
        *[[] for _ in range(300)],
    ]
)


def scoped(low: str | None, high: str | None = None, *leaves_out: str) -> ScopedMoney:
    amounts = [None if text is None else Decimal(text) for text in (high or low, low)]
    return ScopedMoney(
        repository=Money(amounts[0], leaves_out=leaves_out), registry=Money(amounts[1], leaves_out=leaves_out)
    )


def effect(**figures: Any) -> Effect:
    nothing = ScopedBytes(repository=0, registry=0)
    base: dict[str, Any] = dict.fromkeys(
        (
            "artifacts",
            "expired",
            "expired_followers",
            "transitioned",
            "transitioned_followers",
            "blocked",
            "deferred",
            "near_limit",
            "in_use",
            "protected",
            "unknown_size",
            "logical_bytes",
            "expired_logical_bytes",
        ),
        0,
    )
    base |= dict.fromkeys(("physical_bytes", "freed_bytes", "archived_bytes"), nothing)
    base |= dict.fromkeys(("cost", "saving", "expiry_saving"), scoped("0"))
    base |= figures
    ends = {"saving_low": base["saving"].registry, "saving_high": base["saving"].repository}
    return Effect(**{**ends, "naive_saving": Money(Decimal(0)), **base})


BIG = effect(
    artifacts=3,
    expired=1,
    expired_followers=1,
    in_use=1,
    freed_bytes=ScopedBytes(repository=3 * GB, registry=2 * GB),
    saving=scoped("0.2", "0.3", "a region without a price"),
)
SMALL = effect(artifacts=1, transitioned=1, archived_bytes=ScopedBytes(repository=GB, registry=GB))
LIVE = effect(
    artifacts=3, expired=1, freed_bytes=ScopedBytes(repository=GB, registry=GB), saving=scoped("0.1")
)


def repository(position: int, name: str | None, shown: Effect, **more: Any) -> RepositoryEffect:
    base: dict[str, Any] = dict.fromkeys(("claimed", "followers", "blocked", "in_use", "protected"), NONE)
    return RepositoryEffect(
        **{
            "position": position,
            "account": "123456789012",
            "region": "eu-west-1",
            "repository": name,
            "policy_text": "{}",
            "effect": shown,
            "live": None,
            "replicas": (),
            "warnings": (),
            **base,
            **more,
        }
    )


def world(*, ever_mounted: bool) -> Frames:
    """Whether mounting is on now is not known; ``ever_mounted``: whether it has been."""
    registries = WORLD.frames.registries.assign(blob_mounting="", blob_mounting_ever=ever_mounted)
    return replace(WORLD.frames, registries=registries)


def simulation(*candidates: Candidate, **more: Any) -> Simulation:
    names = [image.digest for image in WORLD.images]

    def digests(positions: Int64) -> Sequence[str]:
        return [names[position] for position in positions.tolist()]

    nothing = np.zeros(4, np.bool_)
    return Simulation(
        **{
            "scope": "auto",
            "at": from_ms(1_780_000_000_000),
            "taken_from": from_ms(1_779_990_000_000),
            "taken_to": from_ms(1_779_990_000_000),
            "candidates": candidates or (candidate(),),
            "frames": world(ever_mounted=True),
            "facts": WORLD.facts,
            "digests": digests,
            "in_use": nothing,
            "protected": nothing,
            "missing_in_use": (),
            "gaps": (),
            "warnings": (),
            **more,
        }
    )


def candidate(**more: Any) -> Candidate:
    size = 4
    outcome = np.array([Outcome.EXPIRED, Outcome.EXPIRED, 0, Outcome.TRANSITIONED], np.uint8)
    verdicts = Verdicts(
        outcome=outcome,
        reason=np.zeros(size, np.uint8),
        rule=np.ones(size, np.int32),
        rank=np.zeros(size, np.int64),
        age_ms=np.zeros(size, np.int64),
        by=np.full(size, -1),
        deferred=np.zeros(size, np.bool_),
        near_limit=np.zeros(size, np.bool_),
    )
    rows = (
        repository(0, "team/app", BIG, in_use=np.array([0])),
        repository(1, "team/web", SMALL),
        repository(2, "team/quiet", effect(artifacts=5)),
    )
    totals = effect(
        artifacts=9,
        expired=1,
        expired_followers=1,
        transitioned=1,
        in_use=1,
        freed_bytes=BIG.freed_bytes,
        archived_bytes=SMALL.archived_bytes,
        saving=BIG.saving,
    )
    base: dict[str, Any] = {"live_totals": None, "rules": (), "archiving": (), "warnings": ()}
    return Candidate(
        **{"name": "keep.json", "repositories": rows, "totals": totals, "verdicts": verdicts, **base, **more}
    )


TEXT = """\
<!-- demurrage: lifecycle policies -->
### ECR lifecycle policies: 2 images would leave (2.00–3.00 GB freed), 1 image would be archived (1.00 GB), \
0.20–0.30 USD per month saved

> [!CAUTION]
> **1 image that is in use would be taken:**
> - `123456789012/eu-west-1/team/app@sha256:1` (tags `v1`, `v2`, `v3` and 1 more) would be deleted

| Repository | Images leaving | Archived | Freed | Saved per month | In use | Protected |
| :-- | --: | --: | --: | --: | --: | --: |
| `123456789012/eu-west-1/team/app` | 2 | 0 | 2.00–3.00 GB | 0.20–0.30 USD\\* | **1** | 0 |
| `123456789012/eu-west-1/team/web` | 0 | 1 | 0 bytes | 0.00 USD | 0 | 0 |
| **Total** | 2 | 1 | 2.00–3.00 GB | 0.20–0.30 USD\\* | **1** | 0 |

1 more repository: nothing would leave.

\\* without a region without a price

Evaluated as of 2026-05-28T20:26:40Z, from snapshots of 2026-05-28T17:40:00Z. ECR acts within 24 hours of \
when an image qualifies.
"""


def test_comment_says_what_would_leave_and_first_what_is_in_use() -> None:
    assert render_markdown(simulation()) == TEXT


def test_resources_and_the_policy_in_force_have_their_columns() -> None:
    rows = candidate().repositories
    lives = (LIVE, effect(artifacts=1), effect(artifacts=5))
    known = tuple(replace(row, live=live) for row, live in zip(rows, lives, strict=True))
    shown = candidate(repositories=known, live_totals=LIVE)
    addresses = {0: ('aws_ecr_lifecycle_policy.app["a"]',), 2: ("module.m.aws_ecr_lifecycle_policy.q",)}
    lines = render_markdown(simulation(shown), addresses=addresses).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert "Each figure: under the policy in force → under the policy proposed." in lines
    assert table[0].startswith("| Repository | Resource | Images leaving |")
    assert table[2] == (
        '| `123456789012/eu-west-1/team/app` | `aws_ecr_lifecycle_policy.app["a"]` | 1 → 2 | 0'
        " | 1.00 GB → 2.00–3.00 GB | 0.10 USD → 0.20–0.30 USD\\* | 0 → **1** | 0 |"
    )
    # A policy that is changed is shown, also where it changes nothing.
    assert table[4].startswith("| `123456789012/eu-west-1/team/quiet` | `module.m.aws_ecr")
    assert table[5].startswith("| **Total** |  | 1 → 2 | 0 → 1 |")
    assert {line.count("|") for line in table} == {9}
    assert "policy in force is not known" not in "".join(lines)


def shown_table(shown: Simulation) -> dict[str, list[str]]:
    """The cells of each row by the last part of its name."""
    lines = [line.strip("| ") for line in render_markdown(shown).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return {row[0].strip("`*").rpartition("/")[2]: row[1:] for row in rows}


def test_a_policy_in_force_that_is_not_known_is_not_taken_for_none() -> None:
    rows = candidate().repositories
    shown = simulation(
        candidate(repositories=(rows[0], replace(rows[1], live=LIVE), rows[2]), live_totals=LIVE)
    )
    table = shown_table(shown)
    assert table["app"] == [
        "unknown → 2",
        "unknown → 0",
        "unknown → 2.00–3.00 GB",
        "unknown → 0.20–0.30 USD\\*",
        "unknown → **1**",
        "unknown → 0",
    ]
    assert table["web"][:2] == ["1 → 0", "0 → 1"]
    # Of what is left out nothing is known: that none of it would be archived, say.
    assert table["Total"] == [
        "1\\* → 2",
        "unknown → 1",
        "1.00 GB\\* → 2.00–3.00 GB",
        "0.10 USD\\* → 0.20–0.30 USD\\*",
        "unknown → **1**",
        "unknown → 0",
    ]
    text = render_markdown(shown)
    assert "\n\\* without 2 repositories whose policy in force is not known; a region" in text
    nothing = candidate(repositories=rows, live_totals=effect(artifacts=9))
    assert shown_table(simulation(nothing))["Total"][:3] == [
        "unknown → 2",
        "unknown → 1",
        "unknown → 2.00–3.00 GB",
    ]
    text = render_markdown(simulation(nothing))
    assert "without 3 repositories whose policy in force is not known" in text


def test_bytes_that_nobody_knows_are_unknown_on_both_sides() -> None:
    unread = effect(
        artifacts=3,
        expired=2,
        saving=scoped("0", None, UNKNOWN_SIZE),
        expiry_saving=scoped("0", None, UNKNOWN_SIZE),
    )
    row = repository(0, "team/app", BIG, live=unread)
    table = shown_table(simulation(candidate(repositories=(row,), totals=BIG, live_totals=unread)))
    assert table["app"][2:4] == ["unknown → 2.00–3.00 GB", "unknown → 0.20–0.30 USD\\*"]
    assert table["Total"][2:4] == table["app"][2:4]
    row = repository(0, "team/app", unread)
    text = render_markdown(simulation(candidate(repositories=(row,), totals=unread)))
    assert "2 images would leave (how much is freed is unknown), how much would be saved is unknown" in text
    assert "0 bytes" not in text
    # Some of it is known.
    part = replace(unread, freed_bytes=ScopedBytes(repository=GB, registry=GB))
    row = repository(0, "team/app", part)
    shown = simulation(candidate(repositories=(row,), totals=part))
    assert shown_table(shown)["app"][2] == "1.00 GB\\*"
    assert f"\\* without {UNKNOWN_SIZE}" in render_markdown(shown)


@pytest.mark.parametrize(
    ("given", "heads"),
    [((False, False), []), ((True, False), ["In use"]), ((False, True), ["Protected"])],
)
def test_nothing_is_said_of_images_in_use_where_nobody_said_which_are(
    given: tuple[bool, bool], heads: list[str]
) -> None:
    table = shown_table(simulation(in_use_given=given[0], protected_given=given[1]))
    assert table["Repository"][4:] == heads
    assert {len(row) for row in table.values()} == {4 + len(heads)}


@pytest.mark.parametrize(
    ("scope", "ever_mounted", "said"),
    [
        ("auto", True, "2.00–3.00 GB"),
        # Nothing says that layers are shared: bytes stand where the money stands.
        ("auto", False, "3.00 GB"),
        ("repository", True, "3.00 GB"),
        ("registry", False, "2.00 GB"),
    ],
)
def test_bytes_are_shown_at_the_scopes_of_the_money(scope: str, ever_mounted: bool, said: str) -> None:
    shown = simulation(scope=scope, frames=world(ever_mounted=ever_mounted))
    table = shown_table(shown)
    assert (table["app"][2], table["Total"][2]) == (said, said)
    assert f"2 images would leave ({said} freed)" in render_markdown(shown)


def test_accepted_gaps_are_counted() -> None:
    gap = Gap("123456789012", "eu-west-1", "team/x", "ecr:DescribeImages", "AccessDenied", "missing it")
    text = render_markdown(simulation(), accepted_gaps=(gap,) * 6)
    assert "\nAccepted gaps: 6\n" in text
    assert "team/x" not in text
    assert "Accepted gaps" not in render_markdown(simulation())


def test_nothing_leaving_is_said_plainly() -> None:
    quiet = candidate(repositories=(repository(2, "team/quiet", effect()),), totals=effect())
    text = render_markdown(simulation(quiet))
    assert "### ECR lifecycle policies: no image would leave\n" in text
    assert "|" not in text
    assert "1 more repository: nothing would leave." not in text


@pytest.mark.parametrize(
    ("saving", "said"),
    [
        (scoped(None, "3"), "how much would be saved is unknown"),
        (scoped("-3", "-2"), "2.00–3.00 USD per month more to pay"),
        (scoped("-3", "2"), "-3.00 USD–2.00 USD per month saved"),
        (scoped("0.001"), "&lt;0.01 USD per month saved"),
        (scoped("1234.5"), "1,234.50 USD per month saved"),
    ],
)
def test_money_is_said_as_far_as_it_is_known(saving: ScopedMoney, said: str) -> None:
    totals = replace(BIG, saving=saving, saving_low=saving.registry, saving_high=saving.repository)
    shown = candidate(repositories=(), totals=totals)
    headline = render_markdown(simulation(shown)).splitlines()[1]
    assert said.replace("-3.00 USD–", "-3.00–") in headline


def test_protected_and_archived_images_are_named_too() -> None:
    rows = (repository(1, "team/web", SMALL, protected=np.array([3]), in_use=np.array([3])),)
    text = render_markdown(simulation(candidate(repositories=rows)))
    assert text.count("> [!CAUTION]") == 2
    assert "**1 image that is protected would be taken:**" in text
    assert text.count("would be archived, and could not be pulled") == 2


def test_several_candidates_are_told_apart() -> None:
    text = render_markdown(simulation(candidate(), candidate(name="x|y")))
    assert text.count("### ECR lifecycle policies") == 2
    assert "Candidate `keep.json`." in text
    assert "Candidate <code>x&#124;y</code>." in text


def test_warnings_notes_and_gaps_are_listed() -> None:
    warning = SimulationWarning(code="X", text="children hold slots", positions=NONE)
    rows = (repository(0, "team/app", BIG, warnings=(warning,)),)
    gap = Gap("123456789012", "eu-west-1", "team/x", "ecr:DescribeImages", "AccessDenied", "missing it")
    text = render_markdown(
        simulation(
            candidate(repositories=rows, warnings=("whole",)),
            gaps=(gap,),
            warnings=("unread",),
            missing_in_use=("team/app:gone",),
        ),
        notes=["aws_x.y: known only after apply"],
    )
    for line in (
        "- whole",
        "- 123456789012/eu-west-1/team/app: children hold slots",
        "- team/app:gone",
        "- aws&#95;x.y: known only after apply",
        "- unread",
        "- 123456789012/eu-west-1/team/x: ecr:DescribeImages AccessDenied (missing it)",
    ):
        assert line in text.splitlines()


# --- hostile text -------------------------------------------------------------------------------


def hostile() -> str:
    rows = (
        repository(0, HOSTILE, BIG, in_use=np.array([0])),
        repository(
            1,
            "team/web",
            SMALL,
            in_use=np.array([3]),
            warnings=(SimulationWarning(code="X", text=HOSTILE, positions=NONE),),
        ),
    )
    return render_markdown(
        simulation(
            candidate(name=HOSTILE, repositories=rows, warnings=(HOSTILE,)),
            candidate(name=HOSTILE),
            gaps=(Gap("1", "r", HOSTILE, "ecr:X", HOSTILE, HOSTILE),),
            warnings=(HOSTILE,),
            missing_in_use=(HOSTILE,),
        ),
        addresses={0: (HOSTILE, HOSTILE)},
        notes=(HOSTILE,),
    )


def test_hostile_names_format_link_and_call_nothing() -> None:
    text = hostile()
    assert "<img" not in text
    assert "\u202e" not in text
    outside = html.unescape(re.sub(r"<code>.*?</code>|`[^`]*`", "", text))
    assert not re.search(r"@\w|#\w|https?://|www\.e", outside)
    for raw in ("https://", "www.evil", "@everyone", "](", "**!**"):
        assert raw not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {9}
    # Everything is still there to be read.
    shown = html.unescape(text).replace("\u200b", "")
    assert shown.count("<img src=x>@everyone #1 [x](https://evil.example)") >= 8


def test_hostile_names_stay_inside_their_code() -> None:
    for inside in re.findall(r"<code>(.*?)</code>", hostile()):
        assert re.fullmatch(r"(?:[^\W_]|&#[0-9]+;|…)*", inside)
    for inside in re.findall(r"`([^`]*)`", hostile()):
        assert "|" not in inside
        assert "\\" not in inside


def test_a_comment_stays_short_enough_to_be_posted() -> None:
    long = "x" * 3_000
    gap = Gap("123456789012", "eu-west-1", long, "ecr:DescribeImages", "AccessDenied", long)
    rows = tuple(repository(number, f"{number}{long}", BIG, in_use=np.array([0])) for number in range(300))
    whole = simulation(
        *[candidate(repositories=rows, warnings=(long,) * 500)] * 4, gaps=(gap,) * 500, warnings=(long,) * 500
    )
    text = render_markdown(whole, notes=[long] * 500)
    assert len(text) < 65_536
    assert "and 290 more" in text
    assert text.startswith(MARKER)
    cut = render_markdown(replace(whole, candidates=whole.candidates * 20))
    assert len(cut) < 65_536
    assert cut.endswith("\n\nThe rest is left out: it is too long for a comment.\n")
