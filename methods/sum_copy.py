"""The plain sum under another name and with another private random stream.

A control of the suite itself: it has to match `sum` number by number. If it does not, names or
private draws leak into what methods have in common.

Known flaws: none are known, and a flaw of the suite would show here.

@inproceedings{kurin2022sum,
  author = {Kurin, V. and De Palma, A. and Kostrikov, I. and Whiteson, S. and Kumar, M. P.},
  title = {{In Defense of the Unitary Scalarization for Deep Multi-Task Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2022},
  url = {https://arxiv.org/abs/2201.04122},
}
"""

from __future__ import annotations

import torch
from torch import Tensor

from auxbench import METHODS, Balancer, Signals


@METHODS.register
class SumCopy(Balancer):
    """All weights are 1, whatever is drawn.

    >>> balancer = SumCopy(["a", "b"], torch.Generator())
    >>> balancer.weights(Signals.of([1.0, 3.0], torch.eye(2))).tolist()
    [1.0, 1.0]
    """

    family = "control"

    def weights(self, signals: Signals) -> Tensor:
        torch.rand(len(self.tasks), generator=self.rng)  # advances only the private stream
        return torch.ones(len(self.tasks), dtype=torch.float64)
