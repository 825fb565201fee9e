"""Families: which comparisons are judged together, regardless of which are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from auxbench.report.scored import ScoredProblem
from auxbench.stats import Claim, Decision, decide
from auxbench.stats.collapse import shared_depth
from auxbench.stats.decision import ALPHA
from auxbench.stats.sequential import level_at

Pair = tuple[str, str]  # a method and its control
Looks = Mapping[tuple[str, str, str], int]  # seeds at the latest look, by problem and pair


def judged(
    pairs: Sequence[tuple[ScoredProblem, str]], control: str, named: set[str], looks: Looks
) -> tuple[list[Claim], list[Decision]]:
    """The claims of all pairs, and the decisions on them within their families."""
    unique = {problem.name: problem for problem, _ in pairs}
    found = shared_depth(
        np.array([problem.depth for problem in unique.values()]),
        np.array([problem.spread for problem in unique.values()]),
        np.array([problem.others for problem in unique.values()]),
    )
    depths = dict(zip(unique, found.tolist(), strict=True))
    sizes = {kind: sum((name in named) is kind for _, name in pairs) for kind in (True, False)}
    claims = []
    for problem, other in pairs:
        seeds = looks.get((problem.name, other, control))
        alpha = ALPHA if seeds is None else level_at(seeds)
        size = sizes[other in named]
        claims.append(problem.claim(other, control, size, depths[problem.name], alpha))
    decisions: dict[int, Decision] = {}
    for kind in (True, False):
        family = [place for place, (_, name) in enumerate(pairs) if (name in named) is kind]
        found_here = decide([claims[place] for place in family]) if family else []
        decisions |= dict(zip(family, found_here, strict=True))
    return claims, [decisions[place] for place in range(len(pairs))]
