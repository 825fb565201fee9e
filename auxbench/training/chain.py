"""Chains: several balancers, one after another, as one rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import torch
from torch import Tensor

from auxbench.data.dataset import SampleLosses
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.spec import files
from auxbench.spec.method import SHARING, Method
from auxbench.spec.registry import METHODS
from auxbench.training.balancer import Balancer, observe
from auxbench.training.gradients import Gradients


@dataclass(frozen=True)
class Factors:
    """The factors by which a chain multiplies the tasks' gradients: [T] each, float64.

    `shared` act on the parameters where gradients are balanced, after the last edit, and `private`
    on all others. `overall` are the weights of all rules multiplied, for logs.
    """

    shared: Tensor
    private: Tensor
    overall: Tensor


class Chain:
    """The rules of a method in the order in which they act.

    A rule sees the losses and gradients as the rules before it have left them.

    >>> from auxbench import METHODS
    >>> from torch.nn import Parameter
    >>> static = METHODS["static"](["a", "b"], torch.Generator(), b=0.5)
    >>> shared = Parameter(torch.ones(1))
    >>> Chain([static]).weigh(Gradients([shared.sum(), 3 * shared.sum()], [shared])).shared
    tensor([1.0000, 0.5000], dtype=torch.float64)
    """

    def __init__(self, balancers: Sequence[Balancer]) -> None:
        self.balancers = balancers
        self.reads = frozenset[str]().union(*(balancer.reads for balancer in balancers))
        self.overrides = frozenset[str]().union(*(balancer.overrides for balancer in balancers))
        self.keeps_sum_length = "edit" in self.overrides and "sum_length" in self.reads

    @property
    def by_jvp(self) -> bool:
        """True if a forward-mode pass may give the inner products with the primary's gradient.

        If rows are needed anyway, or samples are weighted, they come from the rows.
        """
        rows = "weigh_samples" in self.overrides or self.reads & {"gramian", "rows", "sum_length"}
        return "inner" in self.reads and not rows

    def weigh_samples(self, losses: Sequence[SampleLosses]) -> Sequence[SampleLosses]:
        """The tasks' losses on a batch, each sample multiplied by its weight."""
        for balancer in self.balancers:
            losses = balancer.weigh_samples(losses)
        return losses

    def weigh(self, gradients: Gradients) -> Factors:
        """The factors of this batch's gradients, which rules that edit gradients replace here."""
        signals = first = gradients.signals
        if self.keeps_sum_length:
            _ = first.sum_length  # before an edit replaces the gradients
        # `shared` restarts at 1 after an edit, which applies earlier weights
        shared = private = overall = torch.ones(len(gradients.losses), dtype=torch.float64)
        for balancer in self.balancers:
            weights = balancer.weigh(signals)
            signals = signals.scaled(weights)
            shared, overall = shared * weights, overall * weights
            private = private * weights if balancer.scales_private else private
            if "edit" in balancer.overrides:
                signals = gradients.edit(shared, signals, balancer.edit)
                shared = torch.ones_like(shared)
        return Factors(shared, private, overall)


def make_balancers(
    method: Method,
    trained: Sequence[str],
    tasks: Sequence[str],
    seeds: Seeds,
    observed: bool = True,
) -> list[Balancer]:
    """The chain of balancers for the trained tasks; weights for other tasks have no effect.

    Only an observed balancer `reads` what it does: that carries it out once.
    Errors: `UsageError` for options that do not fit the problem's `tasks`, and for balancers that
    cannot work in this order.
    """
    absent = set(tasks).difference(trained)
    chain = []
    for place, choice in enumerate(method.balancers):
        maker: type[Balancer] = METHODS[choice.name]
        values = choice.values(maker, frozenset(tasks))
        options = {key: value for key, value in values.items() if key not in absent}
        balancer = maker.made(trained, seeds.torch("balancer", choice.name, place), **options)
        several = trained if len(trained) > 1 else (*trained, "auxiliary")
        if observed:
            balancer.reads = observe(maker.made(several, torch.Generator(), **options))
        chain.append(balancer)
    _check_order(method, chain)
    return chain


def _check_order(method: Method, chain: Sequence[Balancer]) -> None:
    """Refuse a chain that cannot work.

    Samples must be weighted first, losses before gradients are combined, and states forked once.
    """
    named = [(choice.name, part) for choice, part in zip(method.balancers, chain, strict=True)]
    for (before, earlier), (name, part) in pairwise(named):
        if "weigh_samples" in part.overrides and "weigh_samples" not in earlier.overrides:
            raise UsageError(
                f"'{name}' in '{method}' weighs single samples, which has to be done before "
                f"'{before}'; put '{name}' first."
            )
    for (before, earlier), (name, part) in combinations(named, 2):
        # An edit applies the weights before it, and sample weights act on the losses themselves.
        in_losses = earlier.scales_private or earlier.overrides & {"edit", "weigh_samples"}
        if not in_losses and "losses" in part.reads:
            raise UsageError(
                f"'{name}' in '{method}' reads the losses, but '{before}' before it combines "
                f"gradients and weighs no loss; put '{name}' before '{before}'."
            )
    forks = [name for name, part in named if "around" in part.overrides]
    if len(forks) > 1:
        raise UsageError(
            f"method '{method}' trains several states of the network twice, by '{forks[0]}' and "
            f"'{forks[1]}'; keep one."
        )


def named(tasks: Sequence[str]) -> tuple[str, ...]:
    """The names of tasks, primary first; errors: `UsageError` for none and for repeated ones."""
    names = (tasks,) if isinstance(tasks, str) else tuple(tasks)
    if not names or len(set(names)) < len(names):
        raise UsageError(f"tasks are {list(names)}; name each loss once, the primary first.")
    return names


def rules_only(method: str, tasks: Sequence[str]) -> Method:
    """A method that is a chain of rules, some perhaps in files of the user's own.

    Errors: `UsageError` for a method that says more than that.
    """
    parsed = Method.parse(files.named(method, METHODS), tasks)
    if parsed.architecture.name != SHARING:
        raise UsageError(
            f"'{parsed.architecture.name}' in '{method}' builds networks; give rules for losses or "
            "gradients only, such as 'gradnorm+pcgrad'."
        )
    if parsed.training:
        raise UsageError(
            f"'{next(iter(parsed.training))}' in '{method}' is up to your own optimizer; leave it "
            "out."
        )
    return parsed
