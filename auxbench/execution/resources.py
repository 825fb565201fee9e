"""Resources: the device, the number of runs at a time, and the threads and workers of each."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auxbench.data.machine import cores
from auxbench.errors import UsageError, reason
from auxbench.execution.limits import Limits
from auxbench.records.predictions import checked


@dataclass(frozen=True)
class Resources:
    """The resources of runs; None means a default for the machine (`slots`, `threads_of`,
    `workers_of`).

    `options` are the executor's own, and `address` is that of a running Ray cluster.
    `predictions` is the number of test samples whose predictions are kept beside a run's record.
    With `keep_weights`, the weights of its deployed network are kept, too.
    """

    device: str = "auto"
    jobs: int | None = None
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)
    executor: str = "local"
    options: Mapping[str, Any] = field(default_factory=dict)
    address: str | None = None
    workers: int | None = None
    predictions: int = 0
    keep_weights: bool = False

    @classmethod
    def of(cls, words: MutableMapping[str, Any]) -> Resources:
        """Pop the resources from a user's options; errors: `UsageError` for invalid ones."""
        limits = Limits.of(*(words.pop(key, None) for key in ("timeout", "stall", "memory")))
        keys = ("device", "jobs", "threads", "workers", "executor", "address", "keep_weights")
        given = {key: words.pop(key) for key in keys if key in words}
        given["predictions"] = checked(words.pop("keep_predictions", 0))
        return cls(**given, limits=limits, options=options_of(words.pop("executor_options", None)))


MOST_THREADS = 4096  # what no machine has ends in the OpenMP library, without a word


def options_of(given: Mapping[str, Any] | str | Path | None) -> Mapping[str, Any]:
    """The options of an executor, which may be in a YAML file.

    Errors: `UsageError` for a file that cannot be read or holds something else.
    """
    if given is None or isinstance(given, Mapping):
        return given or {}
    try:
        import yaml

        found = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
    except ImportError:
        raise UsageError(
            "executor-options need the package pyyaml; pip install 'auxbench[ray,slurm]'."
        ) from None
    except OSError as error:
        raise UsageError(
            f"executor-options '{given}' cannot be read ({reason(error)}); name another file."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        what = " ".join(str(error).split())[:120]
        raise UsageError(
            f"executor-options '{given}' are not YAML ({what}); correct that."
        ) from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise UsageError(
            f"executor-options '{given}' hold no options; write lines such as 'timeout_min: 60'."
        )
    return found


def slots(device: str, jobs: int | None) -> int:
    """The number of runs at a time: `jobs`, or by default one on a GPU, else one per core up to 8.

    Errors: `UsageError` for fewer than one.
    """
    if jobs is not None:
        if jobs < 1:
            raise UsageError(f"jobs is {jobs}; ask for at least 1.")
        return jobs
    return 1 if device.startswith("cuda") else min(cores(), 8)


def threads_of(asked: int | None, at_once: int) -> int:
    """The threads of a run: `asked`, or else OMP_NUM_THREADS, or else its share of the cores.

    Errors: `UsageError` for fewer than one.
    """
    if asked is not None:
        if asked < 1:
            raise UsageError(f"threads is {asked}; ask for at least 1.")
        if asked > MOST_THREADS:
            raise UsageError(f"threads is {asked}; ask for at most {MOST_THREADS:,}.")
        return asked
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if first.isdecimal() and int(first):
        return int(first)
    return max(1, cores() // at_once)


def workers_of(asked: int | None, device: str, at_once: int) -> int:
    """The threads of a run that prepare batches: `asked`, or else none, or up to 4 for a GPU.

    On a GPU, the steps of a run take one of its share of the cores; on a CPU they take all. Errors:
    `UsageError` for fewer than none.
    """
    if asked is not None:
        if asked < 0:
            raise UsageError(f"workers is {asked}; ask for 0 or more.")
        return asked
    return min(4, max(0, cores() // at_once - 1)) if device.startswith("cuda") else 0


def resolve(device: str) -> str:
    """The device to use, with 'auto' resolved; errors: `UsageError` if it is not available."""
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"device '{device}' cannot be used ({reason}); choose cpu, or cuda with a GPU."
        ) from None
    return device
