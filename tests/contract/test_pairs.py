"""The page of pairs tells the truth: every cell is tried again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from auxbench.contract_training import it_trains
from auxbench.errors import UsageError
from auxbench.pairs import PLACES, TRAINED, Place, page
from tests.contract._parts import ARCHITECTURES, BALANCERS

PAGE = (Path(__file__).parents[2] / "docs" / "pairs.md").read_text(encoding="utf-8")


def cells(part: str) -> dict[str, dict[str, str]]:
    """A table of the page: what its cells say, by row and column."""
    text = PAGE.partition(f"## {part}")[2].partition("## ")[0]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    sentences = dict(re.findall(r"^(\d+)\. (.*)$", text, re.M))
    rows = {}
    for name, *row in lines[2:]:
        said = [sentences[word[9:-1]] if word != TRAINED else word for word in row]
        rows[name] = dict(zip(lines[0][1:], said, strict=True))
    return rows


PAIRS = cells("Architectures and balancers")
PARTS = cells("Primaries, backbones, inputs")
REASON = "run python -m auxbench.pairs docs/pairs.md"


def test_the_page_has_a_row_and_a_column_for_everything_registered() -> None:
    assert list(PAIRS) == BALANCERS, REASON
    assert list(PARTS) == [*ARCHITECTURES, *BALANCERS], REASON
    assert {tuple(row) for row in PAIRS.values()} == {tuple(ARCHITECTURES)}, REASON
    assert {tuple(row) for row in PARTS.values()} == {tuple(p.name for p in PLACES)}, REASON


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("balancer", BALANCERS)
def test_a_pair_is_trained_or_refused_as_the_page_says(architecture: str, balancer: str) -> None:
    try:
        it_trains(f"{architecture}+{balancer}", flops=False)
    except UsageError as error:
        found = str(error)
    else:
        found = TRAINED
    assert found == PAIRS[balancer][architecture], REASON


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name.replace(" ", "-"))
@pytest.mark.parametrize("name", [*ARCHITECTURES, *BALANCERS])
def test_a_part_is_trained_or_refused_as_the_page_says(name: str, place: Place) -> None:
    method = name if name in ARCHITECTURES else f"hps+{name}"
    assert place.outcome(method) == PARTS[name][place.name], REASON


def test_the_page_is_what_its_program_writes() -> None:
    assert page(PAIRS, PARTS) == PAGE, REASON
