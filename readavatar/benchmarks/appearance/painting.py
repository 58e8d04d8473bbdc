"""Painters: what renders the face of a fitted clip's frames. The avatar's network, and two baselines.

``AvatarPainter`` renders the clip's own fit as ``animate`` renders a driven one. ``NearestFrames`` shows the most
similar training frame: it is real, with teeth, tongue and hair, and hard to beat where a person repeats themselves.
``AlbedoRender`` draws the fitted mesh and albedo, without what the morphable model does not represent.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

from readavatar.appearance import AppearanceRenderer, render_face
from readavatar.data.datasets.appearance import num_held_out
from readavatar.data.datasets.speech_features import clip_speech_features, load_described_encoder
from readavatar.data.raster.render_inputs import MapSettings, build_render_inputs, speech_windows
from readavatar.data.store import ClipStore, Crop
from readavatar.data.store.avatar import Avatar, load_network
from readavatar.directing.footage import composite
from readavatar.errors import UserError
from readavatar.media.images import resized
from readavatar.morphable.model import MorphableModel
from readavatar.types import TrackedFace
from readavatar.viewer.rendering import FaceRenderer, over


@dataclass(frozen=True)
class Painting:
    """A painter's rendering of B frames, at the clip's size."""

    images: Float[Tensor, "B 3 H W"]
    """In [0, 1]; the footage where nothing is painted."""
    alphas: Float[Tensor, "B 1 H W"]
    """The painted share of each pixel, in [0, 1]."""


@runtime_checkable
class Painter(Protocol):
    """Renders consecutive frames of a clip."""

    def paint(self, frames: range) -> Painting:
        """Render the frames."""
        ...


class AvatarPainter:
    """Renders a clip's tracked coefficients with the avatar's exported (averaged) network, a few frames at a time."""

    def __init__(self, avatar: str | Path, store: ClipStore, model: MorphableModel, face: TrackedFace) -> None:
        """
        Args:
            avatar: With an appearance part.
            store: The footage to paint into.
            model: The one that the footage was fitted with.
            face: Its fit.

        Raises:
            UserError: The avatar was trained with another morphable model or speech encoder.
        """
        part = Avatar(avatar).part("appearance")
        self.config, self.store, self.model, self.face = part.config, store, model, face
        if tuple(part.config["expression_names"]) != tuple(face.expression_names):
            raise UserError(
                f"Expected a clip fitted with '{part.config['morphable_model']}' as the avatar '{avatar}' was, but "
                f"'{store.path}' is fitted with '{face.morphable_model}'."
            )
        self.renderer = load_network(AppearanceRenderer(**part.config["network"]), part)
        self.speech = avatar_speech_features(store, part.config["speech_encoder"])

    def paint(self, frames: range) -> Painting:
        """The frames with the rendered face composited over them."""
        index, footage = torch.arange(frames.start, frames.stop), self.store.frames(frames)
        coefficients, lighting = self.face.coefficients.frames(index), self.face.lighting[index]
        side, own = self.store.info.size, self.config["size"]
        inputs = build_render_inputs(
            dataclasses.replace(self.face, coefficients=coefficients, lighting=lighting),
            self.model,
            speech_windows(self.speech, index, self.config["network"]["speech_window"]),
            resized(footage, own),
            MapSettings(**self.config["maps"]),
        )
        images, alphas = render_face(self.renderer, inputs)
        whole = Crop(0.0, 0.0, float(side))
        painted = [composite(*layers, whole) for layers in zip(footage, images, alphas, strict=True)]
        return Painting(torch.stack(painted), resized(alphas, side))


def avatar_speech_features(store: ClipStore, described: dict) -> Float[Tensor, "T D"]:
    """The clip's features by an avatar's speech encoder; zeros for a clip without sound, as in training.

    Args:
        store: The clip.
        described: What ``describe_encoder`` gave in the training.

    Raises:
        UserError: This machine has another encoder of that name.
    """
    if not store.info.has_audio:
        return torch.zeros(store.num_frames, described["num_features"])
    return clip_speech_features(store, load_described_encoder(described)).float()


def check_unseen(avatar: str | Path, store: ClipStore, count: int) -> str | None:
    """Check in the settings of an avatar's training that it left out a clip's last ``count`` frames.

    Returns:
        A warning if there are no such settings; else None.

    Raises:
        UserError: It was trained on some of these frames.
    """
    settings = training_data(avatar)
    if settings is None:
        return (
            f"'{avatar}' does not say what it was trained on: it may have been trained on the frames that are measured"
        )
    clips, seconds = settings
    # Paths are those given to the training, perhaps relative to another folder; the footage's is in the avatar's card.
    if store.path.resolve() not in {clip.resolve() for clip in clips} | {Avatar(avatar).footage.path.resolve()}:
        return None
    kept = num_held_out(store.num_frames, store.fps, seconds)
    if kept < count:
        raise UserError(
            f"Expected an avatar trained without the last {count / store.fps:g} s of '{store.path}', but '{avatar}' "
            f"was trained without {kept / store.fps:g} s; ask for --held-out {kept / store.fps:g} or less."
        )
    return None


def training_data(avatar: str | Path) -> tuple[list[Path], float] | None:
    """The clips that an avatar's appearance was trained on and the seconds held out; None if they were not recorded."""
    path = Path(avatar) / "training" / "appearance" / "settings.json"
    try:
        arguments = json.loads(path.read_text())["data"]["init_args"]
        clips, seconds = arguments["clips"], float(arguments["held_out_seconds"])
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return [Path(clip) for clip in ([clips] if isinstance(clips, str) else clips)], seconds


