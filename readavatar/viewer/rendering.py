"""Rendering of fitted faces: in their own light, as bare shape, and as maps of errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from readavatar.metrics import rigid_alignment
from readavatar.morphable.model import MorphableModel
from readavatar.rendering.camera import head_to_world, world_to_clip
from readavatar.rendering.rasterize import Fragments, interpolate, rasterize
from readavatar.rendering.shading import linear_to_srgb, sample_texture, shade, vertex_normals
from readavatar.tracking.model_part import FaceSurface
from readavatar.types import Camera, TrackedFace

CLAY = 0.6
"""Reflectance of the bare shape."""
CLAY_LIGHT = (0.5, 0.25, 0.5)
"""Ambient, from above, from the viewer."""
GRID = 0.008
"""Metres between the grid lines on the bare shape, which are attached to the skin."""
_LINE = 0.8
"""Width of a line, pixels."""
PHOTOMETRIC_RANGE = 0.25
"""Mean absolute difference of the colour channels, relative to white, that has the brightest colour."""
GEOMETRIC_RANGE = 0.003
"""Distance from the truth that has the brightest colour, metres."""
_MAP = "inferno"


@dataclass(frozen=True)
class Surface:
    """The faces of some frames."""

    head: Float[Tensor, "B n 3"]
    """Vertices in the head frame, metres."""
    world: Float[Tensor, "B n 3"]
    normals: Float[Tensor, "B n 3"]
    """Unit length, world frame."""


@dataclass(frozen=True)
class Seen:
    """The N pixels of a picture that show a face, as one row, since they are only a third of the picture."""

    pixels: Int[Tensor, " N"]
    """Their indices, row by row."""
    fragments: Fragments
    """Of a picture of 1 × N pixels."""
    normals: Float[Tensor, "1 3 1 N"]
    lighting: Float[Tensor, "1 9 3"]


class FaceRenderer:
    """Renders the part of a fitted face that footage shows."""

    def __init__(self, model: MorphableModel, face: TrackedFace) -> None:
        """
        Args:
            model: The morphable model that ``face`` is of.
            face: The fit, with identity, albedo and lighting.
        """
        self.surface, self.face = FaceSurface(model), face
        part = self.surface.part
        on_face = part.model.vertex_mask("face")
        self.on_face = on_face if part.kept is None else on_face[part.kept]
        """Whether each vertex is on the face's skin."""
        self._neutral = self.neutral_vertices(face)

    def surfaces(self, index: slice) -> Surface:
        """The faces of some frames."""
        some = self.face.coefficients.frames(index)
        head = self.head_vertices(self.face, index)
        world = head_to_world(head, some.rotation, some.translation)
        return Surface(head, world, vertex_normals(world, self.surface.faces))

    def head_vertices(self, face: TrackedFace, index: slice) -> Float[Tensor, "B n 3"]:
        """The vertices of ``surfaces`` for any face of the same model; head frame, metres."""
        some = face.coefficients.frames(index)
        return self.surface(some.shape_coefficients[None], some.expression_coefficients, some.gaze)

    def neutral_vertices(self, face: TrackedFace) -> Float[Tensor, "1 n 3"]:
        """A face at rest, head frame, metres."""
        nothing = torch.zeros(1, len(face.expression_names))
        return self.surface(face.coefficients.shape_coefficients[None], nothing, torch.zeros(1, 2))

    def distances(self, surfaces: Surface, truth: TrackedFace, index: slice) -> Float[Tensor, "B n"]:
        """Distance of each vertex from the truth's, metres.

        Both heads are aligned once by their faces at rest. If every frame were aligned, an error of the jaw would also
        appear on the forehead.
        """
        rest = self.neutral_vertices(truth)
        rotation, translation = rigid_alignment(self._neutral, rest, self.on_face[None].float())
        return (surfaces.head @ rotation.mT + translation - self.head_vertices(truth, index)).norm(dim=-1)

    def see(self, surfaces: Surface, place: int, frame: int, camera: Camera) -> Seen:
        """The pixels of a camera that show face number ``place`` of the batch, which is that of frame ``frame``."""
        one = slice(place, place + 1)
        faces, size = self.surface.faces, (camera.height, camera.width)
        whole = rasterize(world_to_clip(surfaces.world[one], camera), faces, size)
        face_index = whole.face_index.flatten()
        pixels = torch.nonzero(face_index >= 0)[:, 0]
        row = Fragments(
            face_index[None, None, pixels],
            whole.barycentrics.view(1, 1, -1, 3)[:, :, pixels],
            whole.depth.view(1, 1, -1)[..., pixels],
        )
        normals = interpolate(surfaces.normals[one], faces, row)
        normals = normals * normals.square().sum(1, keepdim=True).clamp(min=1e-12).rsqrt()  # F.normalize takes 3 ms
        return Seen(pixels, row, normals, self.face.lighting[frame : frame + 1])

    def lit(self, seen: Seen) -> Float[Tensor, "3 N"]:
        """The albedo in the fitted light, gamma-encoded, in [0, 1]."""
        uvs = interpolate(self.surface.uvs[None], self.surface.uv_faces, seen.fragments)
        albedo = sample_texture(self.face.albedo[None], uvs)
        return linear_to_srgb(shade(albedo, seen.normals, seen.lighting).clamp(0, 1))[0, :, 0]

    def clay(self, seen: Seen, size: tuple[int, int]) -> Float[Tensor, "3 N"]:
        """The shape in one grey, with a grid on the skin, gamma-encoded; ``size`` is the picture's."""
        light = torch.zeros(1, 9, 3)
        light[:, :3] = torch.tensor(CLAY_LIGHT)[:, None]
        grey = shade(torch.full_like(seen.normals, CLAY), seen.normals, light)[0, :, 0]
        places = torch.zeros(2, size[0] * size[1])
        places[:, seen.pixels] = interpolate(self._neutral[..., :2], self.surface.faces, seen.fragments)[0, :, 0]
        lines = grid_lines(places.view(2, *size)).flatten()[seen.pixels]
        return linear_to_srgb((grey * (1 - 0.75 * lines)).clamp(0, 1))

    def painted(self, values: Float[Tensor, " n"], seen: Seen, limit: float) -> Float[Tensor, "3 N"]:
        """One value for each vertex as a colour, black at 0 and brightest at ``limit``."""
        return heat(interpolate(values[None, :, None], self.surface.faces, seen.fragments)[0, 0, 0] / limit)


