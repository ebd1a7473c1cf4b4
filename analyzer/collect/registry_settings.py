"""The settings of one registry, and how its repositories are scanned, which is asked of many at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from analyzer.collect import ecr, settings
from analyzer.collect.callers import is_excluded
from analyzer.collect.clients import RegistryClient
from analyzer.collect.gaps import gap_of
from analyzer.collect.refusals import (
    PARAMETER_CODES,
    REPOSITORY_GONE,
    UNSERVED_CODES,
    Refusal,
    RefusedError,
)
from analyzer.collect.tasks import Tasks
from analyzer.model.answers import NOT_GIVEN
from analyzer.model.records import Gap, RepositoryRead

_REGISTRY_SETTINGS: Mapping[str, tuple[str, Callable[[RegistryClient], str]]] = {
    "blob_mounting": ("GetAccountSetting", ecr.fetch_blob_mounting),
    "basic_scan_type_version": (
        "GetAccountSetting",
        partial(settings.fetch_account_setting, name="BASIC_SCAN_TYPE_VERSION"),
    ),
    "registry_policy_scope": (
        "GetAccountSetting",
        partial(settings.fetch_account_setting, name="REGISTRY_POLICY_SCOPE"),
    ),
    "pull_through_cache_rules": ("DescribePullThroughCacheRules", ecr.fetch_pull_through_cache_rules),
    "pull_time_update_exclusions": ("ListPullTimeUpdateExclusions", ecr.fetch_pull_time_exclusions),
    "scanning_configuration": ("GetRegistryScanningConfiguration", settings.fetch_scanning_configuration),
    "replication_configuration": ("DescribeRegistry", settings.fetch_replication_configuration),
    "registry_policy_text": ("GetRegistryPolicy", settings.fetch_registry_policy),
    "repository_creation_templates": (
        "DescribeRepositoryCreationTemplates",
        settings.fetch_creation_templates,
    ),
}
#: What says nothing of the other settings that the same call gives.
_OF_ONE_SETTING = PARAMETER_CODES | {NOT_GIVEN}
#: Asked for many repositories at a time.
_SCANNING = "BatchGetRepositoryScanningConfiguration"


class SettingsReader:
    """Reads the settings of one registry; its ``fetch`` methods run on the lane."""

    def __init__(
        self,
        client: RegistryClient,
        tasks: Tasks,
        gaps: list[Gap],
        unserved: dict[str, Refusal],
        known: Mapping[str, str],
    ) -> None:
        """``gaps`` is where gaps are noted, and ``known`` are settings that nobody has to ask for.

        ``unserved`` are calls that this endpoint does not know, with what it said: not asked again, and
        one gap each. It is filled by the tasks themselves, so that no second one goes on asking.
        """
        self.key = client.key
        self.settings = dict(known)
        self._client = client
        self._tasks = tasks
        self._gaps = gaps
        self._unserved = unserved
        #: Repository name to how it is scanned, or to why that is not known.
        self._scanning: dict[str, str] = {}
        self._scanning_refused: dict[str, Refusal] = {}
        #: Of whole calls, by reason, with the number of repositories they were about.
        self._scanning_refusals: dict[str, tuple[Refusal, int]] = {}

    def start(self, repositories: Sequence[str]) -> None:
        """Begin to ask for all of it; the settings are there when the tasks are done."""
        lacking = self._client.lacking
        for operation in dict.fromkeys(operation for operation, _ in _REGISTRY_SETTINGS.values()):
            if operation not in lacking:
                self._tasks.start(partial(self._fetch_settings, operation), self._keep_settings)
        names = [] if _SCANNING in lacking else repositories
        for first in range(0, len(names), settings.SCANNING_BATCH):
            batch = names[first : first + settings.SCANNING_BATCH]
            self._tasks.start(partial(self._fetch_scanning, batch), self._keep_scanning)

    def count_gaps(self) -> None:
        """Note gaps for settings of repositories that were not asked for one by one.

        One per call that the endpoint does not know. For scanning one per reason where whole calls
        were refused, and one per repository otherwise, unless that is known already to be gone.
        """
        for operation, refusal in self._unserved.items():
            self._gaps.append(gap_of(self.key, "", operation, refusal))
        gone = {gap.repository for gap in self._gaps if gap.reason == REPOSITORY_GONE}
        for refusal, count in self._scanning_refusals.values():
            self._gaps.append(gap_of(self.key, "", _SCANNING, refusal, count=count))
        for name, refusal in self._scanning_refused.items():
            if not (refusal.reason in self._scanning_refusals or name in gone):
                self._gaps.append(gap_of(self.key, name, _SCANNING, refusal))

    def with_scanning(self, read: RepositoryRead) -> RepositoryRead:
        """``read`` with how it is scanned, where that is known."""
        scanning = self._scanning.get(read.name)
        if scanning is None:
            return read
        return replace(read, settings={**read.settings, "scanning": scanning})

    def _fetch_settings(self, operation: str) -> tuple[str, dict[str, str], dict[str, Refusal]]:
        """The settings that ``operation`` gives, and those it does not, with why."""
        found: dict[str, str] = {}
        refused: dict[str, Refusal] = {}
        for name, (source, fetch) in _REGISTRY_SETTINGS.items():
            if source != operation:
                continue
            # Only its name may be what ECR does not like of one of them, and one may not have been
            # written down; anything else would be said of the next as well.
            before = next((r for r in refused.values() if r.reason not in _OF_ONE_SETTING), None)
            if before is not None:
                refused[name] = before
                continue
            try:
                found[name] = fetch(self._client)
            except RefusedError as error:
                refused[name] = error.refusal
        return operation, found, refused

    def _keep_settings(self, result: tuple[str, dict[str, str], dict[str, Refusal]]) -> None:
        operation, found, refused = result
        self.settings |= found
        of_reason: dict[str, list[str]] = {}
        for name, refusal in refused.items():
            of_reason.setdefault(refusal.reason, []).append(name)
        for names in of_reason.values():
            self._gaps.append(gap_of(self.key, "", operation, refused[names[0]], settings=names))
        excluded = found.get("pull_time_update_exclusions")
        if excluded is not None and self._client.caller:
            is_ours = is_excluded(self._client.caller, json.loads(excluded))
            self.settings["collector_excluded"] = ecr.canonical(is_ours)

    def _fetch_scanning(self, names: Sequence[str]) -> settings.ScanningAnswers:
        if _SCANNING in self._unserved:
            return settings.ScanningAnswers()
        answers = settings.fetch_scanning(self._client, names)
        for refusal, _ in answers.refusals:
            if refusal.reason in UNSERVED_CODES:
                self._unserved.setdefault(_SCANNING, refusal)
                return settings.ScanningAnswers(answers.settings)
        return answers

    def _keep_scanning(self, answers: settings.ScanningAnswers) -> None:
        self._scanning |= answers.settings
        self._scanning_refused |= answers.refused
        for refusal, names in answers.refusals:
            known, count = self._scanning_refusals.get(refusal.reason, (refusal, 0))
            self._scanning_refusals[refusal.reason] = known, count + len(names)
