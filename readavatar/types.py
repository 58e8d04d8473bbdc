"""The data types that the stages exchange, with shapes, units and frames.

Frames
    *Head*: metres; x to the subject's left, y up, z out of the face; origin inside the head (each
    morphable model defines where). *World*: metres; x to the viewer's right, y up, z towards the viewer;
    the default camera stands at the origin and looks along −z, so that a frontal head has rotation 0 and translation
    (0, 0, −distance). *Camera* (OpenCV): x right, y down, z forward. *Clip* (OpenGL): x right, y up, depth in
    [−w, w], near −w. *Pixels*: (0, 0) is the outer corner of the top-left pixel, whose centre is (0.5, 0.5).
Axes
    B batch, T frames, N emotions, S shape and E expression coefficients, V vertices, F faces, L landmarks, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

Moved = TypeVar("Moved", bound="Tensors")


@dataclass(frozen=True)
class Tensors:
    """``to`` and indexing over frames for the frozen dataclasses below."""

    def to(self: Moved, device: torch.device | str) -> Moved:
        """The same object with every tensor on ``device``.

        Example:
            >>> from readavatar.types import default_camera
            >>> default_camera(64, 64).to("cpu").intrinsics.device
            device(type='cpu')
        """
        moved = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), (Tensor, Tensors))
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Camera(Tensors):
    """A pinhole camera without lens distortion."""

    intrinsics: Float[Tensor, "*batch 3 3"]
    """Focal lengths and principal point, pixels."""
    world_to_camera: Float[Tensor, "*batch 4 4"]
    """Rigid transform into the OpenCV camera frame, metres."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    near: float = 0.05
    """Near plane, metres."""
    far: float = 10.0
    """Far plane, metres."""


DEFAULT_FOCAL = 2.2
"""Focal length in image sides: a field of view of about 26°, a portrait lens."""


def default_camera(height: int, width: int, focal: float | Float[Tensor, ""] | None = None) -> Camera:
    """The camera at the world's origin that looks along −z, principal point at the image's centre.

    Args:
        height: Pixels.
        width: Pixels.
        focal: Pixels; by default ``DEFAULT_FOCAL`` times the longer side.

    Example:
        >>> from readavatar.types import default_camera
        >>> default_camera(height=100, width=100).intrinsics
        tensor([[220.,   0.,  50.],
                [  0., 220.,  50.],
                [  0.,   0.,   1.]])
    """
    focal = torch.as_tensor(DEFAULT_FOCAL * max(height, width) if focal is None else focal, dtype=torch.float32)
    zero, one = torch.zeros_like(focal), torch.ones_like(focal)
    intrinsics = torch.stack(
        [
            torch.stack([focal, zero, zero + width / 2]),
            torch.stack([zero, focal, zero + height / 2]),
            torch.stack([zero, zero, one]),
        ]
    )
    world_to_camera = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])).to(focal.device)
    return Camera(intrinsics, world_to_camera, height, width)


@dataclass(frozen=True)
class Mesh(Tensors):
    """Triangles with texture coordinates of their own (a vertex on a seam has several uvs)."""

    vertices: Float[Tensor, "*batch V 3"]
    """Metres."""
    faces: Int[Tensor, "F 3"]
    """Vertex indices, counter-clockwise from outside."""
    uvs: Float[Tensor, "U 2"]
    """In [0, 1]; (0, 0) is the outer corner of a texture's top-left texel (row 0 at the top, as images)."""
    uv_faces: Int[Tensor, "F 3"]
    """Indices into ``uvs``."""


@dataclass(frozen=True)
class FaceCoefficients(Tensors):
    """The inputs of a morphable model for every frame of a clip."""

    shape_coefficients: Float[Tensor, " S"]
    """One identity for the clip, in units of the model's standard deviations."""
    expression_coefficients: Float[Tensor, "T E"]
    """In the model's own units; blendshape models: [0, 1]."""
    rotation: Float[Tensor, "T 3"]
    """Head to world, axis-angle, radians."""
    translation: Float[Tensor, "T 3"]
    """Head's origin in the world, metres."""
    gaze: Float[Tensor, "T 2"]
    """(yaw, pitch) of both eyes in the head frame, radians; yaw to the subject's left, pitch up."""

    @property
    def num_frames(self) -> int:
        """T."""
        return self.expression_coefficients.shape[0]

    def frames(self, index: slice | Int[Tensor, " n"]) -> FaceCoefficients:
        """The coefficients of some of the frames.

        Example:
            >>> import torch
            >>> from readavatar.types import FaceCoefficients
            >>> face = FaceCoefficients(
            ...     shape_coefficients=torch.zeros(24),
            ...     expression_coefficients=torch.zeros(100, 53),
            ...     rotation=torch.zeros(100, 3),
            ...     translation=torch.zeros(100, 3),
            ...     gaze=torch.zeros(100, 2),
            ... )
            >>> face.frames(slice(0, 25)).num_frames
            25
        """
        return replace(
            self,
            expression_coefficients=self.expression_coefficients[index],
            rotation=self.rotation[index],
            translation=self.translation[index],
            gaze=self.gaze[index],
        )


@dataclass(frozen=True)
class TrackedFace(Tensors):
    """A clip's fit (stage 1), or a digital actor's truth."""

    coefficients: FaceCoefficients
    camera: Camera
    """Of the clip's frames, fixed over the clip."""
    lighting: Float[Tensor, "T 9 3"]
    """Second-order spherical harmonics in the world frame, by frame and colour channel."""
    albedo: Float[Tensor, "3 texture_height texture_width"]
    """Linear-light reflectance in [0, 1] over the model's uvs, row 0 at the top."""
    morphable_model: str
    """Name or path for ``load_morphable_model``."""
    expression_names: tuple[str, ...]
    """Names of the E expressions."""


@dataclass(frozen=True)
class Landmarks(Tensors):
    """A face detector's results in each frame of a clip."""

    landmarks_2d: Float[Tensor, "T L 2"]
    """Pixels in the clip's frames; zeros where there is no face. L = 478 (MediaPipe) or 68 (iBUG)."""
    landmark_confidence: Float[Tensor, " T"]
    """In [0, 1]; 0 where no face was found."""
    blendshapes: Float[Tensor, "T 52"]
    """The detector's ARKit blendshapes in [0, 1], in the order of ``detection.ARKIT_NAMES``; zeros if it gives none."""
    head_to_camera: Float[Tensor, "T 4 4"]
    """The detector's head pose (its own canonical head, centimetres); identity if it gives none."""
