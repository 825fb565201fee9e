"""Checkpoints: a nested tree of tensors and plain values in one file, exact to the bit."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from auxbench.errors import AuxbenchError, reason

LITTER = 600.0  # seconds without a byte after which a draft has no owner


def save(path: Path | str, tree: Any) -> Path:
    """Write `tree` to `path`.pt atomically, and return that file.

    A crash at any moment leaves either the earlier file or the new one. A tree consists of dicts,
    lists, tuples, tensors, numbers, bool, None and str. Only one process at a time may write a
    checkpoint; missing folders are created. Errors: `AuxbenchError` when writing fails.
    """
    file = _file(path)
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as stream:
            _clear(draft, f".{file.name}.*.tmp")
            torch.save({"sha256": digest(tree), "tree": tree}, stream)
            stream.flush()
            os.fsync(stream.fileno())  # else a crash could keep the rename but lose the content
        os.replace(draft, file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise AuxbenchError(
            f"checkpoint '{file}' cannot be written ({reason(error)}); "
            "make room or choose another folder with --results."
        ) from None
    return file


def _clear(draft: Path, pattern: str) -> None:
    """Remove the drafts of processes that were killed while writing, but not of one that writes.

    The process that had the run before this one may be alive, such as after it was suspended.
    """
    now = draft.stat().st_mtime  # by the clock of the file system
    for litter in draft.parent.glob(pattern):
        with suppress(FileNotFoundError):
            if now - litter.stat().st_mtime > LITTER:
                litter.unlink()


def load(path: Path | str) -> Any:
    """The tree that was saved to `path`, its tensors on the CPU.

    No code in the file is executed. Errors: `AuxbenchError` when the file is missing or damaged,
    or its content is not what was saved.
    """
    file = _file(path)
    if not exists(path):
        raise AuxbenchError(f"checkpoint '{file}' does not exist; start the run again.")
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
        if digest(saved["tree"]) != saved["sha256"]:
            raise ValueError("its content is not what was saved")
    except (
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise AuxbenchError(
            f"checkpoint '{file}' cannot be read ({reason(error)}); "
            "delete it to start the run again."
        ) from None
    return saved["tree"]


def load_own(path: Path | str, belongs: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The tree at `path` if it belongs to this run, else None and a sentence saying why not.

    The tree's key `belongs` says what it was made with. A tree that was made with something else,
    or is damaged, is renamed, so that it can be recovered.
    """
    if not exists(path):
        return None, ""
    try:
        tree = load(path)
        made = tree.get("belongs", {}) if isinstance(tree, dict) else {}
        wrong = [key for key, value in belongs.items() if made.get(key) != value]
        if not wrong:
            return tree, ""
        was, now = made.get(wrong[0]), belongs[wrong[0]]
        values = "" if isinstance(now, Mapping) else f" ({was}, not {now})"
        said = f"differs from this run in its {wrong[0]}{values}"
    except AuxbenchError:
        said = "is damaged"
    file = _file(path)
    aside = file.with_name(f"{file.stem}.aside{file.suffix}")
    os.replace(file, aside)
    return None, (
        f"checkpoint '{file}' {said}; it is set aside as '{aside.name}' and the run starts again."
    )


def exists(path: Path | str) -> bool:
    """Return whether something was saved to `path`."""
    return _file(path).is_file()


def digest(tree: Any) -> str:
    """The SHA-256 of a tree's structure, types and exact values, in hexadecimal.

    The order of keys does not matter, and a tuple counts as a list. Errors: `TypeError` for any
    type that `save` does not take.

    >>> digest({"a": [torch.ones(2)], "b": None}) == digest({"b": None, "a": (torch.ones(2),)})
    True
    >>> digest({1: 0}) == digest({"1": 0}), digest(0.0) == digest(-0.0), digest(1) == digest(1.0)
    (False, False, False)
    """
    total = hashlib.sha256()
    for part in _parts(tree):
        total.update(part)
    return total.hexdigest()


def _parts(node: Any) -> Iterator[Any]:
    """The bytes of a tree, each piece preceded by its type."""
    if isinstance(node, Tensor):
        whole = node.detach().cpu().resolve_conj().resolve_neg().contiguous()
        yield f"tensor {whole.dtype} {tuple(whole.shape)}:".encode()
        yield whole.reshape(-1).view(torch.uint8).numpy().data
    elif isinstance(node, Mapping):
        keys = sorted(node, key=lambda key: (isinstance(key, str), key))
        yield f"dict {len(keys)}:".encode()
        for key in keys:
            yield f"{key!r}=".encode()
            yield from _parts(node[key])
    elif isinstance(node, list | tuple):
        yield f"list {len(node)}:".encode()
        for item in node:
            yield from _parts(item)
    elif node is None or isinstance(node, bool | int | float | str):
        yield f"{type(node).__name__} {node!r};".encode()
    else:
        raise TypeError(f"a {type(node).__name__} cannot be part of a checkpoint")


def _file(path: Path | str) -> Path:
    path = Path(path)
    return path.with_name(f"{path.name}.pt")
