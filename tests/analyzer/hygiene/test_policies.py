"""Findings of lint as findings here, and repositories that need a policy most."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import given

from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Check, Found
from analyzer.hygiene.judging import Agreements, Wanted, judge
from analyzer.hygiene.policies import CHECKS
from analyzer.lifecycle.lint import lint
from analyzer.lifecycle.policy import Policy
from analyzer.model.findings import Finding, Waiver
from analyzer.model.lint import LintCode, Severity
from analyzer.model.records import UseKind
from analyzer.model.registry_settings import Place, RepositorySettings
from analyzer.model.results import ScopedBytes
from analyzer.model.usage import Use
from analyzer.pricing import bundled_prices
from tests.analyzer.lifecycle.worlds import NOW_MS, HandMade, Pushed, Repository, make_world, rule
from tests.strategies.lifecycle import LifecycleCase, lifecycle_cases
from tests.support.estates import estate_of, usage_of


def check(name: str) -> Check:
    (found,) = (one for one in CHECKS if one.text.id == name)
    return found


def findings(world: HandMade, *names: str, **given_: Any) -> list[Finding]:
    """What checks of these names (all without any) find, beside lint of the same world."""
    options = {key: given_[key] for key in ("usage",) if key in given_}
    known = {
        "facts": world.facts,
        "policies": world.policies,
        "policy_of": world.policy_of,
        "policy_problems": world.policy_problems,
        "digests": world.digests,
        "lint": lint(world, world.rows, prices=bundled_prices(), **options),
        **given_,
    }
    estate = estate_of(world.frames, now_ms=world.at_ms, **known)
    chosen = [one for one in CHECKS if not names or one.text.id in names]
    return [told.finding for told in run_checks(estate, chosen).told]


def test_every_code_of_lint_is_a_check_but_for_what_a_user_protects() -> None:
    ids = {one.text.id for one in CHECKS}
    assert {str(code) for code in LintCode} - ids == {"TAKES_PROTECTED"}


def test_without_a_policy_what_is_old_and_unused_could_leave() -> None:
    world = make_world(
        Repository(
            images=(
                Pushed(name="old", tags=("v1",), age=200, blobs={"a": 5, "shared": 3}),
                Pushed(name="used", tags=("v2",), age=200, blobs={"b": 7}),
                Pushed(name="new", tags=("v3",), age=1, blobs={"shared": 3}),
            )
        )
    )
    usage = usage_of(3, [world.position("used")])
    (found,) = findings(world, "NO_POLICY", usage=usage)
    assert (found.images, found.severity, found.subject) == (3, Severity.MEDIUM, "")
    assert found.freed_bytes == ScopedBytes(repository=5, registry=5)
    assert found.message == "it has no lifecycle policy: its 3 images stay for ever"
    assert "was not read" not in found.saving_note
    assert "aws ecr get-lifecycle-policy --registry-id 111111111111" in found.validate


def test_a_rule_is_the_subject_of_what_lint_says_of_it() -> None:
    policy = Policy((rule(3, "prod*", keep=5), rule(9, keep=30)))
    world = make_world(Repository(images=(Pushed(name="a", tags=("dev-1",)),), policy=policy))
    found = findings(world, "RULE_MATCHES_NOTHING", "NEVER_ACTS")
    assert [(one.check, one.subject, one.saving) for one in found] == [
        ("RULE_MATCHES_NOTHING", "rule-3", None),
        ("NEVER_ACTS", "rule-9", None),
    ]
    assert found[0].key == "RULE_MATCHES_NOTHING/111111111111/eu-west-1/app#rule-3"


@given(lifecycle_cases())
def test_keys_are_unique_and_nothing_that_lint_finds_is_lost(case: LifecycleCase) -> None:
    frames = case.world.frames
    count = len(frames.artifacts.digest_id)
    world = HandMade(
        frames,
        case.world.facts,
        case.world.families,
        case.now_ms,
        case.policies,
        case.policy_array,
        {},
        [str(number) for number in range(count)],
    )
    # Every third runs, and of every fifth a rollback would need it.
    usage = usage_of(count, range(0, count, 3))
    usage.kind[::5] = UseKind.PREVIOUS
    said = lint(world, world.rows, usage=usage)
    found = findings(world, usage=usage, lint=said)
    of_lack = {"NO_POLICY", "REPLICA_POLICY_DIFFERS"}
    codes = {str(code) for code in LintCode}
    assert Counter(one.check for one in found if one.check in codes - of_lack) == Counter(
        str(one.code) for one in said if one.code not in of_lack
    )
    lacking = Counter(
        (one.account, one.region, one.repository) for one in said if one.code is LintCode.NO_POLICY
    )
    told = Counter((one.account, one.region, one.repository) for one in found if one.check in LACK)
    differing = [
        one for one in said if one.code is LintCode.REPLICA_POLICY_DIFFERS and "another policy" in one.message
    ]
    assert told - Counter((one.account, one.region, one.repository) for one in differing) == lacking
    names = list(zip(frames.repositories["registry"], frames.repositories["repository"], strict=True))
    # A repository that was deleted and made again has its name twice.
    if len(set(names)) == len(names):
        assert len({one.key for one in found}) == len(found)


def test_a_user_of_what_a_policy_takes_is_evidence() -> None:
    world = make_world(
        Repository(images=(Pushed(name="old", tags=("v1",), age=50),), policy=Policy((rule(1, pushed=30),)))
    )
    users = (Use("ecs", "111111111111", "eu-west-1", "prod/web", "previous", "app:v1"),)
    usage = usage_of(1, [0])
    usage.kind[0] = UseKind.PREVIOUS
    (said,) = (one for one in lint(world, world.rows, usage=usage) if one.code is LintCode.TAKES_IN_USE)
    (found,) = findings(world, "TAKES_IN_USE", lint=(replace(said, users=users),))
    assert (found.subject, found.severity) == ("rule-1-previous", Severity.MEDIUM)
    image, workload = found.evidence
    assert (image.kind, image.name) == ("image", "app:v1")
    assert (workload.kind, workload.name) == ("workload", "ecs 111111111111/eu-west-1 prod/web")
    assert workload.note == "previous: app:v1"


SOURCE = Place("111111111111", "us-east-1", 1, 0, 0)
#: Checks that tell of a policy that is not there.
LACK = ("NO_POLICY", "REPLICA_WITHOUT_POLICY", "CACHE_WITHOUT_POLICY", "REPLICA_POLICY_DIFFERS")


def lacking() -> tuple[HandMade, dict[str, Any]]:
    """A repository of each kind without a policy, all with the same waste, and what else is known."""
    image = Pushed(name="a", tags=("v1",), age=400, blobs={"x": 5})
    world = make_world(
        *(
            Repository(name=name, images=(image,))
            for name in ("own", "copy", "hub/a", "hub/copy", "maybe", "alike")
        ),
        Repository(name="empty"),
        Repository(name="alike", images=(image,), policy=Policy((rule(1, keep=1),)), registry=1),
    )
    rows = world.frames.repositories
    names = rows["repository"].tolist()
    rows["pull_through_cache"] = [name.startswith("hub/") for name in names]
    rows["pull_through_cache_known"] = [name != "maybe" for name in names]
    settings = [RepositorySettings(replica_of=(SOURCE,) if "copy" in name else ()) for name in names]
    return world, {"of_repositories": settings}


def test_that_a_policy_lacks_is_told_once_by_the_check_that_knows_most_and_frees_the_same() -> None:
    world, known = lacking()
    found = [one for one in findings(world, **known) if one.check in LACK]
    assert {one.repository: one.check for one in found} == {
        "own": "NO_POLICY",
        "copy": "REPLICA_WITHOUT_POLICY",
        "hub/a": "CACHE_WITHOUT_POLICY",
        "hub/copy": "CACHE_WITHOUT_POLICY",
        "maybe": "NO_POLICY",
        "alike": "REPLICA_POLICY_DIFFERS",
        "empty": "NO_POLICY",
    }
    assert len(found) == len({one.repository for one in found})
    freed = {one.freed_bytes.repository for one in found if one.freed_bytes and one.repository != "empty"}
    assert freed == {5}
    assert all(one.freed_bytes and one.saving_note for one in found)


def test_what_a_more_specific_check_tells_is_not_told_where_that_was_waived_or_not_asked_for() -> None:
    world, known = lacking()
    estate = estate_of(
        world.frames,
        now_ms=NOW_MS,
        facts=world.facts,
        digests=world.digests,
        policies=world.policies,
        policy_of=world.policy_of,
        lint=lint(world, world.rows),
        **known,
    )
    waivers = [
        Waiver(check=check, owner="team", reason="agreed", expires=date(2999, 1, 1), place=check)
        for check in ("REPLICA_WITHOUT_POLICY", "*_POLICY")
    ]
    report = judge(estate, Agreements(waivers=tuple(waivers[:1])), checks=CHECKS)
    of_copy = [(one.check, one.waiver is not None) for one in report.findings if one.repository == "copy"]
    assert of_copy == [("REPLICA_WITHOUT_POLICY", True)]
    assert "copy" not in {row.repository for row in report.by_repository}
    asked = judge(estate, Agreements(), Wanted(checks=frozenset({"NO_POLICY"})), checks=CHECKS)
    assert {one.repository for one in asked.findings} == {"own", "maybe", "empty"}
    (named,) = judge(
        estate,
        Agreements(waivers=(replace(waivers[0], check="NO_POLICY", repository="copy"),)),
        checks=CHECKS,
    ).unmatched_waivers
    assert named.repository == "copy"
    everywhere = judge(estate, Agreements(waivers=(waivers[1],)), checks=CHECKS)
    assert {one.repository for one in everywhere.open} == {"alike"}


def test_a_replica_without_a_policy_is_found_and_a_repository_of_its_own_is_not() -> None:
    image = Pushed(name="a", tags=("v1",), age=400, blobs={"x": 5})
    world = make_world(
        Repository(name="copy", images=(image,)),
        Repository(name="covered", images=(image,), policy=Policy((rule(1, keep=1),))),
        Repository(name="own", images=(image,)),
        Repository(name="unknown", images=(image,), policy="unknown"),
    )
    settings = [
        RepositorySettings(replica_of=(SOURCE,)),
        RepositorySettings(replica_of=(SOURCE,)),
        RepositorySettings(),
        RepositorySettings(replica_of=(SOURCE,)),
    ]
    (found,) = findings(world, "REPLICA_WITHOUT_POLICY", of_repositories=settings)
    assert (found.repository, found.images) == ("copy", 1)
    assert "111111111111/us-east-1" in found.message
    assert found.freed_bytes == ScopedBytes(repository=5, registry=0)


def test_a_cache_without_a_policy_is_found_and_one_that_may_be_a_cache_left_open() -> None:
    image = Pushed(name="a", tags=("v1",), age=400, blobs={"x": 5})
    world = make_world(
        Repository(name="hub/a", images=(image,)),
        Repository(name="maybe", images=(image,)),
        Repository(name="own", images=(image,)),
    )
    world.frames.repositories["pull_through_cache"] = [True, False, False]
    world.frames.repositories["pull_through_cache_known"] = [True, False, True]
    estate = estate_of(world.frames, now_ms=NOW_MS, facts=world.facts, digests=world.digests)
    answers = list(check("CACHE_WITHOUT_POLICY").find(estate))
    (found,) = (one for one in answers if isinstance(one, Found))
    (left,) = (one for one in answers if not isinstance(one, Found))
    assert (found.row, left.row) == (0, 1)
    assert "cache" in left.reason
