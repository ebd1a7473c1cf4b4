"""Random lifecycle policies: valid ones as dataclasses, and documents right, nearly right and wrong.

Valid policies hold every combination that ECR allows (user guide, "Lifecycle policy parameters");
the entries of their lists are cut from a pool of tags, so that images with such tags do meet them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass, TagStatus

_Thing = TypeVar("_Thing")
_Json = dict[str, Any]

#: The greatest whole number that a policy may hold.
GREATEST = 2**31 - 1
#: Tags are made of these, so that many begin, end or contain another one.
_FRAGMENTS = ("a", "b", "ab", "A", "prod", "pro", "-", ".", "1", "10", "v", "_")
#: Tags that a pattern read as a regular expression, glob or LIKE would meet or miss.
_ODD_TAGS = ("a.b", "axb", "a\n", "a?b", "a[b]", "ab", "ba", "é", "a%b", "a_b", "a*b", "PROD", "aa", "aaa")
_ODD_PATTERNS = (
    "a.b",
    "a?b",
    "[ab]*",
    "a*b",
    "*",
    "",
    "**",
    "a**b",
    "*a*a*a*",
    "^a$",
    "a\n",
    "a%",
    ".*",
    "a_b",
)
#: Limits of rules in days, and the ages that images have around them.
DAYS = (1, 2, 3, 7, 30, 89, 90, 91, 365)
_ARCHIVE_DAYS = (90, 91, 92, 365)
_COUNTS = (1, 1, 1, 2, 2, 3, 4, 6, GREATEST)


class Maker:
    """Draws from a ``random.Random``."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def number(self, below: int) -> int:
        """0 to ``below`` - 1."""
        return self.rng.randrange(below)

    def one(self, of: Sequence[_Thing]) -> _Thing:
        """One ``of`` them."""
        return of[self.rng.randrange(len(of))]

    def chance(self, in_hundred: int) -> bool:
        """True so many times in a hundred."""
        # The simplest draw is 0 and must mean "no".
        return in_hundred > 0 and self.rng.randrange(100) >= 100 - in_hundred

    def shuffled(self, things: Sequence[_Thing]) -> list[_Thing]:
        """The ``things`` in any order."""
        left = list(things)
        return [left.pop(self.rng.randrange(len(left))) for _ in range(len(left))]


