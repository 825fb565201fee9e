"""Studies: the user's request as text; nothing is looked up here."""

from __future__ import annotations

from collections.abc import Sequence

from auxbench.errors import UsageError
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
)
SEEDS = "write how many, such as 5, or which, such as 5-9 or 0,3,5."


def seeds_of(given: Seeds) -> tuple[int, ...]:
    """The seeds that a number, a text or a list describes.

    A number is the number of seeds, starting at 0; a text may also list single seeds and ranges.
    Errors: `UsageError` for an empty list, for duplicates, and for anything that is not a seed.

    >>> seeds_of(3), seeds_of("5-7"), seeds_of("0,4,7-8"), seeds_of([2])
    ((0, 1, 2), (5, 6, 7), (0, 4, 7, 8), (2,))
    """
    if isinstance(given, str):
        parts = [_stretch(part, given) for part in split_list(given)]
        found = [seed for part in parts for seed in part]
        if given.strip().isdecimal():
            found = list(range(int(given)))
    else:
        found = list(range(given)) if isinstance(given, int) else list(given)
    twice = [seed for seed in found if found.count(seed) > 1]
    if not found or min(found) < 0 or twice:
        wrong = f"which names {twice[0]} twice" if twice else "which is not a seed from 0 on"
        raise UsageError(f"seeds is {given}, {wrong}; {SEEDS}")
    return tuple(found)


def _stretch(part: str, text: str) -> range:
    """The seeds of one entry of a text, such as 4 or 5-9."""
    first, _, last = part.partition("-")
    ends = [end.strip() for end in (first, last or first)]
    if not all(end.isdecimal() for end in ends):
        raise UsageError(f"seeds is '{text}', and '{part}' is not a seed; {SEEDS}")
    return range(int(ends[0]), int(ends[1]) + 1)
