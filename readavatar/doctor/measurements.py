"""Measurements on a clip: lips, lids, mouth shapes and head angles from landmarks, and statistics of the pictures.

Lengths on the face are in inter-ocular distances. Phonemes that look alike are one viseme (Fisher 1968). Landmarks
distinguish five groups by the gap between the inner lips and the width of the mouth relative to the person's median:
closed (m, b, p), rounded (w, oo, sh), spread (ee, s), wide open (ah) and slightly open (the rest). Teeth and tongue,
which distinguish f and th, are not among the landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_laplace
from torch import Tensor

from readavatar.data.store import ClipStore
from readavatar.errors import UserError
from readavatar.morphable import load_morphable_model
from readavatar.rendering.camera import axis_angle_to_matrix
from readavatar.tracking.initialization import initial_pose
from readavatar.types import DEFAULT_FOCAL, TrackedFace

EYE_CORNERS = (36, 45)
"""iBUG's outer corners of the right and the left eye, about 90 mm apart in an adult (Farkas 1994)."""
EYE_CORNERS_MILLIMETRES = 90.0
_INNER_LIPS = ((61, 67), (62, 66), (63, 65))
_LIP_CORNERS = (48, 54)
_EYES = (36, 42)
_OPEN_QUANTILE = 0.8
"""Quantile of the lids' opening that counts as usual; it does not depend on how often the eyes are closed."""


def interocular(landmarks: Float[Tensor, "T 68 2"]) -> Float[Tensor, " T"]:
    """Distance of the outer corners of the eyes, pixels."""
    return (landmarks[:, EYE_CORNERS[0]] - landmarks[:, EYE_CORNERS[1]]).norm(dim=-1)


def lip_opening(landmarks: Float[Tensor, "T 68 2"]) -> Float[Tensor, " T"]:
    """Mean gap between the inner lips."""
    gaps = [(landmarks[:, upper] - landmarks[:, lower]).norm(dim=-1) for upper, lower in _INNER_LIPS]
    return torch.stack(gaps).mean(0) / interocular(landmarks).clamp(min=1e-6)


def lip_width(landmarks: Float[Tensor, "T 68 2"]) -> Float[Tensor, " T"]:
    """From corner to corner of the mouth."""
    left, right = _LIP_CORNERS
    return (landmarks[:, left] - landmarks[:, right]).norm(dim=-1) / interocular(landmarks).clamp(min=1e-6)


