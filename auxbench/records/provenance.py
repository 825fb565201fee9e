"""Provenance: the code and data that produced a result, and whether they have changed since.

A result depends on the files of its method, of its data set and of a backbone of the user's own,
with the helpers next to them that these import, on the version of the package that contains them,
and on the data themselves. If any of these has changed, the run is stale. Nothing here imports the
code that it examines, so that boards do not need torch.
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
from auxbench.spec import source
from auxbench.spec.registry import BACKBONES, DATASETS, METHODS, Registry

UNKNOWN = "made before its code was recorded"

REGISTRIES: Mapping[str, Registry[Any]] = {
    "methods": METHODS,
    "datasets": DATASETS,
    "backbones": BACKBONES,
}
_OPENS = getattr(tokenize, "FSTRING_START", -1)  # since Python 3.12, f-strings are several tokens
_CLOSES = getattr(tokenize, "FSTRING_END", -1)
_LAYOUT = {tokenize.INDENT: "{", tokenize.DEDENT: "}", tokenize.NEWLINE: "\n"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code(
    methods: tuple[str, ...], dataset: str, backbone: str = ""
) -> dict[str, dict[str, dict[str, str]]]:
    """The digests of the files of some parts, by registered name, for records.

    A part of another package also has the name and version of that package. There is an entry for
    backbones only if this one is registered: others are made by the package timm, whose version
    records have anyway.
    """
    wanted = {"methods": methods, "datasets": (dataset,)}
    if backbone in BACKBONES:
        wanted["backbones"] = (backbone,)
    return {
        kind: {name: known for name in names if (known := _part(kind, name)) is not None}
        for kind, names in wanted.items()
    }


def stale(record: Mapping[str, Any], data: Mapping[str, Any] | None = None) -> str:
    """Say in a few words why a record does not match today's code and data; empty if it does.

    `data` are those that a run would read now; without them only the code is compared. Parts that
    are not on this machine, such as somebody else's method, count as unchanged.

    >>> stale({"status": "done", "provenance": None})
    'made before its code was recorded'
    """
    known = record.get("provenance")
    if known is None:
        return "" if record["status"] not in ("done", "diverged") else UNKNOWN
    for kind, parts in known["code"].items():
        for name, then in parts.items() if kind in REGISTRIES else ():
            now = _part(kind, name)
            if now is not None and now != then:
                versions = [part.get("version") for part in (then, now)]
                what = "version" if versions[0] != versions[1] else "code"
                return f"the {what} of {REGISTRIES[kind].kind} '{name}' has changed since"
    if data is not None and data != known["data"]:
        return "the data have changed since"
    return ""


def _part(kind: str, name: str) -> dict[str, str] | None:
    """The digest and package of a part; None if its files are missing or cannot be read."""
    registry = REGISTRIES[kind]
    try:
        path, package = registry.origin(name)
        return {"digest": digest(path), **package}
    except (AuxbenchError, OSError, SyntaxError, tokenize.TokenError):
        return None


def digest(path: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the code in a file and its helpers.

    Helpers are the files that it imports relatively, or beside it by their plain names, directly or
    indirectly. Comments, docstrings, help texts and layout are ignored.
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
    """A source text without comments, docstrings, help texts and layout, for any Python version.

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
    """Yield the start and end positions of the texts in `Help("...")`."""
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
    """The names, by path, of a file and all helpers that it imports, directly or indirectly."""
    if path in known:
        return known
    known[path] = path.name
    for found in _imports(path, path.stat().st_mtime_ns):
        _family(found, known)
    return known


@lru_cache(maxsize=1024)
def _imports(path: Path, changed: int) -> tuple[Path, ...]:
    """The helpers that a file imports."""
    found = source.neighbours(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1]
            module = folder.joinpath(*(node.module or "").split("."))
            names = [module, *(module / alias.name for alias in node.names)]
            tried = [name.with_suffix(".py") for name in names if name != folder]
            found += [file for file in (*tried, module / "__init__.py") if file.is_file()]
    return tuple(dict.fromkeys(found))
