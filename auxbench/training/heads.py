"""Heads passed backwards: the gradients of all tasks where their own parts of the graph end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import Parameter

from auxbench.training.graph import Graph
from auxbench.training.signals import Row


class PassedHeads:
    """The T tasks' gradients on their own parameters and on the features that several tasks read.

    One backward pass per head gives both, and frees the heads. Any other gradient then starts from
    the features, where the graph's cut lies, and passes no head again.

    >>> shared, own = Parameter(torch.ones(1)), Parameter(torch.ones(1))
    >>> feature = (3 * shared).exp().log()
    >>> losses = [(2 * feature).sum(), (feature * own).sum()]
    >>> heads = PassedHeads(losses, Graph(losses), [shared, own])
    >>> heads.row(1, [shared, own])
    (tensor([3.]), tensor([3.]))
    >>> heads.total([1.0, 0.5], [shared, own])
    (tensor([7.5000]), tensor([1.5000]))
    """

    def __init__(
        self, losses: Sequence[Tensor], graph: Graph, parameters: Sequence[Parameter]
    ) -> None:
        """Pass the heads of a graph that has a cut."""
        assert graph.cut is not None
        self.owners: dict[int, int] = {}  # the task that alone reaches a parameter, by its id
        self.own: list[dict[int, Tensor | None]] = []  # per task, its gradient on such parameters
        self.slopes: list[dict[GradientEdge, Tensor]] = []  # per task, that on features
        for task, (loss, edges) in enumerate(zip(losses, graph.cut, strict=True)):
            own = [parameter for parameter in parameters if graph.readers(parameter) == [task]]
            ends = [*map(get_gradient_edge, own), *edges]
            found = torch.autograd.grad(loss, ends, allow_unused=True)
            self.owners |= {id(parameter): task for parameter in own}
            self.own.append(dict(zip(map(id, own), found, strict=False)))
            pairs = zip(edges, found[len(own) :], strict=True)
            self.slopes.append({edge: slope for edge, slope in pairs if slope is not None})

    def row(self, task: int, parameters: Sequence[Parameter], *, keep: bool = True) -> Row:
        """One task's gradient on the parameters; None where it does not reach them."""
        return self._passed_on(self.own[task], self.slopes[task], parameters, keep)

    def total(
        self, weights: Sequence[float], parameters: Sequence[Parameter], *, keep: bool = False
    ) -> Row:
        """The weighted sum of the tasks' gradients; with `keep`, more passes may follow."""
        own: dict[int, Tensor | None] = {}
        slopes: dict[GradientEdge, Tensor] = {}
        for task, weight in enumerate(weights):
            for key, gradient in self.own[task].items():
                own[key] = None if gradient is None else gradient * weight
            for edge, slope in self.slopes[task].items():
                slopes[edge] = (
                    slopes[edge].add(slope, alpha=weight) if edge in slopes else slope * weight
                )
        return self._passed_on(own, slopes, parameters, keep)

    def _passed_on(
        self,
        own: Mapping[int, Tensor | None],
        slopes: Mapping[GradientEdge, Tensor],
        parameters: Sequence[Parameter],
        keep: bool,
    ) -> Row:
        """The gradients on a head's own parameters, and those that the slopes lead to."""
        result = dict(own)
        below = [parameter for parameter in parameters if id(parameter) not in self.owners]
        if below and slopes:
            found = torch.autograd.grad(
                list(slopes), below, list(slopes.values()), retain_graph=keep, allow_unused=True
            )
            result |= zip(map(id, below), found, strict=True)
        return tuple(result.get(id(parameter)) for parameter in parameters)
