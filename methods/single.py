"""The single-task network: the primary alone, without any auxiliary task.

The anchor of every comparison. It gets the same steps, data and tuning as everybody else; a
baseline that is trained less is not a baseline.

Source: the custom of the field; why it must be trained as hard as the rest is argued by V. Kurin et
al., NeurIPS 2022, https://arxiv.org/abs/2201.04122
"""

from __future__ import annotations

from torch import Tensor, nn

from auxbench.architecture import Architecture, Site
from auxbench.registry import METHODS


@METHODS.register
class Single(Architecture):
    """One network for the primary; forward: images [B, 3, H, W] -> {primary: prediction}."""

    family = "architecture"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.trained = site.tasks[:1]
        self.network = site.network(self.primary)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {self.primary.name: self.network(images)}

    def deploy(self) -> nn.Module:
        return self.network
