"""One policy for all repositories: the one that frees most among those that are safe in each of them.

Such a policy is what a repository creation template sets, or somebody who does not want to look
after hundreds. Its numbers are those of the repository that needs the most, so what it loses against
a policy for each repository is worth knowing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from analyzer.lifecycle.policy import TagStatus
from analyzer.lifecycle.recommend_search import Setting, demand, keeping, round_up
from analyzer.lifecycle.recommend_view import Selector, View, union
from analyzer.model.recommendation import RecommendOptions

#: Patterns that are tried, the most common ones, and that a policy gets at most.
_TRIED: Final = 6
_MOST: Final = 3

#: The ends that a policy can have, as in ``View.tails``.
_TAILS: Final = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class FleetFound:
    """One policy for all, as it looks in each repository."""

    #: By row: the rules, all with the same numbers.
    settings: Mapping[int, tuple[Setting, ...]]
    freed: int
    #: By priority: the row that needs the number that the rule has; None for the least that is advised.
    decided_by: tuple[int | None, ...]


def search_default(
    views: Mapping[int, tuple[View, Sequence[Selector]]], options: RecommendOptions
) -> FleetFound:
    """The best policy for all of ``views``, which are not none."""
    search = _Search(views, options)
    best = max((search.found((), tail) for tail in _TAILS), key=_worth)
    left = search.common_patterns()
    while left and len(best[1][0]) < _MOST:
        sequence, tail = best[1]
        better = max(
            (
                search.found((*sequence[:place], pattern, *sequence[place:]), tail)
                for pattern in left
                for place in range(len(sequence) + 1)
            ),
            key=_worth,
        )
        # Another rule for all has to be worth reading.
        if better[0].freed <= best[0].freed * (1 + options.loss) and best[0].freed:
            break
        if _worth(better) <= _worth(best):
            break
        best = better
        left = [pattern for pattern in left if pattern not in best[1][0]]
    sequence = best[1][0]
    best = max((search.found(sequence, tail) for tail in _TAILS), key=_worth)
    return search.rounded(*best[1], freed=best[0].freed)


_Order = tuple[tuple[str, ...], int]


def _worth(found: tuple[FleetFound, _Order]) -> tuple[int, int]:
    """Bytes first; of equals what keeps fewer images."""
    kept = sum(setting.kept.bit_count() for own in found[0].settings.values() for setting in own)
    return found[0].freed, -kept


class _Search:
    def __init__(
        self, views: Mapping[int, tuple[View, Sequence[Selector]]], options: RecommendOptions
    ) -> None:
        self._views = views
        self._options = options
        self._tails = {row: view.tails for row, (view, _) in views.items()}
        self._selectors: dict[tuple[int, str], Selector] = {}

    def common_patterns(self) -> list[str]:
        """The patterns that most repositories have families for."""
        counts = Counter(selector.pattern for _, selectors in self._views.values() for selector in selectors)
        return [pattern for pattern, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))][
            :_TRIED
        ]

    def found(self, sequence: tuple[str, ...], tail: int) -> tuple[FleetFound, _Order]:
        """The tightest policy of this order that is safe everywhere."""
        return self._found(sequence, tail, is_round=False), (sequence, tail)

    def rounded(self, sequence: tuple[str, ...], tail: int, *, freed: int) -> FleetFound:
        """The same in round numbers, where that loses next to nothing."""
        found = self._found(sequence, tail, is_round=True)
        if found.freed >= freed - int(freed * self._options.loss):
            return found
        return self._found(sequence, tail, is_round=False)

    def _select(self, row: int, pattern: str) -> Selector:
        key = row, pattern
        if key not in self._selectors:
            self._selectors[key] = self._views[row][0].select(pattern)
        return self._selectors[key]

    def _found(self, sequence: tuple[str, ...], tail: int, *, is_round: bool) -> FleetFound:
        still_open = {row: view.seen for row, (view, _) in self._views.items()}
        settings: dict[int, list[Setting]] = {row: [] for row in self._views}
        decided_by = []
        rules = len(sequence) + len(next(iter(self._tails.values()))[tail])
        for place in range(rules):
            selectors = {
                row: self._select(row, sequence[place])
                if place < len(sequence)
                else self._tails[row][tail][place - len(sequence)]
                for row in self._views
            }
            decided = {row: still_open[row] & selector.bits for row, selector in selectors.items()}
            for row, selector in selectors.items():
                still_open[row] &= ~selector.bits
            chosen, row_of = self._tightest(selectors, decided, is_round=is_round)
            decided_by.append(row_of)
            for row, setting in chosen.items():
                settings[row].append(setting)
        freed = sum(
            self._views[row][0].freed(union(setting.kept for setting in own)) for row, own in settings.items()
        )
        return FleetFound({row: tuple(own) for row, own in settings.items()}, freed, tuple(decided_by))

    def _tightest(
        self, selectors: Mapping[int, Selector], decided: Mapping[int, int], *, is_round: bool
    ) -> tuple[dict[int, Setting], int | None]:
        """The rule of each repository, with the one number that all need, and who needs it."""
        any_selector = next(iter(selectors.values()))
        untagged = any_selector.tag_status is TagStatus.UNTAGGED
        kinds: list[Literal["images", "days"]] = ["images"]
        if untagged or self._options.age_rules:
            kinds.insert(0 if untagged else 1, "days")
        choices = [self._with_one_number(selectors, decided, by, is_round=is_round) for by in kinds]
        return min(choices, key=lambda choice: sum(each.kept.bit_count() for each in choice[0].values()))

    def _with_one_number(
        self,
        selectors: Mapping[int, Selector],
        decided: Mapping[int, int],
        by: Literal["images", "days"],
        *,
        is_round: bool,
    ) -> tuple[dict[int, Setting], int | None]:
        needs: dict[int, tuple[int, int]] = {}
        least = 0
        for row, selector in selectors.items():
            view = self._views[row][0]
            need = demand(view, selector, decided[row], margin_days=self._options.margin_days)
            images = by == "images"
            needs[row] = (need.images, need.images_margin) if images else (need.days, need.days_margin)
            # A default is for every repository: what one of them has in force plays no part.
            least = selector.least_images if images else self._options.pulled_within_days
        neediest = max(needs, key=lambda row: (sum(needs[row]), -row))
        number = sum(needs[neediest])
        decides = neediest if number > least else None
        if is_round and number > least:
            number = round_up(number, by)
        number = max(number, least)
        return {
            row: Setting(
                selector=selector,
                by=by,
                number=number,
                required=needs[row][0],
                margin=needs[row][1],
                decided=decided[row],
                kept=keeping(self._views[row][0], selector, decided[row], by, number),
            )
            for row, selector in selectors.items()
        }, decides
