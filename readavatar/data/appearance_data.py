"""Fitted clips → batches for the appearance stage.

What can be computed once is, and kept in each clip's cache: the rasterised maps, the resized frames, the speech
features. A batch is then a matter of indexing.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Sampler

from readavatar.data.clip_store import ClipStore
from readavatar.data.packed_maps import PackedMaps, pack_maps
from readavatar.data.render_inputs import (
    HOLE_ENLARGEMENT,
    JAW_REACH,
    RIM,
    Painted,
    RenderInputs,
    RenderMaps,
    build_render_maps,
    speech_windows,
)
from readavatar.data.speech_features import clip_speech_features, describe_encoder
from readavatar.errors import UserError
from readavatar.morphable import load_morphable_model
from readavatar.morphable.model import MorphableModel
from readavatar.speech import SpeechEncoder, load_speech_encoder
from readavatar.types import TrackedFace, _Tensors

CACHE_VERSION = 1
"""Raise when ``build_render_maps`` changes what it gives."""
_CHUNK = 16
HELD_OUT_SHARE = 0.25
"""Of a clip, at most: an 8 s clip keeps 6 s to train on."""


@dataclass(frozen=True)
class AppearanceBatch(_Tensors):
    """Frames to learn from."""

    inputs: RenderInputs
    frames: Float[Tensor, "B 3 H W"]
    """The footage, in [0, 1]."""


@dataclass(frozen=True)
class AppearanceClip:
    """One fitted clip, in memory or mapped into it."""

    maps: PackedMaps
    frames: UInt8[Tensor, "T 3 H W"]
    gaze: Float[Tensor, "T 2"]
    speech: Float[Tensor, "T D"]

    def batch(self, indices: Sequence[int], window: int) -> AppearanceBatch:
        """Some of its frames."""
        index = torch.tensor(indices)
        frames = self.frames[index].float() / 255
        maps = self.maps.unpack(indices)
        inputs = RenderInputs(
            **vars(maps),
            context=frames * (1 - maps.hole),
            gaze=self.gaze[index],
            speech=speech_windows(self.speech, index, window),
        )
        return AppearanceBatch(inputs, frames)


class AppearanceFrames(Dataset):
    """Chosen frames of several clips; loaded a batch at a time."""

    def __init__(self, clips: list[AppearanceClip], chosen: list[tuple[int, int]], window: int) -> None:
        """
        Args:
            clips: All at one size.
            chosen: (clip, frame) of each item.
            window: Video frames of speech around each.
        """
        self.clips, self.chosen, self.window = clips, chosen, window

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, item: int) -> AppearanceBatch:
        return self.__getitems__([item])

    def __getitems__(self, items: list[int]) -> AppearanceBatch:
        """A batch, in the order of ``items``."""
        places = [self.chosen[item] for item in items]
        batches = [self.clips[clip].batch([frame], self.window) for clip, frame in places]
        joined = {key: torch.cat([vars(batch.inputs)[key] for batch in batches]) for key in vars(batches[0].inputs)}
        return AppearanceBatch(RenderInputs(**joined), torch.cat([batch.frames for batch in batches]))


class EpochOrder(Sampler[int]):
    """A random order of frames that (seed, epoch) decide; runs of ``consecutive`` neighbours stay together."""

    def __init__(self, chosen: list[tuple[int, int]], seed: int, consecutive: int = 1) -> None:
        """
        Args:
            chosen: (clip, frame) of each item, sorted.
            seed: Of the order.
            consecutive: Length of the runs; frames that are in no whole run are left out.
        """
        self.seed, self.epoch, self.consecutive = seed, 0, consecutive
        self.starts = [
            start
            for start in range(0, len(chosen) - consecutive + 1)
            if chosen[start + consecutive - 1] == (chosen[start][0], chosen[start][1] + consecutive - 1)
        ]

    def set_epoch(self, epoch: int) -> None:
        """Lightning tells which epoch begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.starts) // self.consecutive * self.consecutive

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.starts), generator=generator)[: len(self) // self.consecutive]
        for index in order.tolist():
            yield from range(self.starts[index], self.starts[index] + self.consecutive)


class AppearanceData(pl.LightningDataModule):
    """Fitted clips of one person: all but their last seconds to train on, those to test on."""

    def __init__(
        self,
        clips: str | list[str],
        size: int | None = None,
        painted: Painted = "face",
        speech_encoder: str = "auto",
        layers: list[int] | None = None,
        speech_window: int = 9,
        held_out_seconds: float = 10.0,
        validation_frames: int = 24,
        batch_size: int = 4,
        consecutive: int = 1,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        """
        Args:
            clips: Folders of fitted clip stores.
            size: Side of the frames to train at, pixels; by default the first clip's own.
            painted: What is painted: the whole face, or its part below the nose's tip.
            speech_encoder: Of ``load_speech_encoder``.
            layers: Its layers.
            speech_window: Video frames of speech that a frame is given, odd.
            held_out_seconds: At the end of each clip, at most a quarter of it; never trained on.
            validation_frames: How many held-out frames ``validate`` looks at, evenly spread; ``test`` looks at all.
            batch_size: Frames.
            consecutive: 2 gives batches of neighbouring frames, which the ``temporal`` loss needs.
            num_workers: Processes that load; batches are cheap, so that none is usually best.
            seed: Of the order of the frames.
        """
        super().__init__()
        if speech_window % 2 == 0:
            raise UserError(f"Expected an odd speech_window, but got {speech_window}.")
        if batch_size % consecutive:
            raise UserError(
                f"Expected a batch_size that is a multiple of consecutive, but got {batch_size} and {consecutive}."
            )
        self.paths = [clips] if isinstance(clips, str) else list(clips)
        self.painted = painted
        self.size, self.speech_encoder, self.layers, self.speech_window = size, speech_encoder, layers, speech_window
        self.held_out_seconds, self.validation_frames = held_out_seconds, validation_frames
        self.batch_size, self.consecutive, self.num_workers, self.seed = batch_size, consecutive, num_workers, seed
        self.clips: list[AppearanceClip] = []

    def prepare_data(self) -> None:
        """Fill the clips' caches."""
        self._load()

    def setup(self, stage: str) -> None:
        """Open the caches and share the frames out between training and testing."""
        if not self.clips:
            self._load()

    @property
    def num_speech_features(self) -> int:
        """D."""
        return self.clips[0].speech.shape[1]

    @property
    def num_regions(self) -> int:
        """Of the morphable model."""
        return len(self.morphable_model.region_names)

    @property
    def training_speech(self) -> Float[Tensor, "T D"]:
        """The features of every frame that is trained on."""
        return torch.stack([self.clips[clip].speech[frame] for clip, frame in self.training])

    def description(self) -> dict:
        """JSON values that say what a network trained on these clips has to be given."""
        return {
            "speech_encoder": describe_encoder(self.encoder),
            "morphable_model": self.face.morphable_model,
            "expression_names": list(self.face.expression_names),
            "size": self.frame_size,
            "painted": self.painted,
        }

    def train_dataloader(self) -> DataLoader:
        """Frames in an order that (seed, epoch) decide."""
        order = EpochOrder(self.training, self.seed, self.consecutive)
        if len(order) < self.batch_size:
            raise UserError(f"Expected {self.batch_size} or more frames to train on, but the clips give {len(order)}.")
        return self._loader(self.training, sampler=order, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        """Some of the held-out frames, evenly spread, in order."""
        spread = torch.linspace(0, len(self.held_out) - 1, min(self.validation_frames, len(self.held_out)))
        return self._loader([self.held_out[index] for index in spread.round().long().tolist()])

    def test_dataloader(self) -> DataLoader:
        """All held-out frames, in order."""
        return self._loader(self.held_out)

    def _loader(self, chosen: list[tuple[int, int]], **arguments) -> DataLoader:
        return DataLoader(
            AppearanceFrames(self.clips, chosen, self.speech_window),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=_as_it_is,
            **arguments,
        )

    def _load(self) -> None:
        if not self.paths:
            raise UserError("Expected one or more clip stores, but got none; name them with --data.clips clips/jane.")
        stores = [ClipStore(path) for path in self.paths]
        faces = [store.tracking() for store in stores]
        self.face = faces[0]
        for path, face in zip(self.paths, faces, strict=True):
            if (face.morphable_model, face.expression_names) != (self.face.morphable_model, self.face.expression_names):
                raise UserError(
                    f"Expected clips fitted with one morphable model, but '{self.paths[0]}' has "
                    f"{self.face.morphable_model} and '{path}' {face.morphable_model}; fit them again with the same."
                )
        self.morphable_model = load_morphable_model(self.face.morphable_model)
        self.encoder = load_speech_encoder(self.speech_encoder, self.layers)
        self.frame_size = self.size or stores[0].info.size
        self.clips, self.training, self.held_out = [], [], []
        for index, (store, face) in enumerate(zip(stores, faces, strict=True)):
            self.clips.append(
                load_appearance_clip(store, face, self.morphable_model, self.encoder, self.frame_size, self.painted)
            )
            seen = torch.nonzero(store.landmarks().landmark_confidence > 0)[:, 0].tolist()
            first_held_out = store.num_frames - num_held_out(store.num_frames, store.fps, self.held_out_seconds)
            self.training += [(index, frame) for frame in seen if frame < first_held_out]
            self.held_out += [(index, frame) for frame in seen if frame >= first_held_out]
        if not self.training or not self.held_out:
            raise UserError(
                f"Expected frames with a face to train and to test on in {', '.join(self.paths)}, but got "
                f"{len(self.training)} and {len(self.held_out)}."
            )


def num_held_out(num_frames: int, fps: float, seconds: int | float) -> int:
    """How many frames at a clip's end are never trained on."""
    return round(min(seconds * fps, num_frames * HELD_OUT_SHARE))


def load_appearance_clip(
    store: ClipStore,
    face: TrackedFace,
    model: MorphableModel,
    encoder: SpeechEncoder,
    size: int,
    painted: Painted = "face",
) -> AppearanceClip:
    """A fitted clip at ``size``, from its cache where that holds what these arguments lead to."""
    digest = _digest(face, model, size, painted)
    tensors = store.cached(f"appearance-maps-{digest}", lambda: pack_maps(_rasterised(face, model, size, painted)))
    frames = store.cached(f"appearance-frames-{size}", lambda: {"frames": _resized_frames(store, size)})["frames"]
    if store.info.has_audio:
        speech = clip_speech_features(store, encoder)
    else:
        warnings.warn(f"'{store.path}' is silent: its frames are learned with speech features of zero.", stacklevel=2)
        speech = torch.zeros(store.num_frames, encoder.num_features)
    return AppearanceClip(PackedMaps(tensors), frames, face.coefficients.gaze, speech.float())


def _rasterised(face: TrackedFace, model: MorphableModel, size: int, painted: Painted) -> Iterator[RenderMaps]:
    for start in range(0, face.coefficients.num_frames, _CHUNK):
        index = slice(start, start + _CHUNK)
        chunk = TrackedFace(**{**vars(face), "coefficients": face.coefficients.frames(index)})
        yield build_render_maps(chunk, model, (size, size), painted)


def _resized_frames(store: ClipStore, size: int) -> UInt8[Tensor, "T 3 {size} {size}"]:
    resized = []
    for start in range(0, store.num_frames, _CHUNK):
        frames = store.frames(range(start, min(start + _CHUNK, store.num_frames)))
        if size != store.info.size:
            frames = F.interpolate(frames, (size, size), mode="bilinear", antialias=True, align_corners=False)
        resized.append((frames.clamp(0, 1) * 255).round().to(torch.uint8))
    return torch.cat(resized)


def _digest(face: TrackedFace, model: MorphableModel, size: int, painted: Painted) -> str:
    """A hash of all that the rasterised maps depend on."""
    settings = (CACHE_VERSION, size, painted, HOLE_ENLARGEMENT, JAW_REACH, RIM, model.data.region_names)
    digest = hashlib.sha256(repr(settings).encode())
    digest.update(f"{face.camera.height} {face.camera.width} {face.camera.near} {face.camera.far}".encode())
    masks = [mask for _, mask in sorted(model.data.vertex_masks.items())]
    fitted = [*vars(face.coefficients).values(), face.camera.intrinsics, face.camera.world_to_camera]
    for tensor in [*fitted, *model.buffers(), *masks]:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]


def _as_it_is(batch: AppearanceBatch) -> AppearanceBatch:
    return batch
