"""Whom repository and registry policies let in beside the account itself.

Policies are read as the IAM user guide has them ("IAM JSON policy element reference" and "Policy
evaluation logic"): what one statement allows is allowed unless another denies it. Only what is certain
is called so. A condition, a denial or a principal that narrows a grant to a part of it, in a way that is
not judged here, marks it as narrowed, and anyone under such conditions is not called public.

A registry policy of scope V2 counts for all actions on all repositories of the registry, one of scope V1
only for replication, imports of pull through caches and the creation of repositories (ECR user guide,
"Private registry permissions in Amazon ECR").

Anyone may pull from a public repository, whose policy lets others push to it (ECR Public user guide,
"Public repository policies").
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from typing import Any

from analyzer.model.frames import Frames
from analyzer.model.records import ABSENT, PUBLIC_REGION
from analyzer.model.registry_settings import Exposure, Grant, Openness, Settings

#: What a registry policy of either scope is about: the registry, not what a repository holds.
_REGISTRY_ACTIONS = {
    "ecr:replicateimage": "replicate",
    "ecr:batchimportupstreamimage": "import",
    "ecr:createrepository": "create",
}
#: Actions that together make up what a word says.
_WHOLE = {
    "pull": {"ecr:batchgetimage", "ecr:getdownloadurlforlayer"},
    "push": {
        "ecr:completelayerupload",
        "ecr:initiatelayerupload",
        "ecr:putimage",
        "ecr:uploadlayerpart",
    },
}
#: Actions each of which is enough for a word.
_ANY = {
    "delete": {"ecr:batchdeleteimage", "ecr:deleterepository"},
    "administer": {
        "ecr:deletelifecyclepolicy",
        "ecr:deleterepositorypolicy",
        "ecr:putimagescanningconfiguration",
        "ecr:putimagetagmutability",
        "ecr:putlifecyclepolicy",
        "ecr:setrepositorypolicy",
        "ecr:tagresource",
        "ecr:untagresource",
        "ecr:updateimagestorageclass",
    },
}
_LOOKING = {
    "ecr:batchchecklayeravailability",
    "ecr:batchgetrepositoryscanningconfiguration",
    "ecr:describeimagereplicationstatus",
    "ecr:describeimages",
    "ecr:describeimagescanfindings",
    "ecr:describerepositories",
    "ecr:getlifecyclepolicy",
    "ecr:getlifecyclepolicypreview",
    "ecr:getrepositorypolicy",
    "ecr:listimagereferrers",
    "ecr:listimages",
    "ecr:listtagsforresource",
    "ecr:startimagescan",
    "ecr:startlifecyclepolicypreview",
}
#: Every action that wildcards and NotAction stand for. IAM takes actions in any case.
_ACTIONS = frozenset().union(_REGISTRY_ACTIONS, *_WHOLE.values(), *_ANY.values(), _LOOKING)
#: Looked at with a pull or push in any case, and no access of its own beside them.
_BESIDE = {"ecr:batchchecklayeravailability"}

#: How the actions begin.
_SERVICE = "ecr:"

_ACCOUNT = re.compile(r"\d{12}")
_PRINCIPAL_ARN = re.compile(r"arn:[a-z-]+:(?:iam|sts)::(\d{12}):(.+)", re.DOTALL)
_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}")
_POSITIVE = {"stringequals", "stringlike", "stringequalsignorecase", "arnequals", "arnlike"}
_NEGATIVE = {"stringnotequals", "stringnotlike", "stringnotequalsignorecase"}

_ANYONE = ("public", "*")
_OPENNESS = {
    "organization": Openness.ORGANIZATION,
    "account": Openness.ACCOUNTS,
    "service": Openness.SERVICES,
}


class _UnreadableError(Exception):
    """A policy is no policy document; never leaves this module."""


#: Kind and name of a grantee.
_Who = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Statement:
    allows: bool
    #: Principals with whether each is a part of what it stands for (a role of an account).
    principals: tuple[tuple[_Who, bool], ...]
    #: The principals are those that are not meant.
    is_inverted: bool
    actions: frozenset[str]
    #: Patterns of ARNs; None for none given.
    resources: tuple[str, ...] | None
    resources_inverted: bool
    #: Operator and key, in lower case, to values.
    conditions: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def is_about(self, arn: str) -> bool:
        """Whether the statement is about the repository of that ARN."""
        if self.resources is None:
            return True
        return self.resources_inverted != any(_like(pattern, arn) for pattern in self.resources)


def exposure_of_repositories(frames: Frames, settings: Settings) -> list[Exposure]:
    """Whom each repository of ``frames`` is open to, in their order."""
    registries = [
        _Registry(str(account), own, is_public=region == PUBLIC_REGION)
        for account, region, own in zip(
            frames.registries["account"], frames.registries["region"], settings.registries, strict=True
        )
    ]
    known: dict[tuple[int, str | None, tuple[int, ...]], Exposure] = {}
    found = []
    rows = zip(frames.repositories["registry"].tolist(), settings.repositories, strict=True)
    for position, own in rows:
        registry = registries[position]
        text = own.get("repository_policy_text")
        applying = registry.about(json.loads(own["arn"]) if "arn" in own else None)
        key = position, text, applying
        if key not in known:
            known[key] = registry.exposure(text, applying)
        found.append(known[key])
    return found


def exposure_of_registries(frames: Frames, settings: Settings) -> list[Exposure]:
    """Whom the registries' own policies let in: to replicate, import, create and, in V2, all else."""
    return [
        _Registry(str(account), own).own_exposure()
        for account, own in zip(frames.registries["account"], settings.registries, strict=True)
    ]


