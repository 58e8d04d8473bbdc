"""Rigid motion and the pinhole camera: head → world → camera → clip → pixels (frames as in ``readavatar.types``)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.types import Camera


def axis_angle_to_matrix(rotation: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rodrigues' formula, with finite gradients at zero.

    Args:
        rotation: Axis times angle, radians.

    Example:
        >>> import math
        >>> import torch
        >>> from readavatar.rendering.camera import axis_angle_to_matrix
        >>> axis_angle_to_matrix(torch.tensor([0.0, 0.0, math.pi / 3]))
        tensor([[ 0.5000, -0.8660,  0.0000],
                [ 0.8660,  0.5000,  0.0000],
                [ 0.0000,  0.0000,  1.0000]])
    """
    squared = rotation.square().sum(-1)[..., None, None]
    # Below 1e-2 rad the series is exact to float32 and, unlike sin(x)/x, has a gradient at zero.
    small = squared < 1e-4
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    # 1 − cos x as 2 sin²(x / 2), which loses no digits.
    cosine = torch.where(small, 0.5 - squared / 24, 2 * (angle / 2).sin().square() / safe)
    x, y, z = rotation.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    identity = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
    return identity + sine * cross + cosine * (cross @ cross)


def matrix_to_axis_angle(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """The inverse of ``axis_angle_to_matrix``; angles in [0, π].

    Example:
        >>> import torch
        >>> from readavatar.rendering.camera import axis_angle_to_matrix, matrix_to_axis_angle
        >>> matrix_to_axis_angle(axis_angle_to_matrix(torch.tensor([0.1, 0.2, 0.3])))
        tensor([0.1000, 0.2000, 0.3000])
    """
    trace = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)
    vector = torch.stack(
        [
            matrix[..., 2, 1] - matrix[..., 1, 2],
            matrix[..., 0, 2] - matrix[..., 2, 0],
            matrix[..., 1, 0] - matrix[..., 0, 1],
        ],
        -1,
    )
    sine = vector.norm(dim=-1) / 2
    angle = torch.atan2(sine, (trace - 1) / 2)
    scale = torch.where(sine > 1e-6, angle / (2 * sine.clamp(min=1e-6)), torch.full_like(sine, 0.5))
    # Near π the skew part vanishes; the axis is then the largest column of the symmetric part less cos · I.
    identity = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    symmetric = (matrix + matrix.mT) / 2 - (trace - 1)[..., None, None] / 2 * identity
    column = symmetric.diagonal(dim1=-2, dim2=-1).argmax(-1)
    axis = symmetric.gather(-1, column[..., None, None].expand(*column.shape, 3, 1))[..., 0]
    axis = axis / axis.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    axis = torch.where((axis * vector).sum(-1, keepdim=True) < 0, -axis, axis)
    return torch.where((angle > 3.1)[..., None], axis * angle[..., None], vector * scale[..., None])


def head_to_world(
    vertices: Float[Tensor, "#B V 3"], rotation: Float[Tensor, "B 3"], translation: Float[Tensor, "B 3"]
) -> Float[Tensor, "B V 3"]:
    """Head frame → world frame, metres.

    Example:
        >>> import torch
        >>> from readavatar.rendering.camera import head_to_world
        >>> nose = torch.tensor([[[0.0, 0.0, 0.1]]])
        >>> head_to_world(nose, rotation=torch.zeros(1, 3), translation=torch.tensor([[0.0, 0.0, -0.6]]))
        tensor([[[ 0.0000,  0.0000, -0.5000]]])
    """
    return vertices @ axis_angle_to_matrix(rotation).mT + translation[:, None]


def camera_to_clip(camera: Camera) -> Float[Tensor, "*batch 4 4"]:
    """OpenCV camera frame → OpenGL clip space: y up, depth −w at ``near`` and w at ``far``; row 0 is y = +w."""
    intrinsics, near, far = camera.intrinsics, camera.near, camera.far
    zero = torch.zeros_like(intrinsics[..., 0, 0])
    one = zero + 1
    focal_x, focal_y = intrinsics[..., 0, 0], intrinsics[..., 1, 1]
    centre_x, centre_y, skew = intrinsics[..., 0, 2], intrinsics[..., 1, 2], intrinsics[..., 0, 1]
    width, height = camera.width, camera.height
    rows = [
        torch.stack([2 * focal_x / width, 2 * skew / width, 2 * centre_x / width - 1, zero], -1),
        torch.stack([zero, -2 * focal_y / height, 1 - 2 * centre_y / height, zero], -1),
        torch.stack([zero, zero, zero + (far + near) / (far - near), zero - 2 * far * near / (far - near)], -1),
        torch.stack([zero, zero, one, zero], -1),
    ]
    return torch.stack(rows, -2)


def world_to_clip(vertices: Float[Tensor, "B V 3"], camera: Camera) -> Float[Tensor, "B V 4"]:
    """World frame, metres → homogeneous clip coordinates.

    Example:
        >>> import torch
        >>> from readavatar.rendering.camera import world_to_clip
        >>> from readavatar.types import default_camera
        >>> world_to_clip(torch.tensor([[[0.0, 0.0, -0.5]]]), default_camera(256, 256))
        tensor([[[0.0000, 0.0000, 0.4045, 0.5000]]])
    """
    matrix = camera_to_clip(camera) @ camera.world_to_camera
    return vertices @ matrix[..., :3].mT + matrix[..., None, :, 3]


def project(points: Float[Tensor, "B N 3"], camera: Camera) -> Float[Tensor, "B N 2"]:
    """World frame, metres → pixels; points behind the camera have no meaning.

    Example:
        >>> import torch
        >>> from readavatar.rendering.camera import project
        >>> from readavatar.types import default_camera
        >>> project(torch.tensor([[[0.0, 0.0, -0.5], [0.05, 0.05, -0.5]]]), default_camera(256, 256))
        tensor([[[128.0000, 128.0000],
                 [184.3200,  71.6800]]])
    """
    clip = world_to_clip(points, camera)
    x, y, _, w = clip.unbind(-1)
    w = torch.where(w.abs() < 1e-8, torch.full_like(w, 1e-8), w)
    return torch.stack([(x / w + 1) * camera.width / 2, (1 - y / w) * camera.height / 2], -1)
