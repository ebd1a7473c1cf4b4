"""Where EC2 instances and VPC endpoints are: asked by their ids, in each region of their account.

Ids are asked for as filters: a list of ids is refused whole for one that is not there. EC2 knows an
instance for about an hour after its end (EC2 user guide, "Terminate your instance").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from analyzer.collect.clients import CallSettings, ServiceClient, client_config
from analyzer.collect.gaps import gap_of
from analyzer.collect.paging import entries, pages
from analyzer.collect.places import Place
from analyzer.collect.refusals import Refusal, RefusedError
from analyzer.model.pulls import Machine
from analyzer.model.records import PUBLIC_REGION, Gap

#: Values that a filter takes (EC2 API reference, "Filter"), and so machines of one call.
_AT_MOST: Final = 200
_INSTANCE, _ENDPOINT = "i-", "vpce-"


class MachineFinder:
    """Finds machines in the accounts and regions of some registries; for one thread."""

    def __init__(self, places: Iterable[Place], settings: CallSettings) -> None:
        """Among ``places``; asks nothing yet."""
        self._settings = settings
        self._places: defaultdict[str, list[Place]] = defaultdict(list)
        for place in places:
            if place.key.region != PUBLIC_REGION:
                self._places[place.key.account].append(place)
        self._clients: dict[tuple[str, str], ServiceClient] = {}
        self._refused: dict[tuple[str, str, str], tuple[Place, Refusal]] = {}
        #: Machines that were looked for and are nowhere.
        self._missing: set[str] = set()

    def find(self, wanted: Mapping[str, Collection[str]], today: int) -> list[Machine]:
        """Those of ``wanted`` (ids by account) that are there, seen ``today`` (in days); sorted.

        What is not found is not looked for again, nor is a call that was refused made again.
        """
        found: list[Machine] = []
        for account, names in sorted(wanted.items()):
            left = set(names) - self._missing
            for place in self._places.get(account, ()):
                for prefix in (_INSTANCE, _ENDPOINT):
                    mine = sorted(name for name in left if name.startswith(prefix))
                    there = {name for name in self._ask(place, prefix, mine) if name in left}
                    found += [Machine(name, account, place.key.region, today) for name in there]
                    left -= there
            self._missing |= left
        return sorted(found)

    @property
    def gaps(self) -> list[Gap]:
        """What was refused, sorted: each call once in each account and region."""
        return sorted(
            gap_of(place.key, "", call, refusal) for (_, _, call), (place, refusal) in self._refused.items()
        )

    def _ask(self, place: Place, prefix: str, names: Sequence[str]) -> Iterator[str]:
        """Those of ``names``, which all begin with ``prefix``, that are in ``place``."""
        operation = "DescribeInstances" if prefix == _INSTANCE else "DescribeVpcEndpoints"
        key = (place.key.account, place.key.region, f"ec2:{operation}")
        for start in range(0, len(names), _AT_MOST):
            if key in self._refused:
                return
            some = list(names[start : start + _AT_MOST])
            try:
                if prefix == _INSTANCE:
                    yield from self._instances(place, some)
                else:
                    yield from self._endpoints(place, some)
            except RefusedError as error:
                self._refused[key] = (place, error.refusal)

    def _instances(self, place: Place, names: list[str]) -> Iterator[str]:
        filters = [{"Name": "instance-id", "Values": names}]
        for page in pages(self._client(place), "DescribeInstances", Filters=filters):
            for reservation in entries(page, "Reservations"):
                yield from _ids(entries(reservation, "Instances"), "InstanceId")

    def _endpoints(self, place: Place, names: list[str]) -> Iterator[str]:
        filters = [{"Name": "vpc-endpoint-id", "Values": names}]
        for page in pages(self._client(place), "DescribeVpcEndpoints", Filters=filters):
            yield from _ids(entries(page, "VpcEndpoints"), "VpcEndpointId")

    def _client(self, place: Place) -> ServiceClient:
        key = (place.key.account, place.key.region)
        client = self._clients.get(key)
        if client is None:
            made = place.access.client("ec2", place.key.region, client_config(self._settings))
            client = self._clients[key] = ServiceClient(
                made, "ec2", self._settings, is_own=place.access.is_own
            )
        return client


def _ids(rows: Iterable[Mapping[str, Any]], name: str) -> Iterator[str]:
    return (value for row in rows if isinstance(value := row.get(name), str))
