"""A folder of a user's own data: its description in dataset.toml, and its table of samples.

The table is a CSV file with a line per sample. What its columns hold is said in dataset.toml, or in
its header, in which case dataset.toml may be missing. Instead of a table there may be an array per
column, `COLUMN.npy`. Nothing here opens a picture or an array.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from auxbench.data.own.places import NAME
from auxbench.data.own.words import ALONE, Word, parse
from auxbench.errors import UsageError, reason, suggestion

FILE = "dataset.toml"
TABLE = "samples.csv"
KEYS = (
    *("name", "about", "licence", "table", "primary", "auxiliaries"),
    *("augment", "standardise", "duplicates", "columns", "arrays"),
)
GUIDE = "docs/own-data.md shows how"


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file by column, in single words, and the line of every sample."""

    path: Path
    cells: Mapping[str, tuple[str, ...]]
    lines: tuple[int, ...]

    def place(self, row: int) -> str:
        """The file and the line of a sample."""
        return f"'{self.path}', line {self.lines[row]}"


@dataclass(frozen=True, eq=False)
class Described:
    """A folder, described: its columns with what they hold, and its table.

    Without a table, every column is an array in a file of its own.
    """

    folder: Path
    name: str
    about: str
    licence: str
    columns: Mapping[str, Word]
    primary: str
    auxiliaries: tuple[str, ...]
    augment: bool
    standardise: bool
    duplicates: str
    table: Table | None

    def of_kind(self, kind: str) -> list[str]:
        """The columns of a kind."""
        return [name for name, word in self.columns.items() if word.kind == kind]

    @property
    def tasks(self) -> dict[str, Word]:
        """The columns that are tasks."""
        return {name: word for name, word in self.columns.items() if word.is_task}

    @property
    def where(self) -> str:
        """The file that says what the columns hold, for errors."""
        file = self.folder / FILE
        return (
            f"'{file}'" if self.table is None or file.is_file() else f"'{self.table.path}', line 1"
        )


def is_own(folder: Path) -> bool:
    """Return whether a folder looks like a user's own data."""
    return (folder / FILE).is_file() or (folder / TABLE).is_file()


