"""Multiplicity: p-values adjusted for families of comparisons that are judged together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def holm(values: npt.ArrayLike) -> Numbers:
    """Adjust the p-values of families, [..., K], to control the family-wise error rate.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6, 1979, https://www.jstor.org/stable/4615733

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(values, dtype=np.float64)
    order = np.argsort(p, axis=-1)
    factors = p.shape[-1] - np.arange(p.shape[-1])
    sorted_values = np.take_along_axis(p, order, axis=-1) * factors
    highest = np.minimum(np.maximum.accumulate(sorted_values, axis=-1), 1.0)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, highest, axis=-1)
    return adjusted
