"""Collapsed runs: those that fall far below what their own method usually reaches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

FAR = 5.0  # robust standard deviations below the median of the method
NORMAL = 1.4826  # standard deviations of a normal distribution per median absolute deviation


def collapsed(scores: Numbers) -> tuple[npt.NDArray[np.bool_], Numbers]:
    """Mark the runs [..., M, n] that collapsed, and say how deep [...] the deepest of them fell.

    `scores` are oriented so that larger is better, M methods with n seeds each, and NaN where there
    is no run. A run collapsed if it lies more than 5 standard deviations below the median of its
    method; the standard deviation is that of all runs around the medians of their methods, from the
    median absolute deviation, which the collapsed runs do not move. The depth is 0 if none did.

    >>> marks, depth = collapsed(np.array([[0.50, 0.51, 0.52, 0.10], [0.49, 0.50, 0.51, 0.52]]))
    >>> int(marks.sum()), round(float(depth), 3)
    (1, 0.405)
    """
    known = ~np.isnan(scores)
    if not known.any():
        return known, np.zeros(scores.shape[:-2])
    middle = np.nanmedian(scores, axis=-1, keepdims=True)
    fall = middle - scores
    n = known.sum(-1, keepdims=True)
    # a median takes one value for itself, as a mean does
    fair = np.abs(fall) * np.sqrt(n / np.maximum(n - 1, 1))
    spread = NORMAL * np.nanmedian(fair, axis=(-2, -1), keepdims=True)
    rounding = 1e-9 * np.nanmax(np.abs(scores), axis=(-2, -1), keepdims=True)
    marks = known & (fall > FAR * spread) & (spread > rounding)
    return marks, np.where(marks, fall, 0.0).max(axis=(-2, -1))
