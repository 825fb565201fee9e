"""Marks: annotations of an option, for its range, help text, location flag and tuning range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Bounds:
    """The range of a number, for annotations: `alpha: Annotated[float, Bounds(0)] = 1.5`.

    The ends are included, except that `above` excludes `low` and `below` excludes `high`.

    >>> [str(range) for range in (Bounds(0, above=True), Bounds(0, 1), Bounds(0, 1, below=True))]
    ['> 0', '0 to 1', '>= 0 and < 1']
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        high = value < self.high if self.below else value <= self.high
        return high and (value > self.low if self.above else value >= self.low)

    def __str__(self) -> str:
        ends = []
        if self.low > -math.inf:
            ends.append(f"{'>' if self.above else '>='} {self.low:g}")
        if self.high < math.inf:
            ends.append(f"{'<' if self.below else '<='} {self.high:g}")
        closed = len(ends) == 2 and not (self.above or self.below)
        return f"{self.low:g} to {self.high:g}" if closed else " and ".join(ends)


@dataclass(frozen=True)
class Help:
    """The explanation of an option, for annotations: `Annotated[float, Help("...")]`."""

    text: str


@dataclass(frozen=True)
class Tune:
    """The range in which tuning searches a number, for annotations: `Annotated[float, Tune(0, 1)]`.

    With `log` the search is uniform in the logarithm.

    >>> Tune(0.01, 1, log=True).at(0.5), Tune(0, 1).at(0.25)
    (0.1, 0.25)
    """

    low: float
    high: float
    log: bool = False

    def at(self, share: float) -> float:
        """The value at a share of the range in [0, 1], to three significant digits."""
        value = self.low + share * (self.high - self.low)
        if self.log:
            value = self.low * (self.high / self.low) ** share
        return float(f"{value:.3g}")


@dataclass(frozen=True)
class Location:
    """The mark of an option that gives a location and cannot affect results: see `Place`."""


Place = Annotated[str, Location()]  # not part of a run's identity
Positive = Annotated[float, Bounds(0, above=True)]
NonNegative = Annotated[float, Bounds(0)]
Share = Annotated[float, Bounds(0, 1)]
ProperShare = Annotated[float, Bounds(0, 1, below=True)]  # such as the decay of a moving average
Count = Annotated[int, Bounds(1)]
CountOrZero = Annotated[int, Bounds(0)]
