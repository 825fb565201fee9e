"""Your own data: a folder with pictures, maps and a table of samples, or with arrays.

The table is a CSV file with a line per sample; its header, or a file dataset.toml beside it, says
what the columns hold: a picture or numbers as inputs; classes, numbers and files of maps as tasks;
and the split. An empty cell is a missing label. Without splits, every seed deals the samples to
training (60 %), validation (15 %) and test (25 %); samples of a group, and those with the same
picture, stay together.

Pictures of any size are cut to a square in the middle and shrunk once; the result is kept in the
cache folder by the digest of all files' contents, and a record is stale once one of them changes.
Input vectors and numbers are brought to mean 0 and deviation 1 over the training samples, so an
error of 1 is that of predicting the mean. docs/own-data.md is a tutorial.

    auxbench run --methods single,hps --dataset folder:data=DIR
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from auxbench import DATASETS, Dataset, Samples
from auxbench.data.dataset import Draw, Task, named
from auxbench.data.kinds import Depth, Label, Number
from auxbench.data.own import places
from auxbench.data.own.array_dataset import VERSION
from auxbench.data.own.array_source import source_of
from auxbench.data.own.checks import refuse_unlabelled
from auxbench.data.own.dealing import SPLITS, deal
from auxbench.data.own.fast_form import digest_of, fast_form
from auxbench.data.own.samples import OwnSamples, scales_of, small, told
from auxbench.data.own.source import Source
from auxbench.data.own.table import Described, read
from auxbench.errors import UsageError
from auxbench.spec.marks import Help, Place

SMALLEST = 8


class _Example(Dataset):
    """What a folder might hold, for the tiny variant."""

    licence = "synthetic"
    tasks: Mapping[str, Task] = named(
        {"ripeness": Label(("unripe", "ripe")), "weight": Number(), "depth": Depth()}
    )
    primary, auxiliaries = "ripeness", ("weight", "depth")
    size = (32, 32)

    @classmethod
    def tiny(cls) -> Dataset:
        return small(cls())

    def prepare(self) -> None:
        """Nothing to do."""

    def samples(self, split: str) -> Samples:
        return small(self).samples(split)


@DATASETS.register
class Folder(Dataset):
    """The data in a folder, with pictures of `side` x `side` pixels or with vectors.

    A folder that was used once is known by its name. `draw` deals the samples that have no split.

    Errors: `UsageError` for what a folder does not hold as it should, with the file and the line.
    """

    licence = "that of your data"
    tasks: Mapping[str, Task] = {}
    primary = ""
    auxiliaries: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        data: Annotated[Place, Help("The folder; not needed once it is known by its name.")] = "",
        name: Annotated[
            str, Help("Name of the data set; by default that in dataset.toml, or the folder's.")
        ] = "",
        side: Annotated[int, Help("Image side in pixels.")] = 64,
        draw: Draw = None,
    ) -> None:
        if side < SMALLEST:
            raise UsageError(f"side '{side}' of 'folder' is too small; choose {SMALLEST} or more.")
        self.described = _described(data, name)
        self.source: Source = source_of(self.described)
        self.name = name or self.described.name
        self.tasks = self.source.tasks
        self.primary, self.auxiliaries = self.described.primary, self.described.auxiliaries
        self.about, self.draw, self.side = self.described.about, draw or 0, side
        self.licence = self.described.licence or type(self).licence
        places.remember(self.name, self.described.folder)
        if self.source.pictures is None:
            self.backbone, self.features = "mlp", self.source.values["inputs"].shape[1]
        else:
            self.size = (side, side)

    @classmethod
    def implied(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options that follow from the folder: its name, and draw 0 if its splits are given."""
        data, name = str(options.get("data") or ""), str(options.get("name") or "")
        if not data and not (name and places.place_of(name)):
            return {}
        described = _described(data, name)
        found: dict[str, Any] = {"name": name or described.name}
        split = source_of(described).split
        if split is not None and (split == 1).any():
            if options.get("draw"):
                raise UsageError(
                    f"draw '{options['draw']}' of 'folder' has no effect, since "
                    f"'{described.folder}' names the split of every sample; leave it out."
                )
            found["draw"] = 0
        return found

    @classmethod
    def tiny(cls) -> Dataset:
        return _Example.tiny()

    def small(self) -> Dataset:
        return small(self)

    def prepare(self) -> None:
        found = fast_form(self.source, self.side)
        dealt = deal(self.source.split, found.groups, self.draw)
        refuse_unlabelled(found.known, dealt, self.primary)

    def identity(self) -> dict[str, Any]:
        return {"digest": digest_of(self.source), "form": VERSION}

    def samples(self, split: str) -> Samples:
        arrays, marks, groups = fast_form(self.source, self.side)
        dealt = deal(self.source.split, groups, self.draw)
        parts = {name: np.flatnonzero(dealt == code) for code, name in enumerate(SPLITS)}
        standardise = self.described.standardise
        scales = scales_of(arrays, parts["train"], self.tasks) if standardise else {}
        mirror = self.described.augment
        return OwnSamples(arrays, parts[split], self.tasks, mirror, scales, marks)

    def scaling(self) -> dict[str, dict[str, list[float]]]:
        samples = self.samples("train")
        assert isinstance(samples, OwnSamples)
        return told(samples.scales)


def _described(data: str, name: str) -> Described:
    if name and not places.NAME.fullmatch(name):
        raise UsageError(
            f"name '{name}' of 'folder' is not possible; use letters, digits, - and _."
        )
    place = Path(data).expanduser() if data else places.place_of(name)
    if place is None:
        names = ", ".join(places.names()) or "none yet"
        which = f"has no folder called '{name}'" if name else "needs a folder"
        raise UsageError(
            f"data set 'folder' {which}; write folder:data=DIR (known by name: {names})."
        )
    return read(place)
