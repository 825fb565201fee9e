"""Steps of LibMTL's weighting methods, from a user's checkout, on the network of `steps.py`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import torch

from auxbench.errors import UsageError

PACKAGE, WEIGHTING = "LibMTL", "weighting"
EPOCH = 2  # the first in which none of its methods is still starting up
CLASSES = {
    "alignedmtl": "Aligned_MTL",
    "cagrad": "CAGrad",
    "dbmtl": "DB_MTL",
    "dwa": "DWA",
    "fairgrad": "FairGrad",
    "famo": "FAMO",
    "gls": "GLS",
    "graddrop": "GradDrop",
    "gradnorm": "GradNorm",
    "gradvac": "GradVac",
    "imtlg": "IMTL",
    "mgda": "MGDA",
    "nashmtl": "Nash_MTL",
    "pcgrad": "PCGrad",
    "rlw": "RLW",
    "static": "EW",
    "stch": "STCH",
    "upgrad": "UPGrad",
    "uw": "UW",
}
OPTIONS: dict[str, Any] = {  # ours, by the names that its releases have for them
    "T": 2.0,
    "alpha": 1.5,
    "beta": 0.01,
    "GradVac_beta": 0.01,
    "GradVac_group_type": 0,
    "calpha": 0.5,
    "rescale": 1,
    "mgda_gn": "none",
    "leak": 0.0,
    "dist": "Normal",
    "update_weights_every": 1,
    "optim_niter": 20,
    "max_norm": 1.0,
    "FairGrad_alpha": 2.0,
    "FAMO_w_lr": 0.025,
    "FAMO_w_gamma": 1e-3,
    "STCH_mu": 1.0,
    "STCH_warmup_epoch": 4,
    "DB_beta": 0.9,
    "DB_beta_sigma": 0.0,
    "UPGrad_norm_eps": 1e-4,
    "UPGrad_reg_eps": 1e-4,
}


def checked(checkout: Path) -> Path:
    """The root of a checkout; errors: `UsageError` for a folder without LibMTL."""
    if not (checkout / PACKAGE / WEIGHTING).is_dir():
        raise UsageError(
            f"'{checkout}' has no folder '{PACKAGE}/{WEIGHTING}'; give the root of a LibMTL "
            "checkout or of an unpacked wheel."
        )
    return checkout


def version(checkout: Path) -> str:
    """The release of an unpacked wheel, or 'a checkout'."""
    found = [each.name.split("-")[1] for each in checkout.glob(f"{PACKAGE}-*.dist-info")]
    return found[0].removesuffix(".dist") if found else "a checkout"


def weighting(checkout: Path, name: str) -> Any:
    """LibMTL's class of that name.

    Its packages are entered without being carried out, since they import data sets, networks and
    solvers that most of its methods do not need. Errors: `ImportError`.
    """
    _enter(PACKAGE, checkout / PACKAGE)
    _enter(f"{PACKAGE}.{WEIGHTING}", checkout / PACKAGE / WEIGHTING)
    with _nothing_installed():
        return getattr(importlib.import_module(f"{PACKAGE}.{WEIGHTING}.{name}"), name)


def _enter(package: str, folder: Path) -> None:
    entered = sys.modules.get(package)
    if entered is not None and list(entered.__path__) == [str(folder)]:
        return
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        del sys.modules[name]  # of another checkout
    module = ModuleType(package)
    module.__path__ = [str(folder)]
    sys.modules[package] = module


@contextmanager
def _nothing_installed() -> Iterator[None]:
    """A context in which pip cannot be imported: LibMTL's Nash-MTL installs its solver by it."""
    kept = {name: part for name, part in sys.modules.items() if f"{name}.".startswith("pip.")}
    for name in kept:
        del sys.modules[name]
    sys.modules["pip"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pip"]
        sys.modules.update(kept)


def step(
    method: str,
    tasks: int,
    checkout: Path,
    make_hand: Callable[[int], Any],
    device: str = "cpu",
) -> Callable[[], object] | None:
    """The method as LibMTL's trainer uses it, on a network made by hand; None where it has none.

    The method's class is mixed with one that knows the network, as LibMTL mixes it with an
    architecture. A method that cannot be imported or cannot take a step is left out with a note.
    """
    name = CLASSES.get(method)
    if name is None or not (checkout / PACKAGE / WEIGHTING / f"{name}.py").is_file():
        return None
    try:
        made = _step(weighting(checkout, name), tasks, make_hand(tasks), device)
        made()
    except Exception as error:  # of old code under a new torch, and of missing packages
        click.echo(f"{method} by LibMTL is left out: {_cause(error)}", err=True)
        return None
    return made


def _cause(error: BaseException) -> str:
    """The error in one line, or the first of the failed imports that led to it."""
    cause, before = error, error.__context__
    while before is not None:
        cause = before if isinstance(before, ImportError) else cause
        before = before.__context__
    return " ".join(str(cause).split()) or type(cause).__name__


def mixed(weighting: Any, tasks: int, hand: Any, device: str = "cpu") -> Any:
    """A model in LibMTL's sense: its weighting, on the shared parameters of a network by hand."""
    kind = type(
        "Mixed",
        (weighting,),
        {
            "task_num": tasks,
            "task_name": [str(task) for task in range(tasks)],
            "device": torch.device(device),
            "rep_grad": False,
            "multi_input": False,
            "epoch": EPOCH,
            "train_loss_buffer": np.ones((tasks, EPOCH + 1)),
            "get_share_params": lambda self: hand.trunk.parameters(),
            # It writes into gradients, which must not become None.
            "zero_grad_share_params": lambda self: hand.trunk.zero_grad(set_to_none=False),
        },
    )
    model = kind()
    model.init_param()
    return model.to(device)


def _step(weighting: Any, tasks: int, hand: Any, device: str) -> Callable[[], object]:
    model = mixed(weighting, tasks, hand, device)
    if learned := list(model.parameters()):
        hand.optimizer.add_param_group({"params": learned})

    def stepped() -> None:
        losses = torch.zeros(tasks, device=device)
        for place, loss in enumerate(hand.losses(hand.features())):
            losses[place] = loss
        losses.sum().item()
        hand.optimizer.zero_grad(set_to_none=False)
        model.backward(losses, **OPTIONS)
        hand.optimizer.step()
        if hasattr(model, "update_w"):  # FAMO looks at the losses again
            with torch.no_grad():
                model.update_w(torch.stack(hand.losses(hand.features())))

    return stepped
