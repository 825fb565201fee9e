"""The contract of backbones, for one's own and for networks from timm.

A check takes a backbone as users write it, such as `mynet:width=16`. It is checked on tiny images
or vectors, whichever it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from auxbench.contract import documentation
from auxbench.contract.documentation import Broken, demand, listed, same_global_state
from auxbench.contract.dry_run import PRIMARY, carried, tiny, training
from auxbench.errors import AuxbenchError, UsageError
from auxbench.networks.backbone import Backbone, build, reads_vectors, resolve
from auxbench.networks.builder import Network
from auxbench.networks.exported import evaluation, exported_for_any_batch
from auxbench.spec.grammar import Choice
from auxbench.spec.registry import BACKBONES
from auxbench.training.loop import Training

METHODS = ("single", "hps", "auxnas")  # one network, a shared one, and linked ones


def it_says_in_a_sentence_what_it_is(part: str) -> None:
    """The module's docstring begins with a sentence of 21 to 159 characters."""
    documentation.it_says_in_a_sentence_what_it_is(part, BACKBONES)


def its_options_have_types_and_defaults(part: str) -> None:
    """Keyword-only parameters of the constructor have types, and defaults that can be typed."""
    documentation.its_options_have_types_and_defaults(part, BACKBONES)


def its_options_are_explained(part: str) -> None:
    """Every option has a help text of one or two short sentences."""
    documentation.its_options_are_explained(part, BACKBONES)


def its_examples_run(part: str) -> None:
    """The examples in docstrings give the output they show."""
    documentation.its_examples_run(part, BACKBONES)


@dataclass(frozen=True)
class _Place:
    """The tiny problem that a backbone is checked on."""

    dataset: str
    primary: str
    auxiliaries: tuple[str, ...]


IMAGES = _Place("rooms", PRIMARY, ("depth", "scene"))
VECTORS = _Place("toy", "primary", ("helpful", "useless"))


def place_of(part: str) -> _Place:
    """The tiny problem with the inputs that a backbone takes."""
    name = Choice.parse(part).name
    return VECTORS if reads_vectors(name) else IMAGES


def built(part: str, seed: int = 0) -> Backbone:
    """A new backbone, whose initial values are drawn with a seed."""
    data = tiny(place_of(part).dataset)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(part, data.size, features=data.features)


def inputs(part: str, count: int = 3) -> Tensor:
    """Random inputs of the size that the backbone is checked with, always the same."""
    data = tiny(place_of(part).dataset)
    shape = (data.features,) if data.features else (3, *data.size)
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))


def its_blocks_are_a_chain(part: str) -> None:
    """It can be built, and within a stage all features have the same shape."""
    try:
        backbone = built(part).eval()
    except UsageError as error:
        raise Broken(str(error)) from error
    x = inputs(part)
    maps = backbone(x)
    for stage, (found, wide) in enumerate(zip(maps, backbone.reductions, strict=True)):
        demand(
            found.ndim == 4 and bool(found.isfinite().all()),
            f"stage {stage} ends in {list(found.shape)}, or in numbers that are not finite.",
        )
        demand(wide >= 1, f"the cells of stage {stage} are {wide} pixels wide.")


def it_starts_as_the_seed_says(part: str) -> None:
    """Initial values are drawn from torch's random state, and from nothing else."""
    one, same, other = (built(part, seed).state_dict() for seed in (0, 0, 1))
    moved = [name for name in one if not torch.equal(one[name], same[name])]
    demand(
        not moved,
        f"built twice from the same random state, {listed(moved)} starts differently; draw from "
        "torch's global random state alone.",
    )
    demand(
        any(not torch.equal(one[name], other[name]) for name in one),
        "it starts alike from every random state; initialise it at random, and give weights with "
        "--weights.",
    )


def evaluation_draws_nothing(part: str) -> None:
    """In evaluation mode the same inputs give the same maps, and no random state changes."""
    backbone, x = built(part).eval(), inputs(part)
    with torch.no_grad(), same_global_state("draw nothing in evaluation mode"):
        one, other = backbone(x), backbone(x)
    demand(
        all(map(torch.equal, one, other)),
        "the same images give different maps in evaluation mode; keep nothing between calls.",
    )


def samples_do_not_depend_on_each_other(part: str) -> None:
    """In evaluation mode a sample has the same maps alone and in a batch."""
    backbone, x = built(part).eval(), inputs(part)
    with torch.no_grad():
        whole, alone = backbone(x)[-1][1:2], backbone(x[1:2])[-1]
    demand(
        torch.allclose(whole, alone, rtol=1e-3, atol=1e-4),
        "a sample has other maps in a batch than alone; use no statistics of the batch in "
        "evaluation mode.",
    )


def every_parameter_is_reached(part: str) -> None:
    """The maps depend on every parameter."""
    backbone = built(part)
    maps = backbone(inputs(part))
    torch.stack([found.square().mean() for found in maps]).sum().backward()  # type: ignore[no-untyped-call]
    lost = [name for name, p in backbone.named_parameters() if p.requires_grad and p.grad is None]
    demand(
        not lost,
        f"no map depends on the parameter {listed(lost)}; leave it out of the stem and the blocks.",
    )


def it_can_be_exported(part: str) -> None:
    """`auxbench deploy` can write a network with it as a programme for any batch size."""
    run = _training(part, METHODS[0])
    deployed, x = run.learner.architecture.deploy(), inputs(part)
    assert isinstance(deployed, Network)
    try:
        program, any_batch = exported_for_any_batch(deployed, x[:2])
    except AuxbenchError as error:
        raise Broken(
            f"{error}; keep to torch functions whose choice does not depend on values."
        ) from None
    demand(
        any_batch,
        "exported it takes one batch size only; write x.shape[0] in place of len(x), and -1 where "
        "a size follows from the others.",
    )
    with evaluation(deployed):
        same = torch.allclose(program.module()(x), deployed(x), rtol=1e-4, atol=1e-5)
    demand(same, "exported it predicts something else.")


def one_network_trains(part: str) -> None:
    """`single` trains three steps with it, with the same result both times."""
    _trains(part, METHODS[0])


def a_shared_network_trains(part: str) -> None:
    """`hps` trains three steps with it, with the same result both times."""
    _trains(part, METHODS[1])


def linked_networks_train(part: str) -> None:
    """`auxnas` trains three steps with its blocks linked, with the same result both times."""
    _trains(part, METHODS[2])


def _trains(part: str, method: str) -> None:
    ends = []
    for _ in range(2):
        run = _training(part, method)
        run.run()
        ends.append(carried(run))
    demand(
        ends[0] == ends[1],
        f"two trainings of {method} end differently; keep nothing outside parameters and buffers.",
    )


def _training(part: str, method: str) -> Training:
    place = place_of(part)
    return training(
        method,
        auxiliaries=place.auxiliaries,
        primary=place.primary,
        backbone=part,
        dataset=place.dataset,
        flops=False,
    )


def measured(part: str) -> list[dict[str, Any]]:
    """The stages of a backbone: their blocks, channels, reduction and parameters.

    Errors: `UsageError` for a backbone that cannot be built on small images or vectors.
    """
    resolve(part, tiny(place_of(part).dataset).features)
    backbone = built(part)
    stages, first = [], 0
    for place, end in enumerate(backbone.ends):
        modules = [*backbone.blocks[first : end + 1], *([] if first else [backbone.stem])]
        stages.append(
            {
                "blocks": end + 1 - first,
                "channels": backbone.channels[end],
                "reduction": backbone.reductions[place],
                "parameters": sum(p.numel() for module in modules for p in module.parameters()),
            }
        )
        first = end + 1
    return stages
