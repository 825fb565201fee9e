"""Runs on a Slurm cluster: arrays of jobs, each with as many runs as its time limit has room for.

The results folder must be one that all nodes see. A job is a process that carries out some runs of
the study on its node, as `auxbench run` does there; claims keep two jobs from the same run. A job
that is preempted or reaches its time limit saves its runs and is queued again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from auxbench.data.progress import counted
from auxbench.errors import AuxbenchError, UsageError, reason
from auxbench.execution.executor import Executor
from auxbench.execution.jobs import FOLDER, awaited, note, states
from auxbench.execution.local import Local
from auxbench.execution.progress import Progress
from auxbench.execution.resources import Resources, threads_of
from auxbench.execution.study import Study
from auxbench.records.claims import under_way
from auxbench.records.store import Store
from auxbench.records.tail import Tail
from auxbench.spec.files import load
from auxbench.spec.run import Run

MINUTES = 60  # time limit of a job, unless the options say another
FILLED = 0.8  # share of the time limit that a job's runs are expected to take
REQUEUES = 20  # times that a job is queued again when it reaches its time limit
LOOK = 2.0  # seconds between two looks at what the jobs have done
ASK = 10.0  # seconds between two questions to Slurm, which serves everybody
ANSWER = 5.0  # seconds for its answer, when a job has to end
SHARE = 0.1  # the most of the time that is spent on looking, as at the progress of many runs
MISSED = 30.0  # seconds after the last job's end until its records must be there


class Slurm(Executor):
    """Job arrays, by submitit, whose options these are: `timeout_min`, `slurm_partition`, ...

    `jobs` is the number of jobs at a time. With `cluster: local`, jobs are processes on this
    machine, for trying it out. On Ctrl-C the jobs go on; `auxbench cancel` ends them.
    """

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        try:
            import submitit
        except ImportError:
            raise UsageError(
                "executor 'slurm' needs the package submitit; pip install 'auxbench[slurm]'."
            ) from None
        self.submitit = submitit
        options = dict(resources.options)
        self.cluster = str(options.pop("cluster", "slurm"))
        if self.cluster == "slurm" and shutil.which("sbatch") is None:
            raise UsageError(
                "executor 'slurm' needs sbatch, which is not on this machine; submit from a login "
                "node, or try it with the option cluster: local."
            )
        self.requeues = options.pop("slurm_max_num_timeout", REQUEUES)
        self.threads = threads_of(resources.threads or 1, 1)
        gpus = _has_gpus(options)
        device = ("cuda" if gpus else "cpu") if resources.device == "auto" else resources.device
        options.setdefault("timeout_min", MINUTES)
        options.setdefault("cpus_per_task", self.threads)
        options.setdefault("name", "auxbench")
        if self.cluster == "slurm" and resources.jobs is not None:
            options.setdefault("slurm_array_parallelism", resources.jobs)
        self.options = options
        self.room = max(1, int(options["cpus_per_task"]) // self.threads)  # runs at a time in a job
        if gpus:
            self.room = 1
        self.inside = replace(
            resources, device=device, jobs=self.room, threads=self.threads, executor="local"
        )

    def carry_out(self, study: Study, store: Store, *, retry: bool, quiet: bool) -> None:
        tail = store.tail()
        split = study.split(store, retry, self.resources.keep_weights)
        queued = awaited(store.folder)
        new = [run for run in split.missing if run.id not in queued]
        bundles = list(self.bundles(new, store, retry)) if new else []
        jobs = self.submit(bundles, store, retry) if bundles else []
        reasons = Counter(split.stale.values())
        with Progress(split.missing, len(split.done), max(1, len(jobs)), quiet, reasons) as told:
            if jobs:
                told.say(f"submitted {counted(len(jobs), 'job')}; auxbench cancel ends them")
            if len(new) < len(split.missing):
                waits = counted(len(split.missing) - len(new), "run")
                told.say(f"{waits} of earlier jobs, which are still in the queue")
            self.watch(split.missing, store, tail, told)

    def bundles(self, runs: Sequence[Run], store: Store, retry: bool) -> Iterator[list[Run]]:
        """The runs in groups that fit into the time limit of a job."""
        seconds = self.estimates(Study(tuple(runs)), store, retry)
        limit = FILLED * 60 * float(self.options["timeout_min"]) * self.room
        bundle: list[Run] = []
        filled = 0.0
        for run in runs:
            takes = seconds[replace(run, seed=0)]
            if bundle and filled + takes > limit:
                yield bundle
                bundle, filled = [], 0.0
            bundle.append(run)
            filled += takes
        yield bundle

    def estimates(self, study: Study, store: Store, retry: bool) -> dict[Run, float]:
        """The seconds of a run of every cell, recorded or estimated at this machine's pace."""
        from auxbench.execution.plan import plan

        keep = self.resources.keep_weights
        cells = plan(study, store, "cpu", self.threads, retry, keep)
        return {cell.run: cell.seconds or 0.0 for cell in cells}  # an impossible run takes no time

    def submit(self, bundles: Sequence[Sequence[Run]], store: Store, retry: bool) -> list[Any]:
        """Submit a job for every bundle; return the jobs by id."""
        folder = (store.folder / FOLDER).resolve()
        try:
            executor = self.submitit.AutoExecutor(
                folder, cluster=self.cluster, slurm_max_num_timeout=self.requeues
            )
            executor.update_parameters(**self.options)
            work = [
                Bundle(tuple(bundle), str(store.folder.resolve()), self.inside, retry)
                for bundle in bundles
            ]
            with executor.batch():
                jobs = [executor.submit(bundle) for bundle in work]
        except (NameError, TypeError, ValueError, AssertionError) as error:
            raise UsageError(
                f"executor-options do not suit submitit ({reason(error)}); see its documentation."
            ) from None
        except (OSError, subprocess.SubprocessError, self.submitit.core.utils.FailedJobError) as e:
            raise AuxbenchError(f"jobs cannot be submitted ({reason(e)}); see sbatch.") from None
        for job, bundle in zip(jobs, bundles, strict=True):
            note(store.folder, str(job.job_id), [run.id for run in bundle])
        return jobs

    def watch(self, missing: Sequence[Run], store: Store, tail: Tail, told: Progress) -> None:
        """Show what the jobs do, until every run is recorded."""
        left, ended = {run.id: run for run in missing}, 0.0
        begun = set[str]()
        asked, waits = -ASK, False
        while left:
            now = time.monotonic()
            for name, status in tail.statuses().items():
                if name in left:
                    told.settled(left.pop(name), status, by="a job")
            for name, run in left.items():
                if (known := under_way(store.run_folder(name))) and known.steps:
                    if name not in begun:
                        begun.add(name)
                        told.started(run)
                    told.stepped(run, known.step, known.steps)
            if left and now - asked >= ASK:
                asked, waits = now, bool(states(store.folder))
            if waits:
                ended = 0.0
            elif left and not ended:
                ended = now
            elif left and now - ended > MISSED:
                raise AuxbenchError(
                    f"{counted(len(left), 'run')} were not recorded before the last job ended; see "
                    f"the logs in '{store.folder / FOLDER}' and repeat the command."
                )
            if left:
                time.sleep(max(LOOK, (time.monotonic() - now) / SHARE))


