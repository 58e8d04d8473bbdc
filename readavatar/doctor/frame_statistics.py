"""One pass over a clip's pictures: how bright, how sharp, how different from the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_laplace
from torch import Tensor

from readavatar.data.clip_store import ClipStore
from readavatar.errors import UserError

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""BT.601's weights."""
_SHARPNESS_SCALE = 1.0
"""Pixels; finer detail is sensor noise."""
_UPPER_FACE = slice(17, 48)
"""iBUG's brows, nose and eyes, whose sharpness does not depend on what the mouth does."""
_SMALLEST_PATCH = 8
"""Pixels."""


@dataclass(frozen=True)
class FrameStatistics:
    """By frame; NaN where a picture cannot be read."""

    contrast: Float[Tensor, " T"]
    """Standard deviation of the luminance of the whole frame, levels of 255."""
    sharpness: Float[Tensor, " T"]
    """Standard deviation of the Laplacian of Gaussian over brows, eyes and nose, levels; NaN without a face."""
    change: Float[Tensor, " T"]
    """Mean absolute difference of the face from the frame before, levels; infinite for the first."""
    errors: tuple[str, ...]
    """Of the pictures that cannot be read."""

    @property
    def unreadable(self) -> Bool[Tensor, " T"]:
        """Pictures that are missing or damaged."""
        return self.contrast.isnan()


def measure_frames(
    store: ClipStore,
    landmarks: Float[Tensor, "T 68 2"],
    seen: Bool[Tensor, " T"],
    tick: Callable[[float], None] = lambda share: None,
) -> FrameStatistics:
    """Look at every picture once.

    Args:
        store: The clip.
        landmarks: Where the face is, pixels.
        seen: Where there is one.
        tick: Is told the share that is done.
    """
    contrast = torch.full((store.num_frames,), torch.nan)
    sharpness, change = contrast.clone(), contrast.clone()
    errors, before = [], None
    for index in range(store.num_frames):
        try:
            luminance = store.frame(index).astype(np.float32) @ _LUMINANCE
        except UserError as error:
            errors.append(str(error))
            before = None
            continue
        contrast[index] = float(luminance.std())
        points = landmarks[index].numpy()
        # A wall behind the face may well stand still.
        where = _box(points, luminance.shape) if seen[index] else (slice(None), slice(None))
        change[index] = float(np.abs(luminance - before)[where].mean()) if before is not None else torch.inf
        if seen[index]:
            sharpness[index] = _sharpness(luminance[_box(points[_UPPER_FACE], luminance.shape)])
        before = luminance
        tick((index + 1) / store.num_frames)
    return FrameStatistics(contrast, sharpness, change, tuple(errors))


def _box(points: Float[np.ndarray, "n 2"], shape: tuple[int, int]) -> tuple[slice, slice]:
    """The pixels around some points; the whole picture where these are too few."""
    upper = np.array([shape[1], shape[0]])
    left, top = np.floor(points.min(0)).clip(0, upper).astype(int)
    right, bottom = np.ceil(points.max(0)).clip(0, upper).astype(int)
    if min(right - left, bottom - top) < _SMALLEST_PATCH:
        return slice(None), slice(None)
    return slice(top, bottom), slice(left, right)


def _sharpness(patch: Float[np.ndarray, "h w"]) -> float:
    return float(gaussian_laplace(patch, _SHARPNESS_SCALE).std())