class PolicyMaker(Maker):
    """Draws policies that fit a pool of tags and of ages."""

    def __init__(self, rng: Random) -> None:
        super().__init__(rng)
        self.days = [self.one(DAYS) for _ in range(3)]
        self.tags = [self._tag() for _ in range(7)]

    def _tag(self) -> str:
        if self.chance(25):
            return self.one(_ODD_TAGS)
        return "".join(self.one(_FRAGMENTS) for _ in range(1 + self.number(4)))

    def policy(self) -> Policy:
        """A valid policy of one to ten rules."""
        drafts: list[tuple[StorageClass, TagStatus, tuple[str, ...], tuple[str, ...]]] = []
        seen: set[object] = set()
        for _ in range(self.one((1, 1, 2, 2, 3, 4, 5, 8))):
            storage_class = self._class()
            if self.number(3) == 0:
                identity: object = (storage_class, "untagged")
                draft = (storage_class, TagStatus.UNTAGGED, (), ())
            else:
                by_prefix = self.number(2)
                entries = [
                    self._prefix() if by_prefix else self._pattern() for _ in range(self.one((1, 1, 1, 2, 3)))
                ]
                identity = (storage_class, by_prefix, frozenset(entries))
                lists = ((), tuple(entries)) if by_prefix else (tuple(entries), ())
                draft = (storage_class, TagStatus.TAGGED, *lists)
            if identity not in seen:
                seen.add(identity)
                drafts.append(draft)
        for storage_class in StorageClass:
            wanted = self.number(2) if drafts else storage_class is StorageClass.STANDARD
            if wanted:
                # Anywhere behind the last rule of its class, others between and behind.
                behind = 1 + max(
                    (k for k, draft in enumerate(drafts) if draft[0] is storage_class), default=-1
                )
                place = behind + self.number(len(drafts) - behind + 1)
                drafts.insert(place, (storage_class, TagStatus.ANY, (), ()))
        priority = 0
        rules = []
        for storage_class, tag_status, patterns, prefixes in drafts:
            priority += self.one((1, 1, 1, 2, 10, 100_000_000))
            count_type, number, action = self._count(storage_class)
            rules.append(
                Rule(
                    priority=priority,
                    tag_status=tag_status,
                    tag_patterns=patterns,
                    tag_prefixes=prefixes,
                    storage_class=storage_class,
                    count_type=count_type,
                    count_number=number,
                    action=action,
                    description=self.one((None, "", "keep the last ones")),
                )
            )
        return Policy(tuple(rules))

    def _class(self) -> StorageClass:
        return StorageClass.ARCHIVE if self.chance(25) else StorageClass.STANDARD

    def _count(self, storage_class: StorageClass) -> tuple[CountType, int, Action]:
        if storage_class is StorageClass.ARCHIVE:
            return CountType.SINCE_IMAGE_TRANSITIONED, self.one(_ARCHIVE_DAYS), Action.EXPIRE
        count_type = self.one(
            (
                CountType.IMAGE_COUNT_MORE_THAN,
                CountType.IMAGE_COUNT_MORE_THAN,
                CountType.SINCE_IMAGE_PUSHED,
                CountType.SINCE_IMAGE_PULLED,
            )
        )
        if count_type is CountType.SINCE_IMAGE_PULLED:
            return count_type, self.one((*self.days, GREATEST)), Action.TRANSITION
        action = Action.TRANSITION if self.chance(35) else Action.EXPIRE
        if count_type is CountType.SINCE_IMAGE_PUSHED:
            return count_type, self.one((*self.days, *self.days, GREATEST)), action
        return count_type, self.one(_COUNTS), action

    def _prefix(self) -> str:
        if self.chance(10):
            return self.one(("", "a*", "*", "prod", "é"))
        tag = self.one(self.tags)
        return tag[: self.number(len(tag) + 1)]

    def _pattern(self) -> str:
        """One that some tag meets, mostly: stretches of a tag, empty ones too, become stars."""
        if self.chance(20):
            return self.one(_ODD_PATTERNS)
        tag = self.one(self.tags).replace("*", "")
        bounds = sorted(self.number(len(tag) + 1) for _ in range(2 * self.number(5)))
        pattern, at = "", 0
        for start, end in zip(bounds[::2], bounds[1::2], strict=True):
            pattern += tag[at:start] + "*"
            at = end
        pattern += tag[at:]
        return pattern.swapcase() if self.chance(5) else pattern


def document_of(policy: Policy) -> _Json:
    """The document that says ``policy``, as plain values."""
    rules = []
    for rule in policy.rules:
        selection: _Json = {"tagStatus": rule.tag_status.value, "countType": rule.count_type.value}
        selection["countNumber"] = rule.count_number
        if rule.tag_patterns:
            selection["tagPatternList"] = list(rule.tag_patterns)
        if rule.tag_prefixes:
            selection["tagPrefixList"] = list(rule.tag_prefixes)
        if rule.storage_class is StorageClass.ARCHIVE:
            selection["storageClass"] = "archive"
        if rule.count_type is not CountType.IMAGE_COUNT_MORE_THAN:
            selection["countUnit"] = "days"
        action: _Json = {"type": rule.action.value}
        if rule.action is Action.TRANSITION:
            action["targetStorageClass"] = "archive"
        made: _Json = {"rulePriority": rule.priority, "selection": selection, "action": action}
        if rule.description is not None:
            made["description"] = rule.description
        rules.append(made)
    return {"rules": rules}


