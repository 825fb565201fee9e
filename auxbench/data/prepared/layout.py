"""Layouts: the forms in which a data set lies on the user's disk, recognised, verified and read.

A layout turns samples of somebody else's files into the compact arrays of the prepared form (see
`auxbench.data.prepared.form`); training never reads the originals. Nothing here needs torch.

A data set declares its layouts by a class attribute of its `Dataset`, read without importing it:

    layouts = "auxbench.tasks._layouts.nyuv2"

names a torch-free module with `LAYOUTS: tuple[type[Layout], ...]` in it. That is all that
`auxbench data check` and `auxbench data prepare` need.

The `Dataset` itself reads the prepared form alone. By convention it has an option `layout`, since
the layout decides what the labels are and so belongs to the identity of a run, and an option
`data` for the name of the prepared folder, by default NAME-LAYOUT in the cache folder.
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
    """One array of every sample in the prepared form: type, shape, range, meaning.

    `meaning` says in words how to decode it. A value must lie between `low` and `high` unless it
    is `missing`, the value of an element without a label.

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
        """The fault of a sample's value, or nothing."""
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
    """One line of a check: what was looked at, whether it is right, and what was seen."""

    subject: str
    status: Status
    detail: str


class Layout(ABC):
    """One true form of a data set, in a folder of the user's.

    Subclasses set `dataset`, `name` (a word, such as 'mtan'), `summary` (one line), `expects` (the
    files and folders by which it is known), `source` (where the user gets it), `licence`, and
    `official`, the published number of samples per split. Options of the conversion are
    keyword-only parameters of the constructor; the command line passes them on from
    `auxbench data prepare NAME:option=value`. Constructing one must be cheap, and raise
    `UsageError` for what is missing altogether.
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
        """Return whether the folder has this layout, judged by names alone: nothing is opened."""

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """The number of samples of every split, in the order in which they are written.

        These are the layout's own splits ('train', 'test', ...); a validation split that has to
        be carved out is the `Dataset`'s business.
        """

    @abstractmethod
    def arrays(self) -> Mapping[str, Array]:
        """The arrays of every sample by name; 'image' is uint8 [3, H, W], planar RGB."""

    @abstractmethod
    def read(self, split: str, index: int) -> Rows:
        """Sample `index` of a split, decoded, in house conventions, as `arrays` says.

        Errors: `UsageError`, in one line with the file's name, for a file that is missing,
        truncated or not what it should be.
        """

    def lacking(self, split: str) -> list[Path]:
        """The files that the samples of a split need and that are not there.

        For layouts in which a list says what there should be. Nothing is opened.
        """
        return []

    def key(self, split: str, index: int) -> str:
        """A name of a sample for messages."""
        return f"{split} sample {index}"

    def findings(self) -> Iterator[Finding]:
        """Further findings about the folder: optional parts, checksums."""
        yield from ()

    def facts(self) -> dict[str, Any]:
        """Further facts for the prepared form, such as the names of classes; plain JSON."""
        return {}

    def decoded(self, split: str, index: int) -> Rows:
        """A sample by `read`, checked against `arrays`.

        Errors: `UsageError` for what `read` refuses, and for a value that is out of its range.
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
    """Verify a recognised layout: counts, what it says itself, and decoded samples.

    Of every split the first, the middle and the last sample are decoded, or `every` one.
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
