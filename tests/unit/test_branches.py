"""Branches of one's own: linked as in `auxnas`, and the primary given back as it was."""

from __future__ import annotations

import copy
import doctest
import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torchvision.models import resnet18

import auxbench
from auxbench.contract.dry_run import training
from auxbench.cost.graph import nodes
from auxbench.errors import Diverged, UsageError
from auxbench.networks.exported import exported

STEPS = 12
PAGE = Path(__file__).parents[2] / "docs" / "own-network.md"
Make = Callable[[], nn.Module]


class MLP(nn.Module):
    """A perceptron whose `forward` has more than its blocks in it."""

    def __init__(self, width: int = 8, outputs: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Linear(4, width)
        self.second = nn.Linear(width, width)
        self.third = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        x = x + F.relu(self.second(self.drop(x)))
        found: Tensor = self.head(F.relu(self.third(x)))
        return found


class ConvNet(nn.Module):
    def __init__(self, width: int = 6, stride: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=stride, padding=1)
        self.body = nn.ModuleList(
            [nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 2 * width, 3, stride=2)]
        )
        self.head = nn.Linear(2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in self.body:
            x = F.relu(layer(x))
        found: Tensor = self.head(x.mean((2, 3)))
        return found


class ViT(nn.Module):
    """A small vision transformer on images of 16 pixels."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.positions = nn.Parameter(torch.zeros(1, 16, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True)
            for _ in range(6)
        )
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.head(x.mean(1))
        return found


def resnet() -> nn.Module:
    network: nn.Module = resnet18(num_classes=1)
    return network


FAMILIES: dict[str, tuple[Make, list[str], tuple[int, ...]]] = {
    "vectors": (MLP, ["first", "second", "third"], (4,)),
    "maps": (ConvNet, ["stem", "body.0", "body.1"], (3, 16, 16)),
    "tokens": (ViT, [f"blocks.{number}" for number in range(6)], (3, 16, 16)),
}
TORCHVISION: dict[str, tuple[Make, list[str], tuple[int, ...]]] = {
    "torchvision": (
        resnet,
        ["layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3", "layer4"],
        (3, 32, 32),
    ),
}
MLP_BLOCKS = FAMILIES["vectors"][1]


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


def inputs(shape: tuple[int, ...] = (4,), count: int = 8) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


def squares(outputs: Sequence[Tensor]) -> list[Tensor]:
    return [(output - number).square().mean() for number, output in enumerate(outputs, 1)]


def train(linked: Any, x: Tensor, steps: int, optimizer: torch.optim.Optimizer) -> list[float]:
    """Some steps, on the two halves of a batch."""
    held, own = x.chunk(2)
    found = []
    for _ in range(steps):
        linked.search(lambda: squares(linked(held)))
        optimizer.zero_grad()
        losses = torch.stack(squares(linked(own)))
        losses.sum().backward()
        optimizer.step()
        found += losses.tolist()
    return found


def adamw(linked: Any) -> torch.optim.Optimizer:
    """An optimizer that is given everything, and would decay links if it touched them."""
    return torch.optim.AdamW(linked.parameters(), lr=1e-3, weight_decay=0.5)


def weights(linked: Any) -> dict[str, nn.Parameter]:
    """All parameters that are trained, in contrast to the strengths of links."""
    return {name: part for name, part in linked.named_parameters() if part.requires_grad}


def linked_mlps(count: int = 2, **options: Any) -> Any:
    networks = [MLP() for _ in range(count)]
    return auxbench.branches(networks, MLP_BLOCKS, inputs(), **({"steps": STEPS} | options))


# the same as `auxnas`


def both_trained(
    backbone: str, dtype: torch.dtype, **words: Any
) -> Iterator[tuple[list[float], list[float], Any, Any]]:
    """The losses of every step of an own loop and of `auxnas` on the same networks and batches."""
    made = [training("auxnas", STEPS, backbone=backbone, flops=False, **words) for _ in range(3)]
    run, data, spare = made
    architecture, recipe = run.learner.architecture, run.learner.context.recipe
    architecture.to(dtype).register_forward_pre_hook(lambda module, args: (args[0].to(dtype),))
    tasks = architecture.tasks
    networks: list[Any] = [copy.deepcopy(architecture.networks[task.name]) for task in tasks]
    blocks = [f"backbone.blocks.{number}" for number in range(len(networks[0].backbone.blocks))]
    example = next(spare.batches["train"]["train/first"]).inputs.to(dtype)
    linked = auxbench.branches(networks, blocks, example, steps=STEPS).to(dtype)
    optimizer = torch.optim.AdamW(linked.parameters(), lr=1, weight_decay=recipe.weight_decay)

    def losses(batch: Any) -> list[Tensor]:
        outputs = linked(batch.inputs.to(dtype))
        pairs = zip(tasks, outputs, strict=True)
        return [task.losses(out, batch.targets[task.name]).mean() for task, out in pairs]

    (stage,) = run.learner.stages
    batches = data.batches["train"]
    for step in range(STEPS):
        with run.seeds.seeded("dropout", "train", step):
            linked.search(lambda: losses(next(batches["train/second"])))
            optimizer.zero_grad()
            found = torch.stack(losses(next(batches["train/first"])))
            found.sum().backward()
            optimizer.param_groups[0]["lr"] = recipe.rate(step / STEPS)
            optimizer.step()
        scalars = run.iterate(stage, step)
        theirs = [float(scalars[f"loss/{task.name}"]) for task in tasks]
        yield found.tolist(), theirs, linked, architecture


@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 7),
    reason="torch 2.6 adds the gradients of strengths in another order; the next test allows it",
)
def test_an_own_loop_does_what_auxnas_does_to_the_last_bit() -> None:
    words = {"dataset": "toy", "primary": "primary", "auxiliaries": ("helpful", "useless")}
    for ours, theirs, linked, architecture in both_trained("mlp", torch.float32, **words):
        assert ours == theirs
        assert linked.strengths() == {
            key.replace("helpful", "1").replace("useless", "2"): torch.sigmoid(logits).tolist()
            for key, logits in architecture.logits.items()
        }
    assert linked.dropped_strength() == architecture.dropped_strength() == 0


@pytest.mark.parametrize(
    "backbone", ["test_resnet", pytest.param("test_vit", marks=pytest.mark.slow)]
)
def test_an_own_loop_does_what_auxnas_does_but_for_rounding(backbone: str) -> None:
    """Gradients of a feature may be added in another order, which double precision makes small."""
    words = {"auxiliaries": ("depth",)}
    for ours, theirs, linked, architecture in both_trained(backbone, torch.float64, **words):
        assert ours == pytest.approx(theirs, rel=1e-6)  # losses are kept in single precision
        for key, logits in architecture.logits.items():
            own = linked.logits[key.replace("depth", "1")]
            assert torch.allclose(own, logits, rtol=0, atol=1e-7)
    for number, task in enumerate(architecture.tasks):
        expected = architecture.networks[task.name].state_dict()
        for name, value in linked.networks[number].state_dict().items():
            assert torch.allclose(value, expected[name], rtol=1e-9, atol=1e-11), name
    assert linked.dropped_strength() == 0


# the primary alone


@pytest.mark.parametrize("family", [*FAMILIES, pytest.param("torchvision", marks=pytest.mark.slow)])
def test_the_primary_comes_back_as_it_was_given(family: str) -> None:
    make, blocks, shape = (FAMILIES | TORCHVISION)[family]
    networks = [make() for _ in range(3)]
    before = copy.deepcopy(networks[0])
    x = inputs(shape)
    linked: Any = auxbench.branches(networks, blocks, x, steps=STEPS)
    train(linked, x, STEPS, adamw(linked))
    primary = linked.primary()
    assert primary is networks[0]
    assert list(primary.state_dict()) == list(before.state_dict())
    assert nodes(exported(primary, x)) == nodes(exported(before, x))
    assert not any(module._forward_hooks for module in linked.modules())
    linked.eval()
    with torch.no_grad():
        assert torch.equal(primary(x), linked(x)[0])
        assert not torch.equal(networks[1](x), linked(x)[1])  # whose links are open


def test_the_networks_start_as_they_are() -> None:
    networks = [ConvNet(), ConvNet(4, stride=2)]
    x = inputs((3, 16, 16))
    alone = [network(x) for network in networks]
    linked = auxbench.branches(networks, ["stem", "body.0", "body.1"], x, steps=STEPS)
    assert all(torch.equal(one, other) for one, other in zip(alone, linked(x), strict=True))


def test_a_primary_with_open_links_is_refused() -> None:
    linked = linked_mlps(steps=20)
    with pytest.raises(UsageError, match=r"strongest at 0.5, after 0 of 20 .* at step 13\."):
        linked.primary()
    optimizer = adamw(linked)
    train(linked, inputs(), 12, optimizer)
    with pytest.raises(UsageError, match="after 12 of 20"):
        linked.primary()
    train(linked, inputs(), 1, optimizer)
    linked.primary()


@pytest.mark.parametrize("steps", [3, 4, 7, 100])
def test_links_are_closed_at_the_step_that_is_promised(steps: int) -> None:
    linked = linked_mlps(steps=steps)
    with pytest.raises(UsageError) as error:
        linked.primary()
    train(linked, inputs(), int(str(error.value).split()[-1].rstrip(".")), adamw(linked))
    linked.primary()


def test_without_links_into_it_the_primary_is_free_at_once() -> None:
    linked = linked_mlps(directions="p2a")
    assert linked.primary() is linked.networks[0]
    assert list(linked.strengths()) == ["p2a/1"]


# links between networks of different sizes


@pytest.mark.parametrize(("width", "stride"), [(6, 1), (4, 2), (6, 2)])
def test_maps_of_other_sizes_are_joined_both_ways(width: int, stride: int) -> None:
    networks = [ConvNet(), ConvNet(width, stride)]
    x = inputs((3, 16, 16))
    linked: Any = auxbench.branches(networks, ["stem", "body.0", "body.1"], x, steps=STEPS)
    optimizer = torch.optim.SGD(linked.parameters(), lr=0.1)
    train(linked, x, 2, optimizer)
    for fusion in linked.fusions.parameters():
        assert fusion.abs().max() > 0
    larger = F.interpolate(x, scale_factor=2)
    assert [len(output) for output in linked(larger)] == [8, 8]


def test_an_auxiliary_may_be_another_kind_of_network() -> None:
    blocks = [["stem", "body.1"], ["0", "2"]]
    x = inputs((3, 16, 16))
    other = nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=2), nn.ReLU(), nn.Conv2d(5, 7, 3), nn.Flatten(), nn.LazyLinear(1)
    )
    other(x)
    linked: Any = auxbench.branches([ConvNet(), other], blocks, x, steps=STEPS)
    assert linked.pairs == {0: [0], 1: [1]}
    train(linked, x, 2, adamw(linked))


def test_a_chain_of_equal_blocks_has_four_stages_as_in_the_paper() -> None:
    layers = [nn.Sequential(*(nn.Linear(4, 4) for _ in range(12))) for _ in range(2)]
    names = [str(number) for number in range(12)]
    linked = auxbench.branches(layers, names, inputs(), steps=STEPS)
    assert [len(part) for part in linked.strengths().values()] == [24, 24]
    ends = auxbench.branches(layers, names, inputs(), steps=STEPS, links="stage")
    assert [len(part) for part in ends.strengths().values()] == [4, 4]


def test_several_arguments_and_keywords() -> None:
    class Two(MLP):
        def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
            return super().forward(x * scale)

    x = inputs()
    linked = auxbench.branches([Two(), Two()], MLP_BLOCKS, (x, 2.0), steps=STEPS)
    assert torch.equal(linked(x, scale=2.0)[0], linked.networks[0](x, 2.0))


# what the search changes


def test_search_changes_strengths_only_and_training_everything_else() -> None:
    class Normed(MLP):
        def __init__(self) -> None:
            super().__init__()
            self.third = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))  # type: ignore[assignment]

    linked: Any = auxbench.branches([Normed(), Normed()], MLP_BLOCKS, inputs(), steps=STEPS)
    train(linked, inputs(), 2, adamw(linked))  # fusions are no longer zero
    before = copy.deepcopy(linked.state_dict())
    gradients = {name: part.grad.clone() for name, part in weights(linked).items()}
    linked.search(lambda: squares(linked(inputs())))
    changed = [
        name
        for name, value in linked.state_dict().items()
        if isinstance(value, Tensor) and not torch.equal(value, before[name])
    ]
    assert sorted(changed) == ["logits.a2p/1", "logits.p2a/1"]
    for name, gradient in gradients.items():
        assert torch.equal(linked.get_parameter(name).grad, gradient)
    strengths = linked.strengths()
    optimizer = adamw(linked)
    sum(squares(linked(inputs()))).backward()
    optimizer.step()
    assert linked.strengths() == strengths
    assert all(part.grad is not None for part in weights(linked).values())


def test_losses_of_search_may_come_in_any_form() -> None:
    first = linked_mlps()
    train(first, inputs(), 1, adamw(first))  # fusions are no longer zero
    before, found = first.strengths(), []
    forms: list[Callable[[list[Tensor]], Any]] = [
        list,
        iter,
        lambda losses: dict(zip("ab", losses, strict=True)),
        lambda losses: losses[0] + losses[1],
    ]
    for form in forms:
        linked = copy.deepcopy(first)
        linked.search(lambda form=form, linked=linked: form(squares(linked(inputs()))))
        found.append(linked.strengths())
    assert found == found[:1] * 4
    assert found[0] != before


def test_after_its_steps_the_search_is_over() -> None:
    linked = linked_mlps(steps=3)
    train(linked, inputs(), 5, adamw(linked))
    before = linked.strengths()
    linked.search(lambda: pytest.fail("the closure is called"))
    assert linked.strengths() == before
    linked.primary()


def test_a_stopped_training_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    def dropped() -> Any:
        networks = [MLP(dropout=0.5), MLP(dropout=0.5)]
        return auxbench.branches(networks, MLP_BLOCKS, inputs(), steps=STEPS)

    one, two = dropped(), dropped()
    optimizers = adamw(one), adamw(two)
    train(one, inputs(), 4, optimizers[0])
    torch.save([one.state_dict(), optimizers[0].state_dict()], tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    two.load_state_dict(saved[0])
    optimizers[1].load_state_dict(saved[1])
    three = copy.deepcopy(one)
    rest = []
    for linked, optimizer in ((one, optimizers[0]), (two, optimizers[1]), (three, None)):
        if optimizer is None:
            optimizer = adamw(three)
            optimizer.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True)[1])
        torch.manual_seed(3)
        rest.append(train(linked, inputs(), STEPS - 4, optimizer))
    assert rest[0] == rest[1] == rest[2]
    assert two.strengths() == three.strengths() == one.strengths()
    with pytest.raises(UsageError, match=r"over 12 steps, not 5; give steps=12"):
        linked_mlps(steps=5).load_state_dict(one.state_dict())


def test_a_move_takes_the_state_of_the_search_along() -> None:
    linked = linked_mlps()
    train(linked, inputs(), 2, adamw(linked))
    linked.double()
    state = linked._search.optimizer.state
    assert all(state[part]["exp_avg"].dtype == torch.float64 for part in linked.logits.values())
    train(linked, inputs().double(), 2, adamw(linked))


# networks run side by side


def test_modes_that_a_network_sets_reach_no_other() -> None:
    class Half(MLP):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return super().forward(x).float()

    linked = auxbench.branches([MLP(), Half(), MLP()], MLP_BLOCKS, inputs(), steps=STEPS)
    networks = list(linked.networks)
    outputs = linked(inputs())
    assert all(
        torch.equal(output, network(inputs()))
        for output, network in zip(outputs, networks, strict=True)
    )
    assert not torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", torch.bfloat16):
        types = {output.dtype for output in linked(inputs())}
    assert types == {torch.bfloat16, torch.float32}
    with torch.inference_mode():
        assert all(output.is_inference() for output in linked(inputs()))


def test_an_error_in_a_network_ends_them_all() -> None:
    class Broken(MLP):
        broken = False

        def forward(self, x: Tensor) -> Tensor:
            x = self.second(self.first(x))
            if self.broken:
                raise ZeroDivisionError
            return self.third(x)  # type: ignore[no-any-return]

    for place in range(3):
        networks = [Broken() for _ in range(3)]
        linked = auxbench.branches(networks, MLP_BLOCKS, inputs(), steps=STEPS)
        networks[place].broken = True
        with pytest.raises(ZeroDivisionError):
            linked(inputs())
        assert threading.active_count() == 1
        assert not any(module._forward_hooks for module in linked.modules())
        networks[place].broken = False
        linked(inputs())


def test_features_are_freed_with_the_outputs() -> None:
    linked = linked_mlps(3)
    features: list[weakref.ref[Tensor]] = []
    for network in linked.networks:
        network.second.register_forward_hook(
            lambda module, args, output: features.append(weakref.ref(output))
        )
    linked(inputs())
    gc.collect()
    gc.disable()  # a cycle of references would keep them until the next collection
    try:
        linked.search(lambda: squares(linked(inputs())))
        torch.stack(squares(linked(inputs()))).sum().backward()
        assert [feature() for feature in features[3:]] == [None] * 6
    finally:
        gc.enable()


def test_parameters_can_be_replaced_in_a_call() -> None:
    linked = linked_mlps()
    zeros = {name: torch.zeros_like(part) for name, part in linked.named_parameters()}
    outputs = torch.func.functional_call(linked, zeros, (inputs(),))
    assert all(torch.equal(output, torch.zeros(8, 1)) for output in outputs)


def test_checkpoints_inside_blocks_change_nothing() -> None:
    class Checkpointed(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = checkpoint(self.inner, x, use_reentrant=False)
            return found

    linked, other = linked_mlps(), linked_mlps()
    other.load_state_dict(linked.state_dict())
    for network in other.networks:
        network.second = Checkpointed(network.second)
    assert train(linked, inputs(), 3, adamw(linked)) == train(other, inputs(), 3, adamw(other))


# errors


class Odd(MLP):
    """A perceptron that does something wrong when it is told to."""

    wrong = ""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.wrong == "order":
            return self.head(self.second(self.third(x)))  # type: ignore[no-any-return]
        if self.wrong == "twice":
            x = self.second(x)
        if self.wrong == "frozen":
            with torch.no_grad():
                x = self.second(x)
        elif self.wrong == "recomputed":
            x = checkpoint(self.second, x, use_reentrant=True)
        elif self.wrong == "inplace":
            x = F.relu(self.second(x), inplace=True)
        elif self.wrong == "batch":
            x = self.second(x[:4])
        elif self.wrong != "missing":
            x = self.second(x)
        return self.head(self.third(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("order", "block 'second' of .* did not run in its turn"),
        ("twice", "block 'second' of .* ran a second time"),
        ("frozen", "block 'second' of .* runs without gradients"),
        ("recomputed", "block 'second' of .* runs without gradients"),
        ("inplace", r"output of block 'second' of .* is changed in place .* ReLU\(inplace=True\)"),
        ("batch", "block 'second' and its partners have features of (4, 8|8, 4) samples"),
        ("missing", "block 'second' of .* did not run in its turn"),
    ],
)
def test_a_pass_that_cannot_be_linked_is_refused(wrong: str, words: str, place: int) -> None:
    networks = [Odd(), Odd()]
    linked = auxbench.branches(networks, MLP_BLOCKS, inputs(), steps=STEPS)
    networks[place].wrong = wrong
    if wrong == "inplace":  # with open links it is their sum that is changed, which does no harm
        linked(inputs())
        for logits in linked.logits.values():
            logits.data.fill_(-50)
        linked.load_state_dict(linked.state_dict())
    with pytest.raises(UsageError, match=words) as error:
        linked(inputs().requires_grad_())
    assert "\n" not in str(error.value)
    assert ["the primary", "auxiliary network 1"][place] in str(error.value) or wrong == "batch"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("order", r"run in another order; give them as \['first', 'third', 'second'\]"),
        ("twice", "block 'second' of auxiliary network 1 runs 2 times"),
        ("missing", "block 'second' of auxiliary network 1 does not run"),
        ("inplace", "output of block 'second' of auxiliary network 1 is changed in place"),
    ],
)
def test_blocks_that_run_otherwise_are_refused_at_once(wrong: str, words: str) -> None:
    networks = [Odd(), Odd()]
    networks[1].wrong = wrong
    with pytest.raises(UsageError, match=words):
        auxbench.branches(networks, MLP_BLOCKS, inputs(), steps=STEPS)


class Tuples(MLP):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.lstm(x)[0])


def shared() -> list[nn.Module]:
    one, two = MLP(), MLP()
    two.second = one.second
    return [one, two]


def tied() -> list[nn.Module]:
    one, two = MLP(), MLP()
    two.second.weight = one.second.weight
    return [one, two]


def twins(make: Make = MLP) -> list[nn.Module]:
    return [make(), make()]


@pytest.mark.parametrize(
    ("networks", "blocks", "options", "words"),
    [
        (
            twins(),
            ["first", "secnd"],
            {},
            "primary network has no block 'secnd'; did you mean 'second'",
        ),
        (twins(), [""], {}, "the primary network has no block ''"),
        (twins(), ["zzz"], {}, "no block 'zzz'; choose one of drop, first, head, second, third"),
        (twins(), [["first"], ["nope"]], {}, "auxiliary network 1 has no block 'nope'"),
        (twins(), ["first", "first"], {}, "block 'first' of the primary network is named twice"),
        (twins(), [], {}, "give a list of names"),
        (twins(), "first", {}, "give a list of names"),
        (twins(), [["first"], ["first", "second"]], {}, "have 1, 2 blocks"),
        (twins(), [["first"], []], {}, "have 1, 0 blocks"),
        (twins(), [["first"]], {}, "1 lists of blocks for 2 networks"),
        (twins(Tuples), ["lstm"], {}, "block 'lstm' of the primary network returns a tuple"),
        (shared(), MLP_BLOCKS, {}, "the primary network and auxiliary network 1 share 'second'"),
        (tied(), MLP_BLOCKS, {}, "share 'second.weight'"),
        ([MLP()] * 2, MLP_BLOCKS, {}, "are the same module"),
        ([MLP()], MLP_BLOCKS, {}, "two networks or more"),
        (MLP(), MLP_BLOCKS, {}, "give them as a list"),
        ([MLP(), "net"], MLP_BLOCKS, {}, "auxiliary network 1 is a str"),
        (twins(), MLP_BLOCKS, {"steps": 2}, "steps is 2"),
        (twins(), MLP_BLOCKS, {"l1": -1.0}, "l1 is -1"),
        (twins(), MLP_BLOCKS, {"rate": 0.0}, "rate is 0"),
        (twins(), MLP_BLOCKS, {"links": "all"}, "links is 'all'; choose one of 'block', 'stage'"),
        (twins(), MLP_BLOCKS, {"directions": "a2p"}, "directions is 'a2p'"),
        (twins(), MLP_BLOCKS, {"channel_dim": 2}, "channel_dim is 2"),
    ],
)
def test_what_cannot_be_linked_is_said_in_a_sentence(
    networks: Any, blocks: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as error:
        auxbench.branches(networks, blocks, inputs(), **({"steps": STEPS} | options))
    assert "\n" not in str(error.value)


def test_sequences_of_other_lengths_and_other_kinds_of_features_are_refused() -> None:
    class Longer(ViT):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 16, 2, stride=2)
            self.positions = nn.Parameter(torch.zeros(1, 64, 16))

    x = inputs((3, 16, 16))
    with pytest.raises(UsageError, match=r"gives \[8, 16, 16\] and .* \[8, 64, 16\]; links need"):
        auxbench.branches([ViT(), Longer()], ["blocks.0"], x, steps=STEPS)
    with pytest.raises(UsageError, match=r"gives \[8, 6, 16, 16\] and 'blocks.0' .* \[8, 16, 16\]"):
        auxbench.branches([ConvNet(), ViT()], [["stem"], ["blocks.0"]], x, steps=STEPS)
    rows = [nn.Conv1d(4, 4, 3, padding=1), nn.Conv1d(4, 6, 5)]
    both = [nn.Sequential(layer) for layer in rows]
    linked = auxbench.branches(both, ["0"], inputs((4, 9)), steps=STEPS, channel_dim=1)
    assert linked(inputs((4, 9)))[1].shape == (8, 6, 5)


@pytest.mark.parametrize("example", ["x", inputs((3,)), (inputs(), 1)])
def test_an_example_that_a_network_cannot_read_is_refused(example: Any) -> None:
    words = r"the primary network does not run on the example \((Type|Runtime)Error: "
    with pytest.raises(UsageError, match=words) as error:
        auxbench.branches(twins(), MLP_BLOCKS, example, steps=STEPS)
    assert "\n" not in str(error.value)


def test_features_unlike_the_example_are_refused() -> None:
    networks = [nn.Sequential(nn.Identity(), nn.LazyLinear(2)) for _ in range(2)]
    linked = auxbench.branches(networks, ["0"], inputs(), steps=STEPS)
    with pytest.raises(UsageError, match=r"links from 4 channels to 4 met .* \[8, 5\]"):
        linked(inputs((5,)))


@pytest.mark.parametrize("wrong", ["elsewhere", "no_grad"])
def test_losses_that_do_not_depend_on_links_are_refused(wrong: str) -> None:
    linked = linked_mlps()

    @torch.no_grad()
    def ungraded() -> list[Tensor]:
        return squares(linked(inputs()))

    def elsewhere() -> list[Tensor]:
        return squares([network(inputs()) for network in linked.networks])

    with pytest.raises(UsageError, match="do not depend on the links"):
        linked.search(elsewhere if wrong == "elsewhere" else ungraded)
    assert linked.searched == 0
    assert not any(logits.requires_grad for logits in linked.logits.values())


def test_arguments_of_another_kind_are_refused() -> None:
    linked = linked_mlps()
    with pytest.raises(UsageError, match="closure is a list; give a function that returns the lo"):
        linked.search(squares(linked(inputs())))  # type: ignore[arg-type]
    networks = [nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(2)]
    with pytest.raises(UsageError, match="blocks have a ReLU; give the names of modules"):
        auxbench.branches(networks, [networks[0][1]], inputs(), steps=STEPS)  # type: ignore[list-item]


def test_a_search_by_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    linked = linked_mlps()
    with pytest.raises(UsageError, match="joins 2 processes"):
        linked.search(lambda: squares(linked(inputs())))


def test_losses_that_are_no_numbers_end_the_search() -> None:
    linked = linked_mlps()
    before = linked.strengths()
    with pytest.raises(Diverged, match="became nan at step 0"):
        linked.search(lambda: [loss * float("nan") for loss in squares(linked(inputs()))])
    assert linked.strengths() == before


# words


@pytest.mark.parametrize("name", ["own", "own_branches", "own_fusion", "own_given"])
def test_its_examples_run(name: str) -> None:
    found = doctest.testmod(import_module(f"auxbench.methods._linked.{name}"))
    assert not found.failed
    assert found.attempted or name == "own_branches"


def test_the_page_runs() -> None:
    parts = PAGE.read_text(encoding="utf-8").split("```python\n")[1:]
    assert len(parts) > 2
    space: dict[str, Any] = {}
    for part in parts:
        exec(part.partition("```")[0], space)  # the page is ours
