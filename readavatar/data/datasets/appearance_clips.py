"""Coefficients as a worse fit would give them, so that training has met tracking noise and driven faces before.

A fitted clip as the appearance stage wants it: rasterised maps, resized frames, speech features; from its cache.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from readavatar.data.datasets.appearance_batches import AppearanceBatch, MeshBatch, joined
from readavatar.data.datasets.speech_features import clip_speech_features
from readavatar.data.raster.packed_maps import PackedMaps, pack_maps
from readavatar.data.raster.render_inputs import (
    RIM,
    MapSettings,
    RenderInputs,
    RenderMaps,
    build_paint_mask,
    build_render_maps,
    speech_windows,
)
from readavatar.data.store import ClipStore
from readavatar.media.images import resized
from readavatar.morphable.model import MorphableModel
from readavatar.speech import SpeechEncoder
from readavatar.types import FaceCoefficients, TrackedFace


@dataclass(frozen=True)
class FitAugmentation:
    """How often and by how much the fit is disturbed; standard deviations of normal noise."""

    share: float = 0.25
    """Of the frames."""
    expression: float = 0.02
    """Of each expression coefficient, which stays in [0, 1] where it was."""
    rotation: float = 0.003
    """Of each component of the axis-angle, radians: 0.2°, half a pixel at a face of 200."""
    translation: float = 0.0003
    """Of each coordinate, metres."""


def disturbed(
    coefficients: FaceCoefficients, augmentation: FitAugmentation, generator: torch.Generator
) -> FaceCoefficients:
    """The coefficients of T frames with noise of their own each."""

    def noise(values: Tensor, scale: float) -> Tensor:
        return torch.randn(values.shape, generator=generator).to(values) * scale

    expressions = coefficients.expression_coefficients
    noisy = expressions + noise(expressions, augmentation.expression)
    # What is at rest stays so: a face of fifty half-started expressions is nobody's.
    inside = (expressions > 0) & (expressions < 1)
    return replace(
        coefficients,
        expression_coefficients=torch.where(inside, noisy.clamp(0, 1), expressions),
        rotation=coefficients.rotation + noise(coefficients.rotation, augmentation.rotation),
        translation=coefficients.translation + noise(coefficients.translation, augmentation.translation),
    )


CACHE_VERSION = 6
"""Raise when ``build_render_maps`` changes what it gives."""
_CHUNK = 16


@dataclass(frozen=True)
class AppearanceClip:
    """One fitted clip, in memory or mapped into it."""

    maps: PackedMaps | None
    """Of the fitted mesh; None where batches are rasterised on their device."""
    frames: UInt8[Tensor, "T 3 H W"]
    face: TrackedFace
    model: MorphableModel
    settings: MapSettings
    speech: Float[Tensor, "T D"]
    driven: Float[Tensor, "T E"] | None = None
    """Expressions that the avatar's expression stage gives to the clip's sound."""

    def augmented(self, frame: int, augmentation: FitAugmentation, generator: torch.Generator) -> FaceCoefficients:
        """One frame's coefficients as a worse fit would have them."""
        return disturbed(self.face.coefficients.frames(torch.tensor([frame])), augmentation, generator)

    def spoken(self, frame: int) -> FaceCoefficients:
        """One frame's coefficients as speech drives them."""
        coefficients = self.face.coefficients.frames(torch.tensor([frame]))
        return replace(coefficients, expression_coefficients=self.driven[frame : frame + 1])

    def batch(
        self,
        indices: Sequence[int],
        window: int,
        coefficients: FaceCoefficients | None = None,
        is_driven: bool = False,
    ) -> AppearanceBatch:
        """Some of its frames, rasterised.

        Args:
            indices: B frames.
            window: Of ``speech_windows``.
            coefficients: Of another mesh than the fitted one; the paint masks stay where they are.
            is_driven: Whether speech drives that mesh.
        """
        index, maps = torch.tensor(indices), self.maps.unpack(indices)
        if coefficients is not None:
            face = replace(self.face, coefficients=coefficients, lighting=self.face.lighting[index])
            size = tuple(maps.paint_mask.shape[-2:])
            maps = build_render_maps(face, self.model, size, self.settings, paint_mask=maps.paint_mask)
        frames = self.frames[index].float() / 255
        inputs = RenderInputs(
            **vars(maps),
            context=frames * (1 - maps.paint_mask),
            gaze=self.face.coefficients.gaze[index],
            lighting=self.face.lighting[index],
            speech=speech_windows(self.speech, index, window),
        )
        return AppearanceBatch(inputs, frames, torch.full((len(frames),), is_driven))

    def mesh_batch(
        self,
        number: int,
        indices: Sequence[int],
        window: int,
        coefficients: FaceCoefficients | None = None,
        is_driven: bool = False,
    ) -> MeshBatch:
        """Some of its frames, to be rasterised on another device.

        Args:
            number: Of the clip.
            indices: See ``batch``; likewise the others.
            window: See ``batch``.
            coefficients: See ``batch``.
            is_driven: See ``batch``.
        """
        index = torch.tensor(indices)
        fitted = self.face.coefficients.frames(index)
        drawn = coefficients or fitted
        return MeshBatch(
            clip=torch.full((len(index),), number),
            fitted_expressions=fitted.expression_coefficients,
            fitted_rotation=fitted.rotation,
            fitted_translation=fitted.translation,
            expressions=drawn.expression_coefficients,
            rotation=drawn.rotation,
            translation=drawn.translation,
            gaze=fitted.gaze,
            lighting=self.face.lighting[index],
            speech=speech_windows(self.speech, index, window),
            frames=self.frames[index],
            is_driven=torch.full((len(index),), is_driven),
        )


