"""The table of permissions, the shipped roles and the collector's code agree."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import hcl2
import pytest
import yaml
from botocore import xform_name
from botocore.validate import ParamValidator
from cfnlint import api
from moto import mock_aws

from analyzer import publishing
from analyzer.collect import probes, workload_probes
from analyzer.collect.delivery_probes import DELIVERY_ACTIONS
from analyzer.collect.permissions import (
    BASE,
    ENCRYPT,
    FREE_ACTIONS,
    NOTIFY,
    PERMISSIONS,
    PUBLIC,
    PUBLIC_REPOSITORIES,
    PUBLISH,
    PULLS,
    READER,
    REGIONS,
    REGISTRY,
    REPOSITORIES,
    VERIFY,
    WORKLOADS,
    Permission,
    on_bucket,
    on_key,
    permissions_of,
    policy_document,
    workload_part,
)
from analyzer.collect.trail_probes import TRAIL_ACTIONS
from analyzer.collect.workload_probes import tried_workload_actions
from analyzer.collect.workloads import ACTIONS
from analyzer.model.records import RegistryKey

ROOMS = (Path(probes.__file__).parent, Path(publishing.__file__).parent)
#: These name operations without calling them, or call them for doctor alone.
NAMING = {
    "permissions.py",
    "probes.py",
    "workload_probes.py",
    "trail_probes.py",
    "delivery_probes.py",
    "checkup.py",
    "gaps.py",
}
ACCOUNT = "123456789012"
KEY = RegistryKey("aws", ACCOUNT, "eu-west-1")
TRUSTED = "arn:aws:iam::210987654321:role/demurrage-base"


def _operations() -> dict[str, str]:
    """Every operation of the services that are used, as the API spells it and as boto3 does."""
    session = botocore.session.get_session()
    found = {}
    for service in {row.service for row in PERMISSIONS} | {"sts"}:
        for name in session.get_service_model(service).operation_names:
            found[name] = found[xform_name(name)] = name
    return found


def _named_in_code() -> Iterator[str]:
    """Operations that the code names which talks to AWS: as text, or as a method of a client."""
    operations = _operations()
    for path in sorted(path for room in ROOMS for path in room.rglob("*.py")):
        if path.name in NAMING:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value.rpartition(":")[2]
                # Settings have names like boto3's methods; operations as text are spelt as the API's.
                if operations.get(name) == name:
                    yield name
            elif isinstance(node, ast.Attribute) and _may_be_a_call(node) and node.attr in operations:
                yield operations[node.attr]


def _may_be_a_call(node: ast.Attribute) -> bool:
    """Whether it may be a method of boto3's: ours have names of one word as well, and other owners then."""
    return "_" in node.attr or (isinstance(node.value, ast.Name) and node.value.id == "client")


def test_the_table_holds_what_the_code_can_call_and_nothing_else() -> None:
    free = {action.partition(":")[2] for action in FREE_ACTIONS}
    # S3 calls KMS with the caller's permissions.
    asked = {row.operation for row in PERMISSIONS if row.part != ENCRYPT}
    assert set(_named_in_code()) == asked | free


def test_each_operation_is_one_of_the_services() -> None:
    session = botocore.session.get_session()
    for row in PERMISSIONS:
        assert row.operation in session.get_service_model(row.service).operation_names, row


def test_the_sources_of_workloads_need_what_they_say() -> None:
    assert {workload_part(source): actions for source, actions in ACTIONS.items()} == {
        part: tuple(row.action for row in permissions_of((part,))) for part in WORKLOADS
    }


def test_each_action_is_there_once_in_a_part() -> None:
    keys = [(row.part, row.action) for row in PERMISSIONS]
    assert len(keys) == len(set(keys))


def test_no_action_changes_anything_but_the_preview_and_what_is_published() -> None:
    verbs = ("BatchGet", "Describe", "Get", "List", "LookupEvents", "AssumeRole")
    others = {
        row.action
        for row in PERMISSIONS
        if row.part not in (PUBLISH, ENCRYPT, NOTIFY) and not row.operation.startswith(verbs)
    }
    assert others == {"ecr:StartLifecyclePolicyPreview"}


def _resources(rows: tuple[Permission, ...]) -> dict[str, str]:
    document = policy_document(rows, "aws-cn")
    return {
        action: statement["Resource"] for statement in document["Statement"] for action in statement["Action"]
    }


