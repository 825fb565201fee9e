"""The published boards: what is printed is in the records, and the records hold the bars."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from auxbench.records.ledger import Ledger
from auxbench.records.provenance import stale
from auxbench.records.store import Store
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
    compared = 0
    for name, text in readings:
        path = RESULTS / name / "matrix.md"
        gains = _rows(path.read_text(encoding="utf-8")) if path.exists() else {}
        for method, cells in _rows(text).items() if gains else ():
            known = gains[method][3:]  # after the rank, its interval and the counts
            for cell, there in zip(cells[: len(known)], known, strict=True):
                gain, *verdict = _plain(cell.replace("equivalent", "same"))
                exact, *decided = _plain(there)
                where = f"{method} in {name}: {cell}"
                assert verdict == decided, where
                rounding = 0.51 * 10.0 ** -len(gain.partition(".")[2])
                assert float(gain) == pytest.approx(float(exact), abs=rounding), where
                compared += 1
    assert compared > 20


def _rows(text: str) -> dict[str, list[str]]:
    """The cells of the table rows that begin with a method, by its name."""
    lines = re.findall(r"^\| `?([\w+-]+)`?(?:, [\w ]+)? \| (.*[+-]\d.*) \|$", text, re.M)
    return {method: cells.split(" | ") for method, cells in lines}


def _plain(cell: str) -> list[str]:
    """The gain and the verdict in a cell, without the interval and the number of seeds."""
    return re.sub(r" [(\[].*?[)\]]", "", cell).split()


@pytest.mark.parametrize("name", FOLDERS)
def test_no_run_is_stale_or_lacks_seeds(name: str) -> None:
    seeds = defaultdict(set)
    code = defaultdict(set)
    for record in Store(RESULTS / name).runs():
        assert stale(record) == "", record["id"]
        run = record["run"]
        recipe = tuple(sorted((key, str(value)) for key, value in run["recipe"].items()))
        key = (run["primary"], *run["auxiliaries"], run["method"], recipe)
        seeds[key].add(run["seed"])
        for kind, parts in record["provenance"]["code"].items():
            for part, known in parts.items():
                code[kind, part].add(known["digest"])
    assert all(len(found) >= FEWEST_SEEDS for found in seeds.values())
    assert all(len(found) == 1 for found in code.values())


@pytest.mark.parametrize("name", [name for name in FOLDERS if (RESULTS / name / "ledger").exists()])
def test_all_methods_of_a_problem_had_equal_trials(name: str) -> None:
    trials = defaultdict(set)
    for tuning in Ledger(RESULTS / name).tunings():
        trials[tuning.problem].add(tuple(sorted(trial.seeds for trial in tuning.trials)))
    assert trials
    assert all(len(found) == 1 for found in trials.values())
