"""What doctor prints."""

from __future__ import annotations

import json

from analyzer.model.checks import Check, CheckStatus, Examination, MissingPolicy
from reports.doctor import examination_json, examination_text

OK, FAILED, UNKNOWN = CheckStatus.OK, CheckStatus.FAILED, CheckStatus.UNKNOWN
POLICY = MissingPolicy(
    account="123456789012",
    principal="arn:aws:iam::123456789012:role/night",
    actions=("ecr:DescribeImages",),
    policy={"Version": "2012-10-17", "Statement": []},
)


def _permission(action: str, place: str, status: CheckStatus, found: str = "granted") -> Check:
    return Check(id=f"permission.{action}", subject=place, status=status, found=found)


def test_what_is_well_everywhere_is_counted_and_not_listed() -> None:
    checks = tuple(_permission("ecr:A", f"1/{n}", OK) for n in range(500))
    text = examination_text(Examination(checks=checks))
    assert "  ok      500 of 500\n" in text
    assert len(text.splitlines()) < 10


def test_the_same_refusal_in_many_places_is_one_entry() -> None:
    checks = tuple(_permission("ecr:A", f"1/r{n}", FAILED, f"denied on r{n}") for n in range(5))
    text = examination_text(Examination(checks=checks))
    assert "ecr:A 1/r0, 1/r1, 1/r2 and 2 more" in text
    assert text.count("denied on") == 1


def test_several_permissions_unknown_for_the_same_reason_are_one_entry() -> None:
    checks = tuple(_permission(f"ecr:{name}", "1/r", UNKNOWN, "no repository") for name in "AB")
    text = examination_text(Examination(checks=checks))
    assert "ecr:A, ecr:B 1/r: no repository" in text


def test_every_group_is_shown() -> None:
    groups = ("program", "configuration", "files", "database", "aws", "account", "registry", "permission")
    for group in groups:
        check = Check(id=f"{group}.x", status=FAILED, found="something is wrong")
        assert "something is wrong" in examination_text(Examination(checks=(check,)))


def test_characters_that_a_terminal_obeys_are_written_out() -> None:
    check = Check(id="aws.x", status=FAILED, found="a\x1b[2Jb", mend="c\u202ed")
    text = examination_text(Examination(checks=(check,)))
    assert "\\x1b[2J" in text
    assert "\\u202e" in text
    document = examination_json(Examination(checks=(check,)))
    assert "\u202e" not in document
    assert json.loads(document)["checks"][0]["mend"] == "c\u202ed"


def test_the_verdict_and_the_policy_come_last() -> None:
    blocking = Check(id="aws.x", status=FAILED, found="no", blocks_run=True)
    text = examination_text(Examination(checks=(blocking,), missing=(POLICY,)))
    assert text.splitlines()[-1] == "The nightly run could not work. (1 failed)"
    assert text.index("Missing in account 123456789012") > text.index("AWS")
    works = Check(id="aws.x", status=FAILED, found="no")
    assert "works, with gaps" in examination_text(Examination(checks=(works,)))
    well = Check(id="aws.x", status=OK, found="yes")
    assert "All is well." in examination_text(Examination(checks=(well,)))


def test_the_document_counts_every_status() -> None:
    check = Check(id="aws.x", status=FAILED, found="no")
    document = json.loads(examination_json(Examination(checks=(check,), missing=(POLICY,))))
    assert document["counts"] == {"ok": 0, "warning": 0, "failed": 1, "unknown": 0, "skipped": 0}
    assert (document["can_run"], document["clean"]) == (True, False)
    assert document["missing_policies"][0]["policy"] == dict(POLICY.policy)
