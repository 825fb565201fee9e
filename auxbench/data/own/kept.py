"""Data sets in memory, kept in the cache folder under their names."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from auxbench.data.own import known
from auxbench.data.own.array_dataset import ArrayDataset
from auxbench.data.own.table import FILE
from auxbench.errors import UsageError, reason


def kept(dataset: ArrayDataset) -> str:
    """Keep a data set in the cache folder; return its text for studies.

    Errors: as for `ArrayDataset.save`, and for names and a cache folder that cannot be used.
    """
    digest = dataset.digest()
    name = dataset.name or f"data-{digest[:8]}"
    if not known.NAME.fullmatch(name):
        raise UsageError(f"the data set cannot be called '{name}'; use letters, digits, - and _.")
    head = repr((dataset.primary, dataset.auxiliaries, dataset.about, dataset.duplicates))
    told = hashlib.sha256(head.encode()).hexdigest()[:8]
    folder = known.home() / "arrays" / f"{name}-{digest}-{told}"
    if not (folder / FILE).is_file():
        folder.parent.mkdir(exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=folder.parent))
        try:
            dataset.save(part)
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
