"""The cost of training and of inference, against counts made by hand."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from auxbench.cost import latency as latency_module
from auxbench.cost import training
from auxbench.cost.clock import UNREAD, Clock
from auxbench.cost.flops import Flops
from auxbench.cost.graph import first_difference, nodes
from auxbench.cost.inference import inference
from auxbench.cost.latency import latencies
from auxbench.cost.training import Meter
from auxbench.execution import execute as execute_module
from auxbench.execution.study import Study
from auxbench.networks.exported import exported
from auxbench.records.validity import fault
from auxbench.report.board import boards
from auxbench.report.run import tables
from auxbench.report.tables import render
from auxbench.training import checkpoint as state

OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 7)
needs_torch_2_7 = pytest.mark.skipif(OLD, reason="torch 2.6 does not know this")
TOY = "toy:train=16:validation=8:test=8"


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


# Floating-point operations


def counted(network: nn.Module, inputs: Tensor) -> tuple[int, int]:
    with Flops() as forward:
        result = network(inputs)
    with Flops() as backward:
        result.sum().backward()
    return forward.total, backward.total


def test_linear_layers_cost_what_a_hand_count_says() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    forward = 2 * 5 * (3 * 4 + 4 * 2)
    inputs_of_second = 2 * 5 * (4 * 2)  # the first layer's input needs no gradient
    assert counted(network, torch.ones(5, 3)) == (forward, forward + inputs_of_second)


@pytest.mark.parametrize(
    ("layer", "products"),
    [
        # outputs x products for each of them; transposed: inputs x products for each of them
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), (8 * 4 * 4) * (3 * 9)),
        (nn.Conv2d(6, 6, 3, padding=1, groups=6), (6 * 8 * 8) * 9),
        (nn.Conv2d(6, 12, 3, padding=1, groups=3), (12 * 8 * 8) * (2 * 9)),
        (nn.ConvTranspose2d(6, 4, 2, stride=2), (6 * 8 * 8) * (4 * 4)),
        (nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2), (6 * 8 * 8) * (2 * 4)),
    ],
)
def test_convolutions_cost_what_a_hand_count_says(layer: Any, products: int) -> None:
    inputs = torch.ones(5, layer.in_channels, 8, 8)
    assert counted(layer, inputs) == (2 * 5 * products, 2 * 5 * products)
    both = counted(layer, inputs.requires_grad_())
    assert both == (2 * 5 * products, 2 * 2 * 5 * products)


def test_attention_is_not_free_on_the_cpu() -> None:
    query = torch.ones(2, 3, 10, 8, requires_grad=True)  # batch, heads, tokens, channels
    with Flops() as forward:
        result = functional.scaled_dot_product_attention(query, query, query)
    assert forward.total == 2 * 2 * (2 * 3) * (10 * 10) * 8
    with Flops() as backward:
        result.sum().backward()
    assert backward.total >= 2 * forward.total


def test_operations_are_the_same_under_inference_mode() -> None:
    network, inputs = (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2)),
        (2, 3, 4, 4),
    )
    with torch.inference_mode(), Flops() as flops:
        network(torch.ones(inputs))
    assert flops.total == 2 * 2 * (4 * 4 * 27 + 16 * 2)


def test_several_gradients_of_one_graph_are_counted_one_by_one() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    outputs = network(torch.ones(5, 3)).sum(0)
    with Flops() as once:
        torch.autograd.grad(outputs[0], list(network.parameters()), retain_graph=True)
    with Flops() as thrice:
        for _ in range(3):
            torch.autograd.grad(outputs[1], list(network.parameters()), retain_graph=True)
    assert thrice.total == 3 * once.total > 0


# The meter


class Small(nn.Module):
    """A backbone with batch normalisation and dropout under two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 6, 3, padding=1, groups=6),
            nn.Flatten(),
            nn.Dropout(0.5),
        )
        self.heads = nn.ModuleList([nn.Linear(6 * 16, 1), nn.Linear(6 * 16, 1)])

    def forward(self, inputs: Tensor) -> list[Tensor]:
        features = self.trunk(inputs)
        return [head(features).square().mean() for head in self.heads]


