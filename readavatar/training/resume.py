"""Exact resuming of a training that was stopped."""

from __future__ import annotations

import os
import random

import numpy as np
import pytorch_lightning as pl
import torch


class ExactResume(pl.Callback):
    """Makes a resumed training end with bit-identical weights to one that was not stopped.

    A checkpoint holds weights, optimizers, schedules, counters and the loader's position (``BatchLoader``), but not the
    state of random generators. All generators are therefore seeded from (seed, batch) before every batch. Modules must
    not use random numbers outside the training steps, and must keep all of their state in the checkpoint.
    """

    def __init__(self) -> None:
        self.seed: int | None = None

    def state_dict(self) -> dict:
        """The seed, which a resumed run needs."""
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore the first run's seed."""
        self.seed = state_dict["seed"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed the generators before the first batch."""
        if self.seed is None:
            self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0))  # set by seed_everything
        self._seed_generators(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx: int) -> None:
        """Seed the batch."""
        self._seed_generators(trainer)

    def _seed_generators(self, trainer: pl.Trainer) -> None:
        seed = (self.seed * 1_000_003 + trainer.fit_loop.epoch_loop.batch_progress.total.ready) % 2**32
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
