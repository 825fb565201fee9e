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
from auxbench.report.tables import Row, render
from auxbench.spec.grammar import options_of
from auxbench.spec.registry import DATASETS, METHODS

STYLES = ("text", "json", "csv", "markdown", "latex")


def call(*words: str) -> Result:
    return CliRunner().invoke(auxbench, words)


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_can_be_shown(name: str) -> None:
    about, *rest = method.tables(name)
    (row,) = about.rows
    assert row["name"] == name
    assert row["paper"]
    assert row["flaws"]
    assert row["passes"].startswith(("F", "2 F", "3 F", "4 F", "5 F"))
    titles = [table.title for table in rest]
    taken = options_of(METHODS[name]) or name == "static"
    assert ("Options" in titles) == bool(taken)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["gradnorm", "hps", "static"])
def test_the_command_prints_every_format(name: str, style: str) -> None:
    done = call("show", "method", name, "--format", style)
    assert done.exit_code == 0, done.exception
    assert done.stdout == render(method.tables(name), style)
    assert METHODS.card(name).attributes["family"] in done.stdout
    if style == "csv":
        assert name in {row[0] for row in csv.reader(io.StringIO(done.stdout)) if row}
    if style in {"text", "markdown", "latex"}:
        assert "Known flaws: " in done.stdout


def test_what_is_said_of_gradnorm() -> None:
    about, *rest = json.loads(render(method.tables("gradnorm"), "json"))
    assert about["family"] == "loss weighting"
    assert about["needs"] == "losses, norms"
    assert about["passes"] == "F + B + T b"
    assert about["asymmetric"] is False
    assert about["paper"] == "Chen ICML 2018"
    assert about["source"].startswith("Z. Chen, V. Badrinarayanan, C.-Y. Lee, A. Rabinovich. Grad")
    assert about["url"] == "https://arxiv.org/abs/1711.02257"
    assert "only the first tensor of the layer" in about["flaws"]
    assert "Known flaws" not in about["description"]
    assert "Source" not in about["description"]
    rows = {row["option"]: row for row in rest if "option" in row}
    meanings = {name: row.pop("meaning") for name, row in rows.items()}
    assert rows == {
        "alpha": {"option": "alpha", "kind": "number", "default": "1.5", "range": ">= 0"},
        "lr": {"option": "lr", "kind": "number", "default": "0.025", "range": "> 0"},
    }
    assert meanings["alpha"].startswith("Strength by which tasks that learn slowly are favoured")
    assert meanings["lr"] == "Learning rate of the weights' Adam"
    assert rest[-1] == {"tasks": 5, "forward": 1, "backward": 1, "partial": 5, "product": 0}


def options(name: str) -> dict[str, Row]:
    (table,) = method.options(METHODS[name], METHODS.card(name))
    return {row["option"]: row for row in table.rows}


def test_options_of_every_kind() -> None:
    rows = options("gcs")
    assert (rows["weighted"]["kind"], rows["weighted"]["default"]) == ("yes or no", "no")
    assert rows["norm"]["range"] == "one of native, sum"
    assert "that of the plain sum" in rows["norm"]["meaning"]
    assert options("static")["name of a task"]["range"] == ">= 0"
    assert options("nashmtl")["max_norm"]["range"] == "> 0, or none"
    assert method.options(METHODS["hps"], METHODS.card("hps")) == []


@pytest.mark.parametrize("name", METHODS.names())
def test_every_option_is_explained_in_a_line_of_its_own(name: str) -> None:
    """A sentence that only mentions an option among other things is no explanation of it."""
    for table in method.options(METHODS[name], METHODS.card(name)):
        for row in table.rows:
            meaning = row["meaning"]
            assert isinstance(meaning, str)
            assert 20 < len(meaning) <= 160
            assert meaning[0].isupper()
            assert f"`{row['option']}`" not in meaning
            assert len(re.findall(r"[.;] ", meaning)) <= 1


def test_the_meaning_of_an_option_that_is_overridden_is_that_of_the_subclass() -> None:
    assert "links" in options("auxg")["norm"]["meaning"]
    assert "reduction" in options("nddr")["norm"]["meaning"]
    assert "tenth" not in options("single")["holdout"]["meaning"]


def test_passes_that_depend_on_the_run_are_not_counted() -> None:
    titles = [table.title for table in method.tables("auxilearn")]
    assert not [title for title in titles if title.startswith("Passes")]


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
    columns = ("family", "needs", "passes", "asymmetric", "paper")
    told = {name: tuple(row[key] for key in columns) for name, row in rows.items()}
    assert told["pcgrad"] == ("gradient", "Gramian", "F + T B", False, "Yu NeurIPS 2020")
    assert told["auxg"] == ("architecture", None, "F + B", True, "Gao ICLR 2024")
    assert told["famo"][1:3] == ("losses, a second look", "2 F + B")
    assert told["graddrop"][1] == "rows"
    assert told["auxnas"][1:3] == ("half of the training data", "2 F + 2 B")
    assert told["slgrad"][1:3] == ("losses of samples, held-out batch", "2 F + 2 B + J")
    assert told["autolambda"][1:4] == ("losses, held-out batch", "3 F + 3 B + J", True)
    assert told["forkmerge"][1:3] == ("held-out batch, several networks", "F + B per network")
    assert all(row["paper"] for row in rows.values())