def train(meter: Meter | None, steps: int = 4) -> tuple[list[float], dict[str, Any]]:
    """Two gradients of the shared backbone per step, as a balancer takes them, and their sum."""
    torch.manual_seed(0)
    network, curve = Small(), []
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(steps):
        inputs = torch.randn(4, 3, 4, 4)
        with meter.phase("descent") if meter else nullcontext():
            losses = network(inputs)
            if meter:
                meter.forward(len(inputs))
                meter.backward(2)
            for parameter in network.parameters():
                parameter.grad = torch.zeros_like(parameter)
            for loss in losses:
                gradients = torch.autograd.grad(
                    loss, list(network.parameters()), retain_graph=True, allow_unused=True
                )
                for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                    if gradient is not None and parameter.grad is not None:
                        parameter.grad += gradient
            optimizer.step()
        curve.append(sum(loss.item() for loss in losses))
    return curve, dict(network.state_dict())


def test_counting_changes_no_bit_of_a_training() -> None:
    meter = Meter()
    curve, weights = train(meter)
    expected, reference = train(None)
    assert curve == expected
    assert all(torch.equal(weights[name], reference[name]) for name in reference)
    assert meter.summary()["flops"] > 0


def work(meter: Meter, layer: nn.Linear, examples: int = 5, backward: int = 1) -> None:
    """One forward pass (120 operations for 5 examples) and some backward passes (120 each)."""
    meter.forward(examples)
    loss = layer(torch.ones(examples, 3)).sum()
    meter.backward(backward)
    for _ in range(backward):
        loss.backward(retain_graph=True)


def test_the_summary_has_exactly_the_published_keys_and_counts() -> None:
    meter, layer = Meter(), nn.Linear(3, 4)
    for _ in range(2):
        with meter.phase("warm-up/descent"):
            work(meter, layer)
    for _ in range(10):
        with meter.phase("descent"):
            work(meter, layer)
            meter.backward(full=2, partial=3)
    summary = meter.summary()
    assert set(summary) == {
        *("seconds", "cpu_seconds", "evaluation_seconds", "waiting_seconds"),
        *("forward", "backward", "partial", "jvp", "examples", "flops"),
        *("peak_memory_bytes", "phases"),
    }
    seconds = [phase.pop("seconds") for phase in summary["phases"].values()]
    cpu = [phase.pop("cpu_seconds") for phase in summary["phases"].values()]
    assert summary["cpu_seconds"] == sum(cpu) > 0
    assert summary["phases"] == {
        "warm-up/descent": {
            "steps": 2,
            "forward": 2,
            "backward": 2,
            "partial": 0,
            "jvp": 0,
            "examples": 10,
            "flops": 480,
        },
        "descent": {
            "steps": 10,
            "forward": 10,
            "backward": 30,
            "partial": 30,
            "jvp": 0,
            "examples": 50,
            "flops": 2400,
        },
    }
    assert summary["seconds"] == sum(seconds) > 0
    names = ("forward", "backward", "partial", "examples", "flops")
    assert [summary[name] for name in names] == [12, 32, 30, 60, 2880]
    assert json.loads(json.dumps(summary)) == summary


def test_passes_outside_phases_are_in_the_totals_only() -> None:
    meter = Meter()
    meter.forward(7)
    with meter.phase("descent"):
        meter.backward()
    summary = meter.summary()
    assert (summary["forward"], summary["examples"], summary["backward"]) == (1, 7, 1)
    assert summary["phases"]["descent"]["forward"] == 0


def test_a_phase_takes_the_seconds_spent_inside_it() -> None:
    meter, start = Meter(), time.perf_counter()
    for _ in range(2):
        with meter.phase("search"):
            time.sleep(0.02)
        time.sleep(0.05)
    elapsed = time.perf_counter() - start
    assert 0.04 <= meter.summary()["seconds"] <= elapsed - 0.1


