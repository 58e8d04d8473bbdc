"""How points of the face move in the image as the fit's unknowns change.

A frame's own unknowns, D = E + 8 columns: E expression coefficients, a turn ω of the head (radians, world axes, applied
after its rotation R), the head's position (see ``FaceParameters.translation``) and the gaze. Shared ones, G = S + 1
columns: S shape coefficients and the focal length's logarithm. A head-frame point X is seen at
x = c + f (X_w.x, −X_w.y) / −X_w.z with X_w = R X + t.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.rendering.camera import axis_angle_to_matrix
from readavatar.tracking.parameters import FaceParameters

NUM_POSE = 8
"""Turn, position and gaze: a frame's own unknowns beside its expression."""


@dataclass(frozen=True)
class View:
    """Where B frames' heads are and what sees them; lengths in the image are frame sides."""

    rotation: Float[Tensor, "B 3 3"]
    translation: Float[Tensor, "B 3"]
    focal: Float[Tensor, " B"]
    centre: Float[Tensor, "B 2"]

    def world(self, head: Float[Tensor, "B n 3"]) -> Float[Tensor, "B n 3"]:
        """Head → world frame, metres."""
        return head @ self.rotation.mT + self.translation[:, None]

    def image(self, world: Float[Tensor, "B n 3"]) -> Float[Tensor, "B n 2"]:
        """World frame → frame sides."""
        scale = self.focal[:, None, None] / -world[..., 2:]
        return self.centre[:, None] + world[..., :2] * scale * world.new_tensor([1.0, -1.0])


def view_of(parameters: FaceParameters, indices: Int[Tensor, " B"]) -> View:
    """The current poses and cameras of some frames."""
    return View(
        axis_angle_to_matrix(parameters.rotation[indices]),
        parameters.translation(indices),
        parameters.focal_lengths(indices),
        parameters.principal_points[parameters.clip_index[indices]],
    )


def image_jacobian(
    view: View,
    head: Float[Tensor, "B n 3"],
    by_expression: Float[Tensor, "#B n 3 E"],
    by_gaze: Float[Tensor, "B n 3 2"],
) -> Float[Tensor, "B n 2 D"]:
    """Derivatives of image positions by each frame's own unknowns.

    Args:
        view: Of the frames.
        head: Points, head frame, metres.
        by_expression: Their derivatives by the expression coefficients, head frame.
        by_gaze: … by the gaze.
    """
    turned = head @ view.rotation.mT
    by_world = _image_by_world(view, turned + view.translation[:, None])
    by_head = by_world @ view.rotation[:, None]
    x, y, z = turned.unbind(-1)
    nothing = torch.zeros_like(x)
    by_turn = torch.stack([nothing, z, -y, -z, nothing, x, y, -x, nothing], -1).unflatten(-1, (3, 3))
    distance = -view.translation[:, 2] / view.focal
    by_place = torch.cat(
        [
            by_world[..., :2] * distance[:, None, None, None],
            by_world @ view.translation[:, None, :, None],
        ],
        -1,
    )
    return torch.cat([by_head @ by_expression, by_world @ by_turn, by_place, by_head @ by_gaze], -1)


def shared_jacobian(
    view: View, head: Float[Tensor, "B n 3"], by_shape: Float[Tensor, "#B n 3 S"]
) -> Float[Tensor, "B n 2 G"]:
    """Derivatives of image positions by the shape coefficients and by the focal length's logarithm."""
    world = view.world(head)
    by_world = _image_by_world(view, world)
    by_shape = by_world @ view.rotation[:, None] @ by_shape
    # The head moves back as the focal length grows, and its image stays (see ``FaceParameters.translation``).
    moved_back = by_world[..., 2:] * view.translation[:, None, None, 2:]
    by_focal = (view.image(world) - view.centre[:, None])[..., None] + moved_back
    return torch.cat([by_shape, by_focal], -1)


def _image_by_world(view: View, world: Float[Tensor, "B n 3"]) -> Float[Tensor, "B n 2 3"]:
    x, y, z = world.unbind(-1)
    scale = view.focal[:, None] / -z
    nothing = torch.zeros_like(x)
    rows = [scale, nothing, scale * x / -z, nothing, -scale, -scale * y / -z]
    return torch.stack(rows, -1).unflatten(-1, (2, 3))


def point_jacobian(view: View, head: Float[Tensor, "B n 3"]) -> Float[Tensor, "B n 2 3"]:
    """Derivatives of image positions by head-frame ones."""
    return _image_by_world(view, view.world(head)) @ view.rotation[:, None]
