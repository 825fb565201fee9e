"""Metrics: the quality of predictions, accumulated over a whole split.

A metric accumulates counts and sums, never means of batches, so the size and the order of batches
do not matter, and a smaller last batch gets its correct weight. All metrics skip missing labels as
the losses do, and return NaN if there was no label at all.

Long because the metrics of all kinds are here, a few lines each.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from auxbench.data.losses import IGNORE, is_depth, is_normal, single, with_channel

Unit = Literal["%", "m", "°", ""]
Direction = Literal["up", "down"]


class Metric(ABC):
    """A metric: one number for the predictions on a split.

    `unit` is "%", "m", "°" or empty; `direction` says which way is better; `version` increases
    whenever the definition changes, so that old and new numbers are never mixed.

    >>> metric = Accuracy()
    >>> metric.update(torch.eye(3), torch.tensor([0, 1, 1]))
    >>> f"{metric.name} {metric.compute():.1f} {metric.unit}"
    'accuracy 66.7 %'
    """

    name: str
    unit: Unit
    direction: Direction
    version: int = 1

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Discard everything seen so far."""

    @abstractmethod
    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch, on any device, with the same shapes as for the task's loss.

        Errors: `ValueError` if the shapes do not match or a class does not exist.
        """

    @abstractmethod
    def compute(self) -> float:
        """The metric over everything seen since the last reset; NaN if no label was seen."""


class _Confusion(Metric):
    """The base of class metrics: a confusion matrix with true classes as rows.

    The last column counts NaN predictions, which are wrong whatever the label is.
    """

    unit = "%"
    direction = "up"

    def __init__(self, classes: int) -> None:
        self.classes = classes
        super().__init__()

    def reset(self) -> None:
        self.counts = torch.zeros(self.classes, self.classes + 1, dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        classes, columns = self.classes, self.classes + 1
        if prediction.shape[1] != classes:
            raise ValueError(f"{prediction.shape[1]} classes are predicted, not {classes}")
        predicted, target = _classes(prediction, target)
        valid = target != IGNORE
        actual, predicted = target[valid], predicted[valid]
        if ((actual < 0) | (actual >= classes)).any():
            raise ValueError(f"a class is outside 0..{classes - 1}; write {IGNORE} for no label")
        pairs = torch.bincount(actual * columns + predicted, minlength=classes * columns)
        self.counts += pairs.cpu().reshape(classes, columns)


class MeanIoU(_Confusion):
    """Intersection over union per class over the whole split, averaged over classes.

    A class that occurs neither in the labels nor in the predictions at labelled elements is left
    out of the average; a class that is only predicted counts as 0.

    Source: Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation,
    CVPR 2015, https://arxiv.org/abs/1411.4038
    """

    name = "miou"

    def compute(self) -> float:
        counts = self.counts.double()
        both = counts.diagonal()
        union = counts.sum(1) + counts.sum(0)[: self.classes] - both
        return 100 * float((both / union)[union > 0].mean())


class PixelAccuracy(_Confusion):
    """The share of labelled pixels whose predicted class is correct."""

    name = "pixel-accuracy"

    def compute(self) -> float:
        return 100 * float(self.counts.diagonal().sum() / self.counts.sum())


class BalancedAccuracy(_Confusion):
    """The recall per class, averaged over the classes that occur in the labels.

    Random guessing scores 100 % / classes, however imbalanced the classes are.

    Source: Brodersen, Ong, Stephan and Buhmann, The Balanced Accuracy and Its Posterior
    Distribution, ICPR 2010, https://doi.org/10.1109/ICPR.2010.764
    """

    name = "balanced-accuracy"

    def compute(self) -> float:
        counts = self.counts.double()
        support = counts.sum(1)
        return 100 * float((counts.diagonal() / support)[support > 0].mean())


class _Mean(Metric):
    """The base of metrics that average a value over all labelled elements of the split."""

    direction: Direction = "down"
    scale: float = 1.0

    def reset(self) -> None:
        self.total = 0.0
        self.count = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        values, valid = self.values(prediction.detach(), target)
        self.total += float(torch.where(valid, values, 0).sum(dtype=torch.float64))
        self.count += int(valid.sum())

    def compute(self) -> float:
        return self.scale * self.total / self.count if self.count else math.nan

    @abstractmethod
    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The value of every element, and whether it has a label, in the same shape."""


class _RootMean(_Mean):
    """The base of metrics that take the root of the mean over the split, not the mean of roots."""

    def compute(self) -> float:
        return math.sqrt(super().compute())


