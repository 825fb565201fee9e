"""The page of pairs tells the truth: every cell is tried again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from auxbench.contract.balancer import balancer_of, rows_of, signals_of
from auxbench.contract.dry_run import TASKS
from auxbench.contract.pairs import PLACES, TRAINED, Place, page
from auxbench.contract.training import it_trains
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.spec.method import Method
from auxbench.spec.registry import METHODS
from auxbench.training.chain import make_balancers
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
REASON = "run python -m auxbench.contract.pairs docs/pairs.md"


def test_the_page_has_a_row_and_a_column_for_everything_registered() -> None:
    assert list(PAIRS) == BALANCERS, REASON
    assert list(PARTS) == [*ARCHITECTURES, *BALANCERS], REASON
    assert {tuple(row) for row in PAIRS.values()} == {tuple(ARCHITECTURES)}, REASON
    assert {tuple(row) for row in PARTS.values()} == {tuple(p.name for p in PLACES)}, REASON


def outcome(architecture: str, balancer: str) -> str:
    """Train a pair for three steps: `TRAINED`, or the sentence that refuses it."""
    try:
        it_trains(f"{architecture}+{balancer}", flops=False)
    except UsageError as error:
        return str(error)
    return TRAINED


# One balancer on every architecture, one architecture under every balancer.
ROW, COLUMN = "pcgrad", "auxnas"
CROSS = [(one, ROW) for one in ARCHITECTURES] + [(COLUMN, one) for one in BALANCERS if one != ROW]
# With one task a balancer changes nothing, and `hps` with every balancer is what test_training has.
OTHERS = [
    (one, other)
    for one in ARCHITECTURES
    for other in BALANCERS
    if (one, other) not in CROSS and one not in ("single", "hps")
]


@pytest.mark.parametrize(("architecture", "balancer"), CROSS)
def test_a_pair_is_trained_or_refused_as_the_page_says(architecture: str, balancer: str) -> None:
    assert outcome(architecture, balancer) == PAIRS[balancer][architecture], REASON


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "balancer"), OTHERS)
def test_every_other_pair_does_too(architecture: str, balancer: str) -> None:
    assert outcome(architecture, balancer) == PAIRS[balancer][architecture], REASON


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name.replace(" ", "-"))
@pytest.mark.parametrize("name", [COLUMN, ROW])
def test_a_part_is_trained_or_refused_as_the_page_says(name: str, place: Place) -> None:
    method = name if name in ARCHITECTURES else f"hps+{name}"
    assert place.outcome(method) == PARTS[name][place.name], REASON


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name.replace(" ", "-"))
@pytest.mark.parametrize(
    "name", [n for n in (*ARCHITECTURES, *BALANCERS) if n not in (COLUMN, ROW)]
)
def test_every_other_part_does_too(name: str, place: Place) -> None:
    method = name if name in ARCHITECTURES else f"hps+{name}"
    assert place.outcome(method) == PARTS[name][place.name], REASON


def test_the_page_is_what_its_program_writes() -> None:
    assert page(PAIRS, PARTS) == PAGE, REASON


def chain(text: str) -> None:
    """Build the balancers of a method, which refuses an order that cannot work."""
    make_balancers(Method.parse(text), TASKS[:3], TASKS[:3], Seeds("pairs", 0))


@pytest.mark.parametrize("before", [name for name in BALANCERS if METHODS[name].overrides])
def test_a_rule_that_reads_losses_sees_what_has_been_done_to_them(before: str) -> None:
    """Behind a rule whose weights multiply gradients alone it would not, and is refused."""
    rows = rows_of(3)
    rows[1] -= rows[0]
    signals = signals_of(rows).scaled(torch.tensor([1.0, 0.5, 0.25]))
    earlier = balancer_of(before, TASKS[:3])
    weights = earlier.weights(signals)
    true = signals.losses * weights if earlier.scales_private else signals.losses
    honest = torch.equal(signals.scaled(weights).losses, true)
    for name in BALANCERS:
        later = balancer_of(name, TASKS[:3])
        both = earlier.overrides & later.overrides
        samples = {"weigh_samples"} & later.overrides - earlier.overrides
        if "around" in both or samples:
            continue  # refused for another reason
        if honest or "losses" not in later.reads:
            chain(f"{before}+{name}")
        else:
            with pytest.raises(UsageError, match=f"'{name}' in '.*' reads the losses, but"):
                chain(f"{before}+{name}")
            chain(f"{name}+{before}")


def test_losses_are_weighed_before_gradients_are_combined() -> None:
    for refused in ("pcgrad+uw", "gcs+uw", "mgda+static+dwa", "hps+nashmtl+autolambda"):
        with pytest.raises(UsageError, match="combines gradients and weighs no loss; put '"):
            chain(refused)
    for sound in ("uw+pcgrad", "gradnorm+pcgrad", "pcgrad+gcs", "pcgrad+static", "graddrop+uw"):
        chain(sound)
