"""Calibration: how often the shipped decisions claim a difference where there is none.

Scores are simulated for methods that all have the same mean as their control, with several shapes
of noise, and pass through the same functions that judge real runs. A rate is the share of families
in which any method was called better or worse; it should be at most 5 %. Collapses are 8 standard
deviations deep. Deeper or more frequent collapses can raise the rate where few methods have been
run, since they may have gone unseen; so can a method that alone collapses, above all the control,
which takes part in every comparison. `python -m auxbench.stats.calibrate` writes the rates that
reports quote.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from auxbench.stats.collapse import collapsed, shared_depth
from auxbench.stats.decision import ALPHA, evidence, verdicts
from auxbench.stats.multiplicity import holm

Numbers = npt.NDArray[np.float64]
Rng = np.random.Generator

SHARED = 0.4  # share of a normal method's variance that is due to the seed; pairing removes it
DEPTH = 8.0  # standard deviations


def _normal(rng: Rng, seed: Numbers, shape: tuple[int, ...]) -> Numbers:
    own = rng.standard_normal(shape)
    return math.sqrt(SHARED) * seed + math.sqrt(1 - SHARED) * own


def _collapsing(share: float) -> Callable[[Rng, Numbers, tuple[int, ...]], Numbers]:
    def draw(rng: Rng, seed: Numbers, shape: tuple[int, ...]) -> Numbers:
        falls = DEPTH * (rng.random(shape) < share)
        return _normal(rng, seed, shape) + DEPTH * share - falls

    return draw


def _one_collapsing(rng: Rng, seed: Numbers, shape: tuple[int, ...]) -> Numbers:
    """Normal methods, the first of which collapses in a tenth of its runs."""
    scores = _normal(rng, seed, shape)
    first = _collapsing(0.1)(rng, seed, (*shape[:-2], 1, shape[-1]))
    scores[..., :1, :] = first
    return scores


def _skewed(rng: Rng, seed: Numbers, shape: tuple[int, ...]) -> Numbers:
    """Lognormal with the long tail on the bad side and three times the spread of the control."""
    mean, spread = math.exp(0.5), math.sqrt((math.e - 1) * math.e)
    return -3 * (rng.lognormal(size=shape) - mean) / spread


SHAPES: Mapping[str, Callable[[Rng, Numbers, tuple[int, ...]], Numbers]] = {
    "normal": _normal,
    "t with 3 degrees of freedom": lambda rng, seed, shape: rng.standard_t(3, shape),
    "normal, sd 5 times": lambda rng, seed, shape: 5 * rng.standard_normal(shape),
    "lognormal to the left, sd 3 times": _skewed,
    "collapses in 5 %": _collapsing(0.05),
    "collapses in 10 %": _collapsing(0.1),
}

# Scores of other methods cannot reveal that one method alone collapses, in runs that were not made:
# here 5 % cannot be kept, and the rates are measured so that reports can state them.
LIMITS: Mapping[str, Callable[[Rng, Numbers, tuple[int, ...]], Numbers]] = {
    "one method collapses in 10 %": _one_collapsing,
    "the control collapses in 10 %": _normal,
}
CONTROL = "the control collapses in 10 %"


@dataclass(frozen=True)
class Rate:
    """The share of false claims in one setting, over `draws` simulated families."""

    shape: str
    seeds: int
    methods: int
    problems: int
    draws: int
    rate: float

    @property
    def excessive(self) -> bool:
        """True if the rate is above 5 % by more than four standard errors."""
        return self.rate > ALPHA + 4 * math.sqrt(ALPHA * (1 - ALPHA) / self.draws)

    def to_json(self) -> dict[str, Any]:
        """The rate as a row of a table."""
        return {**asdict(self), "excessive": self.excessive}


def calibrate(
    draws: int = 2000,
    seeds: Sequence[int] = (3, 5, 10, 20),
    methods: Sequence[int] = (1, 4, 20),
    problems: Sequence[int] = (1, 3),
) -> Iterator[Rate]:
    """Measure the rates of all shapes and limits by seeds, methods and problems.

    The rates of limits grow with the number of comparisons, so ten problems are measured as well.

    >>> next(calibrate(100, [5], [4], [1])).rate <= 0.15
    True
    """
    for place, (shape, noise) in enumerate({**SHAPES, **LIMITS}.items()):
        for count in seeds:
            for several in methods:
                for many in (*problems, *([10] if shape in LIMITS else [])):
                    rng = np.random.default_rng([place, count, several, many])
                    control = _collapsing(0.1) if shape == CONTROL else _normal
                    mean, p, same = _judge(rng, noise, control, draws, several, count, many)
                    words = verdicts(mean, holm(p), holm(same))
                    claims = ((words == "better") | (words == "worse")).any(1)
                    yield Rate(shape, count, several, many, draws, float(claims.mean()))


def resampled(scores: Sequence[float], seeds: int, draws: int = 2000) -> Rate:
    """Measure the rate on real runs: one method against itself, on disjoint random seeds.

    `scores` has the scores of one method, at least twice `seeds` of them. The problem is taken to
    have enough methods, with the same scores, for the level to be 5 %.

    >>> resampled(list(np.random.default_rng(0).standard_normal(60)), 5, 200).rate < 0.1
    True
    """
    values, rng = np.asarray(scores, dtype=np.float64), np.random.default_rng(seeds)
    order = rng.permuted(np.tile(np.arange(len(values)), (draws, 1)), axis=1)[:, : 2 * seeds]
    ours, theirs = values[order[:, :seeds]], values[order[:, seeds:]]
    marks, depth, _ = collapsed(np.stack([ours, theirs], 1))
    fallen = np.asarray(marks.any((1, 2)))
    found = evidence(
        ours - theirs,
        others=4,
        depth=depth,
        collapsed=fallen,
        scale=np.abs(values).max(),
    )
    words = verdicts(found.mean[:, None], found.p[:, None], found.p_equivalent[:, None])
    claims = ((words == "better") | (words == "worse")).any(1)
    return Rate("real runs", seeds, 1, 1, draws, float(claims.mean()))


def _judge(
    rng: Rng,
    noise: Callable[[Rng, Numbers, tuple[int, ...]], Numbers],
    base: Callable[[Rng, Numbers, tuple[int, ...]], Numbers],
    draws: int,
    methods: int,
    seeds: int,
    problems: int,
) -> tuple[Numbers, Numbers, Numbers]:
    """Mean differences and p-values, [draws, problems * methods], without any true difference."""
    seed = rng.standard_normal((draws, problems, 1, seeds))
    control = base(rng, seed, (draws, problems, 1, seeds))
    scores = noise(rng, seed, (draws, problems, methods, seeds))
    marks, depth, spread = collapsed(np.concatenate([control, scores], 2))
    fallen = np.asarray(marks.any(axis=3))
    found = evidence(
        (scores - control).reshape(-1, seeds),
        others=methods,
        depth=np.repeat(shared_depth(depth, spread, methods).ravel(), methods),
        collapsed=(fallen[..., 1:] | fallen[..., :1]).ravel(),
    )
    shape = (draws, problems * methods)
    return found.mean.reshape(shape), found.p.reshape(shape), found.p_equivalent.reshape(shape)


FILE = Path(__file__).with_name("calibration.json")


def measured() -> list[Rate]:
    """The rates measured with the decision rules of this release, from `calibration.json`."""
    return [Rate(**values) for values in json.loads(FILE.read_text(encoding="utf-8"))]


def main() -> None:
    """Measure all rates and write `calibration.json`, which reports quote."""
    lines = [json.dumps(asdict(rate)) for rate in calibrate(4000)]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
