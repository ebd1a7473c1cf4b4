"""Which regions an account has, and in which of them ECR is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import InvalidRegionError, UnknownRegionError
from botocore.utils import validate_region_name

from analyzer.collect.clients import CallSettings, ServiceClient, check_regions, client_config
from analyzer.collect.paging import entries, pages
from analyzer.collect.places import Access
from analyzer.collect.refusals import Refusal, RefusedError
from analyzer.model.records import PUBLIC_REGION

if TYPE_CHECKING:
    from boto3.session import Session

#: In place of names of regions: all that are enabled for the account, and its public registry.
ALL_REGIONS = "all"

#: Where STS is asked who we are when nobody names a region: one of each partition that the public can
#: use, which no account has to enable. The credentials of one partition are refused in all others.
HOME_REGIONS = ("us-east-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1")

#: Regions of the partition aws that are enabled in every account: those that opened before 20 March
#: 2019 (AWS Account Management reference guide, "Enable or disable AWS Regions in your account").
_ENABLED_BY_DEFAULT = frozenset(
    {
        *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1"),
        *("ap-southeast-2", "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2"),
        *("eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    }
)

#: The partition that has ECR Public (botocore's table of endpoints).
PUBLIC_PARTITION = "aws"

#: The longest name of a region that is kept.
_NAME = 32


class Enabled(NamedTuple):
    """The regions of one account."""

    regions: tuple[str, ...]
    #: The calls that would have said which are enabled, and why neither did; then ``regions`` are those
    #: that every account has.
    refusals: tuple[tuple[str, Refusal], ...] = ()


def wants_public(regions: Collection[str]) -> bool:
    """Whether ``regions``, as they were named, cover the account's public registry."""
    return ALL_REGIONS in regions or PUBLIC_REGION in regions


def greeting_regions(session: Session, regions: Collection[str]) -> tuple[str, ...]:
    """Where to ask who we are.

    In the ``regions`` that were named, else where the configuration says, or anywhere. Raises InputError
    for what cannot be the name of a region.
    """
    named = [] if ALL_REGIONS in regions else [name for name in regions if name != PUBLIC_REGION]
    if named:
        return check_regions(named)
    return tuple(dict.fromkeys(filter(None, (session.region_name, *HOME_REGIONS))))


def fetch_enabled_regions(
    session: Session, partition: str, access: Access, settings: CallSettings, region: str
) -> Enabled:
    """The regions that the account behind ``access`` has enabled and that ECR is in, by name.

    Asks account:ListRegions, and where that is refused ec2:DescribeRegions in ``region``.
    """
    refusals = []
    for service, operation, ask in (
        ("account", "ListRegions", _listed),
        ("ec2", "DescribeRegions", _described),
    ):
        made = access.client(service, region, client_config(settings))
        try:
            names = list(ask(ServiceClient(made, service, settings, is_own=access.is_own)))
        except RefusedError as error:
            refusals.append((f"{service}:{operation}", error.refusal))
            continue
        finally:
            made.close()
        return Enabled(_with_ecr(session, partition, names))
    known = session.get_available_regions("ecr", partition)
    always = [name for name in known if partition != "aws" or name in _ENABLED_BY_DEFAULT]
    return Enabled(_with_ecr(session, partition, always), tuple(refusals))


def partition_of(session: Session, region: str) -> str | None:
    """The partition that ``region`` is in by its name; None where botocore cannot tell."""
    if region == PUBLIC_REGION:
        return PUBLIC_PARTITION
    try:
        return session.get_partition_for_region(region)
    except UnknownRegionError:
        return None


def _listed(client: ServiceClient) -> Iterator[str]:
    # An account is ENABLING a region for hours, in which some of it answers already; it counts when
    # AWS says that it is done.
    for page in pages(client, "ListRegions", MaxResults=50):
        for entry in entries(page, "Regions"):
            if entry.get("RegionOptStatus") in ("ENABLED", "ENABLED_BY_DEFAULT"):
                yield str(entry.get("RegionName"))


def _described(client: ServiceClient) -> Iterator[str]:
    for entry in entries(client.call("DescribeRegions", AllRegions=True), "Regions"):
        if entry.get("OptInStatus") in ("opted-in", "opt-in-not-required"):
            yield str(entry.get("RegionName"))


def _with_ecr(session: Session, partition: str, names: Iterable[str]) -> tuple[str, ...]:
    """Those of ``names`` that ECR is in, as far as this botocore knows them.

    A region that is newer than botocore is taken to have ECR, as all have had from their first day.
    """
    # Every region has EC2.
    known = set(session.get_available_regions("ec2", partition))
    with_ecr = set(session.get_available_regions("ecr", partition))
    return tuple(
        sorted(name for name in set(names) if name in with_ecr or (name not in known and _is_name(name)))
    )


def _is_name(name: str) -> bool:
    try:
        validate_region_name(name)
    except InvalidRegionError:
        return False
    return 0 < len(name) <= _NAME
