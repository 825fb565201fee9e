"""The prepared form: a data set as memory-mapped arrays, one file per split and array.

    <folder>/train-image.npy   uint8 [N, 3, H, W]    planar RGB, as networks take it
             train-depth.npy   uint16 [N, H, W]      ...
             prepared.json     description; written last, so a folder without it is unfinished

Conversions choose the smallest type that loses nothing of value:

| what | type | decoding | what is lost |
|---|---|---|---|
| image | uint8 [3, H, W] | RGB / 255 | nothing |
| classes | int8 | the class, -1 without a label | nothing (up to 127 classes) |
| depth indoors | uint16 | / `DEPTH` = metres, 0 without a label | 1/8 mm, a tenth of the noise |
| normals | int8 [3, H, W] | / `NORMAL`; zero without a label | below 0.4°, see below |
| responses | uint16 | / `RESPONSE` = [0, 1] | 1/131070 |

Normals have x right, y down, z forward. The pictures from which they are read have eight bits too;
the mean angle of a network that is 10° off or more changes by less than 0.01°.

Writing is crash-safe: rows are appended to `.part` files, a journal records after every `FLUSH`
rows how many are on disk, and an interrupted conversion resumes there. Nothing here needs torch;
`auxbench.data.prepared.samples` makes `Samples` from it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from auxbench.data.prepared import cache
from auxbench.data.prepared.layout import Finding, Rows
from auxbench.errors import UsageError, reason

FORMAT = 1
MARKER = "prepared.json"
JOURNAL = "prepared.json.part"
DEPTH = 4000  # steps per metre of a depth in uint16, which reaches 16.38 m
NORMAL = 127  # steps per unit of a normal's component in int8
RESPONSE = 65535  # steps of a filter's response in uint16


def place(name: str) -> Path:
    """The folder of a prepared form: a name is looked up in the cache folder, a path is used as is.

    A path contains a separator; names keep records independent of the machine.

    >>> place("./nyuv2")
    PosixPath('nyuv2')
    """
    path = Path(name).expanduser()
    is_path = path.is_absolute() or os.sep in name or "/" in name
    return path if is_path else cache.root() / name


@dataclass(frozen=True)
class Prepared:
    """A finished prepared form, opened; arrays are mapped into memory on demand.

    `card` is the content of prepared.json: format, dataset, layout, options, source, licence,
    splits (counts), arrays, files (bytes and sha256), facts.
    """

    folder: Path
    card: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path, dataset: str | None = None, layout: str | None = None) -> Prepared:
        """Open a prepared form and check its data set and layout if they are given.

        Errors: `UsageError` if it is missing, unfinished, of another data set or layout, or of
        another version of the format.
        """
        remedy = f"auxbench data prepare {dataset or 'DATASET'} --source DIR --out {folder}"
        try:
            card = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            begun = (folder / JOURNAL).exists()
            state = "is half prepared" if begun else "is not prepared"
            raise UsageError(f"data set '{dataset}' {state} in '{folder}'; {remedy}.") from None
        except (OSError, ValueError) as error:
            raise UsageError(
                f"'{folder / MARKER}' cannot be read ({reason(error)}); {remedy}."
            ) from None
        if card.get("format") != FORMAT:
            raise UsageError(
                f"'{folder}' has format '{card.get('format')}', not {FORMAT}; "
                f"delete it, then {remedy}."
            )
        if dataset is not None and card["dataset"] != dataset:
            raise UsageError(f"'{folder}' holds '{card['dataset']}', not '{dataset}'; {remedy}.")
        if layout is not None and card["layout"] != layout:
            raise UsageError(
                f"'{folder}' was prepared from the layout '{card['layout']}', not '{layout}'; "
                f"say {dataset}:layout={card['layout']}, or prepare the other one."
            )
        return cls(folder, card)

    @property
    def identity(self) -> dict[str, Any]:
        """A digest of the recorded checksums of all files, and the sizes of the splits."""
        sums = {name: known["sha256"] for name, known in self.card["files"].items()}
        total = hashlib.sha256(_canonical(sums).encode()).hexdigest()
        return {"digest": total[:16], "counts": self.counts}

    @property
    def counts(self) -> dict[str, int]:
        """The number of samples of every split."""
        return dict(self.card["splits"])

    def arrays(self, split: str, names: frozenset[str] | None = None) -> Rows:
        """The arrays of a split by name, [N, ...], mapped into memory.

        `names` selects some of them. Writes to the arrays stay in this process. Mapped pages belong
        to the system's file cache, so memory use does not grow with the size of the split.

        Errors: `UsageError` for a file that is missing or differs from prepared.json.
        """
        if split not in self.card["splits"]:
            raise UsageError(f"'{self.folder}' has no split '{split}'; it has {self._splits()}.")
        return {
            name: self._open(split, name, spec)
            for name, spec in self.card["arrays"].items()
            if names is None or name in names
        }

    def verify(self) -> Iterator[Finding]:
        """Compare every file with its recorded size and checksum, which reads all data."""
        for name, known in self.card["files"].items():
            path = self.folder / name
            try:
                found = {"bytes": path.stat().st_size, "sha256": sha256(path)}
            except OSError as error:
                yield Finding(name, "wrong", f"cannot be read ({reason(error)})")
                continue
            wrong = [key for key in known if found[key] != known[key]]
            said = f"{wrong[0]} is not the recorded one" if wrong else "checksum is right"
            yield Finding(name, "wrong" if wrong else "ok", said)

    def _splits(self) -> str:
        return ", ".join(self.card["splits"])

    def _open(self, split: str, name: str, spec: Mapping[str, Any]) -> npt.NDArray[Any]:
        path = self.folder / _file(split, name)
        shape = (self.card["splits"][split], *spec["shape"])
        try:
            if path.stat().st_size != self.card["files"][path.name]["bytes"]:
                raise ValueError("its size is not the recorded one")
            array: npt.NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
            if array.shape != shape or array.dtype != spec["dtype"]:
                raise ValueError(f"it holds {array.dtype} {array.shape}")
        except (OSError, ValueError, EOFError) as error:
            raise UsageError(
                f"'{path}' is damaged ({reason(error)}); delete '{self.folder}' and prepare "
                f"'{self.card['dataset']}' again."
            ) from None
        return array.view(np.ndarray)


def _file(split: str, name: str) -> str:
    return f"{split}-{name}.npy"


def _read_journal(path: Path) -> dict[str, Any] | None:
    try:
        journal: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return journal


def progress_of(folder: Path) -> str:
    """The progress of a conversion into a folder, in words."""
    journal = _read_journal(folder / JOURNAL)
    if journal is None:
        return "its journal cannot be read"
    done, total = sum(journal["done"].values()), sum(journal["head"]["splits"].values())
    return f"{done} of {total} samples of {journal['head']['dataset']}"


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, default=list)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
