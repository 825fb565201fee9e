"""Grids: cells in columns that fit, folded where they do not."""

from __future__ import annotations

import pytest

from auxbench.report.grid import grid

ROWS = [["hps", "1"], ["auxnas:warmup=3", "123456"], ["日本", "—"]]


def test_columns_are_aligned_and_as_wide_as_their_cells() -> None:
    assert grid(["name", "n"], ROWS, [False, True], 80) == [
        " name                  n",
        " ───────────────────────",
        " hps                   1",
        " auxnas:warmup=3  123456",
        " 日本                  —",
    ]


def test_words_are_folded_but_numbers_are_not() -> None:
    lines = grid(["name of it", "n"], ROWS, [False, True], 22)
    assert lines[:2] == [" name of it         n", " ────────────────────"]
    assert lines[3:5] == [" auxnas:warmu  123456", " p=3"]


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
