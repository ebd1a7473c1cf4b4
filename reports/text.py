"""Text of other people made safe to look at.

Repository names, tags, error messages and price sources come from outside. A terminal, a browser
and a spreadsheet each obey some characters that nobody sees: line ends, escape sequences,
right-to-left overrides, joiners. Every format shows such a character instead of emitting it.
"""

from __future__ import annotations

import re
from typing import Final

#: Control, format, surrogate and line-separating characters, the non-characters U+FFFE and U+FFFF,
#: and the letters that Unicode defines to be invisible: the body of a regular-expression class.
UNSEEN: Final = (
    "\\x00-\\x1f\\x7f-\\x9f\\xad"
    "\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u115f\\u1160\\u180e"
    "\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164"
    "\\ud800-\\udfff\\ufeff\\uffa0\\ufff9-\\ufffb\\ufffe\\uffff"
    "\\U000110bd\\U000110cd\\U00013430-\\U0001343f\\U0001bca0-\\U0001bca3"
    "\\U0001d173-\\U0001d17a\\U000e0001\\U000e0020-\\U000e007f"
)

_UNSEEN_CHARACTER = re.compile(f"[{UNSEEN}]")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    r"""``text`` with every unseen character written out: ``\n``, ``\x1b``, ``\u202e``, ``\U000e0001``.

    All else, other scripts included, stays as it is. A backslash stays single: the result is for
    reading and is never parsed back.
    """
    return _UNSEEN_CHARACTER.sub(_written_out, text)


def json_escaped(document: str) -> str:
    r"""A JSON document with the unseen characters inside its strings as ``\uXXXX`` escapes.

    Line feeds are kept: inside strings ``json.dumps`` has escaped them already, outside they are
    layout.
    """
    return _UNSEEN_CHARACTER.sub(_json_escape, document)


def shortened(text: str, limit: int) -> str:
    """``text``, or its beginning and its end around an ellipsis: at most ``limit`` characters."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def _written_out(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\n":
        return character
    code = ord(character)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