def test_a_smaller_batch_is_charged_in_proportion() -> None:
    meter, layer = Meter(), nn.Linear(3, 4)
    for examples in (5, 5, 5, 2):
        with meter.phase("evaluate"):
            work(meter, layer, examples, backward=0)
    assert meter.summary()["flops"] == 2 * 17 * 12


@pytest.mark.parametrize("period", [2, 3, 7])
def test_what_is_done_in_every_nth_step_only_is_not_charged_to_all(period: int) -> None:
    meter, layer, expected = Meter(), nn.Linear(3, 4), 0
    for step in range(10 * period):
        with meter.phase("descent"):
            passes = 5 if step % period == period - 1 else 1
            work(meter, layer, backward=passes)
            expected += 120 * (1 + passes)
    assert meter.summary()["flops"] == expected


def test_work_that_begins_late_is_charged_from_then_on() -> None:
    meter, layer = Meter(), nn.Linear(3, 4)
    for step in range(20):
        with meter.phase("revise"):
            if step % 4 == 3:
                work(meter, layer)
    phase = meter.summary()["phases"]["revise"]
    assert (phase["steps"], phase["forward"], phase["flops"]) == (20, 5, 5 * 240)


def test_only_the_first_of_equal_steps_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    class Spy(Flops):
        def __init__(self) -> None:
            super().__init__()
            opened.append(meter.summary()["forward"])

    monkeypatch.setattr(training, "Flops", Spy)
    meter, layer = Meter(), nn.Linear(3, 4)
    for _ in range(50):
        with meter.phase("descent"):
            work(meter, layer)
        with meter.phase("read", training=False):
            pass
    assert opened == [0]
    assert meter.summary()["phases"]["read"]["flops"] == 0


def test_phases_do_not_nest_and_a_failed_step_is_charged() -> None:
    meter, layer = Meter(), nn.Linear(3, 4)
    with (
        pytest.raises(RuntimeError, match="'search' was opened inside phase 'descent'"),
        meter.phase("descent"),
    ):
        work(meter, layer)
        with meter.phase("search"):
            pass
    with meter.phase("descent"):
        work(meter, layer)
    assert meter.summary()["phases"]["descent"]["steps"] == 2
    assert meter.summary()["flops"] == 2 * 240


def test_a_resumed_meter_goes_on_counting(tmp_path: Path) -> None:
    layer, steps = nn.Linear(3, 4), 15  # the last step is the first of its kind to be counted

    def run(meter: Meter, start: int, stop: int) -> dict[str, Any]:
        for step in range(start, stop):
            with meter.phase("descent"):
                work(meter, layer, backward=4 if step % 5 == 4 else 1)
        return meter.summary()

    for stop in range(steps + 1):
        first, second = Meter(), Meter()
        before = run(first, 0, stop)
        saved = first.state_dict()  # once: it reads a clock
        state.save(tmp_path / "meter", saved)
        assert json.loads(json.dumps(saved)) == saved
        second.load_state_dict(state.load(tmp_path / "meter"))
        assert second.summary()["seconds"] == before["seconds"]
        resumed, whole = run(second, stop, steps), run(Meter(), 0, steps)
        assert resumed["seconds"] > before["seconds"] or stop == steps
        for summary in (resumed, whole):
            for clock in ("seconds", "cpu_seconds"):
                del summary[clock], summary["phases"]["descent"][clock]
            del summary["waiting_seconds"]
        assert resumed == whole


def test_seconds_of_training_are_without_those_of_evaluation() -> None:
    meter = Meter()
    with meter.phase("descent"):
        time.sleep(0.02)
    with meter.phase("evaluate", training=False):
        time.sleep(0.1)
    summary = meter.summary()
    assert 0.02 <= summary["seconds"] < 0.1 <= summary["evaluation_seconds"]
    # Sleeping is not work.
    assert summary["cpu_seconds"] < 0.02
    again = Meter()
    again.load_state_dict(json.loads(json.dumps(meter.state_dict())))
    assert again.summary()["evaluation_seconds"] == summary["evaluation_seconds"]


