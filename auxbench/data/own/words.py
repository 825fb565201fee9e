"""Words for columns: what a column of a user's own data holds, with options.

A word is written `depth:far=10` in the header of a table and in dataset.toml, or there as a table,
`{kind = "class", names = ["unripe", "ripe"]}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auxbench.errors import UsageError, suggestion
from auxbench.spec.grammar import Choice

STRUCTURE = ("picture", "input", "split", "group", "skip")
TASKS: Mapping[str, tuple[str, ...]] = {
    "class": ("names", "top"),
    "number": ("outputs",),
    "classes": ("names", "count"),
    "depth": ("far", "unit"),
    "normals": ("raw",),
    "map": ("channels",),
}
MAPS = ("classes", "depth", "normals", "map")
ALONE = ("picture", "split", "group")  # columns whose name says what they hold
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
LEAST = {"top": 1, "outputs": 1, "count": 2, "channels": 1}  # of options that are whole numbers
MOST = 1e9  # a number that is no mistake is smaller
FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Word:
    """The content of a column: a kind and its options, checked and converted."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_task(self) -> bool:
        """True if the column has the labels of a task."""
        return self.kind in TASKS

    @property
    def is_file(self) -> bool:
        """True if the cells of the column are names of files."""
        return self.kind == "picture" or self.kind in MAPS


def parse(name: str, given: object, where: str) -> Word:
    """The word of a column, from text or from a table of a TOML file.

    `where` is the place to be named in errors, such as "'a.csv', line 1". Errors: `UsageError` for
    unknown kinds and options, and for values that an option cannot have.

    >>> parse("mask", "classes:names=sky/tree", "'samples.csv', line 1").options
    {'names': ['sky', 'tree']}
    """
    if isinstance(given, Mapping):
        kind, options = given.get("kind"), {k: v for k, v in given.items() if k != "kind"}
    elif isinstance(given, str):
        try:
            choice = Choice.parse(given)
        except UsageError as error:
            raise UsageError(f"{where}: column '{name}': {error}") from None
        kind, options = choice.name, dict(choice.options)
        if "names" in options:
            options["names"] = options["names"].split("/")
    else:
        kind, options = given, {}
    if not isinstance(kind, str) or kind not in (*STRUCTURE, *TASKS):
        raise UsageError(
            f"{where}: column '{name}' has the unknown kind '{kind}'; "
            f"{suggestion(str(kind), (*STRUCTURE, *TASKS))}"
        )
    known = TASKS.get(kind, ())
    for key in options:
        if key not in known:
            hint = suggestion(key, known) if known else "it has none."
            raise UsageError(
                f"{where}: kind '{kind}' of column '{name}' has no option '{key}'; {hint}"
            )
    values = {key: _value(name, key, value, where) for key, value in options.items()}
    if kind == "classes" and len(values.keys() & {"names", "count"}) != 1:
        raise UsageError(
            f"{where}: column '{name}' does not say which classes its maps have; "
            "write classes:names=sky/tree or classes:count=2."
        )
    if kind in TASKS and (not NAME.fullmatch(name) or name == "inputs"):
        raise UsageError(
            f"{where}: a task cannot be called '{name}'; use letters, digits, - and _, and begin "
            "with a letter."
        )
    return Word(kind, values)


def _value(name: str, key: str, value: object, where: str) -> Any:
    """The value of an option, converted."""
    wrong = f"{where}: option '{key}' of column '{name}' is '{value}'"
    if key == "names":
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise UsageError(f"{wrong}; write a list of class names.")
        names = [str(one) for one in value]
        if len(set(names)) != len(names) or len(names) < 2:
            raise UsageError(f"{wrong}; write at least two class names, each once.")
        return names
    if key == "raw":
        if (said := str(value).lower()) not in FLAGS:
            raise UsageError(f"{wrong}; write true or false.")
        return FLAGS[said]
    whole = key in LEAST
    try:
        number = int(str(value)) if whole else float(str(value))
    except ValueError:
        raise UsageError(f"{wrong}; write a {'whole ' * whole}number.") from None
    if not (number >= LEAST[key] if whole else number > 0) or number >= MOST:
        least = f"{LEAST[key]} or more" if whole else "more than 0"
        raise UsageError(f"{wrong}; write a number of {least}.")
    return number
