"""Scalers: torch's own scaling of losses in half precision, in a loop of one's own.

Gradients are taken of losses at a scale at which they do not overflow, and rules see them unscaled
(see `Precision`). What rules make of them is multiplied by the scaler's number, which the scaler
divides by again before the optimizer's step. After a batch that overflows at every scale the
scaler skips the step, and rules are to be as if there had been no such batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TypeGuard

import torch
from torch.amp import GradScaler

from auxbench.training.balancer import Balancer
from auxbench.training.chain import Factors
from auxbench.training.gradients import Gradients
from auxbench.training.precision import Precision, finite
from auxbench.training.signals import Row


class ScalerPrecision(Precision):
    """Half precision in which a gradient may overflow at every scale, which then stays as it is.

    `lost` tells of that until it is reset.

    >>> precision = ScalerPrecision()
    >>> infinite = precision.gradients(lambda scale: (torch.tensor([torch.inf]),))
    >>> precision.lost, precision.scale
    (True, 65536.0)
    """

    def __init__(self) -> None:
        super().__init__("fp16")
        self.lost = False

    def gradients(self, make: Callable[[float], Row]) -> Row:
        """The gradients that `make` returns for losses multiplied by a scale, divided by it."""
        before = self.scale, self.since
        row = super().gradients(make)
        if self.scale <= 1 and not finite([part for part in row if part is not None]):
            self.lost = True
            self.scale, self.since = before
        return row


class Attempt:
    """A step that a scaler may skip; rules then end in the state that they had before it."""

    def __init__(self, balancers: Sequence[Balancer], scaler: GradScaler | None) -> None:
        self.balancers = balancers
        states = [part.state_dict() for part in balancers] if scales(scaler) else []
        self.saved = deepcopy(states)

    def undo(self) -> None:
        """Give the rules their state back."""
        for balancer, state in zip(self.balancers, self.saved, strict=bool(self.saved)):
            balancer.load_state_dict(state)


def scales(scaler: GradScaler | None) -> TypeGuard[GradScaler]:
    """Return whether there is a scaler that is not switched off."""
    return scaler is not None and scaler.is_enabled()


def multiply(gradients: Gradients, scaler: GradScaler | None) -> None:
    """Multiply the `.grad` of all parameters by the scaler's number."""
    if scales(scaler):
        found = [part.grad for part in gradients.parameters if part.grad is not None]
        one = torch.ones_like(gradients.losses[0], requires_grad=False)
        torch._foreach_mul_(found, scaler.scale(one))


def overflown(
    gradients: Gradients, factors: Factors | None, precision: Precision, scaler: GradScaler | None
) -> bool:
    """Return True if losses, gradients or factors are not finite, so that the step is skipped."""
    if not scales(scaler):
        return False
    lost = isinstance(precision, ScalerPrecision) and precision.lost
    known = [gradients.values, *([] if factors is None else [factors.shared, factors.private])]
    return lost or not finite(known)


def spoil(gradients: Gradients, scaler: GradScaler | None) -> None:
    """Set gradients that make the scaler skip the step."""
    for parameter in gradients.parameters:
        parameter.grad = torch.full_like(parameter, math.nan)
    multiply(gradients, scaler)