def lid_opening(landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"]) -> Float[Tensor, " T"]:
    """Height over width of the eyes (Soukupová & Čech 2016, eq. 1), 1 at the usual opening."""
    ratios = []
    for first in _EYES:
        eye = landmarks[:, first : first + 6]
        height = (eye[:, 1] - eye[:, 5]).norm(dim=-1) + (eye[:, 2] - eye[:, 4]).norm(dim=-1)
        ratios.append(height / (2 * (eye[:, 0] - eye[:, 3]).norm(dim=-1)).clamp(min=1e-6))
    ratio = torch.stack(ratios).mean(0)
    usual = ratio[seen].quantile(_OPEN_QUANTILE) if bool(seen.any()) else ratio.new_tensor(1.0)
    return ratio / usual.clamp(min=1e-6)


def fill_unseen(landmarks: Float[Tensor, "T L 2"], seen: Bool[Tensor, " T"]) -> Float[Tensor, "T L 2"]:
    """Interpolate landmarks linearly in frames without a face; unchanged if no frame has one."""
    known = torch.nonzero(seen)[:, 0]
    if len(known) in (0, len(seen)):
        return landmarks
    frames = torch.arange(len(seen))
    after = torch.searchsorted(known, frames)
    left, right = known[(after - 1).clamp(min=0)], known[after.clamp(max=len(known) - 1)]
    share = ((frames - left) / (right - left).clamp(min=1)).clamp(0, 1)[:, None, None].to(landmarks)
    return torch.where(seen[:, None, None], landmarks, landmarks[left].lerp(landmarks[right], share))


def runs(flags: Bool[Tensor, " T"]) -> list[tuple[int, int]]:
    """Stretches [first, last) in which ``flags`` holds."""
    edges = torch.nn.functional.pad(flags.int(), (1, 1)).diff()
    starts, ends = torch.nonzero(edges == 1)[:, 0].tolist(), torch.nonzero(edges == -1)[:, 0].tolist()
    return list(zip(starts, ends, strict=True))


CLOSED_MILLIMETRES = 2.2
"""Gap between the inner lips; the detector's landmarks of closed lips are up to a pixel apart."""
WIDE_OPEN_MILLIMETRES = 9.0
"""Gap of stressed open vowels."""
ROUNDED, SPREAD = 0.93, 1.06
"""Relative to the usual width."""
SHAPES = ("closed", "rounded", "spread", "wide open", "slightly open")


def mouth_shapes(landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"]) -> dict[str, Bool[Tensor, " T"]]:
    """The frames of each group; every frame with a face is in one group.

    Args:
        landmarks: Pixels.
        seen: Frames with a face.
    """
    gap = lip_opening(landmarks) * EYE_CORNERS_MILLIMETRES
    width = lip_width(landmarks)
    width = width / (width[seen].median() if bool(seen.any()) else 1.0)
    flags = {
        "closed": gap < CLOSED_MILLIMETRES,
        "rounded": width < ROUNDED,
        "wide open": gap > WIDE_OPEN_MILLIMETRES,
        "spread": width > SPREAD,
        "slightly open": torch.ones_like(seen),
    }
    taken = ~seen
    shapes = {}
    for name, flag in flags.items():
        shapes[name] = flag & ~taken
        taken = taken | flag
    return {name: shapes[name] for name in SHAPES}


def count_times(flags: Bool[Tensor, " T"]) -> int:
    """The number of stretches in which ``flags`` holds."""
    return len(runs(flags))


_WEIGHTS = torch.cat([torch.full((count,), weight) for count, weight in ((17, 0.0), (10, 0.2), (21, 1.0), (20, 0.2))])
"""Of jaw line, brows, nose and eyes, mouth: high for points that move only with the head."""


def head_angles(landmarks: Float[Tensor, "T 68 2"], size: int, tracking: TrackedFace | None) -> Float[Tensor, "T 2"]:
    """(yaw, pitch), degrees: to the viewer's right, and up; 0 is towards the camera.

    Args:
        landmarks: Pixels.
        size: Of the frames, pixels.
        tracking: The fit, if there is one. Otherwise the average head is aligned with the landmarks, which gives a
            constant error of some degrees in pitch for other faces.
    """
    if tracking is not None:
        return _angles(tracking.coefficients.rotation)
    model = load_morphable_model("builtin")
    head = model.landmarks_3d(model.template[None]).expand(len(landmarks), -1, -1)
    points = (landmarks - size / 2) * torch.tensor([1.0, -1.0])
    rotation, _ = initial_pose(head, points, _WEIGHTS, torch.full((len(landmarks),), DEFAULT_FOCAL * size))
    return _angles(rotation)


def _angles(rotation: Float[Tensor, "T 3"]) -> Float[Tensor, "T 2"]:
    ahead = axis_angle_to_matrix(rotation)[..., 2]
    yaw = torch.atan2(ahead[:, 0], ahead[:, 2])
    return torch.stack([yaw, ahead[:, 1].clamp(-1, 1).asin()], 1).rad2deg()


_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""BT.601's weights."""
_SHARPNESS_SCALE = 1.0
"""Pixels; finer detail is sensor noise."""
_UPPER_FACE = slice(17, 48)
"""iBUG's brows, nose and eyes, whose sharpness does not depend on the mouth."""
_SMALLEST_PATCH = 8
"""Pixels."""


@dataclass(frozen=True)
class FrameStatistics:
    """Statistics of each frame; NaN if its picture cannot be read."""

    contrast: Float[Tensor, " T"]
    """Standard deviation of the luminance of the whole frame, levels of 255."""
    sharpness: Float[Tensor, " T"]
    """Standard deviation of the Laplacian of Gaussian over brows, eyes and nose, levels; NaN without a face."""
    change: Float[Tensor, " T"]
    """Mean absolute difference of the face from the frame before, levels; infinite for the first."""
    errors: tuple[str, ...]
    """Messages about the pictures that cannot be read."""

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
    """Measure every picture, in one pass.

    Args:
        store: The clip.
        landmarks: Of the face, pixels.
        seen: Frames with a face.
        tick: Called with the share that is done.
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
        # Only the face: the background may be still.
        where = _box(points, luminance.shape) if seen[index] else (slice(None), slice(None))
        change[index] = float(np.abs(luminance - before)[where].mean()) if before is not None else torch.inf
        if seen[index]:
            sharpness[index] = _sharpness(luminance[_box(points[_UPPER_FACE], luminance.shape)])
        before = luminance
        tick((index + 1) / store.num_frames)
    return FrameStatistics(contrast, sharpness, change, tuple(errors))


def _box(points: Float[np.ndarray, "n 2"], shape: tuple[int, int]) -> tuple[slice, slice]:
    """The box around some points; the whole picture if the box is too small."""
    upper = np.array([shape[1], shape[0]])
    left, top = np.floor(points.min(0)).clip(0, upper).astype(int)
    right, bottom = np.ceil(points.max(0)).clip(0, upper).astype(int)
    if min(right - left, bottom - top) < _SMALLEST_PATCH:
        return slice(None), slice(None)
    return slice(top, bottom), slice(left, right)


def _sharpness(patch: Float[np.ndarray, "h w"]) -> float:
    return float(gaussian_laplace(patch, _SHARPNESS_SCALE).std())
