"""Pairs: every architecture with every balancer, and what each part refuses, found by trying.

`python -m auxbench.contract.pairs docs/pairs.md` writes the page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from auxbench.contract.balancer import rules, usable
from auxbench.contract.dry_run import AUXILIARIES, BACKBONE, PRIMARY, training
from auxbench.errors import UsageError
from auxbench.report.tables import Column, Table, render
from auxbench.spec.method import SHARING
from auxbench.spec.registry import METHODS
from auxbench.training.architecture import Architecture

Cells = Mapping[str, Mapping[str, str]]

TRAINED = "trained"


@dataclass(frozen=True)
class Place:
    """A kind of problem or backbone, and an instance of it on which a part is tried."""

    name: str
    primary: str = PRIMARY
    auxiliaries: tuple[str, ...] = AUXILIARIES
    backbone: str = BACKBONE
    dataset: str = "rooms"

    def outcome(self, method: str) -> str:
        """The outcome of one step of a method: `TRAINED`, or the sentence that refuses it."""
        try:
            training(
                method,
                steps=1,
                auxiliaries=self.auxiliaries,
                primary=self.primary,
                backbone=self.backbone,
                dataset=self.dataset,
                flops=False,
            ).run()
        except UsageError as error:
            return str(error)
        return TRAINED


HERE = Place("map of classes, ResNet")
PLACES = (
    Place("map of numbers", "depth", ("segmentation", "scene")),
    Place("map of directions", "normals", ("segmentation", "scene")),
    Place("class of an image", "scene", ("segmentation", "depth")),
    Place("ViT", backbone="test_vit"),
    Place("ConvNeXt", backbone="test_convnext"),
    Place("EfficientNet", backbone="test_efficientnet"),
    Place("vectors, mlp", "primary", ("helpful", "harmful"), "mlp", "toy"),
)


def architectures() -> list[str]:
    """The registered architectures that can be used."""
    return [name for name in usable() if issubclass(METHODS[name], Architecture)]


def pairs() -> dict[str, dict[str, str]]:
    """The outcome of every balancer on every architecture."""
    return {
        balancer: {one: HERE.outcome(f"{one}+{balancer}") for one in architectures()}
        for balancer in rules()
    }


def places() -> dict[str, dict[str, str]]:
    """The outcome of every part at every place, with balancers on hard parameter sharing."""
    methods = {name: name for name in architectures()} | {n: f"{SHARING}+{n}" for n in rules()}
    return {
        name: {place.name: place.outcome(method) for place in PLACES}
        for name, method in methods.items()
    }


def page(together: Cells, apart: Cells) -> str:
    """The page, in Markdown, from what `pairs` and `places` found."""
    alone = [f"`{name}`" for name in architectures() if tasks(name) == 1]
    return "\n".join(
        [
            "# Pairs\n",
            "Written by `python -m auxbench.contract.pairs docs/pairs.md`, which tries every pair",
            "on tiny data; the tests try them again.\n",
            "## Architectures and balancers\n",
            f"On a {HERE.name}. {_verdict(together, 'pair')}\n",
            f"With {' and '.join(alone)} there is one task, and balancers change nothing.\n",
            _table("balancer", together, architectures()),
            "## Primaries, backbones, inputs\n",
            "Every column differs from the table above in the kind of primary task, the backbone,",
            f"or the inputs; balancers sit on `{SHARING}`. {_verdict(apart, 'part')}\n",
            _table("part", apart, [place.name for place in PLACES]),
        ]
    )


def tasks(architecture: str) -> int:
    """The number of tasks, out of three, that an architecture trains."""
    return len(training(architecture).learner.architecture.tasks)


def _verdict(cells: Cells, noun: str) -> str:
    """The numbers of trained and of refused cells, in a sentence."""
    outcomes = [outcome for row in cells.values() for outcome in row.values()]
    refused = sum(outcome != TRAINED for outcome in outcomes)
    if not refused:
        return f"All {len(outcomes)} are trained; no {noun} is refused."
    return f"Of {len(outcomes)}, {len(outcomes) - refused} are trained and {refused} refused:"


def _table(what: str, cells: Cells, columns: Iterable[str]) -> str:
    """The sentences of refusal as a numbered list, and a table that refers to them."""
    sentences = list(dict.fromkeys(o for row in cells.values() for o in row.values()))
    numbers = {said: place for place, said in enumerate((s for s in sentences if s != TRAINED), 1)}
    listed = "".join(f"{number}. {said}\n" for said, number in numbers.items())
    rows = [
        {what: name, **{k: TRAINED if o == TRAINED else cell(numbers[o]) for k, o in row.items()}}
        for name, row in cells.items()
    ]
    table = Table("", (Column(what, what), *(Column(name, name) for name in columns)), rows)
    return f"{listed}\n{render([table], 'markdown')}".lstrip("\n")


def cell(number: int) -> str:
    """The table's mark for a refusal with sentence `number`."""
    return f"refused ({number})"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(pairs(), places()), encoding="utf-8")
