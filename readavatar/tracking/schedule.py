"""The schedule of a fit: stages with their free parameters, frames and number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.errors import UserError

PARAMETERS = ("shape", "focal", "offsets", "albedo", "expression", "rotation", "position", "gaze", "lighting")
"""The parameters of ``FaceParameters`` that a stage may free."""


@dataclass(frozen=True)
class FitStage:
    """One stage of the fit."""

    name: str
    free: list[str]
    """Of ``PARAMETERS``."""
    passes: int
    """Number of visits to each of the stage's frames."""
    iterations: int = 1
    """Number of steps for a batch at each visit."""
    frames: Literal["all", "keyframes"] = "all"
    resolution: int = 0
    """Side of the compared frames, pixels; 0 compares only landmarks."""
    batch: int = 0
    """Frames in a step, consecutive if ``frames`` is all; 0: all at once."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.free) - set(PARAMETERS))
        if unknown:
            raise UserError(
                f"Expected stage '{self.name}' to free some of {', '.join(PARAMETERS)}, but got {', '.join(unknown)}."
            )
        if min(self.passes, self.iterations - 1, self.batch, self.resolution) < 0:
            raise UserError(
                f"Expected passes ≥ 0, iterations ≥ 1, batch ≥ 0 and resolution ≥ 0 in stage '{self.name}', "
                f"but got {self.passes}, {self.iterations}, {self.batch}, {self.resolution}."
            )


@dataclass(frozen=True)
class Step:
    """One visit to a batch of frames."""

    stage: FitStage
    indices: Int[Tensor, " B"] = field(repr=False)


def plan_steps(
    stages: Sequence[FitStage], clip_index: Int[Tensor, " N"], keyframes: Int[Tensor, " K"], seed: int
) -> list[Step]:
    """All steps of all stages.

    Args:
        stages: In order.
        clip_index: The clip of each frame; consecutive frames in a batch are of one clip.
        keyframes: The frames for ``frames: keyframes``.
        seed: Of the batches' order.
    """
    generator = torch.Generator().manual_seed(seed)
    steps = []
    for stage in stages:
        for _ in range(stage.passes):
            steps += [Step(stage, indices) for indices in _one_pass(stage, clip_index, keyframes, generator)]
    return steps


def _one_pass(stage: FitStage, clip_index: Tensor, keyframes: Tensor, generator: torch.Generator) -> list[Tensor]:
    frames = torch.arange(len(clip_index)) if stage.frames == "all" else keyframes
    if stage.batch == 0 or stage.batch >= len(frames):
        return [frames]
    if stage.frames == "keyframes":
        shuffled = frames[torch.randperm(len(frames), generator=generator)]
        return list(shuffled.split(stage.batch))
    batches = []
    for clip in clip_index.unique():
        own = torch.nonzero(clip_index == clip)[:, 0]
        # The first batch has a random length, so that batches end elsewhere in each pass.
        shift = int(torch.randint(stage.batch, (), generator=generator))
        batches += [part for part in (own[:shift], *own[shift:].split(stage.batch)) if len(part)]
    return [batches[index] for index in torch.randperm(len(batches), generator=generator)]


def choose_keyframes(
    landmarks_2d: Float[Tensor, "N L 2"], confidence: Float[Tensor, " N"], count: int
) -> Int[Tensor, " K"]:
    """Choose frames of different poses and expressions by farthest-point sampling of landmarks (Gonzalez 1985).

    Returns:
        At most ``count`` indices of frames with a face, sorted.
    """
    candidates = torch.nonzero(confidence > 0)[:, 0]
    points = landmarks_2d[candidates]
    points = points - points.mean(1, keepdim=True)
    points = (points / points.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-8)).flatten(1)
    chosen = [int((points - points.median(0).values).square().sum(1).argmin())]
    distance = torch.full((len(points),), torch.inf)
    while len(chosen) < min(count, len(points)):
        distance = torch.minimum(distance, (points - points[chosen[-1]]).square().sum(1))
        chosen.append(int(distance.argmax()))
    return candidates[sorted(chosen)]
