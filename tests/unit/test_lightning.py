"""The example for Lightning trains as a loop of one's own does, and resumes from its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from auxbench import Balance
from examples.lightning_balance import Balanced

TASKS = ("depth", "normals")


class Mine(Balanced):
    def __init__(self) -> None:
        super().__init__("gradnorm+pcgrad", TASKS)
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))

    def losses(self, batch: Any) -> dict[str, Tensor]:
        return losses(self.network, batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def losses(network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    wrong = (network(batch[0]) - batch[1]).square().mean(0)
    return {"depth": wrong[0], "normals": 10 * wrong[1]}


def data() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    draw = torch.randn
    return [(draw(16, 4, generator=generator), draw(16, 2, generator=generator)) for _ in range(4)]


class Batches(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    def __len__(self) -> int:
        return len(data())

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return data()[index]


def fitted(
    folder: Path, epochs: int, resumed: Path | None = None, module: type[Mine] = Mine
) -> Any:
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(Batches(), batch_size=None)
    trainer.fit(module(), loader, ckpt_path=resumed)
    return trainer


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and hardware
def test_it_trains_as_a_loop_does_and_resumes(tmp_path: Path) -> None:
    half = fitted(tmp_path, 1)
    half.save_checkpoint(tmp_path / "half.ckpt")
    whole = fitted(tmp_path, 2, tmp_path / "half.ckpt").model

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    balance = Balance("gradnorm+pcgrad", TASKS)
    for batch in data() * 2:
        balance.backward(losses(network, batch), network.parameters(), learning_rate=0.01)
        optimizer.step()
    for own, other in zip(whole.network.parameters(), network.parameters(), strict=True):
        assert torch.equal(own, other)
    assert whole.balance.weights == balance.weights


class Scheduled(Mine):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)]


@pytest.mark.filterwarnings("ignore")
def test_schedules_step_after_every_epoch(tmp_path: Path) -> None:
    trainer = fitted(tmp_path, 2, module=Scheduled)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-4)
