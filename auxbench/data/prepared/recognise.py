"""Recognition: the layouts of the registered data sets, and which of them a folder has."""

from __future__ import annotations

import importlib
from pathlib import Path

from auxbench.data.prepared.download import ARCHIVES
from auxbench.data.prepared.form import JOURNAL, progress_of
from auxbench.data.prepared.layout import Layout
from auxbench.errors import UsageError
from auxbench.spec.registry import DATASETS


def layouts_of(dataset: str) -> tuple[type[Layout], ...]:
    """The layouts that a data set can be prepared from; none for one that needs no preparation.

    Errors: `UsageError` for an unknown data set.
    """
    place = DATASETS.describe(dataset).attributes.get("layouts")
    if not place:
        return ()
    found: tuple[type[Layout], ...] = importlib.import_module(place).LAYOUTS
    return found


def names() -> list[str]:
    """All registered data sets, without importing them."""
    return DATASETS.names()


def licence(dataset: str) -> str:
    """The licence of a data set."""
    return str(DATASETS.describe(dataset).attributes.get("licence", ""))


def recognise(folder: Path, dataset: str | None = None) -> type[Layout]:
    """The layout of a folder: the first that fits among those of one data set, or of all.

    Errors: `UsageError` for a folder that fits no layout, with a list of what was looked for, or
    that fits two data sets.
    """
    archive = folder.name.lower().endswith(ARCHIVES)
    if not folder.exists():
        kind, other = ("archive", "") if archive else ("folder", ", or an archive of it")
        raise UsageError(f"{kind} '{folder}' does not exist; give the folder with the data{other}.")
    if folder.is_file():
        name = dataset or "DATASET"
        raise UsageError(
            f"'{folder}' is an archive; auxbench data prepare {name} --source {folder} unpacks it."
            if archive
            else f"'{folder}' is a single file; give the folder that it lies in."
        )
    if (folder / JOURNAL).is_file():
        raise UsageError(
            f"folder '{folder}' is half prepared ({progress_of(folder)}); run the same auxbench "
            "data prepare command again to resume it."
        )
    known = [layout for name in ([dataset] if dataset else names()) for layout in layouts_of(name)]
    fitting = [layout for layout in known if layout.recognise(folder)]
    sets = list(dict.fromkeys(layout.dataset for layout in fitting))
    if len(sets) > 1:
        raise UsageError(
            f"folder '{folder}' looks like {' and like '.join(sets)}; say which with --dataset."
        )
    if fitting:
        return fitting[0]
    if dataset and not known:
        raise UsageError(
            f"data set '{dataset}' has no layouts of its own to recognise; "
            f"auxbench data fetch {dataset} makes it ready."
        )
    wanted = "; or ".join(f"{one.expects} ({one.dataset}, {one.name})" for one in known)
    raise UsageError(f"folder '{folder}' has no known layout; it should hold {wanted}.")