def test_waiting_is_added_up_over_the_parts_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = iter([5.0, 7.5, 7.5, 1.0, 4.0])
    monkeypatch.setattr(training, "_waiting", lambda: next(waited))
    first = Meter()
    assert first.summary()["waiting_seconds"] == 2.5
    kept = first.state_dict()
    second = Meter()  # another process, whose count starts again
    second.load_state_dict(kept)
    assert second.summary()["waiting_seconds"] == 5.5
    monkeypatch.setattr(training, "_waiting", lambda: None)
    assert Meter().summary()["waiting_seconds"] is None


def test_a_graph_that_shrinks_is_counted_again() -> None:
    layer, counted = nn.Linear(3, 4), []
    for structures in ([1] * 4, [1, 1, 0, 0, 0]):
        meter = Meter()
        for structure in structures:
            with meter.phase("descent", structure=structure):
                meter.forward(examples=5)
                for _ in range(1 + structure):
                    layer(torch.ones(5, 3))
        counted.append(meter.summary()["flops"] / 120)
    assert counted == [4 * 2, 2 * 2 + 3 * 1]


class FakeEvent:
    """An event of a queue that passes one millisecond per event when the queue is waited for."""

    calls: ClassVar[list[str]] = []
    passed = False

    def __init__(self, enable_timing: bool = False) -> None:
        self.place = -1

    def record(self, stream: object) -> None:
        self.place = len(self.calls)
        self.calls.append("event")

    def query(self) -> bool:
        return self.passed

    def elapsed_time(self, other: FakeEvent) -> float:
        assert self.passed
        return float(other.place - self.place)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A GPU that is none; the result lists what is asked of it."""
    calls: list[str] = []

    def synchronize(device: object) -> None:
        FakeEvent.passed = True
        calls.append("synchronize")

    monkeypatch.setattr(FakeEvent, "calls", calls)
    monkeypatch.setattr(FakeEvent, "passed", False)
    for name in ("init", "reset_peak_memory_stats", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda *device: None)
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 123)
    return calls


def test_a_gpu_is_waited_for_only_by_the_summary(gpu: list[str]) -> None:
    with Meter("cpu").phase("descent"):
        pass
    assert gpu == []
    meter = Meter("cuda:0")
    for _ in range(3):
        with meter.phase("descent"):
            gpu.append("work")
    assert gpu == ["event", "work", "event"] * 3
    summary = meter.summary()
    assert gpu[-1] == "synchronize" and gpu.count("synchronize") == 1
    assert summary["seconds"] == pytest.approx(3 * 2 / 1000)
    assert summary["peak_memory_bytes"] == 123
    assert meter.state_dict()["phases"][0]["seconds"] == summary["seconds"]


def test_a_cpu_has_no_peak_memory_and_a_gpu_that_of_the_largest_part(gpu: list[str]) -> None:
    assert Meter().summary()["peak_memory_bytes"] is None
    meter = Meter("cuda:0")
    meter.load_state_dict({**meter.state_dict(), "peak_memory_bytes": 2**45})
    assert meter.summary()["peak_memory_bytes"] == 2**45


def test_what_has_passed_is_read_in_passing(gpu: list[str]) -> None:
    clock, phase = Clock(torch.device("cuda")), SimpleNamespace(seconds=0.0)
    for _ in range(2 * UNREAD):
        clock.charge(phase, clock.now())
    assert len(clock.unread) == 2 * UNREAD and phase.seconds == 0
    FakeEvent.passed = True
    clock.charge(phase, clock.now())
    assert len(clock.unread) == UNREAD and "synchronize" not in gpu
    clock.settle()
    assert phase.seconds == pytest.approx((2 * UNREAD + 1) / 1000)


def test_a_phase_costs_microseconds() -> None:
    meter = Meter()
    times = []
    for _ in range(2000):
        start = time.perf_counter()
        with meter.phase("descent"):
            meter.forward(8)
            meter.backward()
        times.append(time.perf_counter() - start)
    assert sorted(times)[len(times) // 2] < 100e-6  # 5 on an idle machine


# Inference


def plain() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 2)
    )


def normalised() -> nn.Sequential:
    network = plain()
    return nn.Sequential(network[0], nn.BatchNorm2d(4), *network[1:])


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_module, "_MOST", 7)


EXAMPLE = torch.ones(2, 3, 4, 4)


def test_inference_is_charged_for_one_example() -> None:
    cost = inference(plain(), EXAMPLE)
    assert cost["parameters"] == 3 * 4 * 9 + 4 + 64 * 2 + 2
    assert cost["macs"] == (4 * 16) * 27 + 64 * 2
    assert 0 < cost["latency_ms_q25"] <= cost["latency_ms"] <= cost["latency_ms_q75"]
    assert cost["operators"]["aten::convolution"] == 1
    assert list(cost["operators"]) == sorted(cost["operators"])
    assert (cost["same_as_single"], cost["difference"]) == (None, [])
    assert json.loads(json.dumps(cost)) == cost


def test_equal_networks_are_proved_equal() -> None:
    cost = inference(normalised(), EXAMPLE, normalised())
    assert (cost["same_as_single"], cost["difference"]) == (True, [])
    assert cost["graph"] == {"compared": "exported graphs", "nodes": 6}
    assert inference(normalised(), EXAMPLE)["graph"] is None


def test_a_batch_norm_more_or_less_is_told() -> None:
    more = inference(normalised(), EXAMPLE, plain())
    assert more["same_as_single"] is False
    assert more["difference"] == [
        "8 more parameters",
        "9 more buffer elements",
        "4 more float32 tensors of shape 4",
        "1 more int64 tensor without dimensions",
        "1 more aten::native_batch_norm",
        more["difference"][-1],
    ]
    assert re.fullmatch(
        r"node 2 of the exported graph is aten\.batch_norm\.default\(node 1, .*, "
        r"not aten\.relu\.default\(node 1\)",
        more["difference"][-1],
    )
    less = inference(plain(), EXAMPLE, normalised())["difference"]
    assert less[:-1] == [line.replace("more", "fewer") for line in more["difference"][:-1]]
    assert less[-1].startswith("node 2 of the exported graph is aten.relu.default(node 1), not ")


def test_a_left_over_head_is_told_though_it_does_not_run() -> None:
    network = plain()
    network[0].add_module("auxiliary", nn.Linear(64, 5))
    assert inference(network, EXAMPLE, plain())["difference"] == [
        "325 more parameters",
        "1 more float32 tensor of shape 5",
        "1 more float32 tensor of shape 5x64",
    ]


def test_more_work_by_the_same_operators_is_told() -> None:
    reference, network = plain(), plain()
    reference[0].stride, reference[3] = (2, 2), nn.Linear(16, 2)
    network[3] = nn.Sequential(nn.AvgPool1d(4), nn.Linear(16, 2))
    difference = inference(network, EXAMPLE, reference)["difference"]
    assert f"{4 * 12 * 27} more multiply-accumulates" in difference
    assert "parameter" not in " ".join(difference[:-1])
    assert difference[-1].startswith("node 1 of the exported graph is aten.conv2d.default(input 1 ")


def test_another_order_of_the_same_operators_is_told() -> None:
    one = nn.Sequential(nn.Sigmoid(), nn.Tanh(), nn.ReLU())
    two = nn.Sequential(nn.Tanh(), nn.Sigmoid(), nn.ReLU())
    assert inference(two, EXAMPLE, one)["difference"] == [
        "another order of operators: number 1 is aten::tanh, not aten::sigmoid",
        "node 1 of the exported graph is aten.tanh.default(input 1 float32 [1, 3, 4, 4]), "
        "not aten.sigmoid.default(input 1 float32 [1, 3, 4, 4])",
    ]


def test_the_networks_are_left_as_they_were() -> None:
    class Frozen(nn.Sequential):
        def train(self, mode: bool = True) -> Frozen:
            raise AssertionError("train() may fuse layers for good")

    network = Frozen(*normalised())
    network[1].training = False  # frozen statistics under a network in training
    network[2] = nn.Dropout(0.5)
    reference = normalised()
    before = [{k: v.clone() for k, v in n.state_dict().items()} for n in (network, reference)]
    inference(network, EXAMPLE, reference)
    assert [module.training for module in network] == [True, False, True, True, True]
    assert all(module.training for module in reference.modules())
    for owner, tensors in zip((network, reference), before, strict=True):
        assert all(torch.equal(owner.state_dict()[name], tensors[name]) for name in tensors)


def test_the_modes_are_restored_when_the_network_fails() -> None:
    network = plain()
    with pytest.raises(RuntimeError):
        inference(network, torch.ones(1, 5, 4, 4))
    assert all(module.training for module in network.modules())


class Calls(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        self.batches.append(len(inputs))
        return inputs.clone()


def test_latency_stops_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Calls()
    found = latencies(network, EXAMPLE)
    assert network.batches == [1] * (3 + 7) + [8] * (1 + 7) + [32] * (1 + 7)
    assert [(one["batch"], one["passes"]) for one in found] == [(1, 7), (8, 7), (32, 7)]
    assert all(0 < one["p50_ms"] <= one["p95_ms"] for one in found)
    assert set(found[1]) == {"batch", "p50_ms", "p95_ms", "passes"}
    monkeypatch.setattr(latency_module, "LIMIT", 0.0)
    network = Calls()
    latencies(network, EXAMPLE)
    assert network.batches == [1] * (3 + 5) + [8] * (1 + 5) + [32] * (1 + 5)


def test_a_batch_that_takes_too_long_is_left_out_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latency_module, "_LONGEST", 0.0)
    network = Calls()
    found = latencies(network, EXAMPLE)
    assert set(network.batches) == {1}
    why = "5 passes would take more than 0 s"
    assert found[1:] == [{"batch": batch, "skipped": why} for batch in (8, 32)]


def test_a_batch_that_does_not_fit_is_left_out_and_says_so() -> None:
    class Small(Calls):
        def forward(self, inputs: Tensor) -> Tensor:
            if len(inputs) > 8:
                raise torch.OutOfMemoryError("too large")
            return super().forward(inputs)

    found = latencies(Small(), EXAMPLE)
    assert found[1]["passes"] == 7
    assert found[2] == {"batch": 32, "skipped": "out of memory"}


# The exported graph


class Wired(nn.Module):
    """Two layers of the same shape, whose results are combined by a function."""

    def __init__(self, combined: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
        self.combined = combined

    def forward(self, inputs: Tensor) -> Tensor:
        one, two = self.one(inputs), self.two(inputs)
        return self.combined(inputs, one, two)


def graph_difference(one: nn.Module, other: nn.Module, example: Tensor | None = None) -> str:
    given = torch.ones(1, 3) if example is None else example
    return first_difference(nodes(exported(one, given)), nodes(exported(other, given)))


def test_other_wiring_of_the_same_operators_is_told() -> None:
    one, two = Wired(lambda x, a, b: a - b), Wired(lambda x, a, b: b - a)
    assert graph_difference(one, Wired(lambda x, a, b: a - b)) == ""
    assert graph_difference(one, two) == (
        "node 3 of the exported graph is aten.sub.Tensor(node 1, node 2), "
        "not aten.sub.Tensor(node 2, node 1)"
    )
    assert inference(two, torch.ones(1, 3), one)["same_as_single"] is False
    skip = Wired(lambda x, a, b: a - x)
    assert "(node 1, input 1 float32 [1, 3]), not " in graph_difference(skip, one)


def test_other_arguments_of_the_same_operators_are_told() -> None:
    one, two = (Wired(lambda x, a, b, n=n: (a + b).clamp(max=n)) for n in (1.0, 2.0))
    assert "1.0" in graph_difference(one, two) and "2.0" in graph_difference(one, two)
    wide = Wired(lambda x, a, b: torch.cat([a, b], dim=1).sum(1))
    tall = Wired(lambda x, a, b: torch.cat([a, b], dim=1).sum(0))
    assert "node 3, (0)), not aten.sum.dim_IntList(node 3, (1))" in graph_difference(tall, wide)


def test_a_layer_that_is_used_twice_is_told() -> None:
    class Twice(Wired):
        def forward(self, inputs: Tensor) -> Tensor:
            return self.combined(inputs, self.one(inputs), self.one(inputs))

    found = graph_difference(Twice(lambda x, a, b: a + b), Wired(lambda x, a, b: a + b))
    assert found.startswith("node 2 of the exported graph is aten.linear.default(")
    assert "parameter 1 " in found and "not aten.linear" in found and "parameter 3 " in found


def test_another_constant_is_told_and_other_weights_are_not() -> None:
    def scaled(factor: float) -> nn.Module:
        return Wired(lambda x, a, b: a * torch.tensor([factor, 1.0, 1.0]) + b)

    assert graph_difference(scaled(2.0), scaled(2.0)) == ""
    assert "constant float32 [3]" in graph_difference(scaled(2.0), scaled(3.0))


def test_names_of_modules_do_not_matter() -> None:
    one, two = normalised(), nn.Sequential()
    for name, module in zip("abcde", normalised(), strict=True):
        two.add_module(f"stage_{name}", module)
    assert graph_difference(one, two, EXAMPLE) == ""
    assert len(nodes(exported(one, EXAMPLE))) == 6


def test_layers_that_share_their_weights_are_told() -> None:
    class Tied(Wired):
        def __init__(self, tied: bool) -> None:
            super().__init__(lambda x, a, b: a + b)
            self.again = self.one if tied else self.two

        def forward(self, inputs: Tensor) -> Tensor:
            found: Tensor = self.again(self.one(inputs).relu())
            return found

    one, two = Tied(True), Tied(False)
    assert [p.shape for p in one.parameters()] == [p.shape for p in two.parameters()]
    assert "(node 2, parameter 1 " in graph_difference(one, two)


def test_other_wiring_inside_a_subgraph_is_told() -> None:
    def branched(chosen: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
        def combined(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
            found: Tensor = torch.cond(x.sum() > 0, chosen, lambda u, v: u.clone(), (a, b))
            return found

        return Wired(combined)

    one, two = branched(lambda u, v: u - v), branched(lambda u, v: v - u)
    assert graph_difference(one, branched(lambda u, v: u - v)) == ""
    assert "{aten.sub.Tensor(argument 2, argument 1); " in graph_difference(two, one)


def test_a_buffer_that_is_not_saved_is_a_constant() -> None:
    def scaled(factor: float, saved: bool) -> nn.Module:
        network = Wired(lambda x, a, b: (a + b) * network.get_buffer("factor"))
        network.register_buffer("factor", torch.full((3,), factor), persistent=saved)
        return network

    assert graph_difference(scaled(1.0, True), scaled(2.0, True)) == ""
    assert graph_difference(scaled(2.0, False), scaled(2.0, False)) == ""
    assert "constant float32 [3]" in graph_difference(scaled(1.0, False), scaled(2.0, False))


def test_a_network_that_does_more_for_batches_is_told() -> None:
    class Larger(nn.ReLU):
        def forward(self, inputs: Tensor) -> Tensor:
            found: Tensor = super().forward(inputs)
            return found if len(inputs) == 1 else found.tanh()

    cost = inference(Larger(), EXAMPLE, nn.ReLU())
    assert cost["same_as_single"] is False
    assert cost["difference"] == ["for a batch of two, 1 more aten::tanh"]


@needs_torch_2_7
def test_a_network_that_hides_operators_from_export_is_told() -> None:
    class Hiding(nn.ReLU):
        def forward(self, inputs: Tensor) -> Tensor:
            found: Tensor = super().forward(inputs)
            return found if torch.compiler.is_exporting() else found.tanh()

    cost = inference(Hiding(), EXAMPLE, nn.ReLU())
    assert (cost["same_as_single"], cost["difference"]) == (False, ["1 more aten::tanh"])


def test_a_longer_graph_is_told() -> None:
    one = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    assert graph_difference(one, one[:1]) == (
        "node 2 of the exported graph is aten.relu.default(node 1), not output((node 1))"
    )


def test_a_network_that_cannot_be_exported_is_compared_by_its_operators() -> None:
    class Fickle(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs.relu() if inputs.sum() > 0 else inputs.tanh()

    cost = inference(Fickle(), EXAMPLE, Fickle())
    assert cost["same_as_single"] is True and cost["graph"]["compared"] == "operators"
    assert cost["graph"]["why"].startswith("the network cannot be exported (")


class Conditional(nn.Module):
    """A network whose branch is chosen by `torch.cond`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = torch.cond(
            inputs.sum() > 0,
            lambda x: self.first(x),
            lambda x: self.second(self.first(x)),
            (inputs,),
        )
        return found


