"""The cache folder, which keeps generated and converted data between runs."""

from __future__ import annotations

import os
from pathlib import Path

from auxbench.errors import UsageError


def root() -> Path:
    """The cache folder: `AUXBENCH_CACHE` or `~/.cache/auxbench`; created if missing.

    Errors: `UsageError` if the folder cannot be created or written to.
    """
    folder = Path(os.environ.get("AUXBENCH_CACHE") or Path.home() / ".cache" / "auxbench")
    folder = folder.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cache folder '{folder}' cannot be made ({error.strerror}); "
            "set AUXBENCH_CACHE to a folder that you may write to."
        ) from None
    if not os.access(folder, os.W_OK):
        raise UsageError(
            f"cache folder '{folder}' cannot be written; "
            "set AUXBENCH_CACHE to a folder that you may write to."
        )
    return folder
