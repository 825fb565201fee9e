"""Parts in files of one's own: named by paths, known by name and content, loaded by nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import auxbench
from auxbench.cli.until import run_until_decided
from auxbench.contract.template import write
from auxbench.errors import UsageError
from auxbench.execution.study import Study, with_files
from auxbench.records import provenance
from auxbench.records.record import record
from auxbench.records.store import Store
from auxbench.report.run import command
from auxbench.spec.files import add, load, named
from auxbench.spec.registry import BACKBONES, DATASETS, METHODS
from auxbench.spec.run import Run
from auxbench.stats import frame
from tests.unit import _own
from tests.unit._commands import said

METHOD = """from auxbench import METHODS, Balancer


@METHODS.register
class Rule(Balancer):
    family = "auxiliary"

    def __init__(self, tasks, rng, *, alpha: float = 1.0):
        super().__init__(tasks, rng)
        self.alpha = alpha

    def weights(self, signals):
        return self.alpha * signals.losses.new_ones(len(signals.losses))
"""
SECOND = '\n\n@METHODS.register\nclass Other(Balancer):\n    family = "auxiliary"\n'
DATA = """from auxbench import DATASETS
from auxbench.data.dataset import InMemory


@DATASETS.register
class Mine(InMemory):
    licence = "CC0-1.0"
