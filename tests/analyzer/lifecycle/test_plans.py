"""Plans as Terraform and OpenTofu print them, and documents that are none."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.lifecycle.parsing import parse_policy
from analyzer.lifecycle.plans import Plan, PlannedAction, PlannedPolicy, policies_of_plan, read_plan
from tests.support.examples import examples

Document = dict[str, Any]
ACCOUNT = "123456789012"
ORIGIN = "--terraform-plan plan.json"


def policy_text(keep: int) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}
    return json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})


def change(
    *actions: str,
    before: Document | None = None,
    after: Document | None = None,
    unknown: Document | None = None,
    name: str = "app",
    module: str = "",
    index: str | int | None = None,
    kind: str = "aws_ecr_lifecycle_policy",
    **more: Any,
) -> Document:
    """One entry of resource_changes."""
    own = f"{kind}.{name}" + ("" if index is None else f"[{json.dumps(index)}]")
    return {
        "address": f"{module}.{own}" if module else own,
        **({"module_address": module} if module else {}),
        "mode": "managed",
        "type": kind,
        "name": name,
        **({} if index is None else {"index": index}),
        "provider_name": "registry.terraform.io/hashicorp/aws",
        "change": {
            "actions": list(actions),
            "before": before,
            "after": after,
            "after_unknown": unknown or {},
            "before_sensitive": {},
            "after_sensitive": {},
        },
        **more,
    }


def configured(
    references: list[str] | None = None,
    *,
    name: str = "app",
    kind: str = "aws_ecr_lifecycle_policy",
    provider: str = "aws",
    **more: Any,
) -> Document:
    """A resource of the configuration."""
    expressions: Document = {"policy": {"constant_value": policy_text(3)}}
    if references is not None:
        expressions["repository"] = {"references": references}
    return {
        "address": f"{kind}.{name}",
        "mode": "managed",
        "type": kind,
        "name": name,
        "provider_config_key": provider,
        "expressions": expressions,
        "schema_version": 0,
        **more,
    }


def document(
    *changes: Document,
    resources: list[Document] | None = None,
    calls: Document | None = None,
    providers: Document | None = None,
    **more: Any,
) -> Document:
    """A plan."""
    return {
        "format_version": "1.2",
        "terraform_version": "1.14.1",
        "planned_values": {"root_module": {}},
        "resource_changes": list(changes),
        "configuration": {
            "provider_config": providers or {},
            "root_module": {"resources": resources or [], "module_calls": calls or {}},
        },
        "timestamp": "2026-11-23T02:00:00Z",
        "applyable": True,
        "complete": True,
        "errored": False,
        **more,
    }


def read(plan: Document) -> Plan:
    return read_plan(json.dumps(plan), ORIGIN)


def only(plan: Document) -> PlannedPolicy:
    (policy,) = read(plan).policies
    return policy


def repository_made(name: str | None, **more: Any) -> Document:
    """An aws_ecr_repository that is still to be created, of that name."""
    after = {} if name is None else {"name": name}
    return change("create", after=after, unknown={"id": True, "arn": True}, kind="aws_ecr_repository", **more)


#: A policy that is created for a repository whose name is known only after apply.
UNKNOWN_REPOSITORY: Document = {"after": {"policy": policy_text(3)}, "unknown": {"repository": True}}


# --- actions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "action", "changes"),
    [
        (["no-op"], PlannedAction.NO_OP, False),
        (["create"], PlannedAction.CREATE, True),
        (["update"], PlannedAction.UPDATE, True),
        (["delete", "create"], PlannedAction.REPLACE, True),
        (["create", "delete"], PlannedAction.REPLACE, True),
        (["create", "forget"], PlannedAction.CREATE, True),
        (["forget", "create"], PlannedAction.CREATE, True),
    ],
)
def test_what_is_planned_is_read_with_what_was_before(
    actions: list[str], action: PlannedAction, changes: bool
) -> None:
    before = None if actions == ["create"] else {"policy": policy_text(9), "repository": "old/app"}
    policy = only(
        document(change(*actions, before=before, after={"policy": policy_text(3), "repository": "team/app"}))
    )
    assert (policy.address, policy.action, policy.changes) == (
        "aws_ecr_lifecycle_policy.app",
        action,
        changes,
    )
    assert (policy.repository, policy.text) == ("team/app", policy_text(3))
    assert (policy.reason, policy.inferred, policy.warnings) == ("", "", ())
    old = (None, None) if before is None else (policy_text(9), "old/app")
    assert (policy.before_text, policy.before_repository) == old


def test_a_deleted_policy_leaves_its_repository_without_one() -> None:
    policy = only(document(change("delete", before={"policy": policy_text(9), "repository": "team/app"})))
    assert (policy.action, policy.repository, policy.text) == (PlannedAction.DELETE, "team/app", None)
    assert (policy.before_text, policy.reason) == (policy_text(9), "")
    assert policy.changes


def test_a_forgotten_policy_stays_in_force() -> None:
    policy = only(document(change("forget", before={"policy": policy_text(9), "repository": "team/app"})))
    assert (policy.action, policy.repository, policy.text) == (
        PlannedAction.FORGET,
        "team/app",
        policy_text(9),
    )
    assert not policy.changes


def test_an_action_that_is_new_is_unknown_and_no_guess() -> None:
    policy = only(document(change("swap", after={"policy": policy_text(3), "repository": "team/app"})))
    assert (policy.action, policy.text) == (PlannedAction.UNKNOWN, None)
    assert policy.reason == 'the plan\'s action ["swap"] is not known to this version'


def test_replacing_in_the_wrong_order_is_warned_of() -> None:
    both = {"policy": policy_text(3), "repository": "team/app"}
    policy = only(document(change("create", "delete", before=both, after=both)))
    assert "may end up with none" in policy.warnings[0]
    moved = {**both, "repository": "team/other"}
    assert only(document(change("create", "delete", before=both, after=moved))).warnings == ()
    assert only(document(change("delete", "create", before=both, after=both))).warnings == ()


def test_a_deposed_object_is_told_from_its_successor() -> None:
    both = {"policy": policy_text(3), "repository": "team/app"}
    plan = read(
        document(change("no-op", before=both, after=both), change("delete", before=both, deposed="a1b2c3d4"))
    )
    assert [policy.address for policy in plan.policies] == [
        "aws_ecr_lifecycle_policy.app",
        "aws_ecr_lifecycle_policy.app (deposed a1b2c3d4)",
    ]
    assert "deletes the repository's policy" in plan.policies[1].warnings[0]


def test_other_resources_and_data_are_passed_over() -> None:
    plan = document(
        change("create", after={"name": "x"}, kind="aws_s3_bucket"),
        {**change("read", after={"policy": "{}"}), "mode": "data"},
        {"type": "other", "change": 7},
        "not an object",  # type: ignore[arg-type]  # hostile documents hold anything
    )
    assert read(plan).policies == ()


def test_policies_are_sorted_by_address() -> None:
    after = {"policy": policy_text(3), "repository": "team/app"}
    plan = read(document(*(change("create", after=after, name=name) for name in ("c", "a", "b"))))
    assert [policy.address[-1] for policy in plan.policies] == ["a", "b", "c"]


# --- values that are known after apply ----------------------------------------------------------


def test_an_unknown_policy_is_unknown_with_its_reason() -> None:
    policy = only(document(change("create", after={"repository": "team/app"}, unknown={"policy": True})))
    assert (policy.repository, policy.text) == ("team/app", None)
    assert policy.reason == "its policy is known only after apply"
    assert policies_of_plan(read(document(change("create", after={}))))[0].policy is None
    assert "its policy is not in the plan" in only(document(change("create", after={}))).reason


@pytest.mark.parametrize(
    "references",
    [
        ["aws_ecr_repository.app.id", "aws_ecr_repository.app"],
        ["aws_ecr_repository.app.name", "aws_ecr_repository.app"],
        ["aws_ecr_repository.app"],
        ["aws_ecr_repository.app[0].id", "aws_ecr_repository.app[0]", "aws_ecr_repository.app"],
    ],
)
def test_a_new_repository_is_known_by_the_name_it_will_have(references: list[str]) -> None:
    index = 0 if "[0]" in references[0] else None
    policy = only(
        document(
            change("create", **UNKNOWN_REPOSITORY),
            repository_made("team/new", index=index),
            resources=[configured(references), configured(kind="aws_ecr_repository")],
        )
    )
    assert policy.repository == "team/new"
    assert policy.inferred == "the planned name of aws_ecr_repository.app"
    assert policy.reason == ""


@pytest.mark.parametrize(
    ("references", "said"),
    [
        (["aws_ecr_repository.app.arn", "aws_ecr_repository.app"], "aws_ecr_repository.app"),
        (["aws_ecr_repository.none.id", "aws_ecr_repository.none"], "of which no instance is planned"),
        (["local.name"], "local.name"),
        (["random_pet.x.id", "random_pet.x"], "random_pet.x"),
        (
            ["aws_ecr_repository.app.id", "aws_ecr_repository.app", "var.suffix"],
            "aws_ecr_repository.app.id, aws_ecr_repository.app, var.suffix",
        ),
        (["each.value"], "each.value"),
        (["data.aws_ecr_repository.app.name", "data.aws_ecr_repository.app"], "data.aws_ecr_repository"),
    ],
)
def test_what_a_reference_does_not_settle_stays_unknown(references: list[str], said: str) -> None:
    policy = only(
        document(
            change("create", **UNKNOWN_REPOSITORY),
            repository_made("team/new"),
            resources=[configured(references)],
        )
    )
    assert policy.repository is None
    assert policy.reason.startswith("its repository is known only after apply (")
    assert said in policy.reason
    assert policy.text == policy_text(3)


def test_a_repository_whose_own_name_is_unknown_stays_unknown() -> None:
    policy = only(
        document(
            change("create", **UNKNOWN_REPOSITORY),
            repository_made(None),
            resources=[configured(["aws_ecr_repository.app.id", "aws_ecr_repository.app"])],
        )
    )
    assert policy.repository is None
    assert "known only after apply" in policy.reason


@pytest.mark.parametrize(
    "references",
    [
        ["aws_ecr_repository.app", "each.key"],
        ['aws_ecr_repository.app["b"].id', 'aws_ecr_repository.app["b"]', "aws_ecr_repository.app"],
    ],
)
def test_instances_of_for_each_are_matched_by_their_key(references: list[str]) -> None:
    policy = only(
        document(
            change("create", index="b", **UNKNOWN_REPOSITORY),
            *(repository_made(f"team/{key}", index=key) for key in "abc"),
            resources=[configured(references, for_each_expression={"references": ["var.names"]})],
        )
    )
    assert policy.address == 'aws_ecr_lifecycle_policy.app["b"]'
    assert policy.repository == "team/b"


def test_instances_of_count_are_matched_by_their_number() -> None:
    policy = only(
        document(
            change("create", index=1, **UNKNOWN_REPOSITORY),
            *(repository_made(f"team/{number}", index=number) for number in range(3)),
            resources=[configured(["aws_ecr_repository.app", "count.index"])],
        )
    )
    assert policy.repository == "team/1"


def test_one_of_several_instances_is_not_guessed() -> None:
    policy = only(
        document(
            change("create", **UNKNOWN_REPOSITORY),
            *(repository_made(f"team/{key}", index=key) for key in "ab"),
            resources=[configured(["aws_ecr_repository.app"])],
        )
    )
    assert policy.repository is None


@pytest.mark.parametrize("value", [["each.value.name", "each.value"], ["each.value"]])
def test_for_each_over_repositories_is_followed(value: list[str]) -> None:
    loop = {"references": ["aws_ecr_repository.app"]}
    policy = only(
        document(
            change("create", index="b", **UNKNOWN_REPOSITORY),
            *(repository_made(f"team/{key}", index=key) for key in "ab"),
            resources=[configured(value, for_each_expression=loop)],
        )
    )
    assert policy.repository == "team/b"
    other = configured(["each.value.arn", "each.value"], for_each_expression=loop)
    unknown = only(
        document(
            change("create", index="b", **UNKNOWN_REPOSITORY),
            *(repository_made(f"team/{key}", index=key) for key in "ab"),
            resources=[other],
        )
    )
    assert unknown.repository is None


def inside(*resources: Document, **more: Any) -> Document:
    """The configuration of a module."""
    return {"resources": list(resources), **more}


def test_a_policy_and_its_repository_inside_a_module_are_matched_there() -> None:
    calls = {
        "ecr": {
            "source": "./ecr",
            "for_each_expression": {"references": ["var.teams"]},
            "module": inside(configured(["aws_ecr_repository.app[0].name", "aws_ecr_repository.app"])),
        }
    }
    where = 'module.ecr["a.b[\\"x\\"]"]'
    policy = only(
        document(
            change("create", module=where, **UNKNOWN_REPOSITORY),
            repository_made("team/right", module=where, index=0),
            repository_made("team/wrong", module='module.ecr["c"]', index=0),
            repository_made("team/root", index=0),
            calls=calls,
        )
    )
    assert policy.address == f"{where}.aws_ecr_lifecycle_policy.app"
    assert policy.repository == "team/right"


def test_a_name_is_followed_through_variables_and_outputs_of_modules() -> None:
    calls = {
        "repository": {
            "module": inside(
                outputs={
                    "name": {
                        "expression": {"references": ["aws_ecr_repository.app.id", "aws_ecr_repository.app"]}
                    }
                }
            )
        },
        "policy": {
            "expressions": {
                "for_repository": {"references": ["module.repository.name", "module.repository"]}
            },
            "module": inside(
                module_calls={
                    "inner": {
                        "expressions": {"name": {"references": ["var.for_repository"]}},
                        "module": inside(configured(["var.name"])),
                    }
                }
            ),
        },
    }
    policy = only(
        document(
            change("create", module="module.policy.module.inner", **UNKNOWN_REPOSITORY),
            repository_made("team/far", module="module.repository"),
            calls=calls,
        )
    )
    assert policy.repository == "team/far"


def test_constants_and_variables_of_the_root_are_names_too() -> None:
    calls = {
        "m": {
            "expressions": {"name": {"constant_value": "team/c"}},
            "module": inside(configured(["var.name"])),
        }
    }
    policy = only(document(change("create", module="module.m", **UNKNOWN_REPOSITORY), calls=calls))
    assert policy.repository == "team/c"
    policy = only(
        document(
            change("create", **UNKNOWN_REPOSITORY),
            resources=[configured(["var.name"])],
            variables={"name": {"value": "team/v"}},
        )
    )
    assert (policy.repository, policy.inferred) == ("team/v", "variable name")


def test_references_in_a_circle_end_somewhere() -> None:
    circle = {"expression": {"references": ["module.m.name"]}}
    calls = {"m": {"module": inside(outputs={"name": circle}, module_calls={})}}
    calls["m"]["module"]["module_calls"]["m"] = deepcopy(calls["m"])
    policy = only(
        document(
            change("create", **UNKNOWN_REPOSITORY), resources=[configured(["module.m.name"])], calls=calls
        )
    )
    assert policy.repository is None


def test_prior_state_and_planned_values_know_repositories_that_do_not_change() -> None:
    # With -target, resource_changes has only what is targeted.
    values = {"name": "team/old", "arn": f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/team/old"}
    resource = {
        "address": 'module.m["k"].aws_ecr_repository.app',
        "mode": "managed",
        "type": "aws_ecr_repository",
        "name": "app",
        "values": values,
    }
    root = {"child_modules": [{"address": 'module.m["k"]', "resources": [resource]}]}
    policy = only(
        document(
            change("create", module='module.m["k"]', **UNKNOWN_REPOSITORY),
            calls={
                "m": {"module": inside(configured(["aws_ecr_repository.app.id", "aws_ecr_repository.app"]))}
            },
            prior_state={"values": {"root_module": root}},
        )
    )
    assert (policy.repository, policy.region, policy.account) == ("team/old", "eu-west-1", ACCOUNT)


# --- where it is --------------------------------------------------------------------------------


AFTER = {"policy": policy_text(3), "repository": "team/app"}


def placed(after: Document | None = None, **more: Any) -> tuple[str | None, str | None]:
    entry = change("create", after={**AFTER, **(after or {})})
    policy = only(document(entry, resources=[configured(provider="aws.x")], **more))
    return policy.region, policy.account


def provider(module: str = "", **expressions: Any) -> Document:
    return {
        "aws.x": {
            "name": "aws",
            "alias": "x",
            **({"module_address": module} if module else {}),
            "expressions": expressions,
        }
    }


def test_own_region_and_registry_count_most() -> None:
    providers = provider(region={"constant_value": "us-east-1"})
    assert placed({"region": "eu-west-1", "registry_id": ACCOUNT}, providers=providers) == (
        "eu-west-1",
        ACCOUNT,
    )
    assert placed(providers=providers) == ("us-east-1", None)
    assert placed() == (None, None)


def test_a_region_that_a_variable_gives_is_known() -> None:
    providers = provider(region={"references": ["var.region"]})
    assert (
        placed(providers=providers, variables={"region": {"value": "ap-southeast-7"}})[0] == "ap-southeast-7"
    )
    # "${var.area}-west-1" has the same reference.
    assert placed(
        providers=provider(region={"references": ["var.area"]}), variables={"area": {"value": "eu"}}
    ) == (
        None,
        None,
    )
    inner = provider("module.m", region={"references": ["var.region"]})
    assert placed(providers=inner, variables={"region": {"value": "eu-west-1"}}) == (None, None)


def test_an_account_is_that_of_the_role_or_the_only_one_allowed() -> None:
    role = {"role_arn": {"constant_value": f"arn:aws:iam::{ACCOUNT}:role/deploy"}}
    assert placed(providers=provider(assume_role=[role]))[1] == ACCOUNT
    assert placed(providers=provider(allowed_account_ids={"constant_value": [ACCOUNT]}))[1] == ACCOUNT
    two = {"constant_value": [ACCOUNT, "999999999999"]}
    assert placed(providers=provider(allowed_account_ids=two))[1] is None
    assert placed(providers=provider(assume_role=[{"role_arn": {"constant_value": "x"}}]))[1] is None


@pytest.mark.parametrize("region", ["", "nowhere", "eu-west-1\n", 7, None, "eu-west-1/../x"])
def test_what_is_no_region_or_account_is_unknown(region: object) -> None:
    assert placed({"region": region, "registry_id": region}) == (None, None)


def test_a_policy_that_moves_to_an_unknown_region_is_not_where_it_was() -> None:
    entry = change(
        "delete",
        "create",
        before={**AFTER, "region": "eu-west-1"},
        after=AFTER,
        unknown={"region": True},
    )
    assert only(document(entry)).region is None
    deleted = change("delete", before={**AFTER, "region": "eu-west-1", "registry_id": ACCOUNT})
    policy = only(document(deleted))
    assert (policy.region, policy.account) == ("eu-west-1", ACCOUNT)


# --- warnings about the plan --------------------------------------------------------------------


def test_what_a_plan_leaves_out_is_said() -> None:
    deferred = [
        {"reason": "provider_config_unknown", "resource_change": change("create", after=AFTER)},
        {"reason": "unknown", "resource_change": change("create", kind="aws_s3_bucket")},
        "hostile",
    ]
    plan = read(
        document(change("update", kind="awscc_ecr_repository"), errored=True, deferred_changes=deferred)
    )
    assert len(plan.warnings) == 3
    assert "planning ended with an error" in plan.warnings[0]
    assert (
        "aws_ecr_lifecycle_policy.app is deferred to a later plan (provider_config_unknown)"
        in plan.warnings[1]
    )
    assert "awscc_ecr_repository" in plan.warnings[2]


def test_two_resources_for_one_repository_are_warned_of() -> None:
    after = {**AFTER, "region": "eu-west-1"}
    plan = read(document(change("create", after=after, name="a"), change("create", after=after, name="b")))
    assert len(plan.warnings) == 1
    assert "2 resources of the plan set the policy of repository team/app" in plan.warnings[0]
    other = {**after, "region": "us-east-1"}
    plan = read(document(change("create", after=after, name="a"), change("create", after=other, name="b")))
    assert plan.warnings == ()
    gone = read(document(change("create", after=after, name="a"), change("delete", before=after, name="b")))
    assert gone.warnings == ()


# --- the texts ----------------------------------------------------------------------------------


def test_every_text_is_parsed_and_an_invalid_one_carries_its_errors() -> None:
    bad = policy_text(3).replace("imageCountMoreThan", "imageCountLessThan").replace("any", "all")
    plan = read(
        document(
            change("create", after={**AFTER, "policy": bad}, name="bad"),
            change("create", after=AFTER, name="good"),
            change("delete", before=AFTER, name="none"),
        )
    )
    bad_one, good, none = policies_of_plan(plan)
    assert bad_one.planned.address == "aws_ecr_lifecycle_policy.bad"
    assert bad_one.policy is None
    assert {error.code.value for error in bad_one.errors} == {"BAD_ENUM", "SELECTION_SCHEMA"}
    assert (good.policy, good.errors) == (parse_policy(policy_text(3)), ())
    assert (none.policy, none.errors) == (None, ())


# --- documents that are no plan -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("PK\x03\x04", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "no JSON object"),
        ("7", "no JSON object"),
        ("{}", "no format_version"),
        ('{"format_version": 1}', "no format_version"),
        ('{"format_version": "2.0", "planned_values": {}}', "format_version '2.0'"),
        ('{"format_version": "", "planned_values": {}}', "format_version ''"),
        ('{"format_version": "1.0", "values": {"root_module": {}}}', "is a state"),
        ('{"format_version": "1.0"}', "is no plan"),
        ('{"format_version": "1.0", "provider_schemas": {}}', "is no plan"),
        ('{"@level": "info", "terraform": "1.9"}\n{"@level": "info"}', "log of `terraform plan -json`"),
        ('{"@level": "info"}', "log of `terraform plan -json`"),
        ('{"format_version": "1.2", "planned_values": {}}' * 2, "holds 2 JSON documents"),
        ('{"format_version": "1.0", "resource_changes": {"a": 1}}', "is no list"),
        ("[" * 100_000, "nested too deeply"),
    ],
    ids=range(17),
)
def test_anything_else_is_refused_with_what_to_give(text: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        read_plan(text, ORIGIN)
    message = str(raised.value)
    assert said in message
    assert message.startswith(ORIGIN)
    assert "\n" not in message
    assert "show -json" in message or "reads 0.x and 1.x" in message


@pytest.mark.parametrize("version", ["0.1", "0.2", "1.0", "1.1", "1.2", "1.99"])
def test_every_version_since_terraform_0_12_is_read(version: str) -> None:
    plan = document(change("create", after=AFTER), format_version=version)
    assert only(plan).repository == "team/app"


def test_a_plan_without_changes_is_empty() -> None:
    plan = {"format_version": "1.2", "planned_values": {"root_module": {}}}
    assert read(plan) == Plan(origin=ORIGIN, policies=(), warnings=())
    assert read_plan("\ufeff" + json.dumps(plan), ORIGIN).policies == ()


@pytest.mark.parametrize(
    "broken",
    [
        {"address": None},
        {"change": None},
        {"change": {"actions": "create"}},
        {"change": {"actions": [1]}},
        {"change": {}},
    ],
    ids=str,
)
def test_a_malformed_policy_is_refused_by_its_place(broken: Document) -> None:
    plan = document(change("create", kind="other"), {**change("create", after=AFTER), **broken})
    with pytest.raises(InputError, match=r"plan\.json: resource_changes\[1\]"):
        read(plan)


# --- whatever there may be ----------------------------------------------------------------------

FULL = document(
    change("create", index="b", **UNKNOWN_REPOSITORY),
    change("update", before=AFTER, after={**AFTER, "region": "eu-west-1"}, module='module.m["x"]', index=0),
    change("create", name="far", module="module.policy", **UNKNOWN_REPOSITORY),
    change("delete", before=AFTER, name="gone"),
    repository_made("team/a", index="a"),
    repository_made("team/b", index="b"),
    resources=[
        configured(
            ["each.value.id", "each.value"], for_each_expression={"references": ["aws_ecr_repository.app"]}
        )
    ],
    calls={
        "m": {"module": inside(configured(["var.name"])), "expressions": {"name": {"constant_value": "c"}}},
        "policy": {
            "expressions": {"name": {"references": ["module.m.name", "module.m"]}},
            "module": inside(configured(["var.name"], name="far")),
        },
    },
    providers={"aws": {"name": "aws", "expressions": {"region": {"references": ["var.region"]}}}},
    variables={"region": {"value": "eu-west-1"}},
    prior_state={"values": {"root_module": {"resources": [], "child_modules": []}}},
)
HOSTILE: list[object] = [
    None,
    True,
    -1,
    1e300,
    "",
    "\ud800",
    "module.",
    'module.x["',
    "aws_ecr_repository.app[99999999999999999999]",
    "each.value" * 50,
    [],
    [[]],
    {},
    {"references": ["module.m.name", "x" * 1000]},
    {"constant_value": {}},
]


def places(value: object) -> list[tuple[Any, Any]]:
    """Every container of ``value`` with each of its keys."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    inner = [place for key in keys for place in places(value[key])]
    return [*((value, key) for key in keys), *inner]


