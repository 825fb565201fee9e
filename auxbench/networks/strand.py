"""Strands: networks that stop in the middle of their `forward` and go on later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Any

import torch

__all__ = ["Strand"]


class Strand:
    """A call that can be suspended, in a thread that runs only while its owner waits for it.

    The call gets this strand and may `pause` it, anywhere in its depth. `value` is what it paused
    with, and once it has `ended`, its result.

    The thread inherits what a network needs of the things that torch keeps per thread, which are
    those that `torch.nn.parallel.parallel_apply` carries over: gradient mode, autocast, the default
    device, and CUDA's device and stream; and the context variables.

    >>> strand = Strand(lambda strand: strand.pause(1) + 10)
    >>> strand.start()
    >>> strand.value, strand.ended
    (1, False)
    >>> strand.advance(5)
    >>> strand.value, strand.ended
    (15, True)
    """

    def __init__(self, call: Callable[[Strand], Any]) -> None:
        self.value: Any = None
        self.ended = False
        self._call = call
        self._error: BaseException | None = None
        self._to: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._from: SimpleQueue[None] = SimpleQueue()
        self._surroundings = _Surroundings()
        self._thread = Thread(target=copy_context().run, args=(self._work,), daemon=True)

    def start(self) -> None:
        """Run to the first pause or to the end; raise what the call raises."""
        self._thread.start()
        self._wait()

    def advance(self, value: Any) -> None:
        """Go on with `value` as the result of `pause`, to the next one or to the end."""
        self._to.put(lambda: value)
        self._wait()

    def leave(self) -> None:
        """Unwind the call if it has not ended."""
        if self._thread.is_alive():
            self._to.put(_leave)
            self._thread.join()

    def pause(self, value: Any) -> Any:
        """Suspend the call from within, and return what its owner lets it go on with."""
        self.value = value
        self._from.put(None)
        return self._to.get()()

    def _wait(self) -> None:
        self._from.get()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            with self._surroundings.entered():
                self.value = self._call(self)
        except _Left:
            return
        except BaseException as error:  # raised again where it is waited for
            self._error = error
        self.ended = True
        self._from.put(None)


class _Left(BaseException):
    """Unwinds a call for which nobody waits any more."""


def _leave() -> None:
    raise _Left


class _Surroundings:
    """The settings that torch keeps per thread, as they are in this one."""

    def __init__(self) -> None:
        self.gradients = torch.is_grad_enabled()
        self.inference = torch.is_inference_mode_enabled()
        self.device = torch.get_default_device()
        running = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self.stream = torch.cuda.current_stream() if running else None
        kinds = ["cpu"] if self.stream is None else ["cpu", "cuda"]
        self.autocast = {
            kind: torch.get_autocast_dtype(kind)
            for kind in kinds
            if torch.is_autocast_enabled(kind)
        }
        self.cached = torch.is_autocast_cache_enabled()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Apply them in the current thread."""
        with ExitStack() as stack:
            if self.inference:
                stack.enter_context(torch.inference_mode())
            stack.enter_context(torch.set_grad_enabled(self.gradients))
            if self.device.type != "cpu":
                stack.enter_context(self.device)
            if self.stream is not None:
                stack.enter_context(torch.cuda.device(self.stream.device))
                stack.enter_context(torch.cuda.stream(self.stream))
            for kind, dtype in self.autocast.items():
                stack.enter_context(torch.autocast(kind, dtype, cache_enabled=self.cached))
            yield
