"""Exchanges between the processes that train one run, as functions with derivatives.

A value is either the same in all processes, or every process has its own. The derivative of a step
from one kind to the other leads back, which makes pairs: `Sum` and `Spread`, `Whole` and `Part`,
each the derivative of the other. Derivatives of any order thus exist in reverse mode, and for `Sum`
and `Spread`, which BatchNorm uses, in forward mode.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd import Function
from torch.autograd.graph import Node


def summed(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes."""
    total = values.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


class Sum(Function):
    """From each process's own values to their sum, the same in all."""

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return summed(values)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        return Spread.apply(slope)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Any:
        return Sum.apply(tangent)


class Spread(Function):
    """From a value that is the same in all processes to one that each uses for itself."""

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        return Sum.apply(slope)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Any:
        return tangent.view_as(tangent)


class Copy(Function):
    """A parameter for one process's use; `summed` is off while sums are left for later."""

    summed = True

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        return Sum.apply(slope) if Copy.summed else slope


class Part(Function):
    """From the rows of a batch to those of this process."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, start: int, stop: int) -> Tensor:
        ctx.start, ctx.count = start, len(values)
        return values[start:stop]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        whole = Whole.apply(slope, ctx.start, ctx.count, None)
        return whole, None, None


class Whole(Function):
    """From the rows of this process to those of all; `known` if they have been exchanged."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, start: int, count: int, known: Tensor | None) -> Tensor:
        ctx.bounds = start, start + len(values)
        if known is not None:
            return known.view_as(known)
        rows = values.new_zeros(count, *values.shape[1:])
        rows[slice(*ctx.bounds)] = values.detach()
        return summed(rows)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        return Part.apply(slope, *ctx.bounds), None, None, None


def is_copy(node: Node) -> bool:
    """Return whether a node of a graph is one of the `copies` of a parameter."""
    return isinstance(node, Copy._backward_cls)
