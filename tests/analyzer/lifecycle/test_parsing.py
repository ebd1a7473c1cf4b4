"""Policy documents: what is legal, which errors come together, and that nothing else is ever raised."""

from __future__ import annotations

import json
import pickle
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.lifecycle.parsing import (
    InvalidPolicy,
    error_document,
    parse_policy,
    policy_text_of,
    warnings,
)
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass, TagStatus
from tests.analyzer.lifecycle.documents import (
    DAYS,
    TRANSITION,
    archived,
    document,
    errors_of,
    rule,
    said,
    tagged,
)
from tests.strategies.policies import policy_documents
from tests.support.corpus import require_shared


def found(text: str) -> list[tuple[str, int | None, str | None]]:
    return [(str(error.code), error.rule, error.key) for error in errors_of(text)]


def test_a_second_rule_for_any_image_is_not_last_either() -> None:
    first, second = errors_of(document(rule(4), rule(9)))
    assert (first.code, first.rule, first.priority, first.key) == ("MULTIPLE_ANY", 2, 9, "tagStatus")
    assert first.aws_text == said("Only one rule can specify tagStatus=ANY")
    assert (second.code, second.rule, second.priority) == ("ANY_NOT_LAST", 1, 4)


@pytest.mark.parametrize("text", ["", " \n", "{}", "null", "5", '"rules"', "[]", "{"])
def test_short_text_is_told_so_beside_its_other_errors(text: str) -> None:
    first, second = errors_of(text)
    assert first.code == "TEXT_LENGTH"
    assert first.aws_text == (
        "Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: "
        "'Member must have length greater than or equal to 100'"
    )
    assert second.code == ("MISSING_PROPERTY" if text == "{}" else "NOT_JSON_OBJECT")


def test_length_is_counted_in_characters() -> None:
    room = 30_720 - len(document(rule() | {"description": ""}))
    widest = json.dumps({"rules": [rule() | {"description": "\N{GRINNING FACE}" * room}]}, ensure_ascii=False)
    assert len(widest) == 30_720
    parse_policy(widest)
    assert found(widest + " ") == [("TEXT_LENGTH", None, None)]


def test_json_that_is_too_deep_is_no_policy() -> None:
    depth = sys.getrecursionlimit() * 20
    for text in ("[" * depth, '{"a":' * depth, f'{{"rules":{"[" * depth}{"]" * depth}}}'):
        assert "NOT_JSON_OBJECT" in [code for code, _, _ in found(text)]


def test_repeated_keys_are_found_at_any_depth_and_in_reading_order() -> None:
    text = (
        '{"x": {"y": [{"a": 1, "a": 2}]}, "rules": [{"rulePriority": 7, "z": [[{"b": 0, "b": 0, "b": 0}]], '
        '"z": [{"c": {"d": 1, "d": 2}}]}], "x": {"e": 1, "e": 2}}'
    )
    repeated = [(error.key, error.rule, error.priority) for error in errors_of(text)]
    # What a later value of the same key replaces is gone, and is not looked into.
    assert repeated[:4] == [("x", None, None), ("e", None, None), ("z", 1, 7), ("d", 1, 7)]


def test_all_errors_come_at_once_those_that_aws_names_first_in_front() -> None:
    text = document(
        tagged(1, tagPatternList=["*****", "******"]),
        rule(5, selection={"tagStatus": "ANY", "countUnit": "days"}),
        rule(5, action={"type": "transition"}),
        rule(6, selection={"countNumber": 0}) | {"extra": 1},
        archived(9, countNumber=5),
        None,
    )
    assert found(text) == [
        ("ACTION_SCHEMA", 3, "targetStorageClass"),
        ("BAD_ENUM", 2, "tagStatus"),
        ("SELECTION_SCHEMA", 2, "countUnit"),
        ("UNKNOWN_PROPERTY", 4, "extra"),
        ("BELOW_MINIMUM", 4, "countNumber"),
        ("WRONG_TYPE", 6, "rules"),
        ("TOO_MANY_WILDCARDS", 1, "tagPatternList"),
        ("TOO_MANY_WILDCARDS", 1, "tagPatternList"),
        ("ARCHIVE_MIN_DAYS", 5, "countNumber"),
        ("DUPLICATE_PRIORITY", 3, "rulePriority"),
        ("MULTIPLE_ANY", 4, "tagStatus"),
        ("ANY_NOT_LAST", 3, "rulePriority"),
    ]


def test_rule_count_comes_before_what_is_wrong_with_rules() -> None:
    # Seen at AWS: the first of 51 rules lacks its selection, and the answer is about the 51.
    many = [{key: value for key, value in tagged().items() if key != "selection"}]
    many += [tagged(number, tagPatternList=[f"v{number}"]) for number in range(2, 52)]
    assert found(document(*many)) == [("RULE_COUNT", None, "rules"), ("MISSING_PROPERTY", 1, "selection")]


