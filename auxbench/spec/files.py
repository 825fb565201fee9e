"""Parts in files of the user's own: `./mine.py` in place of a name, wherever one is typed.

A file is imported when the user names it in a command, a config or a call, and in the processes
that carry out the runs of that command. What a results folder says is never imported: a record
holds the name of a part, not where its file lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from auxbench.errors import UsageError
from auxbench.spec import source
from auxbench.spec.grammar import split_list
from auxbench.spec.registry import BACKBONES, DATASETS, METHODS, Registry

Files = tuple[tuple[str, str], ...]
"""The files of parts: pairs of the registry's name and an absolute path."""

REGISTRIES: dict[str, Registry[Any]] = {
    "METHODS": METHODS,
    "DATASETS": DATASETS,
    "BACKBONES": BACKBONES,
}


def is_path(part: str) -> bool:
    """Return whether a part is typed as the path of a file.

    >>> is_path("./mine.py:alpha=2"), is_path("mine.py"), is_path("gradnorm:alpha=2")
    (True, True, False)
    """
    name = part.strip().partition(":")[0]
    return name.endswith(".py") or "/" in name


def named(text: str, registry: Registry[Any]) -> str:
    """The same text with names for paths, after their files have been added to the registry.

    The text is a part or several joined by `+`, with options. Errors: `UsageError` for a path that
    is not that of a Python file with such a part.
    """
    return "+".join(_named(part, registry) for part in text.split("+"))


def all_named(given: str | Sequence[str], registry: Registry[Any]) -> list[str]:
    """`named` for every entry of a list, which may be given as text with commas."""
    entries = split_list(given) if isinstance(given, str) else [str(entry) for entry in given]
    return [named(entry, registry) for entry in entries]


def _named(part: str, registry: Registry[Any]) -> str:
    name, colon, options = part.strip().partition(":")
    if not is_path(name) or (registry is BACKBONES and not name.endswith(".py")):
        return part
    if not name.endswith(".py"):
        raise UsageError(
            f"'{name}' is not the path of a Python file; name a .py file, with no comma, colon or "
            "plus in its path."
        )
    return registry.add(Path(name)) + colon + options


def add(paths: str | Sequence[str]) -> list[tuple[str, str]]:
    """Add the parts in some files, of whatever kind; return pairs of registry and name.

    Errors: `UsageError` for a file that registers nothing, or that cannot be imported.
    """
    files = [Path(path) for path in (split_list(paths) if isinstance(paths, str) else paths)]
    return [(name, REGISTRIES[name].add(file)) for file in files for name in kinds_of(file)]


def kinds_of(path: Path) -> list[str]:
    """The registries that a file has a part for; errors: `UsageError` for one that has none."""
    path = path.expanduser()
    if not path.is_file():
        raise UsageError(f"file '{path}' is not there; name one that is.")
    try:
        found = list(source.registers(path))
    except (OSError, SyntaxError, ValueError) as error:
        why = source.reason(error, path)
        raise UsageError(f"file '{path}' does not import ({why}); correct it.") from None
    if not found:
        registries = ", ".join(f"@{name}.register" for name in source.KINDS)
        raise UsageError(
            f"file '{path}' registers no part; decorate its class with one of {registries}."
        )
    return found


def files_of(methods: Iterable[str], dataset: str, backbone: str) -> Files:
    """The files of some parts, given by their names, that were added to this process."""
    wanted = {"METHODS": methods, "DATASETS": (dataset,), "BACKBONES": (backbone,)}
    return tuple(
        (registry, str(file))
        for registry, names in wanted.items()
        for name in dict.fromkeys(names)
        if (file := REGISTRIES[registry].file_of(name)) is not None
    )


def load(files: Iterable[tuple[str, str]]) -> None:
    """Add the files of a run in another process; errors: `UsageError` for one that is missing."""
    for registry, path in files:
        REGISTRIES[registry].add(Path(path))
