"""The command line at its smallest size: what a user types, sees, and gets wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import auxbench
from auxbench.cli.main import main
from auxbench.cli.study import plan, tune
from auxbench.records.store import Store
from tests.unit._records import study

SMALL = [
    *("--dataset", "rooms:train=8:validation=4:test=4"),
    *("--backbone", "test_resnet"),
    *("--side", "32", "--batch", "4", "--steps", "2"),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder with the records of a small study."""
    folder = tmp_path_factory.mktemp("home")
    done = call(folder, cache, "run", "--methods", "single,auxnas+pcgrad", "--seeds", "2", *SMALL)
    assert done.returncode == 0, done.stderr
    return folder


def call(
    folder: Path, cache: Path | None, *words: str, code: int = 0
) -> subprocess.CompletedProcess[str]:
    root = str(Path(auxbench.__file__).parents[1])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "auxbench", *words],
        cwd=folder,
        env={**os.environ, "AUXBENCH_CACHE": str(cache or folder), "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def test_a_study_leaves_a_record_per_run(home: Path) -> None:
    records = Store(home / "results" / "local").records()
    assert sorted((r["run"]["method"], r["run"]["seed"]) for r in records) == [
        ("auxnas+pcgrad", 0),
        ("auxnas+pcgrad", 1),
        ("single", 0),
        ("single", 1),
    ]
    for record in records:
        assert record["status"] == "done"
        assert record["primary"]["task"] == "segmentation"
        assert record["inference"]["same_as_single"] is True
        assert record["run"]["recipe"]["budget"] == "small*"
        assert record["training"]["flops"] > 0
        assert record["environment"]["packages"]["torch"]
        assert len(record["curve"]) == 2
    searched = next(r for r in records if r["run"]["method"] != "single")
    passes = searched["training"]["phases"]
    assert passes["train/search"]["backward"] == 2
    assert passes["train/descent"]["backward"] == 2 * 3
    assert set(searched["selected"]["final_traces"]) == {
        f"links/{way}/{task}" for way in ("a2p", "p2a") for task in ("depth", "normals")
    }
    assert searched["selected"]["score_with_auxiliaries"] is not None
    assert searched["selected"]["score_deployed"] == searched["primary"]["value"]


def test_a_second_call_finds_everything_recorded(home: Path, cache: Path) -> None:
    file = home / "results" / "local" / "records.jsonl"
    before = file.read_bytes()
    done = call(home, cache, "run", "--methods", "single,auxnas+pcgrad", "--seeds", "2", *SMALL)
    assert "Already done: 4 runs." in done.stderr
    assert file.read_bytes() == before


def test_the_leaderboard_as_json(home: Path, cache: Path) -> None:
    rows = json.loads(call(home, cache, "leaderboard", "--format", "json").stdout)
    assert {row["method"] for row in rows} == {"single", "auxnas+pcgrad"}
    for row in rows:
        assert row["dataset"] == "rooms:test=4:train=8:validation=4"
        assert row["seeds"] == 2
        assert row["low"] <= row["mean"] <= row["high"]
        assert row["parameters"] > 0
        assert row["forward"] == (2 if row["method"] == "single" else 4)


@pytest.mark.parametrize("style", ["text", "markdown", "latex", "csv"])
def test_the_leaderboard_in_other_formats(home: Path, cache: Path, style: str) -> None:
    assert "auxnas+pcgrad" in call(home, cache, "leaderboard", "--format", style).stdout


def test_compare_prints_a_verdict(home: Path, cache: Path) -> None:
    text = call(home, cache, "compare", "--control", "single").stdout
    assert "auxnas+pcgrad against single" in text
    (row,) = json.loads(
        call(home, cache, "compare", "auxnas+pcgrad", "single", "--format", "json").stdout
    )
    assert row["verdict"] in {"better", "worse", "undecided"}
    assert row["n"] == 2


def test_show_finds_a_run_by_the_beginning_of_its_id(home: Path, cache: Path) -> None:
    record = Store(home / "results" / "local").records()[0]
    text = call(home, cache, "show", record["id"][:6]).stdout
    assert record["run"]["method"] in text
    assert "Training cost" in text
    assert json.loads(call(home, cache, "show", record["id"], "--format", "json").stdout) == record


def test_plan_counts_what_is_done_missing_and_what_it_costs(home: Path, cache: Path) -> None:
    words = ["plan", "--methods", "single,hps,gradnorm+pcgrad", "--seeds", "3", *SMALL]
    rows = json.loads(call(home, cache, *words, "--format", "json").stdout)
    by_method = {row["method"]: row for row in rows}
    assert (by_method["single"]["done"], by_method["single"]["missing"]) == (2, 1)
    assert (by_method["hps"]["done"], by_method["hps"]["missing"]) == (0, 3)
    chain = by_method["gradnorm+pcgrad"]
    assert (chain["forward"], chain["backward"], chain["partial"]) == (2, 6, 6)
    assert all(row["seconds"] > 0 for row in rows)


def test_whatever_can_be_tuned_can_be_planned() -> None:
    tuned, planned = ({one.name for one in command.params} for command in (tune, plan))
    assert tuned <= planned


def test_a_config_file_says_the_same_words_and_what_is_typed_wins(
    home: Path, cache: Path, tmp_path: Path
) -> None:
    config = tmp_path / "study.toml"
    config.write_text(
        'methods = ["single", "hps"]\ndataset = "rooms"\nbackbone = "test_resnet"\n'
        "learning-rate = 0.01\nseeds = 7\nauxiliary = ['edges']\n"
        'declare = ["hps/single"]\ntimeout = "2h"\nexecutor = "ray"\n',
        encoding="utf-8",
    )
    words = ["plan", "--config", str(config), "--seeds", "2", "--format", "json"]
    rows = json.loads(call(home, cache, *words, "--steps", "1", "--side", "32").stdout)
    assert [(row["method"], row["missing"], row["auxiliaries"]) for row in rows] == [
        ("single:lr=0.01", 2, "edges"),
        ("hps:lr=0.01", 2, "edges"),
    ]
    config.write_text('method = "single"\n', encoding="utf-8")
    done = call(home, cache, "plan", "--config", str(config), code=2)
    assert "unknown option 'method' in config" in done.stderr
    assert "did you mean 'methods'?" in done.stderr


def test_the_same_from_python(home: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUXBENCH_CACHE", str(cache))
    frame = auxbench.run(
        ["single", "auxnas+pcgrad"],
        "rooms:train=8:validation=4:test=4",
        backbone="test_resnet",
        side=32,
        batch=4,
        steps=2,
        seeds=2,
        results=home / "results" / "local",
        quiet=True,
    )
    assert frame["status"].tolist() == ["done"] * 4
    assert frame["value"].notna().all()


def test_a_diverged_run_is_recorded_and_the_rest_goes_on(tmp_path: Path, cache: Path) -> None:
    words = ["--methods", "single,auxnas-official", "--seeds", "1", "--learning-rate", "1e30"]
    call(tmp_path, cache, "run", *words, *SMALL[:-1], "6")
    ends = {
        r["run"]["method"]: (r["status"], r["reason"])
        for r in Store(tmp_path / "results" / "local").records()
    }
    status, reason = ends["single:lr=1e30"]
    assert status == "diverged"
    assert "the loss of task 'segmentation' became" in reason
    status, reason = ends["auxnas-official:lr=1e30"]
    assert status == "skipped"  # it has a learning rate of its own
    assert "fixes it at 0.0001" in reason
    text = call(tmp_path, cache, "leaderboard").stdout
    assert "single" in text


MISTAKES = {
    "run --methods pc_grad --dataset rooms": "no method is called 'pc_grad'; did you mean 'pcgrad'",
    "run --methods pcgrad --dataset room": "no data set is called 'room'; did you mean 'rooms'?",
    "run --methods pcgrad --dataset rooms --backbone resnet19": "did you mean 'resnet18'?",
    "plan --methods pcgrad --dataset rooms --backbone vgg_16": "did you mean 'vgg16'?",
    "run --methods pcgrad --dataset rooms --primary dept": "did you mean 'depth'?",
    "run --methods pcgrad --dataset rooms --budget smal": "did you mean 'small'?",
    "run --methods gradnorm:alhpa=1 --dataset rooms": "did you mean 'alpha'?",
    "run --methods gradnorm:alpha=x --dataset rooms": "is 'x', which is not a number",
    "run --methods olaux:horizon=0 --dataset rooms": "option 'horizon' of 'olaux' is 0",
    "run --methods static:dept=1 --dataset rooms": "did you mean 'depth'?",
    "run --methods auxnas+hps --dataset rooms": "names two architectures, 'auxnas' and 'hps'",
    "run --methods single,single --dataset rooms": "method 'single' is named twice",
    "run --methods , --dataset rooms": "methods is empty; name at least one.",
    "run --methods pcgrad --dataset rooms --primary depth --auxiliary depth": "both primary and",
    "run --methods pcgrad --dataset rooms:sied=3": "'rooms' has no option 'sied'",
    "run --methods pcgrad --dataset rooms --seeds 0": "seeds is 0",
    "run --methods pcgrad --dataset rooms --steps 0": "steps is 0",
    "run --methods pcgrad --dataset rooms --device tpu": "device 'tpu' cannot be used",
    "run --methods pcgrad --dataset rooms --seeds 5-x": "seeds is '5-x', and '5-x' is not a seed",
    "run --methods pcgrad --dataset rooms --seeds 0,2-4,3": "which names 3 twice",
    "run --methods pcgrad --dataset rooms --jobs 0": "jobs is 0",
    "run --methods pcgrad --dataset rooms --threads 0": "threads is 0",
    "run --methods pcgrad --dataset rooms --workers -1": "workers is -1",
    "run --methods pcgrad --dataset rooms --results /dev/null/x": "cannot be written",
    "run --methods pcgrad --dataset rooms --config none.toml": "config 'none.toml' cannot be read",
    "run --methods pcgrad": "'--dataset'",
    "run --methods pcgrad --dataset rooms --sedes 3": "--sedes",
    "rum": "'rum'",
    "list method": "'method'",
    "leaderboard": "no records in 'results/local'",
    "show abc": "'abc'",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_explained_in_one_line_with_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["auxbench", *line.split()])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert MISTAKES[line] in said
    assert len(said.splitlines()) == 1
    assert said.startswith("auxbench: ")


def test_a_mistake_ends_a_process_too(tmp_path: Path) -> None:
    done = call(tmp_path, None, *next(iter(MISTAKES)).split(), code=2)
    assert done.stderr.startswith("auxbench: ")


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Path]:
    store = Store(tmp_path / "results" / "local")
    for record in study({"single": [1.0, 2.0], "hps": [1.5, 2.2]}):
        store.append(record)
    yield tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "list methods",
        "list datasets",
        "list backbones",
        "list budgets",
        "leaderboard",
        "compare --control single",
    ],
)
def test_light_commands_never_import_torch(recorded: Path, line: str) -> None:
    code = (
        "import sys, auxbench.cli; sys.argv = ['auxbench', *sys.argv[1:]]\n"
        "try: auxbench.cli.main()\n"
        "finally: print({'torch', 'timm'} & set(sys.modules), file=sys.stderr)"
    )
    root = str(Path(auxbench.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, *line.split()],
        cwd=recorded,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "set()"
    assert done.stdout


@pytest.mark.parametrize("kind", ["methods", "datasets", "backbones", "budgets"])
def test_lists_as_json_have_a_name_per_entry(tmp_path: Path, kind: str) -> None:
    rows = json.loads(call(tmp_path, None, "list", kind, "--format", "json").stdout)
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names) > 1


def test_threads_of_a_run_do_not_depend_on_how_many_runs_are_missing(
    home: Path, cache: Path, tmp_path: Path
) -> None:
    """Sums in another order end in other digits, so one missing run must be like many."""
    call(tmp_path, cache, "run", "--methods", "single", "--seeds", "1", *SMALL)
    (alone,) = Store(tmp_path / "results" / "local").records()
    among = Store(home / "results" / "local").record(alone["id"])
    assert alone["environment"]["threads"] == among["environment"]["threads"]
    assert alone["scores"] == among["scores"]
    assert alone["curve"] == among["curve"]