def test_missing_list_comes_before_the_wildcards_of_a_later_rule() -> None:
    # Seen at AWS too.
    text = document(tagged(1, tagPatternList=...), tagged(2, tagPatternList=["*a*b*c*d*"]))
    assert [code for code, _, _ in found(text)] == ["TAG_LIST_REQUIRED", "TOO_MANY_WILDCARDS"]


def test_a_rule_of_uncertain_class_is_not_compared_with_others() -> None:
    # Which of countType and storageClass is wrong is not known; mending the class mends it all.
    assert found(document(rule(1), archived(2, storageClass="standard"))) == [
        ("STORAGE_CLASS_MISMATCH", 2, "storageClass")
    ]


def test_an_archive_rule_of_no_days_is_below_both_limits() -> None:
    assert [code for code, _, _ in found(document(archived(countNumber=0)))] == [
        "BELOW_MINIMUM",
        "ARCHIVE_MIN_DAYS",
    ]


def test_priorities_of_zero_are_equal_too() -> None:
    codes = [code for code, _, _ in found(document(tagged(0), rule(0)))]
    assert codes == ["BELOW_MINIMUM", "BELOW_MINIMUM", "DUPLICATE_PRIORITY"]


#: Odd, and legal as far as AWS says.
ACCEPTED: dict[str, str] = {
    "priority with gaps, rules in any order": document(rule(900), tagged(20)),
    "greatest numbers": document(rule(2**31 - 1, selection={"countNumber": 2**31 - 1})),
    "spaces around": f"\n\t {document(rule())}\r\n ",
    "explicit standard class": document(rule(selection={"storageClass": "standard"})),
    "empty description": document(rule() | {"description": ""}),
    "escaped half of a pair": document(rule() | {"description": "\ud800"}),
    "keys as escapes": document(rule()).replace("rules", "\\u0072ules"),
    "other list empty": document(tagged(tagPrefixList=[])),
    "four wildcards": document(tagged(tagPatternList=["*a*b*c*", "****"])),
    "wildcards in a prefix": document(tagged(tagPatternList=..., tagPrefixList=["*****"])),
    "empty entries": document(tagged(tagPatternList=[""]), tagged(2, tagPatternList=..., tagPrefixList=[""])),
    "overlapping sets": document(tagged(1, tagPatternList=["a", "b"]), tagged(2, tagPatternList=["a"])),
    "patterns beside equal prefixes": document(
        tagged(1, tagPatternList=["a"]), tagged(2, tagPatternList=..., tagPrefixList=["a"])
    ),
    "equal sets in two classes": document(tagged(1), archived(2, tagStatus="tagged", tagPatternList=["v*"])),
    "any and untagged once per class": document(
        rule(1, selection={"tagStatus": "untagged"}),
        rule(2),
        archived(3, tagStatus="untagged"),
        archived(4),
    ),
    # The guide's example of two classes: any images of the standard class at 1, of the archive at 2.
    "any last per class": document(
        rule(1, selection=DAYS | {"countType": "sinceImagePulled"}, action=TRANSITION), archived(2)
    ),
    "transition by count": document(rule(action=TRANSITION)),
    "fifty rules": document(*(tagged(number, tagPatternList=[f"v{number}"]) for number in range(1, 51))),
    "ninety days": document(archived(countNumber=90)),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_odd_but_legal_policy_is_accepted(text: str) -> None:
    policy = parse_policy(text)
    assert len(policy.rules) == len(json.loads(text)["rules"])


def test_policy_has_all_that_its_text_says() -> None:
    text = document(
        archived(9),
        tagged(4, tagPatternList=[], tagPrefixList=["b", "a", "b"], storageClass="standard")
        | {"action": TRANSITION, "description": "all \u2028 of it"},
    )
    assert parse_policy(text) == Policy(
        (
            Rule(
                priority=4,
                tag_status=TagStatus.TAGGED,
                tag_prefixes=("b", "a", "b"),
                count_type=CountType.IMAGE_COUNT_MORE_THAN,
                count_number=5,
                action=Action.TRANSITION,
                description="all \u2028 of it",
            ),
            Rule(
                priority=9,
                tag_status=TagStatus.ANY,
                storage_class=StorageClass.ARCHIVE,
                count_type=CountType.SINCE_IMAGE_TRANSITIONED,
                count_number=90,
                action=Action.EXPIRE,
            ),
        )
    )


def test_numbers_are_the_integers_of_python() -> None:
    policy = parse_policy(document(rule()))
    assert [type(policy.rules[0].priority), type(policy.rules[0].count_number)] == [int, int]


def test_one_error_is_one_line_and_several_have_a_heading() -> None:
    with pytest.raises(InputError) as one:
        parse_policy(document(tagged(2), rule(1)))
    assert str(one.value) == (
        "invalid lifecycle policy: rule 2 (priority 1): rulePriority is 1, and tagStatus any must come last: "
        "give it the greatest number of the class standard, which is 2 now [ANY_NOT_LAST] ECR says: "
        + said("Rule for tagStatus=ANY must have the lowest priority per storage class")
    )
    with pytest.raises(InvalidPolicy) as several:
        parse_policy(document(rule(selection={"tagStatus": "x", "storageClass": 5})))
    assert str(several.value) == (
        "invalid lifecycle policy, 2 errors:\n"
        "  rule 1 (priority 1): tagStatus is 'x' and must be 'tagged', 'untagged' or 'any' [BAD_ENUM]\n"
        "  rule 1 (priority 1): storageClass is 5 and must be 'standard' or 'archive' [WRONG_TYPE]"
    )
    assert several.value.exit_status == 2
    assert "\n".join(several.value.lines) == str(several.value)


def test_text_of_very_many_errors_ends_and_their_list_does_not() -> None:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(document(rule() | {f"k{number}": 1 for number in range(3_000)}))
    lines = caught.value.lines
    assert len(lines) == 42
    assert lines[-1] == "  and 2961 more"
    unknown = [error for error in caught.value.errors if error.code == "UNKNOWN_PROPERTY"]
    assert len(unknown) == 3_000


def test_hostile_text_is_quoted_short_and_escaped() -> None:
    evil = "\x1b[2J\u202e\n" + "x" * 10_000
    text = document(
        rule(selection={"tagStatus": evil, evil: 1}), tagged(2, tagPatternList=["*" * 5 + evil])
    ).replace('"action"', json.dumps(evil) + ": 1, " + json.dumps(evil) + ': 2, "action"')
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(text)
    for error in caught.value.errors:
        assert len(error.message) < 400
        assert len(error.aws_text or "") < 400
        assert error.message.isprintable()
    assert "\x1b" not in str(caught.value)


def test_error_document_has_the_first_and_all() -> None:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(document(tagged(7, tagPatternList=[], countUnit="days")))
    answer = json.loads(json.dumps(error_document(caught.value)))
    assert answer["error"] == answer["errors"][0]
    assert [error["code"] for error in answer["errors"]] == ["SELECTION_SCHEMA", "TAG_LIST_REQUIRED"]
    assert answer["error"] == {
        "code": "SELECTION_SCHEMA",
        "message": "countUnit does not go with imageCountMoreThan, which counts images; take it out",
        "rule": 1,
        "priority": 7,
        "key": "countUnit",
        "aws_text": said("instance failed to match exactly one schema (matched 0 out of 4)"),
    }


def test_error_survives_the_way_to_another_process() -> None:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy("{}")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.errors, str(again)) == (caught.value.errors, str(caught.value))


