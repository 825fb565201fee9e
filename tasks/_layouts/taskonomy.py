"""The official tree of Taskonomy on the user's disk; what `auxbench data` reads, without torch.

A folder per domain, in it one per building, in it one file per view, such as
depth_zbuffer/hanson/point_3_view_0_domain_depth_zbuffer.png; the download tool of Omnidata puts a
folder 'taskonomy' between domain and building. Two domains write another name into their files than
that of their folder: segmentsemantic and class_places. Which domains there are decides which tasks
there are. Views are those that have a picture in rgb; they are converted building by building.

A view may lack the file of any domain, or have an empty one, as happens in the release: it has no
label of that task. Where the scan has no surface there is no depth, and no label of anything that
comes from the geometry either.

Pictures of 512 x 512 pixels are scaled to `side`. Classes, depths and normals are picked, never
averaged. Responses of filters, shading and curvature are averaged over what becomes one pixel, so
that thin lines stay as strong on average as they were.

At side 256 a view takes 1.5 MB with all domains, and 0.6 MB with classes, depth and normals alone.

`split` names the official list of buildings, whose lines end as those of old Macintoshes do.
`buildings`, such as hanson+merom+wiconisco, takes only those of the list.

Sources: Zamir, Sax, Shen, Guibas, Malik and Savarese, Taskonomy: Disentangling Task Transfer
Learning, CVPR 2018, https://arxiv.org/abs/1804.08328, its data, code and lists of classes,
https://github.com/StanfordVL/taskonomy; Eftekhar, Sax, Malik and Zamir, Omnidata, ICCV 2021,
https://arxiv.org/abs/2110.04994 (the tree of its tool); of the numbers of the scenes, Zhou,
Lapedriza, Khosla, Oliva and Torralba, Places, TPAMI 40, 2018,
https://doi.org/10.1109/TPAMI.2017.2723009
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from auxbench.data.prepared.form import NORMAL, RESPONSE
from auxbench.data.prepared.layout import Array, Finding, Layout, Rows
from auxbench.errors import UsageError

from .encode import Raw, normal_steps, picked, picture, read_array, read_image, unreadable

FRAME = (512, 512)
LICENCE = "research terms of Taskonomy and Omnidata: non-commercial research and education only"
SITE = "https://github.com/StanfordVL/taskonomy/tree/master/data"
LISTS = "https://github.com/StanfordVL/taskonomy/raw/master/data/assets/splits_taskonomy.zip"

NORMAL_ORDER = "rdf"
METRE = 512  # steps of a metre of depth
FARTHEST = 64500  # depths from here on are none; an absent one is 65535
UNKNOWN = 65535  # steps of a response that is no label
FLAT = 127  # the byte of no curvature
BENT = -128  # of a curvature that is no label, after taking FLAT away
EMPTY = 100  # bytes: smaller files hold nothing, as the authors' own code has it

SPLITS = {"train": "train", "validation": "val", "test": "test"}  # and their columns

# The folder of every array of the prepared form.
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

# fmt: off
SEGMENTS = (
    "background", "bottle", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase",
)
# fmt: on

# The 100 classes of ImageNet's 1000 that occur indoors, after their numbers there.
_OBJECTS = """
    401 accordion; 402 acoustic guitar; 409 analog clock; 412 ashcan; 414 backpack; 430 basketball;
    431 bassinet; 435 bathtub; 453 bookcase; 462 broom; 463 bucket; 470 candle; 478 carton;
    487 cellular telephone; 488 chain; 492 chest; 495 china cabinet; 504 coffee mug; 505 coffeepot;
    508 computer keyboard; 519 crate; 520 crib; 521 Crock Pot; 526 desk; 527 desktop computer;
    528 dial telephone; 530 digital clock; 532 dining table; 533 dishrag; 534 dishwasher;
    539 doormat; 545 electric fan; 546 electric guitar; 548 entertainment center;
    550 espresso maker; 553 file; 559 folding chair; 564 four-poster; 579 grand piano; 588 hamper;
    598 home theater; 606 iron; 619 lampshade; 620 laptop; 632 loudspeaker; 648 medicine chest;
    651 microwave; 662 modem; 664 monitor; 673 mouse; 681 notebook; 700 paper towel; 706 patio;
    711 perfume; 713 photocopier; 716 picket fence; 721 pillow; 728 plastic bag; 729 plate rack;
    733 pole; 736 pool table; 737 pop bottle; 738 pot; 742 printer; 748 purse; 750 quilt;
    752 racket; 753 radiator; 754 radio; 760 refrigerator; 761 remote control; 765 rocking chair;
    770 running shoe; 773 saltshaker; 778 scale; 794 shower curtain; 799 sliding door;
    804 soap dispenser; 805 soccer ball; 809 soup bowl; 825 stone wall; 827 stove;
    831 studio couch; 844 switch; 846 table lamp; 849 teapot; 851 television; 859 toaster;
    861 toilet seat; 882 vacuum; 883 vase; 892 wall clock; 894 wardrobe; 897 washer;
    904 window screen; 905 window shade; 907 wine bottle; 923 plate; 968 cup; 999 toilet tissue
