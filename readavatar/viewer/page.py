"""The viewer's page: video, curves and a script of our own in one HTML file without any address in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.media.page import base64_pieces, write_page
from readavatar.viewer.panels import Sheet
from readavatar.viewer.series import JUMP, LANDMARK_ERROR, PHOTOMETRIC_ERROR, SHAPE_ERROR, Series, worst_frames

DIGITS = 3
"""Of coefficients, after the point."""
ENVELOPE_RATE = 100
"""Lowest and highest sample of the sound that are drawn, pairs a second."""
WORST = 8
"""Frames listed of each kind."""
APART_SECONDS = 0.3
"""Between the frames of a list: the same moment is listed once."""
WORST_GROUPS = (LANDMARK_ERROR, PHOTOMETRIC_ERROR, JUMP, SHAPE_ERROR)


@dataclass(frozen=True)
class View:
    """All that a page shows."""

    title: str
    notes: Sequence[str]
    """Plain text."""
    fps: Fraction
    first: int
    """The clip's frame that the video begins with."""
    size: int
    """Of a panel, pixels."""
    sheet: Sheet
    """Which panels there are, and where."""
    series: Sequence[Series]
    waveform: Float[Tensor, " num_samples"] | None
    """As long as the frames, in [−1, 1]."""
    video: Path
    """MP4."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.series[0].values)


def write_view(path: str | Path, view: View) -> None:
    """Write the page; the video is copied into it piece by piece."""
    write_page(
        path,
        "viewer/viewer.html.j2",
        title=view.title,
        notes=view.notes,
        worst=_worst_lists(view),
        data=page_data(view),
        video=base64_pieces(view.video),
    )


def write_index(path: str | Path, rows: Sequence[tuple[str, int, float, float]]) -> None:
    """Write the page that leads to several clips' pages beside it.

    Args:
        path: The HTML file.
        rows: Name, number of frames, landmark error (per cent) and PSNR (dB) of each; NaN where nothing was fitted.
    """
    shown = [
        (name, num_frames, *("–" if math.isnan(v) else f"{v:.2f}" for v in (error, likeness)))
        for name, num_frames, error, likeness in rows
    ]
    write_page(path, "viewer/index.html.j2", title="Clips", rows=shown)


def page_data(view: View) -> dict:
    """What the script draws, as JSON takes it: numbers rounded, null where there is none."""
    series = [
        {
            "name": one.name,
            "group": one.group,
            "unit": one.unit,
            "shown": one.shown,
            "values": _numbers(one.values),
            "references": {name: _numbers(values) for name, values in one.references.items()},
        }
        for one in view.series
    ]
    panels = []
    for number, panel in enumerate(view.sheet.panels):
        left, top = view.sheet.place(number)
        panels.append({"name": panel.name, "title": panel.title, "shown": panel.shown, "left": left, "top": top})
    return {
        "fps": float(view.fps),
        "first": view.first,
        "frames": view.num_frames,
        "size": view.size,
        "panels": panels,
        "series": series,
        "waveform": None if view.waveform is None else envelope(view.waveform, view.num_frames, float(view.fps)),
    }


def envelope(waveform: Float[Tensor, " num_samples"], num_frames: int, fps: float) -> list[list[float]]:
    """The lowest and the highest sample of each of equal stretches of the sound, ``ENVELOPE_RATE`` a second."""
    count = max(1, min(len(waveform), round(num_frames / fps * ENVELOPE_RATE)))
    edges = torch.linspace(0, len(waveform), count + 1).round().long().tolist()
    pieces = [waveform[a : max(b, a + 1)] for a, b in pairwise(edges)]
    return [[round(float(piece.min()), 2) for piece in pieces], [round(float(piece.max()), 2) for piece in pieces]]


def _worst_lists(view: View) -> list[dict]:
    lists = []
    apart = max(1, round(APART_SECONDS * view.fps))
    for one in view.series:
        frames = worst_frames(one.values, WORST, apart) if one.group in WORST_GROUPS else []
        if frames:
            found = [(view.first + frame, f"{float(one.values[frame]):.3g}") for frame in frames]
            lists.append({"name": one.name, "unit": one.unit, "frames": found})
    return lists


def _numbers(values: Float[Tensor, " T"]) -> list[float | None]:
    return [round(value, DIGITS) if math.isfinite(value) else None for value in values.tolist()]
