"""`benchmarks.batches` as a user of Lightning would write it: the loss of each step in MLflow."""

import logging
import time
import warnings
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import MLFlowLogger
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.batches import LR, SIZE, data, network

EPOCHS = 4


class Module(L.LightningModule):
    """The network, its loss and its optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.loss = network(), torch.nn.CrossEntropyLoss()

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        x, y = batch
        value: torch.Tensor = self.loss(self.model(x), y)
        self.log("loss", value)
        return value

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=LR)


def main() -> None:
    """Print the seconds of a step, the first epoch left out."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    loader = DataLoader(TensorDataset(*data()), batch_size=SIZE, shuffle=True)
    settings: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False}
    settings |= {"enable_checkpointing": False, "log_every_n_steps": 1, "accelerator": "cpu"}
    model = Module()
    logger = MLFlowLogger("rival", tracking_uri="sqlite:///mlflow.db")
    L.Trainer(max_epochs=1, logger=logger, **settings).fit(model, loader)  # warm up
    started = time.perf_counter()
    trainer = L.Trainer(max_epochs=EPOCHS, logger=logger, **settings)
    trainer.fit(model, loader)
    print((time.perf_counter() - started) / trainer.global_step)


main()