"""

# The 63 classes of Places' 365 that are of homes and of work, after their numbers there.
_SCENES = """
    3 alcove; 23 assembly line; 25 public atrium; 26 attic; 28 auto factory; 37 bank vault;
    43 basement; 45 bathroom; 51 bedchamber; 52 bedroom; 56 biology laboratory; 61 indoor booth;
    63 indoor bow window; 88 chemistry lab; 89 childs room; 93 clean room; 95 closet;
    100 computer room; 102 conference room; 106 corridor; 121 dining room; 124 dorm room;
    126 dressing room; 129 elevator door; 131 elevator shaft; 133 engine room;
    135 indoor escalator; 156 indoor garage; 165 indoor greenhouse; 176 home office;
    177 home theater; 179 hospital room; 182 hotel room; 203 kitchen; 208 laundromat;
    215 living room; 217 lobby; 228 mezzanine; 240 nursery; 241 nursing home; 244 office;
    246 office cubicles; 248 operating room; 253 pantry; 255 indoor parking garage;
    264 physics laboratory; 269 playroom; 280 reception; 281 recreation room; 282 repair shop;
    285 restaurant kitchen; 298 server room; 303 shower; 311 stable; 317 staircase;
    318 storage room; 328 television room; 332 ticket booth; 343 utility room;
    346 veterinarians office; 352 waiting room; 358 wet bar; 363 youth hostel
