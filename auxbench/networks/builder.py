"""The builder of networks, and the single-task network, the baseline of every comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from auxbench.data.dataset import Task
from auxbench.data.seeds import Seeds
from auxbench.networks import heads
from auxbench.networks.backbone import Backbone
from auxbench.spec.networks import HEAD

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Builder:
    """Builds networks for an architecture, from the tasks, a backbone factory and the seeds.

    `dense_head` is the head for tasks that predict maps, in the grammar of `heads.head`. All parts
    of the primary's network have their own seeds, so they start from the same values under every
    method: common random numbers.
    """

    tasks: tuple[Task, ...]
    make_backbone: Callable[[], Backbone]
    seeds: Seeds
    dense_head: str = HEAD

    def backbone(self, task: Task) -> Backbone:
        """A new backbone for a task; the primary's starts from the same values in every method."""
        role = "primary" if task is self.tasks[0] else task.name
        with self.seeds.seeded("trunk", role):
            return self.make_backbone()

    def head(self, task: Task, backbone: Backbone) -> nn.Module:
        """A new head that fits the task."""
        with self.seeds.seeded("head", task.name):
            return heads.head(task.dense, backbone, task.outputs, self.dense_head)

    def network(self, task: Task) -> Network:
        """A new single-task network."""
        backbone = self.backbone(task)
        return Network(backbone, self.head(task, backbone))


class Network(nn.Module):
    """A single-task network of backbone and head, from images [B, 3, H, W] to a prediction.

    `after` holds one module per block that is applied to the block's output, for architectures that
    keep additional modules on the primary branch.
    """

    def __init__(
        self, backbone: Backbone, head: nn.Module, after: Iterable[nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.after = None if after is None else nn.ModuleList(after)

    def forward(self, images: Tensor) -> Tensor:
        """The prediction for a batch of images."""
        after = self.after
        if after is None:
            return self.predict(self.backbone(images), images)
        return self.predict(
            self.backbone.forward_with_hook(images, lambda block, x: after[block](x)), images
        )

    def predict(self, features: list[Tensor], images: Tensor) -> Tensor:
        """The head's prediction from the features at the ends of the stages."""
        prediction: Tensor = self.head(features, tuple(images.shape[-2:]))
        return prediction


def placed(module: Module, device: str) -> Module:
    """The same module on a device, its convolutions with channels last, which is faster.

    Batches are stored in the same way (see `Batch.to`).
    """
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
