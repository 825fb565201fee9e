"""The samples of a folder by the rows of its arrays, and the choice between these and a table."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np

from auxbench.data.own.dealing import codes, grouped
from auxbench.data.own.labels import targets
from auxbench.data.own.pictures import Array, Bytes, inside, planes, white_of
from auxbench.data.own.source import Source, TableSource, natural
from auxbench.data.own.spelling import kind_of
from auxbench.data.own.table import Described
from auxbench.data.own.words import MAPS
from auxbench.errors import UsageError, reason


class ArraySource(Source):
    """Samples by the rows of arrays, one file per column."""

    def __init__(self, described: Described) -> None:
        super().__init__(described)
        arrays = {name: _array(described, name) for name in described.columns}
        self.arrays = arrays
        first = next(iter(arrays.values()))
        self.count = len(first) if first.ndim else 0
        for name, array in arrays.items():
            if array.ndim == 0 or len(array) != self.count or not self.count:
                raise UsageError(
                    f"'{described.folder / name}.npy' has the shape {array.shape}, and the first "
                    f"array {self.count} samples; make them equally long."
                )
        inputs = described.of_kind("input")
        if (self.pictures is None) == (not inputs) or len(inputs) > 1:
            raise UsageError(
                f"{described.where}: the inputs are {len(inputs)} arrays of the kind input and "
                f"{len(described.of_kind('picture'))} pictures; give one of either kind."
            )
        for name, word in described.columns.items():
            array, place = arrays[name], self.place(name)
            if word.is_task:
                if word.kind == "class" and "names" not in word.options:
                    raise UsageError(
                        f"{described.where}: column '{name}' does not name its classes; write "
                        f'{name} = {{kind = "class", names = ["first", "second"]}}.'
                    )
                self.kinds[name] = kind_of(word)
            if word.is_task and word.kind not in MAPS:
                self.values[name] = targets(name, self.kinds[name], array, None, place)
            elif word.kind == "split":
                self.split = codes(array, place, f"'{described.folder / name}.npy'")
            elif word.kind == "group":
                self.groups = grouped(array, place, f"'{described.folder / name}.npy'")
            elif word.kind == "input":
                if array.ndim != 2 or not np.isfinite(array).all():
                    raise UsageError(
                        f"'{described.folder / name}.npy' is no table of finite numbers; give "
                        "vectors of the shape (count, features)."
                    )
                self.values["inputs"] = array.astype(np.float32)
        self.finish()

    def place(self, column: str) -> Callable[[int], str]:
        return lambda row: f"'{self.described.folder / column}.npy', sample {row}"

    def files(self) -> list[str]:
        return [f"{name}.npy" for name in self.arrays]

    def picture(self, row: int) -> Bytes:
        assert self.pictures is not None
        where = self.place(self.pictures)(row)
        one: Bytes = planes(self.arrays[self.pictures][row][None], lambda _: where, self.white)[0]
        return one

    @cached_property
    def white(self) -> int | None:
        """White in all pictures, if they are integers; some of them may be dark."""
        assert self.pictures is not None
        pictures = self.arrays[self.pictures]
        return white_of(pictures) if pictures.dtype.kind in "iu" else None

    def map(self, column: str, row: int) -> Array | None:
        found: Array = self.arrays[column][row]
        return found

    def target(self, column: str, row: int, size: tuple[int, int]) -> Array | None:
        found, where = self.arrays[column][row], self.place(column)(row)
        word, kind = self.described.columns[column], self.kinds[column]
        if word.kind == "normals" and len(found) == kind.outputs:
            found = np.moveaxis(natural(word, np.moveaxis(found, 0, -1)), -1, 0)
        else:
            found = natural(word, found)
        result: Array = targets(column, kind, found[None], size, lambda _: where)[0]
        return result


@lru_cache(maxsize=8)
def source_of(described: Described) -> Source:
    """The samples of a described folder; errors: `UsageError` with the file and the line."""
    return ArraySource(described) if described.table is None else TableSource(described)


def _array(described: Described, name: str) -> Array:
    file = f"{name}.npy"
    path = inside(described.folder, file, described.where)
    try:
        found: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"'{path}' is no array ({reason(error)}); save it with numpy.") from None
    if found.dtype.kind not in "biufU":
        raise UsageError(f"'{path}' holds {found.dtype}; give numbers.")
    return found
