"""What the appearance network sees of a frame: the fitted mesh, rasterised, and the footage around the face.

The network paints the footage's pixels inside the *paint mask*. The mask lies where the neutral face stands, enlarged
and swept down over the jaw's reach, so that it depends on the head's pose and next to nothing on what the mouth does:
its edge neither betrays the lips in training nor changes when another mouth is driven, and the footage's own chin never
shows below it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from readavatar.errors import UserError
from readavatar.morphable.model import MorphableModel, expression_displacements
from readavatar.rendering.camera import head_to_world, world_to_clip
from readavatar.rendering.rasterize import interpolate, rasterize
from readavatar.rendering.shading import vertex_normals
from readavatar.rendering.window_filters import grown, mean_of_points
from readavatar.types import Camera, Tensors, TrackedFace

PART_BITS = {"mouth": 1, "eyes": 2, "face": 4, "mouth_inside": 8}
"""Bits of ``RenderInputs.parts``: lips and what is between them; lids and eyeballs; all of the face; teeth,
tongue and what is behind them."""


@dataclass(frozen=True)
class MapSettings:
    """How a frame's mesh is rasterised, and what of the footage is hidden from the network and painted anew.

    The paint mask does not follow the face's expression, which the network could otherwise read from it in training.
    """

    painted: Literal["face", "lower_face"] = "face"
    """The whole face, or its part below the nose's tip (Neural Voice Puppetry's mask, for the ablation)."""
    enlargement: float = 1.08
    """Of the face's patch about its centre: 5 mm beyond a face 14 cm wide, the band in which the seam is painted."""
    jaw_reach: float = 0.02
    """Metres that it is swept down: the chin's way in this person's speech."""
    supersampling: int = 1
    """Points along a pixel's side at which the mesh is seen; at 1 its centre alone. Footage shows a tooth or a
    lid's edge that fills half a pixel as half of it."""

    def __post_init__(self) -> None:
        if not 1 <= self.supersampling <= 4:
            raise UserError(f"Expected a supersampling from 1 to 4, but got {self.supersampling}.")


_CHIN_HEIGHT = 0.02
"""Metres above the chin's lowest point among which the dropped chin's lowest is looked for."""
LEAST_JAW_REACH, MOST_JAW_REACH = 0.005, 0.02
"""Metres: speech drops any chin by the first, and a wide-open mouth by the second."""


RIM = 0.07
"""How far around the paint mask the mesh is drawn, as a part of the frame's height: its soft edge and augmentation."""


@dataclass(frozen=True)
class RenderMaps(Tensors):
    """The rasterised mesh of B frames in the paint mask and around it; zeros elsewhere.

    It is seen at h = S · H times w = S · W points, S along each side of a pixel.
    """

    uvs: Float[Tensor, "B 2 h w"]
    """In [0, 1], row 0 of the texture at the top."""
    normals: Float[Tensor, "B 3 H W"]
    """World frame; the mean at a pixel's points, of unit length where all see a surface that is next to flat."""
    regions: UInt8[Tensor, "B h w"]
    """0: no surface; i + 1: the morphable model's region i."""
    parts: UInt8[Tensor, "B h w"]
    """Bits of ``PART_BITS``."""
    paint_mask: Float[Tensor, "B 1 H W"]
    """1 where the network paints and the footage is hidden from it, else 0."""

    @property
    def supersampling(self) -> int:
        """S."""
        return self.regions.shape[-1] // self.paint_mask.shape[-1]


class Window(NamedTuple):
    """A rectangle of an image."""

    rows: slice
    columns: slice

    def scaled(self, factor: int) -> Window:
        """The same rectangle of an image that is ``factor`` times as large."""
        return Window(*(slice(factor * side.start, factor * side.stop) for side in self))


