"""Views: rotated, zoomed and mirrored rectangles of a picture, and the pixels seen through them.

A view never reaches beyond the picture, so nothing is padded: if a rotated view does not fit, it is
zoomed in until it does. The zoom is relative to the largest view of the output's shape that fits
into the picture; taking a square out of a wider picture, or shrinking a picture, is not a zoom.

Sources: of scale, crop and mirror, Liu, Johns and Davison, End-to-End Multi-Task Learning with
Attention, CVPR 2019, https://arxiv.org/abs/1803.10704, in its code, and Eigen and Fergus,
Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale Convolutional
Architecture, ICCV 2015, https://arxiv.org/abs/1411.4734; of the rotation, Gao, Wang, Zhang and
others, Aux-NAS, ICLR 2024, https://arxiv.org/abs/2405.05695, in its code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from auxbench.data.taps import ColumnTaps, Floats, RowTaps, Whole, taps

Size = tuple[int, int]
Raw = npt.NDArray[Any]
Scales = Sequence[tuple[float, float]]

KEPT = 128  # views whose places and weights are kept, for the next label of the same batch


@dataclass(frozen=True)
class Protocol:
    """The distribution of random views of a training sample: zoom, mirroring and angle.

    The zoom is one of `scales`. If `between` is set, it is drawn so that the side of the view is
    uniform between the sides for the last and the first scale. The angle is up to `degrees` in
    either direction. Only a share `zoomed` of the samples is zoomed, and a share `turned` rotated.
    """

    scales: tuple[float, ...] = (1.0,)
    between: bool = False
    mirror: bool = True
    degrees: float = 0.0
    zoomed: float = 1.0
    turned: float = 1.0


MTAN = Protocol((1.0, 1.2, 1.5))
AUXNAS = Protocol((1.0, 1.5), between=True, degrees=10.0, zoomed=0.3, turned=0.2)
PLAIN = Protocol(mirror=False)


@dataclass(frozen=True)
class View:
    """A rectangle of a picture, and how it is mapped to an output of `size` (height, width).

    `centre` (y, x) is its centre in pixels of the picture, whose first pixel spans 0 to 1; one
    output pixel covers `step` pixels of the picture. The picture is rotated by `angle` degrees,
    clockwise on the screen, then mirrored. Depths are divided by `zoom`.

    >>> View.whole((6, 8), (3, 4))
    View(size=(3, 4), centre=(3.0, 4.0), step=2.0, zoom=1.0, angle=0.0, mirrored=False)
    """

    size: Size
    centre: tuple[float, float]
    step: float
    zoom: float = 1.0
    angle: float = 0.0
    mirrored: bool = False

    @classmethod
    def whole(cls, picture: Size, size: Size) -> View:
        """The largest view in the centre of a picture, which is used for evaluation."""
        return cls.of(picture, size, (0.5, 0.5))

    @classmethod
    def draw(cls, picture: Size, size: Size, protocol: Protocol, rng: np.random.Generator) -> View:
        """A random view by a protocol; it always draws five numbers, whatever the protocol uses."""
        chance, mirror, turn = rng.random(3)
        place = rng.random(2)
        zoom, angle = 1.0, 0.0
        if chance < protocol.zoomed:
            chance /= protocol.zoomed  # uniform again
            zoom = protocol.scales[int(chance * len(protocol.scales))]
            if protocol.between:
                low, high = 1 / protocol.scales[0], 1 / protocol.scales[-1]
                zoom = 1 / (low + chance * (high - low))
        if turn < protocol.turned:
            angle = protocol.degrees * (2 * turn / protocol.turned - 1)
        mirrored = bool(protocol.mirror and mirror < 0.5)
        return cls.of(picture, size, (place[0], place[1]), zoom, angle, mirrored)

    @classmethod
    def of(
        cls,
        picture: Size,
        size: Size,
        place: tuple[float, float],
        zoom: float = 1.0,
        angle: float = 0.0,
        mirrored: bool = False,
    ) -> View:
        """The view at `place`: 0 is the top or the left, 1 is the bottom or the right.

        A zoom too small to keep the view inside the picture is increased until it fits.
        """
        base = min(picture[0] / size[0], picture[1] / size[1])
        cosine, sine = turned(angle)
        # the bounding box of the rotated view, in pixels of the picture at zoom 1
        high = base * (size[0] * abs(cosine) + size[1] * abs(sine))
        wide = base * (size[1] * abs(cosine) + size[0] * abs(sine))
        zoom = max(zoom, high / picture[0], wide / picture[1])
        high, wide = high / zoom, wide / zoom
        top, left = place[0] * (picture[0] - high), place[1] * (picture[1] - wide)
        if not angle and base == zoom:  # a plain crop, aligned to pixels
            top, left = math.floor(top + 1e-9), math.floor(left + 1e-9)
        return cls(size, (top + high / 2, left + wide / 2), base / zoom, zoom, angle, mirrored)


def smooth_known(values: Tensor, known: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """The interpolated values, and the share of their neighbours that have a label."""
    flat = values.reshape(-1, *values.shape[-2:])
    both = torch.cat([flat, known.reshape(-1, *known.shape[-2:]).to(values.dtype)])
    found = smooth(both, view, shrink=False)
    value, share = found[: len(flat)], found[len(flat) :]
    return value.reshape(*values.shape[:-2], *view.size), share.reshape(
        *known.shape[:-2], *view.size
    )


def nearest(values: Tensor, view: View) -> Tensor:
    """The values [..., H, W] at the elements that contain the centres of the output pixels."""
    return crop(values, view) if is_crop(view) else torch.from_numpy(picked(values.numpy(), view))


def picked(values: Raw, view: View) -> Raw:
    """The same of a numpy array, which picks integers faster than torch does."""
    if is_crop(view):
        frame = _frame(view)
        piece: Raw = values[..., frame[0], frame[1]]
        return np.ascontiguousarray(piece[..., ::-1]) if view.mirrored else piece
    height, width = values.shape[-2:]
    rows, columns = _nearest(view, (height, width))
    if view.angle:
        flat = values.reshape(*values.shape[:-2], -1)
        return np.asarray(flat.take(rows * width + columns, -1))
    top, bottom = int(rows[0, 0]), int(rows[-1, 0]) + 1
    piece = values[..., top:bottom, :]
    # indexing is faster than `take` for single bytes, and slower for others
    across = piece[..., columns[0]] if values.itemsize == 1 else piece.take(columns[0], -1)
    return np.asarray(across.take(rows[:, 0] - top, -2))


def smooth(
    values: Tensor,
    view: View,
    shrink: bool = True,
    out: Tensor | None = None,
    scales: Scales | None = None,
) -> Tensor:
    """The values [..., H, W] interpolated at the output's pixel centres, antialiased if shrunk.

    The result goes to `out` if it is given, a contiguous tensor of its shape; only then may the
    values be integers, and planes be changed by `scales`: a factor for each and what is added.
    """
    height, width = values.shape[-2:]
    shape = (*values.shape[:-2], *view.size)
    small = picture = (height, width)
    if shrink and view.step > 1:
        small = (max(round(height / view.step), 1), max(round(width / view.step), 1))
    if not (is_crop(view) or view.angle):
        return _level(values, view, small, values.new_empty(shape) if out is None else out, scales)
    if is_crop(view):
        found = crop(values, view)
    else:
        values = values.reshape(1, -1, height, width)
        values = values if values.is_floating_point() else values.float()
        if small != picture:
            values = functional.interpolate(values, small, mode="bilinear", antialias=True)
        grid = _grid(view, picture, small, values.dtype)
        found = functional.grid_sample(values, grid, padding_mode="border", align_corners=False)
        found = found.view(shape)
    if out is None:
        return found
    if scales is None:
        return out.copy_(found)
    for plane, target, (factor, shift) in zip(found, out, scales, strict=True):
        target.copy_(plane).mul_(factor).add_(shift)
    return out


@lru_cache(maxsize=16)  # a picture and its labels share a view, in several threads
def _grid(view: View, picture: Size, small: Size, dtype: torch.dtype) -> Tensor:
    """The places of a view's pixels, as `grid_sample` expects them, in a picture made `small`."""
    y, x = map(torch.from_numpy, _places(view))
    # coordinates from -1 to 1, from edge to edge
    ends = (2 * x / picture[1] - 1).to(dtype), (2 * y / picture[0] - 1).to(dtype)
    return torch.stack([axis.expand(view.size) for axis in ends], -1)[None]


