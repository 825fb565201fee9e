"""Kept weights: the parameters and buffers of a run's deployed network, in its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as save_all
from torch import Tensor, nn

from auxbench import __version__
from auxbench.errors import AuxbenchError, UsageError, reason
from auxbench.spec.run import Run

__all__ = ["FILE", "are_kept", "load", "remove", "save", "write"]

FILE = "weights.safetensors"


def are_kept(folder: Path) -> bool:
    """Return whether the weights of the run with this folder are there."""
    return (folder / FILE).is_file()


def save(folder: Path, network: nn.Module, run: Run) -> None:
    """Write the weights of a run's deployed network; errors: `AuxbenchError` when that fails."""
    write(folder / FILE, network.state_dict(), run.id)


def remove(folder: Path) -> None:
    """Delete the weights of the run with this folder, if they were kept."""
    (folder / FILE).unlink(missing_ok=True)


def write(file: Path, tensors: Mapping[str, Tensor], run: str) -> None:
    """Write tensors by name and the id of their run; the file is complete or not there.

    Errors: `AuxbenchError` when that fails.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    # the format has neither strides nor tensors that share memory
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(save_all(plain, {"run": run, "auxbench": __version__}))
        os.replace(draft, file)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise AuxbenchError(
            f"weights '{file}' cannot be written ({reason(error)}); "
            "make room or choose another folder with --results."
        ) from None


def load(folder: Path, network: nn.Module, run: str) -> None:
    """Give a network the weights that were kept of the run `run`.

    Errors: `UsageError` if the file cannot be read or does not fit the network.
    """
    file = folder / FILE
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"weights '{file}' cannot be read ({reason(error)}); delete them and train run {run} "
            "again with --keep-weights."
        ) from None
    own = network.state_dict()
    wrong = [
        name
        for name in sorted({*own, *tensors})
        if name not in own or name not in tensors or own[name].shape != tensors[name].shape
    ]
    if wrong:
        raise UsageError(
            f"weights '{file}' do not fit the network of run {run}, as in '{wrong[0]}': its code "
            "has changed; delete them and train the run again with --keep-weights."
        )
    network.load_state_dict(tensors)
