"""The unknowns of a fit, and the derivatives of image positions by them.

A frame has D = E + 8 own unknowns: E expression coefficients, a rotation ω of the head (radians, world axes, applied
after its rotation R), the head's position (see ``FaceParameters.translation``) and the gaze. All frames share G = S + 1
unknowns: S shape coefficients and the logarithm of the focal length. A head-frame point X is projected to
x = c + f (X_w.x, −X_w.y) / −X_w.z with X_w = R X + t.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from readavatar.data.datasets.tracking import Observations
from readavatar.rendering.camera import axis_angle_to_matrix
from readavatar.types import Camera

INITIAL_FOCAL = 2.2
"""Frame sides: a portrait lens, as in ``types.default_camera``."""

PER_FRAME = ("expression", "rotation", "position", "gaze", "lighting")


class FaceParameters(nn.Module):
    """Identity, albedo and focal length shared by all clips; expression, pose, gaze and light of every frame."""

    def __init__(
        self, observations: Observations, num_shape: int, num_expressions: int, albedo: Float[Tensor, "3 h w"]
    ) -> None:
        """
        Args:
            observations: Of N frames in C clips.
            num_shape: S.
            num_expressions: E.
            albedo: Initial albedo, linear light.
        """
        super().__init__()
        num_frames = observations.num_frames
        self.shape = _unknown(torch.zeros(num_shape))
        # In units of the source's longer side, since clips of the same camera may have different crops.
        self.focal = _unknown((INITIAL_FOCAL / observations.source_sides).median().log())
        # Offset of the detector's landmarks from the model's, head frame, metres.
        self.offsets = _unknown(torch.zeros(68, 3))
        self.albedo = _unknown(albedo.clone())
        self.expression = _unknown(torch.zeros(num_frames, num_expressions))
        self.rotation = _unknown(torch.zeros(num_frames, 3))
        self.position = _unknown(torch.zeros(num_frames, 3))
        self.gaze = _unknown(torch.zeros(num_frames, 2))
        self.lighting = _unknown(torch.zeros(num_frames, 9, 3))
        self.register_buffer("clip_index", observations.clip_index, persistent=False)
        self.register_buffer("source_sides", observations.source_sides, persistent=False)
        self.register_buffer("principal_points", observations.principal_points, persistent=False)

    def focal_lengths(self, indices: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        """Frame sides."""
        return self.focal.exp() * self.source_sides[self.clip_index[indices]]

    def translation(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B 3"]:
        """Metres, world frame.

        ``position`` holds the image position of the head's origin (frame sides, from the principal point, y up) and the
        logarithm of its distance over the focal length: changing the focal length hardly changes the image.
        """
        position = self.position[indices]
        direction = torch.cat([position[:, :2], -self.focal_lengths(indices)[:, None]], 1)
        return direction * position[:, 2:].exp()

    @torch.no_grad()
    def set_translation(self, translation: Float[Tensor, "N 3"]) -> None:
        """Place all heads (metres, world frame, in front of the camera)."""
        focal = self.focal_lengths(torch.arange(len(translation)))
        scale = (-translation[:, 2]).clamp(min=1e-3) / focal
        self.position.copy_(torch.cat([translation[:, :2] / scale[:, None], scale.log()[:, None]], 1))

    def camera(self, indices: Int[Tensor, " B"], resolution: int) -> Camera:
        """The frames' cameras, for images of ``resolution`` pixels a side (1 projects into frame sides)."""
        focal = self.focal_lengths(indices)
        centre = self.principal_points[self.clip_index[indices]]
        zero, one = torch.zeros_like(focal), torch.ones_like(focal)
        rows = [focal, zero, centre[:, 0], zero, focal, centre[:, 1], zero, zero, one / resolution]
        intrinsics = torch.stack(rows, -1).unflatten(-1, (3, 3)) * resolution
        world_to_camera = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])).to(focal.device).expand(len(focal), 4, 4)
        return Camera(intrinsics, world_to_camera, resolution, resolution)


def _unknown(value: Tensor) -> nn.Parameter:
    """A parameter, so that it is in checkpoints; it needs no gradient, since the solver computes its steps."""
    return nn.Parameter(value, requires_grad=False)


NUM_POSE = 8
"""Rotation, position and gaze: a frame's own unknowns besides its expression."""


@dataclass(frozen=True)
class View:
    """Poses and cameras of B frames; lengths in the image are frame sides."""

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
        by_gaze: Likewise by the gaze.
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
    # If the focal length grows, the head moves back and its image hardly changes (see ``FaceParameters.translation``).
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
