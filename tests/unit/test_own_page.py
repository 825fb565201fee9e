"""The page on one's own data tells the truth: its tables, commands and code are tried."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from auxbench.cli.main import auxbench as command
from auxbench.data.dataset import make_dataset
from auxbench.data.own.table import KEYS, read
from auxbench.data.own.words import STRUCTURE, TASKS
from auxbench.errors import UsageError
from auxbench.execution.study import Study
from auxbench.spec.registry import DATASETS
from tests.unit import _own
from tests.unit._records import study_words

PAGE = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"the page has no block '{name}'"
    return found[1]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def written() -> None:
    """The page's table of numbers, with enough lines."""
    header, *lines = block("table").splitlines()
    Path("apples").mkdir()
    good = [f"{line}" for line in lines[:3]] + [f"0.{n},5.{n},1{n},no" for n in range(10, 30)]
    Path("apples/samples.csv").write_text("\n".join([header, *good]))


def test_the_table_is_refused_as_the_page_says() -> None:
    Path("apples").mkdir()
    Path("apples/samples.csv").write_text(block("table"))
    with pytest.raises(UsageError) as caught:
        make_dataset("folder:data=apples", 64)
    assert f"`{caught.value}`" in " ".join(PAGE.split())


def test_its_commands_run() -> None:
    written()
    lines = [line.split()[1:] for line in block("run").splitlines()]
    assert [words[0] for words in lines] == ["data", "show", "plan", "run", "leaderboard"]
    for words in lines[:2]:
        done = CliRunner().invoke(command, words)
        assert done.exit_code == 0, done.output
    for name, *rest in lines[2:]:
        context = command.commands[name].make_context(name, rest)
        if name != "leaderboard":
            assert len(Study.of(**study_words(context.params)).runs) == 6


@pytest.mark.slow
def test_its_runs_run() -> None:
    written()
    for line in block("run").splitlines():
        done = CliRunner().invoke(command, line.split()[1:])
        assert done.exit_code == 0, done.output
    assert "folder:name=apples weight with ripe" in done.stdout


def test_the_header_and_the_description_are_read() -> None:
    folder = Path("orchard")
    folder.mkdir()
    table = block("pictures")
    for name in re.findall(r"[\w-]+\.(?:jpg|png)", table):
        Image.new("L", (32, 32), 1).save(folder / name)
    (folder / "samples.csv").write_text(table)
    assert list(read(folder).tasks) == ["ripeness", "distance", "mask"]
    plain = re.sub(r":[\w:=/]+", "", table.splitlines()[0])
    (folder / "samples.csv").write_text("\n".join([plain, *table.splitlines()[1:]]))
    (folder / "dataset.toml").write_text(block("toml"))
    found = read(folder)
    assert (found.name, found.primary, found.auxiliaries) == ("orchard", "distance", ("ripeness",))
    assert set(tomllib.loads(block("toml"))) >= set(KEYS) - {"table", "arrays"}
    assert not (found.augment or found.standardise)


def test_every_kind_is_on_the_page() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\|(.*)\|$", PAGE, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted((*STRUCTURE, *TASKS))
    for name, text in rows:
        options = set(re.findall(r"`(\w+)=", text))
        assert options <= set(TASKS.get(name, ())), name


def test_a_sheet_is_drawn_as_it_says() -> None:
    _own.write(Path("orchard"))
    [line] = re.findall(r"`auxbench (data show .*?)`", PAGE)
    done = CliRunner().invoke(command, line.split())
    assert done.exit_code == 0, done.output
    assert Path("folder.png").is_file()


def test_its_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision")
    names: dict[str, Any] = {}
    exec(block("arrays"), names)
    called: list[Any] = []
    monkeypatch.setattr("auxbench.run", lambda *words, **more: called.append((words, more)))
    exec(block("study"), names)
    (methods, orchard), more = called[0]
    assert len(Study.of(methods, orchard, **more).runs) == 15
    assert make_dataset("folder:name=orchard", 32).primary == "distance"
    exec(block("torch"), names)
    fakes = names["fakes"]
    assert [len(fakes.samples(split)) for split in ("train", "validation", "test")] == [48, 12, 40]


@pytest.mark.slow
def test_its_code_for_hugging_face_runs() -> None:
    pytest.importorskip("datasets")
    names: dict[str, Any] = {}
    exec(block("arrays"), names)
    exec(block("huggingface"), names)
    apples = names["apples"]
    assert apples.tasks["ripeness"].kind.names == ("unripe", "ripe")
    assert apples.samples("train").batch(np.arange(2), None).inputs.shape == (2, 3, 48, 48)


def test_its_class_is_a_data_set() -> None:
    path = Path("page_apples.py")
    path.write_text(block("class"))
    name = DATASETS.add(path)
    try:
        runs = Study.of("single,hps", name, seeds=2).runs
        assert {(run.primary, run.draw) for run in runs} == {("weight", 0), ("weight", 1)}
    finally:
        DATASETS.remove(name)