def test_policy_text_is_found_in_what_the_aws_cli_prints() -> None:
    text = document(rule())
    printed = {"registryId": "123456789012", "repositoryName": "a", "lifecyclePolicyText": text}
    assert policy_text_of(json.dumps(printed, indent=4)) == text


@pytest.mark.parametrize(
    "text",
    [
        document(rule()),
        "",
        "not JSON",
        "[]",
        "NaN",
        '{"lifecyclePolicyText": null}',
        '{"lifecyclePolicyText": "{}", "lifecyclePolicyText": "[]"}',
        '{"lifecyclePolicyText": "{}", "rules": []}',
    ],
)
def test_any_other_text_is_left_as_it_is(text: str) -> None:
    assert policy_text_of(text) == text


def test_warnings_name_lists_that_are_long_empty_or_starred() -> None:
    many = [f"t{number}" for number in range(11)]
    policy = parse_policy(
        document(
            tagged(3, tagPatternList=["", "a*"]),
            tagged(4, tagPatternList=..., tagPrefixList=["", "re*\x1b"]),
            tagged(5, tagPatternList=many),
            tagged(6, tagPatternList=many[1:]),
            tagged(7, tagPatternList=..., tagPrefixList=many),
            rule(8),
        )
    )
    assert [(each.code, each.priority, each.key) for each in warnings(policy)] == [
        ("EMPTY_TAG_ENTRY", 3, "tagPatternList"),
        ("EMPTY_TAG_ENTRY", 4, "tagPrefixList"),
        ("STAR_IN_PREFIX", 4, "tagPrefixList"),
        ("LONG_TAG_LIST", 5, "tagPatternList"),
        ("LONG_TAG_LIST", 7, "tagPrefixList"),
    ]
    for each in warnings(policy):
        assert str(each).isprintable()
        assert str(each).startswith(f"rule with priority {each.priority}: ")


