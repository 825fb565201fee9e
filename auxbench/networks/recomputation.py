"""Recomputation of blocks in the backward pass, to save memory: gradient checkpointing.

Chen, Xu, Zhang, Guestrin, Training Deep Nets with Sublinear Memory Cost, 2016,
https://arxiv.org/abs/1604.06174.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from auxbench.networks.backbone import Backbone


@contextmanager
def recomputed(network: nn.Module) -> Iterator[None]:
    """Keep only the inputs of the blocks of every backbone inside `network` for backward passes.

    Every backward pass computes each block again, with the same random numbers; BatchNorm's running
    statistics change once. Gradients are the same up to rounding. Forward passes inside this
    context have to use the parameters that the network has in the backward pass.
    """
    backbones = [part for part in network.modules() if isinstance(part, Backbone)]
    blocks = [block for backbone in backbones for block in backbone.blocks]
    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(_recomputed(block))
        yield


@contextmanager
def _recomputed(block: nn.Module) -> Iterator[None]:
    own = block.__dict__.get("forward")
    again = partial(checkpoint, block.forward, use_reentrant=False, context_fn=lambda: _both(block))
    block.__dict__["forward"] = again
    try:
        yield
    finally:
        del block.__dict__["forward"]
        if own is not None:
            block.__dict__["forward"] = own


def _both(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The contexts of a block's first and of its later computations."""
    return nullcontext(), _Unmoved(block)


class _Unmoved(AbstractContextManager[None]):
    """A block computes as it did at first, but running statistics move by a share of 0.

    Every backward pass enters it once more.
    """

    def __init__(self, block: nn.Module) -> None:
        self.norms = [part for part in block.modules() if isinstance(part, _BatchNorm)]
        self.tracked = [norm.track_running_stats for norm in self.norms]
        self.kept: list[tuple[float | None, torch.Tensor | None, bool]] = []

    def __enter__(self) -> None:
        self.kept = [
            (norm.momentum, norm.num_batches_tracked, norm.track_running_stats)
            for norm in self.norms
        ]
        for norm, tracked in zip(self.norms, self.tracked, strict=True):
            norm.momentum, norm.num_batches_tracked = 0.0, None
            norm.track_running_stats = tracked

    def __exit__(self, *failure: object) -> None:
        for norm, (momentum, count, tracked) in zip(self.norms, self.kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
            norm.track_running_stats = tracked
