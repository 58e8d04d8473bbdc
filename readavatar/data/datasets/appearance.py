"""Fitted clips → batches for the appearance stage.

What can be computed once is, and kept in each clip's cache, so that a batch is a matter of indexing; only the meshes
that training disturbs are rasterised anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from readavatar.data.datasets.appearance_batches import AppearanceBatch, MeshBatch, joined
from readavatar.data.datasets.appearance_clips import (
    AppearanceClip,
    AppearanceSpecification,
    FitAugmentation,
    load_appearance_clip,
    rasterized,
)
from readavatar.data.datasets.loading import BatchLoader, SeededOrder
from readavatar.data.datasets.speech_features import describe_encoder
from readavatar.data.raster.render_inputs import MapSettings, measure_jaw_reach
from readavatar.data.store import ClipStore
from readavatar.errors import UserError
from readavatar.morphable import load_morphable_model
from readavatar.speech import load_speech_encoder

HELD_OUT_SHARE = 0.25
"""Of a clip, at most: an 8 s clip keeps 6 s to train on."""
_NO_AUGMENTATION = FitAugmentation(share=0.0)


class AppearanceFrames(Dataset):
    """Chosen frames of several clips; loaded a batch at a time."""

    def __init__(
        self,
        clips: list[AppearanceClip],
        chosen: list[tuple[int, int]],
        window: int,
        augmentation: FitAugmentation = _NO_AUGMENTATION,
        driven_share: float = 0.0,
        seed: int = 0,
    ) -> None:
        """
        Args:
            clips: All at one size.
            chosen: (clip, frame) of each item.
            window: Video frames of speech around each.
            augmentation: Of the fit; an item i + k · len is item i, disturbed in another way for each k.
            driven_share: Of the frames of driven clips, under the mesh as speech drives it.
            seed: Of both.
        """
        self.clips, self.chosen, self.window = clips, chosen, window
        self.augmentation, self.driven_share, self.seed = augmentation, driven_share, seed

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, item: int) -> AppearanceBatch | MeshBatch:
        return self.__getitems__([item])

    def __getitems__(self, items: list[int]) -> AppearanceBatch | MeshBatch:
        """A batch, in the order of ``items``; of meshes, where the clips have no maps."""
        return joined([self._load(item) for item in items])

    def _load(self, item: int) -> AppearanceBatch | MeshBatch:
        number, frame = self.chosen[item % len(self.chosen)]
        clip, coefficients = self.clips[number], None
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + item)
        is_driven, is_augmented = (
            float(torch.rand((), generator=generator)) < share for share in (self.driven_share, self.augmentation.share)
        )
        is_driven = is_driven and clip.driven is not None
        if is_driven:
            coefficients = clip.spoken(frame)
        elif is_augmented:
            coefficients = clip.augmented(frame, self.augmentation, generator)
        if clip.maps is None:
            return clip.mesh_batch(number, [frame], self.window, coefficients, is_driven)
        return clip.batch([frame], self.window, coefficients, is_driven)


class FrameOrder(SeededOrder):
    """A random order of frames that (seed, epoch) decide; runs of ``consecutive`` neighbours stay together.

    Frame i of epoch k is given as i + k · (how many frames there are), so that the dataset is told the epoch, too.
    """

    def __init__(self, chosen: list[tuple[int, int]], seed: int, consecutive: int = 1) -> None:
        """
        Args:
            chosen: (clip, frame) of each item, sorted.
            seed: Of the order.
            consecutive: Length of the runs; frames that are in no whole run are left out.
        """
        self.consecutive, self.total = consecutive, len(chosen)
        self.starts = [
            start
            for start in range(0, len(chosen) - consecutive + 1)
            if chosen[start + consecutive - 1] == (chosen[start][0], chosen[start][1] + consecutive - 1)
        ]
        super().__init__(len(self.starts) // consecutive * consecutive, seed)

    def order(self) -> list[int]:
        """The epoch's items."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        runs = torch.randperm(len(self.starts), generator=generator)[: len(self) // self.consecutive].tolist()
        firsts = [self.starts[run] + self.epoch * self.total for run in runs]
        return [first + step for first in firsts for step in range(self.consecutive)]


