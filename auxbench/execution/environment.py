"""The machine and the software that a run used, as stored in its record."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import auxbench
from auxbench.data.machine import cores, output
from auxbench.records.commit import commit_of

__all__ = ["environment"]

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "pandas")


def environment(device: str = "cpu") -> dict[str, Any]:
    """Versions, machine and current load for a run on `device`, JSON-able.

    They are recorded so that costs are compared only where that makes sense. Keys: auxbench
    (version), commit and dirty (of the checkout's code, or of that which the package was made of;
    None if there was none), python, platform, processor, cores (usable by this process), threads
    (of torch), packages {name: version or None}, device ("cpu", "cuda"), device_name, cuda
    (version, None if the device is not a GPU) and load (averages over 1, 5 and 15 minutes, None if
    unknown). A run that several processes trained together also has world, their number.
    Neither the host's nor the user's name is recorded. Imports torch when called.

    >>> sorted(environment()["packages"])
    ['numpy', 'pandas', 'scipy', 'timm', 'torch', 'torchvision']
    """
    import torch

    commit, dirty = commit_of()
    kind = torch.device(device).type
    cuda = kind == "cuda"
    processor = _processor()
    return {
        "auxbench": auxbench.__version__,
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor,
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "device": kind,
        "device_name": torch.cuda.get_device_name(device) if cuda else processor,
        "cuda": torch.version.cuda if cuda else None,
        "load": [round(load, 2) for load in os.getloadavg()] if sys.platform != "win32" else None,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's model name, or else the name of its instruction set."""
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = []
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    elif sys.platform == "darwin":
        brand = output(["sysctl", "-n", "machdep.cpu.brand_string"])
        if brand:
            return brand.strip()
    return platform.processor() or platform.machine()
