"""TOML tables of price books under reading: every value checked, every complaint with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final, TypeGuard

from analyzer.errors import InputError
from analyzer.model.records import PUBLIC_REGION

#: The region of a row that holds wherever no row names the region itself.
EVERYWHERE: Final = "*"

#: The names that regions of the commercial partition have; those of GovCloud, of the isolated
#: partitions and of the European Sovereign Cloud do not fit, and China is excepted by hand.
COMMERCIAL_REGION: Final = re.compile(r"(?!cn-)[a-z]{2}-[a-z]+-\d{1,2}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+){1,3}-\d{1,2}", re.ASCII)
#: Bounded, so that products of them stay exact in the digits that ``pricing`` computes with.
_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_CONFIDENCES = ("high", "medium", "low")


class PriceTable:
    """One TOML table under reading, with its place for messages."""

    def __init__(self, origin: str, place: str, values: Mapping[str, object]) -> None:
        self.origin = origin
        self.place = place
        self.values = values

    def error(self, key: str, complaint: str) -> InputError:
        """What to raise about ``key``."""
        return InputError(f"{self.origin}: {self.place}, {key}: {complaint}")

    def only(self, known: set[str]) -> None:
        """Refuse keys that nobody would read: a misspelt price must not be silently ignored."""
        for key in sorted(self.values.keys() - known):
            raise self.error(repr(key), f"is not a known key; the keys here are {', '.join(sorted(known))}")

    def get(self, key: str) -> object:
        """The value of a required key."""
        if key not in self.values:
            raise self.error(key, "is missing; add it")
        return self.values[key]

    def tables(self, key: str, example: str) -> list[PriceTable]:
        """The tables of an array; none when the key is absent."""
        found = self.values.get(key, [])
        if not _is_list(found) or not all(isinstance(item, dict) for item in found):
            raise self.error(key, f"is not a list of tables; write {example}")
        prefix = "" if self.place == "the top level" else f"{self.place}, "
        return [
            PriceTable(self.origin, f"{prefix}{key} number {number}", item)
            for number, item in enumerate(found, start=1)
            if isinstance(item, dict)
        ]

    def text(self, key: str) -> str:
        """Printable text that is not empty."""
        value = self.get(key)
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise self.error(key, f"is {value!r}; write one line of text in quotes")
        return value

    def number(self, key: str) -> Decimal:
        """An exact number that is not negative."""
        value = self.get(key)
        if isinstance(value, float):
            raise self.error(
                key, f'is the float {value!r}, which is not exact; write it in quotes: "{value!r}"'
            )
        text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
        if text.startswith("-"):
            raise self.error(key, f"is {value!r}; it cannot be negative")
        if not _DECIMAL.fullmatch(text):
            raise self.error(
                key, f'is {value!r}; write a decimal such as "0.10", with at most 12 digits on either side'
            )
        return Decimal(text)

    def factor(self, key: str) -> Decimal:
        """A part of the list price: above 0, at most 10 (a mistyped 93 is not 93 %)."""
        value = self.number(key)
        if not 0 < value <= 10:
            raise self.error(
                key,
                f"is {value}; write what is paid of the list price, above 0 and at most 10 (0.93 is 7 % off)",
            )
        return value

    def region(self, key: str, value: object, *, everywhere: bool) -> str:
        """A region's code, "public", or ``"*"`` where that is allowed."""
        if isinstance(value, str) and (
            _REGION.fullmatch(value) or value == PUBLIC_REGION or (everywhere and value == EVERYWHERE)
        ):
            return value
        star = ' or "*"' if everywhere else ""
        raise self.error(key, f'is {value!r}; write a region\'s code such as "eu-west-1"{star}')

    def regions(self, key: str = "regions") -> list[str]:
        """A list of regions' codes, "public" and ``"*"`` among them; never empty."""
        regions = self.get(key)
        if not _is_list(regions) or not regions:
            raise self.error(key, f'is {regions!r}; write a list such as ["eu-west-1"]')
        return [self.region(key, value, everywhere=True) for value in regions]

    def whole(self, key: str) -> int:
        """A whole number of GB."""
        value = self.number(key)
        if value != int(value):
            raise self.error(key, f"is {value}; write whole GB")
        return int(value)

    def confidence(self) -> str:
        """How far the row is to be trusted: high, medium or low."""
        if (confidence := self.text("confidence")) not in _CONFIDENCES:
            raise self.error("confidence", f"is {confidence!r}; write one of {', '.join(_CONFIDENCES)}")
        return confidence

    def as_of(self) -> str:
        """The day or month of a price, as ISO text."""
        value = self.get("as_of")
        # A datetime is a date too, but its time of day would say more than a price list can.
        if type(value) is date:
            return value.isoformat()
        if isinstance(value, str):
            if _MONTH.fullmatch(value):
                return value
            try:
                if date.fromisoformat(value).isoformat() == value:
                    return value
            except ValueError:
                pass
        raise self.error("as_of", f'is {value!r}; write a day "2026-09-24" or a month "2026-09"')

    def steps(self, price_key: str, example: str) -> list[tuple[int, Decimal]]:
        """The tiers: from how many GB each holds, and its price; upwards from 0, never empty."""
        steps: list[tuple[int, Decimal]] = []
        for step in self.tables("tiers", example):
            step.only({"from_gb", price_key})
            from_gb = step.whole("from_gb")
            if not steps and from_gb != 0:
                raise step.error("from_gb", f"is {from_gb}; the first tier begins at 0")
            if steps and from_gb <= steps[-1][0]:
                raise step.error(
                    "from_gb", f"is {from_gb}, not above the tier before; order the tiers upwards"
                )
            steps.append((from_gb, step.number(price_key)))
        if not steps:
            raise self.error("tiers", f"is missing or empty; write {example}")
        return steps


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)