# Whatever the text, there is a policy or an InvalidPolicy.


def judged(text: str) -> None:
    refused: InvalidPolicy | None = None
    try:
        parse_policy(policy_text_of(text))
    except InvalidPolicy as error:
        refused = error
    if refused is not None:
        assert refused.errors
        assert str(refused)
        assert json.loads(json.dumps(error_document(refused)))


ANY_TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=20,
)


@given(ANY_TEXT)
def test_no_text_raises_anything_else(text: str) -> None:
    judged(text)
    judged("{" + text)
    judged(document(rule()) + text)


@given(st.sampled_from((("rules",), ("rules", 0), ("rules", 0, "selection"), ("rules", 0, "action"))), JSON)
def test_no_json_anywhere_raises_anything_else(path: tuple[str | int, ...], value: object) -> None:
    judged(json.dumps(value))
    whole: Any = {"rules": [tagged()]}
    judged(json.dumps(whole | {"other": value}))
    holder = whole
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    judged(json.dumps(whole))


@given(st.data(), JSON)
def test_no_value_of_any_key_raises_anything_else(data: st.DataObject, value: object) -> None:
    wrong = tagged(1, countUnit="days", storageClass="standard") | {"action": dict(TRANSITION)}
    part = data.draw(st.sampled_from([wrong, wrong["selection"], wrong["action"]]))
    part[data.draw(st.sampled_from(sorted(part)))] = value
    judged(document(wrong, rule(2)))


@given(policy_documents(), st.integers(0, 2_000), st.characters(exclude_categories=()))
def test_no_slip_of_the_hand_raises_anything_else(text: str, place: int, typed: str) -> None:
    judged(text[:place] + typed + text[place:])
    judged(text[:place] + text[place + 1 :])


# Policies written by others.

#: The refused ones among the real policies, by the beginning of their digest.
REFUSED: dict[str, tuple[str, ...]] = {
    "0dcf0a05": (
        "MULTIPLE_ANY",
        "ANY_NOT_LAST",
    ),
    "2da2e141": ("MISSING_PROPERTY",),
    "2ea66540": ("TAG_LIST_REQUIRED",),
    "3c5990ff": (
        "SELECTION_SCHEMA",
        "TAG_LIST_BOTH",
        "TAG_LIST_FORBIDDEN",
        "TAG_LIST_FORBIDDEN",
    ),
    "41a3d8b3": (
        "MULTIPLE_ANY",
        "ANY_NOT_LAST",
    ),
    "45195de5": ("TAG_LIST_REQUIRED",),
    "5bd9f677": ("DUPLICATE_TAG_SET",),
    "61a4551b": ("TAG_LIST_REQUIRED",),
    "78b453c9": ("DUPLICATE_TAG_SET",),
    "8e0a8091": ("TAG_LIST_REQUIRED",),
    "92c35af6": (
        "DUPLICATE_PRIORITY",
        "DUPLICATE_TAG_SET",
    ),
    "95a06896": (
        "MULTIPLE_ANY",
        "ANY_NOT_LAST",
    ),
    "a0c4d458": ("ANY_NOT_LAST",),
    "a50b4fbf": ("TAG_LIST_FORBIDDEN",),
    "c869db83": ("TAG_LIST_REQUIRED",),
    "d0b543d9": ("STORAGE_CLASS_MISMATCH",),
    "da36ab3c": ("SELECTION_SCHEMA",),
    "raw": ("DUPLICATE_KEY",),
}


def test_real_policies_parse_or_are_refused_for_the_right_reason() -> None:
    path = require_shared() / "data" / "policies" / "policies.jsonl"
    refused: dict[str, tuple[str, ...]] = {}
    accepted = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        text = record["raw"] if "raw" in record else json.dumps(record["policy"])
        try:
            accepted += len(parse_policy(text).rules) > 0
        except InvalidPolicy as error:
            name = (record["sha256"] or "raw")[:8]
            refused[name] = tuple(each.code.value for each in error.errors)
    assert refused == REFUSED
    assert accepted == 107


@pytest.mark.parametrize("name", ["recorded_responses.jsonl", "awscli_documented_outputs.jsonl"])
def test_policies_in_answers_of_the_real_api_parse(name: str) -> None:
    path = require_shared() / "data" / "ecr_api" / name
    seen = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        data = record["data"]
        if "ifecycle" in record["operation"] and ({"lifecyclePolicyText", "rules"} & set(data)):
            parse_policy(policy_text_of(json.dumps(data)))
            seen += 1
    assert seen >= 4
