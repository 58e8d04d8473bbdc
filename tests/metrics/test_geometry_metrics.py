"""Shapes and landmarks on hand values."""

import pytest
import torch

from readavatar.metrics import landmark_error, rigid_alignment, vertex_error


def _rotation(seed=0):
    matrix = torch.linalg.qr(torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(seed)))[0]
    return matrix * torch.linalg.det(matrix)[:, None, None]


def _points(seed=1, n=40):
    return torch.randn(2, n, 3, generator=torch.Generator().manual_seed(seed))


def test_alignment_recovers_a_rigid_motion():
    points, rotation, translation = _points(), _rotation(), torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.5, 0.1]])
    found_rotation, found_translation = rigid_alignment(points, points @ rotation.mT + translation[:, None])
    torch.testing.assert_close(found_rotation, rotation, atol=1e-5, rtol=0)
    torch.testing.assert_close(found_translation, translation, atol=1e-5, rtol=0)


def test_alignment_never_mirrors():
    points = _points()
    rotation, _ = rigid_alignment(points, points * torch.tensor([-1.0, 1.0, 1.0]))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(2), atol=1e-5, rtol=0)


def test_points_of_zero_weight_do_not_pull_the_alignment():
    points = _points()
    target = points @ _rotation().mT
    spoilt, weights = target.clone(), torch.ones(1, 40)
    spoilt[:, :5] += 3.0
    weights[:, :5] = 0
    torch.testing.assert_close(rigid_alignment(points, spoilt, weights)[0], _rotation(), atol=1e-5, rtol=0)


def test_vertex_error_ignores_pose_and_keeps_metres():
    points = _points()
    moved = points @ _rotation().mT + 0.4
    torch.testing.assert_close(vertex_error(moved, points), torch.zeros(2, 40), atol=2e-5, rtol=0)
    # A shape 1 % too large is off by 1 % of each point's distance from the centre.
    centred = points - points.mean(1, keepdim=True)
    torch.testing.assert_close(vertex_error(centred * 1.01, points), 0.01 * centred.norm(dim=-1), atol=1e-5, rtol=1e-3)


def test_vertex_error_gradients_are_finite_at_identity_and_lower_it():
    points = _points()
    same = points.clone().requires_grad_()
    vertex_error(same, points).sum().backward()
    assert torch.isfinite(same.grad).all()
    noisy = (points + 0.1 * _points(2)).requires_grad_()
    before = vertex_error(noisy, points).mean()
    before.backward()
    after = vertex_error(noisy.detach() - 0.1 * noisy.grad / noisy.grad.norm(), points).mean()
    assert after < before


@pytest.mark.parametrize("dimensions", [2, 3])
def test_landmark_error_counts_in_inter_ocular_distances(dimensions):
    target = torch.zeros(1, 68, dimensions)
    target[:, 42:48, 0], target[:, 36:42, 0] = 30.0, -30.0
    predicted = target.clone()
    predicted[0, 8, 1] = 6.0
    error = landmark_error(predicted, target)[0]
    assert error[8].item() == pytest.approx(0.1) and error.sum().item() == pytest.approx(0.1)
