"""Predictions kept beside a record: a zip file of PNG pictures in the folder of its run.

Such files come from disks and from strangers, as records do: nothing in them is executed or
extracted, their sizes are checked before they are read, and a file with anything wrong is refused.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auxbench.errors import AuxbenchError, UsageError, reason

FILE = "predictions.zip"
ABOUT = "about.json"
SCHEMA = 1
SAMPLES = 16  # at most
PIXELS = 1024  # the most per side of a sample
BYTES = 32 * 10**6  # the most of all that a file holds
TEXT = 300  # characters at most
TASKS = 64
KEYS = 1000  # classes
STRIPS = ("truth", "prediction", "difference")  # of each task, one sample below another
_SIGNATURE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


@dataclass(frozen=True)
class Predictions:
    """The kept predictions of one run: what they show, and the pictures by name.

    Keys of `about`: id (of the run), samples, height and width (of one sample), and tasks, each
    with name, network (deployed or training), captions and ranges (one per sample, or none), scale
    and key ([colour, text]).
    The pictures are 'picture', and for the task at place 0 '0-truth', '0-prediction' and, if its
    kind defines errors, '0-difference'.
    """

    about: Mapping[str, Any]
    pictures: Mapping[str, bytes]

    def write(self, folder: Path) -> None:
        """Write the file into the folder of a run, in which it replaces an earlier one."""
        file = folder / FILE
        draft = folder / f".{FILE}.{os.getpid()}.tmp"
        try:
            with zipfile.ZipFile(draft, "w") as archive:
                archive.writestr(ABOUT, json.dumps({"schema": SCHEMA, **self.about}))
                for name, content in self.pictures.items():
                    archive.writestr(f"{name}.png", content)
            os.replace(draft, file)
        finally:
            draft.unlink(missing_ok=True)


def checked(count: int) -> int:
    """The number of test samples whose predictions are kept; errors: `UsageError` if too many."""
    if not 0 <= count <= SAMPLES:
        raise UsageError(f"keep-predictions is {count}; ask for 1 to {SAMPLES} test samples.")
    return count


def read(folder: Path) -> Predictions:
    """The predictions in the folder of a run, whose name is the run's id.

    Errors: `AuxbenchError` for a file that is missing, damaged, too large or of another run.
    """
    file = folder / FILE
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > BYTES:
                raise ValueError(f"it holds more than {BYTES // 10**6} MB")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("it is compressed")
            about = json.loads(archive.read(ABOUT))
            _check(about, folder.name)
            pictures = {name: archive.read(f"{name}.png") for name in _names(about, archive)}
    except KeyError as error:
        wrong = str(error.args[0]).rstrip(".")
        raise AuxbenchError(f"predictions '{file}' are incomplete ({wrong}).") from None
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError) as error:
        raise AuxbenchError(f"predictions '{file}' cannot be read ({reason(error)}).") from None
    size = about["width"], about["height"] * about["samples"]
    for name, content in pictures.items():
        if content[:16] != _SIGNATURE or struct.unpack(">II", content[16:24].ljust(8)) != size:
            raise AuxbenchError(f"predictions '{file}' have no picture of that size in '{name}'.")
    return Predictions(about, pictures)


def _names(about: Mapping[str, Any], archive: zipfile.ZipFile) -> list[str]:
    """The names of the pictures that a file has to have, and of those that it may have."""
    places = [f"{place}-" for place in range(len(about["tasks"]))]
    must = [f"{place}{strip}" for place in places for strip in STRIPS[:2]]
    held = set(archive.namelist())
    may = [f"{place}{STRIPS[2]}" for place in places]
    return ["picture", *must, *(name for name in may if f"{name}.png" in held)]


def _check(about: Any, name: str) -> None:
    """Raise a ValueError for a description that is not what `Predictions` says."""
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        raise ValueError("its description is of another release")
    if about.get("id") != name:
        raise ValueError("they are of another run")
    samples, tasks = about.get("samples"), about.get("tasks")
    sides = (about.get("height"), about.get("width"))
    fine = _within(samples, SAMPLES) and all(_within(side, PIXELS) for side in sides)
    fine = fine and isinstance(tasks, list) and len(tasks) <= TASKS
    if not (fine and all(_is_task(task, samples) for task in tasks or ())):
        raise ValueError("its description has wrong fields")


def _is_task(task: Any, samples: Any) -> bool:
    if not isinstance(task, dict):
        return False
    key = task.get("key")
    return (
        all(_is_text(task.get(word)) for word in ("name", "network", "scale"))
        and all(_are_texts(task.get(word), samples) for word in ("captions", "ranges"))
        and isinstance(key, list)
        and len(key) <= KEYS
        and all(map(_is_meaning, key))
    )


def _are_texts(values: Any, samples: Any) -> bool:
    return isinstance(values, list) and len(values) in (0, samples) and all(map(_is_text, values))


def _is_meaning(pair: Any) -> bool:
    """Return whether this is a colour, or none, and a text."""
    if not isinstance(pair, list) or len(pair) != 2 or not _is_text(pair[1]):
        return False
    colour = pair[0]
    return colour is None or bool(isinstance(colour, str) and re.fullmatch("#[0-9a-f]{6}", colour))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TEXT


def _within(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
