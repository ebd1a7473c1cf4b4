"""Which manifests this process has fetched or is fetching, so that each is fetched once.

The same digest is often in many repositories and, replicated, in many regions. Whoever asks for it
first claims it; the others look again when they have nothing else to do. A claim is held for one
call and the write that follows it, and nobody waits while holding one, so there is nothing to
deadlock on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable


class Claims:
    """Shared by all registries of a run."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        #: digest: False while somebody fetches it, True once it is stored; free digests are absent.
        self._stored: dict[str, bool] = {}
        self._changes = 0

    def take(
        self, wanted: deque[str], at_most: int, busy: list[str], *, even_busy: bool = False
    ) -> list[str]:
        """Claim up to ``at_most`` digests off the front of ``wanted``.

        What is stored by now is dropped; what somebody else is fetching goes to ``busy``, unless
        ``even_busy``: then it is claimed all the same.
        """
        mine: list[str] = []
        with self._changed:
            while wanted and len(mine) < at_most:
                digest = wanted.popleft()
                state = self._stored.get(digest)
                if state:
                    continue
                if state is None or even_busy:
                    self._stored[digest] = False
                    mine.append(digest)
                else:
                    busy.append(digest)
        return mine

    def settle(self, stored: Iterable[str] = (), failed: Iterable[str] = ()) -> None:
        """End claims: ``stored`` are in the store, ``failed`` may be tried from elsewhere."""
        with self._changed:
            for digest in failed:
                if self._stored.get(digest) is False:
                    del self._stored[digest]
            self._stored.update(dict.fromkeys(stored, True))
            self._changes += 1
            self._changed.notify_all()

    def is_stored(self, digest: str) -> bool:
        """Whether this process has stored ``digest``."""
        with self._changed:
            return self._stored.get(digest, False)

    @property
    def changes(self) -> int:
        """A number that grows whenever claims end."""
        with self._changed:
            return self._changes

    def wait(self, seen: int, timeout: float) -> None:
        """Wait until ``changes`` is no longer ``seen``, at most ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes != seen, timeout)
