"""The perceptron: a backbone for vectors that everything attaches to as to any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from auxbench.cli.main import auxbench
from auxbench.cost.inference import inference
from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch, Indices, Samples, Task
from auxbench.data.kinds import Label
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.execution.plan import rehearse
from auxbench.execution.study import Study
from auxbench.networks import heads
from auxbench.networks.backbone import build, resolve
from auxbench.networks.builder import Builder
from auxbench.report.catalogue import entries
from auxbench.spec.budget import BUDGETS
from auxbench.spec.grammar import Choice
from auxbench.spec.method import Method
from auxbench.spec.registry import DATASETS, METHODS
from auxbench.training.architecture import Architecture
from auxbench.training.learner import start
from auxbench.training.loop import Training

ARCHITECTURES = [name for name in METHODS.names() if issubclass(METHODS[name], Architecture)]
OPTIONS = [
    "auxnas:links=stage",
    "auxnas:norm=batch:act=relu",
    "auxnas:norm=layer:act=gelu",
    "crossstitch:links=block:per=channel",
    "nddr:links=block:norm=layer",
]


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def vectors(count: int = 4, features: int = 16) -> Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(1))


class Signs(Samples):
    """The toy's samples with the sign of the primary as a class, which some methods need."""

    def __init__(self, inner: Samples) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        batch = self.inner.batch(indices, rng)
        sign = (batch.targets["primary"][:, 0] > 0).long()
        return Batch(batch.inputs, {**batch.targets, "sign": sign})


class Signed(DATASETS["toy"]):
    tasks: ClassVar = {
        "sign": Task("sign", Label(2)),
        **DATASETS["toy"].tasks,
    }
    primary = "sign"
    auxiliaries = ("helpful", "conflicting")

    def samples(self, split: str) -> Samples:
        return Signs(super().samples(split))


PROBLEM = Problem.of(Signed(train=16, validation=4, test=4))


def builder(backbone: str = "mlp:depth=5:width=12") -> Builder:
    return Builder(PROBLEM.tasks, lambda: build(backbone, 0, features=16), Seeds("mlp", 0, "1"))


def make(name: str) -> Architecture:
    choice = Choice.parse(name)
    maker = METHODS[choice.name]
    architecture = maker(builder(), **choice.values(maker))
    assert isinstance(architecture, Architecture)
    return architecture


def test_it_is_linear_layers_with_relu() -> None:
    backbone = build("mlp:depth=3:width=8", 0, features=5)
    x = vectors(4, 5)
    expected = []
    feature = x
    for block in backbone.blocks:
        weight, bias = block.parameters()
        feature = (feature @ weight.T + bias).relu()
        expected.append(feature[:, :, None, None])
    maps = backbone(x)
    assert [tuple(ours.shape) for ours in maps] == [(4, 8, 1, 1)] * 3
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(maps, expected, strict=True))
    assert sum(p.numel() for p in backbone.parameters()) == 5 * 8 + 8 + 2 * (8 * 8 + 8)
    assert (backbone.features, backbone.channels) == (5, (8, 8, 8))


def test_blocks_are_dealt_into_stages_as_those_of_a_transformer() -> None:
    stages = [build(f"mlp:depth={depth}", 0, features=3).stages for depth in (1, 3, 4, 6, 9)]
    assert stages == [(1,), (1, 1, 1), (1, 1, 1, 1), (2, 2, 1, 1), (3, 2, 2, 2)]


def test_a_vector_head_reads_the_last_hidden_layer() -> None:
    backbone = build("mlp:width=8", 0, features=5)
    x, top = vectors(4, 5), heads.head(False, backbone, 2)
    maps = backbone(x)
    expected = maps[-1][:, :, 0, 0] @ top.linear.weight.T + top.linear.bias
    assert torch.allclose(top(maps, (4, 5)), expected, atol=1e-6)


def test_a_dense_task_is_refused() -> None:
    with pytest.raises(UsageError, match="a dense task needs images, and the data are vectors;"):
        heads.head(True, build("mlp", 0, features=5), 2)


