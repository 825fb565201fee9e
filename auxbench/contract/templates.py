"""The texts of templates: a method, an architecture, a data set and a backbone that work already.

Braces are doubled, since `str.format` fills in `title` and `source`.
"""

METHOD = '''"""{title}: auxiliary tasks with losses above the primary's weigh less than half.

Auxiliary a has the weight strength * L_p / (L_p + L_a), and the primary keeps weight 1. This is a
draft, written by auxbench new: say here what the rule is, and how it differs from public code.

Known flaws: it is a draft.

{source}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Balancer, Signals
from auxbench.spec.marks import Help, NonNegative


@METHODS.register
class {title}(Balancer):
    """Weights from the losses alone.

    >>> balancer = {title}(["a", "b"], torch.Generator())
    >>> balancer.weights(Signals.of([1.0, 3.0], torch.eye(2))).tolist()
    [1.0, 0.25]
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        strength: Annotated[NonNegative, Help("Weight of an auxiliary without a loss.")] = 1.0,
    ) -> None:
        super().__init__(tasks, rng)
        self.strength = strength

    def weights(self, signals: Signals) -> Tensor:
        losses = signals.losses
        both = losses[0] + losses
        weights = self.strength * torch.where(both > 0, losses[0] / both, 0.5)
        weights[0] = 1.0
        return weights
'''
ARCHITECTURE = '''"""{title}: hard parameter sharing, with a brake on the auxiliaries' gradients.

The gradients of the auxiliary losses reach the shared backbone multiplied by `strength`. This is a
draft, written by auxbench new: say here what is shared, and how it differs from public code.

Known flaws: it is a draft.

{source}
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from auxbench import METHODS, Architecture, Builder, Network
from auxbench.spec.marks import Help, Share


@METHODS.register
class {title}(Architecture):
    """A backbone and a head per task; forward: images [B, 3, H, W] -> {{task: prediction}}."""

    def __init__(
        self,
        builder: Builder,
        *,
        strength: Annotated[
            Share, Help("Factor of the auxiliaries' gradients in the backbone.")
        ] = 0.5,
    ) -> None:
        super().__init__(builder)
        self.strength = strength
        # The builder makes the primary's backbone and head start alike under every method.
        self.network = builder.network(self.primary)
        backbone = self.network.backbone
        heads = {{task.name: builder.head(task, backbone) for task in self.tasks[1:]}}
        self.heads = nn.ModuleDict(heads)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features, size = self.network.backbone(images), tuple(images.shape[-2:])
        predictions = {{self.primary.name: self.network.predict(features, images)}}
        braked = [self.strength * x + (1 - self.strength) * x.detach() for x in features]
        for name, head in self.heads.items():
            predictions[name] = head(braked, size)
        return predictions

    def deploy(self) -> Network:
        return self.network
'''
DATASET = '''"""{title}: pictures of one bright disc, and the side on which it lies.

The primary is the side, the auxiliary the disc's radius, which is unknown for a tenth of the
samples. This is a draft, written by auxbench new: read your own files in `arrays`, and say here
what they show, who collected them, and under which licence they may be used.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch

from auxbench import DATASETS, Batch, Dataset, Samples
from auxbench.data.arrays import ArraySamples, normalised
from auxbench.data.dataset import Draw, named
from auxbench.data.kinds import Label, Number
from auxbench.spec.marks import Bounds, Help

SIDE = 32  # pixels
Arrays = dict[str, npt.NDArray[Any]]


@DATASETS.register
class {title}(Dataset):
    """Pictures in memory, split afresh by every seed: 60 % train, 20 % validation, 20 % test."""

    licence = "CC0-1.0"
    backbone = "test_resnet"  # tiny, for a quick start; take resnet18 for real pictures
    size = (SIDE, SIDE)
    tasks = named({{"side": Label(["left", "right"]), "radius": Number()}})
    primary = "side"
    auxiliaries = ("radius",)

    def __init__(
        self,
        *,
        count: Annotated[int, Bounds(10), Help("Number of samples of all splits.")] = 300,
        draw: Draw = None,
    ) -> None:
        self.count = count
        self.draw = draw or 0
        self.rows: Arrays = {{}}

    @classmethod
    def tiny(cls) -> Dataset:
        # For tests and estimates: about as few samples as there can be, and no files.
        return cls(count=25)

    def prepare(self) -> None:
        if not self.rows:
            self.rows = arrays(self.count)

    def samples(self, split: str) -> Samples:
        self.prepare()
        order = np.random.default_rng(self.draw).permutation(self.count)
        ends = (0, round(0.6 * self.count), round(0.8 * self.count), self.count)
        place = ("train", "validation", "test").index(split)
        chosen = order[ends[place] : ends[place + 1]]
        return ArraySamples({{name: rows[chosen] for name, rows in self.rows.items()}}, batch)


def arrays(count: int) -> Arrays:
    """Pictures [N, side, side, 3] in bytes, sides [N] and radii [N, 1]; NaN is an unknown radius.

    A class that is unknown is -1. Replace the drawing by your files, such as np.load("all.npz").
    """
    draws = np.random.default_rng(0)
    images = draws.integers(0, 160, (count, SIDE, SIDE, 3), dtype=np.uint8)
    sides, radii = draws.integers(0, 2, count), draws.uniform(2, 5, (count, 1))
    y, x = np.mgrid[:SIDE, :SIDE]
    for image, side, radius in zip(images, sides, radii, strict=True):
        row, column = draws.uniform(6, SIDE - 6), draws.uniform(6, SIDE / 2 - 2)
        column += side * SIDE / 2
        image[(y - row) ** 2 + (x - column) ** 2 <= radius**2] += 60
    radii[draws.random(count) < 0.1] = np.nan
    return {{"images": images, "side": sides, "radius": radii.astype(np.float32)}}


def batch(rows: Arrays, rng: np.random.Generator | None) -> Batch:
    """The batch of some rows, which are copies; in training half of them are upside down."""
    images = rows.pop("images")
    if rng is not None:
        turned = rng.random(len(images)) < 0.5
        images[turned] = images[turned, ::-1]
    return Batch(normalised(images), {{name: torch.from_numpy(a) for name, a in rows.items()}})
'''
BACKBONE = '''"""{title}: a small residual network of three stages.

This is a draft, written by auxbench new: say here what the network is and where it comes from.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from auxbench import BACKBONES
from auxbench.spec.marks import Bounds, Help


@BACKBONES.register
class {title}(nn.Module):
    """A stem and blocks, applied one after the other: images [B, 3, H, W] -> maps [B, C, h, w].

    Where a block changes the shape of the maps a new stage begins. Architectures such as auxnas
    link networks after every block.
    """

    def __init__(
        self,
        *,
        width: Annotated[int, Bounds(1, 4096), Help("Channels of the first stage.")] = 16,
        depth: Annotated[int, Bounds(1, 100), Help("Blocks of every stage.")] = 2,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        blocks, channels = [], width
        for stage in range(3):
            for place in range(depth):
                wide = width * 2**stage
                blocks.append(Block(channels, wide, stride=2 if place == 0 else 1))
                channels = wide
        self.blocks = nn.ModuleList(blocks)


class Block(nn.Module):
    """Two convolutions, and a shortcut around them."""

    def __init__(self, channels: int, wide: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, wide, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1, bias=False),
            nn.BatchNorm2d(wide),
        )
        same = stride == 1 and channels == wide
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, wide, 1, stride)
        self.act = nn.ReLU()

    def forward(self, feature: Tensor) -> Tensor:
        output: Tensor = self.act(self.inner(feature) + self.shortcut(feature))
        return output
'''
