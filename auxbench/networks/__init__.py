"""Networks: backbones split into blocks, heads, and the builder of single-task networks.

Backbones are timm networks for images and a perceptron for vectors; they may be pretrained.
"""
