"""Descriptions: what a part says of itself, read from its file without running it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

FLAWS, SOURCE = "Known flaws: ", "Source: "


@dataclass(frozen=True)
class Description:
    """The docstring of a part's module, and the literals that its class sets.

    `problem` says why a part of another package cannot be used, if so.
    """

    name: str
    doc: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    @classmethod
    def read(cls, name: str, path: Path) -> Description:
        """The description in a file; errors: `OSError` and `SyntaxError` if it cannot be read."""
        tree = ast.parse(path.read_text(encoding="utf-8"))
        attributes = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any(map(_registers, node.decorator_list)):
                attributes = dict(filter(None, map(_literal, node.body)))
        return cls(name, ast.get_docstring(tree) or "", attributes)

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        paragraph = " ".join(self.doc.split("\n\n")[0].split())
        head, stop, _ = paragraph.partition(". ")
        return head + "." if stop else paragraph

    @property
    def description(self) -> list[str]:
        """The paragraphs and list items after the first sentence, without flaws and sources."""
        prose = [text for text in self._paragraphs if not text.startswith((FLAWS, SOURCE))]
        first, *rest = prose or [""]
        return [text for text in (first.removeprefix(self.summary).strip(), *rest) if text]

    @property
    def flaws(self) -> str:
        """What is known to be wrong with it; empty if the docstring does not say."""
        return next(iter(self._starting_with(FLAWS)), "")

    @property
    def sources(self) -> list[str]:
        """What it implements, as the docstring says: authors, title, venue, year, link."""
        return self._starting_with(SOURCE)

    @cached_property
    def _paragraphs(self) -> list[str]:
        parts = re.split(r"\n\n|\n(?=\* )", self.doc)
        return [" ".join(text.split()) for text in parts]

    def _starting_with(self, word: str) -> list[str]:
        found = (text for text in self._paragraphs if text.startswith(word))
        return [text.removeprefix(word) for text in found]


def _registers(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Attribute) and decorator.attr == "register"


def _literal(node: ast.stmt) -> tuple[str, Any] | None:
    """The name and the value of a class attribute, where it is a literal."""
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(target, ast.Name):
        return None
    try:
        return target.id, ast.literal_eval(node.value or ast.Constant(None))
    except ValueError:
        return None
