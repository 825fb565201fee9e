"""Helpers of the contract tests: the registered parts, and a small training of any method."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from auxbench.contract.documentation import Exempt
from auxbench.contract.dry_run import AUXILIARIES, PRIMARY, builder, tiny, training, weights_of
from auxbench.data.dataset import Dataset
from auxbench.spec.registry import METHODS
from auxbench.training.architecture import Architecture

__all__ = ["ARCHITECTURES", "BALANCERS", "CHAINS", "TASKS", "cells", "hold", "rooms"]
__all__ += ["builder", "training", "weights_of"]

ARCHITECTURES = [name for name in METHODS.names() if issubclass(METHODS[name], Architecture)]
BALANCERS = [name for name in METHODS.names() if name not in ARCHITECTURES]
CHAINS = [
    "auxnas+gradnorm+pcgrad",
    "hps+olaux+gradnorm+pcgrad",
    "auxg+static:depth=0.5+pcgrad+olaux",
]
TASKS = (PRIMARY, AUXILIARIES)
LONG = {"the_deployed_network_can_be_exported"}  # checks that take seconds


def rooms() -> Dataset:
    return tiny("rooms")


def cells(names: list[str], checks: tuple[Callable[..., None], ...]) -> pytest.MarkDecorator:
    """One test for every part and check."""
    both = [
        pytest.param(
            name,
            check,
            id=f"{name}-{check.__name__}",
            marks=[pytest.mark.slow] if check.__name__ in LONG else [],
        )
        for name in names
        for check in checks
    ]
    return pytest.mark.parametrize(("name", "check"), both)


def hold(name: str, check: Callable[[str], None]) -> None:
    """Demand that a check holds; one that is not meant for this part is skipped."""
    try:
        check(name)
    except Exempt as reason:
        pytest.skip(str(reason))
