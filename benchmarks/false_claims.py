"""False claims of usual procedures, between methods that do not differ: `docs/statistics.md`.

    python benchmarks/false_claims.py

Scores are independent draws of one normal distribution. A share is that of 40,000 studies in which
the procedure claims a difference, in either direction.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import stats

Numbers = npt.NDArray[np.float64]
STUDIES, RESAMPLED, DRAWS, SEED = 40_000, 4_000, 1_000, 0


def p_values(differences: Numbers) -> Numbers:
    """Of the paired t-test, for differences [..., seeds]."""
    found: Numbers = stats.ttest_1samp(differences, 0.0, axis=-1).pvalue
    return found


def bars(rng: np.random.Generator, seeds: int, ddof: int) -> float:
    """Two means whose bars of one standard error do not overlap."""
    scores = rng.standard_normal((2, STUDIES, seeds))
    first, second = scores.mean(axis=-1)
    widths = scores.std(axis=-1, ddof=ddof).sum(axis=0) / seeds**0.5
    return float(np.mean(abs(first - second) > widths))


def bootstrap(rng: np.random.Generator, seeds: int) -> float:
    """A percentile interval of the mean paired difference that excludes 0."""
    differences = rng.standard_normal((RESAMPLED, seeds))
    picked = rng.integers(0, seeds, (DRAWS, RESAMPLED, seeds))
    means = np.take_along_axis(differences[None], picked, axis=2).mean(axis=2)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return float(np.mean((low > 0) | (high < 0)))


def looks(rng: np.random.Generator, after: tuple[int, ...]) -> float:
    """p < 0.05 at any of several looks at a growing list of seeds."""
    differences = rng.standard_normal((STUDIES, max(after)))
    found = [p_values(differences[:, :seeds]) < 0.05 for seeds in after]
    return float(np.mean(np.any(found, axis=0)))


def family(rng: np.random.Generator, methods: int, seeds: int, corrected: bool = False) -> float:
    """Any of several methods found different from a control that all share."""
    control = rng.standard_normal((STUDIES, 1, seeds))
    p = p_values(rng.standard_normal((STUDIES, methods, seeds)) - control)
    # Holm's correction rejects anything at all just where Bonferroni's does.
    return float(np.mean(p.min(axis=1) < 0.05 / (methods if corrected else 1)))


def best(rng: np.random.Generator, methods: int, seeds: int) -> tuple[float, float]:
    """The best of several methods found better than the control; and how good it looks, in sd."""
    control = rng.standard_normal((STUDIES, seeds))
    scores = rng.standard_normal((STUDIES, methods, seeds))
    chosen = scores[np.arange(STUDIES), scores.mean(axis=2).argmax(axis=1)]
    better = (p_values(chosen - control) < 0.05) & (chosen.mean(axis=1) > control.mean(axis=1))
    return float(np.mean(better)), float(chosen.mean())


def rows() -> Iterator[tuple[str, float]]:
    """Each procedure, with the share of studies in which it claims a difference."""
    rng = np.random.default_rng(SEED)
    yield "error bars (± standard error) of 3 seeds that do not overlap", bars(rng, 3, 1)
    yield "the same with `np.std` as it is, which divides by n", bars(rng, 3, 0)
    yield "error bars of 5 seeds that do not overlap", bars(rng, 5, 1)
    yield "percentile bootstrap of 3 paired differences", bootstrap(rng, 3)
    yield "seeds added one by one, from 3 up to 20, until p < 0.05", looks(rng, (*range(3, 21),))
    yield "3 seeds, then 5, then 10, until p < 0.05", looks(rng, (3, 5, 10))
    yield "any of 10 identical methods on 5 seeds, uncorrected", family(rng, 10, 5)
    yield "any of 20", family(rng, 20, 5)
    yield "the best of 10 identical methods, shown alone", best(rng, 10, 5)[0]
    yield "a paired t-test of 5 seeds", family(rng, 1, 5)
    yield "a paired t-test with Holm's correction, 20 methods", family(rng, 20, 5, corrected=True)


def main() -> None:
    print("| how a difference is claimed | false claims |\n|:--|--:|")
    for said, share in rows():
        print(f"| {said} | {share:.0%} |".replace("%", " %"))
    looks_better = best(np.random.default_rng(SEED), 10, 5)[1]
    print(f"\nThe best of 10 looks {looks_better:.2f} standard deviations better than it is.")


if __name__ == "__main__":
    main()
