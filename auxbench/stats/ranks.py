"""Ranks, in which a run without a score counts as the worst score seen."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

Name = TypeVar("Name", bound=Hashable)


def imputed(
    scores: Mapping[Name, Mapping[int, float]], direction: str
) -> dict[Name, dict[int, float]]:
    """The scores of methods, sorted by seed, with every NaN replaced by the worst score of all.

    `direction` is 'up' where larger is better. If there is no score at all, no seed is left.
    Without the replacement, an identical method that loses its worst seeds would be called better
    far too often. The lost runs might have scored even worse, so no method is called better because
    of the replacement (see `ScoredProblem.risk`).

    >>> imputed({"hps": {1: 0.5, 0: 0.9}, "famo": {0: math.nan}}, "down")
    {'hps': {0: 0.9, 1: 0.5}, 'famo': {0: 0.9}}
    """
    known = [value for part in scores.values() for value in part.values() if not math.isnan(value)]
    if not known:
        return {name: {} for name in scores}
    worst = min(known) if direction == "up" else max(known)
    return {
        name: {seed: worst if math.isnan(value) else value for seed, value in sorted(part.items())}
        for name, part in scores.items()
    }


def ranks(keys: Mapping[Name, Any]) -> dict[Name, float]:
    """The rank of every name by its key: 1 is the smallest, and equal keys share their mean rank.

    >>> ranks({"hps": (0.5, 0), "single": (0.5, 0), "famo": (0.5, 1)})
    {'hps': 1.5, 'single': 1.5, 'famo': 3.0}
    """
    every = list(keys.values())
    below = {name: sum(other < key for other in every) for name, key in keys.items()}
    equal = {name: every.count(key) for name, key in keys.items()}
    return {name: below[name] + (1 + equal[name]) / 2 for name in keys}
