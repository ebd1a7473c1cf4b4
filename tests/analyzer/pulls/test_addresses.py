"""AWS's ip-ranges: read with care, and the longest prefix found, as the ipaddress module finds it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.pulls import addresses
from analyzer.pulls.addresses import AddressBook, Location, Prefix, is_public, parse_ip_ranges
from tests.support.ip_ranges import ip_ranges_bytes, real_ip_ranges


def _book(*rows: tuple[str, str, str]) -> AddressBook:
    return AddressBook(Prefix(ip_network(prefix), region, service) for prefix, region, service in rows)


def _looked_up(prefixes: Iterable[Prefix], address: IPv4Address | IPv6Address) -> Location | None:
    """The same found by going through all prefixes."""
    around = [prefix for prefix in prefixes if address in prefix.network]
    if not around:
        return None
    longest = max(prefix.network.prefixlen for prefix in around)
    around = [prefix for prefix in around if prefix.network.prefixlen == longest]
    services = {prefix.service for prefix in around}
    best = {"EC2"} if "EC2" in services else services - {"AMAZON"} or services
    regions = {prefix.region for prefix in around if prefix.service in best}
    return Location(regions.pop() if len(regions) == 1 else "", "EC2" in services)


_REGIONS = st.sampled_from(["eu-west-1", "us-east-1", "ap-east-1", ""])
_SERVICES = st.sampled_from(["AMAZON", "EC2", "S3"])


@st.composite
def _prefixes4(draw: st.DrawFn) -> Prefix:
    # In few bits, so that prefixes nest and touch.
    length = draw(st.integers(20, 32))
    number = (52 << 24) + draw(st.integers(0, (1 << 12) - 1))
    return Prefix(ip_network((number >> 32 - length << 32 - length, length)), draw(_REGIONS), draw(_SERVICES))


@st.composite
def _prefixes6(draw: st.DrawFn) -> Prefix:
    length = draw(st.integers(116, 128))
    number = (0x26001F18 << 96) + draw(st.integers(0, (1 << 12) - 1))
    block = number >> 128 - length << 128 - length
    return Prefix(ip_network((IPv6Address(block), length)), draw(_REGIONS), draw(_SERVICES))


@given(
    st.lists(_prefixes4(), max_size=12),
    st.lists(_prefixes6(), max_size=12),
    st.lists(st.integers(-2, (1 << 12) + 2), min_size=20, max_size=60),
)
def test_the_longest_prefix_tells_as_if_all_were_gone_through(
    four: list[Prefix], six: list[Prefix], offsets: list[int]
) -> None:
    book = AddressBook([*four, *six])
    for offset in offsets:
        for address in (IPv4Address((52 << 24) + offset), IPv6Address((0x26001F18 << 96) + offset)):
            assert book.find(str(address)) == _looked_up([*four, *six], address)


def test_the_real_ranges_tell_what_the_ipaddress_module_finds_in_them() -> None:
    ranges = parse_ip_ranges(real_ip_ranges(), "ip-ranges.json")
    assert ranges.created_at == datetime(2026, 8, 22, 15, 17, 5, tzinfo=UTC)
    assert len(ranges.prefixes) == 10_668 + 6_160
    book = AddressBook(ranges.prefixes)
    chance = random.Random(7)
    for prefix in chance.sample(ranges.prefixes, 12):
        offset = chance.randrange(prefix.network.num_addresses)
        for address in (
            prefix.network[offset],
            prefix.network[0],
            prefix.network[-1],
            prefix.network[0] - 1,
            prefix.network[-1] + 1,
        ):
            same = (other for other in ranges.prefixes if other.network.version == address.version)
            assert book.find(str(address)) == _looked_up(same, address)
    assert {prefix.region for prefix in ranges.prefixes} >= {"", "eusc-de-east-1", "cn-north-1"}
    # A local zone counts as its region.
    assert all("-lax-" not in prefix.region for prefix in ranges.prefixes)
    assert book.find("203.0.113.12") is None


def test_of_equal_prefixes_ec2_tells_then_another_service_then_amazon() -> None:
    rows = [
        ("52.1.0.0/16", "us-east-1", "AMAZON"),
        ("52.1.0.0/16", "eu-west-1", "S3"),
        ("52.1.0.0/16", "ap-east-1", "EC2"),
    ]
    assert _book(*rows).find("52.1.2.3") == ("ap-east-1", True)
    assert _book(*rows[:2]).find("52.1.2.3") == ("eu-west-1", False)
    assert _book(*rows[:1]).find("52.1.2.3") == ("us-east-1", False)


def test_prefixes_that_contradict_each_other_tell_no_region() -> None:
    book = _book(("52.1.0.0/16", "us-east-1", "EC2"), ("52.1.0.0/16", "eu-west-1", "EC2"))
    assert book.find("52.1.2.3") == ("", True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AWS Internal",
        "lambda.amazonaws.com",
        "prod.frontend.ecr.aws.internal",
        "18.200.1",
        "18.200.1.1\0",
        "18.200.1.1/32",
        "018.200.1.1",
        "fe80::1%eth0",
        "::ffff:999.1.1.1",
        "2600:1f18::é",
        "1" * 5_000,
    ],
)
def test_what_is_no_address_is_nowhere_and_not_public(text: str) -> None:
    book = AddressBook(parse_ip_ranges(ip_ranges_bytes(), "f").prefixes)
    assert book.find(text) is None
    assert not is_public(text)


def test_an_ipv4_address_written_as_ipv6_is_the_same_address() -> None:
    book = _book(("18.200.0.0/16", "eu-west-1", "EC2"))
    assert book.find("::ffff:18.200.3.4") == ("eu-west-1", True)
    assert is_public("::ffff:8.8.8.8")
    assert not is_public("::ffff:10.0.0.1")


def test_private_and_special_addresses_are_not_public_and_no_prefix_makes_them_so() -> None:
    book = _book(("10.0.0.0/8", "eu-west-1", "EC2"), ("100.64.0.0/10", "eu-west-1", "EC2"))
    for address in ("10.1.2.3", "100.64.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.1", "224.0.0.1"):
        assert book.find(address) is None
        assert not is_public(address)
    for address in ("::1", "fd00::1", "fe80::1", "2001:db8::1", "ff02::1"):
        assert not is_public(address)
    assert is_public("8.8.8.8")
    assert is_public("2a00:1450:4001::1")


def test_a_book_without_prefixes_finds_nothing() -> None:
    assert AddressBook(()).find("8.8.8.8") is None
    assert AddressBook(()).find("2600:1f18::1") is None


def test_the_last_address_of_all_is_found() -> None:
    # Prefixes at the end of the space leave no block after them.
    book = _book(("2600::/20", "us-east-1", "EC2"))
    assert book.find(str(ip_address("2600:fff:ffff:ffff:ffff:ffff:ffff:ffff"))) == ("us-east-1", True)
    assert book.find("2600:1000::") is None


def test_a_file_of_awss_form_is_read_with_its_date_and_a_byte_order_mark() -> None:
    ranges = parse_ip_ranges(b"\xef\xbb\xbf" + ip_ranges_bytes(), "f")
    assert ranges.created_at == datetime(2026, 8, 22, 15, 17, 5, tzinfo=UTC)
    assert Prefix(ip_network("13.32.0.0/15"), "", "CLOUDFRONT") in ranges.prefixes
    assert AddressBook(ranges.prefixes).find("13.33.1.1") == ("", False)


def _changed(**changes: Any) -> bytes:
    document = json.loads(ip_ranges_bytes())
    entry = {name: changes.pop(name) for name in ("ip_prefix", "region", "service") if name in changes}
    document["prefixes"][0].update(entry)
    document.update(changes)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"<html>Sign in</html>", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is no JSON object"),
        (b"{}", "has the createDate null"),
        (_changed(createDate="2026-02-30-00-00-00"), "which no calendar has"),
        (_changed(createDate="0001-01-01-00-00-00"), "which cannot be"),
        (_changed(createDate="yesterday\x1b[2J"), r"createDate 'yesterday\x1b[2J'"),
        (_changed(prefixes=None), "prefixes is no list"),
        (_changed(prefixes=[7]), "prefixes, number 1 is no object"),
        (_changed(prefixes=[], ipv6_prefixes=[]), "names no prefix"),
        (_changed(region=7), "region 7, no text"),
        (_changed(region="<script>"), "region '<script>'"),
        (_changed(region=None), "has no region"),
        (_changed(service="ec2"), "service 'ec2'"),
        (_changed(ip_prefix="0.0.0.0/0"), "wider than any"),
        (_changed(ip_prefix="18.200.0.1/16"), "no block of IPv4"),
        (_changed(ip_prefix="18.200.0.1"), "no block of IPv4"),
        (_changed(ip_prefix="2600:1f18::/36"), "no block of IPv4"),
        (
            _changed(ipv6_prefixes=[{"region": "xx-y-1", "service": "EC2"}]),
            "ipv6_prefixes, number 1 has no ipv6",
        ),
    ],
)
def test_what_aws_would_not_publish_is_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_ip_ranges(data, "--ip-ranges f")
    assert str(caught.value).startswith("--ip-ranges f")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_MOST_PREFIXES", 3)
    with pytest.raises(InputError, match="names 8 prefixes, more than 3"):
        parse_ip_ranges(ip_ranges_bytes(), "f")
    monkeypatch.setattr(addresses, "MAX_BYTES", 1 << 6)
    with pytest.raises(InputError, match="is longer than"):
        parse_ip_ranges(ip_ranges_bytes(), "f")


def test_what_aws_may_add_is_let_pass() -> None:
    rows = [("18.200.0.0/16", "GLOBAL-EDGE", "NEW_SERVICE2"), ("52.1.0.0/16", "xx-new-north-12", "EC2")]
    ranges = parse_ip_ranges(ip_ranges_bytes(rows), "f")
    assert [prefix.region for prefix in ranges.prefixes] == ["", "xx-new-north-12"]
