"""Packages of strangers that bring methods by entry points, as pip would have installed them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import auxbench
from auxbench.contract.template import write
from tests.unit._commands import SCRIPT

POINTS = """[auxbench.methods]
shiny = shiny.rules:Shiny
shared = shiny:Shared
absent = shiny.nowhere:Rule
unfinished = shiny.unfinished:Rule
leaving = shiny.leaving:Rule
unnamed = shiny.rules:Rule
number = shiny.rules:NUMBER
pcgrad = shiny.rules:Shiny
"""
RIVAL = """[auxbench.methods]
shiny = rival:Rule
"""


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: one with good and bad methods, and one that comes late."""
    folder = tmp_path_factory.mktemp("builder")
    package = folder / "shiny"
    package.mkdir()
    write("rules", "method", package)
    text = (package / "rules.py").read_text(encoding="utf-8").replace("Rules", "Shiny")
    (package / "rules.py").write_text(f"{text}\n\nNUMBER = 3\n", encoding="utf-8")
    write("trunks", "architecture", package)
    text = (package / "trunks.py").read_text(encoding="utf-8")
    text = text.replace("Trunks", "Shared").replace("@METHODS.register\n", "")
    (package / "trunks.py").write_text(text, encoding="utf-8")
    (package / "__init__.py").write_text('"""Shiny."""\nfrom .trunks import Shared\n')
    (package / "unfinished.py").write_text("import no_such_package\n")
    (package / "leaving.py").write_text("raise SystemExit('I need\\na licence')\n")
    (folder / "rival.py").write_text("Rule = 3\n")
    for name, points in (("shiny-methods", POINTS), ("the-rival", RIVAL)):
        info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        (info / "RECORD").write_text("")
    return folder


def surroundings(builder: Path) -> dict[str, str]:
    root = str(Path(auxbench.__file__).parents[1])
    paths = os.pathsep.join([root, str(builder), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "AUXBENCH_CACHE": str(builder / "cache")}


Told = dict[tuple[str, ...], tuple[int, str, str]]

LIST = ("list", "methods", "--format", "json")
SHOW = ("show", "method", "shiny", "--format", "json")
CHECK = ("check", "shared:strength=1+shiny", "--format", "json")
BROKEN = {
    "absent": "ModuleNotFoundError: No module named 'shiny.nowhere'",
    "unfinished": "ModuleNotFoundError: No module named 'no_such_package'",
    "leaving": "SystemExit: I need a licence",
    "unnamed": "AttributeError: module 'shiny.rules' has no attribute 'Rule'",
    "number": "TypeError: 3 is not a subclass of Architecture or Balancer",
}


@pytest.fixture(scope="module")
def told(builder: Path) -> Told:
    """Run the command line: exit code, standard output, standard error."""
    words = [LIST, SHOW, CHECK, *(("check", name) for name in BROKEN)]
    words += [("run", "--methods", f"single,auxnas+{n}", "--dataset", "toy") for n in BROKEN]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, json.dumps(words)],
        cwd=builder,
        env=surroundings(builder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return {pair: tuple(said) for pair, said in zip(words, found, strict=True)}


def test_they_are_listed_beside_the_others(
    told: Told,
) -> None:
    code, out, _ = told[LIST]
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["shiny"]["summary"].startswith("Shiny: ")
    assert rows["shared"]["family"] == "architecture"
    assert rows["pcgrad"]["summary"].startswith("PCGrad: ")
    assert not rows["pcgrad"]["problem"]
    assert not {"rules", "trunks", "rival"} & set(rows)  # names are those of entry points


@pytest.mark.parametrize("name", BROKEN)
def test_one_that_is_broken_says_why_and_breaks_nothing_else(told: Told, name: str) -> None:
    rows = {row["name"]: row for row in json.loads(told[LIST][1])}
    assert rows[name]["problem"] == f"not usable: {BROKEN[name]}"
    words = ("run", "--methods", f"single,auxnas+{name}", "--dataset", "toy")
    for said in (told["check", name], told[words]):
        code, out, err = said
        assert (code, out) == (2, "")
        assert err.strip() == (
            f"auxbench: method '{name}' of package 'shiny-methods' is not usable "
            f"({BROKEN[name]}); repair or uninstall that package."
        )


def test_a_name_that_is_taken_is_passed_over_and_that_is_said(
    told: Told,
) -> None:
    lines = told[LIST][2].splitlines()
    built_in = "brings a method 'pcgrad' too; the built-in one is used."
    other = "brings a method 'shiny' too; that of package 'shiny-methods' is used."
    assert sorted(lines) == [
        f"auxbench: package 'shiny-methods' {built_in}",
        f"auxbench: package 'the-rival' {other}",
    ]
    assert "'the-rival'" in told[CHECK][2]
    assert "pcgrad" not in told[CHECK][2]


def test_one_is_shown(told: Told) -> None:
    code, out, _ = told[SHOW]
    assert code == 0
    assert "strength" in out
    assert "L_p" in out


def test_they_are_checked_together(told: Told) -> None:
    code, out, _ = told[CHECK]
    rows = json.loads(out)
    assert [row for row in rows if row["ok"] is False] == []
    assert {row["part"] for row in rows} == {
        "shared:strength=1",
        "shiny",
        "shared:strength=1+shiny",
    }
    assert code == 0


def test_they_run_like_any_other(builder: Path) -> None:
    words = ["--dataset", "toy:train=8:validation=4:test=4", "--steps", "2", "--seeds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "auxbench", "run", "--methods", "shared+shiny+pcgrad", *words],
        cwd=builder,
        env=surroundings(builder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 done" in done.stdout
