"""Fetching: resumable, verified downloads of single files, and safe unpacking of archives."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from auxbench.data.progress import bar
from auxbench.errors import UsageError, reason

CHUNK = 1 << 20
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def download(url: str, target: Path, digest: str, remedy: str) -> Path:
    """Download a URL to `target`, whose folder is created if missing.

    The data go to a file with suffix .part beside the target, so that an interrupted download can
    resume; only the complete file with the correct `digest` (such as 'md5:0cc1...' or
    'sha256:9f86...') is renamed to the target. An existing file with the correct digest is left
    alone.

    Errors: `UsageError` if the download fails or the digest differs; its text ends with `remedy`,
    which says what to do.
    """
    if target.is_file() and _digest(target, digest) == digest:
        return target
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _receive(url, part)
    except (OSError, HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        why = reason(cause) if isinstance(cause, BaseException) else str(cause).rstrip(".")
        raise UsageError(f"'{url}' cannot be downloaded ({why}); {remedy}") from None
    if _digest(part, digest) != digest:
        part.unlink()
        raise UsageError(f"what '{url}' sent is not the expected file (wrong checksum); {remedy}")
    os.replace(part, target)
    return target


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip or tar archive into `folder`, which must not exist yet.

    Everything is first written to a folder beside it, so that half an archive is never mistaken for
    a complete one. An archive is refused as a whole if it contains links, devices or names that
    lead out of the folder.

    Errors: `UsageError` for an archive that is damaged or not safe to unpack.
    """
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        if archive.name.lower().endswith(".zip"):
            _unzip(archive, part)
        else:
            _untar(archive, part)
        os.replace(part, folder)
    except (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        zipfile.BadZipFile,
        tarfile.TarError,
    ) as error:
        raise UsageError(
            f"archive '{archive}' cannot be unpacked ({reason(error)}); get it again."
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _receive(url: str, part: Path) -> None:
    begun = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and begun:  # the part file is complete already
            return
        raise
    with answer:
        if begun and answer.status != 206:  # the server starts over, so the file does too
            begun = 0
        length = answer.headers.get("Content-Length")
        total = begun + int(length) if length else 0
        name = url.rpartition("/")[2]
        with part.open("ab" if begun else "wb") as file:
            with bar(f"downloading {name}", total, begun, "byte") as advance:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    advance(len(chunk))
            if total and file.tell() != total:
                raise OSError(None, f"{file.tell()} of {total} bytes arrived")


def _digest(path: Path, like: str) -> str:
    kind = like.partition(":")[0]
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        members = packed.infolist()
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                raise _unsafe(archive, member.filename, "is a link or a device")
            _inside(archive, member.filename)
        with bar("unpacking", len(members), unit="file") as advance:
            for member in members:
                packed.extract(member, folder)
                advance(1)


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        members = packed.getmembers()
        for member in members:
            if not (member.isfile() or member.isdir()):
                raise _unsafe(archive, member.name, "is a link or a device")
            _inside(archive, member.name)
        with bar("unpacking", len(members), unit="file") as advance:
            for member in members:
                packed.extract(member, folder, filter="data")
                advance(1)


def _inside(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0:1]:
        raise _unsafe(archive, name, "leads out of the folder")


def _unsafe(archive: Path, name: str, why: str) -> UsageError:
    return UsageError(
        f"archive '{archive}' is not unpacked, since '{name}' in it {why}; get another copy."
    )
