"""The table of checks: complete, and each with tests of its own."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from analyzer.hygiene.checks import CHECKS
from analyzer.hygiene.estate import Check
from analyzer.hygiene.judging import ALL_CHECKS
from analyzer.model.findings import CheckText

#: Lint's tests are where it is.
_TESTS = sorted(
    {*Path(__file__).parent.glob("test_*.py"), *Path(__file__).parents[1].glob("lifecycle/test_lint*.py")}
    - {Path(__file__)}
)
_BLANKS = {"account", "region", "repository", "subject"}


def test_ids_are_stable_words_and_unique() -> None:
    ids = [check.id for check in ALL_CHECKS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[A-Z][A-Z_]*[A-Z]", name) for name in ids)


@pytest.mark.parametrize("check", ALL_CHECKS, ids=lambda check: check.id)
def test_every_check_says_all_that_there_is_to_say(check: CheckText) -> None:
    said = {name: text for name, text in asdict(check).items() if name != "severity"}
    assert all(text.strip() == text and text for text in said.values())
    assert check.meaning.endswith(".")
    assert not check.title.endswith(".")
    for text in (check.validate, check.fix):
        assert set(re.findall(r"(?<!\{)\{(\w+)\}(?!\})", text)) <= _BLANKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.text.id)
def test_every_check_has_a_test(check: Check) -> None:
    # By its id, by the function that does it, or as the only one of its family.
    module = getattr(check.find, "__module__", "")
    alone = sum(getattr(other.find, "__module__", "") == module for other in CHECKS) == 1
    family = [f"from {module} import CHECKS"] if alone else []
    names = (check.text.id, getattr(check.find, "__name__", check.text.id), *family)
    tests = [path.read_text(encoding="utf-8") for path in _TESTS]
    assert any(re.search(rf"\b{re.escape(name)}\b", text) for name in names for text in tests)