"""
WORDS = ("--steps", "2", "--seeds", "1", "--jobs", "1")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    _own.forget()


def written(folder: Path, name: str, text: str = METHOD) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_a_path_stands_for_a_name_in_chains_and_with_options(tmp_path: Path) -> None:
    file = written(tmp_path / "with spaces", "my_rule.py")
    text = f"single,auxnas+{file}:alpha=2 , {file}"
    study = Study.of(text, "toy", seeds=1)
    assert [run.method for run in study.runs] == ["single", "auxnas+my-rule:alpha=2", "my-rule"]
    assert [run.files for run in study.runs] == [(), *([(("METHODS", str(file)),)] * 2)]
    assert named(f"gcs:weighted=yes+{file}:alpha=2", METHODS) == "gcs:weighted=yes+my-rule:alpha=2"


def test_a_run_is_the_same_wherever_the_file_lies_and_until_it_changes(tmp_path: Path) -> None:
    ids, codes = set(), []
    for folder, text in (
        ("here", METHOD),
        ("there", f"# a comment\n{METHOD}"),
        ("elsewhere", METHOD.replace("alpha *", "alpha / 2 *")),
    ):
        file = written(tmp_path / folder, "mine.py", text)
        (run,) = Study.of(str(file), "toy", seeds=1).runs
        ids.add(run.id)
        assert str(tmp_path) not in json.dumps(run.to_json())
        codes.append(provenance.code(("hps", "mine"), "toy"))
        METHODS.remove("mine")
    assert len(ids) == 1
    assert codes[0] == codes[1] != codes[2]


def test_a_neighbour_belongs_to_the_code(tmp_path: Path) -> None:
    file = written(tmp_path, "mine.py", f"from halves_of_mine import HALF\n{METHOD}")
    written(tmp_path, "halves_of_mine.py", "HALF = 0.5\n")
    assert named(str(file), METHODS) == "mine"
    before = provenance.digest(file)
    written(tmp_path, "halves_of_mine.py", "HALF = 0.25\n")
    assert provenance.digest(file) != before
    other = written(tmp_path / "other", "yours.py", f"from halves_of_mine import HALF\n{METHOD}")
    written(tmp_path / "other", "halves_of_mine.py", "HALF = 1\n")
    with pytest.raises(UsageError, match=r"imports 'halves_of_mine', which is .* rename halves_of"):
        named(str(other), METHODS)


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    file = written(tmp_path, "mine.py")
    named(str(file), METHODS)
    first = METHODS["mine"]
    named(str(file), METHODS)
    assert METHODS["mine"] is first
    written(tmp_path, "mine.py", METHOD.replace("alpha", "beta"))
    assert Study.of(f"{file}:beta=3", "toy", seeds=1).runs[0].method == "mine:beta=3"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("mine.py", METHOD + SECOND, r"more than one method, 'Rule' in line 5 and 'Other' in line"),
        ("mine.py", "x = 1\n", r"registers no method; decorate its class with @METHODS\.register"),
        ("mine.py", DATA, r"registers no method; it registers a data set, which is named by --da"),
        ("mine.py", "x = (1,\n", r"does not import \(SyntaxError: .* was never closed, line 1 of"),
        ("mine.py", "x = 1\nimport nowhere_at_all\n", r"named 'nowhere_at_all', line 2\); correct"),
        ("mine.py", "raise SystemExit('no\\nlicence')", r"SystemExit: no licence, line 1\)"),
        ("mine.py", "x = '\0'\n", r"does not import \((SyntaxError|ValueError)"),
        ("pcgrad.py", METHOD, r"has the name of another method, 'pcgrad'; rename the file"),
        ("Mine.py", METHOD, r"has a name that no method can have; rename it"),
        ("a__b.py", METHOD, r"has a name that no method can have; rename it"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    file = written(tmp_path, name, text)
    with pytest.raises(UsageError, match=says) as caught:
        Study.of(f"single,{file}", "toy", seeds=1)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "mine" not in METHODS
    Study.of("single", "toy", seeds=1)  # nothing else is affected


def test_two_files_of_one_name_and_paths_that_are_none(tmp_path: Path) -> None:
    one, other = written(tmp_path / "a", "mine.py"), written(tmp_path / "b", "mine.py")
    with pytest.raises(UsageError, match=r"would both be the method 'mine'; rename one of them"):
        Study.of(f"{one},{other}", "toy", seeds=1)
    for text, says in (
        ("./nowhere.py", r"file 'nowhere\.py' is not there; name one that is"),
        (f"{tmp_path}/a", r"is not the path of a Python file; name a \.py file"),
        (f"{tmp_path}/c++/mine.py", r"is not the path of a Python file; .* no comma, colon or"),
    ):
        with pytest.raises(UsageError, match=says):
            named(text, METHODS)


def test_nothing_that_a_record_says_is_ever_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "evil.py", f"raise RuntimeError('imported')\n{METHOD}")
    (plain,) = Study.of("single", "toy", seeds=1).runs
    values = {**plain.to_json(), "files": [["METHODS", str(file)]], "where": ":data=/etc"}
    assert (Run.from_json(values).files, Run.from_json(values).where) == ((), "")
    for key in ("method", "dataset", "backbone"):
        run = Run.from_json({**plain.to_json(), key: str(file)})
        with pytest.raises(UsageError, match=r"of a run is not installed; name its file"):
            with_files(run)
    store = Store(tmp_path / "results")
    store.prepare()
    hostile = Run.from_json({**plain.to_json(), "method": str(file)})
    store.append(record(hostile, "error", "never mind"))
    words = ["--results", str(tmp_path / "results")]
    for ended in said(
        tmp_path, [["retry", *words], ["status", *words], ["show", hostile.id, *words]]
    ):
        assert "imported" not in ended.err + ended.out
        assert ended.code in (0, 2)
    monkeypatch.setattr(auxbench, "run", lambda *given, **words: frame(store.runs()))
    with pytest.raises(
        UsageError, match=r"a record in .* has the method '.*evil\.py', which is a pa"
    ):
        run_until_decided("single,hps", "toy", str(store.folder), "single", 5)


def test_a_record_of_a_part_that_is_not_here_says_how_to_repeat_it(tmp_path: Path) -> None:
    file = written(tmp_path, "my_rule.py")
    (run,) = Study.of(f"auxnas+{file}:alpha=2", "toy", seeds=1).runs
    made_by = {"code": provenance.code(("auxnas", "my-rule"), "toy"), "data": {}, "draw": 0}
    ended = record(run, "diverged", "", provenance={**made_by, "data_options": []})
    assert "--methods auxnas+./my_rule.py:alpha=2" in command(ended)
    METHODS.remove("my-rule")
    assert "--methods auxnas+./my_rule.py:alpha=2" in command(ended)
    assert provenance.stale(ended) == ""
    with pytest.raises(UsageError, match=r"method 'my-rule' of a run is not installed; name its"):
        with_files(Run.from_json(ended["run"]))
    add(str(file))
    assert with_files(Run.from_json(ended["run"])).files == run.files


def test_a_file_may_hold_parts_of_several_kinds(tmp_path: Path) -> None:
    file = written(tmp_path, "mine.py", f"{METHOD}\n\n{DATA}")
    assert add([str(file)]) == [("METHODS", "mine"), ("DATASETS", "mine")]
    METHODS.remove("mine")
    DATASETS.remove("mine")
    load([("METHODS", str(file))])
    assert "mine" in METHODS
    assert "mine" not in DATASETS
    with pytest.raises(UsageError, match=r"registers no part; decorate its class with one of"):
        add(str(written(tmp_path, "nothing.py", "x = 1\n")))


@pytest.mark.slow
def test_all_kinds_together_run_and_are_read_without_their_files(tmp_path: Path) -> None:
    home = tmp_path / "my parts"
    home.mkdir()
    for kind, name in (("method", "my-rule"), ("dataset", "my-data"), ("backbone", "my-net")):
        write(name, kind, home)
    study = [
        "--methods=single,./my_rule.py:strength=0.5,auxnas+./my_rule.py",
        "--dataset=./my_data.py:count=40",
        "--backbone=./my_net.py:width=4:depth=1",
        *WORDS,
        "--results=../r",
    ]
    ran, listed, both = said(
        home,
        [
            ["run", *study],
            ["list", "backbones", "--parts", "./my_net.py", "--format", "json"],
            ["list", "datasets", "--parts", "./nowhere.py"],
        ],
    )
    assert ran.code == 0, ran.err
    assert "3 done" in ran.out
    assert "my-net" in {row["name"] for row in json.loads(listed.out)}
    assert (both.code, both.err) == (
        2,
        "auxbench: file 'nowhere.py' is not there; name one that is.\n",
    )
    records = Store(tmp_path / "r").runs()
    assert str(tmp_path) not in json.dumps([{**r, "environment": None} for r in records])
    code = records[-1]["provenance"]["code"]
    assert {kind: sorted(parts)[-1] for kind, parts in code.items()} == {
        "methods": "my-rule" if len(code["methods"]) > 1 else "single",
        "datasets": "my-data",
        "backbones": "my-net",
    }
    failed = {**records[0], "status": "error"}
    Store(tmp_path / "failed").append(record(Run.from_json(failed["run"]), "error", "lost"))
    board, compared, again = said(
        tmp_path,
        [
            ["leaderboard", "--results", "r"],
            ["compare", "--control", "single", "--results", "r"],
            ["retry", "--results", "failed"],
        ],
    )
    assert "auxnas+my-rule" in board.out
    assert "my-rule" in compared.out
    assert again.code == 2
    assert "is not installed; name its file, such as --parts ./my_" in again.err


def test_backbones_are_public() -> None:
    assert auxbench.BACKBONES is BACKBONES
