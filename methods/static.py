"""Fixed weights per task, given as options: `static:depth=0.1:normals=2`.

Tasks that are not named keep weight 1. When tuned on validation data, this is the strongest of the
simple baselines, so it deserves the same number of trials as any other method.

Known flaws: its cost is the search for the weights, which grows with the number of auxiliaries.
Gains over it that papers report often stem from too coarse a grid.

@inproceedings{xin2022static,
  author = {Xin, D. and Ghorbani, B. and Garg, A. and Firat, O. and Gilmer, J.},
  title = {{Do Current Multi-Task Optimization Methods in Deep Learning Even Help?}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2022},
  url = {https://arxiv.org/abs/2209.11379},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Balancer, Signals
from auxbench.spec.marks import Help, NonNegative, Tune


@METHODS.register
class Static(Balancer):
    """Constant weights, at least 0.

    >>> balancer = Static(["seg", "depth"], torch.Generator(), depth=0.1)
    >>> balancer.weights(Signals.of([3.0, 5.0], torch.eye(2))).tolist()
    [1.0, 0.1]
    """

    family = "loss weighting"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        **weights: Annotated[
            NonNegative,
            Tune(0.01, 10, log=True),
            Help("Weight of that task; a task that is not named has 1."),
        ],
    ) -> None:
        super().__init__(tasks, rng)
        values = [weights.get(task, 1.0) for task in tasks]
        self.constant: Tensor
        self.register_buffer("constant", torch.tensor(values, dtype=torch.float64))

    def weights(self, signals: Signals) -> Tensor:
        return self.constant
