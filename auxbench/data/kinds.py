"""Task kinds: everything that follows from what a task predicts.

A kind defines the shape of the prediction, the loss, the metrics, the value that marks a missing
label, how labels are decoded from the prepared form, how augmentation transforms them, and how they
are coloured. A new kind, or another loss, is one class in your own file, which a data set uses in
its tasks:

>>> class Focal(Classes):
...     def loss(self, prediction: Tensor, target: Tensor) -> Losses:
...         log_p = prediction.log_softmax(1).gather(1, target.clamp(min=0).unsqueeze(1)).squeeze(1)
...         focal = -((1 - log_p.exp()) ** 2) * log_p * (target >= 0)
...         return focal.flatten(1).sum(1), (target >= 0).flatten(1).sum(1)
>>> from auxbench.data.dataset import named
>>> from auxbench.tasks.rooms import Rooms
>>> class FocalRooms(Rooms):
...     tasks = {**Rooms.tasks, **named({"segmentation": Focal(("wall", "floor"))})}

| kind | label | missing | augmentation |
|---|---|---|---|
| `Classes` | map of classes, int64 [B, H, W] | -1 | nearest |
| `Depth` | depths in metres, [B, 1, H, W] | 0 | nearest, divided by the zoom |
| `Disparity` | disparities in output pixels, [B, 1, H, W] | 0 | nearest, multiplied by the zoom |
| `Normals` | unit vectors, [B, 3, H, W] | zero | interpolated, turned with the picture |
| `Map` | maps of numbers, [B, C, H, W] | NaN | interpolated |
| `Label` | class of a sample, int64 [B] | -1 | unchanged |
| `Probabilities` | probabilities of classes, [B, C] | NaN | unchanged |
| `Number` | numbers of a sample, [B, C] | NaN | unchanged |

Normals have x right, y down, z forward, away from the camera; a mirror negates x. A value that is
interpolated from an element without a label has no label. Depths are divided by the zoom because
larger objects are closer; normals keep their directions, as everywhere in the literature. A zoom is
thus treated as a shorter distance for depths, but as a longer focal length for normals.

Long because the kinds are best read side by side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auxbench.data import losses
from auxbench.data.colours import (
    NONE,
    VIRIDIS,
    Bytes,
    Labels,
    Legend,
    ends,
    grey,
    mapped,
    palette,
)
from auxbench.data.losses import IGNORE
from auxbench.data.metrics import (
    RMSE,
    Accuracy,
    Delta125,
    DepthAbs,
    DepthRel,
    DepthRMSE,
    DisparityAbs,
    L1Error,
    MeanIoU,
    Metric,
    NormalsMean,
    NormalsMedian,
    NormalsRMSE,
    PixelAccuracy,
    SoftAccuracy,
    SoftTopK,
    TopK,
    Within,
)
from auxbench.data.prepared import decode
from auxbench.data.prepared.form import DEPTH, NORMAL
from auxbench.data.views import View, crop, is_crop, nearest, picked, smooth, smooth_known, turned

TOLERATED = 0.25  # share of a label's range at which the colours of errors end
KNOWN = 1 - 1e-4  # an interpolated value is a label from this share of labelled neighbours on

Metrics = Sequence[Callable[[], Metric]]
Losses = tuple[Tensor, Tensor]  # the sum over valid elements, and their count, of every sample [B]


class Errors(NamedTuple):
    """The errors of one sample: [H, W], NaN without a label; how far they may go; their unit.

    `most` is where a map of colours ends. It must not depend on the prediction, so that the maps of
    two methods can be compared.
    """

    values: npt.NDArray[np.float64]
    most: float
    unit: str


class Kind(ABC):
    """The kind of a task's prediction.

    `outputs` is the number of output channels of a head: maps [B, outputs, H, W] if `dense`,
    vectors [B, outputs] otherwise. `missing` is the target's value where there is no label.
    `names` are the class names, if known, and `classes` is the number of classes, 0 for kinds
    without classes. `metrics` construct the metrics; the first one is the headline. `margin` is the
    difference in the headline metric, in its unit, below which two methods count as equivalent,
    unless the data set declares another. `reading` says in words what a prediction holds.
    """

    dense: bool = False
    missing: float = float("nan")
    names: tuple[str, ...] = ()
    classes: int = 0
    margin: float = float("nan")
    reading: str = "numbers, in the unit of the labels"

    def __init__(self, outputs: int, metrics: Metrics) -> None:
        self.outputs = outputs
        self.metrics = tuple(metrics)

    @abstractmethod
    def loss(self, prediction: Tensor, target: Tensor) -> Losses:
        """The loss of each sample: its sum over valid elements and their count, both [B]."""

    def decode(self, stored: Any) -> Tensor:
        """The target decoded from prepared arrays: one [B, ...], or one array per sample."""
        return torch.from_numpy(np.asarray(stored))

    def given(self, labels: Tensor) -> Tensor:
        """The target made of labels in natural units, [B, ...], in which NaN is no label.

        For data that are not in the prepared form.
        """
        return labels.nan_to_num(self.missing) if self.missing == 0 else labels

    def seen(self, target: Tensor, view: View) -> Tensor:
        """The label of one sample, a map [..., H, W], as seen through a view."""
        raise TypeError(f"{type(self).__name__} is dense and does not say what a view does to it")

    def stored_seen(self, stored: Any, views: Sequence[View]) -> Tensor:
        """The labels of several samples as stored, each decoded and seen through its own view.

        A kind may do so in fewer passes. One that changes `decode` or `seen` gets this one back.
        """
        labels: Tensor | None = None
        for index, (label, view) in enumerate(zip(stored, views, strict=True)):
            found = self.seen(self.decode(label[None])[0], view)
            if labels is None:
                labels = decode.recycled((len(views), *found.shape), found)
            labels[index] = found
        assert labels is not None
        return labels

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = cls.__dict__
        if ("seen" in own or "decode" in own) and "stored_seen" not in own:
            cls.stored_seen = Kind.stored_seen  # type: ignore[method-assign]

    def mirrored(self, labels: Any) -> Any:
        """Stored maps [..., W], mirrored together with the picture."""
        return labels[..., ::-1]

    @property
    def unit(self) -> str:
        """The unit of the label for display: the headline's if it is a length or an angle."""
        unit = self.metrics[0]().unit if self.metrics else ""
        return unit if unit in ("m", "°") else ""

    def paint(self, target: Labels) -> Bytes:
        """The label of one sample, a map, as colours [H, W, 3]."""
        raise TypeError(f"{type(self).__name__} is dense and does not say how it is painted")

    def predicted(self, outputs: Labels, target: Labels) -> Labels:
        """The prediction for one sample, a map [C, H, W], in the form of its label, to be painted.

        What would be off the scale of the label's colours is at its end.
        """
        return outputs

    def errors(self, outputs: Labels, target: Labels) -> Errors | None:
        """The error of a prediction [C, H, W] at every pixel; None if the kind does not say it."""
        return None

    def caption(self, target: Labels) -> str:
        """The label of one sample as text, or the range of values in its map."""
        words = " ".join(f"{number:g}" for number in np.ravel(target)[:4])
        return f"{words}{' ...' if np.size(target) > 4 else ''} {self.unit}".rstrip()

    def legend(self, targets: Labels) -> Legend:
        """The colours that occur in the labels of some samples, and their meanings."""
        return []

    def key(self, targets: Labels) -> Legend:
        """The same without shares, for labels beside predictions."""
        return self.legend(targets)

    def called(self, number: int) -> str:
        """The name of a class, or its number if it has no name."""
        return self.names[number] if self.names else str(number)


