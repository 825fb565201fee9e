"""STCH: a smooth maximum of the losses relative to a nadir point.

The rule minimises T mu log sum exp(log(L_i / nadir_i) / mu), whose derivatives are the weights
T softmax(log(L / nadir) / mu)_i / L_i. During the first `warmup` steps it minimises the
sum of log L_i instead, and the nadir is the mean loss over the last quarter of these steps. The
published code warms up for some epochs, but budgets here are counted in steps. Losses of 0, as on
batches without labels, do not count towards the nadir. A single task keeps weight 1.

Known flaws: with mu = 1, the default of public code, the weights have the fixed ratio of 1 / nadir;
only a smaller `mu` adapts. The logarithm, used here as in the published code, is not in the paper's
own formula.

@inproceedings{lin2024stch,
  author = {Lin, X. and Zhang, X. and Yang, Z. and Liu, F. and Wang, Z. and Zhang, Q.},
  title = {{Smooth Tchebycheff Scalarization for Multi-Objective Optimization}},
  booktitle = {International Conference on Machine Learning (ICML)},
  year = {2024},
  url = {https://arxiv.org/abs/2402.19078},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Signals
from auxbench.spec.marks import CountOrZero, Help, Positive, Tune

from ._losses import LossBalancer, bounded


@METHODS.register
class STCH(LossBalancer):
    """Smooth Tchebycheff weights; without warm-up the nadir is 1.

    >>> balancer = STCH(["a", "b"], torch.Generator(), mu=1.0, warmup=0)
    >>> [round(w, 3) for w in balancer.weights(Signals.of([1.0, 2.0], torch.eye(2))).tolist()]
    [0.667, 0.667]
    """

    family = "loss weighting"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        mu: Annotated[
            Positive,
            Tune(0.1, 3, log=True),
            Help(
                "Smoothness: the lower, the more the loss that is largest relative to "
                "its nadir dominates."
            ),
        ] = 1.0,
        warmup: Annotated[
            CountOrZero,
            Help(
                "Steps of minimising the sum of the losses' logarithms first, over "
                "whose last quarter the nadir is averaged."
            ),
        ] = 40,
    ) -> None:
        super().__init__(tasks, rng)
        self.mu = mu
        self.warmup = warmup
        self.quarter = max(1, warmup // 4)
        self.total: Tensor
        self.counted: Tensor
        self.seen: Tensor
        self.register_buffer("total", torch.zeros(len(tasks), dtype=torch.float64))
        self.register_buffer("counted", torch.zeros(len(tasks), dtype=torch.int64))
        self.register_buffer("seen", torch.tensor(0))

    @property
    def nadir(self) -> Tensor:
        """The mean losses [T] at the end of the warm-up; 1 for a task that was never seen."""
        return torch.where(self.counted > 0, self.total / self.counted, 1.0)

    def rule(self, signals: Signals) -> Tensor:
        losses = bounded(signals.losses)
        if self.seen < self.warmup:
            self.seen += 1
            if self.seen > self.warmup - self.quarter:
                present = signals.losses > 0
                self.total += torch.where(present, losses, 0.0)
                self.counted += present
            return 1 / losses
        shares = torch.softmax((losses / self.nadir).log() / self.mu, dim=0)
        return len(losses) * shares / losses
