"""Whom policies let in: by hand, and against an evaluation of single requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.exposure import exposure_of_policy, exposure_of_registries, exposure_of_repositories
from analyzer.model.frames import Frames
from analyzer.model.registry_settings import Exposure, Grant, Openness, Settings
from tests.oracle.policies import Caller, is_allowed
from tests.strategies.frames import RepositorySpec, build_frames
from tests.support.examples import examples

OWN, FRIEND, STRANGER = "111111111111", "444455556666", "777788889999"
ORG, OTHER_ORG = "o-a1b2c3d4e5", "o-zzzzzzzzzz"
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
PUSH = ["ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"]


def allow(
    principal: object, action: object = PULL, condition: object = None, **more: object
) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": "Allow", "Principal": principal, "Action": action, **more}
    return made if condition is None else {**made, "Condition": condition}


def deny(principal: object, action: object = "ecr:*", condition: object = None) -> dict[str, Any]:
    return {**allow(principal, action, condition), "Effect": "Deny"}


def policy(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def judged(*statements: object) -> Exposure:
    return exposure_of_policy(policy(*statements), OWN)


def grants(*statements: object) -> list[tuple[str, str, str, bool]]:
    return [(g.kind, g.who, " ".join(g.access), g.is_narrowed) for g in judged(*statements).grants]


ROOT = f"arn:aws:iam::{FRIEND}:root"


@pytest.mark.parametrize(
    ("principal", "grant"),
    [
        ("*", ("public", "*", "pull", False)),
        ({"AWS": "*"}, ("public", "*", "pull", False)),
        ({"AWS": ["*"]}, ("public", "*", "pull", False)),
        ({"AWS": FRIEND}, ("account", FRIEND, "pull", False)),
        ({"AWS": ROOT}, ("account", FRIEND, "pull", False)),
        ({"AWS": f"arn:aws-cn:iam::{FRIEND}:root"}, ("account", FRIEND, "pull", False)),
        # A role is a part of its account.
        ({"AWS": f"arn:aws:iam::{FRIEND}:role/deploy"}, ("account", FRIEND, "pull", True)),
        ({"AWS": f"arn:aws:sts::{FRIEND}:assumed-role/r/s"}, ("account", FRIEND, "pull", True)),
        ({"Service": "lambda.amazonaws.com"}, ("service", "lambda.amazonaws.com", "pull", False)),
        ({"AWS": "AROAEXAMPLEEXAMPLE"}, ("unknown", "AROAEXAMPLEEXAMPLE", "pull", False)),
        ({"CanonicalUser": "abc"}, ("unknown", "CanonicalUser abc", "pull", False)),
    ],
)
def test_principals(principal: object, grant: object) -> None:
    assert grants(allow(principal)) == [grant]


def test_the_account_itself_is_nobody_from_outside() -> None:
    assert judged(allow({"AWS": [OWN, f"arn:aws:iam::{OWN}:role/x"]})) == Exposure(Openness.PRIVATE, (), "")


def test_no_policy_and_no_statement_open_nothing() -> None:
    assert exposure_of_policy(None, OWN).openness is Openness.PRIVATE
    assert judged().openness is Openness.PRIVATE


@pytest.mark.parametrize(
    ("action", "access"),
    [
        (PULL, "pull"),
        (PUSH, "push"),
        ("ecr:*", "pull push delete administer replicate import create other"),
        ("*", "pull push delete administer replicate import create other"),
        ("ECR:batchGET*", "other"),
        (["ecr:BatchGetImage", "ecr:GetDownloadUrl*", "ecr:BatchCheckLayerAvailability"], "pull"),
        ("ecr:BatchGetImage", "other"),
        ("ecr:BatchDeleteImage", "delete"),
        ("ecr:SetRepositoryPolicy", "administer"),
        ("ecr:SomethingNew", "other"),
        ("s3:GetObject", ""),
        ("ecr:Batch?etImage", "other"),
    ],
)
def test_actions_become_words(action: object, access: str) -> None:
    assert [g[2] for g in grants(allow({"AWS": FRIEND}, action))] == ([access] if access else [])


def test_not_action_allows_everything_else() -> None:
    statement = allow({"AWS": FRIEND})
    del statement["Action"]
    statement["NotAction"] = [*PUSH, "ecr:Batch*", "ecr:Delete*", "ecr:Put*", "ecr:Set*", "ecr:*Tag*"]
    ((_, _, access, _),) = grants(statement)
    assert "pull" not in access.split()
    assert {"administer", "replicate", "create", "other"} <= set(access.split())


@pytest.mark.parametrize(
    ("condition", "grant", "openness"),
    [
        (
            {"StringEquals": {"aws:PrincipalOrgID": ORG}},
            ("organization", ORG, "pull", False),
            Openness.ORGANIZATION,
        ),
        (
            {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": f"{ORG}/r-ab12/ou-1/*"}},
            ("organization", ORG, "pull", True),
            Openness.ORGANIZATION,
        ),
        (
            {"StringEquals": {"AWS:principalaccount": FRIEND}},
            ("account", FRIEND, "pull", False),
            Openness.ACCOUNTS,
        ),
        (
            {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{FRIEND}:role/*"}},
            ("account", FRIEND, "pull", True),
            Openness.ACCOUNTS,
        ),
        # What does not confine to a circle that can be told:
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, ("public", "*", "pull", True), Openness.CONDITIONAL),
        (
            {"StringLike": {"aws:PrincipalOrgID": "o-*"}},
            ("public", "*", "pull", True),
            Openness.CONDITIONAL,
        ),
        (
            {"StringEqualsIfExists": {"aws:PrincipalOrgID": ORG}},
            ("public", "*", "pull", True),
            Openness.CONDITIONAL,
        ),
        (
            {"ForAllValues:StringEquals": {"aws:PrincipalOrgID": ORG}},
            ("public", "*", "pull", True),
            Openness.CONDITIONAL,
        ),
        (
            {"StringNotEquals": {"aws:PrincipalAccount": FRIEND}},
            ("public", "*", "pull", True),
            Openness.CONDITIONAL,
        ),
        (
            {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/x"}},
            ("public", "*", "pull", True),
            Openness.CONDITIONAL,
        ),
        (
            {"StringEquals": {"aws:PrincipalOrgID": ORG, "aws:SourceVpce": "vpce-1"}},
            ("organization", ORG, "pull", True),
            Openness.ORGANIZATION,
        ),
    ],
)
def test_conditions_confine_anyone(condition: object, grant: object, openness: Openness) -> None:
    statement = allow("*", PULL, condition)
    assert grants(statement) == [grant]
    assert judged(statement).openness is openness


def test_anyone_of_the_account_itself_is_nobody_from_outside() -> None:
    condition = {"StringEquals": {"aws:PrincipalAccount": OWN}}
    assert judged(allow("*", PULL, condition)).openness is Openness.PRIVATE


def test_accounts_that_conditions_leave_out_are_not_let_in() -> None:
    condition = {"StringEquals": {"aws:PrincipalAccount": [FRIEND]}}
    assert grants(allow({"AWS": [FRIEND, STRANGER]}, PULL, condition)) == [("account", FRIEND, "pull", False)]


def test_grants_add_up_over_statements_and_keep_what_is_certain_apart() -> None:
    first, second = PULL
    assert grants(allow({"AWS": FRIEND}, first), allow({"AWS": ROOT}, second)) == [
        ("account", FRIEND, "pull", False)
    ]
    role = {"AWS": f"arn:aws:iam::{FRIEND}:role/ci"}
    assert grants(allow({"AWS": FRIEND}), allow(role, PUSH)) == [
        ("account", FRIEND, "pull", False),
        ("account", FRIEND, "pull push", True),
    ]


def test_not_principal_with_allow_is_anyone_else() -> None:
    statement = allow(None)
    del statement["Principal"]
    statement["NotPrincipal"] = {"AWS": FRIEND}
    assert judged(statement).openness is Openness.PUBLIC


@pytest.mark.parametrize(
    ("denial", "left"),
    [
        (deny("*"), []),
        (deny("*", "ecr:BatchGetImage"), [("public", "*", "other", False)]),
        (deny("*", PUSH), [("public", "*", "pull", False)]),
        (deny({"AWS": FRIEND}), [("public", "*", "pull", False)]),
        (
            deny("*", "ecr:*", {"StringNotEquals": {"aws:PrincipalOrgID": [ORG]}}),
            [("organization", ORG, "pull", False)],
        ),
        (
            deny("*", "ecr:*", {"StringNotEqualsIfExists": {"aws:PrincipalAccount": [FRIEND, OWN]}}),
            [("account", FRIEND, "pull", False)],
        ),
        (
            deny("*", "ecr:*", {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
            [("public", "*", "pull", True)],
        ),
        (
            deny(
                "*",
                "ecr:*",
                {
                    "StringNotEquals": {"aws:PrincipalOrgID": ORG},
                    "Bool": {"aws:PrincipalIsAWSService": False},
                },
            ),
            [("organization", ORG, "pull", False)],
        ),
    ],
)
def test_denials_take_from_anyone(denial: object, left: object) -> None:
    assert grants(allow("*"), denial) == left


def test_denials_take_from_accounts() -> None:
    both = allow({"AWS": [FRIEND, STRANGER]})
    assert grants(both, deny({"AWS": FRIEND})) == [("account", STRANGER, "pull", False)]
    assert grants(both, deny({"AWS": f"arn:aws:iam::{FRIEND}:role/x"}))[0] == (
        "account",
        FRIEND,
        "pull",
        True,
    )
    outsiders = {"StringNotEquals": {"aws:PrincipalAccount": FRIEND}}
    assert grants(both, deny("*", "*", outsiders)) == [("account", FRIEND, "pull", False)]


def test_a_grant_to_no_one_of_all_is_unknown() -> None:
    statement = {"Effect": "Allow", "NotPrincipal": "*", "Action": PULL}
    assert judged(statement).openness is Openness.UNKNOWN


def test_not_principal_with_deny_leaves_those_named() -> None:
    denial = {"Effect": "Deny", "NotPrincipal": {"AWS": [ROOT, OWN]}, "Action": "*"}
    assert grants(allow("*"), denial) == [("account", FRIEND, "pull", False)]
    assert grants(allow({"AWS": [FRIEND, STRANGER]}), denial) == [("account", FRIEND, "pull", False)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"Statement": "x"}',
        '{"Statement": [{"Effect": "Perhaps", "Principal": "*", "Action": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Action": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "somebody", "Action": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": {"AWS": 5}, "Action": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": [{}]}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Condition": 5}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Condition": {"Null": 5}}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "NotPrincipal": "*", "Action": "*"}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_policy_is_unknown_and_never_private(text: str) -> None:
    found = exposure_of_policy(text, OWN)
    assert (found.openness, found.grants) == (Openness.UNKNOWN, ())
    assert found.reason


def test_a_statement_may_stand_alone() -> None:
    text = json.dumps({"Version": "2008-10-17", "Statement": allow("*")})
    assert exposure_of_policy(text, OWN).openness is Openness.PUBLIC


def test_principals_that_cannot_be_told_leave_it_unknown_unless_anyone_is_let_in() -> None:
    found = judged(allow({"AWS": ["AIDAGONE", FRIEND]}))
    assert found.openness is Openness.UNKNOWN
    assert "AIDAGONE" in found.reason
    assert judged(allow({"AWS": ["AIDAGONE", "*"]})).openness is Openness.PUBLIC


# Registries.


def frames_of(*names: str) -> Frames:
    return build_frames([RepositorySpec(name=name) for name in names], {}, {})


def repositories(
    own: dict[str, str], *policies: str | None, names: tuple[str, ...] = ("app", "prod/app")
) -> list[Exposure]:
    of_each = []
    for name, text in zip(names, policies, strict=True):
        settings_ = {"arn": json.dumps(f"arn:aws:ecr:eu-west-1:{OWN}:repository/{name}")}
        if text is not None:
            settings_["repository_policy_text"] = text
        of_each.append(settings_)
    return exposure_of_repositories(frames_of(*names), Settings([own], of_each))


def registry(text: str | None, scope: str | None) -> dict[str, str]:
    own = {} if text is None else {"registry_policy_text": text}
    return own if scope is None else {**own, "registry_policy_scope": json.dumps(scope)}


NONE = "null"
PROD = allow({"AWS": FRIEND}, PULL, Resource=f"arn:aws:ecr:eu-west-1:{OWN}:repository/prod/*")
REPLICATE = allow({"AWS": FRIEND}, ["ecr:ReplicateImage", "ecr:CreateRepository"], Resource="*")


def test_a_registry_policy_of_scope_v2_opens_the_repositories_it_is_about() -> None:
    found = repositories(registry(json.dumps(policy(PROD)), "V2"), NONE, NONE)
    assert [one.openness for one in found] == [Openness.PRIVATE, Openness.ACCOUNTS]
    assert found[1].grants == (Grant("account", FRIEND, ("pull",)),)


def test_a_registry_policy_of_scope_v1_opens_no_repository() -> None:
    found = repositories(registry(json.dumps(policy(PROD)), "V1"), NONE, NONE)
    assert [one.openness for one in found] == [Openness.PRIVATE, Openness.PRIVATE]


def test_where_the_scope_is_unknown_so_is_what_it_decides_and_nothing_else() -> None:
    found = repositories(registry(json.dumps(policy(PROD)), None), NONE, NONE)
    assert [one.openness for one in found] == [Openness.PRIVATE, Openness.UNKNOWN]
    found = repositories(registry(json.dumps(policy(REPLICATE)), None), NONE, NONE)
    assert [one.openness for one in found] == [Openness.PRIVATE, Openness.PRIVATE]


def test_what_was_not_read_is_unknown_and_not_private() -> None:
    public = json.dumps(policy(allow("*")))
    found = repositories(registry(None, "V2"), NONE, public)
    assert [one.openness for one in found] == [Openness.UNKNOWN, Openness.PUBLIC]
    assert found[0].reason == "the registry's policy was not read"
    (found_one,) = repositories(registry(NONE, "V2"), None, names=("app",))
    assert (found_one.openness, found_one.reason) == (Openness.UNKNOWN, "its policy was not read")


def test_a_registry_policy_denies_what_repositories_allow() -> None:
    denial = deny("*", "ecr:*")
    public = json.dumps(policy(allow("*")))
    (found,) = repositories(registry(json.dumps(policy(denial)), "V2"), public, names=("app",))
    assert found.openness is Openness.PRIVATE


def test_whom_the_registry_lets_replicate_is_a_fact_of_the_registry() -> None:
    own = registry(json.dumps(policy(REPLICATE, PROD)), "V1")
    (found,) = exposure_of_registries(frames_of(), Settings([own], []))
    assert found.grants == (Grant("account", FRIEND, ("replicate", "create")),)
    (found,) = exposure_of_registries(frames_of(), Settings([registry(NONE, "V2")], []))
    assert found.openness is Openness.PRIVATE
    (found,) = exposure_of_registries(frames_of(), Settings([{}], []))
    assert found.openness is Openness.UNKNOWN


# Held against single requests.

_NAMED = st.sampled_from(
    [
        {"AWS": FRIEND},
        {"AWS": [FRIEND, STRANGER]},
        {"AWS": f"arn:aws:iam::{FRIEND}:role/ci"},
        {"AWS": OWN},
        {"Service": "lambda.amazonaws.com"},
    ]
)
_PRINCIPALS = st.one_of(st.sampled_from(["*", {"AWS": "*"}]), _NAMED)
_ACTIONS = st.sampled_from([PULL, PULL[0], PUSH, "ecr:*", "ecr:Put*", "ecr:BatchDeleteImage", [*PULL, *PUSH]])
_CONDITIONS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(
            [
                "StringEquals",
                "StringNotEquals",
                "StringLike",
                "StringEqualsIfExists",
                "ForAnyValue:StringEquals",
            ]
        ),
        st.dictionaries(
            st.sampled_from(["aws:PrincipalOrgID", "aws:PrincipalAccount", "aws:SourceIp"]),
            st.sampled_from([ORG, [ORG, OTHER_ORG], FRIEND, [FRIEND, OWN], "10.0.0.1", "*"]),
            min_size=1,
            max_size=2,
        ),
        min_size=1,
        max_size=2,
    ),
)


@st.composite
def _statements(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"]))}
    is_inverted = draw(st.sampled_from([False] * 5 + [True]))
    made["NotPrincipal" if is_inverted else "Principal"] = draw(_NAMED if is_inverted else _PRINCIPALS)
    made[draw(st.sampled_from(["Action"] * 5 + ["NotAction"]))] = draw(_ACTIONS)
    condition = draw(_CONDITIONS)
    return made if condition is None else {**made, "Condition": condition}


_CALLERS = [
    Caller(account, f"arn:aws:iam::{account}:role/{role}", organization, source_ip=address)
    for account in (FRIEND, STRANGER, "222233334444")
    for role in ("ci", "other")
    for organization in ("", ORG, OTHER_ORG)
    for address in ("192.0.2.1", "10.0.0.1")
] + [Caller("", "", service="lambda.amazonaws.com")]
_WORDS = {"pull": PULL, "push": PUSH, "delete": ["ecr:BatchDeleteImage"]}
_ASKED = [*PULL, *PUSH, "ecr:BatchDeleteImage", "ecr:SetRepositoryPolicy"]


def _covers(grant: Grant, caller: Caller) -> bool:
    return grant.kind == "public" or grant.who in (caller.account, caller.organization, caller.service)


@given(st.lists(_statements(), max_size=4))
@examples(400)
def test_nobody_is_let_in_whom_no_grant_names_and_whoever_is_certain_is_let_in(
    statements: list[dict[str, Any]],
) -> None:
    document = {"Version": "2012-10-17", "Statement": statements}
    found = exposure_of_policy(json.dumps(document), OWN)
    assert found.openness is not Openness.UNKNOWN
    for caller in _CALLERS:
        allowed = {action for action in _ASKED if is_allowed(document, caller, action)}
        mine = [grant for grant in found.grants if _covers(grant, caller)]
        if allowed:
            assert mine, (caller, allowed)
        for word, actions in _WORDS.items():
            if set(actions) <= allowed:
                # An account may have a part of it by its own name and the rest as anyone.
                words = {one for grant in mine for one in grant.access}
                assert word in words or "other" in words, (caller, word)
        for grant in mine:
            if grant.is_narrowed or (caller.service and grant.kind != "service"):
                continue
            # "Anyone" may be anyone but those whom another element names.
            if grant.kind == "public" and caller.account != "222233334444":
                continue
            for word in {"pull", "push"} & set(grant.access):
                assert set(_WORDS[word]) <= allowed, (caller, grant)
