"""Landmarks, lids and gaze of the detector and of a fit, drawn over frames; and close-ups of eyes and mouth.

A close-up is a window that follows the landmarks smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from readavatar.data.store import ClipStore
from readavatar.detection.landmark_sets import IRIS_LEFT, IRIS_RIGHT, to_landmarks_68
from readavatar.metrics import landmark_error
from readavatar.morphable.model import MorphableModel, gaze_rotation
from readavatar.rendering.camera import head_to_world, project
from readavatar.tracking.model_part import LandmarkModel
from readavatar.types import Camera, TrackedFace

GAZE_LENGTH = 0.04
"""Length of the line of sight that is drawn from a pupil, metres."""
_BATCH = 256
_INNER = slice(17, 68)
"""The landmarks within the face, without the jaw line, whose points depend on the head's rotation."""
_LIPS = ((61, 67), (62, 66), (63, 65))
_RIGHT_LIDS, _LEFT_LIDS = ((37, 41), (38, 40)), ((43, 47), (44, 46))
"""Pairs of iBUG landmarks, upper and lower."""
OPENINGS = {"lip gap": _LIPS, "left lid gap": _LEFT_LIDS, "right lid gap": _RIGHT_LIDS}


@dataclass(frozen=True)
class SeenPoints:
    """The detector's points in T frames."""

    landmarks: Float[Tensor, "T 68 2"]
    """Frame sides."""
    irises: Float[Tensor, "T 2 5 2"] | None
    """Centre and rim of the subject's left and right iris, frame sides; None if the detector gives none."""
    found: Bool[Tensor, " T"]
    """Frames with a face; the other frames' points are not valid."""


@dataclass(frozen=True)
class FittedPoints:
    """A fit's points in the same frames."""

    landmarks: Float[Tensor, "T 68 2"]
    """Frame sides."""
    pupils: Float[Tensor, "T P 2"]
    """P = 2, left and right, or 0 for a model without eyeballs; frame sides."""
    sight: Float[Tensor, "T P 2"]
    """End of the line of sight that is drawn from each pupil."""


def seen_points(store: ClipStore) -> SeenPoints:
    """Read the detector's points."""
    landmarks = store.landmarks()
    points = landmarks.landmarks_2d / store.info.size
    has_irises = points.shape[1] > max(*IRIS_LEFT, *IRIS_RIGHT)
    irises = torch.stack([points[:, list(IRIS_LEFT)], points[:, list(IRIS_RIGHT)]], 1) if has_irises else None
    return SeenPoints(to_landmarks_68(points), irises, landmarks.landmark_confidence > 0)


@torch.no_grad()
def fitted_points(face: TrackedFace, model: MorphableModel) -> FittedPoints:
    """Project a fit's landmarks, pupils and lines of sight."""
    landmark_model = LandmarkModel(model)
    scale = torch.tensor([face.camera.width, face.camera.height], dtype=torch.float32)
    parts = []
    for frames in torch.arange(face.coefficients.num_frames).split(_BATCH):
        some = face.coefficients.frames(frames)
        landmarks, pupils = landmark_model(some.shape_coefficients[None], some.expression_coefficients, some.gaze)
        direction = gaze_rotation(some.gaze)[:, None, :, 2]
        points = torch.cat([landmarks, pupils, pupils + GAZE_LENGTH * direction], 1)
        parts.append(project(head_to_world(points, some.rotation, some.translation), face.camera) / scale)
    landmarks, ends = torch.cat(parts).split([68, parts[0].shape[1] - 68], 1)
    pupils, sight = ends.chunk(2, 1)
    return FittedPoints(landmarks, pupils, sight)


def landmark_errors(fitted: FittedPoints, seen: SeenPoints) -> Float[Tensor, " T"]:
    """Mean over the 51 landmarks within the face, per cent of the inter-ocular distance; NaN without one."""
    errors = landmark_error(fitted.landmarks, seen.landmarks)[:, _INNER].mean(1) * 100
    return torch.where(seen.found, errors, torch.nan)


