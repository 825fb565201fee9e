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
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Size = tuple[int, int]


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
    if is_crop(view):
        return crop(values, view)
    height, width = values.shape[-2:]
    y, x = _places(view)
    rows, columns = y.floor().long().clamp(0, height - 1), x.floor().long().clamp(0, width - 1)
    found = values.numpy()  # whose `take` is faster for integers than torch's
    if view.angle:
        flat = found.reshape(*found.shape[:-2], -1)
        return torch.from_numpy(flat.take((rows * width + columns).numpy(), -1))
    top, bottom = int(rows[0, 0]), int(rows[-1, 0]) + 1
    columns_of = found[..., top:bottom, :].take(columns[0].numpy(), -1)
    return torch.from_numpy(columns_of.take(rows[:, 0].numpy() - top, -2))


def smooth(values: Tensor, view: View, shrink: bool = True) -> Tensor:
    """The values [..., H, W] interpolated at the output's pixel centres, antialiased if shrunk."""
    if is_crop(view):
        return crop(values, view)
    height, width = values.shape[-2:]
    small = picture = (height, width)
    if shrink and view.step > 1:
        small = (max(round(height / view.step), 1), max(round(width / view.step), 1))
        if not view.angle:
            return _shrunk(values, view, small)
        flat = values.reshape(1, -1, height, width)
        shrunk = functional.interpolate(flat, small, mode="bilinear", antialias=True)
        values = shrunk.reshape(*values.shape[:-2], *small)
    found = functional.grid_sample(
        values.reshape(1, -1, *small),
        _grid(view, picture, small, values.dtype),
        padding_mode="border",
        align_corners=False,
    )
    return found.reshape(*values.shape[:-2], *view.size)


@lru_cache(maxsize=16)  # a picture and its labels share a view, in several threads
def _grid(view: View, picture: Size, small: Size, dtype: torch.dtype) -> Tensor:
    """The places of a view's pixels, as `grid_sample` expects them, in a picture made `small`."""
    y, x = _places(view)
    # coordinates from -1 to 1, from edge to edge
    ends = (2 * x / picture[1] - 1).to(dtype), (2 * y / picture[0] - 1).to(dtype)
    return torch.stack([axis.expand(view.size) for axis in ends], -1)[None]


def _shrunk(values: Tensor, view: View, small: Size) -> Tensor:
    """The values [..., H, W], shrunk to `small` with antialiasing, then seen through a level view.

    Each output row is a weighted mean of a few rows of the picture, and so is each column: the
    weights of shrinking and of interpolating are multiplied first.
    """
    height, width = values.shape[-2:]
    y, x = _places(view)
    planes = values.reshape(-1, height, width)
    rows, weights = _taps(y[:, 0], height, small[0], values.dtype)
    columns, shares = _taps(x[0], width, small[1], values.dtype)
    first, last = int(columns.min()), int(columns.max()) + 1
    # with columns as rows, since whole rows are faster to add
    turned_planes = values.new_empty(last - first, len(planes), view.size[0])
    for number, plane in enumerate(planes):
        across = functional.embedding_bag(rows, plane, mode="sum", per_sample_weights=weights)
        turned_planes[:, number] = across[:, first:last].T
    found = functional.embedding_bag(
        columns - first, turned_planes.flatten(1), mode="sum", per_sample_weights=shares
    )
    found = found.view(view.size[1], len(planes), view.size[0]).permute(1, 2, 0)
    return found.reshape(*values.shape[:-2], *view.size)


def _taps(places: Tensor, length: int, small: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The elements of an axis, and their weights, both [n, k], that are seen at n places of it."""
    start, weights = _shrinking(length, small)
    at = (places * (small / length) - 0.5).clamp(0, small - 1)
    low = at.floor().long()
    high, share = (low + 1).clamp(max=small - 1), (at - low)[:, None]
    apart = start[high] - start[low]
    both = torch.zeros(len(at), weights.shape[1] + int(apart.max()), dtype=weights.dtype)
    steps = torch.arange(weights.shape[1]).expand(len(at), -1)
    both.scatter_add_(1, steps, weights[low] * (1 - share))
    both.scatter_add_(1, steps + apart[:, None], weights[high] * share)
    elements = start[low][:, None] + torch.arange(both.shape[1])
    return elements.clamp(max=length - 1), both.to(dtype)


@lru_cache(maxsize=1024)  # kilobytes each
def _shrinking(length: int, small: int) -> tuple[Tensor, Tensor]:
    """The first elements [small] that make up those of a shrunk axis, and all weights [small, k].

    The weights are read off from what torch makes of unit vectors.
    """
    units = torch.eye(length, dtype=torch.float64)[None, None]
    matrix = functional.interpolate(units, (small, length), mode="bilinear", antialias=True)[0, 0]
    start = (matrix != 0).int().argmax(1)
    count = int((matrix != 0).sum(1).max())
    elements = start[:, None] + torch.arange(count)
    weights = matrix.gather(1, elements.clamp(max=length - 1))
    return start, torch.where(elements < length, weights, 0)


@lru_cache(maxsize=16)
def _places(view: View) -> tuple[Tensor, Tensor]:
    """The positions of the output's pixel centres in the picture: y and x, broadcastable.

    They are kept, and must not be written to.
    """
    height, width = view.size
    v = (torch.arange(height, dtype=torch.float64) + 0.5 - height / 2)[:, None] * view.step
    u = (torch.arange(width, dtype=torch.float64) + 0.5 - width / 2)[None] * view.step
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
    top = round(view.centre[0] - view.size[0] / 2)
    left = round(view.centre[1] - view.size[1] / 2)
    piece = values[..., top : top + view.size[0], left : left + view.size[1]]
    return piece.flip(-1) if view.mirrored else piece


def turned(angle: float) -> tuple[float, float]:
    """The cosine and sine of an angle in degrees."""
    return math.cos(math.radians(angle)), math.sin(math.radians(angle))
