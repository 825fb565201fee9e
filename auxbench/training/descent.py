"""The descent: the phase that every method has, one optimiser step on the network's weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench.data.dataset import Batch
from auxbench.data.seeds import RNGState
from auxbench.errors import Diverged
from auxbench.training.arrival import Watch
from auxbench.training.balancer import Balancer
from auxbench.training.chain import Chain
from auxbench.training.context import Context
from auxbench.training.gradients import JVP, Gradients
from auxbench.training.optimizers import OPTIMIZERS
from auxbench.training.phase import Phase, Scalars
from auxbench.training.signals import Row


class Descent(Phase):
    """One optimiser step along the chain's combination of the tasks' gradients.

    It owns the parameters of the context and reads batches from `split`, by default the context's.
    `balanced` and `paced` come from the architecture (see `Architecture`).
    """

    def __init__(
        self,
        context: Context,
        balancers: Sequence[Balancer],
        balanced: Iterable[Parameter] | None = None,
        paced: Sequence[Iterable[Parameter]] | None = None,
        split: str | None = None,
    ) -> None:
        self.name = "descent"
        self.split = context.split if split is None else split
        self.splits = (self.split,)
        self.context = context
        self.objective = context.objective
        self.chain = Chain(balancers)
        self.parameters = list(context.parameters.values())
        self.optimizer = OPTIMIZERS[context.recipe.optimizer](self.parameters, context.recipe)
        self.balanced = None if balanced is None else frozenset(map(id, balanced))
        self.paced = None if paced is None else [frozenset(map(id, own)) for own in paced]
        self.watch = Watch(self._refuse)

    @property
    def claimed(self) -> Sequence[Parameter]:
        return self.parameters

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        batch, context = batches[self.split], self.context
        jvp = self._jvp(batch) if self.chain.by_jvp else None
        losses = self.chain.weigh_samples(self.objective.samples(batch, descent=True))
        means = [loss.mean() for loss in losses]
        gradients = Gradients(
            means,
            self.parameters,
            context.learning_rate,
            jvp,
            context.recipe.chunks,
            self.balanced,
            self.paced,
            self.objective.group,
            self.objective.precision,
        )
        self.watch.see(gradients.arrival, context.progress)
        factors = self.chain.weigh(gradients)

        self.optimizer.zero_grad()
        gradients.write(factors.shared, factors.private)
        for group in self.optimizer.param_groups:
            group["lr"] = context.learning_rate
        self.optimizer.step()
        self.objective.precision.stepped()

        context.weights = factors.private
        self.objective.meter.backward(gradients.passes.full, gradients.passes.partial)
        names = [task.name for task in context.tasks]
        weights = zip(names, factors.overall.tolist(), strict=True)
        return {
            **{f"loss/{name}": mean.detach() for name, mean in zip(names, means, strict=True)},
            **{f"weight/{name}": weight for name, weight in weights},
        }

    def _jvp(self, batch: Batch) -> JVP:
        """The function that maps a vector to its inner products [T] with the gradients on a batch.

        It differentiates the same network as the next pass: dropout drops the same units.
        """
        state = RNGState(self.objective.meter.device)

        def jvp(vector: Row) -> Tensor:
            named = zip(self.context.parameters, vector, strict=True)
            direction = {name: part for name, part in named if part is not None}
            with state.replay():
                losses = self.objective.jvp(batch, direction)
            return torch.stack([loss.mean() for loss in losses]).double().cpu()

        return jvp

    def _refuse(self, task: int, loss: float, progress: float) -> NoReturn:
        name = self.context.tasks[task].name
        raise Diverged(f"the loss of task '{name}' became {loss} at {progress:.0%} of the stage.")

    def candidates(self) -> Iterator[Scalars]:
        self.watch.rest()  # no state is selected whose losses have not been looked at
        yield {}

    def state_dict(self) -> dict[str, Any]:
        self.watch.rest()
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(dict(state["optimizer"]))
