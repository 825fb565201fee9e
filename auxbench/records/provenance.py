"""Provenance: the code and the data that a result was made by, and whether they still are.

A result belongs to the files of its method and of its data set, with the helpers next to them that
these import, to the version of the package that brings them, and to the data themselves. A run of
which one of these has changed is stale. Nothing here imports what it looks at, so that boards need
no torch.
"""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from auxbench.errors import AuxbenchError
from auxbench.spec.registry import DATASETS, METHODS, Registry

UNKNOWN = "made before its code was recorded"

_REGISTRIES: Mapping[str, Registry[Any]] = {"methods": METHODS, "datasets": DATASETS}
_OPENS = getattr(tokenize, "FSTRING_START", -1)  # from Python 3.12 on f-strings come in pieces
_CLOSES = getattr(tokenize, "FSTRING_END", -1)
_LAYOUT = {tokenize.INDENT: "{", tokenize.DEDENT: "}", tokenize.NEWLINE: "\n"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code(methods: tuple[str, ...], dataset: str) -> dict[str, dict[str, dict[str, str]]]:
    """The digests of the files of some methods and a data set, by their registered names.

    For records. A part of another package has the name and version of that package too.
    """
    wanted = {"methods": methods, "datasets": (dataset,)}
    return {
        kind: {name: known for name in names if (known := _part(kind, name)) is not None}
        for kind, names in wanted.items()
    }


def stale(record: Mapping[str, Any], data: Mapping[str, Any] | None = None) -> str:
    """Why a record is not of the present code and data, in a few words; empty if it is.

    `data` are those that a run would read now; without them only the code is compared. What is not
    on this machine, such as a method of somebody else's, is not known to have changed.

    >>> stale({"status": "done", "provenance": None})
    'made before its code was recorded'
    """
    known = record.get("provenance")
    if known is None:
        return "" if record["status"] not in ("done", "diverged") else UNKNOWN
    for kind, parts in known["code"].items():
        for name, then in parts.items():
            now = _part(kind, name)
            if now is not None and now != then:
                versions = [part.get("version") for part in (then, now)]
                what = "version" if versions[0] != versions[1] else "code"
                return f"the {what} of {_REGISTRIES[kind].kind} '{name}' has changed since"
    if data is not None and data != known["data"]:
        return "the data have changed since"
    return ""


def _part(kind: str, name: str) -> dict[str, str] | None:
    """The digest and package of a part; None where its files are not here or cannot be read."""
    registry = _REGISTRIES[kind]
    try:
        path, package = registry.origin(name)
        return {"digest": digest(path), **package}
    except (AuxbenchError, OSError, SyntaxError, tokenize.TokenError):
        return None


def digest(path: Path) -> str:
    """The SHA-256 of what a file and the helpers next to it do, in 16 hexadecimal digits.

    Helpers are what it imports relatively, directly or not. Comments, docstrings, help texts and
    layout do not count.
    """
    files = sorted(_family(path, {}).items(), key=lambda item: item[1])
    return _digest(tuple((file, name, file.stat().st_mtime_ns) for file, name in files))


@lru_cache(maxsize=1024)
def _digest(files: tuple[tuple[Path, str, int], ...]) -> str:
    total = hashlib.sha256()
    for file, name, _ in files:
        text = meaning(file.read_text(encoding="utf-8"))
        total.update(f"{name}\n{len(text)}\n{text}".encode())
    return total.hexdigest()[:16]


def meaning(source: str) -> str:
    """A source text without comments, docstrings, help texts and layout, alike in every Python.

    >>> meaning("def f(x):  # doubles\\n    '''Double.'''\\n    return 2*x") == meaning(
    ...     "def f(x):\\n  return 2 * x\\n")
    True
    """
    tree = ast.parse(source)
    documents, helps = set(_docstrings(tree)), list(_helps(tree))
    lines = source.splitlines(keepends=True)
    parts: list[str] = []
    depth, start, silent = 0, (0, 0), False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == _OPENS:
            start = start if depth else token.start
            depth += 1
        elif token.type == _CLOSES:
            depth -= 1
            if not depth:
                parts.append(_between(lines, start, token.end))
        elif not depth and any(first <= token.start < last for first, last in helps):
            continue
        elif token.start in documents and token.type == tokenize.STRING:
            silent = True  # to the end of its line
        elif not (depth or token.type in (tokenize.COMMENT, tokenize.NL)):
            if not silent:
                parts.append(_LAYOUT.get(token.type, token.string))
            silent = silent and token.type != tokenize.NEWLINE
    return " ".join(parts)


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Yield the positions of docstrings: line and column."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            yield node.body[0].lineno, node.body[0].col_offset


def _helps(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """The texts of `Help("...")`: where each begins and ends."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Help":
            for text in node.args:
                yield (
                    (text.lineno, text.col_offset),
                    (text.end_lineno or text.lineno, text.end_col_offset or text.col_offset),
                )


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    rows = lines[start[0] - 1 : end[0]]
    rows[-1] = rows[-1][: end[1]]
    rows[0] = rows[0][start[1] :]
    return "".join(rows)


def _family(path: Path, known: dict[Path, str]) -> dict[Path, str]:
    """A file and what it imports relatively, directly or not, by path; with their names."""
    if path in known:
        return known
    known[path] = path.name
    for found in _imports(path, path.stat().st_mtime_ns):
        _family(found, known)
    return known


@lru_cache(maxsize=1024)
def _imports(path: Path, changed: int) -> tuple[Path, ...]:
    """The files that a file imports relatively."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1]
            module = folder.joinpath(*(node.module or "").split("."))
            names = [module, *(module / alias.name for alias in node.names)]
            tried = [name.with_suffix(".py") for name in names if name != folder]
            found += [file for file in (*tried, module / "__init__.py") if file.is_file()]
    return tuple(dict.fromkeys(found))
