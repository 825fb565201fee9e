"""The manifest of a deployed network: what it predicts from what, how well, and how it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import Tensor

from auxbench import __version__
from auxbench.data.dataset import Dataset, Task
from auxbench.data.prepared.decode import MEAN, STD

__all__ = ["FORMAT", "files", "inputs", "manifest", "outputs"]

FORMAT = 1
"""The version of the manifest's layout."""
PACKAGES = ("torch", "timm", "safetensors", "onnx", "onnxruntime")


def manifest(
    record: Mapping[str, Any],
    dataset: Dataset,
    task: Task,
    example: tuple[Tensor, Tensor],
    any_batch: bool,
    test: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest of the run with this record, JSON-able, without the list of files.

    `example` is an input of the network and its prediction, and `test` what the checks found.
    """
    inference = record["inference"] or {}
    scaling = dataset.scaling()
    return {
        "format": FORMAT,
        "run": record["id"],
        "trained": record["run"],
        "input": inputs(dataset, example[0], any_batch) | _scaled(scaling.get("inputs")),
        "output": outputs(task, example[1], any_batch) | _scaled(scaling.get(task.name)),
        "test": dict(test),
        "scores": record["scores"],
        "inference": {key: part for key, part in inference.items() if key != "operators"},
        "trained_with": record["environment"],
        "provenance": record["provenance"],
        "deployed_with": {"auxbench": __version__, **_versions()},
    }


def inputs(dataset: Dataset, example: Tensor, any_batch: bool) -> dict[str, Any]:
    """The input of a network: its shape, and how pictures are normalised."""
    found: dict[str, Any] = {"shape": _shape(example, any_batch), "dtype": _dtype(example)}
    if dataset.features:
        return {**found, "content": "vectors as the data set gives them"}
    return {
        **found,
        "content": "RGB pictures, (value / 255 - mean) / std by channel",
        "mean": list(MEAN),
        "std": list(STD),
    }


def outputs(task: Task, example: Tensor, any_batch: bool) -> dict[str, Any]:
    """The prediction of a network: its task, shape, content, and the names of classes if known."""
    kind = task.kind
    names = {"classes": list(kind.names)} if kind.names else {}
    return {
        "task": task.name,
        "kind": type(kind).__name__,
        "shape": _shape(example, any_batch),
        "dtype": _dtype(example),
        "content": kind.reading,
        **names,
    }


def _scaled(scaling: Mapping[str, Any] | None) -> dict[str, Any]:
    """The manifest's words on standardised numbers."""
    if scaling is None:
        return {}
    return {
        "content": "numbers as (value - mean) / deviation; see scaling in the manifest",
        "scaling": dict(scaling),
    }


def files(folder: Path) -> dict[str, dict[str, Any]]:
    """The size and the SHA-256 of every file in a folder, by name."""
    return {
        file.name: {"bytes": file.stat().st_size, "sha256": _digest(file)}
        for file in sorted(folder.iterdir())
    }


def _shape(example: Tensor, any_batch: bool) -> list[int | str]:
    return ["batch" if any_batch else 1, *example.shape[1:]]


def _dtype(example: Tensor) -> str:
    return str(example.dtype).removeprefix("torch.")


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
