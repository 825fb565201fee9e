"""GradNorm: loss weights that balance the tasks' gradient norms by how fast each task learns.

Let n_i = w_i |grad L_i| on the last shared layer, and let r_i be the ratio of task i's loss to its
first value, divided by the mean of these ratios. The weights descend on
sum |n_i - mean(n) r_i^alpha| with the targets held constant, and are renormalised to sum to the
number of tasks. Only the heads need extra backward passes: |grad w L| = w |grad L| needs no second
derivative. Linked branches share no last layer; there, a task's norm is measured on the last block
of its own branch. A task whose loss is 0, as on a batch without its labels, is left out of the
means, and its first value is its first loss above 0.

Known flaws: all learning speeds are measured against the loss of a single first batch, and without
a floor, which the paper does not mention, weights can become negative. Public versions use the
entire backbone or only the first tensor of the layer, pass the weights to the network's optimiser
and its weight decay, or leave the heads unweighted.

@inproceedings{chen2018gradnorm,
  author = {Chen, Z. and Badrinarayanan, V. and Lee, C.-Y. and Rabinovich, A.},
  title = {{GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask
    Networks}},
  booktitle = {International Conference on Machine Learning (ICML)},
  year = {2018},
  url = {https://arxiv.org/abs/1711.02257},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench import METHODS, Balancer, Signals
from auxbench.spec.marks import Help, NonNegative, Positive, Tune


@METHODS.register
class GradNorm(Balancer):
    """Gradient normalisation.

    >>> signals = Signals.of([1.0, 2.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> balancer = GradNorm(["a", "b"], torch.Generator())
    >>> balancer.weights(signals).tolist(), [round(w, 3) for w in balancer.current.tolist()]
    ([1.0, 1.0], [0.975, 1.025])
    """

    family = "loss weighting"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        alpha: Annotated[
            NonNegative,
            Tune(0.1, 3, log=True),
            Help(
                "Strength by which tasks that learn slowly are favoured; 0 makes all "
                "gradients equally long."
            ),
        ] = 1.5,
        rate: Annotated[Positive, Help("Learning rate of the weights' Adam.")] = 0.025,
    ) -> None:
        super().__init__(tasks, rng)
        self.alpha = alpha
        self.current = Parameter(torch.ones(len(tasks), dtype=torch.float64))
        self.initial: Tensor
        self.register_buffer("initial", torch.full((len(tasks),), torch.nan, dtype=torch.float64))
        self.optimizer = torch.optim.Adam([self.current], rate)

    def weights(self, signals: Signals) -> Tensor:
        weights = self.current.detach().clone()
        self.current.grad = self.gradient(signals)
        self.optimizer.step()
        with torch.no_grad():
            # A negative weight would increase the loss; the paper does not cover this case.
            self.current.clamp_(min=1e-3)
            self.current.mul_(len(weights) / self.current.sum())
        return weights

    def gradient(self, signals: Signals) -> Tensor:
        """The derivative [T] of the imbalance with respect to the weights."""
        scaled = self.current.detach() * signals.norms
        return signals.norms * torch.sign(scaled - self.targets(signals))

    def targets(self, signals: Signals) -> Tensor:
        """The norms [T] that the weighted gradients should have, held constant."""
        losses, norms = signals.losses, self.current.detach() * signals.norms
        present = losses > 0
        self.initial = torch.where(self.initial.isnan() & present, losses, self.initial)
        if not present.any():
            return norms
        ratios = torch.where(present, losses / self.initial, 0.0)
        rates = ratios / ratios[present].mean()
        return norms[present].mean() * rates**self.alpha

    def extra(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_extra(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
