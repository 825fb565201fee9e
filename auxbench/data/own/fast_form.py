"""The fast form of own data: at one size, computed once, and mapped into memory from the cache."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from auxbench.data.arrays import INPUTS
from auxbench.data.own import digest, places
from auxbench.data.own.array_dataset import VERSION
from auxbench.data.own.cache import fill
from auxbench.data.own.dealing import refuse_twins, together
from auxbench.data.own.labels import empty, labelled
from auxbench.data.own.pictures import Array
from auxbench.data.own.samples import fitted, fitted_map
from auxbench.data.own.source import Source
from auxbench.data.progress import bar
from auxbench.errors import UsageError, reason

DONE = "done"
MANY = 500  # samples from which on progress is shown


class FastForm(NamedTuple):
    """Arrays of own data at one size, the samples with labels by task, and the groups."""

    arrays: dict[str, Array]
    known: dict[str, npt.NDArray[np.bool_]]
    groups: npt.NDArray[np.int64]


def digest_of(source: Source) -> str:
    """Sixteen hexadecimal digits of a hash of all that can affect a result.

    These are what the columns hold, the cells of the table and the contents of all files. Comments,
    the order of the columns' words and where the folder lies do not count. Errors: `UsageError` for
    a file that cannot be read.
    """
    described = source.described
    try:
        files = digest.contents(described.folder, source.files())
    except OSError as error:
        source.look()  # says which line names a file that is gone
        raise UsageError(
            f"'{error.filename}' cannot be read ({reason(error)}); correct '{described.folder}'."
        ) from None
    head = {
        name: (word.kind, sorted(word.options.items())) for name, word in described.columns.items()
    }
    options = described.augment, described.standardise
    total = hashlib.sha256(repr((sorted(head.items()), options)).encode())
    cells = described.table.cells if described.table else {}
    for name in sorted(described.columns):
        total.update(repr((name, cells.get(name))).encode())
    total.update(repr(sorted(files.items())).encode())
    return total.hexdigest()[:16]


def fast_form(source: Source, side: int) -> FastForm:
    """The arrays of a source, with pictures at `side` pixels, from the cache if they are there.

    Errors: `UsageError` with the file and the line of a sample that cannot be used.
    """
    if source.pictures is None:
        marks = {name: labelled(kind, source.values[name]) for name, kind in source.kinds.items()}
        return FastForm(source.values, marks, _groups(source, _same_rows(source)))
    name = f"{source.described.name}-{digest_of(source)}-{side}-v{VERSION}"
    folder = places.home() / "prepared" / name

    def write(part: Path) -> None:
        _write(source, side, part)
        (part / DONE).touch()

    fill(folder, DONE, source.described.name, write)
    names = (INPUTS, *source.maps, "same", *(f"{name}-known" for name in source.maps))
    found = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    same = np.array(found.pop("same"))
    marks = {name: np.array(found.pop(f"{name}-known")) for name in source.maps}
    for name, kind in source.kinds.items():
        if name in source.values:
            marks[name] = labelled(kind, source.values[name])
    _refuse_twins(source, same, "the picture")
    return FastForm({**found, **source.values}, marks, _groups(source, same))


def _write(source: Source, side: int, folder: Path) -> None:
    """Write the arrays of all files, sample by sample."""
    size = (side, side)
    many = source.count >= MANY
    shown = bar(f"preparing {source.described.name}", source.count) if many else nullcontext()
    blank = {name: empty(source.kinds[name], size) for name in source.maps}

    def opened(name: str, like: Array) -> Array:
        path, shape = folder / f"{name}.npy", (source.count, *like.shape)
        array: Array = np.lib.format.open_memmap(path, "w+", like.dtype, shape)
        return array

    inputs = opened(INPUTS, np.zeros((3, *size), np.uint8))
    maps = {name: opened(name, like) for name, like in blank.items()}
    known_marks = {name: np.zeros(source.count, np.bool_) for name in source.maps}
    same = np.empty(source.count, np.int64)
    numbers: dict[bytes, int] = {}
    with shown as advance:
        for row in range(source.count):
            whole = source.picture(row)
            seen = hashlib.sha256(repr(whole.shape).encode() + whole.tobytes()).digest()
            same[row] = numbers.setdefault(seen, row)
            inputs[row], view = fitted(whole, side)
            for name, array in maps.items():
                target = source.target(name, row, (whole.shape[-2], whole.shape[-1]))
                if target is None:
                    array[row] = blank[name]
                    continue
                array[row] = fitted_map(source.kinds[name], target, view)
                known_marks[name][row] = labelled(source.kinds[name], target[None])[0]
            if advance is not None:
                advance(1)
    np.save(folder / "same.npy", same)
    for name, marks in known_marks.items():
        np.save(folder / f"{name}-known.npy", marks)
    for array in (inputs, *maps.values()):
        array.flush()  # type: ignore[attr-defined]


def _same_rows(source: Source) -> npt.NDArray[np.int64]:
    """A number for every sample, equal for those with equal inputs and labels."""
    columns = [source.values[name].reshape(source.count, -1) for name in source.values]
    table = np.concatenate(columns, axis=1)
    same: npt.NDArray[np.int64] = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)
    _refuse_twins(source, same, "the numbers")
    return same


def _refuse_twins(source: Source, same: npt.NDArray[np.int64], what: str) -> None:
    if source.split is not None and source.described.duplicates == "refuse":
        first = next(iter(source.described.columns))
        refuse_twins(source.split, same, what, source.place(first))


def _groups(source: Source, same: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return together(*([same] if source.groups is None else [same, source.groups]))
