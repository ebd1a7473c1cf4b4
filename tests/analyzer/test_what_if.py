"""The joiner: what is loaded, as of when, which policies are in force, and what a plan would change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boto3.session import Session

from analyzer.collect import CollectOptions, SilentProgress
from analyzer.documents import read_documents
from analyzer.errors import InputError
from analyzer.lifecycle.parsing import InvalidPolicy, parse_policy
from analyzer.lifecycle.plans import Plan, read_plan
from analyzer.model.frames import NO_TIME
from analyzer.model.media_types import OCI_MANIFEST
from analyzer.model.records import (
    ABSENT,
    Artifact,
    BlobReference,
    Gap,
    Kind,
    Manifest,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
)
from analyzer.nightly import collect_snapshots
from analyzer.pricing import bundled_prices
from analyzer.simulation import WhatIf
from analyzer.store.engine import Database
from analyzer.store.opening import open_database
from analyzer.store.writer import Store
from analyzer.what_if import (
    World,
    answer,
    everywhere,
    gaps_about,
    in_force,
    load_world,
    not_in_force,
    propose_plan,
    world_of_documents,
)
from tests.strategies.registries import sha256, sha512
from tests.support.registry import DAY, EPOCH, generate
from tests.support.registry import World as Aws
from tests.support.stub_ecr import serve

ACCOUNT = "111111111111"
EU = RegistryKey("aws", ACCOUNT, "eu-west-1")
US = RegistryKey("aws", ACCOUNT, "us-east-1")
OTHER = RegistryKey("aws", "222222222222", "eu-west-1")
DAY_MS = 86_400_000
#: When the nights were.
FIRST, SECOND, THIRD = (20_000 * DAY_MS + night * DAY_MS for night in range(3))
OLD, NEW = (Artifact(sha256(name), ("v1",), pushed_at_ms=FIRST - 9 * DAY_MS) for name in ("old", "new"))


def policy_text(keep: int) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}
    return json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})


KEEP_1, KEEP_2 = policy_text(1), policy_text(2)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'worlds.sqlite'}", create=True)
    yield database
    database.engine.dispose()


def repository(
    name: str,
    *artifacts: Artifact,
    policy: str | None = None,
    known: bool = True,
    status: ReadStatus = ReadStatus.COMPLETE,
) -> RepositoryRead:
    """A repository with that policy; ``known``: whether it could be asked for."""
    text = ABSENT if policy is None else json.dumps(policy)
    return RepositoryRead(name, 1, status, artifacts, {"lifecycle_policy_text": text} if known else {})


def night(database: Database, taken_at_ms: int, *reads: RegistryRead) -> int:
    """One run with these reads, all taken at one moment."""
    store = Store(database, lambda: taken_at_ms)
    run = store.begin_run(taken_at_ms, "host", "1")
    for read in reads:
        with store.lease(read.key, "test", "host") as lease:
            store.commit_snapshot(lease, run, read)
    store.finish_run(run, taken_at_ms, "complete")
    return run


def read_of(
    taken_at_ms: int, *repositories: RepositoryRead, key: RegistryKey = EU, gaps: tuple[Gap, ...] = ()
) -> RegistryRead:
    return RegistryRead(key, taken_at_ms, ReadStatus.COMPLETE, repositories, {}, gaps)


def three_nights(database: Database) -> None:
    """The repository app with the policies 1, 2 and none; of images old, old and new, new."""
    for taken, artifacts, policy in (
        (FIRST, (OLD,), KEEP_1),
        (SECOND, (OLD, NEW), KEEP_2),
        (THIRD, (NEW,), None),
    ):
        night(database, taken, read_of(taken, repository("app", *artifacts, policy=policy)))


def held(world: World) -> list[str]:
    """Digests of all artifacts, sorted."""
    return sorted(world.digests(np.arange(len(world.frames.artifacts.digest_id))))


def rows_of(world: World) -> dict[tuple[str, str, str], int]:
    """Row of each repository by account, region and name."""
    registries = world.frames.registries
    accounts, regions = registries["account"].tolist(), registries["region"].tolist()
    repositories = world.frames.repositories
    places = zip(repositories["registry"].tolist(), repositories["repository"].tolist(), strict=True)
    return {(accounts[of], regions[of], name): row for row, (of, name) in enumerate(places)}


# Which moment.


def test_the_last_run_is_judged_at_its_own_moment(database: Database) -> None:
    three_nights(database)
    world = load_world(database)
    assert held(world) == [NEW.digest]
    assert world.at_ms == THIRD
    assert [(one.run, one.is_latest) for one in world.snapshots] == [(3, True)]
    assert world.has_region


@pytest.mark.parametrize(
    ("run", "artifacts", "policies", "taken"),
    [(1, (OLD,), [KEEP_1], FIRST), (2, (OLD, NEW), [KEEP_2], SECOND), (3, (NEW,), [], THIRD)],
)
def test_an_earlier_run_is_judged_as_it_was(
    database: Database, run: int, artifacts: tuple[Artifact, ...], policies: list[str], taken: int
) -> None:
    three_nights(database)
    world = load_world(database, run=run)
    assert held(world) == sorted(artifact.digest for artifact in artifacts)
    assert world.policies == [parse_policy(text) for text in policies]
    assert (world.at_ms, world.snapshots[0].run) == (taken, run)
    # Another moment does not make it another run.
    later = load_world(database, run=run, at_ms=THIRD + 5 * DAY_MS)
    assert (held(later), later.at_ms) == (held(world), THIRD + 5 * DAY_MS)


@pytest.mark.parametrize(
    ("at_ms", "run"),
    [
        (FIRST - 100 * DAY_MS, 1),
        (FIRST, 1),
        (SECOND - 1, 1),
        (SECOND, 2),
        (THIRD - 1, 2),
        (THIRD, 3),
        (THIRD + 100 * DAY_MS, 3),
    ],
)
def test_a_moment_is_answered_from_what_was_known_then(database: Database, at_ms: int, run: int) -> None:
    three_nights(database)
    world = load_world(database, at_ms=at_ms)
    assert (world.at_ms, [one.run for one in world.snapshots]) == (at_ms, [run])
    assert held(world) == held(load_world(database, run=run))


def test_the_moment_of_several_registries_is_that_of_the_newest(database: Database) -> None:
    night(database, FIRST, read_of(FIRST, key=US), read_of(FIRST + 7, key=EU))
    night(database, SECOND, read_of(SECOND, repository("app", OLD), key=US))
    world = load_world(database)
    # The one that the last run did not ask shows what it had before.
    assert [one.taken_at_ms for one in world.snapshots] == [FIRST + 7, SECOND]
    assert world.at_ms == SECOND


@pytest.mark.parametrize(
    ("run", "message"),
    [(4, r"--run 4: the last run is 3; name that or an earlier one"), (0, "no run up to that number left")],
)
def test_a_run_that_is_not_there_is_said_so(database: Database, run: int, message: str) -> None:
    three_nights(database)
    with pytest.raises(InputError, match=message):
        load_world(database, run=run)


@pytest.mark.parametrize("asked", [{}, {"at_ms": FIRST}, {"run": 1}])
def test_without_a_snapshot_there_is_nothing_to_judge(database: Database, asked: dict[str, int]) -> None:
    with pytest.raises(InputError, match="holds no snapshot yet; run: demurrage collect"):
        load_world(database, **asked)


# Policies in force.


def test_policies_are_read_once_each_and_told_apart_from_none_invalid_and_unread(database: Database) -> None:
    invalid = policy_text(0)
    night(
        database,
        FIRST,
        read_of(
            FIRST,
            repository("a", policy=KEEP_2),
            repository("b", policy=invalid),
            repository("c"),
            repository("d", known=False),
            repository("e", policy=KEEP_1),
            repository("f", policy=KEEP_2),
        ),
    )
    world = load_world(database)
    assert world.policies == [parse_policy(KEEP_2), parse_policy(KEEP_1)]
    assert world.policy_of.tolist() == [0, -1, -1, -1, 1, 0]
    assert {row: [one.code for one in why.errors] for row, why in world.policy_problems.items()} == {
        1: ["BELOW_MINIMUM"]
    }
    assert not_in_force(world) == {
        1: "the policy in force is not one that this version understands (BELOW_MINIMUM)",
        3: "the policy in force could not be read",
    }
    live = in_force(world)
    assert (live.name, live.texts) == ("live", [KEEP_2, KEEP_1])
    assert (live.policies, live.policy_of.tolist()) == (world.policies, world.policy_of.tolist())


def test_one_policy_for_all_leaves_the_others_alone(database: Database) -> None:
    night(database, FIRST, read_of(FIRST, *(repository(name, policy=KEEP_1) for name in "abc")))
    world = load_world(database)
    text = policy_text(3).replace('"any"', '"tagged", "tagPrefixList": ["v*"]')
    proposal = everywhere(world, np.array([0, 2]), "new.json", parse_policy(text), text)
    assert (proposal.name, list(proposal.texts)) == ("new.json", [text])
    assert proposal.policy_of.tolist() == [0, -1, 0]
    (warning,) = proposal.warnings
    assert "* is an ordinary character in the prefix" in warning


# Gaps.


def _gap(repository: str = "", key: RegistryKey = EU, reason: str = "AccessDeniedException") -> Gap:
    return Gap(key.account, key.region, repository, "ecr:DescribeImages", reason)


def test_gaps_are_those_of_the_run_and_those_that_stand_in_what_is_stored(database: Database) -> None:
    Store(database, lambda: 0).add_manifests(
        [
            Manifest(OLD.digest, Kind.UNREADABLE, OCI_MANIFEST, 2),
            *(
                Manifest(digest, Kind.IMAGE, OCI_MANIFEST, 2, [BlobReference(sha256("layer"), size, "layer")])
                for digest, size in ((NEW.digest, 5), (sha256("third"), 6))
            ),
        ]
    )
    third = Artifact(sha256("third"))
    gaps = (_gap("b"), _gap())
    night(database, FIRST, read_of(FIRST, repository("app", OLD), repository("b", NEW, third), gaps=gaps))
    night(database, SECOND, read_of(SECOND, repository("app", OLD), repository("b", NEW)))
    found = [(gap.repository, gap.reason) for gap in load_world(database, run=1).gaps]
    assert found == [
        ("", "AccessDeniedException"),
        ("app", "UnreadableManifest"),
        ("b", "SizeConflict"),
        ("b", "AccessDeniedException"),
    ]
    # What contradicts is gone, and so are the refusals of another night.
    assert [(gap.repository, gap.reason) for gap in load_world(database).gaps] == [
        ("app", "UnreadableManifest")
    ]


def test_gaps_about_other_repositories_are_none_about_these(database: Database) -> None:
    reads = (
        read_of(
            FIRST,
            *(repository(name) for name in ("app", "b")),
            key=key,
            gaps=(_gap("app", key), _gap("b", key), _gap("", key)),
        )
        for key in (EU, US, OTHER)
    )
    night(database, FIRST, *reads)
    world = load_world(database)
    rows = rows_of(world)
    everything = gaps_about(world, np.array(sorted(rows.values())))
    assert everything == list(world.gaps)
    assert len(everything) == 9
    one = gaps_about(world, np.array([rows[ACCOUNT, "us-east-1", "app"]]))
    # What is about its whole registry may be about it too.
    assert one == sorted([_gap("", US), _gap("app", US)])
    two = gaps_about(
        world, np.array([rows[ACCOUNT, "eu-west-1", "b"], rows[OTHER.account, "eu-west-1", "app"]])
    )
    assert [gap for gap in two if gap.repository] == sorted([_gap("b", EU), _gap("app", OTHER)])
    assert [gap for gap in gaps_about(world, np.zeros(0, np.int64)) if gap.repository] == []


def test_a_list_that_was_refused_may_hide_what_was_asked_about(database: Database) -> None:
    refused = replace(_gap("", EU), call="ecr:DescribeRepositories")
    reads = (
        read_of(FIRST, repository("app"), key=key, gaps=(refused,) if key == EU else ()) for key in (EU, US)
    )
    night(database, FIRST, *reads)
    world = load_world(database)
    assert gaps_about(world, np.array([rows_of(world)[ACCOUNT, "us-east-1", "app"]])) == [refused]


# Digests.


def test_digests_are_given_for_the_positions_asked_for_in_their_order(database: Database) -> None:
    names = [sha256(f"{n}") for n in range(5)] + [sha512("other")]
    night(
        database,
        FIRST,
        read_of(
            FIRST,
            repository("a", *(Artifact(name) for name in names)),
            repository("b", Artifact(names[2]), Artifact(names[5])),
        ),
    )
    world = load_world(database)
    positions = np.arange(len(world.frames.artifacts.digest_id))
    texts = world.digests(positions)
    assert sorted(texts[:6]) == sorted(names)
    assert sorted(texts[6:]) == sorted([names[2], names[5]])
    some = np.array([7, 0, 3, 0])
    assert world.digests(some) == [texts[position] for position in some.tolist()]
    assert world.digests(np.zeros(0, np.int64)) == []


# Plans.


def change(
    address: str,
    *actions: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    unknown: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "address": f"aws_ecr_lifecycle_policy.{address}",
        "mode": "managed",
        "type": "aws_ecr_lifecycle_policy",
        "name": address,
        "provider_name": "registry.terraform.io/hashicorp/aws",
        "change": {
            "actions": list(actions),
            "before": before,
            "after": after,
            "after_unknown": unknown or {},
        },
    }


def plan_of(*changes: dict[str, Any], **more: Any) -> Plan:
    document = {"format_version": "1.2", "resource_changes": list(changes), "configuration": {}, **more}
    return read_plan(json.dumps(document), "plan.json")


def put(name: str, keep: int = 1, **place: str) -> dict[str, Any]:
    """What a resource would be after apply."""
    return {"repository": name, "policy": policy_text(keep), **place}


@pytest.fixture
def fleet(database: Database) -> World:
    """The repositories app and web in two regions of one account and in another account."""
    repositories = [repository(name, OLD, NEW, policy=KEEP_2) for name in ("app", "web")]
    night(database, FIRST, *(read_of(FIRST, *repositories, key=key) for key in (EU, US, OTHER)))
    return load_world(database)


def all_rows(world: World) -> Any:
    return np.arange(len(world.frames.repositories))


def test_a_plan_changes_the_repositories_of_its_regions_and_accounts(fleet: World) -> None:
    rows = rows_of(fleet)
    plan = plan_of(
        change("a", "create", after=put("app", 5, region="us-east-1", registry_id=ACCOUNT)),
        change("b", "update", before=put("web", 9), after=put("web", 6, registry_id=OTHER.account)),
        change("c", "no-op", before=put("app"), after=put("app")),
    )
    planned = propose_plan(fleet, plan, all_rows(fleet))
    app, web = rows[ACCOUNT, "us-east-1", "app"], rows[OTHER.account, "eu-west-1", "web"]
    assert planned.rows.tolist() == sorted([app, web])
    assert planned.addresses == {app: ["aws_ecr_lifecycle_policy.a"], web: ["aws_ecr_lifecycle_policy.b"]}
    assert planned.notes == ()
    proposal = planned.proposal
    assert proposal.name == "plan.json"
    assert [proposal.texts[proposal.policy_of[row]] for row in (app, web)] == [policy_text(5), policy_text(6)]
    assert [proposal.policies[proposal.policy_of[row]] for row in (app, web)] == [
        parse_policy(policy_text(5)),
        parse_policy(policy_text(6)),
    ]
    assert np.count_nonzero(proposal.policy_of >= 0) == 2


def test_a_plan_that_does_not_say_where_is_judged_everywhere_and_says_so(fleet: World) -> None:
    plan = plan_of(change("a", "create", after=put("app", region="eu-west-1")))
    planned = propose_plan(fleet, plan, all_rows(fleet))
    rows = rows_of(fleet)
    assert planned.rows.tolist() == sorted(
        [rows[ACCOUNT, "eu-west-1", "app"], rows[OTHER.account, "eu-west-1", "app"]]
    )
    (note,) = planned.notes
    assert note == (
        "aws_ecr_lifecycle_policy.a: the plan does not say which of 2 repositories of the name app it means; "
        "all are judged"
    )


def test_only_the_rows_in_question_are_judged(fleet: World) -> None:
    plan = plan_of(change("a", "create", after=put("app")), change("b", "create", after=put("web")))
    web = rows_of(fleet)[ACCOUNT, "us-east-1", "web"]
    planned = propose_plan(fleet, plan, np.array([web]))
    assert planned.rows.tolist() == [web]
    assert list(planned.addresses) == [web]
    (note,) = planned.notes
    assert note.startswith("aws_ecr_lifecycle_policy.a: repository app is not among those that were read")


def test_a_repository_that_nobody_read_is_a_note(fleet: World) -> None:
    plan = plan_of(
        change("a", "create", after=put("new")), change("b", "create", after=put("app", region="eu-north-1"))
    )
    planned = propose_plan(fleet, plan, all_rows(fleet))
    assert planned.rows.tolist() == []
    assert planned.addresses == {}
    assert [note.split(" is not")[0] for note in planned.notes] == [
        "aws_ecr_lifecycle_policy.a: repository new",
        "aws_ecr_lifecycle_policy.b: repository app",
    ]
    assert planned.proposal.policies == []


def test_a_deleted_policy_leaves_its_repository_to_keep_everything(fleet: World) -> None:
    plan = plan_of(change("a", "delete", before=put("app", region="us-east-1")))
    planned = propose_plan(fleet, plan, all_rows(fleet))
    row = rows_of(fleet)[ACCOUNT, "us-east-1", "app"]
    assert planned.rows.tolist() == [row]
    assert set(planned.proposal.policy_of.tolist()) == {-1}
    question = WhatIf(
        proposals=[planned.proposal], rows=planned.rows, at_ms=fleet.at_ms, against=in_force(fleet)
    )
    (candidate,) = answer(fleet, question, bundled_prices()).candidates
    (effect,) = candidate.repositories
    assert (effect.policy_text, effect.effect.leaving) == (None, 0)
    assert effect.live is not None


def test_a_policy_that_moves_leaves_its_old_repository_without_one(fleet: World) -> None:
    place = {"region": "eu-west-1", "registry_id": ACCOUNT}
    moves = change("a", "delete", "create", before=put("app", 1, **place), after=put("web", 3, **place))
    rows = rows_of(fleet)
    app, web = rows[ACCOUNT, "eu-west-1", "app"], rows[ACCOUNT, "eu-west-1", "web"]
    planned = propose_plan(fleet, plan_of(moves), all_rows(fleet))
    assert planned.rows.tolist() == [app, web]
    assert planned.addresses == {row: ["aws_ecr_lifecycle_policy.a"] for row in (app, web)}
    assert planned.proposal.policy_of[[app, web]].tolist() == [-1, 0]
    # Unless another one comes in its place, whichever is named first.
    for name in ("0", "z"):
        follows = change(name, "create", after=put("app", 4, **place))
        both = propose_plan(fleet, plan_of(moves, follows), all_rows(fleet))
        policies = both.proposal.policy_of[[app, web]].tolist()
        assert [both.proposal.texts[number] for number in policies] == [policy_text(4), policy_text(3)]


def test_what_a_plan_leaves_open_is_a_note(fleet: World) -> None:
    plan = plan_of(
        change("a", "create", after={"repository": "app"}, unknown={"policy": True}),
        change("b", "create", after={"policy": KEEP_1}, unknown={"repository": True}),
        change("c", "create", "delete", before=put("web"), after=put("web", region="us-east-1")),
        errored=True,
    )
    planned = propose_plan(fleet, plan, all_rows(fleet))
    assert planned.rows.tolist() == [rows_of(fleet)[ACCOUNT, "us-east-1", "web"]]
    first, second, third, fourth = planned.notes
    assert first.startswith("planning ended with an error")
    assert second.startswith("aws_ecr_lifecycle_policy.a: its policy is known only after apply")
    assert third.startswith("aws_ecr_lifecycle_policy.b: its repository is known only after apply")
    assert fourth.startswith("aws_ecr_lifecycle_policy.c: create_before_destroy")


def test_an_invalid_policy_names_its_resource(fleet: World) -> None:
    plan = plan_of(
        change("good", "create", after=put("app")),
        change("worse", "create", after={"repository": "gone", "policy": policy_text(0)}),
    )
    with pytest.raises(InvalidPolicy) as refused:
        propose_plan(fleet, plan, all_rows(fleet))
    (error,) = refused.value.errors
    assert error.code == "BELOW_MINIMUM"
    assert error.message.startswith("aws_ecr_lifecycle_policy.worse: ")
    # What is in force already is nobody's change.
    kept = change("worse", "no-op", before=put("app", 0), after=put("app", 0))
    assert propose_plan(fleet, plan_of(kept), all_rows(fleet)).rows.tolist() == []


# Documents.


def test_documents_are_a_world_without_policies_and_with_gaps() -> None:
    entry = {"registryId": ACCOUNT, "repositoryName": "app", "imagePushedAt": 1_700_000_000}
    details = [{**entry, "imageDigest": digest} for digest in (NEW.digest, OLD.digest)]
    text = json.dumps({"imageDetails": details})
    documents = read_documents([("images.json", text)], [], region=None, taken_at_ms=FIRST)
    world = world_of_documents(documents, at_ms=SECOND)
    assert world.at_ms == SECOND
    assert not world.has_region
    assert (world.snapshots, list(world.policies), world.policy_of.tolist()) == ((), [], [-1])
    assert not_in_force(world) == {0: "the policy in force could not be read"}
    assert list(world.gaps) == sorted(documents.gaps)
    assert world.gaps
    assert world.digests(np.array([1, 0])) == sorted([NEW.digest, OLD.digest], reverse=True)
    assert world.digests(np.zeros(0, np.int64)) == []
    proposal = everywhere(world, np.array([0]), "keep.json", parse_policy(KEEP_1), KEEP_1)
    simulation = answer(
        world, WhatIf(proposals=[proposal], rows=np.array([0]), at_ms=SECOND), bundled_prices()
    )
    assert simulation.taken_from is None
    (row,) = simulation.candidates[0].repositories
    assert (row.account, row.region, row.repository) == (ACCOUNT, None, "app")
    assert simulation.digests(row.claimed) == [min(NEW.digest, OLD.digest)]
    priced = read_documents([("images.json", text)], [], region="eu-west-1", taken_at_ms=FIRST)
    assert world_of_documents(priced, at_ms=SECOND).has_region


# All of it.


def test_an_answer_is_about_the_rows_asked_for_with_their_gaps_and_replicas(database: Database) -> None:
    images = [Artifact(sha256(f"{n}"), pushed_at_ms=FIRST - n * DAY_MS) for n in range(4)]
    night(
        database,
        FIRST,
        read_of(
            FIRST,
            repository("app", *images, policy=KEEP_1),
            repository("web", *images, policy=KEEP_1),
            gaps=(_gap("web"),),
        ),
        read_of(FIRST, repository("app", *images, policy=KEEP_2), key=US),
        read_of(FIRST, repository("app", *images, policy=policy_text(0)), key=OTHER),
    )
    world = load_world(database)
    row = rows_of(world)[ACCOUNT, "eu-west-1", "app"]
    text = policy_text(3)
    question = WhatIf(
        proposals=[everywhere(world, np.array([row]), "new.json", parse_policy(text), text)],
        rows=np.array([row]),
        at_ms=world.at_ms,
        against=in_force(world),
        not_in_force=not_in_force(world),
    )
    simulation = answer(world, question, bundled_prices(), warnings=["a note"])
    assert (simulation.gaps, simulation.warnings) == ((), ("a note",))
    (effect,) = simulation.candidates[0].repositories
    assert (effect.effect.leaving, effect.live.leaving if effect.live else None) == (1, 3)
    # Its replicas keep to their own policies, if one can tell.
    assert [(one.account, one.region, one.has_policy, one.expired) for one in effect.replicas] == [
        (ACCOUNT, "us-east-1", True, 2),
        (OTHER.account, "eu-west-1", None, 0),
    ]
    assert list(simulation.digests(effect.claimed)) == [images[3].digest]
    everything = WhatIf(
        proposals=[in_force(world)], rows=np.arange(len(world.frames.repositories)), at_ms=world.at_ms
    )
    assert answer(world, everything, bundled_prices()).gaps == (_gap("web"),)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    world = generate(2, 8, 4, 5)
    for name, repository in zip(("one", "two"), world.repositories(), strict=True):
        repository.lifecycle_policy = policy_text(3) if name == "one" else None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    with serve(world) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield world


def test_what_was_collected_is_judged_as_it_was_there(database: Database, aws: Aws) -> None:
    options = CollectOptions(regions=("eu-west-1",), requests_per_second=1e6)
    first, second = aws.repositories()
    oldest = min(first.images.values(), key=lambda image: image.number)
    oldest.pulled_at = EPOCH + 5 * DAY + 3600
    first.archive_image(oldest.digest, at=EPOCH + 6 * DAY)
    collect_snapshots(database, Session(), options, SilentProgress(), clock=lambda: EPOCH + 10 * DAY)
    aws.push_and_delete(0.5)
    collect_snapshots(database, Session(), options, SilentProgress(), clock=lambda: EPOCH + 11 * DAY)

    before = load_world(database, run=1)
    (position,) = (
        number
        for number, digest in enumerate(before.digests(np.arange(16)))
        if digest == oldest.digest and before.frames.artifacts.repository[number] == 0
    )
    facts = before.facts
    tags = facts.tags[facts.tag_offsets[position] : facts.tag_offsets[position + 1]]
    assert sorted(facts.tag_names[tag] for tag in tags) == sorted(oldest.tags)
    # ECR records the pull; the store its day, of which the end counts.
    assert facts.pulled_at_ms[position] == round((EPOCH + 6 * DAY) * 1000) - 1
    assert facts.archived_at_ms[position] == round((EPOCH + 6 * DAY) * 1000)
    assert facts.activated_at_ms[position] == NO_TIME
    assert [before.policy_of.tolist(), before.at_ms] == [[0, -1], round((EPOCH + 10 * DAY) * 1000)]

    after = load_world(database)
    assert held(after) == sorted([*first.images, *second.images])
    question = WhatIf(proposals=[in_force(after)], rows=np.arange(2), at_ms=after.at_ms, by_rule=True)
    (candidate,) = answer(after, question, bundled_prices()).candidates
    rows = {row.repository: row for row in candidate.repositories}
    # All but the three youngest of the standard class; none of them is archived any more.
    assert rows[first.name].effect.leaving == len(first.images) - 3
    assert rows[second.name].effect.leaving == 0
    assert candidate.totals.physical_bytes.repository > candidate.totals.freed_bytes.repository > 0
    assert [rule.priority for rule in candidate.rules] == [1]
