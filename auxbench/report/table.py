"""Tables: one small type for everything that auxbench prints, in five formats."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Column:
    """A column: its key in data formats, its title for people, and how its numbers are written.

    `digits` are decimals; `si` writes 1.2 M for 1,200,000. `shown` columns are for people, and
    data formats hold all.
    """

    key: str
    title: str
    digits: int | None = None
    si: bool = False
    shown: bool = True

    def text(self, value: Cell) -> str:
        """A value as people read it; an em dash where there is none."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "—"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if self.si and isinstance(value, int | float):
            return si(value)
        if isinstance(value, float):
            return f"{value:.{2 if self.digits is None else self.digits}f}"
        return str(value)


@dataclass(frozen=True)
class Table:
    """Rows of raw values by column key, with a title and notes for people.

    >>> table = Table("Scores", (Column("name", "method"), Column("mean", "mean", 1)),
    ...               ({"name": "hps", "mean": 41.26},))
    >>> print(render([table], "markdown"), end="")
    **Scores**
    <BLANKLINE>
    | method | mean |
    |:--|--:|
    | hps | 41.3 |
    """

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Mapping[str, Any]]
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that people see."""
        return tuple(column for column in self.columns if column.shown)

    def texts(self) -> list[list[str]]:
        """The rows as people see them."""
        return [[column.text(row.get(column.key)) for column in self.shown] for row in self.rows]

    def numeric(self, column: Column) -> bool:
        """Whether a column holds numbers, and is aligned to the right."""
        values = [row.get(column.key) for row in self.rows]
        present = [value for value in values if value is not None]
        return bool(present) and all(isinstance(v, int | float) for v in present)


def render(tables: Sequence[Table], style: str) -> str:
    """The tables as text, ending in a newline; `style` is text, markdown, latex, csv or json.

    JSON is one list of objects with all columns, CSV one table with the columns of the first.
    """
    if style == "json":
        rows = [_raw(table, row) for table in tables for row in table.rows]
        return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    if style == "csv":
        return _csv(tables)
    parts = {"text": _text, "markdown": _markdown, "latex": _latex}
    return "\n".join(parts[style](table) for table in tables)


def si(value: float) -> str:
    """A large number with a prefix of the SI, three digits.

    >>> si(11_176_512), si(950), si(2.5e13)
    ('11.2 M', '950', '25 T')
    """
    for factor, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g}"


def _raw(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    return {column.key: _null(row.get(column.key)) for column in table.columns}


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv(tables: Sequence[Table]) -> str:
    stream = io.StringIO()
    keys = [column.key for column in tables[0].columns] if tables else []
    writer = csv.DictWriter(stream, keys, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for table in tables:
        writer.writerows(_raw(table, row) for row in table.rows)
    return stream.getvalue()


def _text(table: Table) -> str:
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(title=Text(table.title) if table.title else None, title_justify="left")
    for column in table.shown:
        grid.add_column(
            column.title, justify="right" if table.numeric(column) else "left", overflow="fold"
        )
    for texts in table.texts():
        grid.add_row(*map(Text, texts))
    console = Console(file=io.StringIO(), width=_width(), force_terminal=False)
    with console.capture() as capture:
        console.print(grid)
        for note in table.notes:
            console.print(note, markup=False, highlight=False, soft_wrap=False)
    return capture.get()


def _width() -> int:
    """The terminal's width, or enough for any table where there is no terminal."""
    import shutil
    import sys

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 160


def _markdown(table: Table) -> str:
    marks = ["--:" if table.numeric(column) else ":--" for column in table.shown]
    lines = [f"**{table.title}**", ""] if table.title else []
    lines += [_pipes(column.title for column in table.shown), "|" + "|".join(marks) + "|"]
    lines += [_pipes(texts) for texts in table.texts()]
    lines += [line for note in table.notes for line in ("", note)]
    return "\n".join(lines) + "\n"


def _pipes(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _latex(table: Table) -> str:
    kinds = "".join("r" if table.numeric(column) else "l" for column in table.shown)
    rows = [_ampersands(column.title for column in table.shown), r"\midrule"]
    rows += [_ampersands(texts) for texts in table.texts()]
    body = "\n".join(rows)
    notes = "".join(f"\n% {note}" for note in table.notes)
    title = f"% {table.title}\n" if table.title else ""
    return (
        f"{title}\\begin{{tabular}}{{{kinds}}}\n\\toprule\n{body}\n\\bottomrule\n"
        f"\\end{{tabular}}{notes}\n"
    )


def _ampersands(cells: Iterable[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def escape(text: str) -> str:
    r"""Text as LaTeX prints it.

    >>> escape("50 % of a_b")
    '50 \\% of a\\_b'
    """
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "°": r"$^\circ$",
        "—": "---",
        "−": "$-$",
        "±": r"$\pm$",
        **{char: "\\" + char for char in "&%$#_{}"},
    }
    return "".join(special.get(char, char) for char in text)
