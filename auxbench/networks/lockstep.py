"""Lockstep: networks that run side by side and meet after every one of their named blocks.

Any modules can run so, whatever their `forward` does between the blocks. Networks that feed each
other block by block have to stop in the middle of `forward`, which takes a stack for each: the
first network runs in the thread of the caller and the others in strands, one at a time. Hooks are
set for one pass and removed after it, so that the modules stay as their owner made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from auxbench.data.seeds import RNGState
from auxbench.errors import UsageError, reason, suggestion
from auxbench.networks.exported import evaluation
from auxbench.networks.strand import Strand

__all__ = ["Arguments", "Chain", "Meet", "lockstep", "version"]

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]
Meet = Callable[[int, list[Tensor]], list[Tensor]]  # block, its output in every network -> new ones


class Chain:
    """A network and the names of its blocks, in the order in which they run.

    `label` is what errors call the network. Errors: `UsageError` for a block that does not exist or
    is named twice.

    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> Chain(network, ["0", "1"], "the network").shapes(((torch.ones(4, 2),), {}))
    [torch.Size([4, 3]), torch.Size([4, 3])]
    """

    def __init__(self, network: nn.Module, names: Sequence[str], label: str) -> None:
        self.network = network
        self.names = tuple(names)
        self.label = label
        self.blocks()

    def blocks(self) -> list[nn.Module]:
        """The modules of these names, as they are now."""
        blocks = [self._block(name) for name in self.names]
        for number, block in enumerate(blocks):
            if any(block is other for other in blocks[:number]):
                raise UsageError(f"block '{self.names[number]}' of {self.label} is named twice.")
        return blocks

    def _block(self, name: str) -> nn.Module:
        try:
            if name:  # the empty one is the network
                return self.network.get_submodule(name)
        except AttributeError:
            pass
        known = dict(self.network.named_modules(remove_duplicate=False))
        known.pop("")
        hint = suggestion(name, known)
        if not hint.startswith("did you"):
            hint = suggestion(name, [other for other in known if "." not in other])
        raise UsageError(f"{self.label} has no block '{name}'; {hint}")

    def shapes(self, arguments: Arguments) -> list[torch.Size]:
        """The shapes of the blocks' outputs, by a pass in evaluation mode that changes nothing.

        Errors: `UsageError` for a network that does not run on these arguments, for blocks that do
        not run once each in their order, for outputs that are not tensors with a batch and
        channels, and for those that are changed in place later.
        """
        seen: list[tuple[int, Any, int]] = []

        def watch(block: int) -> Callable[..., None]:
            return lambda module, inputs, output: seen.append((block, output, version(output)))

        device = next((part.device for part in self.network.parameters()), "cpu")
        with self.hooked(watch), evaluation(self.network), RNGState(device).replay():
            try:
                self.network(*arguments[0], **arguments[1])
            except Exception as error:  # whatever the network raises
                raise UsageError(
                    f"{self.label} does not run on the example ({type(error).__name__}: "
                    f"{reason(error)}); give an input as in training, on the network's device."
                ) from error
        order = [block for block, *_ in seen]
        for block, name in enumerate(self.names):
            if (times := order.count(block)) != 1:
                what = f"runs {times} times in one pass" if times else "does not run"
                raise UsageError(
                    f"block '{name}' of {self.label} {what}; name blocks that run once."
                )
        if order != sorted(order):
            right = ", ".join(f"'{self.names[block]}'" for block in order)
            raise UsageError(
                f"the blocks of {self.label} run in another order; give them as [{right}]."
            )
        for block, output, then in seen:
            self.unchanged(block, self.feature(block, output), then)
        return [output.shape for _, output, _ in seen]

    def feature(self, block: int, output: Any) -> Tensor:
        """A block's output, if it is a tensor of numbers with a batch and channels."""
        if not isinstance(output, Tensor):
            what = f"a {type(output).__name__}"
        elif output.ndim < 2 or not output.is_floating_point():
            what = f"{str(output.dtype)[6:]} of shape {list(output.shape)}"
        else:
            return output
        raise UsageError(
            f"block '{self.names[block]}' of {self.label} returns {what}; name a module whose "
            "output is a tensor of numbers, with a batch and channels."
        )

    def unchanged(self, block: int, output: Tensor, then: int) -> Tensor:
        """A block's output, which must not have changed since it had the version `then`."""
        if version(output) != then:
            raise UsageError(
                f"the output of block '{self.names[block]}' of {self.label} is changed in place by "
                "what follows, such as ReLU(inplace=True); name that module as the block, or let "
                "it make a new tensor."
            )
        return output

    @contextmanager
    def hooked(self, make: Callable[[int], Callable[..., Any]]) -> Iterator[None]:
        """Hook the blocks; the result of a hook, unless it is None, replaces a block's output."""
        with ExitStack() as stack:
            for number, block in enumerate(self.blocks()):
                stack.callback(block.register_forward_hook(make(number)).remove)
            yield


