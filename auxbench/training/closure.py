"""Closures: a training loop of one's own, seen as the objective that phases expect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch, SampleLosses, Task
from auxbench.data.kinds import Number
from auxbench.errors import UsageError, suggestion
from auxbench.spec.budget import Recipe
from auxbench.training.context import Context
from auxbench.training.jvp import Named
from auxbench.training.objective import Objective
from auxbench.training.phase import Phase, Scalars

Losses = Mapping[str, Tensor]
Closure = Callable[[], Losses]
Value = TypeVar("Value")
Combine = Callable[[Sequence[SampleLosses]], Tensor]

SPLIT = "train"
ELEMENTWISE = {f"{name}Backward0" for name in ("Mul", "Div", "Add", "Sub", "Clamp", "ToCopy")}


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
    parents = {_origin(loss) for loss in losses.values() if isinstance(loss, Tensor)}
    if len(losses) > 1 and len(parents) == 1 and _stacks(*parents):
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


def _stacks(node: Any) -> bool:
    """Return whether a node stacks losses, or only scales what was stacked."""
    while node is not None and not node.name().startswith(("Stack", "Cat")):
        children = [child for child, _ in node.next_functions if child is not None]
        node = children[0] if len(children) == 1 and node.name() in ELEMENTWISE else None
    return node is not None


def _checked(name: str, loss: Any) -> SampleLosses:
    if loss is None:
        raise UsageError(f"the loss of task '{name}' is missing; give one for every task.")
    if isinstance(loss, int | float) and loss == 0:  # of a task without labels
        loss = torch.zeros(())
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


class ClosureNetwork(nn.Module):
    """A network that a closure runs, so that its parameters can be replaced meanwhile."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, closure: Closure) -> Losses:
        """The losses that a closure computes with the network.

        Errors: `UsageError` for losses without gradients where they are needed.
        """
        losses = closure()
        learning = any(parameter.requires_grad for parameter in self.network.parameters())
        if torch.is_grad_enabled() and learning and not _any_gradient(losses):
            raise UsageError(
                "no loss of a closure depends on the network with gradients; run the network that "
                "the Balance was given, not under no_grad()."
            )
        return losses


def _any_gradient(losses: Losses) -> bool:
    return any(loss.requires_grad for loss in losses.values())


class ClosureTask(Task):
    """A task whose losses a closure has computed already."""

    def losses(self, prediction: Tensor, target: Any) -> SampleLosses:
        """The loss on each sample of a batch, as it was given."""
        return _checked(self.name, prediction)


class ClosureBatch:
    """A batch of which only the closure that computes losses on it is known."""

    def __init__(self, closure: Closure, tasks: Sequence[str]) -> None:
        self.closure, self.tasks = closure, tuple(tasks)
        self.targets = dict.fromkeys(tasks)

    def inputs(self) -> Losses:
        """The closure, checked: what a `ClosureNetwork` calls to get the losses of all tasks."""
        losses = self.closure()
        checked(losses, self.tasks)
        return losses

    def __len__(self) -> int:
        return 1  # nobody has said how many samples there are

    @property
    def batch(self) -> Batch:
        """This, as the batch that phases expect."""
        return cast(Batch, self)


class OwnObjective(Objective):
    """The objective of a loop of one's own, whose network may be of any kind."""

    def samples(
        self, batch: Batch, parameters: Named | None = None, *, descent: bool = False
    ) -> list[SampleLosses]:
        """Every task's losses, with `parameters` in the place of the network's if given.

        Errors: `UsageError` if a block is to be computed again with other parameters than at first.
        """
        if parameters is None:
            return super().samples(batch, descent=descent)
        own = dict(self.network.named_parameters())
        with derivable(self.network):
            if all(own[name].data_ptr() == part.data_ptr() for name, part in parameters.items()):
                return super().samples(batch, parameters)
            try:
                with torch.autograd.graph.disable_saved_tensors_hooks(ONCE):
                    return super().samples(batch, parameters)
            except RuntimeError as error:
                if ONCE in str(error):
                    raise UsageError(ONCE) from error
                raise

    def jvp(self, batch: Batch, direction: Named) -> list[SampleLosses]:
        """The derivative of every loss along `direction`.

        Where torch has no forward-mode derivative of an operation, two backward passes give it.
        """
        with derivable(self.network):
            try:
                return super().jvp(batch, direction)
            except NotImplementedError:
                return self._backwards_twice(batch, direction)

    def _backwards_twice(self, batch: Batch, direction: Named) -> list[SampleLosses]:
        named = dict(self.network.named_parameters())
        point = {name: named[name].detach().requires_grad_() for name in direction}
        losses = super().samples(batch, point)
        moving = [loss for loss in losses if loss.sums.requires_grad]
        # The gradient's derivative in the factors of the losses is their derivative.
        factors = [torch.zeros_like(loss.sums, requires_grad=True) for loss in moving]
        slope = torch.autograd.grad(
            [loss.sums for loss in moving],
            list(point.values()),
            factors,
            create_graph=True,
            materialize_grads=True,
        )
        found = iter(
            torch.autograd.grad(
                slope, factors, [direction[name] for name in point], materialize_grads=True
            )
        )
        return [
            SampleLosses(
                next(found) if loss.sums.requires_grad else torch.zeros_like(loss.sums), loss.counts
            )
            for loss in losses
        ]


ONCE = (
    "a checkpointed block would be computed again with other parameters than at first; leave "
    "checkpointing out of the closures of rules that look ahead."
)


@contextmanager
def derivable(network: nn.Module) -> Iterator[None]:
    """Run recurrent layers so that they have forward-mode and second derivatives."""
    if not any(isinstance(part, nn.RNNBase) for part in network.modules()):
        yield
        return
    fused = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # `flags` warn on CPUs
    try:
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        torch.backends.mkldnn.enabled = fused


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
    """The context of a loop of one's own with `ClosureBatch`es; `rest` are its other fields.

    It has the parameters that require gradients at present.
    """
    run = ClosureNetwork(network)
    kinds = tuple(ClosureTask(name, Number()) for name in tasks)
    device = next((parameter.device for parameter in network.parameters()), "cpu")
    objective = OwnObjective(run, kinds, Meter(str(device), add=_itself))
    here = Context(run, kinds, partial(_itself, network), objective, split=SPLIT, **rest)
    here.parameters = learned(run)
    return here


def learned(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require gradients at present, by name."""
    named = network.named_parameters()
    return {name: parameter for name, parameter in named if parameter.requires_grad}


def _itself(value: Value) -> Value:
    return value
