"""Whether pulls may be read: asked of services that let in, that refuse, and that are not there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from analyzer.collect.permissions import PULLS, permissions_of
from analyzer.collect.probes import Verdict, probe_pulls
from analyzer.collect.refusals import Reach, Refusal, RefusedError


class _Service:
    """Answers every call, but those of ``denied``."""

    def __init__(self, name: str, denied: str, asked: list[str]) -> None:
        self._name = name
        self._denied = denied
        self._asked = asked

    def call(
        self, operation: str, *, tolerate: Collection[str] = (), **parameters: object
    ) -> Mapping[str, Any]:
        action = f"{self._name}:{operation}"
        assert "AccessDeniedException" not in tolerate
        assert set(parameters) == {"MaxResults"}
        self._asked.append(action)
        if action == self._denied:
            raise RefusedError(Refusal("AccessDeniedException", Reach.CALL, f"{action} is not authorized"))
        return {}


def _verdicts(denied: str) -> tuple[dict[str, Verdict], list[str]]:
    asked: list[str] = []
    probed = probe_pulls(lambda name: _Service(name, denied, asked), permissions_of(PULLS))
    return {one.permission.action: one.verdict for one in probed}, asked


def test_each_action_is_asked_for_once_and_only_the_denied_one_is_missing() -> None:
    actions = [row.action for row in permissions_of(PULLS)]
    for denied in ("", *actions):
        verdicts, asked = _verdicts(denied)
        assert sorted(asked) == actions
        assert verdicts == {
            action: Verdict.DENIED if action == denied else Verdict.GRANTED for action in actions
        }