@dataclass
class Bundle:
    """A job: some runs of a study, carried out on the node on which Slurm starts it."""

    runs: tuple[Run, ...]
    results: str
    resources: Resources
    retry: bool
    local: list[Local] = field(default_factory=list)

    def __call__(self) -> None:
        """Carry out the runs; those that are recorded already are skipped."""
        signal.signal(signal.SIGTERM, _end)
        load(dict.fromkeys(file for run in self.runs for file in run.files))
        local = Local(self.resources)
        self.local.append(local)
        local.carry_out(Study(self.runs), Store(self.results), retry=self.retry, quiet=False)

    def checkpoint(self) -> Any:
        """Save the runs before Slurm ends this job; return the job that goes on with them."""
        from submitit.helpers import DelayedSubmission

        for local in self.local:
            local.stop()
        return DelayedSubmission(replace(self, local=[]))


def _end(number: int, frame: FrameType | None) -> None:
    """Save the runs of a job that Slurm asks to end, and queue it again if it is preempted.

    A job that was cancelled is no longer running for Slurm; one that is preempted is, as long as it
    has a grace time, and would not be queued again if it ended by itself.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job and _state(job) == "RUNNING":
        from submitit.core.job_environment import JobEnvironment

        os.kill(os.getpid(), JobEnvironment._usr_sig())  # submitit calls `checkpoint`
        return
    signal.default_int_handler(number, frame)


def _state(job: str) -> str:
    """The state of a job; empty if Slurm does not say it while there is time to save the runs."""
    command = ["squeue", "--noheader", "--format", "%T", "--jobs", job]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip()


def _has_gpus(options: Mapping[str, Any]) -> bool:
    """Return whether a job has a GPU, by any of the options that ask for one."""
    counts = ("gpus_per_node", "slurm_gpus_per_node", "slurm_gpus_per_task", "slurm_num_gpus")
    more = options.get("slurm_additional_parameters") or {}
    asked = [options.get("slurm_gres"), *(more.get(key) for key in ("gres", "gpus"))]
    return any(options.get(key) for key in counts) or any(
        text and ("gpu" in str(text) or str(text).isdecimal()) for text in asked
    )
