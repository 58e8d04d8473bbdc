"""Head poses from landmarks in closed form, for all frames at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.rendering.camera import matrix_to_axis_angle

_ITERATIONS = 5


def scaled_orthographic_pose(
    points_3d: Float[Tensor, "N L 3"], points_2d: Float[Tensor, "N L 2"], weights: Float[Tensor, " L"]
) -> tuple[Float[Tensor, "N 3 3"], Float[Tensor, " N"], Float[Tensor, "N 2"], Float[Tensor, "N 3"]]:
    """The rotation and scale that best map points of the head onto the image, its perspective ignored.

    The least-squares affine map's 2×3 matrix is replaced by the nearest scaled pair of orthonormal rows.

    Args:
        points_3d: Head frame, metres.
        points_2d: x to the right, y **up**.
        weights: Of the points.

    Returns:
        Rotations head → world, units of ``points_2d`` a metre, and the weighted centroids in the image and in the head.
    """
    weights = weights / weights.sum()
    centroids_2d = torch.einsum("l,nlc->nc", weights, points_2d)
    centroids_3d = torch.einsum("l,nlc->nc", weights, points_3d)
    centred_2d = (points_2d - centroids_2d[:, None]) * weights[:, None]
    centred_3d = points_3d - centroids_3d[:, None]
    moments = torch.einsum("nli,nlj->nij", centred_3d * weights[:, None], centred_3d)
    # A face is never flat; the jitter only serves frames without landmarks, whose pose is thrown away.
    moments = moments + 1e-10 * torch.eye(3)
    affine = torch.linalg.solve(moments, torch.einsum("nli,nlj->nij", centred_3d, centred_2d)).mT
    left, scales, right = torch.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    rotations = torch.cat([rows, torch.linalg.cross(rows[:, :1], rows[:, 1:])], 1)
    return rotations, scales.mean(1), centroids_2d, centroids_3d


def initial_pose(
    points_3d: Float[Tensor, "N L 3"],
    points_2d: Float[Tensor, "N L 2"],
    weights: Float[Tensor, " L"],
    focal: Float[Tensor, " N"],
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 3"]]:
    """Rotation (axis-angle, head to world) and translation (metres) before a camera at the origin that looks along −z.

    POSIT (DeMenthon & Davis 1995): orthographic poses of ever better corrected points.

    Args:
        points_3d: Head frame, metres.
        points_2d: Relative to the principal point, x to the right, y up, in the focal length's unit.
        weights: Of the points.
        focal: Focal lengths.
    """
    corrected = points_2d
    for _ in range(_ITERATIONS):
        matrices, scale, centroids_2d, centroids_3d = scaled_orthographic_pose(points_3d, corrected, weights)
        scale = scale.clamp(min=1e-6)
        centroids_world = torch.cat([centroids_2d, -focal[:, None]], 1) / scale[:, None]
        translation = centroids_world - torch.einsum("nij,nj->ni", matrices, centroids_3d)
        # What the points' images would be were all as far away as their centroid.
        depth = torch.einsum("nj,nlj->nl", matrices[:, 2], points_3d) + translation[:, 2:]
        corrected = points_2d * (depth / centroids_world[:, 2:])[..., None]
    return matrix_to_axis_angle(matrices), translation
