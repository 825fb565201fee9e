"""A run, as its record describes it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from auxbench.records.provenance import REGISTRIES, stale
from auxbench.report.tables import Column, Table, si
from auxbench.spec.budget import BUDGETS
from auxbench.spec.grammar import spelled
from auxbench.spec.problem import network_of
from auxbench.spec.registry import NAME
from auxbench.spec.study import CHANGES

FACTS = (Column("fact", "fact"), Column("value", "value"))


def tables(record: dict[str, Any]) -> list[Table]:
    """The specification, the scores, the curve, and the costs of a run."""
    result = [_facts(record)]
    if record["scores"]:
        result.append(_scores(record))
    if record["curve"]:
        result.append(_curve(record))
    if record["training"]:
        result.append(_training(record["training"]))
    if record["inference"]:
        result.append(_inference(record["inference"]))
    return result


def _facts(record: dict[str, Any]) -> Table:
    run, selected = record["run"], record["selected"] or {}
    facts: dict[str, Any] = {
        "id": record["id"],
        "status": record["status"],
        "reason": record["reason"],
        "method": run["method"],
        "data set": run["dataset"],
        "primary": run["primary"],
        "auxiliaries": ", ".join(run["auxiliaries"]),
        "backbone": network_of(run),
        "seed": run["seed"],
        "recipe": ", ".join(f"{key} {value}" for key, value in run["recipe"].items()),
        "protocol": run["protocol"],
    }
    if selected:
        facts["selected step"] = selected["step"]
        facts["primary score with the auxiliary branches, and deployed"] = (
            f"{selected['score_with_auxiliaries']:.4g}, {selected['score_deployed']:.4g}"
            if None not in (selected["score_with_auxiliaries"], selected["score_deployed"])
            else "no value"
        )
    for when, key in (("selected state", "traces"), ("end", "final_traces")):
        for name, values in selected.get(key, {}).items():
            facts[f"{name} at the {when}"] = f"{min(values):.4f} to {max(values):.4f}"
    if record["environment"]:
        facts |= surroundings(record["environment"])
    facts["stale"] = stale(record)
    facts["command"] = command(record)
    rows = [{"fact": fact, "value": str(value)} for fact, value in facts.items() if value != ""]
    return Table("Run", FACTS, rows)


def command(record: Mapping[str, Any]) -> str:
    """The command that repeats a run with the same number of threads.

    Words in capitals stand for what a record does not keep: the paths of data and weights. A part
    in a file of one's own is named as if the file lay in the current folder.
    """
    run, recipe = record["run"], record["run"]["recipe"]
    budget = recipe["budget"].rstrip("*")
    tier = BUDGETS[budget].to_json() if budget in BUDGETS else {}
    made_by = record.get("provenance") or {}
    places, code = made_by.get("data_options", []), made_by.get("code") or {}
    words = {
        "methods": "+".join(_typed(part, "methods", code) for part in run["method"].split("+")),
        "dataset": _typed(run["dataset"], "datasets", code)
        + "".join(f":{key}=DIR" for key in places),
        "backbone": _typed(run["backbone"], "backbones", code),
        "primary": run["primary"],
        "auxiliary": ",".join(run["auxiliaries"]),
        "seeds": f"{run['seed']}-{run['seed']}",
        "budget": budget,
    }
    changed = {k: spelled(v) for k, v in recipe.items() if k != "budget" and tier.get(k) != v}
    if fixed := [f"{key} {changed[key]}" for key in changed if key not in CHANGES]:
        return f"none: budget '{budget}' no longer has {', '.join(fixed)}"
    words |= changed
    words |= {"head": run["head"]} if "head" in run else {}
    words |= {"weights": "FILE"} if run.get("weights") else {}
    if surroundings := record.get("environment"):
        known = {key: surroundings.get(key) for key in ("device", "threads")}
        words |= {key: str(value) for key, value in known.items() if value is not None}
    options = [f"--{key.replace('_', '-')} {shlex.quote(word)}" for key, word in words.items()]
    return " ".join(["auxbench run", *options, *(["--pretrained"] * run["pretrained"])])


def _typed(part: str, kind: str, code: Mapping[str, Any]) -> str:
    """A part as it is typed: one that no package has, nor auxbench, is in a file of one's own."""
    name = part.partition(":")[0]
    registry, recorded = REGISTRIES[kind], code.get(kind, {}).get(name, {})
    installed = name in registry and registry.file_of(name) is None
    timms = kind == "backbones" and not recorded  # or mlp
    if installed or timms or "package" in recorded or not NAME.fullmatch(name):
        return part
    return f"./{name.replace('-', '_')}.py{part[len(name) :]}"


