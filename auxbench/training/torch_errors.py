"""Errors of torch that a loop of one's own meets, and what helps against them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from auxbench.errors import UsageError

REENTRANT = (
    "a block is checkpointed with use_reentrant=True, which allows plain .backward() only; set "
    "use_reentrant=False."
)

# torch's cache on disk does not ask if a graph was compiled for one pass only
DONATED = (
    "a compiled network allows only one backward pass; before its first batch set "
    "torch._functorch.config.donated_buffer = False and torch.compiler.config.force_disable_caches "
    "= True."
)
# By what torch says.
ADVICE = {
    "donated_buffer": DONATED,
    "use_reentrant": REENTRANT,
    "through the graph a second time": (
        "the losses have been differentiated before; compute them again, and do not call "
        "backward() on them yourself, nor in a closure."
    ),
    "does not currently support double backward": (
        "the rule takes second derivatives, which a compiled network does not have; run the "
        "network as it was before torch.compile in the closures."
    ),
}


@contextmanager
def explained() -> Iterator[None]:
    """Say in a sentence what to do about a known error of torch.

    Errors: `UsageError` in the place of such an error, and every other error as it is.
    """
    try:
        yield
    except RuntimeError as error:
        for said, advice in ADVICE.items():
            if said in str(error):
                raise UsageError(advice) from error
        raise
