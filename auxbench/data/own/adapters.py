"""Data sets of torch, torchvision and Hugging Face as problems of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from auxbench.data.kinds import Kind, Label, Number
from auxbench.data.own.array_dataset import ArrayDataset
from auxbench.data.own.checks import check_kind, check_side, pairs_of
from auxbench.data.own.dealing import SPLITS
from auxbench.data.own.labels import empty, targets
from auxbench.data.own.pictures import Array, array_of, planes
from auxbench.data.own.samples import fitted, fitted_map
from auxbench.data.progress import bar
from auxbench.errors import UsageError, suggestion

Column = str | int | Callable[[Any], Any]
MANY = 2000  # samples from which on progress is shown


def from_torch(
    dataset: Any,
    inputs: Column,
    tasks: Mapping[str, tuple[Column, Kind]],
    *,
    side: int | None = None,
    **options: Any,
) -> ArrayDataset:
    """A problem from a data set of torch or torchvision, which is read once, into memory.

    `dataset` has a length and samples by index, or is a dictionary of such with the keys 'train',
    'validation' and 'test', of which the second may be missing. A column is the place of a value in
    a sample: an index of a tuple, a key of a dictionary, or a function of the sample. `tasks` has
    the column and the kind of every task. Pictures are of Pillow, arrays or tensors, from 0 to 1 if
    they are no bytes. With `side`, they are shrunk to squares as they are read, and may differ in
    size. The other options are those of `ArrayDataset`.

    Errors: `UsageError` with the number of the sample, counted over all splits.

    >>> from torch import arange
    >>> from torch.utils.data import TensorDataset
    >>> numbers = arange(20.0)
    >>> rows = TensorDataset(numbers[:, None], 2 * numbers, (numbers > 9).long())
    >>> made = from_torch(rows, 0, {"twice": (1, Number()), "large": (2, Label(2))}, name="rows")
    >>> made.primary, len(made.samples("test"))
    ('twice', 5)
    """
    check_side(side)
    tasks = pairs_of(tasks, "column")
    parts = _parts(dataset, options)
    total = sum(map(len, parts.values()))
    if not total:
        raise UsageError("the data set is empty; give one with samples.")
    for name, (_, kind) in tasks.items():
        check_kind(name, kind, pictures=True)
    pictures: list[Array] = []
    labels: dict[str, list[Any]] = {name: [] for name in tasks}
    shown = bar("reading the data", total) if total >= MANY else nullcontext()
    with shown as advance:
        for row, sample in enumerate(_samples(parts)):
            given = array_of(_value(sample, inputs, row, "inputs"))
            values = {n: _value(sample, column, row, n) for n, (column, _) in tasks.items()}
            if side and given.ndim > 1:
                given, values = _fit(
                    given, values, {n: k for n, (_, k) in tasks.items()}, side, row
                )
            elif pictures and given.shape != pictures[0].shape:
                raise UsageError(
                    f"sample {row}: its input has the shape {given.shape}, and sample 0 "
                    f"{pictures[0].shape}; give side=64 to have pictures shrunk to squares."
                )
            pictures.append(given)
            for name, value in values.items():
                labels[name].append(value)
            if advance is not None:
                advance(1)
    stacked = {
        name: (_stacked(name, values, tasks[name][1]), tasks[name][1])
        for name, values in labels.items()
    }
    if len(parts) > 1:
        options["split"] = [name for name, part in parts.items() for _ in range(len(part))]
    return ArrayDataset(np.stack(pictures), stacked, **options)


def from_huggingface(
    dataset: Any,
    inputs: str,
    tasks: Mapping[str, Kind | tuple[str, Kind]] | Sequence[str],
    *,
    side: int | None = None,
    **options: Any,
) -> ArrayDataset:
    """A problem from a Hugging Face `Dataset`, or `DatasetDict` with the splits train and test.

    `inputs` is the column of pictures or vectors. `tasks` has the kind of every task, or its column
    and kind; a column of `ClassLabel` or of numbers has a kind already, so its name is enough. The
    rest is as for `from_torch`.

    Errors: `UsageError` for unknown columns, and for columns without a kind.
    """
    first = next(iter(dataset.values())) if isinstance(dataset, Mapping) else dataset
    features = getattr(first, "features", None)
    if not isinstance(features, Mapping):
        raise UsageError(f"{type(first).__name__} is no Hugging Face data set; use from_torch.")
    given: Mapping[str, Any] = tasks if isinstance(tasks, Mapping) else dict.fromkeys(tasks)
    found: dict[str, tuple[Column, Kind]] = {}
    for name, said in given.items():
        column, kind = said if isinstance(said, tuple) else (name, said)
        if column not in features:
            raise UsageError(f"no column is called '{column}'; {suggestion(str(column), features)}")
        found[name] = column, _kind(column, features[column]) if kind is None else kind
    if inputs not in features:
        raise UsageError(f"no column is called '{inputs}'; {suggestion(inputs, features)}")
    return from_torch(dataset, inputs, found, side=side, **options)


def _kind(column: str, feature: Any) -> Kind:
    """The kind that a column declares itself."""
    names, dtype = getattr(feature, "names", None), str(getattr(feature, "dtype", ""))
    if names:
        return Label(list(names))
    if dtype.startswith(("float", "double")):
        return Number()
    raise UsageError(
        f"column '{column}' does not say what its labels are ({type(feature).__name__} {dtype}); "
        f'give its kind, as in {{"{column}": Label(10)}}.'
    )


def _parts(dataset: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The data sets by split; one without splits is under its first name."""
    parts = dict(dataset) if isinstance(dataset, Mapping) else {"train": dataset}
    for name, part in parts.items():
        if name not in SPLITS:
            raise UsageError(
                f"no split is called '{name}'; give a dictionary with the keys {', '.join(SPLITS)}."
            )
        if not (hasattr(part, "__len__") and hasattr(part, "__getitem__")):
            raise UsageError(
                f"{type(part).__name__} has no length or no samples by index, as streams have; "
                "give one that has both."
            )
    if len(parts) > 1 and options.get("split") is not None:
        raise UsageError("split is given twice; leave it out, since the data set has splits.")
    if isinstance(dataset, Mapping) and len(parts) == 1 and "train" not in parts:
        raise UsageError(f"the only split is '{next(iter(parts))}'; give train and test, too.")
    return parts