def surroundings(environment: Mapping[str, Any]) -> dict[str, str]:
    """The versions and the machine of a run, in words."""

    def get(key: str) -> str:
        value = environment.get(key)
        return "unknown" if value is None else str(value)

    threads = environment.get("threads")
    commit, packages = environment.get("commit"), environment.get("packages") or {}
    changed = " with changes" if environment.get("dirty") else ""
    return {
        "auxbench": get("auxbench") + (f", commit {commit[:10]}{changed}" if commit else ""),
        "packages": ", ".join(f"{name} {version}" for name, version in packages.items() if version),
        "machine": f"{get('device_name')}, {get('threads')} thread{'' if threads == 1 else 's'} of "
        f"{get('cores')} cores, "
        f"{get('platform')}",
    }


def _scores(record: dict[str, Any]) -> Table:
    columns = (
        Column("task", "task"),
        Column("metric", "metric"),
        Column("unit", "unit", spare=1),
        Column("direction", "better", spare=3),
        Column("network", "network"),
        Column("split", "split", spare=2),
        Column("value", "value", 3),
    )
    return Table("Scores", columns, record["scores"])


def _curve(record: dict[str, Any]) -> Table:
    headline = record["curve"][0]["scores"][0]
    title = f"{headline['metric']} {headline['unit']}".rstrip()
    columns = (
        Column("step", "step"),
        Column("value", title, 3),
        Column("losses", "losses"),
        Column("weights", "weights"),
    )
    rows = [
        {
            "step": look["step"],
            "value": look["scores"][0]["value"],
            "losses": _scalars(look.get("scalars") or {}, "loss/"),
            "weights": _scalars(look.get("scalars") or {}, "weight/"),
        }
        for look in record["curve"]
    ]
    return Table("Validation", columns, rows)


def _training(training: dict[str, Any]) -> Table:
    keys = {"steps": 0, "forward": 2, "backward": 1, "partial": 5, "jvp": 6, "examples": 4}
    columns = (
        Column("phase", "phase"),
        *(Column(key, key, spare=spare) for key, spare in keys.items()),
        Column("flops", "FLOPs", si=True),
        Column("seconds", "seconds", 2),
        Column("cpu_seconds", "CPU seconds", 2, spare=3),
    )
    rows = [{"phase": name, **phase} for name, phase in training.get("phases", {}).items()]
    totals = (*keys, "flops", "seconds", "cpu_seconds")
    rows.append({"phase": "training", **{key: training.get(key) for key in totals}})
    notes = []
    if parameters := training.get("parameters"):
        notes.append(f"It changes {si(parameters)} parameters.")
    if peak := training.get("peak_memory_bytes"):
        notes.append(f"Peak memory: {si(peak)}B on the GPU.")
    if (waiting := training.get("waiting_seconds")) is not None:
        notes.append(f"Its threads waited for a free core for {waiting:.2f} s.")
    if without := training.get("uncounted"):
        notes.append(f"FLOPs are without those of {', '.join(without)}, which cannot be counted.")
    return Table("Training cost", columns, rows, tuple(notes))


def _inference(inference: dict[str, Any]) -> Table:
    same = {True: "the same", False: "different", None: "not compared"}
    counts = {"parameters": "parameters", "MACs per image": "macs"}
    graph = inference.get("graph") or {}
    facts = {
        "unknown": inference.get("why", ""),
        **{fact: si(inference[key]) for fact, key in counts.items() if inference.get(key)},
        "not in the MACs": ", ".join(inference.get("uncounted", ())),
        **_latencies(inference),
        "graph against the single-task network": same[inference.get("same_as_single")]
        + _proof(graph),
        "not exported": graph.get("why", ""),
        "difference": "; ".join(inference.get("difference", [])),
    }
    rows = [{"fact": fact, "value": value} for fact, value in facts.items() if value]
    return Table("Inference cost of the deployed network", FACTS, rows)


def _latencies(inference: Mapping[str, Any]) -> dict[str, str]:
    """The latency of every batch size in words; earlier records have the median of batch 1 only."""
    parts = inference.get("latency")
    median = inference.get("latency_ms")
    if not parts:
        return {"latency, batch 1": "" if median is None else f"{median:.2f} ms"}
    found = {}
    for part in parts:
        text = f"not measured: {part['skipped']}" if "skipped" in part else _percentiles(part)
        found[f"latency, batch {part['batch']}"] = text
    return found


def _percentiles(part: Mapping[str, Any]) -> str:
    shares = ((50, "median"), (95, "95th percentile"))
    known = [(part.get(f"p{share}_ms"), word) for share, word in shares]
    text = ", ".join(f"{word} {value:.2f} ms" for value, word in known if value is not None)
    return f"{text} of {part['passes']} passes" if part.get("passes") else text


def _proof(graph: Mapping[str, Any]) -> str:
    """The way in which the graphs were compared; empty if the record does not say it."""
    if graph.get("nodes"):
        return f", {graph['nodes']} nodes of the {graph['compared']} compared with their arguments"
    return f", by their {graph['compared']}" if graph else ""


def _scalars(scalars: dict[str, float], prefix: str) -> str:
    return ", ".join(
        f"{name.removeprefix(prefix)} {value:.3g}"
        for name, value in scalars.items()
        if name.startswith(prefix)
    )
