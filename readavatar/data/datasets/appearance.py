"""Fitted clips → batches for the appearance stage.

What can be computed once is, and kept in each clip's cache, so that a batch is a matter of indexing; only the meshes
that training disturbs are rasterised anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Literal

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from readavatar.data.datasets.appearance_clips import (
    AppearanceBatch,
    AppearanceClip,
    FitAugmentation,
    load_appearance_clip,
)
from readavatar.data.datasets.speech_features import describe_encoder
from readavatar.data.raster.render_inputs import MapSettings, RenderInputs, measure_jaw_reach
from readavatar.data.store import ClipStore
from readavatar.errors import UserError
from readavatar.morphable import load_morphable_model
from readavatar.prefetch import prefetch
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
            driven_share: Of the frames of rehearsed clips, under the mesh as the speech model moves it.
            seed: Of both.
        """
        self.clips, self.chosen, self.window = clips, chosen, window
        self.augmentation, self.driven_share, self.seed = augmentation, driven_share, seed

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, item: int) -> AppearanceBatch:
        return self.__getitems__([item])

    def __getitems__(self, items: list[int]) -> AppearanceBatch:
        """A batch, in the order of ``items``."""
        batches = [self._load(item) for item in items]
        joined = {key: torch.cat([vars(batch.inputs)[key] for batch in batches]) for key in vars(batches[0].inputs)}
        frames, is_driven = (torch.cat([getattr(b, key) for b in batches]) for key in ("frames", "is_driven"))
        return AppearanceBatch(RenderInputs(**joined), frames, is_driven)

    def _load(self, item: int) -> AppearanceBatch:
        clip, frame = self.chosen[item % len(self.chosen)]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + item)
        is_driven, is_augmented = (
            float(torch.rand((), generator=generator)) < share for share in (self.driven_share, self.augmentation.share)
        )
        if is_driven and self.clips[clip].rehearsed is not None:
            return self.clips[clip].driven_batch([frame], self.window)
        if is_augmented:
            return self.clips[clip].augmented_batch([frame], self.window, self.augmentation, generator)
        return self.clips[clip].batch([frame], self.window)


class PrefetchLoader(DataLoader):
    """Makes the next batch while one is used, in a thread: the next one waits less, and nothing is copied."""

    def __iter__(self) -> Iterator[AppearanceBatch]:
        return prefetch(super().__iter__())


class EpochOrder(Sampler[int]):
    """A random order of frames that (seed, epoch) decide; runs of ``consecutive`` neighbours stay together.

    Frame i of epoch k is given as i + k · (how many frames there are), so that the dataset knows the epoch, too.
    """

    def __init__(self, chosen: list[tuple[int, int]], seed: int, consecutive: int = 1) -> None:
        """
        Args:
            chosen: (clip, frame) of each item, sorted.
            seed: Of the order.
            consecutive: Length of the runs; frames that are in no whole run are left out.
        """
        self.seed, self.epoch, self.consecutive, self.total = seed, 0, consecutive, len(chosen)
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
            first = self.starts[index] + self.epoch * self.total
            yield from range(first, first + self.consecutive)


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
            driven_share: Of the frames that are trained on, where an avatar has rehearsed the clip; they are judged
                by the discriminator alone, as the footage shows another motion.
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
            "maps": asdict(self.map_settings),
        }

    def train_dataloader(self) -> DataLoader:
        """Frames in an order that (seed, epoch) decide."""
        order = EpochOrder(self.training, self.seed, self.consecutive)
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

    def _loader(self, frames: AppearanceFrames, **arguments) -> PrefetchLoader:
        return PrefetchLoader(
            frames,
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
        # One for all clips, so that a paint mask does not tell which clip it is in.
        reach = max(measure_jaw_reach(face, self.morphable_model) for face in faces)
        self.map_settings = MapSettings(self.painted, jaw_reach=reach, supersampling=self.supersampling)
        self.clips, self.training, self.held_out = [], [], []
        for index, (store, face) in enumerate(zip(stores, faces, strict=True)):
            arguments = (self.morphable_model, self.encoder, self.frame_size, self.map_settings)
            self.clips.append(load_appearance_clip(store, face, *arguments))
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


def _as_it_is(batch: AppearanceBatch) -> AppearanceBatch:
    return batch
