"""What a training step of the appearance stage costs beside its networks."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import pytorch_lightning as pl
import torch

from readavatar.appearance import AppearanceModule
from readavatar.appearance.crops import Crops, choose_crops
from readavatar.appearance.inference import soft_edge
from readavatar.appearance.objective import Rendered
from readavatar.appearance.precision import uses_bfloat16
from readavatar.data.appearance_clips import AppearanceBatch
from readavatar.files import replacing_file

WARM_UP = 2
"""Steps that do not count: first allocations, the trial of precisions."""


class StepTimer(pl.Callback):
    """Times every step from the last one's end to its own, and after each the bare passes on the same batch.

    Side by side, so that both have the same neighbours on the machine. The whole has all that Lightning, the data and
    the logs do between two steps.
    """

    def __init__(self, report: str, warm_up: int = WARM_UP) -> None:
        """
        Args:
            report: JSON file that is written at the end: ``{"whole": [ms, …], "bare": [ms, …]}``.
            warm_up: Steps that do not count.
        """
        self.report, self.warm_up = Path(report), warm_up
        self.whole: list[float] = []
        self.bare: list[float] = []
        self._bfloat16: bool | None = None
        self._left = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: AppearanceModule) -> None:
        """The clock runs."""
        self._left = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: AppearanceModule, outputs: object, batch: AppearanceBatch, batch_idx: int
    ) -> None:
        """Stop the whole step's clock and time the bare passes."""
        whole = time.perf_counter() - self._left
        if self._bfloat16 is None:
            self._bfloat16 = _in_bfloat16(pl_module, batch)
        settings, consecutive = pl_module.optimisation, trainer.datamodule.consecutive
        crops = choose_crops(batch.inputs, settings.crop, settings.attention, consecutive)
        cut, alpha = crops.cut(batch), crops.cut_images(soft_edge(batch.inputs.hole))
        start = time.perf_counter()
        _bare_passes(pl_module, batch, crops, cut, alpha, batch_idx, self._bfloat16)
        if batch_idx >= self.warm_up:
            self.whole.append(1000 * whole)
            self.bare.append(1000 * (time.perf_counter() - start))
        self._left = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: AppearanceModule) -> None:
        """Write the report."""
        with replacing_file(self.report) as temporary:
            temporary.write_text(json.dumps({"whole": self.whole, "bare": self.bare}))


def overhead(whole: list[float], bare: list[float]) -> float:
    """How much a step costs on top of its bare passes, per cent: the median of the pairs."""
    return 100 * statistics.median(a / b - 1 for a, b in zip(whole, bare, strict=True))


def _in_bfloat16(module: AppearanceModule, batch: AppearanceBatch) -> bool:
    one = batch.inputs.frames(slice(0, 1))

    def work(bfloat16: bool) -> None:
        with torch.autocast(module.device.type, torch.bfloat16, enabled=bfloat16):
            module.renderer(one).mean().backward()

    return uses_bfloat16(module.optimisation.precision, work, module.device)


def _bare_passes(
    module: AppearanceModule,
    whole: AppearanceBatch,
    crops: Crops,
    cut: AppearanceBatch,
    alpha: torch.Tensor,
    step: int,
    bfloat16: bool,
) -> None:
    """Forward and backward of every network that a step asks, and nothing else."""
    settings, objective = module.optimisation, module.objective
    module.zero_grad()
    with torch.autocast(module.device.type, torch.bfloat16, enabled=bfloat16):
        rendered = Rendered(cut, module.renderer(cut.inputs), alpha)
        total, _ = objective(rendered, whole, crops, step)
    total.backward()
    if objective.discriminator is not None:
        r1 = 0.0 if step % settings.r1_every else settings.r1 * settings.r1_every
        with torch.autocast(module.device.type, torch.bfloat16, enabled=bfloat16):
            verdict, _ = objective.judge_step(rendered, r1)
        verdict.backward()
    if module.device.type != "cpu":
        torch.accelerator.synchronize()
