"""Training the appearance network."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel

from readavatar.appearance.augmentation import Augmentation, augmented, choose_crops
from readavatar.appearance.contact_sheet import contact_sheet, write_image
from readavatar.appearance.inference import soft_edge, uses_bfloat16
from readavatar.appearance.losses import AppearanceObjective, GazeLoss, Rendered, render_crops
from readavatar.appearance.networks import AppearanceRenderer, NetworkSettings
from readavatar.appearance.neural_texture import SirenTexture, TextureImage
from readavatar.appearance.perceptual import load_feature_loss
from readavatar.appearance.settings import LossWeights, Optimisation
from readavatar.data.datasets.appearance_clips import AppearanceBatch
from readavatar.data.raster.render_inputs import RenderInputs
from readavatar.gaze import load_gaze_expert
from readavatar.metrics import psnr, ssim
from readavatar.optimization.ema import warmup_ema

_SHEET_FRAMES = 6


class AppearanceModule(pl.LightningModule):
    """Learns to paint a person's face into their footage; the batches come from ``AppearanceData``."""

    def __init__(
        self,
        network: NetworkSettings = NetworkSettings(),  # noqa: B008 (all four are frozen)
        weights: LossWeights = LossWeights(),  # noqa: B008
        optimisation: Optimisation = Optimisation(),  # noqa: B008
        augmentation: Augmentation = Augmentation(),  # noqa: B008
        feature_loss: str = "auto",
        gaze_expert: str = "eth_xgaze",
    ) -> None:
        """
        Args:
            network: Sizes and choices.
            weights: Of the losses.
            optimisation: Learning rates and the like.
            augmentation: What is disturbed in training.
            feature_loss: Of ``load_feature_loss``.
            gaze_expert: Of ``load_gaze_expert``, for ``weights.gaze``; not looked for where that is 0.
        """
        super().__init__()
        self.automatic_optimization = False
        self.network, self.weights, self.optimisation, self.augmentation = network, weights, optimisation, augmentation
        expert = load_gaze_expert(gaze_expert) if weights.gaze else None
        gaze_loss = None if expert is None else GazeLoss(expert, optimisation.gaze_frames)
        features = load_feature_loss(feature_loss, optimisation.feature_crop)
        self.objective = AppearanceObjective(weights, features, gaze_loss)
        self._bfloat16: bool | None = None
        self.renderer: AppearanceRenderer | None = None
        self.averaged: AveragedModel | None = None
        self._sheet: list[tuple[Tensor, Tensor]] = []

    def setup(self, stage: str) -> None:
        """Build the network for what the data gives."""
        if self.renderer is not None:
            return
        data = self.trainer.datamodule
        self.renderer = AppearanceRenderer(data.num_speech_features, data.num_regions, data.speech_window, self.network)
        if self.renderer.is_audio_conditioned:
            self.renderer.audio_latent.standardise_by(data.training_speech)
        self.averaged = AveragedModel(self.renderer, multi_avg_fn=warmup_ema(self.optimisation.ema_decay))

    def configure_optimizers(self) -> list[Adam]:
        """The renderer's, and the discriminator's if there is one."""
        settings = self.optimisation
        parameters = list(self.renderer.parameters())
        texels, sirens = (
            [each for part in self.renderer.modules() if isinstance(part, kind) for each in part.parameters()]
            for kind in (TextureImage, SirenTexture)
        )
        of_texture = {id(each) for each in [*texels, *sirens]}
        groups = [
            {"params": [each for each in parameters if id(each) not in of_texture], "lr": settings.learning_rate},
            {"params": sirens, "lr": settings.texture_learning_rate},
            {"params": texels, "lr": settings.texel_learning_rate},
        ]
        groups = [group for group in groups if group["params"]]
        optimizers = [Adam(groups, betas=(0.9, 0.99), fused=True)]
        if self.objective.discriminator is not None:
            parameters = self.objective.discriminator.parameters()
            optimizers.append(Adam(parameters, lr=settings.discriminator_learning_rate, betas=(0.0, 0.99), fused=True))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        return optimizers

    def training_step(self, batch: AppearanceBatch, batch_index: int) -> None:
        """One step of the renderer, then one of the discriminator."""
        self._set_learning_rates()
        settings, consecutive = self.optimisation, self.trainer.datamodule.consecutive
        batch = replace(batch, inputs=augmented(batch.inputs, batch.frames, self.augmentation))
        crops = choose_crops(batch.inputs, settings.crop, settings.attention, consecutive)
        with self._autocast(batch):
            rendered = render_crops(self.renderer, batch, crops)
            total, values = self.objective(rendered, batch, crops, self.global_step)
        optimizer = self.optimizers() if self.objective.discriminator is None else self.optimizers()[0]
        optimizer.zero_grad()
        self.manual_backward(total)
        torch.nn.utils.clip_grad_norm_(self.renderer.parameters(), 1.0, foreach=True)
        optimizer.step()
        self.averaged.update_parameters(self.renderer)
        if self.objective.discriminator is not None:
            values["discriminator"] = self._discriminator_step(rendered, batch_index)
        self.log_dict({f"train/{name}": value for name, value in values.items()}, batch_size=len(batch.frames))
        self.log("loss", total.detach(), prog_bar=True, logger=False)

    def _discriminator_step(self, rendered: Rendered, batch_index: int) -> Float[Tensor, ""]:
        settings = self.optimisation
        r1 = 0.0 if batch_index % settings.r1_every else settings.r1 * settings.r1_every
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            total, loss = self.objective.judge_step(rendered, r1)
        # Not through Lightning's wrapper, which would count this as a step of training: max_steps are batches.
        optimizer = self.optimizers(use_pl_optimizer=False)[1]
        optimizer.zero_grad()
        self.manual_backward(total)
        optimizer.step()
        return loss

    def _autocast(self, batch: AppearanceBatch) -> torch.autocast:
        if self._bfloat16 is None:
            work = partial(_try_step, self.renderer, batch.inputs.frames(slice(0, 1)))
            self._bfloat16 = uses_bfloat16(self.optimisation.precision, work, self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Keep the outcome of the trial: a training goes on in the precision that it began in."""
        checkpoint["bfloat16"] = self._bfloat16

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Take it up again."""
        self._bfloat16 = checkpoint.get("bfloat16")

    def _set_learning_rates(self) -> None:
        progress = min(self.global_step / self.trainer.estimated_stepping_batches, 1.0)
        factor = 0.05 + 0.95 * (1 + math.cos(math.pi * progress)) / 2
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def validation_step(self, batch: AppearanceBatch, batch_index: int) -> None:
        """Render held-out frames into their footage with the averaged weights."""
        self._score(batch, "val")

    def test_step(self, batch: AppearanceBatch, batch_index: int) -> None:
        """The same, on all of them."""
        self._score(batch, "test")

    def on_validation_epoch_end(self) -> None:
        """Write the contact sheet and say how good it is."""
        self._report("val")

    def on_test_epoch_end(self) -> None:
        """Likewise."""
        self._report("test")

    def _score(self, batch: AppearanceBatch, stage: str) -> None:
        alpha = soft_edge(batch.inputs.paint_mask)
        composite = alpha * self.averaged(batch.inputs) + (1 - alpha) * batch.frames
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
        self._sheet += zip(batch.frames[:kept], composite[:kept], strict=True)

    def _report(self, stage: str) -> None:
        sheet, self._sheet = self._sheet, []
        if self.trainer.sanity_checking or not self.trainer.is_global_zero:
            return
        every = max(1, len(sheet) // _SHEET_FRAMES)
        targets, renders = zip(*sheet[::every][:_SHEET_FRAMES], strict=True)
        path = Path(self.trainer.log_dir or self.trainer.default_root_dir) / f"{stage}-{self.global_step:06d}.png"
        write_image(path, contact_sheet(torch.stack(targets), torch.stack(renders)))
        values = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        self.print(
            f"held out, {self.global_step} steps: face {values[f'{stage}/psnr_face']:.2f} dB, SSIM "
            f"{values[f'{stage}/ssim_face']:.4f}, mouth {values[f'{stage}/psnr_mouth']:.2f} dB ({path})"
        )

    def avatar_parts(self) -> list[dict]:
        """The averaged network and what it was trained with, for the avatar's folder."""
        renderer = self.averaged.module
        description = self.trainer.datamodule.description()
        return [{"name": "appearance", "network": renderer, "config": {"network": renderer.config, **description}}]


def _try_step(renderer: AppearanceRenderer, inputs: RenderInputs, bfloat16: bool) -> None:
    with torch.autocast(inputs.paint_mask.device.type, torch.bfloat16, enabled=bfloat16):
        renderer(inputs).mean().backward()
    renderer.zero_grad()