@pytest.mark.parametrize("name", [*ARCHITECTURES, *OPTIONS])
def test_every_architecture_attaches_to_it(name: str) -> None:
    architecture = make(name)
    predictions = architecture(vectors())
    shapes = {task.name: (4, task.outputs) for task in architecture.tasks}
    assert {key: tuple(value.shape) for key, value in predictions.items()} == shapes
    sum(p.square().mean() for p in predictions.values()).backward()
    deployed = architecture.deploy()
    assert [key for key, p in deployed.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_every_architecture_deploys_is_counted(name: str) -> None:
    architecture = make(name)
    cost = inference(architecture.deploy(), vectors(), make("single").deploy())
    alike = entries()[name].deploys_single
    assert cost["same_as_single"] == alike
    alone = 16 * 12 + 4 * 12 * 12 + 2 * 12
    assert cost["macs"] == alone if alike else cost["macs"] > alone
    assert cost["latency_ms"] > 0


@pytest.mark.parametrize("name", [*ARCHITECTURES, *OPTIONS, "pcgrad", "olaux", "auxnas+gradnorm"])
def test_every_architecture_trains_it(name: str) -> None:
    recipe, meter, here = BUDGETS["demo"].with_changes(steps=3, batch=4), Meter(), builder()
    training = Training(
        start(Method.parse(name), here, recipe, meter), PROBLEM, recipe, here, meter
    )
    before = [p.detach().clone() for p in training.learner.architecture.deploy().parameters()]
    training.run()
    after = list(training.learner.architecture.deploy().parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert training.meter.summary()["forward"] >= 3


def test_links_lead_within_the_stages_of_a_deep_one() -> None:
    logits = make("auxnas").logits  # stages 2 + 1 + 1 + 1
    assert {len(values) for values in logits.values()} == {6}


def test_spellings_of_one_network_are_one_text() -> None:
    assert resolve("mlp:width=128:depth=3", 10) == resolve("mlp", 10) == "mlp"
    assert resolve("mlp:width=32:depth=4", 10) == "mlp:depth=4:width=32"
    assert resolve("resnet18:b=2:a=1") == "resnet18:a=1:b=2"


@pytest.mark.parametrize(
    ("text", "features", "pretrained", "message"),
    [
        ("mlp", 0, False, "backbone 'mlp' takes vectors, and the data are images; choose"),
        ("resnet18", 9, False, "'resnet18' takes images, and the data are vectors; choose 'mlp'."),
        ("mlp", 9, True, "backbone 'mlp' has no pretrained weights; leave out --pretrained."),
        ("mpl", 9, False, "no backbone is called 'mpl'; did you mean 'mlp'?"),
        ("mlp:dept=3", 9, False, "'mlp' has no option 'dept'; did you mean 'depth'?"),
        ("mlp:width=x", 9, False, "option 'width' of 'mlp' is 'x', which is not a whole number"),
        ("mlp:depth=0", 9, False, "option 'depth' of 'mlp' is 0, out of range; give 1 to 1000."),
    ],
)
def test_refusals(text: str, features: int, pretrained: bool, message: str) -> None:
    for refuse in (
        lambda: resolve(text, features, pretrained),
        lambda: build(text, 0 if features else 64, pretrained, features),
    ):
        with pytest.raises(UsageError) as refusal:
            refuse()
        assert message in str(refusal.value)


def test_every_data_set_has_a_backbone_of_its_own() -> None:
    study = Study.of("single", "toy,rooms", seeds=1)
    assert [run.backbone for run in study.runs] == ["mlp", "resnet18"]
    wider = Study.of("single", "toy", backbone="mlp:width=32,mlp:width=128", seeds=1)
    assert [run.backbone for run in wider.runs] == ["mlp:width=32", "mlp"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run --methods hps --dataset toy --backbone resnet18", "choose 'mlp'."),
        ("plan --methods hps --dataset rooms --backbone mlp", "takes vectors, and the data are"),
        ("run --methods hps --dataset toy,rooms --backbone mlp", "takes vectors, and the data are"),
        ("plan --methods hps --dataset toy --pretrained", "no pretrained weights"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused_before_anything_runs(words: str, message: str) -> None:
    result = CliRunner().invoke(auxbench, words.split())
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)


def test_a_plan_rehearses_it_at_the_real_number_of_inputs() -> None:
    [run] = Study.of("pcgrad", "toy:dimensions=40", auxiliary="helpful", seeds=1, steps=20).runs
    assert rehearse(run)["backward"] == 2 * 20


def test_it_is_listed() -> None:
    result = CliRunner().invoke(auxbench, ["list", "backbones", "--format", "csv"])
    assert any(line.startswith("mlp,MLP,0.04,1+1+1,") for line in result.output.splitlines())
    assert sum(p.numel() for p in build("mlp", 0, features=32).parameters()) == 37_248
