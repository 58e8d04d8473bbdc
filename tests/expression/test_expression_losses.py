"""Claims on what motion is measured and trained by."""

from __future__ import annotations

import pytest
import torch
from talking_clips import talking_model

from readavatar.expression.face_space import FACE_PARTS, FaceSpace, describe_scores, score_motion
from readavatar.expression.losses import closure_loss, energy_score
from readavatar.morphable.model import expression_displacements


@pytest.fixture(scope="module")
def model():
    """A model of sixty vertices."""
    return talking_model()


@pytest.mark.parametrize("part", FACE_PARTS)
def test_the_quadratic_form_is_the_distance_of_the_vertices(model, part):
    space = FaceSpace(model)
    first, second = torch.rand(2, 7, 3)
    zeros = torch.zeros(7, 1)
    apart = 1000 * (model(zeros, first) - model(zeros, second))
    points = {"eyes": slice(36, 48), "brows": slice(17, 27)}.get(part)
    apart = apart[:, model.vertex_mask(part)] if points is None else model.landmarks_3d(apart)[:, points]
    expected = apart.square().sum(-1).mean(-1).sqrt()
    torch.testing.assert_close(space.distance(part, first, second), expected, atol=0.02, rtol=1e-3)
    displacement = space.displacement(part, first - second)
    torch.testing.assert_close(displacement.norm(dim=-1), expected, atol=1e-3, rtol=1e-3)


def test_displacements_are_those_of_the_model(model):
    torch.testing.assert_close(expression_displacements(model), model.expression_basis, atol=1e-6, rtol=1e-3)


def test_opening_and_lip_error_are_those_of_the_vertices(model):
    space = FaceSpace(model)
    expressions, other = torch.rand(2, 4, 3)
    vertices, others = (1000 * model(torch.zeros(4, 1), each) for each in (expressions, other))
    landmarks = model.landmarks_3d(vertices)
    gap = (landmarks[:, [61, 62, 63], 1] - landmarks[:, [67, 66, 65], 1]).mean(1)
    torch.testing.assert_close(space.opening(expressions), gap, atol=1e-3, rtol=1e-3)
    assert space.opening(torch.tensor([0.0, 1.0, 0.0])) > space.opening(torch.zeros(3))
    lips = model.vertex_mask("lips")
    worst = (vertices - others)[:, lips].norm(dim=-1).amax(1)
    torch.testing.assert_close(space.lip_error(expressions, other), worst, atol=1e-3, rtol=1e-3)


def test_the_distance_has_a_gradient_where_two_motions_meet(model):
    motion = torch.rand(5, 3, requires_grad=True)
    FaceSpace(model).distance("face", motion, motion.detach()).sum().backward()
    assert motion.grad.isfinite().all()


def _absolute(first, second):
    return (first - second).abs().sum(-1)


def test_the_energy_score_of_one_sample_is_the_distance():
    target = torch.rand(2, 3, 1)
    assert energy_score(_absolute, target[None], target) == 0
    assert energy_score(_absolute, target[None] + 0.5, target) == pytest.approx(0.5)
    assert energy_score(_absolute, torch.stack([target + 0.5, target - 0.5]), target) == pytest.approx(0.0)


def test_without_repulsion_the_energy_score_is_a_regression_of_every_sample():
    target = torch.rand(2, 3, 1)
    apart = torch.stack([target + 0.5, target - 0.5])
    assert energy_score(_absolute, apart, target, 0.0) == pytest.approx(0.5)
    assert energy_score(_absolute, apart, target, 0.5) == pytest.approx(0.25)


def test_the_energy_score_prefers_the_true_spread_to_the_average():
    numbers = torch.Generator().manual_seed(0)
    target = torch.randn(1, 20_000, 1, generator=numbers)
    scores = {
        spread: float(energy_score(_absolute, spread * torch.randn(2, 1, 20_000, 1, generator=numbers), target))
        for spread in (0.0, 0.5, 1.0, 1.5)
    }
    assert min(scores, key=scores.get) == 1.0


def test_closure_counts_only_lips_that_should_be_closed():
    predicted = torch.tensor([3.0, 3.0, 0.0], requires_grad=True)
    target, is_closed = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([True, False, True])
    loss = closure_loss(predicted, target, is_closed)
    assert loss == 2.0  # (3 − 1)² and 0, of two frames
    loss.backward()
    assert predicted.grad.tolist() == [2.0, 0.0, 0.0]
    assert closure_loss(target, target, is_closed) == 0
    assert closure_loss(predicted, target, torch.zeros(3, dtype=torch.bool)) == 0


def test_perfect_motion_has_perfect_scores_and_muted_motion_less_spread(model):
    space, target = FaceSpace(model), torch.rand(50, 3)
    perfect = score_motion(target.expand(2, 50, 3), target, space)
    assert perfect["lip_error"] == 0 and perfect["opening_correlation"] == pytest.approx(1.0)
    assert perfect["upper_face_std_ratio"] == pytest.approx(1.0)
    muted = score_motion((0.5 * target + 0.5 * target.mean(0))[None], target, space)
    assert muted["opening_std_ratio"] == pytest.approx(0.5, abs=1e-3)
    assert muted["upper_face_std_ratio"] == pytest.approx(0.5, abs=1e-3)
    assert "lip error 0.00 mm" in describe_scores(perfect)
