"""Runs: immutable, hashable specifications (problem, backbone, method, recipe, seed)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from auxbench.spec.budget import PROTOCOL, Recipe
from auxbench.spec.files import Files
from auxbench.spec.grammar import Choice, options_of
from auxbench.spec.networks import HEAD
from auxbench.spec.registry import DATASETS


@dataclass(frozen=True)
class Run:
    """The specification of a run: everything that can affect its results.

    Texts are canonical, so that equal runs have equal ids. `primary` and `auxiliaries` are task
    names, `weights` is the SHA-256 of a file, and the other texts are in the command line's
    grammar. `where` has the options that give the location of the data, which cannot affect results
    and are not part of the run's identity or record; nor are `files`, those of the user's own parts
    that it needs, which are known by their names and their content.
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
    files: Files = field(default=(), compare=False)

    def to_json(self) -> dict[str, Any]:
        """The specification as stored in a record; head and weights only if not the default."""
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
        """The run that `to_json` wrote; nothing in a record says where data or code lie."""
        values = {key: value for key, value in values.items() if key not in ("where", "files")}
        recipe = Recipe.from_json(values["recipe"])
        auxiliaries = tuple(values["auxiliaries"])
        return cls(**{**values, "recipe": recipe, "auxiliaries": auxiliaries})

    @classmethod
    def ordered(cls, order: Mapping[str, Any]) -> Run:
        """The run of an order that one process of a command gives another."""
        files = tuple((registry, path) for registry, path in order["files"])
        return replace(cls.from_json(order["run"]), where=order["where"], files=files)

    @property
    def located(self) -> str:
        """The data set with the location of its data."""
        return self.dataset + self.where

    @property
    def draw(self) -> int | None:
        """The draw of its data: the option `draw` or the seed; None if the data are fixed."""
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
        """A readable name of the run."""
        return f"{self.method} seed {self.seed}"


def identity(run: Mapping[str, Any]) -> str:
    """The id of a run, from its specification as stored in a record."""
    text = json.dumps(run, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
