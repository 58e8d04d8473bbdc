"""The expression scorecard's picture: dials, changes of emotion, and how the upper face moves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from readavatar.benchmarks.expression.change import AFTER, BEFORE, RAMP_SECONDS, Change
from readavatar.benchmarks.expression.dial import Dial
from readavatar.benchmarks.expression.motion import SPACE, Motion
from readavatar.benchmarks.expression.takes import Trial
from readavatar.files import replacing_file
from readavatar.metrics import principal_axes

_COLOURS = ("black", "tab:orange", "tab:blue", "tab:green")
_SHOWN_SECONDS = 12.0


def plot_scorecard(
    path: str | Path,
    trial: Trial,
    motions: Mapping[str, Motion],
    dials: Mapping[str, Dial],
    changes: Mapping[str, list[Change]],
) -> None:
    """Draw one actor's columns (the first is the truth) into a ``.png``.

    Top: measured against asked strength, mean and range over the lines. Middle: the emotion that comes, around a change
    from neutral. Bottom: the true upper face's first principal axis over one held-out take, in millimetres.
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
            top.set(ylabel="measured strength", xlabel="asked strength")
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
