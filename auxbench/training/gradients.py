"""Gradients of one batch: everything about the T task gradients, computed only on demand.

The Gramian is lazy because reading it takes T backward passes instead of one. Which parameters are
shared is observed on the live graph, never declared.

Long because rows, Gramian, norms and the final write reuse each other's results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress

import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench.training.arrival import Arrival
from auxbench.training.graph import Graph, Reach
from auxbench.training.group import ALONE, Group
from auxbench.training.heads import PassedHeads
from auxbench.training.precision import SINGLE, Precision
from auxbench.training.signals import Row, Signals

FORWARD_FROM = 4  # with this many tasks or more, inner products with the primary use one jvp
TOGETHER = 1 << 18  # elements of a gradient converted to float64 at a time
Rule = Callable[[Sequence[Row]], Sequence[Row]]
JVP = Callable[[Row], Tensor]


@dataclass
class Passes:
    """Counts of backward passes, `full` or `partial` (down to the last shared layer only).

    `jvp` counts forward-mode Jacobian-vector products. T passes that leave out some parameters, and
    one for these, count as the T full passes that they replace (see `Gradients.summed`).
    """

    full: int = 0
    partial: int = 0
    jvp: int = 0


@dataclass
class Gradients:
    """The gradients of T separate scalar losses with respect to the descent's parameters.

    The losses must not have been stacked: `torch.stack(losses)[i]` makes every loss reach every
    parameter, which hides what is shared and costs time in the heads of all other tasks.

    `jvp`, if given, maps a vector to its inner products [T] with the tasks' gradients in one
    forward-mode pass. Computing the Gramian keeps the T rows in memory; with `chunks` above 1 it
    holds only the rows of one chunk of the shared parameters at a time, at T backward passes per
    chunk.

    `balanced` holds the ids of the parameters on which gradients may be balanced if at least two
    losses reach them; by default all. `paced`, if given, holds for every task the ids of the
    parameters that contain the weight whose gradient norm is used. `group` are the processes that
    share the batch; every gradient is summed over them before anything is computed from it.
    `precision` scales the losses where that is needed, which no gradient shows.

    >>> shared, own = Parameter(torch.ones(1)), Parameter(torch.ones(1))
    >>> gradients = Gradients([(3 * shared).sum(), (shared * own).sum()], [shared, own])
    >>> gradients.signals.gramian.tolist()
    [[9.0, 3.0], [3.0, 1.0]]
    >>> gradients.write(torch.tensor([1.0, 0.5]), torch.ones(2))
    >>> shared.grad, own.grad
    (tensor([3.5000]), tensor([1.]))
    """

    losses: Sequence[Tensor]
    parameters: Sequence[Parameter]
    learning_rate: float | None = 0.0
    jvp: JVP | None = None
    chunks: int = 1
    balanced: Collection[int] | None = None
    paced: Sequence[Collection[int]] | None = None
    group: Group = ALONE
    precision: Precision = SINGLE
    passes: Passes = field(default_factory=Passes, init=False)
    heads: PassedHeads | None = field(default=None, init=False)

    @property
    def signals(self) -> Signals:
        """The signals for the first balancer of the chain."""
        # Not kept, since they refer to these gradients: a circle would hold the rows of past steps.
        return self._signals(torch.ones(len(self.losses), dtype=torch.float64))

    @cached_property
    def arrival(self) -> Arrival:
        """The T losses in float64, on their way to the CPU."""
        return Arrival(torch.stack([loss.detach().double() for loss in self.losses]))

    @property
    def values(self) -> Tensor:
        """The T losses: float64, on the CPU."""
        return self.arrival.read()

    def edit(self, weights: Tensor, signals: Signals, rule: Rule) -> Signals:
        """Replace the weighted gradients on the shared parameters by what `rule` returns for them.

        For rules that weights per task cannot express, such as coordinate masks. `rule` takes and
        returns one row of shared gradients per task, already multiplied by `weights` [T].
        `signals` are those of the current balancer; the result is those of the next one in the
        chain. Private parameters are left alone.
        """
        place = [index for index, is_shared in enumerate(self.shared) if is_shared]
        if not place:  # as with a single task
            return signals
        weighed = [
            tuple(None if (g := row[i]) is None else as_real(g) * weight for i in place)
            for row, weight in zip(self.rows, weights.tolist(), strict=True)
        ]
        edited = []
        for row, shared in zip(self.rows, rule(weighed), strict=True):
            whole = list(row)
            for index, gradient in zip(place, shared, strict=True):
                if gradient is not None and self.parameters[index].is_complex():
                    gradient = torch.view_as_complex(gradient)
                whole[index] = gradient
            edited.append(tuple(whole))
        self.replace(rows=tuple(edited))
        return self._signals(signals.scale)

    def replace(
        self,
        *,
        rows: tuple[Row, ...] | None = None,
        values: Tensor | None = None,
        reach: Reach | None = None,
        merged: bool | None = None,
    ) -> None:
        """Go on with other rows, losses [T] or reach than those of this process's graph.

        Such are edited rows, and those of several parts of a batch or of several processes.
        `merged` is that of `Graph`. What follows from these is computed again.
        """
        own = {"rows": rows, "arrival": None if values is None else Arrival(values)}
        seen = {"reach": reach, "merged": merged}
        self.__dict__.update({key: value for key, value in own.items() if value is not None})
        self.graph.__dict__.update({key: value for key, value in seen.items() if value is not None})
        lapsed = ("gramian", "inner", "norms", *(() if reach is None else ("shared", "summed")))
        for key in lapsed:
            self.__dict__.pop(key, None)

    @property
    def known_gramian(self) -> Tensor | None:
        """The Gramian if something has read it."""
        return self.__dict__.get("gramian")

    def _signals(self, earlier: Tensor) -> Signals:
        return Signals(self, earlier, learning_rate=self.learning_rate)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every task's gradient; None where the task does not reach a parameter, or on `summed`."""
        self.passes.full += len(self.losses)
        last = None if any(self.summed) else len(self.losses) - 1
        asked = list(compress(self.parameters, [not is_summed for is_summed in self.summed]))
        rows = []
        for task in range(len(self.losses)):
            found = iter(self.row(task, asked, keep=task != last))
            rows.append(tuple(None if is_summed else next(found) for is_summed in self.summed))
        return tuple(rows)

    @property
    def shared_rows(self) -> list[Row]:
        """The rows, restricted to the parameters on which gradients are balanced."""
        return [
            tuple(None if g is None else as_real(g) for g in compress(row, self.shared))
            for row in self.rows
        ]

    @cached_property
    def graph(self) -> Graph:
        """The graph of the losses, which knows the parameters that each of them reaches."""
        return Graph(self.losses)

    @cached_property
    def shared(self) -> tuple[bool, ...]:
        """True for each parameter on which gradients are balanced, given this batch's graph."""
        return tuple(
            (self.balanced is None or id(parameter) in self.balanced)
            and len(self.graph.readers(parameter)) >= 2
            for parameter in self.parameters
        )

    @cached_property
    def summed(self) -> tuple[bool, ...]:
        """True for each parameter that the rows leave out, whose gradient has a pass of its own.

        Such parameters are those that several tasks reach without being balanced, as in linked
        branches: one pass for the sum of all tasks replaces their part of T passes. It costs the
        gradients of all features once more, and in a layer those cost about what its parameters'
        do; so it pays from three tasks on, if enough parameters are of this kind.
        """
        several = [len(self.graph.readers(parameter)) >= 2 for parameter in self.parameters]
        pairs = zip(several, self.shared, strict=True)
        summed = tuple(many and not is_shared for many, is_shared in pairs)
        size, rest = (
            sum(parameter.numel() for parameter in compress(self.parameters, chosen))
            for chosen in (summed, self.shared)
        )
        pays = size * len(self.losses) > 2 * size + rest
        return summed if pays else (False,) * len(summed)

    @cached_property
    def gramian(self) -> Tensor:
        """Inner products of the rows on the shared parameters: [T, T], float64, on the CPU."""
        if self.chunks == 1 or self._rows_are_known:
            return self._products([list(compress(row, self.shared)) for row in self.rows])
        shared = list(compress(self.parameters, self.shared))
        result = torch.zeros(len(self.losses), len(self.losses), dtype=torch.float64)
        for first in range(0, len(shared), size := max(1, -(-len(shared) // self.chunks))):
            chunk = shared[first : first + size]
            result += self._products([self.row(task, chunk) for task in range(len(self.losses))])
            self.passes.full += len(self.losses)
        return result

    @cached_property
    def sum_length(self) -> float:
        """The length of the sum of the rows on the shared parameters, before they are edited."""
        return math.sqrt(max(self.gramian.sum().item(), 0.0))

    @cached_property
    def inner(self) -> Tensor:
        """Row 0 of the Gramian: [T], float64, on the CPU."""
        if self.jvp is None or self._rows_are_known or len(self.losses) < FORWARD_FROM:
            return self.gramian[0]
        primary = iter(self.row(0, list(compress(self.parameters, self.shared))))
        self.passes.full += 1
        self.passes.jvp += 1
        return self.jvp(tuple(next(primary) if shared else None for shared in self.shared))

    @cached_property
    def norms(self) -> Tensor:
        """Norms of the tasks' gradients on the last shared weight: [T], float64, on the CPU.

        With `paced`, each task has a weight of its own for this.
        """
        zero = torch.zeros((), dtype=torch.float64, device=self.losses[0].device)
        norms = [zero for _ in self.losses]
        if not self._rows_are_known:
            self._pass_heads()
        for task, index in enumerate(self._last_weights()):
            if index is None:
                continue
            if self._rows_are_known and not self.summed[index]:
                gradient = self.rows[task][index]
            else:
                (gradient,) = self.row(task, [self.parameters[index]])
                self.passes.partial += 1
            norms[task] = zero if gradient is None else _norm(gradient)
        return torch.stack(norms).cpu()

    def write(self, shared: Tensor, private: Tensor) -> None:
        """Set every parameter's `.grad` to the weighted sum of the tasks' gradients.

        `shared` [T] are the weights on parameters where gradients are balanced, `private` [T] those
        on the rest. This costs no backward pass if the rows are known, or one for `summed`;
        otherwise it costs one, plus a partial one for every task whose two weights differ.
        """
        weights = {True: shared.tolist(), False: private.tolist()}
        if self._rows_are_known:
            columns = zip(*self.rows, strict=True)
            places = zip(self.parameters, columns, self.shared, strict=True)
            for parameter, column, is_shared in places:
                parameter.grad = _combine(column, weights[is_shared])
            if any(self.summed):  # what the rows left out, so no pass in addition to theirs
                self._backward(weights[False], list(compress(self.parameters, self.summed)))
            return
        self.passes.full += 1
        if torch.equal(shared, private):
            self._backward(weights[True], list(self.parameters))
            return
        differ = (shared != private).tolist()
        # by losses that need a second pass
        reached = set().union(*compress(self.graph.reach, differ))
        pairs = zip(self.parameters, self.shared, strict=True)
        again = [not several and id(parameter) in reached for parameter, several in pairs]
        once = [not other for other in again]
        self._backward(weights[True], list(compress(self.parameters, once)), keep=True)
        self._backward(weights[False], list(compress(self.parameters, again)))
        self.passes.partial += 0 if self.heads else sum(differ)

    def _backward(
        self, weights: Sequence[float], inputs: list[Parameter], *, keep: bool = False
    ) -> None:
        if not inputs:
            return
        if self.heads is not None:
            with self.group.unsummed():
                row = self.heads.total(weights, inputs, keep=keep)
            for parameter, gradient in zip(inputs, row, strict=True):
                parameter.grad = gradient
            self.group.sum_gradients(inputs)
            return
        total = _weighted_sum(self.losses, weights)

        def differentiate(scale: float) -> Row:
            for parameter in inputs:
                parameter.grad = None
            with self.group.unsummed():
                scaled = total if scale == 1 else total * scale
                kept = keep or self.precision.scaled  # to be taken again
                torch.autograd.backward(scaled, inputs=inputs, retain_graph=kept)
            self.group.sum_gradients(inputs)
            return tuple(parameter.grad for parameter in inputs)

        self.precision.gradients(differentiate)

    def row(self, task: int, parameters: Sequence[Parameter], *, keep: bool = True) -> Row:
        """The gradient of a task's loss, by a pass that may `keep` the graph for the next one."""
        loss = self.losses[task]
        if not loss.requires_grad:  # as on a batch without its labels
            return (None,) * len(parameters)
        if self.heads is not None:
            with self.group.unsummed():
                row = self.heads.row(task, parameters, keep=keep)
            return self.group.sum(row)

        def differentiate(scale: float) -> Row:
            with self.group.unsummed():
                scaled = loss if scale == 1 else loss * scale
                kept = keep or self.precision.scaled  # to be taken again
                row = torch.autograd.grad(scaled, parameters, retain_graph=kept, allow_unused=True)
            return self.group.sum(row)

        return self.precision.gradients(differentiate)

    def _pass_heads(self) -> None:
        """Pass the heads, if later passes can do without them and none can overflow."""
        if self.heads is None and not self.precision.scaled and self.graph.cut is not None:
            with self.group.unsummed():
                self.heads = PassedHeads(self.losses, self.graph, self.parameters)

    def _products(self, rows: Sequence[Sequence[Tensor | None]]) -> Tensor:
        """The inner products of rows, of which every process computes its share."""
        columns = self.group.share(list(zip(*rows, strict=True)))
        (total,) = self.group.sum((_products(columns, len(rows)),))
        assert total is not None
        return total

    @property
    def _rows_are_known(self) -> bool:
        return "rows" in self.__dict__

    def _last_weights(self) -> list[int | None]:
        """The index, per task, of the weight on which its gradient norm is taken."""
        if self.paced is not None:
            pairs = zip(self.graph.reach, self.paced, strict=True)
            return [self._last_used(reached, own) for reached, own in pairs]
        several = min(2, len(self.losses))
        common = {
            id(parameter)
            for parameter in self.parameters
            if len(self.graph.readers(parameter)) >= several
        }
        return [self._last_used(self.graph.reach[0], common)] * len(self.losses)

    def _last_used(self, reached: Mapping[int, int], among: Collection[int]) -> int | None:
        """The index of the weight that was used last in the forward pass to a loss.

        Only weights with two or more axes count: the literature means layers, not their norms.
        """
        found = [
            (reached[id(parameter)], index)
            for index, parameter in enumerate(self.parameters)
            if parameter.ndim >= 2 and id(parameter) in among and id(parameter) in reached
        ]
        return max(found)[1] if found else None


def _products(columns: Sequence[Sequence[Tensor | None]], tasks: int) -> Tensor:
    """The inner products of all pairs of rows, given by columns: [T, T], float64, on the CPU.

    Products of float32 numbers are exact in float64, and their sums nearly so. Summing in float32
    has errors of 1e-9 to 1e-6 of the lengths, which hide any linear dependence of the gradients.
    """
    total: Tensor | None = None
    for column in columns:
        split = [None if g is None else torch.split(g, TOGETHER) for g in _flat(column)]
        for place, like in enumerate(next(filter(None, split), ())):
            parts = [torch.zeros_like(like) if own is None else own[place] for own in split]
            exact = torch.stack(parts).double()
            total = exact @ exact.T if total is None else total + exact @ exact.T
    return torch.zeros(tasks, tasks, dtype=torch.float64) if total is None else total.cpu()


def as_real(gradient: Tensor) -> Tensor:
    """A gradient as real numbers that are all stored: complex ones as pairs, sparse ones whole.

    >>> as_real(torch.tensor([3 + 4j])).tolist()
    [[3.0, 4.0]]
    """
    if gradient.layout is not torch.strided:
        gradient = gradient.to_dense()
    return torch.view_as_real(gradient.resolve_conj()) if gradient.is_complex() else gradient


def _flat(column: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The gradients of one parameter as vectors, in an order that is the same for all."""
    column = [None if g is None else as_real(g) for g in column]
    known = [g for g in column if g is not None]
    if all(g.ndim == 4 and g.is_contiguous(memory_format=torch.channels_last) for g in known):
        column = [None if g is None else g.movedim(1, -1) for g in column]  # as it is stored
    return [None if g is None else g.reshape(-1) for g in column]


def _norm(gradient: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(as_real(gradient), dtype=torch.float64)
    return norm


def _weighted_sum(losses: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    terms = [
        loss if weight == 1 else loss * weight for loss, weight in zip(losses, weights, strict=True)
    ]
    return sum(terms[1:], start=terms[0])


def _combine(column: Sequence[Tensor | None], weights: Sequence[float]) -> Tensor | None:
    # The first term is out of place: autograd may return the same tensor for two parameters.
    total: Tensor | None = None
    for gradient, weight in zip(column, weights, strict=True):
        if gradient is None:
            continue
        total = gradient * weight if total is None else total.add_(gradient, alpha=weight)
    return total