@dataclass(frozen=True)
class RenderInputs(RenderMaps):
    """All that the appearance network sees of B frames."""

    context: Float[Tensor, "B 3 H W"]
    """The footage in [0, 1] with the paint mask blacked out."""
    gaze: Float[Tensor, "B 2"]
    """(yaw, pitch), radians, head frame."""
    lighting: Float[Tensor, "B 9 3"]
    """The light that was fitted to the footage, as ``TrackedFace`` has it."""
    speech: Float[Tensor, "B window D"]
    """Speech features of the video frames around each frame, an odd number."""

    def part(self, name: str) -> Float[Tensor, "B 1 H W"]:
        """How much of each pixel one of ``PART_BITS`` covers inside the paint_mask, in [0, 1]."""
        return self.averaged(((self.parts & PART_BITS[name]) > 0)[:, None].to(self.paint_mask.dtype)) * self.paint_mask

    def averaged(self, values: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
        """What is seen at the points of each pixel, as one value."""
        return mean_of_points(values, self.supersampling)

    def frames(self, index: slice | Int[Tensor, " n"]) -> RenderInputs:
        """Some of the B frames."""
        return replace(self, **{key: value[index] for key, value in vars(self).items()})

    def crop(self, window: Window) -> RenderInputs:
        """A rectangle of every frame."""
        fine = window.scaled(self.supersampling)
        cuts = dict.fromkeys(("paint_mask", "context", "normals"), window) | dict.fromkeys(
            ("uvs", "regions", "parts"), fine
        )
        cut = {key: getattr(self, key)[..., each.rows, each.columns] for key, each in cuts.items()}
        return replace(self, **cut)

    def window(self, margin: int, multiple: int) -> Window:
        """The least rectangle around all frames' paint masks with a margin; its sides are multiples where they fit.

        Args:
            margin: Pixels around the paint masks.
            multiple: Of the sides; few different sizes keep the convolutions' set-up out of the measure.
        """
        painted = self.paint_mask.amax((0, 1)) > 0
        return Window(*(_span(painted.any(1 - axis), margin, multiple) for axis in (0, 1)))


def build_render_inputs(
    face: TrackedFace,
    model: MorphableModel,
    speech: Float[Tensor, "B window D"],
    context_frames: Float[Tensor, "B 3 H W"],
    settings: MapSettings = MapSettings(),
    backend: str = "auto",
) -> RenderInputs:
    """Rasterise the mesh and cut the paint mask for as many frames as ``face`` has, at the size of ``context_frames``.

    Args:
        face: Fitted or generated coefficients; its camera may belong to frames of another size of the same view.
        model: The morphable model that the coefficients are of.
        speech: See ``speech_windows``.
        context_frames: The footage that the face goes into, in [0, 1].
        settings: Where the paint mask is, and how finely the mesh is seen.
        backend: Of ``rendering.rasterize``.
    """
    maps = build_render_maps(face, model, (context_frames.shape[-2], context_frames.shape[-1]), settings, backend)
    context = context_frames * (1 - maps.paint_mask)
    return RenderInputs(
        **vars(maps), context=context, gaze=face.coefficients.gaze, lighting=face.lighting, speech=speech
    )


@torch.no_grad()
def build_render_maps(
    face: TrackedFace,
    model: MorphableModel,
    resolution: tuple[int, int],
    settings: MapSettings = MapSettings(),
    backend: str = "auto",
    paint_mask: Float[Tensor, "B 1 H W"] | None = None,
) -> RenderMaps:
    """Rasterise the mesh for every frame of ``face``, and cut the paint mask unless one is given.

    Args:
        face: See ``build_render_inputs``.
        model: Likewise.
        resolution: (H, W), pixels.
        settings: Where the paint mask is, and how finely the mesh is seen.
        backend: Of ``rendering.rasterize``.
        paint_mask: As ``RenderMaps`` has it.
    """
    coefficients, camera = face.coefficients, resized_camera(face.camera, resolution)
    fine = (settings.supersampling * resolution[0], settings.supersampling * resolution[1])
    pose = (coefficients.rotation, coefficients.translation)
    shape = coefficients.shape_coefficients[None]
    head_vertices = model(shape, coefficients.expression_coefficients, coefficients.gaze)
    vertices = head_to_world(head_vertices, *pose)
    fragments = rasterize(world_to_clip(vertices, camera), model.faces, fine, backend)
    if paint_mask is None:
        paint_mask = _paint_mask(model, settings, shape, head_vertices, pose, camera, resolution, backend)
    # Beyond the paint mask's edge, so that the edge shows in the context alone, however much it is moved or softened.
    drawn = F.interpolate(grown(paint_mask, round(RIM * resolution[0])), fine)[:, 0] > 0
    covered = (fragments.face_index >= 0) & drawn
    face_index = fragments.face_index.clamp(min=0)
    inside = covered[:, None].to(vertices.dtype)
    normals = interpolate(vertex_normals(vertices, model.faces), model.faces, fragments)
    return RenderMaps(
        uvs=interpolate(model.uvs[None], model.uv_faces, fragments).clamp_(0, 1).mul_(inside),
        normals=mean_of_points(normals.mul_(inside), settings.supersampling),
        regions=(model.vertex_regions[model.faces[:, 0]] + 1).to(torch.uint8)[face_index] * covered,
        parts=_face_parts(model)[face_index] * covered,
        paint_mask=paint_mask,
    )


@torch.no_grad()
def build_paint_mask(
    face: TrackedFace,
    model: MorphableModel,
    resolution: tuple[int, int],
    settings: MapSettings = MapSettings(),
    backend: str = "auto",
) -> Float[Tensor, "B 1 H W"]:
    """The paint mask alone, as ``build_render_maps`` cuts it; the arguments are its own."""
    coefficients = face.coefficients
    shape, pose = coefficients.shape_coefficients[None], (coefficients.rotation, coefficients.translation)
    head_vertices = model(shape, coefficients.expression_coefficients, coefficients.gaze)
    camera = resized_camera(face.camera, resolution)
    return _paint_mask(model, settings, shape, head_vertices, pose, camera, resolution, backend)


@torch.no_grad()
def measure_jaw_reach(face: TrackedFace, model: MorphableModel) -> float:
    """How far a clip's chin drops below its place at rest, all but its rarest 1 % of frames; metres.

    Within ``LEAST_JAW_REACH`` and ``MOST_JAW_REACH``.
    """
    height = _neutral(model, face.coefficients.shape_coefficients[None])[0, :, 1]
    lowest = height[model.vertex_mask("face")].amin()
    chin = model.vertex_mask("face") & (height < lowest + _CHIN_HEIGHT)
    moved = face.coefficients.expression_coefficients @ expression_displacements(model)[:, chin, 1]
    drop = lowest - (height[chin] + moved).amin(1)
    return float(drop.quantile(0.99).clamp(LEAST_JAW_REACH, MOST_JAW_REACH))


def resized_camera(camera: Camera, resolution: tuple[int, int]) -> Camera:
    """The same view in frames of another size: a scaling, as pixel (0, 0) is the corner of the first one."""
    height, width = resolution
    scale = camera.intrinsics.new_tensor([width / camera.width, height / camera.height, 1.0])
    return replace(camera, intrinsics=camera.intrinsics * scale[:, None], height=height, width=width)


def speech_windows(
    features: Float[Tensor, "T D"], indices: Int[Tensor, " B"], window: int
) -> Float[Tensor, "B {window} D"]:
    """The features of the ``window`` (odd) frames around each of ``indices``; the first and the last are repeated."""
    offsets = torch.arange(window, device=features.device) - window // 2
    return features[(indices[:, None] + offsets).clamp(0, features.shape[0] - 1)]


def _paint_mask(
    model: MorphableModel,
    settings: MapSettings,
    shape: Float[Tensor, "1 S"],
    head_vertices: Float[Tensor, "B V 3"],
    pose: tuple[Float[Tensor, "B 3"], Float[Tensor, "B 3"]],
    camera: Camera,
    resolution: tuple[int, int],
    backend: str,
) -> Float[Tensor, "B 1 H W"]:
    used, patch = _painted_patch(model, settings.painted).unique(return_inverse=True)
    neutral = _neutral(model, shape)[:, used]
    centre = (neutral.amax(1, keepdim=True) + neutral.amin(1, keepdim=True)) / 2
    enlarged = (neutral - centre) * settings.enlargement + centre
    down = torch.tensor([0.0, -settings.jaw_reach, 0.0], device=neutral.device)
    # A fitted expression may leave the margin; what is driven is always inside.
    driven = head_vertices[:, used]
    sweep = [driven, *((enlarged + step * down).expand_as(driven) for step in (0.0, 0.5, 1.0))]
    faces = torch.cat([patch + index * len(used) for index in range(len(sweep))])
    vertices = world_to_clip(head_to_world(torch.cat(sweep, 1), *pose), camera)
    return (rasterize(vertices, faces, resolution, backend).face_index >= 0)[:, None].float()


def _span(painted: Bool[Tensor, " n"], margin: int, multiple: int) -> slice:
    size, indices = len(painted), painted.nonzero()
    if len(indices) == 0:
        return slice(0, min(multiple, size))
    low, high = int(indices[0]) - margin, int(indices[-1]) + 1 + margin
    length = min(-(-(high - low) // multiple) * multiple, size)
    start = min(max((low + high - length) // 2, 0), size - length)
    return slice(start, start + length)


def _neutral(model: MorphableModel, shape: Float[Tensor, "1 S"]) -> Float[Tensor, "1 V 3"]:
    return model(shape, torch.zeros_like(shape[:, :1]).expand(1, model.num_expressions))


def _painted_patch(model: MorphableModel, painted: str) -> Int[Tensor, "P 3"]:
    """The triangles that the paint mask is cut around: skin, lids and lips."""
    chosen = torch.stack([model.vertex_mask(name) for name in ("face", "lips", "eyes")]).any(0)
    if painted == "lower_face":
        chosen = chosen & ~model.vertex_mask("upper_face")
    return model.faces[chosen[model.faces].all(1)]


def _face_parts(model: MorphableModel) -> UInt8[Tensor, " F"]:
    """Bits of ``PART_BITS`` by triangle."""
    vertex_masks = {name: model.vertex_mask(name) for name in ("face", "lips", "eyes", "mouth_interior")}
    mouth = vertex_masks["lips"] | vertex_masks["mouth_interior"]
    masks = {
        "mouth": mouth,
        "eyes": vertex_masks["eyes"],
        "face": vertex_masks["face"] | mouth | vertex_masks["eyes"],
        "mouth_inside": vertex_masks["mouth_interior"],
    }
    return sum(mask[model.faces].all(1).to(torch.uint8) * PART_BITS[name] for name, mask in masks.items())
