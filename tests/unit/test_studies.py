"""The studies that come with auxbench: what they name exists, and their networks can be built."""

from __future__ import annotations

import csv
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from auxbench.cli.data import data
from auxbench.cli.main import auxbench
from auxbench.data.prepared.recognise import layouts_of
from auxbench.execution.study import Study
from auxbench.networks import heads
from auxbench.networks.backbone import build
from auxbench.spec.grammar import Choice
from auxbench.tasks._layouts.encode import parse_size

ALL = sorted((Path(__file__).parents[2] / "studies").glob("*.toml"))
OWN = [file for file in ALL if file.stem.startswith("earth")]
FILES = [file for file in ALL if file not in OWN]  # the matrix of the paper


def words(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def test_the_matrix_is_whole() -> None:
    cells = {tuple(file.stem.split("-")[:2]) for file in FILES}
    nets = ("vgg16", "resnet50", "vit")
    assert cells == {(d, net) for d in ("nyuv2", "cityscapes", "taskonomy") for net in nets}
    assert len(FILES) == 2 * len(cells)
    assert all(" help of " in file.read_text(encoding="utf-8") for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_study_means_something(file: Path) -> None:
    study = Study.of(**words(file))
    first = study.runs[0]
    dataset, net, task = file.stem.split("-")
    assert first.dataset.split(":")[0] == dataset
    assert first.primary.startswith(task)
    assert first.backbone.startswith(net)
    assert len(study.runs) == 5 * len(words(file)["methods"])
    assert len({run.id for run in study.runs}) == len(study.runs)


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.stem)
def test_a_study_of_our_own_is_one_board_of_ten_seeds(file: Path) -> None:
    given = words(file)
    assert given.pop("results") == "results/earth"
    study = Study.of(**given)
    assert {f"{run.dataset}-{run.primary}" for run in study.runs} == {file.stem}
    assert len({run.id for run in study.runs}) == 10 * len(given["methods"])
    assert given["methods"] == words(OWN[0])["methods"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_command_it_names_prepares_what_it_reads(file: Path) -> None:
    line = re.search(r"^#   auxbench data prepare (.*)$", file.read_text(encoding="utf-8"), re.M)
    assert line
    given = data.commands["prepare"].make_context("prepare", shlex.split(line[1])).params
    choice = Choice.parse(given["dataset"])
    named = Choice.parse(words(file)["dataset"])
    assert (choice.name, given["out"]) == (named.name, named.options["data"])
    makers = [m for m in layouts_of(choice.name) if m.name == named.options.get("layout", m.name)]
    # Every option is one of the layout's, with a value that it can have.
    values = Choice(makers[0].name, choice.options).values(makers[0])
    size = parse_size(str(values["size"])) if "size" in values else (values["side"],) * 2
    assert min(size) >= words(file)["side"]  # nothing is enlarged
    whole = named.name == "nyuv2"
    assert (size[0] == size[1] == words(file)["side"]) == (whole or named.name == "taskonomy")
    assert values.get("crop", True) is not whole


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES[::5], ids=lambda file: file.stem)
def test_auxbench_plan_accepts_it(file: Path) -> None:
    short = "--backbone test_resnet --side 64 --batch 2 --steps 4 --device cpu --format csv"
    outcome = CliRunner().invoke(auxbench, ["plan", "--config", str(file), *short.split()])
    assert outcome.exit_code == 0, outcome.output
    rows = list(csv.DictReader(outcome.stdout.splitlines()))
    assert [row["method"] for row in rows] == words(file)["methods"]
    network = f"test_resnet pretrained with head {words(file).get('head', 'fpn')}"
    assert {row["backbone"] for row in rows} == {network.removesuffix(" with head fpn")}


@pytest.mark.parametrize("file", [file for file in FILES if "segmentation" in file.stem])
def test_its_network_predicts_maps_of_the_size_of_its_images(file: Path) -> None:
    given = words(file)
    backbone = build(given["backbone"], 64)  # the reductions do not depend on the side
    head = heads.head(True, backbone, 5, given["head"]).eval()
    with torch.no_grad():
        features = backbone.eval()(torch.zeros(1, 3, 64, 64))
        assert head(features, (64, 64)).shape == (1, 5, 64, 64)