def version(output: Any) -> int:
    """The number of times that a tensor was changed in place; 0 where nobody counts.

    >>> version(torch.ones(1).add_(1)), version(None)
    (1, 0)
    """
    return output._version if isinstance(output, Tensor) and not output.is_inference() else 0


class _Walk:
    """A pass through a chain, which counts the blocks that have run."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.done = 0
        self.gradients = torch.is_grad_enabled()

    def arrive(self, block: int, output: Any) -> Tensor:
        """Check that it is this block's turn; return its output."""
        name = self.chain.names[block]
        if block < self.done:
            raise UsageError(
                f"block '{name}' of {self.chain.label} ran a second time in one pass; name blocks "
                "that run once."
            )
        self.ended(block)
        if torch.is_grad_enabled() != self.gradients:
            # A pass that computes the block again would not meet the others.
            raise UsageError(
                f"block '{name}' of {self.chain.label} runs without gradients, as in no_grad or "
                "checkpoint(..., use_reentrant=True); put these inside the block."
            )
        self.done += 1
        return self.chain.feature(block, output)

    def ended(self, blocks: int) -> None:
        """Check that this number of blocks has run."""
        if self.done < blocks:
            raise UsageError(
                f"block '{self.chain.names[self.done]}' of {self.chain.label} did not run in its "
                "turn; name blocks that run once in every pass, in this order."
            )


@torch.compiler.disable  # type: ignore[untyped-decorator]
def lockstep(chains: Sequence[Chain], arguments: Arguments, meet: Meet) -> list[Any]:
    """The outputs of networks on the same arguments that meet after each of their blocks.

    `meet(k, outputs)` gets the output of block k in all networks and returns those that the
    networks go on with. From one meeting to the next the networks run one after the other, the
    first one last, so that random numbers are drawn in a fixed order.
    Errors: `UsageError` for networks that do not run their blocks once, in order and with tensors
    as outputs; and whatever a network or `meet` raises.

    >>> one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> networks = [nn.Sequential(layer, nn.ReLU()) for layer in (one, two)]
    >>> x = torch.ones(1, 2)
    >>> outputs = lockstep(
    ...     [Chain(network, ["0"], "a network") for network in networks],
    ...     ((x,), {}),
    ...     lambda block, outputs: outputs[::-1],
    ... )
    >>> torch.equal(outputs[0], two(x).relu()), torch.equal(outputs[1], one(x).relu())
    (True, True)
    """
    positional, named = arguments
    first, *others = walks = [_Walk(chain) for chain in chains]
    strands = [
        Strand(lambda _, network=walk.chain.network: network(*positional, **named))  # type: ignore[misc]
        for walk in others
    ]

    def pausing(walk: _Walk, strand: Strand) -> Callable[[int], Callable[..., Any]]:
        return lambda block: lambda module, inputs, output: strand.pause(walk.arrive(block, output))

    def meeting(block: int) -> Callable[..., Any]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> Tensor:
            outputs = [first.arrive(block, output), *(strand.value for strand in strands)]
            own, *theirs = meet(block, outputs)
            for walk, strand, new in zip(others, strands, theirs, strict=True):
                strand.advance(new)
                walk.ended(min(block + 2, len(walk.chain.names)))
            return own

        return hook

    with ExitStack() as stack:
        for walk, strand in zip(others, strands, strict=True):
            stack.enter_context(walk.chain.hooked(pausing(walk, strand)))
            stack.callback(strand.leave)
        stack.enter_context(first.chain.hooked(meeting))
        for walk, strand in zip(others, strands, strict=True):
            strand.start()
            walk.ended(min(1, len(walk.chain.names)))
        output = first.chain.network(*positional, **named)
        for walk in walks:
            walk.ended(len(walk.chain.names))
        return [output, *(strand.value for strand in strands)]
