"""The values of a folder: one per sample and column, read and checked, with files still closed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auxbench.data.dataset import Task, named
from auxbench.data.kinds import Kind
from auxbench.data.own.checks import check_kind, refuse_unseen
from auxbench.data.own.dealing import Codes, codes
from auxbench.data.own.labels import targets
from auxbench.data.own.pictures import Array, inside, map_of, picture
from auxbench.data.own.spelling import MILLIMETRES, kind_of
from auxbench.data.own.table import Described
from auxbench.data.own.words import MAPS, Word
from auxbench.errors import UsageError, suggestion

WHOLE = re.compile(r"-?[0-9]+")


class Source:
    """The samples of a described folder.

    `kinds` has the tasks, `values` the columns that have one value per sample: targets of tasks,
    and input vectors under the name `inputs`. `split` and `groups` are None if there is none.
    """

    count: int
    kinds: dict[str, Kind]
    values: dict[str, Array]
    split: Codes | None
    groups: Array | None

    def __init__(self, described: Described) -> None:
        self.described = described
        self.pictures = next(iter(described.of_kind("picture")), None)
        self.maps = [name for name, word in described.tasks.items() if word.kind in MAPS]
        self.kinds, self.values = {}, {}
        self.split = self.groups = None

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks, in the order of the columns."""
        return named({name: self.kinds[name] for name in self.described.tasks})

    def place(self, column: str) -> Callable[[int], str]:
        """The place of a sample in a column, for errors."""
        raise NotImplementedError

    def files(self) -> list[str]:
        """The names of all files that hold samples."""
        raise NotImplementedError

    def look(self) -> None:
        """Look whether all files are there; errors: `UsageError` for the first that is not."""

    def picture(self, row: int) -> npt.NDArray[np.uint8]:
        """The picture of a sample, [C, H, W]."""
        raise NotImplementedError

    def map(self, column: str, row: int) -> Array | None:
        """The map of a sample as it is stored; None if it is missing."""
        raise NotImplementedError

    def target(self, column: str, row: int, size: tuple[int, int]) -> Array | None:
        """The map of a sample as a target of the picture's size; None if it is missing."""
        stored, kind = self.map(column, row), self.kinds[column]
        if stored is None:
            return None
        where = self.place(column)(row)
        found: Array = natural(self.described.columns[column], stored)
        one: Array = targets(column, kind, found[None], size, lambda _: where)[0]
        return one

    def finish(self) -> None:
        """Check what all columns have to do with each other."""
        for name, kind in self.kinds.items():
            check_kind(name, kind, self.pictures is not None)
        if self.split is not None:
            place = self.place(self.described.of_kind("split")[0])
            refuse_unseen(self.values, self.tasks, self.split, place)


def natural(word: Word, found: Array) -> Array:
    """A stored map, [H, W] or [H, W, C], in natural units, from the steps of a picture file."""
    if found.dtype.kind not in "iub" or word.kind == "classes":
        return found
    if word.kind == "depth":
        metres: Array = found * word.options.get("unit", MILLIMETRES)
        return metres
    top = 1 if found.dtype == bool else 255 if found.dtype.itemsize == 1 else 65535
    if word.kind == "map":
        shares: Array = found / top
        return shares
    vectors: Array = found / top * 2 - 1  # a normal without a label is stored as black or as grey
    known = found.any(-1) & (np.square(vectors).sum(-1) > 0.25)
    result: Array = np.where(known[..., None], vectors, 0)
    return result


