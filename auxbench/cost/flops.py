"""Floating-point operations of code run in a context, counted from the operators' shapes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Flops"]

_aten = torch.ops.aten


def _convolution_backward(
    grad_output: Tensor,
    inputs: Tensor,
    weight: Tensor,
    bias_sizes: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    output_mask: list[bool],
    out_val: object = None,
) -> int:
    """Count both gradients of a convolution; each takes as many products as the forward pass.

    torch's own formula ignores `groups` in the gradient of the weight, and thus counts C times too
    much for a depth-wise convolution with C channels.
    """
    places = inputs if transposed else grad_output
    products = len(inputs) * prod(places.shape[2:]) * weight.numel()
    return 2 * products * sum(output_mask[:2])


# Formulas take the operator's arguments and, as `out_val`, its result. torch's registry has lacked
# the CPU's attention kernel for many releases, so that attention there counted as free.
_FORMULAS: dict[Any, Callable[..., int]] = {
    _aten._scaled_dot_product_flash_attention_for_cpu: flop_counter.flop_registry[
        _aten._scaled_dot_product_flash_attention
    ],
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_counter.flop_registry[
        _aten._scaled_dot_product_flash_attention_backward
    ],
    **flop_counter.flop_registry,
    _aten.convolution_backward: _convolution_backward,
}


class Flops(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the floating-point operations of matrix products, convolutions and attention.

    A multiplication and an addition are two operations; element-wise work, normalisation and
    pooling are not counted, as in the literature. `total` grows while the context is open. Counting
    does not change any result.

    The formulas are those of `torch.utils.flop_counter`, with two corrections (see above).
    torch's `FlopCounterMode` also tracks the module hierarchy with hooks on the graph, which raise
    an error when `torch.autograd.grad` takes gradients more than once.

    >>> with Flops() as flops:
    ...     _ = torch.nn.Linear(3, 4)(torch.ones(5, 3))
    >>> flops.total  # 5 x 3 x 4 products and sums
    120
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Leave the counting unmarked: torch's mark imports its compiler, which takes a second."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        formula = _FORMULAS.get(func.overloadpacket)
        if formula is None:
            # Under inference_mode, composite operators arrive whole; their parts are counted.
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=result)
        return result
