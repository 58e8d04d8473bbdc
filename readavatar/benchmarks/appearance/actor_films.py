"""Films of digital actors for the appearance stage, and how well an avatar renders the held-out ones.

Each actor has one film for training and one, with other sentences, for measuring. A contact sheet compares the filmed
mouths with the rendered ones.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.appearance import AppearanceRenderer, render_face
from readavatar.assets import find_asset
from readavatar.benchmarks.appearance.likeness import crop, large_enough, mouth_window
from readavatar.benchmarks.appearance.pictures import mouth_square, tile
from readavatar.data.datasets.appearance_clips import load_appearance_clip
from readavatar.data.datasets.speech_features import load_described_encoder
from readavatar.data.raster.render_inputs import MapSettings, RenderInputs
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import Avatar, load_network
from readavatar.directing.report import write_contact_sheet
from readavatar.metrics import psnr
from readavatar.metrics.lpips import ARCHITECTURES, load_lpips
from readavatar.morphable import load_morphable_model
from readavatar.progress import track
from readavatar.synthetic import SENTENCES, write_actor_clip

_LOGGER = logging.getLogger(__name__)

FILM = {"size": 128, "zoom": 1.6}
"""The face fills the picture: about 150 pixels show the inside of the mouth, and a training takes minutes."""
NUM_TRAINING, NUM_HELD_OUT = 20, 8
"""Sentences: one minute for training, 25 s for measuring."""


@dataclass(frozen=True)
class Films:
    """One actor's clips. Their fit is the truth, so that only the appearance network is measured."""

    training: ClipStore
    held_out: ClipStore
    """Other sentences in another take."""


def default_model() -> str:
    """``ict`` if ICT-FaceKit is installed, else ``builtin``."""
    return "ict" if find_asset("ict_facekit") else "builtin"


def training_clip(seed: int, morphable_model: str, work: str | Path) -> Path:
    """The path at which ``film_speaker`` writes the training clip."""
    settings = json.dumps([seed, morphable_model, FILM, NUM_TRAINING, NUM_HELD_OUT], sort_keys=True)
    return Path(work) / "speakers" / f"{seed}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}" / "training"


def film_speaker(seed: int, morphable_model: str, work: str | Path) -> Films:
    """An actor's clips, filmed now if they are not in ``work``.

    The folder's name holds a hash of the settings: delete it after changing how actors move or speak.

    Args:
        seed: The actor's.
        morphable_model: What ``load_morphable_model`` takes.
        work: Folder for the clips.
    """
    training = training_clip(seed, morphable_model, work)
    order = np.random.default_rng(seed).permutation(len(SENTENCES))
    texts = {training: order[:NUM_TRAINING], training.with_name("held_out"): order[NUM_TRAINING:][:NUM_HELD_OUT]}
    stores = []
    for take, (path, chosen) in enumerate(texts.items()):
        if not (path / "tracking.safetensors").exists():
            _LOGGER.info("actor %d: filming %d sentences", seed, len(chosen))
            store = write_actor_clip(
                path,
                seed=seed,
                take=take,
                sentences=[SENTENCES[index] for index in chosen],
                morphable_model=morphable_model,
                **FILM,
            )
            store.write_tracking(store.truth())
        stores.append(ClipStore(path))
    return Films(*stores)


INTERIOR, MOUTH_LPIPS = "mouth's inside: PSNR", "mouth: LPIPS (Alex)"
ELSEWHERE, EYES = "face without the mouth: PSNR", "eyes: PSNR"
LEAST_PIXELS = 24
"""A frame counts for the mouth's inside if at least so many of its pixels are visible: a slit of 12 × 2."""
_BATCH = 16


@dataclass(frozen=True)
class PaintedFrames:
    """Some frames of a film, and the avatar's rendering of them."""

    indices: list[int]
    inputs: RenderInputs
    real: Float[Tensor, "B 3 H W"]
    painted: Float[Tensor, "B 3 H W"]