def jumps(landmarks: Float[Tensor, "T 68 2"]) -> Float[Tensor, " T"]:
    """Distance of the inner landmarks from the mean of their neighbours in time, per cent of the inter-ocular distance.

    Blinks and plosives have high values, too; a high value without motion of the person is an error of the fit.
    """
    if len(landmarks) < 3:
        return torch.full((len(landmarks),), torch.nan)
    midway = (landmarks[2:] + landmarks[:-2]) / 2
    inner = landmark_error(midway, landmarks[1:-1])[:, _INNER].mean(1) * 100
    return torch.cat([torch.tensor([torch.nan]), inner, torch.tensor([torch.nan])])


def openings(landmarks: Float[Tensor, "T 68 2"]) -> dict[str, Float[Tensor, " T"]]:
    """Gaps between lips and between lids, per cent of the inter-ocular distance."""
    eyes = (landmarks[:, 42:48].mean(1) - landmarks[:, 36:42].mean(1)).norm(dim=-1).clamp(min=1e-6)

    def gap(pairs: tuple[tuple[int, int], ...]) -> Tensor:
        upper, lower = (landmarks[:, [pair[side] for pair in pairs]] for side in (0, 1))
        return (upper - lower).norm(dim=-1).mean(1) / eyes * 100

    return {name: gap(pairs) for name, pairs in OPENINGS.items()}


def filled(values: Float[Tensor, " T *c"], known: Bool[Tensor, " T"]) -> Float[Tensor, " T *c"]:
    """Values of all frames, interpolated in frames that are not ``known``; unchanged if none is."""
    if bool(known.all()) or not bool(known.any()):
        return values
    flat, times = values.flatten(1).double().numpy(), np.arange(len(values))
    columns = [np.interp(times, times[known.numpy()], column[known.numpy()]) for column in flat.T]
    return torch.from_numpy(np.stack(columns, 1)).to(values.dtype).view_as(values)


FITTED, LIDS, SEEN, GAZE = (255, 70, 50), (255, 210, 40), (60, 255, 90), (80, 160, 255)
"""Colours of the fit's contours, its lids, the detector's points and the lines of sight."""
CONTOURS = (
    (range(17), False, FITTED),
    (range(17, 22), False, FITTED),
    (range(22, 27), False, FITTED),
    (range(27, 31), False, FITTED),
    (range(31, 36), False, FITTED),
    (range(36, 42), True, LIDS),
    (range(42, 48), True, LIDS),
    (range(48, 60), True, FITTED),
    (range(60, 68), True, FITTED),
)
"""Runs of iBUG landmarks that form lines, and whether each line is closed (Sagonas et al. 2013)."""
_SUPERSAMPLING = 2
_DOT = 0.0038
"""Radius of the detector's points, frame sides."""
_WIDTH = 0.004
"""Of lines, frame sides."""


