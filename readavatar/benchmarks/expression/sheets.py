"""Generated motion as one looks at it: a digital actor's face, frame after frame."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.assets import find_asset
from readavatar.benchmarks.expression.motion import SPACE
from readavatar.directing.report import write_contact_sheet
from readavatar.emotion import EmotionTrack
from readavatar.morphable import load_morphable_model
from readavatar.synthetic import film, make_actor, perform, silence
from readavatar.synthetic.render import render

_NEUTRAL = EmotionTrack.constant(SPACE)
ACTOR = 1
SIZE, ZOOM = 192, 1.35
NUM_FRAMES, COLUMNS, STEP_SECONDS = 24, 8, 0.12
"""Of a sheet: three seconds, at the pace of syllables."""


def write_motion_sheet(
    path: str | Path, expressions: Float[Tensor, "T E"], fps: float, start: int | float = 0.5
) -> None:
    """Draw some seconds of motion on a digital actor who looks into the camera.

    Args:
        path: The PNG.
        expressions: Of ``EXPRESSION_NAMES``.
        fps: Frames a second.
        start: Seconds, where to begin.
    """
    first = min(round(start * fps), max(0, len(expressions) - NUM_FRAMES))
    frames = (first + STEP_SECONDS * fps * torch.arange(NUM_FRAMES)).round().long()
    frames = frames[frames < len(expressions)]
    morphable_model = "ict" if find_asset("ict_facekit") else "builtin"
    model = load_morphable_model(morphable_model)
    actor = make_actor(ACTOR, model)
    still = perform(silence(len(frames) / fps), _NEUTRAL, fps=fps, seed=0, translation=actor.translation)
    at_rest = still.coefficients.frames(torch.zeros(len(frames), dtype=torch.long))
    coefficients = dataclasses.replace(
        at_rest,
        shape_coefficients=actor.shape_coefficients,
        expression_coefficients=expressions[frames],
        gaze=torch.zeros(len(frames), 2),
        rotation=torch.zeros(len(frames), 3),
    )
    tongue = torch.zeros(len(frames), 2)
    scene = film(
        actor, dataclasses.replace(still, coefficients=coefficients, tongue=tongue), model, morphable_model, SIZE, ZOOM
    )
    captions = [f"{(int(frame) + 0.5) / fps:.2f} s" for frame in frames]
    write_contact_sheet(path, [picture for picture, _ in render(model, scene)], captions, COLUMNS)
