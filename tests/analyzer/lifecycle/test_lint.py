"""Each check of ``lint`` on a world made for it, and what it must not say on the ones beside."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from analyzer.lifecycle.lint import lint
from analyzer.lifecycle.parsing import InvalidPolicy, parse_policy
from analyzer.lifecycle.policy import Action, Policy, StorageClass, TagStatus
from analyzer.model.lint import LintCode, LintFinding, Severity
from analyzer.model.records import ImageStatus
from analyzer.model.results import ScopedBytes
from analyzer.model.tag_history import TagHistory
from analyzer.model.units import GB
from analyzer.model.verdicts import Outcome
from analyzer.pricing import bundled_prices
from tests.analyzer.lifecycle.worlds import DAY_MS, NOW_MS, HandMade, Pushed, Repository, make_world, rule
from tests.oracle.lifecycle import evaluate_repository, trace_slowly
from tests.strategies.lifecycle import LifecycleCase, lifecycle_cases
from tests.support.examples import examples
from tests.support.usage import listed

UNTAGGED = rule(1, status=TagStatus.UNTAGGED, pushed=7)
LAST_30 = rule(9, keep=30)


def _lint(world: HandMade, **options: object) -> tuple[LintFinding, ...]:
    return lint(world, world.rows, **options)  # type: ignore[arg-type]  # those of lint itself


def _of(findings: tuple[LintFinding, ...], code: LintCode) -> list[LintFinding]:
    return [finding for finding in findings if finding.code is code]


def _one(findings: tuple[LintFinding, ...], code: LintCode) -> LintFinding:
    (finding,) = _of(findings, code)
    return finding


def _tagged(*tags: str, age: float = 1, **more: object) -> Pushed:
    return Pushed(name="-".join(tags), tags=tags, age=age, **more)  # type: ignore[arg-type]


def test_a_repository_without_policy_is_found_with_all_its_bytes() -> None:
    images = (
        _tagged("a", age=2, blobs={"shared": 100, "own": 10}),
        _tagged("b", age=1, blobs={"shared": 100}),
    )
    found = _one(_lint(make_world(Repository(images=images))), LintCode.NO_POLICY)
    assert (found.account, found.region, found.repository) == ("111111111111", "eu-west-1", "app")
    assert found.severity is Severity.MEDIUM
    assert (found.images, found.affected_bytes) == (2, ScopedBytes(repository=110, registry=110))
    assert found.examples == ("app:a", "app:b")
    assert found.rule is None


@pytest.mark.parametrize(("known", "affected"), [(0, None), (2, ScopedBytes(repository=5, registry=5))])
def test_an_unknown_size_is_in_no_figure_and_no_zero(known: int, affected: ScopedBytes | None) -> None:
    sized = tuple(_tagged(f"t{number}", blobs={"x": 5}) for number in range(known))
    world = make_world(Repository(images=(_tagged("unread", unread=True), *sized)))
    found = _one(_lint(world), LintCode.NO_POLICY)
    assert (found.images, found.unknown_size, found.affected_bytes) == (known + 1, 1, affected)


def test_an_empty_repository_without_policy_is_a_fact_only() -> None:
    found = _lint(make_world(Repository()))
    assert [(f.code, f.severity, f.affected_bytes) for f in found] == [
        (LintCode.NO_POLICY, Severity.INFO, None)
    ]


def test_unreadable_is_not_absent() -> None:
    found = _lint(make_world(Repository(policy="unknown", images=(_tagged("a"),))))
    assert [f.code for f in found] == [LintCode.POLICY_UNREADABLE]
    assert "ecr:GetLifecyclePolicy" in found[0].fix


def test_an_invalid_policy_names_its_first_error_and_is_not_judged() -> None:
    with pytest.raises(InvalidPolicy) as refused:
        parse_policy('{"rules": []}'.ljust(120))
    found = _lint(make_world(Repository(policy=refused.value, images=(_tagged("a"),))))
    assert [f.code for f in found] == [LintCode.POLICY_INVALID]
    assert refused.value.errors[0].code in found[0].message


def test_a_candidate_is_judged_where_there_is_no_policy() -> None:
    world = make_world(Repository(images=(_tagged("a"),)), Repository(name="other", policy="unknown"))
    found = _lint(world, candidate=Policy((rule(1, "b*", keep=1),)))
    assert {f.code for f in found} == {LintCode.RULE_MATCHES_NOTHING, LintCode.UNCAPPED_TAGGED}


def test_only_the_chosen_repositories_are_judged() -> None:
    world = make_world(Repository(name="one"), Repository(name="two"))
    assert [f.repository for f in lint(world, np.array([1]))] == ["two"]


# Rules without effect.


def test_a_rule_that_matches_nothing() -> None:
    world = make_world(
        Repository(images=(_tagged("dev-1"),), policy=Policy((rule(3, "prod*", keep=5), LAST_30)))
    )
    found = _one(_lint(world), LintCode.RULE_MATCHES_NOTHING)
    assert (found.rule, found.severity, found.images) == (3, Severity.LOW, 0)
    assert "'prod*'" in found.message
    assert "when it last did is not recorded" in found.message


def test_nothing_is_absent_from_what_was_never_listed_whole_or_is_empty() -> None:
    policy = Policy((rule(3, "prod*", keep=5), LAST_30))
    unlisted = Repository(images=(_tagged("dev-1"),), policy=policy, listed=False)
    empty = Repository(name="empty", policy=policy)
    assert not _of(_lint(make_world(unlisted, empty)), LintCode.RULE_MATCHES_NOTHING)


@pytest.mark.parametrize(
    ("first", "last", "severity", "said"),
    [
        (10, 4, Severity.LOW, "it last did on 2024-09-30"),
        (None, None, Severity.MEDIUM, "it never did since records began on 2023-12-29"),
    ],
)
def test_a_rule_that_matches_nothing_says_when_it_last_did(
    first: int | None, last: int | None, severity: Severity, said: str
) -> None:
    world = make_world(
        Repository(images=(_tagged("dev-1"),), policy=Policy((rule(3, "prod*", keep=5), LAST_30)))
    )
    seen = [("prod-7", first, last)] if first is not None and last is not None else []
    asked = []

    def history(row: int) -> TagHistory:
        asked.append(row)
        return _history(*((0, *span) for span in [("dev-1", 9, 0), *seen]), since=280)

    found = _one(_lint(world, history=history), LintCode.RULE_MATCHES_NOTHING)
    assert (found.severity, asked) == (severity, [0])
    assert said in found.message


def _history(*spans: tuple[int, str, float, float], since: float = 100) -> TagHistory:
    """Spans of artifact, tag, first and last seen as days ago."""
    names = sorted({name for _, name, _, _ in spans})
    return TagHistory(
        since_ms=NOW_MS - round(since * DAY_MS),
        artifact=np.array([artifact for artifact, *_ in spans], np.int64),
        tag=np.array([names.index(name) for _, name, _, _ in spans], np.int64),
        first_ms=np.array([NOW_MS - round(first * DAY_MS) for _, _, first, _ in spans], np.int64),
        last_ms=np.array([NOW_MS - round(last * DAY_MS) for _, _, _, last in spans], np.int64),
        tag_names=names,
    )


@pytest.mark.parametrize(
    ("status", "what"), [(TagStatus.UNTAGGED, "untagged images"), (TagStatus.ANY, "images")]
)
def test_a_rule_that_waits_for_images_is_a_fact_only(status: TagStatus, what: str) -> None:
    archive = rule(1, status=status, transitioned=90)
    world = make_world(Repository(images=(_tagged("a"),), policy=Policy((archive, LAST_30))))
    found = _one(_lint(world), LintCode.RULE_MATCHES_NOTHING)
    assert found.severity is Severity.INFO
    assert f"no archived {what}" in found.message


@pytest.mark.parametrize(
    ("waste", "said"),
    [
        (rule(1, "v?", keep=1), "no tag contains '?'"),
        (rule(1, "release/*", keep=1), "no tag contains '/'"),
        (rule(1, prefixes=("v*",), keep=1), "in a prefix * is an ordinary character"),
    ],
)
def test_an_entry_that_no_tag_can_meet_is_told_apart(waste: object, said: str) -> None:
    assert isinstance(waste, type(LAST_30))
    world = make_world(Repository(images=(_tagged("v1"),), policy=Policy((waste, LAST_30))))
    found = _one(_lint(world), LintCode.RULE_MATCHES_NOTHING)
    assert found.severity is Severity.MEDIUM
    assert said in found.message


def test_a_list_that_images_meet_singly_only_is_a_trap() -> None:
    images = (
        _tagged("dev-1", age=3, blobs={"x": 7}),
        _tagged("test-1", age=2),
        _tagged("test-2"),
        _tagged("prod"),
    )
    world = make_world(
        Repository(images=images, policy=Policy((rule(1, "dev-*", "test-*", keep=1), LAST_30)))
    )
    findings = _lint(world)
    found = _one(findings, LintCode.AND_TRAP)
    assert (found.severity, found.rule, found.images) == (Severity.HIGH, 1, 3)
    assert "'dev-*' 1, 'test-*' 2" in found.message
    assert found.affected_bytes == ScopedBytes(repository=7, registry=7)
    assert not _of(findings, LintCode.RULE_MATCHES_NOTHING)


def test_a_list_of_which_one_entry_only_is_met_just_matches_nothing() -> None:
    world = make_world(
        Repository(images=(_tagged("dev-1"),), policy=Policy((rule(1, "dev-*", "test-*", keep=1), LAST_30)))
    )
    findings = _lint(world)
    assert not _of(findings, LintCode.AND_TRAP)
    found = _one(findings, LintCode.RULE_MATCHES_NOTHING)
    assert found.rule == 1
    assert "(singly, 'dev-*' 1, 'test-*' 0)" in found.message


def test_a_list_that_one_image_meets_is_no_trap() -> None:
    images = (_tagged("dev-1", "test-1"), _tagged("dev-2"), _tagged("test-2"))
    world = make_world(
        Repository(images=images, policy=Policy((rule(1, "dev-*", "test-*", keep=1), LAST_30)))
    )
    assert not _of(_lint(world), LintCode.AND_TRAP)


@pytest.mark.parametrize("images", [(), (_tagged("prod-1"),)])
def test_a_rule_that_can_never_decide_is_shadowed_whatever_is_there(images: tuple[Pushed, ...]) -> None:
    policy = Policy((rule(1, "prod*", keep=50), rule(2, "prod-*", "*-eu", pushed=30)))
    found = _one(_lint(make_world(Repository(images=images, policy=policy))), LintCode.RULE_SHADOWED)
    assert (found.rule, found.severity) == (2, Severity.MEDIUM)
    assert "can never decide" in found.message
    assert "rule 1 selects first" in found.message


def test_a_rule_may_be_shadowed_today_only() -> None:
    images = (_tagged("prod-1", "eu"), _tagged("prod-2", "us"))
    policy = Policy((rule(2, "eu", keep=9), rule(4, "us", keep=9), rule(7, "prod-*", keep=1)))
    found = _one(_lint(make_world(Repository(images=images, policy=policy))), LintCode.RULE_SHADOWED)
    assert (found.rule, found.severity, found.images) == (7, Severity.LOW, 2)
    assert "rules 2 and 4" in found.message


def test_a_rule_of_another_storage_class_shadows_nothing() -> None:
    archive = rule(1, "prod*", transitioned=90)
    images = (_tagged("prod-1"), _tagged("prod-2", archived=10, status=ImageStatus.ARCHIVED))
    world = make_world(Repository(images=images, policy=Policy((archive, rule(2, "prod*", keep=1)))))
    assert not _of(_lint(world), LintCode.RULE_SHADOWED)


def test_a_rule_that_never_acts_is_a_fact() -> None:
    world = make_world(Repository(images=(_tagged("a"), _tagged("b")), policy=Policy((rule(1, keep=5),))))
    found = _one(_lint(world), LintCode.NEVER_ACTS)
    assert (found.severity, found.rule, found.images) == (Severity.INFO, 1, 2)
    assert not _of(
        _lint(make_world(Repository(images=(_tagged("a"), _tagged("b")), policy=Policy((rule(1, keep=1),))))),
        LintCode.NEVER_ACTS,
    )


# What piles up.


def test_tagged_images_that_no_rule_takes_pile_up() -> None:
    images = (_tagged("prod-1", age=9, blobs={"x": 5}), _tagged("prod-2", age=8), Pushed(name="lost", age=30))
    world = make_world(Repository(images=images, policy=Policy((UNTAGGED, rule(2, "dev*", keep=1)))))
    found = _one(_lint(world), LintCode.UNCAPPED_TAGGED)
    assert (found.severity, found.rule, found.images) == (Severity.MEDIUM, None, 2)
    assert found.examples == ("app:prod-1", "app:prod-2")
    assert not _of(_lint(world), LintCode.UNCAPPED_ORPHANED)


@pytest.mark.parametrize("capping", [rule(2, keep=1000), rule(2, "prod*", pushed=3650)])
def test_any_limit_is_a_cap(capping: object) -> None:
    assert isinstance(capping, type(LAST_30))
    world = make_world(Repository(images=(_tagged("prod-1"),), policy=Policy((UNTAGGED, capping))))
    assert not _of(_lint(world), LintCode.UNCAPPED_TAGGED)


@pytest.mark.parametrize("keeping", [rule(2, "prod*", keep=100_000), rule(2, "prod*", pushed=36_500)])
def test_a_rule_that_keeps_for_ever_is_told_as_a_fact(keeping: object) -> None:
    assert isinstance(keeping, type(LAST_30))
    world = make_world(Repository(images=(_tagged("prod-1"),), policy=Policy((keeping, LAST_30))))
    found = _one(_lint(world), LintCode.UNCAPPED_TAGGED)
    assert (found.severity, found.rule) == (Severity.INFO, 2)


def test_images_that_are_archived_for_ever_pile_up_there() -> None:
    archiving = rule(2, "prod*", pulled=90, action=Action.TRANSITION)
    images = (_tagged("prod-1"), _tagged("prod-2", archived=10, status=ImageStatus.ARCHIVED))
    found = _of(
        _lint(make_world(Repository(images=images, policy=Policy((archiving,))))), LintCode.UNCAPPED_TAGGED
    )
    assert [(f.rule, f.severity, f.examples) for f in found] == [
        (None, Severity.LOW, ("app:prod-2",)),
        (2, Severity.LOW, ("app:prod-1",)),
    ]
    expiring = rule(3, "prod*", transitioned=365)
    both = make_world(Repository(images=images, policy=Policy((archiving, expiring))))
    assert not _of(_lint(both), LintCode.UNCAPPED_TAGGED)
    other = make_world(
        Repository(images=images, policy=Policy((archiving, rule(3, "dev*", transitioned=365))))
    )
    assert len(_of(_lint(other), LintCode.UNCAPPED_TAGGED)) == 2


def test_orphans_that_no_rule_takes_are_found_and_children_of_tagged_indexes_are_not() -> None:
    images = (
        _tagged("v1", children=("child",)),
        Pushed(name="child", age=9),
        Pushed(name="lost", age=9, blobs={"x": 3}),
    )
    found = _one(
        _lint(make_world(Repository(images=images, policy=Policy((rule(1, "v*", keep=3),))))),
        LintCode.UNCAPPED_ORPHANED,
    )
    assert found.examples == ("app@sha256:lost",)
    assert found.affected_bytes == ScopedBytes(repository=3, registry=3)


# Indexes.


def test_children_that_an_index_holds_back_are_named_with_the_rule_that_would_take_them() -> None:
    images = (
        _tagged("v1", age=30, children=("arm", "amd")),
        Pushed(name="arm", age=30),
        Pushed(name="amd", age=30),
        Pushed(name="lost", age=30),
    )
    found = _one(
        _lint(make_world(Repository(images=images, policy=Policy((UNTAGGED, LAST_30))))),
        LintCode.STRIPS_CHILDREN,
    )
    assert (found.severity, found.rule, found.images) == (Severity.LOW, 1, 2)


@pytest.mark.parametrize(("opaque_age", "severity"), [(1, Severity.HIGH), (400, None)])
def test_untagged_images_that_may_be_children_of_what_nobody_read(
    opaque_age: float, severity: Severity | None
) -> None:
    images = (
        _tagged("v1", age=opaque_age, unread=True),
        Pushed(name="child", age=30),
        # It leaves too, but under a name of its own.
        _tagged("w0", age=30),
    )
    policy = Policy((UNTAGGED, rule(2, "v*", pushed=365), rule(3, "w*", pushed=5)))
    found = _of(_lint(make_world(Repository(images=images, policy=policy))), LintCode.STRIPS_CHILDREN)
    assert [(f.severity, f.rule, f.examples) for f in found] == (
        [(severity, 1, ("app@sha256:child",))] if severity else []
    )


def test_children_that_fill_the_places_of_a_rule() -> None:
    images = (
        _tagged("v3", age=1, children=("arm", "amd")),
        Pushed(name="arm", age=1),
        Pushed(name="amd", age=1),
        _tagged("v2", age=2),
        _tagged("v1", age=3),
    )
    found = _one(
        _lint(make_world(Repository(images=images, policy=Policy((rule(1, keep=3),))))),
        LintCode.COUNT_RULE_SLOTS_HELD,
    )
    assert (found.severity, found.images) == (Severity.MEDIUM, 2)
    assert "2 of the 3 images that rule 1 keeps are children of indexes, which leaves 1" in found.message
    full = make_world(Repository(images=images, policy=Policy((rule(1, keep=5),))))
    assert not _of(_lint(full), LintCode.COUNT_RULE_SLOTS_HELD)


# Images that are needed.


def test_images_in_use_or_protected_that_would_leave() -> None:
    images = (
        _tagged("old", age=40),
        _tagged("older", age=50),
        _tagged("new", age=1),
        Pushed(name="signature", subject="older", age=50),
    )
    world = make_world(Repository(images=images, policy=Policy((rule(5, pushed=30),))))
    findings = _lint(
        world, usage=listed(world.mask("old", "new", "signature")), protected=world.mask("older")
    )
    used = _of(findings, LintCode.TAKES_IN_USE)
    assert [(f.severity, f.rule, f.examples) for f in used] == [
        (Severity.HIGH, None, ("app@sha256:signature",)),
        (Severity.HIGH, 5, ("app:old",)),
    ]
    assert _one(findings, LintCode.TAKES_PROTECTED).examples == ("app:older",)
    assert not _of(_lint(world), LintCode.TAKES_IN_USE)


def test_archiving_takes_images_in_use_too() -> None:
    archiving = rule(1, pulled=30, action=Action.TRANSITION)
    world = make_world(Repository(images=(_tagged("old", age=40),), policy=Policy((archiving,))))
    found = _one(_lint(world, usage=listed(world.mask("old"))), LintCode.TAKES_IN_USE)
    assert "rule 1 archives 1 image in use" in found.message


@pytest.mark.parametrize(("old_bytes", "pays"), [(9 * GB, False), (400_000 * GB, True), (0, None)])
def test_archiving_that_does_not_pay(old_bytes: int, pays: bool | None) -> None:
    archiving = rule(1, pulled=30, action=Action.TRANSITION)
    images = (_tagged("old", age=40, blobs={"x": old_bytes}), _tagged("new"))
    world = make_world(Repository(images=images, policy=Policy((archiving,))))
    found = _of(_lint(world, prices=bundled_prices()), LintCode.ARCHIVE_WITHOUT_PAYBACK)
    if pays is False:
        (finding,) = found
        assert (finding.rule, finding.examples) == (1, ("app:old",))
        assert (
            "in eu-west-1 the archive costs as much as the standard class at the 9.00 GB" in finding.message
        )
    else:
        assert not found
    assert not _of(_lint(world), LintCode.ARCHIVE_WITHOUT_PAYBACK)


# Replicas.

_SAME = (_tagged("a"), _tagged("b"))


@pytest.mark.parametrize("elsewhere", [None, Policy((rule(1, keep=7),))])
def test_a_replica_under_another_policy_is_found_once(elsewhere: Policy | None) -> None:
    world = make_world(
        Repository(images=_SAME, policy=Policy((LAST_30,))),
        Repository(images=_SAME, policy=elsewhere, registry=1),
    )
    found = _one(_lint(world), LintCode.REPLICA_POLICY_DIFFERS)
    assert (found.region, found.images) == ("us-east-1", 2)
    assert "111111111111/eu-west-1" in found.message


def test_the_policy_that_most_replicas_have_is_the_one_to_have() -> None:
    usual, odd = Policy((LAST_30,)), Policy((rule(1, keep=7),))
    world = make_world(
        Repository(images=_SAME, policy=odd),
        Repository(images=_SAME, policy=usual, registry=1),
        Repository(images=_SAME, policy=usual, registry=2),
    )
    found = _one(_lint(world), LintCode.REPLICA_POLICY_DIFFERS)
    assert (found.account, found.region) == ("111111111111", "eu-west-1")
    assert "its 2 replicas" in found.message


@pytest.mark.parametrize(
    "other",
    [
        Repository(images=_SAME, policy=Policy((replace(LAST_30, description="the same"),)), registry=1),
        Repository(images=_SAME, policy="unknown", registry=1),
        Repository(images=(_tagged("c"), _tagged("d"), _tagged("a")), policy=None, registry=1),
        Repository(name="other", images=_SAME, policy=None, registry=1),
    ],
)
def test_what_is_no_replica_or_not_known_to_differ_is_not_found(other: Repository) -> None:
    world = make_world(
        Repository(images=(*_SAME, _tagged("e"), _tagged("f"), _tagged("g")), policy=Policy((LAST_30,))),
        other,
    )
    assert not _of(_lint(world), LintCode.REPLICA_POLICY_DIFFERS)


def test_findings_are_sorted_by_severity_then_bytes_and_never_by_ids() -> None:
    worlds = [
        make_world(
            *(
                Repository(name=name, images=(_tagged(f"t{name}", blobs={f"x{name}": size}),))
                for name, size in (("a", 1), ("b", 9), ("c", 5))
            ),
            Repository(name="d"),
        )
        for _ in range(2)
    ]
    first, again = map(_lint, worlds)
    assert [finding.repository for finding in first] == ["b", "c", "a", "d"]
    assert first == again


# Against the slow evaluator.


@examples(100)
@given(lifecycle_cases())
def test_what_is_said_of_rules_agrees_with_the_slow_evaluator(case: LifecycleCase) -> None:
    world = _as_world(case)
    findings = lint(world, world.rows)
    said = Counter(
        (finding.account, finding.region, finding.repository, finding.rule, finding.code)
        for finding in findings
        if finding.code in _COUNTED
    )
    expected: Counter[tuple[str, str, str, int | None, LintCode]] = Counter()
    empty: Counter[tuple[str, str, str, int | None, LintCode]] = Counter()
    rows = case.world.frames.repositories
    registries = case.world.frames.registries
    for row, (images, policy) in enumerate(
        zip(case.world.repositories, case.policy_per_repository, strict=True)
    ):
        if policy is None:
            continue
        registry = registries.iloc[rows["registry"].iloc[row]]
        place = str(registry["account"]), str(registry["region"]), str(rows["repository"].iloc[row])
        steps = [trace_slowly(images, policy, case.now_ms, image.digest) for image in images]
        verdicts = evaluate_repository(images, policy, case.now_ms)
        for number, one in enumerate(policy.rules):
            of_rule = [of_image[number] for of_image in steps]
            selected = [step for step in of_rule if step.selects]
            decided = [step for step in selected if step.decides]
            acts = any(step.claims for step in decided)
            if not images:
                empty[*place, one.priority, LintCode.RULE_SHADOWED] += 1
            elif not selected:
                expected[*place, one.priority, LintCode.RULE_MATCHES_NOTHING] += 1
            elif not decided:
                expected[*place, one.priority, LintCode.RULE_SHADOWED] += 1
            elif not acts:
                expected[*place, one.priority, LintCode.NEVER_ACTS] += 1
        assert _images_of(findings, place, LintCode.STRIPS_CHILDREN, Severity.LOW) == sum(
            verdict.reason.name == "BLOCKED_BY_INDEX" and verdict.rule > 0 for verdict in verdicts
        )
    always = {key for key in said if key[-1] is LintCode.RULE_SHADOWED}
    for key in always - set(expected):
        # What can never decide is told of rules that select nothing today, too.
        assert key in empty or expected.pop((*key[:-1], LintCode.RULE_MATCHES_NOTHING)) == 1
        del said[key]
    traps = {key for key in said if key[-1] is LintCode.AND_TRAP}
    for key in traps:
        assert expected.pop((*key[:-1], LintCode.RULE_MATCHES_NOTHING)) == 1
        del said[key]
    assert said == expected


_COUNTED = {
    LintCode.RULE_MATCHES_NOTHING,
    LintCode.RULE_SHADOWED,
    LintCode.NEVER_ACTS,
    LintCode.AND_TRAP,
}


def _images_of(
    findings: tuple[LintFinding, ...], place: tuple[str, str, str], code: LintCode, severity: Severity
) -> int:
    return sum(
        finding.images
        for finding in findings
        if (finding.account, finding.region, finding.repository) == place
        and finding.code is code
        and finding.severity is severity
    )


@examples(100)
@given(lifecycle_cases())
def test_every_image_in_use_that_leaves_is_named_once(case: LifecycleCase) -> None:
    world = _as_world(case)
    used = np.ones(len(world.names), np.bool_)
    found = _of(lint(world, world.rows, usage=listed(used)), LintCode.TAKES_IN_USE)
    leaving = sum(
        verdict.outcome is not Outcome.KEPT
        for images, policy in zip(case.world.repositories, case.policy_per_repository, strict=True)
        for verdict in evaluate_repository(images, policy, case.now_ms)
    )
    assert sum(finding.images for finding in found) == leaving


def _as_world(case: LifecycleCase) -> HandMade:
    world = case.world
    return HandMade(
        world.frames,
        world.facts,
        world.families,
        case.now_ms,
        case.policies,
        case.policy_array,
        {},
        [image.digest.removeprefix("sha256:") for image in world.images],
    )


def test_the_archive_class_of_a_rule_is_what_the_builder_says() -> None:
    assert rule(1, transitioned=90).storage_class is StorageClass.ARCHIVE