def read(folder: Path) -> Described:
    """Read the description and the table of a folder.

    Errors: `UsageError` with the file and the line, in one sentence.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise UsageError(f"data folder '{folder}' {what}; name the folder of your data ({GUIDE}).")
    held = sorted((*folder.glob("*.csv"), *folder.glob("*.npy")))
    return _read(folder, tuple(_stamp(path) for path in (folder / FILE, *held)))


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        facts = path.stat()
    except OSError:
        return path.name, 0, 0
    return path.name, facts.st_size, facts.st_mtime_ns


@lru_cache(maxsize=8)
def _read(folder: Path, stamps: object) -> Described:
    file = folder / FILE
    text = _text(file) if file.is_file() else ""
    try:
        said = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"'{file}' is not TOML ({error}); fix that line.") from None

    def at(key: str) -> str:
        found = re.search(rf'^\s*"?{re.escape(key)}"?\s*=', text, re.MULTILINE)
        line = f", line {text.count(chr(10), 0, found.end()) + 1}" if found else ""
        return f"'{file}'{line}"

    for key in said:
        if key not in KEYS:
            raise UsageError(f"{at(key)}: unknown key '{key}'; {suggestion(key, KEYS)}")
    for key in ("name", "about", "licence", "table", "primary"):
        if not isinstance(said.get(key, ""), str):
            raise UsageError(f"{at(key)}: {key} is '{said[key]}'; write a text.")
    name = said.get("name", re.sub(r"[^\w.-]|_(?=_)", "-", folder.resolve().name, flags=re.ASCII))
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{at('name')}: the data set cannot be called '{name}'; write a name of letters, "
            "digits, - and _."
        )
    arrays = said.get("arrays")
    given = said.get("columns") if arrays is None else arrays
    if given is not None and (not isinstance(given, Mapping) or not given):
        raise UsageError(f"'{file}': [columns] is no table of columns; {GUIDE}.")
    table = None if arrays is not None else _table(folder, said.get("table"), at("table"))
    if arrays is not None and "columns" in said:
        raise UsageError(f"'{file}': it has both [columns] and [arrays]; keep one.")
    if given is not None:
        columns = {column: parse(column, word, at(column)) for column, word in given.items()}
    else:
        assert table is not None
        columns, table = _from_header(table)
    if table is not None:
        for column in columns:
            if column not in table.cells:
                raise UsageError(
                    f"{at(column)}: '{table.path}' has no column '{column}'; "
                    f"{suggestion(column, table.cells)}"
                )
        _suit(columns, table)
    primary, auxiliaries = _roles(said, columns, at, f"'{file if given else table and table.path}'")
    return Described(
        folder,
        name,
        said.get("about", ""),
        said.get("licence", ""),
        {column: word for column, word in columns.items() if word.kind != "skip"},
        primary,
        auxiliaries,
        _choice(said, "augment", ("mirror", "none"), at) == "mirror",
        bool(_choice(said, "standardise", (True, False), at)),
        str(_choice(said, "duplicates", ("refuse", "allow"), at)),
        table,
    )


def _choice(said: Mapping[str, Any], key: str, allowed: tuple[Any, Any], at: Any) -> Any:
    value = said.get(key, allowed[0])
    if value not in allowed or isinstance(value, bool) is not isinstance(allowed[0], bool):
        words = " or ".join(str(one).lower() for one in allowed)
        raise UsageError(f"{at(key)}: {key} is '{value}'; write {words}.")
    return value


def _roles(
    said: Mapping[str, Any], columns: Mapping[str, Word], at: Any, where: str
) -> tuple[str, tuple[str, ...]]:
    """The primary task and the auxiliary ones, by default the first task and all others."""
    tasks = [name for name, word in columns.items() if word.is_task]
    if not tasks:
        raise UsageError(f"{where}: no column is a task, such as a class or a number; {GUIDE}.")
    primary = said.get("primary", tasks[0])
    if primary not in tasks:
        raise UsageError(f"{at('primary')}: no task '{primary}'; {suggestion(primary, tasks)}")
    others = said.get("auxiliaries", [name for name in tasks if name != primary])
    if not isinstance(others, list):
        raise UsageError(f"{at('auxiliaries')}: auxiliaries is no list; write a list of tasks.")
    for one in others:
        if one not in tasks or one == primary:
            hint = suggestion(str(one), [task for task in tasks if task != primary])
            raise UsageError(f"{at('auxiliaries')}: no auxiliary task can be '{one}'; {hint}")
    return primary, tuple(dict.fromkeys(others))


def _table(folder: Path, name: str | None, where: str) -> Table:
    path = folder / (name or TABLE)
    found = sorted(folder.glob("*.csv"))
    if name is None and not path.is_file() and len(found) == 1:
        path = found[0]
    if not path.is_file():
        if name is not None:
            raise UsageError(f"{where}: there is no table '{path}'; correct its name.")
        raise UsageError(f"'{folder}' has no table '{TABLE}'; write one ({GUIDE}).")
    if (name and Path(name).name != name) or path.is_symlink():
        raise UsageError(f"{where}: table '{name}' does not lie in the folder; put it there.")
    text = _text(path)
    first = text.partition("\n")[0]
    mark = next((mark for mark in ",;\t" if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    rows: list[list[str]] = []
    lines: list[int] = []
    header: list[str] = []
    line = 0
    try:
        for cells in reader:
            begin, line = line + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
            elif len(cells) != len(header):
                raise UsageError(
                    f"'{path}', line {begin}: it has {len(cells)} columns, and the header has "
                    f"{len(header)}; make them equal."
                )
            else:
                rows.append(cells)
                lines.append(begin)
    except csv.Error as error:
        raise UsageError(f"'{path}', line {line + 1}: {reason(error)}; fix that line.") from None
    if not rows:
        raise UsageError(f"'{path}' has no samples; write a header and a line for each sample.")
    names = [cell.partition(":")[0].strip() for cell in header]
    for one in names:
        if not one or names.count(one) > 1:
            what = f"two columns are called '{one}'" if one else "a column has no name"
            raise UsageError(f"'{path}', line 1: {what}; give each a name of its own.")
    columns = zip(*rows, strict=True)
    cells_of = {
        cell: tuple(value.strip() for value in column)
        for cell, column in zip(header, columns, strict=True)
    }
    return Table(path, cells_of, tuple(lines))


def _from_header(table: Table) -> tuple[dict[str, Word], Table]:
    """The contents of the columns by the header alone, and the table with their plain names."""
    where = f"'{table.path}', line 1"
    columns, cells = {}, {}
    for head, values in table.cells.items():
        name, colon, word = (part.strip() for part in head.partition(":"))
        if not colon and name.lower() not in ALONE:
            raise UsageError(
                f"{where}: column '{name}' does not say what it holds; write {name}:number, "
                f"{name}:class, {name}:input or {name}:skip, or list it in {FILE} ({GUIDE})."
            )
        columns[name] = parse(name, word if colon else name.lower(), where)
        cells[name] = values
    return columns, Table(table.path, cells, table.lines)


def _suit(columns: Mapping[str, Word], table: Table) -> None:
    """Refuse columns that do not go together."""
    where = f"'{table.path}', line 1"
    kinds = [word.kind for word in columns.values()]
    for kind in ("picture", "split", "group"):
        if kinds.count(kind) > 1:
            raise UsageError(f"{where}: {kinds.count(kind)} columns are a {kind}; keep one.")
    if ("picture" in kinds) == ("input" in kinds):
        both = "a picture and numbers as inputs" if "input" in kinds else "no inputs"
        raise UsageError(
            f"{where}: the samples have {both}; give one column of the kind picture, or any "
            "number of the kind input."
        )
    for name, word in columns.items():
        if word.is_file and word.is_task and "picture" not in kinds:
            raise UsageError(f"{where}: column '{name}' has maps, which need pictures as inputs.")
        if word.options.get("outputs", 1) != 1:
            raise UsageError(
                f"{where}: column '{name}' has one number per cell; leave outputs out."
            )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"'{path}' is not UTF-8; save it as UTF-8.") from None
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read ({reason(error)}); name another.") from None
