"""Commands of `auxbench` in other processes: many in one, since importing torch takes longest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import auxbench

ROOT = Path(auxbench.__file__).parents[1]
SCRIPT = """
import contextlib, io, json, sys
from auxbench import cli
told = []
for words in json.loads(sys.argv[1]):
    sys.argv, out, err = ["auxbench", *words], io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as end:
            told.append([end.code, out.getvalue(), err.getvalue()])
print(json.dumps(told))
"""


class Said(NamedTuple):
    """What a command ended with: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


def said(
    folder: Path, commands: Sequence[Sequence[str]], more: Mapping[str, str] | None = None
) -> list[Said]:
    """The outcomes of commands that are given one after the other in a folder."""
    more = dict(more or {})
    paths = [str(ROOT), more.pop("PYTHONPATH", ""), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, json.dumps([list(c) for c in commands])],
        cwd=folder,
        env={**os.environ, **more, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Said(*one) for one in json.loads(done.stdout.splitlines()[-1])]


@contextmanager
def interruptible() -> Iterator[None]:
    """Let commands that are started inside heed Ctrl-C, which a shell's `&` has tests ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
