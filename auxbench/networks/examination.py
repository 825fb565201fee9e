"""Examinations: whether a network that was cut into blocks computes what it did before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["alike", "examination", "outputs"]


def outputs(blocks: Sequence[nn.Module], feature: Tensor) -> list[Tensor]:
    """The outputs of consecutive blocks, up to the first that fails or modifies its input."""
    outputs: list[Tensor] = []
    try:
        for block in blocks:
            given, output = feature.clone(), block(feature)
            if not torch.equal(feature, given):
                break
            outputs.append(output)
            feature = output
    except (AttributeError, RuntimeError, TypeError, ValueError):  # the blocks are not a chain
        pass
    return outputs


def alike(ours: Tensor, theirs: Tensor) -> bool:
    """Return whether two tensors are equal up to rounding; false if any number is not finite."""
    if ours.shape != theirs.shape:
        return False
    error = (ours - theirs).abs().max()
    return bool(error <= 1e-5 * theirs.abs().max())


@contextmanager
def examination(net: nn.Module) -> Iterator[torch.Generator]:
    """Evaluate a network without gradients and with every block active; undone afterwards.

    Gains that start at or near 0 (the last norm of a residual branch, layer scales) would hide what
    a block computes, so parameters that start constant are random inside this context.
    """
    generator = torch.Generator().manual_seed(0)
    training = [module for module in net.modules() if module.training]  # cutting removes some
    state = torch.get_rng_state()
    constant = [p for p in net.parameters() if bool((p == p.flatten()[:1]).all())]
    kept = [parameter.detach().clone() for parameter in constant]
    net.eval()
    try:
        with torch.no_grad():
            for parameter in constant:
                values = torch.rand(parameter.shape, generator=generator, device="cpu")
                parameter.copy_(0.1 + 0.8 * values)
            yield generator
    finally:
        with torch.no_grad():
            for parameter, values in zip(constant, kept, strict=True):
                parameter.copy_(values)
        for module in training:
            module.training = True
        torch.set_rng_state(state)
