"""Combinations of the gradients of one's own losses by a chain of rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench.data.dataset import SampleLosses
from auxbench.errors import Diverged, UsageError
from auxbench.training.arrival import Watch
from auxbench.training.balancer import Balancer
from auxbench.training.chain import Chain
from auxbench.training.gradients import Gradients
from auxbench.training.group import ALONE, replicas
from auxbench.training.parts import Parts
from auxbench.training.precision import SINGLE
from auxbench.training.reach import find_reach, same_everywhere, trainable
from auxbench.training.scaler import Attempt, ScalerPrecision, multiply, overflown, scales, spoil
from auxbench.training.torch_errors import REENTRANT


class Combination:
    """The combination of the tasks' gradients by a chain of rules, batch by batch.

    `weights` and `gramian` are those of the last batch, of which `skipped` says whether a scaler
    skips its step. `taken` is the number of steps so far, for messages.
    """

    def __init__(self, method: str, tasks: Sequence[str], balancers: Sequence[Balancer]) -> None:
        self.method, self.tasks, self.chain = method, tasks, Chain(balancers)
        self.weights = dict.fromkeys(tasks, 1.0)
        self.gramian: Tensor | None = None
        self.skipped = False
        self.taken = 0
        self.looked = False  # at a graph, for what no graph should have
        self.precision = ScalerPrecision()
        self.watch = Watch(self._diverged)
        self.parts: Parts | None = None

    def add(
        self,
        losses: Sequence[SampleLosses],
        parameters: Iterable[Parameter] | Tensor,
        scaler: torch.amp.GradScaler | None,
    ) -> None:
        """Keep the gradients of a part of a batch."""
        self._begin()
        gradients = self._gradients([loss.mean() for loss in losses], parameters, None, scaler)
        find_reach(gradients, test=not self.looked)
        self.looked = True
        self.parts = Parts.of(gradients, self.parts)

    def combine(
        self,
        losses: Sequence[SampleLosses],
        parameters: Iterable[Parameter] | Tensor,
        learning_rate: float | None,
        scaler: torch.amp.GradScaler | None,
        gramian: bool = False,
    ) -> Tensor:
        """Set the gradients; return the factors of the losses, [T]."""
        attempt, self.skipped = Attempt(self.chain.balancers, scaler), False
        self._begin()
        parts, self.parts = self.parts, None  # also if this one fails
        if "weigh_samples" in self.chain.overrides and any(len(loss.sums) == 1 for loss in losses):
            raise UsageError(
                f"'{self.method}' weighs single samples; give a loss for each of them."
            )
        means = [loss.mean() for loss in self.chain.weigh_samples(losses)]
        gradients = self._gradients(means, parameters, learning_rate, scaler)
        if self._compares or gramian:
            find_reach(gradients, test=not self.looked)
        self.looked = True
        if parts is not None:
            Parts.of(gradients, parts).put_into(gradients)
        if overflown(gradients, None, self.precision, scaler):
            return self._skip(gradients, attempt, scaler)
        self.watch.see(gradients.arrival, 0.0)
        self.gramian = gradients.gramian if gramian else None
        factors = self.chain.weigh(gradients)
        if not gramian and "edit" not in self.chain.overrides:
            self.gramian = gradients.known_gramian  # if a rule has compared gradients
        gradients.write(factors.shared, factors.private)
        if overflown(gradients, factors, self.precision, scaler):
            return self._skip(gradients, attempt, scaler)
        if all(parameter.grad is None for parameter in gradients.parameters):
            raise UsageError(
                "no loss depends on any of the parameters; give those of the network that computed "
                "the losses."
            )
        multiply(gradients, scaler)
        self.precision.stepped()
        self.weights = dict(zip(self.tasks, factors.overall.tolist(), strict=True))
        return factors.private

    def _begin(self) -> None:
        """Forget the overflow of the last batch, but not that of an earlier part of this one."""
        if self.parts is None:
            self.precision.lost = False

    @property
    def _compares(self) -> bool:
        """True if it matters to the rules which parameters several losses share."""
        reads = self.chain.reads & {"gramian", "inner", "norms", "rows", "sum_length"}
        private = all(balancer.scales_private for balancer in self.chain.balancers)
        return bool(reads) or "edit" in self.chain.overrides or not private

    def _skip(
        self, gradients: Gradients, attempt: Attempt, scaler: torch.amp.GradScaler | None
    ) -> Tensor:
        """Leave the rules as they were, and let the scaler skip the step."""
        spoil(gradients, scaler)
        attempt.undo()
        self.skipped = True
        return torch.ones(len(self.tasks), dtype=torch.float64)

    def _gradients(
        self,
        means: Sequence[Tensor],
        parameters: Iterable[Parameter] | Tensor,
        learning_rate: float | None,
        scaler: torch.amp.GradScaler | None,
    ) -> Gradients:
        group, active = replicas(), trainable(parameters)
        device = next((mean.device for mean in means if mean.requires_grad), active[0].device)
        means = [mean.to(device) for mean in means]  # such as the 0 of a task without labels
        everywhere = None if group is ALONE else same_everywhere(means, active, group)
        losses = means if everywhere is None else everywhere[0]
        if not any(loss.requires_grad for loss in losses):
            raise UsageError("no loss depends on a parameter; compute the losses with gradients.")
        gradients = Gradients(
            losses,
            active,
            None if learning_rate is None else float(learning_rate),
            group=group,
            precision=self.precision if scales(scaler) else SINGLE,
        )
        if everywhere is not None:
            (values,) = group.sum((torch.stack([mean.detach().double() for mean in means]),))
            assert values is not None
            gradients.replace(values=values, reach=everywhere[1], merged=everywhere[2])
        if not self.looked and gradients.graph.reentrant:  # torch itself leaves them out in silence
            raise UsageError(REENTRANT)
        return gradients

    def _diverged(self, task: int, loss: float, progress: float) -> NoReturn:
        raise Diverged(f"the loss of task '{self.tasks[task]}' became {loss} at step {self.taken}.")


def on_cpu(state: Any) -> Any:
    """A copy of a state in which all tensors are on the CPU, where rules keep theirs."""
    if isinstance(state, Tensor):
        return state.detach().cpu().clone()
    if isinstance(state, Mapping):
        return {key: on_cpu(value) for key, value in state.items()}
    return type(state)(map(on_cpu, state)) if isinstance(state, list | tuple) else state
