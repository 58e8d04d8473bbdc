"""The fit's energies: zero at the truth, hand values, gradients."""

from __future__ import annotations

import pytest
import torch

from readavatar.tracking import energies

UNIT = torch.tensor([0.4, 0.5])


def face_landmarks() -> torch.Tensor:
    return torch.rand(2, 68, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("energy", [energies.landmark_energy, energies.gap_energy])
def test_landmark_energies_are_zero_at_the_truth_and_positive_elsewhere(energy):
    points = face_landmarks()
    assert energy(points, points, UNIT).abs().max() == 0
    moved = points.clone()
    moved[:, 62] += 0.01
    assert energy(moved, points, UNIT).min() > 0


def test_landmarks_off_by_their_typical_error_cost_one():
    points = face_landmarks()
    moved = points + torch.tensor([energies.LANDMARK_ERROR, 0.0]) * UNIT[:, None, None]
    shrink = 1 / (1 + (energies.LANDMARK_ERROR / energies.OUTLIER) ** 2)
    torch.testing.assert_close(energies.landmark_energy(moved, points, UNIT), torch.full((2,), shrink))


def test_a_gap_does_not_care_where_the_mouth_is():
    points = face_landmarks()
    assert energies.gap_energy(points + 0.1, points, UNIT).max() < 1e-8


def test_one_wild_landmark_costs_no_more_than_an_outlier():
    points = face_landmarks()
    wild = points.clone()
    wild[:, 30] += 100.0
    limit = energies.OUTLIER**2 / energies.LANDMARK_ERROR**2 / 51
    assert energies.landmark_energy(wild, points, UNIT).max() <= limit


def test_the_jaw_line_counts_little():
    points = face_landmarks()
    jaw, nose = points.clone(), points.clone()
    jaw[:, 4] += 0.01
    nose[:, 30] += 0.01
    ratio = energies.landmark_energy(jaw, points, UNIT) / energies.landmark_energy(nose, points, UNIT)
    torch.testing.assert_close(ratio, torch.full((2,), energies.JAW_WEIGHT))


def test_closed_eyes_say_nothing_of_the_gaze():
    pupils = torch.rand(2, 2, 2)
    assert energies.iris_energy(pupils + 0.1, pupils, UNIT, torch.zeros(2, 2)).max() == 0


def test_openness_is_zero_for_closed_lids_and_one_for_open_ones():
    points = torch.zeros(1, 68, 2)
    for corner, x in ((36, 0.0), (39, 1.0), (42, 2.0), (45, 3.0)):
        points[:, corner, 0] = x
    assert torch.equal(energies.eye_openness(points), torch.zeros(1, 2))
    points[:, [37, 38], 1] = -0.3  # the subject's right eye opens
    torch.testing.assert_close(energies.eye_openness(points), torch.tensor([[0.0, 1.0]]))


def test_second_differences_stay_inside_clips():
    values = torch.tensor([[0.0], [1.0], [2.0], [9.0], [9.0], [9.0]])
    inside = energies.second_differences(values, torch.tensor([0, 0, 0, 1, 1, 1]))
    assert torch.equal(inside, torch.zeros(2, 1))


def test_photometric_energy_ignores_what_is_outside_the_mask():
    frames = torch.rand(1, 3, 8, 8)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    rendered = frames.clone()
    rendered[..., 4:] = 0
    assert energies.photometric_energy(rendered, frames, mask).item() == 0
    assert energies.photometric_energy(rendered, frames, 1 - mask).item() > 0


def test_energies_have_the_gradients_of_finite_differences():
    target = face_landmarks().double()
    points = (target + 0.02 * torch.rand_like(target)).requires_grad_()
    unit = UNIT.double()
    assert torch.autograd.gradcheck(lambda p: energies.landmark_energy(p, target, unit), points, atol=1e-4)
    assert torch.autograd.gradcheck(lambda p: energies.gap_energy(p, target, unit), points, atol=1e-4)
    frames = torch.rand(1, 3, 3, 3, dtype=torch.float64)
    rendered = (frames + 0.1).requires_grad_()
    mask = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda r: energies.photometric_energy(r, frames, mask), rendered, atol=1e-4)
