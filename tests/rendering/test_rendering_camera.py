"""Frames, pixels and rotations."""

import math
from dataclasses import replace

import pytest
import torch

from readavatar.rendering.camera import (
    axis_angle_to_matrix,
    camera_to_clip,
    head_to_world,
    matrix_to_axis_angle,
    project,
    world_to_clip,
)
from readavatar.types import Camera, default_camera


def test_axis_angle_turns_counter_clockwise_about_its_axis():
    quarter = axis_angle_to_matrix(torch.tensor([0.0, math.pi / 2, 0.0]))
    torch.testing.assert_close(quarter @ torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]))


def test_axis_angle_matrices_are_the_matrix_exponential():
    rotation = torch.randn(50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x, y, z = rotation.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    torch.testing.assert_close(axis_angle_to_matrix(rotation), torch.linalg.matrix_exp(cross))


@pytest.mark.parametrize("angle", [0.0, 1e-8, 1e-4, 9.9e-3, 1.01e-2, 0.5, 2.0, 3.09, 3.11, math.pi - 1e-4])
def test_matrix_to_axis_angle_inverts_axis_angle_to_matrix(angle):
    axes = torch.randn(20, 3, generator=torch.Generator().manual_seed(2))
    rotation = axes / axes.norm(dim=-1, keepdim=True) * angle
    torch.testing.assert_close(matrix_to_axis_angle(axis_angle_to_matrix(rotation)), rotation, atol=2e-4, rtol=0)


def test_half_turns_come_back_as_half_turns():
    axes = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.6, 0, -0.8]], dtype=torch.float64)
    rotation = matrix_to_axis_angle(axis_angle_to_matrix(axes * math.pi))
    torch.testing.assert_close(rotation.norm(dim=-1), torch.full((4,), math.pi, dtype=torch.float64))
    torch.testing.assert_close(axis_angle_to_matrix(rotation), axis_angle_to_matrix(axes * math.pi))


@pytest.mark.parametrize("angle", [0.0, 1e-6, 1e-2, 3.12, math.pi])
def test_rotation_gradients_are_finite(angle):
    rotation = torch.tensor([[0.0, angle, 0.0]], requires_grad=True)
    matrix = axis_angle_to_matrix(rotation)
    (matrix.sum() + matrix_to_axis_angle(matrix).sum()).backward()
    assert torch.isfinite(rotation.grad).all()


def test_rotation_gradient_at_zero_is_the_cross_product():
    jacobian = torch.autograd.functional.jacobian(axis_angle_to_matrix, torch.zeros(3))
    torch.testing.assert_close(jacobian[2, 1], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(jacobian[0, 2], torch.tensor([0.0, 1.0, 0.0]))


def test_axis_angle_gradients_agree_with_finite_differences():
    rotation = torch.tensor([[0.3, -0.2, 0.9], [0.001, 0.002, 0.0], [2.0, 2.0, 1.4]], dtype=torch.float64)
    assert torch.autograd.gradcheck(axis_angle_to_matrix, rotation.requires_grad_())
    assert torch.autograd.gradcheck(lambda r: matrix_to_axis_angle(axis_angle_to_matrix(r)), rotation)


def test_a_frontal_head_shows_its_left_on_the_images_right_and_up_at_the_top():
    camera = default_camera(100, 200)
    head = torch.tensor([[[0.05, 0.0, 0.0], [0.0, 0.05, 0.0], [0.0, 0.0, 0.0]]])
    pixels = project(head_to_world(head, torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -0.7]])), camera)[0]
    torch.testing.assert_close(pixels[2], torch.tensor([100.0, 50.0]))
    assert pixels[0, 0] > 100 and pixels[1, 1] < 50


def test_project_is_the_pinhole_equation_for_any_intrinsics():
    intrinsics = torch.tensor([[300.0, 2.0, 70.0], [0.0, 280.0, 33.0], [0.0, 0.0, 1.0]])
    motion = torch.eye(4)
    motion[:3, :3] = axis_angle_to_matrix(torch.tensor([0.1, 3.0, 0.2]))
    motion[:3, 3] = torch.tensor([0.1, -0.05, 0.3])
    points = torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(0)) * 0.1 + torch.tensor([0.0, 0.0, -0.8])
    in_camera = points @ motion[:3, :3].T + motion[:3, 3]
    expected = in_camera @ intrinsics.T
    torch.testing.assert_close(
        project(points, Camera(intrinsics, motion, 100, 150)),
        expected[..., :2] / expected[..., 2:],
        rtol=1e-4,
        atol=1e-3,
    )


def test_near_and_far_planes_are_where_clip_depth_is_minus_w_and_w():
    camera = replace(default_camera(10, 10), near=0.2, far=5.0)
    clip = world_to_clip(torch.tensor([[[0.0, 0.0, -0.2], [0.0, 0.0, -5.0]]]), camera)[0]
    torch.testing.assert_close(clip[:, 2] / clip[:, 3], torch.tensor([-1.0, 1.0]))


def test_each_item_of_a_batch_has_its_own_camera():
    wide, narrow = default_camera(64, 64, focal=50.0), default_camera(64, 64, focal=200.0)
    both = Camera(
        torch.stack([wide.intrinsics, narrow.intrinsics]),
        torch.stack([wide.world_to_camera, narrow.world_to_camera]),
        64,
        64,
    )
    assert camera_to_clip(both).shape == (2, 4, 4)
    points = torch.tensor([[[0.1, 0.1, -1.0]]]).expand(2, 1, 3)
    pixels = project(points, both)
    torch.testing.assert_close(pixels[0], project(points[:1], wide)[0])
    torch.testing.assert_close(pixels[1], project(points[:1], narrow)[0])


def test_projection_gradients_reach_focal_length_and_pose():
    focal = torch.tensor(120.0, requires_grad=True)
    rotation = torch.zeros(1, 3, requires_grad=True)
    translation = torch.tensor([[0.0, 0.0, -0.6]], requires_grad=True)
    points = head_to_world(torch.rand(1, 5, 3) * 0.1, rotation, translation)
    project(points, default_camera(64, 64, focal)).square().sum().backward()
    assert all(torch.isfinite(leaf.grad).all() and leaf.grad.any() for leaf in (focal, rotation, translation))
