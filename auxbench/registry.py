"""Registries: a dict, a decorator, and one folder that is looked into by name.

The name of a part is the name of its file with dashes for underscores, so a registry knows what
there is without importing anything, and imports only the file that is asked for. Other packages
add parts through entry points; one that is broken says so and breaks nothing else.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from auxbench.errors import UsageError, suggestion

T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True)
class Card:
    """What a part says of itself, read from its source without running it.

    `attributes` are the literal values that the registered class or its module sets by name.
    """

    name: str
    summary: str
    doc: str
    attributes: dict[str, Any]
    problem: str = ""


class Registry(Generic[T]):
    """The parts of one kind by name: those of a package of auxbench and those of entry points."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._parts: dict[str, T] = {}

    def register(self, part: P) -> P:
        """Enter a class under its file's name; a decorator that keeps the class's own type."""
        name = part.__module__.rpartition(".")[2].replace("_", "-")
        entered: object = self._parts.setdefault(name, cast(T, part))
        if entered is not part:
            raise RuntimeError(f"two {self.kind}s are called '{name}'; rename one of the files.")
        return part

    def names(self) -> list[str]:
        """All names, sorted; nothing is imported."""
        return sorted({*self._files, *self._plugins, *self._parts})

    def __contains__(self, name: object) -> bool:
        return name in self._files or name in self._plugins or name in self._parts

    def __getitem__(self, name: str) -> T:
        """The part of that name; errors: `UsageError` for an unknown name or a broken plugin."""
        if name not in self:
            raise UsageError(f"no {self.kind} is called '{name}'; {suggestion(name, self.names())}")
        if name not in self._parts:
            if name in self._files:
                importlib.import_module(f"{self.package}.{self._files[name].stem}")
            else:
                self._parts[name] = self._load(self._plugins[name])
        return self._parts[name]

    def card(self, name: str) -> Card:
        """The description of a part; its module is parsed, never imported."""
        if name not in self:
            self[name]  # raises, with a suggestion
        source = self._files.get(name)
        if source is None and name in self._plugins:
            try:
                found = importlib.util.find_spec(self._plugins[name].module)
            except ImportError as error:
                return Card(name, "", "", {}, f"not usable: {error}")
            source = Path(found.origin) if found and found.origin else None
        if source is None:
            return Card(name, "", "", {})
        tree = ast.parse(source.read_text(encoding="utf-8"))
        doc = ast.get_docstring(tree) or ""
        return Card(name, _first_sentence(doc), doc, _literals(tree))

    @cached_property
    def _files(self) -> dict[str, Path]:
        package = importlib.import_module(self.package)
        return {
            path.stem.replace("_", "-"): path
            for folder in package.__path__
            for path in sorted(Path(folder).glob("*.py"))
            if not path.stem.startswith("_")
        }

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        found = entry_points(group=self.package)
        return {point.name: point for point in found if point.name not in self._files}

    def _load(self, point: EntryPoint) -> T:
        try:
            part: T = point.load()
        except Exception as error:
            raise UsageError(
                f"{self.kind} '{point.name}' of another package is not usable "
                f"({type(error).__name__}: {error}); mend or uninstall that package."
            ) from error
        return part


def _first_sentence(doc: str) -> str:
    paragraph = " ".join(doc.split("\n\n")[0].split())
    head, stop, _ = paragraph.partition(". ")
    return head + "." if stop else paragraph


def _literals(tree: ast.Module) -> dict[str, Any]:
    values: dict[str, Any] = {}
    bodies = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    for body in (tree.body, *bodies):
        for node in body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name, value = node.targets[0].id, node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if node.value is None:
                    continue
                name, value = node.target.id, node.value
            else:
                continue
            try:
                values[name] = ast.literal_eval(value)
            except ValueError:
                continue
    return values


METHODS: Registry[type] = Registry("method", "auxbench.methods")
