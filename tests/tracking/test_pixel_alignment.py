"""Pixels as rows: their derivatives are those of rendered images, and nothing outside the mask counts."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from readavatar.data.datasets.tracking import Observations, TrackingBatch
from readavatar.morphable import load_morphable_model
from readavatar.rendering.camera import axis_angle_to_matrix, matrix_to_axis_angle
from readavatar.tracking.alignment import _smooth, select_pixels
from readavatar.tracking.objective import TERMS, FitObjective, lit
from readavatar.tracking.parameters import FaceParameters, view_of
from readavatar.tracking.residuals import FilmedFace, pixel_rows

SIZE, FRAME = 96, torch.arange(1)


@pytest.fixture(scope="module")
def scene() -> tuple[FitObjective, FaceParameters]:
    """One frame of a head with a blotched skin, half turned, in light from above and from the left."""
    model = load_morphable_model("builtin")
    one = torch.ones(1)
    observations = Observations(
        torch.zeros(1, 68, 2), torch.zeros(1, 2, 2), one, torch.zeros(1, 52), one, 0 * one, FRAME.clone() * 0,
        torch.full((1, 2), 0.5), one,
    )  # fmt: skip
    objective = FitObjective(model, observations, dict.fromkeys(TERMS, 1.0), 64)
    objective.surface.importance.fill_(1.0)
    blotches = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.1
    albedo = F.interpolate(blotches, (64, 64), mode="bicubic").clamp(0.05, 0.9)[0]
    parameters = FaceParameters(observations, model.num_shape, model.num_expressions, albedo)
    parameters.rotation[:] = torch.tensor([0.1, 0.3, 0.0])
    parameters.set_translation(torch.tensor([[0.0, 0.01, -0.5]]))
    parameters.lighting[:, 0], parameters.lighting[:, 1], parameters.lighting[:, 3] = 0.8, 0.3, 0.3
    return objective, parameters


def rendered(scene: tuple[FitObjective, FaceParameters], turn: torch.Tensor | None = None) -> torch.Tensor:
    """As ``select_pixels`` sees it, the head turned from where it is."""
    objective, parameters = scene
    before = parameters.rotation.clone()
    if turn is not None:
        parameters.rotation[:] = matrix_to_axis_angle(axis_angle_to_matrix(turn[None]) @ axis_angle_to_matrix(before))
    image = _smooth(lit(objective.surface_maps(parameters, FRAME, SIZE), parameters.lighting))
    parameters.rotation[:] = before
    return image


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_turns_derivatives_are_those_of_the_rendered_head(scene, axis):
    objective, parameters = scene
    maps = objective.surface_maps(parameters, FRAME, SIZE)
    inside = -F.max_pool2d(-maps.covered, 9, 1, 4)
    face = FilmedFace(maps, lit(maps, parameters.lighting), inside)
    count = int(inside.sum())
    rows = pixel_rows(objective, parameters, FRAME, view_of(parameters, FRAME), face, count, shares=False)
    turn = torch.zeros(3)
    turn[axis] = 0.01
    first = parameters.expression.shape[1]
    predicted = rows.jacobian[0, :, first : first + 3] @ turn
    sides = [rendered(scene, sign * turn) for sign in (1, -1)]
    change = (sides[0] - sides[1])[0].flatten(1) / 2
    importance = torch.ones_like(inside)
    chosen = select_pixels(maps, parameters.lighting, face.frames, inside, importance, count).index[0]
    actual = change[:, chosen].T.flatten()
    assert count > 500
    assert torch.corrcoef(torch.stack([predicted, actual]))[0, 1] > 0.9
    scale = rows.residuals.new_tensor(400 / (3 * 0.04**2 * count)).sqrt()  # the weight of each, where nothing is amiss
    slope = (predicted * actual).sum() / actual.square().sum() / scale
    assert slope == pytest.approx(1, abs=0.15)


def test_without_the_shading_that_moves_a_turn_would_be_predicted_worse(scene):
    objective, parameters = scene
    maps = objective.surface_maps(parameters, FRAME, SIZE)
    inside = -F.max_pool2d(-maps.covered, 9, 1, 4)
    frames, importance = lit(maps, parameters.lighting), torch.ones_like(inside)
    pixels = select_pixels(maps, parameters.lighting, frames, inside, importance, int(inside.sum()))
    turn = torch.tensor([0.0, 0.01, 0.0])
    normals = maps.normals.flatten(2).mT.gather(1, pixels.index[..., None].expand(-1, -1, 3))
    turning = torch.linalg.cross(turn.expand_as(normals), normals)
    by_shading = (pixels.by_normal @ turning[..., None]).flatten()
    face = FilmedFace(maps, frames, inside)
    rows = pixel_rows(objective, parameters, FRAME, view_of(parameters, FRAME), face, int(inside.sum()), shares=False)
    first = parameters.expression.shape[1]
    predicted = rows.jacobian[0, :, first : first + 3] @ turn
    change = (rendered(scene, turn) - rendered(scene, -turn))[0].flatten(1)[:, pixels.index[0]].T.flatten() / 2
    full, motion_only = (
        torch.corrcoef(torch.stack([prediction, change]))[0, 1] for prediction in (predicted, predicted - by_shading)
    )
    assert full > motion_only


def test_nothing_outside_the_mask_is_chosen_or_counts(scene):
    objective, parameters = scene
    maps = objective.surface_maps(parameters, FRAME, SIZE)
    mask = maps.covered.clone()
    mask[..., SIZE // 2 :] = 0
    frames = (lit(maps, parameters.lighting) + 0.1).clamp(max=1)
    arguments = (maps, parameters.lighting, frames, mask, torch.ones_like(mask))
    few = select_pixels(*arguments, 200)
    assert (mask.flatten(1).gather(1, few.index) > 0).all()
    everything = select_pixels(*arguments, SIZE * SIZE)
    outside = mask.flatten(1).gather(1, everything.index) == 0
    assert outside.any()
    for values in (everything.residuals, everything.by_motion, everything.by_normal):
        assert (values[outside] == 0).all()


def test_a_hand_before_the_face_hardly_counts(scene):
    objective, parameters = scene
    maps = objective.surface_maps(parameters, FRAME, SIZE)
    frames = lit(maps, parameters.lighting)
    frames[..., 40:60, 40:60] = 1 - frames[..., 40:60, 40:60].round()
    pixels = select_pixels(maps, parameters.lighting, frames, maps.covered, torch.ones_like(maps.covered), SIZE * SIZE)
    row, column = pixels.index[0] // SIZE, pixels.index[0] % SIZE
    on_hand = (row > 42) & (row < 57) & (column > 42) & (column < 57)
    clean = lit(maps, parameters.lighting)
    unspoilt = select_pixels(maps, parameters.lighting, clean, maps.covered, torch.ones_like(maps.covered), SIZE * SIZE)
    row, column = unspoilt.index[0] // SIZE, unspoilt.index[0] % SIZE
    was_there = (row > 42) & (row < 57) & (column > 42) & (column < 57)
    shade_of = pixels.by_normal[0, on_hand].norm(), unspoilt.by_normal[0, was_there].norm()
    assert shade_of[0] < 0.3 * shade_of[1]


def test_a_batch_without_a_face_chooses_pixels_that_weigh_nothing(scene):
    objective, parameters = scene
    maps = objective.surface_maps(parameters, FRAME, SIZE)
    batch = TrackingBatch(0, FRAME, lit(maps, parameters.lighting), torch.zeros(1, 1, SIZE, SIZE))
    pixels = select_pixels(maps, parameters.lighting, batch.frames, batch.masks, torch.ones_like(batch.masks), 50)
    assert (pixels.residuals == 0).all() and pixels.by_motion.isfinite().all()