"""


def _numbered(text: str) -> dict[str, int]:
    pairs = (" ".join(entry.split()).partition(" ") for entry in text.split(";"))
    return {name: int(number) for number, _, name in pairs}


_OBJECT_NUMBERS, _SCENE_NUMBERS = _numbered(_OBJECTS), _numbered(_SCENES)
OBJECTS, SCENES = tuple(_OBJECT_NUMBERS), tuple(_SCENE_NUMBERS)
OBJECT_NUMBERS = np.array(list(_OBJECT_NUMBERS.values()))  # of the 1000 in a file
SCENE_NUMBERS = np.array(list(_SCENE_NUMBERS.values()))  # of the 365 in a file


class View(NamedTuple):
    """One picture: the building, a point in it, and the number of a camera that looks there."""

    building: str
    point: int
    view: int

    def __str__(self) -> str:
        return f"{self.building}/point_{self.point}_view_{self.view}"


class Official(Layout):
    """The authors' tree with as many domains and buildings as the user has."""

    dataset = "taskonomy"
    name = "official"
    summary = "the authors' tree: a folder per domain, in it one per building"
    expects = "the folder rgb and others such as depth_zbuffer, with the same buildings in each"
    source = (
        "the domains that you want with the tool of Omnidata (omnitools.download, --components "
        f"taskonomy --subset tiny) as {SITE} says, and the lists of buildings, to be unpacked into "
        f"the same folder, from {LISTS}"
    )
    licence = LICENCE
    tasks: ClassVar[tuple[str, ...]] = tuple(DOMAINS)  # that the layout can have

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
        metres = f"metres = value / {METRE}, 0 is no label"
        response = f"response = value / {RESPONSE}, {UNKNOWN} is no label"
        towards = "x right, y down, z forward; zero is no label"
        chances = "probabilities of classes, all zero without a label"
        known = {
            "segmentation": Array("int8", size, "class of 17, -1 is no label", 0, 16, -1),
            "depth": Array("uint16", size, f"along the optical axis, {metres}", 0, FARTHEST),
            "distance": Array("uint16", size, f"from the camera, {metres}", 0, FARTHEST),
            "normals": Array("int8", (3, *size), f"value / {NORMAL}, {towards}", -NORMAL, NORMAL),
            **{name: Array("uint16", size, response) for name in (*RESPONSES, "reshading")},
            "curvature": Array(
                "int8", (2, *size), f"two, value / {FLAT}, {BENT} is no label", -FLAT, FLAT, BENT
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
        """The view of that number in a split: buildings follow one another."""
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
                yield Finding(domain, "note", f"no such folder, hence no task {name}")

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
        """The file of a view in a domain; None if there is none or nothing is in it."""
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
        """The arrays, beside the image, of which some building has files."""
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
        """The number of the first view of a split after each building."""
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
        """The buildings of every split that are there and, if any are named, among these."""
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
        """How many of the views have a file in a domain."""
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
        """A label in the type of the prepared form, `seen` being where there can be one."""
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


def read_list(path: Path) -> dict[str, str]:
    """The split of every building, by an official list: id,train,val,test with one 1 a line.

    Errors: `UsageError` for a file that is missing or not such a list.
    """
    try:
        # with universal ends of lines, since most of these files have lone carriage returns
        with path.open(encoding="utf-8-sig", newline=None) as file:
            table = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(path, error) from None
    columns = ["id", *SPLITS.values()]
    if not table or [word.strip() for word in table[0]] != columns:
        raise UsageError(f"file '{path}' does not begin with {','.join(columns)}; get it again.")
    listed: dict[str, str] = {}
    for row in table[1:]:
        building, *marks = (word.strip() for word in row) if row else ("",)
        if not building and not any(marks):
            continue
        if sorted(marks) != ["0", "0", "1"]:
            raise UsageError(
                f"file '{path}' puts the building '{building}' into {marks.count('1')} splits, "
                "not one; get it again."
            )
        split = list(SPLITS)[marks.index("1")]
        if listed.setdefault(building, split) != split:
            raise UsageError(
                f"file '{path}' puts the building '{building}' into {listed[building]} and "
                f"{split}; get it again."
            )
    return listed


def averaged(values: Raw, seen: Raw | None, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Numbers [H, W] scaled down by averaging; NaN where less than half is `seen`.

    >>> averaged(np.array([[1, 3], [5, 7]]), np.array([[True, True], [False, True]]), (1, 1))
    array([[3.6666667]], dtype=float32)
    """
    if seen is None or seen.all():
        return _boxes(values, size)
    share = _boxes(seen, size)
    total = _boxes(np.where(seen, values, 0), size)
    known = share >= 0.5
    return np.where(known, total / np.where(known, share, 1), np.nan).astype(np.float32)


def _boxes(values: Raw, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    image = Image.fromarray(values.astype(np.float32))
    return np.array(image.resize((size[1], size[0]), Image.Resampling.BOX), np.float32)


def _place(folder: Path, domain: str) -> Path:
    """Where the buildings of a domain lie."""
    inner = folder / domain / "taskonomy"
    return inner if inner.is_dir() else folder / domain


def _frame(path: Path, mode: str) -> Raw:
    """The pixels of a whole picture."""
    pixels = read_image(path, mode)
    if pixels.shape[:2] != FRAME:
        raise UsageError(
            f"picture '{path}' is {pixels.shape[0]} x {pixels.shape[1]} pixels, not "
            f"{FRAME[0]} x {FRAME[1]}; get it again."
        )
    return pixels


def _chances(path: Path, count: int, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The teacher's probabilities of the classes that are kept, which become 1 together.

    A file holds probabilities of all classes or what a softmax makes them of.
    """
    array = read_array(path, (count,), (1, count)).reshape(count).astype(np.float64)
    if not np.isfinite(array).all():
        raise UsageError(f"array '{path}' has numbers that are not finite; get that file again.")
    kept = array[numbers]
    if array.min() < 0 or abs(array.sum() - 1) > 0.01 or not kept.any():
        kept = np.exp(kept - kept.max())
    result: npt.NDArray[np.float32] = (kept / kept.sum()).astype(np.float32)
    return result


def _some(names: list[str]) -> str:
    """A few of the names."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
