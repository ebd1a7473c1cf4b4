"""What can be said of the selections of rules without looking at any image.

Tag names consist of letters, digits, ``_``, ``.`` and ``-`` (OCI distribution specification,
"Pulling manifests"). In a pattern ``*`` stands for any run of characters, in a prefix nothing is
special; an image is selected when each entry of the list is met by one of its tags (ECR user guide,
"Lifecycle policy parameters").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from analyzer.lifecycle.policy import Rule, TagStatus

_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")
#: Stands for a run of characters nobody knows; it is in no tag and so in no useful pattern.
_ANYTHING = "\0"

#: The literal parts of an entry, between which any characters may stand.
_Parts = tuple[str, ...]


def entries(rule: Rule) -> tuple[str, ...]:
    """The entries of the rule's list as they are written, none for an untagged or any rule."""
    return rule.tag_patterns or rule.tag_prefixes


def single_rules(rule: Rule) -> tuple[Rule, ...]:
    """The rule once for each entry of its list, with that entry alone."""
    return tuple(
        replace(rule, tag_patterns=(entry,)) if rule.tag_patterns else replace(rule, tag_prefixes=(entry,))
        for entry in entries(rule)
    )


def impossible_entries(rule: Rule) -> tuple[tuple[str, str], ...]:
    """The entries that no tag can meet, each with the reason."""
    found = []
    for entry, parts in zip(entries(rule), _parts(rule), strict=True):
        stranger = _NOT_IN_TAGS.search("".join(parts))
        if stranger and stranger[0] == "*":
            found.append((entry, "in a prefix * is an ordinary character, and no tag contains it"))
        elif stranger:
            found.append((entry, f"no tag contains {stranger[0]!r}"))
        elif parts == ("",):
            found.append((entry, "no tag is empty"))
    return tuple(found)


def always_covered(rule: Rule, earlier: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules among ``earlier`` that between them select whatever ``rule`` selects, on any images.

    Empty where there may be an image that ``rule`` selects and they do not. Only rules of the same
    storage class count, for the others act on other images.
    """
    same_class = [other for other in earlier if other.storage_class is rule.storage_class]
    for other in same_class:
        if _covers(other, rule):
            return (other,)
    if rule.tag_status is TagStatus.ANY:
        # The guide has such a rule come last; together these two leave nothing for it.
        untagged = [other for other in same_class if other.tag_status is TagStatus.UNTAGGED]
        every_tag = [other for other in same_class if _takes_every_tag(other)]
        if untagged and every_tag:
            return tuple(sorted((untagged[0], every_tag[0]), key=lambda other: other.priority))
    return ()


def _covers(wider: Rule, narrower: Rule) -> bool:
    """Whether every image that ``narrower`` selects is one that ``wider`` selects."""
    if wider.tag_status is TagStatus.ANY:
        return True
    if wider.tag_status is not narrower.tag_status:
        return False
    if wider.tag_status is TagStatus.UNTAGGED:
        return True
    inner = _parts(narrower)
    return all(any(_contains(outer, part) for part in inner) for outer in _parts(wider))


def _takes_every_tag(rule: Rule) -> bool:
    return rule.tag_status is TagStatus.TAGGED and all(
        len(parts) > 1 and not any(parts) for parts in _parts(rule)
    )


def _parts(rule: Rule) -> Sequence[_Parts]:
    if rule.tag_patterns:
        return [tuple(pattern.split("*")) for pattern in rule.tag_patterns]
    return [(prefix, "") for prefix in rule.tag_prefixes]


def _contains(outer: _Parts, inner: _Parts) -> bool:
    """Whether every tag that meets ``inner`` meets ``outer``.

    A run of characters that ``inner`` leaves open may hold something that ``outer`` does not spell
    out, so it has to fall into a run that ``outer`` leaves open too; then it may be any.
    """
    expression = ".*".join(map(re.escape, outer))
    return re.fullmatch(expression, _ANYTHING.join(inner), re.DOTALL) is not None
