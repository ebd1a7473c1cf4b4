"""Botocore's events under names that are looked up once for all clients of a run.

Whatever a client emits goes through a table of some sixty old names of services first, and what is
found there is remembered by that client alone. Each registry has a client of its own, so that the
same hundred names would be worked out again for every one of them: 10 ms of CPU a registry, more
than half of what a client costs. Botocore lets a session have the hooks that its clients copy, and
that is all that differs here: names are still translated by botocore itself, and handlers are kept
and called by botocore's own emitter, those of each client apart.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.hooks import BaseEventHooks, EventAliaser, HierarchicalEmitter


class ClientSession(botocore.session.Session):
    """A botocore session whose clients share what they know of names."""

    def __init__(self, profile: str | None = None) -> None:
        """``profile`` is one of the user's AWS configuration; None leaves it to the environment."""
        emitter = HierarchicalEmitter()
        super().__init__(profile=profile, event_hooks=emitter)
        self.register_component("event_emitter", _SharedNames(emitter))


class _SharedNames(BaseEventHooks):
    """What `EventAliaser` does, for one emitter, with one memory for all."""

    def __init__(self, emitter: HierarchicalEmitter) -> None:
        self._emitter = emitter

    def emit(self, event_name: str, **kwargs: Any) -> Any:
        return self._emitter.emit(_translated(event_name), **kwargs)

    def emit_until_response(self, event_name: str, **kwargs: Any) -> Any:
        return self._emitter.emit_until_response(_translated(event_name), **kwargs)

    def register(self, event_name: str, *arguments: Any, **options: Any) -> None:
        self._emitter.register(_translated(event_name), *arguments, **options)

    def register_first(self, event_name: str, *arguments: Any, **options: Any) -> None:
        self._emitter.register_first(_translated(event_name), *arguments, **options)

    def register_last(self, event_name: str, *arguments: Any, **options: Any) -> None:
        self._emitter.register_last(_translated(event_name), *arguments, **options)

    def unregister(self, event_name: str, *arguments: Any, **options: Any) -> None:
        self._emitter.unregister(_translated(event_name), *arguments, **options)

    def __copy__(self) -> _SharedNames:
        """What a new client gets: handlers of its own, beginning with those of the session."""
        return _SharedNames(copy.copy(self._emitter))


class _Echo(BaseEventHooks):
    """Gives back the name of what is emitted."""

    def emit(self, event_name: str, **_: Any) -> Any:
        return event_name


# Names are made of services and operations, of which a run has some hundreds.
@lru_cache(maxsize=8192)
def _translated(event_name: str) -> str:
    """The name that handlers of ``event_name`` are kept under."""
    name: str = EventAliaser(_Echo()).emit(event_name)
    return name
