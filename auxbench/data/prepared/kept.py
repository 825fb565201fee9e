"""Arrays that are computed once and kept in a file of the cache folder."""

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
    """The arrays in `file`, or what `make` gives, which is then written there.

    A damaged file is made again, as is one whose arrays do not have the `shape` that is given. The
    file's name must change with anything that changes a number.
    """
    try:
        # a zip archive carries a checksum of its content, which is tested on reading
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            found: Arrays = dict(archive)
        if shape is None or all(array.shape == shape for array in found.values()):
            return found
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass
    arrays: dict[str, Any] = make()
    # written under another name first, so that a reader in another process never sees half a file
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        try:
            np.savez(part, **arrays)
            part.close()
            os.replace(part.name, file)
        except BaseException:
            os.unlink(part.name)
            raise
    return arrays
