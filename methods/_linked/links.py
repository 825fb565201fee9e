"""Links: which blocks of one branch feed which blocks of another.

A link leads from a block to the same block of another branch, or to one up to two blocks later,
within one stage, where channels and resolution agree. Links join the primary with each auxiliary
but no two auxiliaries, so their number grows linearly with the number of auxiliaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Tensor

from auxbench.spec.marks import Help

REACH = 3  # the sources of a target are the same block and the two before it

Level = Literal["block", "stage"]
Links = Annotated[Level, Help("Where the links are: at every block, or at the ends of stages.")]
Direction = Literal["p2a", "a2p"]  # from the primary to an auxiliary, and back
Connectivity = Sequence[Tensor | None]  # per target, the strengths of its sources; None: closed


def link_pairs(stages: Sequence[int], level: Level) -> dict[int, list[int]]:
    """Target block -> its source blocks; with level 'stage' only the last block of every stage.

    >>> sum(len(sources) for sources in link_pairs((2, 2, 3, 3, 3), "block").values())
    24
    >>> link_pairs((2, 3), "stage")
    {1: [1], 4: [4]}
    """
    pairs: dict[int, list[int]] = {}
    first = 0
    for size in stages:
        for target in range(first, first + size):
            if level == "block":
                pairs[target] = list(range(max(first, target - REACH + 1), target + 1))
            elif target == first + size - 1:
                pairs[target] = [target]
        first += size
    return pairs
