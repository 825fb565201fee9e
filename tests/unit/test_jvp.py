"""Directional derivatives of functions that read the numbers of tensors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from auxbench.training import jvp as derivatives
from auxbench.training.jvp import jvp


@pytest.mark.parametrize("can_list", [True, False])
def test_a_function_may_list_numbers(can_list: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As networks with links do, and by the way that torch 2.6 needs."""
    if not can_list:
        monkeypatch.setattr(derivatives, "_can_list", lambda: False)
    seen = []

    def function(point: dict[str, Tensor]) -> Tensor:
        seen.append((point["x"] > 0).tolist())
        return point["x"].square()

    x = torch.tensor([[1.0, -2.0], [3.0, 4.0]])
    value, slope = jvp(function, {"x": x}, {"x": torch.ones(2, 2)})
    assert seen == [[[True, False], [True, True]]]
    assert torch.equal(value, x.square())
    assert torch.equal(slope, 2 * x)
