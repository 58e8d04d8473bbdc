"""The progress bar of a training: steps, remaining time and losses."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SHOWN_METRICS = 4


class TrainingProgress(ProgressBar):
    """One bar for the whole training; Lightning's own bar shows a single epoch."""

    def __init__(self, description: str) -> None:
        """
        Args:
            description: Text before the bar.
        """
        super().__init__()
        self.description = description
        self._bar: Progress | None = None
        self._enabled = True

    @property
    def is_enabled(self) -> bool:
        """Whether the bar may be shown."""
        return self._enabled

    def disable(self) -> None:
        """Called by Lightning to hide the bar (on other ranks)."""
        self._enabled = False

    def enable(self) -> None:
        """Called by Lightning to show the bar."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        if self._enabled:
            steps = trainer.max_steps if trainer.max_steps > 0 else trainer.max_epochs * trainer.num_training_batches
            columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[metrics]}"))
            self._bar = Progress(TextColumn("{task.description}"), *columns)
            self._task = self._bar.add_task(self.description, total=steps, metrics="")
            self._bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch) -> None:
        """Update the bar."""
        if self._bar is None:
            return
        done = trainer.global_step
        if trainer.max_steps <= 0:
            done = trainer.fit_loop.epoch_loop.batch_progress.total.processed
        metrics = [f"{name} {float(value):.3g}" for name, value in trainer.progress_bar_metrics.items()]
        self._bar.update(self._task, completed=done, metrics=" ".join(metrics[:_SHOWN_METRICS]))

    def print(self, *values: object, **options: object) -> None:
        """Print above the bar."""
        if self._bar is not None:
            self._bar.console.print(*values)
        else:
            print(*values)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the bar; its last state stays on the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop the bar."""
        self.on_train_end(trainer, pl_module)