@dataclass(frozen=True)
class AppearanceSpecification:
    """What an appearance network for some clips has to be built for."""

    speech_encoder: dict
    """Of ``describe_encoder``."""
    morphable_model: str
    """What ``load_morphable_model`` takes."""
    expression_names: tuple[str, ...]
    size: int
    """Side of the frames, pixels."""
    fps: float
    """Of the first clip."""
    maps: MapSettings
    num_speech_features: int
    """D."""
    num_regions: int
    """Of the morphable model."""
    speech_window: int
    """Video frames of speech that a frame is given."""
    consecutive: int
    """Neighbouring frames that stand side by side in a batch."""
    clips: tuple[AppearanceClip, ...]
    training: tuple[tuple[int, int], ...]
    """(clip, frame) of each frame that is trained on."""

    def description(self) -> dict:
        """JSON values that say what the trained network has to be given."""
        return {
            "speech_encoder": self.speech_encoder,
            "morphable_model": self.morphable_model,
            "expression_names": list(self.expression_names),
            "size": self.size,
            "maps": asdict(self.maps),
        }

    def training_speech(self) -> Float[Tensor, "T D"]:
        """The features of every frame that is trained on."""
        return torch.stack([self.clips[clip].speech[frame] for clip, frame in self.training])


def load_appearance_clip(
    store: ClipStore,
    face: TrackedFace,
    model: MorphableModel,
    encoder: SpeechEncoder,
    size: int,
    settings: MapSettings,
    driven: Float[Tensor, "T E"] | None = None,
    has_maps: bool = True,
) -> AppearanceClip:
    """A fitted clip at ``size``, from its cache where that holds what these arguments lead to.

    Args:
        store: Of the clip.
        face: Its fit.
        model: Of the fit.
        encoder: Of the speech features.
        size: Side of the frames, pixels.
        settings: How the mesh is rasterised.
        driven: Of ``AppearanceClip``.
        has_maps: Rasterise the fit of all frames now, on the CPU, and keep that; else batches are rasterised later.
    """
    maps = None
    if has_maps:
        digest = _digest(face, model, size, settings)
        # A minute's are a gigabyte: those of two settings, to go back and forth between, not of every fit there was.
        pack = partial(_packed_maps, face, model, size, settings)
        maps = PackedMaps(store.cached(f"appearance-maps-{digest}", pack, most=2))
    frames = store.cached(f"appearance-frames-{size}", lambda: {"frames": _resized_frames(store, size)})["frames"]
    if store.info.has_audio:
        speech = clip_speech_features(store, encoder)
    else:
        warnings.warn(f"'{store.path}' is silent: its frames are learned with speech features of zero.", stacklevel=2)
        speech = torch.zeros(store.num_frames, encoder.num_features)
    return AppearanceClip(maps, frames, face, model, settings, speech.float(), driven)


