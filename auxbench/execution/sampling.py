"""Samplers: the points of an entry's space at which the trials of a tuning are made."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from auxbench.errors import UsageError, suggestion

Point = tuple[float, ...]  # one coordinate in [0, 1] per dimension of a space


class Sampler(ABC):
    """Proposes the same number of points for every method, in rounds.

    A sampler that learns from scores proposes its points one after the other. They depend on these
    scores alone, so that a resumed tuning continues with the same points.
    """

    @abstractmethod
    def rounds(self, points: int) -> Iterator[int]:
        """The number of points proposed in each round, `points` in all."""

    @abstractmethod
    def next(
        self, dimensions: int, known: Sequence[tuple[Point, float | None]], count: int
    ) -> list[Point]:
        """The next `count` points after those with a `known` score.

        Smaller scores are better; None stands for a failed trial.
        """


class Sobol(Sampler):
    """Points of a Sobol sequence, which agree between methods in their common dimensions.

    >>> Sobol().next(2, [], 2)
    [(0.5, 0.5), (0.75, 0.25)]
    """

    def rounds(self, points: int) -> Iterator[int]:
        yield points

    def next(
        self, dimensions: int, known: Sequence[tuple[Point, float | None]], count: int
    ) -> list[Point]:
        from scipy.stats import qmc

        first, last = 1 + len(known), 1 + len(known) + count  # point 0 is a corner of the space
        whole = 2 ** math.ceil(math.log2(max(last, 2)))
        drawn = qmc.Sobol(dimensions, scramble=False).random(whole)[first:last]
        return [tuple(point) for point in drawn.tolist()]


class Tpe(Sampler):
    """Optuna's tree-structured Parzen estimator; the first half of the points is from `Sobol`.

    Source: Bergstra, Bardenet, Bengio and Kegl, Algorithms for Hyper-Parameter Optimization,
    NeurIPS 2011, https://papers.nips.cc/paper/4443
    """

    def __init__(self) -> None:
        try:
            import optuna
        except ImportError:
            raise UsageError(
                "sampler 'tpe' needs the package optuna; pip install 'auxbench[optuna]'."
            ) from None
        self.optuna: Any = optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    def rounds(self, points: int) -> Iterator[int]:
        yield (points + 1) // 2
        yield from [1] * (points // 2)

    def next(
        self, dimensions: int, known: Sequence[tuple[Point, float | None]], count: int
    ) -> list[Point]:
        if not known:
            return Sobol().next(dimensions, [], count)
        trial = self.optuna.trial
        space = {
            str(d): self.optuna.distributions.FloatDistribution(0, 1) for d in range(dimensions)
        }
        sampler = self.optuna.samplers.TPESampler(seed=0, n_startup_trials=1)
        study = self.optuna.create_study(sampler=sampler, direction="minimize")
        for point, score in known:
            state = trial.TrialState.FAIL if score is None else trial.TrialState.COMPLETE
            place = {str(d): share for d, share in enumerate(point)}
            study.add_trial(
                trial.create_trial(params=place, distributions=space, value=score, state=state)
            )
        asked = [study.ask(space).params for _ in range(count)]
        return [tuple(place[str(d)] for d in range(dimensions)) for place in asked]


SAMPLERS: dict[str, type[Sampler]] = {"sobol": Sobol, "tpe": Tpe}


def sampler(name: str) -> Sampler:
    """The sampler of a name; errors: `UsageError` for an unknown name and a missing package."""
    if name not in SAMPLERS:
        raise UsageError(f"no sampler is called '{name}'; {suggestion(name, SAMPLERS)}")
    return SAMPLERS[name]()
