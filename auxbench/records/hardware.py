"""Hardware classes: runs whose seconds may be averaged and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNKNOWN = "unknown hardware"


def hardware(environment: Mapping[str, Any] | None) -> str:
    """The hardware class of a run, from its record's environment: device, processor and threads.

    A GPU's class has the processor that feeds it. Several processes of one run are part of it too.

    >>> hardware({"device_name": "AMD EPYC", "processor": "AMD EPYC", "threads": 2})
    'AMD EPYC, 2 threads'
    >>> hardware({"device_name": "H100", "processor": "AMD EPYC", "threads": 1})
    'H100 with AMD EPYC, 1 thread'
    >>> hardware(None)
    'unknown hardware'
    """
    known = environment or {}
    device, processor = known.get("device_name"), known.get("processor")
    name = str(device or processor or UNKNOWN)
    if device and processor and processor != device:
        name += f" with {processor}"
    counts = (("thread", known.get("threads")), ("process", known.get("world")))
    parts = [
        f"{count} {word}{('es' if word == 'process' else 's') if count != 1 else ''}"
        for word, count in counts
        if count and (word == "thread" or count > 1)
    ]
    return ", ".join([name, *parts])
