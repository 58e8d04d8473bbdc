"""Normal equations: the step is the dense system's, within bounds, over time."""

from __future__ import annotations

import pytest
import torch

from readavatar.tracking import normal_equations
from readavatar.tracking.normal_equations import NormalEquations
from readavatar.tracking.residuals import second_differences

FRAMES, OWN, SHARED, ROWS = 5, 4, 3, 9
FAR = torch.full((FRAMES, OWN), torch.inf, dtype=torch.float64)


@pytest.fixture(autouse=True)
def undamped(monkeypatch):
    monkeypatch.setattr(normal_equations, "DAMPING", 0.0)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def held(num_shared: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(FRAMES, OWN, dtype=torch.bool), torch.zeros(num_shared, dtype=torch.bool)


def test_the_step_of_frames_with_shared_unknowns_is_the_dense_systems():
    residuals, own, shared = random(FRAMES, ROWS), random(FRAMES, ROWS, OWN), random(FRAMES, ROWS, SHARED)
    equations = NormalEquations(FRAMES, OWN, SHARED, residuals)
    equations.add(residuals, own, shared)
    step, shared_step = equations.solve(*held(SHARED), -FAR, FAR)
    dense = torch.cat([torch.block_diag(*own), shared.flatten(0, 1)], 1)
    expected = torch.linalg.lstsq(dense, -residuals.flatten()[:, None]).solution[:, 0]
    torch.testing.assert_close(torch.cat([step.flatten(), shared_step]), expected, atol=1e-4, rtol=1e-4)


def test_the_step_of_frames_coupled_over_time_is_the_dense_systems():
    residuals, own = random(FRAMES, ROWS), random(FRAMES, ROWS, OWN)
    weights = torch.tensor([1.0, 5.0, 0.0, 20.0], dtype=torch.float64)
    differences = second_differences(torch.zeros(FRAMES, dtype=torch.long)).double()
    equations = NormalEquations(FRAMES, OWN, 0, residuals)
    equations.add(residuals, own)
    equations.couple(differences, weights)
    step, _ = equations.solve(*held(), -FAR, FAR)
    whole = torch.block_diag(*(own.mT @ own)) + torch.kron(differences.mT @ differences, weights.diag())
    gradient = (own.mT @ residuals[..., None]).flatten()
    torch.testing.assert_close(step.flatten(), -torch.linalg.solve(whole, gradient), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("coupled", [False, True])
def test_a_bounded_step_is_the_best_within_its_bounds(coupled):
    residuals, own = 0.5 * random(FRAMES, ROWS), random(FRAMES, ROWS, OWN)
    differences = second_differences(torch.zeros(FRAMES, dtype=torch.long)).double()
    equations = NormalEquations(FRAMES, OWN, 0, residuals)
    equations.add(residuals, own)
    weights = torch.ones(OWN, dtype=torch.float64)
    if coupled:
        equations.couple(differences, weights)
    limit = torch.full((FRAMES, OWN), 0.2, dtype=torch.float64)
    step, _ = equations.solve(*held(), -limit, limit)

    def cost(delta: torch.Tensor) -> float:
        smooth = (differences @ delta).square().sum() if coupled else 0
        return float((residuals + (own @ delta[..., None])[..., 0]).square().sum() + smooth)

    assert (step.abs() <= 0.2 + 1e-9).all() and (step.abs() > 0.199).any() and (step.abs() < 0.19).any()
    free, _ = equations.solve(*held(), -FAR, FAR)
    assert cost(step) < cost(free.clamp(-0.2, 0.2))


def test_what_is_held_does_not_move():
    residuals, own, shared = random(FRAMES, ROWS), random(FRAMES, ROWS, OWN), random(FRAMES, ROWS, SHARED)
    equations = NormalEquations(FRAMES, OWN, SHARED, residuals)
    equations.add(residuals, own, shared)
    held_own, held_shared = held(SHARED)
    held_own[2], held_shared[1] = True, True
    step, shared_step = equations.solve(held_own, held_shared, -FAR, FAR)
    assert step[2].abs().max() == 0 and shared_step[1] == 0 and step[1].abs().min() > 0


def test_second_differences_stay_inside_clips_and_vanish_for_even_motion():
    matrix = second_differences(torch.tensor([0, 0, 0, 1, 1, 1]))
    values = torch.tensor([[0.0], [1.0], [2.0], [9.0], [9.0], [9.0]])
    assert torch.equal(matrix @ values, torch.zeros(2, 1))
