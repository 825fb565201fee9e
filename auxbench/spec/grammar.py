"""The one grammar for parts of methods, data sets and backbones: `name:option=value:option=value`.

`+` joins parts into a method, and commas separate the entries of a list, so nothing has to be
quoted in a shell: `single,auxnas:l1=10:links=block+gradnorm:alpha=0.5`.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from auxbench.errors import UsageError, suggestion
from auxbench.spec.marks import Bounds, Help, Location, Tune

LARGEST = 2**53  # whole numbers up to here are exact everywhere, also in JSON and in tensors
Value = bool | int | float | str | None
Mark = TypeVar("Mark")


@dataclass(frozen=True)
class Choice:
    """A registered name with the options that the user gave, still as text.

    >>> Choice.parse("gradnorm:alpha=0.5")
    Choice(name='gradnorm', options={'alpha': '0.5'})
    >>> str(Choice.parse("static:depth=0.1:normals=1"))
    'static:depth=0.1:normals=1'
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Choice:
        """Parse `name:option=value:...`; errors: `UsageError` that quotes the faulty part."""
        name, *pieces = (piece.strip() for piece in text.split(":"))
        if not name:
            raise UsageError(f"'{text}' has no name; write name:option=value, or name alone.")
        options: dict[str, str] = {}
        for piece in pieces:
            key, equals, value = piece.partition("=")
            if not (key and equals and value):
                raise UsageError(f"option '{piece}' of '{name}' is not option=value; write one.")
            if key in options:
                raise UsageError(f"option '{key}' of '{name}' is given twice; keep one.")
            options[key] = value
        return cls(name, options)

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])

    def canonical(self, maker: Callable[..., Any], extra: frozenset[str] = frozenset()) -> Choice:
        """The same choice with its options checked and sorted, and those at their default left out.

        Two spellings of the same choice thus get the same text and run id. Options that only give
        the location of data are left out too, but a part may have a class method `implied` that
        adds those that follow from what lies there.
        """
        known = self._known(maker, extra)
        values = self.values(maker, extra)
        implied = getattr(maker, "implied", None)
        values |= implied(values) if implied is not None else {}
        kept = {
            key: spelled(value)
            for key, value in sorted(values.items())
            if key not in known or not (known[key].location or value == known[key].default)
        }
        return Choice(self.name, kept)

    def places(self, maker: Callable[..., Any]) -> dict[str, str]:
        """The options that give the location of something, which `canonical` leaves out."""
        known = self._known(maker)
        return {key: text for key, text in self.options.items() if known[key].location}

    def values(
        self, maker: Callable[..., Any], extra: frozenset[str] = frozenset()
    ) -> dict[str, Value]:
        """The options as keyword arguments of `maker`, converted to the annotated types.

        `extra` are further option names that `maker` accepts as `**` keywords (task names for
        `static`); they have the type of those keywords. Errors: `UsageError`.
        """
        known = self._known(maker, extra)
        each = per_task(maker) or Option("", float, None)
        result: dict[str, Value] = {}
        for key, text in self.options.items():
            if key in known:
                result[key] = known[key].convert(text, f"option '{key}' of '{self.name}'")
            elif key in extra:
                result[key] = each.convert(text, f"option '{key}' of '{self.name}'")
            else:
                names = [*known, *extra]
                hint = suggestion(key, names) if names else "it has no options."
                raise UsageError(f"'{self.name}' has no option '{key}'; {hint}")
        return result

    def _known(
        self, maker: Callable[..., Any], extra: frozenset[str] = frozenset()
    ) -> dict[str, Option]:
        """The options of a part; the common ones only if needed, since a part may have to run."""
        own = options_of(maker, common=False)
        return own if self.options.keys() <= own.keys() | extra else options_of(maker)


