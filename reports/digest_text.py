"""A digest as text: plain for mail and files, mrkdwn for Slack, JSON for programs. Each is bounded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from analyzer.model.digest import Changes, Digest, DigestTexts, PolicyAdvice, Standing
from analyzer.model.units import Money, iso
from analyzer.model.words import counted
from reports.figures import headline_money, listed, moment, size, span
from reports.rounding import EXACT_DECIMALS, amount_text, rounded
from reports.text import json_escaped, shortened, visible

#: Characters of a message: Slack shows about 4,000 of one, and nobody reads more of a digest.
LONGEST: Final = 3_500
#: Of one name in it, which AWS lets be 256 long.
_NAME: Final = 80
#: Of a failure.
_REASON: Final = 300
_FEW: Final = 5


def digest_texts(digest: Digest) -> DigestTexts:
    """All forms of ``digest``."""
    document = json_escaped(json.dumps(_document(digest), indent=1, ensure_ascii=False)) + "\n"
    return DigestTexts(
        id=hashlib.sha256(document.encode()).hexdigest(),
        subject=_subject(digest),
        plain=_bounded(_lines(digest, _plain)),
        slack=_bounded([f"*{_slack(_subject(digest))}*", *_lines(digest, _slack)]),
        json=document,
    )


def _subject(digest: Digest) -> str:
    now = digest.now
    head = "ECR"
    if now is not None:
        is_known = now.cost_high.amount is not None or now.cost_low.amount is not None
        head = f"ECR costs {_cost(now)} per month" if is_known else "ECR: what it costs is not known"
        change = None if digest.changes is None else digest.changes.cost
        if change:
            head += f" ({_signed(change, now.cost_high.currency)})"
    if digest.failures:
        return f"{head}: {counted(len(digest.failures), 'step')} failed"
    return f"{head}: {counted(len(digest.alerts), 'alert')}" if digest.alerts else head


def _lines(digest: Digest, shown: Callable[[str], str]) -> list[str]:
    """The digest line by line, most urgent first; ``shown`` makes other people's text harmless."""
    lines = [f"ALERT: {shown(alert)}" for alert in digest.alerts]
    lines += [f"FAILED: {name}: {shown(shortened(reason, _REASON))}" for name, reason in digest.failures]
    if digest.now is not None:
        lines += _standing_lines(digest.now)
    if digest.changes is not None:
        lines += ["", *_change_lines(digest.changes, digest.now, shown)]
    if digest.actions:
        lines += ["", "What saves most per month (savings of several may overlap):"]
        lines += [
            f"- {headline_money(action.saving.amount, action.saving.currency)} "
            f"{_named(action.place, shown)}: {shown(action.what)}"
            for action in digest.actions
        ]
    if digest.advice is not None and digest.advice.to_put:
        lines += ["", *_advice_lines(digest.advice)]
    if digest.findings is not None:
        found = [f"{number:,} {severity}" for severity, number in digest.findings if number]
        lines += ["", f"Open findings: {', '.join(found) or 'none'}"]
    if digest.outlook:
        lines += ["", "Forecast, per month:"]
        lines += [
            f"- {headline_money(one.cost.amount, one.cost.currency)} on {one.at:%Y-%m-%d}: {shown(one.title)}"
            for one in digest.outlook
        ]
    if digest.places:
        lines += ["", *(f"Report: {shown(place)}" for place in digest.places)]
    return lines


def _standing_lines(now: Standing) -> list[str]:
    stored = span(size(now.stored_bytes.registry), size(now.stored_bytes.repository))
    images = counted(now.images, "image")
    if _is_unknown(now):
        stored, images = "unknown bytes", images if now.images else "unknown images"
    counts = (
        f"{counted(now.registries, 'registry', 'registries')}, "
        f"{counted(now.repositories, 'repository', 'repositories')}, {images}"
    )
    cost = "cost unknown" if now.cost_high.amount is None else f"{_cost(now)} per month"
    lines = [
        f"{cost} for {stored} stored in {counts}",
        f"Snapshots of {moment(now.at)} (run {now.run})",
    ]
    left_out = sorted({*now.cost_low.leaves_out, *now.cost_high.leaves_out})
    if left_out:
        lines.append(f"Not included: {'; '.join(left_out)}")
    if now.gaps:
        lines.append(f"{counted(now.gaps, 'gap')}: what could not be read is in the report")
    return lines


def _advice_lines(advice: PolicyAdvice) -> list[str]:
    saving = span(
        *(headline_money(end.amount, end.currency) for end in (advice.saving_low, advice.saving_high))
    )
    policies = counted(advice.to_put, "lifecycle policy", "lifecycle policies")
    lines = [f"Recommended: {policies} that take no needed image; saving per month: {saving}"]
    if advice.safer:
        lines.append(f"Policies in force that take needed images: {advice.safer:,}")
    return lines


def _change_lines(changes: Changes, now: Standing | None, shown: Callable[[str], str]) -> list[str]:
    currency = "USD" if now is None else now.cost_high.currency
    cost = "cost unknown" if changes.cost is None else f"{_signed(changes.cost, currency)} per month"
    since = f"Since {moment(changes.before.at)} (run {changes.before.run})"
    lines = [f"{since}: {cost}, {_signed_size(changes.stored_bytes)}, {changes.images:+,} images"]
    if _nothing_to_compare(changes, now):
        lines = [f"{since}: what changed is unknown"]
    for what, names in (
        ("New repositories", changes.new_repositories),
        ("Gone repositories", changes.gone_repositories),
        ("New gaps", changes.new_gaps),
        ("Gaps no more", changes.gone_gaps),
    ):
        if names:
            lines.append(f"{what}: {_some(names, shown)}")
    lines += [f"- {_signed_size(one.stored_bytes)} {_named(one.name, shown)}" for one in changes.movers]
    return lines


