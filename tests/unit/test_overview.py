"""Overviews of many differences: one screen, the same numbers, and what is left out on request."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from auxbench.cli.main import auxbench
from auxbench.records.store import Store
from auxbench.report.comparison import compare
from auxbench.report.overview import ACROSS, MANY, ROWS, overview, verdicts
from auxbench.report.tables import render
from tests.unit._records import study

NAMES = ["single", "hps", "auxnas+nashmtl:update_every=10", *(f"m{n}" for n in range(37))]
PROBLEMS = ("rooms:train=200", "rooms:train=1000", "nyuv2", "cityscapes", "taskonomy")


def made(problems: int, methods: int = 40) -> list[dict[str, Any]]:
    rng = random.Random(0)
    found = []
    for dataset in PROBLEMS[:problems]:
        base = [rng.gauss(40, 1) for _ in range(6)]
        values = {
            name: [b + (number % 7 - 3) * 0.6 + rng.gauss(0, 0.4) for b in base]
            for number, name in enumerate(NAMES[:methods])
        }
        found += study(values, dataset=dataset)
    return found


def printed(folder: Path, *words: str, columns: int = 100) -> str:
    """The output as in a terminal of some columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auxbench.report.terminal.width_of_terminal", lambda: columns)
        words = ("compare", "--control", "single", *words, "--results", str(folder))
        result = CliRunner().invoke(auxbench, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("problems", [1, 5])
def test_forty_methods_fit_on_a_screen(tmp_path: Path, problems: int) -> None:
    Store(tmp_path).extend(made(problems))
    lines = printed(tmp_path).splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith(("Better than single: ", "rooms:train=200 segmentation: better: "))
    words = " ".join(lines).replace(",", " ").replace(".", " ").split()
    assert set(NAMES[1:]) <= set(words)  # none is left out without a word
    full = printed(tmp_path, "--full").splitlines()
    assert sum(line.count("auxnas+nashmtl:update_every=10") for line in full) >= problems + 1
    assert "Too narrow" not in "\n".join(lines)


def test_formats_hold_everything_as_before(tmp_path: Path) -> None:
    Store(tmp_path).extend(made(2))
    short, full = (printed(tmp_path, "--format", "json", *more) for more in ((), ("--full",)))
    assert short == full
    rows = json.loads(short)
    assert len(rows) == 39 * 2
    assert {"median", "flip_low", "p_holm", "detectable"} <= rows[0].keys()


def test_an_overview_has_the_numbers_of_the_comparison() -> None:
    comparison = compare(made(1), [], control="single")
    table = overview(comparison)
    known = {row["method"]: row for row in comparison.table().rows}
    shown = [row["method"] for row in table.rows]
    assert shown == sorted(shown, key=lambda name: -known[name]["difference"])
    assert len(shown) == ROWS
    most = max(abs(row["difference"]) for name, row in known.items() if name not in shown)
    assert all(
        known[name]["verdict"] != "undecided" or abs(known[name]["difference"]) >= most
        for name in shown
    )
    assert all(row == known[row["method"]] for row in table.rows)
    across = overview(compare(made(2), [], control="single"))
    signs = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": ""}
    rows = {row["method"]: row for row in across.rows}
    decided = {
        one.method
        for one in compare(made(2), [], control="single").differences
        if one.verdict != "undecided"
    }
    assert len(rows) == ACROSS and len(decided & rows.keys()) >= min(len(decided), ACROSS)
    for one in compare(made(2), [], control="single").differences:
        if one.method not in rows:
            continue
        row = rows[one.method]
        cells = [str(value) for key, value in row.items() if key.startswith(one.place.split()[0])]
        text = f"{one.result.difference:+.{one.digits}f} {signs[one.verdict]}".strip()
        assert text in [cell.strip() for cell in cells]


def test_verdicts_name_what_is_decided_the_best_first() -> None:
    comparison = compare(made(1), [], control="single")
    lines = list(verdicts(comparison))
    table = {row["method"] for row in overview(comparison).rows}
    words = ("Better than", "Equivalent to", "Worse than", "Undecided against")
    heads = [word for word in words if any(line.startswith(word) for line in lines)]
    assert len(heads) == len(lines) >= 2
    for head, line in zip(heads, lines, strict=True):
        verdict = head.split()[0].lower()
        those = [one for one in comparison.differences if one.verdict == verdict]
        those.sort(key=lambda one: -one.result.difference)
        names = [
            one.method
            if one.method in table
            else f"{one.method}\u00a0{one.result.difference:+.{one.digits}f}"
            for one in those
        ]
        assert line == f"{head} single: {', '.join(names)}."
    comparison = compare(made(2), [], control="single")
    place = next(iter(verdicts(comparison)))
    better = [one for one in comparison.differences if one.verdict == "better"]
    better = [one for one in better if one.place.startswith("rooms:train=200")]
    better.sort(key=lambda one: -one.result.difference)
    first = ", ".join(one.method for one in better[:6])
    more = f" and {len(better) - 6} more"
    assert place.startswith(f"rooms:train=200 segmentation: better: {first}{more};")


def test_few_differences_keep_every_number(tmp_path: Path) -> None:
    Store(tmp_path).extend(made(1, MANY + 1))
    text = printed(tmp_path, columns=1000)
    assert text == printed(tmp_path, "--full", columns=1000)
    assert "sign-flip interval" in text


def test_an_interval_without_0_beside_undecided_is_explained_where_it_stands() -> None:
    comparison = compare(made(1), [], control="single")
    odd = [
        one
        for one in comparison.differences
        if one.verdict == "undecided" and not one.result.low <= 0 <= one.result.high
    ]
    assert odd
    text = " ".join(render([comparison.table()], "text", explain=False).split())
    assert f"{len(odd)} undecided with an interval without 0" in text
    assert "a verdict holds for all 39 together (Holm)" in text
    assert all(
        "for all 39 together (Holm)" in one.sentence() for one in odd if not one.decision.why
    )
    plain = [one for one in comparison.differences if one not in odd]
    assert not any("together (Holm)" in one.sentence() for one in plain)
    clear = compare(
        study({"single": [1.0, 2, 3, 4, 5], "hps": [1.1, 1.8, 3.2, 3.9, 5.1]}), [], "single"
    )
    assert "interval without 0" not in render([clear.table()], "text", explain=False)
