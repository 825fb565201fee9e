"""Tables: one small type for everything that auxbench prints, in five formats."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auxbench.errors import visible
from auxbench.report.escape import escape, harmless
from auxbench.report.terminal import Shown, text

Row = Mapping[str, Any]

NOTHING = "—"
ASK = "--explain says how these numbers are made."


@dataclass(frozen=True)
class Column:
    """A column: its key in data formats, its title for people, and how its numbers are written.

    `digits` is the number of decimals, or the key of the row's value that says it; `si` writes
    1.2 M for 1,200,000; `signed` writes a plus and is for numbers around zero. With `upto`, the key
    of an upper bound, the column reads [lower, upper]. People see only the `shown` columns; data
    formats hold all. `spare` and `telling` are for terminals (see `Shown`).
    """

    key: str
    title: str
    digits: int | str | None = None
    si: bool = False
    shown: bool = True
    signed: bool = False
    upto: str | None = None
    spare: int = 0
    telling: bool = False

    def text(self, row: Row) -> str:
        """The cell of a row as people see it; an em dash if there is no value.

        >>> Column("low", "interval", 1, upto="high").text({"low": 1.26, "high": 2})
        '[1.3, 2.0]'
        """
        if self.upto is None:
            return self._text(row.get(self.key), row)
        bounds = row.get(self.key), row.get(self.upto)
        if any(_missing(bound) for bound in bounds):
            return NOTHING
        return "[{}, {}]".format(*(self._text(bound, row) for bound in bounds))

    def _text(self, value: Any, row: Row) -> str:
        if _missing(value):
            return NOTHING
        if isinstance(value, bool):
            return "yes" if value else "no"
        if self.si:
            return si(value)
        digits = row[self.digits] if isinstance(self.digits, str) else self.digits
        if isinstance(value, str):
            return visible(value)
        if isinstance(value, float) or (isinstance(value, int) and digits is not None):
            places = 2 if digits is None else digits
            text = f"{value:+.{places}f}"
            if text.strip("+-0."):
                return text if self.signed else text.removeprefix("+")
            if value > 0 and not (self.signed or self.upto):
                return f"<{10**-places:.{places}f}"
            return text[1:]  # a number that rounds to zero has no sign
        return str(value)


@dataclass(frozen=True)
class Table:
    """Rows of raw values by column key, with a title and notes for people.

    The `explanation` says how the numbers are made, to those who ask.

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
    rows: Sequence[Row]
    notes: tuple[str, ...] = ()
    explanation: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that people see."""
        return tuple(column for column in self.columns if column.shown)

    @property
    def keys(self) -> list[str]:
        """The keys of a row in data formats."""
        return [column.key for column in self.columns]

    def texts(self) -> list[list[str]]:
        """The rows as people see them."""
        return [[column.text(row) for column in self.shown] for row in self.rows]

    def data(self) -> list[dict[str, Any]]:
        """The rows as data formats hold them: raw values, None for those that are not finite."""
        return [_raw(self, row) for row in self.rows]

    def numeric(self, column: Column) -> bool:
        """Return whether a column holds numbers, and is aligned to the right."""
        kinds = {type(row.get(column.key)) for row in self.rows} - {type(None)}
        return bool(kinds) and all(issubclass(kind, int | float) for kind in kinds)


def render(tables: Sequence[Table], style: str, explain: bool = True) -> str:
    """The tables as text, ending in a newline; `style` is text, markdown, latex, csv or json.

    Without `explain` the text only says that explanations exist.

    Data formats hold raw values, not rounded ones: JSON is one list of the rows of all tables,
    with null for values that are missing or not finite, and CSV has a new header where the columns
    change. LaTeX needs the package booktabs. Text is fitted to the terminal by folding words, but
    never numbers.

    >>> render([Table("", (Column("mean", "mean", 1),), ({"mean": 41.26},))], "json")
    '[\\n  {\\n    "mean": 41.26\\n  }\\n]\\n'
    """
    if explain or style != "text":
        tables = [replace(table, notes=(*table.notes, *table.explanation)) for table in tables]
    elif any(table.explanation for table in tables):
        tables = [replace(table, notes=(*table.notes, ASK)) for table in tables]
    if style == "json":
        return _json([row for table in tables for row in table.data()])
    if style == "csv":
        return _csv(tables)
    if style == "latex":
        return "\n".join(map(_latex, tables))
    write = {"text": _text, "markdown": _markdown}[style]
    parts = []
    for index, table in enumerate(tables):
        # A note that the next table repeats is printed once, below that table.
        later = tables[index + 1].notes if index + 1 < len(tables) else ()
        parts.append(write(table, [note for note in table.notes if note not in later]))
    return "\n".join(parts)


def si(value: float) -> str:
    """A large number with an SI prefix, to three digits.

    >>> si(11_176_512), si(950), si(2.5e13), si(999_999)
    ('11.2 M', '950', '25 T', '1 M')
    """
    prefixes = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
    for factor, prefix in prefixes:
        if abs(value) >= 0.9995 * factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g}"


def decimals(size: float, digits: int = 2) -> int:
    """The number of decimals that gives a number of this size `digits` significant digits, 1 to 6.

    >>> decimals(0.034), decimals(1.2), decimals(140.0), decimals(41.2, 3)
    (3, 1, 1, 1)
    """
    if not (math.isfinite(size) and size > 0):
        return 1
    return min(6, max(1, digits - 1 - math.floor(math.log10(size))))


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _raw(table: Table, row: Row) -> dict[str, Any]:
    return {key: None if _missing(row.get(key)) else row[key] for key in table.keys}


def _json(rows: Sequence[Row]) -> str:
    """A list of flat objects, indented; json.dumps(indent=2) takes five times as long."""
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n    ", ": "))
    if any(isinstance(value, list | tuple | dict) for row in rows for value in row.values()):
        return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    texts = ["  {\n    " + encoder.encode(row)[1:-1] + "\n  }" for row in rows]
    return "[\n" + ",\n".join(texts) + "\n]\n" if texts else "[]\n"


def _csv(tables: Sequence[Table]) -> str:
    stream = io.StringIO()
    header: list[str] = []
    for table in tables:
        writer = csv.DictWriter(stream, table.keys, lineterminator="\n")
        if table.keys != header:
            stream.write("\n" if header else "")
            writer.writeheader()
            header = table.keys
        for row in table.rows:
            writer.writerow({key: harmless(value) for key, value in _raw(table, row).items()})
    return stream.getvalue()


def _text(table: Table, notes: Sequence[str]) -> str:
    columns = [
        Shown(
            column.title,
            [column.text(row) for row in table.rows],
            table.numeric(column),
            column.spare,
            column.telling,
        )
        for column in table.shown
    ]
    return text(table.title, columns, notes)


def _markdown(table: Table, notes: Sequence[str]) -> str:
    marks = ["--:" if table.numeric(column) else ":--" for column in table.shown]
    lines = [f"**{_plain(table.title)}**", ""] if table.title else []
    lines += [_pipes(column.title for column in table.shown), "|" + "|".join(marks) + "|"]
    lines += [_pipes(texts) for texts in table.texts()]
    lines += [line for note in notes for line in ("", _plain(note))]
    return "\n".join(lines) + "\n"


def _pipes(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_plain, cells)) + " |"


def _plain(text: str) -> str:
    """Text escaped for Markdown."""
    flat = visible(text.replace("\n", " "))
    return "".join(f"\\{char}" if char in "\\|*`<" else char for char in flat)


def _latex(table: Table) -> str:
    kinds = "".join("r" if table.numeric(column) else "l" for column in table.shown)
    lines = [r"\begin{table}", r"\centering"]
    lines += [rf"\caption{{{escape(table.title)}}}"] if table.title else []
    lines += [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
    lines += [_ampersands(column.title for column in table.shown), r"\midrule"]
    lines += [_ampersands(texts) for texts in table.texts()]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {escape(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _ampersands(cells: Iterable[str]) -> str:
    line = " & ".join(map(escape, cells)) + r" \\"
    # At the start of a line, these would be read as an argument of the line before.
    return "{}" + line if line.startswith(("[", "*")) else line
