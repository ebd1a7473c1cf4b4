"""Each way in which a policy document can be wrong, alone in a document that is else legal."""

from __future__ import annotations

import json

import pytest

from analyzer.lifecycle.parsing import Code
from tests.analyzer.lifecycle.documents import (
    DAYS,
    TRANSITION,
    UNMAPPED,
    Json,
    archived,
    document,
    errors_of,
    rule,
    said,
    tagged,
)

#: Values that are none of the type a key takes; what Python or a template might take for one too.
NO_PRIORITIES: tuple[object, ...] = ("1", 1.0, True, None, 2**31, [1])
NO_NUMBERS: tuple[object, ...] = ("5", 5.0, False, None, 2**31, 10**30, {})
NO_OBJECTS: tuple[object, ...] = (None, [])
NO_LISTS: tuple[object, ...] = (None, "v*", {"0": "v*"}, ["v*", 5], [None], [["v*"]])
NO_ENTRIES: tuple[Json, ...] = (
    {"tagPatternList": ...},
    {"tagPatternList": []},
    {"tagPatternList": [], "tagPrefixList": []},
)

#: The only error of a text.
Row = tuple[str, str, int | None, str | None, str | None]

#: (text, code, rule, key, AWS's text): the only error of each.
ONE_ERROR: list[Row] = [
    (document(rule()) + " " * 30_720, "TEXT_LENGTH", None, None, None),
    (document(rule())[:-1], "NOT_JSON_OBJECT", None, None, UNMAPPED),
    (f"[{document(rule())}]", "NOT_JSON_OBJECT", None, None, UNMAPPED),
    (document(rule()) + document(rule()), "NOT_JSON_OBJECT", None, None, UNMAPPED),
    ("\ufeff" + document(rule()), "NOT_JSON_OBJECT", None, None, UNMAPPED),
    (document(rule()).replace("5", "NaN"), "NOT_JSON_OBJECT", None, None, UNMAPPED),
    (document(rule()).replace("5", "-Infinity"), "NOT_JSON_OBJECT", None, None, UNMAPPED),
    (document(rule()).replace("5", "05"), "NOT_JSON_OBJECT", None, None, UNMAPPED),
    (document(rule()).replace("any", "an\ny"), "NOT_JSON_OBJECT", None, None, UNMAPPED),
    (document(rule()).replace("any", "an\udc80y"), "NOT_JSON_OBJECT", None, None, UNMAPPED),
    (
        document(rule()).replace('"countNumber"', '"countNumber": 5, "countNumber"'),
        "DUPLICATE_KEY",
        1,
        "countNumber",
        None,
    ),
    (document(rule()).replace('"rules"', '"rules": 1, "rules"'), "DUPLICATE_KEY", None, "rules", None),
    (
        json.dumps({"rule": [rule()], "rules": [rule()]}),
        "UNKNOWN_PROPERTY",
        None,
        "rule",
        said('object instance has properties which are not allowed by the schema: ["rule"]'),
    ),
    (
        document(rule() | {"priority": 1}),
        "UNKNOWN_PROPERTY",
        1,
        "priority",
        said('object instance has properties which are not allowed by the schema: ["priority"]'),
    ),
    (
        document(rule(selection={"tagstatus": "any"})),
        "UNKNOWN_PROPERTY",
        1,
        "tagstatus",
        said('object instance has properties which are not allowed by the schema: ["tagstatus"]'),
    ),
    (
        document(rule(action={"type": "expire", "storageClass": "archive"})),
        "UNKNOWN_PROPERTY",
        1,
        "storageClass",
        said('object instance has properties which are not allowed by the schema: ["storageClass"]'),
    ),
    *(
        (
            document({key: value for key, value in tagged().items() if key != missing}, rule(2)),
            "MISSING_PROPERTY",
            1,
            missing,
            said(f'object has missing required properties (["{missing}"])'),
        )
        for missing in ("rulePriority", "selection", "action")
    ),
    *(
        (
            document(tagged(1, **{missing: ...}), rule(2)),
            "MISSING_PROPERTY",
            1,
            missing,
            said(f'object has missing required properties (["{missing}"])'),
        )
        for missing in ("tagStatus", "countType", "countNumber")
    ),
    (
        document(rule(action={})),
        "MISSING_PROPERTY",
        1,
        "type",
        said('object has missing required properties (["type"])'),
    ),
    *(
        (document(rule() | {"rulePriority": wrong}), "WRONG_TYPE", 1, "rulePriority", None)
        for wrong in NO_PRIORITIES
    ),
    *(
        (document(rule(selection={"countNumber": wrong})), "WRONG_TYPE", 1, "countNumber", None)
        for wrong in NO_NUMBERS
    ),
    (document(rule()).replace("5", "5e0"), "WRONG_TYPE", 1, "countNumber", None),
    (document(rule()).replace("5", "1e999"), "WRONG_TYPE", 1, "countNumber", None),
    (document(rule()).replace("5", "9" * 20_000), "WRONG_TYPE", 1, "countNumber", None),
    (document(rule()).replace("5", "-" + "9" * 20_000), "WRONG_TYPE", 1, "countNumber", None),
    *(
        (document(rule() | {"description": wrong}), "WRONG_TYPE", 1, "description", None)
        for wrong in (None, 5, ["text"])
    ),
    *((document(rule() | {"selection": wrong}), "WRONG_TYPE", 1, "selection", None) for wrong in NO_OBJECTS),
    *(
        (document(rule() | {"action": wrong}), "WRONG_TYPE", 1, "action", None)
        for wrong in (None, "expire", [{"type": "expire"}])
    ),
    *(
        (document(tagged(tagPatternList=wrong)), "WRONG_TYPE", 1, "tagPatternList", None)
        for wrong in NO_LISTS
    ),
    (document(tagged(tagPrefixList=None)), "WRONG_TYPE", 1, "tagPrefixList", None),
    (document(rule(selection={"tagStatus": None})), "WRONG_TYPE", 1, "tagStatus", None),
    (document(rule(selection={"storageClass": None})), "WRONG_TYPE", 1, "storageClass", None),
    (document(rule(selection={"countType": None})), "WRONG_TYPE", 1, "countType", None),
    (document(rule(selection=DAYS | {"countUnit": None})), "WRONG_TYPE", 1, "countUnit", None),
    (document(rule(action={"type": None})), "WRONG_TYPE", 1, "type", None),
    (
        document(rule(action=TRANSITION | {"targetStorageClass": None})),
        "WRONG_TYPE",
        1,
        "targetStorageClass",
        None,
    ),
    (document(rule(), None), "WRONG_TYPE", 2, "rules", None),
    (json.dumps({"rules": {"0": rule()}}), "WRONG_TYPE", None, "rules", None),
    (json.dumps({"rules": None}) + " " * 100, "WRONG_TYPE", None, "rules", None),
    (
        json.dumps({"rules": []}) + " " * 100,
        "RULE_COUNT",
        None,
        "rules",
        said("array is too short: must have at least 1 elements but instance has 0 elements"),
    ),
    (
        document(*(tagged(number, tagPatternList=[f"v{number}"]) for number in range(1, 52))),
        "RULE_COUNT",
        None,
        "rules",
        said("array is too long: must have at most 50 elements but instance has 51 elements"),
    ),
    (
        document(rule(0)),
        "BELOW_MINIMUM",
        1,
        "rulePriority",
        said("numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
    ),
    (
        document(rule(selection={"countNumber": -7})),
        "BELOW_MINIMUM",
        1,
        "countNumber",
        said("numeric instance is lower than the required minimum (minimum: 1, found: -7)"),
    ),
    (
        document(rule()).replace("5", "-0"),
        "BELOW_MINIMUM",
        1,
        "countNumber",
        said("numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
    ),
    (document(rule(selection={"tagStatus": "ANY"})), "BAD_ENUM", 1, "tagStatus", None),
    (document(rule(selection={"storageClass": "STANDARD"})), "BAD_ENUM", 1, "storageClass", None),
    (document(rule(selection=DAYS | {"countUnit": "day"})), "BAD_ENUM", 1, "countUnit", None),
    (document(rule(action={"type": "delete"})), "BAD_ENUM", 1, "type", None),
    (
        document(rule(action=TRANSITION | {"targetStorageClass": "standard"})),
        "BAD_ENUM",
        1,
        "targetStorageClass",
        None,
    ),
    *(
        (
            document(rule(selection=selection)),
            "SELECTION_SCHEMA",
            1,
            key,
            said("instance failed to match exactly one schema (matched 0 out of 4)"),
        )
        for selection, key in (
            ({"countType": "sinceImageTagged", "countUnit": "days"}, "countType"),
            ({"countType": "imagecountmorethan"}, "countType"),
            ({"countUnit": "days"}, "countUnit"),
            ({"countUnit": None}, "countUnit"),
            ({"countUnit": "hours"}, "countUnit"),
            ({"countType": "sinceImagePushed"}, "countUnit"),
        )
    ),
    *(
        (
            document(rule(action={"type": "expire", "targetStorageClass": target})),
            "ACTION_SCHEMA",
            1,
            "targetStorageClass",
            said("instance failed to match exactly one schema (matched 0 out of 2)"),
        )
        for target in ("archive", "standard", None, 5)
    ),
    (document(rule(action={"type": "transition"})), "ACTION_SCHEMA", 1, "targetStorageClass", UNMAPPED),
    (
        document(tagged(3), rule(3)),
        "DUPLICATE_PRIORITY",
        2,
        "rulePriority",
        said("Duplicate priority in multiple rules"),
    ),
    # Unique in the whole policy, not in one storage class.
    (
        document(tagged(3), archived(3)),
        "DUPLICATE_PRIORITY",
        2,
        "rulePriority",
        said("Duplicate priority in multiple rules"),
    ),
    *(
        (
            document(tagged(1, **lists)),
            "TAG_LIST_REQUIRED",
            1,
            "tagStatus",
            said("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."),
        )
        for lists in NO_ENTRIES
    ),
    (
        document(tagged(tagPrefixList=["v"])),
        "TAG_LIST_BOTH",
        1,
        "tagPrefixList",
        said("If policy has a tagged rule, it must specify only one of tagPrefixList or tagPatternList"),
    ),
    *(
        (
            document(rule(selection={"tagStatus": status, key: entries})),
            "TAG_LIST_FORBIDDEN",
            1,
            key,
            said(f"Cannot specify {key} with tagStatus {status}"),
        )
        for status in ("untagged", "any")
        for key in ("tagPatternList", "tagPrefixList")
        for entries in (["a"], [])
    ),
    (
        document(tagged(tagPatternList=["a", "*a*b*c*d*"])),
        "TOO_MANY_WILDCARDS",
        1,
        "tagPatternList",
        said("Invalid tag pattern provided. Total number of * must not exceed 4"),
    ),
    *(
        (
            document(rule(selection=selection, action=TRANSITION)),
            "STORAGE_CLASS_MISMATCH",
            1,
            "storageClass",
            said(
                "SINCE_IMAGE_PUSHED, SINCE_IMAGE_PULLED and IMAGE_COUNT_MORE_THAN "
                "support the STANDARD storage class only"
            ),
        )
        for selection in (
            {"storageClass": "archive"},
            {"storageClass": "archive", **DAYS},
            {"storageClass": "archive", **DAYS, "countType": "sinceImagePulled"},
        )
    ),
    (document(archived(storageClass=...)), "STORAGE_CLASS_MISMATCH", 1, "storageClass", None),
    (document(archived(storageClass="standard")), "STORAGE_CLASS_MISMATCH", 1, "storageClass", None),
    (
        document(rule(selection=DAYS | {"countType": "sinceImagePulled"})),
        "ACTION_COUNTTYPE_MISMATCH",
        1,
        "type",
        None,
    ),
    (document(archived() | {"action": TRANSITION}), "ACTION_COUNTTYPE_MISMATCH", 1, "type", None),
    (document(archived(countNumber=89)), "ARCHIVE_MIN_DAYS", 1, "countNumber", None),
    (
        document(rule(1, selection={"tagStatus": "untagged"}), rule(2, selection={"tagStatus": "untagged"})),
        "MULTIPLE_UNTAGGED",
        2,
        "tagStatus",
        said("Only one rule can select Untagged images per storage class."),
    ),
    (
        document(tagged(2), rule(1)),
        "ANY_NOT_LAST",
        2,
        "rulePriority",
        said("Rule for tagStatus=ANY must have the lowest priority per storage class"),
    ),
    (document(tagged(1), tagged(2, **DAYS)), "DUPLICATE_TAG_SET", 2, "tagPatternList", None),
    (
        document(
            tagged(1, tagPatternList=..., tagPrefixList=["a", "b"]),
            tagged(2, tagPatternList=[], tagPrefixList=["b", "a", "b"]),
        ),
        "DUPLICATE_TAG_SET",
        2,
        "tagPrefixList",
        None,
    ),
]


@pytest.mark.parametrize(
    ("text", "code", "position", "key", "aws_text"), ONE_ERROR, ids=[row[1] for row in ONE_ERROR]
)
def test_error_is_found_alone_with_its_place_and_the_text_of_aws(
    text: str, code: str, position: int | None, key: str | None, aws_text: str | None
) -> None:
    (error,) = errors_of(text)
    assert (error.code, error.rule, error.key, error.aws_text) == (code, position, key, aws_text)
    assert len(error.message) < 400


def test_every_code_has_an_example() -> None:
    # Two rules for any image break two rules at once.
    assert {row[1] for row in ONE_ERROR} | {"MULTIPLE_ANY"} == set(Code)
