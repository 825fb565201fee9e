"""Backbones by their names.

For images they are timm networks (`image`), for vectors perceptrons (`mlp`), and for either modules
of the user's own (`own`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from auxbench.data.imports import uncollected
from auxbench.errors import UsageError
from auxbench.networks import mlp
from auxbench.networks.own import own_backbone, takes_vectors
from auxbench.networks.stages import Backbone, Size, grouped
from auxbench.spec.grammar import Choice
from auxbench.spec.networks import ELSE, TESTED
from auxbench.spec.registry import BACKBONES

__all__ = ["Backbone", "build", "is_backbone", "preload", "reads_vectors", "resolve"]

# backbones for vectors, which are not timm's
_VECTORS: dict[str, Callable[..., list[nn.Module]]] = {"mlp": mlp.blocks}


def build(
    name: str,
    size: int | Size,
    pretrained: bool | Path = False,
    features: int = 0,
    **options: Any,
) -> Backbone:
    """A new backbone by its name: registered, a timm network for images, or `mlp` for vectors.

    `size` is (height, width) of the images in pixels, or one number for square images. With
    `features` above 0 the inputs are vectors of that length, and the backbone is `mlp`. Options may
    follow the name as in `resnet50:output_stride=8`, or be keywords. Initial values are drawn from
    torch's global random state. `pretrained` loads ImageNet weights, or those in a file (see
    `pretrained.py`); inputs are expected to be normalised with ImageNet's mean and standard
    deviation, and are converted if the weights expect others. Parameters that do not affect the
    features (classifiers, final norms) are left out.

    The option `output_stride` (8 or 16) replaces the last strides by dilation, as DeepLab does.
    timm offers it for many networks; for VGG it is implemented here.

    The first time that a timm network is built in a process, the result is compared with timm's own
    features on a small batch. Errors: `UsageError` for an unknown name or option, a backbone that
    does not fit the inputs, a network that is not a chain of blocks, an unsuitable image size, and
    weights that cannot be loaded.

    Sources of timm and of the dilated form: Wightman, PyTorch Image Models, 2019,
    https://github.com/huggingface/pytorch-image-models; Chen, Papandreou, Kokkinos, Murphy,
    Yuille, DeepLab, TPAMI 2018, https://arxiv.org/abs/1606.00915.

    >>> import torch
    >>> backbone = build("test_convnext", 64)
    >>> backbone.stages, backbone.reductions
    ((1, 2, 4, 2), (4, 8, 16, 32))
    >>> [tuple(feature.shape) for feature in build("test_vit", (32, 64))(torch.zeros(2, 3, 32, 64))]
    [(2, 64, 2, 4), (2, 64, 2, 4), (2, 64, 2, 4), (2, 64, 2, 4)]
    >>> [tuple(feature.shape) for feature in build("mlp", 0, features=10)(torch.zeros(2, 10))]
    [(2, 128, 1, 1), (2, 128, 1, 1), (2, 128, 1, 1)]
    """
    choice = Choice.parse(name)
    _suits(choice.name, features, pretrained)
    size = (size, size) if isinstance(size, int) else size
    if choice.name in BACKBONES:
        initial = pretrained if isinstance(pretrained, Path) else None
        return own_backbone(choice, BACKBONES[choice.name], size, features, initial, options)
    if features:
        return _perceptron(choice, features, options)
    from auxbench.networks.image import image_backbone  # timm, which takes seconds to import

    return image_backbone(choice, size, pretrained, options)


def resolve(text: str, features: int = 0, pretrained: bool | Path = False) -> str:
    """A backbone's canonical text, so that different spellings give the same run.

    `pretrained` is as for `build`. Errors: `UsageError` for an unknown name, with the most similar
    one, and for a backbone that does not fit the inputs: vectors of length `features`, or images if
    that is 0.

    >>> resolve("mlp:width=32:depth=3", features=10)
    'mlp:width=32'
    """
    choice = Choice.parse(text)
    _suits(choice.name, features, pretrained)
    if choice.name in BACKBONES:
        _is_free(choice.name)
        return str(choice.canonical(BACKBONES[choice.name]))
    if features:
        return str(choice.canonical(_VECTORS[choice.name]))
    return str(Choice(choice.name, dict(sorted(choice.options.items()))))


def reads_vectors(name: str) -> bool:
    """Return whether a backbone takes vectors, and not images."""
    return takes_vectors(BACKBONES[name]) if name in BACKBONES.names() else name in _VECTORS


def is_backbone(name: str) -> bool:
    """Return whether there is a backbone of that name: a registered one, `mlp`, or timm's."""
    known = (*_VECTORS, *BACKBONES.names(), *(entry.name for entry in TESTED))
    if name in known:
        return True
    import timm  # which takes seconds

    return bool(timm.is_model(name))


def preload(text: str) -> None:
    """Import what building a backbone takes, if it is heavy: processes forked later have it."""
    name = Choice.parse(text).name
    if name not in _VECTORS and name not in BACKBONES:
        with uncollected():
            import_module("auxbench.networks.image")


def _suits(name: str, features: int, pretrained: bool | Path) -> None:
    own: Any = BACKBONES[name] if name in BACKBONES.names() else None
    vectors = takes_vectors(own) if own else name in _VECTORS
    if vectors and not features:
        raise UsageError(f"backbone '{name}' takes vectors, and the data are images; {ELSE}")
    if pretrained is True and own:
        raise UsageError(
            f"backbone '{name}' has no pretrained weights; give some by --weights FILE."
        )
    if pretrained and vectors and not own:
        raise UsageError(f"backbone '{name}' has no pretrained weights; leave out --pretrained.")
    if not own and not vectors and all(name != entry.name for entry in TESTED):
        _known(name)
    if features and not vectors:
        others = " or ".join(f"'{other}'" for other in _VECTORS)
        hint = ", or give its constructor the parameter features" if own else ""
        raise UsageError(
            f"backbone '{name}' takes images, and the data are vectors; choose {others}{hint}."
        )


def _is_free(name: str) -> None:
    """Refuse a registered backbone whose name means another network to everybody else."""
    import timm  # which takes seconds

    if name in _VECTORS or timm.is_model(name):
        whose = "auxbench's" if name in _VECTORS else "timm's"
        raise UsageError(f"backbone '{name}' has the name of one of {whose}; rename its file.")


def _known(name: str) -> None:
    with uncollected():
        import timm  # which takes seconds

    if not timm.is_model(name):
        close = difflib.get_close_matches(
            name, [*_VECTORS, *BACKBONES.names(), *timm.list_models()], n=1
        )
        hint = f"did you mean '{close[0]}'?" if close else ELSE
        raise UsageError(f"no backbone is called '{name}'; {hint}")


def _perceptron(choice: Choice, features: int, options: dict[str, Any]) -> Backbone:
    make = _VECTORS[choice.name]
    stages = grouped(make(features, **(choice.values(make) | options)))
    return Backbone(
        mlp.Token(),
        stages,
        channels=[_wide(stage[-1]) for stage in stages],
        reductions=[1] * len(stages),
        layout="NLC",
        prefix=0,
        size=(1, 1),
        features=features,
    )


def _wide(block: nn.Module) -> int:
    return [layer.out_features for layer in block.modules() if isinstance(layer, nn.Linear)][-1]
