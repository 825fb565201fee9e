"""The places of a user's own data: their folders, by the name of the data set.

A folder that was used once is remembered in the cache folder, so that its name is enough.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from auxbench.data.prepared import cache
from auxbench.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def home() -> Path:
    """The part of the cache folder that belongs to own data; created if missing."""
    folder = cache.root() / "own"
    folder.mkdir(exist_ok=True)
    return folder


def remember(name: str, folder: Path) -> None:
    """Keep the place of a data set, if the cache folder can be written."""
    if place_of(name) != (place := folder.resolve()):
        with suppress(OSError, UsageError):
            write(home() / f"{name}.json", {"folder": str(place)})


def place_of(name: str) -> Path | None:
    """The folder of a data set by its name; None for one that was never used here.

    >>> place_of("never/used")
    """
    if not NAME.fullmatch(name):
        return None
    try:
        text = (cache.root() / "own" / f"{name}.json").read_text(encoding="utf-8")
        return Path(json.loads(text)["folder"])
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return None


def names() -> list[str]:
    """The names of all data sets whose folders are still there."""
    try:
        found = sorted(path.stem for path in (cache.root() / "own").glob("*.json"))
    except UsageError:
        return []
    return [name for name in found if (place := place_of(name)) and place.is_dir()]


def write(path: Path, content: object) -> None:
    """Write JSON to a file that no other process ever sees half written."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8"
    ) as part:
        json.dump(content, part)
    os.replace(part.name, path)
