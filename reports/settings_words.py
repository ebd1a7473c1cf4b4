"""What registries and repositories are set to do, in words that every format shows."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.model.registry_settings import Exposure, Grant, Openness, Place, ReplicationRule, ScanRule

#: Of an exposure, in a table.
OPENNESS = {
    Openness.PRIVATE: "its own account",
    Openness.SERVICES: "AWS services",
    Openness.ACCOUNTS: "other accounts",
    Openness.ORGANIZATION: "an organization",
    Openness.CONDITIONAL: "anyone, under conditions",
    Openness.PUBLIC: "anyone",
    Openness.UNKNOWN: "unknown",
}
#: Of a scan frequency.
FREQUENCIES = {
    "CONTINUOUS_SCAN": "continuously",
    "SCAN_ON_PUSH": "on push",
    "MANUAL": "not by itself",
}


def grant_words(grant: Grant) -> str:
    """``account 444455556666: pull`` and the like."""
    who = "anyone" if grant.kind == "public" else f"{grant.kind} {grant.who}"
    narrowed = " (a part of it, or under conditions)" if grant.is_narrowed else ""
    return f"{who}: {', '.join(grant.access)}{narrowed}"


def exposed_to(exposure: Exposure) -> list[str]:
    """Whom an exposure names, each with what is open to them."""
    return [grant_words(grant) for grant in exposure.grants]


def place_words(place: Place) -> str:
    """``444455556666/eu-west-1`` of a destination or source."""
    return f"{place.account}/{place.region}"


def scan_rule_words(rule: ScanRule) -> str:
    """``on push: prod/*, identity``."""
    return f"{FREQUENCIES.get(rule.frequency, rule.frequency)}: {_texts(rule.filters)}"


def replication_rule_words(rule: ReplicationRule) -> str:
    """``prod, x/ to 444455556666/eu-west-1``."""
    what = _texts(rule.prefixes) if rule.prefixes else "everything"
    where = ", ".join("/".join(destination) for destination in rule.destinations) or "nowhere"
    return f"{what} to {where}{', deletions too' if rule.deletes else ''}"


def _texts(texts: Sequence[str]) -> str:
    return ", ".join(texts) if texts else "nothing"
