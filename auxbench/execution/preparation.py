"""Preparation of backbones and data, done once before many processes need them."""

from __future__ import annotations

from collections.abc import Callable

from filelock import FileLock, Timeout

from auxbench.data.prepared import cache
from auxbench.errors import Stopped, UsageError
from auxbench.spec.run import Run

LOOK = 1.0  # seconds between two questions whether to stop waiting


def prepare(runs: list[Run], stopping: Callable[[], bool] = lambda: False) -> None:
    """Prepare backbones and data, one process at a time of those that share a cache folder.

    The others wait and find them there. `stopping` is asked while this one waits. Errors: `Stopped`
    if it returns True; those of the data.
    """
    try:
        lock = FileLock(cache.root() / ".prepare.lock")
    except UsageError:  # nothing can be kept there for others; data that need it say so
        _prepare(runs)
        return
    while True:
        try:
            lock.acquire(timeout=LOOK)
            break
        except Timeout:
            if stopping():
                raise Stopped("stopped while another process prepared the data") from None
    try:
        _prepare(runs)
    finally:
        lock.release()


def _prepare(runs: list[Run]) -> None:
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
        backbone.preload(run.backbone)
        backbone.build(run.backbone, data.size, start, data.features)
    for data in sets.values():
        data.prepare()
