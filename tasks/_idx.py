"""IDX files: arrays of bytes after a short header, the format of the MNIST family."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

UNSIGNED = 8  # the code of bytes among the element types of the format


def read_idx(file: Path, tail: tuple[int, ...] = ()) -> npt.NDArray[np.uint8]:
    """The array [N, *tail] of a gzip-compressed IDX file of bytes.

    The header is two zero bytes, the element type, the number of axes, and the length of every
    axis as a big-endian 32-bit integer. Errors: `OSError` when the file cannot be read,
    `ValueError` that says in a few words what is wrong with it.

    Source: LeCun, Cortes and Burges, The MNIST Database of Handwritten Digits, 1998,
    http://yann.lecun.com/exdb/mnist
    """
    axes = 1 + len(tail)
    try:
        with gzip.open(file) as stream:
            header = stream.read(4)
            if header != bytes([0, 0, UNSIGNED, axes]):
                wanted = f"0000{UNSIGNED:02x}{axes:02x}"
                raise ValueError(f"its magic number is {header.hex() or 'missing'}, not {wanted}")
            lengths = stream.read(4 * axes)
            if len(lengths) < 4 * axes:
                raise ValueError("its header is incomplete")
            shape = tuple(np.frombuffer(lengths, ">u4").tolist())
            if shape[1:] != tail:
                raise ValueError(f"its items are {_times(shape[1:])}, not {_times(tail)}")
            size = math.prod(shape)
            content = stream.read(size + 1)
    except (EOFError, zlib.error):
        raise ValueError("it is truncated or damaged") from None
    except gzip.BadGzipFile:
        raise ValueError("it is not a sound gzip file") from None
    if len(content) != size:
        raise ValueError("its length is not what its header says")
    if not size:
        raise ValueError("it is empty")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _times(lengths: tuple[int, ...]) -> str:
    return " x ".join(map(str, lengths))
