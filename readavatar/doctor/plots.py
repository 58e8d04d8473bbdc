"""Pictures of a clip's evidence."""

from __future__ import annotations

import io

import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from readavatar.doctor.audio_offset import MAX_OFFSET
from readavatar.doctor.coverage_checks import blinks, closures, shape_times
from readavatar.doctor.evidence import Evidence
from readavatar.doctor.leaving_out import LeftOut
from readavatar.doctor.measurements import CLOSED_MILLIMETRES, EYE_CORNERS_MILLIMETRES, lid_opening, lip_opening
from readavatar.errors import UserError
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.speech.silence import block_power

_THUMBNAIL, _LINE, _COLUMNS = 170, 30, 6
"""Pixels of a picture and of the two lines under it; pictures a row."""
_QUIETEST = -70.0
"""dBFS at the bottom of the plots."""
_SHADE = {"color": "tab:red", "alpha": 0.18, "linewidth": 0}


def timelines(evidence: Evidence) -> UInt8[np.ndarray, "H W 3"]:
    """Over the clip: landmark confidence, sharpness; lips against the sound; lids. Frames to leave out are shaded."""
    fps, count = evidence.store.fps, evidence.store.num_frames
    seconds = (np.arange(count) + 0.5) / fps
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(1, 2, 1.4, 1))
    axes[0].plot(seconds, evidence.confidence.numpy(), color="tab:blue", label="landmark confidence")
    sharpness = evidence.statistics.sharpness / evidence.statistics.sharpness.nanmedian()
    axes[0].plot(seconds, sharpness.numpy(), color="tab:gray", linewidth=0.8, label="sharpness / median")
    axes[0].set_ylim(-0.05, 1.6)
    axes[0].legend(loc="upper right", ncols=2, fontsize="small")
    gap = lip_opening(evidence.landmarks) * EYE_CORNERS_MILLIMETRES
    axes[1].plot(seconds, gap.numpy(), color="tab:purple", linewidth=1)
    axes[1].axhline(CLOSED_MILLIMETRES, color="0.6", linewidth=0.6)
    closed = closures(evidence)
    axes[1].plot([(a + b) / 2 / fps for a, b in closed], [0] * len(closed), "|", color="tab:green", markersize=10)
    axes[1].set_ylabel("lip gap, mm\n(green: closures)")
    _plot_level(axes[2], evidence)
    axes[3].plot(seconds, lid_opening(evidence.landmarks, evidence.seen).numpy(), color="tab:brown", linewidth=1)
    shut = blinks(evidence)
    axes[3].plot([(a + b) / 2 / fps for a, b in shut], [0] * len(shut), "|", color="tab:green", markersize=10)
    axes[3].set(ylabel="lids\n(green: blinks)", xlabel="seconds", xlim=(0, evidence.seconds), ylim=(-0.1, 1.6))
    for axis in axes:
        for part in evidence.left_out:
            axis.axvspan(part.first / fps, part.last / fps, **_SHADE)
    return _pixels(figure)


def coverage(evidence: Evidence) -> UInt8[np.ndarray, "H W 3"]:
    """Poses as a scatter, mouth shapes as bars, and the evidence for each audio–video offset."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    poses, shapes, offsets = figure.subplots(1, 3)
    angles = evidence.angles[evidence.usable]
    if len(angles):
        seconds = torch.nonzero(evidence.usable)[:, 0] / evidence.store.fps
        dots = poses.scatter(angles[:, 0].numpy(), angles[:, 1].numpy(), c=seconds.numpy(), s=6)
        figure.colorbar(dots, ax=poses, label="seconds")
    poses.set(xlabel="yaw, degrees", ylabel="pitch, degrees", xlim=(-50, 50), ylim=(-40, 40), title="head poses")
    times = shape_times([evidence])
    shapes.barh(list(times), list(times.values()), color="tab:purple")
    shapes.invert_yaxis()
    shapes.set(xlabel="times in speech", title="mouth shapes")
    if evidence.offset is not None:
        grid = np.arange(-MAX_OFFSET, MAX_OFFSET + 1)
        offsets.plot(grid, evidence.offset.evidence.numpy(), marker=".", color="tab:blue")
        offsets.axvline(0, color="0.6", linewidth=0.8)
        offsets.axvline(evidence.offset.frames, color="tab:red", linewidth=0.8)
        sure = "" if evidence.offset.is_sure else " (unsure)"
        title = f"offset {evidence.offset.frames:+.1f} frames{sure}"
        offsets.set(xlabel="frames that the picture is late", ylabel="evidence, nats", title=title)
    else:
        offsets.text(0.5, 0.5, "no offset to measure", ha="center", transform=offsets.transAxes)
        offsets.set_axis_off()
    return _pixels(figure)


def left_out_pictures(evidence: Evidence, parts: list[LeftOut]) -> UInt8[np.ndarray, "H W 3"]:
    """The middle frame of each stretch with its time and reason."""
    rows = -(-len(parts) // _COLUMNS)
    width = _THUMBNAIL * min(_COLUMNS, len(parts))
    sheet = Image.new("RGB", (width, (_THUMBNAIL + _LINE) * rows), "white")
    draw = ImageDraw.Draw(sheet)
    fps = evidence.store.fps
    for index, part in enumerate(parts):
        left, top = index % _COLUMNS * _THUMBNAIL, index // _COLUMNS * (_THUMBNAIL + _LINE)
        frame = (part.first + part.last - 1) // 2
        try:
            image = Image.fromarray(evidence.store.frame(frame)).resize((_THUMBNAIL, _THUMBNAIL))
            if evidence.seen[frame]:
                scale = _THUMBNAIL / evidence.store.info.size
                for x, y in (evidence.landmarks[frame] * scale).tolist():
                    ImageDraw.Draw(image).ellipse((x - 1, y - 1, x + 1, y + 1), fill="lime")
            sheet.paste(image, (left, top))
        except UserError:
            draw.rectangle((left, top, left + _THUMBNAIL, top + _THUMBNAIL), fill="#dddddd")
        reason = part.reason.partition(":")[0].removeprefix("the ")
        draw.text((left + 3, top + _THUMBNAIL + 2), f"{part.first / fps:.2f} to {part.last / fps:.2f} s", fill="black")
        draw.text((left + 3, top + _THUMBNAIL + 15), reason[:28], fill="black")
    return np.asarray(sheet)


def _plot_level(axis: Axes, evidence: Evidence) -> None:
    axis.set_ylabel("sound, dBFS")
    axis.set_ylim(_QUIETEST, 0)
    if evidence.waveform is None:
        axis.text(0.5, 0.5, "no sound", ha="center", va="center", transform=axis.transAxes)
        return
    power = block_power(evidence.waveform, SAMPLE_RATE // 50)
    decibels = (10 * power.clamp(min=1e-9).log10()).clamp(min=_QUIETEST)
    axis.fill_between((np.arange(len(power)) + 0.5) / 50, decibels.numpy(), _QUIETEST, color="tab:cyan", linewidth=0)
    fps = evidence.store.fps
    seconds = (np.arange(len(evidence.speaking)) + 0.5) / fps
    heard = np.where(evidence.speaking.numpy(), -2.0, np.nan)
    axis.plot(seconds, heard, color="tab:blue", linewidth=3, label="speech")
    axis.legend(loc="lower right", fontsize="small")


def _pixels(figure: Figure) -> UInt8[np.ndarray, "H W 3"]:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return np.asarray(Image.open(buffer).convert("RGB"))
