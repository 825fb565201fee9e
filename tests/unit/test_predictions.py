"""Kept predictions: what they show, that they change no result, and that bad files are refused."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from auxbench.cli.main import auxbench
from auxbench.contract.dry_run import tiny
from auxbench.data.colours import NONE, palette
from auxbench.data.kinds import Classes, Depth, Map, Normals
from auxbench.data.predicted import png, strips
from auxbench.errors import AuxbenchError, UsageError
from auxbench.execution.execute import begin, execute
from auxbench.execution.predictions import remarks
from auxbench.execution.study import Study
from auxbench.records import upkeep
from auxbench.records.predictions import FILE, Predictions, checked, read
from auxbench.records.store import Store
from auxbench.report.page import predictions as on_page
from auxbench.spec.budget import BUDGETS
from auxbench.spec.run import Run
from tests.unit._records import record, study

RUN = Run(
    "rooms:test=6:train=8:validation=4",
    "segmentation",
    ("depth", "normals", "scene"),
    "test_resnet",
    False,
    "hps",
    BUDGETS["demo"].with_changes(steps=2, batch=4, side=32),
    0,
)
SIDE = 8


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Three runs: without predictions, with them, and of an architecture with one task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUXBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        begin(RUN).problem.dataset.prepare()
        found: dict[str, Any] = {}
        for name, run, count in (
            ("without", RUN, 0),
            ("with", RUN, 3),
            ("single", replace(RUN, method="single"), 3),
        ):
            folder = tmp_path_factory.mktemp(name) / run.id
            folder.mkdir()
            ended = execute(run, folder, report=lambda event: None, predictions=count)
            found[name] = ended, folder
        found["test"] = begin(RUN).problem.dataset.samples("test")
        return found


def test_they_change_no_result_and_no_record(made: dict[str, Any]) -> None:
    without, kept = made["without"][0], made["with"][0]
    assert {**without, **dict.fromkeys(("training", "inference", "environment"))} == {
        **kept,
        **dict.fromkeys(("training", "inference", "environment")),
    }
    assert not (made["without"][1] / FILE).exists()


def test_they_show_the_first_test_samples_in_the_colours_of_their_labels(
    made: dict[str, Any],
) -> None:
    found = read(made["with"][1])
    tasks = {task["name"]: task for task in found.about["tasks"]}
    assert {name: task["network"] for name, task in tasks.items()} == {
        "segmentation": "deployed",
        "depth": "training",
        "normals": "training",
    }
    assert (found.about["samples"], found.about["height"], found.about["width"]) == (3, 32, 32)
    batch = made["test"].batch(np.arange(3), None)
    kind = begin(RUN).problem.primary.kind
    truth = np.asarray(Image.open(io.BytesIO(found.pictures["0-truth"])).convert("RGB"))
    painted = [kind.paint(target) for target in batch.targets["segmentation"].numpy()]
    assert np.array_equal(truth, np.concatenate(painted))
    assert all(len(task["captions"]) == 3 for task in tasks.values())
    assert tasks["segmentation"]["captions"][0].endswith("% wrong")
    assert tasks["depth"]["ranges"][0].endswith(" m")


def test_only_trained_tasks_are_predicted(made: dict[str, Any]) -> None:
    tasks = read(made["single"][1]).about["tasks"]
    assert [task["name"] for task in tasks] == ["segmentation"]


def test_a_perfect_prediction_looks_like_the_truth() -> None:
    labels = np.arange(SIDE * SIDE).reshape(1, SIDE, SIDE) % 3
    depths = np.linspace(1, 5, SIDE * SIDE).reshape(1, 1, SIDE, SIDE)
    normals = np.stack([np.full((SIDE, SIDE), v) for v in (0.6, 0.0, 0.8)])[None]
    cases = [
        (Classes(3), (np.arange(3)[None, :, None, None] == labels[:, None]) * 9.0, labels),
        (Depth(), depths, depths),
        (Map(), depths / 5, depths / 5),
        (Normals(), 7 * normals, normals),
    ]
    for kind, outputs, targets in cases:
        found = strips(kind, outputs, targets)
        assert np.abs(found.truth.astype(int) - found.prediction).max() <= 1, kind
        assert found.difference is not None
        assert not (found.difference > 8).any(), kind
        assert float(found.captions[0].split()[0]) == 0


def test_what_has_no_label_has_no_error() -> None:
    depths = np.full((1, 1, SIDE, SIDE), 2.0)
    depths[..., : SIDE // 2] = 0
    found = strips(Depth(), np.full_like(depths, 3.0), depths)
    assert found.captions == ["1 m"]
    assert found.difference is not None
    assert (found.difference[:, : SIDE // 2] == NONE).all()
    assert (found.difference[:, SIDE // 2 :] == (252, 255, 164)).all()


def test_a_prediction_has_the_scale_of_the_truth() -> None:
    truth = np.linspace(1, 5, SIDE * SIDE).reshape(1, 1, SIDE, SIDE)
    usual = strips(Depth(), truth, truth)
    beyond = strips(Depth(), truth + 100, truth)
    assert np.array_equal(usual.truth, beyond.truth)
    assert len(np.unique(beyond.prediction.reshape(-1, 3), axis=0)) == 1


def test_normals_of_any_length_are_compared_by_their_angle() -> None:
    truth = np.zeros((1, 3, SIDE, SIDE))
    truth[:, 2] = 1
    across = np.roll(truth, 1, axis=1) * 0.1
    assert strips(Normals(), across, truth).captions == ["90 °"]


def test_outputs_that_are_no_numbers_are_drawn() -> None:
    truth = np.ones((1, 1, SIDE, SIDE))
    assert strips(Depth(), np.full_like(truth, np.nan), truth).captions == ["1 m"]


def test_png_keeps_few_colours_exactly_and_stays_close_with_many() -> None:
    few = palette(13)[np.arange(169).reshape(13, 13) % 13]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(few))).convert("RGB")), few)
    many = np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1).astype(np.uint8) * 4
    many = np.concatenate([many, many[..., :1]], -1)
    shown = np.asarray(Image.open(io.BytesIO(png(many))).convert("RGB"))
    assert np.abs(shown.astype(int) - many).mean() < 8


def about(name: str) -> dict[str, Any]:
    task = {"name": "depth", "network": "deployed", "captions": ["1 m"] * 2, "ranges": []}
    task |= {"scale": "", "key": [["#0a0b0c", "wall"]]}
    return {"id": name, "samples": 2, "height": SIDE, "width": SIDE, "tasks": [task]}


def pictures(shade: int = 0) -> dict[str, bytes]:
    one = png(np.full((2 * SIDE, SIDE, 3), shade, np.uint8))
    return {"picture": one, "0-truth": one, "0-prediction": one, "0-difference": one}


def kept(folder: Path, shade: int = 0, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Predictions({**about(folder.name), **changes}, pictures(shade)).write(folder)
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = read(kept(tmp_path / "4f2a"))
    assert found.pictures == pictures()
    assert [file.name for file in (tmp_path / "4f2a").iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": "5f2a"}, "of another run"),
        ({"samples": 10**9}, "wrong fields"),
        ({"samples": True}, "wrong fields"),
        ({"width": -1}, "wrong fields"),
        ({"width": SIDE + 1}, "no picture of that size"),
        ({"tasks": {}}, "wrong fields"),
        ({"tasks": about("")["tasks"] * 2}, "incomplete"),
        ({"tasks": [{**about("")["tasks"][0], "key": [["url(x)", "wall"]]}]}, "wrong fields"),
        ({"tasks": [{**about("")["tasks"][0], "captions": ["x" * 301] * 2}]}, "wrong fields"),
        ({"schema": 2}, "another release"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(AuxbenchError, match=why):
        read(kept(tmp_path / "4f2a", **changes))


def compressed(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.json", json.dumps(about("4f2a")))


def bomb(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.json", b"0" * 40_000_000)


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)


def without_pictures(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("about.json", json.dumps({"schema": 1, **about("4f2a")}))


@pytest.mark.parametrize(
    "spoil",
    [compressed, bomb, flipped, without_pictures, lambda file: file.write_bytes(b"\x80\x04K\x01.")],
)
def test_a_spoilt_file_is_refused_in_one_line(tmp_path: Path, spoil: Callable[[Path], Any]) -> None:
    folder = kept(tmp_path / "4f2a")
    spoil(folder / FILE)
    with pytest.raises(AuxbenchError, match=r"predictions '.*'") as caught:
        read(folder)
    assert "\n" not in str(caught.value)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder in which all runs kept predictions, in a different shade each."""
    records = study({"single": [40.0, 41.0], "hps": [42.0, 43.0], "uw": [39.0, 38.0]})
    store = Store(tmp_path / "results")
    store.extend(records)
    for place, one in enumerate(records):
        kept(store.run_folder(one["id"]), shade=place)
    return store.folder


