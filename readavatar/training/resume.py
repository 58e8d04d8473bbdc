"""Stopping and going on as if nothing had happened."""

from __future__ import annotations

import os
import random

import numpy as np
import pytorch_lightning as pl
import torch


class ExactResume(pl.Callback):
    """Makes a training that was stopped and resumed end with the weights, bit for bit, of one that was not.

    A checkpoint holds weights, optimizers and counters, but not what the random numbers and the data loader have come
    to. Both are made functions of what it holds:

    - before every batch, all generators are seeded from (seed, batch), so that no state of theirs has to survive;
    - a sampler with ``set_epoch`` (the order is then a function of (seed, epoch)) is asked for the interrupted epoch
      again, and the batches that were already learned from are passed over.

    The modules' own share: nothing random outside the training steps, and no state that is not in the checkpoint.
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
        """Bring the loader to where the checkpoint was written."""
        if self.seed is None:
            self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0))  # what seed_everything was given
        self._seed_generators(trainer)
        progress = trainer.fit_loop.epoch_loop.batch_progress
        if progress.total.ready == 0:
            return
        # Lightning has begun to iterate before it told the sampler the epoch, and from the epoch's beginning.
        loader, fetcher = trainer.train_dataloader, trainer.fit_loop._data_fetcher
        for sampler in (loader.sampler, loader.batch_sampler):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(trainer.fit_loop.epoch_progress.current.processed)
        iter(fetcher)
        for _ in range(progress.current.ready % trainer.num_training_batches):
            next(fetcher.iterator)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx: int) -> None:
        """Seed the batch."""
        self._seed_generators(trainer)

    def _seed_generators(self, trainer: pl.Trainer) -> None:
        seed = (self.seed * 1_000_003 + trainer.fit_loop.epoch_loop.batch_progress.total.ready) % 2**32
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
