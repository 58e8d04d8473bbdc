"""Close-ups of eyes and mouth: a window that follows them smoothly, cut from the frames and from the camera."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from readavatar.types import Camera

EYES, MOUTH = [*range(36, 48)], [*range(48, 68)]
"""Of the 68 iBUG landmarks."""
WIDTHS = {"eyes": 1.9, "mouth": 1.6}
"""Of the windows, in inter-ocular distances: brows' ends, and the chin's top of an open mouth, are in them."""
STEADY_SECONDS = 0.12
"""Standard deviation of the Gaussian that smooths the windows' way."""


def window_centres(landmarks: Float[Tensor, "T 68 2"], part: str, fps: float) -> Float[Tensor, "T 2"]:
    """Where the close-up of ``eyes`` or ``mouth`` looks in each frame; in the landmarks' unit."""
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
    """The camera of a window: the same view, cut out and enlarged.

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
    """The window of a frame; beyond the frame its edge is repeated. Arguments as for ``window_camera``."""
    theta = torch.zeros(1, 2, 3)
    theta[0, 0, 0], theta[0, 1, 1] = width, width * resolution[0] / resolution[1]
    theta[0, :, 2] = centre * 2 - 1
    grid = F.affine_grid(theta, [1, 3, *resolution], align_corners=False)
    return F.grid_sample(frame[None], grid, mode="bicubic", padding_mode="border", align_corners=False)[0].clamp(0, 1)
