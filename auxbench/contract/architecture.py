"""The contract of architectures, checked on a backbone of every kind."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from auxbench.contract.documentation import Broken, demand, listed, maker_of, same_global_state
from auxbench.contract.dry_run import SINGLE, builder, images, training, weights_of
from auxbench.cost.training import Meter
from auxbench.errors import AuxbenchError, UsageError
from auxbench.networks.exported import evaluation, exported_for_any_batch
from auxbench.spec.budget import BUDGETS
from auxbench.spec.grammar import Choice
from auxbench.training.architecture import Architecture
from auxbench.training.learner import Learner

BACKBONES = ("test_resnet", "test_vit", "test_convnext")


def architecture_of(part: str, backbone: str = BACKBONES[0]) -> Architecture:
    """The architecture on a backbone, with the options in its name."""
    maker = maker_of(part)
    architecture: Architecture = maker(builder(backbone), **Choice.parse(part).values(maker))
    return architecture


def _on_every_backbone(part: str) -> Iterator[tuple[str, Architecture]]:
    """The architecture on one backbone of every kind, and the words 'on ...'."""
    for backbone in BACKBONES:
        try:
            architecture = architecture_of(part, backbone)
        except UsageError:  # the page of pairs says what is refused
            continue
        yield f"on {backbone}", architecture


def it_can_be_built(part: str) -> None:
    """At least one kind of backbone is accepted."""
    reasons = []
    for backbone in BACKBONES:
        try:
            architecture_of(part, backbone)
        except UsageError as error:
            reasons.append(str(error))
    demand(
        len(reasons) < len(BACKBONES),
        f"it refuses {', '.join(BACKBONES)}, with these words: {reasons[:1]}; accept one of them.",
    )


def every_task_gets_a_prediction_of_its_shape(part: str) -> None:
    """`forward` gives a map or a vector per trained task."""
    for place, architecture in _on_every_backbone(part):
        x = images()
        predictions = architecture(x)
        names = {task.name for task in architecture.tasks}
        demand(
            set(predictions) == names,
            f"{place} forward() predicts {sorted(predictions)}; the trained tasks are "
            f"{sorted(names)}.",
        )
        for task in architecture.tasks:
            wanted = [len(x), task.outputs, *(x.shape[-2:] if task.dense else ())]
            found = list(predictions[task.name].shape)
            demand(
                found == wanted,
                f"{place} the prediction for '{task.name}' has the shape {found}; give {wanted}.",
            )


def the_deployed_network_is_the_primarys_alone(part: str) -> None:
    """`deploy` gives the primary's prediction from the trained parameters, and nothing else."""
    for place, architecture in _on_every_backbone(part):
        architecture.eval()
        deployed, primary = architecture.deploy().eval(), architecture.primary
        x = images()
        wanted = [len(x), primary.outputs, *(x.shape[-2:] if primary.dense else ())]
        found = list(deployed(x).shape)
        demand(
            found == wanted,
            f"{place} the deployed network gives the shape {found}; give the primary's, {wanted}.",
        )
        own = {id(p) for p in architecture.parameters()}
        foreign = [name for name, p in deployed.named_parameters() if id(p) not in own]
        demand(
            not foreign,
            f"{place} the deployed network has parameters that are not trained, such as "
            f"'{(foreign or [''])[0]}'; deploy the very same parameters, not copies.",
        )


def the_deployed_network_can_be_exported(part: str) -> None:
    """`auxbench deploy` can write the deployed network as a programme that predicts the same."""
    for place, architecture in _on_every_backbone(part):
        deployed, x = architecture.deploy(), images()
        try:
            program, any_batch = exported_for_any_batch(deployed, x)
        except AuxbenchError as error:
            raise Broken(
                f"{place} {error}; keep to torch functions whose choice does not depend on values."
            ) from None
        demand(
            any_batch,
            f"{place} the deployed network takes one batch size only when it is exported; write "
            "x.shape[0] in place of len(x), and -1 where a size follows from the others.",
        )
        with evaluation(deployed):
            same = torch.allclose(program.module()(x), deployed(x), rtol=1e-4, atol=1e-5)
        demand(same, f"{place} the exported network predicts something else than the deployed one.")


def the_primary_starts_as_everywhere(part: str) -> None:
    """The architecture contains the initial single-task network, bit for bit."""
    for place, architecture in _on_every_backbone(part):
        single = architecture_of(SINGLE, place.removeprefix("on "))
        held: dict[torch.Size, list[Tensor]] = {}
        for value in architecture.state_dict().values():
            held.setdefault(value.shape, []).append(value)
        for name, value in single.deploy().state_dict().items():
            demand(
                any(torch.equal(value, other) for other in held.get(value.shape, [])),
                f"{place} nothing starts like '{name}' of the single-task network; make the "
                "primary's trunk and head with builder.trunk, builder.head or builder.network.",
            )
        if deploys_single(architecture, single):
            one, other = (net.deploy().eval()(images()) for net in (single, architecture))
            demand(
                torch.equal(one, other),
                f"{place} the deployed network at step 0 has the parameters of the single-task "
                "network but predicts something else; deploy that network.",
            )


def deploys_single(architecture: Architecture, single: Architecture) -> bool:
    """Return whether the deployed network's parameters have the single-task network's shapes."""
    one, other = (
        sorted(tuple(parameter.shape) for parameter in each.deploy().parameters())
        for each in (architecture, single)
    )
    return one == other


def every_parameter_is_reached(part: str) -> None:
    """Some prediction depends on every parameter that no phase of the architecture claims."""
    for place, architecture in _on_every_backbone(part):
        sum(p.square().mean() for p in architecture(images()).values()).backward()
        learner = Learner(architecture, (), BUDGETS["demo"], Meter())
        descended = set(learner.context.parameters)
        lost = [
            name
            for name, p in architecture.named_parameters()
            if p.grad is None and name in descended
        ]
        demand(
            not lost,
            f"{place} no prediction depends on the parameter {listed(lost)}; use it in forward(), "
            "claim it in a phase, or leave it out.",
        )


def the_global_random_state_is_left_alone(part: str) -> None:
    """Initial values come from the builder's seeds, and a forward pass draws nothing."""
    for backbone in BACKBONES:
        with same_global_state("initialise what is your own inside builder.seeds.seeded(...)"):
            try:
                architecture_of(part, backbone).eval()(images())
            except UsageError:
                continue


def every_weight_moves(part: str) -> None:
    """Three steps change every parameter that the descent owns."""
    run = training(part, flops=False)
    before = weights_of(run.learner.architecture)
    run.run()
    after = weights_of(run.learner.architecture)
    own = run.learner.context.parameters
    stuck = [name for name in own if torch.equal(before[name], after[name])]
    demand(
        not stuck,
        f"three steps of training leave the parameter {listed(stuck)} as it was; let a loss reach "
        "it, or leave it out.",
    )
