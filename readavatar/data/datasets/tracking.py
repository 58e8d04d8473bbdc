"""Prepared clips → data for the tracking stage: the landmarks of all frames at once, and pixels by batches.

Lengths in an image are in units of the frame's side here, so that clips of different sizes can share a camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from readavatar.data.datasets.loading import BatchLoader, ResumableOrder
from readavatar.data.store import ClipInfo, ClipStore
from readavatar.detection.landmark_sets import IRIS_LEFT, IRIS_RIGHT, to_landmarks_68
from readavatar.errors import UserError
from readavatar.types import Landmarks, Tensors

MIN_FACES = 0.1
"""Least share of a clip's frames with a face; with fewer, the fit would be mostly interpolation."""
NEUTRAL_BELOW = 0.02
"""Strength of an emotion."""
_EVALUATION_BATCH = 16


@dataclass(frozen=True)
class Observations(Tensors):
    """The detector's results in the N frames of C clips, one clip after the other."""

    landmarks_2d: Float[Tensor, "N 68 2"]
    """Frame sides."""
    irises: Float[Tensor, "N 2 2"]
    """Centres of the subject's left and right iris, frame sides."""
    has_irises: Float[Tensor, " N"]
    """1 where the detector gives irises, else 0."""
    blendshapes: Float[Tensor, "N 52"]
    """In [0, 1], in the order of ``detection.ARKIT_NAMES``; zeros if the detector gives none."""
    confidence: Float[Tensor, " N"]
    """0 where no face was found."""
    is_neutral: Float[Tensor, " N"]
    """1 where the clip is labelled neutral, 0 where it is not or has no label."""
    clip_index: Int[Tensor, " N"]
    principal_points: Float[Tensor, "C 2"]
    """Centre of the source picture, frame sides."""
    source_sides: Float[Tensor, " C"]
    """The source's longer side, frame sides: the unit of focal lengths."""

    @property
    def num_frames(self) -> int:
        """N."""
        return self.landmarks_2d.shape[0]

    @property
    def num_clips(self) -> int:
        """C."""
        return self.principal_points.shape[0]

    def clip_frames(self, clip: int) -> Int[Tensor, " n"]:
        """Indices of the clip's frames among the N."""
        return torch.nonzero(self.clip_index == clip)[:, 0]


@dataclass(frozen=True)
class TrackingBatch(Tensors):
    """Some of the N frames, with their pixels if the step uses them."""

    step: int
    """Number of the step in the plan."""
    indices: Int[Tensor, " B"]
    frames: Float[Tensor, "B 3 H W"] | None = None
    """In [0, 1], gamma-encoded."""
    masks: Float[Tensor, "B 1 H W"] | None = None
    """Of the face."""


class FrameBatches(Dataset):
    """Batch i of a list of frame indices, read from the clips on request."""

    def __init__(self, stores: Sequence[ClipStore], batches: Sequence[tuple[Int[Tensor, " _"], int]]) -> None:
        """
        Args:
            stores: The clips, in the order of their frames.
            batches: Frame indices, and the side of the frames in pixels (0: without pixels).
        """
        self.stores, self.batches = stores, batches
        self.offsets = torch.tensor([0, *(store.num_frames for store in stores)]).cumsum(0)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> TrackingBatch:
        indices, resolution = self.batches[step]
        if not resolution:
            return TrackingBatch(step, indices)
        frames, masks = zip(*(self._read(int(index), resolution) for index in indices), strict=True)
        return TrackingBatch(step, indices, torch.cat(frames), torch.cat(masks))

    def _read(self, index: int, resolution: int) -> tuple[Tensor, Tensor]:
        clip = int(torch.searchsorted(self.offsets, index, right=True)) - 1
        frame = index - int(self.offsets[clip])
        store = self.stores[clip]
        images = store.frames(range(frame, frame + 1)), store.masks(range(frame, frame + 1))
        return tuple(F.interpolate(image, (resolution, resolution), mode="area") for image in images)


@dataclass(frozen=True)
class TrackingSpecification:
    """The footage to fit."""

    stores: tuple[ClipStore, ...]
    observations: Observations
    resolution: int
    """Side of the frames that a fit is scored on, pixels."""

    def batch(self, indices: Int[Tensor, " B"]) -> TrackingBatch:
        """Some of the N frames with their pixels, at ``resolution``."""
        return FrameBatches(self.stores, [(indices, self.resolution)])[0]


