"""How similar rendered frames are to the footage: inside the face, at the mouth, over time, and in the gaze.

Only the pixels inside the convex hull of the frame's own landmarks count. LPIPS gets the hull's bounding box with the
rest of it black. Gaze is measured by MediaPipe's irises, which no training uses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.spatial import ConvexHull
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.benchmarks.appearance.painting import Painting
from readavatar.data.raster.render_inputs import Window
from readavatar.detection import FaceDetector
from readavatar.detection.landmark_sets import to_landmarks_68
from readavatar.gaze import gaze_error
from readavatar.gaze.judge import detected_landmarks
from readavatar.metrics import psnr, ssim

GAZE = "gaze: angle to the real"


def measure_gaze(
    detector: FaceDetector, painted: Mapping[str, Float[Tensor, "3 H W"]], real: Float[Tensor, "3 H W"]
) -> dict[str, float]:
    """The angle between the gaze in each painter's picture and in the real one.

    Args:
        detector: An open detector; it treats every picture on its own.
        painted: Whole frames in [0, 1], by painter.
        real: The footage at that moment.

    Returns:
        Degrees by painter; NaN where the real eyes are closed or no face is detected.
    """
    target = detected_landmarks(detector, real)
    angles = dict.fromkeys(painted, math.nan)
    for name, image in painted.items():
        found = None if target is None else detected_landmarks(detector, image)
        if found is not None:
            angles[name] = math.degrees(float(gaze_error(found[None], target[None])[0]))
    return angles


PSNR, SSIM = "face: PSNR", "face: SSIM"
LPIPS_ALEX, LPIPS_VGG = "face: LPIPS (Alex)", "face: LPIPS (VGG)"
PAINTED = "face: painted"
MOUTH_PSNR, MOUTH_LPIPS = "mouth: PSNR", "mouth: LPIPS (Alex)"
FLICKER = "change between frames: difference from the real"
LIVELINESS = "change between frames: size, over the real"

MOUTH_ENLARGEMENT = 1.3
"""Of the lips' bounding box."""
_LIPS = slice(48, 68)
_LEAST_ASPECT = 0.5
"""Least height over width of the mouth's box: closed lips would give a flat one."""
_LEAST_SIDE = 64
"""Pixels. LPIPS' networks halve an image five times, so smaller crops are enlarged to this size."""
_SSIM_REACH = 5
"""Pixels by which the SSIM window extends beyond the hull."""
_WHITE = 255


@dataclass(frozen=True)
class Moment:
    """A frame of footage and the next one: the target of a rendering."""

    index: int
    """Of the first, in its clip."""
    frames: Float[Tensor, "2 3 H W"]
    """In [0, 1]."""
    landmarks: Float[Tensor, "2 L 2"]
    """Pixels."""


def measure_likeness(painting: Painting, moment: Moment, lpips: Mapping[str, nn.Module]) -> dict[str, float]:
    """All measures except gaze: of the first frame, and of the change to the second.

    Args:
        painting: Of both frames.
        moment: The target.
        lpips: LPIPS by the name of its network (``alex``, ``vgg``); missing ones are not measured.

    Returns:
        By name: PSNR in dB, the difference of the changes in levels of 255, the painted share in per cent.
    """
    painted = painting.images
    hulls = torch.stack([landmark_hull(points, *painted.shape[-2:]) for points in moment.landmarks])
    ours, real, hull = painted[:1], moment.frames[:1], hulls[:1]
    near = bounding_window(hull[0, 0], _SSIM_REACH)
    values = {
        PSNR: psnr(ours, real, hull),
        SSIM: ssim(crop(ours, near), crop(real, near), crop(hull, near)),
        PAINTED: 100 * (painting.alphas[:1] * hull).sum() / hull.sum(),
    }
    tight = bounding_window(hull[0, 0])
    for name, network in ((LPIPS_ALEX, "alex"), (LPIPS_VGG, "vgg")):
        if network in lpips:
            values[name] = lpips[network](*(large_enough(crop(each, tight)) for each in (ours, real, hull)))
    mouth = mouth_window(moment.landmarks[0], *painted.shape[-2:])
    values[MOUTH_PSNR] = psnr(crop(ours, mouth), crop(real, mouth))
    if "alex" in lpips:
        values[MOUTH_LPIPS] = lpips["alex"](*(large_enough(crop(each, mouth)) for each in (ours, real)))
    either = hulls.amax(0, keepdim=True)
    change, should = (_masked_change(each, either) for each in (painted, moment.frames))
    values[FLICKER] = _WHITE * (change - should).abs().mean()
    values[LIVELINESS] = change.square().mean().sqrt() / should.square().mean().sqrt()
    return {name: float(value) for name, value in values.items()}


def landmark_hull(landmarks: Float[Tensor, "L 2"], height: int, width: int) -> Float[Tensor, "1 {height} {width}"]:
    """1 on the pixels whose centre is inside the landmarks' convex hull, else 0."""
    edges = torch.from_numpy(ConvexHull(landmarks.double().numpy()).equations)
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    outside = edges[:, :1, None] * x + edges[:, 1:2, None] * y[:, None] + edges[:, 2:, None]
    return (outside <= 0).all(0)[None].float()


def mouth_window(landmarks: Float[Tensor, "L 2"], height: int, width: int) -> Window:
    """The lips' bounding box, enlarged, at least half as high as wide, and clipped to the picture."""
    lips = to_landmarks_68(landmarks)[_LIPS]
    low, high = lips.amin(0), lips.amax(0)
    centre, sides = (low + high) / 2, MOUTH_ENLARGEMENT * (high - low)
    sides[1] = torch.maximum(sides[1], _LEAST_ASPECT * sides[0])
    (left, top), (right, bottom) = (centre - sides / 2).tolist(), (centre + sides / 2).tolist()
    return Window(_within(top, bottom, height), _within(left, right, width))


def bounding_window(mask: Float[Tensor, "H W"], margin: int = 0) -> Window:
    """The smallest rectangle around the ones of a mask, with a margin, clipped to the picture.

    Raises:
        ValueError: The mask is empty.
    """
    if not mask.any():
        raise ValueError("Expected landmarks in the picture, but their hull holds none of its pixels.")
    spans = []
    for axis in (1, 0):
        places = mask.amax(axis).nonzero()[:, 0]
        spans.append(slice(max(int(places[0]) - margin, 0), int(places[-1]) + 1 + margin))
    return Window(*spans)


def crop(images: Float[Tensor, "B C H W"], window: Window) -> Float[Tensor, "B C h w"]:
    """A rectangle of every image."""
    return images[..., window.rows, window.columns]


def large_enough(images: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
    """Enlarge images whose shorter side is too small for an LPIPS network."""
    shorter = min(images.shape[-2:])
    if shorter >= _LEAST_SIDE:
        return images
    size = [max(round(side * _LEAST_SIDE / shorter), _LEAST_SIDE) for side in images.shape[-2:]]
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


def _masked_change(frames: Float[Tensor, "2 3 H W"], mask: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "3 n"]:
    return (frames[1] - frames[0])[:, mask[0, 0] > 0]


def _within(low: float, high: float, size: int) -> slice:
    first = min(max(int(low), 0), size - 1)
    return slice(first, max(min(round(high), size), first + 1))
