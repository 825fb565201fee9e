"""Studies: the user's request as text; nothing is looked up here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from auxbench.errors import UsageError
from auxbench.spec.budget import budget
from auxbench.spec.grammar import split_list

Words = str | Sequence[str]
Seeds = int | str | Sequence[int]

CHANGES = (
    "steps",
    "batch",
    "side",
    "learning_rate",
    "weight_decay",
    "optimizer",
    "schedule",
    "chunks",
    "precision",
    "compiled",
    "checkpointing",
)
AUTO = "auto"  # the precision that is fastest on this machine
MOST = 100_000  # seeds of one study
LARGEST = 2**53  # seeds are below, so that JSON keeps them
SEEDS = "write how many, such as 5, or which, such as 5-9 or 0,3,5."


def seeds_of(given: Seeds) -> tuple[int, ...]:
    """The seeds that a number, a text or a list describes.

    A number is the number of seeds, starting at 0; a text may also list single seeds and ranges.
    Errors: `UsageError` for an empty list, for duplicates, and for anything that is not a seed.

    >>> seeds_of(3), seeds_of("5-7"), seeds_of("0,4,7-8"), seeds_of([2])
    ((0, 1, 2), (5, 6, 7), (0, 4, 7, 8), (2,))
    """
    if isinstance(given, bool) or not isinstance(given, int | str | Sequence):
        raise UsageError(f"seeds is {given}, which is not a number of seeds; {SEEDS}")
    if isinstance(given, str):
        whole = given.strip()
        parts = [range(_number(whole))] if whole.isdecimal() else _stretches(given)
    elif isinstance(given, int):
        parts = [range(given)]
    else:
        wrong = [seed for seed in given if isinstance(seed, bool) or not isinstance(seed, Integral)]
        if wrong:
            raise UsageError(f"seeds is {given}, and {wrong[0]!r} is not a seed; {SEEDS}")
        parts = [range(int(seed), int(seed) + 1) for seed in given]
    if sum(max(0, part.stop - part.start) for part in parts) > MOST:
        raise UsageError(f"seeds is {str(given)[:40]}, which is more than {MOST:,} seeds; {SEEDS}")
    found = [seed for part in parts for seed in part]
    twice = [seed for seed, count in Counter(found).items() if count > 1]
    if not found or min(found) < 0 or max(found) >= LARGEST or twice:
        why = f"which names {twice[0]} twice" if twice else "which is not a seed from 0 on"
        raise UsageError(f"seeds is {given}, {why}; {SEEDS}")
    return tuple(found)


def check(words: Mapping[str, Any]) -> None:
    """Refuse what is wrong by itself, before anything is imported that takes its time.

    Errors: `UsageError` for wrong seeds, budgets and values of these.
    """
    seeds_of(words.get("seeds", 3))
    changes = {key: words[key] for key in CHANGES if words.get(key) is not None}
    if changes.get("precision") == AUTO:
        del changes["precision"]
    budget(words.get("budget", "small")).with_changes(**changes)


def _stretches(text: str) -> list[range]:
    return [_stretch(part, text) for part in split_list(text)]


def _stretch(part: str, text: str) -> range:
    """The seeds of one entry of a text, such as 4 or 5-9."""
    first, _, last = part.partition("-")
    ends = [end.strip() for end in (first, last or first)]
    if not all(end.isdecimal() for end in ends):
        raise UsageError(f"seeds is '{text}', and '{part}' is not a seed; {SEEDS}")
    return range(_number(ends[0]), _number(ends[1]) + 1)


def _number(digits: str) -> int:
    """A number; any that is too long is as good as the smallest that is refused."""
    return int(digits) if len(digits) < 20 else LARGEST
