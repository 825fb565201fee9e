"""Hard parameter sharing: one backbone and one head per task, also called Aux-Head.

The auxiliary heads are dropped at deployment, so the deployed network is the single-task one. An
auxiliary weight of 0 reproduces single-task training bit for bit.

Known flaws: every auxiliary, useful or not, influences the entire backbone, and the choice of where
heads branch off is fixed here to the backbone's end.

@article{caruana1997hps,
  author = {Caruana, R.},
  title = {{Multitask Learning}},
  journal = {Machine Learning},
  year = {1997},
  url = {https://doi.org/10.1023/A:1007379606734},
}
"""

from __future__ import annotations

from torch import Tensor, nn

from auxbench import METHODS, Architecture, Builder, Network


@METHODS.register
class HPS(Architecture):
    """A shared backbone; forward: images [B, 3, H, W] -> {task: prediction}."""

    def __init__(self, builder: Builder) -> None:
        super().__init__(builder)
        self.network = builder.network(self.primary)
        trunk = self.network.backbone
        self.heads = nn.ModuleDict(
            {task.name: builder.head(task, trunk) for task in self.tasks[1:]}
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.network.backbone(images)
        size = tuple(images.shape[-2:])
        predictions = {self.primary.name: self.network.predict(features, images)}
        for name, head in self.heads.items():
            predictions[name] = head(features, size)
        return predictions

    def deploy(self) -> Network:
        return self.network
