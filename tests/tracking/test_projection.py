"""The analytic derivatives of image positions agree with finite differences."""

from __future__ import annotations

import pytest
import torch

from readavatar.data.datasets.tracking import Observations
from readavatar.rendering.camera import axis_angle_to_matrix, matrix_to_axis_angle
from readavatar.tracking.parameters import FaceParameters, image_jacobian, shared_jacobian, view_of

STEP = 1e-6
FRAMES, POINTS, EXPRESSIONS, SHAPES = 2, 6, 3, 2


def random(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


HEAD, BY_EXPRESSION = random(POINTS, 3, scale=0.05), random(POINTS, 3, EXPRESSIONS, scale=0.01)
BY_SHAPE, BY_GAZE = random(POINTS, 3, SHAPES, scale=0.01), random(FRAMES, POINTS, 3, 2, scale=0.01)


def parameters() -> FaceParameters:
    nothing = torch.zeros(FRAMES)
    observations = Observations(
        torch.zeros(FRAMES, 68, 2), torch.zeros(FRAMES, 2, 2), nothing, torch.zeros(FRAMES, 52), nothing,
        nothing, nothing.long(), torch.tensor([[0.45, 0.52]]), torch.tensor([1.3]),
    )  # fmt: skip
    made = FaceParameters(observations, SHAPES, EXPRESSIONS, torch.zeros(3, 2, 2)).double()
    made.rotation.copy_(random(FRAMES, 3, scale=0.3))
    made.set_translation(torch.tensor([[0.02, -0.01, -0.6]] * FRAMES, dtype=torch.float64))
    return made


def seen(at: FaceParameters) -> torch.Tensor:
    """Image positions of the points, in which gaze and coefficients act linearly."""
    head = HEAD + torch.einsum("pce,te->tpc", BY_EXPRESSION, at.expression)
    head = head + BY_SHAPE @ at.shape + torch.einsum("tpcg,tg->tpc", BY_GAZE, at.gaze)
    view = view_of(at, torch.arange(FRAMES))
    return view.image(view.world(head))


def moved(name: str, column: int) -> torch.Tensor:
    at = parameters()
    if name == "rotation":
        turn = torch.zeros(FRAMES, 3, dtype=torch.float64)
        turn[:, column] = STEP
        at.rotation.copy_(matrix_to_axis_angle(axis_angle_to_matrix(turn) @ axis_angle_to_matrix(at.rotation)))
    else:
        values = getattr(at, name)
        (values if values.dim() == 0 else values[..., column]).add_(STEP)
    return (seen(at) - seen(parameters())) / STEP


@pytest.mark.parametrize(
    ("name", "columns", "first"),
    [("expression", 3, 0), ("rotation", 3, 3), ("position", 3, 6), ("gaze", 2, 9)],
)
def test_a_frames_own_unknowns(name, columns, first):
    view = view_of(parameters(), torch.arange(FRAMES))
    jacobian = image_jacobian(view, HEAD.expand(FRAMES, -1, -1), BY_EXPRESSION[None], BY_GAZE)
    for column in range(columns):
        torch.testing.assert_close(jacobian[..., first + column], moved(name, column), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize(("name", "columns", "first"), [("shape", SHAPES, 0), ("focal", 1, SHAPES)])
def test_shared_unknowns(name, columns, first):
    view = view_of(parameters(), torch.arange(FRAMES))
    jacobian = shared_jacobian(view, HEAD.expand(FRAMES, -1, -1), BY_SHAPE[None])
    for column in range(columns):
        torch.testing.assert_close(jacobian[..., first + column], moved(name, column), atol=2e-4, rtol=1e-3)
