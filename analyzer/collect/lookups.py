"""CloudTrail's event history: what it holds of pulls without any trail, for 90 days.

Asked of each registry's account in the registry's region, for one kind of event at a time, because
LookupEvents takes a single condition; at two requests a second, the quota of an account and region, of
50 events each (CloudTrail user guide, "Quotas").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from analyzer.collect.clients import CallSettings, ServiceClient, client_config
from analyzer.collect.places import Place
from analyzer.collect.refusals import RefusedError
from analyzer.pulls.files import UnreadableFileError
from analyzer.pulls.records import PULL_EVENTS

#: Days that the history reaches back.
HISTORY_DAYS: Final = 90
LOOKUP_RATES: Final = {"cloudtrail:LookupEvents": 2.0}
_DAY = timedelta(days=1)


class EventHistory:
    """The event history of one registry's account and region."""

    def __init__(self, place: Place, settings: CallSettings) -> None:
        """Of the registry ``place``; asks nothing yet."""
        client = place.access.client("cloudtrail", place.key.region, client_config(settings))
        self._client = ServiceClient(client, "cloudtrail", settings, is_own=place.access.is_own)

    def pages(self, day: int) -> Iterator[list[Mapping[str, Any]]]:
        """The pulls of a day (since 1970-01-01 UTC), as pages of events with their CloudTrailEvent.

        Raises UnreadableFileError where a page is refused.
        """
        start = datetime.fromtimestamp(0, UTC) + day * _DAY
        # Both ends are included, to the second.
        window: dict[str, Any] = {"StartTime": start, "EndTime": start + _DAY - timedelta(seconds=1)}
        for name in sorted(PULL_EVENTS):
            condition = [{"AttributeKey": "EventName", "AttributeValue": name}]
            token: dict[str, Any] = {}
            while True:
                try:
                    page = self._client.call(
                        "LookupEvents", LookupAttributes=condition, MaxResults=50, **window, **token
                    )
                except RefusedError as error:
                    why = f"cloudtrail:LookupEvents: {error.refusal.reason} ({error.refusal.detail})"
                    raise UnreadableFileError(why) from error
                yield [event for event in page.get("Events") or () if isinstance(event, Mapping)]
                following = page.get("NextToken")
                if not following:
                    break
                if following == token.get("NextToken"):
                    raise UnreadableFileError(
                        "cloudtrail:LookupEvents: the same page token came twice in a row"
                    )
                token = {"NextToken": following}
