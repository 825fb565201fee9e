"""Preparation of backbones and data, done once before many processes need them."""

from __future__ import annotations

from auxbench.spec.run import Run


def prepare(runs: list[Run]) -> None:
    """Prepare backbones and data once, before many processes need them at the same time."""
    from auxbench.data.dataset import make_dataset
    from auxbench.networks import backbone
    from auxbench.networks.pretrained import kept

    sets = {
        (run.located, run.recipe.side, run.draw): make_dataset(
            run.located, run.recipe.side, run.draw
        )
        for run in runs
    }
    nets = {
        (run.located, run.recipe.side, run.backbone, run.pretrained, run.weights): run
        for run in runs
    }
    # backbones first, because one that cannot be built fails within seconds
    for run in nets.values():
        data = sets[run.located, run.recipe.side, run.draw]
        start = kept(run.weights) if run.weights else run.pretrained
        backbone.build(run.backbone, data.size, start, data.features)
    for data in sets.values():
        data.prepare()
