"""Held-out mouths of a digital actor, as filmed and as each texture paints them, to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.benchmarks.appearance.actor_scores import FilmPainter
from readavatar.benchmarks.appearance.pictures import mouth_square, tile
from readavatar.data.store import ClipStore
from readavatar.directing.report import write_contact_sheet

NUM_MOUTHS = 8
LEAST_SHARE = 0.5
"""Of the widest open mouth's pixels: mouths that are less open are not shown."""


def write_mouth_sheet(path: Path, store: ClipStore, avatars: Mapping[str, Path]) -> Path:
    """A column a moment with an open mouth: the real one, and each avatar's.

    Args:
        path: The PNG.
        store: The film.
        avatars: By name.

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
    """Frames spread over those whose mouth is rather open."""
    areas = [
        painter.clip.batch([index], painter.window).inputs.part("mouth_inside").sum() for index in range(num_frames)
    ]
    area = torch.stack(areas)
    is_open = torch.nonzero(area >= LEAST_SHARE * area.max())[:, 0]
    spread = torch.linspace(0, len(is_open) - 1, min(NUM_MOUTHS, len(is_open))).round().long()
    return is_open[spread].tolist()