class _OfClasses(Kind):
    """The base of kinds with classes 0..C-1; -1 means no label."""

    margin = 0.5
    reading = "one score per class on axis 1; the largest is the class, their softmax its chance"

    missing = float(IGNORE)

    def __init__(self, classes: int | Sequence[str], metrics: Metrics) -> None:
        self.names = () if isinstance(classes, int) else tuple(classes)
        self.classes = classes if isinstance(classes, int) else len(self.names)
        super().__init__(self.classes, metrics)

    def loss(self, prediction: Tensor, target: Tensor) -> Losses:
        return losses.cross_entropy(prediction, target)

    def decode(self, stored: Any) -> Tensor:
        return decode.classes(stored)


class Classes(_OfClasses):
    """A class for every pixel; `classes` is their number or their names."""

    dense = True

    def __init__(self, classes: int | Sequence[str], metrics: Metrics | None = None) -> None:
        count = classes if isinstance(classes, int) else len(classes)
        usual: Metrics = (partial(MeanIoU, count), partial(PixelAccuracy, count))
        super().__init__(classes, usual if metrics is None else metrics)

    def seen(self, target: Tensor, view: View) -> Tensor:
        return nearest(target, view)

    def stored_seen(self, stored: Any, views: Sequence[View]) -> Tensor:
        return self.decode(list(map(picked, stored, views)))

    def paint(self, target: Labels) -> Bytes:
        painted: Bytes = palette(self.classes)[target.astype(np.int64)]
        return painted

    def predicted(self, outputs: Labels, target: Labels) -> Labels:
        return np.asarray(outputs.argmax(0))

    def errors(self, outputs: Labels, target: Labels) -> Errors:
        wrong = np.where(self.predicted(outputs, target) == target, 0.0, 100.0)
        return Errors(np.where(target == IGNORE, np.nan, wrong), 100, "%")

    def caption(self, target: Labels) -> str:
        return ""

    def legend(self, targets: Labels) -> Legend:
        return [(colour, f"{name} {share:.1%}") for colour, name, share in self._shares(targets)]

    def key(self, targets: Labels) -> Legend:
        return [(colour, name) for colour, name, _ in self._shares(targets)]

    def _shares(self, targets: Labels) -> list[tuple[tuple[int, ...], str, float]]:
        """The colours, names and shares of the classes that occur, the most frequent first."""
        found, counts = np.unique(targets.astype(np.int64), return_counts=True)
        colours = palette(self.classes)
        return [
            (
                tuple(map(int, colours[found[place]])),
                self._called(int(found[place])),
                counts[place] / counts.sum(),
            )
            for place in np.argsort(-counts, kind="stable")
        ]

    def _called(self, number: int) -> str:
        return "no label" if number == IGNORE else self.called(number)


