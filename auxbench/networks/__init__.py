"""Networks: backbones split into blocks, heads, and the builder of single-task networks.

Images come from timm, vectors have a perceptron; initial weights may be pretrained.
"""
