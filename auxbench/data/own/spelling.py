"""Kinds from words, and words from kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from auxbench.data.kinds import Classes, Depth, Kind, Label, Map, Normals, Number
from auxbench.data.own.words import Word
from auxbench.errors import UsageError

MILLIMETRES = 0.001  # metres in a step of an integer depth, unless its word says otherwise

_MAKE: Mapping[str, Callable[..., Kind]] = {
    "class": lambda names, top=1: Label(names, top=top),
    "number": lambda outputs=1: Number(outputs),
    "classes": lambda names=None, count=0: Classes(names or count),
    "depth": lambda far=None, unit=MILLIMETRES: Depth(far),
    "normals": lambda raw=False: Normals(raw),
    "map": lambda channels=1: Map(channels),
}
_SPELL: Mapping[type[Kind], Callable[[Any], dict[str, Any]]] = {
    Label: lambda kind: {"kind": "class", "names": named(kind), "top": _top(kind)},
    Number: lambda kind: {"kind": "number", "outputs": kind.outputs},
    Classes: lambda kind: {"kind": "classes", "names": named(kind)},
    Depth: lambda kind: {"kind": "depth", **({"far": kind.far} if kind.far else {})},
    Normals: lambda kind: {"kind": "normals", "raw": len(kind.metrics) > len(Normals().metrics)},
    Map: lambda kind: {"kind": "map", "channels": kind.outputs},
}


def kind_of(word: Word, names: Sequence[str] = ()) -> Kind:
    """The kind of a task's word; `names` are those of classes that the word does not name.

    >>> kind_of(Word("class"), ["unripe", "ripe"]).called(1)
    'ripe'
    """
    options = dict(word.options)
    if word.kind == "class":
        options.setdefault("names", list(names))
    return _MAKE[word.kind](**options)


def word_of(name: str, kind: Kind) -> dict[str, Any]:
    """The word of a task's kind as a table of dataset.toml.

    Errors: `UsageError` for a kind of the user's own, or with other metrics than its word has.

    >>> word_of("depth", Depth(far=10))
    {'kind': 'depth', 'far': 10}
    """
    spell = _SPELL.get(type(kind))
    if spell is not None:
        said = spell(kind)
        again = kind_of(Word(said["kind"], {k: v for k, v in said.items() if k != "kind"}))
        if metrics_of(again) == metrics_of(kind):
            return said
    raise UsageError(
        f"kind {type(kind).__name__} of task '{name}' is your own, or has metrics of your own, "
        "which a folder cannot hold; put the data set into a Python file (docs/own-data.md)."
    )


def named(kind: Kind) -> list[str]:
    """The names of a kind's classes, which are their numbers if they have none."""
    return [kind.called(number) for number in range(kind.classes)]


def _top(kind: Kind) -> int:
    """The k of a label's top-k accuracy, 1 without it."""
    made = [make() for make in kind.metrics]
    return next((metric.k for metric in made if hasattr(metric, "k")), 1)


def metrics_of(kind: Kind) -> list[tuple[str, int]]:
    """The names and versions of a kind's metrics."""
    return [(metric.name, metric.version) for metric in (make() for make in kind.metrics)]
