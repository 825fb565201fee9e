"""Families: comparisons that are judged together, so that chance does not pick the winners."""

from __future__ import annotations

from collections.abc import Sequence

from auxbench.stats.paired import LEVEL, Paired


def holm(values: Sequence[float]) -> list[float]:
    """p-values adjusted for a family, so that any false claim has at most the stated rate.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6, 1979, https://www.jstor.org/stable/4615733

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = highest
    return adjusted


def decide(family: Sequence[Paired], alpha: float = 1 - LEVEL) -> list[tuple[float, str]]:
    """Holm's adjusted p-value and the verdict on every comparison of a family.

    A verdict is 'better', 'worse' or 'undecided'; the probability that a family of methods without
    any difference gets one of the first two is at most `alpha`.

    >>> from auxbench.stats import paired
    >>> scores = {0: 40.0, 1: 41.0, 2: 39.5}
    >>> higher = {seed: score + 9 + seed / 10 for seed, score in scores.items()}
    >>> [verdict for _, verdict in decide([paired(higher, scores, "up")])]
    ['better']
    """
    adjusted = holm([result.p for result in family])
    return [
        (p, "undecided" if p > alpha else "better" if result.difference > 0 else "worse")
        for result, p in zip(family, adjusted, strict=True)
    ]
