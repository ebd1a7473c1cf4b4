"""A what-if answer once more, slowly: verdicts of the slow evaluator, sets of blobs, bills as Fractions.

A saving is the bill of a whole region before less the bill after, tier by tier. What a part of the
region saves of that is by its bytes: every byte that leaves a class counts as much as any other.
Nothing here is shared with the simulator but its records' names, the policy dataclasses and the
price book's look-up of a region's row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from analyzer.lifecycle.policy import Policy
from analyzer.model.frames import NO_TIME, Frames
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome, Reason
from analyzer.pricing import PriceBook, StorageClass
from tests.oracle import storage
from tests.oracle.lifecycle import Image, Verdict, base_of, evaluate_slowly

GB = 2**30
SCOPES = ("repository", "registry")
UNKNOWN_SIZE = "artifacts of unknown size"
UNLISTED_IMAGES = "images that were never listed"
NO_REGION = "the region is not known"


@dataclass(frozen=True)
class Amount:
    """Money: USD, None for unknown, and what it does not contain."""

    usd: Fraction | None
    leaves_out: frozenset[str] = frozenset()


NOTHING = Amount(Fraction(0))


@dataclass(frozen=True)
class Effect:
    """What the simulator's ``Effect`` must say: counts, bytes by name (and scope), money by name."""

    counts: dict[str, int]
    plain_bytes: dict[str, int]
    #: By name, then by scope.
    bytes: dict[str, dict[str, int]]
    money: dict[str, Amount]


@dataclass(frozen=True)
class RuleEffect:
    """What the simulator's ``RuleEffect`` must say, by scope."""

    priority: int
    expired: int
    transitioned: int
    alone: Effect
    without: Effect


@dataclass(frozen=True)
class Lists:
    """Positions of the artifacts of one repository, oldest first."""

    claimed: list[int]
    followers: list[int]
    blocked: list[int]
    in_use: list[int]
    protected: list[int]


