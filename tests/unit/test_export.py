"""Exporters: what a tool's own reader finds in what its own library wrote."""

from __future__ import annotations

import importlib.util
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from auxbench.cli.main import auxbench
from auxbench.errors import UsageError
from auxbench.records.store import Store
from auxbench.report.exporters import LIBRARIES
from auxbench.report.exporters.run import exported
from auxbench.stats import frame
from tests.unit._records import record

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
PROBLEM = "rooms segmentation with depth"


def look(step: int, value: float) -> dict[str, Any]:
    score = {"split": "validation", "network": "deployed", "task": "segmentation"}
    score |= {"metric": "delta1.25^2", "unit": "%", "direction": "up", "value": value}
    return {
        "step": step,
        "scores": [score],
        "scalars": {"loss/depth": 1.5, "weight/depth": 0.5},
        "traces": {"links/a2p/depth": [0.25, 0.75]},
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    made = {**record("auxnas", 0, 50.0), "curve": [look(100, 30.0), look(200, 40.0)]}
    hostile = {**record("hps", 1, None, status="killed"), "reason": "../../x\n\u202e"}
    Store(tmp_path / "results").extend([made, hostile])
    return tmp_path / "results"


def written(library: str, results: Path) -> Path:
    pytest.importorskip(library)
    out = results.parent / "out"
    words = ["export", library, "--results", str(results), "--out", str(out)]
    done = CliRunner().invoke(auxbench, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "2 runs in" in done.output
    return out


def test_a_run_in_the_words_of_trackers(results: Path) -> None:
    records = Store(results).runs()
    run, failed = exported(records, frame(records))
    assert (run.name, run.done, failed.done) == ("auxnas seed 0", True, False)
    assert run.problem.startswith(PROBLEM)
    assert run.parameters["method"] == "auxnas"
    assert run.parameters["auxiliaries"] == "depth"
    assert run.parameters["steps"] == run.last
    assert run.steps[100] == {
        "validation/segmentation/delta1.25^2": 30.0,
        "loss/depth": 1.5,
        "weight/depth": 0.5,
        "links/a2p/depth/0": 0.25,
        "links/a2p/depth/1": 0.75,
    }
    assert run.results["test/deployed/segmentation/miou"] == 50.0
    assert run.results["training/backward"] == 1200
    assert failed.tags["status"] == "killed"
    assert not failed.steps
    assert all(".." not in one.path and one.path.count("/") == 1 for one in (run, failed))
    long = replace(run, name="auxnas" + ":option=1" * 40)
    assert long.path.endswith(f"-{run.id}") and len(long.path) < 250  # the id is never cut off
    later = {**records[0], "inference": {"latency": [{"batch": 8, "p50_ms": 2.5}]}}
    (one,) = exported([later], frame([later]))
    assert one.results["inference/latency/8/p50_ms"] == 2.5


def test_tensorboard_reads_scalars_and_hyperparameters(results: Path) -> None:
    out = written("tensorboard", results)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    (folder,) = out.glob("*/auxnas-seed-0-*")
    read = EventAccumulator(str(folder)).Reload()
    numbers = [(one.step, one.value) for one in read.Scalars("validation/segmentation/delta1.25^2")]
    assert numbers == [(100, 30.0), (200, 40.0)]
    assert [one.value for one in read.Scalars("links/a2p/depth/1")] == [0.75, 0.75]
    assert [one.value for one in read.Scalars("test/deployed/segmentation/miou")] == [50.0]
    told = read.PluginTagToContent("hparams")[metadata.SESSION_START_INFO_TAG]
    found = metadata.parse_session_start_info_plugin_data(told).hparams
    assert found["method"].string_value == "auxnas"
    assert found["status"].string_value == "done"
    assert len(list(out.glob("*/*/events*"))) == 2


def test_mlflow_reads_metrics_parameters_and_tags(results: Path) -> None:
    out = written("mlflow", results)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{out}/mlflow.db")
    (experiment,) = [one for one in client.search_experiments() if one.name.startswith(PROBLEM)]
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    run, failed = runs["auxnas seed 0"], runs["hps seed 1"]
    history = client.get_metric_history(run.info.run_id, "validation/segmentation/delta1.25-2")
    assert [(one.step, one.value) for one in history] == [(100, 30.0), (200, 40.0)]
    assert run.data.metrics["test/deployed/segmentation/miou"] == 50.0
    assert run.data.params["backbone"] == "resnet18"
    assert run.data.tags["status"] == "done"
    assert (run.info.status, failed.info.status) == ("FINISHED", "FAILED")


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of an offline run: protocol buffers in a log of blocks, as `wandb sync` reads."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            found = Record()
            found.ParseFromString(whole)
            whole = b""
            yield found


def test_wandb_keeps_history_config_and_summary_offline(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(results.parent))
    out = written("wandb", results)
    (file,) = [one for one in out.glob("wandb/*/*.wandb") if b"auxnas" in one.read_bytes()]
    found = list(wandb_records(file))

    def items(one: Any) -> dict[str, Any]:
        return {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in one}

    history = [
        items(one.history.item) for one in found if one.WhichOneof("record_type") == "history"
    ]
    values = {one["_step"]: one["validation/segmentation/delta1.25^2"] for one in history}
    assert values == {100: 30.0, 200: 40.0}
    run = next(one.run for one in found if one.WhichOneof("record_type") == "run")
    assert (run.display_name, run.host) == ("auxnas seed 0", "-")
    assert items(run.config.update)["method"] == "auxnas"
    summary: dict[str, Any] = {}
    for one in found:
        summary |= items(one.summary.update)
    assert summary["test/deployed/segmentation/miou"] == 50.0


def test_a_folder_with_something_in_it_is_left_alone(results: Path) -> None:
    words = ["export", "tensorboard", "--results", str(results), "--out", str(results)]
    if importlib.util.find_spec("tensorboard") is None:
        with pytest.raises(UsageError, match="needs the package tensorboard; pip install"):
            CliRunner().invoke(auxbench, words, catch_exceptions=False)
    else:
        with pytest.raises(UsageError, match="not empty; name a new folder"):
            CliRunner().invoke(auxbench, words, catch_exceptions=False)


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_exporter_is_short(library: str) -> None:
    found = importlib.util.find_spec(f"auxbench.report.exporters.{library}")
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin).read_text("utf-8").count("\n") <= 40
