"""Pictures of predictions: truth, prediction and error of some samples as strips of PNG."""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from auxbench.data.colours import INFERNO, Bytes, Labels, Legend, mapped
from auxbench.data.kinds import Kind

SIDE = 256  # pixels; larger pictures keep only every second, third, ... pixel
PALETTE = 256  # colours of a PNG of one byte per pixel


class Strips(NamedTuple):
    """Pictures [N * H, W, 3] of a task, one sample below another, and what they say.

    `difference` is None for a kind that does not define errors; `captions`, the mean errors of the
    samples, are then empty. `scale` says what the colours of the difference mean, `ranges` where
    those of the truth begin and end, and `key` those of classes.
    """

    truth: Bytes
    prediction: Bytes
    difference: Bytes | None
    captions: list[str]
    ranges: list[str]
    scale: str
    key: Legend


def strips(kind: Kind, outputs: Labels, targets: Labels) -> Strips:
    """The pictures of a task's outputs [N, C, H, W] on some samples, and of their labels.

    Truth and prediction of a sample have the same scale of colours, that of the truth.
    """
    outputs = np.nan_to_num(outputs.astype(np.float64), nan=0, posinf=1e9, neginf=-1e9)
    truths, predictions, differences, captions, scales = [], [], [], [], []
    shown: list[Labels] = []
    for output, target in zip(outputs, targets, strict=True):
        predicted = kind.predicted(output, target)
        shown += [target, predicted]
        beside = kind.paint(np.concatenate([target, predicted.astype(target.dtype)], axis=-1))
        truth, prediction = np.split(beside, 2, axis=1)
        truths.append(truth)
        predictions.append(prediction)
        if (found := kind.errors(output, target)) is None:
            continue
        differences.append(mapped(found.values, 0, found.most, INFERNO))
        known = found.values[np.isfinite(found.values)]
        mean = _amount(float(known.mean()), found.unit) if known.size else "no label"
        captions.append(f"{mean} wrong" if kind.classes and known.size else mean)
        scales.append(found.most)
        unit = found.unit
    scale = ""
    if differences:
        least, most = _amount(min(scales), ""), _amount(max(scales), unit)
        end = most if most.startswith(least) else f"{least} to {most}"
        scale = f"Errors go from 0, black, to {end} and more, light yellow."
        if kind.classes:
            scale = "What is right is black, and what is wrong light yellow."
    return Strips(
        np.concatenate(truths),
        np.concatenate(predictions),
        np.concatenate(differences) if differences else None,
        captions,
        [kind.caption(target) for target in targets],
        scale,
        kind.key(np.stack(shown)),
    )


def stride(height: int, width: int) -> int:
    """The distance of the pixels that are kept of a picture.

    >>> stride(256, 256), stride(288, 384)
    (1, 2)
    """
    return math.ceil(max(height, width) / SIDE)


def png(painted: Bytes) -> bytes:
    """A picture [H, W, 3] as PNG, with at most 256 colours; more than these become the nearest."""
    packed = painted.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    colours, places = np.unique(packed, return_inverse=True)
    if len(colours) > PALETTE:
        picture = Image.fromarray(painted).quantize(PALETTE, dither=Image.Dither.NONE)
    else:
        picture = Image.fromarray(places.reshape(packed.shape).astype(np.uint8))
        picture.putpalette([part for one in colours.tolist() for part in one.to_bytes(3)])
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _amount(value: float, unit: str) -> str:
    return f"{value:.2g} {unit}".rstrip() if value < 10 else f"{value:.0f} {unit}".rstrip()
