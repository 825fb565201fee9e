"""Latency: the milliseconds of a forward pass for batches of several sizes, in bounded time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from auxbench.networks.exported import evaluation

__all__ = ["BATCHES", "LIMIT", "latencies"]

BATCHES = (1, 8, 32)
LIMIT = 0.3  # seconds of timing per batch size
_FEWEST, _MOST = 5, 100  # limits on the number of timed forward passes
_WARMING = {1: 3}  # passes before timing, 1 for other sizes: kernels are chosen, caches are filled
_LONGEST = 3.0  # seconds that the fewest passes may take; a batch that needs more is left out


def latencies(network: nn.Module, example: Tensor) -> list[dict[str, Any]]:
    """The median and the 95th percentile of the milliseconds of a pass, per batch size.

    The batches repeat the first element of `example`. Up to 100 passes are timed after warming up,
    fewer once their time is up, but at least 5. A batch larger than one is left out when these
    would take too long or do not fit into the memory of a GPU.

    Returns a JSON-able dict for every size in `BATCHES`: batch, and either p50_ms, p95_ms, passes
    (how many were timed) and, for the first, p25_ms and p75_ms, or `skipped`, the reason.
    """
    found: list[dict[str, Any]] = []
    sample = 0.0  # seconds per sample of the last batch
    with evaluation(network):
        for batch in BATCHES:
            fewest = (_FEWEST + _WARMING.get(batch, 1)) * batch * sample
            if fewest > _LONGEST:
                why = f"{_FEWEST} passes would take more than {_LONGEST:g} s"
                found.append({"batch": batch, "skipped": why})
                continue
            try:
                times = _times(network, torch.cat([example[:1]] * batch), _WARMING.get(batch, 1))
            except torch.OutOfMemoryError:
                if batch == BATCHES[0]:
                    raise
                torch.cuda.empty_cache()
                found.append({"batch": batch, "skipped": "out of memory"})
                continue
            sample = float(np.median(times)) / batch / 1000
            shares = (25, 50, 75, 95) if batch == BATCHES[0] else (50, 95)
            numbers = dict(zip(shares, np.percentile(times, shares).tolist(), strict=True))
            quantiles = {f"p{share}_ms": number for share, number in numbers.items()}
            found.append({"batch": batch, **quantiles, "passes": len(times)})
    return found


def _times(network: nn.Module, inputs: Tensor, warming: int) -> list[float]:
    """The milliseconds of single forward passes."""

    def now() -> float:
        if inputs.device.type == "cuda":
            torch.cuda.synchronize(inputs.device)
        return time.perf_counter()

    times: list[float] = []
    for _ in range(warming):
        network(inputs)
    deadline = now() + LIMIT
    while len(times) < _MOST and (len(times) < _FEWEST or now() < deadline):
        start = now()
        network(inputs)
        times.append(1000 * (now() - start))
    return times
