"""The search for the policy that frees most among those that take nothing that is needed.

A policy here is a row of rules for different tag families, then one for untagged images or none,
then one for all that is left. Which rule decides on an image depends on their order alone; and what a
rule keeps are the youngest of its images up to the oldest one that is needed there, with room for
the pushes to come. So for each order there is one tightest policy, and what remains is to try the
orders: all of them where there are few families, and step by step where there are many.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, permutations
from typing import Final, Literal

from analyzer.lifecycle.census import DAY_MS
from analyzer.lifecycle.policy import TagStatus
from analyzer.lifecycle.recommend_view import Selector, View, union

#: Families up to which all orders are tried.
_FEW: Final = 3
#: Sets of kept images that are weighed in bytes, the smallest first.
_WEIGHED: Final = 64
#: Numbers that read well, in every power of ten; and days that people say.
_ROUND: Final = (10, 12, 15, 20, 25, 30, 40, 50, 60, 75, 100)
_ROUND_DAYS: Final = (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 150, 180, 270, 365, 545, 730)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One rule with its number."""

    selector: Selector
    by: Literal["images", "days"]
    number: int
    #: What of the number today's needed images demand, and what is room for the days to come.
    required: int
    margin: int
    #: What it decides on, and keeps of that.
    decided: int
    kept: int