@dataclass(frozen=True)
class Option:
    """An option of a registered part: its name, its annotated type and its default.

    `bounds` is the range of a number, if limited; `location` is true for a `Place`; `help` explains
    the option; `tune` is the range in which tuning searches it, if it does.
    """

    name: str
    annotation: Any
    default: Value
    bounds: Bounds | None = None
    location: bool = False
    help: str = ""
    tune: Tune | None = None

    def convert(self, text: str, subject: str) -> Value:
        """The value that `text` represents; errors: `UsageError` that says what is expected."""
        value = _convert(self.annotation, text, subject)
        if self.bounds and isinstance(value, int | float) and value not in self.bounds:
            raise UsageError(f"{subject} is {spelled(value)}, out of range; give {self.bounds}.")
        return value

    @property
    def kind(self) -> str:
        """The type of the option's values, in words."""
        words: dict[Any, str] = {bool: "yes or no", int: "whole number", float: "number"}
        return words.get(self._required[0], "word")

    @property
    def range(self) -> str:
        """The values that the option can have, in words; empty for any number or any text.

        >>> from auxbench.spec.marks import Positive
        >>> def part(tasks, *, norm: Literal["native", "sum"] = "native", lr: Positive | None): ...
        >>> [option.range for option in options_of(part).values()]
        ['one of native, sum', '> 0, or none']
        """
        kind, optional = self._required
        text = str(self.bounds or "")
        if get_origin(kind) is Literal:
            text = "one of " + ", ".join(map(str, get_args(kind)))
        return f"{text or 'any'}, or none" if optional else text

    @property
    def _required(self) -> tuple[Any, bool]:
        """The type without None, and whether None is allowed."""
        if get_origin(self.annotation) in (Union, types.UnionType):
            kinds = [kind for kind in get_args(self.annotation) if kind is not type(None)]
            return kinds[0], type(None) in get_args(self.annotation)
        return self.annotation, False


def options_of(maker: Callable[..., Any], *, common: bool = True) -> dict[str, Option]:
    """The options of a part: the keyword-only parameters of its constructor.

    A part whose kind has options in `common` names the function that declares them.

    >>> def part(tasks, *, alpha: float = 1.5): ...
    >>> options_of(part)["alpha"].default
    1.5
    """
    plain, annotated = _hints(maker)
    declared = getattr(maker, "common", None) if common else None
    more = declared() if declared is not None else None
    return (options_of(more) if more is not None else {}) | {
        name: Option(
            name,
            plain.get(name, str),
            parameter.default,
            _mark(Bounds, annotated.get(name)),
            _mark(Location, annotated.get(name)) is not None,
            _help(annotated.get(name)),
            _mark(Tune, annotated.get(name)),
        )
        for name, parameter in inspect.signature(maker).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def per_task(maker: Callable[..., Any]) -> Option | None:
    """The option that each `**` keyword of a part stands for; None if it has none."""
    plain, annotated = _hints(maker)
    for name, parameter in inspect.signature(maker).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            mark = annotated.get(name)
            marks = _mark(Bounds, mark), False, _help(mark), _mark(Tune, mark)
            return Option(name, plain.get(name, float), None, *marks)
    return None


def _hints(maker: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The types of the parameters, without and with their annotated marks."""
    function = maker.__init__ if inspect.isclass(maker) else maker
    return get_type_hints(function), get_type_hints(function, include_extras=True)


def _mark(kind: type[Mark], annotation: Any) -> Mark | None:
    """The first mark of a given type in an annotation, or None."""
    parts = getattr(annotation, "__metadata__", ())
    inner = (_mark(kind, part) for part in get_args(annotation))
    return next((part for part in (*parts, *inner) if isinstance(part, kind)), None)


def _help(annotation: Any) -> str:
    found = _mark(Help, annotation)
    return found.text if found else ""


def spelled(value: Value) -> str:
    """A value as the grammar writes it: the shortest text that parses to the same value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, float) and float(format(value, "g")) == value:
        return format(value, "g").replace("e+", "e")
    return str(value).replace("e+", "e")


def split_list(text: str) -> list[str]:
    """The non-empty entries of a comma-separated list."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _convert(annotation: Any, text: str, subject: str) -> Value:
    origin = get_origin(annotation)
    if origin is Literal:
        choices = [str(choice) for choice in get_args(annotation)]
        if text not in choices:
            raise UsageError(f"{subject} is '{text}'; {suggestion(text, choices)}")
        return text
    if origin in (Union, types.UnionType):
        inner = [kind for kind in get_args(annotation) if kind is not type(None)]
        return None if text == "none" else _convert(inner[0], text, subject)
    if annotation is bool:
        words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
        if text.lower() not in words:
            raise UsageError(f"{subject} is '{text}'; write yes or no.")
        return words[text.lower()]
    if annotation in (int, float):
        return _number(annotation, text, subject)
    return text


def _number(kind: type[int] | type[float], text: str, subject: str) -> int | float:
    try:
        value = kind(text)
    except ValueError:
        noun = "a whole number" if kind is int else "a number"
        raise UsageError(f"{subject} is '{text}', which is not {noun}; write {noun}.") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise UsageError(f"{subject} is '{text}', which is not finite; write a finite number.")
    if kind is int and abs(value) > LARGEST:
        raise UsageError(f"{subject} is '{text[:40]}', which is too large; write a smaller number.")
    return value
