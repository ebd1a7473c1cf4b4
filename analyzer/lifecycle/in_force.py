"""The lifecycle policies that repositories have, read from their texts."""

from __future__ import annotations

import numpy as np

from analyzer.lifecycle.parsing import parse_policy
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.refusals import InvalidPolicy
from analyzer.model.frames import Frames, Int64


def policies_in_force(frames: Frames) -> tuple[list[Policy], Int64, dict[int, InvalidPolicy]]:
    """The distinct valid policies, which of them each repository has, and what is wrong with the others.

    The second has one entry per row of ``frames.repositories``, -1 for no policy and for none that is
    known or valid; the third has the rows whose policy is not valid.
    """
    read: dict[str, int | InvalidPolicy] = {}
    policies: list[Policy] = []
    policy_of = np.full(len(frames.repositories), -1)
    problems = {}
    for position, text in enumerate(frames.repositories["lifecycle_policy_text"].tolist()):
        if text is None:
            continue
        if text not in read:
            try:
                policies.append(parse_policy(text))
            except InvalidPolicy as problem:
                read[text] = problem
            else:
                read[text] = len(policies) - 1
        found = read[text]
        if isinstance(found, InvalidPolicy):
            problems[position] = found
        else:
            policy_of[position] = found
    return policies, policy_of, problems
