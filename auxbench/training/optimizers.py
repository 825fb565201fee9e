"""Optimisers of the descent: those of torch, which do not import its compiler.

torch marks the methods of its optimisers as nothing to be compiled, and the mark imports the
compiler, which takes as long as importing the rest of torch. Here only networks are compiled.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import Parameter

from auxbench.spec.budget import Recipe

__all__ = ["OPTIMIZERS"]

Optimizers = Callable[[Sequence[Parameter], Recipe], torch.optim.Optimizer]

_MARKED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def _light(kind: type[torch.optim.Optimizer]) -> Any:
    """The same optimiser with unmarked methods; its steps and states are the same."""
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in _MARKED}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**plain, "step": step})


_Adam, _AdamW, _SGD = map(_light, (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD))

OPTIMIZERS: dict[str, Optimizers] = {
    "adam": lambda parameters, recipe: _Adam(
        parameters, recipe.learning_rate, fused=_on_gpu(parameters)
    ),
    "adamw": lambda parameters, recipe: _AdamW(
        parameters,
        recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=_on_gpu(parameters),
    ),
    "sgd": lambda parameters, recipe: _SGD(
        parameters,
        recipe.learning_rate,
        momentum=0.9,
        weight_decay=recipe.weight_decay,
        fused=_on_gpu(parameters),
    ),
}


def _on_gpu(parameters: Sequence[Parameter]) -> bool | None:
    """True on a GPU, where one kernel updates all parameters; None leaves the choice to torch."""
    return True if parameters and all(parameter.is_cuda for parameter in parameters) else None
