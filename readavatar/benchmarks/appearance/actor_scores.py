"""How well an avatar paints an actor's held-out film: the mouth's inside, and the face around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.appearance import AppearanceRenderer, render_face
from readavatar.assets import find_asset
from readavatar.benchmarks.appearance.likeness import crop, large_enough, mouth_window
from readavatar.data.datasets.appearance_clips import load_appearance_clip
from readavatar.data.datasets.speech_features import load_described_encoder
from readavatar.data.raster.render_inputs import MapSettings, RenderInputs
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import Avatar, load_network
from readavatar.metrics import psnr
from readavatar.metrics.lpips import ARCHITECTURES, load_lpips
from readavatar.morphable import load_morphable_model
from readavatar.progress import track

INTERIOR, MOUTH_LPIPS = "mouth's inside: PSNR", "mouth: LPIPS (Alex)"
ELSEWHERE, EYES = "face without the mouth: PSNR", "eyes: PSNR"
LEAST_PIXELS = 24
"""Of the mouth's inside that have to be seen for a frame to count there: a slit of 12 × 2."""
EVERY = 2
"""Of the frames, one in so many is painted: neighbours tell little that is new."""
_BATCH = 16


@dataclass(frozen=True)
class PaintedFrames:
    """Some frames of a film, and an avatar's likeness of them."""

    indices: list[int]
    inputs: RenderInputs
    real: Float[Tensor, "B 3 H W"]
    painted: Float[Tensor, "B 3 H W"]


class FilmPainter:
    """An avatar's network over a film's true coefficients, at the film's own size."""

    def __init__(self, avatar: str | Path, store: ClipStore) -> None:
        """
        Args:
            avatar: With an appearance part.
            store: Fitted.
        """
        part, face = Avatar(avatar).part("appearance"), store.tracking()
        config = part.config
        self.store, self.window = store, config["network"]["speech_window"]
        self.renderer = load_network(AppearanceRenderer(**config["network"]), part)
        model = load_morphable_model(face.morphable_model)
        encoder = load_described_encoder(config["speech_encoder"])
        map_settings = MapSettings(**config["maps"])
        self.clip = load_appearance_clip(store, face, model, encoder, config["size"], map_settings)

    def paint(self, frames: range) -> Iterator[PaintedFrames]:
        """Frames, some at a time."""
        for first in range(0, len(frames), _BATCH):
            indices = list(frames[first : first + _BATCH])
            batch = self.clip.batch(indices, self.window)
            image, alpha = render_face(self.renderer, batch.inputs)
            painted = alpha * image + (1 - alpha) * batch.frames
            yield PaintedFrames(indices, batch.inputs, batch.frames, painted)


@torch.no_grad()
def measure_on_film(avatar: str | Path, store: ClipStore) -> dict[str, float]:
    """Means over a held-out film's frames; LPIPS where its weights are on this machine."""
    painter = FilmPainter(avatar, store)
    judge = load_lpips("alex") if find_asset(ARCHITECTURES["alex"].asset) else None
    landmarks = store.landmarks().landmarks_2d
    values: dict[str, list[Tensor]] = {}
    total = -(-store.num_frames // _BATCH)
    for frames in track(painter.paint(range(store.num_frames)), "painting held-out sentences", total):
        for name, each in _measure(frames, judge, landmarks[frames.indices]).items():
            values.setdefault(name, []).append(each)
    return {name: float(torch.cat(each).nanmean()) for name, each in values.items()}


def _measure(frames: PaintedFrames, judge: nn.Module | None, landmarks: Float[Tensor, "B 68 2"]) -> dict[str, Tensor]:
    inside, mouth = frames.inputs.part("mouth_inside"), frames.inputs.part("mouth")
    is_open = inside.sum((1, 2, 3)) >= LEAST_PIXELS
    values = {
        INTERIOR: psnr(frames.painted, frames.real, inside)[is_open],
        ELSEWHERE: psnr(frames.painted, frames.real, frames.inputs.part("face") * (1 - mouth)),
        EYES: psnr(frames.painted, frames.real, frames.inputs.part("eyes")),
    }
    if judge is not None and is_open.any():
        size = frames.real.shape[-1]
        distances = []
        for index in is_open.nonzero()[:, 0].tolist():
            window = mouth_window(landmarks[index], size, size)
            pair = (crop(images[index : index + 1], window) for images in (frames.painted, frames.real))
            distances.append(judge(*map(large_enough, pair)))
        values[MOUTH_LPIPS] = torch.cat(distances)
    return values
