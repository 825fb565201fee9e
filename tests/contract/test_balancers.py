"""The contract of every registered balancer."""

from __future__ import annotations

from collections.abc import Callable

from auxbench.contract.balancer import twins
from auxbench.contract.check import BALANCER
from auxbench.spec.registry import METHODS
from tests.contract._parts import BALANCERS, cells, hold


@cells(BALANCERS, BALANCER)
def test_balancer(name: str, check: Callable[[str], None]) -> None:
    hold(name, check)


def test_of_the_controls_only_the_copy_of_the_sum_is_another_rule() -> None:
    controls = [name for name in BALANCERS if METHODS[name].family == "control"]
    assert {name: twins(name) for name in controls if twins(name)} == {"sum-copy": ["sum"]}
