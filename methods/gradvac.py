"""GradVac: a gradient that is less aligned with another task's than usual is turned towards it.

For every task i, the other tasks j are visited in random order. If the cosine between i's gradient,
as changed so far, and j's original gradient is below a target, just enough of j's gradient is added
to meet the target. The results are summed. The targets are running means of these cosines, which
start at 0 and are updated with rate `beta`. This is the variant on the whole model; the paper also
keeps targets per layer.

Known flaws: the result depends on the order of the visits, and until the targets have moved away
from 0, the rule is PCGrad. Some public versions update a target only when it was missed, and two
set `beta` to 0.5, fifty times the paper's value.

@inproceedings{wang2021gradvac,
  author = {Wang, Z. and Tsvetkov, Y. and Firat, O. and Cao, Y.},
  title = {{Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively
    Multilingual Models}},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2021},
  url = {https://arxiv.org/abs/2010.05874},
}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, GradientBalancer, Signals
from auxbench.spec.marks import Help, Share, Tune

# No finite multiple of the other gradient reaches a cosine of 1.
HIGHEST = 0.999


@METHODS.register
class GradVac(GradientBalancer):
    """Gradient vaccine with one target per ordered pair of tasks.

    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> balancer = GradVac(["a", "b"], torch.Generator())
    >>> [round(w, 6) for w in balancer.weights(signals).tolist()]
    [1.5, 2.0]
    >>> round(balancer.targets[0, 1].item(), 6)
    -0.007071
    """

    family = "gradient"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        beta: Annotated[
            Share,
            Tune(0.001, 0.1, log=True),
            Help("Share by which a target moves to the latest cosine; with 0 the rule is PCGrad."),
        ] = 0.01,
    ) -> None:
        super().__init__(tasks, rng)
        self.beta = beta
        self.targets: Tensor
        self.register_buffer("targets", torch.zeros(len(tasks), len(tasks), dtype=torch.float64))

    def weights(self, signals: Signals) -> Tensor:
        gramian = signals.gramian
        tasks = len(gramian)
        coefficients = torch.eye(tasks, dtype=torch.float64)
        if not gramian.isfinite().all():
            return coefficients.sum(dim=0)
        lengths = gramian.diagonal().clamp(min=0).sqrt().tolist()
        targets = self.targets.tolist()
        for task, own in enumerate(coefficients):
            for other in torch.randperm(tasks, generator=self.rng).tolist():
                length = math.sqrt(max(float(own @ gramian @ own), 0.0))
                if other == task or length * lengths[other] == 0:
                    continue
                cosine = float(own @ gramian[other]) / length / lengths[other]
                cosine = min(max(cosine, -1.0), 1.0)
                target = min(targets[task][other], HIGHEST)
                if cosine < target:
                    sines = math.sqrt(1 - cosine**2), math.sqrt(1 - target**2)
                    added = target * sines[0] / sines[1] - cosine
                    own[other] += added * length / lengths[other]
                targets[task][other] += self.beta * (cosine - targets[task][other])
        self.targets = torch.tensor(targets, dtype=torch.float64)
        return coefficients.sum(dim=0)
