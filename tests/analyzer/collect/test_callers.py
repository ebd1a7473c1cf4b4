"""Whose pulls leave no mark: an assumed role under either of its names."""

from __future__ import annotations

import pytest

from analyzer.collect.callers import is_excluded

SESSION = "arn:aws:sts::123456789012:assumed-role/collector/i-0123"
ROLE = "arn:aws:iam::123456789012:role/collector"
USER = "arn:aws:iam::123456789012:user/team/jo"


@pytest.mark.parametrize(
    ("caller", "exclusions", "excluded"),
    [
        (SESSION, [ROLE], True),
        (SESSION, ["arn:aws:iam::123456789012:role/team/a/collector"], True),
        (SESSION, [SESSION], True),
        (SESSION, [USER, ROLE], True),
        (SESSION, [], False),
        (SESSION, ["arn:aws:iam::210987654321:role/collector"], False),
        (SESSION, ["arn:aws-cn:iam::123456789012:role/collector"], False),
        (SESSION, ["arn:aws:iam::123456789012:role/collector2"], False),
        (SESSION, ["arn:aws:iam::123456789012:role/collector/other"], False),
        (SESSION, ["arn:aws:iam::123456789012:user/collector"], False),
        (SESSION, ["", ":", "arn", "arn:aws:iam::123456789012:role"], False),
        (USER, [USER], True),
        (USER, ["arn:aws:iam::123456789012:user/jo"], False),
        (USER, ["arn:aws:iam::123456789012:role/jo"], False),
        ("arn:aws:iam::123456789012:root", [ROLE], False),
        ("", [ROLE], False),
        ("not an arn", ["", "not an arn either"], False),
    ],
)
def test_a_caller_is_excluded_by_its_role_or_as_it_is(
    caller: str, exclusions: list[str], excluded: bool
) -> None:
    assert is_excluded(caller, exclusions) is excluded
