"""Near-duplicates: samples of one split that look like a sample of another.

A test sample with a twin in training says little about new data. Pictures are compared by the
correlation of their thumbnails, vectors by their distance in units of what is usual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auxbench.data.pooled import Pooled

Numbers = npt.NDArray[np.float64]

ALIKE = 0.99  # correlation of thumbnails from which on pictures are near-duplicates
CLOSE = 0.01  # distance, in median distances to the nearest sample, for vectors
FLAT = 1e-6  # spread of a thumbnail below which it is one colour
ROWS = 512  # samples compared with all others at a time


@dataclass(frozen=True)
class Twins:
    """The near-duplicates of `split` among the samples of `among`.

    `count` of `total` samples have one, and `pair` is the closest pair, by their places in the two
    splits; None if there is no near-duplicate.
    """

    split: str
    among: str
    count: int
    total: int
    pair: tuple[int, int] | None


def twins(split: str, ours: Pooled, among: str, theirs: Pooled, pictures: bool) -> Twins:
    """Count the samples of one split that have a near-duplicate in another, or in the same one.

    Thumbnails are compared after their mean is taken out and their contrast is scaled, so light
    does not matter; mirrored, turned or cropped copies are not found. Vectors are near-duplicates
    if their distance is at most a hundredth of the usual distance from a sample of `theirs` to
    the nearest other one. If both are the same split, no sample is compared with itself.

    >>> rows, nothing = np.arange(3), np.zeros((3, 0, 0))
    >>> a = Pooled(rows, np.array([[0.0, 0], [1, 0], [0, 1]]), nothing, {})
    >>> b = Pooled(rows, np.array([[0.0, 1e-4], [5, 5], [9, 1]]), nothing, {})
    >>> twins("test", b, "train", a, pictures=False)
    Twins(split='test', among='train', count=1, total=3, pair=(0, 0))
    """
    same = split == among
    one, other = ours.inputs, theirs.inputs
    if pictures:
        one, other = _directed(one), _directed(other)
    else:
        mean, deviation = other.mean(0), other.std(0)
        deviation = np.where(deviation > 0, deviation, 1)
        one, other = (one - mean) / deviation, (other - mean) / deviation
    nearest, place = _nearest(one, other, same)
    if pictures:
        limit = 2 * (1 - ALIKE)  # the squared distance of two directions with this correlation
    else:
        inside = nearest if same else _nearest(other, other, True)[0]
        known = inside[np.isfinite(inside)]
        limit = CLOSE**2 * float(np.median(known)) if known.size else 0.0
    found = nearest <= limit
    pair = None
    if found.any():
        first = int(np.argmin(nearest))
        pair = int(ours.rows[first]), int(theirs.rows[place[first]])
    return Twins(split, among, int(found.sum()), len(ours), pair)


def _directed(thumbs: Numbers) -> Numbers:
    """Thumbnails with mean 0 and length 1, so that products are correlations.

    Pictures of one colour have no direction; they are told apart by their colour alone, far from
    all others.
    """
    centred = thumbs - thumbs.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1, keepdims=True))
    flat = length[:, 0] <= FLAT * np.sqrt(thumbs.shape[1])
    directed: Numbers = np.where(flat[:, None], 0, centred / np.where(length > 0, length, 1))
    level = np.where(flat, 10 + thumbs.mean(1), 0)
    return np.column_stack([directed, level])


def _nearest(ours: Numbers, theirs: Numbers, same: bool) -> tuple[Numbers, npt.NDArray[np.int64]]:
    """The squared distance of every sample to the nearest one of `theirs`, and its place."""
    distance = np.full(len(ours), np.inf)
    place = np.zeros(len(ours), dtype=np.int64)
    if not len(theirs):
        return distance, place
    squares = (theirs**2).sum(1)
    for start in range(0, len(ours), ROWS):
        some = ours[start : start + ROWS]
        found = (some**2).sum(1)[:, None] + squares - 2 * some @ theirs.T
        if same:
            found[np.arange(len(some)), np.arange(start, start + len(some))] = np.inf
        best = found.argmin(1)
        place[start : start + ROWS] = best
        # once more and directly: the difference of large numbers leaves rounding errors
        exact = ((some - theirs[best]) ** 2).sum(1)
        distance[start : start + ROWS] = np.where(np.isinf(found.min(1)), np.inf, exact)
    return distance, place
