"""Boards, comparisons and tables: what a reader sees, in every format."""

from __future__ import annotations

import csv
import io
import json

import pytest

from auxbench.errors import UsageError
from auxbench.report.board import boards
from auxbench.report.comparison import compare
from auxbench.report.select import select
from auxbench.report.tables import Column, Table, render
from auxbench.stats import frame
from tests.unit._records import record, study

RECORDS = study(
    {
        "single": [40.0, 41.0, 42.0],
        "hps": [40.1, 41.2, 41.9],
        "auxnas+pcgrad": [50.0, 51.1, 52.0],
    }
)


def test_a_board_has_one_row_per_method_and_the_best_first() -> None:
    (table,) = boards([*RECORDS, record("olaux", 0, None, status="diverged")])
    assert [row["method"] for row in table.rows] == ["auxnas+pcgrad", "hps", "single", "olaux"]
    best, last = table.rows[0], table.rows[-1]
    assert best["mean"] == pytest.approx(51.0333, abs=1e-4)
    assert best["low"] < best["mean"] < best["high"]
    assert (best["seeds"], best["failed"], last["seeds"], last["failed"]) == (3, 0, 0, 1)
    assert last["mean"] is None


def test_smaller_is_better_where_the_metric_says_so() -> None:
    (table,) = boards(study({"single": [0.5, 0.6], "hps": [0.4, 0.5]}, direction="down"))
    assert [row["method"] for row in table.rows] == ["hps", "single"]


def test_only_what_is_comparable_shares_a_board() -> None:
    other = study({"single": [10.0]}, budget="standard")
    assert len(boards([*RECORDS, *other])) == 2
    assert len(boards([*RECORDS, *study({"hps": [10.0]}, backbone="vgg16")])) == 2
    starred = record("single", 0, 3.0)
    starred["run"]["recipe"]["steps"] = 7
    assert len(boards([*RECORDS, starred])) == 2


def test_a_clear_difference_is_found_and_a_small_one_is_undecided() -> None:
    comparison = compare(RECORDS, [], control="single")
    verdicts = {d.method: d.verdict for d in comparison.differences}
    assert verdicts == {"auxnas+pcgrad": "better", "hps": "undecided"}
    turned = compare(RECORDS, ["single", "auxnas+pcgrad"])
    assert [d.verdict for d in turned.differences] == ["worse"]


def test_sentences_say_what_follows_and_where_power_begins() -> None:
    sentences = compare(RECORDS, [], control="single").sentences()
    undecided = next(s for s in sentences if s.startswith("hps against single"))
    assert "undecided" in undecided
    assert "the test has 80 % power for a true difference of" in undecided
    one = compare(study({"single": [1.0], "hps": [2.0]}), ["hps", "single"])
    assert "undecided, since there is only 1 paired seed to test" in one.sentences()[0]
    assert [d.verdict for d in one.differences] == ["undecided"]


def test_failures_are_counted_beside_the_pairs() -> None:
    records = [*RECORDS, record("hps", 3, None, status="diverged")]
    (row,) = compare(records, ["hps", "single"]).table().rows
    assert (row["n"], row["unpaired"], row["failed"]) == (3, 1, 1)


def test_more_comparisons_make_every_verdict_harder() -> None:
    scores = {f"m{place}": [40.0 + place, 41.2, 42.1 - place, 40.9] for place in range(10)}
    scores |= {"single": [40.0, 41.0, 42.0, 41.5], "hps": [40.5, 41.2, 42.9, 41.7]}
    many = study(scores)
    few = [one for one in many if one["run"]["method"] in {"single", "hps", "m0", "m1", "m2", "m3"}]
    alone, family = (compare(records, ["hps"], "single").differences[0] for records in (few, many))
    assert family.p_holm >= alone.p_holm
    assert family.result.detectable > alone.result.detectable


@pytest.mark.parametrize(
    ("methods", "control", "message"),
    [
        (["hsp", "single"], None, "no record has method 'hsp'; did you mean 'hps'?"),
        (["hps"], None, "one method cannot be compared"),
        ([], "gradnorm", "no record has method 'gradnorm'"),
        (["single"], "single", "method 'single' is alone"),
    ],
)
def test_mistakes_are_named(methods: list[str], control: str | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        compare(RECORDS, methods, control)
    assert message in str(caught.value)


def test_filters_match_names_and_say_what_there_is() -> None:
    other = study({"single": [1.0]}, dataset="rooms:train=50", primary="depth")
    rows = frame([*RECORDS, *other])
    assert len(select(rows, dataset="rooms")) == len(RECORDS) + 1
    for words in ({"dataset": "rooms:train=50"}, {"primary": "depth"}):
        assert select(rows, **words)["id"].tolist() == [one["id"] for one in other]
    with pytest.raises(UsageError, match="no record has dataset 'roms'; did you mean 'rooms'"):
        select(rows, dataset="roms")


TABLE = Table(
    "a_title & 5 %",
    (
        Column("name", "method"),
        Column("mean", "mean ↑", 1),
        Column("size", "size", si=True),
        Column("raw", "raw", shown=False),
    ),
    (
        {"name": "a|b_c", "mean": 1.25, "size": 1_500_000, "raw": 0.123456},
        {"name": "d", "mean": None, "size": None, "raw": float("nan")},
    ),
    ("a note",),
)


def test_json_holds_raw_numbers_and_null_for_what_is_missing() -> None:
    first, second = json.loads(render([TABLE], "json"))
    assert first == {"name": "a|b_c", "mean": 1.25, "size": 1_500_000, "raw": 0.123456}
    assert second == {"name": "d", "mean": None, "size": None, "raw": None}


def test_csv_reads_back() -> None:
    rows = list(csv.DictReader(io.StringIO(render([TABLE, TABLE], "csv"))))
    assert len(rows) == 4
    assert rows[0]["name"] == "a|b_c"
    assert float(rows[0]["raw"]) == 0.123456


def test_markdown_escapes_its_own_sign() -> None:
    lines = render([TABLE], "markdown").splitlines()
    assert r"| a\|b_c | 1.2 | 1.5 M |" in lines
    assert "| d | — | — |" in lines


def test_latex_escapes_its_own_signs() -> None:
    text = render([TABLE], "latex")
    assert r"a\textbar{}b\_c & 1.2 & 1.5 M \\" in text
    assert r"mean $\uparrow$" in text
    assert text.count(r"\midrule") == 1


def test_text_holds_every_shown_value_and_note() -> None:
    text = render([TABLE], "text")
    for piece in ("a_title & 5 %", "a|b_c", "1.2", "1.5 M", "—", "a note"):
        assert piece in text
    assert "0.123456" not in text


@pytest.mark.parametrize("style", ["text", "markdown", "latex", "csv", "json"])
def test_every_report_comes_in_every_format(style: str) -> None:
    assert "auxnas" in render(boards(RECORDS), style)
    assert "auxnas" in render([compare(RECORDS, [], control="single").table()], style)
