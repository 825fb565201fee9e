"""Compilation of a network's parts by torch.compile, for the passes of the descent."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from auxbench.data.seeds import Seeds
from auxbench.networks.backbone import Backbone
from auxbench.networks.heads import HEADS, VectorHead
from auxbench.training.precision import Precision

PARTS: tuple[type[nn.Module], ...] = (VectorHead, *HEADS.values())
MOST = 256  # variants of one function, such as the blocks of all stages and branches


class Compiled:
    """The stems, blocks and heads of a network, each compiled by itself.

    In a network that is compiled as a whole, every loss seems to depend on every parameter, so that
    one could not observe any more which parameters are shared. Outside `used` the network is as it
    was, since evaluation, forward-mode passes and second derivatives need it so.

    `seconds` is the time that compilation took. If it failed, `failed` says why and the network
    runs uncompiled.
    """

    def __init__(self, network: nn.Module, precision: Precision) -> None:
        self.network = network
        self.precision = precision
        self.parts: Mapping[nn.Module, Any] = {}
        self.failed = ""
        self.seconds = 0.0

    def prepare(self, inputs: Tensor, seeds: Seeds) -> None:
        """Compile for inputs of this shape by passing them through and back.

        Buffers, gradients and random states end as they were.
        """
        import torch._dynamo.config as tracing
        import torch._functorch.config as differentiation

        differentiation.donated_buffer = False  # a graph may be passed back once for every task
        limit = "recompile_limit" if hasattr(tracing, "recompile_limit") else "cache_size_limit"
        setattr(tracing, limit, max(getattr(tracing, limit), MOST))  # the latter in torch 2.6
        kept = {name: value.clone() for name, value in self.network.named_buffers()}
        start = time.perf_counter()
        try:
            half = self.precision.autocast(scaled=True)
            with warnings.catch_warnings(), seeds.seeded("compile"):
                warnings.simplefilter("ignore")  # the compiler's, about its own doings
                self.parts = {
                    part: torch.compile(part.forward, dynamic=False)
                    for part in _parts(self.network)
                }
                with half, self.used():
                    predictions = self.network(inputs)
                total = sum(p.square().mean() for p in predictions.values())
                parameters = [p for p in self.network.parameters() if p.requires_grad]
                torch.autograd.grad(total, parameters, allow_unused=True)
        except Exception as error:  # compilers fail in many ways
            self.parts = {}
            self.failed = " ".join(str(error).split())[:120] or type(error).__name__
        finally:
            with torch.no_grad():
                for name, value in self.network.named_buffers():
                    value.copy_(kept[name])
        self.seconds = time.perf_counter() - start

    @contextmanager
    def used(self) -> Iterator[None]:
        """A context in which the parts run as compiled."""
        for part, call in self.parts.items():
            part.forward = call
        try:
            yield
        finally:
            for part in self.parts:
                del part.forward


def _parts(network: nn.Module) -> Iterator[nn.Module]:
    for part in network.modules():
        if isinstance(part, Backbone):
            yield part.stem
            yield from part.blocks
        elif isinstance(part, PARTS):
            yield part
