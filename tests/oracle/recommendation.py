"""The advice on policies once more, slowly: what is needed by sets of digests, and every policy tried.

Nothing here is shared with the search but the policy dataclasses. The grammar is that of the search's
own head: rules for patterns in any order, then one for what is untagged or none, then one for all that
is left; what differs is that every number of every rule is tried and judged by the slow evaluator.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations, product
from math import ceil

from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, TagStatus
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome
from tests.oracle.lifecycle import DAY_MS, Image, base_of, evaluate_repository, tags_pass


@dataclass(frozen=True)
class Asked:
    """What counts as needed."""

    now_ms: int
    keep_releases: int
    pulled_within_days: int
    margin_days: int


@dataclass(frozen=True)
class Need:
    """Digests that are needed, and those that stay so whatever is pushed."""

    needed: frozenset[str]
    lasting: frozenset[str]


def needed_slowly(
    images: Sequence[Image], family_of: Mapping[str, str], wanted: Collection[str], asked: Asked
) -> Need:
    """What is needed in one repository; ``wanted``: in use, protected, or of unknown nature."""
    pulled = {
        image.digest
        for image in images
        if image.last_pull_ms is not None
        and image.last_pull_ms >= asked.now_ms - asked.pulled_within_days * DAY_MS
    }
    last: set[str] = set()
    for family in set(family_of.values()):
        members = [
            image
            for image in images
            if _is_seen(image, images) and any(family_of[tag] == family for tag in image.tags)
        ]
        last |= {image.digest for image in _youngest_first(members)[: asked.keep_releases]}
    lasting = _with_indexes(images, _closed(images, pulled | set(wanted)))
    return Need(_with_indexes(images, _closed(images, lasting | last)), lasting)


def _is_seen(image: Image, images: Sequence[Image]) -> bool:
    present = {other.digest for other in images}
    return image.status not in {ImageStatus.ARCHIVED, ImageStatus.ACTIVATING} and image.subject not in present


def _youngest_first(images: Sequence[Image]) -> list[Image]:
    """Whoever has no time counts as youngest; of equals the greater digest does."""

    def key(image: Image) -> tuple[bool, int, str]:
        base = base_of(image)
        return (base is None, 0 if base is None else base, image.digest)

    return sorted(images, key=key, reverse=True)


def _with_indexes(images: Sequence[Image], needed: frozenset[str]) -> frozenset[str]:
    """Of what no needed index names also the youngest index that names it, if that one is younger."""
    youngest_first = [image.digest for image in _youngest_first(images)]
    while True:
        more = set()
        for digest in needed:
            indexes = holders(images, digest)
            younger = [one for one in youngest_first[: youngest_first.index(digest)] if one in indexes]
            if younger and not needed & set(indexes):
                more.add(younger[0])
        if not more:
            return needed
        needed = _closed(images, needed | more)


def _closed(images: Sequence[Image], roots: Collection[str]) -> frozenset[str]:
    by_digest = {image.digest: image for image in images}
    closed = set(roots)
    while True:
        more = set(closed)
        for image in images:
            if image.digest in closed:
                more |= {child for child in image.children if child in by_digest}
                if image.subject in by_digest:
                    more.add(str(image.subject))
            elif image.subject in closed:
                more.add(image.digest)
            for tag in image.tags:
                named = f"sha256:{tag.removeprefix('sha256-').partition('.')[0]}"
                if tag.startswith("sha256-") and named in closed:
                    more.add(image.digest)
        if more == closed:
            return frozenset(closed)
        closed = more


def growth(images: Sequence[Image], rule: Rule, asked: Asked) -> int:
    """How many images ``rule`` will select that are not there yet."""
    ages = [
        -(10**18) if (base := base_of(image)) is None else asked.now_ms - base
        for image in images
        if _is_seen(image, images) and tags_pass(rule, image.tags)
    ]
    days = asked.margin_days
    if not ages or not days or _is_exact(rule):
        return 0
    over = min(days * DAY_MS, max(*ages, DAY_MS))
    return ceil(Fraction(sum(age <= days * DAY_MS for age in ages) * days * DAY_MS, over))


def _is_exact(rule: Rule) -> bool:
    return bool(rule.tag_patterns) and "*" not in rule.tag_patterns[0]


def taken(images: Sequence[Image], policy: Policy, now_ms: int) -> frozenset[str]:
    """Digests that leave under ``policy``."""
    verdicts = evaluate_repository(images, policy, now_ms)
    return frozenset(
        image.digest
        for image, verdict in zip(images, verdicts, strict=True)
        if verdict.outcome != Outcome.KEPT
    )


def holders(images: Sequence[Image], digest: str) -> list[str]:
    """Indexes that name ``digest``, other than itself."""
    return [image.digest for image in images if digest in image.children and image.digest != digest]


@dataclass(frozen=True)
class Grammar:
    """The policies that are tried."""

    patterns: Sequence[str]
    #: Patterns whose rule selects nothing but one family.
    pure: Collection[str]
    #: The greatest numbers that are tried; the first so great that it is always safe.
    most_images: int
    days: Sequence[int]
    age_rules: bool

    def orders(self) -> Iterator[tuple[Rule, ...]]:
        """Rules in every order, their numbers still to be set."""
        tails = (("any",), ("untagged", "any"), ("untagged", "*"))
        for size in range(len(self.patterns) + 1):
            for chosen in permutations(self.patterns, size):
                for tail in tails:
                    yield tuple(_rule(number, text) for number, text in enumerate((*chosen, *tail), start=1))

    def numbers(self, rule: Rule, asked: Asked) -> Iterator[Rule]:
        """``rule`` with every number that is advised at all."""
        untagged = rule.tag_status is TagStatus.UNTAGGED
        least = 1 if untagged or _is_exact(rule) else asked.keep_releases
        for number in range(least, self.most_images + 1):
            yield _with(rule, CountType.IMAGE_COUNT_MORE_THAN, number)
        if untagged or self.age_rules:
            for number in self.days:
                if number >= asked.pulled_within_days:
                    yield _with(rule, CountType.SINCE_IMAGE_PUSHED, number)


def _rule(priority: int, selects: str) -> Rule:
    status = TagStatus(selects) if selects in {"any", "untagged"} else TagStatus.TAGGED
    return Rule(
        priority=priority,
        tag_status=status,
        tag_patterns=(selects,) if status is TagStatus.TAGGED else (),
        count_type=CountType.IMAGE_COUNT_MORE_THAN,
        count_number=1,
        action=Action.EXPIRE,
    )


def _with(rule: Rule, count_type: CountType, number: int) -> Rule:
    return Rule(
        priority=rule.priority,
        tag_status=rule.tag_status,
        tag_patterns=rule.tag_patterns,
        count_type=count_type,
        count_number=number,
        action=Action.EXPIRE,
    )


def most_freed(
    images: Sequence[Image],
    blobs_of: Mapping[str, Mapping[int, int]],
    need: Need,
    asked: Asked,
    grammar: Grammar,
) -> int:
    """What the best safe policy of ``grammar`` frees; ``blobs_of``: sizes of blobs by digest and blob."""
    best = 0
    seen: set[frozenset[str]] = set()
    for order in grammar.orders():
        # Rules decide each on images of their own; of those that claim the same one is enough.
        choices = []
        for bare in order:
            claimed: dict[frozenset[str], Rule] = {}
            for rule in _safe(images, order, bare, need, asked, grammar):
                claimed.setdefault(_claimed(images, order, rule, asked), rule)
            choices.append(claimed)
        for claims in product(*choices):
            together = frozenset[str]().union(*claims)
            if together in seen:
                continue
            seen.add(together)
            rules = tuple(choice[claim] for choice, claim in zip(choices, claims, strict=True))
            best = max(best, freed(blobs_of, taken(images, Policy(rules), asked.now_ms)))
    return best


def _claimed(images: Sequence[Image], order: Sequence[Rule], rule: Rule, asked: Asked) -> frozenset[str]:
    """What ``rule`` takes of the images that no earlier rule selects, relatives left out of account."""
    selected = _youngest_first(
        [image for image in images if _is_seen(image, images) and tags_pass(rule, image.tags)]
    )
    claimed = set()
    for rank, image in enumerate(selected, start=1):
        base = base_of(image)
        earlier = (other for other in order if other.priority < rule.priority)
        if base is None or any(tags_pass(other, image.tags) for other in earlier):
            continue
        by_count = rule.count_type is CountType.IMAGE_COUNT_MORE_THAN
        beyond = rank > rule.count_number if by_count else asked.now_ms - base > rule.count_number * DAY_MS
        if beyond:
            claimed.add(image.digest)
    return frozenset(claimed)


def freed(blobs_of: Mapping[str, Mapping[int, int]], gone: Collection[str]) -> int:
    """Bytes of the blobs that nothing holds once ``gone`` are gone."""
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    for digest, blobs in blobs_of.items():
        before |= blobs
        if digest not in gone:
            after |= blobs
    return sum(before.values()) - sum(after.values())


def _safe(
    images: Sequence[Image],
    order: Sequence[Rule],
    bare: Rule,
    need: Need,
    asked: Asked,
    grammar: Grammar,
) -> Iterator[Rule]:
    """``bare`` with every number that is safe, of those that keep all images the first."""
    pure = set(bare.tag_patterns) <= set(grammar.pure)
    keeps_all = set()
    for rule in grammar.numbers(bare, asked):
        if rule.count_type in keeps_all or not _is_safe(images, order, rule, need, asked, pure=pure):
            continue
        yield rule
        if rule.count_type is CountType.IMAGE_COUNT_MORE_THAN and rule.count_number >= len(images):
            keeps_all.add(rule.count_type)


def _is_safe(
    images: Sequence[Image], order: Sequence[Rule], rule: Rule, need: Need, asked: Asked, *, pure: bool
) -> bool:
    """Whether ``rule`` keeps, now and at the end of the margin, all needed images it has to keep.

    It need not keep what an index keeps that is needed for as long.
    """
    selected = _youngest_first(
        [image for image in images if _is_seen(image, images) and tags_pass(rule, image.tags)]
    )
    by_count = rule.count_type is CountType.IMAGE_COUNT_MORE_THAN
    more = growth(images, rule, asked)
    for rank, image in enumerate(selected, start=1):
        earlier = (other for other in order if other.priority < rule.priority)
        if image.digest not in need.needed or any(tags_pass(other, image.tags) for other in earlier):
            continue
        lasting = image.digest in need.lasting
        keepers = need.lasting if lasting else need.needed
        if any(holder in keepers for holder in holders(images, image.digest)):
            continue
        base = base_of(image)
        if by_count:
            if base is None:
                continue
            one_of_last = bool(rule.tag_patterns) and pure and rank <= asked.keep_releases and not lasting
            if rank + (0 if one_of_last else more) > rule.count_number:
                return False
        elif base is not None:
            age_days = ceil(Fraction(max(0, asked.now_ms - base), DAY_MS))
            if age_days + asked.margin_days > rule.count_number:
                return False
    return True
