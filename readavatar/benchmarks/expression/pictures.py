"""Pictures of the expression scorecard: plots of emotions and motion, and contact sheets of generated motion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from readavatar.assets import find_asset
from readavatar.benchmarks.expression.dial import AFTER, BEFORE, RAMP_SECONDS, Change, Dial
from readavatar.benchmarks.expression.motion import SPACE, MotionSource
from readavatar.benchmarks.expression.takes import Trial
from readavatar.directing.report import write_contact_sheet
from readavatar.emotion import EmotionTrack
from readavatar.files import replacing_file
from readavatar.metrics import principal_axes
from readavatar.morphable import load_morphable_model
from readavatar.synthetic import film, make_actor, perform, silence
from readavatar.synthetic.render import render

_COLOURS = ("black", "tab:orange", "tab:blue", "tab:green")
_SHOWN_SECONDS = 12.0


def plot_scorecard(
    path: str | Path,
    trial: Trial,
    motions: Mapping[str, MotionSource],
    dials: Mapping[str, Dial],
    changes: Mapping[str, list[Change]],
) -> None:
    """Draw one actor's columns (the first is the truth) into a ``.png``.

    Top: measured against requested strength, mean and range over the lines. Middle: the measured emotion around a
        change
    from neutral. Bottom: the upper face along its first principal axis over one held-out take, in millimetres.
    """
    colours = dict(zip(motions, _COLOURS, strict=False))
    figure = Figure(figsize=(15, 10), layout="constrained")
    grid = figure.add_gridspec(2 + len(motions), SPACE.num_emotions, height_ratios=(2, 2, *[1] * len(motions)))
    for index, emotion in enumerate(SPACE.names):
        top, middle = (figure.add_subplot(grid[row, index]) for row in (0, 1))
        _plot_dial(top, index, dials, colours)
        _plot_change(middle, emotion, changes, colours)
        top.set_title(emotion)
        if index:
            top.set_yticklabels([])
            middle.set_yticklabels([])
        else:
            top.set(ylabel="measured strength", xlabel="requested strength")
            middle.set(ylabel="measured strength", xlabel="seconds from the change")
            top.legend(fontsize="small")
    take = max(
        trial.takes, key=lambda take: float(trial.space.displacement("upper_face", take.expressions).std(0).sum())
    )
    drawn = take.expressions[: round(_SHOWN_SECONDS * trial.fps)]
    mean, axis = principal_axes(trial.space.displacement("upper_face", drawn), 1)
    shared = None
    for row, (column, motion) in enumerate(motions.items()):
        lower = figure.add_subplot(grid[2 + row, :], sharey=shared, sharex=shared)
        shared = shared or lower
        shown = take.expressions if row == 0 else motion(take, take.emotion, 0)
        curve = ((trial.space.displacement("upper_face", shown) - mean) @ axis)[: len(drawn), 0]
        lower.plot(torch.arange(len(curve)) / trial.fps, curve, color=colours[column], linewidth=1)
        lower.set_ylabel(f"{column}\nupper face, mm")
        lower.margins(x=0)
    lower.set_xlabel("seconds")
    FigureCanvasAgg(figure)
    with replacing_file(path) as temporary:
        figure.savefig(temporary, dpi=80)


def _plot_dial(axes: Axes, index: int, dials: Mapping[str, Dial], colours: Mapping[str, str]) -> None:
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=0.8)
    for column, dial in dials.items():
        lines = dial.measured[index]
        axes.plot(dial.asked, lines.mean(0), color=colours[column], label=column)
        axes.fill_between(dial.asked, lines.amin(0), lines.amax(0), color=colours[column], alpha=0.15, linewidth=0)
    axes.set(xlim=(0, 1), ylim=(-0.05, 1.1))


def _plot_change(axes: Axes, emotion: str, changes: Mapping[str, list[Change]], colours: Mapping[str, str]) -> None:
    axes.plot([-BEFORE, -RAMP_SECONDS / 2, RAMP_SECONDS / 2, AFTER], [0, 0, 1, 1], color="0.8", linewidth=0.8)
    for column, found in changes.items():
        change = next(each for each in found if (each.before, each.after) == (None, emotion))
        seconds = torch.linspace(-BEFORE, AFTER, len(change.curve))
        axes.plot(seconds, change.curve, color=colours[column])
    axes.set(xlim=(-BEFORE, AFTER), ylim=(-0.05, 1.1))


_NEUTRAL = EmotionTrack.constant(SPACE)
ACTOR = 1
SIZE, ZOOM = 192, 1.35
NUM_FRAMES, COLUMNS, STEP_SECONDS = 24, 8, 0.12
"""Of a sheet: three seconds, about one picture for each syllable."""


def write_motion_sheet(
    path: str | Path, expressions: Float[Tensor, "T E"], fps: float, start: int | float = 0.5
) -> None:
    """Draw three seconds of motion on a digital actor who faces the camera.

    Args:
        path: The PNG.
        expressions: Coefficients of ``EXPRESSION_NAMES``.
        fps: Frames a second.
        start: Seconds at which to begin.
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
