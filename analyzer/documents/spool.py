"""What documents hold, kept on disk until it is asked for: memory need not hold a whole account."""

from __future__ import annotations

import json
import tempfile
import threading
from types import TracebackType
from typing import Any, NamedTuple, Self

from analyzer.errors import RunError


class Span(NamedTuple):
    """Where a value lies in its spool."""

    start: int
    length: int


class Spool:
    """JSON values in a file without a name, which is gone when the block ends; safe to use from threads."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the spool
        self._end = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, value: object) -> Span:
        """Keep ``value``; raises RunError where there is no room."""
        # ASCII alone, so that half of a surrogate pair survives.
        data = json.dumps(value, separators=(",", ":")).encode("ascii")
        with self._lock:
            start = self._end
            try:
                self._file.seek(start)
                self._file.write(data)
            except OSError as error:
                raise RunError(
                    f"cannot keep what the documents hold in {tempfile.gettempdir()}: "
                    f"{error.strerror or error}; point TMPDIR to a folder with room"
                ) from error
            self._end += len(data)
        return Span(start, len(data))

    def get(self, span: Span) -> Any:
        """What was kept there."""
        with self._lock:
            self._file.seek(span.start)
            data = self._file.read(span.length)
        return json.loads(data)
