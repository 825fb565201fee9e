"""Balancers: how T losses become one gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from auxbench.data.dataset import Batch, SampleLosses
from auxbench.spec.grammar import options_of
from auxbench.spec.marks import Count, Help
from auxbench.training.context import Context
from auxbench.training.phase import Phase
from auxbench.training.signals import Row, Signals

HOOKS = ("weights", "edit", "weigh_samples", "relabel", "before", "after", "around")
GRADIENTS = frozenset({"gramian", "inner"})  # signals that cost a backward pass per task


def keeping(
    *,
    every: Annotated[
        Count, Help("Steps for which weights are kept before gradients are compared again.")
    ] = 1,
) -> int:
    """The option that every rule on the Gramian has.

    Between two comparisons a step costs about as much as one of the plain sum. Nash-MTL's authors
    do this in their code.

    Source: Xiao, Dong, Zhou and others, PSMGD, AAAI 2025, https://arxiv.org/abs/2402.09712
    """
    return every


class Balancer(nn.Module):
    """A rule that assigns a weight to every task on every batch; rules can be chained.

    A subclass lives in one file in `methods/` and is registered under the file's name. Its options
    are the keyword-only parameters of the constructor; `**weights` accepts one number per task.
    State lives in buffers and in `extra`; random draws come from `self.rng` alone.

    Most rules override only `weights`. A rule that cannot be expressed as weights also overrides
    `edit`, which rewrites the weighted gradients on the shared parameters; one that weights single
    samples overrides `weigh_samples` and must be first in a chain; `relabel` replaces labels of the
    training data. Work outside the descent goes into phases `before` and `after` it; a rule that
    trains several states of the network wraps one phase `around` all others. None of this is
    declared: `overrides` is derived from the class, and the signals it reads are observed (see
    `reads`).

    `scales_private` says whether the weights also multiply the gradients on parameters that only
    one task reaches. Weights that multiply losses do. Weights that are coefficients of gradients on
    shared parameters do not, and a rule that reads losses cannot follow such a rule in a chain.
    """

    role: ClassVar[str] = "balancer"
    family: ClassVar[str]
    scales_private: ClassVar[bool] = True
    overrides: ClassVar[frozenset[str]] = frozenset()
    """The hooks that the class overrides; a balancer that overrides none is left out of chains."""

    reads: frozenset[str] = frozenset()
    """The members of `Signals` that `weights` uses: "losses", "gramian", "inner", "norms", "rows",
    "sum_length".

    They are observed on a probe when a chain is built, and determine the cost of the chain.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        own = [hook for hook in HOOKS if getattr(cls, hook) is not getattr(Balancer, hook)]
        cls.overrides = frozenset(own)

    def __init__(self, tasks: Sequence[str], rng: torch.Generator) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.rng = rng
        self.keeps = 1
        self.kept: Tensor | None = None
        self.kept_for = 0

    @classmethod
    def common(cls) -> Callable[..., Any] | None:
        """The function whose keywords are options besides those of the constructor, if any."""
        weighs = "weights" in cls.overrides and "edit" not in cls.overrides
        return keeping if weighs and _compares_gradients(cls) else None

    @classmethod
    def made(cls, tasks: Sequence[str], rng: torch.Generator, **options: Any) -> Balancer:
        """A balancer with these options, the common ones included."""
        declared = options_of(keeping).keys() & options.keys()
        asked = declared - options_of(cls, common=False).keys()
        shared = asked if asked and cls.common() is not None else frozenset[str]()
        balancer = cls(tasks, rng, **{k: v for k, v in options.items() if k not in shared})
        balancer.keeps = keeping(**{k: options[k] for k in shared})
        return balancer

    @property
    def period(self) -> int:
        """The number of batches after which its pattern of passes repeats."""
        return self.keeps

    def weigh(self, signals: Signals) -> Tensor:
        """The `weights` of this batch, or those of an earlier one if they are kept."""
        if self.keeps == 1:
            return self.weights(signals)
        if self.kept is None or self.kept_for == self.keeps:
            self.kept, self.kept_for = self.weights(signals), 0
        self.kept_for += 1
        return self.kept

    def weights(self, signals: Signals) -> Tensor:
        """The weight of every task on this batch: [T], float64, finite."""
        return torch.ones(len(self.tasks), dtype=torch.float64)

    def edit(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The tasks' gradients on the shared parameters, edited; None stays None."""
        return rows

    def weigh_samples(self, losses: Sequence[SampleLosses]) -> Sequence[SampleLosses]:
        """The tasks' losses on a batch, each sample multiplied by its own weight."""
        return losses

    def relabel(self, batch: Batch) -> Batch:
        """A newly drawn training batch, with its labels replaced."""
        return batch

    def before(self, context: Context) -> list[Phase]:
        """Phases that run before the descent, such as learning the weights on held-out data."""
        return []

    def after(self, context: Context) -> list[Phase]:
        """Phases that run after the descent, such as evaluating the losses again."""
        return []

    def around(self, context: Context, phases: Sequence[Phase]) -> Phase:
        """The one phase that replaces all others, for methods that train several networks."""
        raise TypeError(f"{type(self).__name__} does not override around()")

    def extra(self) -> dict[str, Any]:
        """State besides the buffers, such as that of the balancer's own optimiser."""
        return {}

    def load_extra(self, state: dict[str, Any]) -> None:
        """Restore the state that `extra` returned."""

    def get_extra_state(self) -> dict[str, Any]:
        kept = {} if self.kept is None else {"kept": self.kept, "kept_for": self.kept_for}
        return {"rng": self.rng.get_state(), **kept, **self.extra()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        own = dict(state)
        self.rng.set_state(own.pop("rng"))
        self.kept, self.kept_for = own.pop("kept", None), own.pop("kept_for", 0)
        # Optimisers keep the tensors they are given, so two balancers would share them.
        self.load_extra(deepcopy(own))


class GradientBalancer(Balancer):
    """A rule whose weights are coefficients of gradients on shared parameters.

    Private parameters keep their own gradients, as in the literature on gradient surgery.
    """

    scales_private = False


def observe(probe: Balancer) -> frozenset[str]:
    """The members of `Signals` that a fresh balancer reads, found by showing it a small batch.

    This changes the probe's state, so the probe must not be used afterwards.
    """
    tasks = len(probe.tasks)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(tasks, 8, generator=generator, dtype=torch.float64)
    signals = Signals.of([1.0 + task for task in range(tasks)], rows, learning_rate=0.01)
    probe.weights(signals)
    return frozenset(signals.read | ({"rows"} if "edit" in probe.overrides else set()))


_COMPARING: dict[type, bool] = {}


def _compares_gradients(kind: type[Balancer]) -> bool:
    """Return whether a rule reads inner products of gradients, and says itself nothing of when."""
    if kind not in _COMPARING:
        probe = kind(("primary", "one", "other"), torch.Generator())
        own = options_of(kind, common=False)
        _COMPARING[kind] = "every" not in own and bool(observe(probe) & GRADIENTS)
    return _COMPARING[kind]