def page(results: Path) -> str:
    out = results.parent / "report.html"
    words = ["report", "--results", str(results), "--out", str(out)]
    done = CliRunner().invoke(auxbench, words, catch_exceptions=False)
    assert done.exit_code == 0
    return out.read_text("utf-8")


def shown(text: str) -> dict[str, Any]:
    data = text.partition('id="data">')[2].partition("</script>")[0]
    found: dict[str, Any] = json.loads(data)["predictions"]
    return found


def test_the_page_holds_them_once(results: Path) -> None:
    found = shown(page(results))
    assert len(found["runs"]) == 6
    assert len(found["pictures"]) == 6
    assert found["note"] == ""


def test_a_page_that_would_be_large_holds_one_seed_of_every_method(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = len(page(results))
    monkeypatch.setattr(on_page, "LIMIT", whole - 1)
    monkeypatch.setattr("auxbench.report.page.predictions.LIMIT", whole - 1)
    text = page(results)
    found, store = shown(text), Store(results)
    seeds = {record["id"]: record["run"]["seed"] for record in store.runs()}
    assert [seeds[name] for name in found["runs"]] == [0, 0, 0]
    assert "one seed of every method" in found["note"]
    monkeypatch.setattr("auxbench.report.page.predictions.LIMIT", len(text) - 400)
    fewer = page(results)
    assert 0 < len(shown(fewer)["runs"]) < 3
    assert "holds those of" in shown(fewer)["note"]
    assert len(fewer) < len(text)


def test_a_page_without_predictions_has_none(tmp_path: Path) -> None:
    Store(tmp_path / "results").append(record("single", 0, 50.0))
    assert '"predictions":' not in page(tmp_path / "results").partition('id="data">')[2]


def test_upkeep_counts_sets_aside_and_merges_them(results: Path) -> None:
    target = results.parent / "merged"
    upkeep.merge([results], target)
    assert len(list(target.glob(f"runs/*/{FILE}"))) == 6
    first = next(target.glob(f"runs/*/{FILE}"))
    flipped(first)
    *_, finding = upkeep.check(target)
    assert (finding.records, len(finding.problems)) == (5, 1)
    assert str(first) in finding.problems[0]
    (aside,) = upkeep.repair(target)
    assert aside.parent == first.parent
    assert upkeep.check(target)[-1].problems == ()
    assert upkeep.repair(target) == []
    assert upkeep.merge([results], target).added == 0  # and brings what was missing
    assert len(list(target.glob(f"runs/*/{FILE}"))) == 6


def test_the_number_is_checked() -> None:
    assert checked(16) == 16
    for wrong in (-1, 17):
        with pytest.raises(UsageError, match=f"keep-predictions is {wrong}"):
            checked(wrong)


def test_what_cannot_be_kept_is_said_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    both = Study.of("single,hps", "toy,rooms", seeds=2, budget="demo")
    (said,) = remarks(both, store, False)
    assert said == "no predictions are kept of 'toy', which has no task that predicts maps"


def test_every_dense_task_can_be_drawn() -> None:
    for name in ("nyuv2", "cityscapes", "taskonomy"):
        data = tiny(name)
        batch = data.samples("test").batch(np.arange(2), None)
        for task in data.tasks.values():
            if task.dense:
                targets = batch.targets[task.name].numpy()
                outputs = np.zeros((2, task.outputs, *targets.shape[-2:]))
                found = strips(task.kind, outputs, targets)
                assert found.truth.shape == found.prediction.shape, (name, task.name)
                assert found.difference is not None
                assert found.difference.shape == found.truth.shape
