"""Studies: which runs the words stand for, and on how many threads each is carried out."""

from __future__ import annotations

from pathlib import Path

import pytest

from auxbench.cli.main import auxbench
from auxbench.errors import UsageError
from auxbench.execution import resources
from auxbench.execution.study import Study
from auxbench.spec.study import Seeds, seeds_of


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (2, (0, 1)),
        ("2", (0, 1)),
        ("5-9", (5, 6, 7, 8, 9)),
        ("7-7", (7,)),
        ("7,", (7,)),
        ([7], (7,)),
        ([0, 1], (0, 1)),
        ("3, 0,5-6", (3, 0, 5, 6)),
    ],
)
def test_seeds_are_a_number_or_a_list(given: Seeds, wanted: tuple[int, ...]) -> None:
    assert seeds_of(given) == wanted
    study = Study.of("single,hps", "toy", seeds=given)
    assert [run.seed for run in study.runs if run.method == "single"] == list(wanted)


@pytest.mark.parametrize(
    "given", [0, -1, "", "0", "a", "-3", "5-4", "1,1", "0-3,2", [], [-1], [2, 2]]
)
def test_what_names_no_seeds_is_refused(given: Seeds) -> None:
    with pytest.raises(UsageError, match=r"seeds is .*write how many, such as 5"):
        seeds_of(given)


@pytest.mark.parametrize(("text", "wanted"), [("seeds = [7]", (7,)), ("seeds = 2", (0, 1))])
def test_a_file_names_seeds_as_a_list_too(
    tmp_path: Path, text: str, wanted: tuple[int, ...]
) -> None:
    config = tmp_path / "study.toml"
    config.write_text(f"methods = ['single']\ndataset = 'toy'\n{text}\n", encoding="utf-8")
    words = ["--config", str(config)]
    context = auxbench.commands["plan"].make_context("plan", words)
    assert seeds_of(context.params["seeds"]) == wanted
    assert context.params["methods"] == "single,"


def test_threads_are_those_asked_for_or_the_users_or_a_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resources, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert resources.threads_of(None, 2) == 4
    assert resources.threads_of(None, 16) == 1
    for value, wanted in (("3", 3), ("3,2", 3), ("", 4), ("0", 4), ("all", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert resources.threads_of(None, 2) == wanted
    assert resources.threads_of(5, 2) == 5