class Label(_OfClasses):
    """A class for every sample; `classes` is their number or their names.

    With `top` above 1, top-k accuracy with k = `top` is a further metric.
    """

    def __init__(
        self, classes: int | Sequence[str], metrics: Metrics | None = None, top: int = 1
    ) -> None:
        usual: Metrics = (Accuracy,) if top == 1 else (Accuracy, partial(TopK, top))
        super().__init__(classes, usual if metrics is None else metrics)

    def caption(self, target: Labels) -> str:
        number = int(np.ravel(target)[0])
        return "no label" if number < 0 else self.called(number)


class Probabilities(Kind):
    """Class probabilities for every sample, such as those of a teacher."""

    margin = 0.5
    reading = "one score per class on axis 1; their softmax gives the probabilities"

    def __init__(self, classes: int | Sequence[str], top: int = 1) -> None:
        self.names = () if isinstance(classes, int) else tuple(classes)
        self.classes = classes if isinstance(classes, int) else len(self.names)
        usual: Metrics = (SoftAccuracy, *([partial(SoftTopK, top)] if top > 1 else []))
        super().__init__(self.classes, usual)

    def loss(self, prediction: Tensor, target: Tensor) -> Losses:
        return losses.soft_cross_entropy(prediction, target)

    def decode(self, stored: Any) -> Tensor:
        chances = torch.from_numpy(np.asarray(stored))
        return torch.where(chances.any(1, keepdim=True), chances, torch.nan)

    def caption(self, target: Labels) -> str:
        chances = np.ravel(target).astype(np.float64)
        if not np.isfinite(chances).all():
            return "no label"
        return f"{self.called(int(chances.argmax()))} {chances.max():.0%}"


class _OfNumbers(Kind):
    """The base of dense maps of numbers, of which pictures show the first channel."""

    dense = True

    def known(self, values: Labels) -> Any:
        """Mark the numbers [H, W] that are labels."""
        return np.isfinite(np.asarray(values, np.float64))

    def paint(self, target: Labels) -> Bytes:
        values = _first(target)
        known = self.known(values)
        painted = grey(values, known)
        painted[~known] = NONE
        return np.ascontiguousarray(painted)

    def predicted(self, outputs: Labels, target: Labels) -> Labels:
        truth = _first(target)
        return outputs.reshape(target.shape).clip(*ends(truth, self.known(truth)))

    def errors(self, outputs: Labels, target: Labels) -> Errors:
        truth = _first(target)
        known = self.known(truth)
        low, high = ends(truth, known)
        wrong = np.where(known, np.abs(_first(outputs) - truth), np.nan)
        return Errors(wrong, (high - low) * TOLERATED or 1.0, self.unit)

    def caption(self, target: Labels) -> str:
        values = target.astype(np.float64).reshape(-1, *target.shape[-2:])
        known = self.known(values[0])
        if not known.any():
            return "no label"
        low, high = ends(values[0], known)
        of = f" (first of {len(values)})" if len(values) > 1 else ""
        return f"{f'{low:.3g} to {high:.3g} {self.unit}'.rstrip()}{of}"


