"""The validation of policy documents once more, slowly: one question per code, each asked alone.

A document is not walked along a schema. Its rules become cards, flat dicts of dotted names to
values, and every code has one function that looks over all cards for what it names.

Where something is wrong with a value by itself, it is open whether what else follows from it counts
as a second error: whether a rule of the archive's count type that names the wrong class is a second
"any" rule of that class, say. ``codes`` counts everything that the words of a condition cover,
``least_codes`` only what remains when such values are left out of further questions. A validator is
right when what it reports lies between the two.

The conditions are those of the ECR user guide, "Lifecycle policy parameters", of the API model
(text length, least numbers) and of refusals that users report. Where these are silent: of a key given
twice the last value counts, and the document is refused; NaN is not JSON; null is a value of the
wrong type; so is a whole number above 2**31 - 1; two lists are the same when they hold the same
entries in any order.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

#: Dotted name to value: ``rulePriority``, ``selection.countType``, ``action.type`` …
Card = dict[str, Any]

_TEXTS = {
    "description",
    "selection.tagStatus",
    "selection.storageClass",
    "selection.countType",
    "selection.countUnit",
    "action.type",
    "action.targetStorageClass",
}
_NUMBERS = {"rulePriority", "selection.countNumber"}
_LISTS = {"selection.tagPatternList", "selection.tagPrefixList"}
_PARTS = {"selection", "action"}
_REQUIRED = {
    "": ("rulePriority", "selection", "action"),
    "selection": ("selection.tagStatus", "selection.countType", "selection.countNumber"),
    "action": ("action.type",),
}
_CHOICES = {
    "selection.tagStatus": ("tagged", "untagged", "any"),
    "selection.storageClass": ("standard", "archive"),
    "selection.countUnit": ("days",),
    "action.type": ("expire", "transition"),
    "action.targetStorageClass": ("archive",),
}
_COUNTS_DAYS = ("sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned")
_COUNTS = ("imageCountMoreThan", *_COUNTS_DAYS)
#: Marks on a card; no name that is looked for looks like them.
_CLASS_IN_DOUBT = "\0class in doubt"
_LISTS_IN_DOUBT = "\0lists in doubt"


def codes(text: str) -> set[str]:
    """The codes of everything that is wrong with the document ``text``; empty for a valid policy."""
    return _codes(text, least=False)


def least_codes(text: str) -> set[str]:
    """Those of ``codes(text)`` that no other error accounts for; empty only where ``codes`` is."""
    return _codes(text, least=True)


def _codes(text: str, *, least: bool) -> set[str]:
    found = set() if 100 <= len(text) <= 30_720 else {"TEXT_LENGTH"}
    repeats: list[str] = []
    try:
        document = json.loads(
            text,
            object_pairs_hook=lambda pairs: _object(pairs, repeats),
            parse_constant=_refuse,
            parse_int=_whole,
        )
    except (ValueError, RecursionError):
        return found | {"NOT_JSON_OBJECT"}
    if not isinstance(document, dict):
        return found | {"NOT_JSON_OBJECT"}
    if repeats:
        found.add("DUPLICATE_KEY")
    if set(document) - {"rules"}:
        found.add("UNKNOWN_PROPERTY")
    if "rules" not in document:
        return found | {"MISSING_PROPERTY"}
    rules = document["rules"]
    if not isinstance(rules, list):
        return found | {"WRONG_TYPE"}
    if not 1 <= len(rules) <= 50:
        found.add("RULE_COUNT")
    if not all(isinstance(rule, dict) for rule in rules):
        found.add("WRONG_TYPE")
    cards = [_card(rule) for rule in rules if isinstance(rule, dict)]
    alone = [_without_surplus(card) for card in cards] if least else cards
    together = [_without_refused(card) for card in cards] if least else cards
    found |= {code for code, asked in _ABOUT_VALUES.items() if asked(alone)}
    found |= {code for code, asked in _ABOUT_PRESENCE.items() if asked(cards)}
    return found | {code for code, asked in _ABOUT_SEVERAL.items() if asked(together)}


def _object(pairs: list[tuple[str, Any]], repeats: list[str]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    repeats.extend(name for name in names if names.count(name) > 1)
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _whole(digits: str) -> int:
    # A number of thousands of digits is JSON all the same; any too great or too small one will do.
    if len(digits) < 100:
        return int(digits)
    return -1 if digits.startswith("-") else 2**31


def _card(rule: dict[str, Any]) -> Card:
    # A dotted name that stands in the document itself must not pass for one of a part.
    card = {name.replace(".", "?"): value for name, value in rule.items()}
    for part in _PARTS:
        if isinstance(rule.get(part), dict):
            card |= {f"{part}.{key}": value for key, value in rule[part].items()}
    return card


def _without_surplus(card: Card) -> Card:
    """``card`` without keys that must not be there whatever they say, and so need not say it right."""
    surplus = set()
    if _text(card, "selection.countType") == "imageCountMoreThan":
        surplus.add("selection.countUnit")
    if _text(card, "action.type") == "expire":
        surplus.add("action.targetStorageClass")
    return {name: value for name, value in card.items() if name not in surplus}


def _without_refused(card: Card) -> Card:
    """``card`` without values that are refused for themselves, and what would be judged by them."""
    kept = dict(card)
    for name in _NUMBERS:
        if (number := _number(card, name)) is not None and number < 1:
            del kept[name]
    if any(name in card and _list(card, name) is None for name in _LISTS):
        # Whether it has the list that its tagStatus calls for is not known.
        for name in (*_LISTS, "selection.tagStatus"):
            kept.pop(name, None)
    if _text(card, "selection.tagStatus") not in _CHOICES["selection.tagStatus"]:
        for name in _LISTS:
            kept.pop(name, None)
    if all(_has(card, name) for name in _LISTS):
        kept[_LISTS_IN_DOUBT] = True
        if _text(card, "selection.tagStatus") in {"untagged", "any"}:
            # Already one list would be one too many.
            kept.pop("selection.tagPrefixList", None)
    if _storage_class_mismatch([card]) or _text(card, "selection.countType") not in _COUNTS:
        # Which class it is meant for is not known; that the two disagree is said elsewhere.
        kept[_CLASS_IN_DOUBT] = True
    return kept


# What a card says where it says it properly.


def _text(card: Card, name: str) -> str | None:
    value = card.get(name)
    return value if isinstance(value, str) else None


def _number(card: Card, name: str) -> int | None:
    value = card.get(name)
    return value if type(value) is int and value < 2**31 else None


def _list(card: Card, name: str) -> list[str] | None:
    value = card.get(name)
    good = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    return value if good else None


def _class(card: Card) -> str | None:
    """The storage class whose images it looks at; None where nobody can tell."""
    if not isinstance(card.get("selection"), dict) or _CLASS_IN_DOUBT in card:
        return None
    if "selection.storageClass" not in card:
        return "standard"
    value = _text(card, "selection.storageClass")
    return value if value in _CHOICES["selection.storageClass"] else None


def _has(card: Card, name: str) -> bool:
    """Whether it gives the list ``name``, even one of the wrong type; an empty list is none."""
    return name in card and card[name] != []


# The questions, each over all cards.


def _missing(cards: list[Card]) -> bool:
    return any(
        name not in card
        for card in cards
        for part, names in _REQUIRED.items()
        if not part or isinstance(card.get(part), dict)
        for name in names
    )


def _unknown(cards: list[Card]) -> bool:
    return any(set(card) - (_TEXTS | _NUMBERS | _LISTS | _PARTS) for card in cards)


def _wrong_type(cards: list[Card]) -> bool:
    for card in cards:
        for name, value in card.items():
            if name in _TEXTS and not isinstance(value, str) and not _null_that_is_too_much(card, name):
                return True
            if name in _NUMBERS and _number(card, name) is None:
                return True
            if name in _LISTS and _list(card, name) is None:
                return True
            if name in _PARTS and not isinstance(value, dict):
                return True
    return False


def _null_that_is_too_much(card: Card, name: str) -> bool:
    """Where a key must not be at all, null is no excuse for it, and no second mistake."""
    return card[name] is None and (
        (name == "selection.countUnit" and _text(card, "selection.countType") == "imageCountMoreThan")
        or (name == "action.targetStorageClass" and _text(card, "action.type") == "expire")
    )


def _below_minimum(cards: list[Card]) -> bool:
    return any(
        (_number(card, name) or 0) < 1
        for card in cards
        for name in _NUMBERS
        if _number(card, name) is not None
    )


def _bad_enum(cards: list[Card]) -> bool:
    return any(
        _text(card, name) is not None and _text(card, name) not in allowed
        for card in cards
        for name, allowed in _CHOICES.items()
    )


def _selection_schema(cards: list[Card]) -> bool:
    for card in cards:
        count_type, has_unit = _text(card, "selection.countType"), "selection.countUnit" in card
        if count_type is not None and (
            count_type not in _COUNTS
            or (count_type == "imageCountMoreThan" and has_unit)
            or (count_type in _COUNTS_DAYS and not has_unit)
        ):
            return True
    return False


def _action_schema(cards: list[Card]) -> bool:
    return any(
        (_text(card, "action.type") == "expire" and "action.targetStorageClass" in card)
        or (_text(card, "action.type") == "transition" and "action.targetStorageClass" not in card)
        for card in cards
    )


def _duplicate_priority(cards: list[Card]) -> bool:
    priorities = [_number(card, "rulePriority") for card in cards]
    return any(priority is not None and priorities.count(priority) > 1 for priority in priorities)


def _tag_list_required(cards: list[Card]) -> bool:
    return any(
        _text(card, "selection.tagStatus") == "tagged" and not any(_has(card, name) for name in _LISTS)
        for card in cards
    )


def _tag_list_both(cards: list[Card]) -> bool:
    return any(all(_has(card, name) for name in _LISTS) for card in cards)


def _tag_list_forbidden(cards: list[Card]) -> bool:
    return any(
        _text(card, "selection.tagStatus") in {"untagged", "any"} and any(name in card for name in _LISTS)
        for card in cards
    )


def _too_many_wildcards(cards: list[Card]) -> bool:
    return any(
        pattern.count("*") > 4 for card in cards for pattern in _list(card, "selection.tagPatternList") or ()
    )


def _storage_class_mismatch(cards: list[Card]) -> bool:
    for card in cards:
        count_type, storage_class = _text(card, "selection.countType"), _class(card)
        if count_type in _COUNTS and storage_class is not None:
            wanted = "archive" if count_type == "sinceImageTransitioned" else "standard"
            if storage_class != wanted:
                return True
    return False


def _action_mismatch(cards: list[Card]) -> bool:
    pairs = {(_text(card, "selection.countType"), _text(card, "action.type")) for card in cards}
    return bool(pairs & {("sinceImagePulled", "expire"), ("sinceImageTransitioned", "transition")})


def _archive_min_days(cards: list[Card]) -> bool:
    return any(
        _text(card, "selection.countType") == "sinceImageTransitioned"
        and (days := _number(card, "selection.countNumber")) is not None
        and days < 90
        for card in cards
    )


def _per_class(cards: list[Card]) -> Iterator[list[Card]]:
    for storage_class in ("standard", "archive"):
        yield [card for card in cards if _class(card) == storage_class]


def _multiple(tag_status: str) -> Callable[[list[Card]], bool]:
    def asked(cards: list[Card]) -> bool:
        return any(
            sum(_text(card, "selection.tagStatus") == tag_status for card in of_class) > 1
            for of_class in _per_class(cards)
        )

    return asked


def _any_not_last(cards: list[Card]) -> bool:
    for of_class in _per_class(cards):
        priorities = [p for card in of_class if (p := _number(card, "rulePriority")) is not None]
        for card in of_class:
            priority = _number(card, "rulePriority")
            if (
                _text(card, "selection.tagStatus") == "any"
                and priority is not None
                and priority < max(priorities)
            ):
                return True
    return False


def _duplicate_tag_set(cards: list[Card]) -> bool:
    for of_class in _per_class(cards):
        for name in _LISTS:
            lists = [
                frozenset(_list(card, name) or ())
                for card in of_class
                if _text(card, "selection.tagStatus") == "tagged"
                and _list(card, name)
                and _LISTS_IN_DOUBT not in card
            ]
            if any(times > 1 for times in Counter(lists).values()):
                return True
    return False


_Questions = dict[str, Callable[[list[Card]], bool]]

#: Whether a value is right by itself.
_ABOUT_VALUES: _Questions = {
    "WRONG_TYPE": _wrong_type,
    "BELOW_MINIMUM": _below_minimum,
    "BAD_ENUM": _bad_enum,
}
#: Which keys are there, and whether count type, class and action go together.
_ABOUT_PRESENCE: _Questions = {
    "MISSING_PROPERTY": _missing,
    "UNKNOWN_PROPERTY": _unknown,
    "SELECTION_SCHEMA": _selection_schema,
    "ACTION_SCHEMA": _action_schema,
    "STORAGE_CLASS_MISMATCH": _storage_class_mismatch,
    "ACTION_COUNTTYPE_MISMATCH": _action_mismatch,
}
#: What takes several values, or several rules.
_ABOUT_SEVERAL: _Questions = {
    "ARCHIVE_MIN_DAYS": _archive_min_days,
    "TAG_LIST_REQUIRED": _tag_list_required,
    "TAG_LIST_BOTH": _tag_list_both,
    "TAG_LIST_FORBIDDEN": _tag_list_forbidden,
    "TOO_MANY_WILDCARDS": _too_many_wildcards,
    "DUPLICATE_PRIORITY": _duplicate_priority,
    "MULTIPLE_UNTAGGED": _multiple("untagged"),
    "MULTIPLE_ANY": _multiple("any"),
    "ANY_NOT_LAST": _any_not_last,
    "DUPLICATE_TAG_SET": _duplicate_tag_set,
}