@needs_torch_2_7
@pytest.mark.parametrize(("sign", "layers"), [(1.0, 1), (-1.0, 2)])
def test_the_branch_that_is_taken_is_counted_and_gradients_stay(sign: float, layers: int) -> None:
    network, inputs = Conditional(), sign * torch.ones(2, 3)
    gradients = []
    for context in (nullcontext(), Flops(), nullcontext()):
        with context as flops:
            loss = network(inputs).square().sum()
            made = flops.total if flops else 0
            gradients.append(torch.autograd.grad(loss, list(network.parameters())))
        if flops:
            assert made == layers * 2 * 2 * 3 * 3
            assert flops.total > made
            assert not flops.uncounted
    assert all(torch.equal(*pair) for pair in zip(*gradients[:2], strict=True))
    assert all(torch.equal(*pair) for pair in zip(*gradients[::2], strict=True))
    with torch.no_grad(), Flops() as flops:
        network(inputs)
    assert flops.total == layers * 2 * 2 * 3 * 3


@needs_torch_2_7
def test_a_network_with_branches_is_deployed_and_compared() -> None:
    example = torch.ones(1, 3)
    cost = inference(Conditional(), example, Conditional())
    assert cost["macs"] == 9
    assert cost["same_as_single"] is True
    assert cost["graph"]["compared"] == "exported graphs"
    other = Conditional()
    other.second = nn.Linear(3, 3, bias=False)
    assert inference(other, example, Conditional())["same_as_single"] is False


