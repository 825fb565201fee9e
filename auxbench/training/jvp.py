"""Derivatives beyond the gradient: along a direction, and a second time.

Attention is computed by plain matrix products meanwhile, because the fused kernels have a gradient
only; the numbers differ by rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Named = Mapping[str, Tensor]
Outputs = TypeVar("Outputs")


@contextmanager
def plain_attention() -> Iterator[None]:
    """Compute attention in a way that can be differentiated forward and twice."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


def jvp(
    function: Callable[[dict[str, Tensor]], Outputs], at: Named, direction: Named
) -> tuple[Outputs, Outputs]:
    """The value of `function` at the point `at`, and its derivative along `direction`.

    One forward-mode pass, whose cost does not grow with the number of outputs. What `direction`
    does not name is held.

    >>> jvp(lambda p: p["x"] ** 2, {"x": torch.tensor([3.0])}, {"x": torch.tensor([0.5])})
    (tensor([9.]), tensor([3.]))
    """
    moving = {name: at[name].detach() for name in direction}
    held = {name: value.detach() for name, value in at.items() if name not in direction}
    with warnings.catch_warnings(), plain_attention():
        # Some releases of torch build their formulas by a compiler that they have deprecated.
        warnings.simplefilter("ignore")
        value, slope, *_ = torch.func.jvp(
            lambda point: function(held | point), (moving,), (dict(direction),)
        )
    return value, slope


def gradient(
    value: Tensor, parameters: Mapping[str, Tensor], *, again: bool = False
) -> dict[str, Tensor]:
    """The gradient of a scalar by the names of the parameters that it reaches.

    With `again` the graph is kept, and the gradient can itself be differentiated.
    """
    found = torch.autograd.grad(
        value, list(parameters.values()), create_graph=again, allow_unused=True
    )
    named = zip(parameters, found, strict=True)
    return {name: part for name, part in named if part is not None}


def dot(one: Named, other: Named) -> Tensor:
    """The inner product of two vectors by name; a missing part is zero.

    >>> dot({"a": torch.ones(2), "b": torch.ones(1)}, {"a": torch.ones(2)})
    tensor(2.)
    """
    parts: Sequence[Tensor] = [(one[name] * other[name]).sum() for name in one if name in other]
    return sum(parts[1:], start=parts[0]) if parts else torch.zeros(())
