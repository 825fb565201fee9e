"""The README of a deployed network: what it is, and the lines of Python that load it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auxbench.deployment.formats import INPUT, ONNX, PROGRAM

__all__ = ["readme"]

_PICTURES = """\
mean = torch.tensor({mean}).view(3, 1, 1)
std = torch.tensor({std}).view(3, 1, 1)
inputs = (rgb / 255 - mean) / std  # rgb: float32 {shape}, 0 to 255
"""
_VECTORS = "inputs = torch.zeros({numbers})  # vectors as the data set gives them: {shape}\n"
_TEXT = """\
# {task} by {method}

The network that auxbench trained with {method} and {backbone} for {task} on
{dataset}, seed {seed}, run {run}, without what served the auxiliary tasks in training.
Its score on the test split: {score}.

* Input: {dtype} {shape}, {content}.
* Prediction: {out_dtype} {out_shape}, {reading}.{classes}

Nothing here needs auxbench. With torch {torch} or newer:

```python
import torch

network = torch.export.load("{program}").module()
{inputs}with torch.no_grad():
    prediction = network(inputs)
```
{onnx}
`weights.safetensors` has the parameters and buffers alone, by the names of `network.state_dict()`.
`manifest.json` says how the network was trained, what the files were checked against, and the
SHA-256 of each.

No file can run code when it is loaded but `{program}`: `torch.export.load` warns of that. Load it
only if you trust where it comes from.
"""
_ONNX = """
With onnxruntime:

```python
import onnxruntime

session = onnxruntime.InferenceSession("{onnx}")
(prediction,) = session.run(None, {{"{input}": inputs.numpy()}})
```
"""


def readme(manifest: Mapping[str, Any], with_onnx: bool) -> str:
    """The README of the network with this manifest, as Markdown."""
    given, found, run = manifest["input"], manifest["output"], manifest["trained"]
    shape = _shape(given["shape"])
    names = found.get("classes")
    test = manifest["test"]
    value = "no value" if test["recorded"] is None else f"{test['recorded']:.6g}"
    return _TEXT.format(
        task=found["task"],
        method=run["method"],
        run=manifest["run"],
        dataset=run["dataset"],
        seed=run["seed"],
        backbone=run["backbone"],
        score=" ".join(word for word in (test["metric"], value, test["unit"]) if word),
        dtype=given["dtype"],
        shape=shape,
        content=given["content"],
        out_dtype=found["dtype"],
        out_shape=_shape(found["shape"]),
        reading=found["content"],
        classes=f" Classes from 0 on: {', '.join(names)}." if names else "",
        torch=".".join(manifest["deployed_with"]["torch"].split(".")[:2]),
        program=PROGRAM,
        inputs=_inputs(given, shape),
        onnx=_ONNX.format(onnx=ONNX, input=INPUT) if with_onnx else "",
    )


def _inputs(given: Mapping[str, Any], shape: str) -> str:
    if "mean" in given:
        return _PICTURES.format(mean=given["mean"], std=given["std"], shape=shape)
    numbers = ", ".join("1" if part == "batch" else str(part) for part in given["shape"])
    return _VECTORS.format(numbers=numbers, shape=shape)


def _shape(shape: list[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"
