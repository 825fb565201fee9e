"""Formats of a deployed network: a programme of torch.export and ONNX, written and read again."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from auxbench.errors import AuxbenchError, reason

__all__ = ["INPUT", "ONNX", "OUTPUT", "PROGRAM", "Predict", "onnx", "onnx_missing", "program"]

PROGRAM, ONNX = "network.pt2", "network.onnx"
INPUT, OUTPUT = "inputs", "prediction"  # names in the ONNX file
PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Predict = Callable[[Tensor], Tensor]


def program(exported: ExportedProgram, file: Path, any_batch: bool) -> Predict:
    """Write a programme and return the predictions of the file that was written."""
    with suppress(AttributeError, ValueError):
        exported.example_inputs = None  # would be pickled into the file
    with _quiet():
        torch.export.save(exported, file)
        network = torch.export.load(file).module()

    def predict(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            result: Tensor = network(inputs)
        return result

    return _batched(predict, any_batch)


def onnx_missing() -> str:
    """The packages that ONNX needs and that are not installed, as a list in words."""
    return ", ".join(name for name in PACKAGES if find_spec(name) is None)


def onnx(exported: ExportedProgram, file: Path, any_batch: bool) -> Predict:
    """Write a programme as ONNX and return the predictions that onnxruntime makes with the file.

    Errors: `AuxbenchError` if the programme has operators that ONNX does not have.
    """
    import onnxruntime

    try:
        with _quiet():
            made = torch.onnx.export(
                exported, input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False
            )
            assert made is not None
            made.save(str(file))
            session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # of three packages, without a common class
        for part in file.parent.glob(f"{file.name}*"):
            part.unlink()
        raise AuxbenchError(f"{type(error).__name__}: {reason(error)}") from None
    (given,) = session.get_inputs()

    def predict(inputs: Tensor) -> Tensor:
        (result,) = session.run(None, {given.name: inputs.numpy()})
        return torch.from_numpy(result)

    return _batched(predict, any_batch)


def _batched(predict: Predict, any_batch: bool) -> Predict:
    """Predictions for batches of any size, one by one where the network takes only one."""
    if any_batch:
        return lambda inputs: predict(inputs.contiguous())
    return lambda inputs: torch.cat([predict(one.contiguous()) for one in torch.split(inputs, 1)])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporters say about their own inside from the terminal."""
    silenced: dict[logging.Logger, Any] = {
        logger: logger.level
        for logger in map(logging.getLogger, ("torch", "onnxscript", "onnx_ir"))
    }
    for logger in silenced:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in silenced.items():
            logger.setLevel(level)
