"""Weights: initial values of a backbone from the user's file.

A file is identified by the SHA-256 of its bytes, never by its location, so that a run keeps its
identity when it is resumed elsewhere. `keep` copies the file into the cache under that name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auxbench.data.prepared import cache
from auxbench.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["adopt", "cover", "keep", "kept", "read"]

_KINDS = (".safetensors", ".pth", ".pt", ".bin")


def keep(file: Path) -> str:
    """Copy a weights file into the cache and return its SHA-256; errors: `UsageError`."""
    if file.suffix not in _KINDS:
        raise UsageError(f"weights '{file}' have an unknown type; give {', '.join(_KINDS)}.")
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        place = _folder() / f"{digest}{file.suffix}"
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            draft = place.with_name(f".{place.name}.{os.getpid()}.tmp")
            shutil.copyfile(file, draft)
            os.replace(draft, place)
    except OSError as error:
        raise UsageError(
            f"weights '{file}' cannot be copied to the cache ({error.strerror}); correct that."
        ) from None
    return digest


def kept(digest: str) -> Path:
    """The cached file with that SHA-256; errors: `UsageError` if there is none."""
    found = sorted(_folder().glob(f"{digest}.*"))
    if not found:
        raise UsageError(
            f"weights '{digest[:12]}' are not in '{_folder()}'; name their file with --weights."
        )
    return found[0]


def adopt(digest: str, suffix: str, content: bytes) -> None:
    """Put a weights file into the cache of this machine, as sent from another one."""
    place = _folder() / f"{digest}{suffix}"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f".{place.name}.{os.getpid()}.tmp")
        draft.write_bytes(content)
        os.replace(draft, place)


def read(file: Path) -> dict[str, Tensor]:
    """The tensors in a file by name, on the CPU; nothing but tensors is ever unpickled.

    Wrappers that training scripts add are removed: an outer `state_dict` or `model`, and `module.`
    before the names. Errors: `UsageError` for a file that cannot be read.
    """
    from timm.models import load_state_dict

    try:
        tensors: dict[str, Tensor] = load_state_dict(str(file), device="cpu", weights_only=True)
    except Exception as error:  # whatever unpickling, zip files and safetensors may raise
        reason = str(error).strip().partition("\n")[0].rstrip(".")[:120]
        raise UsageError(
            f"weights '{file.name}' cannot be read ({type(error).__name__}: {reason}); give the "
            "state of a network, in a safetensors file or saved by torch.save."
        ) from None
    return tensors


def cover(tensors: Mapping[str, Any], net: nn.Module, name: str, file: str) -> None:
    """Check that a file has every tensor of a timm network; errors: `UsageError` if not."""
    here = {key.replace(".", "_") for key in tensors}  # timm joins names so in flattened networks
    wanted = {key.removeprefix("model."): None for key in net.state_dict()}
    missing = [key for key in wanted if key.replace(".", "_") not in here]
    if missing:
        raise UsageError(
            f"weights '{file}' lack {len(missing)} of {len(wanted)} tensors of backbone '{name}', "
            f"such as '{missing[0]}'; give weights of this backbone, under the names of timm."
        )


def _folder() -> Path:
    return cache.root() / "weights"
