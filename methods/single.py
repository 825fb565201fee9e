"""The single-task network: the primary alone, without any auxiliary task.

The reference of every comparison. It gets the same steps, data and tuning as all others, since a
baseline that is trained less is not a baseline. The paper argues why.

`holdout=yes` leaves out the tenth of the training samples on which methods that learn on held-out
data do not train. Compared with them, it shows the effect of the missing samples, which nothing
reads.

Known flaws: with as many steps as all others, it gets less computation than methods that run
several tasks forwards and backwards. Published comparisons often tune and regularise it less than
the rest.

@inproceedings{kurin2022sum,
  author = {Kurin, V. and De Palma, A. and Kostrikov, I. and Whiteson, S. and Kumar, M. P.},
  title = {{In Defense of the Unitary Scalarization for Deep Multi-Task Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2022},
  url = {https://arxiv.org/abs/2201.04122},
}
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from auxbench import METHODS, Architecture, Builder
from auxbench.spec.marks import Help


@METHODS.register
class Single(Architecture):
    """One network for the primary; forward: images [B, 3, H, W] -> {primary: prediction}."""

    def __init__(
        self,
        builder: Builder,
        *,
        holdout: Annotated[
            bool,
            Help("Whether to do without the samples that other methods hold out from training."),
        ] = False,
    ) -> None:
        super().__init__(builder)
        self.split = "train/kept" if holdout else "train"
        self.trained = builder.tasks[:1]
        self.network = builder.network(self.primary)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {self.primary.name: self.network(images)}

    def deploy(self) -> nn.Module:
        return self.network
