"""Grids: cells in columns that fit, folded where they do not."""

from __future__ import annotations

import re

import pytest

from auxbench.report import terminal
from auxbench.report.grid import grid
from auxbench.report.tables import Column, Table, render

ROWS = [["hps", "1"], ["auxnas:warmup=3", "123456"], ["日本", "—"]]


def test_columns_are_aligned_and_as_wide_as_their_cells() -> None:
    assert grid(["name", "n"], ROWS, [False, True], 80) == [
        " name                  n",
        " ───────────────────────",
        " hps                   1",
        " auxnas:warmup=3  123456",
        " 日本                  —",
    ]


def test_texts_are_folded_but_numbers_and_names_are_not() -> None:
    name = "auxnas:warmup=3:links=block"
    rows = [[name, "123456", "a text that is rather long"], ["hps", "1", "short"]]
    lines = grid(["name", "n", "what it is"], rows, [False, True, False], 10)
    assert lines[2:] == [
        " auxnas:warmup=3:links=block  123456  a text that",
        "                                      is rather",
        "                                      long",
        " hps                               1  short",
    ]


def test_titles_stand_on_the_line_below_them() -> None:
    assert grid(["a", "long title"], [["1", "2"]], [True, True], 10)[:2] == [
        "     long",
        " a  title",
    ]


@pytest.mark.parametrize("width", [1, 20, 1000])
def test_empty_tables_have_their_titles(width: int) -> None:
    assert grid(["name", "n"], [], [False, False], width) == [" name  n", " ───────"]
    assert grid([], [], [], width) == []


def test_cells_may_have_several_lines() -> None:
    assert grid(["x", "y"], [["a\nb", "c"]], [False, False], 80)[2:] == [" a   c", " b"]


def test_the_most_dispensable_columns_are_left_out_first_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = (
        Column("method", "method"),
        Column("mean", "mean", 1),
        Column("passes", "passes", spare=1),
        Column("seconds", "seconds", 1, spare=2),
    )
    row = {"method": "auxnas+gradnorm", "mean": 41.26, "passes": 400, "seconds": 12.5}
    table = Table("", columns, (row,))
    narrow = {
        80: ["method", "mean", "passes", "seconds"],
        35: ["method", "mean", "passes"],
        25: ["method", "mean"],
        22: ["method", "mean"],
    }
    for width, titles in narrow.items():
        monkeypatch.setattr(terminal, "width_of_terminal", lambda width=width: width)
        text = render([table], "text")
        assert text.splitlines()[0].split() == titles
        assert "auxnas+gradnorm" in text
        left = [title for title in ("passes", "seconds") if title not in titles]
        told = " ".join(text.split())
        assert (f"Too narrow for: {', '.join(left)}. --format csv has them." in told) is bool(left)
    assert "seconds" in render([table], "markdown")


def test_verdicts_are_coloured_at_a_terminal_unless_it_is_declined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = (Column("method", "method"), Column("verdict", "verdict", telling=True))
    rows = [{"method": "better", "verdict": word} for word in ("better", "worse", "equivalent")]
    table = Table("", columns, rows)
    plain = render([table], "text")
    assert "\x1b" not in plain
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    coloured = render([table], "text")
    assert coloured.count("\x1b[32mbetter\x1b[0m") == 1  # the verdict, not the name
    assert "\x1b[31mworse\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert "\x1b" not in render([table], "markdown")
    monkeypatch.setenv("NO_COLOR", "1")
    assert render([table], "text") == plain
