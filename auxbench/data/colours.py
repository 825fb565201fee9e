"""Colours of labels in previews."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.generic]
Legend = list[tuple[tuple[int, ...] | None, str]]  # colours and their meanings

NONE = (40, 40, 40)  # the colour of an element without a label


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


def ends(values: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The smallest and the largest known number."""
    return (float(values[known].min()), float(values[known].max())) if known.any() else (0, 1)
