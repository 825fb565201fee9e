"""Edges: whatever is typed or written into a config file ends in one line and exit code 2."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auxbench.cli.main import auxbench
from auxbench.errors import UsageError
from auxbench.spec.study import MOST, check, seeds_of

BASE = {"methods": '"single"', "dataset": '"toy"'}


def refusal(*words: str) -> str:
    """The answer of the command line to words that it refuses."""
    done = CliRunner().invoke(auxbench, words, standalone_mode=False)
    assert done.exception is not None, done.output
    if isinstance(done.exception, UsageError):
        text = str(done.exception)
    else:
        text = done.exception.format_message()  # type: ignore[attr-defined]  # of click
    assert "\n" not in text
    return text


def config(folder: Path, key: str, value: str) -> str:
    """A config file of a small study in which one value is given."""
    file = folder / "study.toml"
    lines = [f"{name} = {text}" for name, text in {**BASE, key: value}.items()]
    file.write_text("\n".join(lines), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seeds", "1.9"),
        ("seeds", "{a=1}"),
        ("seeds", "inf"),
        ("seeds", "nan"),
        ("seeds", "true"),
        ("seeds", "1000000000"),
        ("seeds", "[" * 3000 + "]" * 3000),
        ("seeds", "[[[[1]]]]"),
        ("retry", "1.5"),
        ("retry", '"maybe"'),
        ("batch", "1000000000000"),
        ("batch", "true"),
        ("steps", "0"),
        ("steps", "{}"),
        ("learning_rate", "nan"),
        ("learning_rate", "inf"),
        ("weight_decay", "-inf"),
        ("chunks", "0"),
        ("side", "100000000"),
        ("methods", "3"),
        ("methods", "{a=1}"),
        ("dataset", "1979-05-27"),
        ("dataset", '["toy", "toy"]'),
        ("backbone", '["mlp", "mlp"]'),
        ("backbone", '"mlp:depth=1000000000"'),
        ("auxiliary", "[1, 2]"),
        ("results", '"a\\u0000b"'),
    ],
)
def test_a_wrong_value_in_a_config_is_refused_in_one_line(
    tmp_path: Path, key: str, value: str
) -> None:
    assert refusal("plan", "--config", config(tmp_path, key, value))


@pytest.mark.parametrize(
    "words",
    [
        "--batch 1000000000000",
        "--seeds 1000000000",
        "--seeds 0-1000000000",
        "--seeds 99999999999999999999999",
        "--steps 99999999999999999999",
        "--learning-rate nan",
        "--weight-decay inf",
        "--side 10000000",
        "--jobs 0",
        "--threads -1",
        "--threads 1000000",
        "--methods dwa:window=99999999999999999999999999",
    ],
)
def test_a_wrong_value_on_the_command_line_is_refused_in_one_line(words: str) -> None:
    assert refusal("plan", "--methods", "single", "--dataset", "toy", *words.split())


def test_what_is_wrong_by_itself_is_said_before_anything_heavy_is_imported() -> None:
    program = (
        "import sys; from auxbench.cli.main import auxbench\n"
        "try: auxbench(['run', '--methods', 'single', '--dataset', 'toy', '--seeds', '1-x'],"
        " standalone_mode=False)\n"
        "except Exception as error: print(error, 'torch' in sys.modules)"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "'1-x' is not a seed" in done.stdout
    assert done.stdout.strip().endswith("False"), time.monotonic() - start


def test_a_null_in_a_path_is_told() -> None:
    program = (
        "import sys; from auxbench.cli.main import main\n"
        "sys.argv = ['auxbench', 'leaderboard', '--results', 'a\\0b']; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "auxbench: a name or a path holds a null character; leave it out.\n"


def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for words in (["leaderboard", "--results", str(file)], ["new", "method", "a" * 300]):
        command = [sys.executable, "-m", "auxbench", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") == 1


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=12),
    st.lists(st.one_of(st.integers(-5, 5), st.text(max_size=3), st.booleans()), max_size=4),
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(VALUES)
def test_seeds_are_understood_or_refused(given_seeds: Any) -> None:
    try:
        found = seeds_of(given_seeds)
    except UsageError as error:
        assert "write how many, such as 5" in str(error)
    else:
        assert 0 < len(set(found)) == len(found) <= MOST
        assert all(isinstance(seed, int) and seed >= 0 for seed in found)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from(["steps", "batch", "side", "learning_rate", "weight_decay", "chunks"]),
        st.one_of(st.integers(-(10**30), 10**30), st.floats()),
    ),
    st.text(max_size=8),
)
def test_budgets_are_understood_or_refused(changes: dict[str, Any], name: str) -> None:
    try:
        check({**changes, "budget": name or "demo"})
    except UsageError as error:
        assert len(str(error)) < 300
    else:
        assert name in ("", "demo", "small", "standard", "paper")


NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=16)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(NAMES, NAMES, NAMES)
def test_names_are_understood_or_refused(methods: str, dataset: str, auxiliary: str) -> None:
    words = ["--methods", f"hps:{methods}", "--dataset", f"toy:{dataset}", "--seeds", "1"]
    done = CliRunner().invoke(
        auxbench, ["plan", *words, "--auxiliary", auxiliary], standalone_mode=False
    )
    if done.exception is not None:
        assert isinstance(done.exception, UsageError), (methods, dataset, auxiliary)
