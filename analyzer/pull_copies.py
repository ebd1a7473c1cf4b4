"""Of several copies of one cross-account call: what they say together.

CloudTrail gives the registry's owner and the puller's account a record each. The owner's is believed
about what was pulled, the puller's alone names the role behind it (AWS's user guide: identities of
other accounts are reduced to the account).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from analyzer.model.pulls import LeftOut, Puller, RegionMethod, Target

#: Who the caller is decides these, so whoever knows the caller best decides.
_BY_IDENTITY: Final = frozenset({LeftOut.COLLECTOR, LeftOut.SCANNER, LeftOut.SERVICE})
_SUREST_FIRST: Final = {method: place for place, method in enumerate(RegionMethod)}

Copy = tuple[Target, Puller]


def join_copies(copies: Sequence[Copy | None]) -> Copy:
    """What was pulled by whom, from the copies of the owner, the puller and anybody else, in this order.

    At least one of them is there. The order in which they came does not matter.
    """
    known = [copy for copy in copies if copy is not None]
    readable = [copy for copy in known if copy[0].kind is not LeftOut.UNREADABLE]
    target = (readable or known)[0][0]
    # The puller's copy before the owner's, and that before any other.
    informed = [copy for copy in (copies[1], copies[0], *copies[2:]) if copy is not None]
    for left_out, _ in informed:
        if left_out.kind in _BY_IDENTITY and target.kind is not LeftOut.ERROR:
            return Target(target.account, target.region, "", left_out.kind), Puller()
    if isinstance(target.kind, LeftOut):
        return target, Puller()
    who = max((puller for _, puller in informed), key=_knowledge)
    where = min((puller for _, puller in informed), key=lambda puller: _SUREST_FIRST[puller.method])
    return target, who._replace(region=where.region, method=where.method, confidence=where.confidence)


def _knowledge(puller: Puller) -> tuple[bool, bool]:
    return bool(puller.principal), bool(puller.account)
