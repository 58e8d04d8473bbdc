"""The LightningModule of stage 1; its parameters are the coefficients of the footage."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from pathlib import Path

import pytorch_lightning as pl
import torch
from jaxtyping import Int
from torch import Tensor

from readavatar.data.datasets.tracking import TrackingBatch, TrackingSpecification
from readavatar.errors import UserError
from readavatar.media.images import comparison_sheet, write_image
from readavatar.metrics import psnr
from readavatar.morphable import load_morphable_model
from readavatar.tracking.initialization import choose_morphable_model, fill_missing_frames, start_appearance, start_fit
from readavatar.tracking.objective import FitObjective
from readavatar.tracking.parameters import FaceParameters
from readavatar.tracking.results import compare_with_truth, inner_landmark_errors, tracked_face, truth_of
from readavatar.tracking.schedule import FitStage, Step, choose_keyframes, plan_steps
from readavatar.tracking.solver import GivenSteps, Solver
from readavatar.types import TrackedFace

_LOGGER = logging.getLogger(__name__)

_SUMMARY_FRAMES, _SHEET_FRAMES = 96, 6


class TrackingModule(pl.LightningModule):
    """Fits a morphable model to clips of one person. A run is one epoch over the steps of all stages.

    The fit is written into the clips at the end. Frames without a face are interpolated.
    """

    def __init__(
        self,
        stages: list[FitStage],
        weights: dict[str, float],
        morphable_model: str = "auto",
        texture_size: int = 256,
        keyframes: int = 24,
        seed: int = 0,
        pixels: int = 3000,
        backend: str = "auto",
    ) -> None:
        """
        Args:
            stages: In order.
            weights: Of each term (``objective.TERMS``).
            morphable_model: What ``load_morphable_model`` takes, or ``auto``: a digital actor's own model; for footage
                ``ict`` if it is installed, else ``builtin``.
            texture_size: Texels of the albedo's sides.
            keyframes: Number of frames, as different as possible, that ``frames: keyframes`` selects.
            seed: Of the order of batches.
            pixels: Number of pixels of a frame that a photometric step compares.
            backend: For ``rendering.rasterize``.
        """
        super().__init__()
        self.automatic_optimization = False
        self.stages, self.weights, self.morphable_model = stages, weights, morphable_model
        self.texture_size, self.num_keyframes, self.seed, self.backend = texture_size, keyframes, seed, backend
        self.num_pixels = pixels
        self.register_buffer("seconds", torch.zeros(()))
        self.register_buffer("num_done", torch.zeros((), dtype=torch.long))
        self.steps: list[Step] = []

    def build(self, specification: TrackingSpecification) -> None:
        """Create the parameters for the clips, initialise them from the observations, and plan the steps.

        Raises:
            UserError: The stages have no pass.
        """
        self.footage = specification
        observations = specification.observations
        self.model = load_morphable_model(choose_morphable_model(self.morphable_model, specification.stores))
        self.objective = FitObjective(self.model, observations, self.weights, self.texture_size, self.backend)
        self.parameters_ = FaceParameters(
            observations, self.model.num_shape, self.model.num_expressions, self.objective.albedo_prior.mean
        )
        start_fit(self.parameters_, self.objective)
        self.solver = Solver(self.objective, self.num_pixels)
        self.keyframes = choose_keyframes(observations.landmarks_2d, observations.confidence, self.num_keyframes)
        start_appearance(self.parameters_, self.objective, self._pixels(self.keyframes))
        self.steps = plan_steps(self.stages, observations.clip_index, self.keyframes, self.seed)
        if not self.steps:
            raise UserError("Expected stages with at least one pass, but the config has none.")

    def requirements(self) -> dict[str, list[tuple[Int[Tensor, " _"], int]]]:
        """The data's requirements: ``planned``, each step's frames and their resolution."""
        return {"planned": [(step.indices, step.stage.resolution) for step in self.steps]}

    def setup(self, stage: str) -> None:
        """Set the training's length to the plan's."""
        if stage == "fit":
            self.trainer.fit_loop.max_epochs = 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer that runs the solver's steps."""
        return GivenSteps(self.parameters_.parameters())

    def on_train_start(self) -> None:
        """Start the clock; an earlier part of the run is included."""
        self._clock = time.monotonic()

    def training_step(self, batch: TrackingBatch, batch_idx: int) -> None:
        """One step of the plan."""
        step = self.steps[batch.step]
        found: dict[str, Tensor] = {}

        def solve() -> None:
            for _ in range(step.stage.iterations):
                found.update(self.solver.step(self.parameters_, batch, step.stage.free, step.stage.frames == "all"))

        self.optimizers().step(solve)
        self.log_dict({f"energy/{name}": value for name, value in found.items()})
        self.log("total", sum(found.values()), prog_bar=True)
        self.num_done += 1
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now

    def on_fit_end(self) -> None:
        """Fill unseen skin, write the fit into the clips and report its errors."""
        if int(self.num_done) < len(self.steps):  # stopped halfway
            return
        missing = fill_missing_frames(self.parameters_, self.objective.observations)
        with torch.no_grad():
            seen = self.objective.seen_texels(self.parameters_, self._pixels(self.keyframes))
            albedo = self.parameters_.albedo
            albedo.copy_(self.objective.albedo_prior.complete(albedo.detach(), seen))
        for clip, store in enumerate(self.footage.stores):
            store.write_tracking(self._tracked_face(clip))
        self._print_summary(int(missing.sum()))

    def test_step(self, batch: TrackingBatch, batch_idx: int) -> None:
        """Score a batch of frames."""
        errors, likeness = self._score(batch)
        count = max(1, len(errors))
        if len(errors):
            self.log("landmark_error_percent", errors.mean(), batch_size=count, prog_bar=True)
            self.log("psnr_db", likeness.mean(), batch_size=count, prog_bar=True)

    def validation_step(self, batch: TrackingBatch, batch_idx: int) -> None:
        """As ``test_step``."""
        self.test_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Compare with the truth if the clips are a digital actor's."""
        errors = defaultdict(list)
        for clip, store in enumerate(self.footage.stores):
            if (truth := truth_of(store, self.model)) is None:
                continue
            face = self._tracked_face(clip)
            for name, value in vars(compare_with_truth(face, truth.to(self.device), self.model)).items():
                errors[name].append(value)
        self.log_dict({f"truth/{name}": sum(values) / len(values) for name, values in errors.items()})

    def _tracked_face(self, clip: int) -> TrackedFace:
        size = self.footage.stores[clip].info.size
        return tracked_face(self.parameters_, self.model, self.footage.observations, clip, size)

    def _pixels(self, indices: Int[Tensor, " B"]) -> TrackingBatch:
        return self.footage.batch(indices).to(self.parameters_.shape.device)

    @torch.no_grad()
    def write_pictures(self, path: Path) -> list[Path]:
        """Footage, fit and difference of some frames, into ``path`` + ``.png``."""
        chosen = torch.linspace(0, self.footage.observations.num_frames - 1, _SHEET_FRAMES).round().long().unique()
        batch, path = self._pixels(chosen), path.with_suffix(".png")
        rendered, covered = self.objective.render(self.parameters_, batch.indices, batch.frames.shape[-1])
        composite = covered * rendered.clamp(0, 1) + (1 - covered) * batch.frames
        write_image(path, comparison_sheet(batch.frames, composite))
        return [path]

    @torch.no_grad()
    def _score(self, batch: TrackingBatch) -> tuple[Tensor, Tensor]:
        """Landmark error and PSNR of the frames that show a face."""
        seen = self.objective.observations
        found = seen.confidence[batch.indices] > 0
        predicted, _ = self.objective.predict_landmarks(self.parameters_, batch.indices)
        rendered, covered = self.objective.render(self.parameters_, batch.indices, batch.frames.shape[-1])
        mask = covered * (batch.masks > 0.5)
        found = found & (mask.sum((1, 2, 3)) > 0)
        errors = inner_landmark_errors(predicted, seen.landmarks_2d[batch.indices])
        return errors[found], psnr(rendered.clamp(0, 1)[found], batch.frames[found], mask[found])

    def _print_summary(self, num_missing: int) -> None:
        num_frames = self.objective.observations.num_frames
        chosen = torch.linspace(0, num_frames - 1, min(num_frames, _SUMMARY_FRAMES)).round().long()
        scores = [self._score(self._pixels(indices)) for indices in chosen.split(16)]
        errors, likeness = (torch.cat(values).mean() for values in zip(*scores, strict=True))
        _LOGGER.info(
            f"readavatar: fitted {num_frames} frames of {self.objective.observations.num_clips} clip(s) with "
            f"'{self.model.name}': landmark error {errors:.2f} % of the inter-ocular distance, PSNR {likeness:.1f} dB, "
            f"{float(self.seconds) / num_frames:.3f} s per frame; {num_missing} frame(s) without a face interpolated."
        )
