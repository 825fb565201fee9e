"""Balancers: how T losses become one gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from auxbench.data.dataset import Batch, SampleLosses
from auxbench.training.context import Context
from auxbench.training.gradients import Row, Signals
from auxbench.training.phase import Phase


class Balancer(nn.Module, ABC):
    """A rule that gives every task a weight on every batch; rules are chained.

    A subclass in `methods/` is one file and is registered under its file's name. Its options are
    keyword-only parameters of the constructor; one that takes `**weights` takes a number per task.
    State lives in buffers and in `extra`; random draws come from `self.rng` alone.

    A rule that no weights can express overrides `edit` as well, which rewrites the gradients on
    the shared parameters after they have been weighed, and sets `edits`. One that weighs single
    samples overrides `weigh_samples` and sets `weighs_samples`; it stands first in a chain.

    What a rule does beside the descent are phases `before` and `after` it; one that trains several
    states of the training puts a phase of its own `around` all others, and sets `forks`. None of
    these is asked for when there is one task only. `relabel` replaces labels of the training data.

    `reads` says which signals it uses: "losses", their values or what they have been multiplied by,
    and the costly "gramian", "inner", "norms", "rows", from which the cost of a chain is known
    before it runs. `reads_every` names the option that says on every how many batches it does;
    `also` are the passes of its own phases, such as "F" for another forward pass. `asymmetric` says
    that it treats the primary specially.

    `scales_private` says whether the weights also multiply the gradients of what only one task
    reaches, as weighing the losses does and projecting the gradients of the shared parameters does
    not. Weights that do not are coefficients of gradients and multiply no loss: a rule that reads
    losses cannot come after them.
    """

    role: ClassVar[str] = "balancer"
    family: ClassVar[str]
    reads: frozenset[str] = frozenset()
    reads_every: ClassVar[str] = ""
    also: ClassVar[str] = ""
    asymmetric: ClassVar[bool] = False
    scales_private: ClassVar[bool] = False
    identity: ClassVar[bool] = False
    edits: ClassVar[bool] = False
    weighs_samples: ClassVar[bool] = False
    forks: ClassVar[bool] = False
    permutes: ClassVar[bool] = True

    def __init__(self, tasks: Sequence[str], rng: torch.Generator) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.rng = rng

    @abstractmethod
    def weights(self, signals: Signals) -> Tensor:
        """The weight of every task on this batch: [T], float64, finite."""

    @property
    def period(self) -> int:
        """After how many batches the passes that it causes recur."""
        return 1

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
        """Phases after the descent, such as looking at the losses again."""
        return []

    def around(self, context: Context, phases: Sequence[Phase]) -> Phase:
        """The phase in the place of all phases, of which the descent is one, of what `forks`."""
        raise NotImplementedError

    def extra(self) -> dict[str, Any]:
        """State beside the buffers, such as that of an own optimiser."""
        return {}

    def load_extra(self, state: dict[str, Any]) -> None:
        """Go on from the state that `extra` gave."""

    def get_extra_state(self) -> dict[str, Any]:
        return {"rng": self.rng.get_state(), **self.extra()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.rng.set_state(state["rng"])
        # Optimisers keep the tensors they are given, which would tie two balancers together.
        self.load_extra(deepcopy({key: value for key, value in state.items() if key != "rng"}))
