"""Runs that several processes train together, one run after another, as under torchrun.

The first process carries out the command, and the others take part in every run that it orders.
Only the first reads and writes records, claims and checkpoints. A failure that some process may not
share ends them all, since the rest would wait for it; the launcher sees to that.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from auxbench.errors import AuxbenchError, Stopped, UsageError
from auxbench.execution.limits import Limits
from auxbench.execution.queue import Attempt, Queue
from auxbench.execution.resources import Resources, resolve, threads_of, workers_of
from auxbench.records.record import FINAL
from auxbench.spec.files import load
from auxbench.spec.run import Run

Order = dict[str, Any]
Report = Callable[[dict[str, Any]], None]
PATIENCE = timedelta(days=30)  # the first process may have to wait for other commands' runs


class Team:
    """The processes that a launcher has started, joined by torch.distributed."""

    def __init__(self) -> None:
        import torch
        from torch import distributed

        gpus = torch.cuda.is_available() and distributed.is_nccl_available()
        distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.place = int(os.environ.get("LOCAL_RANK", "0"))  # on this machine
        self.here = int(os.environ.get("LOCAL_WORLD_SIZE", str(self.size)))
        self.stopping = threading.Event()
        self.broken = False  # whether some process may be in the middle of a run

    def check(self, runs: Sequence[Run], device: str, resources: Resources) -> None:
        """Refuse what cannot be done together; errors: `UsageError`."""
        import torch

        jobs = resources.jobs
        if resources.limits != Limits():
            raise UsageError(
                f"timeout, stall and memory do not work for {self.size} processes together; leave "
                "them out."
            )
        if jobs not in (None, 1):
            raise UsageError(
                f"jobs is {jobs}, and {self.size} processes train one run at a time; leave it out."
            )
        if ":" in device:
            raise UsageError(f"device '{device}' is one for {self.size} processes; write cuda.")
        if device == "cuda" and self.here > (count := torch.cuda.device_count()):
            raise UsageError(
                f"{self.here} processes share {count} GPUs; start {count}, or add --device cpu."
            )
        for run in runs:
            if run.recipe.batch < self.size:
                raise UsageError(
                    f"batch is {run.recipe.batch}, less than the {self.size} processes that share "
                    f"it; start at most {run.recipe.batch}."
                )

    def lead(self, order: Order, report: Report) -> dict[str, Any]:
        """Carry out an order with all processes and return the record; errors: `Stopped`."""
        if self.stopping.is_set():
            raise Stopped("stopped before the next run")
        self.broken = True
        _broadcast(order)
        try:
            ended = self._take_part(order, report)
        except Stopped:  # together, so that all are ready for what comes next
            self.broken = False
            raise
        self.broken = ended["status"] not in FINAL
        return ended

    def follow(self) -> None:
        """Take part in everything that the first process orders, until it has no more orders."""
        for name in ("SIGTERM", "SIGHUP", "SIGINT"):
            if number := getattr(signal, name, None):
                signal.signal(number, lambda number, frame: self.stopping.set())
        while order := _broadcast({}):
            self.broken = True
            try:
                ended = self._take_part(order, lambda event: None)
            except Stopped:
                self.broken = False
                continue
            if ended["status"] not in FINAL:
                raise AuxbenchError(f"process {self.rank} failed: {ended['reason']}")
            self.broken = False

    def dismiss(self) -> None:
        """Let the other processes end."""
        if not self.rank:
            _broadcast({})

    def _take_part(self, order: Order, report: Report) -> dict[str, Any]:
        import torch

        from auxbench.execution.preparation import prepare
        from auxbench.execution.worker import outcome
        from auxbench.training.group import group

        run = Run.ordered(order)
        load(run.files)
        if order["device"] == "cuda":
            torch.cuda.set_device(self.place)
        if self.place == 0 and self.rank:  # on another machine than the first process
            prepare([run])
        group().add(0)  # all wait until the data are there
        return outcome(run, order, report, self.stopping.is_set)


TEAM: list[Team] = []  # the team of this process, if it belongs to one


class Together(Queue):
    """All processes of a launcher, which train one run at a time."""

    at_once = 1

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        (self.team,) = TEAM
        self.device = resolve(resources.device)
        self.threads = threads_of(resources.threads, self.team.here)
        self.workers = workers_of(resources.workers, self.device, self.team.here)

    def prepare(self, runs: list[Run]) -> None:
        from auxbench.execution.preparation import prepare

        self.team.check(runs, self.device, self.resources)
        prepare(runs)

    def run(self, attempt: Attempt) -> dict[str, Any] | None:
        self.close()

        def hear(event: dict[str, Any]) -> None:
            if event["event"] == "said":
                attempt.say(event["text"])
            else:
                attempt.stepped(int(event["step"]), int(event["steps"]))

        return self.team.lead(attempt.order(self.device, self.threads, self.workers), hear)

    def close(self) -> None:
        if self.team.broken:
            raise AuxbenchError(
                "a run failed, and other processes may wait for it; see its log.txt."
            )

    def stop(self) -> None:
        self.team.stopping.set()


def all_together(command: Callable[[], Any]) -> Any:
    """Carry out a command in the first process, while the others take part; return its exit code.

    Errors: those of the command.
    """
    from torch import distributed

    TEAM.append(team := Team())
    try:
        return team.follow() if team.rank else command()
    finally:
        if not team.broken:
            team.dismiss()
            distributed.barrier()  # nobody closes a connection that another still reads


def _broadcast(order: Order) -> Order:
    """The order of the first process, in all."""
    from auxbench.training.group import group

    return group().first(lambda: order)
