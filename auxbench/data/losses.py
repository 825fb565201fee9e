"""Losses that skip missing labels: per sample, the sum over valid elements and their number.

Every loss maps (prediction, target) to (sums [B], counts [B]), floats on the prediction's device.
An element without a label adds nothing to either and gets no gradient, whatever the target contains
there. Half-precision predictions are converted to float32; float64 stays float64. All losses have
forward-mode and second derivatives.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

IGNORE = -1  # the class of an element without a label
SHORT = 1e-3  # a predicted normal shorter than this is taken to have no direction yet


def cross_entropy(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of softmax scores in nats; elements of class -1 are skipped.

    `prediction` is [B, C] with `target` [B], or [B, C, H, W] with [B, H, W].

    Errors: torch raises an error for any other class outside 0..C-1.

    >>> sums, counts = cross_entropy(torch.zeros(2, 4), torch.tensor([3, -1]))
    >>> sums.exp().tolist(), counts.tolist()
    ([4.0, 1.0], [1.0, 0.0])
    """
    scores, target = single(prediction), target.long()
    losses = functional.cross_entropy(scores, target, ignore_index=IGNORE, reduction="none")
    return _per_sample(losses, target != IGNORE)


def depth_l1(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The absolute error of depths [B, 1, H, W] in metres; only depths above 0 are labels.

    `target` is [B, 1, H, W] or [B, H, W].
    """
    prediction, target = single(prediction), with_channel(prediction, target)
    valid = is_depth(target)
    # the mask encloses the difference so that a NaN in the target cannot reach the gradient
    return _per_sample(torch.where(valid, prediction - target, 0).abs(), valid)


def normals_cosine(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """One minus the cosine between normals [B, 3, H, W] of any length; zero vectors are no labels.

    A prediction shorter than 0.001 is divided by 0.001 instead of by its length, which bounds the
    gradient: the loss of the zero vector is 1, and its gradient step points towards the target.
    """
    target = with_channel(prediction, target)
    valid = is_normal(target)
    goal = functional.normalize(single(torch.where(valid, target, 0)), dim=1)
    prediction = single(prediction)
    # torch's norm is not used because its second derivative at zero is NaN
    length = prediction.square().sum(1, keepdim=True).clamp(min=SHORT**2).sqrt()
    cosine = (prediction / length * goal).sum(1)
    valid = valid.squeeze(1)
    return _per_sample(torch.where(valid, 1 - cosine, 0), valid)


def l1(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The absolute error of numbers: maps [B, C, H, W] or vectors [B, C]; NaN means no label.

    With C = 1 the target may lack that axis.

    >>> target = torch.tensor([[1.0, float("nan")]])
    >>> l1(torch.tensor([[3.0, 3.0]]), target)
    (tensor([2.]), tensor([1.]))
    """
    prediction, target = single(prediction), with_channel(prediction, target)
    valid = ~target.isnan()
    return _per_sample(torch.where(valid, prediction - target, 0).abs(), valid)


def squared(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The squared error of vectors [B, C]; NaN means no label.

    >>> target = torch.tensor([[1.0, float("nan")]])
    >>> squared(torch.tensor([[3.0, 3.0]]), target)
    (tensor([4.]), tensor([1.]))
    """
    prediction, target = single(prediction), with_channel(prediction, target)
    valid = ~target.isnan()
    # the mask is inside the square so that a NaN in the target cannot reach the gradient
    errors = torch.where(valid, prediction - target, 0).square()
    return errors.flatten(1).sum(1), valid.flatten(1).sum(1).to(errors.dtype)


def soft_cross_entropy(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of softmax scores with probabilities, both [B, C]; NaN means no label.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015,
    https://arxiv.org/abs/1503.02531

    >>> target = torch.tensor([[0.5, 0.5], [float("nan")] * 2])
    >>> sums, counts = soft_cross_entropy(torch.zeros(2, 2), target)
    >>> sums.exp().tolist(), counts.tolist()
    ([2.0, 1.0], [1.0, 0.0])
    """
    valid = ~target.isnan().any(1)
    goal = torch.where(valid[:, None], target, 0)
    losses = -(goal * single(prediction).log_softmax(1)).sum(1)
    return torch.where(valid, losses, 0), valid.to(losses.dtype)


def is_depth(target: Tensor) -> Tensor:
    """Mark the labelled pixels of a depth map: positive finite numbers."""
    return (target > 0) & (target < torch.inf)


def is_normal(target: Tensor) -> Tensor:
    """Mark the labelled pixels, [B, 1, H, W], of normals: finite vectors other than zero."""
    size = target.abs().sum(1, keepdim=True)
    return (size > 0) & (size < torch.inf)


def single(values: Tensor) -> Tensor:
    """The same values in at least single precision."""
    return values if values.dtype == torch.float64 else values.float()


def with_channel(prediction: Tensor, target: Tensor) -> Tensor:
    """The target with a channel axis if it lacks one; errors: `ValueError` if it does not fit."""
    full = target if target.ndim == prediction.ndim else target.unsqueeze(1)
    if full.shape != prediction.shape:
        shapes = f"{list(target.shape)} does not fit a prediction {list(prediction.shape)}"
        raise ValueError(f"a target {shapes}")
    return full


def _per_sample(losses: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    axes = tuple(range(1, losses.ndim))
    if not axes:  # torch reads an empty list of axes as all of them
        return losses, valid.to(losses.dtype)
    return losses.sum(axes), valid.sum(axes).to(losses.dtype)
