"""The normal equations' unknowns beside the fit's parameters: their order, which are held, how far a step goes."""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from readavatar.rendering.camera import axis_angle_to_matrix, matrix_to_axis_angle
from readavatar.tracking.parameters import FaceParameters
from readavatar.tracking.projection import NUM_POSE

OWN = ("expression", "rotation", "position", "gaze")
"""A frame's own unknowns, in the equations' order."""
SHARED = ("shape", "focal", "offsets")
"""Those that all frames share, likewise."""
MAX_GAZE = 0.9
"""Radians: an eye turns no farther."""
MAX_STEP = {"expression": 0.3, "pose": 0.15, "gaze": 0.3, "shape": 1.0, "focal": 0.1}
"""A linearisation holds no farther."""


def held_unknowns(
    parameters: FaceParameters, num_frames: int, free: Collection[str]
) -> tuple[Bool[Tensor, "B D"], Bool[Tensor, " G"]]:
    """Which of the frames' own and of the shared unknowns must not move."""
    own, shared = (
        torch.cat([torch.full((size,), name not in free) for name, size in zip(names, sizes, strict=True)])
        for names, sizes in (
            (OWN, (parameters.expression.shape[1], 3, 3, 2)),
            (SHARED, (len(parameters.shape), 1, parameters.offsets.numel())),
        )
    )
    device = parameters.expression.device
    return own.to(device).repeat(num_frames, 1), shared.to(device)


def step_bounds(
    expression: Float[Tensor, "B E"], bounds: Float[Tensor, "E 2"]
) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
    """The least and the greatest step of each of the frames' own unknowns; those beside expressions have none."""
    (low, high), limit = bounds.unbind(1), MAX_STEP["expression"]
    lowest, highest = (low - expression).clamp(min=-limit), (high - expression).clamp(max=limit)
    return F.pad(lowest, (0, NUM_POSE), value=-torch.inf), F.pad(highest, (0, NUM_POSE), value=torch.inf)


def move(
    parameters: FaceParameters,
    indices: Int[Tensor, " B"],
    own: Float[Tensor, "B D"],
    shared: Float[Tensor, " G"],
    bounds: Float[Tensor, "E 2"],
) -> None:
    """Take a step, no farther than the linearisation holds; a turn of the head is applied after its rotation."""

    def limited(step: Tensor, name: str) -> Tensor:
        return step.clamp(-MAX_STEP[name], MAX_STEP[name])

    expression, turn, position, gaze = own.split([len(bounds), 3, 3, 2], 1)
    moved = parameters.expression[indices] + limited(expression, "expression")
    parameters.expression[indices] = moved.clamp(bounds[:, 0], bounds[:, 1])
    turn = axis_angle_to_matrix(limited(turn, "pose"))
    parameters.rotation[indices] = matrix_to_axis_angle(turn @ axis_angle_to_matrix(parameters.rotation[indices]))
    parameters.position[indices] += limited(position, "pose")
    looked = parameters.gaze[indices] + limited(gaze, "gaze")
    parameters.gaze[indices] = looked.clamp(-MAX_GAZE, MAX_GAZE)
    if len(shared):
        shape, focal, offsets = shared.split([len(parameters.shape), 1, parameters.offsets.numel()])
        parameters.shape += limited(shape, "shape")
        parameters.focal += limited(focal[0], "focal")
        parameters.offsets += offsets.view(-1, 3)
