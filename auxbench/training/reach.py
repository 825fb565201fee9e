"""Reach: the parameters that each loss depends on, in a loop of one's own.

A graph does not always tell. A network that was compiled as a whole, or that runs in a
DistributedDataParallel which looks for unused parameters, is one node on the way from every loss to
every parameter; and where processes have batches of their own, one may lack the labels of a task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import Parameter

from auxbench.errors import UsageError
from auxbench.training.gradients import Gradients, as_real
from auxbench.training.graph import Graph, Reach
from auxbench.training.group import Group
from auxbench.training.torch_errors import DONATED


def trainable(parameters: Iterable[Parameter] | Tensor) -> list[Parameter]:
    """The parameters that require gradients, each once; the others lose the `.grad` they had.

    Errors: `UsageError` for what is no parameter, and where none requires a gradient.

    >>> tied = nn.Linear(2, 2, bias=False)
    >>> len(trainable([*tied.parameters(), tied.weight]))
    1
    """
    if isinstance(parameters, nn.Module):
        raise UsageError("parameters are a module; give its `.parameters()`.")
    every = [parameters] if isinstance(parameters, Tensor) else parameters
    found: dict[int, Parameter] = {}
    for parameter in every:
        if not isinstance(parameter, Tensor) or not parameter.is_leaf:
            kind = "computed" if isinstance(parameter, Tensor) else type(parameter).__name__
            raise UsageError(f"among the parameters is a {kind} value; give model.parameters().")
        if parameter.requires_grad:
            found[id(parameter)] = parameter  # type: ignore[assignment]
        else:
            parameter.grad = None  # or the optimizer would apply the old gradient again
    if not found:
        raise UsageError(
            "no parameter requires a gradient; call model.parameters() again in every step, since "
            "what it returns can be read once only."
        )
    return list(found.values())


def same_everywhere(
    means: Sequence[Tensor], parameters: Sequence[Parameter], group: Group
) -> tuple[list[Tensor], Reach, bool]:
    """The losses, the parameters they reach in any process, and if a graph hides these in any.

    A loss that reaches a parameter in another process only has a gradient of 0 there in this one.
    """
    graph = Graph(means)
    own = relative(graph.reach)
    orders = [[reached.get(id(p), -1) for p in parameters] for reached in own]
    orders.append([int(graph.merged)] * len(parameters))
    *table, merged = group.largest(torch.tensor(orders, device=means[0].device)).tolist()
    reach: Reach = tuple(
        {id(p): order for p, order in zip(parameters, line, strict=True) if order >= 0}
        for line in table
    )
    losses = []
    for mean, here, anywhere in zip(means, own, reach, strict=True):
        # where graphs do not tell, no gradient is as good as one of 0
        told = {} if any(merged) else here
        missed = [p for p in parameters if id(p) in anywhere and id(p) not in told]
        losses.append(_Reaching.apply(mean, *missed) if missed else mean)
    return losses, reach, any(merged)


def relative(reach: Sequence[Mapping[int, int]]) -> Reach:
    """When each parameter was last used, counted from the first of all uses."""
    first = min((order for reached in reach for order in reached.values()), default=0)
    return tuple({key: order - first for key, order in reached.items()} for reached in reach)


def find_reach(gradients: Gradients, *, test: bool = False) -> None:
    """Find out from the rows which parameters each loss reaches, if the graph does not tell.

    A gradient that is zero everywhere then counts as none. `test` asks whether such a graph gives
    the same gradient twice; errors: `UsageError` if not, as where it uses its buffers up.
    """
    if not gradients.graph.merged:
        return
    if test:
        one, other = (gradients.row(0, gradients.parameters) for _ in range(2))
        for g, again in zip(one, other, strict=True):
            if g is not None and again is not None and not _close(as_real(g), as_real(again)):
                raise UsageError(DONATED)
    zero = torch.zeros((), dtype=torch.bool, device=gradients.losses[0].device)
    flat = [zero if g is None else as_real(g).any() for row in gradients.rows for g in row]
    present = torch.stack(flat).reshape(len(gradients.losses), -1).tolist()  # a GPU is waited for
    pairs = list(zip(gradients.rows, present, strict=True))
    rows = tuple(
        tuple(g if kept else None for g, kept in zip(row, line, strict=True)) for row, line in pairs
    )
    reach = gradients.graph.reach
    reaching = tuple(
        {
            id(p): reached[id(p)]
            for p, kept in zip(gradients.parameters, line, strict=True)
            if kept and id(p) in reached
        }
        for reached, line in zip(reach, present, strict=True)
    )
    gradients.replace(rows=rows, reach=reaching)


def _close(one: Tensor, other: Tensor) -> bool:
    """Return whether two gradients differ by no more than rounding."""
    return bool((one - other).norm() <= 1e-3 * one.norm()) or not bool(one.isfinite().all())


class _Reaching(Function):
    """A loss as it is, which also depends on parameters, with gradients of 0."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(*parameters)
        return loss.view_as(loss)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        return slope, *map(torch.zeros_like, ctx.saved_tensors)
