"""The table of a paper: gains, bold scores, ratios, signs, and that LaTeX takes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from auxbench.cli.main import auxbench
from auxbench.errors import UsageError
from auxbench.records.store import Store
from auxbench.report.across import profiles
from auxbench.report.board import boards
from auxbench.report.comparison import compare
from auxbench.report.diagram import diagram
from auxbench.report.matrix import matrix
from auxbench.report.paper import paper
from auxbench.report.tables import Column, Table, render
from auxbench.stats import frame
from tests.unit._records import record, study

SCORES = {
    "single": [40.0, 41.0, 42.0, 40.5, 41.5],
    "hps": [39.3, 39.9, 41.4, 39.2, 40.9],
    "auxnas+pcgrad": [50.1, 51.0, 52.2, 50.4, 51.6],
    "static:depth=0.1": [40.1, 41.2, 42.2, 40.4, 41.7],
    "uw": [40.0, 41.1, 41.9, 40.6, 41.4],
}
RECORDS = [*study(SCORES), record("hps", 5, None, status="diverged")]


def lines(**words: object) -> dict[str, list[str]]:
    text = paper(frame(RECORDS), **words)  # type: ignore[arg-type]
    rows = [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if " & " in line]
    return {row[0]: row for row in rows}


def test_a_row_has_score_gain_ratios_seeds_and_failures() -> None:
    rows = lines()
    assert rows["Method"][1:3] == [r"miou \% $\uparrow$", "Gain"]
    assert rows["single"][2] == "--"
    _, score, gain, training, inference, n, failed = rows["auxnas+pcgrad"]
    assert score == r"\textbf{51.06 $\pm$ 1.07}"
    assert gain == "+10.06 [+9.92, +10.20]"
    assert (training, inference, n, failed) == (r"1.00$\times$", r"1.00$\times$", "5", "0")
    assert rows["hps"][2].startswith("$-$0.86 [$-$1.2")
    assert rows["hps"][-2:] == ["5", "1"]
    assert [name for name, row in rows.items() if "textbf" in row[1]] == ["auxnas+pcgrad"]


def test_columns_and_order_are_the_users() -> None:
    rows = lines(columns=["method", "n"], order=["hps", "single"])
    assert list(rows.values()) == [["Method", "$n$"], ["hps", "5"], ["single", "5"]]
    assert r"static:depth=0.1" in lines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"columns": ["gian"]}, "no column is called 'gian'; did you mean 'gain'?"),
        ({"order": ["hsp"]}, "no record has method 'hsp'; did you mean 'hps'?"),
        ({"control": "sum"}, "no record has method 'sum'"),
    ],
)
def test_mistakes_are_one_line(words: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        lines(**words)
    assert message in str(caught.value)


def test_the_command_prints_one_table_per_problem(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for one in [*RECORDS, *study({"single": [1.0, 2.0]}, primary="depth", direction="down")]:
        store.append(one)
    done = CliRunner().invoke(auxbench, ["leaderboard", "--paper", "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.stdout.count(r"\begin{table}") == done.stdout.count(r"\label{tab:auxbench-") == 2


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_takes_every_table(tmp_path: Path) -> None:
    """The paper's, and all others with the characters that they may contain."""
    problems = [
        row
        for primary in ("depth", "normals", "segmentation", "edges", "keypoints", "scene")
        for row in study(SCORES, primary=primary)
    ]
    comparison = compare(problems, [], "single")
    tables = [
        comparison.table(),
        matrix(comparison),
        profiles(comparison),
        diagram(comparison.problems),
        *boards(frame(RECORDS)),
        Table(
            "50 % of a_b & {c} ~ ^ \\ # $ < > | ↑ ↓ ° × − — ±", (Column("a", "[*"),), [{"a": "*"}]
        ),
    ]
    head = r"\documentclass{article}\usepackage{booktabs}\begin{document}"
    source = tmp_path / "table.tex"
    body = paper(frame(RECORDS)) + render(tables, "latex")
    source.write_text(head + body + r"\end{document}", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", source.name]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in (tmp_path / "table.log").read_text(encoding="utf-8")
