"""What statements of policies come to: who may do what, as far as it is certain.

What one statement allows is allowed unless another denies it (IAM user guide, "Policy evaluation logic").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from analyzer.exposure.actions import words_of
from analyzer.exposure.statements import ACCOUNT, ANYONE, PRINCIPAL_ARN, Statement, Who
from analyzer.model.registry_settings import Exposure, Grant, Openness

_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}")
_POSITIVE = {"stringequals", "stringlike", "stringequalsignorecase", "arnequals", "arnlike"}
_NEGATIVE = {"stringnotequals", "stringnotlike", "stringnotequalsignorecase"}

_OPENNESS = {
    "organization": Openness.ORGANIZATION,
    "account": Openness.ACCOUNTS,
    "service": Openness.SERVICES,
}

# Allowed is kept as grantee to action to whether it is narrowed; only the action that no
# statement allows whole stays narrowed.
_Allowed = dict[Who, dict[str, bool]]


def exposure_of_statements(
    statements: Iterable[Statement], account: str, without: Iterable[str] = ()
) -> Exposure:
    """Whom ``statements`` let in beside ``account`` itself, the actions ``without`` left out."""
    statements = list(statements)
    allowed: _Allowed = {}
    for statement in statements:
        if statement.allows:
            _allow(statement, account, allowed)
    # Anyone but a few may be left to those few by a denial: nobody can tell then what remains to them.
    is_certain = not any(statement.allows and statement.is_inverted for statement in statements)
    denials = [statement for statement in statements if not statement.allows]
    # Those of everyone first: whom they spare, the others may name.
    for statement in sorted(denials, key=lambda denial: not _is_about_everyone(denial)):
        _deny(statement, account, allowed, is_certain=is_certain)
    left_out = frozenset(without)
    grants: list[Grant] = []
    for (kind, who), actions in allowed.items():
        counted = {action: narrowed for action, narrowed in actions.items() if action not in left_out}
        for narrowed in (False, True):
            # What is certain first; then what all of it would come to, where that is more.
            chosen = {action for action, is_narrowed in counted.items() if narrowed or not is_narrowed}
            access = words_of(chosen)
            if access and not (
                narrowed and any(g.access == access for g in grants if (g.kind, g.who) == (kind, who))
            ):
                grants.append(Grant(kind, who, access, narrowed))
    return Exposure(_openness(grants), tuple(sorted(grants)), _unknown_because(grants))


def _openness(grants: Sequence[Grant]) -> Openness:
    if any(grant.kind == "public" and not grant.is_narrowed for grant in grants):
        return Openness.PUBLIC
    if any(grant.kind == "unknown" for grant in grants):
        return Openness.UNKNOWN
    if any(grant.kind == "public" for grant in grants):
        return Openness.CONDITIONAL
    for kind, openness in _OPENNESS.items():
        if any(grant.kind == kind for grant in grants):
            return openness
    return Openness.PRIVATE


def _unknown_because(grants: Sequence[Grant]) -> str:
    if _openness(grants) is not Openness.UNKNOWN:
        return ""
    return "it names principals that cannot be told: " + ", ".join(
        sorted({grant.who for grant in grants if grant.kind == "unknown"})
    )


def _allow(statement: Statement, account: str, allowed: _Allowed) -> None:
    principals = statement.principals
    if statement.is_inverted:
        # Anyone but those named is as good as anyone; who is no one of all, nobody can tell.
        is_odd = any(who == ANYONE for who, _ in principals)
        principals = ((("unknown", "NotPrincipal *") if is_odd else ANYONE, False),)
    circles, is_narrowed = _circles(statement.conditions)
    for who, is_part in principals:
        narrowed = is_part or is_narrowed
        if circles is None:
            targets = [(who, narrowed)]
        elif who == ANYONE:
            targets = [(circle, narrowed or part or statement.is_inverted) for circle, part in circles]
        elif who[0] == "account":
            # The circle may leave out some of the account, or all of it.
            named = [circle for circle, _ in circles]
            is_within = who in named
            if not is_within and all(kind == "account" for kind, _ in named):
                continue
            targets = [(who, narrowed or not is_within)]
        else:
            targets = [(who, True)]
        for target, narrow in targets:
            if target == ("account", account):
                continue
            actions = allowed.setdefault(target, {})
            for action in statement.actions:
                actions[action] = actions.get(action, True) and narrow


def _circles(
    conditions: Mapping[tuple[str, str], tuple[str, ...]],
) -> tuple[list[tuple[Who, bool]] | None, bool]:
    """The organizations or accounts that conditions confine principals to, each with whether to a part of it.

    None where they confine to none that can be told. Also whether there are other conditions, which
    narrow in a way that is not judged.
    """
    circles: list[tuple[Who, bool]] | None = None
    is_narrowed = False
    for (operator, key), values in conditions.items():
        found = _circle(operator, key, values)
        if found is None:
            is_narrowed = True
        elif circles is None:
            circles = found
        else:
            # Both must hold: accounts say more than organizations.
            is_narrowed = True
            if all(who[0] == "account" for who, _ in found):
                circles = found
    return circles, is_narrowed


def _circle(operator: str, key: str, values: tuple[str, ...]) -> list[tuple[Who, bool]] | None:
    """What one condition confines principals to; None where it does not, or that is not judged."""
    # Of many values that a request may have, one that fits is enough; ...IfExists and ForAllValues
    # also hold where there is none.
    if operator.removeprefix("foranyvalue:") not in _POSITIVE:
        return None
    found: list[tuple[Who, bool]] = []
    for value in values:
        if key == "aws:principalorgid" and _ORGANIZATION.fullmatch(value):
            found.append((("organization", value), False))
        elif key == "aws:principalorgpaths" and _ORGANIZATION.fullmatch(value.partition("/")[0]):
            organization, _, path = value.partition("/")
            found.append((("organization", organization), path not in ("", "*")))
        elif key == "aws:principalaccount" and ACCOUNT.fullmatch(value):
            found.append((("account", value), False))
        elif key == "aws:principalarn" and (match := PRINCIPAL_ARN.fullmatch(value)):
            found.append((("account", match[1]), True))
        else:
            return None
    return found or None


def _is_about_everyone(statement: Statement) -> bool:
    return statement.is_inverted or any(who == ANYONE for who, _ in statement.principals)


def _deny(statement: Statement, account: str, allowed: _Allowed, *, is_certain: bool) -> None:
    if not _is_about_everyone(statement):
        for who, is_part in statement.principals:
            if who in allowed:
                _take(allowed[who], statement.actions, whole=not (is_part or statement.conditions))
        for who in allowed:
            # Any account may be one of an organization's; anyone but a few is still anyone.
            if who[0] == "organization":
                _take(allowed[who], statement.actions, whole=False)
        return
    spared = _spared(statement)
    if spared is not None and any(who == ANYONE for who, _ in spared):
        return
    for who in list(allowed):
        if spared is None or (spared and who[0] in ("service", "unknown")):
            _take(allowed[who], statement.actions, whole=False)
        elif who == ANYONE and spared:
            _confine(
                allowed,
                statement.actions,
                [(one, is_part or not is_certain) for one, is_part in spared],
                account,
            )
        else:
            _spare(allowed[who], who, statement.actions, spared)


def _spare(
    own: dict[str, bool], who: Who, actions: frozenset[str], spared: Sequence[tuple[Who, bool]]
) -> None:
    """Take ``actions`` from ``who``, as far as it is not among those ``spared``."""
    parts = [is_part for one, is_part in spared if one == who]
    if parts and not all(parts):
        return
    # Of an account that is not named itself, an organization may spare some; of one organization,
    # another spares none, but an account may.
    is_out = not parts and all(one[0] == who[0] for one, _ in spared)
    _take(own, actions, whole=is_out)


def _spared(statement: Statement) -> list[tuple[Who, bool]] | None:
    """Whom a denial of everyone spares: nobody, those of its principals or conditions; None if untold."""
    conditions = {
        (operator, key): values
        for (operator, key), values in statement.conditions.items()
        # Holds for everyone who is no service of AWS.
        if not (key == "aws:principalisawsservice" and values == ("false",))
    }
    if statement.is_inverted:
        return None if conditions else list(statement.principals)
    if not conditions:
        return [] if len(conditions) == len(statement.conditions) else None
    if len(conditions) != 1:
        return None
    ((operator, key), values) = next(iter(conditions.items()))
    plain = operator.removesuffix("ifexists")
    if plain not in _NEGATIVE:
        return None
    return _circle("stringequals", key, values)


def _confine(
    allowed: _Allowed, actions: frozenset[str], spared: Sequence[tuple[Who, bool]], account: str
) -> None:
    """What anyone was allowed of ``actions`` is left to ``spared`` alone."""
    own = allowed[ANYONE]
    for who, is_part in spared:
        if who == ("account", account):
            continue
        theirs = allowed.setdefault(who, {})
        for action in own.keys() & actions:
            theirs[action] = theirs.get(action, True) and (own[action] or is_part)
    for action in actions:
        own.pop(action, None)


def _take(own: dict[str, bool], actions: frozenset[str], *, whole: bool) -> None:
    """Take ``actions`` away, or narrow them to a part that is not judged."""
    for action in own.keys() & actions:
        if whole:
            del own[action]
        else:
            own[action] = True
