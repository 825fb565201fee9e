"""Deployed networks: kept weights, the files, what they are checked against, and refusals."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from auxbench.cli.main import auxbench
from auxbench.data.dataset import make_dataset
from auxbench.data.metrics import RMSE
from auxbench.deployment import formats
from auxbench.deployment.deploy import Deployed, deploy
from auxbench.errors import AuxbenchError, UsageError
from auxbench.execution import weights
from auxbench.execution.execute import execute
from auxbench.execution.study import WEIGHTLESS, Study
from auxbench.records.record import record as make_record
from auxbench.records.store import Store
from auxbench.spec.run import Run
from tests.contract._parts import ARCHITECTURES
from tests.unit._records import study_words

TOY = "toy:train=16:validation=8:test=40"
ROOMS = "rooms:train=8:validation=4:test=4"
ONNX = pytest.mark.skipif(
    any(find_spec(name) is None for name in formats.PACKAGES), reason="needs auxbench[onnx]"
)


@pytest.fixture
def without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "onnx_missing", lambda: "onnxscript")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))


def run_of(method: str = "single", dataset: str = TOY, **words: Any) -> Run:
    (run,) = Study.of(method, dataset, seeds=1, budget="demo", **{"steps": 3, **words}).runs
    return run


def trained(store: Store, run: Run, keep: bool = True) -> dict[str, Any]:
    """Carry out a run in this process, and record it."""
    from auxbench.execution.preparation import prepare

    prepare([run])
    record = execute(run, store.run_folder(run.id), keep_weights=keep)
    store.append(record)
    return store.record(run.id)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Deployed]:
    """A folder with the recorded run `run_of()` in results, and out, in which it is deployed."""
    folder = tmp_path_factory.mktemp("deploy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUXBENCH_CACHE", str(folder / "cache"))
        patch.setattr(formats, "onnx_missing", lambda: "onnxscript")
        return folder, deployed(folder, run_of())


@pytest.fixture
def kept(plain: tuple[Path, Deployed], tmp_path: Path) -> tuple[Store, dict[str, Any]]:
    """The store in tmp_path/results with the run `run_of()` and its weights, and its record."""
    shutil.copytree(plain[0] / "results", tmp_path / "results")
    store = Store(tmp_path / "results")
    return store, store.record(run_of().id)


def deployed(folder: Path, run: Run) -> Deployed:
    store = Store(folder / "results")
    return deploy(trained(store, run), store, folder / "out")


def digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


# What is written


def test_the_programme_reaches_the_recorded_score_without_auxbench(
    plain: tuple[Path, Deployed],
) -> None:
    folder, made = plain
    network = torch.export.load(folder / "out" / "network.pt2").module()
    samples = make_dataset(TOY, 64, 0).samples("test")
    batch = samples.batch(np.arange(40), None)
    metric = RMSE()
    metric.update(network(batch.inputs).detach(), batch.targets["primary"])
    test = made.manifest["test"]
    assert metric.compute() == pytest.approx(test["recorded"], rel=1e-4)
    assert test["scored"] == pytest.approx(
        dict.fromkeys(("weights.safetensors", "network.pt2"), test["recorded"]), rel=1e-4
    )
    assert test["samples"] == 40


def test_the_manifest_says_what_the_network_is(tmp_path: Path, without_onnx: None) -> None:
    run = run_of("auxnas", ROOMS, side=32, backbone="test_resnet", auxiliary=["depth"])
    made = deployed(tmp_path, run)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest == made.manifest
    assert manifest["run"] == run.id and manifest["trained"] == run.to_json()
    assert manifest["input"]["shape"] == ["batch", 3, 32, 32]
    assert manifest["input"]["mean"] == [0.485, 0.456, 0.406]
    assert manifest["output"]["task"] == "segmentation"
    assert manifest["output"]["kind"] == "Classes"
    assert manifest["output"]["shape"] == ["batch", len(manifest["output"]["classes"]), 32, 32]
    assert manifest["inference"]["same_as_single"] is True
    assert manifest["deployed_with"]["torch"] and manifest["trained_with"]["packages"]["torch"]
    files = {"README.md", "network.pt2", "weights.safetensors"}
    assert set(manifest["files"]) == files
    for name, about in manifest["files"].items():
        assert about["sha256"] == digest(tmp_path / "out" / name)
    assert {file.name for file in (tmp_path / "out").iterdir()} == files | {"manifest.json"}


def test_the_weights_are_those_of_the_programme(plain: tuple[Path, Deployed]) -> None:
    out = plain[0] / "out"
    network = torch.export.load(out / "network.pt2").module()
    tensors, own = load_file(out / "weights.safetensors"), network.state_dict()
    assert tensors.keys() == own.keys()
    assert all(torch.equal(tensors[name], own[name]) for name in own)


@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 9), reason="an older archive"
)
def test_no_part_of_the_programme_is_pickled(plain: tuple[Path, Deployed]) -> None:
    with zipfile.ZipFile(plain[0] / "out" / "network.pt2") as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert not zipfile.is_zipfile(io.BytesIO(content)), name  # as torch.save writes
            assert not (content[:1] == b"\x80" and content[-1:] == b"."), name


@pytest.mark.slow
def test_the_lines_of_its_readme_run(tmp_path: Path) -> None:
    deployed(tmp_path, run_of())
    text = (tmp_path / "out" / "README.md").read_text()
    blocks = [part.partition("```")[0] for part in text.split("```python\n")[1:]]
    assert len(blocks) == (1 if formats.onnx_missing() else 2)
    for number in range(len(blocks)):
        code = "\n".join(blocks[: number + 1]) + "\nprint(tuple(prediction.shape))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True
        )
        assert done.stdout == "(1, 1)\n", done.stderr


@pytest.mark.slow
def test_the_programme_takes_other_batches_than_the_one_it_was_made_with(
    tmp_path: Path, without_onnx: None
) -> None:
    run = run_of("hps", ROOMS, side=32, backbone="test_vit", auxiliary=["depth"])
    deployed(tmp_path, run)
    network = torch.export.load(tmp_path / "out" / "network.pt2").module()
    inputs = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one_by_one = torch.cat([network(one) for one in inputs.split(1)])
    torch.testing.assert_close(network(inputs), one_by_one, rtol=1e-4, atol=1e-5)


@ONNX
@pytest.mark.slow
@pytest.mark.parametrize("method", ARCHITECTURES)
def test_every_architecture_can_be_deployed(method: str, tmp_path: Path) -> None:
    run = run_of(method, ROOMS, side=32, backbone="test_resnet", auxiliary=["depth"], steps=2)
    made = deployed(tmp_path, run)
    assert made.notes == ()
    scored = made.manifest["test"]["scored"]
    assert set(scored) == {"weights.safetensors", "network.pt2", "network.onnx"}
    assert all(
        value == pytest.approx(made.manifest["test"]["recorded"], rel=1e-3)
        for value in scored.values()
    )
    assert made.manifest["input"]["shape"][0] == "batch"


@ONNX
def test_onnxruntime_predicts_batches_of_any_size(tmp_path: Path) -> None:
    import onnxruntime

    made = deployed(tmp_path, run_of())
    assert set(made.manifest["test"]["scored"]) == {
        *("weights.safetensors", "network.pt2", "network.onnx")
    }
    file = str(tmp_path / "out" / "network.onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    network = torch.export.load(tmp_path / "out" / "network.pt2").module()
    inputs = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    (prediction,) = session.run(["prediction"], {"inputs": inputs.numpy()})
    torch.testing.assert_close(torch.from_numpy(prediction), network(inputs).detach())


def test_without_the_extra_it_says_what_to_install(plain: tuple[Path, Deployed]) -> None:
    folder, made = plain
    assert not (folder / "out" / "network.onnx").exists()
    assert made.notes == (
        "network.onnx was not written, since onnxscript is not installed; "
        "pip install 'auxbench[onnx]'.",
    )
    assert "onnx" not in (folder / "out" / "README.md").read_text()


# What is refused


def test_a_run_without_weights_names_the_command_that_keeps_them(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    run = run_of("auxnas:l1=0.001:lr=0.01")
    record = trained(store, run, keep=False)
    with pytest.raises(UsageError, match="kept no weights; train it again with: ") as error:
        deploy(record, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    words = shlex.split(str(error.value).partition("with: auxbench run ")[2])
    context = auxbench.commands["run"].make_context("run", words)
    assert context.params["keep_weights"] is True
    assert context.params["results"] == str(store.folder)
    assert [one.id for one in Study.of(**study_words(context.params)).runs] == [run.id]


def test_a_folder_that_is_not_empty_is_refused(
    kept: tuple[Store, dict[str, Any]], tmp_path: Path
) -> None:
    store, record = kept
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="is not empty; name a new folder"):
        deploy(record, store, tmp_path / "out")
    with pytest.raises(UsageError, match="is a file; name a new folder"):
        deploy(record, store, tmp_path / "out" / "mine")
    assert (tmp_path / "out" / "mine").read_text() == "mine"


def test_an_empty_folder_is_filled(
    kept: tuple[Store, dict[str, Any]],
    tmp_path: Path,
    without_onnx: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (store, record), out = kept, tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    monkeypatch.chdir(out)
    deploy(record, store, Path("."))
    deploy(record, store, tmp_path / "absent" / ".." / "other")
    assert (tmp_path / "other" / "manifest.json").is_file()
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert json.loads((out / "manifest.json").read_text())["files"].keys() == {
        path.name for path in out.iterdir() if path.name != "manifest.json"
    }


def test_a_run_that_failed_has_no_network(tmp_path: Path) -> None:
    failed = make_record(run_of(), "diverged", "made up")
    with pytest.raises(UsageError, match="has no trained network: it ended as diverged"):
        deploy(failed, Store(tmp_path), tmp_path / "out")


def changed(change: Callable[[dict[str, torch.Tensor]], None], folder: Path) -> Path:
    """Write a run's kept weights again, changed."""
    (file,) = (folder / "results" / "runs").glob(f"*/{weights.FILE}")
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    return file


