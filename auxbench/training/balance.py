"""Balance: a chain of rules in a training loop of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench.data.dataset import SampleLosses
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.training.chain import Chain, make_balancers, named, rules_only
from auxbench.training.closure import (
    SPLIT,
    Closure,
    ClosureBatch,
    Losses,
    OwnDescent,
    checked,
    context,
    learned,
    recipe,
)
from auxbench.training.combination import Combination, on_cpu
from auxbench.training.group import ALONE, replicas
from auxbench.training.phase import Phase
from auxbench.training.scaler import Attempt
from auxbench.training.torch_errors import explained

# What rules do that a loop of one's own has no place for, by hook, and what only `step` can do.
REFUSED = {"around": "trains several copies of the network", "relabel": "replaces labels"}
STEPPING = {
    "before": "looks at held-out data before its step; use balance.step(closure, held_out=closure)",
    "after": "looks at the losses again after a step; use balance.step(closure)",
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
        self._refuse(REFUSED, ", which only `auxbench run` can do")
        self.steps = steps
        self.combination = Combination(self.method, self.tasks, self.balancers)
        self.phases: list[Phase] = []
        if network is not None and optimizer is not None:
            self._prepare(network, optimizer)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every task in the last step, over all rules."""
        return self.combination.weights

    @property
    def gramian(self) -> Tensor | None:
        """The inner products of the tasks' gradients in the last step, if they were computed."""
        return self.combination.gramian

    @explained()
    @torch.enable_grad()
    def backward(
        self,
        losses: Losses,
        parameters: Iterable[Parameter] | Tensor,
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

        Errors: `UsageError` for losses that do not fit the tasks or depend on none of `parameters`,
        and for rules that need `step`; `Diverged` for a loss that is not finite, on a GPU one call
        later.
        """
        self._refuse(STEPPING, "")
        self.combination.combine(
            checked(losses, self.tasks), parameters, learning_rate, scaler, gramian
        )
        self.combination.taken += 1

    @explained()
    @torch.enable_grad()
    def accumulate(
        self,
        losses: Losses,
        parameters: Iterable[Parameter] | Tensor,
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
        self.combination.add(checked(losses, self.tasks), parameters, scaler)

    @explained()
    @torch.enable_grad()
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
        batches = {SPLIT: ClosureBatch(closure, self.tasks).batch}
        for split in {split for phase in self.phases for split in phase.splits} - {SPLIT}:
            if held_out is None:
                raise UsageError(
                    f"'{self.method}' learns on held-out data; give balance.step(closure, "
                    "held_out=closure)."
                )
            batches[split] = ClosureBatch(held_out, self.tasks).batch
        self.descent.scaler = scaler
        attempt = Attempt(self.balancers, scaler)
        self.context.parameters = learned(self.context.network)
        self.context.recipe = recipe(self.descent.optimizer, self.steps)
        self.context.progress = min(self.combination.taken / self.steps, 1.0) if self.steps else 0.0
        for phase in self.phases:
            phase.step(batches)
        if self.combination.skipped:
            attempt.undo()
        self.combination.taken += 1
        return self.descent.losses

    def state_dict(self) -> dict[str, Any]:
        """All state of the rules; network, optimizer and scaler have their own."""
        self.combination.watch.rest()
        return {
            "method": self.method,
            "balancers": [balancer.state_dict() for balancer in self.balancers],
            "precision": self.combination.precision.state_dict(),
            "weights": dict(self.weights),
            "taken": self.combination.taken,
            "phases": [phase.state_dict() for phase in self.phases],
            "context": self.context.state_dict() if self.phases else {},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned; errors: `UsageError` for another method."""
        if not state.keys() >= self.state_dict().keys():
            raise UsageError("this is not the state of a Balance; give what state_dict() returned.")
        own, other = (self.method, list(self.tasks)), (state["method"], list(state["weights"]))
        if own != other:
            raise UsageError(
                f"the state is that of '{other[0]}' on {other[1]}; make a Balance of these, not of "
                f"'{own[0]}' on {own[1]}."
            )
        state = on_cpu(state)
        for balancer, saved in zip(self.balancers, state["balancers"], strict=True):
            balancer.load_state_dict(saved)
        self.combination.precision.load_state_dict(state["precision"])
        self.combination.weights, self.combination.parts = state["weights"], None
        self.combination.taken = int(state["taken"])
        if self.phases and state["phases"]:  # a Balance has them if it was given a network
            for phase, saved in zip(self.phases, state["phases"], strict=True):
                phase.load_state_dict(saved)
            self.context.load_state_dict(state["context"])

    def _prepare(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Make the phases of a step."""
        if isinstance(optimizer, torch.optim.LBFGS):
            raise UsageError(
                "LBFGS computes the losses several times in a step, between which no rule has a "
                "say; give another optimizer."
            )
        own = set(map(id, network.parameters()))
        if not all(id(p) in own for group in optimizer.param_groups for p in group["params"]):
            raise UsageError(
                "the optimizer has parameters that are not the network's; give a network of all of "
                "them, such as nn.ModuleList([model, other])."
            )
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
        return self.combination.combine(losses, self.context.network.parameters(), rate, scaler)

    def _refuse(self, hooks: Mapping[str, str], instead: str) -> None:
        for name, balancer in zip(self.names, self.balancers, strict=True):
            for hook in hooks.keys() & balancer.overrides if len(self.tasks) > 1 else ():
                raise UsageError(f"'{name}' {hooks[hook]}{instead}.")