def _level(values: Tensor, view: View, small: Size, out: Tensor, scales: Scales | None) -> Tensor:
    """Put the values, shrunk to `small` with antialiasing and seen through a level view, in `out`.

    Each row is a weighted mean of a few rows of the picture, and so is each column. Planes are
    seen one by one, so that they stay in the processor's cache.
    """
    down, across = _weights(view, (values.shape[-2], values.shape[-1]), small, out.dtype)
    pieces = values[..., down.first : down.last, across.first : across.last]
    pieces = pieces.reshape(-1, *pieces.shape[-2:])
    scales = [(1.0, 0.0)] * len(pieces) if scales is None else scales
    rows = out.new_empty(pieces.shape[1], across.wide)
    rows[:, pieces.shape[2] :] = 0
    part = rows[:, : pieces.shape[2]]
    for plane, target, (factor, shift) in zip(
        pieces, out.view(-1, *view.size), scales, strict=True
    ):
        part.copy_(plane.flip(-1) if view.mirrored else plane)
        weights = down.weights * factor
        added = functional.embedding_bag(
            down.elements, rows, mode="sum", per_sample_weights=weights
        )
        across(added, shift, target)
    return out


@lru_cache(maxsize=KEPT)
def _weights(
    view: View, picture: Size, small: Size, dtype: torch.dtype
) -> tuple[RowTaps, ColumnTaps]:
    """The taps of the rows and of the columns of a level view, the latter of mirrored rows."""
    y, x = _places(view)
    return (
        RowTaps(*taps(y[:, 0], picture[0], small[0]), dtype),
        ColumnTaps(*taps(x[0], picture[1], small[1]), view.mirrored, dtype),
    )


