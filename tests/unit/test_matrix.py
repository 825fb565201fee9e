"""Matrices: every method on every problem against one control, at a glance."""

from __future__ import annotations

from auxbench.report.comparison import compare
from auxbench.report.matrix import matrix
from tests.unit._records import study

HELPED = {"single": [1.0, 2.0, 3.0], "hps": [5.0, 6.0, 7.1], "pcgrad": [5.1, 6.2, 7.0]}
HARMED = {"single": [1.0, 2.0, 3.0], "hps": [-4.0, -3.0, -2.1], "pcgrad": [1.1, 1.8, 3.1]}
RECORDS = study(HELPED, primary="depth") + study(HARMED, primary="normals")


def test_a_row_per_method_and_a_column_per_problem_ordered_by_what_is_decided() -> None:
    table = matrix(compare(RECORDS, [], "single"))
    assert [row["method"] for row in table.rows] == ["pcgrad", "hps"]
    first, second = (column.key for column in table.columns if column.key.endswith("/text"))
    pcgrad, hps = table.rows
    assert pcgrad[first].endswith("better")
    assert not pcgrad[second].endswith(("better", "worse"))
    assert hps[second].startswith("-5.0")
    assert hps[second].endswith("worse")


def test_its_numbers_are_those_of_the_comparison() -> None:
    comparison = compare(RECORDS, [], "single")
    table = matrix(comparison)
    for difference in comparison.differences:
        (row,) = [row for row in table.rows if row["method"] == difference.method]
        assert row[f"{difference.place}/difference"] == difference.result.difference
        assert row[f"{difference.place}/p_holm"] == difference.p_holm
        assert row[f"{difference.place}/verdict"] == difference.verdict


def test_what_is_not_recorded_is_a_dash() -> None:
    few = [r for r in RECORDS if r["run"]["method"] != "hps" or r["run"]["primary"] == "depth"]
    (row,) = [r for r in matrix(compare(few, [], "single")).rows if r["method"] == "hps"]
    assert "—" in row.values()