def exposure_of_policy(text: str | None, account: str) -> Exposure:
    """Whom a repository policy lets in, seen from its ``account``; None for no policy."""
    try:
        return _judged(_read(text), account)
    except _UnreadableError as error:
        return Exposure(Openness.UNKNOWN, (), str(error))


class _Registry:
    """A registry's policy, as far as it counts for its repositories."""

    def __init__(self, account: str, settings: Mapping[str, str], *, is_public: bool = False) -> None:
        self._account = account
        self._is_public = is_public
        self._scope = json.loads(settings.get("registry_policy_scope", ABSENT))
        self._statements: tuple[_Statement, ...] = ()
        #: Why the policy is not known; "" where it is.
        self._reason = ""
        text = settings.get("registry_policy_text")
        if text is None:
            self._reason = "the registry's policy was not read"
        else:
            try:
                self._statements = _read(json.loads(text))
            except _UnreadableError as error:
                self._reason = f"the registry's policy: {error}"
        self._for_repositories = tuple(
            number
            for number, statement in enumerate(self._statements)
            if statement.actions - _REGISTRY_ACTIONS.keys()
        )

    def about(self, arn: str | None) -> tuple[int, ...]:
        """Which statements count for the repository of that ARN; all where it is None, not known."""
        if self._scope == "V1":
            return ()
        return tuple(
            number
            for number in self._for_repositories
            if arn is None or self._statements[number].is_about(arn)
        )

    def exposure(self, text: str | None, applying: Sequence[int]) -> Exposure:
        """Of a repository with the policy ``text`` (JSON), for which the statements ``applying`` count."""
        if self._is_public:
            return self._public_exposure(text)
        if text is None:
            return Exposure(Openness.UNKNOWN, (), "its policy was not read")
        try:
            own = _read(json.loads(text))
        except _UnreadableError as error:
            return Exposure(Openness.UNKNOWN, (), str(error))
        statements = [*own, *(self._statements[number] for number in applying)]
        exposure = _judged(statements, self._account, without=_REGISTRY_ACTIONS.keys())
        reason = self._reason
        if not reason and applying and self._scope != "V2":
            reason = "whether the registry's policy counts for repositories was not read"
        if reason and exposure.openness is not Openness.PUBLIC:
            return Exposure(Openness.UNKNOWN, exposure.grants, reason)
        return exposure

    def _public_exposure(self, text: str | None) -> Exposure:
        """Of a public repository: anyone pulls, whatever its policy says or however little is known of it."""
        grants = {Grant("public", "*", ("pull",))}
        # One that was not read says nothing of who pushes; that is a gap, and opens no less.
        with suppress(_UnreadableError):
            own = _read(None if text is None else json.loads(text), service="ecr-public:")
            grants.update(_judged(own, self._account).grants)
        return Exposure(Openness.PUBLIC, tuple(sorted(grants)), "")

    def own_exposure(self) -> Exposure:
        """Of the registry itself."""
        if self._reason:
            return Exposure(Openness.UNKNOWN, (), self._reason.removeprefix("the registry's policy: "))
        left_out = _ACTIONS - _REGISTRY_ACTIONS.keys() if self._scope == "V1" else frozenset()
        return _judged(self._statements, self._account, without=left_out)


