"""Scaling small pictures from their own side to the side that a network gets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from auxbench.errors import UsageError

Bytes = npt.NDArray[np.uint8]

SIDES = (8, 512)


def check_side(dataset: str, side: int) -> None:
    """Refuse a side out of range; errors: `UsageError`."""
    if not SIDES[0] <= side <= SIDES[1]:
        raise UsageError(
            f"side '{side}' of '{dataset}' is not possible; choose {SIDES[0]} to {SIDES[1]}."
        )


def scaled(images: Bytes, side: int) -> Bytes:
    """Square pictures at `side` x `side` pixels: RGB [B, H, H, 3] or grey [B, H, H].

    Bilinear, with antialiasing where they shrink.

    >>> scaled(np.zeros((2, 32, 32, 3), np.uint8), 64).shape
    (2, 64, 64, 3)
    """
    if images.shape[1] == side:
        return images
    pixels = torch.from_numpy(np.ascontiguousarray(images)).float()
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    pixels = functional.interpolate(
        pixels, (side, side), mode="bilinear", align_corners=False, antialias=True
    )
    pixels = pixels[:, 0] if images.ndim == 3 else pixels.permute(0, 2, 3, 1)
    result: Bytes = pixels.round().byte().numpy()
    return result
