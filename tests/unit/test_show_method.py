"""`show method`, `show dataset` and `list methods`: what parts say, in every format."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from click.testing import CliRunner, Result

from auxbench.cli.main import auxbench
from auxbench.errors import UsageError
from auxbench.report import dataset, method
from auxbench.report import lists as catalogue
from auxbench.report.catalogue import entries
from auxbench.report.tables import Row, render
from auxbench.spec.grammar import options_of
from auxbench.spec.registry import DATASETS, METHODS

STYLES = ("text", "json", "csv", "markdown", "latex")


def call(*words: str) -> Result:
    return CliRunner().invoke(auxbench, words)


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_can_be_shown(name: str) -> None:
    about, *rest = method.tables(name, entries()[name])
    (row,) = about.rows
    assert row["name"] == name
    assert row["paper"]
    assert row["flaws"]
    titles = [table.title for table in rest]
    assert titles[-1] == "Passes of a training step"
    taken = options_of(METHODS[name]) or name == "static"
    assert ("Options" in titles) == bool(taken)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["gradnorm", "hps", "static"])
def test_the_command_prints_every_format(name: str, style: str) -> None:
    done = call("show", "method", name, "--format", style)
    assert done.exit_code == 0, done.exception
    assert done.stdout == render(method.tables(name, entries()[name]), style)
    assert entries()[name].family in done.stdout
    if style == "csv":
        assert name in {row[0] for row in csv.reader(io.StringIO(done.stdout)) if row}
    if style in {"text", "markdown", "latex"}:
        assert "Known flaws: " in done.stdout


def test_what_is_said_of_gradnorm() -> None:
    about, *rest = json.loads(render(method.tables("gradnorm", entries()["gradnorm"]), "json"))
    assert about["family"] == "loss weighting"
    assert about["needs"] == "losses, norms"
    assert about["primary_differs"] is False
    assert about["paper"] == "Chen ICML 2018"
    assert about["source"].startswith("Z. Chen, V. Badrinarayanan, C.-Y. Lee, A. Rabinovich. Grad")
    assert about["url"] == "https://arxiv.org/abs/1711.02257"
    assert "only the first tensor of the layer" in about["flaws"]
    assert "Known flaws" not in about["description"]
    assert "Source" not in about["description"]
    rows = {row["option"]: row for row in rest if "option" in row}
    meanings = {name: row.pop("help") for name, row in rows.items()}
    assert rows == {
        "alpha": {"option": "alpha", "kind": "number", "default": "1.5", "range": ">= 0"},
        "rate": {"option": "rate", "kind": "number", "default": "0.025", "range": "> 0"},
    }
    assert meanings["alpha"].startswith("Strength by which tasks that learn slowly are favoured")
    assert meanings["rate"] == "Learning rate of the weights' Adam."
    assert rest[-1] == {"tasks": 5, "forward": 1, "backward": 1, "partial": 5, "jvp": 0}


def options(name: str) -> dict[str, Row]:
    return {row["option"]: row for row in method.options(METHODS[name])}


def test_options_of_every_kind() -> None:
    rows = options("gcs")
    assert (rows["weighted"]["kind"], rows["weighted"]["default"]) == ("yes or no", "no")
    assert options("alignedmtl")["scale"]["range"] == "one of min, median, rmse"
    assert options("static")["name of a task"]["range"] == ">= 0"
    assert options("nashmtl")["max_norm"]["range"] == "> 0, or none"
    assert method.options(METHODS["hps"]) == []


@pytest.mark.parametrize("name", METHODS.names())
def test_every_option_is_explained_in_a_line_of_its_own(name: str) -> None:
    """A sentence that only mentions an option among other things does not explain it."""
    for row in method.options(METHODS[name]):
        text = row["help"]
        assert isinstance(text, str)
        assert 20 < len(text) <= 160
        assert text[0].isupper()
        assert text.endswith(".")
        assert f"`{row['option']}`" not in text
        assert len(re.findall(r"[.;] ", text)) <= 1


@pytest.mark.parametrize("name", ["rooms", "elpv", "toy"])
def test_a_data_set_can_be_shown_without_its_data(name: str) -> None:
    about, tasks, *rest = dataset.tables(name)
    assert about.rows[0]["licence"] == DATASETS[name].licence
    assert [row["task"] for row in tasks.rows] == list(DATASETS[name].tasks)
    assert rest[0].title == "Options"
    done = call("show", "dataset", name)
    assert done.exit_code == 0, done.exception
    assert about.rows[0]["licence"] in done.stdout


def test_the_tasks_of_a_data_set_come_with_their_metrics() -> None:
    rows = {row["task"]: row for row in dataset.tables("rooms")[1].rows}
    assert rows["segmentation"]["labels"] == "a map of classes"
    assert rows["segmentation"]["metrics"].startswith("miou % ↑")
    assert rows["scene"]["labels"] == "classes"
    assert rows["depth"]["labels"] == "a map of numbers"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("show method pc_grad", "no method is called 'pc_grad'; did you mean 'pcgrad'?"),
        ("show dataset room", "no data set is called 'room'; did you mean 'rooms'?"),
        ("show methods pcgrad", "nothing of kind 'methods' can be shown; did you mean 'method'?"),
        ("show method", "show method is followed by 0 names; give one."),
        ("show method hps sum", "show method is followed by 2 names; give one."),
    ],
)
def test_mistakes_come_with_a_suggestion(line: str, message: str) -> None:
    error = call(*line.split()).exception
    assert isinstance(error, UsageError)
    assert str(error) == message


def test_the_list_of_methods_says_what_they_need_and_cost() -> None:
    rows = {row["name"]: row for row in catalogue.methods().rows}
    assert list(rows) == METHODS.names()
    columns = ("family", "needs", "forward", "backward", "primary_differs", "paper")
    told = {name: tuple(row[key] for key in columns) for name, row in rows.items()}
    assert told["pcgrad"] == ("gradient", "Gramian", 1, 3, False, "Yu NeurIPS 2020")
    assert told["auxg"] == ("architecture", None, 1, 1, True, "Gao ICLR 2024")
    assert told["famo"][1:4] == ("losses, second forward pass", 2, 1)
    assert told["graddrop"][1] == "gradients"
    assert told["auxnas"][1:4] == ("half of the training data", 2, 2)
    assert told["slgrad"][1:4] == ("losses of samples, held-out batch", 2, 2)
    assert told["autolambda"][1:5] == ("losses, held-out batch", 3, 3, True)
    assert told["forkmerge"][1] == "held-out batch, several networks"
    assert all(row["paper"] for row in rows.values())
