"""The store of data sets that were made in memory, in the cache folder under their names."""

from __future__ import annotations

import hashlib

from auxbench.data.own import places
from auxbench.data.own.array_dataset import ArrayDataset
from auxbench.data.own.cache import fill
from auxbench.data.own.table import FILE
from auxbench.errors import UsageError


def store(dataset: ArrayDataset) -> str:
    """Store a data set in the cache folder; return its text for studies.

    Errors: as for `ArrayDataset.save`, and for names and a cache folder that cannot be used.
    """
    digest = dataset.digest()
    name = dataset.name or f"data-{digest[:8]}"
    if not places.NAME.fullmatch(name):
        raise UsageError(f"the data set cannot be called '{name}'; use letters, digits, - and _.")
    head = repr((dataset.primary, dataset.auxiliaries, dataset.about, dataset.duplicates))
    told = hashlib.sha256(head.encode()).hexdigest()[:8]
    folder = places.home() / "arrays" / f"{name}-{digest}-{told}"
    fill(folder, FILE, name, dataset.save)
    places.remember(name, folder)
    return f"folder:name={name}"