@dataclass(frozen=True, slots=True)
class Found:
    """The policy that was found."""

    settings: tuple[Setting, ...]
    freed: int
    #: What the best one frees, however many rules it takes and whatever its numbers.
    most_freed: int

    @property
    def kept(self) -> int:
        """What its rules keep."""
        return union(setting.kept for setting in self.settings)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a rule must keep, at least: its number by images and by days."""

    images: int
    images_margin: int
    days: int
    days_margin: int


def demand(view: View, selector: Selector, decided: int, *, margin_days: int) -> Demand:
    """What the needed images that ``selector`` decides on demand of its rule."""
    lasting = (decided & view.lasting).bit_length()
    release = (decided & view.releases).bit_length()
    rank_lasting = (selector.bits & ((1 << lasting) - 1)).bit_count()
    rank_release = (selector.bits & ((1 << release) - 1)).bit_count()
    # The last releases of a family stay so until others of it come, which push them out rightly.
    stays = selector.is_pure and rank_release <= selector.least_images
    growth = selector.growth
    need = max(
        rank_lasting + growth if lasting else 0,
        rank_release + (0 if stays else growth) if release else 0,
    )
    required = max(rank_lasting, rank_release)
    oldest = max(lasting, release)
    age_ms = max(int(view.age_ms[oldest - 1]), 0) if oldest else 0
    days = -(-age_ms // DAY_MS)
    return Demand(required, need - required, days, margin_days if oldest else 0)


def keeping(view: View, selector: Selector, decided: int, by: Literal["images", "days"], number: int) -> int:
    """What a rule keeps of ``decided``."""
    if by == "images":
        if number >= len(selector.places):
            return decided
        last = int(selector.places[number - 1]) + 1
    else:
        last = bisect_right(view.age_ms, number * DAY_MS)
    return decided & (((1 << last) - 1) | view.ageless)


class Search:
    """The search in one repository."""

    def __init__(self, view: View, *, margin_days: int, age_rules: bool) -> None:
        self._view = view
        self._margin_days = margin_days
        self._age_rules = age_rules
        #: The shortest policy for each set of kept images, with the rules it takes.
        self._shortest: dict[int, tuple[Setting, ...]] = {}

    def best(self, families: Sequence[Selector], loss: float) -> Found:
        """The shortest policy that frees all but ``loss`` of what the best one frees, in round numbers."""
        view = self._view
        for tail in view.tails:
            self._try((), tail)
        alone = self._tightest(view.tails[0][0], view.seen, by="images").kept
        if len(families) <= _FEW:
            for sequence in _orders(families):
                for tail in view.tails:
                    self._try(sequence, tail)
        else:
            for tail in view.tails:
                self._insert(families, tail)
        most = self._heaviest(list(self._shortest))
        most_freed = view.freed(most)
        enough = most_freed - int(most_freed * loss)
        # One number for any image is what everybody can write: what is advised is no worse than that.
        enough = max(enough, view.freed(alone))
        chosen = most
        for rules in sorted({len(settings) for settings in self._shortest.values()}):
            short = [kept for kept, settings in self._shortest.items() if len(settings) <= rules]
            heaviest = self._heaviest(short)
            if view.freed(heaviest) >= enough:
                chosen = heaviest
                break
        settings = self._readable(self._shortest[chosen], enough)
        return Found(settings, view.freed(union(setting.kept for setting in settings)), most_freed)

    def _heaviest(self, choices: Sequence[int]) -> int:
        """Of these sets of kept images the one that frees most; of equals the smallest."""
        least: list[int] = []
        for kept in sorted(choices, key=lambda bits: (bits.bit_count(), bits)):
            # Whatever keeps more beside all of that frees no more.
            if not any(smaller & ~kept == 0 for smaller in least):
                least.append(kept)
            if len(least) >= _WEIGHED:
                break
        return least[0] if len(least) == 1 else max(least, key=self._view.freed)

    def _insert(self, families: Sequence[Selector], tail: Sequence[Selector]) -> None:
        """Put families one by one where the fewest images are kept, as long as that helps."""
        sequence: tuple[Selector, ...] = ()
        least = self._try(sequence, tail)
        left = list(families)
        while left:
            tried = []
            for number, selector in enumerate(left):
                for place in _places(sequence, selector):
                    longer = (*sequence[:place], selector, *sequence[place:])
                    tried.append((self._try(longer, tail), number, longer))
            kept, number, longer = min(tried, key=lambda entry: entry[:2])
            if kept >= least:
                break
            least, sequence = kept, longer
            del left[number]

    def _try(self, sequence: Sequence[Selector], tail: Sequence[Selector]) -> int:
        """How many images the tightest policy of this order keeps."""
        still_open = self._view.seen
        settings = []
        together = 0
        for selector in (*sequence, *tail):
            decided = still_open & selector.bits
            still_open &= ~selector.bits
            setting = self._tightest(selector, decided)
            settings.append(setting)
            together |= setting.kept
        known = self._shortest.get(together)
        if known is None or len(settings) < len(known):
            self._shortest[together] = tuple(settings)
        return together.bit_count()

    def _tightest(
        self, selector: Selector, decided: int, *, by: Literal["images", "days"] | None = None
    ) -> Setting:
        choices = [each for each in self._choices(selector, decided) if by in {None, each.by}]
        # The first is the one that reads better, where both keep as much.
        return min(choices, key=lambda setting: setting.kept.bit_count())

    def _choices(self, selector: Selector, decided: int) -> list[Setting]:
        """The tightest rules by images and by days; first the kind that reads better."""
        need = demand(self._view, selector, decided, margin_days=self._margin_days)
        untagged = selector.tag_status is TagStatus.UNTAGGED
        by_images = max(need.images + need.images_margin, selector.least_images)
        found = [self._setting(selector, decided, "images", by_images, need.images, need.images_margin)]
        # Once nothing is pushed any more, a rule that counts days takes the last releases too.
        if untagged or self._age_rules:
            by_days = max(need.days + need.days_margin, selector.least_days)
            days = self._setting(selector, decided, "days", by_days, need.days, need.days_margin)
            found.insert(0 if untagged else 1, days)
        return found

    def _setting(
        self,
        selector: Selector,
        decided: int,
        by: Literal["images", "days"],
        number: int,
        required: int,
        margin: int,
    ) -> Setting:
        kept = keeping(self._view, selector, decided, by, number)
        return Setting(
            selector=selector,
            by=by,
            number=number,
            required=required,
            margin=margin,
            decided=decided,
            kept=kept,
        )

    def _readable(self, settings: tuple[Setting, ...], enough: int) -> tuple[Setting, ...]:
        """``settings`` with kinds and numbers that read better, as long as they free ``enough``."""
        if not enough:
            # Where nothing leaves there is nothing to lose, but tomorrow.
            enough = self._view.freed(union(setting.kept for setting in settings))
        current = list(settings)
        for place, setting in enumerate(settings):
            better = self._choices(setting.selector, setting.decided)[0]
            if better.by != setting.by:
                self._replace(current, place, better, enough)
        rounded = [self._rounded(setting) for setting in current]
        if self._freed(rounded) >= enough:
            return tuple(rounded)
        for place, setting in enumerate(rounded):
            self._replace(current, place, setting, enough)
        return tuple(current)

    def _replace(self, current: list[Setting], place: int, setting: Setting, enough: int) -> None:
        trial = [*current[:place], setting, *current[place + 1 :]]
        if self._freed(trial) >= enough:
            current[place] = setting

    def _freed(self, settings: Sequence[Setting]) -> int:
        return self._view.freed(union(setting.kept for setting in settings))

    def _rounded(self, setting: Setting) -> Setting:
        selector = setting.selector
        least = selector.least_images if setting.by == "images" else selector.least_days
        if setting.number <= least:
            return setting
        number = round_up(setting.number, setting.by)
        kept = keeping(self._view, selector, setting.decided, setting.by, number)
        return replace(setting, number=number, kept=kept)


def round_up(number: int, by: Literal["images", "days"]) -> int:
    """The least number that reads well and is no smaller."""
    if by == "days" and number <= _ROUND_DAYS[-1]:
        return next(days for days in _ROUND_DAYS if days >= number)
    if by == "days":
        return -(-number // 365) * 365
    if number <= 10:
        return number
    power: int = 10 ** (len(str(number)) - 2)
    return next(step for step in (each * power for each in _ROUND) if step >= number)


def _orders(families: Sequence[Selector]) -> Iterator[tuple[Selector, ...]]:
    """All orders of some of ``families``, without those that differ in nothing that counts."""
    numbered = range(len(families))
    for size in range(1, len(families) + 1):
        for some in combinations(numbered, size):
            for order in permutations(some):
                pairs = pairwise(order)
                # Neighbours that select nothing in common may change places.
                if all(one < other or families[one].bits & families[other].bits for one, other in pairs):
                    yield tuple(families[number] for number in order)


def _places(sequence: Sequence[Selector], selector: Selector) -> Iterator[int]:
    """Where ``selector`` can go in ``sequence`` so that it makes a difference."""
    yield 0
    for place, other in enumerate(sequence, start=1):
        if other.bits & selector.bits:
            yield place