def _packed_maps(face: TrackedFace, model: MorphableModel, size: int, settings: MapSettings) -> dict[str, Tensor]:
    chunks = (
        replace(face, coefficients=face.coefficients.frames(slice(start, start + _CHUNK)))
        for start in range(0, face.coefficients.num_frames, _CHUNK)
    )
    return pack_maps(build_render_maps(chunk, model, (size, size), settings) for chunk in chunks)


def _resized_frames(store: ClipStore, size: int) -> UInt8[Tensor, "T 3 {size} {size}"]:
    chunks = []
    for start in range(0, store.num_frames, _CHUNK):
        frames = resized(store.frames(range(start, min(start + _CHUNK, store.num_frames))), size)
        chunks.append((frames * 255).round().to(torch.uint8))
    return torch.cat(chunks)


def _digest(face: TrackedFace, model: MorphableModel, size: int, settings: MapSettings) -> str:
    """A hash of all that the rasterised maps depend on."""
    values = (CACHE_VERSION, size, settings, RIM, model.data.region_names)
    digest = hashlib.sha256(repr(values).encode())
    digest.update(f"{face.camera.height} {face.camera.width} {face.camera.near} {face.camera.far}".encode())
    masks = [mask for _, mask in sorted(model.data.vertex_masks.items())]
    fitted = [*vars(face.coefficients).values(), face.camera.intrinsics, face.camera.world_to_camera]
    for tensor in [*fitted, *model.buffers(), *masks]:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]


@torch.no_grad()
def rasterized(batch: MeshBatch, clips: Sequence[AppearanceClip]) -> AppearanceBatch:
    """Rasterise a batch's meshes and paint masks on the device where it is.

    Args:
        batch: Of frames of ``clips``.
        clips: Their cameras, identities and morphable models are moved to the device.
    """
    device = batch.frames.device
    places, maps = [], []
    for number in batch.clip.unique().tolist():
        chosen = torch.nonzero(batch.clip == number)[:, 0]
        places.append(chosen)
        maps.append(_clip_maps(clips[number], batch, chosen))
    order = torch.cat(places).argsort()
    together = replace(joined(maps), **{key: value[order] for key, value in vars(joined(maps)).items()})
    frames = batch.frames.to(torch.float32) / 255
    inputs = RenderInputs(
        **vars(together),
        context=frames * (1 - together.paint_mask),
        gaze=batch.gaze,
        lighting=batch.lighting,
        speech=batch.speech,
    )
    return AppearanceBatch(inputs, frames, batch.is_driven.to(device))


def _clip_maps(clip: AppearanceClip, batch: MeshBatch, chosen: Int[Tensor, " n"]) -> RenderMaps:
    device, resolution = batch.frames.device, (batch.frames.shape[-2], batch.frames.shape[-1])
    model, whole = clip.model.to(device), clip.face.to(device)

    def face(expressions: Tensor, rotation: Tensor, translation: Tensor) -> TrackedFace:
        shape = whole.coefficients.shape_coefficients
        own = (expressions[chosen], rotation[chosen], translation[chosen], batch.gaze[chosen])
        return replace(whole, coefficients=FaceCoefficients(shape, *own), lighting=batch.lighting[chosen])

    fitted = face(batch.fitted_expressions, batch.fitted_rotation, batch.fitted_translation)
    paint_mask = build_paint_mask(fitted, model, resolution, clip.settings)
    drawn = face(batch.expressions, batch.rotation, batch.translation)
    return build_render_maps(drawn, model, resolution, clip.settings, paint_mask=paint_mask)
