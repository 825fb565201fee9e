"""UW: loss weights from a learned homoscedastic uncertainty of every task.

The log variances s start at 0 and descend on the sum of exp(-s_i) L_i / 2 + s_i / 2 together with
the network, so that exp(s_i) approaches L_i; the weights are exp(-s_i) / 2. Here s has its own Adam
with learning rate `rate`. A single task keeps weight 1. In the updates of s, a loss counts as at
least 1e-8, so that the variance of a task without labels cannot collapse.

Known flaws: the weights become proportional to 1 / L, whatever the uncertainty, and for
cross-entropies the factor of one half is a convention. Public versions often leave s in the
network's optimiser, where weight decay pulls the variances to 1, and start it at -0.5 or -0.7.

@inproceedings{kendall2018uw,
  author = {Kendall, A. and Gal, Y. and Cipolla, R.},
  title = {{Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
    Semantics}},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2018},
  url = {https://arxiv.org/abs/1705.07115},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Signals
from auxbench.spec.marks import Help, Positive, Tune

from ._losses import LearnedLosses, bounded


@METHODS.register
class UW(LearnedLosses):
    """Uncertainty weighting.

    >>> signals = Signals.of([1.0, 2.0], torch.eye(2))
    >>> balancer = UW(["a", "b"], torch.Generator())
    >>> balancer.weights(signals).tolist(), [round(s, 3) for s in balancer.current.tolist()]
    ([0.5, 0.5], [0.0, 0.025])
    """

    family = "loss weighting"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        rate: Annotated[
            Positive, Tune(0.005, 0.1, log=True), Help("Learning rate of the log variances' Adam.")
        ] = 0.025,
    ) -> None:
        super().__init__(tasks, rng, rate=rate)

    def rule(self, signals: Signals) -> Tensor:
        weights = 0.5 * torch.exp(-self.current.detach())
        self.learn(0.5 - weights * bounded(signals.losses))
        return weights
