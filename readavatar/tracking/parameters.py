"""The fit's unknowns as parameters of a module, and what they mean."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from readavatar.data.datasets.tracking import Observations
from readavatar.types import Camera

INITIAL_FOCAL = 2.2
"""Frame sides: a portrait lens, as ``types.default_camera``."""

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
            albedo: Where it starts; linear light.
        """
        super().__init__()
        num_frames = observations.num_frames
        self.shape = _unknown(torch.zeros(num_shape))
        # Shared as a multiple of the source's longer side: the clips' crops may differ, the lens does not.
        self.focal = _unknown((INITIAL_FOCAL / observations.source_sides).median().log())
        # Where the detector sees each landmark beside where the model has it, head frame, metres.
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

        ``position`` is where the head's origin is seen (frame sides, from the principal point, y up) and the logarithm
        of its distance over the focal length, so that a change of the focal length leaves the head's image as it was.
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
    """A parameter, so that checkpoints hold it; the steps are solved for in closed form, without an optimiser."""
    return nn.Parameter(value, requires_grad=False)
