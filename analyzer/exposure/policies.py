"""Policies of repositories and registries, and which of them count for which repository."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress

from analyzer.exposure.actions import ACTIONS, REGISTRY_ACTIONS
from analyzer.exposure.grants import exposure_of_statements
from analyzer.exposure.statements import Statement, UnreadableError, read_statements
from analyzer.model.frames import Frames
from analyzer.model.records import ABSENT, PUBLIC_REGION
from analyzer.model.registry_settings import Exposure, Grant, Openness, Settings


def exposure_of_repositories(frames: Frames, settings: Settings) -> list[Exposure]:
    """Whom each repository of ``frames`` is open to, in their order."""
    registries = [
        _Registry(str(account), own, is_public=region == PUBLIC_REGION)
        for account, region, own in zip(
            frames.registries["account"], frames.registries["region"], settings.registries, strict=True
        )
    ]
    known: dict[tuple[int, str | None, tuple[int, ...]], Exposure] = {}
    found = []
    rows = zip(frames.repositories["registry"].tolist(), settings.repositories, strict=True)
    for position, own in rows:
        registry = registries[position]
        text = own.get("repository_policy_text")
        applying = registry.about(json.loads(own["arn"]) if "arn" in own else None)
        key = position, text, applying
        if key not in known:
            known[key] = registry.exposure(text, applying)
        found.append(known[key])
    return found


def exposure_of_registries(frames: Frames, settings: Settings) -> list[Exposure]:
    """Whom the registries' own policies let in: to replicate, import, create and, in V2, all else."""
    return [
        _Registry(str(account), own).own_exposure()
        for account, own in zip(frames.registries["account"], settings.registries, strict=True)
    ]


def exposure_of_policy(text: str | None, account: str) -> Exposure:
    """Whom a repository policy lets in, seen from its ``account``; None for no policy."""
    try:
        return exposure_of_statements(read_statements(text), account)
    except UnreadableError as error:
        return Exposure(Openness.UNKNOWN, (), str(error))


class _Registry:
    """A registry's policy, as far as it counts for its repositories."""

    def __init__(self, account: str, settings: Mapping[str, str], *, is_public: bool = False) -> None:
        self._account = account
        self._is_public = is_public
        self._scope = json.loads(settings.get("registry_policy_scope", ABSENT))
        self._statements: tuple[Statement, ...] = ()
        #: Why the policy is not known; "" where it is.
        self._reason = ""
        text = settings.get("registry_policy_text")
        if text is None:
            self._reason = "the registry's policy was not read"
        else:
            try:
                self._statements = read_statements(json.loads(text))
            except UnreadableError as error:
                self._reason = f"the registry's policy: {error}"
        self._for_repositories = tuple(
            number
            for number, statement in enumerate(self._statements)
            if statement.actions - REGISTRY_ACTIONS.keys()
        )

    def about(self, arn: str | None) -> tuple[int, ...]:
        """Which statements count for the repository of that ARN; all where it is None, not known."""
        if self._scope == "V1":
            return ()
        return tuple(
            number
            for number in self._for_repositories
            if arn is None or self._statements[number].is_about(arn)
        )

    def exposure(self, text: str | None, applying: Sequence[int]) -> Exposure:
        """Of a repository with the policy ``text`` (JSON), for which the statements ``applying`` count."""
        if self._is_public:
            return self._public_exposure(text)
        if text is None:
            return Exposure(Openness.UNKNOWN, (), "its policy was not read")
        try:
            own = read_statements(json.loads(text))
        except UnreadableError as error:
            return Exposure(Openness.UNKNOWN, (), str(error))
        statements = [*own, *(self._statements[number] for number in applying)]
        exposure = exposure_of_statements(statements, self._account, without=REGISTRY_ACTIONS.keys())
        reason = self._reason
        if not reason and applying and self._scope != "V2":
            reason = "whether the registry's policy counts for repositories was not read"
        if reason and exposure.openness is not Openness.PUBLIC:
            return Exposure(Openness.UNKNOWN, exposure.grants, reason)
        return exposure

    def _public_exposure(self, text: str | None) -> Exposure:
        """Of a public repository: anyone pulls, whatever its policy says or however little is known of it."""
        grants = {Grant("public", "*", ("pull",))}
        # One that was not read says nothing of who pushes; that is a gap, and opens no less.
        with suppress(UnreadableError):
            own = read_statements(None if text is None else json.loads(text), service="ecr-public:")
            grants.update(exposure_of_statements(own, self._account).grants)
        return Exposure(Openness.PUBLIC, tuple(sorted(grants)), "")

    def own_exposure(self) -> Exposure:
        """Of the registry itself."""
        if self._reason:
            return Exposure(Openness.UNKNOWN, (), self._reason.removeprefix("the registry's policy: "))
        left_out = ACTIONS - REGISTRY_ACTIONS.keys() if self._scope == "V1" else frozenset()
        return exposure_of_statements(self._statements, self._account, without=left_out)
