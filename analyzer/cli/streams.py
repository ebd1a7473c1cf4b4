"""stdout and stderr, as a closed pipe, a full disk or an old locale leave them to us.

The answer is what a command is for: that it cannot be written is a failure, except when whoever
read it hung up because they had seen enough. What stderr is told is a courtesy: it is dropped
where it cannot be written, and the work goes on.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TextIO

from analyzer.errors import RunError


def prepare_streams() -> None:
    """Let characters that the terminal's encoding lacks be written out instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        # A program that replaced them may have put anything there.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settle_streams() -> None:
    """Get rid of what is still held back, so that the interpreter's end cannot fail on it."""
    streams: tuple[TextIO | None, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                abandon(stream)


def print_answer(text: str, *, is_json: bool = False) -> None:
    """Write ``text`` to stdout; whoever closed the pipe has seen enough.

    Raises RunError where it cannot be written for any other reason.
    """
    # None: the process was started with its stdout closed.
    stream: TextIO | None = sys.stdout
    if stream is None:
        return
    encoding = (stream.encoding or "utf-8").lower()
    if is_json and not encoding.startswith("utf"):
        text = _ascii_json(text)
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        abandon(stream)
    except OSError as error:
        abandon(stream)
        raise RunError(f"cannot write to stdout: {error.strerror or error}") from error


def tell(text: str) -> None:
    """A line on stderr, with what a terminal would obey made visible; dropped where it cannot be written."""
    # Its regular expression is compiled when there is something to say.
    from reports.text import visible

    tell_raw(f"{visible(text)}\n", sys.stderr)


def tell_raw(text: str, stream: TextIO | None) -> None:
    """``text`` as it is on ``stream``; dropped where it cannot be written."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        abandon(stream)


class Dropping(io.TextIOBase):
    """A stream whose text goes to another one, or nowhere when that is lost."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has it as a variable
        """That of the stream behind it."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether the stream behind it is a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Pass ``text`` on."""
        tell_raw(text, self._stream)
        return len(text)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person is looking at ``stream``."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def abandon(stream: TextIO | None) -> None:
    """Lead ``stream`` to nowhere: what it holds back must not complain when the process ends."""
    if stream is None:
        return
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _ascii_json(document: str) -> str:
    # Outside its strings a JSON document is ASCII; inside them an escape says the same as the letter.
    return "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in document)
