"""Folders of the cache, each written once and as a whole, by whichever process is first."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from auxbench.errors import UsageError, reason


def fill(folder: Path, mark: str, name: str, write: Callable[[Path], object]) -> None:
    """Have `write` fill a cache folder of the data set `name`, unless it is there already.

    The folder counts as written if it has the file `mark`, and appears under its name when all of
    it is written. Errors: `UsageError` for a cache folder that cannot hold it, and those of
    `write`.

    >>> with tempfile.TemporaryDirectory() as home:
    ...     for text in ("first", "second"):
    ...         fill(Path(home, "a"), "f", "a", lambda part: (part / "f").write_text(text))
    ...     Path(home, "a", "f").read_text()
    'first'
    """
    if (folder / mark).is_file():
        return
    try:
        folder.parent.mkdir(exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=folder.parent))
        try:
            write(part)
            if folder.exists() and not (folder / mark).is_file():
                shutil.rmtree(folder)  # what was deleted in part
            os.rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        if not (folder / mark).is_file():  # else another process has just written the same
            raise UsageError(
                f"cache folder '{folder.parent}' cannot hold '{name}' ({reason(error)}); make "
                "room or set AUXBENCH_CACHE to another folder."
            ) from None
