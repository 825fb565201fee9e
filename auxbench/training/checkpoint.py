"""Checkpoints: a nested tree of tensors and plain values in one file, exact to the bit."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from auxbench.errors import AuxbenchError

__all__ = ["digest", "exists", "load", "save"]

# Types that every release of safetensors knows; others are kept as their bytes.
_COMMON = frozenset(
    {
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    }
)


def save(path: Path | str, tree: Any) -> Path:
    """Write `tree` to `path`.safetensors, all or nothing, and return that file.

    For checkpoints: a crash at any moment leaves either the earlier file or the new one. A tree
    is made of dicts with str or int keys, lists and tuples (which come back as lists), tensors
    of any type, shape, stride and device, int, float (NaN and infinities too), bool, None and
    str. Equal trees give equal bytes, whatever the order of their keys. One process at a time
    may write a checkpoint; folders are made. Errors: `TypeError` for anything else in the tree;
    `AuxbenchError` when the file cannot be written.
    """
    file = _file(path)
    skeleton, tensors = _flatten(tree)
    content = {
        str(number): tensor if tensor.dtype in _COMMON else _bytes(tensor)
        for number, tensor in enumerate(_apart(tensors))
    }
    header = {"tree": skeleton, "sha256": _hash(skeleton, tensors)}
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for litter in file.parent.glob(f".{glob.escape(file.name)}.*.tmp"):
            litter.unlink()  # of a process that was killed while it wrote
        # One key only: safetensors does not keep several in a fixed order.
        save_file(content, draft, metadata={"auxbench": _json(header)})
        _flush(draft)
        os.replace(draft, file)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise AuxbenchError(
            f"checkpoint '{file}' cannot be written ({_reason(error)}); "
            "make room or choose another folder with --results."
        ) from None
    return file


def load(path: Path | str) -> Any:
    """The tree that was saved to `path`, its tensors on the CPU with memory of their own.

    Errors: `AuxbenchError` when the file is missing, cut short or has other content than was saved.
    """
    file = _file(path)
    if not exists(path):
        raise AuxbenchError(f"checkpoint '{file}' does not exist; start the run again.")
    try:
        with safe_open(file, framework="pt") as opened:
            header = json.loads(opened.metadata()["auxbench"])
            tensors: list[Tensor] = []
            tree = _restore(header["tree"], opened.get_tensor, tensors)
        if _hash(header["tree"], tensors) != header["sha256"]:
            raise ValueError("its content is not what was saved")
    except (
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        SafetensorError,
        TypeError,
        ValueError,
    ) as error:
        raise AuxbenchError(
            f"checkpoint '{file}' cannot be read ({_reason(error)}); "
            "delete it to start the run again."
        ) from None
    return tree


def load_own(path: Path | str, belongs: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """What was saved to `path` if it belongs here, and a sentence if something else lies there.

    A tree says under the key `belongs` by what it was made. One that was made otherwise, or that is
    damaged, is set aside under another name, from which it can be taken back.
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
    """Whether something was saved to `path`."""
    return _file(path).is_file()


def digest(tree: Any) -> str:
    """The SHA-256 of what `save` would keep of `tree`, in hexadecimal.

    >>> digest({"a": [torch.ones(2)], "b": None}) == digest({"b": None, "a": (torch.ones(2),)})
    True
    >>> digest({1: 0}) == digest({"1": 0}), digest(0.0) == digest(-0.0), digest(1) == digest(1.0)
    (False, False, False)
    """
    return _hash(*_flatten(tree))


def _file(path: Path | str) -> Path:
    path = Path(path)
    return path.with_name(f"{path.name}.safetensors")


def _flatten(tree: Any) -> tuple[Any, list[Tensor]]:
    """`tree` as JSON, each tensor replaced by its number, and the tensors, whole and on the CPU."""
    tensors: list[Tensor] = []

    def at(place: str) -> str:
        return f"'{place[1:]}'" if place else "the top"

    def visit(node: Any, place: str) -> Any:
        if isinstance(node, Tensor):
            if node.layout is not torch.strided or node.is_quantized:
                raise TypeError(f"a sparse or quantized tensor at {at(place)} cannot be saved")
            tensors.append(node.detach().cpu().resolve_conj().resolve_neg().contiguous())
            kind = str(node.dtype).removeprefix("torch.")
            return {"tensor": len(tensors) - 1, "dtype": kind, "shape": list(node.shape)}
        if isinstance(node, Mapping):
            for key in node:
                if type(key) not in (str, int):
                    raise TypeError(f"key {key!r} at {at(place)} is not a str or an int")
            keys = sorted(node, key=lambda key: (isinstance(key, str), key))
            return {"dict": [[key, visit(node[key], f"{place}/{key}")] for key in keys]}
        if isinstance(node, (list, tuple)):
            return [visit(item, f"{place}/{number}") for number, item in enumerate(node)]
        if isinstance(node, float) and not math.isfinite(node):
            return {"float": float(node).hex()}
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        raise TypeError(f"a {type(node).__name__} at {at(place)} cannot be saved")

    return visit(tree, ""), tensors


def _restore(node: Any, stored: Callable[[str], Tensor], tensors: list[Tensor]) -> Any:
    """The tree that `_flatten` described; `tensors` receives its tensors in the same order."""
    if isinstance(node, list):
        return [_restore(item, stored, tensors) for item in node]
    if not isinstance(node, dict):
        return node
    if "float" in node:
        return float.fromhex(node["float"])
    if "dict" in node:
        return {key: _restore(item, stored, tensors) for key, item in node["dict"]}
    tensor = stored(str(node["tensor"])).clone()  # off the mapped file, which may be replaced
    kind = getattr(torch, node["dtype"])
    if kind not in _COMMON:
        tensor = tensor.view(kind)
    if tensor.dtype != kind:
        raise ValueError(f"tensor {node['tensor']} is not of type {node['dtype']}")
    tensors.append(tensor.reshape(node["shape"]))
    return tensors[-1]


def _apart(tensors: list[Tensor]) -> Iterator[Tensor]:
    """The same tensors, no two of them in the same memory, which safetensors refuses."""
    seen = set()
    for tensor in tensors:
        place = tensor.untyped_storage().data_ptr()
        yield tensor.clone() if place in seen else tensor
        seen.add(place)


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1).view(torch.uint8)


def _hash(skeleton: Any, tensors: list[Tensor]) -> str:
    """Types and shapes are in the skeleton, so the bytes of the tensors can simply follow it."""
    result = hashlib.sha256(_json(skeleton).encode())
    for tensor in tensors:
        result.update(_bytes(tensor).numpy().data)
    return result.hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _flush(file: Path) -> None:
    """Wait until the file is on the disk: a replace may otherwise be kept without its content."""
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    """What went wrong, in one line without a full stop."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join((text or type(error).__name__).split()).rstrip(".")
