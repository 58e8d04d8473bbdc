"""The frames of the overlay video: each is a sheet of panels. They are drawn in batches."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from readavatar.data.raster.render_inputs import resized_camera
from readavatar.data.store import ClipStore
from readavatar.morphable.model import MorphableModel
from readavatar.types import TrackedFace
from readavatar.viewer.drawing import (
    FittedPoints,
    SeenPoints,
    cut_window,
    draw_points,
    filled,
    window_camera,
    window_centres,
    window_width,
)
from readavatar.viewer.rendering import GEOMETRIC_RANGE, PHOTOMETRIC_RANGE, FaceRenderer, Surface, heat, over

BATCH = 12
"""Frames in a batch: enough to share the set-up, few enough for little memory."""
_Job, _Result = TypeVar("_Job"), TypeVar("_Result")
CLOSE_UPS = ("eyes", "mouth")
_DIMMED = 0.35
"""Brightness of the footage around a map of errors."""


@dataclass(frozen=True)
class Panel:
    """A square of the sheet."""

    name: str
    title: str
    """Description of the content."""
    shown: bool = True
    """Whether the page shows it at first."""


FOOTAGE = Panel("footage", "as filmed")
LANDMARKS = Panel("landmarks", "fit: red contours, yellow lids, blue gaze; detector: green landmarks and irises")
SEEN_LANDMARKS = Panel("landmarks", "the detector's landmarks and irises")
RENDERED = Panel("rendered", "the fitted albedo in its fitted light")
SHAPE = Panel("shape", "the bare shape; its grid (8 mm on the neutral face) moves with the skin")
ERROR = Panel("error", f"photometric error, black 0 to yellow {PHOTOMETRIC_RANGE:.0%} of white")
TRUTH_ERROR = Panel("truth", f"distance from the true shape, black 0 to yellow {GEOMETRIC_RANGE * 1000:g} mm")
_FITTED_CLOSE_UPS = (Panel("eyes", "eyes: filmed, fitted"), Panel("mouth", "mouth: filmed, fitted"))
_SEEN_CLOSE_UPS = (Panel("eyes", "eyes"), Panel("mouth", "mouth"))


@dataclass(frozen=True)
class DrawnFrame:
    """A drawn frame and its errors."""

    sheet: UInt8[np.ndarray, "rows columns 3"]
    photometric: float
    """Root of the mean square difference inside the face, per cent of white; NaN if no pixel shows a face."""
    geometric: float
    """Mean distance of the face's vertices from the truth's, millimetres; NaN without a truth."""


class Sheet:
    """Draws frames of a clip as sheets of panels."""

    def __init__(
        self,
        store: ClipStore,
        size: int,
        seen: SeenPoints,
        face: TrackedFace | None = None,
        model: MorphableModel | None = None,
        fitted: FittedPoints | None = None,
        truth: TrackedFace | None = None,
    ) -> None:
        """
        Args:
            store: The clip.
            size: Of a panel, pixels; even.
            seen: The detector's points.
            face: The fit, if there is one; it needs ``model`` and ``fitted``.
            model: The fit's morphable model.
            fitted: The fit's points.
            truth: A digital actor's truth in the same model, for comparison.
        """
        self.store, self.size, self.seen, self.fitted, self.truth = store, size, seen, fitted, truth
        self._square = (size, size)
        self.renderer = None
        self.panels = (FOOTAGE, SEEN_LANDMARKS, *_SEEN_CLOSE_UPS)
        if face is not None:
            face = replace(face, camera=resized_camera(face.camera, (size, size)))
            self.renderer = FaceRenderer(model, face)
            self.panels = (FOOTAGE, LANDMARKS, RENDERED, SHAPE, ERROR, *_FITTED_CLOSE_UPS)
            self.panels += (TRUTH_ERROR,) if truth is not None else ()
        self.columns = len(self.panels) if len(self.panels) <= 4 else -(-len(self.panels) // 2)
        points = filled(seen.landmarks, seen.found) if fitted is None else fitted.landmarks
        self._windows = {
            part: (window_centres(points, part, store.fps), window_width(points, part)) for part in CLOSE_UPS
        }

    def place(self, number: int) -> tuple[int, int]:
        """Left and top of a panel in the sheet, pixels."""
        return number % self.columns * self.size, number // self.columns * self.size

    def draw(self, start: int, stop: int) -> Iterator[DrawnFrame]:
        """Draw frames ``start`` to ``stop`` − 1, in order and in constant memory."""
        batches = [slice(first, min(first + BATCH, stop)) for first in range(start, stop, BATCH)]
        for batch in in_threads(self._draw_batch, batches):
            yield from batch

    @torch.inference_mode()
    def _draw_batch(self, index: slice) -> list[DrawnFrame]:
        surfaces = None if self.renderer is None else self.renderer.surfaces(index)
        distances = None
        if self.truth is not None:
            distances = self.renderer.distances(surfaces, self.truth, index)
        drawn = []
        for place, number in enumerate(range(index.start, index.stop)):
            full = self.store.frames(range(number, number + 1))[0]
            frame = _resized(full, self.size)
            pictures, photometric = {"footage": frame}, math.nan
            if surfaces is None:
                pictures |= {part: cut_window(full, *self._window(part, number), self._square) for part in CLOSE_UPS}
            else:
                fit, photometric = self._draw_fit(surfaces, place, number, full, frame)
                pictures |= fit
            geometric = math.nan
            if distances is not None:
                geometric = float(distances[place, self.renderer.on_face].mean()) * 1000
                seen = self.renderer.see(surfaces, place, number, self.renderer.face.camera)
                colours = self.renderer.painted(distances[place], seen, GEOMETRIC_RANGE)
                pictures["truth"] = over(_dimmed(frame), seen.pixels, colours)
            drawn.append(DrawnFrame(self._arranged(number, pictures), photometric, geometric))
        return drawn

    def _draw_fit(
        self, surfaces: Surface, place: int, number: int, full: Float[Tensor, "3 F F"], frame: Float[Tensor, "3 H H"]
    ) -> tuple[dict[str, Tensor], float]:
        """The panels of one fitted frame, and its photometric error."""
        renderer, camera = self.renderer, self.renderer.face.camera
        seen = renderer.see(surfaces, place, number, camera)
        lit = renderer.lit(seen)
        mask = _resized(self.store.masks(range(number, number + 1))[0], self.size).flatten()[seen.pixels] > 0.5
        difference = (lit - frame.flatten(1)[:, seen.pixels])[:, mask]
        wrong = heat(difference.abs().mean(0) / PHOTOMETRIC_RANGE)
        pictures = {
            "rendered": over(frame, seen.pixels, lit),
            "shape": over(frame, seen.pixels, renderer.clay(seen, self._square)),
            "error": over(_dimmed(frame), seen.pixels[mask], wrong),
        }
        half = (self.size // 2, self.size)
        for part in CLOSE_UPS:
            window = self._window(part, number)
            near = renderer.see(surfaces, place, number, window_camera(camera, *window, half))
            filmed = cut_window(full, *window, half)
            pictures[part] = torch.cat([filmed, over(filmed, near.pixels, renderer.lit(near))], 1)
        return pictures, float(difference.square().mean().sqrt()) * 100  # NaN if no pixel shows a face

    def _window(self, part: str, number: int) -> tuple[Float[Tensor, " 2"], float]:
        centres, width = self._windows[part]
        return centres[number], width

    def _arranged(self, number: int, pictures: dict[str, Tensor]) -> UInt8[np.ndarray, "rows columns 3"]:
        images = {name: _to_uint8(picture) for name, picture in pictures.items()}
        images["landmarks"] = draw_points(images["footage"], number, self.seen, self.fitted)
        rows = -(-len(self.panels) // self.columns)
        sheet = np.zeros((rows * self.size, self.columns * self.size, 3), np.uint8)
        for position, panel in enumerate(self.panels):
            left, top = self.place(position)
            sheet[top : top + self.size, left : left + self.size] = images[panel.name]
        return sheet


def in_threads(work: Callable[[_Job], _Result], jobs: Sequence[_Job]) -> Iterator[_Result]:
    """Results in the order of the jobs, computed a few jobs ahead, on as many threads as PyTorch has.

    Each job runs on one thread, since small tensors gain nothing from more.
    """
    num_threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,))
    pending: deque[Future] = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(work, job))
            if len(pending) > num_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(num_threads)  # the workers' setting also applies to later threads


def _dimmed(frame: Float[Tensor, "3 H W"]) -> Float[Tensor, "1 H W"]:
    return frame.mean(0, keepdim=True) * _DIMMED


def _resized(image: Float[Tensor, "C h w"], size: int) -> Float[Tensor, "C H W"]:
    if image.shape[-1] == size:
        return image
    return F.interpolate(image[None], (size, size), mode="bilinear", antialias=True, align_corners=False)[0]


def _to_uint8(image: Float[Tensor, "3 H W"]) -> UInt8[np.ndarray, "H W 3"]:
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
