"""Times of contestants that take turns, and ratios of them with distribution-free intervals."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

WARM_UP = 1
FEWEST = 6  # rounds; fewer have no interval of 95 %, so their range is given
BY_PROCESSOR, BY_WALL = "seconds of the processor", "seconds"

Step = Callable[[], object]
Clock = Callable[[], float]
Ratio = dict[str, float]


def measure(
    steps: Mapping[str, Step],
    rounds: int,
    clock: Clock = time.perf_counter,
    warm_up: int = WARM_UP,
) -> dict[str, list[float]]:
    """Seconds per step of everybody, round by round, after some rounds to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(warm_up + rounds):
        for name, step in steps.items():
            start = clock()
            step()
            if turn >= warm_up:
                seconds[name].append(clock() - start)
    return seconds


def clock_of(cpu: bool) -> tuple[str, Clock]:
    """The seconds that are counted, in words, and the clock that counts them."""
    return (BY_PROCESSOR, time.process_time) if cpu else (BY_WALL, time.perf_counter)


def load() -> list[float] | None:
    """The machine's load averages over 1, 5 and 15 minutes; None where it does not keep them."""
    return [round(each, 2) for each in os.getloadavg()] if hasattr(os, "getloadavg") else None


def rank(count: int) -> int:
    """The rank from either end of the order statistics that hold the median with 95 %.

    The median lies below the k-th smallest of n values with the probability that fewer than k of n
    fair coins show heads. The rank is 1, which gives the range, also where that is less than 95 %.

    >>> [rank(count) for count in (3, 6, 16, 100)]
    [1, 1, 4, 40]
    """
    below, found = 0, 0
    while 40 * (below := below + math.comb(count, found)) <= 2**count:
        found += 1
    return max(found, 1)


def ratio(values: Sequence[float]) -> Ratio:
    """The median of some ratios, with the ends of its interval.

    >>> ratio([1.0, 1.2, 1.1, 1.3, 0.9, 1.0, 1.1])
    {'median': 1.1, 'low': 0.9, 'high': 1.3}
    """
    ordered, place = sorted(values), rank(len(values))
    ends = {"low": ordered[place - 1], "high": ordered[-place]}
    found = {"median": statistics.median(values), **ends}
    return {name: round(value, 3) for name, value in found.items()}


def by_round(these: Sequence[float], those: Sequence[float]) -> Ratio:
    """The ratio of two contestants' times, taken in every round by itself.

    >>> by_round([2.0, 6.0, 3.0], [1.0, 2.0, 3.0])
    {'median': 2.0, 'low': 1.0, 'high': 3.0}
    """
    return ratio([this / that for this, that in zip(these, those, strict=True)])


def middle(value: float | Ratio) -> float:
    """The median of a ratio, which may be a bare number."""
    return value["median"] if isinstance(value, dict) else value


def cell(value: float | Ratio | None, bar: float | None = None) -> str:
    """A cell of a table, bold if the median is over its bar.

    >>> cell({"median": 0.98, "low": 0.97, "high": 1.0}), cell(1.07, 1.05)
    ('0.98 [0.97, 1.00]', '**1.07 (> 1.05)**')
    """
    if value is None:
        return ""
    shown = f"{middle(value):.2f}"
    if isinstance(value, dict):
        shown += f" [{value['low']:.2f}, {value['high']:.2f}]"
    if bar is None:
        return shown
    return f"{shown} (≤ {bar:g})" if middle(value) <= bar else f"**{shown} (> {bar:g})**"


def brackets(*rounds: int) -> str:
    """The meaning of the numbers in brackets, for tables whose rows had these numbers of rounds.

    >>> brackets(16)
    'in brackets intervals of 95 % by order statistics'
    >>> brackets(4)
    'in brackets ranges, since fewer than 6 rounds have no interval of 95 %'
    """
    few = f"since fewer than {FEWEST} rounds have no interval of 95 %"
    if min(rounds) >= FEWEST:
        return "in brackets intervals of 95 % by order statistics"
    if max(rounds) < FEWEST:
        return f"in brackets ranges, {few}"
    return f"in brackets intervals of 95 % by order statistics, or ranges, {few}"


def loads(result: Mapping[str, Sequence[float] | None]) -> str:
    """The load averages before and after, in words."""
    before, after = (result[name] for name in ("before", "after"))
    return f"load {before[0]:g} before and {after[0]:g} after" if before and after else "load ?"
