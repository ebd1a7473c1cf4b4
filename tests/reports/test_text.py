"""Unseen characters are shown, and nothing else is touched."""

import json
import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from reports.text import json_escaped, shortened, visible


def test_every_control_format_and_separator_character_is_written_out() -> None:
    unseen = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.category(character) in unseen:
            assert visible(character) != character, hex(code)


def test_ordinary_text_of_any_script_stays() -> None:
    text = "café 日本語 עברית кириллица 🚀 a/b-c_d.e:1 ~"
    assert visible(text) == text


def test_what_is_written_out_can_be_recognised() -> None:
    assert visible("a\n\t\r\x00\x1b\x9b\u202e\U000e0001\ud800") == (
        r"a\n\t\r\x00\x1b\x9b\u202e\U000e0001\ud800"
    )


@given(st.text(st.characters(exclude_categories=[])))
def test_escaped_json_means_the_same(text: str) -> None:
    document = json_escaped(json.dumps({"a": text}, ensure_ascii=False))
    document.encode("utf-8")
    assert json.loads(document)["a"].encode("utf-16", "surrogatepass") == text.encode(
        "utf-16", "surrogatepass"
    )
    assert visible(document) == document


@given(st.text(), st.integers(3, 40))
def test_shortened_text_keeps_its_ends(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert len(short) <= limit
    assert short == text or (text.startswith(short.split("…")[0]) and len(text) > limit)
