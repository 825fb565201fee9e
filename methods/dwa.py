"""DWA: dynamic weight averaging, with more weight for tasks whose losses fall more slowly.

Let r_i be the mean loss of task i over the latest completed window of steps, divided by that of the
window before it. The weights are T softmax(r / tau); during the first two windows they are 1. The
paper averages over epochs; since budgets here are counted in steps, a window is `window` steps.
Losses of 0, as on batches without labels, are ignored, and a task with no other losses in one of
the two windows gets r_i = 1.

Known flaws: it sees how fast losses fall, but neither how large they are nor whether one has
reached its noise floor. Some public versions let the weights sum to 1 instead of T, which divides
the learning rate by T. One public version compares two windows of 25 steps, as here, rather than
epochs.

@inproceedings{liu2019mtan,
  author = {Liu, S. and Johns, E. and Davison, A. J.},
  title = {{End-to-End Multi-Task Learning with Attention}},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2019},
  url = {https://arxiv.org/abs/1803.10704},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Signals
from auxbench.spec.marks import Count, Help, Positive, Tune

from ._losses import LossBalancer, bounded


@METHODS.register
class DWA(LossBalancer):
    """Weights from the pace of the losses.

    >>> balancer = DWA(["a", "b"], torch.Generator(), window=1)
    >>> for losses in ([2.0, 1.0], [1.0, 1.0], [1.0, 1.0]):
    ...     weights = balancer.weights(Signals.of(losses, torch.eye(2)))
    >>> [round(w, 4) for w in weights.tolist()]
    [0.8756, 1.1244]
    """

    family = "loss weighting"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        tau: Annotated[
            Positive,
            Tune(0.5, 8, log=True),
            Help(
                "Temperature of the softmax over the losses' paces; the higher, the "
                "more even the weights."
            ),
        ] = 2.0,
        window: Annotated[
            Count, Help("Steps over which a loss is averaged before its pace is read.")
        ] = 25,
    ) -> None:
        super().__init__(tasks, rng)
        self.tau = tau
        self.window = window
        none = torch.zeros(len(tasks), dtype=torch.float64)
        self.total: Tensor
        self.counted: Tensor
        self.latest: Tensor
        self.current: Tensor
        self.seen: Tensor
        self.register_buffer("total", none.clone())
        self.register_buffer("counted", torch.zeros(len(tasks), dtype=torch.int64))
        self.register_buffer("latest", none.clone())
        self.register_buffer("current", torch.ones_like(none))
        self.register_buffer("seen", torch.tensor(0))

    def rule(self, signals: Signals) -> Tensor:
        weights = self.current.clone()
        present = signals.losses > 0
        self.total += torch.where(present, bounded(signals.losses), 0.0)
        self.counted += present
        self.seen += 1
        if self.seen % self.window == 0:
            mean = torch.where(self.counted > 0, self.total / self.counted, self.latest)
            if self.seen > self.window:
                known = (self.counted > 0) & (self.latest > 0)
                pace = torch.where(known, mean / self.latest, 1.0)
                self.current = len(pace) * torch.softmax(pace / self.tau, dim=0)
            self.latest = mean
            self.total.zero_()
            self.counted.zero_()
        return weights