# Judging. Allowed is kept as grantee to action to whether it is narrowed; only the action that no
# statement allows whole stays narrowed.

_Allowed = dict[_Who, dict[str, bool]]


def _judged(statements: Iterable[_Statement], account: str, without: Iterable[str] = ()) -> Exposure:
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
            access = _words(chosen)
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


def _words(actions: set[str]) -> tuple[str, ...]:
    words = [word for word, needed in _WHOLE.items() if needed <= actions]
    left = actions - set().union(*(_WHOLE[word] | _BESIDE for word in words))
    for word, each in _ANY.items():
        if left & each:
            words.append(word)
        left -= each
    words += [word for action, word in _REGISTRY_ACTIONS.items() if action in left]
    left -= _REGISTRY_ACTIONS.keys()
    return tuple(words) if not left else (*words, "other")


def _allow(statement: _Statement, account: str, allowed: _Allowed) -> None:
    principals = statement.principals
    if statement.is_inverted:
        # Anyone but those named is as good as anyone; who is no one of all, nobody can tell.
        is_odd = any(who == _ANYONE for who, _ in principals)
        principals = ((("unknown", "NotPrincipal *") if is_odd else _ANYONE, False),)
    circles, is_narrowed = _circles(statement.conditions)
    for who, is_part in principals:
        narrowed = is_part or is_narrowed
        if circles is None:
            targets = [(who, narrowed)]
        elif who == _ANYONE:
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
) -> tuple[list[tuple[_Who, bool]] | None, bool]:
    """The organizations or accounts that conditions confine principals to, each with whether to a part of it.

    None where they confine to none that can be told. Also whether there are other conditions, which
    narrow in a way that is not judged.
    """
    circles: list[tuple[_Who, bool]] | None = None
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


def _circle(operator: str, key: str, values: tuple[str, ...]) -> list[tuple[_Who, bool]] | None:
    """What one condition confines principals to; None where it does not, or that is not judged."""
    # Of many values that a request may have, one that fits is enough; ...IfExists and ForAllValues
    # also hold where there is none.
    if operator.removeprefix("foranyvalue:") not in _POSITIVE:
        return None
    found: list[tuple[_Who, bool]] = []
    for value in values:
        if key == "aws:principalorgid" and _ORGANIZATION.fullmatch(value):
            found.append((("organization", value), False))
        elif key == "aws:principalorgpaths" and _ORGANIZATION.fullmatch(value.partition("/")[0]):
            organization, _, path = value.partition("/")
            found.append((("organization", organization), path not in ("", "*")))
        elif key == "aws:principalaccount" and _ACCOUNT.fullmatch(value):
            found.append((("account", value), False))
        elif key == "aws:principalarn" and (match := _PRINCIPAL_ARN.fullmatch(value)):
            found.append((("account", match[1]), True))
        else:
            return None
    return found or None


def _is_about_everyone(statement: _Statement) -> bool:
    return statement.is_inverted or any(who == _ANYONE for who, _ in statement.principals)


def _deny(statement: _Statement, account: str, allowed: _Allowed, *, is_certain: bool) -> None:
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
    if spared is not None and any(who == _ANYONE for who, _ in spared):
        return
    for who in list(allowed):
        if spared is None or (spared and who[0] in ("service", "unknown")):
            _take(allowed[who], statement.actions, whole=False)
        elif who == _ANYONE and spared:
            _confine(
                allowed,
                statement.actions,
                [(one, is_part or not is_certain) for one, is_part in spared],
                account,
            )
        else:
            _spare(allowed[who], who, statement.actions, spared)


def _spare(
    own: dict[str, bool], who: _Who, actions: frozenset[str], spared: Sequence[tuple[_Who, bool]]
) -> None:
    """Take ``actions`` from ``who``, as far as it is not among those ``spared``."""
    parts = [is_part for one, is_part in spared if one == who]
    if parts and not all(parts):
        return
    # Of an account that is not named itself, an organization may spare some; of one organization,
    # another spares none, but an account may.
    is_out = not parts and all(one[0] == who[0] for one, _ in spared)
    _take(own, actions, whole=is_out)


def _spared(statement: _Statement) -> list[tuple[_Who, bool]] | None:
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
    allowed: _Allowed, actions: frozenset[str], spared: Sequence[tuple[_Who, bool]], account: str
) -> None:
    """What anyone was allowed of ``actions`` is left to ``spared`` alone."""
    own = allowed[_ANYONE]
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


