"""Boards beyond the plain case: failures, costs, decimals, and tables that fit where they go."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import sys
from os import terminal_size
from typing import Any

import numpy as np
import pytest

from auxbench.errors import UsageError
from auxbench.records.validity import fault
from auxbench.report.board import boards
from auxbench.report.run import tables
from auxbench.report.tables import Column, Table, decimals, render, si
from auxbench.stats import frame, interval
from tests.unit._records import record, study

KEYS = {
    *("method", "dataset", "primary", "auxiliaries", "backbone", "budget"),
    *("metric", "unit", "direction", "seeds", "failed", "mean", "low", "high"),
    *("train_seconds", "train_flops", "forward", "backward", "parameters", "macs", "latency_ms"),
}


def test_json_has_an_object_per_method_and_problem_with_raw_numbers() -> None:
    values = [40.123456, 41.3, 42.0]
    records = [
        *study({"single": values}),
        *study({"hps": [0.5]}, direction="down", primary="depth"),
    ]
    one, other = json.loads(render(boards(records), "json"))
    assert set(one) >= KEYS
    assert set(one) == set(other)
    assert (one["mean"], one["low"], one["high"]) == interval(values)
    assert (one["train_flops"], one["forward"], one["backward"]) == (2_500_000_000_000, 400, 1200)
    assert (one["train_seconds"], one["latency_ms"], one["seeds"]) == (11.0, 3.25, 3)
    assert (other["mean"], other["low"], other["direction"]) == (0.5, None, "down")


def test_csv_reads_back_over_all_problems() -> None:
    records = [*study({"single": [40.0, 41.0]}), *study({"single": [30.0]}, backbone="vgg16")]
    rows = list(csv.DictReader(io.StringIO(render(boards(records), "csv"))))
    assert [(row["backbone"], float(row["mean"])) for row in rows] == [
        ("resnet18", 40.5),
        ("vgg16", 30.0),
    ]


def test_failures_are_listed_with_their_reason() -> None:
    records = [
        *study({"single": [40.0, 41.0]}),
        record("single", 2, None, status="diverged"),
        record("single", 3, None, status="oom"),
        record("single", 4, None),
    ]
    (table,) = boards(records)
    (row,) = table.rows
    assert (row["seeds"], row["failed"]) == (2, 3)
    assert row["failures"] == "1 diverged, 1 oom, 1 unscored"
    text = render([table], "text")
    assert "single: 3 of 5 runs without a score, 1 diverged" in " ".join(text.split())
    assert "made up to be diverged" in text
    assert "failed" not in render(boards(study({"single": [40.0, 41.0]})), "text")


def test_who_fails_is_placed_by_what_its_failures_are_worth() -> None:
    records = [
        *study({"single": [40.0, 41.0], "hps": [30.0, 31.0], "famo": [60.0]}),
        record("famo", 1, None, status="diverged"),
        record("olaux", 0, None, status="oom"),
    ]
    (table,) = boards(records)
    assert [row["method"] for row in table.rows] == ["famo", "single", "hps", "olaux"]
    assert [row["imputed"] for row in table.rows] == [45.0, 40.5, 30.5, 30.0]
    first, last = table.rows[0], table.rows[-1]
    assert (first["mean"], first["seeds"], first["failed"]) == (60.0, 1, 1)
    assert (last["mean"], last["seeds"], last["failed"]) == (None, 0, 1)
    records[-3] = record("famo", 2, None, status="diverged")  # instead of its only score
    assert boards(records)[0].rows[-1]["failed"] > 0
    text = " ".join(render([table], "text").split())
    assert "failed as worst" in text
    assert "a run without a score counts as the worst score on this board" in text


def test_smaller_scores_are_worse_the_other_way_round() -> None:
    records = [
        *study({"single": [0.5, 0.6], "hps": [0.4]}, direction="down"),
        record("hps", 1, None, status="diverged"),
    ]
    assert [row["imputed"] for row in boards(records)[0].rows] == [0.5, 0.55]


def test_failing_early_does_not_make_a_method_cheaper() -> None:
    records = study({"single": [40.0, 41.0]})
    cheap = records[1]["training"]
    part = {**cheap, "seconds": 4.0, "forward": 100, "flops": 10**12}
    failed = {**record("single", 2, None, status="diverged"), "training": part}
    killed = record("single", 3, None, status="killed")  # whose costs nobody knows
    (row,) = boards([*records, failed, killed])[0].rows
    assert (row["forward"], row["train_flops"]) == (450, 3 * 10**12)
    assert row["train_seconds"] == (10 + 11 + 4) / 2
    (alone,) = boards([failed])[0].rows
    assert alone["forward"] is None


def test_methods_without_any_score_have_a_row_in_every_format() -> None:
    records = [record(name, 0, None, status="skipped") for name in ("hps", "auxnas")]
    tables = boards(records)
    assert [row["method"] for row in tables[0].rows] == ["hps", "auxnas"]
    for style in ("text", "markdown", "latex", "csv", "json"):
        assert "auxnas" in render(tables, style)
    assert json.loads(render(tables, "json"))[1]["mean"] is None


def test_costs_that_are_unknown_stay_empty() -> None:
    bare = {**record("single", 0, 40.0), "training": None, "inference": None, "environment": None}
    (row,) = json.loads(render(boards([bare]), "json"))
    assert row["mean"] == 40.0
    assert [row[key] for key in ("train_flops", "train_seconds", "macs", "latency_ms")] == [
        None
    ] * 4


def test_seconds_of_busy_machines_are_marked() -> None:
    records = study({"single": [40.0, 41.0], "hps": [40.0, 41.0]})
    for run in records:
        run["environment"] = {"device_name": "A", "threads": 2}
    records[3]["training"]["waiting_seconds"] = 4.0
    (board,) = boards(records)
    assert [row["contended"] for row in board.rows] == [0, 1]
    assert "runs of hps (1), whose threads waited" in " ".join(board.notes)
    assert [row["hardware"] for row in board.rows] == ["A, 2 threads"] * 2
    assert board.rows[0]["train_seconds"] == 10.5


EPYC = {"device": "cpu", "device_name": "EPYC", "processor": "EPYC", "threads": 2}
XEON = {"device": "cpu", "device_name": "Xeon", "processor": "Xeon", "threads": 2}
GPU = {"device": "cuda", "device_name": "H100", "processor": "Xeon", "threads": 2}


def test_a_rank_that_seems_to_contradict_its_tier_is_explained_below_the_board() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(50, 1, 6)
    near = {f"m{n}": list(base + n / 4 + rng.normal(0, 0.2, 6)) for n in range(8)}
    (table,) = boards(study(near))
    first: dict[int, Any] = {}
    for row in table.rows:
        first.setdefault(row["tier"], row)
    odd = [r["method"] for r in table.rows if r["rank_low"] > first[r["tier"]]["rank_high"]]
    assert odd
    note = table.notes[0]
    assert note.startswith(f"Tier and rank of {', '.join(odd)} seem to disagree: ")
    assert "all 28 pairs together (Holm)." in note
    (clear,) = boards(study({"one": list(base), "other": list(base + rng.normal(9, 0.1, 6))}))
    assert [row["tier"] for row in clear.rows] == [1, 2]
    assert not any("seem to disagree" in note for note in clear.notes)


def test_hardware_classes_never_share_a_column_of_seconds() -> None:
    records = study({"single": [40.0, 41.0], "hps": [42.0, 43.0], "famo": [44.0, 45.0]})
    for run, machine in zip(records, (EPYC, XEON, EPYC, EPYC, XEON, GPU), strict=True):
        run["environment"] = machine
    (board,) = boards(records)
    rows = {row["method"]: row for row in board.rows}
    keys = ("train_seconds", "cpu_seconds", "evaluation_seconds", "latency_ms", "threads")
    assert [rows["single"][key] for key in keys] == [10.0, 9.0, 2.0, 3.25, 2]
    assert rows["hps"]["train_seconds"] == 10.5
    assert [rows["famo"][key] for key in keys] == [None] * 5
    assert {row["hardware"] for row in board.rows} == {"EPYC, 2 threads"}
    for row in board.rows:  # counts do not depend on the hardware
        assert (row["forward"], row["train_flops"], row["macs"]) == (400, 25 * 10**11, 15 * 10**7)
    assert (
        "Seconds and latency are those of 3 runs on EPYC, 2 threads; runs on other hardware do not "
        "count in them: Xeon, 2 threads (2), H100 with Xeon, 2 threads (1)."
    ) in board.notes


def test_numbers_of_threads_are_hardware_too() -> None:
    records = study({"single": [40.0, 41.0], "hps": [42.0, 43.0]})
    for run, threads in zip(records, (1, 1, 2, 2), strict=True):
        run["environment"] = {**EPYC, "threads": threads}
    (board,) = boards(records)
    rows = {row["method"]: row for row in board.rows}
    assert (rows["single"]["train_seconds"], rows["hps"]["train_seconds"]) == (10.5, None)
    assert any("EPYC, 2 threads (2)" in note for note in board.notes)


def test_runs_without_seconds_are_of_no_class() -> None:
    records = [*study({"single": [40.0, 41.0]}), record("hps", 0, None, status="killed")]
    for run in records:
        run["environment"] = EPYC
    records[2]["environment"] = GPU
    (board,) = boards(records)
    assert not any("other hardware" in note for note in board.notes)


def test_one_slow_run_does_not_set_the_latency() -> None:
    records = study({"single": [40.0, 41.0, 42.0]})
    records[0]["inference"]["latency_ms"] = 300.0
    assert boards(records)[0].rows[0]["latency_ms"] == 3.25


MEASURED = {
    "latency": [
        {"batch": 1, "p50_ms": 2.0, "p95_ms": 3.0, "passes": 100},
        {"batch": 8, "p50_ms": 9.0, "p95_ms": 11.0, "passes": 20},
        {"batch": 32, "skipped": "5 passes would take more than 3 s"},
    ],
    "latency_limit_s": 0.3,
    "graph": {"compared": "exported graphs", "nodes": 72},
}


def test_costs_that_earlier_records_lack_are_columns_all_the_same() -> None:
    earlier, later = study({"single": [40.0], "hps": [41.0]})
    later["inference"] |= MEASURED
    later["training"]["parameters"] = 12_000_000
    assert not fault(later) and not fault(earlier)
    rows = {row["method"]: row for row in boards([earlier, later])[0].data()}
    keys = ("latency_p95_ms", "latency_8_ms", "latency_8_p95_ms", "latency_32_ms")
    keys += ("training_parameters", "compared")
    assert [rows["single"][key] for key in keys] == [None] * 6
    assert [rows["hps"][key] for key in keys] == [
        *(3.0, 9.0, 11.0, None, 12_000_000, "exported graphs")
    ]


def test_a_run_shows_latency_and_proof_or_what_an_earlier_record_has() -> None:
    earlier, later = study({"single": [40.0], "hps": [41.0]})
    later["inference"] |= MEASURED
    shown = [
        {row["fact"]: row["value"] for row in tables(one)[-1].rows} for one in (earlier, later)
    ]
    assert shown[0]["latency, batch 1"] == "3.25 ms"
    assert shown[0]["graph against the single-task network"] == "the same"
    assert shown[1]["latency, batch 8"] == "median 9.00 ms, 95th percentile 11.00 ms of 20 passes"
    assert shown[1]["latency, batch 32"] == "not measured: 5 passes would take more than 3 s"
    assert shown[1]["graph against the single-task network"] == (
        "the same, 72 nodes of the exported graphs compared with their arguments"
    )


@pytest.mark.parametrize(
    "wrong", [{"latency": [{"p50_ms": 1.0}]}, {"latency": "fast"}, {"graph": {"compared": 1}}]
)
def test_costs_that_are_no_numbers_are_refused(wrong: dict[str, object]) -> None:
    (one,) = study({"single": [40.0]})
    one["inference"] |= MEASURED | wrong
    assert fault(one) == "its inference is invalid"


def test_the_mean_and_its_interval_have_the_same_decimals() -> None:
    (table,) = boards(study({"single": [0.5311, 0.5342, 0.5324]}, direction="down"))
    line = render([table], "markdown").splitlines()[4]
    assert "| single | 0.5326 | [0.5287, 0.5364] | [1, 1] | 3 |" in line
    assert "| abs m ↓ |" in render([table], "markdown")


def test_a_board_says_when_costs_or_networks_do_not_compare() -> None:
    one, two = study({"single": [40.0, 41.0]})
    two["inference"]["same_as_single"] = False
    two["environment"], one["environment"] = {"device_name": "H"}, {"device_name": "A"}
    text = " ".join(render(boards([one, two]), "text").split())
    assert "differs from the single-task network in its graph: single." in text
    assert "those of 1 run on A; runs on other hardware do not count in them: H (1)." in text


def test_scores_of_networks_that_were_cut_while_they_depended_on_others_are_marked() -> None:
    records = study({"auxnas": (80.0, 81.0), "single": (79.0, 78.0)})
    for run, strength in zip(records, (0.33, 0.004, 0.0, 0.0), strict=True):
        run["selected"] = {"step": 150, "dropped_strength": strength}
    (board,) = boards(records)
    marks = [note for note in board.notes if "still open" in note]
    assert len(marks) == 1
    assert marks[0].startswith("auxnas: in 1 of 2 runs")
    assert "up to 0.33" in marks[0]
    assert not any("still open" in note for note in boards(study({"auxnas": (80.0,)}))[0].notes)


def test_scores_of_two_versions_of_a_metric_never_share_a_board() -> None:
    one, two = study({"single": [40.0, 41.0]})
    two["primary"]["version"] = 2
    with pytest.raises(UsageError, match=r"miou 1 % and miou 2 %; keep such records"):
        boards([one, two])


def test_changed_budgets_are_told_apart_in_the_title() -> None:
    one, two = record("single", 0, 40.0), {**record("single", 0, 40.0), "id": "other"}
    two["run"]["recipe"] |= {"budget": "small*", "steps": 50, "learning_rate": 0.01}
    titles = [table.title for table in boards([one, two])]
    assert titles == [
        "rooms segmentation with depth; resnet18; budget small",
        "rooms segmentation with depth; resnet18; budget small* (learning rate 0.01, steps 50)",
    ]


def test_a_frame_makes_the_same_board_as_its_records() -> None:
    records = [*study({"single": [40.0, 41.0]}), record("hps", 0, None, status="error")]
    assert render(boards(frame(records)), "json") == render(boards(records), "json")


def test_notes_of_all_boards_are_said_once() -> None:
    records = [*study({"single": [40.0]}), *study({"single": [30.0]}, backbone="vgg16")]
    for style in ("text", "markdown"):
        assert render(boards(records), style).count("overlapping intervals") == 1
    assert render(boards(records), "latex").count("overlapping intervals") == 2


WIDE = Table(
    "wide",
    (Column("name", "name"), *(Column(f"n{i}", f"long title {i}", 4) for i in range(8))),
    ({"name": "a-method+with+a+long+name", **{f"n{i}": 123456789.5 for i in range(8)}},),
)


@pytest.mark.parametrize("columns", [40, 80, 160, 250])
def test_numbers_are_never_cut_however_narrow_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((columns, 24)))
    lines = render([WIDE], "text").splitlines()
    row = next(line for line in lines if "a-method+wit" in line)
    assert row.split().count("123456789.5000") == 8
    assert columns < 160 or max(map(len, lines)) <= columns
    assert columns < 250 or "a-method+with+a+long+name" in row


def test_a_board_fits_forty_columns_and_breaks_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((40, 24)))
    name = "a-name-with-many-dashes-that-is-longer-than-a-line"
    (table,) = boards(study({"single": [1000.0, 1500.0], "auxnas": [1000.0, 1501.0]}))
    lines = render([dataclasses.replace(table, notes=(f"See {name}.",))], "text").splitlines()
    assert f"{name}." in lines
    assert max(len(line) for line in lines if name not in line) <= 40
    assert "Too narrow for: rank, seeds," in " ".join(lines)


def test_a_pipe_gets_one_line_per_row() -> None:
    lines = render([WIDE], "text").splitlines()
    assert lines[3].split() == ["a-method+with+a+long+name", *["123456789.5000"] * 8]
    assert len(lines) == 4


def test_tables_of_other_columns_get_their_own_csv_header() -> None:
    small = Table("", (Column("x", "x"),), ({"x": 1},))
    assert render([small, small, WIDE], "csv").startswith("x\n1\n1\n\nname,n0,")
    assert render([], "csv") == ""
    assert render([], "json") == "[]\n"


def test_signs_of_formats_inside_words_are_escaped() -> None:
    table = Table("a*b*", (Column("x", "100 %"),), ({"x": "[1] <b> \\ #_~^&{}"}, {"x": "*|`"}))
    markdown, latex = render([table], "markdown"), render([table], "latex")
    assert r"**a\*b\***" in markdown
    assert r"| [1] \<b> \\ #_~^&{} |" in markdown
    assert r"| \*\|\` |" in markdown
    assert r"100 \% \\" in latex
    assert (
        r"{}[1] \textless{}b\textgreater{} \textbackslash{} "
        r"\#\_\textasciitilde{}\textasciicircum{}\&\{\} \\"
    ) in latex
    assert "\n{}*\\textbar{}` \\\\" in latex  # an asterisk would belong to the line break before
    assert latex.count("{tabular}") == 2


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (Column("x", "x", 2), -0.001, "0.00"),
        (Column("x", "x", 2), 0.001, "<0.01"),
        (Column("x", "x", 2), 0.0, "0.00"),
        (Column("x", "x", 2, signed=True), 0.001, "0.00"),
        (Column("x", "x", 2, signed=True), 0.5, "+0.50"),
        (Column("x", "x", 2, signed=True), -0.5, "-0.50"),
        (Column("x", "x"), float("inf"), "—"),
        (Column("x", "x"), 3, "3"),
        (Column("x", "x"), True, "yes"),
        (Column("x", "x", "d"), 0.12345, "0.123"),
    ],
    ids=str,
)
def test_numbers_as_people_read_them(column: Column, value: float, text: str) -> None:
    assert column.text({"x": value, "d": 3}) == text


def test_large_numbers_have_prefixes() -> None:
    assert [si(x) for x in (0, 999, 999.6, 11_176_512, 1.8e9, 999.9e9, 2e18)] == [
        *("0", "999", "1 k", "11.2 M", "1.8 G", "1 T", "2 E")
    ]
    assert [decimals(x) for x in (0.0, float("nan"), 1e-9, 0.5, 50.0)] == [1, 1, 6, 2, 1]
