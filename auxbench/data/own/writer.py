"""Saving: arrays of own data as a folder, which every process can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from auxbench.data.arrays import INPUTS
from auxbench.data.kinds import Kind
from auxbench.data.own.pictures import Array
from auxbench.data.own.spelling import word_of
from auxbench.data.own.table import FILE
from auxbench.errors import UsageError, reason


def save(
    folder: Path,
    head: Mapping[str, Any],
    kinds: Mapping[str, Kind],
    arrays: Mapping[str, Array],
    extra: Mapping[str, Array],
) -> None:
    """Write arrays and their description into a new folder.

    `head` is what dataset.toml says of the whole, and `extra` may have the arrays split and group.
    Errors: `UsageError` for a folder that is not empty or cannot be written, and for task kinds of
    the user's own, which only Python code can hold.
    """
    words: dict[str, Any] = {
        INPUTS: "input" if arrays[INPUTS].ndim == 2 else "picture",
        **{name: word_of(name, kind) for name, kind in kinds.items()},
    }
    for name in extra:
        if name in words:
            raise UsageError(f"a task cannot be called '{name}' beside the {name}s; rename it.")
        words[name] = name
    lines = [f"{key} = {_toml(value)}" for key, value in head.items() if value != ""]
    lines += ["", "[arrays]", *(f"{name} = {_toml(word)}" for name, word in words.items())]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"folder '{folder}' is not empty; name a new one.")
        for name, array in {**arrays, **extra}.items():
            np.save(folder / f"{name}.npy", array)
        (folder / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"folder '{folder}' cannot be written ({reason(error)}); name another."
        ) from None


def _toml(value: Any) -> str:
    """A value as TOML, whose texts and lists are those of JSON."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")  # which JSON leaves