#: What a slip of the hand or of a template leaves where something else belongs.
_VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "5", "days", "archive", "standard", "any", "untagged", "tagged"),
    *("expire", "transition", "EXPIRE", "Days", "hours", "sinceImagePushed", "imageCountMoreThan"),
    *("sinceImagePulled", "sinceImageTransitioned", "sinceImageTagged", "GLACIER", "Any", "ARCHIVE"),
    *(0, -1, 1, 2, 5, 89, 90, 91, GREATEST, GREATEST + 1, -(2**31) - 1, 10**30, 0.5, 5.0, 1e300),
    *([], {}, [None], ["a"], ["a", "a"], ["*****"], ["****"], ["a", 5], [["a"]], {"a": 1}),
)
_ACTIONS: tuple[_Json, ...] = (
    {"type": "expire"},
    {"type": "transition"},
    {"type": "transition", "targetStorageClass": "archive"},
    {"type": "expire", "targetStorageClass": "archive"},
    {"type": "expire", "targetStorageClass": None},
    {"type": "transition", "targetStorageClass": None},
    {"type": "transition", "targetStorageClass": "standard"},
    {"type": "delete"},
)
_KEYS = (
    *("rulePriority", "description", "selection", "action", "tagStatus", "tagPatternList", "type"),
    *("tagPrefixList", "storageClass", "countType", "countUnit", "countNumber", "targetStorageClass"),
    *("rules", "Rules", "version", "", "TagStatus", "x"),
)


