"""Commands that repeat many runs at once: those that differ in method and seed alone are one."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import pairwise

from auxbench.report.page.detail import Detail


def commands(runs: Iterable[tuple[str, int, Detail]]) -> list[str]:
    """The commands of some runs, given by their entries, seeds and details.

    Methods that have other seeds than the rest, or ran with other threads, have their own command.
    """
    seeds: dict[tuple[str, str, str], list[int]] = {}
    for entry, seed, detail in runs:
        head, tail = detail.command
        begins = f"auxbench run --methods {shlex.quote(entry)} "
        if head.startswith(begins):  # not where the budget has changed since
            seeds.setdefault((entry, head.removeprefix(begins), tail), []).append(seed)
    entries: dict[tuple[str, str, str], list[str]] = {}
    for (entry, head, tail), found in seeds.items():
        entries.setdefault((head, stretches(found), tail), []).append(entry)
    return [
        f"auxbench run --methods {shlex.quote(','.join(found))} {head} --seeds {listed}{tail}"
        for (head, listed, tail), found in entries.items()
    ]


def stretches(seeds: Iterable[int]) -> str:
    """Seeds as `--seeds` takes them.

    >>> stretches([0, 1, 2, 7, 9, 10]), stretches([4])
    ('0-2,7-7,9-10', '4-4')
    """
    ordered = sorted(set(seeds))
    ends = [place for place, (a, b) in enumerate(pairwise(ordered), 1) if b > a + 1]
    parts = pairwise([0, *ends, len(ordered)])
    return ",".join(f"{ordered[first]}-{ordered[last - 1]}" for first, last in parts)
