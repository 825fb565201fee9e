"""Matrices: every method on every problem against one control, at a glance."""

from __future__ import annotations

from auxbench.report.board import boards
from auxbench.report.comparison import compare
from auxbench.report.matrix import matrix
from auxbench.report.tables import render
from tests.unit._records import record, study

HELPED = {"single": [1.0, 2.0, 3.0], "hps": [5.0, 6.0, 7.1], "pcgrad": [5.1, 6.2, 7.0]}
HARMED = {"single": [1.0, 2.0, 3.0], "hps": [-4.0, -3.0, -2.1], "pcgrad": [1.1, 1.8, 3.1]}
RECORDS = study(HELPED, primary="depth") + study(HARMED, primary="normals")


def test_a_row_per_method_and_a_column_per_problem() -> None:
    table = matrix(compare(RECORDS, [], "single"))
    assert [row["method"] for row in table.rows] == ["pcgrad", "hps"]
    first, second = (column.key for column in table.columns if column.key.endswith("/text"))
    pcgrad, hps = table.rows
    assert pcgrad[first] == "+4.10 better (3)"
    assert pcgrad[second] == "+0.00 (3)"
    assert hps[second].startswith("-5.0")
    assert hps[second].endswith("worse (3)")


def test_rows_are_in_the_order_of_mean_ranks_whatever_is_decided() -> None:
    """Noise leaves a large loss undecided, and order leaves a small one decided."""
    scores = {
        "single": [10.0, 11.0, 12.0, 13.0],
        "slightly": [9.9, 10.9, 11.9, 12.9001],
        "noisily": [1.0, 11.0, 2.0, 13.5],
        "copy": [9.9, 10.9, 11.9, 12.9001],
    }
    table = matrix(compare(study(scores), [], "single"))
    assert [row["method"] for row in table.rows] == ["copy", "slightly", "noisily"]
    assert [row["rank"] for row in table.rows] == [2.5, 2.5, 4.0]
    (place,) = (c.key.removesuffix("/text") for c in table.columns if c.key.endswith("/text"))
    assert [row[f"{place}/verdict"] for row in table.rows] == ["worse", "worse", "undecided"]
    assert "The mean rank of single is 1.0." in " ".join(table.notes)


def test_failing_improves_no_rank_in_the_matrix_and_none_on_the_board() -> None:
    """Of the best method nine of ten runs fail."""
    scores = {
        name: [base + 0.1 * seed for seed in range(10)]
        for name, base in (("single", 40.0), ("hps", 39.8), ("pcgrad", 41.0))
    }
    before = study(scores)
    after = [
        record("pcgrad", r["run"]["seed"], None, status="diverged")
        if r["run"]["method"] == "pcgrad" and r["run"]["seed"] != 9
        else r
        for r in before
    ]
    assert matrix(compare(before, [], "single")).rows[0]["method"] == "pcgrad"
    assert boards(before)[0].rows[0]["method"] == "pcgrad"
    table = matrix(compare(after, [], "single"))
    assert [(row["method"], row["rank"]) for row in table.rows] == [("hps", 2.0), ("pcgrad", 3.0)]
    assert [row["method"] for row in boards(after)[0].rows] == ["single", "hps", "pcgrad"]
    (place,) = (c.key.removesuffix("/text") for c in table.columns if c.key.endswith("/text"))
    last = table.rows[-1]
    assert last[f"{place}/text"] == "-0.44 (1+9 failed)"
    assert (last[f"{place}/pairs"], last[f"{place}/failed"]) == (10, 9)
    turned = matrix(compare(after, ["single"], "pcgrad"))
    assert (
        "pcgrad on rooms segmentation with depth: runs without a score: 9 diverged." in turned.notes
    )


def test_who_is_not_recorded_everywhere_comes_last() -> None:
    records = RECORDS + study({"olaux": [9.0, 9.0, 9.0]}, primary="depth")
    table = matrix(compare(records, [], "single"))
    assert [row["method"] for row in table.rows] == ["pcgrad", "hps", "olaux"]
    assert table.rows[-1]["rank"] == 1.0


def test_a_place_without_any_score_has_no_number() -> None:
    records = RECORDS + [
        record(name, 0, None, primary="scene", status="oom") for name in ("single", "hps")
    ]
    text = render([matrix(compare(records, [], "single"))], "text")
    assert "nan" not in text


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