class Depth(_OfNumbers):
    """Depths in metres; only positive finite ones are labels.

    Depths beyond `far` are no labels, and a metre is stored as `per_metre` steps.
    """

    margin = 0.01
    reading = "depths in metres"

    missing = 0.0

    def __init__(
        self, far: float | None = None, per_metre: float = DEPTH, metrics: Metrics | None = None
    ) -> None:
        deltas = [partial(Delta125, power) for power in (1, 2, 3)]
        usual: Metrics = (DepthAbs, DepthRel, DepthRMSE, *deltas)
        super().__init__(1, usual if metrics is None else metrics)
        self.far, self.per_metre = far, per_metre

    def loss(self, prediction: Tensor, target: Tensor) -> Losses:
        return losses.depth_l1(prediction, target)

    def decode(self, stored: Any) -> Tensor:
        metres = decode.depths(stored, self.per_metre)
        return metres if self.far is None else metres.masked_fill_(metres > self.far, 0)

    def given(self, labels: Tensor) -> Tensor:
        known = labels > 0 if self.far is None else (labels > 0) & (labels <= self.far)
        return torch.where(known, labels, 0)

    def seen(self, target: Tensor, view: View) -> Tensor:
        return nearest(target, view) / view.zoom

    def stored_seen(self, stored: Any, views: Sequence[View]) -> Tensor:
        metres = self.decode(list(map(picked, stored, views)))
        for depth, view in zip(metres, views, strict=True):
            if view.zoom != 1:
                depth /= view.zoom
        return metres

    def known(self, values: Labels) -> Any:
        return super().known(values) & (np.asarray(values, np.float64) > 0)

    def paint(self, target: Labels) -> Bytes:
        values = _first(target)
        known = self.known(values)
        return mapped(np.where(known, values, np.nan), *ends(values, known), VIRIDIS)


class Disparity(Depth):
    """Disparities in pixels of the output; only positive finite ones are labels.

    A disparity of one pixel is stored as `full` steps.
    """

    margin = 0.05
    reading = "disparities in pixels of the input"

    def __init__(self, full: float) -> None:
        super().__init__(per_metre=full, metrics=(DisparityAbs, DepthRel))

    def seen(self, target: Tensor, view: View) -> Tensor:
        return nearest(target, view) * view.zoom


