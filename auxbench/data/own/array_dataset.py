"""`ArrayDataset`: a problem of one's own from arrays or tensors in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from auxbench.data.arrays import INPUTS
from auxbench.data.dataset import Dataset, Samples, named
from auxbench.data.kinds import Kind
from auxbench.data.own.checks import (
    check_kind,
    check_side,
    pairs_of,
    refuse_unlabelled,
    refuse_unseen,
    roles,
)
from auxbench.data.own.dealing import SPLITS, codes, deal, grouped, refuse_twins, together
from auxbench.data.own.labels import labelled, targets
from auxbench.data.own.pictures import Array, array_of, planes
from auxbench.data.own.samples import OwnSamples, fitted, fitted_map, scales_of, small, told
from auxbench.data.own.spelling import metrics_of
from auxbench.data.own.writer import save
from auxbench.errors import UsageError

VERSION = 1  # raise it with anything that changes a pixel, a label or a split


class ArrayDataset(Dataset):
    """A data set of arrays or tensors in memory, with one array of labels per task.

    `inputs` are pictures, [N, H, W], [N, C, H, W] or [N, H, W, C] with one or three channels, as
    bytes or numbers from 0 to 1, or else vectors [N, F]. `tasks` has the labels and the kind of
    every task by its name:

    | kind | labels |
    |---|---|
    | `Label(classes)` | classes [N], as numbers or as their names |
    | `Number(outputs)` | numbers [N] or [N, outputs] |
    | `Classes(classes)` | maps of classes [N, H, W] |
    | `Depth(far)` | maps of metres [N, H, W] |
    | `Normals()` | maps of vectors, [N, 3, H, W] or [N, H, W, 3] |
    | `Map(channels)` | maps of numbers, [N, H, W] or [N, channels, H, W] |

    A label is missing where it is NaN, None, pandas' NA or "", a class of -1, a depth of 0 or a
    normal of zeros; no loss and no metric counts it. The `primary` is the first task unless it is
    named, and the `auxiliaries` are all others.

    `split` has "train", "validation" or "test" for every sample. Without it, every run deals the
    samples by its seed, 60, 15 and 25 %; if only validation is missing, it gets a fifth of the
    training samples. Samples that have the same number in `groups`, or the same input, stay
    together; inputs that are in two given splits are refused unless `duplicates` is "allow".

    Pictures are shown to networks at `side` x `side` pixels, cut to a square in the middle; half of
    those for training are mirrored unless `augment` is "none". Vectors and `Number` labels are
    brought to mean 0 and deviation 1 over the training samples unless `standardise` is False, so an
    error of 1 is that of predicting the mean.

    A subclass that is registered in a file of its own gives these in its constructor; see
    docs/own-data.md. Errors: `UsageError` for what does not fit, with the number of the sample.

    >>> from auxbench.data.kinds import Label, Number
    >>> table = np.random.default_rng(0).random((40, 3))
    >>> apples = ArrayDataset(
    ...     table[:, :2],
    ...     {"weight": (table[:, 2], Number()), "ripe": (table[:, 0] > 0.5, Label(2))},
    ...     primary="weight", name="apples",
    ... )
    >>> len(apples.samples("train")), apples.features, apples.auxiliaries
    (24, 2, ('ripe',))
    """

    licence = "the user's own"
    auxiliaries: tuple[str, ...] = ()

    def __init__(
        self,
        inputs: Any,
        tasks: Mapping[str, tuple[Any, Kind]],
        *,
        primary: str | None = None,
        auxiliaries: Sequence[str] | None = None,
        split: Any = None,
        groups: Any = None,
        name: str = "",
        about: str = "",
        side: int | None = None,
        draw: int | None = None,
        augment: str = "mirror",
        standardise: bool = True,
        duplicates: str = "refuse",
    ) -> None:
        if augment not in ("mirror", "none"):
            raise UsageError(f"augment is '{augment}'; write mirror or none.")
        if duplicates not in ("refuse", "allow"):
            raise UsageError(f"duplicates is '{duplicates}'; write refuse or allow.")
        check_side(side)
        pairs = pairs_of(tasks, "labels")
        found = array_of(inputs)
        if found.ndim not in (2, 3, 4) or 0 in found.shape:
            raise UsageError(
                f"inputs have the shape {found.shape}; give vectors (count, features) or pictures "
                "(count, height, width), with or without channels."
            )
        self.name, self.about = name, about
        self.augment, self.standardise, self.duplicates = augment, standardise, duplicates
        self.draw = draw or 0
        self.kinds = {name: kind for name, (_, kind) in pairs.items()}
        for name, kind in self.kinds.items():
            check_kind(name, kind, found.ndim > 2)
        self.tasks = named(self.kinds)
        self.primary, self.auxiliaries = roles(self.tasks, primary, auxiliaries)
        self.arrays: dict[str, Array] = {INPUTS: _inputs(found)}
        picture = None if found.ndim == 2 else self._natural
        for task, (values, kind) in pairs.items():
            labels = values if isinstance(values, list) else array_of(values)
            count = len(labels) if isinstance(labels, list) or labels.ndim else 1
            if count != len(found):
                raise UsageError(
                    f"task '{task}' has {count} labels for {len(found)} inputs; give one for each."
                )
            self.arrays[task] = targets(task, kind, labels, picture, sample)
        self.split = None if split is None else codes(_one_each(split, len(found), "split"), sample)
        self.groups: Array | None = None
        if groups is not None:
            self.groups = grouped(_one_each(groups, len(found), "groups"), sample)
        if picture is None:
            self.backbone, self.features = "mlp", found.shape[1]
        else:
            self.size = (side, side) if side else (min(picture),) * 2
        if self.split is not None:
            refuse_unseen(self.arrays, self.tasks, self.split, sample)
        if self.split is not None and duplicates == "refuse":
            what = "the picture" if picture else "the numbers"
            refuse_twins(self.split, self._same, what, sample)

    @property
    def _natural(self) -> tuple[int, int]:
        """Height and width of the pictures as they were given."""
        height, width = self.arrays[INPUTS].shape[-2:]
        return height, width

    @classmethod
    def tiny(cls) -> Dataset:
        """Sixteen drawn samples, for subclasses whose constructor needs no arguments."""
        return cls().small()  # type: ignore[call-arg]

    def small(self) -> Dataset:
        return small(self)

    def prepare(self) -> None:
        """Check that there are labels; the data are in memory."""
        dealt = deal(self.split, self._groups, self.draw)
        marks = {name: labelled(kind, self.arrays[name]) for name, kind in self.kinds.items()}
        refuse_unlabelled(marks, dealt, self.primary)

    def samples(self, split: str) -> Samples:
        dealt = deal(self.split, self._groups, self.draw)
        parts = {name: np.flatnonzero(dealt == code) for code, name in enumerate(SPLITS)}
        rows, arrays = parts[split], self._fitted
        scales = scales_of(arrays, parts["train"], self.tasks) if self.standardise else {}
        return OwnSamples(arrays, rows, self.tasks, self.augment == "mirror", scales)

    def identity(self) -> dict[str, Any]:
        return {"digest": self.digest(), "form": VERSION}

    def scaling(self) -> dict[str, dict[str, list[float]]]:
        samples = self.samples("train")
        assert isinstance(samples, OwnSamples)
        return told(samples.scales)

    def save(self, folder: str | Path) -> Path:
        """Write the data into a new folder, for `--dataset folder:data=FOLDER`; return the folder.

        Errors: `UsageError` for a folder that is not empty or cannot be written, and for task kinds
        of the user's own, which only Python code can hold.
        """
        head = {
            "name": self.name,
            "about": self.about,
            "primary": self.primary,
            "auxiliaries": list(self.auxiliaries),
            "augment": self.augment,
            "standardise": self.standardise,
            "duplicates": self.duplicates,
        }
        extra = {"split": self.split, "group": self.groups}
        given = {name: array for name, array in extra.items() if array is not None}
        save(Path(folder), head, self.kinds, self.arrays, given)
        return Path(folder)

    def digest(self) -> str:
        """Sixteen hexadecimal digits of a hash of everything that can affect a result."""
        facts = {
            name: (type(kind).__name__, kind.names, kind.outputs, metrics_of(kind))
            for name, kind in self.kinds.items()
        }
        total = hashlib.sha256(repr((facts, self.augment, self.standardise)).encode())
        extra = {"split": self.split, "groups": self.groups}
        for name, array in {**self.arrays, **extra}.items():
            if array is not None:
                total.update(f"{name} {array.dtype} {array.shape}".encode())
                total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()[:16]

    @cached_property
    def _same(self) -> npt.NDArray[np.int64]:
        """A number for every sample, equal for those with equal pictures.

        Vectors are the same only with equal labels, since tables repeat few values often.
        """
        names = (INPUTS,) if self.arrays[INPUTS].ndim == 4 else (INPUTS, *self.kinds)
        numbers: dict[bytes, int] = {}
        same = np.empty(len(self.arrays[INPUTS]), np.int64)
        for row in range(len(same)):
            parts = [hashlib.sha256(self.arrays[name][row].tobytes()).digest() for name in names]
            same[row] = numbers.setdefault(b"".join(parts), row)
        return same

    @cached_property
    def _groups(self) -> npt.NDArray[np.int64]:
        both = [self._same] if self.groups is None else [self._same, self.groups]
        return together(*both)

    @cached_property
    def _fitted(self) -> dict[str, Array]:
        """The arrays at the size of the network's inputs."""
        inputs = self.arrays[INPUTS]
        if inputs.ndim == 2 or self._natural == self.size:
            return self.arrays
        side = self.size[0]
        both = [fitted(picture, side) for picture in inputs]
        arrays = dict(self.arrays)
        arrays[INPUTS] = np.stack([picture for picture, _ in both])
        for name, kind in self.kinds.items():
            if kind.dense:
                maps = zip(self.arrays[name], both, strict=True)
                arrays[name] = np.stack([fitted_map(kind, target, b[1]) for target, b in maps])
        return arrays


def sample(row: int) -> str:
    """The place of a sample in arrays, for errors."""
    return f"sample {row}"


def _inputs(found: Array) -> Array:
    if found.ndim > 2:
        return planes(found, sample)
    if found.dtype.kind not in "biuf":
        raise UsageError(f"inputs are {found.dtype}; give numbers.")
    vectors = found.astype(np.float32)
    wrong = ~np.isfinite(vectors).all(1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UsageError(f"sample {row}: an input is NaN or infinite; fill it in or leave it out.")
    return vectors


def _one_each(values: Any, count: int, what: str) -> Array:
    found = array_of(values)
    if found.shape != (count,):
        raise UsageError(
            f"{what} has the shape {found.shape}; give one for each of {count} samples."
        )
    return found
