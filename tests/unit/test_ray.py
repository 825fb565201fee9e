"""A Ray cluster of several nodes on this machine, of which one is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auxbench.errors import UsageError
from auxbench.execution.limits import GRACE
from auxbench.execution.ray import OPTIONS, Ray
from auxbench.execution.resources import Resources, options_of
from auxbench.records.claims import under_way
from auxbench.records.store import Store
from tests.unit._commands import interruptible

TOY = ("--dataset", "toy:train=60:validation=20:test=20", "--threads", "1", "--budget", "demo")
MANY = ("run", "--methods", "single,hps,pcgrad", *TOY, "--seeds", "20", "--steps", "60")
LONG = ("run", "--methods", "hps", *TOY, "--seeds", "1", "--steps", "400000")

Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without cores for runs, and two nodes with one each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        cluster.nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture
def command() -> Iterator[Command]:
    """Start a command of auxbench; whatever still runs ends with the test."""
    begun: list[subprocess.Popen[str]] = []

    def start(words: tuple[str, ...], results: Path, *more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "auxbench", *words, "--results", str(results), *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "RAY_ADDRESS": ""},
        )
        begun.append(process)
        return process

    with interruptible():
        yield start
    for process in begun:
        process.kill()
        process.communicate()


def on(cluster: Any, results: Path, shared: bool) -> tuple[str, ...]:
    """The words that carry runs out on a cluster whose nodes see the results folder, or not."""
    options = results / "options.yml"
    options.parent.mkdir(exist_ok=True)
    options.write_text(json.dumps({"shared": shared}), encoding="utf-8")
    words = ("--executor", "ray", "--address", cluster.address)
    return (*words, "--executor-options", str(options))


def wait_for(true: Any, seconds: float) -> None:
    patience = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < patience
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_sixty_runs_end_once_each_although_a_node_dies(
    cluster: Any, command: Command, tmp_path: Path, shared: bool
) -> None:
    remote, local = tmp_path / "remote", tmp_path / "local"
    process = command(MANY, remote, *on(cluster, remote, shared))
    wait_for(lambda: len(Store(remote).records()) >= 15 or process.poll() is not None, 300)
    cluster.remove_node(cluster.nodes[0], allow_graceful=False)
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 0, text
    lines = (remote / "records.jsonl").read_text(encoding="utf-8").splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert len(ids) == len(set(ids)) == 60
    alone = command(MANY, local)
    told, _ = alone.communicate(timeout=600)
    assert alone.returncode == 0, told
    known = {record["id"]: record for record in Store(local).runs()}
    for record in Store(remote).runs():
        same = known[record["id"]]
        assert record["status"] == "done"
        for key in ("run", "primary", "scores", "curve", "selected"):
            assert record[key] == same[key], key
        for key in ("forward", "backward", "flops", "examples"):
            assert record["training"][key] == same["training"][key], key
    assert not list(remote.glob("runs/*/state*.pt"))


@pytest.mark.slow
def test_a_run_goes_on_from_the_checkpoint_that_its_dead_node_has_sent(
    cluster: Any, command: Command, tmp_path: Path
) -> None:
    process = command(LONG, tmp_path, *on(cluster, tmp_path, shared=False))
    wait_for(lambda: list(tmp_path.glob("runs/*/state.pt")), 120)
    (folder,) = tmp_path.glob("runs/*")
    sent = (folder / "state.pt").read_bytes()
    busy = [node for node in cluster.nodes if _works(node)]
    cluster.remove_node(busy[0], allow_graceful=False)
    wait_for(lambda: (folder / "state.pt").read_bytes() != sent, 120)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=120)
    assert "its node was lost" in text
    assert "it is tried again" in text
    assert process.returncode == 130, text
    assert "the same command continues from here" in text
    assert Store(tmp_path).records() == []


@pytest.mark.slow
def test_the_bell_outlives_nodes_and_those_that_join_are_counted(cluster: Any) -> None:
    ray = Ray(Resources(threads=1, address=cluster.address))
    try:
        bells = [ray._bell() for _ in range(6)]  # without a place, some would be on those nodes
        ray.ray.get([bell.ring.remote() for bell in bells])
        assert (ray.room(), ray.at_once) == (2, 2)
        for node in cluster.nodes:
            cluster.remove_node(node, allow_graceful=False)
        assert ray.ray.get([bell.is_rung.remote() for bell in bells], timeout=60) == [True] * 6
        wait_for(lambda: not ray.room(), 60)
        said: list[str] = []
        ray.lacking(said.append)
        ray.lacking(said.append)
        assert said == [
            "no node of the cluster has what a run needs (num_cpus 1); it waits for one"
        ]
        cluster.add_node(num_cpus=3, resources={"fast": 2})
        wait_for(lambda: ray.at_once == 3, 60)
        ray.needs |= {"resources": {"fast": 1}}
        assert ray.room() == 2
        ray.needs |= {"memory": 1 << 50}
        assert ray.room() == 0
    finally:
        ray.close()


@pytest.mark.slow
def test_runs_that_wait_for_a_node_take_no_cores_and_do_not_delay_the_end(
    cluster: Any, command: Command, tmp_path: Path
) -> None:
    words = (*LONG, "--seeds", "5", "--jobs", "5")
    process = command(words, tmp_path, *on(cluster, tmp_path, shared=True))
    wait_for(lambda: sum(under_way(f) is not None for f in tmp_path.glob("runs/*")) == 5, 120)
    wait_for(lambda: len(stepped(tmp_path)) >= 2, 120)
    time.sleep(10)
    assert len(list(tmp_path.glob("runs/*/log.txt"))) == 2, "one on each core"
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 130, text
    assert time.monotonic() - begun < GRACE
    assert len(list(tmp_path.glob("runs/*/state.pt"))) == 2


def stepped(results: Path) -> list[Path]:
    """The folders of the runs that have taken steps."""
    known = ((folder, under_way(folder)) for folder in results.glob("runs/*"))
    return [folder for folder, run in known if run and run.steps]


def _works(node: Any) -> bool:
    """Return whether a run is being carried out under a node's raylet."""
    import ray

    raylet = node.all_processes[ray._private.ray_constants.PROCESS_TYPE_RAYLET][0].process.pid
    listed = subprocess.run(
        ["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1:]
    parents = {int(line.split()[0]): int(line.split()[1]) for line in listed}
    workers = [int(line.split()[0]) for line in listed if "auxbench.execution.worker" in line]
    for pid in workers:
        while pid in parents:
            if pid == raylet:
                return True
            pid = parents[pid]
    return False


def test_wrong_options_and_addresses_are_named(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="executor ray has no option 'num_gpu'; did you mean"):
        Ray(Resources(options={"num_gpu": 1}))
    file = tmp_path / "options.yml"
    file.write_text("- 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="hold no options"):
        options_of(file)
    file.write_text("a: [", encoding="utf-8")
    with pytest.raises(UsageError, match="are not YAML"):
        options_of(file)
    with pytest.raises(UsageError, match="cannot be read"):
        options_of(tmp_path / "none.yml")
    file.write_text("num_gpus: 0.5\n", encoding="utf-8")
    assert options_of(file) == {"num_gpus": 0.5}
    assert set(options_of(file)) < set(OPTIONS)
    assert options_of(None) == {}
