"""Closures: a training loop of one's own, seen as the objective that phases expect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch, SampleLosses, Task
from auxbench.data.kinds import Number
from auxbench.errors import UsageError, suggestion
from auxbench.spec.budget import Recipe
from auxbench.training.context import Context
from auxbench.training.objective import Objective
from auxbench.training.phase import Phase, Scalars

Losses = Mapping[str, Tensor]
Closure = Callable[[], Losses]
Combine = Callable[[Sequence[SampleLosses]], Tensor]

SPLIT = "train"


def checked(losses: Losses, tasks: Sequence[str]) -> list[SampleLosses]:
    """The losses of all tasks, primary first, from scalars or from a number per sample, [B].

    Errors: `UsageError` for missing and unknown tasks, for losses of another shape, and for losses
    taken from one tensor in which they were stacked, which each depend on everything.

    >>> checked({"a": torch.tensor([1.0, 3.0])}, ["a"])[0].mean()
    tensor(2.)
    """
    if not isinstance(losses, Mapping):
        raise UsageError(
            f"losses are a {type(losses).__name__}; give a loss by the name of its task."
        )
    for name in losses:
        if name not in tasks:
            raise UsageError(f"there is no task '{name}'; {suggestion(str(name), tasks)}")
    found = [_checked(name, losses.get(name)) for name in tasks]
    parents = {_origin(loss) for loss in losses.values()}
    if len(losses) > 1 and len(parents) == 1 and "Stack" in str(parents):
        raise UsageError(
            "the losses were stacked into one tensor, so that each depends on all parameters; give "
            "them as they were before."
        )
    return found


def _origin(loss: Tensor) -> Any:
    """The node of the graph that a loss was picked from, or its own."""
    node = loss.grad_fn
    if node is not None and node.name().startswith(("Select", "Unbind")):
        return node.next_functions[0][0]
    return node


def _checked(name: str, loss: Any) -> SampleLosses:
    if loss is None:
        raise UsageError(f"the loss of task '{name}' is missing; give one for every task.")
    if not isinstance(loss, Tensor) or not loss.is_floating_point():
        kind = loss.dtype if isinstance(loss, Tensor) else type(loss).__name__
        raise UsageError(f"the loss of task '{name}' is {kind}; give a tensor of floats.")
    if loss.ndim > 1 or not loss.numel():
        raise UsageError(
            f"the loss of task '{name}' has shape {list(loss.shape)}; give a scalar, or one number "
            "per sample."
        )
    each = loss if loss.ndim else loss.reshape(1)
    return SampleLosses(each, torch.ones_like(each, requires_grad=False))


class Called(nn.Module):
    """A network that a closure runs, so that its parameters can be replaced meanwhile."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, closure: Closure) -> Losses:
        """The losses that a closure computes with the network."""
        return closure()


class Told(Task):
    """A task whose losses a closure has computed already."""

    def losses(self, prediction: Tensor, target: Any) -> SampleLosses:
        """The loss on each sample of a batch, as it was given."""
        return _checked(self.name, prediction)


class Asked:
    """A batch of which only the closure is known that computes losses on it."""

    def __init__(self, closure: Closure, tasks: Sequence[str]) -> None:
        self.closure, self.tasks = closure, tuple(tasks)
        self.targets = dict.fromkeys(tasks)

    def inputs(self) -> Losses:
        """The losses of all tasks, checked."""
        losses = self.closure()
        checked(losses, self.tasks)
        return losses

    def __len__(self) -> int:
        return 1  # nobody has said how many samples there are

    @property
    def batch(self) -> Batch:
        """This, as the batch that phases expect."""
        return cast(Batch, self)


class OwnDescent(Phase):
    """The descent of a loop of one's own: its optimizer takes the step, `combine` the gradients.

    `combine` sets the gradients of the losses and returns the factors [T] of the losses.
    """

    def __init__(
        self, context: Context, combine: Combine, optimizer: torch.optim.Optimizer
    ) -> None:
        self.name = "descent"
        self.splits = (SPLIT,)
        self.context, self.combine, self.optimizer = context, combine, optimizer
        self.scaler: torch.amp.GradScaler | None = None
        self.losses: dict[str, Tensor] = {}

    @property
    def claimed(self) -> list[nn.Parameter]:
        return list(self.context.parameters.values())

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        losses = self.context.objective.samples(batches[SPLIT], descent=True)
        names = [task.name for task in self.context.tasks]
        pairs = zip(names, losses, strict=True)
        self.losses = {name: loss.mean().detach() for name, loss in pairs}
        self.context.weights = self.combine(losses)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}  # the optimizer belongs to the loop

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


def recipe(optimizer: torch.optim.Optimizer, steps: int | None) -> Recipe:
    """The part of a recipe that phases read; the learning rate is the optimizer's present one."""
    rate = float(optimizer.param_groups[0]["lr"])
    return Recipe("", "", steps or 1, 1, 1, learning_rate=rate, schedule="constant", warm_up=0.0)


def context(network: nn.Module, tasks: Sequence[str], **rest: Any) -> Context:
    """The context of a loop of one's own, whose batches are `Asked`; `rest` are its other fields.

    It has the parameters that require gradients.
    """
    called = Called(network)
    told = tuple(Told(name, Number()) for name in tasks)
    device = next((parameter.device for parameter in network.parameters()), "cpu")
    objective = Objective(called, told, Meter(str(device)))
    here = Context(called, told, lambda: network, objective, split=SPLIT, **rest)
    named = called.named_parameters()
    here.parameters = {name: parameter for name, parameter in named if parameter.requires_grad}
    return here