class Accuracy(_Mean):
    """The share of labelled samples whose correct class has the highest score."""

    name = "accuracy"
    unit = "%"
    direction = "up"
    scale = 100.0

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        predicted, target = _classes(prediction, target)
        return (predicted == target).float(), target != IGNORE


class TopK(_Mean):
    """The share of labelled samples whose class is among the `k` with the highest scores.

    Classes with the same score as the correct one rank before it, so that ties earn nothing; scores
    that contain a NaN count as wrong.

    Source: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 115, 2015,
    https://doi.org/10.1007/s11263-015-0816-y

    >>> TopK(5).name
    'top5-accuracy'
    """

    unit = "%"
    direction = "up"
    scale = 100.0

    def __init__(self, k: int) -> None:
        self.k = k
        self.name = f"top{k}-accuracy"
        super().__init__()

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        predicted, target = _classes(prediction, target)
        valid = target != IGNORE
        own = prediction.gather(1, torch.where(valid, target, 0).unsqueeze(1))
        ahead = (prediction >= own).sum(1)  # itself included
        right = (ahead <= self.k) & (predicted < prediction.shape[1])
        return right.float(), valid


class DepthAbs(_Mean):
    """The mean absolute error of depth; only depths above 0 are labels, as in all depth metrics.

    Source of the depth metrics: Eigen, Puhrsch and Fergus, Depth Map Prediction from a Single
    Image using a Multi-Scale Deep Network, NeurIPS 2014, https://arxiv.org/abs/1406.2283
    """

    name = "abs"
    unit: Unit = "m"

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        prediction, target = single(prediction), single(with_channel(prediction, target))
        return (prediction - target).abs(), is_depth(target)


class DepthRel(DepthAbs):
    """The mean absolute error of depth as a share of the true depth."""

    name = "rel"
    unit = "%"
    scale = 100.0

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        errors, valid = super().values(prediction, target)
        return errors / with_channel(prediction, target), valid


class DepthRMSE(_RootMean, DepthAbs):
    """The root of the mean squared error of depth over all labelled pixels of the split."""

    name = "rmse"

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        errors, valid = super().values(prediction, target)
        return errors.square(), valid


class Delta125(_Mean):
    """The share of pixels whose depth is off by a factor below 1.25 ** `power`, up or down.

    >>> Delta125().name, Delta125(2).name
    ('delta1.25', 'delta1.25^2')
    """

    unit = "%"
    direction = "up"
    scale = 100.0

    def __init__(self, power: int = 1) -> None:
        self.factor = 1.25**power
        self.name = "delta1.25" if power == 1 else f"delta1.25^{power}"
        super().__init__()

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        prediction, target = single(prediction), single(with_channel(prediction, target))
        # products, since a ratio would count a negative depth as a close one
        close = (prediction < self.factor * target) & (target < self.factor * prediction)
        return close.float(), is_depth(target)


