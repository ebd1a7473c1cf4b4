"""The parser and a validator written from the documentation by itself agree on what is wrong."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from analyzer.lifecycle.parsing import Code, InvalidPolicy, parse_policy
from analyzer.lifecycle.policy import Action, CountType, StorageClass, TagStatus
from tests.analyzer.lifecycle.documents import document, tagged
from tests.oracle.policy import codes, least_codes
from tests.strategies.policies import draw_document, policy_documents
from tests.support.examples import examples

KEYS = sorted(
    {"rulePriority", "description", "selection", "action", "type", "targetStorageClass", "extra"}
    | tagged(1, countUnit="days", storageClass="standard", tagPrefixList=[])["selection"].keys()
)
VALUES = st.recursive(
    st.sampled_from([*TagStatus, *StorageClass, *CountType, *Action, "days", "", "v*"])
    | st.none()
    | st.booleans()
    | st.integers(-1, 100)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2),
    max_leaves=4,
)


def found(text: str) -> set[str]:
    try:
        parse_policy(text)
    except InvalidPolicy as error:
        return {each.code.value for each in error.errors}
    return set()


@examples(300)
@given(policy_documents())
def test_parser_and_oracle_agree_on_documents_with_slips(text: str) -> None:
    assert least_codes(text) <= found(text) <= codes(text)


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=3),
    st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=2),
)
def test_parser_and_oracle_agree_whatever_stands_where(
    first: list[tuple[str, object]], second: list[tuple[str, object]]
) -> None:
    rules = []
    for priority, changes in enumerate((first, second), 1):
        changed = tagged(priority, countUnit="days", storageClass="standard")
        for key, value in changes:
            part = next(
                (part for part in (changed, changed["selection"], changed["action"]) if key in part),
                changed["action"],
            )
            if isinstance(part, dict):
                part[key] = value
            if not (isinstance(changed["selection"], dict) and isinstance(changed["action"], dict)):
                break
        rules.append(changed)
    text = document(*rules)
    assert least_codes(text) <= found(text) <= codes(text)
    assert (not found(text)) == (not codes(text))


def test_parser_and_oracle_agree_on_thousands_of_documents() -> None:
    valid = 0
    seen: set[str] = set()
    for seed in range(6_000):
        text = draw_document(Random(seed))
        here = found(text)
        assert least_codes(text) <= here <= codes(text), f"seed {seed}"
        assert (not here) == (not codes(text)), f"seed {seed}"
        seen |= here
        valid += not here
    # The sample is worth something: many right ones, and every way to be wrong.
    assert valid > 1_000
    assert seen == set(Code)