def over(picture: Float[Tensor, "C H W"], pixels: Int[Tensor, " N"], colours: Float[Tensor, "3 N"]) -> Tensor:
    """A copy of a picture (C = 3, or 1 for grey) with other colours in some pixels."""
    drawn = picture.expand(3, -1, -1).flatten(1).clone()
    drawn[:, pixels] = colours
    return drawn.view(3, *picture.shape[1:])


def grid_lines(places: Float[Tensor, "2 H W"]) -> Float[Tensor, "H W"]:
    """The share of each pixel that is a grid line: x or y (metres) on the neutral face is a multiple of ``GRID``.

    All lines have the same width in the picture. They fade where the surface is so oblique that they would merge.
    """
    steps = places / GRID
    across = F.pad(steps[..., 1:] - steps[..., :-1], (0, 1))
    down = F.pad(steps[..., 1:, :] - steps[..., :-1, :], (0, 0, 0, 1))
    slope = (across.square() + down.square()).sqrt().clamp(1e-3, 1.0)
    distance = (steps - steps.round()).abs() / slope
    line = (0.5 + _LINE / 2 - distance).clamp(0, 1) * (2 - 4 * slope).clamp(0, 1)
    return line.amax(0)


def heat(values: Float[Tensor, " N"]) -> Float[Tensor, "3 N"]:
    """Values, clamped to [0, 1], as colours from black to light yellow."""
    return _colours()[:, (values.clamp(0, 1) * 255).round().long()]


@cache
def _colours() -> Float[Tensor, "3 256"]:
    from matplotlib import colormaps

    return torch.from_numpy(colormaps[_MAP](np.linspace(0, 1, 256))[:, :3]).float().T.contiguous()