class Normals(Kind):
    """Surface normals, unit vectors; the zero vector means no label.

    With `raw`, the angles between normals as stored in 8-bit pictures are metrics too; these are
    the numbers that NDDR-CNN, Aux-NAS and AdaShare report.
    """

    margin = 0.25
    reading = "normals (x right, y down, z forward) on axis 1, of any length"

    dense = True
    missing = 0.0

    def __init__(self, raw: bool = False) -> None:
        angles: list[Callable[[], Metric]] = [NormalsMean, NormalsMedian, NormalsRMSE]
        angles += [partial(Within, limit) for limit in (11.25, 22.5, 30)]
        if raw:
            angles += [partial(NormalsMean, raw=True), partial(NormalsMedian, raw=True)]
            angles += [partial(Within, limit, raw=True) for limit in (11.25, 22.5, 30)]
        super().__init__(3, angles)

    def loss(self, prediction: Tensor, target: Tensor) -> Losses:
        return losses.normals_cosine(prediction, target)

    def decode(self, stored: Any) -> Tensor:
        return decode.normals(stored)

    def given(self, labels: Tensor) -> Tensor:
        known = labels.nan_to_num(0.0)
        return known / known.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)

    def seen(self, target: Tensor, view: View) -> Tensor:
        if is_crop(view):
            value = crop(target, view)
            if view.mirrored:
                value[0].neg_()  # a mirrored crop is a copy
            return value
        known = _squares(target) > 0
        if known.all():
            return _directed(smooth(target, view, shrink=False), view)
        value, share = smooth_known(target, known[None], view)
        return _directed(value, view).mul_(share[0] > KNOWN)

    def stored_seen(self, stored: Any, views: Sequence[View]) -> Tensor:
        labels = decode.recycled((len(views), 3, *views[0].size), torch.empty(0))
        for normals, view, target in zip(stored, views, labels, strict=True):
            if is_crop(view) or not normals.any(0).all():
                target.copy_(self.seen(self.decode(normals[None])[0], view))
            else:
                smooth(torch.from_numpy(normals), view, False, target)
                _directed(target, view, NORMAL)
        return labels

    def mirrored(self, labels: Any) -> Any:
        flipped = labels[..., ::-1].copy()
        flipped[..., 0, :, :] *= -1
        return flipped

    def paint(self, target: Labels) -> Bytes:
        values = target.astype(np.float64)
        colours = np.rint((values.clip(-1, 1) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)
        colours[np.abs(values).sum(0) == 0] = NONE
        return np.ascontiguousarray(colours)

    def predicted(self, outputs: Labels, target: Labels) -> Labels:
        return _unit(outputs)

    def errors(self, outputs: Labels, target: Labels) -> Errors:
        cosine = (_unit(outputs) * _unit(target)).sum(0).clip(-1, 1)
        known = np.isfinite(target).all(0) & np.any(target, 0)
        return Errors(np.where(known, np.degrees(np.arccos(cosine)), np.nan), 90, "°")

    def caption(self, target: Labels) -> str:
        return "" if np.any(target) else "no label"

    def legend(self, targets: Labels) -> Legend:
        return [(None, "red x, green y, blue z")]


class Map(_OfNumbers):
    """Maps of numbers, such as edges; NaN means no label.

    Responses of `full` and above become a target of 1.
    """

    margin = 0.002

    def __init__(self, channels: int = 1, full: float = 1.0) -> None:
        super().__init__(channels, (L1Error,))
        self.full = full

    def loss(self, prediction: Tensor, target: Tensor) -> Losses:
        return losses.l1(prediction, target)

    def decode(self, stored: Any) -> Tensor:
        return decode.responses(stored, self.full)

    def seen(self, target: Tensor, view: View) -> Tensor:
        known = ~target.isnan()
        if known.all():
            return smooth(target, view)
        value, share = smooth_known(target.nan_to_num(), known, view)
        return torch.where(share > KNOWN, value, torch.nan)


class Number(Kind):
    """Numbers for every sample, with the squared error as loss and its root as headline metric."""

    margin = 0.02

    def __init__(self, outputs: int = 1) -> None:
        super().__init__(outputs, (RMSE, L1Error))

    def loss(self, prediction: Tensor, target: Tensor) -> Losses:
        return losses.squared(prediction, target)


def _first(target: Labels) -> npt.NDArray[np.float64]:
    """The first channel, [H, W], of maps with or without channels."""
    values: npt.NDArray[np.float64] = target.astype(np.float64).reshape(-1, *target.shape[-2:])[0]
    return values


def _unit(normals: Labels) -> npt.NDArray[np.float64]:
    """Normals [3, H, W] at length 1; zero vectors stay zero."""
    values = normals.astype(np.float64)
    length = np.sqrt(np.square(values).sum(0))
    return np.asarray(values / np.maximum(length, 1e-12))


def _directed(normals: Tensor, view: View, unit: float = 1.0) -> Tensor:
    """Give interpolated normals [3, H, W] of length `unit` at most length 1, in place.

    They are turned and mirrored as the picture is. Opposite normals cancel out, which leaves no
    direction: they become the zero vector.
    """
    squares = _squares(normals)
    least = 1e-3 * unit
    if squares.amin() > least * least:
        factor = squares.sqrt_().reciprocal_()
    else:
        length = squares.sqrt_()
        factor = torch.where(length > least, length.clamp_(min=least).reciprocal(), 0)
    for component in normals:
        component *= factor
    if view.angle:
        cosine, sine = turned(view.angle)
        x, y, _ = normals
        turned_x = cosine * x - sine * y
        torch.add(sine * x, y, alpha=cosine, out=y)
        x.copy_(turned_x)
    if view.mirrored:
        normals[0].neg_()
    return normals


def _squares(normals: Tensor) -> Tensor:
    """The squared lengths, by component, as torch's norms over a leading axis of three are slow."""
    x, y, z = normals
    squares: Tensor = (x * x).addcmul_(y, y).addcmul_(z, z)
    return squares