class _DocumentMaker(PolicyMaker):
    """Draws documents with up to three slips."""

    def text(self) -> str:
        document: Any = document_of(self.policy())
        if self.number(2):
            self.shuffled_keys(document)
        for _ in range(self.one((0, 1, 1, 1, 2, 3))):
            if isinstance(document, dict):
                document = self.one(_SLIPS)(self, document)
        separators = self.one(((",", ":"), (", ", ": ")))
        text = json.dumps(
            document,
            ensure_ascii=bool(self.number(2)),
            separators=separators,
            indent=self.one((None, None, 2)),
        )
        return self.one(_WRITINGS)(self, text) if self.chance(15) else text

    def shuffled_keys(self, document: _Json) -> None:
        """Same rules, said otherwise: in any order, with keys in any order and defaults written out."""
        for rule in document["rules"]:
            if rule["selection"].get("storageClass") is None and self.number(2):
                rule["selection"]["storageClass"] = "standard"
            for part in (rule["selection"], rule):
                items = self.shuffled(list(part.items()))
                part.clear()
                part.update(items)
        document["rules"] = self.shuffled(document["rules"])

    def any_object(self, document: _Json) -> _Json:
        """The document, a rule, a selection or an action."""
        found: list[_Json] = []

        def walk(value: Any) -> None:
            if isinstance(value, dict):
                found.append(value)
            for inner in (
                value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            ):
                walk(inner)

        walk(document)
        # The last ones are the inmost.
        return found[-1 - self.number(len(found))]

    def any_rule(self, document: _Json) -> _Json | None:
        rules = document.get("rules")
        whole = [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
        return self.one(whole) if whole else None

    def selection(self, document: _Json) -> _Json:
        """Of any rule; an empty one that belongs to none where there is none."""
        rule = self.any_rule(document)
        found = rule.get("selection") if rule else None
        return found if isinstance(found, dict) else {}

    # Slips.

    def slip_key_missing(self, document: _Json) -> Any:
        part = self.any_object(document)
        if part:
            del part[self.one(list(part))]
        return document

    def slip_key_added(self, document: _Json) -> Any:
        self.any_object(document)[self.one(_KEYS)] = self.one(_VALUES)
        return document

    def slip_value(self, document: _Json) -> Any:
        part = self.any_object(document)
        if part:
            part[self.one(list(part))] = self.one(_VALUES)
        return document

    def slip_count(self, document: _Json) -> Any:
        self.selection(document)["countType"] = self.one([*map(str, CountType), "sinceImageArchived"])
        return document

    def slip_unit(self, document: _Json) -> Any:
        self.selection(document)["countUnit"] = self.one(("days", None, "hours"))
        return document

    def slip_number(self, document: _Json) -> Any:
        self.selection(document)["countNumber"] = self.one((0, -5, 1, 89, 90, GREATEST, GREATEST + 1))
        return document

    def slip_class(self, document: _Json) -> Any:
        self.selection(document)["storageClass"] = self.one(("standard", "archive", "Archive", None))
        return document

    def slip_tag_status(self, document: _Json) -> Any:
        self.selection(document)["tagStatus"] = self.one(("any", "untagged", "tagged", "all"))
        return document

    def slip_list(self, document: _Json) -> Any:
        entries = [self.one(("a", "b", "a*", "*****", "****", "")) for _ in range(self.number(3))]
        self.selection(document)[self.one(("tagPatternList", "tagPrefixList"))] = entries
        return document

    def slip_action(self, document: _Json) -> Any:
        rule = self.any_rule(document)
        if rule is not None:
            rule["action"] = dict(self.one(_ACTIONS))
        return document

    def slip_rule_again(self, document: _Json) -> Any:
        rule = self.any_rule(document)
        if rule is not None:
            again = json.loads(json.dumps(rule))
            again["rulePriority"] = self.one((rule.get("rulePriority"), 1, 2, 3, 999_999_999))
            place = self.number(len(document["rules"]) + 1)
            document["rules"].insert(place, again)
        return document

    def slip_priority(self, document: _Json) -> Any:
        rule = self.any_rule(document)
        if rule is not None:
            rule["rulePriority"] = self.one((0, 1, 2, 3, 999_999_999, GREATEST))
        return document

    def slip_rules(self, document: _Json) -> Any:
        rules = document.get("rules")
        template = {
            "rulePriority": 1,
            "selection": {
                "tagStatus": "tagged",
                "tagPrefixList": ["p"],
                "countType": "imageCountMoreThan",
                "countNumber": 1,
            },
            "action": {"type": "expire"},
        }
        many = []
        for number in range(1, self.one((50, 51)) + 1):
            rule = json.loads(json.dumps(template))
            rule["rulePriority"] = number
            rule["selection"]["tagPrefixList"] = [f"p{number}"]
            many.append(rule)
        document["rules"] = self.one(([], many, rules, {"0": rules}, [rules], [*many, None], "[]"))
        return document

    def slip_document(self, document: _Json) -> Any:
        return self.one(([document], document.get("rules"), None, "rules", 5, {}, {"policy": document}))

    # Writings.

    def write_cut(self, text: str) -> str:
        return text[: self.number(len(text) + 1)]

    def write_more(self, text: str) -> str:
        return text + self.one((",", "}", " x", "\n", "\x00", text))

    def write_key_twice(self, text: str) -> str:
        key = self.one(("tagStatus", "rules", "type", "countNumber", "action"))
        return text.replace(f'"{key}":', f'"{key}":1,"{key}":', 1)

    def write_number(self, text: str) -> str:
        number = self.one(("NaN", "Infinity", "-1", "1e2", "01", "9" * 5000, "5.0", "0x5", "-0"))
        return re.sub(r'("countNumber": ?)-?[0-9]+', lambda found: found[1] + number, text, count=1)

    def write_length(self, text: str) -> str:
        """As long as allowed, or one character more, or shorter than any policy."""
        wanted = self.one((99, 100, 30_720, 30_721))
        return text + " " * (wanted - len(text)) if len(text) < wanted else text[:wanted]

    def write_else(self, text: str) -> str:
        return self.one(
            ("", " ", "{", "null", "[" * 20_000, '{"a":' * 6_000, "\ufeff" + text, "'" + text + "'")
        )


_SLIPS: tuple[Callable[[_DocumentMaker, _Json], Any], ...] = tuple(
    slip for name, slip in vars(_DocumentMaker).items() if name.startswith("slip_")
)
_WRITINGS: tuple[Callable[[_DocumentMaker, str], str], ...] = tuple(
    write for name, write in vars(_DocumentMaker).items() if name.startswith("write_")
)


def draw_policy(rng: Random) -> Policy:
    """A valid policy of one to ten rules."""
    return PolicyMaker(rng).policy()


def draw_document(rng: Random) -> str:
    """The text of a policy document with up to three slips in it; one in six has none."""
    return _DocumentMaker(rng).text()


#: Where hypothesis draws from; it knows how to shrink what comes of it.
RANDOMS = st.randoms(use_true_random=False)


def policies() -> st.SearchStrategy[Policy]:
    """Valid policies, see ``draw_policy``."""
    return RANDOMS.map(draw_policy)


def policy_documents() -> st.SearchStrategy[str]:
    """Texts of policy documents, see ``draw_document``."""
    return RANDOMS.map(draw_document)