# Reading.


@lru_cache(maxsize=4096)
def _read(text: str | None, *, service: str = _SERVICE) -> tuple[_Statement, ...]:
    """The statements of a policy; raises _UnreadableError.

    Actions of ``service`` are read as ECR's of the same name.
    """
    if text is None:
        return ()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _UnreadableError("it is not JSON") from error
    if not isinstance(document, dict) or "Statement" not in document:
        raise _UnreadableError("it is no policy document")
    return tuple(_statement(entry, service) for entry in _listed(document["Statement"]))


def _statement(entry: Any, service: str) -> _Statement:
    if not isinstance(entry, dict) or entry.get("Effect") not in ("Allow", "Deny"):
        raise _UnreadableError("a statement of it has no effect")
    principal, is_inverted = _either(entry, "Principal")
    action, actions_inverted = _either(entry, "Action")
    if principal is None or action is None:
        raise _UnreadableError("a statement of it lacks a principal or an action")
    resource, resources_inverted = _either(entry, "Resource")
    return _Statement(
        entry["Effect"] == "Allow",
        tuple(_principals(principal)),
        is_inverted,
        _actions(_texts(action), service, is_inverted=actions_inverted),
        None if resource is None else tuple(_texts(resource)),
        resources_inverted,
        _conditions(entry.get("Condition") or {}),
    )


def _either(entry: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    """An element or its opposite, and whether it is the opposite; None where there is neither."""
    if f"Not{name}" in entry:
        if name in entry:
            raise _UnreadableError(f"a statement of it has both {name} and Not{name}")
        return entry[f"Not{name}"], True
    return entry.get(name), False


def _actions(patterns: Sequence[str], service: str, *, is_inverted: bool) -> frozenset[str]:
    named = {pattern.lower() for pattern in patterns}
    if service != _SERVICE:
        # What it says of private repositories is not about this one.
        named = {
            pattern.replace(service, _SERVICE, 1) for pattern in named if not pattern.startswith(_SERVICE)
        }
    matching = {action for action in _ACTIONS if any(_like(pattern, action) for pattern in named)}
    if is_inverted:
        return _ACTIONS - matching
    # An action that is new since this was written is one all the same.
    plain = {name for name in named if name.startswith("ecr:") and not set(name) & {"*", "?"}}
    return frozenset(matching | plain)


def _principals(principal: Any) -> Iterable[tuple[_Who, bool]]:
    if principal == "*":
        yield _ANYONE, False
        return
    if not isinstance(principal, dict):
        raise _UnreadableError("a principal of it cannot be read")
    for kind, value in principal.items():
        for name in _texts(value):
            if kind == "AWS":
                yield _principal(name)
            elif kind == "Service":
                yield (_ANYONE if name == "*" else ("service", name)), False
            else:
                yield ("unknown", f"{kind} {name}"), False


def _principal(name: str) -> tuple[_Who, bool]:
    if name == "*":
        return _ANYONE, False
    if _ACCOUNT.fullmatch(name):
        return ("account", name), False
    match = _PRINCIPAL_ARN.fullmatch(name)
    if match:
        return ("account", match[1]), match[2] != "root"
    # The id that is left of a deleted role or user, or of one of another account.
    return ("unknown", name), False


def _conditions(found: Any) -> dict[tuple[str, str], tuple[str, ...]]:
    if not isinstance(found, dict):
        raise _UnreadableError("a condition of it cannot be read")
    conditions: dict[tuple[str, str], tuple[str, ...]] = {}
    for operator, keys in found.items():
        if not isinstance(keys, dict):
            raise _UnreadableError("a condition of it cannot be read")
        for key, values in keys.items():
            texts = [
                str(value).lower() if isinstance(value, bool) else str(value) for value in _listed(values)
            ]
            conditions[operator.lower(), key.lower()] = tuple(texts)
    return conditions


def _texts(value: Any) -> list[str]:
    texts = _listed(value)
    if not all(isinstance(text, str) for text in texts):
        raise _UnreadableError("it holds something else where a text is due")
    return texts


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _like(pattern: str, text: str) -> bool:
    """IAM's wildcards: ``*`` for any characters or none, ``?`` for one."""
    return _compiled(pattern).match(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.replace("[", "[[]")))
