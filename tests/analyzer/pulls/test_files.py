"""Files of CloudTrail's: every form is read, in pieces or whole, and a damaged one counts for nothing."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.pulls import files
from analyzer.pulls.files import Extract, UnreadableFileError, read_file
from analyzer.pulls.records import Rules
from tests.support.examples import examples
from tests.support.trails import OWNER, REGION, layer, other_record, packed, record

_RULES = Rules()


def _rows(extract: Extract) -> list[tuple[Any, ...]]:
    targets, hints = list(extract.targets), list(extract.hints)
    columns = (extract.events, extract.joints, extract.days, extract.sides, extract.target, extract.hint)
    return [(*row[:4], targets[row[4]], hints[row[5]]) for row in zip(*columns, strict=True)]


def _all(records: list[Any]) -> list[tuple[Any, ...]]:
    extract = Extract()
    extract.add(records, _RULES)
    return _rows(extract)


def _mixed(number: int) -> list[dict[str, Any]]:
    return [
        record(f"e{n}", asked={"layerDigest": layer(n)}) if n % 3 else other_record(f"o{n}", note="x" * n)
        for n in range(number)
    ]


@pytest.mark.parametrize(
    "text",
    [
        lambda records: json.dumps({"Records": records}, separators=(",", ":")),
        lambda records: json.dumps({"Records": records}, indent=1),
        json.dumps,
        lambda records: "\n".join(json.dumps(found) for found in records) + "\n\n",
        lambda records: json.dumps({"Events": [{"CloudTrailEvent": json.dumps(found)} for found in records]}),
    ],
    ids=["trail", "indented", "list", "lines", "lookup"],
)
@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_every_form_of_file_gives_the_same_pulls(text: Any, pack: Any) -> None:
    records = _mixed(40)
    assert _rows(read_file(pack(text(records).encode()), _RULES)) == _all(records)


@examples(60)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 4_000))
def test_reading_in_pieces_is_reading_whole(kinds: list[int], piece: int) -> None:
    nested = {"eventVersion": "1.08", "eventName": "BatchGetImage"}
    makers = [
        lambda n: record(f"e{n}"),
        lambda n: other_record(f"e{n}"),
        lambda n: other_record(f"e{n}", read_only=True),
        # The seam's text deeper in a record, and in a string.
        lambda n: other_record(f"e{n}", requestParameters={"list": [{"a": 1}, nested, nested]}),
        lambda n: record(f"e{n}", userAgent='},{"eventVersion":"1.08"'),
        lambda n: other_record(f"e{n}", eventName="GetDownloadUrlForLayer"),
    ]
    records = [makers[kind](n) for n, kind in enumerate(kinds)]
    before = files._PIECE
    files._PIECE = piece
    try:
        extract = read_file(packed(records), _RULES)
    finally:
        files._PIECE = before
    assert _rows(extract) == _all(records)
    assert extract.has_reads == any(found["readOnly"] for found in records)


def test_a_trail_of_writes_alone_shows_no_read() -> None:
    assert not read_file(packed([other_record("a"), other_record("b")]), _RULES).has_reads
    data_event = other_record("a", read_only=True, managementEvent=False, eventCategory="Data")
    assert not read_file(packed([data_event]), _RULES).has_reads
    assert read_file(packed([other_record("a", read_only=True)]), _RULES).has_reads


def test_hours_are_those_of_all_records() -> None:
    records = [
        record("a", time="2026-10-05T08:14:02Z"),
        other_record("b", eventTime="2026-10-06T23:00:00Z"),
        {},
    ]
    extract = read_file(packed(records), _RULES, with_hours=True)
    assert extract.hours == {(OWNER, REGION, 20_731): 1 << 8, (OWNER, REGION, 20_732): 1 << 23}


def test_events_without_a_day_are_counted_apart() -> None:
    extract = read_file(packed([record("a", time="soon"), record("b")]), _RULES)
    assert (extract.undated, len(extract)) == (1, 1)


def test_members_of_a_gzip_are_put_together() -> None:
    whole = json.dumps({"Records": [record("a"), record("b")]}).encode()
    assert len(read_file(gzip.compress(whole[:700]) + gzip.compress(whole[700:]), _RULES)) == 2


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (packed(_mixed(20))[:-20], "cut short"),
        (packed(_mixed(20))[:12], "cut short"),
        (packed(_mixed(20))[:200] + b"xxxxxxxx" + packed(_mixed(20))[208:], "damaged"),
        (gzip.compress(b'{"Records":[{"eventName":"BatchGetImage"'), "not JSON"),
        (gzip.compress(b'{"Records":[{"eventName":"BatchGetImage",}]}'), "not JSON"),
        (b"", "not JSON"),
        (b"\x00\x01", "not JSON"),
        (b'{"Events":[{"CloudTrailEvent":"{"}]}', "not JSON"),
    ],
    # The data itself holds the time at which it was packed.
    ids=["short", "head", "spoilt", "open", "comma", "empty", "binary", "event"],
)
def test_a_damaged_file_says_why(data: bytes, why: str) -> None:
    with pytest.raises(UnreadableFileError, match=why):
        read_file(data, _RULES)


def test_a_file_that_unpacks_to_more_than_fits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1 << 20)
    assert not len(read_file(gzip.compress(json.dumps(["x" * (1 << 19)]).encode()), _RULES))
    for data in (gzip.compress(b" " * (2 << 20)), gzip.compress(b" " * (1 << 20)) * 2, b" " * (2 << 20)):
        with pytest.raises(UnreadableFileError, match="larger than 1 MiB"):
            read_file(data, _RULES)


@pytest.mark.parametrize(
    "document", [{"digestStartTime": "x", "logFiles": []}, {"Records": 7}, [], 7, None, {}]
)
def test_other_json_holds_no_pulls(document: Any) -> None:
    assert not len(read_file(json.dumps(document).encode(), _RULES))


def test_half_a_surrogate_pair_costs_no_file() -> None:
    records = [record("a", userAgent="\ud800"), record("b")]
    assert len(read_file(packed(records), _RULES)) == 2
