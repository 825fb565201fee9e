"""An adapter for vision models of Hugging Face's `transformers`: their stem and blocks in a row.

The package is not imported here: what counts are the names of the model's parts. A model is taken
only if its parts, applied one after the other, give its own last hidden state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from auxbench.errors import UsageError

__all__ = ["HuggingFace"]

STEMS = ("embeddings", "embedder")
CHAINS = ("layers", "encoder.layers", "encoder.layer", "encoder.stages")
PREFIXES = ("cls_token", "distillation_token", "register_tokens")  # before the patches


class HuggingFace(nn.Module):
    """A vision model as a backbone: ViT, DeiT, DINOv2 and others like them, ConvNeXt, ResNet.

    `model` is one without a task's head, such as `ViTModel`. With `interpolate` its position
    embeddings are stretched to the size of the images, where the model can do that. Inputs are
    normalised with ImageNet's mean and standard deviation. Errors: `UsageError` for a model that
    is no chain; `auxbench check` compares what it computes with the model's own hidden state.

    Source: Wolf et al., Transformers: State-of-the-Art Natural Language Processing, EMNLP 2020,
    https://aclanthology.org/2020.emnlp-demos.6.

        @BACKBONES.register
        class TinyVit(HuggingFace):
            \"\"\"Three layers, from random weights.\"\"\"

            def __init__(self, size: tuple[int, int]) -> None:
                config = ViTConfig(hidden_size=64, num_hidden_layers=3, image_size=size, ...)
                super().__init__(ViTModel(config, add_pooling_layer=False))
    """

    def __init__(self, model: nn.Module, *, interpolate: bool = False) -> None:
        super().__init__()
        self.model = model
        stem = next((part for name in STEMS if (part := _part(model, name)) is not None), None)
        chain = next((part for name in CHAINS if (part := _part(model, name)) is not None), None)
        if stem is None or chain is None:
            raise UsageError(
                f"{type(model).__name__} has no chain of blocks that is known here "
                f"({', '.join(CHAINS)}); name its parts yourself, as stem and blocks."
            )
        if getattr(stem, "mask_token", None) is not None:
            stem.mask_token = None  # which only pretraining reads
        self.words = {"interpolate_pos_encoding": True} if interpolate else {}
        self.stem = First(stem, self.words)
        self.blocks = nn.ModuleList(First(block) for one in chain for block in _blocks(one))
        self.prefix = sum(_tokens(stem, name) for name in PREFIXES)

    def forward(self, images: Tensor) -> Tensor:
        """The model's own hidden state after its last block, before a final norm."""
        output = self.model(images, output_hidden_states=True, **self.words)
        last: Tensor = output.hidden_states[-1]
        return last


class First(nn.Module):
    """A module that returns the first output of another, which may return a tuple."""

    def __init__(self, inner: nn.Module, words: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.words = words or {}

    def forward(self, feature: Tensor) -> Tensor:
        """The first output of the module."""
        output = self.inner(feature, **self.words)
        first: Tensor = output[0] if isinstance(output, tuple) else output
        return first


def _part(model: nn.Module, name: str) -> Any:
    """A part by its dotted name; None if there is none."""
    found: Any = model
    for word in name.split("."):
        found = getattr(found, word, None)
    return found


def _blocks(one: nn.Module) -> Sequence[nn.Module]:
    """The blocks of a member of the chain: itself, or those of a stage."""
    layers, before = getattr(one, "layers", None), getattr(one, "downsampling_layer", None)
    if not isinstance(layers, nn.ModuleList | nn.Sequential):
        return [one]
    first = [*before] if isinstance(before, nn.ModuleList | nn.Sequential) else []
    blocks = list(layers)
    return [nn.Sequential(*first, blocks[0]), *blocks[1:]] if first else blocks


def _tokens(stem: nn.Module, name: str) -> int:
    found = getattr(stem, name, None)
    return found.shape[1] if isinstance(found, Tensor) else 0
