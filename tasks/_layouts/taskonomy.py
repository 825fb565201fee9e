"""The official tree of Taskonomy on the user's disk, read by `auxbench data` without torch.

Every domain is a folder with a subfolder per building, which holds one file per view, such as
depth_zbuffer/hanson/point_3_view_0_domain_depth_zbuffer.png; the download tool of Omnidata puts a
folder 'taskonomy' between domain and building. Two domains use a name in their files that is not
that of their folder: segmentsemantic and class_places. Every domain that is present gives a task.
Views are the pictures in rgb, converted building by building.

A view may lack the file of any domain, or have an empty one, as happens in the release: it then has
no label for that task. Where the scan has no surface, there is no depth, and no label for any other
task that is computed from the geometry.

Pictures of 512 x 512 pixels are scaled to `side`. Classes, depths and normals are taken from the
nearest pixel, never averaged. Filter responses, shading and curvature are averaged over the area
that becomes one pixel, so that thin lines keep their strength on average.

At side 256 a view takes 1.5 MB with all domains, and 0.6 MB with only classes, depth and normals.

`split` names the official list of buildings, which may have the line ends of old Macintoshes.
`buildings`, such as hanson+merom+wiconisco, restricts it to these buildings.

Sources: Zamir, Sax, Shen, Guibas, Malik and Savarese, Taskonomy: Disentangling Task Transfer
Learning, CVPR 2018, https://arxiv.org/abs/1804.08328, its data, code and lists of classes,
https://github.com/StanfordVL/taskonomy; Eftekhar, Sax, Malik and Zamir, Omnidata, ICCV 2021,
https://arxiv.org/abs/2110.04994 (the tree of its tool); for the numbers of the scenes, Zhou,
Lapedriza, Khosla, Oliva and Torralba, Places, TPAMI 40, 2018,
https://doi.org/10.1109/TPAMI.2017.2723009

Long because the one layout has twelve domains, each with its own encoding.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from auxbench.data.prepared.form import NORMAL, RESPONSE
from auxbench.data.prepared.layout import Array, Finding, Layout, Rows
from auxbench.errors import UsageError

from .encode import Raw, normal_steps, picked, picture
from .taskonomy_classes import OBJECT_NUMBERS, OBJECTS, SCENE_NUMBERS, SCENES, SEGMENTS
from .taskonomy_files import FRAME, SPLITS, _chances, _frame, averaged, read_list

LICENCE = "research terms of Taskonomy and Omnidata: non-commercial research and education only"
SITE = "https://github.com/StanfordVL/taskonomy/tree/master/data"
LISTS = "https://github.com/StanfordVL/taskonomy/raw/master/data/assets/splits_taskonomy.zip"
NORMAL_ORDER = "rdf"
METRE = 512  # steps per metre of depth
FARTHEST = 64500  # values from here on are not depths; a missing depth is 65535
UNKNOWN = 65535  # the stored response that means no label
FLAT = 127  # the byte that means no curvature
BENT = -128  # the curvature that means no label, once FLAT is subtracted
EMPTY = 100  # bytes; smaller files count as empty, as in the authors' own code

# The folder that each array of the prepared form comes from.
DOMAINS: Mapping[str, str] = {
    "segmentation": "segment_semantic",
    "depth": "depth_zbuffer",
    "distance": "depth_euclidean",
    "normals": "normal",
    "edges": "edge_texture",
    "occlusions": "edge_occlusion",
    "keypoints": "keypoints2d",
    "keypoints3d": "keypoints3d",
    "reshading": "reshading",
    "curvature": "principal_curvature",
    "object": "class_object",
    "scene": "class_scene",
}

WORDS = {"segment_semantic": "segmentsemantic", "class_scene": "class_places"}
GEOMETRIC = ("normals", "occlusions", "keypoints3d", "reshading", "curvature")
RESPONSES = ("edges", "occlusions", "keypoints", "keypoints3d")
VIEW = re.compile(r"point_(\d+)_view_(\d+)_domain_\w+\.(?:png|npy)")


class View(NamedTuple):
    """One picture: the building, a point in it, and the number of a camera that looks at it."""

    building: str
    point: int
    view: int

    def __str__(self) -> str:
        return f"{self.building}/point_{self.point}_view_{self.view}"


class Official(Layout):
    """The authors' tree with as many domains and buildings as the user has."""

    dataset = "taskonomy"
    name = "official"
    summary = "the authors' tree: a folder per domain, with a subfolder per building"
    expects = "the folder rgb and others such as depth_zbuffer, with the same buildings in each"
    source = (
        "the domains that you want with Omnidata's tool (omnitools.download, --components "
        f"taskonomy --subset tiny), as {SITE} explains, and the lists of buildings from {LISTS}, "
        "unpacked into the same folder"
    )
    licence = LICENCE
    tasks: ClassVar[tuple[str, ...]] = tuple(DOMAINS)  # all that the layout can have

    def __init__(
        self,
        folder: Path,
        *,
        side: int = 256,
        split: Literal["tiny", "medium", "full", "fullplus"] = "tiny",
        buildings: str = "",
    ) -> None:
        super().__init__(folder)
        if not 8 <= side <= FRAME[0]:
            raise UsageError(
                f"side '{side}' of 'taskonomy' is not possible; choose 8 to {FRAME[0]}."
            )
        self.size = (side, side)
        self.list_file = self._find_list(f"train_val_test_{split}.csv")
        self.listed = read_list(self.list_file)
        self.chosen = self._choose([name for name in buildings.split("+") if name])

    @classmethod
    def recognise(cls, folder: Path) -> bool:
        return (folder / "rgb").is_dir() and any(
            (folder / domain).is_dir() for domain in DOMAINS.values()
        )

    def counts(self) -> Mapping[str, int]:
        return {split: ends[-1] if ends else 0 for split, ends in self._ends.items()}

    def arrays(self) -> Mapping[str, Array]:
        size = self.size
        metres = f"metres = value / {METRE}, 0 means no label"
        response = f"response = value / {RESPONSE}, {UNKNOWN} means no label"
        towards = "x right, y down, z forward; zero means no label"
        chances = "probabilities of classes, all zero without a label"
        known = {
            "segmentation": Array("int8", size, "class of 17, -1 means no label", 0, 16, -1),
            "depth": Array("uint16", size, f"along the optical axis, {metres}", 0, FARTHEST),
            "distance": Array("uint16", size, f"from the camera, {metres}", 0, FARTHEST),
            "normals": Array("int8", (3, *size), f"value / {NORMAL}, {towards}", -NORMAL, NORMAL),
            **{name: Array("uint16", size, response) for name in (*RESPONSES, "reshading")},
            "curvature": Array(
                "int8", (2, *size), f"two, value / {FLAT}, {BENT} means no label", -FLAT, FLAT, BENT
            ),
            "object": Array("float32", (len(OBJECTS),), chances, 0, 1),
            "scene": Array("float32", (len(SCENES),), chances, 0, 1),
        }
        image = {"image": Array("uint8", (3, *size), "planar RGB")}
        return image | {name: known[name] for name in self.parts}

    def facts(self) -> dict[str, Any]:
        names = {"segmentation": SEGMENTS, "object": OBJECTS, "scene": SCENES}
        buildings = {
            split: [(building, len(views)) for building, views in within]
            for split, within in self._views.items()
        }
        kept = {name: names[name] for name in self.parts if name in names}
        return {**kept, "buildings": buildings}

    def key(self, split: str, index: int) -> str:
        return str(self.view(split, index))

    def view(self, split: str, index: int) -> View:
        """The view with that number in a split, counted building by building."""
        ends = self._ends[split]
        place = int(np.searchsorted(ends, index, side="right"))
        building, views = self._views[split][place]
        point, camera = views[index - (ends[place - 1] if place else 0)]
        return View(building, int(point), int(camera))

    def findings(self) -> Iterator[Finding]:
        for split in SPLITS:
            wanted = [name for name, its in self.listed.items() if its == split]
            lacking = [name for name in wanted if name not in self.chosen[split]]
            said = f"{len(wanted) - len(lacking)} of the {len(wanted)} in {self.list_file.name}"
            yield Finding(
                f"buildings for {split}",
                "note" if lacking else "ok",
                said + (f", without {_some(lacking)}" if lacking else ""),
            )
        unlisted = sorted(self._present - self.listed.keys())
        if unlisted:
            yield Finding("other buildings", "note", f"not in that list: {_some(unlisted)}")
        for name, domain in DOMAINS.items():
            if name in self.parts:
                yield self._completeness(domain)
            else:
                yield Finding(domain, "note", f"no such folder, so no task {name}")

    def read(self, split: str, index: int) -> Rows:
        view = self.view(split, index)
        path = self.path("rgb", view)
        if path is None:
            raise UsageError(f"the picture of '{view}' in '{self.folder}' is gone; get it again.")
        rows: Rows = {"image": picture(_frame(path, "RGB"), self.size)}
        seen = None  # where the scan has a surface
        for name in self.parts:
            path = self.path(DOMAINS[name], view)
            if name in ("depth", "distance"):
                value, where = self._depth(path)
                seen = where if seen is None else seen
            else:
                value = self._label(name, path, seen if name in GEOMETRIC else None)
            rows[name] = value
        return rows

    def path(self, domain: str, view: View) -> Path | None:
        """The file of a view in a domain; None if it is missing or empty."""
        end = "npy" if domain.startswith("class_") else "png"
        place = _place(self.folder, domain) / view.building
        for word in (WORDS.get(domain, domain), domain):
            path = place / f"point_{view.point}_view_{view.view}_domain_{word}.{end}"
            try:
                if path.stat().st_size >= EMPTY:
                    return path
            except OSError:
                continue
        return None

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The arrays, apart from the image, for which some building has files."""
        names = {name for within in self.chosen.values() for name in within}
        return tuple(
            name
            for name, domain in DOMAINS.items()
            if any((_place(self.folder, domain) / building).is_dir() for building in names)
        )

    @cached_property
    def _present(self) -> set[str]:
        """The buildings that have pictures."""
        place = _place(self.folder, "rgb")
        return {path.name for path in place.iterdir() if path.is_dir()}

    @cached_property
    def _views(self) -> dict[str, list[tuple[str, npt.NDArray[np.int32]]]]:
        """The points and cameras [N, 2] of every building of a split, in ascending order."""
        return {
            split: [(building, self._numbers("rgb", building)) for building in buildings]
            for split, buildings in self.chosen.items()
        }

    @cached_property
    def _ends(self) -> dict[str, list[int]]:
        """The total number of views in a split up to and including each building."""
        return {
            split: list(accumulate(len(views) for _, views in within))
            for split, within in self._views.items()
        }

    def _find_list(self, name: str) -> Path:
        for place in (self.folder, self.folder / "splits_taskonomy", self.folder / "splits"):
            if (place / name).is_file():
                return place / name
        raise UsageError(
            f"folder '{self.folder}' does not say which buildings are for training; unpack {name} "
            f"of {LISTS} into it."
        )

    def _choose(self, named: list[str]) -> dict[str, list[str]]:
        """The buildings of every split that have pictures and, if any are named, are among them."""
        for name in named:
            if name not in self.listed:
                raise UsageError(
                    f"building '{name}' is not in '{self.list_file}'; name others, or another "
                    "list with taskonomy:split=medium or full."
                )
            if name not in self._present:
                raise UsageError(
                    f"building '{name}' has no pictures in '{self.folder}'; get it, or do not "
                    "name it."
                )
        if not self._present & self.listed.keys():
            raise UsageError(
                f"folder '{self.folder}' has none of the buildings in '{self.list_file.name}'; "
                "get some, or name another list with taskonomy:split=medium or full."
            )
        wanted = self._present & set(named or self.listed)
        return {
            split: [name for name, its in self.listed.items() if its == split and name in wanted]
            for split in SPLITS
        }

    def _numbers(self, domain: str, building: str) -> npt.NDArray[np.int32]:
        """The points and cameras [N, 2] of a building that have a file in a domain."""
        try:
            with os.scandir(_place(self.folder, domain) / building) as entries:
                found = [match for entry in entries if (match := VIEW.fullmatch(entry.name))]
        except OSError:
            found = []
        pairs = sorted({(int(match[1]), int(match[2])) for match in found})
        return np.array(pairs, np.int32).reshape(-1, 2)

    def _completeness(self, domain: str) -> Finding:
        """Say how many of the views have a file in a domain."""
        count, first, lacking = 0, "", 0
        for within in self._views.values():
            for building, views in within:
                there = set(map(tuple, self._numbers(domain, building).tolist()))
                absent = [view for view in views.tolist() if tuple(view) not in there]
                if absent and not first:
                    first = str(View(building, *absent[0]))
                lacking += len(absent)
                count += len(views)
        if not lacking:
            return Finding(domain, "ok", f"{count} files")
        said = f"{lacking} of {count} views lack it, the first is {first}; they have no such label"
        return Finding(domain, "note", said)

    def _depth(self, path: Path | None) -> tuple[Raw, Raw | None]:
        """Steps of depth at the prepared size, and where there is a surface in the whole frame."""
        if path is None:
            return np.zeros(self.size, np.uint16), None
        steps = _frame(path, "I;16")
        seen = steps < FARTHEST
        return picked(np.where(seen, steps, 0).astype(np.uint16), self.size), seen

    def _label(self, name: str, path: Path | None, seen: Raw | None) -> Raw:
        """A label in the type of the prepared form; `seen` marks where there can be one."""
        if path is None:
            return self._nothing(name)
        if name == "object":
            return _chances(path, 1000, OBJECT_NUMBERS)
        if name == "scene":
            return _chances(path, 365, SCENE_NUMBERS)
        if name == "segmentation":
            return self._classes(path)
        if name == "normals":
            colours = _frame(path, "RGB")
            vectors = picked(colours, self.size).astype(np.float32) / np.float32(127.5) - 1
            if seen is not None:
                vectors[~picked(seen, self.size)] = 0
            return normal_steps(vectors, NORMAL_ORDER)
        if name == "curvature":
            colours = _frame(path, "RGB")
            both = [averaged(colours[..., channel], seen, self.size) for channel in (0, 1)]
            bent = np.rint(np.stack(both) - FLAT).clip(-FLAT, FLAT)
            return np.where(np.isnan(bent), BENT, bent).astype(np.int8)
        if name == "reshading":
            steps = _frame(path, "RGB").mean(-1, dtype=np.float32) * np.float32(RESPONSE / 255)
        else:
            steps = _frame(path, "I;16")
        values = np.rint(averaged(steps, seen, self.size)).clip(0, UNKNOWN - 1)
        return np.where(np.isnan(values), UNKNOWN, values).astype(np.uint16)

    def _classes(self, path: Path) -> Raw:
        numbers = picked(_frame(path, "L"), self.size)
        if numbers.max() > len(SEGMENTS):
            raise UsageError(
                f"picture '{path}' holds the class '{numbers.max()}', which is not in "
                f"0..{len(SEGMENTS)}; get it again."
            )
        return (numbers.astype(np.int16) - 1).astype(np.int8)  # 0 is where the teacher is unsure

    def _nothing(self, name: str) -> Raw:
        """The value of a label that a view lacks."""
        array = self.arrays()[name]
        value = {"segmentation": -1, "curvature": BENT, "normals": 0, "object": 0, "scene": 0}
        return np.full(array.shape, value.get(name, UNKNOWN), array.dtype)


LAYOUTS = (Official,)


def _place(folder: Path, domain: str) -> Path:
    """Return the folder of a domain's buildings."""
    inner = folder / domain / "taskonomy"
    return inner if inner.is_dir() else folder / domain


def _some(names: list[str]) -> str:
    """A few of the names."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
