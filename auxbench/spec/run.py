"""Runs: (problem, backbone, method, recipe, seed), frozen and hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auxbench.spec.budget import PROTOCOL, Recipe
from auxbench.spec.grammar import Choice, options_of
from auxbench.spec.networks import HEAD
from auxbench.spec.registry import DATASETS


@dataclass(frozen=True)
class Run:
    """All that decides a number. Texts are canonical, so one thing has one id.

    `primary` and `auxiliaries` are task names, `weights` is the SHA-256 of a file, and the rest is
    in the grammar of the command line. `where` are the options that say where the data lie, which
    decide no number and are kept out of the run's identity and its record.
    """

    dataset: str
    primary: str
    auxiliaries: tuple[str, ...]
    backbone: str
    pretrained: bool
    method: str
    recipe: Recipe
    seed: int
    protocol: str = PROTOCOL
    head: str = HEAD
    weights: str = ""
    where: str = field(default="", compare=False)

    def to_json(self) -> dict[str, Any]:
        """The specification as a record holds it; heads and weights only if they are chosen."""
        chosen = {"head": self.head} if self.head != HEAD else {}
        chosen |= {"weights": self.weights} if self.weights else {}
        return {
            "protocol": self.protocol,
            "dataset": self.dataset,
            "primary": self.primary,
            "auxiliaries": list(self.auxiliaries),
            "backbone": self.backbone,
            "pretrained": self.pretrained,
            "method": self.method,
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            **chosen,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Run:
        """The run that `to_json` wrote."""
        recipe = Recipe.from_json(values["recipe"])
        auxiliaries = tuple(values["auxiliaries"])
        return cls(**{**values, "recipe": recipe, "auxiliaries": auxiliaries})

    @property
    def located(self) -> str:
        """The data set and where its data lie."""
        return self.dataset + self.where

    @property
    def draw(self) -> int | None:
        """The draw of its data: its seed or the option `draw`; None where the data are fixed."""
        choice = Choice.parse(self.dataset)
        if "draw" not in options_of(DATASETS[choice.name]):
            return None
        return int(choice.options.get("draw", self.seed))

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the specification's hash."""
        return identity(self.to_json())

    @property
    def label(self) -> str:
        """The run's name for people."""
        return f"{self.method} seed {self.seed}"


def identity(run: Mapping[str, Any]) -> str:
    """The id of a run from its specification as a record holds it."""
    text = json.dumps(run, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
