"""Collapsed runs: those that score far below what their method usually reaches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

RARE = 0.1  # share of methods up to which collapses are taken to concern these methods only
ENOUGH = 4  # methods besides the control; among these, some would have shown collapses
FAR = 5.0  # robust standard deviations below the median of the method
NORMAL = 1.4826  # standard deviations of a normal distribution per median absolute deviation


def collapsed(scores: Numbers) -> tuple[npt.NDArray[np.bool_], Numbers, Numbers]:
    """Mark the collapsed runs [..., M, n]; also return the depth and the usual spread, both [...].

    `scores` of M methods with n seeds each are oriented so that larger is better, with NaN where
    there is no run. A run has collapsed if it lies more than 5 standard deviations below the median
    of its method. This standard deviation is that of all runs around the medians of their methods,
    estimated from the median absolute deviation, to which collapsed runs matter little; it is also
    the spread. The depth is the median fall of the collapsed runs. It is 0 unless more than one
    method in ten has any, since a rare collapse says little about the other methods.

    >>> marks, depth, _ = collapsed(np.array([[0.50, 0.51, 0.52, 0.10], [0.49, 0.50, 0.51, 0.52]]))
    >>> int(marks.sum()), round(float(depth), 3)
    (1, 0.405)
    """
    known = ~np.isnan(scores)
    if not known.any():
        return known, np.zeros(scores.shape[:-2]), np.zeros(scores.shape[:-2])
    middle = _median(scores)
    fall = middle - scores
    n = known.sum(-1, keepdims=True)
    # a median uses up one degree of freedom, as a mean does
    fair = np.abs(fall) * np.sqrt(n / np.maximum(n - 1, 1))
    spread = NORMAL * _median(fair.reshape(*scores.shape[:-2], 1, -1))
    rounding = 1e-9 * np.nanmax(np.abs(scores), axis=(-2, -1), keepdims=True)
    marks = known & (fall > FAR * spread) & (spread > rounding)
    often = marks.any(axis=-1).mean(axis=-1) > RARE
    fallen = np.where(marks, fall, np.nan).reshape(*scores.shape[:-2], -1)
    fallen[~often] = 0.0
    return marks, _median(fallen)[..., 0], spread[..., 0, 0]


def _median(values: Numbers) -> Numbers:
    """The medians along the last axis, which is kept, without NaN; far faster than numpy's."""
    ordered = np.sort(values, axis=-1)  # NaN last
    count = (~np.isnan(values)).sum(-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=-1)
    return (low + np.take_along_axis(ordered, count // 2, axis=-1)) / 2


def shared_depth(depths: Numbers, spreads: Numbers, others: npt.ArrayLike) -> Numbers:
    """The depths [..., P] to assume for problems that are compared together.

    Where few methods (`others` besides the control) have been run, collapses may be unseen, and a
    method that collapses on one problem may collapse on another. There the largest depth of any
    problem is assumed, in units of the problems' spreads.

    >>> shared_depth(np.array([8.0, 0.0]), np.array([1.0, 0.5]), 1).tolist()
    [8.0, 4.0]
    """
    units = depths / np.where(spreads > 0, spreads, 1.0)
    lent = units.max(axis=-1, keepdims=True) * spreads
    return np.where(np.asarray(others) < ENOUGH, np.maximum(depths, lent), depths)
