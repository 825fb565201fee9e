"""A review of a folder of own data: every file is read, and what it holds is counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from auxbench.data.own.array_source import source_of
from auxbench.data.own.checks import refuse_unlabelled
from auxbench.data.own.dealing import SPLITS, Codes, deal
from auxbench.data.own.fast_form import FastForm, fast_form
from auxbench.data.own.labels import of_classes
from auxbench.data.own.source import Source
from auxbench.data.own.table import Described, read
from auxbench.data.prepared.layout import Finding
from auxbench.errors import UsageError

SIDE = 64  # pixels at which pictures are tried


def review(folder: Path) -> tuple[str, list[Finding]]:
    """A title, and what a folder holds: samples, splits, and the labels of every task.

    The first fault is the last finding; it names the file and the line. Splits that are dealt are
    tried with the first draw.
    """
    findings: list[Finding] = []
    title = f"{folder}: your own data"
    try:
        described = read(folder)
        title = f"{folder}: your own data, '{described.name}'"
        source = source_of(described)
        found = fast_form(source, SIDE)
        dealt = deal(source.split, found.groups, 0)
        findings.append(_inputs(described, source))
        findings += [_splits(source, found, dealt), *_tasks(source, found)]
        refuse_unlabelled(found.known, dealt, described.primary)
    except UsageError as error:
        findings.append(Finding("data", "wrong", str(error)))
    return title, findings


def _inputs(described: Described, source: Source) -> Finding:
    if source.pictures is None:
        what = f"vectors of {source.values['inputs'].shape[1]} numbers"
    else:
        what = f"pictures in the column '{source.pictures}'"
    return Finding("inputs", "ok", f"{source.count} samples, {what}")


def _splits(source: Source, found: FastForm, dealt: Codes) -> Finding:
    counts = ", ".join(f"{(dealt == code).sum()} {name}" for code, name in enumerate(SPLITS))
    how = "as given"
    if source.split is None:
        how = "dealt by every seed"
    elif not (source.split == 1).any():
        how = "of which every seed deals validation"
    groups = len(np.unique(found.groups))
    kept = f"; {groups} groups stay together" if groups < source.count else ""
    return Finding("splits", "ok", f"{counts}, {how}{kept}")


def _tasks(source: Source, found: FastForm) -> Iterator[Finding]:
    for name, task in source.tasks.items():
        marks, kind = found.known[name], task.kind
        told = f"{marks.sum()} of {source.count} samples have labels"
        if of_classes(kind) and not kind.dense:
            counts = np.bincount(found.arrays[name][marks], minlength=kind.classes)
            shares = (f"{kind.called(number)} {count}" for number, count in enumerate(counts[:12]))
            told += f": {', '.join(shares)}" + (", ..." if kind.classes > 12 else "")
        elif kind.classes:
            told += f", maps of {kind.classes} classes"
        elif not kind.dense:
            values = found.arrays[name][marks]
            told += f", from {values.min():.4g} to {values.max():.4g}" if len(values) else ""
        role = "primary" if name == source.described.primary else "task"
        yield Finding(f"{role} {name}", "ok", told)
