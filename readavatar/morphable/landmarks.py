"""The 68 iBUG landmarks: their order, whether given ones are in it, and the frame that they span."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from readavatar.errors import UserError

NUM_LANDMARKS = 68

MIRRORED = np.array(
    [
        *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
        45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
        54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
    ]
)  # fmt: skip
"""The landmark on the face's other side, for each landmark (Sagonas et al. 2013, 300-W)."""


def checked_landmarks(
    corners: Int[np.ndarray, "68 3"], barycentrics: Float[np.ndarray, "68 3"], vertices: Float[np.ndarray, "V 3"]
) -> tuple[Int[np.ndarray, "68 3"], Float[np.ndarray, "68 3"]]:
    """Landmarks in the iBUG order on this mesh (y up, x to the subject's left), or a refusal.

    A list that runs from the subject's left is mirrored; one that does not look like a face (chin, mouth, nose, eyes,
    brows from bottom to top; both halves alike) belongs to another mesh.

    Raises:
        UserError: It belongs to another mesh.
    """
    points = np.einsum("lkc,lk->lc", vertices[corners], barycentrics)
    if points[36:42, 0].mean() > points[42:48, 0].mean():
        corners, barycentrics, points = corners[MIRRORED], barycentrics[MIRRORED], points[MIRRORED]
    heights = [points[part, 1].mean() for part in ([8], range(48, 68), range(31, 36), range(36, 48), range(17, 27))]
    reflected = points[MIRRORED] * np.array([-1, 1, 1]) + np.array([2 * points[27:31, 0].mean(), 0, 0])
    asymmetry = np.linalg.norm(reflected - points, axis=1).max() / np.ptp(points[:, 0])
    if any(low >= high for low, high in pairwise(heights)) or asymmetry > 0.2:
        raise UserError(
            "Expected landmark indices that lie on this model's face, but they don't (its topology is another one); "
            "put the model's own landmark file beside it."
        )
    return corners, barycentrics


def face_origin(landmarks: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, " 3"]:
    """The head frame's origin: midway between the two ends of the jaw line (beside the ears), at the eyes' height."""
    return np.array([landmarks[[0, 16], 0].mean(), landmarks[36:48, 1].mean(), landmarks[[0, 16], 2].mean()])
