"""What tests share: the registered parts, and a small training of any method."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from auxbench.architecture import Architecture
from auxbench.contract import Exempt
from auxbench.problem import Dataset
from auxbench.registry import METHODS
from auxbench.trial import AUXILIARIES, PRIMARY, site, tiny, training, weights_of

__all__ = ["ARCHITECTURES", "BALANCERS", "CHAINS", "TASKS", "cells", "hold", "rooms"]
__all__ += ["site", "training", "weights_of"]

ARCHITECTURES = [name for name in METHODS.names() if issubclass(METHODS[name], Architecture)]
BALANCERS = [name for name in METHODS.names() if name not in ARCHITECTURES]
CHAINS = [
    "auxnas+gradnorm+pcgrad",
    "hps+olaux+gradnorm+pcgrad",
    "auxg+static:depth=0.5+pcgrad+olaux",
]
TASKS = (PRIMARY, AUXILIARIES)


def rooms() -> Dataset:
    return tiny("rooms")


def cells(names: list[str], checks: tuple[Callable[..., None], ...]) -> pytest.MarkDecorator:
    """One test for every part and check."""
    both = [pytest.param(n, check, id=f"{n}-{check.__name__}") for n in names for check in checks]
    return pytest.mark.parametrize(("name", "check"), both)


def hold(name: str, check: Callable[[str], None]) -> None:
    """Demand that a check holds; one that is not meant for this part is skipped."""
    try:
        check(name)
    except Exempt as reason:
        pytest.skip(str(reason))
