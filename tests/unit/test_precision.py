"""Half precision: what it computes in, what it hides from balancers, and how it is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench.contract.dry_run import training, weights_of
from auxbench.execution import fastest
from auxbench.execution.resources import Resources
from auxbench.records.store import Store
from auxbench.spec.budget import BUDGETS, Recipe
from auxbench.training.gradients import Gradients
from auxbench.training.precision import LARGEST, Precision


def computed_in(precision: str, evaluate: bool = False) -> set[torch.dtype]:
    """The types of the outputs of convolutions in a step, or in a validation."""
    run, found = training("hps", steps=1, precision=precision, flops=False), set[torch.dtype]()

    def note(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        found.add(output.dtype)

    for part in run.learner.architecture.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(note)
    if evaluate:
        run.validate(0, {})
    else:
        run.iterate(run.learner.stages[-1], 0)
    return found


@pytest.mark.parametrize(
    ("precision", "half"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_steps_compute_in_the_precision_and_validation_in_single(
    precision: str, half: torch.dtype
) -> None:
    assert computed_in(precision) == {half}
    assert computed_in(precision, evaluate=True) == {torch.float32}


# with 8 and 11 bits; units that switch on or off magnify the rounding
@pytest.mark.parametrize(("precision", "most"), [("bf16", 0.5), ("fp16", 0.2)])
@pytest.mark.parametrize("method", ["pcgrad", "gradnorm"])
def test_half_precision_steps_nearly_like_single(method: str, precision: str, most: float) -> None:
    runs = {
        name: training(method, steps=2, precision=name, optimizer="sgd", flops=False)
        for name in ("fp32", precision)
    }
    start = weights_of(runs["fp32"].learner.architecture)
    for run in runs.values():
        run.run()
    moved = {
        name: torch.cat(
            [
                (value - start[key]).flatten()
                for key, value in weights_of(run.learner.architecture).items()
                if value.is_floating_point() and "running" not in key
            ]
        )
        for name, run in runs.items()
    }
    assert all(value.dtype == torch.float32 for value in moved.values())
    error = (moved[precision] - moved["fp32"]).norm() / moved["fp32"].norm()
    assert 0 < error < most
    first = [run.curve[0]["scalars"]["loss/depth"] for run in runs.values()]
    assert first[0] == pytest.approx(first[1], rel=0.05)


class Halved(torch.autograd.Function):
    """A layer whose gradient is rounded to half precision."""

    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: object, slope: Tensor) -> Tensor:
        return slope.half().float()


def signals(factor: float, precision: Precision) -> Gradients:
    """The gradients (factor, 0) and (factor, factor) of two tasks on a shared parameter."""
    shared = Parameter(torch.ones(2))
    through = Halved.apply(shared)
    losses = [factor * through[0], factor * through.sum()]
    return Gradients(losses, [shared], precision=precision)


@pytest.mark.parametrize("factor", [1e-9, 1.0])
def test_small_gradients_survive_and_no_rule_sees_the_scale(factor: float) -> None:
    precision = Precision("fp16")
    gradients = signals(factor, precision)
    expected = torch.tensor([[1.0, 1.0], [1.0, 2.0]], dtype=torch.float64) * factor**2
    torch.testing.assert_close(gradients.signals.gramian, expected, rtol=1e-3, atol=0)
    gradients.write(torch.ones(2), torch.ones(2))
    (shared,) = gradients.parameters
    assert shared.grad is not None
    assert shared.grad.tolist() == pytest.approx([2 * factor, factor], rel=1e-3)
    assert signals(1e-9, Precision()).signals.gramian.abs().max() == 0  # without a scale


def test_an_overflow_halves_the_scale_until_gradients_are_finite() -> None:
    precision = Precision("fp16")
    gradients = signals(1000.0, precision)  # the largest number of half precision is 65,504
    assert gradients.signals.gramian[0, 0].item() == pytest.approx(1e6, rel=1e-3)
    assert precision.scale == 2.0**6
    gradients = signals(1000.0, precision)
    gradients.write(torch.ones(2), torch.ones(2))
    (shared,) = gradients.parameters
    assert shared.grad is not None
    assert shared.grad.tolist() == pytest.approx([2000, 1000], rel=1e-3)


def test_the_scale_grows_again_after_many_steps_and_is_resumed() -> None:
    precision = Precision("fp16")
    signals(1000.0, precision).signals.gramian.sum()
    for _ in range(1_999):
        precision.stepped()
    resumed = Precision("fp16")
    resumed.load_state_dict(precision.state_dict())
    assert resumed.scale == 2.0**6
    resumed.stepped()
    assert resumed.scale == 2.0**7
    for _ in range(20 * 2_000):
        resumed.stepped()
    assert resumed.scale == LARGEST


def test_the_precision_is_part_of_the_budget_and_its_default_is_not_written() -> None:
    demo = BUDGETS["demo"]
    assert "precision" not in demo.to_json()
    half = demo.with_changes(precision="bf16")
    assert half.budget == "demo*"
    assert Recipe.from_json(half.to_json()).precision == "bf16"


def test_auto_takes_the_clearly_fastest_and_then_stays_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"precision": "auto", "seeds": 1, "steps": 1, "budget": "demo"}
    resources = Resources("cpu", threads=1)
    store = Store(tmp_path)
    monkeypatch.setattr(fastest, "timed", lambda runs, device: {"fp32": 1.0, "bf16": 0.5})
    found = fastest.resolved("single", "toy", words, resources, store)
    assert found["precision"] == "bf16"
    assert "a step of the sum takes 1e+03 in fp32, 500 in bf16" in capsys.readouterr().err

    from auxbench import run

    run("single", "toy", results=tmp_path, quiet=True, device="cpu", threads=1, **found)
    monkeypatch.setattr(fastest, "timed", lambda runs, device: {"fp32": 1.0, "bf16": 2.0})
    again = fastest.resolved("single", "toy", words, resources, store)
    assert again == found
    assert "as in the runs recorded here" in capsys.readouterr().err


def test_auto_times_every_precision_that_this_device_has() -> None:
    from auxbench.execution.study import Study

    study = Study.of("single", "toy", seeds=1, budget="demo", steps=1, batch=2)
    seconds = fastest.timed(study.runs, "cpu")
    assert seconds.keys() == {"fp32", "bf16"}
    assert min(seconds.values()) > 0


def test_gramians_do_not_depend_on_how_gradients_are_stored() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = Parameter(torch.randn(4, 3, 3, 3, generator=generator))
    stored = Parameter(weight.detach().contiguous(memory_format=torch.channels_last))
    factors = torch.randn(2, 4, 3, 3, 3, generator=generator)
    found = []
    for parameter, formats in (
        (weight, [torch.contiguous_format] * 2),
        (stored, [torch.channels_last] * 2),
        (stored, [torch.channels_last, torch.contiguous_format]),
    ):
        losses = [
            (parameter * factor.contiguous(memory_format=form)).sum()
            for factor, form in zip(factors, formats, strict=True)
        ]
        found.append(Gradients(losses, [parameter]).signals.gramian)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-12, atol=0)
