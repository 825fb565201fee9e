"""ForkMerge: networks trained with and without auxiliary tasks, and merged periodically.

A period begins with forks of the network. In the first period, these are the primary alone and the
primary with each auxiliary. At the end of a period, the forks are merged. Starting from the fork
with the lowest primary loss on held-out data, every other fork in turn is mixed in with the share
(0, 0.2, ..., 1) that gives the lowest loss. From the second period on, the forks have nested sets
of tasks: the primary alone, the primary with the best auxiliary of the first period, and so on up
to the `top` best. Unless `merges` is set, there are as many periods as validations, and each period
ends right before one. Between merges, the average of the forks is evaluated. Optimiser moments and
the learned state of other parts of the method are merged like the parameters.

Known flaws: all forks are trained, so it costs a multiple of the plain sum, and the merges use
held-out data that other methods train on. The released code keeps the best score from before a
merge, so that a fork can bring back parameters that were merged away, and discards the optimiser
moments.

@inproceedings{jiang2023forkmerge,
  author = {Jiang, J. and Chen, B. and Pan, J. and Wang, X. and Liu, D. and Jiang, J. and Long,
    M.},
  title = {{ForkMerge: Mitigating Negative Transfer in Auxiliary-Task Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2023},
  url = {https://arxiv.org/abs/2301.12618},
}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch

from auxbench import METHODS, Batch, Context, Phase
from auxbench.spec.marks import Count, Help
from auxbench.training.phase import Scalars

from ._forks import Forked, Forks, Values, mixed

HELD_OUT = "holdout/whole"
GRID = (0.2, 0.4, 0.6, 0.8)  # at 1 the mixture is a fork that has already lost


@METHODS.register
class ForkMerge(Forked):
    """Forks with nested sets of auxiliary tasks, merged by the primary's held-out loss.

    >>> import torch
    >>> from auxbench import Signals
    >>> balancer = ForkMerge(["a", "b"], torch.Generator())
    >>> balancer.weights(Signals.of([1.0, 1.0], torch.eye(2))).tolist()
    [1.0, 1.0]
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        top: Annotated[
            Count, Help("Greatest number of auxiliary tasks in one fork from the second period on.")
        ] = 2,
        merges: Annotated[
            Count | None,
            Help(
                "Number of periods, each of which ends in a merge; by default that of "
                "the looks at validation."
            ),
        ] = None,
    ) -> None:
        super().__init__(tasks, rng)
        self.top = top
        self.merges = merges

    def around(self, context: Context, phases: Sequence[Phase]) -> Forks:
        merges = self.merges or context.recipe.evaluations
        return Merging(context, phases, self, self.top, merges)


class Merging(Forks):
    """Forks that are merged at the end of each of `merges` periods."""

    def __init__(
        self,
        context: Context,
        phases: Sequence[Phase],
        balancer: ForkMerge,
        top: int,
        merges: int,
    ) -> None:
        self.count = len(balancer.tasks)
        alone = self.subsets([], *([i] for i in range(1, self.count)))
        super().__init__(context, phases, balancer, alone)
        self.splits = (*self.splits, HELD_OUT)
        self.top = top
        self.steps = context.recipe.steps
        self.merges = min(merges, self.steps)
        ends = [step for step in range(1, self.steps + 1) if self.ends(step)]
        self.turns = {*ends, *(step - 1 for step in ends)}
        self.nested: list[list[float]] = []
        self.shares = even(alone)

    def subsets(self, *chosen: Sequence[int]) -> list[list[float]]:
        """Weightings with 1 for the primary and for the auxiliaries at the chosen indices."""
        return [[1.0, *(float(i in places) for i in range(1, self.count))] for places in chosen]

    def proposals(self) -> list[list[float]]:
        return [self.shares]

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        done = round(self.context.progress * self.steps)
        if self.ends(done):
            self.begin()
        scalars = super().step(batches)
        if self.ends(done + 1):
            self.merge(batches[HELD_OUT])
        return scalars

    def ends(self, done: int) -> bool:
        """Return whether a period ends after this many iterations."""
        return (
            done > 0 and done * self.merges // self.steps > (done - 1) * self.merges // self.steps
        )

    def begin(self) -> None:
        """Fork the merged network."""
        rest = mixed([fork.rest for fork in self.forks], self.shares)
        self.branch(self.nested, self.mixture(self.shares), rest)
        self.shares = even(self.forks)

    def merge(self, batch: Batch) -> None:
        """Choose the mixture's shares greedily and, after the first period, the nested sets."""
        losses = [self.loss(fork.values, batch) for fork in self.forks]
        order = sorted(range(len(losses)), key=losses.__getitem__)
        best = losses[order[0]]
        shares = [float(own == order[0]) for own in range(len(losses))]
        for other in order[1:]:
            base = shares
            for part in GRID:
                trial = [(1 - part) * share for share in base]
                trial[other] += part
                loss = self.loss(self.mixture(trial), batch)
                if loss < best:
                    best, shares = loss, trial
        self.shares = shares
        if not self.nested:
            ranked = [place for place in order if place > 0]
            depth = min(self.top, len(ranked))
            self.nested = self.subsets(*(ranked[:size] for size in range(depth + 1)))

    def loss(self, values: Values, batch: Batch) -> float:
        """The primary's loss on a batch, with the network deployed from `values`."""
        context, size = self.context, self.context.recipe.batch
        primary, meter = context.primary, context.objective.meter
        self.load(values)
        network = context.deploy().eval()
        sums, counts = 0.0, 0.0
        with torch.no_grad():
            for first in range(0, len(batch), size):
                rows = slice(first, first + size)
                meter.forward(len(batch.inputs[rows]))
                losses = primary.losses(
                    network(batch.inputs[rows]), batch.targets[primary.name][rows]
                )
                sums, counts = sums + losses.sums.sum().item(), counts + losses.counts.sum().item()
        context.network.train()
        return sums / max(counts, 1.0)

    def state_dict(self) -> dict[str, Any]:
        own = {"nested": self.nested, "shares": self.shares}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.nested, self.shares = state["nested"], state["shares"]


def even(forks: Sequence[Any]) -> list[float]:
    """The same share for every fork."""
    return [1 / len(forks) for _ in forks]