def _samples(parts: Mapping[str, Any]) -> Iterator[Any]:
    for part in parts.values():
        for index in range(len(part)):
            yield part[index]


def _value(sample: Any, column: Column, row: int, what: str) -> Any:
    """The value of a column in a sample."""
    if callable(column):
        return column(sample)
    try:
        return sample[column]
    except (KeyError, IndexError, TypeError):
        known = sample if isinstance(sample, Mapping) else range(len(sample))
        words = suggestion(str(column), map(str, known))
        raise UsageError(f"sample {row}: '{what}' has no column '{column}'; {words}") from None


def _fit(
    given: Array, values: dict[str, Any], kinds: Mapping[str, Kind], side: int, row: int
) -> tuple[Array, dict[str, Any]]:
    """A picture and its maps at `side` pixels."""

    def place(_: int) -> str:
        return f"sample {row}"

    whole = planes(given[None], place)[0]
    size = whole.shape[-2], whole.shape[-1]
    small, view = fitted(np.repeat(whole, 3 // len(whole), axis=0), side)
    for name, kind in kinds.items():
        if not kind.dense:
            continue
        if values[name] is None:
            values[name] = empty(kind, (side, side))
        else:
            target = targets(name, kind, array_of(values[name])[None], size, place)[0]
            values[name] = fitted_map(kind, target, view)
    return small, values


def _stacked(name: str, values: list[Any], kind: Kind) -> Any:
    """The labels of all samples, in one array if they have the same shape."""
    if not kind.dense and any(value is None or isinstance(value, str) for value in values):
        return values
    arrays = [array_of(value) for value in values]
    for row, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise UsageError(
                f"sample {row}: '{name}' has the shape {array.shape}, and sample 0 "
                f"{arrays[0].shape}; give side=64 to have maps shrunk with their pictures."
            )
    return np.stack(arrays)
