"""Dealing: the division of samples among training, validation and test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from auxbench.errors import UsageError

SPLITS = ("train", "validation", "test")
SHARES = (0.6, 0.15, 0.25)
OF_TRAINING = 0.2  # the share of the training samples for validation if only that is missing
FEWEST = 10  # samples that can be dealt
WORDS = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("validation", "valid", "val", "dev"), 1),
    **dict.fromkeys(("test", "testing"), 2),
    "": -1,
}

Codes = npt.NDArray[np.int8]
Place = Callable[[int], str]


def codes(
    values: Sequence[Any] | npt.NDArray[Any], place: Place, where: str = "split"
) -> Codes | None:
    """The split of each sample as 0 (train), 1 (validation), 2 (test); None if none is given.

    `values` are names, or these numbers. `place` says where a sample stands, and `where` what
    holds the splits, for errors. Errors: `UsageError` for other values, for samples of which only
    some have a split, and if there are none for training or test.

    >>> codes(["train", "val", "Test"], str)
    array([0, 1, 2], dtype=int8)
    """
    found = np.empty(len(values), np.int8)
    for row, value in enumerate(np.asarray(values).tolist()):
        if isinstance(value, str) and value.strip().lower() in WORDS:
            found[row] = WORDS[value.strip().lower()]
        elif isinstance(value, int) and value in (-1, 0, 1, 2):
            found[row] = value
        else:
            raise UsageError(
                f"{place(row)}: split '{value}' is unknown; write train, validation or test."
            )
    if (found < 0).all():
        return None
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise UsageError(f"{place(row)}: it has no split, though others do; name one.")
    for code in (0, 2):
        if not (found == code).any():
            raise UsageError(
                f"{where}: no sample is for {SPLITS[code]}; name some, or leave all splits out to "
                "have them dealt by seed."
            )
    return found


def deal(given: Codes | None, groups: npt.NDArray[np.int64], draw: int) -> Codes:
    """The split of each sample; what is missing is drawn, and samples of a group stay together.

    Without any split, 60 % are for training, 15 % for validation and 25 % for test. If only
    validation is missing, it gets a fifth of the training samples. Errors: `UsageError` if there
    are too few samples or groups.

    >>> np.bincount(deal(None, np.arange(100), 0)).tolist()
    [60, 15, 25]
    """
    if given is not None and (given == 1).any():
        return given
    rows = np.arange(len(groups)) if given is None else np.flatnonzero(given == 0)
    shares = SHARES if given is None else (1 - OF_TRAINING, OF_TRAINING)
    names, of = np.unique(groups[rows], return_inverse=True)
    counts = np.bincount(of)
    order = np.random.default_rng([2417, draw]).permutation(len(names))
    ends = np.cumsum(counts[order])
    middle = (ends - counts[order] / 2) / max(len(rows), 1)
    part = np.empty(len(names), np.int8)
    part[order] = np.searchsorted(np.cumsum(shares)[:-1], middle, side="right")
    dealt = np.full(len(groups), 2, np.int8) if given is None else given.copy()
    dealt[rows] = part[of]
    lacking = [SPLITS[code] for code in range(3) if not (dealt == code).any()]
    if lacking or len(rows) < FEWEST:
        which = f"{len(rows)} samples in {len(names)} groups"
        raise UsageError(
            f"{which} are too few to be dealt to splits; give {FEWEST} or more, or name the split "
            "of each."
        )
    return dealt


def grouped(values: npt.NDArray[Any], place: Place, where: str = "groups") -> npt.NDArray[np.int64]:
    """The group of each sample as a number, from names or numbers.

    Errors: `UsageError` for samples without a group, and for values that are not one per sample.

    >>> grouped(np.array(["oak", "ash", "oak"]), str).tolist()
    [1, 0, 1]
    """
    from pandas import factorize  # which also orders names of several types, and finds missing ones

    if values.ndim != 1:
        raise UsageError(f"{where} has the shape {values.shape}; give one for each sample.")
    numbers: npt.NDArray[np.int64] = factorize(values, sort=True)[0].astype(np.int64)
    if (numbers < 0).any():
        row = int(np.argmin(numbers))
        raise UsageError(f"{place(row)}: it has no group, though others do; name one.")
    return numbers


def together(*groupings: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The groups of samples that are together in one grouping or another.

    >>> together(np.array([0, 0, 1, 2]), np.array([5, 6, 6, 7])).tolist()
    [0, 0, 0, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(groupings[0])
    rows, columns = [], []
    for values in groupings:
        _, first, of = np.unique(values, return_index=True, return_inverse=True)
        rows.append(np.arange(count))
        columns.append(first[of])
    ends = np.concatenate(rows), np.concatenate(columns)
    links = coo_array((np.ones(len(ends[0]), np.int8), ends), (count, count))
    groups: npt.NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return groups


def refuse_twins(split: Codes, same: npt.NDArray[Any], what: str, place: Place) -> None:
    """Refuse samples that are alike and in different splits; `same` has a number for those alike.

    Errors: `UsageError` that names the first two, and how many more.
    """
    order = np.argsort(same, kind="stable")
    alike = (same[order[1:]] == same[order[:-1]]) & (split[order[1:]] != split[order[:-1]])
    pairs = np.flatnonzero(alike)
    if not len(pairs):
        return
    first, second = sorted((int(order[pairs[0]]), int(order[pairs[0] + 1])))
    more = f" ({len(pairs) - 1} more such samples)" if len(pairs) > 1 else ""
    raise UsageError(
        f"{place(second)}: it has {what} of {place(first)}, which is in another "
        f"split{more}; remove one of them, or put both into the same split."
    )