@needs_torch_2_7
def test_an_operator_that_cannot_be_counted_is_named() -> None:
    class Looping(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            from torch._higher_order_ops.while_loop import while_loop

            _, found = while_loop(
                lambda step, x: step < 3,
                lambda step, x: (step + 1, x @ torch.eye(3)),
                (torch.tensor(0), inputs),
            )
            return found

    network = nn.Sequential(nn.Linear(3, 3), Looping())
    cost = inference(network, torch.ones(1, 3))
    assert (cost["uncounted"], cost["macs"]) == (["while_loop"], 9)
    assert "uncounted" not in inference(network[0], torch.ones(1, 3))


def test_a_network_that_cannot_be_measured_costs_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: object) -> None:
        raise ValueError("no modes, please")

    monkeypatch.setattr(execute_module, "inference", refuse)
    (run,) = Study.of("single", TOY, seeds=1, budget="demo", steps=3).runs
    record = execute_module.execute(run, tmp_path)
    assert record["status"] == "done" and record["primary"]["value"] > 0
    why = "it could not be measured (ValueError: no modes, please)"
    assert record["inference"] == {"why": why}
    assert not fault(json.loads(json.dumps(record)))
    assert why in render(tables(record), "text")
    (board,) = boards([record])
    assert board.rows[0]["macs"] is None
