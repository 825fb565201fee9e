"""Descriptions: the documentation of a part, read from its file without running it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

FLAWS = "Known flaws: "
# A BibTeX entry, up to an empty line, the next entry or the end.
ENTRY = re.compile(r"^@\w+\{.*?\}(?=\s*\Z|\n+@|\n\n)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Description:
    """The docstring of a part's module, and the class attributes that are literals.

    `problem` says why a part of another package cannot be used; it is empty if it can.
    """

    name: str
    doc: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    @classmethod
    def read(cls, name: str, path: Path, class_name: str = "") -> Description:
        """Read the description of the class in a file that is registered or has that name.

        Errors: `OSError` and `SyntaxError` for a file that cannot be read.
        """
        tree = ast.parse(path.read_text(encoding="utf-8"))
        attributes = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and (
                node.name == class_name or any(map(_registers, node.decorator_list))
            ):
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
        """The paragraphs and list items after the first sentence, without flaws and BibTeX."""
        prose = [text for text in self._paragraphs if not text.startswith(FLAWS)]
        first, *rest = prose or [""]
        return [text for text in (first.removeprefix(self.summary).strip(), *rest) if text]

    @property
    def flaws(self) -> str:
        """Its known flaws; empty if the docstring lists none."""
        found = (text for text in self._paragraphs if text.startswith(FLAWS))
        return next(found, "").removeprefix(FLAWS)

    @property
    def bibtex(self) -> list[str]:
        """The BibTeX entries in the docstring, for the work that the part implements."""
        return ENTRY.findall(self.doc)

    @cached_property
    def _paragraphs(self) -> list[str]:
        parts = re.split(r"\n\n|\n(?=\* )", ENTRY.sub("", self.doc).strip())
        return [" ".join(text.split()) for text in parts if text.strip()]


def _registers(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Attribute) and decorator.attr == "register"


def _literal(node: ast.stmt) -> tuple[str, Any] | None:
    """The name and the value of a class attribute if it is a literal, else None."""
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(target, ast.Name):
        return None
    try:
        return target.id, ast.literal_eval(node.value or ast.Constant(None))
    except ValueError:
        return None
