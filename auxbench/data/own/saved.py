"""Saving: an `ArrayDataset` as a folder of arrays, which every process can read."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from auxbench.data.arrays import INPUTS
from auxbench.data.own import known
from auxbench.data.own.array_dataset import ArrayDataset
from auxbench.data.own.made import word_of
from auxbench.data.own.table import FILE
from auxbench.errors import UsageError, reason


def save(dataset: ArrayDataset, folder: str | Path) -> Path:
    """Write a data set into a new folder, for `--dataset folder:data=FOLDER`; return the folder.

    Errors: `UsageError` for a folder that is not empty or cannot be written, and for task kinds of
    the user's own, which only Python code can hold.
    """
    folder = Path(folder)
    text = _description(dataset)  # refuses before anything is written
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"folder '{folder}' is not empty; name a new one.")
        for name, array in dataset.arrays.items():
            np.save(folder / f"{name}.npy", array)
        for name, extra in (("split", dataset.split), ("group", dataset.groups)):
            if extra is not None:
                np.save(
                    folder / f"{name}.npy",
                    np.unique(extra, return_inverse=True)[1] if name == "group" else extra,
                )
        (folder / FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"folder '{folder}' cannot be written ({reason(error)}).") from None
    return folder


def kept(dataset: ArrayDataset) -> str:
    """Keep a data set in the cache folder; return its text for studies.

    >>> kept(ArrayDataset([[0.0]], {}))
    Traceback (most recent call last):
    auxbench.errors.UsageError: the data set has no tasks; give labels and a kind for each.
    """
    digest = dataset.digest()
    name = dataset.name or f"data-{digest[:8]}"
    if not known.NAME.fullmatch(name):
        raise UsageError(f"the data set cannot be called '{name}'; use letters, digits, - and _.")
    folder = known.home() / "arrays" / f"{name}-{digest}"
    if not (folder / FILE).is_file():
        folder.parent.mkdir(exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=folder.parent))
        try:
            save(dataset, part)
            os.rename(part, folder)
        except OSError as error:
            if not (folder / FILE).is_file():  # else another process has just written the same
                raise UsageError(
                    f"cache folder '{folder.parent}' cannot hold '{name}' ({reason(error)}); make "
                    "room or set AUXBENCH_CACHE to another folder."
                ) from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
    known.remember(name, folder)
    return f"folder:name={name}"


def _description(dataset: ArrayDataset) -> str:
    """The text of dataset.toml."""
    head: dict[str, Any] = {
        "name": dataset.name,
        "about": dataset.about,
        "primary": dataset.primary,
        "auxiliaries": list(dataset.auxiliaries),
        "augment": dataset.augment,
        "standardise": dataset.standardise,
        "duplicates": dataset.duplicates,
    }
    words: dict[str, Any] = {
        INPUTS: "input" if dataset.features else "picture",
        **{name: word_of(name, kind) for name, kind in dataset.kinds.items()},
    }
    for name, extra in (("split", dataset.split), ("group", dataset.groups)):
        if extra is not None:
            if name in words:
                raise UsageError(f"a task cannot be called '{name}' beside the {name}s; rename it.")
            words[name] = name
    lines = [f"{key} = {_toml(value)}" for key, value in head.items() if value != ""]
    return (
        "\n".join([*lines, "", "[arrays]", *(f"{k} = {_toml(v)}" for k, v in words.items())]) + "\n"
    )


def _toml(value: Any) -> str:
    """A value as TOML, whose texts and lists are those of JSON."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
