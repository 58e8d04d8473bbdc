"""What painting is measured against on the same frames: the nearest frame of the training, and the fit's own albedo.

The nearest frame is real, so that it has teeth, tongue and every hair; where a person repeats themselves it is hard to
beat. The albedo has nothing that the morphable model does not know of.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

from readavatar.benchmarks.appearance.painting import Painting
from readavatar.data.store import ClipStore
from readavatar.morphable.model import MorphableModel
from readavatar.types import TrackedFace
from readavatar.viewer.rendering import FaceRenderer, over


class NearestFrames:
    """For each frame, the frame among the first ones that shows the same face, moved, turned and scaled onto it.

    Two faces are as far apart as their landmarks are after the best similarity (the full Procrustes distance, Dryden &
    Mardia 2016, sec. 4.2), plus as their blendshapes are; both are in units of what a frame finds at its best. Head
    turns and gaze show in the landmarks; adding the fitted ones to the distance makes the frames found less like the
    real ones (by 1 to 2 dB on a minute's speech).
    """

    def __init__(self, store: ClipStore, num_training: int) -> None:
        """
        Args:
            store: A fitted clip.
            num_training: How many of its frames, from the first on, may be shown; those behind are painted.
        """
        self.store, self.num_training = store, num_training
        seen, fitted = store.landmarks(), store.tracking().coefficients.expression_coefficients
        self.points = as_complex(seen.landmarks_2d)
        self.places = torch.nonzero(seen.landmark_confidence[:num_training] > 0)[:, 0]
        shapes, expressions = procrustes_shapes(self.points), fitted.double()
        self.distances = sum(
            distance / distance.amin(1).median().clamp(min=torch.finfo(torch.float64).eps)
            for distance in (
                procrustes_distances(shapes[num_training:], shapes[self.places]),
                torch.cdist(expressions[num_training:], expressions[self.places]).square(),
            )
        )

    def nearest(self, frame: int) -> int:
        """Which frame shows the face of frame ``frame``."""
        return int(self.places[self.distances[frame - self.num_training].argmin()])

    def paint(self, frames: range) -> Painting:
        """What else was filmed, in the frames' stead."""
        painted = []
        for frame in frames:
            found = self.nearest(frame)
            scale, shift = similarity(self.points[found], self.points[frame])
            painted.append(moved(self.store.frames(range(found, found + 1))[0], scale, shift))
        images = torch.stack(painted)
        return Painting(images, torch.ones_like(images[:, :1]))


class AlbedoRender:
    """The fitted mesh with the fitted albedo in the fitted light, over the footage."""

    def __init__(self, store: ClipStore, model: MorphableModel, face: TrackedFace) -> None:
        """
        Args:
            store: A fitted clip.
            model: That it was fitted with.
            face: Its fit.
        """
        self.store, self.camera, self.renderer = store, face.camera, FaceRenderer(model, face)

    @torch.no_grad()
    def paint(self, frames: range) -> Painting:
        """The frames with the face drawn over them."""
        surfaces = self.renderer.surfaces(slice(frames.start, frames.stop))
        painted, covered = [], torch.zeros(len(frames), 1, self.camera.height, self.camera.width)
        for place, (frame, picture) in enumerate(zip(frames, self.store.frames(frames), strict=True)):
            seen = self.renderer.see(surfaces, place, frame, self.camera)
            painted.append(over(picture, seen.pixels, self.renderer.lit(seen)))
            covered[place].view(-1)[seen.pixels] = 1.0
        return Painting(torch.stack(painted), covered)


def as_complex(points: Float[Tensor, "*n 2"]) -> Complex[Tensor, "*n"]:
    """x + iy, in which a similarity of the plane is one multiplication and one addition."""
    return torch.complex(*points.double().unbind(-1))


def procrustes_shapes(points: Complex[Tensor, "T L"]) -> Complex[Tensor, "T L"]:
    """What is left of point sets when place and size are taken out."""
    centred = points - points.mean(1, keepdim=True)
    return centred / centred.abs().square().sum(1, keepdim=True).sqrt().clamp(min=torch.finfo(torch.float64).eps)


def procrustes_distances(shapes: Complex[Tensor, "T L"], others: Complex[Tensor, "N L"]) -> Float[Tensor, "T N"]:
    """Squared full Procrustes distances: what the best similarity leaves, of 1."""
    return (1 - (shapes.conj() @ others.T).abs().square()).clamp(min=0)


def similarity(
    source: Complex[Tensor, " L"], target: Complex[Tensor, " L"]
) -> tuple[Complex[Tensor, ""], Complex[Tensor, ""]]:
    """``a`` and ``b`` that bring ``a · source + b`` closest to ``target``: scale and turn, and shift (Umeyama 1991)."""
    source_mean, target_mean = source.mean(), target.mean()
    centred = source - source_mean
    scale = (centred.conj() * (target - target_mean)).sum() / centred.abs().square().sum()
    return scale, target_mean - scale * source_mean


def moved(
    image: Float[Tensor, "3 H W"],
    scale: Complex[Tensor, ""],
    shift: Complex[Tensor, ""],
    size: tuple[int, int] | None = None,
) -> Float[Tensor, "3 h w"]:
    """An image under a similarity of its pixels, read bilinearly; beyond its edge the edge is repeated.

    Args:
        image: The source.
        scale: Of ``similarity``.
        shift: Likewise.
        size: (height, width) of what is made, by default the image's.
    """
    height, width = image.shape[-2:]
    rows, columns = (torch.arange(side).double() + 0.5 for side in size or (height, width))
    source = (torch.complex(*torch.meshgrid(columns, rows, indexing="xy")) - shift) / scale
    grid = torch.stack([source.real / width, source.imag / height], -1).float() * 2 - 1
    return F.grid_sample(image[None], grid[None], padding_mode="border", align_corners=False)[0]
