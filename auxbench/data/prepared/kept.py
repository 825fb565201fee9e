"""Arrays that are computed once and kept in a file in the cache folder."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


def kept(file: Path, make: Callable[[], Arrays], shape: tuple[int, ...] | None = None) -> Arrays:
    """The arrays in `file`; if it is missing, those that `make` returns, which are saved there.

    A file is made again if it is damaged or its arrays do not have the given `shape`. Whatever
    changes a number must change the file's name too.
    """
    try:
        # a zip archive contains checksums, which are verified on reading
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            found: Arrays = dict(archive)
        if shape is None or all(array.shape == shape for array in found.values()):
            return found
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass
    arrays: dict[str, Any] = make()
    # written under another name first, so that no other process ever reads half a file
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        try:
            np.savez(part, **arrays)
            part.close()
            os.replace(part.name, file)
        except BaseException:
            os.unlink(part.name)
            raise
    return arrays
