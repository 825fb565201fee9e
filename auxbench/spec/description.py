"""Cards: what a part says of itself, read from its source without running it."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FLAWS, SOURCE = "Known flaws: ", "Source: "

_CORE = Path(__file__).parent
_SPLIT = re.compile(r"holdout(/\w+)?|train/\w+")


@dataclass(frozen=True)
class Card:
    """The description of a part.

    `attributes` are the literal values that its class has, its own and inherited ones; `defines`
    are the names of the methods that it and its helpers define. `splits` are the splits beside the
    whole of the training data that its source names.
    """

    name: str
    doc: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    defines: frozenset[str] = frozenset()
    splits: frozenset[str] = frozenset()
    problem: str = ""

    @classmethod
    def read(cls, name: str, path: Path, class_name: str = "") -> Card:
        """The card of the class in a file that is registered there, or that has the given name.

        Errors: `OSError` and `SyntaxError` for a file that cannot be read.
        """
        module = _Module.read(path)
        attributes, defines = dict[str, Any](), set[str]()
        for origin, node in reversed(list(module.lineage(module.registered(class_name)))):
            defined = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
            defines |= defined if origin.path.parent != _CORE else set()
            for key, value in _assignments(node):
                attributes.pop(key, None)
                try:
                    attributes[key] = _literal(value)
                except (TypeError, ValueError):
                    continue
            attributes = {key: value for key, value in attributes.items() if key not in defined}
        splits = frozenset(split for each in module.family() for split in each.splits())
        doc = ast.get_docstring(module.tree) or ""
        return cls(name, doc, attributes, frozenset(defines), splits)

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        paragraph = " ".join(self.doc.split("\n\n")[0].split())
        head, stop, _ = paragraph.partition(". ")
        return head + "." if stop else paragraph

    @property
    def prose(self) -> list[str]:
        """The paragraphs and list items of the docstring, but for flaws and sources."""
        return [text for text in self._paragraphs if not text.startswith((FLAWS, SOURCE))]

    @property
    def description(self) -> list[str]:
        """The prose after the first sentence."""
        first, *rest = self.prose or [""]
        return [text for text in (first.removeprefix(self.summary).strip(), *rest) if text]

    @property
    def flaws(self) -> str:
        """What is known to be wrong with it; empty if the docstring does not say."""
        return next(iter(self._starting_with(FLAWS)), "")

    @property
    def sources(self) -> list[str]:
        """What it implements, as the docstring says: authors, title, venue, year, link."""
        return self._starting_with(SOURCE)

    @property
    def _paragraphs(self) -> list[str]:
        parts = re.split(r"\n\n|\n(?=\* )", self.doc)
        return [" ".join(text.split()) for text in parts]

    def _starting_with(self, word: str) -> list[str]:
        found = (text for text in self._paragraphs if text.startswith(word))
        return [text.removeprefix(word) for text in found]


@dataclass(frozen=True, eq=False)
class _Module:
    path: Path
    tree: ast.Module

    @staticmethod
    @cache
    def read(path: Path) -> _Module:
        return _Module(path, ast.parse(path.read_text(encoding="utf-8")))

    @property
    def classes(self) -> dict[str, ast.ClassDef]:
        return {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}

    def registered(self, name: str) -> str:
        """The name of the class that is given, or carries the decorator, or comes last."""
        decorated = (
            node.name
            for node in self.classes.values()
            for mark in node.decorator_list
            if isinstance(mark, ast.Attribute) and mark.attr == "register"
        )
        return name or next(decorated, "") or next(reversed(self.classes), "")

    def lineage(self, name: str) -> Iterator[tuple[_Module, ast.ClassDef]]:
        """A class and those that it inherits from, the nearest first, as far as they are found."""
        if name in self.classes:
            node = self.classes[name]
            yield self, node
            for base in node.bases:
                if isinstance(base, ast.Name):
                    yield from self.lineage(base.id)
            return
        for statement in self._imports:
            for alias in statement.names:
                path = _file(self.path, statement) if name in (alias.asname, alias.name) else None
                if path is not None:
                    yield from _Module.read(path).lineage(alias.name)

    def family(self) -> dict[_Module, None]:
        """The module itself and the helpers beside it that it imports, directly or not."""
        found = {self: None}
        for statement in self._imports:
            path = _file(self.path, statement) if statement.level else None
            if path is not None:
                found |= _Module.read(path).family()
        return found

    def splits(self) -> set[str]:
        words = (node.value for node in ast.walk(self.tree) if isinstance(node, ast.Constant))
        return {word for word in words if isinstance(word, str) and _SPLIT.fullmatch(word)}

    @property
    def _imports(self) -> list[ast.ImportFrom]:
        return [node for node in self.tree.body if isinstance(node, ast.ImportFrom)]


def _file(path: Path, statement: ast.ImportFrom) -> Path | None:
    """The file that a statement imports from: one beside `path`, or one of auxbench."""
    module = statement.module or ""
    if statement.level:
        file = path.parents[statement.level - 1].joinpath(*module.split(".")).with_suffix(".py")
        return file if file.exists() else None
    if module.partition(".")[0] != _CORE.name:
        return None  # to look for another package could run it
    found = importlib.util.find_spec(module)
    return Path(found.origin) if found and found.origin else None


def _assignments(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for part in node.body:
        if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
            yield part.targets[0].id, part.value
        elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.value:
            yield part.target.id, part.value


def _literal(node: ast.expr) -> Any:
    """The value of a literal, `frozenset(...)` included; errors: `ValueError` for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id != "frozenset":
            raise ValueError(node.func.id)
        return frozenset(*map(_literal, node.args))
    return ast.literal_eval(node)