class FilmPainter:
    """Renders a film's true coefficients with an avatar's network, at the film's own size."""

    def __init__(self, avatar: str | Path, store: ClipStore) -> None:
        """
        Args:
            avatar: With an appearance part.
            store: A fitted clip.
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
        """Render frames, a batch at a time."""
        for first in range(0, len(frames), _BATCH):
            indices = list(frames[first : first + _BATCH])
            batch = self.clip.batch(indices, self.window)
            image, alpha = render_face(self.renderer, batch.inputs)
            painted = alpha * image + (1 - alpha) * batch.frames
            yield PaintedFrames(indices, batch.inputs, batch.frames, painted)


@torch.no_grad()
def measure_on_film(avatar: str | Path, store: ClipStore) -> dict[str, float]:
    """Means over a held-out film's frames; with LPIPS if its weights are installed."""
    painter = FilmPainter(avatar, store)
    lpips = load_lpips("alex") if find_asset(ARCHITECTURES["alex"].asset) else None
    landmarks = store.landmarks().landmarks_2d
    values: dict[str, list[Tensor]] = {}
    total = -(-store.num_frames // _BATCH)
    for frames in track(painter.paint(range(store.num_frames)), "painting held-out sentences", total):
        for name, each in _measure(frames, lpips, landmarks[frames.indices]).items():
            values.setdefault(name, []).append(each)
    return {name: float(torch.cat(each).nanmean()) for name, each in values.items()}


def _measure(frames: PaintedFrames, lpips: nn.Module | None, landmarks: Float[Tensor, "B 68 2"]) -> dict[str, Tensor]:
    inside, mouth = frames.inputs.part("mouth_inside"), frames.inputs.part("mouth")
    is_open = inside.sum((1, 2, 3)) >= LEAST_PIXELS
    values = {
        INTERIOR: psnr(frames.painted, frames.real, inside)[is_open],
        ELSEWHERE: psnr(frames.painted, frames.real, frames.inputs.part("face") * (1 - mouth)),
        EYES: psnr(frames.painted, frames.real, frames.inputs.part("eyes")),
    }
    if lpips is not None and is_open.any():
        size = frames.real.shape[-1]
        distances = []
        for index in is_open.nonzero()[:, 0].tolist():
            window = mouth_window(landmarks[index], size, size)
            pair = (crop(images[index : index + 1], window) for images in (frames.painted, frames.real))
            distances.append(lpips(*map(large_enough, pair)))
        values[MOUTH_LPIPS] = torch.cat(distances)
    return values


NUM_MOUTHS = 8
LEAST_SHARE = 0.5
"""Of the widest open mouth's pixels: mouths that are less open are left out."""


def write_mouth_sheet(path: Path, store: ClipStore, avatars: Mapping[str, Path]) -> Path:
    """Draw one column for each moment with an open mouth: the filmed mouth, and each avatar's.

    Args:
        path: The PNG.
        store: The film.
        avatars: Their folders by name.

    Returns:
        ``path``.
    """
    landmarks, size = store.landmarks().landmarks_2d, store.info.size
    chosen: list[int] = []
    rows: dict[str, list[Float[Tensor, "3 H W"]]] = {"real": [], **{name: [] for name in avatars}}
    for number, (name, avatar) in enumerate(avatars.items()):
        painter = FilmPainter(avatar, store)
        if number == 0:
            chosen = _open_mouths(painter, store.num_frames)
        for index in chosen:
            frames = next(painter.paint(range(index, index + 1)))
            rows[name].append(frames.painted[0])
            if number == 0:
                rows["real"].append(frames.real[0])
    tiles = [
        tile(image, mouth_square(landmarks[index], size, size))
        for images in rows.values()
        for index, image in zip(chosen, images, strict=True)
    ]
    captions = [f"{name}, {(index + 0.5) / store.fps:.2f} s" for name in rows for index in chosen]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_contact_sheet(path, tiles, captions, len(chosen))
    return path


def _open_mouths(painter: FilmPainter, num_frames: int) -> list[int]:
    """Frames spread evenly over those whose mouth is open."""
    areas = [
        painter.clip.batch([index], painter.window).inputs.part("mouth_inside").sum() for index in range(num_frames)
    ]
    area = torch.stack(areas)
    is_open = torch.nonzero(area >= LEAST_SHARE * area.max())[:, 0]
    spread = torch.linspace(0, len(is_open) - 1, min(NUM_MOUTHS, len(is_open))).round().long()
    return is_open[spread].tolist()
