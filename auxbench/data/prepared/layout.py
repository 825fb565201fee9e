"""Layouts: the forms in which a data set is published, recognised, verified and read from disk.

A layout turns samples in the original files into the compact arrays of the prepared form (see
`auxbench.data.prepared.form`); training never reads the originals. Nothing here needs torch.

A data set declares its layouts by a class attribute of its `Dataset`, read without importing it:

    layouts = "auxbench.tasks._layouts.nyuv2"

This is the name of a torch-free module that defines `LAYOUTS: tuple[type[Layout], ...]`, which is
all that `auxbench data check` and `auxbench data prepare` need.

The `Dataset` itself reads only the prepared form. By convention it has an option `layout`, since
the layout determines the labels and is therefore part of a run's identity, and an option `data`
for the name of the prepared folder, by default NAME-LAYOUT in the cache folder.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy.typing as npt

from auxbench.errors import UsageError

Rows = dict[str, npt.NDArray[Any]]
Status = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Array:
    """The specification of an array that every prepared sample has: type, shape, range, meaning.

    `meaning` describes how to decode it. A value must be between `low` and `high` unless it is
    `missing`, the value of an element without a label.

    >>> import numpy as np
    >>> Array("int8", (2,), "a class", 0, 39, missing=-1).fault(np.array([-1, 40], np.int8))
    'value 40 is outside 0..39'
    """

    dtype: str
    shape: tuple[int, ...]
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    missing: float | None = None

    def fault(self, value: npt.NDArray[Any]) -> str:
        """Say in words why a sample's value is invalid; empty if it is valid."""
        if value.dtype != self.dtype:
            return f"dtype {value.dtype} is not {self.dtype}"
        if value.shape != self.shape:
            return f"shape {value.shape} is not {self.shape}"
        if not value.size:
            return ""
        low, high = value.min(), value.max()
        if self.low <= low and high <= self.high:
            return ""
        bad = value[(value != self.missing) & ~((value >= self.low) & (value <= self.high))]
        return f"value {bad[0]} is outside {self.low:g}..{self.high:g}" if bad.size else ""


@dataclass(frozen=True)
class Finding:
    """One line of a check: what was checked, whether it is correct, and details."""

    subject: str
    status: Status
    detail: str


class Layout(ABC):
    """One published form of a data set, in a folder of the user's.

    Subclasses set `dataset`, `name` (a word, such as 'mtan'), `summary` (one line), `expects` (the
    files and folders that identify it), `source` (where the user gets it), `licence`, and
    `official`, the published number of samples per split. Options of the conversion are
    keyword-only parameters of the constructor; the command line passes them on from
    `auxbench data prepare NAME:option=value`. Construction must be cheap, and raise `UsageError`
    if something essential is missing.
    """

    dataset: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str]
    expects: ClassVar[str]
    source: ClassVar[str]
    licence: ClassVar[str]
    official: ClassVar[Mapping[str, int]] = {}
    threads: ClassVar[bool] = True  # whether `read` may be called by several threads at once

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @abstractmethod
    def recognise(cls, folder: Path) -> bool:
        """Return whether the folder has this layout, judged only by file names."""

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """The number of samples of every split, in the order in which they are written.

        These are the layout's own splits ('train', 'test', ...); if a validation split has to be
        carved out, the `Dataset` does it.
        """

    @abstractmethod
    def arrays(self) -> Mapping[str, Array]:
        """The arrays that every sample has, by name; 'image' is uint8 [3, H, W], planar RGB."""

    @abstractmethod
    def read(self, split: str, index: int) -> Rows:
        """Sample `index` of a split, decoded to the form that `arrays` specifies.

        Errors: `UsageError`, in one line with the file's name, for a file that is missing,
        truncated or otherwise wrong.
        """

    def lacking(self, split: str) -> list[Path]:
        """The missing files of a split, for layouts with a list of the expected files.

        No file is opened.
        """
        return []

    def key(self, split: str, index: int) -> str:
        """The name of a sample in messages."""
        return f"{split} sample {index}"

    def findings(self) -> Iterator[Finding]:
        """Further findings about the folder, such as optional parts and checksums."""
        yield from ()

    def facts(self) -> dict[str, Any]:
        """Further facts for the prepared form, such as the names of classes; plain JSON."""
        return {}

    def decoded(self, split: str, index: int) -> Rows:
        """A sample as `read` returns it, checked against `arrays`.

        Errors: `UsageError` from `read`, and for a value that is out of its range.
        """
        rows, arrays = self.read(split, index), self.arrays()
        if rows.keys() != arrays.keys():
            raise ValueError(f"{sorted(rows)} were read, not {sorted(arrays)}")
        for name, array in arrays.items():
            if fault := array.fault(rows[name]):
                raise UsageError(
                    f"{name} of '{self.key(split, index)}' in '{self.folder}' is wrong ({fault}); "
                    "get that file again."
                )
        return rows


def check(layout: Layout, every: bool = False) -> Iterator[Finding]:
    """Verify a recognised layout: its counts, its own findings, and decoded samples.

    The first, the middle and the last sample of every split are decoded, or `every` one.
    """
    try:
        counts = layout.counts()
    except UsageError as error:
        yield Finding("splits", "wrong", str(error))
        return
    for split, count in counts.items():
        expected, lacking = layout.official.get(split), layout.lacking(split)
        if count == 0:
            yield Finding(split, "wrong", "no sample")
        elif lacking:
            first = lacking[0].relative_to(layout.folder)
            said = f"{count} samples are listed, and {len(lacking)} of their files are not there"
            yield Finding(split, "wrong", f"{said}, such as {first}")
        elif expected in (None, count):
            yield Finding(split, "ok", f"{count} samples")
        else:
            yield Finding(split, "note", f"{count} samples, where the published one has {expected}")
    yield from layout.findings()
    for split, count in counts.items():
        wanted = range(count) if every else sorted({0, count // 2, count - 1} if count else ())
        faults = 0
        for index in wanted:
            try:
                layout.decoded(split, index)
            except UsageError as error:
                faults += 1
                yield Finding(layout.key(split, index), "wrong", str(error))
        if count and not faults:
            names = ", ".join(layout.arrays())
            yield Finding(f"{split} decoded", "ok", f"{len(wanted)} samples of {names}")
