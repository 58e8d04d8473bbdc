"""Tiny media files of every kind, written with FFmpeg's own encoders rather than with the writer under test."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest


def numbered_frame(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A frame that tells its number: grey of 8 × number, in a picture whose top-left quarter is lighter."""
    frame = np.full((height, width, 3), 8 * index, np.uint8)
    frame[: height // 2, : width // 2] += 40
    return frame


@pytest.fixture
def write_raw(tmp_path: Path) -> Callable[..., Path]:
    """``write_raw(name, times=…, …)`` writes numbered frames shown at ``times`` (units of ``time_base``)."""

    def write(
        name: str,
        times: list[int] | range = range(10),
        time_base: Fraction = Fraction(1, 25),
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        size: tuple[int, int] = (48, 64),
        options: dict[str, str] | None = None,
        rotation: float | None = None,
        hflip: bool = False,
        tags: tuple[int, int] | None = None,
        frame: Callable[[int], np.ndarray] | None = None,
        container_options: dict[str, str] | None = None,
    ) -> Path:
        path = tmp_path / name
        height, width = size
        with av.open(str(path), "w", options=container_options or {}) as container:
            stream = container.add_stream(
                codec, rate=1 / time_base, options=options or {"crf": "10"} if "x26" in codec else {}
            )
            stream.height, stream.width, stream.pix_fmt = height, width, pixel_format
            stream.codec_context.time_base = time_base
            if tags is not None:
                stream.codec_context.colorspace, stream.codec_context.color_range = tags
            if rotation is not None:
                stream.set_display_rotation(rotation, hflip=hflip)
            for index, time in enumerate(times):
                pixels = numbered_frame(index, height, width) if frame is None else frame(index)
                picture = av.VideoFrame.from_ndarray(pixels, "rgb24" if pixels.shape[2] == 3 else "rgba")
                colours = {} if tags is None else {"dst_colorspace": tags[0], "dst_color_range": tags[1]}
                picture = picture.reformat(format=pixel_format, **colours)
                picture.pts, picture.time_base = time, time_base
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def write_sound(tmp_path: Path) -> Callable[..., Path]:
    """``write_sound(name, samples, rate)`` writes samples with soundfile (``subtype`` as there)."""
    import soundfile

    def write(name: str, samples: np.ndarray, rate: int, subtype: str | None = None) -> Path:
        soundfile.write(tmp_path / name, samples, rate, subtype=subtype)
        return tmp_path / name

    return write
