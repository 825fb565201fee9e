"""Lightning modules whose losses are combined by a chain of rules of auxbench.

    class Mine(Balanced):
        def losses(self, batch):
            return {"depth": ..., "normals": ...}

    Mine("gradnorm+pcgrad", tasks=["depth", "normals"])  # the primary first

Schedules of the learning rate take a step after every epoch. Training is on one device, and the
trainer neither clips nor accumulates gradients.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning import LightningModule
from torch import Tensor

from auxbench import Balance


class Balanced(LightningModule):
    """A module that takes its steps by `method`, on the `losses` of every batch."""

    def __init__(self, method: str, tasks: Sequence[str], seed: int = 0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.balance = Balance(method, tasks, seed=seed)

    @abstractmethod
    def losses(self, batch: Any) -> Mapping[str, Tensor]:
        """The loss of every task on a batch."""

    def training_step(self, batch: Any, index: int) -> None:
        """Take one step on a batch, and log the losses and weights."""
        optimizer: Any = self.optimizers()
        losses, rate = self.losses(batch), optimizer.param_groups[0]["lr"]
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        self.balance.backward(losses, self.parameters(), learning_rate=rate, scaler=scaler)
        optimizer.step()
        for task, weight in self.balance.weights.items():
            self.log_dict({f"loss/{task}": losses[task], f"weight/{task}": weight})

    def on_train_epoch_end(self) -> None:
        """Step the schedules, which Lightning leaves to modules that take their own steps."""
        found: Any = self.lr_schedulers() or []
        for schedule in found if isinstance(found, list) else [found]:
            schedule.step()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the rules."""
        checkpoint["balance"] = self.balance.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the state of the rules."""
        self.balance.load_state_dict(checkpoint["balance"])
