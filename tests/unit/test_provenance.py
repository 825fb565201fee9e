"""A result belongs to its code and its data: what makes it stale, and how it is made again."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from auxbench.cli.main import auxbench
from auxbench.execution.execute import provenance_of
from auxbench.execution.study import Study
from auxbench.records import provenance
from auxbench.records.record import record
from auxbench.records.store import Store
from auxbench.report.board import boards
from auxbench.report.run import command
from auxbench.spec.registry import DATASETS, METHODS
from auxbench.training import checkpoint as state
from tests.unit import _records

HERE = Path(__file__).parents[2]


def test_layout_comments_and_docstrings_do_not_count() -> None:
    plain = "def f(x):\n    return f'{x + 1}' 'b'\n"
    dressed = (
        "# a comment\n"
        '"""Doc."""\n'
        "def f(  x ):\n"
        '  """Doc\n  over lines."""  # again\n\n'
        "  return f'{x + 1}' 'b'  # why\n"
    )
    assert provenance.meaning(plain) == provenance.meaning(dressed)
    for other in (
        "def f(x):\n    return f'{x + 2}' 'b'\n",
        "def f(x):\n    return f'{x + 1}' 'c'\n",
        "def f(x):\n    'b'\n    return f'{x + 1}'\n",
        "def g(x):\n    return f'{x + 1}' 'b'\n",
        "def f(x):\n    pass\nreturn f'{x + 1}' 'b'\n",
    ):
        assert provenance.meaning(plain) != provenance.meaning(other)


def test_helpers_count_as_far_as_they_are_imported(tmp_path: Path) -> None:
    files = {
        "rule.py": "from ._near import a\n",
        "_near.py": "def f():\n    from . import _far\n",
        "_far.py": "sign = 1\n",
        "_other.py": "sign = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    before = provenance.digest(tmp_path / "rule.py")
    (tmp_path / "_other.py").write_text("sign = -1\n", encoding="utf-8")
    assert provenance.digest(tmp_path / "rule.py") == before
    (tmp_path / "_far.py").write_text("sign = -1  # flipped\n", encoding="utf-8")
    after = provenance.digest(tmp_path / "rule.py")
    assert after != before
    (tmp_path / "_far.py").write_text('"""Flipped."""\nsign = -1\n', encoding="utf-8")
    assert provenance.digest(tmp_path / "rule.py") == after


@pytest.mark.parametrize("registry", [METHODS, DATASETS], ids=["methods", "data sets"])
def test_every_built_in_part_has_a_digest_of_its_own(registry: Any) -> None:
    digests = {name: provenance.digest(registry.origin(name)[0]) for name in registry.names()}
    assert len(set(digests.values())) == len(digests)


def test_all_parts_of_a_method_count() -> None:
    run = Study.of("pcgrad+gcs", "toy", seeds=1).runs[0]
    known = provenance_of(run)
    assert set(known["code"]["methods"]) == {"hps", "pcgrad", "gcs"}
    assert set(known["code"]["datasets"]) == {"toy"}
    ended = record(run, "done", provenance=known)
    assert provenance.stale(ended, known["data"]) == ""
    other = json.loads(json.dumps(ended))
    other["provenance"]["code"]["methods"]["gcs"]["digest"] = "0" * 16
    assert provenance.stale(other) == "the code of method 'gcs' has changed since"
    other["provenance"]["code"]["methods"]["gcs"]["version"] = "0.1"
    assert provenance.stale(other) == "the version of method 'gcs' has changed since"
    assert provenance.stale(ended, {"digest": "1"}) == "the data have changed since"
    gone = json.loads(json.dumps(ended).replace('"gcs"', '"a-strangers"'))
    assert provenance.stale(gone) == ""


def test_stale_runs_are_trained_again(tmp_path: Path) -> None:
    study = Study.of("single,hps", "toy", seeds=2, budget="demo")
    store = Store(tmp_path)
    for run in study.runs:
        store.append(record(run, "done", provenance=provenance_of(run), primary=_records.PRIMARY))
    assert [len(part) for part in study.split(store)] == [4, 0, 0]
    old, new = study.runs[:2]
    store.append(record(old, "done", primary=_records.PRIMARY))
    changed = provenance_of(new)
    changed["code"]["datasets"]["toy"]["digest"] = "0" * 16
    store.append(record(new, "diverged", provenance=changed))
    split = study.split(store)
    assert split.missing == [old, new]
    assert split.stale == {
        old.id: provenance.UNKNOWN,
        new.id: "the code of data set 'toy' has changed since",
    }


def test_boards_say_what_is_stale_and_what_was_made_on_other_data() -> None:
    run = Study.of("single", "toy", seeds=1).runs[0]
    records = _records.study({"single": [1.0, 2.0], "hps": [1.0, 2.0]})
    notes = " ".join(boards(records)[0].notes)
    assert f"Stale: 4 of 4 runs, {provenance.UNKNOWN};" in notes
    assert "other data" not in notes
    for number, one in enumerate(records):
        one["provenance"] = {**provenance_of(run), "data": {"digest": str(number % 2)}}
    notes = " ".join(boards(records)[0].notes)
    assert "Stale" not in notes
    assert "made on different data from the rest" in notes


def test_boards_of_stale_runs_need_no_torch() -> None:
    script = (
        "import sys\nfrom auxbench.report.board import boards\n"
        "from auxbench.records.store import Store\n"
        "assert 'Stale' in ' '.join(boards(Store(sys.argv[1]).records())[0].notes)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(HERE / "tests" / "golden" / "schema-1")],
        check=True,
        cwd=HERE,
    )


@pytest.mark.parametrize(
    "words",
    [
        {"methods": "auxnas:l1=10+pcgrad", "dataset": "toy:train=50", "seeds": "7-7"},
        {"methods": "single", "dataset": "toy", "auxiliary": [], "seeds": [3], "threads": 1},
        {"methods": "hps", "dataset": "rooms", "primary": "depth:labelled=0.1", "steps": 7},
        {
            "methods": "static:depth=0.1",
            "dataset": "rooms",
            "auxiliary": ["depth:noise=0.2", "normals"],
            "head": "dpt:width=16",
            "backbone": "test_vit",
            "learning_rate": 3e-4,
            "weight_decay": 0.0,
            "optimizer": "sgd",
            "schedule": "poly",
            "chunks": 2,
        },
        {"methods": "pcgrad", "dataset": "cifar100", "pretrained": True, "budget": "standard"},
    ],
)
def test_the_command_of_a_record_makes_the_same_run(words: dict[str, Any]) -> None:
    words = {key: value for key, value in words.items() if key != "threads"}
    run = Study.of(**words).runs[0]
    made = record(run, "done", environment={"device": "cpu", "threads": 3})
    program, name, *rest = shlex.split(command(json.loads(json.dumps(made))))
    assert (program, name) == ("auxbench", "run")
    given = auxbench.commands["run"].make_context("run", rest).params
    assert (given["device"], given["threads"]) == ("cpu", 3)
    (again,) = Study.of(**_records.study_words(given)).runs
    assert again.id == run.id


def test_a_command_that_cannot_be_exact_is_not_given() -> None:
    made = record(Study.of("single", "toy").runs[0], "done")
    made["run"]["recipe"]["evaluations"] = 3
    assert command(made) == "none: budget 'small' no longer has evaluations 3"


def test_where_data_lie_is_no_part_of_a_runs_identity(tmp_path: Path) -> None:
    here, there = (
        Study.of("single", f"cifar100:train=100:data={tmp_path / name}", seeds=1).runs[0]
        for name in ("a", "b")
    )
    assert (here.id, here.dataset) == (there.id, "cifar100:train=100")
    assert here.located == f"cifar100:train=100:data={tmp_path / 'a'}"
    assert str(tmp_path) not in json.dumps(record(here, "done"))
    made = record(here, "done", provenance={"code": {}, "data": {}, "data_options": ["data"]})
    assert "--dataset cifar100:train=100:data=DIR " in command(made)


def test_a_checkpoint_of_another_run_and_a_damaged_one_are_set_aside(tmp_path: Path) -> None:
    at = tmp_path / "state"
    own = {"id": "a", "code": {"x": "1"}, "threads": 1}
    state.save(at, {"belongs": own, "training": 7})
    assert state.load_own(at, own) == ({"belongs": own, "training": 7}, "")
    for other, said in (
        ({**own, "id": "b"}, "differs from this run in its id (a, not b)"),
        ({**own, "code": {"x": "2"}}, "differs from this run in its code;"),
        ({**own, "threads": 2}, "differs from this run in its threads (1, not 2)"),
    ):
        state.save(at, {"belongs": own, "training": 7})
        kept, sentence = state.load_own(at, other)
        assert kept is None
        assert said in sentence
        assert "the run starts again" in sentence
        assert not state.exists(at)
        assert state.load(tmp_path / "state.aside")["training"] == 7
    (tmp_path / "state.pt").write_bytes(b"half")
    kept, sentence = state.load_own(at, own)
    assert kept is None
    assert "is damaged; it is set aside" in sentence
    assert state.load_own(at, own) == (None, "")


def test_a_changed_help_text_leaves_records_fresh_and_a_changed_range_does_not() -> None:
    text = 'def part(*, a: Annotated[float, Bounds(0), Help("Weight "\n  "of it.")] = 1.0): ...\n'
    assert provenance.meaning(text) == provenance.meaning(
        text.replace('"Weight "\n  "of it."', '"Other."')
    )
    assert provenance.meaning(text) != provenance.meaning(text.replace("Bounds(0)", "Bounds(1)"))
    assert provenance.meaning(text) != provenance.meaning(text.replace("1.0", "2.0"))
