"""Noise: auxiliary tasks trained with the labels of other samples.

A control that shows what training on auxiliary losses does by itself, whether it regularises or
hurts. In every training batch, the labels of each auxiliary are shifted by a random number of
samples, so that they keep their distribution but carry no information about the input. What a
method gains with these labels is not due to its auxiliary tasks. The control works with any
architecture and any chain. Validation and test data keep their labels.

Known flaws: label maps keep what all images have in common, such as where the floor is, so for
dense tasks the noise still carries some information about the average image.

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

from auxbench import METHODS, Balancer, Batch
from auxbench.errors import UsageError


@METHODS.register
class NoiseAux(Balancer):
    """All weights are 1, and no auxiliary label belongs to its input.

    >>> balancer = NoiseAux(["a", "b"], torch.Generator().manual_seed(0))
    >>> batch = Batch(torch.zeros(3, 1), {"a": torch.arange(3), "b": torch.arange(3)})
    >>> noisy = balancer.relabel(batch)
    >>> noisy.targets["a"].tolist(), bool((noisy.targets["b"] == batch.targets["b"]).any())
    ([0, 1, 2], False)
    """

    family = "control"

    def relabel(self, batch: Batch) -> Batch:
        if len(self.tasks) > 1 and len(batch) == 1:
            raise UsageError("method 'noise-aux' hands labels on within a batch; use --batch 2.")
        targets = dict(batch.targets)
        for task in self.tasks[1:]:
            (shift,) = torch.randint(1, len(batch), (1,), generator=self.rng).tolist()
            targets[task] = targets[task].roll(shift, dims=0)
        return Batch(batch.inputs, targets)
