"""Registries: parts found by name, each in its own file in one folder.

The name of a part is the name of its file with dashes for underscores, so a registry can list parts
without importing anything, and imports only the requested file. Other packages add parts through
entry points; a broken one reports its error and affects nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from auxbench.errors import UsageError, suggestion
from auxbench.spec.description import Description

T = TypeVar("T")
P = TypeVar("P")

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # of a part, as users type it


class Registry(Generic[T]):
    """The parts of one kind by name, from a package of auxbench and from entry points.

    Every part must be a subclass of one of `bases`, which are full class names.
    """

    def __init__(self, kind: str, package: str, bases: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.package = package
        self.bases = bases
        self._parts: dict[str, T] = {}

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
            raise RuntimeError(f"two {self.kind}s are called '{name}'; rename one of the files.")
        return part

    def names(self) -> list[str]:
        """All names, sorted; nothing is imported."""
        return sorted({*self._files, *self._plugins, *self._parts})

    def __contains__(self, name: object) -> bool:
        return name in self._files or name in self._plugins or name in self._parts

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

        The file is imported as if it were in the package, so it may use the helpers there. Errors:
        `UsageError` for a file that cannot be imported, registers nothing, or has a name in use.
        """
        name = path.stem.replace("_", "-")
        if not path.is_file():
            raise UsageError(f"file '{path}' is not there; name one that is.")
        if name in self._files and path.resolve() == self._files[name].resolve():
            return name
        if not NAME.fullmatch(name):
            raise UsageError(
                f"file '{path}' has a name that no {self.kind} can have; rename it to lower-case "
                "letters, digits and single underscores."
            )
        if name in self:
            raise UsageError(
                f"file '{path}' has the name of another {self.kind}, '{name}'; rename the file."
            )
        self._import(name, path)
        self._files[name] = path
        return name

    def describe(self, name: str) -> Description:
        """The description of a part: its file is only parsed, but a plugin is imported."""
        if name not in self:
            self[name]  # raises, with a suggestion
        if name in self._files:
            return Description.read(name, self._files[name])
        if name not in self._plugins:
            return Description(name)
        try:
            part: Any = self._part(self._plugins[name])
            return Description.read(name, Path(inspect.getfile(part)), part.__name__)
        except (Exception, SystemExit) as error:  # third-party code may raise anything
            return Description(name, problem=f"not usable: {_reason(error)}")

    def origin(self, name: str) -> tuple[Path, dict[str, str]]:
        """The file of a part, and the name and version of its package if it is a plugin.

        Only the parent packages of a plugin's module are imported. Errors: `UsageError` for a part
        that is not installed or cannot be found.
        """
        if name in self._files:
            return self._files[name], {}
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
                f"({_reason(error)}); repair or uninstall that package."
            ) from error

    def _part(self, point: EntryPoint) -> T:
        part: T = point.load()
        self._suits(part)
        return part

    def _import(self, name: str, path: Path) -> None:
        """Import the module of a file, which thereby registers its part."""
        module = f"{self.package}.{name.replace('-', '_')}"
        try:
            if self._files.get(name) == path:
                importlib.import_module(module)
            else:
                _execute(module, path)
            if name in self._parts:
                self._suits(self._parts[name])
        except (Exception, SystemExit) as error:
            sys.modules.pop(module, None)
            self._parts.pop(name, None)
            reason = _reason(error, path)
            raise UsageError(f"file '{path}' does not import ({reason}); correct it.") from error
        if name not in self._parts:
            sys.modules.pop(module, None)
            raise UsageError(
                f"file '{path}' registers no {self.kind}; decorate its class with register."
            )

    def _suits(self, part: object) -> None:
        """Refuse any object that is not a subclass of one of the bases."""
        ancestors = part.__mro__ if isinstance(part, type) else ()
        if self.bases and not {f"{c.__module__}.{c.__qualname__}" for c in ancestors} & {
            *self.bases
        }:
            kinds = " or ".join(base.rpartition(".")[2] for base in self.bases)
            raise TypeError(f"{getattr(part, '__name__', part)!r} is not a subclass of {kinds}")


def _execute(name: str, path: Path) -> None:
    """Import a file under the module name that it would have in the package."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _package(point: EntryPoint) -> str:
    return f"package '{point.dist.name}'" if point.dist else "another package"


def _reason(error: BaseException, path: Path | None = None) -> str:
    """An error in one line, with the line number in the file where it was raised."""
    said = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if path and frame.filename == str(path)]
    where = f", line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}: {said}{where}"


METHODS: Registry[type] = Registry(
    "method",
    "auxbench.methods",
    ("auxbench.training.architecture.Architecture", "auxbench.training.balancer.Balancer"),
)

DATASETS: Registry[type[Any]] = Registry("data set", "auxbench.tasks")
