"""Colours of labels and errors in previews and in the pictures of predictions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.generic]
Legend = list[tuple[tuple[int, ...] | None, str]]  # colours and their meanings

NONE = (40, 40, 40)  # the colour of an element without a label


VIRIDIS = "440154 472c7a 3b518b 2c718e 21908d 27ad81 5cc863 aadc32 fde725"
INFERNO = "000004 1f0c48 550f6d 88226a ba3655 e35933 f98c0a f9c932 fcffa4"
"""Nine colours each of two maps from dark to light, as matplotlib has them; the rest is between."""


def palette(classes: int) -> Bytes:
    """Distinct colours, one per class; the last one (index -1) means no label."""
    turn = (np.arange(classes) * 0.618034) % 1.0
    light = 0.55 + 0.45 * (np.arange(classes) % 3) / 2
    phases = np.abs((turn[:, None] * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    colours = np.rint(255 * light[:, None] * (0.25 + 0.75 * phases.clip(0, 1))).astype(np.uint8)
    return np.concatenate([colours, np.array([NONE], np.uint8)])


def grey(values: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> Bytes:
    """Numbers [H, W] as greys [H, W, 3], from the smallest to the largest known number."""
    low, high = ends(values, known)
    shade = np.where(known, values - low, 0) / max(high - low, 1e-12) * 255
    return np.repeat(shade.clip(0, 255).astype(np.uint8)[..., None], 3, -1)


def mapped(values: npt.NDArray[np.float64], low: float, high: float, colours: str) -> Bytes:
    """Numbers [H, W] as colours [H, W, 3] of a map; NaN, which means no label, is dark grey.

    >>> mapped(np.array([[0.0, 9.0, np.nan]]), 0, 1, INFERNO).tolist()
    [[[0, 0, 4], [252, 255, 164], [40, 40, 40]]]
    """
    stops = np.array([list(bytes.fromhex(one)) for one in colours.split()], float)
    known = np.isfinite(values)
    share = (np.where(known, values, low) - low) / max(high - low, 1e-12)
    place = share.clip(0, 1) * (len(stops) - 1)
    channels = [np.interp(place, np.arange(len(stops)), channel) for channel in stops.T]
    painted: Bytes = np.rint(np.stack(channels, -1)).astype(np.uint8)
    painted[~known] = NONE
    return painted


def ends(values: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The smallest and the largest known number."""
    return (float(values[known].min()), float(values[known].max())) if known.any() else (0, 1)
