"""Exact solvers of the small problems behind gradient methods, in float64 on T x T matrices.

Each solver works on unit gradients and restores their lengths at the end, so that problems with
gradient lengths many orders of magnitude apart are still solved to full precision. The solvers
receive only tasks that have a gradient; `GramianBalancer` leaves out the others beforehand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, lsq_linear, nnls

Array = NDArray[np.float64]

# Gradients are float32. At unit length, a backward pass through networks of 18 to 121 layers has an
# error of 1 to 7 units in the last place, so anything shorter cannot be told from 0.
NOISE = 32 * float(np.finfo(np.float32).eps)
SMALLEST = 1e-9  # lower end of the bracket, relative to its upper end
STEPS = 200


def unit_rows(gramian: Array) -> tuple[Array, Array]:
    """Lengths [T] and directions [T, T] of gradients with this Gramian; zero rows stay zero.

    The coordinate frame is arbitrary: only inner products of the rows are meaningful.

    >>> lengths, rows = unit_rows(np.array([[4.0, -2.0], [-2.0, 2.0]]))
    >>> (lengths**2).round(6).tolist(), (rows @ rows.T).round(6).tolist()
    ([4.0, 2.0], [[1.0, -0.707107], [-0.707107, 1.0]])
    """
    lengths = np.sqrt(np.maximum(gramian.diagonal(), 0))
    inverse = inverse_lengths(lengths)
    eigenvalues, vectors = np.linalg.eigh(gramian * inverse[:, None] * inverse)
    rows = vectors * np.sqrt(np.maximum(eigenvalues, 0))
    rows[lengths == 0] = 0.0  # a solver would read a direction from a residue of 1e-16
    return lengths, rows


def inverse_lengths(lengths: Array) -> Array:
    """1 / length [T], and 0 for a zero gradient, which no weight can lengthen.

    >>> inverse_lengths(np.array([4.0, 0.0])).tolist()
    [0.25, 0.0]
    """
    return np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)


def cancels(gramian: Array, weights: Array) -> bool:
    """Return whether the weighted gradients cancel within their precision.

    >>> opposed = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> cancels(opposed, np.array([1.0, 1.0])), cancels(opposed, np.array([1.0, 0.5]))
    (True, False)
    """
    together = np.abs(weights) @ np.sqrt(np.maximum(gramian.diagonal(), 0))
    return bool(weights @ gramian @ weights <= (NOISE * together) ** 2)


def simplex_minimum(rows: Array) -> Array:
    """The weights [T], summing to 1, of the shortest convex combination of the rows [T, N].

    Appending a one to every row turns this into a nonnegative least-squares problem with the target
    (0, ..., 0, 1), whose solution is proportional to the weights. The active set is exact.

    >>> simplex_minimum(np.array([[2.0, 0.0], [-1.0, 1.0]])).round(6).tolist()
    [0.4, 0.6]
    """
    longest = np.sqrt((rows**2).sum(axis=1).max())
    system = np.vstack([rows.T / (longest or 1.0), np.ones(len(rows))])
    target = np.zeros(len(system))
    target[-1] = 1.0
    weights = _nonnegative(system, target)
    return np.asarray(weights / weights.sum())


def dual_cone_weights(rows: Array, task: int) -> Array:
    """Weights [T] that project a unit row onto the cone that conflicts with no unit row of [T, N].

    By duality, the closest vector whose inner products with all rows are nonnegative is the row
    itself plus the nonnegative combination of rows that makes the sum shortest.

    >>> rows = np.array([[1.0, 0.0], [-0.6, 0.8]])
    >>> dual_cone_weights(rows, 0).round(6).tolist()
    [1.0, 0.6]
    """
    weights = _nonnegative(rows.T, -rows[task])
    weights[task] += 1.0
    return weights


def equal_projections(rows: Array) -> Array | None:
    """Weights [T] whose weighted sum of unit rows [T, N] has equal inner products with all rows.

    None if that sum is zero, which happens when no half-space contains all rows. For rows of
    insufficient rank, the weights are the least-squares solution.

    >>> equal_projections(np.eye(2)).tolist()
    [1.0, 1.0]
    """
    cosines = rows @ rows.T
    weights = np.linalg.pinv(cosines, rcond=NOISE**2, hermitian=True).sum(axis=1)
    # If the projections have to be zero, the pseudo-inverse leaves only rounding errors.
    vanish = np.abs(cosines @ weights).max() <= NOISE
    return None if vanish or cancels(cosines, weights) else weights


def rank(rows: Array) -> int:
    """The numerical rank of unit rows [T, N], given their precision.

    >>> rank(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])), rank(np.ones((2, 1)))
    (2, 1)
    """
    return int(np.linalg.matrix_rank(rows, tol=NOISE * np.linalg.norm(rows, ord=2)))


def bargain(gramian: Array, shares: Array, power: float = 1.0) -> Array:
    """The positive weights a with G a = shares / a^power: [T], or zeros if none are finite.

    They minimise a convex function, which is 1/2 a'Ga - sum shares log a for power 1, and are found
    by damped Newton steps. The function is unbounded when some convex combination of the gradients
    vanishes.

    >>> bargain(np.array([[4.0, -2.0], [-2.0, 2.0]]), np.ones(2)).round(6).tolist()
    [0.92388, 1.306563]
    """
    lengths, rows = unit_rows(gramian)
    cosines = rows @ rows.T
    solution = None
    if not cancels(cosines, simplex_minimum(rows)):
        # For unit gradients the equation has the same form, with different shares.
        solution = _newton(cosines, shares * lengths ** (power - 1), power)
    return np.zeros(len(gramian)) if solution is None else solution / lengths


def _newton(cosines: Array, shares: Array, power: float) -> Array | None:
    current: Array = shares ** (1 / (1 + power))
    pull = float((shares * current ** (1 - power)).sum())
    current = current * (pull / float(current @ cosines @ current)) ** (1 / (1 + power))
    residual, error = np.inf, np.inf
    for _ in range(STEPS):
        barrier = shares * current**-power
        slope = cosines @ current - barrier
        previous, residual = residual, float(np.abs(slope / barrier).max())
        # The residual relative to the terms whose difference it is, which tells it from rounding.
        error = float(np.abs(slope / (np.abs(cosines) @ current + barrier)).max())
        if residual <= 1e-14 or (error <= 1e-12 and residual >= previous):
            break
        step = -np.linalg.solve(cosines + np.diag(power * barrier / current), slope)
        size = float(np.abs(step / current).max())
        # A self-concordant function allows the step 1 / (1 + size), which never leaves the positive
        # cone. Close to the solution, full steps converge quadratically.
        current = np.asarray(current + step * (1.0 if size < 0.25 else 1 / (1 + size)))
    return current if error <= 1e-8 else None


def worst_case_weights(rows: Array, radius: float) -> Array:
    """Weights [T] of the sum that is best for the worst-served of the rows [T, N].

    The distance of the sum from the mean row is at most `radius` times the mean row's length. With
    g0 the mean row, the dual is min over the simplex of g_w'g0 + radius |g0| |g_w|. With a fixed
    length t in place of |g_w|, its solution is the shortest convex combination of shifted rows, and
    the right t is the root of a monotone function. If some convex combination vanishes, 0 is a root
    too, but the right one only if the closest sum that harms no task lies within the radius.

    >>> rows = np.array([[2.0, 0.0], [-1.0, 1.0]])
    >>> (worst_case_weights(rows, 0.4) @ rows).round(6).tolist()
    [0.3, 0.7]
    """
    gramian, mean = rows @ rows.T, np.full(len(rows), 1 / len(rows))
    centre = mean @ rows
    reach = radius * float(np.linalg.norm(centre))
    if reach == 0 or cancels(gramian, mean):
        return mean

    def weights_at(shift: float) -> Array:
        return simplex_minimum(rows + shift * centre)

    def gap(shift: float) -> float:
        return float(np.linalg.norm(weights_at(shift) @ rows)) - reach * shift

    high = 2 * float(np.sqrt(gramian.diagonal().max())) / reach
    low = 0.0
    if cancels(gramian, simplex_minimum(rows)):
        # No sum serves all tasks, so take the closest one that harms none.
        sparing = _nonnegative(rows.T, -centre)
        away = float(np.linalg.norm(sparing @ rows))
        low = SMALLEST * high
        if away <= reach or gap(low) <= 0:
            return mean + sparing * (reach / max(away, reach))
    worst = weights_at(brentq(gap, low, high, xtol=1e-300, rtol=1e-15, maxiter=1000))
    return mean + worst * reach / float(np.linalg.norm(worst @ rows))


def _nonnegative(system: Array, target: Array) -> Array:
    try:
        solution, _ = nnls(system, target, maxiter=100 * len(target))
    except (RuntimeError, np.linalg.LinAlgError):
        # Older releases of scipy fail on nearly dependent columns; this fallback is slower.
        solution = lsq_linear(
            system, target, bounds=(0, np.inf), method="bvls", tol=1e-15, max_iter=1000
        ).x
    return np.maximum(np.asarray(solution, dtype=np.float64), 0)
