"""Scalers: torch's own scaling of losses in half precision, in a loop of one's own.

Gradients are taken of losses at a scale at which they do not overflow, and rules see them unscaled
(see `Precision`). What rules make of them is multiplied by the scaler's number, which the scaler
divides by again before the optimizer's step.
"""

from __future__ import annotations

import math
from typing import TypeGuard

import torch
from torch.amp import GradScaler

from auxbench.training.gradients import Gradients


def scales(scaler: GradScaler | None) -> TypeGuard[GradScaler]:
    """Return whether there is a scaler that is not switched off."""
    return scaler is not None and scaler.is_enabled()


def multiply(gradients: Gradients, scaler: GradScaler | None) -> None:
    """Multiply the `.grad` of all parameters by the scaler's number."""
    if scales(scaler):
        found = [part.grad for part in gradients.parameters if part.grad is not None]
        one = torch.ones_like(gradients.losses[0], requires_grad=False)
        torch._foreach_mul_(found, scaler.scale(one))


def overflown(gradients: Gradients, scaler: GradScaler | None) -> bool:
    """Return True if losses overflow, with gradients that make the scaler skip the step."""
    if not scales(scaler) or bool(gradients.values.isfinite().all()):
        return False
    for parameter in gradients.parameters:
        parameter.grad = torch.full_like(parameter, math.nan)
    multiply(gradients, scaler)
    return True
