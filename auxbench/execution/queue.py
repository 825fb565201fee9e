"""The queue: the missing runs of a study, each claimed, carried out and recorded once."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auxbench.execution.executor import Executor
from auxbench.execution.limits import Limits
from auxbench.execution.progress import Progress
from auxbench.records.claims import Claims, owner_of
from auxbench.records.record import record
from auxbench.records.store import Store
from auxbench.records.tail import Tail
from auxbench.spec.run import Run

if TYPE_CHECKING:
    from auxbench.execution.study import Study

AGAIN = 2  # times that a run is tried again whose process or machine was lost
WAIT = 2.0  # seconds between two looks at runs that other processes carry out
LOOK = 5.0  # seconds between two looks at how many runs there is room for


class Lost(Exception):
    """The process or the machine of a run has ended without a record, for no fault of the run."""


@dataclass(frozen=True)
class Attempt:
    """A run to carry out: its folder and limits, and who is told how far it is and what it says.

    The folder has the run's checkpoint `state.pt`, from which it goes on, and its `log.txt`.
    `predictions` is the number of test samples whose predictions are kept there in the end. With
    `keep`, the weights of the deployed network are kept, too.
    """

    run: Run
    folder: Path
    limits: Limits
    stepped: Callable[[int, int], None]
    say: Callable[[str], None]
    predictions: int = 0
    keep: bool = False

    def order(
        self, device: str, threads: int, workers: int | None, prepare: bool = False
    ) -> dict[str, Any]:
        """The order to a process that carries out this run (see `worker`), in JSON types."""
        return {
            "run": self.run.to_json(),
            "where": self.run.where,
            "files": self.run.files,
            "folder": str(self.folder),
            "device": device,
            "threads": threads,
            "workers": workers,
            "predictions": self.predictions,
            "limits": asdict(self.limits),
            "prepare": prepare,
            "keep": self.keep,
        }


class Queue(Executor):
    """An executor that carries out single runs, several at a time.

    Other processes may do the same at the same time: what one of them has claimed is theirs, and is
    waited for. On Ctrl-C the runs are saved; they go on from their checkpoints next time.
    """

    stopping = False
    earlier: Mapping[str, float | None] = {}  # recorded scores of runs repeated for their weights

    @property
    @abstractmethod
    def at_once(self) -> int:
        """The number of runs at a time, which may change while runs are carried out."""

    @abstractmethod
    def prepare(self, runs: list[Run]) -> None:
        """Make ready what many runs need, before the first one starts."""

    @abstractmethod
    def run(self, attempt: Attempt) -> dict[str, Any] | None:
        """Carry out a run from its checkpoint, and return its record; None if it was stopped.

        At most `at_once` threads call it. Errors: `Lost`, after which the run is tried again.
        """

    def close(self) -> None:
        """Free what is idle after the last run."""

    @abstractmethod
    def stop(self) -> None:
        """Have the runs in progress saved, and wait until they have ended."""

    def carry_out(self, study: Study, store: Store, *, retry: bool, quiet: bool) -> None:
        tail = store.tail()  # before what is recorded is read, so that nothing is missed between
        keep = self.resources.keep_weights
        done, missing, stale = study.split(store, retry, keep)
        self.earlier = store.kept(_score) if keep else {}
        reasons = Counter(stale.values())
        jobs = max(1, min(self.at_once, len(missing)))
        self.prepare(missing)
        with (
            Claims() as claims,
            Progress(missing, len(done), jobs, quiet, reasons) as progress,
            ThreadPoolExecutor(max(1, len(missing))) as pool,
        ):

            def settle(run: Run) -> bool:
                return self.settle(run, store, tail, claims, progress)

            try:
                left = missing
                while left:
                    before, left = len(left), self.once(left, settle, pool, progress)
                    if len(left) == before:
                        progress.waits(len(left), owner_of(store.run_folder(left[0].id)))
                        time.sleep(WAIT)
                self.close()
            except BaseException:
                self.stopping = True
                self.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def once(
        self,
        runs: list[Run],
        settle: Callable[[Run], bool],
        pool: ThreadPoolExecutor,
        progress: Progress,
    ) -> list[Run]:
        """Settle runs, as many at a time as there is room for now; return those that are left."""
        waiting, busy = deque(runs), dict[Future[bool], Run]()
        left = set[str]()
        looked, room = 0.0, 0
        while waiting or busy:
            if time.monotonic() - looked > LOOK or not room:
                looked, room = time.monotonic(), max(1, self.at_once)
                progress.jobs = min(room, len(runs))
            while waiting and len(busy) < room:
                run = waiting.popleft()
                busy[pool.submit(settle, run)] = run
            for future in wait(busy, LOOK, FIRST_COMPLETED).done:
                run = busy.pop(future)
                if not future.result():
                    left.add(run.id)
        return [run for run in runs if run.id in left]

    def settle(
        self, run: Run, store: Store, tail: Tail, claims: Claims, progress: Progress
    ) -> bool:
        """Carry out a run unless another process does; False if it is not settled yet."""
        if status := tail.statuses().get(run.id):
            progress.settled(run, status)
            return True
        folder = store.run_folder(run.id)
        if not claims.take(run.id, folder, run.to_json()):
            return False
        try:
            if status := tail.statuses().get(run.id):  # between the look and the claim
                progress.settled(run, status)
                return True
            progress.started(run)

            def stepped(step: int, steps: int) -> None:
                progress.stepped(run, step, steps)
                claims.stepped(run.id, step, steps)

            def say(text: str) -> None:
                progress.say(f"{run.dataset} {run.label}: {text}")

            attempt = Attempt(
                run,
                folder,
                self.resources.limits,
                stepped,
                say,
                self.resources.predictions,
                self.resources.keep_weights,
            )
            ended = self.persist(attempt)
            if ended is None:
                return True
            if not claims.is_held(run.id):  # this process was suspended, or the folder deleted
                progress.dropped(run)
                if tail.statuses().get(run.id) or not claims.take(run.id, folder, run.to_json()):
                    return False
                progress.started(run)
            store.append(ended)
            progress.finished(run, ended)
            if differs := self.differs(ended):
                say(differs)
            if ended["status"] == "done":
                for checkpoint in folder.glob("state*.pt"):
                    checkpoint.unlink()
            return True
        finally:
            claims.release(run.id)

    def differs(self, ended: Mapping[str, Any]) -> str:
        """Say how a run that was repeated for its weights differs from its earlier record.

        Training is deterministic on one kind of machine with the same versions and threads.
        """
        before, now = self.earlier.get(ended["id"]), _score(ended)
        if ended["status"] != "done" or before is None or now == before:
            return ""
        score = "no value" if now is None else f"{now:.6g}"
        return (
            f"scores {score}, and {before:.6g} in its earlier record, which this one replaces: the "
            "machine, the threads or the versions are not the same"
        )

    def persist(self, attempt: Attempt) -> dict[str, Any] | None:
        """Carry out a run, again if it is lost; return its record, or None if it was stopped."""
        for left in reversed(range(1 + AGAIN)):
            if self.stopping:
                return None
            try:
                return self.run(attempt)
            except Lost as loss:
                if self.stopping:
                    return None
                if not left:
                    return record(attempt.run, "killed", str(loss))
                attempt.say(f"{loss}; it is tried again")
        raise AssertionError("the last attempt returns")


def _score(record: Mapping[str, Any]) -> float | None:
    """The primary score of a record."""
    score = (record.get("primary") or {}).get("value")
    return None if score is None else float(score)