def draw_points(
    image: UInt8[np.ndarray, "H W 3"], index: int, seen: SeenPoints, fitted: FittedPoints | None
) -> UInt8[np.ndarray, "H W 3"]:
    """One frame with the fit's contours and gaze (lines) and the detector's landmarks and irises (dots, rings).

    If both agree, the dots are on the lines. A frame without a face has a red border.

    Args:
        image: The frame, of any size.
        index: Index of the frame.
        seen: The detector's points.
        fitted: The fit's, if there is one.
    """
    size = image.shape[0] * _SUPERSAMPLING
    layer = Image.new("RGBA", (size, size))
    draw = ImageDraw.Draw(layer)
    width = max(1, round(_WIDTH * size))
    if fitted is not None:
        landmarks = _pixels(fitted.landmarks[index], size)
        for run, closed, colour in CONTOURS:
            line = [landmarks[place] for place in run]
            draw.line(line + line[:1] if closed else line, fill=colour, width=width, joint="curve")
        for pupil, end in zip(_pixels(fitted.pupils[index], size), _pixels(fitted.sight[index], size), strict=True):
            draw.line([pupil, end], fill=GAZE, width=width)
            _dot(draw, pupil, 1.5 * width, GAZE)
    if bool(seen.found[index]):
        for point in _pixels(seen.landmarks[index], size):
            _dot(draw, point, _DOT * size, SEEN)
        for iris in () if seen.irises is None else seen.irises[index]:
            centre, rim = iris[:1], iris[1:]
            (x, y), radius = _pixels(centre, size)[0], float((rim - centre).norm(dim=1).mean()) * size
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=SEEN, width=max(1, width // 2))
    else:
        draw.rectangle((0, 0, size - 1, size - 1), outline=FITTED, width=2 * width)
    picture = Image.fromarray(image).convert("RGBA")
    return np.asarray(Image.alpha_composite(picture, layer.reduce(_SUPERSAMPLING)).convert("RGB"))


def _pixels(points: Float[Tensor, "n 2"], size: int) -> list[tuple[float, float]]:
    # Pillow's pixel centres are at 0, ours at 0.5.
    return [tuple(point) for point in (points * size - 0.5).tolist()]


def _dot(draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, colour: tuple[int, int, int]) -> None:
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


EYES, MOUTH = [*range(36, 48)], [*range(48, 68)]
"""Of the 68 iBUG landmarks."""
WIDTHS = {"eyes": 1.9, "mouth": 1.6}
"""Of the windows, in inter-ocular distances; they include the brows and an open mouth."""
STEADY_SECONDS = 0.12
"""Standard deviation of the Gaussian that smooths the windows' motion."""


def window_centres(landmarks: Float[Tensor, "T 68 2"], part: str, fps: float) -> Float[Tensor, "T 2"]:
    """Centre of the close-up of ``eyes`` or ``mouth`` in each frame, in the landmarks' unit."""
    chosen = landmarks[:, EYES if part == "eyes" else MOUTH].mean(1)
    radius = min(max(1, round(3 * STEADY_SECONDS * fps)), len(chosen) - 1)
    if radius < 1:
        return chosen
    kernel = torch.exp(-((torch.arange(-radius, radius + 1) / (STEADY_SECONDS * fps)) ** 2) / 2)
    padded = F.pad(chosen.T[:, None], (radius, radius), mode="replicate")
    return F.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0].T


def window_width(landmarks: Float[Tensor, "T 68 2"], part: str) -> float:
    """One width for the clip, in the landmarks' unit."""
    eyes = (landmarks[:, 42:48].mean(1) - landmarks[:, 36:42].mean(1)).norm(dim=-1)
    return WIDTHS[part] * max(float(eyes.median()), 1e-3)


def window_camera(camera: Camera, centre: Float[Tensor, " 2"], width: float, resolution: tuple[int, int]) -> Camera:
    """The camera of a window: the same view, cropped and enlarged.

    Args:
        camera: Of the whole frame.
        centre: Frame sides.
        width: Frame sides.
        resolution: Height and width of the window's picture, pixels.
    """
    scale = resolution[1] / (width * camera.width)
    intrinsics = camera.intrinsics * torch.tensor([scale, scale, 1.0])[:, None]
    side = torch.tensor([camera.width, camera.height], dtype=centre.dtype)
    intrinsics[:2, 2] += torch.tensor([resolution[1] / 2, resolution[0] / 2]) - centre * side * scale
    return replace(camera, intrinsics=intrinsics, height=resolution[0], width=resolution[1])


def cut_window(
    frame: Float[Tensor, "3 H W"], centre: Float[Tensor, " 2"], width: float, resolution: tuple[int, int]
) -> Float[Tensor, "3 h w"]:
    """The window of a frame; outside the frame its edge is repeated. Arguments as for ``window_camera``."""
    theta = torch.zeros(1, 2, 3)
    theta[0, 0, 0], theta[0, 1, 1] = width, width * resolution[0] / resolution[1]
    theta[0, :, 2] = centre * 2 - 1
    grid = F.affine_grid(theta, [1, 3, *resolution], align_corners=False)
    return F.grid_sample(frame[None], grid, mode="bicubic", padding_mode="border", align_corners=False)[0].clamp(0, 1)