def _some(names: Sequence[str], shown: Callable[[str], str]) -> str:
    few = [_named(name, shown) for name in names[:_FEW]]
    return listed([*few, f"{len(names) - _FEW:,} more"] if len(names) > _FEW else few, _FEW + 1)


def _named(name: str, shown: Callable[[str], str]) -> str:
    return shown(shortened(name, _NAME))


def _is_unknown(standing: Standing) -> bool:
    """Whether nothing is known of what was stored, not even that it was nothing."""
    return standing.cost_high.amount is None and not standing.stored_bytes.repository


def _nothing_to_compare(changes: Changes, now: Standing | None) -> bool:
    return _is_unknown(changes.before) or (now is not None and _is_unknown(now))


def _cost(now: Standing) -> str:
    ends = (headline_money(money.amount, money.currency) for money in (now.cost_low, now.cost_high))
    at_least = "at least " if now.cost_high.leaves_out and now.cost_high.amount is not None else ""
    return at_least + span(*ends)


def _signed(amount: Decimal, currency: str) -> str:
    shown = headline_money(abs(amount), currency)
    return f"{'-' if amount < 0 else '+'}{shown}"


def _signed_size(size_bytes: int) -> str:
    return f"{'-' if size_bytes < 0 else '+'}{size(abs(size_bytes))}"


def _plain(text: str) -> str:
    return visible(text)


def _slack(text: str) -> str:
    """``text`` so that Slack shows it as it is: no mention, link or format of somebody else's making.

    Slack unescapes the three entities (its "Formatting text for app surfaces"); a zero-width space keeps
    the other marks from pairing.
    """
    escaped = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\u200b{letter}" if letter in "*_~`@" else letter for letter in escaped)


def _bounded(lines: Sequence[str]) -> str:
    """As many of ``lines`` as fit, whole; how many do not is said."""
    kept: list[str] = []
    length = 0
    for number, line in enumerate(lines):
        length += len(line) + 1
        if length > LONGEST:
            return "\n".join([*kept, f"… {len(lines) - number} more lines are in the report"]) + "\n"
        kept.append(line)
    return "\n".join(kept) + "\n"


def _document(digest: Digest) -> dict[str, Any]:
    changes = digest.changes
    currency = "USD" if digest.now is None else digest.now.cost_high.currency
    return {
        "alerts": list(digest.alerts),
        "failures": [{"step": name, "reason": reason} for name, reason in digest.failures],
        "now": None if digest.now is None else _plain_standing(digest.now),
        "changes": None
        if changes is None
        else {
            "before": _plain_standing(changes.before),
            "cost": _plain_money(changes.cost, currency),
            "stored_bytes": None if _nothing_to_compare(changes, digest.now) else changes.stored_bytes,
            "images": None if _nothing_to_compare(changes, digest.now) else changes.images,
            "new_repositories": list(changes.new_repositories),
            "gone_repositories": list(changes.gone_repositories),
            "movers": [
                {
                    "repository": one.name,
                    "cost": _plain_money(one.cost, currency),
                    "stored_bytes": one.stored_bytes,
                }
                for one in changes.movers
            ],
            "new_gaps": list(changes.new_gaps),
            "gone_gaps": list(changes.gone_gaps),
        },
        "actions": [
            {"place": action.place, "what": action.what, "saving": _plain_known(action.saving)}
            for action in digest.actions
        ],
        "recommendations": None
        if digest.advice is None
        else {
            "to_put": digest.advice.to_put,
            "safer": digest.advice.safer,
            "saving_low": _plain_known(digest.advice.saving_low),
            "saving_high": _plain_known(digest.advice.saving_high),
        },
        "findings": None if digest.findings is None else dict(digest.findings),
        "forecast": [
            {"scenario": one.name, "at": iso(one.at), "cost": _plain_known(one.cost)}
            for one in digest.outlook
        ],
        "places": list(digest.places),
    }


def _plain_standing(standing: Standing) -> dict[str, Any]:
    return {
        "run": standing.run,
        "at": iso(standing.at),
        "cost_low": _plain_known(standing.cost_low),
        "cost_high": _plain_known(standing.cost_high),
        "stored_bytes": None
        if _is_unknown(standing)
        else {
            "repository": standing.stored_bytes.repository,
            "registry": standing.stored_bytes.registry,
        },
        "registries": standing.registries,
        "repositories": standing.repositories,
        "images": standing.images or (None if _is_unknown(standing) else 0),
        "gaps": standing.gaps,
    }


def _plain_known(money: Money) -> dict[str, Any] | None:
    return _plain_money(money.amount, money.currency, money.leaves_out)


def _plain_money(
    amount: Decimal | None, currency: str, leaves_out: Sequence[str] = ()
) -> dict[str, Any] | None:
    if amount is None:
        return None
    plain: dict[str, Any] = {
        "amount": amount_text(rounded(Money(amount), EXACT_DECIMALS)),
        "currency": currency,
        "period": "month",
    }
    return {**plain, "leaves_out": list(leaves_out)} if leaves_out else plain
