"""Aux-NAS: branches joined by searched links, with those into the primary closed during training.

During the search, the features and gradients of the auxiliaries help the primary. An l1 penalty
closes the auxiliary-to-primary links, so that the deployed network is the primary branch alone.
With `norm=batch:act=relu`, as in the paper's equations, that branch keeps one norm and activation
per block. The default, as in the released configuration, has neither and deploys exactly the
single-task network.

Let h_i^t be the output of block i of task t's branch before fusion, alpha the strengths of the
links (the paper's architecture weights), and W a 1x1 convolution initialised at zero. The feature
after block i is

    f_i^t = h_i^t + sum over partners s of W [alpha_j h_j^s : j = i - 2, i - 1, i in one stage]

where the brackets concatenate channels. The partners of the primary are all auxiliaries, and the
only partner of an auxiliary is the primary. Each iteration takes one step of alpha on one half of
the training data and one step of the network weights on the other half, both on the losses of all
tasks. The objective of alpha also includes

    l1(t) * sum over auxiliaries of the mean strength of their links into the primary

in units of the mean weighted loss, so that neither the number of auxiliaries nor the scale of the
losses affects how fast links close. While l1(t) rises, between 30 and 60 % of the run, an upper
bound on these strengths falls to 0. Otherwise deployment would drop links that the losses hold open
while the primary depends on them. A link below 0.001 is closed permanently. The paper uses only the
penalty.

The search starts with every link at 0.5. The ablation `directions=p2a` has no links that carry
auxiliary features into the primary. The published code starts elsewhere, with a fixed penalty and
fixed learning rates: see `auxnas-official`.

Known flaws: the search doubles the passes and halves the data on which the network weights are
trained in an epoch. The primary uses auxiliary features in the first 60 % of a run at most, and no
state from that period is selected, since its links are still open. In the released code, the fusion
fails on the feature maps of convolutional networks, the option for initialising the fusions into
the primary has no effect, and checkpoints are chosen on the test split.

@inproceedings{gao2024auxnas,
  author = {Gao, Y. and Zhang, W. and Luo, W. and Ma, L. and Yu, J.-G. and Xia, G.-S. and Ma, J.},
  title = {{Aux-NAS: Exploiting Auxiliary Labels with Negligibly Extra Inference Cost}},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2024},
  url = {https://arxiv.org/abs/2405.05695},
}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench import METHODS, Batch, Builder, Context, Phase
from auxbench.spec.marks import Help, NonNegative, Positive, Tune
from auxbench.training.phase import Scalars

from ._linked.fusion import Activation, Norm
from ._linked.links import Direction, Links
from ._linked.searched import CLOSED, SearchedBranches, WarmUp, logit, strongest

OPEN, NEARLY_CLOSED = logit(0.99), logit(0.001)


@METHODS.register
class AuxNAS(SearchedBranches):
    """Searched links; forward: images [B, 3, H, W] -> {task: prediction}."""

    def __init__(
        self,
        builder: Builder,
        *,
        links: Links = "block",
        norm: Norm = "none",
        act: Activation = "none",
        directions: Annotated[
            Literal["both", "p2a"],
            Help(
                "Directions in which links are searched: both, or only from the primary to the "
                "auxiliaries (p2a)."
            ),
        ] = "both",
        l1: Annotated[
            NonNegative,
            Tune(10, 1000, log=True),
            Help("Height of the penalty on links into the primary, in mean weighted losses."),
        ] = 100.0,
        rate: Annotated[
            Positive | None,
            Help("Learning rate of the search; by default 80 / steps and at least 0.01."),
        ] = None,
        warmup: WarmUp = 0,
    ) -> None:
        searched: tuple[Direction, ...] = ("p2a",) if directions == "p2a" else ("p2a", "a2p")
        start = dict.fromkeys(searched, 0.5)
        super().__init__(builder, start=start, links=links, norm=norm, act=act, warmup=warmup)
        self.l1, self.rate = l1, rate

    def phases(self, context: Context) -> list[Phase]:
        schedule = Schedule.scaled(context.recipe.steps, self.rate, self.l1)
        return [Search(context, self, schedule)] if self.logits else []


@dataclass(frozen=True)
class Schedule:
    """Adam at `rate`, decaying as (1 - t)^0.9, and the ramp of the penalty.

    The penalty is 0 until `ramp[0]` of the run, `l1` from `ramp[1]` on, and linear in between. With
    `relative`, it is in units of the mean weighted loss, otherwise it is not scaled. With `closes`,
    the ceiling on links into the primary falls from 0.99 to 0 during the ramp.
    """

    rate: float
    betas: tuple[float, float]
    l1: float
    ramp: tuple[float, float]
    relative: bool = False
    closes: bool = False

    @classmethod
    def scaled(cls, steps: int, rate: float | None, l1: float) -> Schedule:
        """A search that closes the links in a run of any length; if `rate` is None, it is derived.

        Adam moves a logit by about its rate per step, and (1 - t)^0.9 integrated over the ramp
        leaves 0.175 of the steps. A rate of 80 / steps thus moves a logit by some 14 units, and
        getting from 0.99 to 0.001 takes 11.5. Adam's memory is limited to a thirtieth of the run:
        a penalty that fades with the strength would otherwise be normalised by its past peak.
        """
        second = min(0.999, max(0.5, 1 - 30 / steps))
        betas = (min(0.9, second), second)
        rate = max(0.01, 80 / steps) if rate is None else rate
        return cls(rate, betas, l1, ramp=(0.3, 0.6), relative=True, closes=True)

    def ramped(self, progress: float) -> float:
        """Return the completed share of the ramp, in [0, 1]."""
        start, end = self.ramp
        return min(1.0, max(0.0, (progress - start) / (end - start)))

    def ceiling(self, progress: float) -> float:
        """The upper bound on logits of links into the primary after a share `progress` of the run.

        A penalty alone cannot close a link that a loss depends on: the weaker the link, the more
        the fusion's weights grow and the harder the loss pulls to keep the link open.
        """
        if not self.closes:
            return math.inf
        ramped = self.ramped(progress)
        return CLOSED if ramped == 1 else OPEN + ramped * (NEARLY_CLOSED - OPEN)


class Search(Phase):
    """One step on the links' logits; the network weights get no gradient and do not change."""

    name = "search"
    splits = ("train/second",)

    def __init__(self, context: Context, branches: SearchedBranches, schedule: Schedule) -> None:
        self.context = context
        self.logits = list(branches.logits.values())
        self.incoming = branches.incoming
        self.schedule = schedule
        self.optimizer = torch.optim.Adam(self.logits, schedule.rate, schedule.betas)

    @property
    def claimed(self) -> Sequence[Parameter]:
        return self.logits

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        losses = self.context.objective(batches["train/second"])
        weighted = zip(losses, self.context.weights.tolist(), strict=True)
        total = sum((loss * weight for loss, weight in weighted), start=torch.zeros(()))
        self.descend(total, len(losses))
        self.context.objective.meter.backward()
        return {"links/a2p": strongest(self.incoming)}

    def descend(self, total: Tensor, tasks: int) -> None:
        """Step down the weighted loss plus the penalty, and close the weakest links."""
        schedule, progress = self.schedule, self.context.progress
        mean = abs(total.item()) / tasks
        unit = mean if schedule.relative and mean > 0 else 1.0
        penalty = schedule.l1 * schedule.ramped(progress)
        strengths = [torch.sigmoid(part).mean() for part in self.incoming]
        cost = sum((penalty * strength for strength in strengths), start=total / unit)
        gradients = torch.autograd.grad(cost, self.logits, materialize_grads=True)
        for logits, gradient in zip(self.logits, gradients, strict=True):
            logits.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = schedule.rate * (1 - progress) ** 0.9
        self.optimizer.step()
        with torch.no_grad():
            for logits in self.logits:
                logits.clamp_(max=schedule.ceiling(0.0))
            for logits in self.incoming if schedule.ramped(progress) else ():
                logits.clamp_(max=schedule.ceiling(progress))
                logits.masked_fill_(logits < NEARLY_CLOSED, CLOSED)

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(dict(state["optimizer"]))