def test_what_is_granted_on_a_bucket_reaches_no_further_than_the_prefix() -> None:
    rows = permissions_of((PUBLISH, ENCRYPT, NOTIFY))
    assert _resources(rows) == {
        "kms:Decrypt": "arn:aws-cn:kms:*:*:key/*",
        "kms:GenerateDataKey": "arn:aws-cn:kms:*:*:key/*",
        "s3:DeleteObject": "arn:aws-cn:s3:::*/*",
        "s3:GetObject": "arn:aws-cn:s3:::*/*",
        "s3:ListBucket": "arn:aws-cn:s3:::*",
        "s3:PutObject": "arn:aws-cn:s3:::*/*",
        "sns:Publish": "arn:aws-cn:sns:*:*:*",
    }
    publish = permissions_of((PUBLISH,))
    found = _resources(on_bucket(publish, "aws-cn", "reports", "ecr/{odd}"))
    assert found["s3:PutObject"] == found["s3:DeleteObject"] == "arn:aws-cn:s3:::reports/ecr/{odd}/*"
    assert found["s3:ListBucket"] == "arn:aws-cn:s3:::reports"
    assert _resources(on_bucket(publish, "aws-cn", "reports", ""))["s3:GetObject"] == (
        "arn:aws-cn:s3:::reports/*"
    )
    point = f"arn:aws-cn:s3:cn-north-1:{ACCOUNT}:accesspoint/reports"
    found = _resources(on_bucket(publish, "aws-cn", point, "ecr"))
    assert (found["s3:ListBucket"], found["s3:PutObject"]) == (point, f"{point}/object/ecr/*")


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        (f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:key/1-2", f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:key/1-2"),
        ("1-2", "arn:aws-cn:kms:*:*:key/1-2"),
        ("alias/reports", "arn:aws-cn:kms:*:*:key/*"),
        (f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:alias/reports", "arn:aws-cn:kms:*:*:key/*"),
    ],
)
def test_a_key_is_granted_as_narrowly_as_iam_knows_it(key: str, resource: str) -> None:
    found = _resources(on_key(permissions_of((ENCRYPT,)), "aws-cn", key))
    assert set(found.values()) == {resource}


def test_a_policy_names_each_action_once_and_the_partition() -> None:
    document = policy_document(permissions_of((REGISTRY, VERIFY)), "aws-cn")
    actions = [action for statement in document["Statement"] for action in statement["Action"]]
    assert sorted(actions) == sorted({row.action for row in PERMISSIONS if row.part in (REGISTRY, VERIFY)})
    assert {statement["Resource"] for statement in document["Statement"]} == {
        "arn:aws-cn:ecr:*:*:repository/*",
        "*",
    }


def test_the_base_policy_names_the_role_and_the_partition() -> None:
    document = policy_document(permissions_of(BASE), "aws-us-gov", role="audit/reader")
    resource_of = {statement["Resource"]: statement["Action"] for statement in document["Statement"]}
    assert resource_of["arn:aws-us-gov:iam::*:role/audit/reader"] == ["sts:AssumeRole"]
    assert all(action.startswith("organizations:List") for action in resource_of["*"])


# --- what doctor asks --------------------------------------------------------------------------------


def test_doctor_knows_how_to_try_each_permission_or_why_not() -> None:
    tried = probes.tried_actions() | tried_workload_actions() | TRAIL_ACTIONS | DELIVERY_ACTIONS
    assert tried == {row.action for row in PERMISSIONS}


def test_what_doctor_asks_is_what_the_service_takes() -> None:
    session = botocore.session.get_session()
    one = probes._Repository("team/app", f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/team/app")
    asked = {
        **probes._OF_REGISTRY,
        **{action: parameters(one) for action, parameters in probes._OF_REPOSITORY.items()},
        probes._PUBLIC_REGISTRIES: {"maxResults": 1},
        probes._PUBLIC_LISTING: {"maxResults": 1},
        **{action: parameters(one) for action, parameters in probes._OF_PUBLIC.items()},
        **probes._OF_PULLS,
        **{action: question.parameters(KEY) for action, question in workload_probes._QUESTIONS.items()},
    }
    for action, parameters in asked.items():
        service, _, operation = action.partition(":")
        shape = session.get_service_model(service).operation_model(operation).input_shape
        assert shape is not None
        report = ParamValidator().validate(dict(parameters), shape)
        assert not report.has_errors(), (action, report.generate_report())


# --- the shipped roles -------------------------------------------------------------------------------


def _text(name: str) -> str:
    return files("analyzer").joinpath("roles", name).read_text(encoding="utf-8")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, as the long ones."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".") if suffix == "GetAtt" else value}
    assert isinstance(node, yaml.SequenceNode)
    return {name: loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)
_NOTHING = object()


class _Stack:
    """As much of CloudFormation as the template uses."""

    def __init__(self, template: dict[str, Any], **parameters: str) -> None:
        assert set(parameters) <= set(template["Parameters"])
        self._template = template
        self._values: dict[str, Any] = {
            **{name: entry.get("Default") for name, entry in template["Parameters"].items()},
            **parameters,
            "AWS::Partition": "aws",
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": _NOTHING,
        }

    def properties(self, name: str) -> dict[str, Any]:
        found = self._resolved(self._template["Resources"][name]["Properties"])
        assert isinstance(found, dict)
        return found

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [entry for entry in map(self._resolved, value) if entry is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key == "Ref":
                assert self._values[inner] is not None, f"{inner} was not given"
                return self._values[inner]
            if key == "Fn::Sub":
                for name, text in self._values.items():
                    inner = inner.replace(f"${{{name}}}", str(text))
                assert "${" not in inner
                return inner
            if key == "Fn::If":
                return self._resolved(inner[1] if self._holds({"Condition": inner[0]}) else inner[2])
        pairs = ((key, self._resolved(inner)) for key, inner in value.items())
        return {key: inner for key, inner in pairs if inner is not _NOTHING}

    def _holds(self, condition: dict[str, Any]) -> bool:
        ((key, inner),) = condition.items()
        if key == "Condition":
            return self._holds(self._template["Conditions"][inner])
        if key == "Fn::Not":
            return not self._holds(inner[0])
        if key == "Fn::Or":
            return any(map(self._holds, inner))
        assert key == "Fn::Equals", key
        return bool(self._resolved(inner[0]) == self._resolved(inner[1]))


def _cloudformation(**parameters: str) -> dict[str, Any]:
    template = yaml.load(_text("member-role.cfn.yaml"), _Loader)  # noqa: S506  # a safe one
    return _Stack(template, TrustedPrincipalArn=TRUSTED, **parameters).properties("Role")


def _granted(statements: list[dict[str, Any]]) -> dict[str, str]:
    """Action to the resource it is granted on, the account forgotten."""
    found: dict[str, str] = {}
    for statement in statements:
        assert statement["Effect"] == "Allow"
        for action in statement["Action"]:
            assert action not in found
            assert "*" not in action
            found[action] = statement["Resource"].replace(ACCOUNT, "*")
    return found


def _expected(rows: tuple[Permission, ...]) -> dict[str, str]:
    return {row.action: row.resource.format(partition="aws") for row in rows}


@pytest.mark.parametrize(
    ("parameters", "parts"),
    [
        ({}, READER),
        ({"Workloads": "false"}, (REGISTRY, REGIONS, PUBLIC)),
        ({"PublicRegistry": "false"}, (REGISTRY, REGIONS, *WORKLOADS)),
        ({"VerifyPreviews": "true"}, (*READER, VERIFY)),
        ({"Pulls": "true"}, (*READER, *PULLS)),
        (
            {"Workloads": "false", "PublicRegistry": "false", "VerifyPreviews": "true"},
            (REGISTRY, REGIONS, VERIFY),
        ),
    ],
)
def test_the_stack_grants_what_is_called_and_nothing_else(
    parameters: dict[str, str], parts: tuple[str, ...]
) -> None:
    role = _cloudformation(**parameters)
    statements = [entry for policy in role["Policies"] for entry in policy["PolicyDocument"]["Statement"]]
    assert _granted(statements) == _expected(permissions_of(parts))


@pytest.mark.parametrize(
    ("parameters", "condition"),
    [
        ({}, None),
        ({"ExternalId": "night"}, {"sts:ExternalId": "night"}),
        ({"OrganizationId": "o-abcdefghij"}, {"aws:PrincipalOrgID": "o-abcdefghij"}),
        (
            {"OrganizationId": "o-abcdefghij", "ExternalId": "night"},
            {"aws:PrincipalOrgID": "o-abcdefghij", "sts:ExternalId": "night"},
        ),
    ],
)
def test_the_stack_lets_in_whom_it_is_told(
    parameters: dict[str, str], condition: dict[str, str] | None
) -> None:
    (statement,) = _cloudformation(**parameters)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"AWS": TRUSTED}
    assert statement["Action"] == "sts:AssumeRole"
    assert statement.get("Condition", {}).get("StringEquals") == condition


def test_the_stacks_role_is_one_that_iam_takes() -> None:
    role = _cloudformation(ExternalId="night", VerifyPreviews="true", Pulls="true")
    with mock_aws():
        iam = boto3.client("iam", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
        iam.create_role(
            RoleName=role["RoleName"],
            AssumeRolePolicyDocument=json.dumps(role["AssumeRolePolicyDocument"]),
            MaxSessionDuration=role["MaxSessionDuration"],
        )
        for policy in role["Policies"]:
            iam.put_role_policy(
                RoleName=role["RoleName"],
                PolicyName=policy["PolicyName"],
                PolicyDocument=json.dumps(policy["PolicyDocument"]),
            )
        assert iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"] == [
            policy["PolicyName"] for policy in role["Policies"]
        ]


def test_the_template_is_one_that_cloudformation_takes() -> None:
    complaints = api.lint_all(_text("member-role.cfn.yaml"))
    assert [match for match in complaints if match.rule.severity != "informational"] == []


def _block(body: dict[str, Any], kind: str) -> dict[str, Any]:
    """The named blocks of a kind, which hcl2 gives as a list of one-entry objects with quoted names."""
    return {key.strip('"'): value for entry in body.get(kind, ()) for key, value in entry.items()}


def _terraform() -> dict[str, Any]:
    parsed: dict[str, Any] = hcl2.loads(_text("member-role.tf"))
    return parsed


def _documents() -> dict[str, Any]:
    found = {}
    for entry in _terraform()["data"]:
        for kind, named in entry.items():
            if kind.strip('"') == "aws_iam_policy_document":
                found.update({name.strip('"'): body for name, body in named.items()})
    return found


def test_the_terraform_module_grants_what_is_called_and_nothing_else() -> None:
    resource_of = {
        "local.repositories": REPOSITORIES.format(partition="aws"),
        "local.public": PUBLIC_REPOSITORIES.format(partition="aws"),
        '"*"': "*",
    }
    documents = _documents()
    expected = {
        "registries": (REGISTRY, REGIONS),
        "public": (PUBLIC,),
        "workloads": WORKLOADS,
        "verify": (VERIFY,),
        "pulls": PULLS,
    }
    assert set(documents) == {"trust", *expected}
    for name, parts in expected.items():
        granted: dict[str, str] = {}
        for statement in documents[name]["statement"]:
            (resource,) = (entry.removeprefix("${").removesuffix("}") for entry in statement["resources"])
            for action in statement["actions"]:
                assert action not in granted
                granted[action.strip('"')] = resource_of[resource]
        assert granted == _expected(permissions_of(parts))


def test_the_terraform_module_makes_one_role_with_those_policies() -> None:
    resources = [
        (kind.strip('"'), name.strip('"'), body)
        for entry in _terraform()["resource"]
        for kind, named in entry.items()
        for name, body in named.items()
    ]
    assert [(kind, name) for kind, name, _ in resources] == [
        ("aws_iam_role", "demurrage"),
        ("aws_iam_role_policy", "registries"),
        ("aws_iam_role_policy", "public"),
        ("aws_iam_role_policy", "workloads"),
        ("aws_iam_role_policy", "verify"),
        ("aws_iam_role_policy", "pulls"),
    ]
    for kind, name, body in resources:
        document = "trust" if kind == "aws_iam_role" else name
        key = "assume_role_policy" if kind == "aws_iam_role" else "policy"
        assert body[key] == f"${{data.aws_iam_policy_document.{document}.json}}"


def test_both_templates_ask_for_the_same() -> None:
    template = yaml.load(_text("member-role.cfn.yaml"), _Loader)  # noqa: S506  # a safe one
    asked = {xform_name(name) for name in template["Parameters"]}
    assert set(_block(_terraform(), "variable")) == asked
    by_default = {
        xform_name(name): entry["Default"]
        for name, entry in template["Parameters"].items()
        if "Default" in entry
    }
    variables = _block(_terraform(), "variable")
    defaults = {
        name: str(body["default"]).strip('"').lower() for name, body in variables.items() if "default" in body
    }
    assert defaults == by_default
