"""The slow validator of policy documents against documents whose faults are plain to see."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given

from tests.oracle.policy import codes, least_codes
from tests.strategies.policies import draw_document, policy_documents
from tests.support.examples import examples

#: Every code there is; a rule that breaks one and nothing else is below.
CODES = {
    *("TEXT_LENGTH", "NOT_JSON_OBJECT", "DUPLICATE_KEY", "MISSING_PROPERTY", "UNKNOWN_PROPERTY"),
    *("WRONG_TYPE", "RULE_COUNT", "BELOW_MINIMUM", "BAD_ENUM", "SELECTION_SCHEMA", "ACTION_SCHEMA"),
    *("DUPLICATE_PRIORITY", "TAG_LIST_REQUIRED", "TAG_LIST_BOTH", "TAG_LIST_FORBIDDEN"),
    *("TOO_MANY_WILDCARDS", "STORAGE_CLASS_MISMATCH", "ACTION_COUNTTYPE_MISMATCH", "ARCHIVE_MIN_DAYS"),
    *("MULTIPLE_UNTAGGED", "MULTIPLE_ANY", "ANY_NOT_LAST", "DUPLICATE_TAG_SET"),
}
_COUNT = {"countType": "imageCountMoreThan", "countNumber": 3}
_PUSHED = {"countType": "sinceImagePushed", "countUnit": "days", "countNumber": 3}
_PULLED = {"countType": "sinceImagePulled", "countUnit": "days", "countNumber": 3}
_TRANSITIONED = {
    "countType": "sinceImageTransitioned",
    "countUnit": "days",
    "countNumber": 90,
    "storageClass": "archive",
}
_EXPIRE = {"type": "expire"}
_ARCHIVE = {"type": "transition", "targetStorageClass": "archive"}
_ANY = {"tagStatus": "any"}
_UNTAGGED = {"tagStatus": "untagged"}


def _tagged(*patterns: str) -> dict[str, Any]:
    return {"tagStatus": "tagged", "tagPatternList": list(patterns)}


def _rule(priority: object, *selection: dict[str, Any], action: object = _EXPIRE) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in selection:
        merged |= part
    return {"rulePriority": priority, "selection": merged, "action": action, "description": "x" * 40}


def _text(*rules: object) -> str:
    return json.dumps({"rules": rules})


GOOD = _rule(1, _ANY, _COUNT)


@pytest.mark.parametrize(
    "text",
    [
        _text(GOOD),
        _text(_rule(1, _ANY, _COUNT, {"storageClass": "standard"})),
        _text(_rule(2, _ANY, _PULLED, action=_ARCHIVE), _rule(1, _ANY, _TRANSITIONED)),
        _text(_rule(9, _ANY, _PUSHED, action=_ARCHIVE), _rule(4, _UNTAGGED, _COUNT)),
        _text(_rule(5, _UNTAGGED, _TRANSITIONED), _rule(4, _UNTAGGED, _COUNT)),
        # An empty list is as good as none where a list is called for.
        _text(_rule(1, _tagged("a"), {"tagPrefixList": []}, _COUNT)),
        # Patterns are never compared with prefixes, nor lists of one class with those of the other.
        _text(
            _rule(1, _tagged("a"), _COUNT),
            _rule(2, {"tagStatus": "tagged", "tagPrefixList": ["a"]}, _COUNT),
            _rule(3, _tagged("a"), _TRANSITIONED),
            _rule(4, _tagged("a", "b"), _COUNT),
        ),
        _text(_rule(2**31 - 1, _tagged("*a*b*c*"), _COUNT | {"countNumber": 2**31 - 1})),
        _text(*(_rule(n, _tagged(f"v{n}"), _COUNT) for n in range(1, 51))),
        _text(GOOD) + " " * (30_720 - len(_text(GOOD))),
    ],
)
def test_valid_policy_has_no_codes(text: str) -> None:
    assert codes(text) == set()
    assert least_codes(text) == set()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (json.dumps({"rules": [_rule(1, _ANY, _COUNT) | {"description": ""}]})[:60], "NOT_JSON_OBJECT"),
        (_text(GOOD) + " " * 30_720, "TEXT_LENGTH"),
        (_text(GOOD)[:-1] + " " * 50, "NOT_JSON_OBJECT"),
        (json.dumps([GOOD]), "NOT_JSON_OBJECT"),
        ("[" * 20_000, "NOT_JSON_OBJECT"),
        (_text(GOOD).replace("3", "NaN"), "NOT_JSON_OBJECT"),
        (_text(GOOD).replace('"tagStatus"', '"tagStatus": "any", "tagStatus"'), "DUPLICATE_KEY"),
        (json.dumps({}) + " " * 100, "MISSING_PROPERTY"),
        (_text({key: GOOD[key] for key in GOOD if key != "action"}), "MISSING_PROPERTY"),
        (_text(_rule(1, _ANY, {"countType": "imageCountMoreThan"})), "MISSING_PROPERTY"),
        (_text(_rule(1, _ANY, _COUNT, action={})), "MISSING_PROPERTY"),
        (json.dumps({"rules": [GOOD], "version": 1}), "UNKNOWN_PROPERTY"),
        (_text(GOOD | {"tagStatus": "any"}), "UNKNOWN_PROPERTY"),
        (_text(GOOD | {"selection.tagStatus": "any"}), "UNKNOWN_PROPERTY"),
        (_text(_rule(1, _ANY, _COUNT, {"days": 1})), "UNKNOWN_PROPERTY"),
        (_text(_rule("1", _ANY, _COUNT)), "WRONG_TYPE"),
        (_text(_rule(True, _ANY, _COUNT)), "WRONG_TYPE"),
        (_text(_rule(1, _ANY, _COUNT | {"countNumber": 5.0})), "WRONG_TYPE"),
        (_text(_rule(1, _ANY, _COUNT | {"countNumber": 2**31})), "WRONG_TYPE"),
        (_text(GOOD).replace("3", "9" * 5000), "WRONG_TYPE"),
        (_text(GOOD | {"description": None}), "WRONG_TYPE"),
        (_text(_rule(1, {"tagStatus": "tagged", "tagPrefixList": "a"}, _COUNT)), "WRONG_TYPE"),
        (_text(_rule(1, {"tagStatus": "tagged", "tagPrefixList": ["a", 5]}, _COUNT)), "WRONG_TYPE"),
        (_text(GOOD, "rule"), "WRONG_TYPE"),
        (json.dumps({"rules": GOOD}), "WRONG_TYPE"),
        (_text() + " " * 100, "RULE_COUNT"),
        (_text(*(_rule(n, _tagged(f"v{n}"), _COUNT) for n in range(1, 52))), "RULE_COUNT"),
        (_text(_rule(0, _ANY, _COUNT)), "BELOW_MINIMUM"),
        (_text(_rule(1, _ANY, _COUNT | {"countNumber": -(2**40)})), "BELOW_MINIMUM"),
        (_text(_rule(1, {"tagStatus": "Any"}, _COUNT)), "BAD_ENUM"),
        (_text(_rule(1, _ANY, _PUSHED | {"countUnit": "hours"})), "BAD_ENUM"),
        (_text(_rule(1, _ANY, _COUNT, action={"type": "delete"})), "BAD_ENUM"),
        (_text(_rule(1, _ANY, _COUNT | {"storageClass": "ARCHIVE"})), "BAD_ENUM"),
        (_text(_rule(1, _ANY, _COUNT | {"countType": "imageCount"})), "SELECTION_SCHEMA"),
        (_text(_rule(1, _ANY, _COUNT | {"countUnit": "days"})), "SELECTION_SCHEMA"),
        (_text(_rule(1, _ANY, _COUNT | {"countUnit": None})), "SELECTION_SCHEMA"),
        (_text(_rule(1, _ANY, {"countType": "sinceImagePushed", "countNumber": 1})), "SELECTION_SCHEMA"),
        (_text(_rule(1, _ANY, _COUNT, action=_ARCHIVE | _EXPIRE)), "ACTION_SCHEMA"),
        (_text(_rule(1, _ANY, _COUNT, action=_EXPIRE | {"targetStorageClass": None})), "ACTION_SCHEMA"),
        (_text(_rule(1, _ANY, _COUNT, action={"type": "transition"})), "ACTION_SCHEMA"),
        (_text(_rule(3, _tagged("a"), _COUNT), _rule(3, _tagged("b"), _COUNT)), "DUPLICATE_PRIORITY"),
        (_text(_rule(1, {"tagStatus": "tagged"}, _COUNT)), "TAG_LIST_REQUIRED"),
        (_text(_rule(1, _tagged(), {"tagPrefixList": []}, _COUNT)), "TAG_LIST_REQUIRED"),
        (_text(_rule(1, _tagged("a"), {"tagPrefixList": ["b"]}, _COUNT)), "TAG_LIST_BOTH"),
        (_text(_rule(1, _ANY, {"tagPrefixList": ["b"]}, _COUNT)), "TAG_LIST_FORBIDDEN"),
        (_text(_rule(1, _UNTAGGED, {"tagPatternList": []}, _COUNT)), "TAG_LIST_FORBIDDEN"),
        (_text(_rule(1, _tagged("a", "*b*c*d*e*"), _COUNT)), "TOO_MANY_WILDCARDS"),
        (_text(_rule(1, _ANY, _COUNT, {"storageClass": "archive"})), "STORAGE_CLASS_MISMATCH"),
        (
            _text(_rule(1, _ANY, {k: v for k, v in _TRANSITIONED.items() if k != "storageClass"})),
            "STORAGE_CLASS_MISMATCH",
        ),
        (_text(_rule(1, _ANY, _PULLED)), "ACTION_COUNTTYPE_MISMATCH"),
        (_text(_rule(1, _ANY, _TRANSITIONED, action=_ARCHIVE)), "ACTION_COUNTTYPE_MISMATCH"),
        (_text(_rule(1, _ANY, _TRANSITIONED | {"countNumber": 89})), "ARCHIVE_MIN_DAYS"),
        (_text(_rule(1, _UNTAGGED, _COUNT), _rule(2, _UNTAGGED, _PUSHED)), "MULTIPLE_UNTAGGED"),
        (_text(_rule(1, _ANY, _COUNT), _rule(2, _tagged("a"), _COUNT)), "ANY_NOT_LAST"),
        (
            _text(_rule(1, _tagged("a", "b"), _COUNT), _rule(2, _tagged("b", "a"), _PUSHED)),
            "DUPLICATE_TAG_SET",
        ),
    ],
)
def test_one_fault_has_its_code_and_no_other(text: str, code: str) -> None:
    assert least_codes(text) - {"TEXT_LENGTH"} == {code} - {"TEXT_LENGTH"}
    assert codes(text) - {"TEXT_LENGTH"} == {code} - {"TEXT_LENGTH"}
    assert ("TEXT_LENGTH" in codes(text)) is not (100 <= len(text) <= 30_720)


def test_two_any_rules_of_one_class_break_two_rules() -> None:
    text = _text(_rule(1, _ANY, _COUNT), _rule(2, _ANY, _PUSHED))
    assert codes(text) == least_codes(text) == {"MULTIPLE_ANY", "ANY_NOT_LAST"}


def test_what_follows_from_another_fault_is_told_apart() -> None:
    zero_days = _text(_rule(1, _ANY, _TRANSITIONED | {"countNumber": 0}))
    assert codes(zero_days) == {"BELOW_MINIMUM", "ARCHIVE_MIN_DAYS"}
    assert least_codes(zero_days) == {"BELOW_MINIMUM"}
    surplus = _text(_rule(1, _ANY, _COUNT | {"countUnit": "hours"}))
    assert codes(surplus) == {"SELECTION_SCHEMA", "BAD_ENUM"}
    assert least_codes(surplus) == {"SELECTION_SCHEMA"}


@examples(200)
@given(policy_documents())
def test_the_least_is_part_of_all_and_empty_only_with_it(text: str) -> None:
    assert least_codes(text) <= codes(text) <= CODES
    assert bool(least_codes(text)) == bool(codes(text))


def test_random_documents_break_every_rule_and_none() -> None:
    texts = [draw_document(Random(seed)) for seed in range(1500)]
    assert {code for text in texts for code in codes(text)} == CODES
    assert sum(not codes(text) for text in texts) > 150
