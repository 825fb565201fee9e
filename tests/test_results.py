"""The published boards: what is printed and read off is in the records, which hold the bars."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

import auxbench
from auxbench.records.ledger import Ledger
from auxbench.records.provenance import stale
from auxbench.records.store import Store
from auxbench.report.comparison import compare
from tests.unit._commands import said

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
README = (RESULTS / "README.md").read_text(encoding="utf-8")
FOLDERS = sorted(path.name for path in RESULTS.iterdir() if (path / "records.jsonl.gz").exists())
PRINTED = {
    "board.md": ["leaderboard"],
    "matrix.md": ["compare", "--control", "single", "--matrix"],
}
FEWEST_SEEDS = 8
MOST_BYTES = 30_000_000


def test_every_folder_has_its_command() -> None:
    listed = re.findall(r"^\| `([\w-]+)/` \|", README, re.M)
    assert listed == sorted(listed)
    assert set(listed) == set(FOLDERS)


def test_they_are_small() -> None:
    total = sum(
        path.stat().st_size
        for name in FOLDERS
        for path in (RESULTS / name).rglob("*")
        if path.is_file()
    )
    assert total < MOST_BYTES


def test_what_is_printed_is_in_the_records() -> None:
    pages = [path for name in FOLDERS for path in sorted((RESULTS / name).glob("*.md"))]
    pages = [path for path in pages if path.name in PRINTED]
    assert len(pages) > 4
    options = ["--format", "markdown", "--results"]
    commands = [[*PRINTED[path.name], *options, str(path.parent)] for path in pages]
    for path, told in zip(pages, said(ROOT, commands), strict=True):
        assert told.out == path.read_text(encoding="utf-8"), f"make {path} again"
        assert "Stale" not in told.out


def test_the_gains_in_readings_are_those_of_the_matrix() -> None:
    readings = re.findall(r"^## Reading `([\w-]+)`.*?\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    compared = intervals = 0
    for name, text in readings:
        path = RESULTS / name / "matrix.md"
        if not path.exists():
            continue
        gains, told = _rows(path.read_text(encoding="utf-8")), _rows(text)
        exact_intervals = _intervals(name)
        assert len(told) == len(re.findall(r"^\| `", text, re.M)), f"a row of {name} is not read"
        for method, cells in told.items():
            known = gains[method][3:]  # after the rank, its interval and the counts
            for at, (cell, there) in enumerate(zip(cells[: len(known)], known, strict=True)):
                gain, *verdict = _plain(cell.replace("equivalent", "same"))
                exact, *decided = _plain(there)
                where = f"{method} in {name}: {cell}"
                assert verdict == decided, where
                digits = len(gain.partition(".")[2])
                assert float(gain) == pytest.approx(float(exact), abs=0.51 * 10.0**-digits), where
                for interval in re.findall(r"\[.*?\]", cell):
                    low, high = exact_intervals[method][at]
                    assert interval == f"[{low:+.{digits}f}, {high:+.{digits}f}]", where
                    intervals += 1
                compared += 1
    assert compared > 100
    assert intervals > 60


def _rows(text: str) -> dict[str, list[str]]:
    """The cells of the table rows that begin with a method, by its name."""
    lines = re.findall(r"^\| `?([\w+-]+)`?(?:, [\w ]+)? \| (.*[+-]\d.*) \|$", text, re.M)
    return {method: cells.split(" | ") for method, cells in lines}


def _intervals(name: str) -> dict[str, list[tuple[float, float]]]:
    """The intervals of the gains over the single-task network, by method, problem by problem."""
    runs = auxbench.load(RESULTS / name).runs
    found = defaultdict(list)
    for one in compare(runs, sorted({*runs["method"]} - {"single"}), "single").differences:
        found[one.method].append((one.result.low, one.result.high))
    return found


def _plain(cell: str) -> list[str]:
    """The gain and the verdict in a cell, without the interval and the number of seeds."""
    return re.sub(r" [(\[].*?[)\]]", "", cell).split()


@pytest.mark.parametrize("name", FOLDERS)
def test_runs_are_done_and_not_stale_and_of_one_code(name: str) -> None:
    code = defaultdict(set)
    for record in Store(RESULTS / name).runs():
        assert record["status"] == "done", record["id"]
        assert stale(record) == "", record["id"]
        for kind, parts in record["provenance"]["code"].items():
            for part, known in parts.items():
                code[kind, part].add(known["digest"])
    assert code
    assert all(len(found) == 1 for found in code.values())


@pytest.mark.parametrize("name", FOLDERS)
def test_the_methods_of_a_board_have_the_same_seeds(name: str) -> None:
    for problem, there in auxbench.load(RESULTS / name).runs.groupby("problem"):
        (seeds,) = {tuple(sorted(found["seed"])) for _, found in there.groupby("method")}
        assert len(set(seeds)) == len(seeds) >= FEWEST_SEEDS, problem


@pytest.mark.parametrize("name", [name for name in FOLDERS if (RESULTS / name / "ledger").exists()])
def test_every_method_was_tuned_by_equal_trials(name: str) -> None:
    trials: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for tuning in Ledger(RESULTS / name).tunings():
        seeds = tuple(sorted(trial.seeds for trial in tuning.trials))
        trials[tuning.problem][tuning.method] = seeds
    runs = auxbench.load(RESULTS / name).runs
    for problem, there in runs.groupby("problem"):
        tuned = trials[problem]
        assert set(there["method"]) == set(tuned)
        assert len(set(tuned.values())) == 1, problem
