"""Downloads of single files: checked by their MD5, and never there by half."""

from __future__ import annotations

import os
import tempfile
from http.client import HTTPException
from pathlib import Path

from torchvision.datasets.utils import download_url  # type: ignore[import-untyped]

from auxbench.errors import UsageError


def download(dataset: str, url: str, md5: str, folder: Path, remedy: str) -> Path:
    """The file of that URL in `folder`, which is made if need be.

    Errors: `UsageError` when it cannot be had, or is not the file that `md5` stands for, with the
    `remedy` as what to do.
    """
    target = folder / url.rpartition("/")[2]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
            download_url(url, part, target.name, md5)
            os.replace(Path(part) / target.name, target)
    except (OSError, RuntimeError, HTTPException) as error:  # RuntimeError: a wrong checksum
        reason = getattr(error, "reason", error)
        reason = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
        raise UsageError(
            f"data set '{dataset}' cannot download '{url}' ({reason.rstrip('.')}); {remedy}"
        ) from None
    return target
