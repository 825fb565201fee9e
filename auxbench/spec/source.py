"""Source files of parts: which parts a file registers, and its import from anywhere on the disk."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

from auxbench.errors import UsageError


class Kind(NamedTuple):
    """A kind of parts in words, and the option of the command line that names some."""

    kind: str
    option: str


KINDS = {
    "METHODS": Kind("method", "--methods"),
    "DATASETS": Kind("data set", "--dataset"),
    "BACKBONES": Kind("backbone", "--backbone"),
}
"""The registries by their names, which files use to register their parts."""


def registers(path: Path) -> dict[str, list[tuple[str, int]]]:
    """The classes that a file registers, with their lines, by the name of the registry.

    The file is only parsed. Errors: `OSError`, `SyntaxError` and `ValueError` for a file that
    cannot be read.
    """
    found: dict[str, list[tuple[str, int]]] = {}
    for node in ast.walk(ast.parse(path.read_bytes())):
        for decorator in getattr(node, "decorator_list", ()):
            if isinstance(decorator, ast.Attribute) and decorator.attr == "register":
                whose = decorator.value
                name = getattr(whose, "attr", getattr(whose, "id", ""))
                if name in KINDS and isinstance(node, ast.ClassDef | ast.FunctionDef):
                    found.setdefault(name, []).append((node.name, node.lineno))
    return found


def execute(name: str, path: Path) -> None:
    """Import a file under a module name; modules that lie beside it can be imported by it.

    Those come after everything that is installed. Errors: `UsageError` for a neighbour whose name
    is that of another module, which would be used instead; whatever the file raises.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    if (folder := str(path.parent)) not in sys.path:
        sys.path.append(folder)  # to stay, since functions may import as well
        importlib.invalidate_caches()
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for other in neighbours(path):
        loaded = getattr(sys.modules.get(other.stem), "__file__", None)
        if loaded and Path(loaded).resolve() != other.resolve():
            raise UsageError(
                f"it imports '{other.stem}', which is {loaded} and not the file beside it; rename "
                f"{other.name}"
            )


def neighbours(path: Path) -> list[Path]:
    """The files beside a file that it imports by their plain names."""
    named: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            named.append(node.module)
    tried = [path.parent / f"{name.partition('.')[0]}.py" for name in dict.fromkeys(named)]
    return [file for file in tried if file != path and file.is_file()]


def reason(error: BaseException, path: Path | None = None) -> str:
    """An error in one line, with the line number in the file where it was raised."""
    said = " ".join(str(error).split()) or "no message"
    if path is not None and isinstance(error, SyntaxError) and error.lineno:
        said = re.sub(r" \([^()]*, line \d+\)$", "", said)
        return f"{type(error).__name__}: {said}, line {error.lineno} of {_file_of(error, path)}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if path and frame.filename == str(path)]
    where = f", line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}: {said}{where}"


def _file_of(error: SyntaxError, path: Path) -> str:
    return Path(error.filename or path).name
