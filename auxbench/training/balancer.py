"""Balancers: how T losses become one gradient."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from auxbench.data.dataset import Batch, SampleLosses
from auxbench.training.context import Context
from auxbench.training.phase import Phase
from auxbench.training.signals import Row, Signals

HOOKS = ("weights", "edit", "weigh_samples", "relabel", "before", "after", "around")


class Balancer(nn.Module):
    """A rule that gives every task a weight on every batch; rules are chained.

    A subclass in `methods/` is one file and is registered under its file's name. Its options are
    keyword-only parameters of the constructor; one that takes `**weights` takes a number per task.
    State lives in buffers and in `extra`; random draws come from `self.rng` alone.

    `weights` is all that most rules override. A rule that no weights can express overrides `edit`
    as well, which rewrites the weighted gradients on the shared parameters; one that weighs single
    samples overrides `weigh_samples` and stands first in a chain; `relabel` replaces labels of the
    training data. Work besides the descent goes into phases `before` and `after` it; a rule that
    trains several states of the network puts one phase `around` all others. Nothing of this is
    declared: what a class overrides is found in `overrides`, and which signals it reads is observed
    (see `reads`).

    `scales_private` says whether the weights also multiply the gradients of what only one task
    reaches. They do where they multiply losses. Where they are coefficients of gradients on shared
    parameters they do not, and a rule that reads losses cannot come after them.
    """

    role: ClassVar[str] = "balancer"
    family: ClassVar[str]
    scales_private: ClassVar[bool] = True
    overrides: ClassVar[frozenset[str]] = frozenset()
    """The hooks that the class overrides. A balancer that overrides none is left out of a chain."""

    reads: frozenset[str] = frozenset()
    """The members of `Signals` that `weights` uses: "losses", "gramian", "inner", "norms", "rows",
    "sum_length".

    Observed on a probe when a chain is built; the cost of the chain follows from it.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        own = [hook for hook in HOOKS if getattr(cls, hook) is not getattr(Balancer, hook)]
        cls.overrides = frozenset(own)

    def __init__(self, tasks: Sequence[str], rng: torch.Generator) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.rng = rng

    @property
    def period(self) -> int:
        """The number of batches after which the passes that it causes recur."""
        return 1

    def weights(self, signals: Signals) -> Tensor:
        """The weight of every task on this batch: [T], float64, finite."""
        return torch.ones(len(self.tasks), dtype=torch.float64)

    def edit(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The tasks' gradients on the shared parameters, rewritten; None stays None."""
        return rows

    def weigh_samples(self, losses: Sequence[SampleLosses]) -> Sequence[SampleLosses]:
        """The tasks' losses on a batch, every sample with a weight of its own."""
        return losses

    def relabel(self, batch: Batch) -> Batch:
        """A batch of the training data, as soon as it is drawn, with other labels."""
        return batch

    def before(self, context: Context) -> list[Phase]:
        """Phases before the descent, such as learning the weights on held-out data."""
        return []

    def after(self, context: Context) -> list[Phase]:
        """Phases after the descent, such as evaluating the losses again."""
        return []

    def around(self, context: Context, phases: Sequence[Phase]) -> Phase:
        """For methods that train several networks: the one phase that replaces all others."""
        raise TypeError(f"{type(self).__name__} does not override around()")

    def extra(self) -> dict[str, Any]:
        """State besides the buffers, such as that of an optimiser of its own."""
        return {}

    def load_extra(self, state: dict[str, Any]) -> None:
        """Go on from the state that `extra` gave."""

    def get_extra_state(self) -> dict[str, Any]:
        return {"rng": self.rng.get_state(), **self.extra()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.rng.set_state(state["rng"])
        # Optimisers keep the tensors they are given, which would tie two balancers together.
        self.load_extra(deepcopy({key: value for key, value in state.items() if key != "rng"}))


class GradientBalancer(Balancer):
    """A rule whose weights are coefficients of gradients on shared parameters.

    Private parameters keep their own gradients, as in the literature on gradient surgery.
    """

    scales_private = False


def observe(probe: Balancer) -> frozenset[str]:
    """The members of `Signals` that a fresh balancer reads, found by showing it a small batch.

    The probe's state changes and is not to be used any more.
    """
    tasks = len(probe.tasks)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(tasks, 8, generator=generator, dtype=torch.float64)
    signals = Signals.of([1.0 + task for task in range(tasks)], rows, learning_rate=0.01)
    probe.weights(signals)
    return frozenset(signals.read | ({"rows"} if "edit" in probe.overrides else set()))