class TrackingData(pl.LightningDataModule):
    """Clips of one person, for the tracking stage."""

    def __init__(self, clips: list[str] | str, resolution: int = 128) -> None:
        """
        Args:
            clips: Clip stores of one person; they share identity, albedo and camera.
            resolution: Side of the frames that a fit is scored on, pixels.
        """
        super().__init__()
        self.clips = [clips] if isinstance(clips, str) else list(clips)
        self.resolution = resolution
        self.stores: list[ClipStore] = []
        self.observations: Observations | None = None
        self.planned: list[tuple[Int[Tensor, " _"], int]] = []

    def setup(self, stage: str) -> None:
        """Open the clips and read their landmarks.

        Raises:
            UserError: A clip is missing or damaged, or shows a face in too few frames.
        """
        if not self.clips:
            raise UserError("Expected one or more clip stores, but got none; name them with --data.clips clips/jane.")
        if self.observations is None:
            self.stores = [ClipStore(clip) for clip in self.clips]
            self.observations = read_observations(self.stores)

    def specification(self) -> TrackingSpecification:
        """The footage to fit; call it after ``setup``."""
        return TrackingSpecification(tuple(self.stores), self.observations, self.resolution)

    def require(self, planned: list[tuple[Int[Tensor, " _"], int]]) -> None:
        """Set the plan of the fit: each step's frames, and their side in pixels (0: landmarks only)."""
        self.planned = planned

    def train_dataloader(self) -> DataLoader:
        """The batches of the fit's plan, in its order."""
        order = ResumableOrder(len(self.planned))
        return BatchLoader(FrameBatches(self.stores, self.planned), batch_size=None, sampler=order)

    def test_dataloader(self) -> DataLoader:
        """Every frame once, in order, with its pixels."""
        frames = torch.arange(self.observations.num_frames).split(_EVALUATION_BATCH)
        return DataLoader(
            FrameBatches(self.stores, [(indices, self.resolution) for indices in frames]), batch_size=None
        )

    def val_dataloader(self) -> DataLoader:
        """As ``test_dataloader``."""
        return self.test_dataloader()


def read_observations(stores: Sequence[ClipStore]) -> Observations:
    """Join the detector's results of all clips."""
    parts, cameras = [], []
    for number, store in enumerate(stores):
        landmarks = store.landmarks()
        _check(landmarks, store)
        size = store.info.size
        points = landmarks.landmarks_2d / size
        num_points = points.shape[1]
        has_irises = num_points > max(*IRIS_LEFT, *IRIS_RIGHT)
        irises = points[:, [IRIS_LEFT[0], IRIS_RIGHT[0]]] if has_irises else torch.zeros(len(points), 2, 2)
        confidence = landmarks.landmark_confidence
        parts.append(
            {
                "landmarks_2d": to_landmarks_68(points),
                "irises": irises,
                "has_irises": torch.full_like(confidence, float(has_irises)),
                "blendshapes": landmarks.blendshapes,
                "confidence": confidence,
                "is_neutral": _labelled_neutral(store),
                "clip_index": torch.full(confidence.shape, number),
            }
        )
        cameras.append(_source_camera(store.info))
    joined = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    principal_points, source_sides = (torch.stack(values) for values in zip(*cameras, strict=True))
    return Observations(**joined, principal_points=principal_points, source_sides=source_sides)


def _labelled_neutral(store: ClipStore) -> Float[Tensor, " T"]:
    track = store.emotion()
    if track is None:
        return torch.zeros(store.num_frames)
    return (track.sample_frames(store.num_frames, store.fps).amax(1) < NEUTRAL_BELOW).float()


def _source_camera(info: ClipInfo) -> tuple[Float[Tensor, " 2"], Float[Tensor, ""]]:
    centre = torch.tensor([info.source_width / 2, info.source_height / 2])
    side = max(info.source_width, info.source_height) / info.crop.size
    return info.crop.source_to_clip(centre, info.size) / info.size, torch.tensor(side)


def _check(landmarks: Landmarks, store: ClipStore) -> None:
    num_points = landmarks.landmarks_2d.shape[1]
    if num_points not in (68, 478):
        raise UserError(
            f"Expected 68 or 478 landmarks a frame in '{store.path}', but got {num_points}; prepare the clip again."
        )
    if not bool(landmarks.landmarks_2d.isfinite().all()):
        raise UserError(
            f"Expected finite landmarks in '{store.path}', but got NaN or infinity; prepare the clip again."
        )
    found = int((landmarks.landmark_confidence > 0).sum())
    if found < max(1, MIN_FACES * store.num_frames):
        raise UserError(
            f"Expected a face in at least {MIN_FACES:.0%} of the frames of '{store.path}', but one was found in "
            f"{found} of {store.num_frames}; choose footage that shows the face, or prepare a part of it."
        )
