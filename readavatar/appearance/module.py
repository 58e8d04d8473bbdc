"""Training the appearance network."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from readavatar.appearance.augmentation import Augmentation, augmented, choose_crops
from readavatar.appearance.inference import soft_edge, uses_bfloat16
from readavatar.appearance.losses import AppearanceObjective, GazeLoss, Rendered, render_crops
from readavatar.appearance.networks import AppearanceRenderer, parameter_groups
from readavatar.appearance.perceptual import load_feature_loss
from readavatar.appearance.settings import LossWeights, NetworkSettings, OptimizationSettings
from readavatar.data.datasets.appearance_batches import AppearanceBatch
from readavatar.data.datasets.appearance_clips import AppearanceSpecification
from readavatar.data.raster.render_inputs import RenderInputs
from readavatar.gaze import load_gaze_expert
from readavatar.media.images import comparison_sheet, to_uint8, write_image
from readavatar.media.video_writer import write_video
from readavatar.metrics import psnr, ssim
from readavatar.optimization.training_module import AdversarialModule, make_ema

_LOGGER = logging.getLogger(__name__)

_SHEET_FRAMES = 6
_FILM_FRAMES = 100


class AppearanceModule(AdversarialModule):
    """Learns to paint a person's face into their footage; the batches come from ``AppearanceData``."""

    def __init__(
        self,
        network: NetworkSettings = NetworkSettings(),  # noqa: B008 (all four are frozen)
        weights: LossWeights = LossWeights(),  # noqa: B008
        optimization: OptimizationSettings = OptimizationSettings(),  # noqa: B008
        augmentation: Augmentation = Augmentation(),  # noqa: B008
        feature_loss: str = "auto",
        gaze_expert: str = "eth_xgaze",
    ) -> None:
        """
        Args:
            network: Sizes and choices.
            weights: Of the losses.
            optimization: Learning rates and the like.
            augmentation: Of what the network sees in training.
            feature_loss: Of ``load_feature_loss``.
            gaze_expert: Of ``load_gaze_expert``, for ``weights.gaze``; not looked for where that is 0.
        """
        super().__init__()
        self.network, self.weights, self.optimization = network, weights, optimization
        self.augmentation = augmentation
        expert = load_gaze_expert(gaze_expert) if weights.gaze else None
        gaze_loss = None if expert is None else GazeLoss(expert, optimization.gaze_frames)
        features = load_feature_loss(feature_loss, optimization.feature_crop)
        self.objective = AppearanceObjective(weights, features, gaze_loss)
        self._bfloat16: bool | None = None
        self.renderer: AppearanceRenderer | None = None
        self.ema: AveragedModel | None = None
        self.film: list[UInt8[np.ndarray, "H W 3"]] = []

    def build(self, specification: AppearanceSpecification) -> None:
        """Build the network for some clips, before a trainer sees the module."""
        self.specification = given = specification
        self.renderer = AppearanceRenderer(
            given.num_speech_features, given.num_regions, given.speech_window, self.network
        )
        if self.renderer.is_audio_conditioned:
            self.renderer.audio_latent.standardise_by(given.training_speech())
        self.ema = make_ema(self.renderer, self.optimization.ema_decay)

    def requirements(self) -> dict:
        """What the data has to give: nothing of the network's."""
        return {}

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        """The renderer's, and the discriminator's if there is one."""
        settings = self.optimization
        groups = parameter_groups(self.renderer, settings)
        discriminator, of_discriminator = self.objective.discriminator, None
        if discriminator is not None:
            rate = settings.discriminator_learning_rate
            of_discriminator = Adam(discriminator.parameters(), rate, betas=(0.0, 0.99), fused=True)
        return self.with_schedules(Adam(groups, betas=(0.9, 0.99), fused=True), of_discriminator)

    def training_step(self, batch: AppearanceBatch, batch_index: int) -> None:
        """One step of the renderer, then one of the discriminator."""
        settings = self.optimization
        batch = replace(batch, inputs=augmented(batch.inputs, batch.frames, self.augmentation))
        crops = choose_crops(batch.inputs, settings.crop, settings.attention, self.specification.consecutive)
        with self._autocast(batch):
            rendered = render_crops(self.renderer, batch, crops)
            total, values = self.objective(rendered, batch, crops, self.global_step)
        self.step_network(total, self.renderer, settings.clip_gradients)
        self.ema.update_parameters(self.renderer)
        if self.objective.discriminator is not None:
            values["discriminator"] = self._discriminator_step(rendered, batch_index)
        self.step_schedules()
        self.log_dict({f"train/{name}": value for name, value in values.items()}, batch_size=len(batch.frames))
        self.log("loss", total.detach(), prog_bar=True, logger=False)

    def _discriminator_step(self, rendered: Rendered, batch_index: int) -> Float[Tensor, ""]:
        settings = self.optimization
        r1 = 0.0 if batch_index % settings.r1_every else settings.r1 * settings.r1_every
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            total, loss = self.objective.discriminator_step(rendered, r1)
        self.step_discriminator(total)
        return loss

    def _autocast(self, batch: AppearanceBatch) -> torch.autocast:
        if self._bfloat16 is None:
            work = partial(_try_step, self.renderer, batch.inputs.frames(slice(0, 1)))
            self._bfloat16 = uses_bfloat16(self.optimization.precision, work, self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Keep the outcome of the trial: a training goes on in the precision that it began in."""
        checkpoint["bfloat16"] = self._bfloat16

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Take it up again."""
        self._bfloat16 = checkpoint.get("bfloat16")

    def validation_step(self, batch: AppearanceBatch, batch_index: int) -> None:
        """Render held-out frames into their footage with the averaged weights."""
        self._score(batch, "val")

    def test_step(self, batch: AppearanceBatch, batch_index: int) -> None:
        """The same, on all of them."""
        self._score(batch, "test")

    def _score(self, batch: AppearanceBatch, stage: str) -> None:
        alpha = soft_edge(batch.inputs.paint_mask)
        composite = alpha * self.ema(batch.inputs) + (1 - alpha) * batch.frames
        face, mouth = batch.inputs.part("face"), batch.inputs.part("mouth")
        with torch.autocast(self.device.type, enabled=False):  # bfloat16 has no digits for SSIM's variances
            values = {
                "psnr_face": psnr(composite, batch.frames, face),
                "ssim_face": ssim(composite, batch.frames, face),
                "psnr_mouth": psnr(composite, batch.frames, mouth),
            }
        for name, value in values.items():
            self.log(f"{stage}/{name}", value.nanmean(), batch_size=len(face))
        batches = sum(self.trainer.num_val_batches if stage == "val" else self.trainer.num_test_batches)
        kept = math.ceil(_SHEET_FRAMES / batches)
        self.examples += zip(batch.frames[:kept].cpu(), composite[:kept].cpu(), strict=True)
        if stage == "test" and len(self.film) < _FILM_FRAMES:
            self.film += to_uint8(torch.cat([batch.frames, composite], -1))

    def on_test_epoch_start(self) -> None:
        """Forget the last test's examples and film."""
        super().on_test_epoch_start()
        self.film.clear()

    def on_validation_epoch_end(self) -> None:
        """Say how good it is."""
        self._report("val")

    def on_test_epoch_end(self) -> None:
        """Likewise."""
        self._report("test")

    def _report(self, stage: str) -> None:
        if self.trainer.sanity_checking:
            return
        values = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        face, likeness, mouth = (values[f"{stage}/{name}"] for name in ("psnr_face", "ssim_face", "psnr_mouth"))
        when = f", {self.global_step} steps" if stage == "val" else ""
        _LOGGER.info("held out%s: face %.2f dB, SSIM %.4f, mouth %.2f dB", when, face, likeness, mouth)

    def write_pictures(self, path: Path) -> list[Path]:
        """Footage, render and difference of some held-out frames, into ``path`` + ``.png``.

        A test also leaves its first seconds, the footage beside the render, in ``path`` + ``.mp4``.
        """
        every = max(1, len(self.examples) // _SHEET_FRAMES)
        targets, renders = zip(*self.examples[::every][:_SHEET_FRAMES], strict=True)
        sheet, film = path.with_suffix(".png"), path.with_suffix(".mp4")
        write_image(sheet, comparison_sheet(torch.stack(targets), torch.stack(renders)))
        if not self.film:
            return [sheet]
        write_video(film, self.film, self.specification.fps)
        return [sheet, film]

    def avatar_parts(self) -> list[dict]:
        """The averaged network and what it was trained with, for the avatar's folder."""
        renderer = self.ema.module
        config = {"network": renderer.config, **self.specification.description()}
        return [{"name": "appearance", "network": renderer, "config": config}]


def _try_step(renderer: AppearanceRenderer, inputs: RenderInputs, bfloat16: bool) -> None:
    with torch.autocast(inputs.paint_mask.device.type, torch.bfloat16, enabled=bfloat16):
        renderer(inputs).mean().backward()
    renderer.zero_grad()
