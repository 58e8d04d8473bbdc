"""Stopping and going on as if nothing had happened."""

from __future__ import annotations

import os
import random

import numpy as np
import pytorch_lightning as pl
import torch


class ExactResume(pl.Callback):
    """Makes a training that was stopped and resumed end with the weights, bit for bit, of one that was not.

    A checkpoint holds weights, optimizers, schedules, counters and the loader's place in its epoch (``BatchLoader``),
    but not what the random numbers have come to. Before every batch all generators are seeded from (seed, batch), so
    that no state of theirs has to survive. The modules' own share: nothing random outside the training steps, and no
    state that is not in the checkpoint.
    """

    def __init__(self) -> None:
        self.seed: int | None = None

    def state_dict(self) -> dict:
        """The seed, which a resumed run has to keep."""
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict) -> None:
        """The first run's seed."""
        self.seed = state_dict["seed"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed what comes before the first batch."""
        if self.seed is None:
            self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0))  # what seed_everything was given
        self._seed_generators(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx: int) -> None:
        """Seed the batch."""
        self._seed_generators(trainer)

    def _seed_generators(self, trainer: pl.Trainer) -> None:
        seed = (self.seed * 1_000_003 + trainer.fit_loop.epoch_loop.batch_progress.total.ready) % 2**32
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
