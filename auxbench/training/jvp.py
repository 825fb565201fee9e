"""Derivatives beyond the gradient: directional and second derivatives.

Attention is computed by plain matrix products here, because the fused kernels support only
first-order reverse mode; the results differ by rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

Named = Mapping[str, Tensor]
Outputs = TypeVar("Outputs")


@contextmanager
def plain_attention() -> Iterator[None]:
    """Compute attention so that it supports forward-mode and second derivatives."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


def jvp(
    function: Callable[[dict[str, Tensor]], Outputs], at: Named, direction: Named
) -> tuple[Outputs, Outputs]:
    """The value of `function` at the point `at`, and its derivative along `direction`.

    This is one forward-mode pass, whose cost does not grow with the number of outputs. Values that
    `direction` does not name are held constant.

    >>> jvp(lambda p: p["x"] ** 2, {"x": torch.tensor([3.0])}, {"x": torch.tensor([0.5])})
    (tensor([9.]), tensor([3.]))
    """
    moving = {name: at[name].detach() for name in direction}
    held = {name: value.detach() for name, value in at.items() if name not in direction}
    # Some torch releases build their formulas with a compiler that they have deprecated.
    with warnings.catch_warnings(action="ignore"), plain_attention(), _readable():
        value, slope, *_ = torch.func.jvp(
            lambda point: function(held | point), (moving,), (dict(direction),)
        )
    return value, slope


class _Listing(TorchFunctionMode):
    """Lists of the numbers of tensors inside torch.func, of which torch 2.6 reads one at a time."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _listed(*args) if func is Tensor.tolist else func(*args, **kwargs or {})


def _listed(values: Tensor) -> Any:
    return [_listed(each) for each in values] if values.ndim else values.item()


@cache
def _can_list() -> bool:
    """Return whether this torch can list the numbers of tensors inside torch.func."""
    one = torch.ones(1)
    try:
        torch.func.jvp(lambda x: x * x.tolist()[0], (one,), (one,))
    except RuntimeError:
        return False
    return True


def _readable() -> AbstractContextManager[Any]:
    """Let networks read the numbers of tensors, as those with links do to leave closed ones out."""
    return nullcontext() if _can_list() else _Listing()


def gradient(
    value: Tensor, parameters: Mapping[str, Tensor], *, again: bool = False
) -> dict[str, Tensor]:
    """The gradient of a scalar, by the names of the parameters that it depends on.

    With `again` the graph is kept, so that the gradient itself can be differentiated.
    """
    found = torch.autograd.grad(
        value, list(parameters.values()), create_graph=again, allow_unused=True
    )
    named = zip(parameters, found, strict=True)
    return {name: part for name, part in named if part is not None}


def dot(one: Named, other: Named) -> Tensor:
    """The inner product of two vectors given as named parts; a missing part is zero.

    >>> dot({"a": torch.ones(2), "b": torch.ones(1)}, {"a": torch.ones(2)})
    tensor(2.)
    """
    parts: Sequence[Tensor] = [
        (_real(one[name]) * _real(other[name])).sum() for name in one if name in other
    ]
    return sum(parts[1:], start=parts[0]) if parts else torch.zeros(())


def _real(values: Tensor) -> Tensor:
    return torch.view_as_real(values) if values.is_complex() else values
