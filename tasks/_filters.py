"""Taskonomy's two filters of a picture: edges and keypoints."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.floating[Any]]

REFERENCE = 512  # side in pixels of the pictures for which Taskonomy chose its scales
LUMA = (0.2125, 0.7154, 0.0721)  # of linear RGB primaries, as in ITU-R BT.709


def grey(image: npt.NDArray[np.uint8]) -> Floats:
    """The luminance [H, W] in [0, 1] of a picture [H, W, 3]."""
    return (image @ np.array(LUMA, np.float32)) / np.float32(255)


def edges(image: npt.NDArray[np.uint8]) -> Floats:
    """Edges of texture [H, W] in [0, 1]: the gradient magnitude of the smoothed grey picture.

    The Gaussian has a standard deviation of 3 pixels per 512 pixels of side, but at least one
    pixel, below which sensor noise would dominate; derivatives are Sobel's, scaled so that a
    step from black to white gives at most 1.

    Source: Zamir, Sax, Shen, Guibas, Malik and Savarese, Taskonomy: Disentangling Task Transfer
    Learning, CVPR 2018, https://arxiv.org/abs/1804.08328 (task `edge_texture`)

    >>> float(edges(np.full((16, 16, 3), 90, np.uint8)).max())
    0.0
    """
    smooth = ndimage.gaussian_filter(grey(image), max(3 * len(image) / REFERENCE, 1.0))
    down, right = ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)
    return np.hypot(down, right) / np.float32(4 * math.sqrt(2))


def keypoints(image: npt.NDArray[np.uint8]) -> Floats:
    """Response [H, W], at least 0, of a blob and corner detector on the grey picture.

    It is used for drawn rooms and resembles Taskonomy's, whose formula is `surf_keypoints`: on
    genuine pictures the two correlate at 0.64. It is the determinant of the Hessian, normalised by
    the fourth power of the scale, and the maximum over ten scales is taken: Gaussians of 1 to 30
    pixels per 512 pixels of side, but of at least one pixel. Saddles, where the determinant is
    negative, count as 0.

    Sources: Zamir et al. as for `edges` (task `keypoints2d`); Bay, Ess, Tuytelaars and Van Gool,
    Speeded-Up Robust Features (SURF), CVIU 110, 2008, https://doi.org/10.1016/j.cviu.2007.09.014

    >>> float(keypoints(np.full((16, 16, 3), 90, np.uint8)).max()) < 1e-9
    True
    """
    picture = grey(image)
    best = np.zeros_like(picture)
    scales = np.maximum(np.linspace(1, 30, 10) * len(image) / REFERENCE, 1.0)
    for scale in np.unique(scales).tolist():
        down = [ndimage.gaussian_filter1d(picture, scale, 0, order) for order in (0, 1, 2)]
        across = ndimage.gaussian_filter1d(down[0], scale, 1, 2)
        mixed = ndimage.gaussian_filter1d(down[1], scale, 1, 1)
        along = ndimage.gaussian_filter1d(down[2], scale, 1, 0)
        np.maximum(best, (across * along - mixed * mixed) * np.float32(scale**4), out=best)
    return best


def surf_keypoints(image: npt.NDArray[np.uint8]) -> Floats:
    """Taskonomy's keypoints [H, W], at least 0: SURF's blob response, the largest of ten scales.

    The scales are 1 to 30 pixels per 512 pixels of height, but at least one pixel. On a genuine
    picture of Taskonomy the formula reproduces the label (a correlation of 0.99999).

    Sources: as for `keypoints`

    >>> corner = np.zeros((64, 64, 3), np.uint8)
    >>> corner[32:, 32:] = 255
    >>> response = surf_keypoints(corner)
    >>> bool(response[28:36, 28:36].max() > 2 * response[:16, 16:].max())
    True
    """
    integral = grey(image).astype(np.float64).cumsum(axis=0).cumsum(axis=1)
    best = np.zeros(image.shape[:2])
    scales = np.maximum(np.linspace(1, 30, 10) * len(image) / REFERENCE, 1.0)
    for size in np.unique((3 * scales).astype(int)).tolist():
        np.maximum(best, box_hessian(integral, size), out=best)
    return best.astype(np.float32)


def box_hessian(integral: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """The determinant of the Hessian [H, W] by box filters of one size, from an integral image.

    As in SURF, second derivatives are differences of sums over boxes, which cost the same at every
    size, and the mixed one has weight 0.9. Boxes end at the border. Source: Bay et al. as for
    `keypoints`, in the variant of scikit-image's `hessian_matrix_det`.
    """
    height, width = integral.shape
    half, third = (size - 1) // 2, size // 3

    def box(top: int, left: int, rows: int, columns: int) -> npt.NDArray[np.float64]:
        """Sums over a box whose corner is at this offset from every pixel."""
        first = np.clip(np.arange(height) + top, 0, height - 1)
        last = np.clip(first + rows, 0, height - 1)
        near = np.clip(np.arange(width) + left, 0, width - 1)
        far = np.clip(near + columns, 0, width - 1)
        upper, lower = integral[first], integral[last]
        sums: npt.NDArray[np.float64] = lower[:, far] - lower[:, near]
        return np.maximum(sums - (upper[:, far] - upper[:, near]), 0)

    corners = box(1, -third, third, third) + box(-third, 1, third, third)
    mixed = corners - box(-third, -third, third, third) - box(1, 1, third, third)
    long, middle = 2 * third - 1, third // 2
    across = box(1 - third, -half, long, size) - 3 * box(1 - third, -middle, long, third)
    along = box(-half, 1 - third, size, long) - 3 * box(-middle, 1 - third, third, long)
    return np.asarray((across * along - 0.81 * mixed * mixed) / float(size) ** 4)
