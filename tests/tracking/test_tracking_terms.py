"""Landmarks, gaps and irises as rows of normal equations: hand values, robustness, derivatives."""

from __future__ import annotations

import pytest
import torch

from readavatar.tracking import residuals as terms

UNIT = torch.tensor([0.4, 0.5])


def face_landmarks() -> torch.Tensor:
    return torch.rand(2, 68, 2, generator=torch.Generator().manual_seed(0))


def energy(predicted: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    rows = terms.point_rows(predicted, target, torch.zeros(*predicted.shape, 1), UNIT, weights)
    return (rows.weights * rows.residuals.square()).sum(1)


def test_a_landmark_off_by_its_typical_error_has_a_residual_of_one():
    points = face_landmarks()
    moved = points.clone()
    moved[:, 30, 0] += terms.LANDMARK_ERROR * UNIT
    rows = terms.point_rows(moved, points, torch.zeros(2, 68, 2, 1), UNIT, torch.ones(1, 68))
    expected = torch.zeros(2, 136)
    expected[:, 60] = 1
    torch.testing.assert_close(rows.residuals, expected, atol=1e-4, rtol=0)
    assert terms.robust_weight(torch.tensor(terms.LANDMARK_ERROR**2), terms.OUTLIER) > 0.9


def test_rows_have_the_derivatives_of_their_residuals():
    generator = torch.Generator().manual_seed(1)
    jacobian, shared = (torch.randn(2, 68, 2, count, generator=generator) for count in (3, 4))
    points, change = face_landmarks(), torch.randn(3, generator=generator) * 0.01
    before = terms.point_rows(points, points, jacobian, UNIT, torch.ones(1, 68), shared)
    after = terms.point_rows(points + jacobian @ change, points, jacobian, UNIT, torch.ones(1, 68))
    torch.testing.assert_close(before.jacobian @ change, after.residuals, atol=1e-3, rtol=1e-3)
    error = terms.LANDMARK_ERROR * UNIT[:, None, None]
    torch.testing.assert_close(before.shared, shared.flatten(1, 2) / error)


def test_a_gap_does_not_care_where_the_mouth_is_but_how_open():
    points = face_landmarks()
    closed = points.clone()
    closed[:, 62] += 0.01
    weights = torch.ones(1, 7)
    assert energy(terms.gaps(points + 0.1), terms.gaps(points), weights).max() < 1e-6
    assert energy(terms.gaps(closed), terms.gaps(points), weights).min() > 1


def test_one_wild_landmark_pulls_no_harder_than_an_outlier_does():
    points = face_landmarks()
    pulls = []
    for distance in (terms.OUTLIER / 2, 100.0):
        wild = points.clone()
        wild[:, 30] += distance * UNIT[:, None]
        rows = terms.point_rows(wild, points, torch.zeros(2, 68, 2, 1), UNIT, torch.ones(1, 68))
        pulls.append((rows.weights * rows.residuals).sum(1))
    assert (pulls[1] < 1e-3 * pulls[0]).all()


def test_the_jaw_line_counts_little():
    points, weights = face_landmarks(), terms.landmark_weights(torch.zeros(1))[None]
    jaw, nose = points.clone(), points.clone()
    jaw[:, 4] += 0.01
    nose[:, 30] += 0.01
    ratio = energy(jaw, points, weights) / energy(nose, points, weights)
    torch.testing.assert_close(ratio, torch.full((2,), terms.JAW_WEIGHT), atol=1e-5, rtol=1e-3)


def test_openness_is_zero_for_closed_lids_and_one_for_open_ones():
    points = torch.zeros(1, 68, 2)
    for corner, x in ((36, 0.0), (39, 1.0), (42, 2.0), (45, 3.0)):
        points[:, corner, 0] = x
    assert torch.equal(terms.eye_openness(points), torch.zeros(1, 2))
    points[:, [37, 38], 1] = -0.3  # the subject's right eye opens
    torch.testing.assert_close(terms.eye_openness(points), torch.tensor([[0.0, 1.0]]))


@pytest.mark.parametrize("count", [3, 5])
def test_second_differences_are_those_of_a_parabola(count):
    values = torch.arange(count).float().square()[:, None]
    matrix = terms.second_differences(torch.zeros(count, dtype=torch.long))
    torch.testing.assert_close(matrix @ values, torch.full((count - 2, 1), 2.0))