@lru_cache(maxsize=KEPT)
def _nearest(view: View, picture: Size) -> tuple[Whole, Whole]:
    """The rows and columns that contain the output's pixel centres, broadcastable."""
    y, x = (np.floor(axis).astype(np.int64) for axis in _places(view))
    return y.clip(0, picture[0] - 1), x.clip(0, picture[1] - 1)


@lru_cache(maxsize=KEPT)
def _places(view: View) -> tuple[Floats, Floats]:
    """The positions of the output's pixel centres in the picture: y and x, broadcastable.

    They are kept, and must not be written to.
    """
    height, width = view.size
    v: Floats = (np.arange(height, dtype=np.float64)[:, None] + 0.5 - height / 2) * view.step
    u: Floats = (np.arange(width, dtype=np.float64)[None] + 0.5 - width / 2) * view.step
    u = -u if view.mirrored else u
    if view.angle:  # back from the rotated picture
        cosine, sine = turned(view.angle)
        u, v = cosine * u + sine * v, cosine * v - sine * u
    return v + view.centre[0], u + view.centre[1]


def is_crop(view: View) -> bool:
    """Return whether a view only copies pixels, possibly mirrored."""
    return view.step == 1 and not view.angle


def crop(values: Tensor, view: View) -> Tensor:
    """The values [..., H, W] in a view that is a crop."""
    rows, columns = _frame(view)
    piece = values[..., rows, columns]
    return piece.flip(-1) if view.mirrored else piece


def _frame(view: View) -> tuple[slice, slice]:
    """The rows and columns of a view that is a crop."""
    top = round(view.centre[0] - view.size[0] / 2)
    left = round(view.centre[1] - view.size[1] / 2)
    return slice(top, top + view.size[0]), slice(left, left + view.size[1])


def turned(angle: float) -> tuple[float, float]:
    """The cosine and sine of an angle in degrees."""
    return math.cos(math.radians(angle)), math.sin(math.radians(angle))
