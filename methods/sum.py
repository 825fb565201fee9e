"""The plain sum of all losses, also known as equal weighting or unitary scalarization.

The baseline that specialised methods have to beat: with ordinary regularisation it often matches
them. A chain without any balancer uses this sum.

Known flaws: the unit of a loss determines its influence. Public versions that take the mean divide
the learning rate by the number of tasks, and at least one documents the mean but computes the sum.

@inproceedings{kurin2022sum,
  author = {Kurin, V. and De Palma, A. and Kostrikov, I. and Whiteson, S. and Kumar, M. P.},
  title = {{In Defense of the Unitary Scalarization for Deep Multi-Task Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2022},
  url = {https://arxiv.org/abs/2201.04122},
}
"""

from __future__ import annotations

from auxbench import METHODS, Balancer


@METHODS.register
class Sum(Balancer):
    """Weight 1 for every task.

    >>> import torch
    >>> from auxbench import Signals
    >>> Sum(["a", "b"], torch.Generator()).weights(Signals.of([3.0, 5.0], torch.eye(2))).tolist()
    [1.0, 1.0]
    """

    family = "loss weighting"