class NearestFrames:
    """Shows, for each frame, the most similar training frame, aligned by a similarity transform.

    The distance of two faces is that of their landmarks after the best similarity (the full Procrustes distance, Dryden
    & Mardia 2016, sec. 4.2) plus that of their blendshapes, each divided by the median of the smallest distances. The
    landmarks already contain head rotation and gaze; adding the fitted ones makes the result worse (by 1 to 2 dB on a
    minute of speech).
    """

    def __init__(self, store: ClipStore, num_training: int) -> None:
        """
        Args:
            store: A fitted clip.
            num_training: So many of its first frames may be shown; the others are painted.
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
        """The index of the training frame that is most similar to ``frame``."""
        return int(self.places[self.distances[frame - self.num_training].argmin()])

    def paint(self, frames: range) -> Painting:
        """The most similar training frames, aligned to the frames."""
        painted = []
        for frame in frames:
            found = self.nearest(frame)
            scale, shift = similarity(self.points[found], self.points[frame])
            painted.append(moved(self.store.frames(range(found, found + 1))[0], scale, shift))
        images = torch.stack(painted)
        return Painting(images, torch.ones_like(images[:, :1]))


class AlbedoRender:
    """Draws the fitted mesh, with the fitted albedo and lighting, over the footage."""

    def __init__(self, store: ClipStore, model: MorphableModel, face: TrackedFace) -> None:
        """
        Args:
            store: A fitted clip.
            model: The one that it was fitted with.
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
    """x + iy: a similarity of the plane is then one multiplication and one addition."""
    return torch.complex(*points.double().unbind(-1))


def procrustes_shapes(points: Complex[Tensor, "T L"]) -> Complex[Tensor, "T L"]:
    """Point sets without translation and scale."""
    centred = points - points.mean(1, keepdim=True)
    return centred / centred.abs().square().sum(1, keepdim=True).sqrt().clamp(min=torch.finfo(torch.float64).eps)


def procrustes_distances(shapes: Complex[Tensor, "T L"], others: Complex[Tensor, "N L"]) -> Float[Tensor, "T N"]:
    """Squared full Procrustes distances, in [0, 1]."""
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
        scale: From ``similarity``.
        shift: Likewise.
        size: (height, width) of the result, by default the image's.
    """
    height, width = image.shape[-2:]
    rows, columns = (torch.arange(side).double() + 0.5 for side in size or (height, width))
    source = (torch.complex(*torch.meshgrid(columns, rows, indexing="xy")) - shift) / scale
    grid = torch.stack([source.real / width, source.imag / height], -1).float() * 2 - 1
    return F.grid_sample(image[None], grid[None], padding_mode="border", align_corners=False)[0]
