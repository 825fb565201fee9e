"""Shapes, computed once each: faster passes of tensors without values, on the device 'meta'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Shapes"]

Key = tuple[Any, ...]


class Shapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers what operators make of tensors without values, while the context is open.

    torch computes most shapes in Python, again for every block of a network, and that takes longer
    than all the rest of a pass. Only operators are remembered whose results are new tensors. Those
    on other devices are left alone.

    >>> image = torch.ones(2, 3, device="meta")
    >>> with Shapes() as shapes:
    ...     one, other = image.tanh(), image.tanh()
    >>> one is other, one.shape == other.shape, shapes.found
    (False, True, 1)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known: dict[Key, Any] = {}
        self.plain: dict[Any, bool] = {}
        self.found = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing here is compiled; torch's mark against that takes its time in every operator."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        key = self._key(func, args, kwargs)
        if key is None:
            return func(*args, **kwargs)
        if key in self.known:
            self.found += 1
            return _made(self.known[key])
        result = func(*args, **kwargs)
        form = _form(result)
        if form is not None:
            self.known[key] = form
        return result

    def _key(self, func: Any, args: tuple[Any, ...], kwargs: Any) -> Key | None:
        """The operator with what it is given; None if its result must not be remembered."""
        if func not in self.plain:
            schema = func._schema
            self.plain[func] = not any(
                value.alias_info for value in (*schema.arguments, *schema.returns)
            )
        if not self.plain[func]:
            return None
        try:
            key = (
                func,
                *map(_part, args),
                *((name, _part(kwargs[name])) for name in sorted(kwargs)),
            )
            hash(key)
        except TypeError:
            return None
        return key


def _part(value: Any) -> Any:
    """The part of a key for an argument; errors: `TypeError` for what cannot be part of one."""
    if isinstance(value, Tensor):
        if value.device.type != "meta" or type(value) not in (Tensor, torch.nn.Parameter):
            raise TypeError("a tensor with values")
        return "tensor", value.shape, value.stride(), value.dtype
    if isinstance(value, Sequence) and not isinstance(value, str):
        return type(value), *map(_part, value)
    return type(value), value  # 1, 1.0 and True are different


def _form(result: Any) -> Any:
    """The forms of a result, which is a tensor, None or a sequence of these; None for others."""
    if isinstance(result, Tensor):
        if result.device.type != "meta" or result.layout != torch.strided:
            return None
        return result.shape, result.stride(), result.dtype
    if isinstance(result, tuple | list):
        forms = [None if one is None else _form(one) for one in result]
        if all((form is None) == (one is None) for form, one in zip(forms, result, strict=True)):
            return type(result), forms
    return None


def _made(form: Any) -> Any:
    """New tensors of these forms."""
    if isinstance(form[0], type):
        return form[0](None if one is None else _made(one) for one in form[1])
    shape, stride, dtype = form
    return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