class TableSource(Source):
    """Samples by the lines of a CSV file."""

    def __init__(self, described: Described) -> None:
        super().__init__(described)
        assert described.table is not None
        self.table = described.table
        self.count = len(self.table.lines)
        self.look()
        vectors = []
        for name, word in described.columns.items():
            cells = self.table.cells[name]
            if word.kind == "class":
                names = word.options.get("names") or _sorted({cell for cell in cells if cell})
                if len(names) < 2:
                    raise UsageError(
                        f"'{self.table.path}', line 1: column '{name}' has fewer than two classes; "
                        "leave it out, or name all its classes."
                    )
                self.kinds[name] = kind_of(word, names)
                self.values[name] = self._classes(name, cells, names)
            elif word.is_task:
                self.kinds[name] = kind_of(word)
            if word.kind in ("number", "input"):
                numbers = self._numbers(name, cells, word.kind == "input")
                if word.kind == "number":
                    self.values[name] = numbers[:, None]
                else:
                    vectors.append(numbers)
            elif word.kind == "split":
                where = f"'{self.table.path}', column '{name}'"
                self.split = codes(cells, self.table.place, where)
            elif word.kind == "group":
                self.groups = self._grouped(name, cells)
        if vectors:
            self.values["inputs"] = np.stack(vectors, axis=1)
        self.finish()

    def place(self, column: str) -> Callable[[int], str]:
        return self.table.place

    def files(self) -> list[str]:
        columns = [name for name, word in self.described.columns.items() if word.is_file]
        cells = (cell for name in columns for cell in self.table.cells[name] if cell)
        return list(dict.fromkeys(cells))

    def picture(self, row: int) -> npt.NDArray[np.uint8]:
        assert self.pictures is not None
        path = self.described.folder / self.table.cells[self.pictures][row]
        return picture(path, self.table.place(row))

    def map(self, column: str, row: int) -> Array | None:
        cell = self.table.cells[column][row]
        if not cell:
            return None
        return map_of(self.described.folder / cell, self.table.place(row))

    def look(self) -> None:
        for name, word in self.described.columns.items():
            if word.is_file:
                self._check_files(name, self.table.cells[name])

    def _check_files(self, name: str, cells: tuple[str, ...]) -> None:
        """Refuse files that are missing, outside of the folder, or of two samples."""
        lines: dict[Path, int] = {}
        for row, cell in enumerate(cells):
            if not cell:
                if name == self.pictures:
                    raise UsageError(
                        f"{self.table.place(row)}: it has no picture; name one or remove the line."
                    )
                continue
            path = inside(self.described.folder, cell, self.table.place(row))
            first = lines.setdefault(path, row)
            if first != row:
                raise UsageError(
                    f"{self.table.place(row)}: file '{cell}' is also that of line "
                    f"{self.table.lines[first]}; keep one of them."
                )

    def _classes(self, name: str, cells: tuple[str, ...], names: list[str]) -> Array:
        numbers = {one: number for number, one in enumerate(names)} | {"": -1}
        for row, cell in enumerate(cells):
            if cell not in numbers:
                raise UsageError(
                    f"{self.table.place(row)}: '{name}' has no class '{cell}'; "
                    f"{suggestion(cell, names)}"
                )
        return np.array([numbers[cell] for cell in cells], np.int64)

    def _numbers(self, name: str, cells: tuple[str, ...], needed: bool) -> Array:
        found = np.full(len(cells), np.nan)
        for row, cell in enumerate(cells):
            try:
                found[row] = float(cell) if cell else np.nan
            except ValueError:
                hint = "a number, with a point" if "," in cell else "a number"
                raise UsageError(
                    f"{self.table.place(row)}: '{name}' is '{cell[:40]}'; write {hint}."
                ) from None
            if not math.isfinite(found[row]) and (cell or needed):
                fix = "write a number" if needed else "leave the cell empty if it is unknown"
                said = f"'{cell}'" if cell else "empty"
                raise UsageError(f"{self.table.place(row)}: '{name}' is {said}; {fix}.")
        return found.astype(np.float32)

    def _grouped(self, name: str, cells: tuple[str, ...]) -> Array:
        if "" in cells:
            row = cells.index("")
            raise UsageError(f"{self.table.place(row)}: '{name}' is empty; name its group.")
        groups: Array = np.unique(np.array(cells), return_inverse=True)[1]
        return groups


def _sorted(names: Iterable[str]) -> list[str]:
    """Class names in order: numbers by their size, other names by the alphabet.

    >>> _sorted(["10", "9"]), _sorted(["ripe", "raw"])
    (['9', '10'], ['raw', 'ripe'])
    """

    def key(name: str) -> tuple[float, str]:
        return (float(name), name) if WHOLE.fullmatch(name) else (math.inf, name)

    return sorted(names, key=key)
