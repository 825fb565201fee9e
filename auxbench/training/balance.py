"""Balance: a chain of rules in a training loop of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench.data.dataset import SampleLosses
from auxbench.data.seeds import Seeds
from auxbench.errors import Diverged, UsageError
from auxbench.training.arrival import Arrival, Watch
from auxbench.training.chain import Chain, make_balancers, named, rules_only
from auxbench.training.closure import (
    SPLIT,
    Asked,
    Closure,
    Losses,
    OwnDescent,
    checked,
    context,
    recipe,
)
from auxbench.training.gradients import Gradients
from auxbench.training.group import ALONE, replicas
from auxbench.training.parts import Parts
from auxbench.training.phase import Phase
from auxbench.training.precision import SINGLE, Precision
from auxbench.training.scaler import multiply, overflown, scales

# What rules do that a loop of one's own has no place for, by hook, and what only `step` can do.
REFUSED = {"around": "trains several copies of the network", "relabel": "replaces labels"}
STEPPING = {
    "before": "looks at the network before its step",
    "after": "looks at the losses again after a step",
}


class Balance:
    """A chain of rules, for use in a training loop of one's own.

    `method` is written as on the command line: `pcgrad`, `gradnorm+cagrad:c=0.4`. `tasks` are the
    names of the losses, the primary first. `backward` takes the place of `loss.backward()`:

    >>> network = nn.Linear(4, 2)
    >>> optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    >>> balance = Balance("gradnorm+pcgrad", tasks=["depth", "normals"], seed=0)
    >>> for _ in range(3):
    ...     depth, normals = network(torch.ones(8, 4)).square().mean(0)
    ...     balance.backward({"depth": depth, "normals": normals}, network.parameters())
    ...     optimizer.step()
    >>> sorted(balance.weights)
    ['depth', 'normals']

    Rules that look ahead, learn on held-out data or look at the losses again after a step cannot do
    so in `backward`. `step` takes their steps, for which the `network` and its `optimizer` are
    given here, and the number of `steps` of the whole training to rules that pace themselves by it.
    `seed` is that of the rules' own random draws.

    If torch.distributed is initialised, gradients and losses are averaged over its processes before
    a rule sees them. A network in DistributedDataParallel is then run within its `no_sync()`.

    After a step `weights` has the weight of every task, over all rules, and `gramian` the inner
    products of the tasks' gradients [T, T] in float64, on the CPU, or None if none were computed.

    Errors: `UsageError` for what is not a chain of rules, or cannot be used in a loop of one's own.
    """

    def __init__(
        self,
        method: str,
        tasks: Sequence[str],
        *,
        seed: int = 0,
        network: nn.Module | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        steps: int | None = None,
    ) -> None:
        self.tasks = named(tasks)
        rules = rules_only(method, self.tasks)
        self.method = rules.base
        self.balancers = make_balancers(rules, self.tasks, self.tasks, Seeds("balance", seed))
        self.names = [choice.name for choice in rules.balancers]
        self.chain = Chain(self.balancers)
        self._refuse(REFUSED, ", which takes `auxbench run`")
        self.steps = steps
        self.weights = dict.fromkeys(self.tasks, 1.0)
        self.gramian: Tensor | None = None
        self.taken = 0  # steps
        self.precision = Precision("fp16")  # for steps with a scaler
        self.watch = Watch(self._diverged)
        self.parts: Parts | None = None
        self.phases: list[Phase] = []
        if network is not None and optimizer is not None:
            self._prepare(network, optimizer)

    def backward(
        self,
        losses: Losses,
        parameters: Iterable[Parameter],
        *,
        learning_rate: float | None = None,
        scaler: torch.amp.GradScaler | None = None,
        gramian: bool = False,
    ) -> None:
        """Set the `.grad` of `parameters` to the rules' combination of the tasks' gradients.

        `losses` are scalars, or [B] with a number per sample, by task. They are computed one by
        one, not taken from a tensor in which they were stacked. What `.grad` held is replaced, by
        None for a parameter that no loss depends on. On a parameter that only one loss depends on,
        gradients are weighed but not compared.

        Few rules read the network's `learning_rate`. With a `scaler` the losses are given unscaled,
        rules see unscaled gradients, and `scaler.step(optimizer)` follows as usual. `gramian` asks
        for the inner products of the gradients, for logs, at the cost of a backward pass per task
        where the rules do without them.

        Errors: `UsageError` for losses that do not fit the tasks, and for rules that need `step`;
        `Diverged` for a loss that is not finite, on a GPU one call later.
        """
        self._refuse(STEPPING, "; use balance.step(closure)")
        self._combine(checked(losses, self.tasks), parameters, learning_rate, scaler, gramian)
        self.taken += 1

    def accumulate(
        self,
        losses: Losses,
        parameters: Iterable[Parameter],
        *,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        """Keep the gradients of a part of a batch for the `backward` of its last part.

        A batch that does not fit into memory is passed in parts. Rules then see the losses and
        gradients of the whole batch, the sums of those of its parts; so every loss is divided by
        the number of parts. A gradient per task is kept in memory.

        Errors: as for `backward`; `UsageError` also for rules that weigh single samples.
        """
        self._refuse(STEPPING | {"weigh_samples": "weighs single samples"}, " of whole batches")
        means = [loss.mean() for loss in checked(losses, self.tasks)]
        self.parts = Parts.of(self._gradients(means, parameters, None, scaler), self.parts)

    def step(
        self,
        closure: Closure,
        *,
        held_out: Closure | None = None,
        scaler: torch.amp.GradScaler | None = None,
    ) -> dict[str, Tensor]:
        """Take a step of the optimizer, by any chain, and return the losses before it by task.

        `closure` computes the losses of a training batch by running the network on it, and
        `held_out` those of a batch that training never sees. Both may be called several times, also
        with other values in the place of the network's parameters, and change nothing themselves.

        Errors: as for `backward`; `UsageError` also where the network, its optimizer or the
        held-out batch is needed but not given.
        """
        if not self.phases:
            raise UsageError(
                "balance.step does not know what it trains; give Balance(..., network=..., "
                "optimizer=...)."
            )
        if replicas() is not ALONE:
            raise UsageError("balance.step works in one process only; use balance.backward.")
        batches = {SPLIT: Asked(closure, self.tasks).batch}
        for split in {split for phase in self.phases for split in phase.splits} - {SPLIT}:
            if held_out is None:
                raise UsageError(
                    f"'{self.method}' learns on held-out data; give balance.step(closure, "
                    "held_out=closure)."
                )
            batches[split] = Asked(held_out, self.tasks).batch
        self.descent.scaler = scaler
        self.context.recipe = recipe(self.descent.optimizer, self.steps)
        self.context.progress = min(self.taken / self.steps, 1.0) if self.steps else 0.0
        for phase in self.phases:
            phase.step(batches)
        self.taken += 1
        return self.descent.losses

    def state_dict(self) -> dict[str, Any]:
        """All state of the rules; network, optimizer and scaler have their own."""
        self.watch.rest()
        return {
            "method": self.method,
            "balancers": [balancer.state_dict() for balancer in self.balancers],
            "precision": self.precision.state_dict(),
            "weights": dict(self.weights),
            "taken": self.taken,
            "phases": [phase.state_dict() for phase in self.phases],
            "context": self.context.state_dict() if self.phases else {},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned; errors: `UsageError` for another method."""
        if state["method"] != self.method:
            raise UsageError(
                f"the state is that of '{state['method']}'; make a Balance of it, not of "
                f"'{self.method}'."
            )
        for balancer, saved in zip(self.balancers, state["balancers"], strict=True):
            balancer.load_state_dict(saved)
        self.precision.load_state_dict(dict(state["precision"]))
        self.weights, self.taken, self.parts = dict(state["weights"]), int(state["taken"]), None
        for phase, saved in zip(self.phases, deepcopy(state["phases"]), strict=True):
            phase.load_state_dict(saved)
        if self.phases:
            self.context.load_state_dict(state["context"])

    def _combine(
        self,
        losses: Sequence[SampleLosses],
        parameters: Iterable[Parameter],
        learning_rate: float | None,
        scaler: torch.amp.GradScaler | None,
        gramian: bool = False,
    ) -> Tensor:
        """Set the gradients; return the factors of the losses, [T]."""
        if "weigh_samples" in self.chain.overrides and any(len(loss.sums) == 1 for loss in losses):
            raise UsageError(
                f"'{self.method}' weighs single samples; give a loss for each of them."
            )
        means = [loss.mean() for loss in self.chain.weigh_samples(losses)]
        gradients = self._gradients(means, parameters, learning_rate, scaler)
        if self.parts is not None:
            parts, self.parts = Parts.of(gradients, self.parts), None
            parts.put_into(gradients)
        if overflown(gradients, scaler):
            return torch.ones(len(losses), dtype=torch.float64)
        self.watch.see(gradients.arrival, 0.0)
        self.gramian = gradients.gramian if gramian else None
        factors = self.chain.weigh(gradients)
        if not gramian and "edit" not in self.chain.overrides:
            self.gramian = gradients.__dict__.get("gramian")  # if a rule has compared gradients
        gradients.write(factors.shared, factors.private)
        multiply(gradients, scaler)
        self.precision.stepped()
        self.weights = dict(zip(self.tasks, factors.overall.tolist(), strict=True))
        return factors.private

    def _gradients(
        self,
        means: Sequence[Tensor],
        parameters: Iterable[Parameter],
        learning_rate: float | None,
        scaler: torch.amp.GradScaler | None,
    ) -> Gradients:
        if not any(mean.requires_grad for mean in means):
            raise UsageError("no loss depends on a parameter; compute the losses with gradients.")
        group = replicas()
        gradients = Gradients(
            means,
            [parameter for parameter in parameters if parameter.requires_grad],
            learning_rate,
            group=group,
            precision=self.precision if scales(scaler) else SINGLE,
        )
        if group is not ALONE:
            (values,) = group.sum((torch.stack([mean.detach().double() for mean in means]),))
            assert values is not None
            gradients.__dict__["arrival"] = Arrival(values)
        return gradients

    def _prepare(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Make the phases of a step."""
        if self.steps is None and "before" in self.chain.overrides:
            raise UsageError(
                f"'{self.method}' paces itself by the length of training; give "
                "Balance(..., steps=...)."
            )
        self.context = context(
            network, self.tasks, recipe=recipe(optimizer, self.steps), balancers=self.balancers
        )
        self.descent = OwnDescent(self.context, self._own, optimizer)
        several = self.balancers if len(self.tasks) > 1 else []
        before = [phase for balancer in several for phase in balancer.before(self.context)]
        after = [phase for balancer in several for phase in balancer.after(self.context)]
        self.phases = [*before, self.descent, *after]

    def _own(self, losses: Sequence[SampleLosses]) -> Tensor:
        """Set the gradients of the descent."""
        rate, scaler = self.context.learning_rate, self.descent.scaler
        return self._combine(losses, self.descent.claimed, rate, scaler)

    def _refuse(self, hooks: Mapping[str, str], instead: str) -> None:
        for name, balancer in zip(self.names, self.balancers, strict=True):
            for hook in hooks.keys() & balancer.overrides if len(self.tasks) > 1 else ():
                raise UsageError(f"'{name}' {hooks[hook]}{instead}.")

    def _diverged(self, task: int, loss: float, progress: float) -> NoReturn:
        raise Diverged(f"the loss of task '{self.tasks[task]}' became {loss} at step {self.taken}.")