class _Angle(Metric):
    """The base of metrics of normals: the angles, in space or between 8-bit colours of the normals.

    Predictions [B, 3, H, W] may have any length; a zero target means no label. With `raw` the
    metric is the one in the released code of NDDR-CNN and Aux-NAS, under a separate name, so that
    their numbers can be compared: both normals are first converted to colours, red, green, blue =
    127.5 (1 + (x, z, -y)) for x right, y down, z forward, and the angle is taken between the
    colours. Colours are never negative, so these angles are about half as large; they are not
    comparable with other metrics.

    Source of the metrics of normals: Fouhey, Gupta and Hebert, Data-Driven 3D Primitives for
    Single Image Understanding, ICCV 2013, https://doi.org/10.1109/ICCV.2013.421; of the raw ones,
    Gao, Ma, Zhao, Liu and Yuille, NDDR-CNN: Layerwise Feature Fusing in Multi-Task CNNs by Neural
    Discriminative Dimensionality Reduction, CVPR 2019, https://arxiv.org/abs/1801.08297, in its
    code, https://github.com/ethanygao/NDDR-CNN

    >>> NormalsMean(raw=True).name
    'raw-rgb-mean-angle'
    """

    def __init__(self, raw: bool = False) -> None:
        self.raw = raw
        if raw:
            self.name = f"raw-rgb-{self.name}"
        super().__init__()

    def angles(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The angles [B, H, W] in degrees, and a mask of labelled pixels."""
        target = single(with_channel(prediction, target))
        valid = is_normal(target)
        found = functional.normalize(single(prediction.detach()), dim=1)
        goal = functional.normalize(torch.where(valid, target, 0), dim=1)
        if self.raw:
            found, goal = _coloured(found), _coloured(goal)
        # the arc tangent is exact at small angles, where the arc cosine loses half of its digits
        sine, cosine = torch.linalg.cross(found, goal, dim=1).norm(dim=1), (found * goal).sum(1)
        angles = torch.atan2(sine, cosine).rad2deg()
        return torch.where((sine == 0) & (cosine == 0), 90.0, angles), valid.squeeze(1)


class NormalsMean(_Angle, _Mean):
    """The mean angle between predicted and true normals; the zero vector counts as 90° off."""

    name = "mean-angle"
    unit = "°"

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return self.angles(prediction, target)


class NormalsRMSE(_RootMean, NormalsMean):
    """The root of the mean squared angle between predicted and true normals."""

    name = "rmse-angle"

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        angles, valid = self.angles(prediction, target)
        return angles.square(), valid


class NormalsMedian(_Angle):
    """The median angle between predicted and true normals, to within 0.005°.

    Angles are counted in bins of 0.01°, so that memory does not grow with the split. For an even
    number of angles it is the mean of the middle two. NaN angles rank last.
    """

    name = "median-angle"
    unit = "°"
    direction = "down"

    def reset(self) -> None:
        self.counts = torch.zeros(18001, dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        angles, valid = self.angles(prediction, target)
        bins = (angles[valid].nan_to_num(180.0) * 100).round().long()
        self.counts += torch.bincount(bins, minlength=len(self.counts)).cpu()

    def compute(self) -> float:
        ranks = self.counts.cumsum(0)
        count = int(ranks[-1])
        if not count:
            return math.nan
        middle = torch.tensor([(count - 1) // 2, count // 2])
        return float(torch.searchsorted(ranks, middle, right=True).double().mean()) / 100


class Within(_Angle, _Mean):
    """The share of pixels whose normal is less than `limit` degrees off.

    >>> Within(22.5).name
    'within22.5'
    """

    unit = "%"
    direction = "up"
    scale = 100.0

    def __init__(self, limit: float, raw: bool = False) -> None:
        self.limit = limit
        self.name = f"within{limit:g}"
        super().__init__(raw)

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        angles, valid = self.angles(prediction, target)
        return (angles < self.limit).float(), valid


class L1Error(_Mean):
    """The mean absolute error of numbers without a unit (edges, keypoints); NaN means no label."""

    name = "l1"
    unit = ""

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        prediction, target = single(prediction), single(with_channel(prediction, target))
        return (prediction - target).abs(), ~target.isnan()


def _classes(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The predicted class of every element (C if the scores contain a NaN) and the true class."""
    best, predicted = prediction.detach().max(1)
    if predicted.shape != target.shape:
        shapes = f"{list(target.shape)} does not fit a prediction {list(prediction.shape)}"
        raise ValueError(f"a target {shapes}")
    return torch.where(best.isnan(), prediction.shape[1], predicted), target.long()


def _coloured(normals: Tensor) -> Tensor:
    """Unit normals [B, 3, H, W] as the colours of an 8-bit picture, up to a common factor."""
    return 1 + normals * torch.tensor([1.0, -1.0, 1.0], device=normals.device)[:, None, None]


class RMSE(L1Error):
    """The root of the mean squared error over the split; NaN means no label."""

    name = "rmse"

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        errors, valid = super().values(prediction, target)
        return errors.square(), valid

    def compute(self) -> float:
        return math.sqrt(super().compute())


class SoftAccuracy(Accuracy):
    """The share of samples whose highest score is for the teacher's most probable class."""

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return super().values(prediction, first_choice(target))


class SoftTopK(TopK):
    """The share of samples whose `k` highest scores include the teacher's most probable class."""

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return super().values(prediction, first_choice(target))


def first_choice(chances: Tensor) -> Tensor:
    """The most probable class, int64 [B], given probabilities [B, C]; -1 for NaN."""
    known = ~chances.isnan().any(1)
    return torch.where(known, chances.nan_to_num().argmax(1), IGNORE)


class DisparityAbs(DepthAbs):
    """The mean absolute error of disparity; a unit is 256 pixels of a picture 2048 pixels wide.

    Only disparities above 0 are labels. The literature reports this as the absolute depth error on
    Cityscapes.
    """

    unit = ""
