"""Optimisers of the descent: torch's own, without the import of its compiler."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from auxbench.spec.budget import budget
from auxbench.training.optimizers import OPTIMIZERS

THEIRS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
RECIPE = budget("demo")
OPTIONS = {
    "adam": {"lr": RECIPE.learning_rate},
    "adamw": {"lr": RECIPE.learning_rate, "weight_decay": RECIPE.weight_decay},
    "sgd": {"lr": RECIPE.learning_rate, "momentum": 0.9, "weight_decay": RECIPE.weight_decay},
}
PLAIN = """
import sys
from auxbench.execution.execute import begin
from auxbench.execution.study import Study
study = Study.of({method!r}, "toy:train=40:validation=4:test=4", steps=2, batch=4, seeds=1)
training = begin(study.runs[0])
early = "torch._dynamo" in sys.modules
training.run()
print(training.step, early, "torch._dynamo" in sys.modules)
"""


def moved(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[Tensor]:
    """The parameters after some steps."""
    inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        network(inputs).square().mean().backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in network.parameters()]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_and_states_are_those_of_torch(name: str) -> None:
    ours = nn.Linear(3, 2)
    theirs = deepcopy(ours)
    one = OPTIMIZERS[name](list(ours.parameters()), RECIPE)
    other = THEIRS[name](theirs.parameters(), **OPTIONS[name])
    assert all(map(torch.equal, moved(ours, one, 3), moved(theirs, other, 3)))
    resumed = OPTIMIZERS[name](list(ours.parameters()), RECIPE)
    resumed.load_state_dict(deepcopy(other.state_dict()))
    assert all(map(torch.equal, moved(ours, resumed, 3), moved(theirs, other, 3)))


@pytest.mark.parametrize(("method", "compiler"), [("hps", False), ("pripcgrad", True)])
def test_the_compiler_is_imported_before_the_first_step_or_never(
    method: str, compiler: bool
) -> None:
    code = PLAIN.format(method=method)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", str(compiler), str(compiler)]
