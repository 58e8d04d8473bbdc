"""What a training leaves: networks in the avatar's folder, pictures and settings on disk and in the logger."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import SaveConfigCallback

from readavatar.data.store.avatar import write_avatar_card, write_avatar_part

_LOGGER = logging.getLogger(__name__)

_CHECKPOINT_INTERVAL = timedelta(seconds=60)
"""A kill costs at most this much training."""


class AvatarExport(pl.Callback):
    """Puts a stage's networks into the avatar's folder when its training ends."""

    def __init__(self, avatar: str | Path, footage: str | Path | None) -> None:
        """
        Args:
            avatar: The avatar's folder.
            footage: The clip store of the person; None for a prior.
        """
        self.avatar, self.footage = avatar, footage

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Export, unless the training was stopped; a stage without networks (tracking) leaves the avatar's card."""
        if not trainer.is_global_zero or trainer.interrupted:
            return
        write_avatar_card(self.avatar, self.footage)
        for part in getattr(pl_module, "avatar_parts", list)():
            write_avatar_part(self.avatar, **part, footage=self.footage)


class EvaluationPictures(pl.Callback):
    """After every validation and test, what the module draws of it, in the log's folder and in the logger.

    A module draws by ``write_pictures(path) -> list[Path]``: PNGs, and MP4s for the sample clips, whose names begin as
    ``path``. Loggers with ``log_image`` and ``log_video`` (Weights & Biases) are given them.
    """

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the validation."""
        self._draw(trainer, pl_module, "val", f"val-{trainer.global_step:06d}")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the test."""
        self._draw(trainer, pl_module, "test", "test")

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str, name: str) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        for picture in pl_module.write_pictures(folder / name):
            _LOGGER.info("see '%s'", picture)
            for logger in trainer.loggers:
                log = getattr(logger, "log_video" if picture.suffix == ".mp4" else "log_image", None)
                if log is not None:
                    log(f"{stage}/{picture.suffix[1:]}", [str(picture)])


class SaveSettings(SaveConfigCallback):
    """Writes a run's whole configuration into its log's folder, and hands it to its loggers."""

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """To the loggers: Weights & Biases shows and filters runs by it; a CSV log keeps it as ``hparams.yaml``."""
        for logger in trainer.loggers:
            logger.log_hyperparams(self.config.as_dict())


def make_checkpoints(folder: Path) -> list[ModelCheckpoint]:
    """Write ``folder/last.ckpt`` each minute and at the end of each epoch."""
    options = {"dirpath": folder, "filename": "last", "enable_version_counter": False}
    return [
        ModelCheckpoint(**options, train_time_interval=_CHECKPOINT_INTERVAL),
        ModelCheckpoint(**options, every_n_epochs=1, save_on_train_epoch_end=True),
    ]