@dataclass(frozen=True)
class Archiving:
    """What the simulator's ``Archiving`` must say of one region."""

    region: str
    archived_bytes: int
    saving: Amount
    minimum_cost: Fraction | None
    retrieval_cost: Fraction | None


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that is judged and priced; positions as in ``frames``."""

    frames: Frames
    #: Per row of ``frames.repositories`` its images in order of position.
    repositories: Sequence[Sequence[Image]]
    #: Rows that the question is about.
    rows: Collection[int]
    now_ms: int
    prices: PriceBook
    #: auto, repository or registry.
    scope: str
    children_take_slots: bool = True
    in_use: Collection[int] = field(default_factory=frozenset)
    protected: Collection[int] = field(default_factory=frozenset)


@dataclass(frozen=True)
class _Moves:
    """Bytes of some blobs by class: those held before, and what becomes of them."""

    standard: int = 0
    archive: int = 0
    freed_standard: int = 0
    freed_archive: int = 0
    archived: int = 0

    def __add__(self, other: _Moves) -> _Moves:
        return _Moves(
            self.standard + other.standard,
            self.archive + other.archive,
            self.freed_standard + other.freed_standard,
            self.freed_archive + other.freed_archive,
            self.archived + other.archived,
        )

    @property
    def held(self) -> dict[StorageClass, int]:
        return {"standard": self.standard, "archive": self.archive}

    @property
    def leaving(self) -> dict[StorageClass, int]:
        """What each class loses; what it gains is negative."""
        return {
            "standard": self.freed_standard + self.archived,
            "archive": self.freed_archive - self.archived,
        }

    @property
    def moved(self) -> int:
        return self.freed_standard + self.freed_archive + self.archived

    @property
    def only_freed(self) -> _Moves:
        """The same as if nothing went to the archive."""
        return _Moves(self.standard, self.archive, self.freed_standard, self.freed_archive)


class Judged:
    """One set of policies: ``policies[row]`` for each row of repositories, None for none."""

    def __init__(self, world: World, policies: Sequence[Policy | None]) -> None:
        self.world = world
        frames = world.frames
        mine = [policy if row in world.rows else None for row, policy in enumerate(policies)]
        self.verdicts: list[Verdict] = [
            verdict
            for of_one in evaluate_slowly(
                world.repositories, mine, world.now_ms, children_take_slots=world.children_take_slots
            )
            for verdict in of_one
        ]
        self.images = [image for images in world.repositories for image in images]
        self.artifacts = storage._artifacts(frames)
        self.sizes = [int(size) for size in frames.blob_size_bytes]
        self.group_of = storage._groups(frames)
        self.registry_of = [int(registry) for registry in frames.repositories["registry"]]
        self.regions = [str(region) for region in frames.registries["region"]]

    # Bytes.

    def _moves(self, holders: Collection[int], relevant: Collection[int]) -> _Moves:
        """What becomes of the blobs in ``relevant`` within the repositories ``holders``."""
        before: dict[int, list[bool]] = {}
        after: dict[int, list[bool]] = {}
        for artifact in self.artifacts:
            if artifact.repository not in holders:
                continue
            outcome = self.verdicts[artifact.position].outcome
            for blob in artifact.blobs:
                if blob not in relevant:
                    continue
                before.setdefault(blob, []).append(artifact.archived)
                if outcome is not Outcome.EXPIRED:
                    goes = artifact.archived or outcome is Outcome.TRANSITIONED
                    after.setdefault(blob, []).append(goes)
        moves = _Moves()
        for blob, archived in before.items():
            size, was_archived = self.sizes[blob], all(archived)
            is_gone = blob not in after
            moves += _Moves(
                standard=0 if was_archived else size,
                archive=size if was_archived else 0,
                freed_standard=size if is_gone and not was_archived else 0,
                freed_archive=size if is_gone and was_archived else 0,
                archived=size if not is_gone and not was_archived and all(after[blob]) else 0,
            )
        return moves

    def _blobs(self, rows: Collection[int]) -> set[int]:
        return {blob for artifact in self.artifacts if artifact.repository in rows for blob in artifact.blobs}

    def _neighbours(self, row: int) -> list[int]:
        """The repositories that ``row`` may share blobs with, itself included."""
        return [other for other, group in enumerate(self.group_of) if group == self.group_of[row]]

    def row_moves(self, row: int) -> dict[str, _Moves]:
        """Of one repository: all of its blobs, and those that nobody else in its group holds."""
        others = [other for other in self._neighbours(row) if other != row]
        own = self._blobs([row])
        return {
            "repository": self._moves([row], own),
            "registry": self._moves([row], own - self._blobs(others)),
        }

    def registry_moves(self, registry: int, rows: Collection[int]) -> dict[str, _Moves]:
        """Of those of ``rows`` that are in one registry, together."""
        mine = [row for row in sorted(rows) if self.registry_of[row] == registry]
        apart = together = _Moves()
        for row in mine:
            apart += self.row_moves(row)["repository"]
        for group in {self.group_of[row] for row in mine}:
            members = [row for row, other in enumerate(self.group_of) if other == group]
            asked = [row for row in mine if self.group_of[row] == group]
            together += self._moves(members, self._blobs(asked))
        return {"repository": apart, "registry": together}

    def region_moves(self, region: str, scope: str) -> _Moves:
        """Of everything that is in a region, asked about or not."""
        whole = _Moves()
        for registry, name in enumerate(self.regions):
            if name == region:
                whole += self.registry_moves(registry, range(len(self.registry_of)))[scope]
        return whole

    def logical(self, rows: Collection[int], *, expired: bool) -> int:
        return sum(
            self.sizes[blob]
            for artifact in self.artifacts
            if artifact.repository in rows
            and (not expired or self.verdicts[artifact.position].outcome is Outcome.EXPIRED)
            for blob in artifact.blobs
        )

    # Counts and lists.

    def counts(self, rows: Collection[int]) -> dict[str, int]:
        world = self.world
        found = dict.fromkeys(
            (
                "artifacts",
                "expired",
                "expired_followers",
                "transitioned",
                "transitioned_followers",
                "blocked",
                "deferred",
                "near_limit",
                "in_use",
                "protected",
                "unknown_size",
            ),
            0,
        )
        for artifact in self.artifacts:
            if artifact.repository not in rows:
                continue
            verdict, position = self.verdicts[artifact.position], artifact.position
            goes = verdict.outcome is not Outcome.KEPT
            found["artifacts"] += 1
            if goes:
                what = "expired" if verdict.outcome is Outcome.EXPIRED else "transitioned"
                found[what + "_followers" * (verdict.reason is Reason.FOLLOWS_SUBJECT)] += 1
            found["blocked"] += verdict.reason is Reason.BLOCKED_BY_INDEX
            found["deferred"] += verdict.deferred
            found["near_limit"] += verdict.near_limit
            found["in_use"] += goes and position in world.in_use
            found["protected"] += goes and position in world.protected
            found["unknown_size"] += verdict.outcome is Outcome.EXPIRED and artifact.kind == "unknown"
        return found

    def lists(self, row: int) -> Lists:
        world = self.world
        mine = [artifact.position for artifact in self.artifacts if artifact.repository == row]
        mine.sort(key=self._age)
        goes = [position for position in mine if self.verdicts[position].outcome is not Outcome.KEPT]
        return Lists(
            claimed=[p for p in goes if self.verdicts[p].reason is Reason.CLAIMED],
            followers=[p for p in goes if self.verdicts[p].reason is Reason.FOLLOWS_SUBJECT],
            blocked=[p for p in mine if self.verdicts[p].reason is Reason.BLOCKED_BY_INDEX],
            in_use=[p for p in goes if p in world.in_use],
            protected=[p for p in goes if p in world.protected],
        )

    def _age(self, position: int) -> tuple[bool, int, str]:
        """Sorts the oldest first; what has no time comes last."""
        image = self.images[position]
        since = image.archived_at_ms if image.status is ImageStatus.ARCHIVED else base_of(image)
        return since is None, since or 0, image.digest

    # Money.

    def effect(self, rows: Collection[int]) -> Effect:
        """Of ``rows`` together; give one in a list for the repository by itself: see ``row_effect``."""
        registries = range(len(self.regions))
        parts = [self.registry_moves(registry, rows) for registry in registries]
        regions = [(self.regions[registry], parts[registry]) for registry in registries]
        low = [self._low(registry) for registry in registries]
        naive = add(
            self._naive(
                region, self.logical([r for r in rows if self.registry_of[r] == number], expired=True)
            )
            for number, (region, _) in enumerate(regions)
        )
        return self._effect(rows, regions, low, naive)

    def row_effect(self, row: int) -> Effect:
        """Of one repository: at registry scope what it holds alone."""
        registry = self.registry_of[row]
        region = self.regions[registry]
        naive = self._naive(region, self.logical([row], expired=True))
        return self._effect([row], [(region, self.row_moves(row))], [self._low(registry)], naive)

    def _effect(
        self,
        rows: Collection[int],
        regions: Sequence[tuple[str, Mapping[str, _Moves]]],
        low: Sequence[str],
        naive: Amount,
    ) -> Effect:
        sums = {scope: sum((part[scope] for _, part in regions), _Moves()) for scope in SCOPES}
        high = "repository" if self.world.scope == "auto" else self.world.scope
        low_sum = sum((part[end] for (_, part), end in zip(regions, low, strict=True)), _Moves())
        held, expired, archived = self._unknown(rows)
        money: dict[str, Amount] = {}
        for scope in SCOPES:
            total = sums[scope]
            cost = add(self._cost(region, scope, part[scope]) for region, part in regions)
            saving = add(self._saving(region, scope, part[scope]) for region, part in regions)
            expiry = add(
                self._saving(region, scope, part[scope].only_freed, archiving=False)
                for region, part in regions
            )
            freed = total.freed_standard + total.freed_archive
            money[f"cost.{scope}"] = _beside(cost, held, bool(total.standard + total.archive))
            money[f"saving.{scope}"] = _beside(saving, expired | archived, bool(total.moved))
            money[f"expiry_saving.{scope}"] = _beside(expiry, expired, bool(freed))
        at_low = add(
            self._saving(region, end, part[end]) for (region, part), end in zip(regions, low, strict=True)
        )
        money["saving_low"] = _beside(at_low, expired | archived, bool(low_sum.moved))
        money["saving_high"] = money[f"saving.{high}"]
        money["naive_saving"] = _beside(naive, expired, bool(self.logical(rows, expired=True)))
        return Effect(
            counts=self.counts(rows),
            plain_bytes={
                "logical_bytes": self.logical(rows, expired=False),
                "expired_logical_bytes": self.logical(rows, expired=True),
            },
            bytes={
                "physical_bytes": {scope: sums[scope].standard + sums[scope].archive for scope in SCOPES},
                "freed_bytes": {
                    scope: sums[scope].freed_standard + sums[scope].freed_archive for scope in SCOPES
                },
                "archived_bytes": {scope: sums[scope].archived for scope in SCOPES},
            },
            money=money,
        )

    def _unknown(self, rows: Collection[int]) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """What nobody knows of what is held, of what expires, and of what is archived."""
        held, expired, archived = set(), set(), set()
        for artifact in self.artifacts:
            if artifact.repository in rows and artifact.kind == "unknown":
                held.add(UNKNOWN_SIZE)
                outcome = self.verdicts[artifact.position].outcome
                if outcome is Outcome.EXPIRED:
                    expired.add(UNKNOWN_SIZE)
                elif outcome is Outcome.TRANSITIONED:
                    archived.add(UNKNOWN_SIZE)
        for row in rows:
            if int(self.world.frames.repositories["complete_at_ms"].iloc[row]) == NO_TIME:
                held.add(UNLISTED_IMAGES)
        return frozenset(held), frozenset(expired), frozenset(archived)

    def _low(self, registry: int) -> str:
        if self.world.scope != "auto":
            return self.world.scope
        ever = bool(self.world.frames.registries["blob_mounting_ever"].iloc[registry])
        return "registry" if ever else "repository"

    def _cost(self, region: str, scope: str, part: _Moves) -> Amount:
        if not part.standard and not part.archive:
            return NOTHING
        if not region:
            return Amount(None, frozenset({NO_REGION}))
        whole = self.region_moves(region, scope).held
        known, missing = [], set()
        for name, size in part.held.items():
            bill = self.bill(region, name, whole[name])
            if size and bill is None:
                missing.add(f"no price for storage-{name} in {region}")
            elif size and bill is not None:
                known.append(bill * Fraction(size, whole[name]))
        return Amount(sum(known, Fraction(0)) if known else None, frozenset(missing))

    def _saving(self, region: str, scope: str, part: _Moves, *, archiving: bool = True) -> Amount:
        if not part.moved:
            return NOTHING
        if not region:
            return Amount(None, frozenset({NO_REGION}))
        whole = self.region_moves(region, scope)
        whole = whole if archiving else whole.only_freed
        known, missing = [], {}
        for name, size in part.leaving.items():
            rate = self._rate(region, name, whole.held[name], whole.leaving[name])
            if size and rate is None:
                missing[f"no price for storage-{name} in {region}"] = size
            elif size and rate is not None:
                known.append(size * rate)
        # What a class without a price gains would have to be taken off, by nobody knows how much.
        is_known = not missing or (known and min(missing.values()) > 0)
        return Amount(sum(known, Fraction(0)) if is_known else None, frozenset(missing))

    def _rate(self, region: str, name: StorageClass, before: int, leaving: int) -> Fraction | None:
        """What a byte is worth of those that leave a class of a region."""
        if leaving == 0:
            # The last byte there is, or the first there would be.
            before, leaving = (before, 1) if before else (1, 1)
        now, then = self.bill(region, name, before), self.bill(region, name, before - leaving)
        return None if now is None or then is None else (now - then) / leaving

    def _naive(self, region: str, size: int) -> Amount:
        if not size:
            return NOTHING
        if not region:
            return Amount(None, frozenset({NO_REGION}))
        # Where nothing is held, what the first byte would cost.
        held = self.region_moves(region, "repository").standard or 1
        bill = self.bill(region, "standard", held)
        if bill is None:
            return Amount(None, frozenset({f"no price for storage-standard in {region}"}))
        return Amount(bill * Fraction(size, held))

    def bill(self, region: str, name: StorageClass, size: int) -> Fraction | None:
        """USD a month for so many bytes of a class in a region; None without a price."""
        price = self.world.prices.price(region, name)
        if price is None:
            return None
        usd = Fraction(0)
        for number, tier in enumerate(price.tiers):
            upper = size if number + 1 == len(price.tiers) else price.tiers[number + 1].from_gb * GB
            inside = min(size, upper) - tier.from_gb * GB
            if inside > 0:
                usd += Fraction(tier.usd_per_gb_month) * inside / GB
        return usd * Fraction(self.world.prices.factor(region, name))

    def archiving(self) -> list[Archiving]:
        """One per known region where something is archived, at repository scope."""
        found = []
        for region in sorted(set(self.regions)):
            whole = self.region_moves(region, "repository")
            if not region or not whole.archived:
                continue
            left = whole.archive - whole.freed_archive
            standard = whole.standard - whole.freed_standard
            after = self.bill(region, "archive", left + whole.archived)
            before = self.bill(region, "archive", left)
            out = self.bill(region, "standard", standard)
            stays = self.bill(region, "standard", standard - whole.archived)
            missing = {
                f"no price for storage-{name} in {region}"
                for name, bill in (("standard", out), ("archive", after))
                if bill is None
            }
            usd = minimum = None
            if after is not None and before is not None:
                minimum = (after - before) * 90 * 24 / 730
                if out is not None and stays is not None:
                    usd = (out - stays) - (after - before)
            per_gb = self.world.prices.retrieval_usd_per_gb(region)
            retrieval = None if per_gb is None else Fraction(per_gb) * whole.archived / GB
            found.append(
                Archiving(region, whole.archived, Amount(usd, frozenset(missing)), minimum, retrieval)
            )
        return found


def rules(world: World, policies: Sequence[Policy | None]) -> list[RuleEffect]:
    """Each rule of the one policy that ``world.rows`` have, alone and left out."""
    (policy,) = {policies[row] for row in world.rows if policies[row] is not None}
    assert policy is not None
    whole = Judged(world, policies)
    found = []
    for rule in policy.rules:
        alone, rest = Policy((rule,)), Policy(tuple(other for other in policy.rules if other != rule))
        mine = [
            verdict
            for verdict in whole.verdicts
            if verdict.rule == rule.priority and verdict.reason is Reason.CLAIMED
        ]
        found.append(
            RuleEffect(
                priority=rule.priority,
                expired=sum(verdict.outcome is Outcome.EXPIRED for verdict in mine),
                transitioned=sum(verdict.outcome is Outcome.TRANSITIONED for verdict in mine),
                alone=Judged(world, [alone if one else None for one in policies]).effect(world.rows),
                without=Judged(world, [rest if one and rest.rules else None for one in policies]).effect(
                    world.rows
                ),
            )
        )
    return found


def add(amounts: Iterable[Amount]) -> Amount:
    """The sum of what is known; nothing beside something unknown is unknown."""
    all_of_them = list(amounts)
    known = [amount.usd for amount in all_of_them if amount.usd is not None]
    leaves_out = frozenset(reason for amount in all_of_them for reason in amount.leaves_out)
    is_known = len(known) == len(all_of_them) or any(known)
    return Amount(sum(known, Fraction(0)) if is_known else None, leaves_out)


def _beside(amount: Amount, reasons: frozenset[str], is_something: bool) -> Amount:
    if not reasons:
        return amount
    usd = amount.usd if amount.usd or is_something else None
    return Amount(usd, amount.leaves_out | reasons)
