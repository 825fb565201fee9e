"""Exported networks: programmes of tensor operators without Python code, made by `torch.export`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from auxbench.errors import AuxbenchError, reason

__all__ = ["evaluation", "exported", "exported_for_any_batch", "import_early"]


@contextmanager
def evaluation(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode without gradients, by setting each module's flag.

    A network's `train()` and `eval()` may be overridden, for example to fuse layers or to keep some
    of them frozen, and could then not be undone.
    """
    modes = [(module, module.training) for module in network.modules()]
    for module, _ in modes:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def exported(network: nn.Module, example: Tensor) -> ExportedProgram:
    """The programme of a network's prediction for inputs of exactly the shape of `example`.

    The network is left as it was. Errors: `AuxbenchError` if torch.export refuses it, such as for
    control flow that depends on the values of a tensor.

    >>> program = exported(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.zeros(1, 3))
    >>> [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    ['aten.linear.default', 'aten.relu.default']
    """
    return _export(network, example, None)


def exported_for_any_batch(network: nn.Module, example: Tensor) -> tuple[ExportedProgram, bool]:
    """The programme of a network, and True if it takes batches of any size.

    Some networks compute with the size of the batch, so that their programme is for a fixed one: it
    is then for a batch of one. Errors: as for `exported`.
    """
    one = example[:1]
    try:
        # torch.export takes a size of one for a constant
        return _export(network, torch.cat([one, one]), ({0: Dim.DYNAMIC},)), True
    except AuxbenchError:
        return _export(network, one, None), False


def import_early() -> None:
    """Import what torch.export imports when it is first used, for processes that are forked later.

    Nothing is exported, since that may start CUDA, which no forked process could then use.
    """
    for name in ("networkx", "torch.export._trace"):
        with suppress(ImportError):
            import_module(name)


def _export(network: nn.Module, example: Tensor, shapes: Any) -> ExportedProgram:
    with evaluation(network), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are about the inside of torch
        try:
            return torch.export.export(
                network,
                (example,),
                dynamic_shapes=shapes,
                strict=False,
            )
        except Exception as error:  # there is no common class of what it raises
            raise AuxbenchError(
                f"the network cannot be exported ({type(error).__name__}: {reason(error)})"
            ) from None