def test_other_weights_than_those_of_the_record_are_refused(
    kept: tuple[Store, dict[str, Any]], tmp_path: Path
) -> None:
    store, record = kept

    def doubled(tensors: dict[str, torch.Tensor]) -> None:
        for tensor in tensors.values():
            tensor.mul_(2)

    changed(doubled, tmp_path)
    with pytest.raises(UsageError, match=r"scores .* with its kept weights, and .* in its record"):
        deploy(record, store, tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []


def test_weights_that_do_not_fit_or_cannot_be_read_are_refused(
    kept: tuple[Store, dict[str, Any]], tmp_path: Path
) -> None:
    store, record = kept
    file = changed(lambda tensors: tensors.update(more=torch.zeros(1)), tmp_path)
    with pytest.raises(UsageError, match=r"do not fit the network of run .*, as in 'more'"):
        deploy(record, store, tmp_path / "out")
    file.write_bytes(b"\x80\x04.")
    with pytest.raises(UsageError, match="cannot be read"):
        deploy(record, store, tmp_path / "out")


def test_a_file_that_predicts_something_else_is_not_written(
    kept: tuple[Store, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    without_onnx: None,
) -> None:
    store, record = kept
    real = formats.program

    def wrong(*words: Any) -> formats.Predict:
        predict = real(*words)
        return lambda inputs: predict(inputs) + 0.1

    monkeypatch.setattr(formats, "program", wrong)
    with pytest.raises(AuxbenchError, match=r"network\.pt2 of run .* predicts something else"):
        deploy(record, store, tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []


def test_another_data_set_than_the_runs_is_refused(
    kept: tuple[Store, dict[str, Any]], tmp_path: Path
) -> None:
    store, record = kept
    with pytest.raises(UsageError, match="is not that of the run, 'toy:test=40"):
        deploy(record, store, tmp_path / "out", dataset="toy")


# Weights that are kept


def test_keeping_weights_changes_neither_the_run_nor_its_scores(tmp_path: Path) -> None:
    run, store = run_of(), Store(tmp_path)
    kept, plain = (trained(store, run, keep=keep) for keep in (True, False))
    assert kept["id"] == plain["id"] and kept["scores"] == plain["scores"]


def test_a_recorded_run_without_weights_is_carried_out_again_for_them(tmp_path: Path) -> None:
    study, store = Study.of("single", TOY, seeds=1, budget="demo", steps=3), Store(tmp_path)
    (run,) = study.runs
    trained(store, run, keep=False)
    assert study.split(store).done == [run]
    split = study.split(store, keep=True)
    assert split.missing == [run] and split.stale == {run.id: WEIGHTLESS}
    trained(store, run)
    assert study.split(store, keep=True).done == [run]


def test_a_run_that_is_repeated_without_keeping_drops_the_weights_of_its_earlier_record(
    tmp_path: Path,
) -> None:
    run, store = run_of(), Store(tmp_path)
    trained(store, run)
    assert weights.are_kept(store.run_folder(run.id))
    trained(store, run, keep=False)
    assert not weights.are_kept(store.run_folder(run.id))


def test_the_command_says_what_it_wrote(
    kept: tuple[Store, dict[str, Any]], tmp_path: Path, without_onnx: None
) -> None:
    store, record = kept
    words = ["deploy", record["id"][:8], "--out", str(tmp_path / "out"), "--format", "json"]
    done = CliRunner().invoke(
        auxbench, [*words, "--results", str(store.folder)], catch_exceptions=False
    )
    rows = {row["file"]: row for row in json.loads(done.stdout)}
    assert {"network.pt2", "weights.safetensors"} <= rows.keys()
    assert all(row["sha256"] == digest(tmp_path / "out" / name) for name, row in rows.items())


@pytest.mark.slow
def test_the_command_deploys_what_it_trained(tmp_path: Path) -> None:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "auxbench", *words, "--results", "results"]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    small = ("--methods", "single", "--dataset", TOY, "--seeds", "1", "--budget", "demo")
    assert call("run", *small, "--steps", "3").returncode == 0
    (record,) = Store(tmp_path / "results").runs()
    missed = call("deploy", record["id"][:8], "--out", "out")
    assert missed.returncode == 2 and missed.stderr.count("\n") == 1
    command = missed.stderr.partition("auxbench run ")[2]
    again = subprocess.run(
        [sys.executable, "-m", "auxbench", "run", *shlex.split(command)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert "1 of them was recorded, but no weights were kept" in again.stderr
    assert "in its earlier record" not in again.stderr
    done = call("deploy", record["id"][:8], "--out", "out", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {"network.pt2", "weights.safetensors"} <= {row["file"] for row in rows}
