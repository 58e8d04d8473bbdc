"""Reports of a clip: contact sheet, plot of curves, and an HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from readavatar.files import replacing_file
from readavatar.media.page import write_page

matplotlib.use("Agg")  # works without a display


def write_contact_sheet(
    path: str | Path, frames: Iterable[UInt8[np.ndarray, "H W 3"]], captions: Sequence[str], columns: int = 6
) -> None:
    """Write a PNG of frames in rows, each with a caption below.

    Args:
        path: The PNG.
        frames: All of the same size.
        captions: One for each frame.
        columns: Frames in a row.
    """
    images = [Image.fromarray(frame) for frame in frames]
    if not images or len(images) != len(captions):
        raise ValueError(
            f"Expected one caption for each of one or more frames, but got {len(captions)}, {len(images)}."
        )
    width, height = images[0].size
    line = 16
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (width * min(columns, len(images)), (height + line) * rows), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = index % columns * width, index // columns * (height + line)
        sheet.paste(image, (left, top))
        draw.text((left + 4, top + height + 2), caption, fill="black")
    with replacing_file(path) as temporary:
        sheet.save(temporary)


def write_curves(
    path: str | Path,
    fps: float,
    waveform: Float[Tensor, " num_samples"],
    sample_rate: int,
    emotion: Float[Tensor, "T N"],
    emotion_names: Sequence[str],
    expressions: Float[Tensor, "T E"],
    expression_names: Sequence[str],
    shown: Sequence[str],
) -> None:
    """Plot sound, emotion and some expression coefficients over one time axis, as a PNG.

    Args:
        path: The PNG.
        fps: Of ``emotion`` and ``expressions``.
        waveform: In [−1, 1].
        sample_rate: Hz.
        emotion: In [0, 1]; emotions that never occur are left out.
        emotion_names: N names.
        expressions: Coefficients.
        expression_names: E names.
        shown: Names of expressions to plot; those that the model does not have are left out.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 1, figsize=(10, 7), sharex=True, layout="constrained", height_ratios=(1, 1, 2))
    axes[0].plot(np.arange(len(waveform)) / sample_rate, waveform.numpy(), linewidth=0.4, color="0.3")
    axes[0].set_ylabel("sound")
    centres = (np.arange(len(emotion)) + 0.5) / fps
    for name, column in zip(emotion_names, emotion.T, strict=True):
        if column.any():
            axes[1].plot(centres, column.numpy(), label=name)
    axes[1].set(ylabel="asked emotion", ylim=(-0.05, 1.05))
    for name in shown:
        if name in expression_names:
            axes[2].plot(centres, expressions[:, list(expression_names).index(name)].numpy(), label=name)
    axes[2].set(ylabel="expression coefficients", xlabel="seconds")
    for axis in axes[1:]:
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper right", fontsize="small", ncols=2)
    with replacing_file(path) as temporary:
        figure.savefig(temporary, dpi=110)
    pyplot.close(figure)


def write_report(
    path: str | Path,
    title: str,
    clip: str,
    pictures: dict[str, Path],
    rows: Sequence[tuple[str, str]],
    note: str,
    pages: dict[str, str] | None = None,
) -> None:
    """Write an HTML page with the clip (a file in the same folder), embedded pictures and a table.

    Args:
        path: The page.
        title: Its heading.
        clip: The clip's file name, relative to the page.
        pictures: PNG files by caption.
        rows: Of the table: name and value.
        note: A paragraph under the heading.
        pages: By caption, pages in the same folder, shown in frames.
    """
    write_page(
        path,
        "directing/report.html.j2",
        title=title,
        note=note,
        clip=clip,
        pictures=pictures,
        pages=pages or {},
        rows=rows,
    )
