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
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from readavatar.data.datasets.speech_features import clip_speech_features
from readavatar.data.raster.packed_maps import PackedMaps, pack_maps
from readavatar.data.raster.render_inputs import (
    RIM,
    MapSettings,
    RenderInputs,
    RenderMaps,
    build_render_maps,
    speech_windows,
)
from readavatar.data.store import ClipStore
from readavatar.media.images import resized
from readavatar.morphable.model import MorphableModel
from readavatar.speech import SpeechEncoder
from readavatar.types import FaceCoefficients, Tensors, TrackedFace


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
class AppearanceBatch(Tensors):
    """Frames to learn from."""

    inputs: RenderInputs
    frames: Float[Tensor, "B 3 H W"]
    """The footage, in [0, 1]."""
    is_driven: Bool[Tensor, " B"]
    """The mesh moves as the speech model has it, so that the footage shows how a face looks, but not this one's."""


@dataclass(frozen=True)
class AppearanceClip:
    """One fitted clip, in memory or mapped into it."""

    maps: PackedMaps
    frames: UInt8[Tensor, "T 3 H W"]
    face: TrackedFace
    model: MorphableModel
    settings: MapSettings
    speech: Float[Tensor, "T D"]
    driven: Float[Tensor, "T E"] | None = None
    """Expressions that the avatar's expression stage gives to the clip's sound."""

    def batch(self, indices: Sequence[int], window: int) -> AppearanceBatch:
        """Some of its frames."""
        return self._batch(torch.tensor(indices), self.maps.unpack(indices), window)

    def augmented_batch(
        self, indices: Sequence[int], window: int, augmentation: FitAugmentation, generator: torch.Generator
    ) -> AppearanceBatch:
        """Some of its frames, under the mesh of a worse fit; the paint masks stay where they are."""
        index = torch.tensor(indices)
        coefficients = disturbed(self.face.coefficients.frames(index), augmentation, generator)
        return self._batch(index, self._maps(index, coefficients), window)

    def driven_batch(self, indices: Sequence[int], window: int) -> AppearanceBatch:
        """Some of its frames, under the mesh as speech drives it; the paint masks stay where they are."""
        index = torch.tensor(indices)
        coefficients = self.face.coefficients.frames(index)
        driven = replace(coefficients, expression_coefficients=self.driven[index])
        batch = self._batch(index, self._maps(index, driven), window)
        return replace(batch, is_driven=torch.ones_like(batch.is_driven))

    def _maps(self, index: Tensor, coefficients: FaceCoefficients) -> RenderMaps:
        """Rasterised now, around the same paint masks."""
        face = replace(self.face, coefficients=coefficients, lighting=self.face.lighting[index])
        paint_mask = self.maps.unpack(index.tolist()).paint_mask
        return build_render_maps(face, self.model, tuple(paint_mask.shape[-2:]), self.settings, paint_mask=paint_mask)

    def _batch(self, index: Tensor, maps: RenderMaps, window: int) -> AppearanceBatch:
        frames = self.frames[index].float() / 255
        inputs = RenderInputs(
            **vars(maps),
            context=frames * (1 - maps.paint_mask),
            gaze=self.face.coefficients.gaze[index],
            lighting=self.face.lighting[index],
            speech=speech_windows(self.speech, index, window),
        )
        return AppearanceBatch(inputs, frames, torch.zeros(len(frames), dtype=torch.bool))


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
) -> AppearanceClip:
    """A fitted clip at ``size``, from its cache where that holds what these arguments lead to."""
    digest = _digest(face, model, size, settings)
    # A minute's are a gigabyte: those of two settings, to go back and forth between, and not of every fit there was.
    pack = partial(_packed_maps, face, model, size, settings)
    tensors = store.cached(f"appearance-maps-{digest}", pack, most=2)
    frames = store.cached(f"appearance-frames-{size}", lambda: {"frames": _resized_frames(store, size)})["frames"]
    if store.info.has_audio:
        speech = clip_speech_features(store, encoder)
    else:
        warnings.warn(f"'{store.path}' is silent: its frames are learned with speech features of zero.", stacklevel=2)
        speech = torch.zeros(store.num_frames, encoder.num_features)
    return AppearanceClip(PackedMaps(tensors), frames, face, model, settings, speech.float(), driven)


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
