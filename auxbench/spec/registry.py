"""Registries: parts found by name, each in its own file in one folder.

The name of a part is the name of its file with dashes for underscores, so a registry can list parts
without importing anything, and imports only the requested file. Other packages add parts through
entry points; a broken one reports its error and affects nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from auxbench.errors import UsageError, reason, suggestion
from auxbench.spec import source
from auxbench.spec.description import Description

T = TypeVar("T")
P = TypeVar("P")

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # of a part, as users type it


class Registry(Generic[T]):
    """The parts of one kind by name, from a package of auxbench and from entry points.

    Every part must be a subclass of one of `bases`, which are full class names. The `package` is
    also the group of the entry points; only with `built_in` are there parts in it.
    """

    def __init__(
        self, kind: str, package: str, bases: tuple[str, ...] = (), built_in: bool = True
    ) -> None:
        self.kind = kind
        self.package = package
        self.bases = bases
        self.built_in = built_in
        self._parts: dict[str, T] = {}
        self._added: dict[str, Path] = {}
        self._texts: dict[str, bytes] = {}  # of added files, as they were imported

    def register(self, part: P) -> P:
        """Register a class under its file's name; a decorator that preserves the class's type.

        Parts of other packages have the names of their entry points instead.
        """
        package, _, module = part.__module__.rpartition(".")
        if package != self.package:
            return part
        name = module.replace("_", "-")
        entered: object = self._parts.setdefault(name, cast(T, part))
        if entered is not part:
            raise _Twice(name)
        return part

    def names(self) -> list[str]:
        """All names, sorted; nothing is imported."""
        return sorted({*self._files, *self._plugins, *self._added, *self._parts})

    def __contains__(self, name: object) -> bool:
        return any(
            name in known for known in (self._files, self._plugins, self._added, self._parts)
        )

    def __getitem__(self, name: str) -> T:
        """The part of that name; errors: `UsageError` for an unknown name or a broken plugin."""
        if name not in self:
            raise UsageError(f"no {self.kind} is called '{name}'; {suggestion(name, self.names())}")
        if name not in self._parts:
            if name in self._files:
                self._import(name, self._files[name])
            else:
                self._parts[name] = self._load(self._plugins[name])
        return self._parts[name]

    def add(self, path: Path) -> str:
        """Register the part in a file anywhere on disk, for this process, and return its name.

        The file is imported as if it were in the package, so it may use the helpers there, and
        again if it has changed since. Only a file that the user has named may be added, never one
        that a record names. Errors: `UsageError` for a file that cannot be imported, registers
        nothing or two parts, or has a name in use.
        """
        file = Path(os.path.abspath(path.expanduser()))
        name = file.stem.replace("_", "-")
        if not file.is_file():
            raise UsageError(f"file '{path}' is not there; name one that is.")
        if name in self._files and file.resolve() == self._files[name].resolve():
            return name
        if not NAME.fullmatch(name):
            raise UsageError(
                f"file '{path}' has a name that no {self.kind} can have; rename it to lower-case "
                "letters, digits and single underscores."
            )
        if known := self._added.get(name):
            if known.resolve() != file.resolve():
                raise UsageError(
                    f"files '{known}' and '{path}' would both be the {self.kind} '{name}'; rename "
                    "one of them."
                )
            if self._texts[name] == _bytes(file):
                return name
            self.remove(name)
        elif name in self:
            raise UsageError(
                f"file '{path}' has the name of another {self.kind}, '{name}'; rename the file."
            )
        self._texts[name] = _bytes(file)
        self._import(name, file, path)
        self._added[name] = file
        return name

    def remove(self, name: str) -> None:
        """Forget a part that was added from a file."""
        for known in (self._added, self._texts, self._parts):
            known.pop(name, None)
        sys.modules.pop(self._module(name), None)

    def file_of(self, name: str) -> Path | None:
        """The file from which a part was added to this process; None for any other part."""
        return self._added.get(name)

    def describe(self, name: str) -> Description:
        """The description of a part: its file is only parsed, but a plugin is imported."""
        if name not in self:
            self[name]  # raises, with a suggestion
        if file := self._files.get(name, self._added.get(name)):
            return Description.read(name, file)
        if name not in self._plugins:
            return Description(name)
        try:
            part: Any = self._part(self._plugins[name])
            return Description.read(name, Path(inspect.getfile(part)), part.__name__)
        except (Exception, SystemExit) as error:  # third-party code may raise anything
            return Description(name, problem=f"not usable: {source.reason(error)}")

    def origin(self, name: str) -> tuple[Path, dict[str, str]]:
        """The file of a part, and the name and version of its package if it is a plugin.

        Only the parent packages of a plugin's module are imported. Errors: `UsageError` for a part
        that is not installed or cannot be found.
        """
        if file := self._files.get(name, self._added.get(name)):
            return file, {}
        point = self._plugins.get(name)
        try:
            spec = importlib.util.find_spec(point.module) if point else None
        except (Exception, SystemExit):  # third-party code may raise anything
            spec = None
        if point is None or spec is None or spec.origin is None:
            raise UsageError(f"{self.kind} '{name}' has no file here; install what brings it.")
        dist = point.dist
        package = {"package": dist.name, "version": dist.version} if dist else {}
        return Path(spec.origin), package

    @property
    def shadowed(self) -> dict[str, str]:
        """Plugins that are not used because of a name conflict, each with a sentence on why."""
        told: dict[str, str] = {}
        for point in self._points:
            used = self._plugins.get(point.name)
            if used is not point:
                better = "the built-in one" if used is None else f"that of {_package(used)}"
                told[point.name] = (
                    f"{_package(point)} brings a {self.kind} '{point.name}' too; {better} is used."
                )
        return told

    @cached_property
    def _files(self) -> dict[str, Path]:
        if not self.built_in:
            return {}
        package = importlib.import_module(self.package)
        return {
            path.stem.replace("_", "-"): path
            for folder in package.__path__
            for path in sorted(Path(folder).glob("*.py"))
            if not path.stem.startswith("_")
        }

    @cached_property
    def _points(self) -> list[EntryPoint]:
        found = entry_points(group=self.package)
        return sorted(found, key=lambda point: (point.name, _package(point)))

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in self._points:
            if point.name not in self._files:
                found.setdefault(point.name, point)
        return found

    def _load(self, point: EntryPoint) -> T:
        try:
            return self._part(point)
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"{self.kind} '{point.name}' of {_package(point)} is not usable "
                f"({source.reason(error)}); repair or uninstall that package."
            ) from error

    def _part(self, point: EntryPoint) -> T:
        part: T = point.load()
        self._suits(part)
        return part

    def _import(self, name: str, file: Path, shown: Path | None = None) -> None:
        """Import the module of a file, which thereby registers its part."""
        module, shown = self._module(name), shown or file
        try:
            if self._files.get(name) == file:
                importlib.import_module(module)
            else:
                source.execute(module, file)
            if name in self._parts:
                self._suits(self._parts[name])
        except (Exception, SystemExit) as error:
            self.remove(name)
            if isinstance(error, _Twice):
                raise UsageError(self._both(file, shown)) from error
            why = source.reason(error, file)
            raise UsageError(f"file '{shown}' does not import ({why}); correct it.") from error
        if name not in self._parts:
            self.remove(name)
            raise UsageError(f"file '{shown}' registers no {self.kind}; {self._instead(file)}")

    def _module(self, name: str) -> str:
        return f"{self.package}.{name.replace('-', '_')}"

    def _both(self, file: Path, shown: Path) -> str:
        """Say that a file registers more than one part, and where."""
        found = source.registers(file).get(self._own, [])
        where = " and ".join(f"'{name}' in line {line}" for name, line in found)
        return (
            f"file '{shown}' registers more than one {self.kind}, {where or 'under one name'}; "
            "keep one, and give the other a file of its own."
        )

    def _instead(self, file: Path) -> str:
        """Advice for a file that registers nothing here."""
        others = [source.KINDS[name] for name in source.registers(file)]
        if others:
            return f"it registers a {others[0].kind}, which is named by {others[0].option}."
        return f"decorate its class with @{self._own}.register."

    @property
    def _own(self) -> str:
        return next(name for name, kind in source.KINDS.items() if kind.kind == self.kind)

    def _suits(self, part: object) -> None:
        """Refuse any object that is not a subclass of one of the bases."""
        ancestors = part.__mro__ if isinstance(part, type) else ()
        if self.bases and not {f"{c.__module__}.{c.__qualname__}" for c in ancestors} & {
            *self.bases
        }:
            kinds = " or ".join(base.rpartition(".")[2] for base in self.bases)
            raise TypeError(f"{getattr(part, '__name__', part)!r} is not a subclass of {kinds}")


class _Twice(Exception):
    """A second part in one file, whose name only one of them can have."""


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"file '{file}' cannot be read ({reason(error)}); name another.") from None


def _package(point: EntryPoint) -> str:
    return f"package '{point.dist.name}'" if point.dist else "another package"


METHODS: Registry[type] = Registry(
    "method",
    "auxbench.methods",
    ("auxbench.training.architecture.Architecture", "auxbench.training.balancer.Balancer"),
)

DATASETS: Registry[type[Any]] = Registry(
    "data set", "auxbench.tasks", ("auxbench.data.dataset.Dataset",)
)

BACKBONES: Registry[type[Any]] = Registry(
    "backbone", "auxbench.backbones", ("torch.nn.modules.module.Module",), built_in=False
)
