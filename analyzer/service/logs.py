"""What the service tells: one JSON object a line, or plain lines where a person looks on.

Every value may come from AWS, so whatever a terminal would obey is written out; and what was given as a
secret is blotted out of every line, whoever wrote it (libraries log the addresses that they call).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, TextIO

from pythonjsonlogger.json import JsonFormatter

from analyzer.model.units import iso
from reports.text import json_escaped, visible

_BLOT: Final = "***"
#: Shorter ones would blot out half of the log, and are no secrets.
_SHORTEST: Final = 4


class _Json(JsonFormatter):
    """time, level, logger, message, and whatever else the record was given."""

    def __init__(self, blots: re.Pattern[str] | None) -> None:
        super().__init__(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            json_ensure_ascii=False,
        )
        self._blots = blots

    def add_fields(
        self, log_data: dict[str, object], record: logging.LogRecord, message_dict: dict[str, object]
    ) -> None:
        log_data["time"] = iso(_moment(record))
        super().add_fields(log_data, record, message_dict)

    def format(self, record: logging.LogRecord) -> str:
        return json_escaped(_blotted(super().format(record), self._blots))


class _Plain(logging.Formatter):
    """``2026-11-23T02:00:00Z INFO the run begins``."""

    def __init__(self, blots: re.Pattern[str] | None) -> None:
        super().__init__("%(levelname)s %(message)s")
        self._blots = blots

    def format(self, record: logging.LogRecord) -> str:
        text = f"{iso(_moment(record))} {super().format(record)}"
        # A traceback has lines, and each is made visible by itself.
        return "\n".join(visible(line) for line in _blotted(text, self._blots).split("\n"))


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _blotted(text: str, blots: re.Pattern[str] | None) -> str:
    return text if blots is None else blots.sub(_BLOT, text)


def _pattern(secrets: Collection[str]) -> re.Pattern[str] | None:
    # The longest first: one may begin with another.
    spelt = {form for secret in secrets for form in (secret, json.dumps(secret)[1:-1])}
    known = sorted({form for form in spelt if len(form) >= _SHORTEST}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, known))) if known else None


@contextmanager
def logging_to(
    stream: TextIO, *, as_json: bool, secrets: Collection[str], debug: bool = False
) -> Iterator[None]:
    """Whatever is logged goes to ``stream``, with none of ``secrets`` in it, until the block ends."""
    blots = _pattern(secrets)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json(blots) if as_json else _Plain(blots))
    root, ours = logging.getLogger(), logging.getLogger("demurrage")
    before, level = root.level, ours.level
    root.addHandler(handler)
    # Of libraries only what went wrong; their chatter is about every call.
    root.setLevel(logging.WARNING)
    ours.setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        ours.setLevel(level)