@examples(250)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_no_document_does_more_than_be_refused(seed: int, damages: int) -> None:
    rng = random.Random(seed)
    plan = deepcopy(FULL)
    for _ in range(damages):
        container, key = rng.choice(places(plan))
        container[key] = deepcopy(rng.choice(HOSTILE))
    try:
        found = read(plan)
    except InputError as error:
        assert str(error).startswith(ORIGIN)  # noqa: PT017 - either is right, but not silently
        return
    for one in policies_of_plan(found):
        planned = one.planned
        assert isinstance(planned.address, str)
        assert (planned.repository is None) <= bool(planned.reason)
        if planned.text is None and planned.action not in (PlannedAction.DELETE, PlannedAction.FORGET):
            assert planned.reason
        assert one.policy is None or not one.errors


@examples(100)
@given(st.text())
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_plan(text, ORIGIN)


def test_the_undamaged_document_is_understood() -> None:
    found = {policy.address: policy for policy in read(FULL).policies}
    assert found['aws_ecr_lifecycle_policy.app["b"]'].repository == "team/b"
    assert found['aws_ecr_lifecycle_policy.app["b"]'].region == "eu-west-1"
    assert found['module.m["x"].aws_ecr_lifecycle_policy.app[0]'].repository == "team/app"
    assert found["aws_ecr_lifecycle_policy.gone"].action is PlannedAction.DELETE
    assert found["module.policy.aws_ecr_lifecycle_policy.far"].repository is None