class AppearanceData(pl.LightningDataModule):
    """Fitted clips of one person: all but their last seconds to train on, those to test on."""

    def __init__(
        self,
        clips: str | list[str],
        size: int | None = None,
        painted: Literal["face", "lower_face"] = "face",
        supersampling: int = 2,
        speech_encoder: str = "auto",
        layers: list[int] | None = None,
        speech_window: int = 9,
        held_out_seconds: float = 10.0,
        validation_frames: int = 24,
        batch_size: int = 6,
        consecutive: int = 1,
        augmentation: FitAugmentation = FitAugmentation(),  # noqa: B008 (frozen)
        driven_share: float = 0.15,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        """
        Args:
            clips: Folders of fitted clip stores.
            size: Side of the frames to train at, pixels; by default the first clip's own.
            painted: What is painted: the whole face, or its part below the nose's tip.
            supersampling: Points along a pixel's side at which the mesh is seen.
            speech_encoder: Of ``load_speech_encoder``.
            layers: Its layers.
            speech_window: Video frames of speech that a frame is given, odd.
            held_out_seconds: At the end of each clip, at most a quarter of it; never trained on.
            validation_frames: How many held-out frames ``validate`` looks at, evenly spread; ``test`` looks at all.
            batch_size: Frames.
            consecutive: 2 gives batches of neighbouring frames, which the ``temporal`` loss needs.
            augmentation: Of the fit that is trained on; not of the one that is tested on.
            driven_share: Of the frames that are trained on, under the expressions of ``drive``; they are judged by the
                discriminator alone, as the footage shows another motion.
            num_workers: Processes that load; none leaves it to a thread, which is usually best.
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
        self.painted, self.supersampling = painted, supersampling
        self.size, self.speech_encoder, self.layers, self.speech_window = size, speech_encoder, layers, speech_window
        self.held_out_seconds, self.validation_frames = held_out_seconds, validation_frames
        self.batch_size, self.consecutive, self.num_workers, self.seed = batch_size, consecutive, num_workers, seed
        if not 0 <= driven_share <= 1:
            raise UserError(f"Expected a driven_share in [0, 1], but got {driven_share}.")
        self.augmentation, self.driven_share = augmentation, driven_share
        self.clips: list[AppearanceClip] = []
        self.driven: Sequence[Tensor | None] | None = None
        self.has_maps = True

    def drive(self, driven: Sequence[Float[Tensor, "_ E"] | None]) -> None:
        """Give each clip the expressions that an avatar's expression stage gives to its sound; before ``setup``.

        Args:
            driven: Of each clip's frames; None for a clip without.
        """
        self.driven = driven

    def rasterize_on_device(self) -> None:
        """Rasterise batches after their transfer, on the device where they are; before ``setup``."""
        self.has_maps = False

    def on_after_batch_transfer(self, batch: AppearanceBatch | MeshBatch, dataloader_idx: int) -> AppearanceBatch:
        """Rasterise what is not rasterised yet."""
        return rasterized(batch, self.clips) if isinstance(batch, MeshBatch) else batch

    def prepare_data(self) -> None:
        """Fill the clips' caches."""
        self.setup("fit")

    def setup(self, stage: str) -> None:
        """Open the caches and share the frames out between training and testing."""
        if not self.clips:
            self._load()

    def specification(self) -> AppearanceSpecification:
        """What a network that is trained on these clips has to be built for; after ``setup``."""
        return AppearanceSpecification(
            speech_encoder=describe_encoder(self.encoder),
            morphable_model=self.face.morphable_model,
            expression_names=tuple(self.face.expression_names),
            size=self.frame_size,
            fps=self.fps,
            maps=self.map_settings,
            num_speech_features=self.clips[0].speech.shape[1],
            num_regions=len(self.morphable_model.region_names),
            speech_window=self.speech_window,
            consecutive=self.consecutive,
            clips=tuple(self.clips),
            training=tuple(self.training),
        )

    def require(self) -> None:
        """The network asks for nothing."""

    def train_dataloader(self) -> DataLoader:
        """Frames in an order that (seed, epoch) decide."""
        order = FrameOrder(self.training, self.seed, self.consecutive)
        if len(order) < self.batch_size:
            raise UserError(f"Expected {self.batch_size} or more frames to train on, but the clips give {len(order)}.")
        frames = AppearanceFrames(
            self.clips, self.training, self.speech_window, self.augmentation, self.driven_share, self.seed
        )
        return self._loader(frames, sampler=order, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        """Some of the held-out frames, evenly spread, in order."""
        spread = torch.linspace(0, len(self.held_out) - 1, min(self.validation_frames, len(self.held_out)))
        chosen = [self.held_out[index] for index in spread.round().long().tolist()]
        return self._loader(AppearanceFrames(self.clips, chosen, self.speech_window))

    def test_dataloader(self) -> DataLoader:
        """All held-out frames, in order."""
        return self._loader(AppearanceFrames(self.clips, self.held_out, self.speech_window))

    def _loader(self, frames: AppearanceFrames, **arguments) -> BatchLoader:
        return BatchLoader(
            frames,
            prefetches=True,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
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
        self.frame_size, self.fps = self.size or stores[0].info.size, stores[0].fps
        # One for all clips, so that a paint mask does not tell which clip it is in.
        reach = max(measure_jaw_reach(face, self.morphable_model) for face in faces)
        self.map_settings = MapSettings(self.painted, jaw_reach=reach, supersampling=self.supersampling)
        self.clips, self.training, self.held_out = [], [], []
        for index, (store, face) in enumerate(zip(stores, faces, strict=True)):
            driven = self.driven[index] if self.driven is not None else None
            arguments = (self.morphable_model, self.encoder, self.frame_size, self.map_settings)
            self.clips.append(load_appearance_clip(store, face, *arguments, driven, self.has_maps))
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
